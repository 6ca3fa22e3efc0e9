"""One's own cases through TFDS: the same cases come back, unusable ones are listed or end everything."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import pytest

from medjax.data import dataset as datasets
from medjax.data.origin import Facts, Problem
from medjax.errors import InputError


@dataclass(frozen=True)
class Squares:
    """Cases of differing sizes; every case whose number is in `bad` cannot be used."""

    count: int = 7
    bad: tuple[int, ...] = ()
    splits: bool = False
    on_error: str = "stop"
    salt: int = 0

    def fingerprint(self) -> str:
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def facts(self) -> Facts:
        shapes = {
            "image": ((None, None, 1), "uint8"),
            "site": ((), "str"),
            "age": ((), "float32"),
            "spacing": ((2,), "float32"),
        }
        counts = {"train": self.count, "test": 2} if self.splits else {"all": self.count}
        return Facts(shapes, counts, ("no", "yes"), description="Squares.", synthetic=True, notes=("a note",))

    def cases(self, split):
        for number in range(self.facts().counts[split]):
            if number in self.bad:
                yield Problem(f"squares.csv, line {number + 2}", "it is no square")
                continue
            image = np.full((number + 1, 3, 1), number, np.uint8)
            yield {
                "id": f"{split}/{number}",
                "group": f"g{split}{number // 2}",
                "image": image,
                "label": number % 2,
                "site": "north",
                "age": 30.0 + number,
                "spacing": np.array([1.5, 0.5], np.float32),
            }


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path / "cache"))


def test_cases_come_back_as_they_were_given():
    origin = Squares()
    dataset = datasets.prepare("squares", origin=origin)
    source = datasets.open_split(dataset, "all")
    assert dataset.splits == {"all": 7}
    assert not dataset.official
    assert dataset.classes == ("no", "yes")
    assert dataset.synthetic
    assert dataset.notes == ("a note",)
    assert dataset.skipped == ()
    for number, given in enumerate(origin.cases("all")):
        case = source[number]
        assert case.keys() == given.keys()
        for key, value in given.items():
            np.testing.assert_array_equal(case[key], value)


def test_splits_of_the_origin_are_official():
    dataset = datasets.prepare("squares", origin=Squares(splits=True))
    assert dataset.official
    assert dataset.splits == {"train": 7, "test": 2}
    assert datasets.open_split(dataset, "test")[1]["id"] == "test/1"


def test_an_unusable_case_stops_everything_or_is_listed():
    origin = Squares(bad=(0, 5))
    with pytest.raises(InputError, match=r"squares.csv, line 2: it is no square.*--on-error skip"):
        datasets.prepare("squares", origin=origin)
    dataset = datasets.prepare("squares", origin=replace(origin, on_error="skip"))
    assert dataset.splits == {"all": 5}
    assert dataset.skipped == (
        ("squares.csv, line 2", "it is no square"),
        ("squares.csv, line 7", "it is no square"),
    )
    again = datasets.prepare("squares", origin=replace(origin, on_error="skip"))  # from the index, not from the files
    assert again.skipped == dataset.skipped
    assert again.notes == dataset.notes


def test_a_split_without_a_usable_case_is_refused():
    with pytest.raises(InputError, match=r"no case of the split 'all' can be used \(7 were left out\)"):
        datasets.prepare("squares", origin=Squares(bad=tuple(range(7)), on_error="skip"))


def test_skipping_may_leave_shards_empty(monkeypatch):
    from medjax.data.builders import own

    monkeypatch.setattr(own, "_SHARD_CASES", 2)
    dataset = datasets.prepare("squares", origin=Squares(bad=(1, 2, 3, 4), on_error="skip"))
    source = datasets.open_split(dataset, "all")
    assert [source[k]["id"] for k in range(len(source))] == ["all/0", "all/5", "all/6"]


def test_an_edited_origin_is_prepared_anew():
    first = datasets.prepare("squares", origin=Squares())
    second = datasets.prepare("squares", origin=Squares(salt=1))
    assert first.directory != second.directory
    assert datasets.fingerprint(first) == datasets.fingerprint(second)  # the same cases


@pytest.mark.parametrize("name", ["pneumoniamnist", "../out", "", "a b"])
def test_names_that_are_taken_or_no_folder_are_refused(name):
    with pytest.raises(InputError, match="data.name"):
        datasets.prepare(name, origin=Squares())
