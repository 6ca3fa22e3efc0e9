"""Survival curves: computed by hand, against lifelines, with weights as repetition, and where little is known."""

from fractions import Fraction

import numpy as np
import pytest

from medjax.metrics import survival

# A censoring at the time of an event (1), two events at one time (3), the last case with its event.
TIME = np.array([1.0, 1, 2, 3, 3, 4, 5])
EVENT = np.array([1, 0, 1, 1, 1, 0, 1])


def cases(seed: int, size: int = 80, digits: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    time = np.round(generator.exponential(5, size), digits) + 1
    return time, generator.random(size) < 0.5, generator.integers(0, 4, (3, size))


def fractions(*values: str) -> list[float]:
    return [float(Fraction(value)) for value in values]


def test_curves_by_hand():
    times = np.array([0.5, 1, 1.5, 2, 3, 4, 4.5, 5, 9])
    found = survival.kaplan_meier(TIME, EVENT)
    expected = fractions("1", "6/7", "6/7", "24/35", "12/35", "12/35", "12/35", "0", "0")
    np.testing.assert_allclose(found.at(times), expected)
    hazard = fractions("0", "1/7", "1/7", "12/35", "59/70", "59/70", "59/70", "129/70", "129/70")
    np.testing.assert_allclose(survival.nelson_aalen(TIME, EVENT).at(times), hazard)
    remaining = survival.censoring_survival(TIME, EVENT)  # six are at risk of censoring at 1, two at 4
    np.testing.assert_allclose(
        remaining.at(times), fractions("1", "5/6", "5/6", "5/6", "5/6", *4 * ["5/12"]), rtol=1e-14
    )
    np.testing.assert_allclose(remaining.at(TIME, before=True), fractions("1", "1", *4 * ["5/6"], "5/12"))
    assert found.last == 5
    np.testing.assert_allclose(survival.restricted_mean(found, 4.0), float(Fraction(101, 35)))
    np.testing.assert_allclose(survival.restricted_mean(found, 2.5), 1 + 6 / 7 + 12 / 35)
    np.testing.assert_allclose(survival.restricted_mean(found, 8.0), survival.restricted_mean(found, 5.0))


def test_late_entry_by_hand():
    entry = np.array([0.0, 0, 0, 2, 0, 3, 0])  # who enters at an event time is not yet at risk
    found = survival.kaplan_meier(TIME, EVENT, entry=entry)
    expected = fractions("4/5", "8/15", "8/45", "8/45", "0")
    np.testing.assert_allclose(found.at(np.arange(1.0, 6.0)), expected, atol=1e-15)
    hazard = survival.nelson_aalen(TIME, EVENT, entry=entry).at(np.arange(1.0, 6.0))
    np.testing.assert_allclose(hazard, fractions("1/5", "8/15", "6/5", "6/5", "11/5"))
    with pytest.raises(ValueError, match="entry < time"):
        survival.kaplan_meier(TIME, EVENT, entry=TIME)


def test_a_risk_set_that_runs_empty_before_others_enter_is_empty_to_rounding():
    time, entry = np.array([1.0, 2.0, 5.0, 6.0]), np.array([0.0, 0.0, 3.0, 3.0])
    weights = np.array([0.1, 0.2, 0.3, 0.7])
    found = survival.kaplan_meier(time, np.array([1, 1, 0, 1]), weights, entry=entry)
    np.testing.assert_array_equal(found.at(np.array([2.0, 5.0, 6.0])), 0.0)


@pytest.mark.parametrize("curve", [survival.kaplan_meier, survival.nelson_aalen, survival.censoring_survival])
def test_weights_are_repeated_cases_and_rows_are_resamples(curve):
    time, event, weights = cases(0)
    entry = time - 1 - np.random.default_rng(1).random(80) * 2
    grid = np.arange(0.0, 25.0, 0.5)
    for late in (None, entry):
        together = curve(time, event, weights, entry=late)
        for row, weight in enumerate(weights):
            repeated = [None if one is None else np.repeat(one, weight) for one in (time, event, late)]
            alone = curve(*repeated[:2], entry=repeated[2])
            np.testing.assert_allclose(together.at(grid)[row], alone.at(grid), rtol=1e-12, atol=1e-15)
            assert together.last[row] == alone.last
        reordered = curve(time[::-1], event[::-1], weights[:, ::-1], entry=None if late is None else late[::-1])
        np.testing.assert_allclose(reordered.at(grid), together.at(grid), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("seed", range(3))
def test_survival_times_remaining_uncensored_is_the_share_at_risk(seed):
    # The identity that makes inverse weights add up, with every kind of tie and with weights that are not whole.
    time, event, _ = cases(seed)
    weights = np.random.default_rng(seed).random((2, 80))
    times = np.unique(time)
    product = survival.kaplan_meier(time, event, weights).at(times)
    product = product * survival.censoring_survival(time, event, weights).at(times)
    beyond = (weights[:, None, :] * (time > times[:, None])).sum(-1)
    np.testing.assert_allclose(product, beyond / weights.sum(-1, keepdims=True), rtol=1e-10, atol=1e-14)


def test_without_censoring_it_is_the_share_that_lives_on():
    time, _, _ = cases(4)
    times = np.arange(0.0, 20.0)
    found = survival.kaplan_meier(time, np.ones(80)).at(times)
    np.testing.assert_allclose(found, (time[:, None] > times).mean(0), atol=1e-14)
    np.testing.assert_allclose(
        survival.restricted_mean(survival.kaplan_meier(time, np.ones(80)), 7.0), np.minimum(time, 7).mean()
    )
    np.testing.assert_array_equal(survival.inverse_censoring(time, np.ones(80)), 1.0)


def test_little_is_known():
    times = np.array([0.0, 2.0, 9.0])
    for curve, first in ((survival.kaplan_meier, 1.0), (survival.nelson_aalen, 0.0)):
        np.testing.assert_array_equal(curve(TIME, np.zeros(7)).at(times), first)  # no event
        nobody = curve(TIME, EVENT, np.zeros((2, 7)))
        assert np.isnan(nobody.at(times)).all()
        assert np.isneginf(nobody.last).all()
        assert np.isnan(curve(np.zeros(0), np.zeros(0)).at(times)).all()
    one = survival.kaplan_meier(np.array([2.0]), np.array([1]))
    np.testing.assert_array_equal(one.at(times), [1.0, 0.0, 0.0])
    assert survival.restricted_mean(one, 5.0) == 2.0
    np.testing.assert_array_equal(survival.inverse_censoring(TIME, EVENT, np.zeros((2, 7))), 0.0)
    censored_last = survival.kaplan_meier(TIME, np.array([1, 0, 1, 1, 1, 1, 0]))
    assert np.isfinite(survival.restricted_mean(censored_last, 5.0))
    assert np.isnan(survival.restricted_mean(censored_last, 5.1))  # nobody was watched so long
    assert np.isnan(survival.restricted_mean(nobody, 1.0)).all()


def test_predicted_curves_are_straight_lines_from_one():
    grid, curves = np.array([2.0, 4.0]), np.array([[0.8, 0.2], [1.0, 0.5]])
    found = survival.predicted_at(curves, grid, np.array([0.0, 1.0, 2.0, 3.0, 4.0, 7.0]))
    np.testing.assert_allclose(found, [[1, 0.9, 0.8, 0.5, 0.2, 0.2], [1, 1, 1, 0.75, 0.5, 0.5]])
    at_zero = survival.predicted_at(np.array([[0.9, 0.5]]), np.array([0.0, 1.0]), np.array([0.0, 0.5]))
    np.testing.assert_allclose(at_zero, [[0.9, 0.7]])
    np.testing.assert_allclose(survival.predicted_restricted_mean(curves, grid, 3.0), [1.8 + 0.65, 2 + 0.875])
    np.testing.assert_allclose(survival.predicted_restricted_mean(curves, grid, 4.0), [2.8, 3.5])
    assert np.isnan(survival.predicted_restricted_mean(curves, grid, 4.1)).all()


@pytest.mark.parametrize("digits", [0, 9])
def test_curves_agree_with_lifelines(digits):
    import lifelines
    from lifelines.utils import restricted_mean_survival_time

    time, event, _ = cases(5, digits=digits)
    weights = np.random.default_rng(6).integers(1, 4, 80)
    entry = time * np.random.default_rng(7).random(80)
    times = np.linspace(1.0, time.max(), 50)
    for late in (None, entry):
        fitted = lifelines.KaplanMeierFitter().fit(time, event, weights=weights, entry=late)
        found = survival.kaplan_meier(time, event, weights, entry=late)
        np.testing.assert_allclose(found.at(times), fitted.survival_function_at_times(times), rtol=1e-9, atol=1e-12)
        hazard = lifelines.NelsonAalenFitter(nelson_aalen_smoothing=False).fit(time, event, weights=weights, entry=late)
        found = survival.nelson_aalen(time, event, weights, entry=late).at(times)
        np.testing.assert_allclose(found, hazard.cumulative_hazard_at_times(times), rtol=1e-9, atol=1e-12)
    plain = lifelines.KaplanMeierFitter().fit(time, event)
    expected = restricted_mean_survival_time(plain, t=6.0)
    np.testing.assert_allclose(survival.restricted_mean(survival.kaplan_meier(time, event), 6.0), expected, rtol=1e-6)


# Competing causes.


def with_causes(seed: int, digits: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    time, event, weights = cases(seed, digits=digits)
    return time, event * np.random.default_rng(seed + 100).integers(1, 3, 80), weights


def test_incidence_by_hand():
    found = survival.cumulative_incidence(TIME, np.array([1, 0, 2, 1, 2, 0, 1]), 1)
    # At 1 one of 7, at 3 one of the 4 at risk while 24/35 are free, at 5 the last one while 12/35 are.
    expected = fractions("0", "1/7", "1/7", "11/35", "11/35", "23/35", "23/35")
    np.testing.assert_allclose(found.at(np.array([0.5, 1, 2, 3, 4, 5, 9])), expected)
    other = survival.cumulative_incidence(TIME, np.array([1, 0, 2, 1, 2, 0, 1]), 2)
    np.testing.assert_allclose(other.at(np.array([1.0, 2, 3, 9])), fractions("0", "6/35", "12/35", "12/35"))


def test_incidence_agrees_with_lifelines():
    import lifelines

    time, event, _ = with_causes(8, digits=9)  # lifelines moves tied times by chance
    times = np.linspace(1.0, time.max(), 40)
    for cause in (1, 2):
        fitted = lifelines.AalenJohansenFitter(calculate_variance=False).fit(time, event, event_of_interest=cause)
        expected = fitted.cumulative_density_.iloc[:, 0]
        place = np.searchsorted(expected.index.to_numpy(), times, side="right") - 1
        found = survival.cumulative_incidence(time, event, cause)
        np.testing.assert_allclose(found.at(times), expected.to_numpy()[place], rtol=1e-9, atol=1e-12)


def test_weights_of_incidence_are_repeated_cases_and_one_cause_alone_is_what_kaplan_meier_lacks():
    grid = np.arange(0.0, 25.0, 0.5)
    time, event, weights = with_causes(9)
    entry = time - 1 - np.random.default_rng(1).random(80) * 2
    for late in (None, entry):
        together = survival.cumulative_incidence(time, event, 2, weights, entry=late).at(grid)
        for row, weight in enumerate(weights):
            repeated = [None if one is None else np.repeat(one, weight) for one in (time, event, late)]
            alone = survival.cumulative_incidence(*repeated[:2], 2, entry=repeated[2]).at(grid)
            np.testing.assert_allclose(together[row], alone, rtol=1e-12, atol=1e-15)
        free = survival.kaplan_meier(time, event, weights, entry=late).at(grid)
        other = survival.cumulative_incidence(time, event, 1, weights, entry=late).at(grid)
        np.testing.assert_allclose(together + other + free, 1, rtol=1e-12)
        one = survival.cumulative_incidence(time, event > 0, 1, weights, entry=late).at(grid)
        np.testing.assert_allclose(one, 1 - free, rtol=1e-12, atol=1e-15)
    assert np.isnan(survival.cumulative_incidence(time, event, 1, np.zeros(80)).at(grid)).all()
    np.testing.assert_array_equal(survival.cumulative_incidence(time, event, 3).at(grid), 0)


def test_the_predicted_median_is_where_the_line_crosses_one_half():
    grid = np.array([2.0, 4.0, 8.0])
    curves = np.array([[0.8, 0.4, 0.1], [0.5, 0.5, 0.2], [0.9, 0.8, 0.7], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(survival.predicted_median(curves, grid), [3.5, 2.0, np.nan, 1.0])


def test_inverse_weights_are_those_just_before_the_time_of_a_case():
    """Who is censored at 2 was watched until then: weight 1; from then on half of those at risk are missing."""
    time, event = np.array([1.0, 2.0, 3.0]), np.array([1, 0, 1])
    np.testing.assert_allclose(survival.inverse_censoring(time, event), [1, 1, 2])
