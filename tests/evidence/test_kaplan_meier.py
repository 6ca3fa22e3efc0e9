"""Curves of groups with their bands, follow-up and the log-rank test: against lifelines, and where little is known."""

import lifelines
import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test
from lifelines.utils import median_survival_times
from scipy import stats

from medjax.evidence import kaplan_meier


def cases(seed: int = 0, size: int = 70) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    group = generator.integers(0, 3, size)
    time = np.ceil(generator.exponential(6 + 3 * group))
    return time, generator.random(size) < 0.6, group


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_curve_and_band_are_those_of_lifelines(level):
    time, event, _ = cases()
    fitted = lifelines.KaplanMeierFitter(alpha=1 - level).fit(time, event)
    found = kaplan_meier.with_band(time, event, level)
    assert found["times"] == [0.0, *np.unique(time[event])]
    np.testing.assert_allclose(found["survival"], fitted.survival_function_at_times(found["times"]), rtol=1e-9)
    band = fitted.confidence_interval_.loc[found["times"][1:]].to_numpy()
    inside = np.array(found["survival"][1:]) > 0
    np.testing.assert_allclose(np.array(found["low"][1:])[inside], band[inside, 0], rtol=1e-6)
    np.testing.assert_allclose(np.array(found["high"][1:])[inside], band[inside, 1], rtol=1e-6)
    assert (found["low"][0], found["high"][0]) == (1.0, 1.0)
    for horizon in (0.5, 3.0, 7.3):
        place = np.searchsorted(found["times"], horizon, side="right") - 1
        expected = found["survival"][place], found["low"][place], found["high"][place]
        assert kaplan_meier.at_horizon(time, event, horizon, level) == expected


def test_a_curve_that_comes_down_to_zero_has_no_band_there_and_stays_there():
    time, event = np.array([1.0, 2, 3]), np.array([1, 1, 1])
    found = kaplan_meier.with_band(time, event)
    assert (found["survival"][-1], found["low"][-1], found["high"][-1]) == (0.0, 0.0, 0.0)
    assert kaplan_meier.at_horizon(time, event, 9.0) == (0.0, 0.0, 0.0)


def test_nobody_watched_so_long_and_no_event():
    time, event = np.array([1.0, 2, 3]), np.array([1, 1, 0])
    assert np.isnan(kaplan_meier.at_horizon(time, event, 3.1)).all()
    assert np.isfinite(kaplan_meier.at_horizon(time, event, 3.0)).all()
    assert kaplan_meier.with_band(time, np.zeros(3)) == {
        "times": [0.0],
        "survival": [1.0],
        "low": [1.0],
        "high": [1.0],
    }
    assert kaplan_meier.at_horizon(time, np.zeros(3), 2.0) == (1.0, 1.0, 1.0)


def test_of_a_cause_the_curve_is_what_the_incidence_leaves_and_its_variance_that_of_lifelines():
    time, event, _ = cases(6, 150)
    time = time + np.random.default_rng(1).random(150) / 2  # lifelines moves tied times by chance
    event = event * np.random.default_rng(2).integers(1, 3, 150)
    found = kaplan_meier.with_band(time, event, 0.9, cause=2)
    fitted = lifelines.AalenJohansenFitter().fit(time, event, event_of_interest=2)
    survival = np.array(found["survival"][1:])
    np.testing.assert_allclose(1 - survival, fitted.cumulative_density_.loc[found["times"][1:]].to_numpy()[:, 0])
    half = np.log(np.log(found["low"][1:]) / np.log(survival)) / stats.norm.ppf(0.95)
    variance = (half * survival * np.log(survival)) ** 2
    np.testing.assert_allclose(variance, fitted.variance_.loc[found["times"][1:]].to_numpy().ravel(), rtol=1e-6)
    np.testing.assert_allclose(
        np.log(np.log(found["high"][1:]) / np.log(survival)), -half * stats.norm.ppf(0.95), rtol=1e-6
    )
    place = np.searchsorted(found["times"], 5.0, side="right") - 1
    assert kaplan_meier.at_horizon(time, event, 5.0, 0.9, 2) == tuple(found[key][place] for key in list(found)[1:])


def test_one_cause_alone_has_the_curve_and_band_of_any_event():
    time, event, _ = cases(5)
    plain, alone = kaplan_meier.with_band(time, event), kaplan_meier.with_band(time, event.astype(int), cause=1)
    for key, values in plain.items():
        np.testing.assert_allclose(alone[key], values, rtol=1e-9, atol=1e-12)


def test_number_at_risk_by_hand():
    found = kaplan_meier.number_at_risk(np.array([1.0, 2, 2, 5]), np.array([0.0, 1, 2, 2.5, 5, 6]))
    assert found.tolist() == [4, 4, 3, 1, 1, 0]


def test_median_follow_up_is_that_of_the_reverse_estimate():
    # lifelines takes a tied event for still at risk of censoring: hence times without ties.
    for seed in range(3):
        time, event, _ = cases(seed)
        time = time + np.random.default_rng(seed).random(len(time)) / 2
        reverse = lifelines.KaplanMeierFitter().fit(time, ~event)
        assert kaplan_meier.median_follow_up(time, event) == pytest.approx(
            median_survival_times(reverse.survival_function_)
        )
    assert np.isnan(kaplan_meier.median_follow_up(time, np.ones(70)))
    assert kaplan_meier.median_follow_up(np.array([3.0, 4, 8]), np.zeros(3)) == 4.0


@pytest.mark.parametrize("groups", [2, 3])
def test_log_rank_is_that_of_lifelines(groups):
    time, event, group = cases(4)
    group = np.minimum(group, groups - 1)
    expected = multivariate_logrank_test(time, group, event)
    statistic, degrees, p_value = kaplan_meier.log_rank(time, event, group)
    assert degrees == groups - 1
    assert statistic == pytest.approx(expected.test_statistic, rel=1e-6)
    assert p_value == pytest.approx(expected.p_value, rel=1e-6)
    assert kaplan_meier.log_rank(time, event, 7 - group)[0] == pytest.approx(statistic)


def test_log_rank_without_two_groups_or_an_event_is_undefined():
    time, event, group = cases()
    for found in (kaplan_meier.log_rank(time, event, group * 0), kaplan_meier.log_rank(time, event * 0, group)):
        assert np.isnan(found[0])
        assert np.isnan(found[2])
    statistic, _, p_value = kaplan_meier.log_rank(np.ones(4), np.ones(4), np.array([0, 0, 1, 1]))  # all at one time
    assert (statistic, p_value) == (0.0, 1.0)
