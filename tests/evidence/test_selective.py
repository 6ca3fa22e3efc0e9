"""Risk against coverage by brute force, thresholds by hand, and denominators that lose nobody."""

import json

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence import intervals, selective

SURE = np.array([0.9, 0.8, 0.8, 0.7, 0.6])
RIGHT = np.array([True, True, False, True, False])


def brute_area(confidence: np.ndarray, right: np.ndarray, orders: int, seed: int) -> float:
    """Mean error over the numbers of cases kept; ties in every order, at random."""
    generator, found = np.random.default_rng(seed), []
    for _ in range(orders):
        order = np.lexsort((generator.random(len(right)), -confidence))
        found.append(np.mean(np.cumsum(~right[order]) / np.arange(1, len(right) + 1)))
    return float(np.mean(found))


def test_area_is_the_mean_error_over_the_numbers_of_cases_kept():
    generator = np.random.default_rng(0)
    confidence, right = generator.random(300), generator.random(300) < 0.8
    found = selective.risk_coverage(confidence, right, np.arange(300))
    assert found["area"]["estimate"] == pytest.approx(brute_area(confidence, right, 1, 0), abs=1e-10)
    # By hand, ties in both orders: errors 0, then (1/2 + 0)/2, then 1/3, 1/4, 2/5.
    by_hand = (0 + 0.25 + 1 / 3 + 1 / 4 + 2 / 5) / 5
    assert selective.risk_coverage(SURE, RIGHT, np.arange(5))["area"]["estimate"] == pytest.approx(by_hand)
    tied = np.round(confidence, 1)
    found = selective.risk_coverage(tied, right, np.arange(300))["area"]["estimate"]
    assert found == pytest.approx(brute_area(tied, right, 4000, 1), abs=1e-3)


def test_whole_weights_are_repeated_cases():
    generator = np.random.default_rng(1)
    confidence, right = np.round(generator.random(80), 1), generator.random(80) < 0.7
    weights = generator.integers(0, 4, (3, 80))
    found = selective._area(confidence, right)(weights)
    for row, area in zip(weights, found, strict=True):
        repeated = selective._area(np.repeat(confidence, row), np.repeat(right, row))(None)
        assert area == pytest.approx(float(repeated), abs=1e-12)


def test_curve_ends_at_all_cases_and_no_order_beats_the_best():
    generator = np.random.default_rng(2)
    patient = np.arange(400) // 2
    confidence = generator.random(400)
    right = generator.random(400) < 0.5 + confidence / 2
    found = selective.risk_coverage(confidence, right, patient)
    assert found["coverage"][-1] == 1
    assert found["risk"][-1] == pytest.approx(np.mean(~right))
    assert len(found["coverage"]) == 101
    assert found["area_best"] < found["area"]["estimate"] < found["area_random"]["estimate"]
    assert found["area"]["low"] < found["area"]["estimate"] < found["area"]["high"]
    assert found["area"]["patients"] == 200
    for share, risk, level in zip(found["coverage"], found["risk"], found["confidence"], strict=True):
        kept = confidence >= level
        assert kept.mean() == pytest.approx(share)
        assert np.mean(~right[kept]) == pytest.approx(risk)
    order = generator.permutation(400)
    again = selective.risk_coverage(confidence[order], right[order], patient[order])
    assert again["area"]["estimate"] == pytest.approx(found["area"]["estimate"], abs=1e-12)
    assert again["area"]["low"] == pytest.approx(found["area"]["low"], abs=1e-9)
    json.dumps(found, allow_nan=False)


def test_constant_confidence_keeps_everything_at_the_overall_error():
    right = np.arange(50) % 5 > 0
    found = selective.risk_coverage(np.ones(50), right, np.arange(50))
    assert found["coverage"] == [1.0]
    assert found["risk"] == pytest.approx([0.2])
    assert found["area"]["estimate"] == pytest.approx(0.2)
    perfect = selective.risk_coverage(np.linspace(0, 1, 50), np.ones(50, bool), np.arange(50))
    assert perfect["area"]["estimate"] == 0
    assert "every answer is right" in perfect["area"]["reason"]
    assert selective.risk_coverage(np.full(3, np.nan), np.ones(3, bool), np.arange(3))["unreadable"] == 3


def test_thresholds_by_hand():
    patient = np.arange(5)
    chosen = selective.choose(SURE, RIGHT, patient, risk=0.25)  # .8: 1 of 3 wrong; .7: 1 of 4
    assert chosen["threshold"] == pytest.approx(0.65)
    assert chosen["risk"]["estimate"] == 0.25
    assert chosen["coverage"]["estimate"] == 0.8
    assert selective.choose(SURE, RIGHT, patient, risk=0.1)["threshold"] == pytest.approx(0.85)
    assert selective.choose(SURE, RIGHT, patient, risk=1)["threshold"] == pytest.approx(0.6)
    half = selective.choose(SURE, RIGHT, patient, coverage=0.4)  # the tie is kept whole
    assert half["threshold"] == pytest.approx(0.75)
    assert half["coverage"]["estimate"] == 0.6
    nothing = selective.choose(SURE, ~RIGHT, patient, risk=0.0)
    assert nothing["threshold"] is None
    assert "everything is left" in nothing["reason"]
    assert selective.report(nothing, SURE, RIGHT, patient)["counts"]["abstained"] == 5
    unread = selective.choose(np.r_[SURE, np.nan], np.r_[RIGHT, True], np.r_[patient, 7], risk=0.25)
    assert unread["threshold"] == chosen["threshold"]
    assert unread["unreadable"] == 1
    for wrong in ({}, {"risk": 0.1, "coverage": 0.5}, {"risk": 1.5}):
        with pytest.raises(InputError, match="either a risk or a coverage"):
            selective.choose(SURE, RIGHT, patient, **wrong)


def test_the_frozen_threshold_loses_nobody():
    confidence = np.array([0.9, 0.8, 0.7, 0.3, 0.2, np.nan])
    right = np.array([True, False, True, True, False, False])
    patient, target = np.array([0, 0, 1, 2, 3, 4]), np.array([1, 1, 0, 0, 1, 1])
    found = selective.report({"threshold": 0.5}, confidence, right, patient, target=target, names=("no", "yes"))
    assert found["counts"] == {"cases": 6, "kept": 3, "abstained": 2, "unreadable": 1}
    assert found["coverage"]["estimate"] == 0.5
    assert found["accuracy_kept"]["estimate"] == pytest.approx(2 / 3)
    assert found["accuracy_all_readable"]["estimate"] == pytest.approx(3 / 5)
    assert found["accuracy_worst"]["estimate"] == pytest.approx(2 / 6)
    assert found["accuracy_best"]["estimate"] == pytest.approx(5 / 6)
    assert found["accuracy_worst"]["denominator"] == 6
    assert found["accuracy_worst"]["patients"] == 5
    assert found["classes"]["yes"]["accuracy_worst"]["estimate"] == 0.25  # 1 of 4, the unreadable one counted
    assert found["classes"]["yes"]["accuracy_kept"]["estimate"] == 0.5
    wilson = intervals.proportion(np.array([1, 0, 1, 0, 0, 0]), patient)
    assert found["accuracy_worst"]["low"] == pytest.approx(wilson.low)
    json.dumps(found, allow_nan=False)
    everything = selective.report({"threshold": -1.0}, confidence[:5], right[:5], patient[:5])
    bounds = [everything[name]["estimate"] for name in ("accuracy_worst", "accuracy_kept", "accuracy_best")]
    assert bounds == pytest.approx([0.6] * 3)


def test_worst_and_best_enclose_what_the_abstained_cases_would_have_given():
    generator = np.random.default_rng(3)
    confidence, right = generator.random(500), generator.random(500) < 0.7
    found = selective.report({"threshold": 0.4}, confidence, right, np.arange(500) // 3)
    whole = found["accuracy_all_readable"]["estimate"]
    assert found["accuracy_worst"]["estimate"] < whole < found["accuracy_best"]["estimate"]
    assert found["accuracy_all_readable"]["denominator"] == 500


def test_confidence_is_least_at_the_decision_threshold():
    positive = np.array([0.01, 0.2, 0.3, 0.4, 0.99])
    values = np.stack([1 - positive, positive], axis=-1)
    np.testing.assert_allclose(selective.confidence_of(values), [0.99, 0.8, 0.7, 0.6, 0.99])
    found = selective.confidence_of(values, positive=1, threshold=0.3)
    assert found.argmin() == 2
    assert found[2] == pytest.approx(0)
    half = selective.confidence_of(values, positive=1)
    np.testing.assert_array_equal(np.argsort(half[:4]), np.argsort(selective.confidence_of(values)[:4]))
