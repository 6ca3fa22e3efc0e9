from pathlib import Path

import numpy as np
import pytest

from medjax.data import partition as room
from medjax.data.dataset import Dataset, Index
from medjax.data.partition import development_source, partition
from medjax.data.source import MemorySource
from medjax.data.split import ByTime, Folds, HashedSplit, LeaveOneOut, OfficialTest, assign_folds, held_back
from medjax.errors import InputError

sealed_source = room.test_source  # under a name that pytest does not collect

OPENED: list[str] = []


@pytest.fixture
def made(monkeypatch):
    """Return a function that makes a data set in memory: 300 cases of 100 patients, three official splits."""

    def make(official=True, counts=(180, 60, 60), patients=100):
        total = sum(counts)
        names = np.repeat(["train", "validation", "test"], counts) if official else np.full(total, "all")
        ids = np.array([f"case_{i}" for i in range(total)])
        # Official splits keep patients together too.
        groups = np.array([f"p{i * patients // total}" for i in range(total)])
        patient = np.arange(total) * patients // total
        told = {"site": np.array([f"site {k % 3}" for k in patient]), "year": (2000 + patient // 5).astype(str)}
        index = Index(names, ids, groups, ids, (), "", told)
        splits = dict(zip(["train", "validation", "test"], counts, strict=True)) if official else {"all": total}
        return Dataset("d", "1", ("a", "b"), (), ("image",), ("label",), official, splits, index, Path(), "", "", "")

    def open_split(dataset, split):
        OPENED.append(split)
        rows = np.flatnonzero(dataset.index.split == split)
        return MemorySource([{"id": str(dataset.index.id[row])} for row in rows])

    OPENED.clear()
    monkeypatch.setattr(room, "open_split", open_split)
    return make


def ids(source):
    return [source[i]["id"] for i in range(len(source))]


BY_SITE, BY_YEAR = LeaveOneOut("site", hold_back=0.2), ByTime("year", validation=2010, test=2015)
SPECS = [None, HashedSplit(salt=3), Folds(count=4), Folds(count=4, hold_back=0.3), BY_SITE, BY_YEAR]


@pytest.mark.parametrize("spec", SPECS)
def test_the_development_source_holds_every_case_but_the_sealed_ones(made, spec):
    dataset = made(official=spec is None)
    plan = partition(dataset, spec)
    cases = ids(development_source(dataset, plan))
    assert cases == dataset.index.id[plan.development].tolist()
    assert not set(cases) & set(dataset.index.id[plan.test])
    assert sorted([*plan.development, *plan.test]) == list(range(300))
    assert (spec is None) == (set(OPENED) == {"train", "validation"})  # the official test split is not even opened
    assert plan.folds == isinstance(spec, Folds | LeaveOneOut)


@pytest.mark.parametrize("spec", SPECS)
def test_parts_are_disjoint_and_share_no_patient(made, spec):
    dataset = made(official=spec is None)
    plan = partition(dataset, spec)
    groups = dataset.index.group[plan.development]
    for part in plan.parts:
        roles = [part.train, part.validation, part.held_out]
        assert sorted(np.concatenate(roles)) == list(range(len(plan.development)))
        patients = [set(groups[rows]) for rows in roles] + [set(dataset.index.group[plan.test])]
        for number, some in enumerate(patients):
            assert not any(some & other for other in patients[number + 1 :])


def test_official_splits_are_taken_as_they_are(made):
    dataset = made()
    plan = partition(dataset, None)
    (part,) = plan.parts
    assert [len(part.train), len(part.validation), len(part.held_out), len(plan.test)] == [180, 60, 0, 60]
    assert ids(sealed_source(dataset, plan)) == [f"case_{i}" for i in range(240, 300)]


def test_every_case_is_held_out_once_by_its_own_fold(made):
    dataset = made(official=False)
    plan = partition(dataset, Folds(count=4, salt=2))
    held = np.concatenate([part.held_out for part in plan.parts])
    assert sorted(held) == list(range(300))
    np.testing.assert_array_equal(plan.assignment, assign_folds(dataset.index.group, Folds(count=4, salt=2)))
    for number, part in enumerate(plan.parts):
        assert set(plan.assignment[part.held_out]) == {number}
        assert not len(part.validation)
    with pytest.raises(InputError, match="d has no test set under these splits"):
        sealed_source(dataset, plan)


def test_what_is_held_back_leaves_the_training_cases_and_no_other(made):
    dataset = made(official=False)
    plain, back = (partition(dataset, Folds(count=4, hold_back=share)).parts for share in (0.0, 0.3))
    for without, held in zip(plain, back, strict=True):
        np.testing.assert_array_equal(without.held_out, held.held_out)
        assert sorted([*held.train, *held.validation]) == without.train.tolist()
        assert 0 < len(held.validation) < len(held.train)


def test_hashed_splits_of_data_with_official_ones_mix_them(made):
    dataset = made()
    plan = partition(dataset, HashedSplit(train=0.6, validation=0.2, test=0.2, salt=1))
    assert ids(development_source(dataset, plan)) == dataset.index.id[plan.development].tolist()
    assert ids(sealed_source(dataset, plan)) == dataset.index.id[plan.test].tolist()
    assert len(OPENED) == 6


def test_a_site_is_held_out_whole_and_a_year_divides_the_patients(made):
    dataset = made(official=False)
    told = dataset.index.attributes
    assert partition(dataset, BY_SITE).left_out == ("site 0", "site 1", "site 2")
    for number, part in enumerate(partition(dataset, BY_SITE).parts):
        assert set(told["site"][part.held_out]) == {f"site {number}"}
        assert f"site {number}" not in set(told["site"][part.train]) | set(told["site"][part.validation])
    plan = partition(dataset, BY_YEAR)
    years, (part,) = told["year"].astype(int)[plan.development], plan.parts
    assert years[part.train].max() == 2009
    assert (years[part.validation].min(), years[part.validation].max()) == (2010, 2014)
    assert told["year"].astype(int)[plan.test].min() == 2015
    with pytest.raises(InputError, match="names the attribute 'hospital', but the attributes of d are: site, year"):
        partition(dataset, LeaveOneOut("hospital"))


def test_plans_without_cases_are_named(made):
    with pytest.raises(InputError, match="data.splits is null, but d has no official splits"):
        partition(made(official=False), None)
    with pytest.raises(InputError, match="leaves d without a training case"):
        partition(made(counts=(0, 60, 60)), None)
    with pytest.raises(InputError, match=r"fold \d of 5 is empty"):
        partition(made(official=False, counts=(2, 2, 2), patients=3), Folds(count=5))
    with pytest.raises(InputError, match=r"fold \d of 2 is empty"):
        partition(made(official=False, counts=(2, 2, 2), patients=6), Folds(count=2, hold_back=0.999))


def test_a_published_test_set_stays_and_a_share_of_the_other_patients_chooses(made):
    dataset = made()
    shares = {}
    for salt in (0, 1):
        plan = partition(dataset, OfficialTest(validation=0.25, salt=salt))
        (part,) = plan.parts
        assert plan.test.tolist() == list(range(240, 300))
        assert sorted([*part.train, *part.validation]) == plan.development.tolist() == list(range(240))
        assert not len(part.held_out)
        groups = dataset.index.group
        assert not set(groups[part.train]) & set(groups[part.validation])
        assert 0.1 < len(part.validation) / 240 < 0.4
        shares[salt] = part.validation.tolist()
        # Who is added later moves nobody: the draw depends on the patient's name alone.
        np.testing.assert_array_equal(np.isin(np.arange(240), part.validation), held_back(groups[:240], 0.25, salt))
    assert shares[0] != shares[1]
    OPENED.clear()
    ids(development_source(dataset, plan))
    assert set(OPENED) == {"train", "validation"}


def test_without_a_published_test_set_or_with_its_patients_elsewhere_there_is_no_official_test(made):
    with pytest.raises(
        InputError, match="data.splits is OfficialTest, but d has no published test set; use HashedSplit"
    ):
        partition(made(official=False), OfficialTest())
    dataset = made()
    dataset.index.group[0] = dataset.index.group[299]
    with pytest.raises(InputError, match="d: a patient of the published test set has cases outside of it too"):
        partition(dataset, OfficialTest())
