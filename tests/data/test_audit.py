import json
from dataclasses import asdict

import numpy as np
import pytest

from medjax.data.audit import audit, check
from medjax.data.dataset import Index, prepare
from medjax.data.split import Folds, assign_folds
from medjax.errors import InputError


def _index(splits, groups, prints):
    ids = np.array([f"case-{row}" for row in range(len(splits))])
    return Index(
        np.array(splits), ids, np.array(groups), np.array(prints), conflicts=(("case-0", "case-1"),), targets=""
    )


def test_planted_leaks_are_counted_by_hand():
    index = _index(
        splits=["train", "train", "train", "validation", "test", "test"],
        groups=["anna", "anna", "bert", "bert", "carl", "anna"],
        prints=["x", "x", "y", "x", "z", "y"],
    )
    found = audit(index)
    assert found.cases == 6
    assert found.patients == 3
    assert found.patients_known
    assert found.shared_patients == {"train+validation": 1, "train+test": 1}
    assert (found.duplicate_groups, found.duplicate_cases) == (2, 5)
    assert found.across == {"train+validation": 1, "train+test": 1}
    assert found.within == {"train": 1}
    assert found.duplicates == (
        {"train": ("case-0", "case-1"), "validation": ("case-3",)},
        {"train": ("case-2",), "test": ("case-5",)},
    )
    assert found.conflicting == (("case-0", "case-1"),)
    text = json.dumps(asdict(found))
    assert not any(name in text for name in ("anna", "bert", "carl"))
    with pytest.raises(InputError, match=r"1 by train\+validation, 1 by train\+test") as error:
        check(found)
    assert not any(name in str(error.value) for name in ("anna", "bert", "carl"))


def test_duplicates_are_reported_but_not_refused():
    found = audit(_index(["train", "test"], ["a", "b"], ["x", "x"]))
    assert found.across == {"train+test": 1}
    check(found)


def test_hashed_folds_share_no_patient():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 200).astype(str)
    index = _index(["all"] * 200, groups, [str(row) for row in range(200)])
    check(audit(index, assign_folds(groups, Folds())))
    with pytest.raises(InputError, match="two parts"):
        check(audit(index, rng.integers(0, 5, 200)))
    with pytest.raises(InputError, match="3 assigned cases"):
        audit(index, ["a", "b", "c"])


def test_what_is_in_pneumoniamnist_and_breastmnist(medjax_data):
    pneumonia = audit(prepare("pneumoniamnist", medjax_data).index)
    assert (pneumonia.duplicate_groups, pneumonia.duplicate_cases) == (27, 56)
    assert pneumonia.across == {"train+validation": 8}
    assert pneumonia.within == {"train": 18, "test": 3}
    assert pneumonia.conflicting == ()
    assert not pneumonia.patients_known
    check(pneumonia)
    breast = audit(prepare("breastmnist", medjax_data).index)
    assert breast.across == {"train+test": 1}
    assert breast.conflicting == (("train/00115", "test/00076"),)
    assert audit(prepare("breast_cancer_wisconsin").index).duplicate_groups == 0
