"""Metrics at horizons: by hand, against loops, without censoring, and where nobody can be known."""

import numpy as np
import pytest

from medjax.metrics import classification, concordance, horizon, survival

TIME = np.array([1.0, 1, 2, 3, 3, 4, 5])
EVENT = np.array([1, 0, 1, 1, 1, 0, 1])
RISK = np.array([3.0, 1, 2, 2, 5, 0, 1])
HORIZONS = np.array([1.5, 3.0, 6.0])


def cases(seed: int, size: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    time = np.round(generator.exponential(5, size), 0 if seed % 2 else 2) + 1
    survive = np.round(np.sort(generator.random((size, 3)), axis=1)[:, ::-1], 1)
    return survive, time, generator.random(size) < 0.5, generator.integers(0, 4, (3, size))


def test_by_hand():
    at = np.array([2.0])
    # G is 1 before 1 and 5/6 before 2: the event at 1 counts once, that at 2 and the four later cases 6/5 each.
    np.testing.assert_allclose(horizon.horizon_weights(TIME, EVENT, at)[0], [1, 0, *5 * [1.2]])
    np.testing.assert_allclose(horizon.auroc(RISK, TIME, EVENT, at), [(0.75 + 1.2 * 0.625) / 2.2], rtol=1e-14)
    survive = np.array([[0.5, 0.9, 0.5, 0.6, 0.8, 1.0, 0.7]]).T
    brier = (0.25 + 1.2 * (0.25 + 0.16 + 0.04 + 0.0 + 0.09)) / 7
    np.testing.assert_allclose(horizon.brier(survive, TIME, EVENT, at), [brier], rtol=1e-14)
    null = 24 / 35 * 11 / 35
    found = horizon.prediction_accuracy(survive, TIME, EVENT, at)
    np.testing.assert_allclose(found, [1 - brier / null], rtol=1e-12)


def test_who_is_censored_at_the_horizon_is_known_to_be_free():
    at = np.array([1.0, 4.0, 5.0, 9.0])
    expected = [np.ones(7), [1, 0, *5 * [1.2]], [1, 0, 1.2, 1.2, 1.2, 0, 2.4], [1, 0, 1.2, 1.2, 1.2, 0, 2.4]]
    np.testing.assert_allclose(horizon.horizon_weights(TIME, EVENT, at), expected)
    # A study that ends for all at 5: everybody is known at 5, nobody's state beyond.
    administrative = np.array([1, 1, 1, 1, 1, 1, 0]), np.array([5.0, 5.01])
    found = horizon.horizon_weights(TIME, *administrative)
    np.testing.assert_array_equal(found[0], 1.0)
    assert np.isnan(found[1]).all()
    assert np.isnan(horizon.brier(np.full((7, 2), 0.5), TIME, *administrative)).tolist() == [False, True]
    assert np.isnan(horizon.auroc(RISK, TIME, *administrative)).tolist() == [False, True]


def test_inverse_weights_add_up_to_all_cases_and_reproduce_kaplan_meier():
    for seed in range(4):
        _, time, event, weights = cases(seed)
        found = horizon.horizon_weights(time, event, HORIZONS, weights)
        np.testing.assert_allclose(found.sum(-1), np.tile(weights.sum(-1), (3, 1)), rtol=1e-12)
        for k, at in enumerate(HORIZONS):
            if seed % 2 == 0:  # with a censoring exactly at the horizon those at risk before it stand for all
                free = (found[k] * horizon.known_free(time, event, at)).sum(-1) / weights.sum(-1)
                np.testing.assert_allclose(free, survival.kaplan_meier(time, event, weights).at(HORIZONS)[:, k])


@pytest.mark.parametrize("seed", range(4))
def test_metrics_agree_with_loops(seed):
    survive, time, event, weights = cases(seed)
    fold = np.arange(60) % 3
    found = [
        horizon.auroc(1 - survive, time, event, HORIZONS, weights),
        horizon.auroc(1 - survive, time, event, HORIZONS, weights, fold=fold),
        horizon.brier(survive, time, event, HORIZONS, weights),
    ]
    for row, weight in enumerate(weights):
        remaining = survival.censoring_survival(time, event, weight)
        own, at_horizon = remaining.at(time, before=True), remaining.at(HORIZONS, before=True)
        for k, at in enumerate(HORIZONS):
            wins, pairs, error = np.zeros(2), np.zeros(2), 0.0
            for i in range(60):
                free = time[i] > at or (time[i] == at and not event[i])
                if weight[i] and free:
                    error += weight[i] / at_horizon[k] * (1 - survive[i, k]) ** 2
                if not weight[i] or not event[i] or time[i] > at:
                    continue
                error += weight[i] / own[i] * survive[i, k] ** 2
                for j in range(60):
                    if time[j] > at or (time[j] == at and not event[j]):
                        order = 1.0 if survive[i, k] < survive[j, k] else 0.5 if survive[i, k] == survive[j, k] else 0.0
                        counts = np.array([1.0, float(fold[i] == fold[j])]) * weight[i] / own[i] * weight[j]
                        wins, pairs = wins + order * counts, pairs + counts
            expected = np.divide(wins, pairs, out=np.full(2, np.nan), where=pairs > 0)
            np.testing.assert_allclose([one[row, k] for one in found[:2]], expected, rtol=1e-12)
            np.testing.assert_allclose(found[2][row, k], error / weight.sum(), rtol=1e-12)


def test_without_censoring_they_are_the_metrics_of_a_binary_outcome():
    survive, time, _, weights = cases(0)
    auroc = horizon.auroc(-survive, time, np.ones(60), HORIZONS, weights)
    brier = horizon.brier(survive, time, np.ones(60), HORIZONS, weights)
    for k, at in enumerate(HORIZONS):
        had = time <= at
        np.testing.assert_allclose(auroc[:, k], classification.auroc(-survive[:, k], had, weights), rtol=1e-12)
        np.testing.assert_allclose(brier[:, k], classification.brier(1 - survive[:, k], had, weights), rtol=1e-12)
    one_score = horizon.auroc(-survive[:, 0], time, np.ones(60), HORIZONS)
    repeated = horizon.auroc(-np.repeat(survive[:, :1], 3, axis=1), time, np.ones(60), HORIZONS)
    np.testing.assert_array_equal(one_score, repeated)


def test_weights_are_repeated_cases_and_only_the_order_of_risk_counts():
    for seed in range(2):
        survive, time, event, weights = cases(seed)
        for metric in (horizon.brier, horizon.prediction_accuracy, horizon.auroc, horizon.integrated_brier):
            expected = [
                metric(*(np.repeat(v, row, axis=0) for v in (survive, time, event)), HORIZONS) for row in weights
            ]
            np.testing.assert_allclose(metric(survive, time, event, HORIZONS, weights), expected, rtol=1e-10)
        found = horizon.auroc(-survive, time, event, HORIZONS)
        np.testing.assert_allclose(horizon.auroc(np.exp(-9 * survive), time, event, HORIZONS), found, rtol=1e-12)
        np.testing.assert_allclose(horizon.auroc(survive, time, event, HORIZONS), 1 - found, rtol=1e-12)


def test_one_curve_for_all_has_no_prediction_accuracy_and_perfect_foresight_has_all():
    _, time, event, weights = cases(0)
    same = survival.kaplan_meier(time, event, weights[0]).at(HORIZONS)
    found = horizon.prediction_accuracy(np.tile(same, (60, 1)), time, event, HORIZONS, weights[0])
    np.testing.assert_allclose(found, 0.0, atol=1e-12)
    foresight = (time[:, None] > HORIZONS).astype(float)
    np.testing.assert_allclose(horizon.prediction_accuracy(foresight, time, event, HORIZONS), 1.0)
    np.testing.assert_allclose(horizon.auroc(-foresight, time, event, HORIZONS), 1.0)


def test_integrated_brier_is_the_mean_over_time():
    survive, time, event, weights = cases(2)
    scores = horizon.brier(survive, time, event, HORIZONS, weights)
    expected = (1.5 * (scores[:, 0] + scores[:, 1]) / 2 + 3 * (scores[:, 1] + scores[:, 2]) / 2) / 4.5
    np.testing.assert_allclose(horizon.integrated_brier(survive, time, event, HORIZONS, weights), expected)
    assert np.isnan(horizon.integrated_brier(survive[:, :1], time, event, HORIZONS[:1]))


def test_little_is_known():
    survive, at = np.full((7, 2), 0.7), np.array([1.5, 3.0])
    for event in (np.zeros(7), EVENT):
        nobody = np.stack([np.zeros(7), np.ones(7)])
        for metric in (horizon.auroc, horizon.brier, horizon.prediction_accuracy):
            assert np.isnan(metric(survive, TIME, event, at, nobody)[0]).all()
    np.testing.assert_allclose(horizon.brier(survive, TIME, np.zeros(7), at), 0.3**2)  # no event: all known are free
    assert np.isnan(horizon.prediction_accuracy(survive, TIME, np.zeros(7), at)).all()
    assert np.isnan(horizon.auroc(survive, TIME, np.zeros(7), at)).all()
    np.testing.assert_allclose(horizon.brier(survive[:1], TIME[:1], EVENT[:1], at), 0.7**2)
    assert np.isnan(horizon.auroc(survive[:1], TIME[:1], EVENT[:1], at)).all()
    assert np.isnan(horizon.brier(survive[:0], TIME[:0], EVENT[:0], at)).all()


# Competing causes, calibration in the large, other software.


def test_with_causes_metrics_agree_with_loops():
    """Who had another cause by the horizon counts as free of this one, with the weight of an event."""
    survive, time, event, weights = cases(1)
    event = event * np.random.default_rng(9).integers(1, 3, 60)
    weight = weights[1]
    remaining = survival.censoring_survival(time, event, weight)
    own, at_horizon = remaining.at(time, before=True), remaining.at(HORIZONS, before=True)
    for k, at in enumerate(HORIZONS):
        wins = pairs = error = 0.0
        factor = np.where((time <= at) & (event > 0), 1 / own, 0.0)
        factor = weight * np.where((time > at) | ((time == at) & (event == 0)), 1 / at_horizon[k], factor)
        had = (time <= at) & (event == 2)
        for i in range(60):
            error += factor[i] * (survive[i, k] - (not had[i])) ** 2
            for j in range(60):
                if had[i] and not had[j]:
                    order = 1.0 if survive[i, k] < survive[j, k] else 0.5 if survive[i, k] == survive[j, k] else 0.0
                    wins, pairs = wins + order * factor[i] * factor[j], pairs + factor[i] * factor[j]
        found = horizon.brier(survive, time, event, HORIZONS, weight, cause=2)[k]
        assert found == pytest.approx(error / weight.sum())
        found = horizon.auroc(1 - survive, time, event, HORIZONS, weight, cause=2)[k]
        assert found == pytest.approx(wins / pairs if pairs else np.nan, nan_ok=True)


def test_one_cause_is_any_event():
    survive, time, event, weights = cases(0)
    for metric in (horizon.brier, horizon.prediction_accuracy, horizon.observed_to_expected, horizon.integrated_brier):
        alone = metric(survive, time, event.astype(int), HORIZONS, weights, cause=1)
        np.testing.assert_allclose(alone, metric(survive, time, event, HORIZONS, weights), rtol=1e-12)
    for at in (2.0, 4.0):
        np.testing.assert_array_equal(
            horizon.happened(TIME, 2 * EVENT, at, 2) | horizon.known_free(TIME, EVENT, at),
            horizon.happened(TIME, EVENT, at) | horizon.known_free(TIME, EVENT, at),
        )


def test_the_incidence_for_all_has_no_prediction_accuracy_of_a_cause():
    _, time, event, weights = cases(0)
    event = event * np.random.default_rng(9).integers(1, 3, 60)
    for cause in (1, 2):
        same = 1 - survival.cumulative_incidence(time, event, cause, weights[0]).at(HORIZONS[1:])
        curves = np.tile(same, (60, 1))
        found = horizon.prediction_accuracy(curves, time, event, HORIZONS[1:], weights[0], cause=cause)
        np.testing.assert_allclose(found, 0.0, atol=1e-12)
        found = horizon.observed_to_expected(curves, time, event, HORIZONS[1:], weights[0], cause=cause)
        np.testing.assert_allclose(found, 1.0)


def test_observed_to_expected_by_hand():
    at = np.array([2.0, 3.0])
    survive = np.array([[0.5, 0.4]] * 4 + [[0.9, 0.8]] * 3)
    expected = [(11 / 35) / (2.3 / 7), (23 / 35) / (3 / 7)]
    np.testing.assert_allclose(horizon.observed_to_expected(survive, TIME, EVENT, at), expected)
    np.testing.assert_allclose(horizon.observed(TIME, EVENT, at), [11 / 35, 23 / 35])
    np.testing.assert_allclose(horizon.observed(TIME, EVENT * 2, at, cause=2), [11 / 35, 23 / 35])
    assert np.isnan(horizon.observed_to_expected(np.ones((7, 2)), TIME, EVENT, at)).all()


def test_nothing_is_observed_beyond_the_last_one_watched():
    until_five = np.array([1, 1, 1, 1, 1, 1, 0])
    at = np.array([5.0, 5.01])
    for event, cause in ((until_five, 0), (until_five, 1)):
        assert np.isnan(horizon.observed(TIME, event, at, cause=cause)).tolist() == [False, True]
        found = horizon.observed_to_expected(np.full((7, 2), 0.5), TIME, event, at, cause=cause)
        assert np.isnan(found).tolist() == [False, True]
    np.testing.assert_allclose(horizon.observed(TIME, EVENT, at), 1.0)  # the last one had the event: all is known


def test_metrics_agree_with_scikit_survival():
    """Without ties the definitions are the same; scikit-survival's numbers (0.28.0) were made by:

    y = Surv.from_arrays(event, time)
    concordance_index_censored(event, time, risk)[0], concordance_index_ipcw(y, y, risk, tau=9.0)[0]
    cumulative_dynamic_auc(y, y, risk, times)[0], brier_score(y, y, survival, times)[1]
    integrated_brier_score(y, y, survival, times)
    """
    generator = np.random.default_rng(0)
    x = generator.normal(size=60)
    time = np.round(generator.exponential(np.exp(-x)) * 10, 3) + 0.001
    censored = np.round(generator.exponential(12.0, 60), 4) + 0.00005
    event, time = time <= censored, np.minimum(time, censored)
    risk, times = x + generator.normal(size=60), np.array([2.0, 5.0, 9.0])
    survive = np.exp(-np.outer(np.exp(risk / 2), times / 10))
    assert concordance.harrell(risk, time, event) == pytest.approx(0.6663636363636364, rel=1e-6)
    assert concordance.uno(risk, time, event, truncation=9.0) == pytest.approx(0.6728240399532138, rel=1e-6)
    expected = [0.764999819640032, 0.6676280146811817, 0.756413712370107]
    np.testing.assert_allclose(horizon.auroc(risk, time, event, times), expected, rtol=1e-6)
    expected = [0.1689765784410902, 0.22686622580836588, 0.22444034952775443]
    np.testing.assert_allclose(horizon.brier(survive, time, event, times), expected, rtol=1e-6)
    assert horizon.integrated_brier(survive, time, event, times) == pytest.approx(0.21376819386377496, rel=1e-6)
