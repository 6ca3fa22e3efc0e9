"""The interval of concordance: influences against numerical derivatives, DeLong as a special case, coverage."""

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from medjax.evidence import auroc, concordance, resampling
from medjax.metrics import concordance as metrics

BOTH = (concordance.harrell, concordance.uno)


def cases(seed: int, size: int = 60, digits: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Risk, time, event: a Cox model with about half of the cases censored."""
    generator = np.random.default_rng(seed)
    risk = generator.normal(size=size)
    time, censoring = generator.exponential(np.exp(-1.2 * risk)), 2.5 * generator.random(size)
    return np.round(risk, digits), np.round(np.minimum(time, censoring), digits), time <= censoring


@pytest.mark.parametrize("digits", [1, 9])
@pytest.mark.parametrize("name", ["harrell", "uno"])
def test_influence_is_the_derivative_of_the_index_by_the_weight_of_a_case(name, digits):
    given = cases(0, 50, digits)
    index, step = getattr(metrics, name), 1e-5 * np.eye(50)
    for choice in ({}, {"fold": np.arange(50) % 3}, {"truncation": 0.7}):
        estimate, influence = getattr(concordance, f"{name}_influence")(*given, **choice)
        assert estimate == pytest.approx(float(index(*given, **choice)), rel=1e-12)
        derivative = (index(*given, 1 + step, **choice) - index(*given, 1 - step, **choice)) / 2e-5
        np.testing.assert_allclose(influence, derivative, atol=1e-9)
        assert influence.sum() == pytest.approx(0.0, abs=1e-12)
        assert np.abs(influence).max() > 1e-3


def test_of_a_binary_outcome_it_is_delongs_variance_but_for_the_factor_of_small_samples():
    generator = np.random.default_rng(1)
    target = np.arange(80) % 2
    score = np.round(generator.normal(size=80) + target, 1)
    estimate, influence = auroc.auroc_influence(score, target)
    found, own = concordance.harrell_influence(score, np.where(target == 1, 1.0, 2.0), target)
    assert found == pytest.approx(estimate, rel=1e-12)
    np.testing.assert_allclose(own, influence.sum(-1), atol=1e-15)
    patient = np.arange(80)
    total = concordance.harrell(score, np.where(target == 1, 1.0, 2.0), target, patient).total
    expected = auroc.influence_variance(influence, target, patient)  # both classes have as many patients
    assert total @ total == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("index", BOTH)
def test_interval_is_students_on_the_logit_scale_with_degrees_from_the_fourth_moments(index):
    risk, time, event = cases(2, 90)
    patient = np.arange(90) // 3
    _, influence = getattr(concordance, f"{index.__name__}_influence")(risk, time, event)
    events = len(np.unique(patient[event]))
    total = influence.reshape(30, 3).sum(1) * math.sqrt(events / (events - 1))
    degrees = 2 * (total @ total) ** 2 / (total**4).sum()
    assert 4 < degrees < 60
    found = index(risk, time, event, patient)
    half = stats.t.ppf(0.975, degrees) * np.linalg.norm(total) / (found.estimate * (1 - found.estimate))
    shown = concordance.interval(found)
    np.testing.assert_allclose([shown.low, shown.high], expit(logit(found.estimate) + np.array([-half, half])))
    assert shown.method == "infinitesimal jackknife by patient, logit scale"


@pytest.mark.parametrize("name", ["harrell", "uno"])
def test_standard_error_is_near_that_of_the_jackknife(name):
    risk, time, event = cases(3, 150)
    patient = np.arange(150) // 2
    found = getattr(concordance, name)(risk, time, event, patient)
    error, how = resampling.standard_error(lambda w: getattr(metrics, name)(risk, time, event, w), patient)
    assert how == "patient jackknife"
    assert np.linalg.norm(found.total) == pytest.approx(error, rel=0.07)


@pytest.mark.parametrize("index", BOTH)
def test_order_alone_counts_and_turning_the_risk_mirrors_the_interval(index):
    risk, time, event = cases(5)
    patient = np.arange(60)
    found = concordance.interval(index(risk, time, event, patient))
    assert found == concordance.interval(index(np.exp(2 * risk), time, event, patient))
    turned = concordance.interval(index(-risk, time, event, patient))
    np.testing.assert_allclose([turned.low, turned.high], [1 - found.high, 1 - found.low], rtol=1e-9)
    assert found.low < found.estimate < found.high


@pytest.mark.parametrize("index", BOTH)
def test_cases_counted_twice_for_one_patient_leave_the_interval_nearly_as_it_is(index):
    risk, time, event = cases(6)
    once = index(risk, time, event, np.arange(60))
    twice = index(*(np.repeat(one, 2) for one in (risk, time, event)), np.repeat(np.arange(60), 2))
    # A case and its copy form no pair: both have the event at one time, or neither has it.
    assert twice.estimate == pytest.approx(once.estimate, rel=1e-9)
    np.testing.assert_allclose(twice.total, once.total, atol=1e-9)


@pytest.mark.parametrize("index", BOTH)
def test_paired_difference(index):
    risk, time, event = cases(7, 100)
    patient, other = np.arange(100) // 2, risk + np.random.default_rng(8).normal(size=100)
    ours, theirs = index(risk, time, event, patient), index(other, time, event, patient)
    found, error = concordance.difference(ours, theirs)
    assert found.estimate == pytest.approx(ours.estimate - theirs.estimate)
    assert error == pytest.approx(float(np.linalg.norm(ours.total - theirs.total)))
    assert found.low < found.estimate < found.high
    back, _ = concordance.difference(theirs, ours)
    np.testing.assert_allclose([back.low, back.high], [-found.high, -found.low])
    # The errors of two predictors of the same patients go together.
    assert error < 0.95 * math.hypot(np.linalg.norm(ours.total), np.linalg.norm(theirs.total))
    same, none = concordance.difference(ours, index(3 * risk - 1, time, event, patient))
    assert (same.estimate, same.reason) == (0.0, "no patient makes a difference")
    assert math.isnan(none)


def test_folds_and_truncation_are_said():
    risk, time, event = cases(8)
    fold = np.arange(60) % 2
    found = concordance.harrell(risk, time, event, np.arange(60), fold=fold, truncation=0.5)
    method = concordance.interval(found).method
    assert method == (
        "infinitesimal jackknife, events before 0.5, pairs within folds, conditional on the fold models, logit scale"
    )
    # Shifting the risks of one fold changes nothing within folds.
    shifted = concordance.harrell(risk + 5 * fold, time, event, np.arange(60), fold=fold, truncation=0.5)
    np.testing.assert_allclose(shifted.total, found.total, atol=1e-15)


@pytest.mark.parametrize("index", BOTH)
def test_little_is_known(index):
    time, patient = np.arange(1.0, 41.0), np.arange(40)
    event = np.arange(40) < 35
    for given, reason in (
        ((-time, time, np.zeros(40), patient), "no pair of an event and a later case"),
        ((time[:1], time[:1], np.ones(1), patient[:1]), "no pair of an event and a later case"),
        ((np.sin(time), time, time == 3, patient), "fewer than two patients have an event"),
        ((np.zeros(40), time, event, patient), "no variation between patients to make an interval from"),
    ):
        found = concordance.interval(index(*given))
        assert found.reason == reason
        assert math.isnan(found.low)
        assert math.isnan(concordance.difference(index(*given), index(*given))[1])
    for risk, estimate in ((-time, 1.0), (time, 0.0)):
        found = concordance.interval(index(risk, time, event, patient))
        assert found.estimate == estimate
        assert found.method.startswith("Wilson")
        assert 0 <= found.low <= found.estimate <= found.high <= 1
        assert found.high - found.low > 0.05
    for events, warned in ((29, True), (30, False)):
        found = concordance.interval(index(np.sin(time), time, np.arange(40) < events, patient))
        assert bool(found.warning) == warned


@pytest.mark.parametrize("index", BOTH)
def test_intervals_cover_the_truth(index):
    # 150 repetitions: the Monte Carlo error of .95 is .018. The truth is that of 40,000 cases, to .002.
    truth, hits = index(*cases(9, 40_000), np.arange(40_000), truncation=2.0).estimate, []
    for seed in range(1000, 1150):
        found = concordance.interval(index(*cases(seed, 50), np.arange(50), truncation=2.0))
        hits.append(found.low <= truth <= found.high)
    assert 0.9 <= np.mean(hits) <= 0.99
