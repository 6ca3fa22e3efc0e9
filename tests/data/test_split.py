import numpy as np
import pytest
from scipy import stats

from medjax.data.split import (
    ByTime,
    Folds,
    HashedSplit,
    LeaveOneOut,
    OfficialTest,
    assign_by_time,
    assign_folds,
    assign_left_out,
    assign_splits,
    balance_table,
    choose_salt,
    held_back,
    imbalance,
    moments,
    split_fingerprint,
    uniform,
)
from medjax.errors import InputError

GROUPS = [f"patient-{i}" for i in range(4000)]


def test_draws_are_uniform_and_independent_between_purposes_and_salts():
    a = uniform(0, "split", GROUPS)
    b = uniform(0, "fold", GROUPS)
    c = uniform(1, "split", GROUPS)
    assert stats.kstest(a, "uniform").pvalue > 0.01
    assert max(abs(np.corrcoef(a, b)[0, 1]), abs(np.corrcoef(a, c)[0, 1])) < 0.05
    assert ((a >= 0) & (a < 1)).all()


def test_draws_are_frozen():
    """Frozen salts depend on these numbers, so they may never change; the digests are those of `b2sum -l 64`."""
    assert uniform(0, "split", ["patient-0"]).tolist() == [int("d6f13933fc24be92", 16) // 2**11 / 2**53]
    assert uniform(7, "fold", ["Müller"]).tolist() == [int("aa47f3ed2a1c494a", 16) // 2**11 / 2**53]


def test_adding_patients_moves_nobody_and_cases_of_a_patient_stay_together():
    rng = np.random.default_rng(0)
    groups = np.array(GROUPS)[rng.integers(0, 500, 2000)]
    for assign, spec in ((assign_splits, HashedSplit()), (assign_folds, Folds())):
        few = assign(groups[:1000], spec)
        many = assign(groups, spec)
        np.testing.assert_array_equal(many[:1000], few)
        order = rng.permutation(2000)
        np.testing.assert_array_equal(assign(groups[order], spec), many[order])
        assert all(len(set(many[groups == group].tolist())) == 1 for group in np.unique(groups))


def test_shares_are_as_planned():
    parts, counts = np.unique(assign_splits(GROUPS, HashedSplit(0.5, 0.2, 0.3)), return_counts=True)
    np.testing.assert_allclose(dict(zip(parts.tolist(), counts / 4000, strict=True))["train"], 0.5, atol=0.03)
    np.testing.assert_allclose(np.bincount(assign_folds(GROUPS, Folds(8))) / 4000, 1 / 8, atol=0.02)
    assert set(assign_splits(GROUPS, HashedSplit(0.9, 0.1, 0.0)).tolist()) == {"train", "validation"}
    assert set(assign_splits(GROUPS, HashedSplit(0.9, 0.0, 0.1)).tolist()) == {"train", "test"}


def test_held_back_patients_are_independent_of_the_fold():
    folds, held = assign_folds(GROUPS, Folds(5)), held_back(GROUPS, 0.2, 0)
    np.testing.assert_allclose([held[folds == fold].mean() for fold in range(5)], 0.2, atol=0.05)
    assert not held_back(GROUPS, 0.0, 0).any()


@pytest.mark.parametrize("spec", [HashedSplit(), Folds(4)])
def test_the_chosen_salt_beats_most_and_is_reproducible(spec):
    rng = np.random.default_rng(1)
    groups, strata = GROUPS[:120], rng.choice(3, 120, p=[0.6, 0.3, 0.1])
    salt, best = choose_salt(groups, strata, spec, candidates=200)
    assert (salt, best) == choose_salt(groups, strata, spec, candidates=200)
    assign = assign_folds if isinstance(spec, Folds) else assign_splits
    others = []
    for other in range(200):
        others.append(imbalance(assign(groups, type(spec)(**{**vars(spec), "salt": other})), strata))
    assert best == others[salt]
    assert np.mean(np.array(others) < best) <= 0.02


def test_imbalance_by_hand():
    # overall 3 of 6 are sick; part a has 2 of 3, part b 1 of 3: both are off by 1/6
    assert imbalance(["a", "a", "a", "b", "b", "b"], [1, 1, 0, 1, 0, 0]) == pytest.approx(1 / 6)
    assert balance_table(["a", "a", "b"], [1, 0, 1]) == {"a": {"0": 1, "1": 1}, "b": {"0": 0, "1": 1}}


def test_impossible_plans_are_refused():
    for wrong in ((0.5, 0.5, 0.5), (1.2, -0.1, -0.1)):
        with pytest.raises(InputError, match="sum to 1"):
            HashedSplit(*wrong)
    with pytest.raises(InputError, match="at least 2"):
        Folds(1)
    with pytest.raises(InputError, match="hold_back"):
        Folds(5, hold_back=1.0)
    with pytest.raises(InputError, match="too few"):
        choose_salt(["one", "two"], [0, 1], Folds(5), candidates=5)
    with pytest.raises(InputError, match="one of each"):
        imbalance([0, 1], [0])


def test_the_fingerprint_of_a_split_ignores_the_order_of_cases_only():
    base = split_fingerprint(["a", "b", "c"], ["train", "test", "test"])
    assert split_fingerprint(["c", "a", "b"], ["test", "train", "test"]) == base
    assert split_fingerprint(["a", "b", "c"], ["train", "train", "test"]) != base
    assert split_fingerprint(["a", "b", "d"], ["train", "test", "test"]) != base
    assert split_fingerprint(np.array(["a"]), np.array([0])) == split_fingerprint(["a"], [0])


def test_a_split_by_time_puts_a_patient_where_the_first_visit_lies():
    groups = np.array(["a", "a", "b", "c", "c", "d"])
    dates = np.array(["2019-05-01", "2022-01-01", "2020-01-01", "2021-06-30", "2020-12-31T23:59", "2021-01-01"])
    spec = ByTime("visit", validation="2020-01-01", test="2021-01-01")
    expected = ["train", "train", "validation", "validation", "validation", "test"]
    assert assign_by_time(groups, dates, spec).tolist() == expected
    years = np.array(["2019", "2022", "2020", "2021.5", "2020.9", "2021"])
    assert assign_by_time(groups, years, ByTime("year", validation=2020, test=2021)).tolist() == expected
    for wrong, message in (("soon", "neither dates"), ("", "1 cases have no 'visit'"), ("2020", "neither dates"),
                           ("45123", "'45123' may be a day number of Excel, 2023-07-16"),
                           ("1/2/2023", "in '1/2/2023' nobody can tell day from month")):  # fmt: skip
        with pytest.raises(InputError, match=message):
            assign_by_time(groups, np.array([wrong, *dates[1:]]), spec)
    with pytest.raises(InputError, match="not before test"):
        ByTime("visit", validation="2021-01-01", test="2020-01-01")


def test_moments_order_dates_of_every_year_and_read_numbers_as_they_are():
    assert moments(["1969-12-31", "1970-01-02", "2024-02-29"], "x").tolist() == [-1.0, 1.0, 19782.0]
    assert moments(["2019", "-3.5"], "x").tolist() == [2019.0, -3.5]


def test_each_fold_leaves_one_value_out():
    groups, sites = np.array(["a", "a", "b", "c"]), np.array(["north", "north", "south", "east"])
    fold, names = assign_left_out(groups, sites, LeaveOneOut("site"))
    assert (fold.tolist(), names) == ([1, 1, 2, 0], ["east", "north", "south"])
    for other, message in (
        (["north", "south", "south", "east"], "1 patients have cases with several values"),
        (["north", "north", "", "east"], "1 cases have no 'site'"),
        (["north"] * 4, "nothing to leave out"),
    ):
        with pytest.raises(InputError, match=message):
            assign_left_out(groups, np.array(other), LeaveOneOut("site"))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_official_test_leaves_training_patients(share):
    with pytest.raises(InputError, match=f"validation is {share}"):
        OfficialTest(validation=share)
