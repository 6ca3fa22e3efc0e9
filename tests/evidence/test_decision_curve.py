"""Decision curves: net benefit by hand and by another way, the kink where treating all stops to help, and the band."""

import itertools
import json

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import binom

from medjax.errors import InputError
from medjax.evidence import decision, decision_shares, intervals, simultaneous
from medjax.evidence.decision_curve import _ends as decision_ends
from medjax.evidence.decision_curve import decision_curve, decision_curves, declared_range
from medjax.evidence.predictions import Predictions

GRID = declared_range(0.05, 0.6, 0.05)


def drawn(seed: int, patients: int, cases: int = 1, intercept: float = -1.0) -> tuple[np.ndarray, ...]:
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), cases)
    x = generator.normal(size=patients)[patient] + 0.5 * generator.normal(size=len(patient))
    probability = expit(1.5 * x + intercept)
    return probability, (generator.random(len(patient)) < probability).astype(np.int64), patient


def test_net_benefit_by_hand():
    # At .2 (odds .25) three are treated: TP 1, FP 2 of 5; all: TP 2, FP 3. At .5 (odds 1): TP 1, FP 0.
    probability, target = np.array([0.9, 0.3, 0.25, 0.1, 0.1]), np.array([1, 0, 0, 1, 0])
    found = decision_curve(probability, target, np.arange(5), thresholds=np.array([0.2, 0.5]))
    assert found["model"]["estimate"] == pytest.approx([0.2 - 0.4 * 0.25, 0.2])
    assert found["treat_all"]["estimate"] == pytest.approx([0.4 - 0.6 * 0.25, 0.4 - 0.6])
    assert found["difference"]["estimate"] == pytest.approx([0.1 - 0.25, 0.2])
    # TN 1 x .25 - FN 1 of 5 at .2, in units of harm avoided: (TN - FN / odds) a hundred.
    assert found["avoided_per_100"]["estimate"] == pytest.approx([100 * (0.2 - 0.2 / 0.25), 100 * (0.6 - 0.2)])


@pytest.mark.parametrize("cases", [1, 4])
def test_curves_are_those_of_single_thresholds(cases):
    probability, target, patient = drawn(0, 200, cases)
    probability = np.round(probability, 2)  # ties with the thresholds
    found = decision_curve(probability, target, patient, thresholds=GRID)
    for k, t in enumerate(GRID):
        values = decision.net_benefit(probability, target, t)
        model, everyone = values.mean(0)
        assert found["model"]["estimate"][k] == pytest.approx(model)
        assert found["treat_all"]["estimate"][k] == pytest.approx(everyone)
        assert found["difference"]["estimate"][k] == pytest.approx(model - max(everyone, 0.0))
    # Errors by patient: the same as those of per-case values summed by patient.
    shares = decision_shares.shares(probability, target.astype(bool), patient, GRID)
    errors = np.sqrt(np.diag(shares.covariance)).reshape(4, -1)
    hits = (target == 1)[:, None] & (probability[:, None] >= GRID)
    sums = intervals.patient_sums(hits - hits.mean(0), patient)
    expected = np.sqrt(200 / 199 * (sums**2).sum(0)) / len(target)
    np.testing.assert_allclose(errors[decision_shares.TP], expected)
    for k in range(len(GRID)):
        total = intervals.effective_total(hits[:, k], patient, 0.95)
        shrink = (intervals.normal_quantile(0.95) / intervals.t_quantile(0.95, 199)) ** 2 if cases > 1 else 1.0
        assert shares.total[decision_shares.TP, k] * shrink == pytest.approx(total)


def test_the_better_of_two_is_one_of_them_or_both():
    probability, target, patient = drawn(1, 400)
    found = decision_curve(probability, target, patient)
    to, grid = np.array(found["difference"]["to"]), np.array(found["thresholds"])
    prevalence = target.mean()
    either = grid[to == "either"]
    assert either.min() < prevalence < either.max()
    assert 0.05 < either.max() - either.min() < 0.25  # a 99.9 % interval of the prevalence
    assert np.all(grid[to == "treat_all"] < either.min())
    assert np.all(grid[to == "treat_none"] > either.max())
    band = {name: np.array(values) for name, values in found["difference"].items() if isinstance(values, list)}
    order = ["band_low", "low", "estimate", "high", "band_high"]
    for below, above in itertools.pairwise(order):
        assert np.all(band[below].astype(float) <= band[above].astype(float) + 1e-12), (below, above)
    assert 0.95 < found["difference"]["level_of_each"] < 1


def test_where_either_may_be_the_better_one_the_ends_of_both_bound_the_difference():
    probability, target, patient = drawn(1, 400)
    grid = declared_range()
    found = decision_curve(probability, target, patient)["difference"]
    shares = decision_shares.shares(probability, target.astype(bool), patient, grid)
    ends = decision_ends(shares, grid / (1 - grid), np.full(len(grid), found["level_of_each"]))
    single = np.where(target.mean() > grid, 0, 1)  # were the better one known
    for name, both in zip(("band_low", "band_high"), ends, strict=True):
        alone = both[single, np.arange(len(grid))]
        expected = np.where(np.array(found["to"]) == "either", both.min(0), alone)
        np.testing.assert_allclose(found[name], expected, atol=1e-12)
        assert np.any(expected < alone)  # it makes a difference here


def test_what_is_useful_is_where_the_band_lies_above_nothing():
    found = decision_curve(*drawn(2, 1000))
    grid, low = np.array(found["thresholds"]), np.array(found["difference"]["band_low"])
    inside = np.zeros(len(grid), bool)
    for a, b in found["useful"]:
        inside |= (grid >= a) & (grid <= b)
    np.testing.assert_array_equal(inside, low > 0)
    assert inside.any()
    assert found["summary"].startswith("useful between 0.")
    generator = np.random.default_rng(0)
    luck = decision_curve(generator.random(300), generator.integers(0, 2, 300), np.arange(300))
    assert luck["useful"] == []
    assert luck["summary"].startswith("none shown")


def test_net_benefit_of_one_threshold_needs_no_adjustment():
    probability, target, patient = drawn(3, 300)
    found = decision_curve(probability, target, patient, thresholds=np.array([0.6]))["difference"]
    assert found["level_of_each"] == 0.95
    assert found["band_low"] == pytest.approx(found["low"])


def test_intervals_are_those_of_a_patient_bootstrap():
    """Many cases, five a patient: MOVER of exact limits and the bootstrap of whole patients agree."""
    probability, target, patient = drawn(4, 2000, 5)
    found = decision_curve(probability, target, patient, thresholds=np.array([0.1, 0.6]))
    generator, values = np.random.default_rng(0), []
    per_case = np.stack([decision.net_benefit(probability, target, t) for t in (0.1, 0.6)])
    best = np.stack([per_case[0, :, 0] - per_case[0, :, 1], per_case[1, :, 0]], -1)
    sums = intervals.patient_sums(best, patient)
    values = np.array([sums[generator.integers(0, 2000, 2000)].mean(0) / 5 for _ in range(3000)])
    for k in range(2):
        low, high = np.quantile(values[:, k], [0.025, 0.975])
        width = high - low
        assert found["difference"]["low"][k] == pytest.approx(low, abs=0.08 * width)
        assert found["difference"]["high"][k] == pytest.approx(high, abs=0.08 * width)


def test_copies_of_cases_add_nothing_and_their_order_neither():
    probability, target, patient = drawn(5, 150)
    once = decision_curve(probability, target, patient, thresholds=GRID)
    copied = decision_curve(np.repeat(probability, 3), np.repeat(target, 3), np.repeat(patient, 3), thresholds=GRID)
    for name in ("band_low", "band_high"):
        width = np.array(once["difference"]["band_high"]) - np.array(once["difference"]["band_low"])
        assert np.all(np.abs(np.array(copied["difference"][name]) - np.array(once["difference"][name])) < 0.1 * width)
    order = np.random.default_rng(0).permutation(150)
    again = decision_curve(probability[order], target[order], patient[order], thresholds=GRID)
    np.testing.assert_allclose(again["difference"]["band_low"], once["difference"]["band_low"], atol=1e-12)


def test_limits_have_the_mid_p_value_of_the_tail():
    found = decision_shares.shares(np.linspace(0.01, 0.9, 50), np.arange(50) % 2 == 0, np.arange(50), GRID)
    for successes in (0, 1, 7, 49, 50):
        low, high = (float(x) for x in decision_shares.limits(successes / 50, 50.0, 0.99, found))
        mass = binom.pmf(successes, 50, high) / 2 if high < 1 else 0.005
        assert binom.cdf(successes - 1, 50, high) + mass == pytest.approx(0.005, rel=0.02)
        mass = binom.pmf(successes, 50, low) / 2 if low > 0 else 0.005
        assert binom.sf(successes, 50, low) + mass == pytest.approx(0.005, rel=0.02)
    assert decision_shares.limits(0.0, 50.0, 0.99, found)[0] == 0
    assert decision_shares.limits(1.0, 50.0, 0.99, found)[1] == 1


def test_joint_levels_of_independent_and_of_identical_errors():
    assert simultaneous.level_each(np.eye(5), 0.95, draws=200_000) == pytest.approx(0.95 ** (1 / 5), abs=0.001)
    assert simultaneous.level_each(np.ones((5, 5)), 0.95) == 0.95
    assert simultaneous.level_each(np.diag([1.0, 4.0, 0.0]), 0.9, draws=200_000) == pytest.approx(
        0.9 ** (1 / 3), abs=0.002
    )
    assert simultaneous.level_each(np.zeros((0, 0)), 0.95) == 0.95


def test_differences_of_intervals_keep_their_asymmetry_and_know_a_correlation():
    low, high = simultaneous.difference_ends((0.9, 0.8, 0.93), (0.5, 0.4, 0.6))
    assert (low, high) == pytest.approx((0.4 - np.hypot(0.1, 0.1), 0.4 + np.hypot(0.03, 0.1)))
    same = simultaneous.difference_ends((0.9, 0.8, 1.0), (0.5, 0.4, 0.6), 1.0)
    assert same == pytest.approx((0.4, 0.4))


@pytest.mark.parametrize(("cases", "intercept"), [(1, -2.0), (5, 0.0)])
def test_the_band_holds_the_whole_curve(cases, intercept):
    """Short; benchmarks/subgroups.py is the long one. With 50 repetitions .95 has a standard error of .031."""
    probability, _, _ = drawn(0, 200_000, 1, intercept)
    said = probability[:, None] >= GRID
    odds = GRID / (1 - GRID)
    truth = (said * (probability[:, None] - (1 - probability[:, None]) * odds)).mean(0)
    prevalence = probability.mean()
    truth -= np.maximum((prevalence - GRID) / (1 - GRID), 0)
    held = 0
    for seed in range(50):
        found = decision_curve(*drawn(seed + 1, 150, cases, intercept), thresholds=GRID, resamples=2000)["difference"]
        held += np.all((np.array(found["band_low"]) <= truth) & (truth <= np.array(found["band_high"])))
    assert held >= 42


def test_every_class_and_label_against_the_rest():
    generator = np.random.default_rng(6)
    values = generator.dirichlet([1, 1, 1], 90)

    def made(kind: str, target: np.ndarray, values: np.ndarray, classes: tuple[str, ...]) -> Predictions:
        size = len(target)
        return Predictions(
            id=np.arange(size).astype(str), group=np.arange(size).astype(str), target=target, values=values[None],
            replicate=np.zeros(1, int), seed=np.zeros(1, int), fold=np.full(size, -1), kind=kind, classes=classes,
        )  # fmt: skip

    target = generator.integers(-1, 3, 90)
    found = decision_curves(made("probability", target, values, ("a", "b", "c")), thresholds=GRID)
    assert list(found) == ["a", "b", "c"]
    known = target >= 0
    alone = decision_curve(values[known, 1], target[known] == 1, np.arange(known.sum()), thresholds=GRID)
    assert found["b"] == alone
    two = values[:, :2] / values[:, :2].sum(-1, keepdims=True)
    assert list(decision_curves(made("probability", target % 2, two, ("no", "yes")), positive=1, thresholds=GRID)) == [
        "yes"
    ]
    answers = generator.choice([0.0, 1.0, np.nan], (90, 3))
    answers[:, 2] = np.nan
    labels = decision_curves(made("labels", answers, values, ("a", "b", "c")), thresholds=GRID)
    assert labels["a"]["cases"] == np.isfinite(answers[:, 0]).sum()
    assert labels["c"]["reason"] == "no case is known"
    json.dumps(labels, allow_nan=False)
    assert decision_curves(made("value", values[:, 0], values[:, :1], ())) == {}


def test_limits_of_the_input_are_explained():
    for target, why in ((np.zeros(9), "no case is positive"), (np.ones(9), "every case is positive")):
        found = decision_curve(np.linspace(0, 1, 9), target, np.arange(9))
        assert found["reason"] == why
        assert found["summary"] == f"not estimable: {why}"
        json.dumps(found, allow_nan=False)
    alone = decision_curve(np.linspace(0, 1, 9), np.arange(9) % 2, np.zeros(9, int))
    assert alone["reason"] == "one patient only"
    same = decision_curve(np.full(40, 0.3), np.arange(40) % 2, np.arange(40))
    assert np.all(np.isfinite(same["difference"]["band_low"]))
    for wrong in ([0.0, 0.5], [0.5, 1.0], [0.5, 0.4], []):
        with pytest.raises(InputError, match="thresholds must increase"):
            decision_curve(np.linspace(0, 1, 9), np.arange(9) % 2, np.arange(9), thresholds=np.array(wrong))
    with pytest.raises(InputError, match="step > 0"):
        declared_range(0.5, 0.2)
    np.testing.assert_allclose(declared_range(), np.arange(1, 61) / 100)
