"""The published survival sets as they lie in their files: counts, missing values, refusals."""

import csv

import numpy as np
import pytest

from medjax.data.builders import survival
from medjax.data.dataset import open_split, prepare
from medjax.errors import InputError

# Rows and events of each split; of train, cells without a value.
SETS = {
    "metabric": ({"train": (1523, 887), "test": (381, 216)}, 0),
    "gbsg": ({"train": (1546, 968), "test": (686, 299)}, 0),
    "support": ({"train": (7098, 4823), "test": (1775, 1213)}, 0),
    "whas": ({"train": (1310, 552), "test": (328, 138)}, 0),
    "gbsg2": ({"train": (686, 299)}, 0),
    "flchain": ({"train": (7874, 2169)}, 1350 + 16 * (7874 - 2169)),  # creatinine, and causes of death of the living
    "whas500": ({"train": (500, 215)}, 0),
    "veteran": ({"train": (137, 128)}, 0),
}
CONFIGS = {config.name: config for config in survival._CONFIGS}


@pytest.mark.parametrize("name", SETS)
def test_rows_events_and_missing_values(name, medjax_data):
    config, (splits, missing) = CONFIGS[name], SETS[name]
    assert config.official == (len(splits) == 2)
    paths = [path for level in ("*/", "*/*/") for path in medjax_data.glob(level + config.file)]
    for split, (rows, events) in splits.items():
        read = survival._read_hdf5(paths[0], split) if config.official else survival._read_arff(paths[0], config)
        table, time, event = read
        assert (len(table), int(np.sum(event))) == (rows, events)
        assert table.shape[1] == len(config.columns)
        assert set(np.unique(event)) <= {0, 1}
        assert np.isfinite(time).all()
        assert time.min() >= 0
        if split == "train":
            assert int(np.isnan(table).sum()) == missing


def test_a_prepared_set_is_what_the_file_holds(medjax_data):
    dataset = prepare("veteran")
    assert dataset.splits == {"all": 137}
    assert not dataset.official
    assert (dataset.inputs, dataset.targets, dataset.classes) == (("table",), ("time", "event"), ())
    assert "days" in dataset.description
    cases = list(open_split(dataset, "all"))
    (path,) = medjax_data.glob("*/*/veteran.arff")
    table, time, event = survival._read_arff(path, CONFIGS["veteran"])
    np.testing.assert_array_equal([case["table"] for case in cases], table)
    np.testing.assert_array_equal([case["time"] for case in cases], time)
    np.testing.assert_array_equal([case["event"] for case in cases], event)
    assert len({case["group"] for case in cases}) == 137
    assert dict(zip(dataset.columns, table[0].tolist(), strict=True)) == {
        "Treatment": 0, "Celltype=adeno": 0, "Celltype=large": 0, "Celltype=smallcell": 0, "Celltype=squamous": 1,
        "Karnofsky_score": 60, "Months_from_Diagnosis": 7, "Age_in_years": 69, "Prior_therapy": 0,
    }  # fmt: skip
    assert (time[0], event[0]) == (72, 1)


def test_a_changed_file_is_refused_and_an_absent_one_says_where_it_is_from(tmp_path, monkeypatch):
    monkeypatch.delenv("MEDJAX_DATA", raising=False)
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        InputError, match=r"veteran: veteran.arff was found in none of the folders .*; get it from https"
    ):
        prepare("veteran", tmp_path)
    deep = tmp_path / "survival" / "arff"
    deep.mkdir(parents=True)
    (deep / "veteran.arff").write_text("half of it")
    with pytest.raises(
        InputError, match=r"\(10 bytes\) is not the original veteran.arff, or only a part of it: its SHA-256"
    ):
        prepare("veteran", tmp_path)


def test_categories_become_numbers_or_columns(tmp_path):
    (tmp_path / "some.arff").write_text(
        "@relation some\n@attribute grade {I,II,III}\n@attribute cell {oat,flat,round}\n@attribute sex {m,f}\n"
        "@attribute dose numeric\n@attribute size {10,20,40}\n@data\nII,flat,m,2.5,40\n?,?,?,?,?\nIII,oat,f,1,10\n"
    )
    longest = csv.field_size_limit()
    rows, told = survival._arff(tmp_path / "some.arff")
    assert csv.field_size_limit() == longest  # what reads CSV files elsewhere is left as it was
    found = {}
    for name in told.names():
        found |= survival._encoded(rows, told, name)
    nan = np.nan
    expected = {
        "grade": [1, nan, 2], "cell=oat": [0, nan, 1], "cell=flat": [1, nan, 0], "cell=round": [0, nan, 0],
        "sex": [0, nan, 1], "dose": [2.5, nan, 1], "size": [40, nan, 10],
    }  # fmt: skip
    assert list(found) == list(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], np.array(values, np.float32), err_msg=name)
