"""Concordance: by hand, against loops over all pairs, against what it becomes in special cases, and lifelines."""

import math

import numpy as np
import pytest
from scipy import stats

from medjax.metrics import classification, concordance, survival

TIME = np.array([1.0, 1, 2, 3, 3, 4, 5])
EVENT = np.array([1, 0, 1, 1, 1, 0, 1])
RISK = np.array([3.0, 1, 2, 2, 5, 0, 1])


def cases(seed: int, size: int = 50) -> dict[str, np.ndarray]:
    """Ties in time and in risk; every second seed has only few of them in time."""
    generator = np.random.default_rng(seed)
    time = np.round(generator.exponential(5, size), 0 if seed % 2 else 2) + 1
    risk = np.round(generator.normal(size=size) - 0.2 * time, 1)
    return {"risk": risk, "time": time, "event": generator.random(size) < 0.5}


def by_loops(risk, time, event, weights, *, factor=None, fold=None, truncation=math.inf, survive=None) -> float:
    """Over all pairs, from the definition; `survive(i, j)` gives predicted survival of i and j at the time of i."""
    concordant = pairs = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if not event[i] or time[i] >= truncation or not later or (fold is not None and fold[i] != fold[j]):
                continue
            mine, other = (risk[i], risk[j]) if survive is None else [-value for value in survive(i, j)]
            weight = weights[i] * weights[j] * (1.0 if factor is None else factor[i] ** 2)
            pairs += weight
            concordant += weight * (1.0 if mine > other else 0.5 if mine == other else 0.0)
    return concordant / pairs if pairs else math.nan


def test_by_hand():
    # Events at 1, 2, 3, 3 have 6, 4, 2, 2 later cases, of which 5, 2.5, 2, 2 have a lower risk; the case censored at 1
    # is later than the event at 1, and the events at 3 form no pair.
    np.testing.assert_allclose(concordance.harrell(RISK, TIME, EVENT), 11.5 / 14, rtol=1e-14)
    np.testing.assert_allclose(concordance.harrell(RISK, TIME, EVENT, truncation=3.0), 7.5 / 10, rtol=1e-14)
    # G is 1 before 1 and 5/6 before 2 and 3.
    expected = (5 + 1.44 * 6.5) / (6 + 1.44 * 8)
    np.testing.assert_allclose(concordance.uno(RISK, TIME, EVENT), expected, rtol=1e-14)
    np.testing.assert_allclose(concordance.uno(RISK, TIME, EVENT, truncation=2.5), (5 + 1.44 * 2.5) / (6 + 1.44 * 4))


@pytest.mark.parametrize("seed", range(4))
def test_indices_agree_with_loops_over_pairs(seed):
    given, generator = cases(seed), np.random.default_rng(seed)
    weights, fold = generator.integers(0, 4, (2, 50)), generator.integers(0, 3, 50)
    for choice in ({}, {"fold": fold}, {"truncation": 6.0}):
        harrell = concordance.harrell(**given, weights=weights, **choice)
        uno = concordance.uno(**given, weights=weights, **choice)
        for row, weight in enumerate(weights):
            np.testing.assert_allclose(harrell[row], by_loops(**given, weights=weight, **choice), rtol=1e-12)
            factor = survival.inverse_censoring(given["time"], given["event"], weight)
            expected = by_loops(**given, weights=weight, factor=factor, **choice)
            np.testing.assert_allclose(uno[row], expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_antolini_agrees_with_loops_over_pairs(seed, monkeypatch):
    monkeypatch.setattr(concordance, "_BLOCK", 300)  # several blocks of events
    given, generator = cases(seed), np.random.default_rng(seed)
    grid = np.array([1.0, 2.5, 4.0, 7.0])
    curves = np.round(np.exp(-np.cumsum(generator.random((50, 4)), axis=1)), 1)
    weights, fold = generator.integers(0, 4, (2, 50)), generator.integers(0, 2, 50)

    def survive(i: int, j: int) -> list[float]:
        edges = np.concatenate([[0.0], grid])
        return [round(float(np.interp(given["time"][i], edges, [1.0, *curves[k]])), 12) for k in (i, j)]

    for choice in ({}, {"fold": fold}):
        found = concordance.antolini(curves, grid, given["time"], given["event"], weights, **choice)
        expected = [by_loops(**given, weights=row, survive=survive, **choice) for row in weights]
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_antolini_of_proportional_hazards_is_harrell(seed):
    given = cases(seed)
    grid = np.unique(given["time"])
    curves = np.exp(-np.exp(given["risk"])[:, None] * np.linspace(0.01, 2.0, len(grid)))
    found = concordance.antolini(curves, grid, given["time"], given["event"])
    np.testing.assert_allclose(found, concordance.harrell(**given), rtol=1e-12)


@pytest.mark.parametrize("index", [concordance.harrell, concordance.uno])
def test_weights_are_repeated_cases(index):
    for seed in range(4):
        given = cases(seed)
        weights = np.random.default_rng(seed).integers(0, 3, (3, 50))
        expected = [index(*(np.repeat(values, row) for values in given.values())) for row in weights]
        np.testing.assert_allclose(index(**given, weights=weights), expected, rtol=1e-12)


@pytest.mark.parametrize("index", [concordance.harrell, concordance.uno])
def test_only_the_order_of_risk_counts_and_turning_it_mirrors_the_index(index):
    given = cases(1)
    found = index(**given)
    np.testing.assert_array_equal(index(**given | {"risk": np.exp(3 * given["risk"])}), found)
    np.testing.assert_allclose(index(**given | {"risk": -given["risk"]}), 1 - found, rtol=1e-12)
    np.testing.assert_allclose(index(**given | {"risk": np.zeros(50)}), 0.5, rtol=1e-12)
    distinct = given | {"time": given["time"] + 1e-3 * np.arange(50)}
    np.testing.assert_array_equal(index(**distinct | {"risk": -distinct["time"]}), 1.0)


def test_harrell_of_a_binary_outcome_is_auroc():
    generator = np.random.default_rng(3)
    score, target = np.round(generator.normal(size=60), 1), np.arange(60) % 3 == 0
    # All events at one time, everybody else censored later: only pairs of a positive and a negative case.
    found = concordance.harrell(score, np.where(target, 1.0, 2.0), target)
    np.testing.assert_allclose(found, classification.auroc(score, target), rtol=1e-12)
    # Events at distinct times add the pairs among the positives.
    time = np.where(target, generator.random(60), 2.0)
    among = concordance.harrell(score[target], time[target], target[target])
    inner, across = 20 * 19 / 2, 20 * 40
    expected = (inner * among + across * classification.auroc(score, target)) / (inner + across)
    np.testing.assert_allclose(concordance.harrell(score, time, target), expected, rtol=1e-12)


def test_without_censoring_and_ties_it_is_kendalls_tau_and_uno_is_harrell():
    generator = np.random.default_rng(4)
    risk, time = generator.normal(size=70), generator.exponential(size=70)
    found = concordance.harrell(risk, time, np.ones(70))
    np.testing.assert_allclose(found, (1 + stats.kendalltau(risk, -time).statistic) / 2, rtol=1e-12)
    np.testing.assert_allclose(concordance.uno(risk, time, np.ones(70)), found, rtol=1e-12)


def test_without_a_pair_it_is_nan():
    grid, curves = np.array([1.0, 2.0]), np.linspace(0.9, 0.1, 14).reshape(7, 2)
    for index in (
        concordance.harrell,
        concordance.uno,
        lambda _, *given: concordance.antolini(curves[: len(given[0])], grid, *given),
    ):
        assert np.isnan(index(RISK, TIME, np.zeros(7)))  # all censored
        assert np.isnan(index(RISK[:1], TIME[:1], EVENT[:1]))
        assert np.isnan(index(RISK[:0], TIME[:0], EVENT[:0]))
        assert np.isnan(index(RISK, np.ones(7), np.ones(7)))  # all events at one time
        found = index(RISK, TIME, EVENT, np.stack([np.zeros(7), np.ones(7)]))
        assert np.isnan(found[0])
        assert np.isfinite(found[1])
        # A censored case of weight 0 after all others have left.
        assert np.isfinite(index(RISK, TIME, EVENT, np.array([1.0, 1, 1, 1, 1, 1, 0])))


def test_uno_does_not_move_with_the_censoring_where_harrell_does():
    generator = np.random.default_rng(5)
    risk = generator.normal(size=20_000)
    # Early events are ordered by the risk, late ones are not: censoring hides the late ones.
    early = generator.random(20_000) < 0.5
    time = np.where(early, np.exp(-0.3 * risk - 0.1 * generator.random(20_000)), 3 + generator.random(20_000))
    censoring = generator.exponential(3, 20_000)
    truth = concordance.harrell(risk, time, np.ones(20_000), truncation=4.0)
    seen, event = np.minimum(time, censoring), time <= censoring
    assert abs(concordance.uno(risk, seen, event, truncation=4.0) - truth) < 0.01
    assert concordance.harrell(risk, seen, event, truncation=4.0) - truth > 0.04


@pytest.mark.parametrize("seed", range(4))
def test_harrell_agrees_with_lifelines(seed):
    from lifelines import utils

    given = cases(seed)
    expected = utils.concordance_index(given["time"], -given["risk"], given["event"])
    np.testing.assert_allclose(concordance.harrell(**given), expected, rtol=1e-12)
