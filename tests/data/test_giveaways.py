from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medjax.data import giveaways as room
from medjax.data import partition as partition_room
from medjax.data.dataset import Dataset, Index
from medjax.data.giveaways import (
    answers,
    border,
    coded,
    column_scores,
    joined,
    later_than_test,
    picture_scores,
    read,
    times,
    trailing_numbers,
)
from medjax.data.source import MemorySource

RANDOM = np.random.default_rng(0)
FOLD = np.arange(400) % 5
LABEL = (RANDOM.random(400) < 0.4).astype(float)[:, None]


def area(column, answer=LABEL, fold=FOLD):
    return round(roc_auc_score(answer[:, 0], column_scores(np.asarray(column, float), answer, fold)[:, 0]), 9)


def test_a_column_that_tells_is_found_whatever_its_form():
    label = LABEL[:, 0]
    assert area(label) == 1.0
    assert area(1 - 2 * label) == 1.0  # the other way round
    sorted_rows = np.argsort(np.argsort(label, kind="stable"))
    assert area(sorted_rows) > 0.98  # a file sorted by class
    assert area(np.where(label == 1, RANDOM.choice([1, 4, 9], 400), RANDOM.choice([2, 3, 8], 400))) == 1.0  # a code
    assert area(np.where(label == 1, np.nan, RANDOM.random(400))) == 1.0  # missing tells
    assert (
        area(np.where(label == 1, RANDOM.normal(0, 0.1, 400), RANDOM.choice([-1, 1], 400) + RANDOM.normal(0, 0.1, 400)))
        > 0.95
    )


def test_a_column_that_tells_nothing_predicts_nothing():
    for column in (RANDOM.random(400), RANDOM.integers(0, 3, 400), np.zeros(400), np.full(400, np.nan), np.arange(400)):
        assert 0.38 < area(column) < 0.62
    # Every value but once, known by heart in training: nothing carries over.
    assert 0.38 < area(RANDOM.permutation(400)) < 0.62


def test_no_held_out_answer_enters_its_own_score():
    column = RANDOM.random(400)
    changed = LABEL.copy()
    changed[FOLD == 2] = 1 - changed[FOLD == 2]
    before, after = (column_scores(column, one, FOLD)[FOLD == 2] for one in (LABEL, changed))
    assert np.array_equal(before, after)
    pictures = RANDOM.random((400, 8, 8)).astype(np.float32)
    before, after = (picture_scores(pictures, one, FOLD)[FOLD == 2] for one in (LABEL, changed))
    assert np.array_equal(before, after)


def test_unknown_answers_are_left_out():
    answer = np.concatenate([LABEL, LABEL], axis=1)
    answer[:100, 1] = np.nan
    column = LABEL[:, 0].copy()
    scores = column_scores(column, answer, FOLD)
    assert np.isfinite(scores).all()
    assert roc_auc_score(answer[100:, 1], scores[100:, 1]) == 1.0
    assert np.isfinite(column_scores(column, np.full((400, 1), np.nan), FOLD)).all()


def test_a_mark_in_the_border_is_found_in_the_border_alone():
    pictures = RANDOM.normal(0, 1, (400, 12, 12)).astype(np.float32)
    points = border(pictures)
    assert points.sum() == 12**2 - 8**2
    assert points.reshape(12, 12)[0, 6]
    assert points.reshape(12, 12)[6, 11]
    assert not points.reshape(12, 12)[2:10, 2:10].any()

    def judged(chosen):
        return roc_auc_score(LABEL[:, 0], picture_scores(pictures, LABEL, FOLD, chosen)[:, 0])

    assert 0.38 < judged(points) < 0.62
    pictures[:, 0:2, 0:2] += 3 * LABEL[:, :, None].astype(np.float32)
    assert judged(points) > 0.95
    assert judged(~points) < 0.62


def test_targets_become_questions():
    label = [{"label": one} for one in (0, 1, 1)]
    assert answers(label, ("a", "b")) is not None
    values, asked = answers(label, ("a", "b"))
    assert (values[:, 0].tolist(), asked) == ([0, 1, 1], ("b",))
    values, asked = answers([{"label": one} for one in (0, 2, 1)], ("a", "b", "c"))
    assert values.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
    assert answers([{"value": one} for one in (1.0, 2.0, 9.0)], ())[0][:, 0].tolist() == [0, 0, 1]
    assert answers([{"event": one, "time": 2.0} for one in (0, 1)], ())[0][:, 0].tolist() == [0, 1]
    assert answers([{"labels": np.array([1.0, np.nan])}], ("x", "y"))[1] == ("x", "y")
    assert answers([{"segmentation": np.zeros((2, 2), int)}], ()) is None
    assert answers([], ()) is None


def test_levels_of_one_column_are_put_together_again():
    table = np.array([[1, 0, 0, 5], [0, 1, 0, 6], [np.nan, np.nan, np.nan, np.nan], [0, 0, 1, 7]])
    found = joined(table, ("race=a", "race=b", "race=c", "age"))
    assert list(found) == ["race", "age"]
    assert np.isnan(found["race"][2])
    assert len(np.unique(found["race"][[0, 1, 3]])) == 3
    assert found["age"][0] == 5


def test_text_dates_and_ids_become_numbers():
    assert coded(np.array(["2024-01-02", "", "2024-01-01"]))[[0, 2]].tolist() == [19724, 19723]
    assert np.isnan(coded(np.array(["", "3"]))[0])
    assert coded(np.array(["x", "a", "x"])).tolist() == [1, 0, 1]
    assert trailing_numbers(np.array(["train/00012", "a7.png", "none"]))[:2].tolist() == [12, 7]


def test_training_after_the_first_test_case_is_counted():
    part = np.array(["train", "train", "test", "test", "validation"])
    assert later_than_test(np.array([1.0, 5, 3, 9, 4]), part) == (2, 1)
    assert later_than_test(np.array([1.0, np.nan, 3, 9, 4]), part) == (1, 0)
    assert later_than_test(np.array([1.0, 2, np.nan, np.nan, 4]), part) is None


@pytest.fixture
def sealed(monkeypatch):
    """A data set whose test split cannot be opened."""
    part = np.repeat(["train", "validation", "test"], [60, 20, 20])
    ids = np.array([f"{name}/{row:03d}" for row, name in enumerate(part)])
    told = {"day": np.array(["2024-01-01"] * 99 + [""]), "site": np.array(["a", "b"] * 50)}
    index = Index(part, ids, ids, ids, (), "", told)
    counts = {"train": 60, "validation": 20, "test": 20}

    def open_split(dataset, split):
        assert split != "test", "the test split was opened"
        return MemorySource(
            [
                {
                    "id": str(ids[row]),
                    "group": str(ids[row]),
                    "label": row % 2,
                    "table": np.array([row % 2, 1.0], np.float32),
                }
                for row in np.flatnonzero(part == split)
            ]
        )

    monkeypatch.setattr(partition_room, "open_split", open_split)
    return Dataset("d", "1", ("a", "b"), ("x", "y"), ("table",), ("label",), True, counts, index, Path(), "", "", "")


def test_only_development_cases_are_read(sealed):
    found = read(sealed)
    assert len(found.answer) == 80
    assert list(found.columns) == [
        "x",
        "y",
        "day (attribute)",
        "site (attribute)",
        "order of the cases",
        "number in the id",
    ]
    assert found.inputs == {"x", "y"}
    assert len(np.unique(found.fold)) == room.FOLDS
    assert times(sealed) == ["day"]
    assert found.columns["order of the cases"][[0, 59, 60, 79]].tolist() == [0, 1, 0, 1]
