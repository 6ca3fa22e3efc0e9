"""The interval of a mean of squares, and the factor on a jackknife's variance."""

import numpy as np
import pytest
from scipy import stats

from medjax.evidence import resampling


def squares(seed: int, size: int = 80) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(6, size) ** 2


@pytest.mark.parametrize("seed", range(3))
def test_skewed_mean_is_students_on_the_log_scale(seed):
    values = squares(seed)
    mean = values.mean()
    relative = (values - mean) / (80 * mean)
    variance = values.var(ddof=1) / 80 / mean**2 * (1 + 12 / 80)
    half = stats.t.ppf(0.975, max(2 * variance**2 / (relative**4).sum(), 3)) * np.sqrt(variance)
    found = resampling.skewed_mean(values, np.arange(80))
    np.testing.assert_allclose(
        [found.low, found.high], np.exp(np.log(mean) + variance + np.array([-half, half])), rtol=1e-12
    )
    assert found.estimate == pytest.approx(mean)


def test_skewed_mean_counts_patients_and_ignores_units():
    values = squares(4)
    alone = resampling.skewed_mean(values, np.arange(80))
    often = resampling.skewed_mean(np.repeat(values, 5), np.repeat(np.arange(80), 5))
    scaled = resampling.skewed_mean(1e6 * values, np.arange(80))
    np.testing.assert_allclose([often.low, often.high], [alone.low, alone.high], rtol=1e-9)
    np.testing.assert_allclose([scaled.low, scaled.high], [1e6 * alone.low, 1e6 * alone.high], rtol=1e-9)
    # On average the interval is longer upwards: large errors are rarer than small ones.
    assert alone.high - alone.estimate > alone.estimate - alone.low > 0


def test_skewed_mean_with_one_huge_error_warns_and_stays_finite():
    values = np.append(np.ones(30), 1e8)
    found = resampling.skewed_mean(values, np.arange(31))
    assert "one patient carries" in found.warning
    assert 0 < found.low <= found.estimate < found.high < np.inf
    for values in (np.zeros(20), np.ones(20), np.ones(2)):
        assert resampling.skewed_mean(values, np.arange(len(values))).reason


@pytest.mark.parametrize("value", [0.09, 1 / 3, 0.7**2])
def test_errors_that_are_all_equal_have_no_interval_even_where_rounding_makes_them_differ(value):
    values = np.full(37, value) + np.linspace(-1, 1, 37) * 1e-17
    found = resampling.studentised(resampling.mean_on_log_scale(values), np.arange(37), scale="log", resamples=50)
    assert found.reason == "no variation between patients to make an interval from"
    assert found.estimate == pytest.approx(value)
