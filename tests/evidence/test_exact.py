"""Exact intervals: against scipy and sums of probabilities, the level they keep, and where they are refused."""

import numpy as np
import pytest
from scipy import stats

from medjax.errors import InputError
from medjax.evidence import exact

COUNTS = [(0, 1), (1, 1), (0, 20), (20, 20), (1, 29), (81, 263), (15, 148), (499, 1000), (3, 100_000)]


@pytest.mark.parametrize(("successes", "total"), COUNTS)
@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_clopper_pearson_agrees_with_scipy(successes, total, level):
    expected = stats.binomtest(successes, total).proportion_ci(level, method="exact")
    np.testing.assert_allclose(
        exact.clopper_pearson(successes, total, level), (expected.low, expected.high), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize(("successes", "total"), COUNTS)
def test_mid_p_limits_leave_half_a_tail_and_half_the_observed_count(successes, total):
    low, high = exact.mid_p(successes, total)
    if successes:
        assert stats.binom.sf(successes, total, low) + stats.binom.pmf(successes, total, low) / 2 == pytest.approx(
            0.025, rel=1e-6
        )
    if successes < total:
        assert stats.binom.cdf(successes, total, high) - stats.binom.pmf(successes, total, high) / 2 == pytest.approx(
            0.025, rel=1e-6
        )
    assert (low == 0) == (successes == 0)
    assert (high == 1) == (successes == total)


@pytest.mark.parametrize("total", [5, 20, 61])
def test_the_level_is_kept_everywhere_by_clopper_pearson_and_on_average_by_mid_p(total):
    shares = np.linspace(0.005, 0.995, 199)
    covered = {}
    for method in (exact.clopper_pearson, exact.mid_p):
        ends = np.array([method(successes, total) for successes in range(total + 1)])
        inside = (ends[:, :1] <= shares) & (shares <= ends[:, 1:])
        chance = stats.binom.pmf(np.arange(total + 1)[:, None], total, shares)
        covered[method.__name__] = (inside * chance).sum(0)
    assert covered["clopper_pearson"].min() >= 0.95
    assert 0.95 < covered["mid_p"].mean() < covered["clopper_pearson"].mean()
    assert covered["mid_p"].min() < 0.95


@pytest.mark.parametrize("method", [exact.clopper_pearson, exact.mid_p])
def test_effective_counts_lie_between_their_neighbours_and_failures_mirror_successes(method):
    found = np.array([method(x, 2 * x) for x in (10, 10.4, 11)])
    assert np.all(np.diff(found[:, 0]) > 0)
    assert np.all(np.diff(found[:, 1]) < 0)
    low, high = method(3.5, 17.25)
    np.testing.assert_allclose(method(17.25 - 3.5, 17.25), (1 - high, 1 - low), atol=1e-12)


def test_a_share_of_cases_has_the_interval_of_its_counts():
    success = np.repeat([1, 0], [81, 182])
    found = exact.exact_proportion(success, np.arange(263))
    assert (found.low, found.high) == exact.clopper_pearson(81, 263)
    assert (found.estimate, found.method, found.warning) == (81 / 263, "Clopper-Pearson", "")
    shorter = exact.exact_proportion(success.astype(bool), np.arange(263), mid=True)
    assert found.low < shorter.low < shorter.high < found.high
    assert shorter.method == "exact, mid-P"
    assert "only 2 of 30 patients" in exact.exact_proportion(np.arange(30) < 2, np.arange(30), mid=True).warning


def test_it_is_refused_without_independent_cases_and_with_impossible_counts():
    clustered = exact.exact_proportion(np.array([1, 0, 1]), np.array([0, 0, 1]))
    assert "several cases a patient" in clustered.reason
    assert np.isnan(clustered.low)
    assert clustered.estimate == pytest.approx(2 / 3)
    assert exact.exact_proportion(np.zeros(0), np.zeros(0, np.int64)).reason == "no case in the denominator"
    for counts in ((5, 4), (-1, 4), (0, 0), (float("nan"), 4)):
        for method in (exact.clopper_pearson, exact.mid_p):
            with pytest.raises(InputError, match="exact interval"):
                method(*counts)
