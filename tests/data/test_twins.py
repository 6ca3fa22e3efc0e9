from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from medjax.data import partition as partition_room
from medjax.data import twins as room
from medjax.data.dataset import Dataset, Index
from medjax.data.drop import dropped, read, without, written
from medjax.data.partition import partition
from medjax.data.source import MemorySource
from medjax.data.split import Folds
from medjax.data.twins import (
    Twin,
    Twins,
    between,
    find,
    judged,
    numbering_columns,
    repeats_by_chance,
    row_contents,
    tally,
)
from medjax.errors import InputError

COUNTS = {"train": 120, "validation": 30, "test": 50}


def digest(row):
    return str(np.nan_to_num(row, nan=-1).tolist())


@pytest.fixture
def made(monkeypatch):
    """Return a function that makes a data set of a table in memory, whose labels nobody may read."""
    opened = {}

    def make(table, name="d", group=None, conflicts=(), official=True):
        counts = COUNTS if official else {"all": len(table)}
        part = np.repeat(list(counts), list(counts.values()))
        ids = np.array([f"{name}{row:03d}" for row in range(len(table))])
        index = Index(
            part, ids, ids if group is None else group, np.array([digest(row) for row in table]), conflicts, "t"
        )
        columns = tuple(f"c{column}" for column in range(table.shape[1]))
        opened[name] = table
        return Dataset(
            name, "1", ("a", "b"), columns, ("table",), ("label",), official, counts, index, Path(), "", "", ""
        )

    class Unlabelled(dict):
        def __getitem__(self, key):
            assert key in ("id", "table"), f"{key} was read"
            return super().__getitem__(key)

    class Cases(MemorySource):
        def __getitem__(self, index):
            return Unlabelled(self.cases[index])

    def open_split(dataset, split):
        rows = np.flatnonzero(dataset.index.split == split)
        table = opened[dataset.name].astype(np.float32)
        return Cases([{"id": str(dataset.index.id[row]), "table": table[row], "label": 1} for row in rows])

    monkeypatch.setattr(room, "open_split", open_split)
    monkeypatch.setattr(partition_room, "open_split", open_split)
    return make


@pytest.fixture
def table():
    random = np.random.default_rng(0)
    return gaussian_filter(random.standard_normal((200, 6)), (0, 0.5)).astype(np.float32)


def test_planted_rows_are_found_across_splits_without_reading_a_label(made, table):
    table[160] = table[3]  # train and test, the same
    table[130] = table[4] + 1e-4  # train and validation, nearly
    table[10] = table[11]  # within train
    found = find(made(table))
    assert tally(found.pairs) == {"train+test": (1, 1, 1), "train+validation": (1, 1, 1), "train": (1, 2, 0)}
    across = next(pair for pair in found.pairs if "test" in pair.parts)
    assert (across.ids, across.parts, across.identical) == (("d003", "d160"), ("train", "test"), True)
    assert not next(pair for pair in found.pairs if "validation" in pair.parts).identical
    assert (found.compared, found.different) == ("table", 198)
    assert judged(found, "test") == ["d160"]
    assert judged(found) == ["d003", "d004", "d130", "d160"]


def test_a_row_is_found_behind_the_column_that_numbers_it(made, table):
    table[160] = table[3]
    numbered = np.concatenate([np.arange(200)[:, None], table], axis=1).astype(np.float32)
    found = find(made(numbered))
    assert found.numbering == ("c0",)
    assert [pair.ids for pair in found.pairs] == [("d003", "d160")]
    assert numbering_columns(numbered[::-1]).tolist() == [0]
    assert numbering_columns(np.stack([np.arange(200) % 50, np.arange(200) * 7.0, table[:, 0]], 1)).tolist() == []


def test_the_cases_of_one_patient_are_no_twins(made, table):
    table[10] = table[11]
    group = np.array([f"p{row}" for row in range(200)])
    group[10] = group[11]
    assert find(made(table, group=group)).pairs == ()


def test_another_partition_gives_other_parts(made, table):
    table[160] = table[3]
    dataset = made(table, official=False)
    plan = partition(dataset, Folds(count=3))
    (pair,) = find(dataset, plan).pairs
    assert set(pair.parts) == {str(plan.assignment[3]), str(plan.assignment[160])}


def test_two_data_sets_that_share_cases(made, table):
    other = np.random.default_rng(9).standard_normal((200, 6)).astype(np.float32)
    other[5], other[6] = table[7], table[8] + 1e-4
    found = between(made(table), made(other, "e"))
    assert {(pair.ids, pair.identical) for pair in found.pairs} == {(("d007", "e005"), True), (("d008", "e006"), False)}
    assert found.pairs[0].parts == ("d", "e")
    with pytest.raises(InputError, match="no column in common"):
        between(made(table), Dataset(**{**vars(made(other, "e")), "columns": ("z",) * 6}))


def test_missing_equals_missing_and_chance_is_counted():
    rows = np.array([[1, np.nan], [1, np.nan], [np.nan, 1], [0.0, 2], [-0.0, 2]])
    codes = row_contents(rows)
    assert codes[0] == codes[1] != codes[2]
    assert codes[3] == codes[4]
    # Two fair coins, four rows: a row stands alone with probability (3/4)^3 or so; shuffled, 1 - that many are repeated.
    coins = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    pairs = [sum(v > 1 for v in np.bincount(row_contents(np.stack([coins[:, 0], order], 1)))) for order in
             ([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [1, 0, 0, 1], [1, 0, 1, 0], [1, 1, 0, 0])]  # fmt: skip
    assert pairs == [2, 0, 0, 0, 0, 2]  # 4 of 4 repeated in a third of the orders
    assert repeats_by_chance(coins, shuffles=1000) == pytest.approx(4 / 3, abs=0.25)
    assert repeats_by_chance(np.random.default_rng(0).random((50, 2))) == 0


# What training leaves out.


def pair(a, b, parts):
    return Twin((a, b), parts, 1.0, 0.0)


def test_dropping_takes_from_training_alone(made, table):
    dataset = made(table, conflicts=(("d040", "d041"), ("d050", "d170"), ("d180", "d181")))
    found = Twins(
        (
            pair("d001", "d160", ("train", "test")),
            pair("d002", "d130", ("train", "validation")),
            pair("d131", "d161", ("validation", "test")),
            pair("d010", "d011", ("train", "train")),
        ),
        "table", 200, 1e-4,
    )  # fmt: skip
    assert dropped(dataset, found) == ["d001", "d002", "d040", "d041", "d050"]
    plan = partition(dataset, None)
    thinner = without(dataset, plan, dropped(dataset, found))
    assert set(plan.parts[0].train) - set(thinner.parts[0].train) == {1, 2, 40, 41, 50}
    assert np.array_equal(thinner.test, plan.test)
    assert np.array_equal(thinner.parts[0].validation, plan.parts[0].validation)
    assert np.array_equal(thinner.development, plan.development)


def test_in_cross_validation_both_leave_training_and_both_are_judged(made, table):
    dataset = made(table, official=False)
    plan = partition(dataset, Folds(count=3))
    a, b = (str(dataset.index.id[np.flatnonzero(plan.assignment == fold)[0]]) for fold in (0, 1))
    found = Twins((pair(a, b, ("0", "1")),), "table", 200, 1e-4)
    assert dropped(dataset, found, plan) == sorted([a, b])
    thinner = without(dataset, plan, [a, b])
    rows = {int(np.flatnonzero(dataset.index.id == one)[0]) for one in (a, b)}
    for before, now in zip(plan.parts, thinner.parts, strict=True):
        assert not rows & set(now.train.tolist())
        assert np.array_equal(before.held_out, now.held_out)


def test_the_list_is_reproducible_and_read_back(made, table, tmp_path):
    table[160] = table[3]
    dataset = made(table)
    text = written(dataset, find(dataset))
    assert text == written(dataset, find(dataset))
    head, *rest = text.splitlines()
    assert head.startswith("# 1 cases that training leaves out; medjax data audit d;")
    assert rest == ["d003"]
    path = tmp_path / "drop.txt"
    path.write_text(text)
    assert read(path) == ("d003",)


def test_a_list_that_does_not_fit_is_refused(made, table, tmp_path):
    dataset = made(table)
    plan = partition(dataset, None)
    for ids, message in ((["x"], "no case"), (["d160"], "never trains"), (["d130"], "never trains")):
        with pytest.raises(InputError, match=message):
            without(dataset, plan, ids)
    with pytest.raises(InputError, match="nothing is left"):
        without(dataset, plan, [f"d{row:03d}" for row in range(120)])
    assert np.array_equal(without(dataset, plan, []).parts[0].train, plan.parts[0].train)
    (tmp_path / "twice").write_text("a\na\n")
    with pytest.raises(InputError, match="twice"):
        read(tmp_path / "twice")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "nothing")
