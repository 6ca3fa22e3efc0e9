import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from medjax.data.dataset import open_split, prepare
from medjax.data.source import MemorySource, Source, Subset, TfdsSource, concatenate


class Spy:
    """A source that remembers what was read."""

    def __init__(self, count):
        self.count, self.read = count, []

    def __len__(self):
        return self.count

    def __getitem__(self, index, /):
        self.read.append(index)
        return {"id": str(index)}


def _ids(source):
    return [case["id"] for case in source]


def _memory(*names):
    return MemorySource([{"id": name} for name in names])


def test_every_source_is_a_source_and_ends_like_a_sequence():
    for source in (_memory("a"), Subset(_memory("a"), np.array([0])), concatenate([_memory("a"), _memory()]), Spy(1)):
        assert isinstance(source, Source)
    for source in (_memory("a"), Subset(_memory("a"), np.array([0])), concatenate([_memory("a"), _memory()])):
        assert len(_ids(source)) == len(source) == 1
        for outside in (-1, 1):
            with pytest.raises(IndexError):
                source[outside]


def test_a_subset_reads_its_cases_only_in_its_order():
    spy = Spy(10)
    subset = Subset(spy, np.array([7, 2, 2]))
    assert spy.read == []
    assert _ids(subset) == ["7", "2", "2"]
    assert set(spy.read) == {7, 2}
    for outside in (-1, 10):
        with pytest.raises(IndexError):
            Subset(spy, np.array([outside]))


def test_concatenation_equals_the_list_of_all_cases():
    rng = np.random.default_rng(0)
    for _ in range(20):
        parts = [[f"{p}.{i}" for i in range(rng.integers(0, 4))] for p in range(rng.integers(0, 5))]
        joined = concatenate([_memory(*part) for part in parts])
        assert _ids(joined) == [name for part in parts for name in part]


def test_a_case_from_memory_can_be_changed_without_changing_the_source():
    source = _memory("a")
    source[0]["id"] = "b"
    assert source[0]["id"] == "a"


def test_a_split_opens_nothing_before_the_first_case(tmp_path):
    source = TfdsSource(tmp_path / "nowhere", "train", 3)
    assert len(source) == 3
    with pytest.raises(Exception, match="nowhere"):
        source[0]


def test_a_split_survives_pickling_and_threads():
    source = open_split(prepare("breast_cancer_wisconsin"), "all")
    expected = [source[i]["table"].tobytes() for i in range(len(source))]
    again = pickle.loads(pickle.dumps(source))  # noqa: S301 (as data loaders do between processes)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda i: again[i]["table"].tobytes(), range(len(source)))) == expected


def test_values_are_plain():
    case = open_split(prepare("breast_cancer_wisconsin"), "all")[0]
    assert {key: type(value) for key, value in case.items()} == {
        "id": str,
        "group": str,
        "table": np.ndarray,
        "label": int,
    }
