import csv

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from medjax.data.readers.table import read_table
from medjax.errors import InputError

COLUMNS = ("age", "crp")


def _write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_are_found_by_name_and_missing_cells_are_nan(tmp_path):
    path = _write(tmp_path / "t.csv", "crp,id,group,age,outcome\n1.5,a,p,40,sick\n?,b,p,1e2,well\n,c,q,NA,0\n\n")
    cases = read_table(path, COLUMNS, target="outcome", classes=("sick", "well"))
    np.testing.assert_array_equal(
        np.stack([case["table"] for case in cases]), np.array([[40, 1.5], [100, np.nan], [np.nan, np.nan]], np.float32)
    )
    assert [(case["id"], case["group"], case["label"]) for case in cases] == [
        ("a", "p", 0),
        ("b", "p", 1),
        ("c", "q", 0),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_separators_byte_order_mark_and_quotes(tmp_path, delimiter):
    path = tmp_path / "t.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        rows = [["id", "age", "crp"], [f'two\nlines{delimiter} "quoted"', " 40 ", "-1"]]
        csv.writer(file, delimiter=delimiter).writerows(rows)
    (case,) = read_table(path, COLUMNS)
    assert case["id"] == f'two\nlines{delimiter} "quoted"'
    np.testing.assert_array_equal(case["table"], np.array([40, -1], np.float32))


def test_a_value_as_target_and_rows_without_id(tmp_path):
    cases = read_table(_write(tmp_path / "t.csv", "age,crp,y\n1,2,-0.5\n3,4,7\n"), COLUMNS, target="y")
    assert [(case["id"], case["group"], case["value"]) for case in cases] == [
        ("00000", "00000", -0.5),
        ("00001", "00001", 7),
    ]


def test_a_whole_data_set_survives_the_way_through_a_file(tmp_path):
    data = load_breast_cancer()
    path = tmp_path / "wisconsin.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([list(data.feature_names), *data.data.tolist()])
    cases = read_table(path, list(data.feature_names))
    np.testing.assert_array_equal(np.stack([case["table"] for case in cases]), data.data.astype(np.float32))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a header and at least one row"),
        ("age,crp\n", "a header and at least one row"),
        ("age,y\n1,0\n", "column 'crp' is missing"),
        ("age,crpp,y\n1,2,0\n", r"'crp' is missing \(is it 'crpp'\?\)"),
        ("age,crp\n1,2\n", "column 'y' is missing"),
        ("age,crp,age,y\n1,2,3,0\n", "'age' more than once"),
        ("age,crp,y\n1,2,0\n1,high,0\n", "line 3, column 'crp': 'high' is no number"),
        ("age,crp,y\n1_0,2,0\n", "line 2, column 'age': '1_0'"),
        ("age,crp,y\n1e39,2,0\n", "line 2, column 'age': '1e39'"),
        ("age,crp,y\ninf,2,0\n", "line 2, column 'age': 'inf'"),
        ("age,crp,y\n1,2\n", "line 2: 2 cells where the header has 3"),
        ("age,crp,y\n1,2,2\n", "line 2, column 'y': '2' is none of the classes no, yes"),
        ("age,crp,y\n1,2,\n", "line 2, column 'y': ''"),
        ('age,crp,y\n1,2,"no\n', "line 2: "),
        ("id,age,crp,y\na,1,2,0\na,1,2,0\n", "'a' occurs more than once"),
    ],
)
def test_a_bad_table_is_refused_with_file_line_and_column(tmp_path, text, words):
    with pytest.raises(InputError, match=f"t.csv.*{words}"):
        read_table(_write(tmp_path / "t.csv", text), COLUMNS, target="y", classes=("no", "yes"))


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x01")
    for name in ("t.csv", "nowhere.csv", "."):
        with pytest.raises(InputError, match=str(tmp_path)):
            read_table(tmp_path / name, COLUMNS)
    with pytest.raises(InputError, match="target is missing"):
        read_table(_write(tmp_path / "t.csv", "age,crp,y\n1,2,\n"), COLUMNS, target="y")
