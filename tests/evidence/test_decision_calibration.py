"""Net benefit, predictive values; calibration against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from medjax.evidence import calibration, decision


def calibrated(seed: int, size: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    probability = generator.beta(1, 2, size)
    return probability, (generator.random(size) < probability).astype(np.int64)


def test_net_benefit_by_hand():
    # TP 1, FP 1 of 4 at t = .2: 1/4 - 1/4 x .25; treat all: 2/4 - 2/4 x .25
    values = decision.net_benefit(np.array([0.9, 0.3, 0.1, 0.1]), np.array([1, 0, 1, 0]), 0.2)
    np.testing.assert_allclose(values.mean(0), [0.25 - 0.25 * 0.25, 0.5 - 0.5 * 0.25])


def test_predictive_values_at_the_prevalence_of_the_cases_are_the_plain_ones():
    probability, target = calibrated(1, 400)
    said = probability >= 0.4
    ppv, npv = decision.predictive_values(said, target, np.arange(400), float(target.mean()))
    assert ppv.estimate == pytest.approx(target[said].mean())
    assert npv.estimate == pytest.approx(1 - target[~said].mean())
    assert ppv.low < ppv.estimate < ppv.high
    rare, _ = decision.predictive_values(said, target, np.arange(400), 0.01)
    assert rare.estimate < 0.1
    perfect, _ = decision.predictive_values(target, target, np.arange(400), 0.1)
    assert perfect.estimate == perfect.high == 1
    assert 0.5 < perfect.low < 1


def test_calibration_slope_agrees_with_unpenalised_scikit_learn():
    probability, target = calibrated(2, 500)
    odds = calibration.log_odds(probability)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(odds[:, None], target)
    slope = calibration.calibration_slope(probability, target, np.arange(500))
    assert slope.estimate == pytest.approx(model.coef_[0, 0], rel=1e-4)


def test_calibration_finds_what_was_done_to_the_probabilities():
    probability, target = calibrated(3)
    patient = np.arange(len(target))
    odds = calibration.log_odds(probability)
    good = [f(probability, target, patient) for f in (calibration.calibration_intercept, calibration.calibration_slope)]
    assert good[0].low < 0 < good[0].high
    assert good[1].low < 1 < good[1].high
    extreme = calibration.calibration_slope(1 / (1 + np.exp(-2 * odds)), target, patient)
    assert extreme.estimate == pytest.approx(good[1].estimate / 2, rel=1e-3)
    shifted = calibration.calibration_intercept(1 / (1 + np.exp(1 - odds)), target, patient)
    assert shifted.estimate == pytest.approx(good[0].estimate + 1, rel=1e-3, abs=1e-3)


def test_repeating_cases_within_patients_does_not_sharpen_calibration():
    probability, target = calibrated(5, 300)
    for function in (calibration.calibration_intercept, calibration.calibration_slope):
        alone = function(probability, target, np.arange(300))
        patient = np.repeat(np.arange(300), 4)
        often = function(np.repeat(probability, 4), np.repeat(target, 4), patient)
        assert often.high - often.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_separated_classes_have_no_slope():
    found = calibration.calibration_slope(np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]), np.arange(4))
    assert found.reason


def test_brier_score_falls_into_its_parts():
    probability, target = calibrated(4, 500)
    parts = calibration.reliability(np.round(probability, 2), target)
    brier = float(np.mean((np.round(probability, 2) - target) ** 2))
    assert parts["miscalibration"] - parts["discrimination"] + parts["uncertainty"] == pytest.approx(brier)
    heights = [block[2] for block in parts["curve"]]
    assert heights == sorted(heights)
    assert sum(block[3] for block in parts["curve"]) == 500


def test_calibration_error_of_a_perfect_model_is_what_perfection_gives():
    found = [calibration.expected_calibration_error(*calibrated(seed, 300)) for seed in range(20)]
    ours, expected = (np.mean([one[key] for one in found]) for key in ("estimate", "expected_if_perfect"))
    assert ours == pytest.approx(expected, rel=0.15)
    assert expected > 0.03  # far from 0 although the model is perfect
