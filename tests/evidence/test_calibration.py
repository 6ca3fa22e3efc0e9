"""The variance of the calibration slope, the band of the reliability curve, and the index of prediction accuracy."""

import json

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from medjax.errors import InputError
from medjax.evidence import calibration, resampling
from medjax.evidence.intervals import patient_codes


def test_slope_has_the_mean_of_sandwich_and_model_variance_with_one_case_a_patient():
    generator = np.random.default_rng(0)
    probability = generator.beta(2, 2, 90)
    target = (generator.random(90) < probability).astype(np.int64)
    odds = np.log(probability / (1 - probability))
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(odds[:, None], target)
    risk = fitted.predict_proba(odds[:, None])[:, 1]
    design = np.stack([np.ones(90), odds], axis=-1)
    bread = np.linalg.inv((design * (risk * (1 - risk))[:, None]).T @ design)
    sandwich = 90 / 88 * bread @ ((design * ((target - risk) ** 2)[:, None]).T @ design) @ bread
    assert abs(sandwich[1, 1] / bread[1, 1] - 1) > 0.01
    half = stats.t.ppf(0.975, 88) * np.sqrt((sandwich[1, 1] + bread[1, 1]) / 2)
    found = calibration.calibration_slope(probability, target, np.arange(90))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-4)


def calibrated(seed: int, patients: int, each: int = 1, together: float = 0.0):
    """Right probabilities; with chance `together` all cases of a patient follow one number."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), each)
    probability = np.clip(generator.beta(1, 2, patients)[patient] + generator.uniform(-0.1, 0.1, len(patient)), 0, 1)
    common, own = generator.random(patients)[patient], generator.random(len(patient))
    joined = (generator.random(patients) < together)[patient]
    return probability, (np.where(joined, common, own) < probability).astype(np.int64), patient


@pytest.mark.parametrize("together", [0.0, 0.4, 1.0])
def test_shared_outcomes_are_found_again(together):
    probability, target, patient = calibrated(1, 3000, 4, together)
    found = calibration.shared_outcomes(probability, target, patient)
    assert found == pytest.approx(together, abs=0.06)
    # By brute force over the pairs of each patient.
    few = patient < 200
    residual, above, below = target - probability, 0.0, 0.0
    for k in range(200):
        own = np.flatnonzero(patient == k)
        for i in own:
            for j in own[own > i]:
                above += residual[i] * residual[j]
                below += min(probability[i], probability[j]) - probability[i] * probability[j]
    expected = np.clip(above / below, 0, 1)
    assert calibration.shared_outcomes(probability[few], target[few], patient[few]) == pytest.approx(expected)
    alone = calibration.shared_outcomes(probability, target, np.arange(len(target)))
    assert alone == 0


@pytest.mark.parametrize(("each", "together"), [(1, 0.0), (5, 0.8)])
def test_band_holds_the_curve_of_a_calibrated_model(each, together):
    """Pointwise: .95 of the points, on average over samples; without the patients far fewer where outcomes are shared."""
    inside, naive = [], []
    for seed in range(20):
        probability, target, patient = calibrated(seed, 200, each, together)
        band = calibration.reliability_band(probability, target, patient, points=21, resamples=100)
        low, curve, high = (np.array(band[name][2:17], float) for name in ("low", "curve", "high"))
        inside.append(np.mean((low <= curve + 1e-12) & (curve <= high + 1e-12)))
        if each > 1:
            alone = calibration.reliability_band(probability, target, np.arange(len(target)), points=21, resamples=100)
            low, high = (np.array(alone[name][2:17], float) for name in ("low", "high"))
            naive.append(np.mean((low <= curve + 1e-12) & (curve <= high + 1e-12)))
    assert 0.91 < np.mean(inside) < 0.98
    if each > 1:
        assert np.mean(naive) < 0.85


def test_band_shows_what_is_miscalibrated_and_is_json():
    probability, target, patient = calibrated(2, 2000)
    band = calibration.reliability_band(np.sqrt(probability), target, patient, resamples=200)
    assert band["share_of_cases_outside"] > 0.8
    right = calibration.reliability_band(probability, target, patient, resamples=200)
    assert right["share_of_cases_outside"] < 0.2
    assert right["kind"] == "consistency"
    grid, low, high = (np.array(right[name], float) for name in ("grid", "low", "high"))
    known = np.isfinite(low)
    np.testing.assert_array_equal(known, (grid >= probability.min()) & (grid <= probability.max()))
    middle = known & (grid > 0.1) & (grid < 0.8)
    assert np.all((low[middle] < grid[middle]) & (grid[middle] < high[middle]))
    again = calibration.reliability_band(probability[::-1], target[::-1], patient[::-1], resamples=200)
    assert again["curve"] == right["curve"]
    json.dumps(right, allow_nan=False)


def test_band_curve_is_the_isotonic_regression_at_the_grid():
    probability, target, patient = calibrated(3, 300)
    probability = np.round(probability, 2)
    band = calibration.reliability_band(probability, target, patient, resamples=20)
    fitted = IsotonicRegression().fit(probability, target)
    grid = np.array(band["grid"])
    inside = (grid >= probability.min()) & (grid <= probability.max())
    np.testing.assert_allclose(np.array(band["curve"], float)[inside], fitted.predict(grid[inside]), atol=1e-9)


def test_band_of_one_level_one_case_and_one_class():
    for probability, target in (
        (np.full(30, 0.3), np.arange(30) % 3 == 0),
        (np.array([0.5]), np.array([1])),
        (np.linspace(0.2, 0.6, 30), np.zeros(30, np.int64)),
        (np.array([0.0, 1.0, 1.0]), np.array([0, 1, 1])),
    ):
        band = calibration.reliability_band(probability, target.astype(np.int64), np.arange(len(target)), resamples=50)
        json.dumps(band, allow_nan=False)
        assert any(value is not None for value in band["curve"]) == bool(
            np.any((np.array(band["grid"]) >= probability.min()) & (np.array(band["grid"]) <= probability.max()))
        )


def test_index_of_prediction_accuracy_is_one_minus_a_ratio_of_brier_scores():
    probability, target, patient = calibrated(4, 300, 2)
    found = calibration.prediction_accuracy(probability, target, patient)
    base = np.mean((target - target.mean()) ** 2)
    assert found.estimate == pytest.approx(1 - brier_score_loss(target, probability) / base, abs=1e-12)
    same = resampling.studentised(resampling.r2_on_log_scale(probability, target), patient, scale="log(1 - x)")
    assert (found.low, found.high) == pytest.approx((same.low, same.high), abs=1e-9)
    two = calibration.prediction_accuracy(np.stack([1 - probability, probability], -1), target, patient)
    assert (two.estimate, two.low, two.high) == pytest.approx((found.estimate, found.low, found.high), abs=1e-12)
    prevalence = calibration.prediction_accuracy(np.full(600, target.mean()), target, patient)
    assert prevalence.estimate == pytest.approx(0, abs=1e-12)
    assert "one class" in calibration.prediction_accuracy(probability, np.ones(600, np.int64), patient).reason
    perfect = calibration.prediction_accuracy(target.astype(np.float64), target, patient)
    assert perfect.estimate == 1
    assert "no variation" in perfect.reason


def test_index_of_prediction_accuracy_of_several_classes():
    generator = np.random.default_rng(5)
    values, patient = generator.dirichlet(np.ones(4), 160), np.arange(160) // 2
    target = np.array([generator.choice(4, p=p) for p in values])
    outcome = np.eye(4)[target]
    expected = 1 - np.sum((values - outcome) ** 2) / np.sum((outcome.mean(axis=0) - outcome) ** 2)
    found = calibration.prediction_accuracy(values, target, patient)
    assert found.estimate == pytest.approx(expected, abs=1e-12)
    # Its standard error by the jackknife of patients; Student's quantile is near the bootstrap's.
    kept = [patient != k for k in range(80)]
    single = [
        calibration.prediction_accuracy(values[k], target[k], patient_codes(patient[k]), resamples=0).estimate
        for k in kept
    ]
    error = np.sqrt(79 * np.var(np.log(1 - np.array(single))))
    width = np.log(1 - found.low) - np.log(1 - found.high)
    assert width / 2 / stats.t.ppf(0.975, 79) == pytest.approx(error, rel=0.15)


def test_classwise_summaries_are_those_of_one_class_against_the_rest():
    generator = np.random.default_rng(6)
    values, patient = generator.dirichlet(np.ones(3), 400), np.arange(400) // 2
    target = np.array([generator.choice(3, p=p) for p in values])
    target[target == 2] = np.where(np.arange((target == 2).sum()) < 8, 2, 0)
    found = calibration.classwise(values, target, patient, ("a", "b", "c"))
    slope = calibration.calibration_slope(values[:, 1], target == 1, patient)
    assert found["b"]["slope"]["estimate"] == slope.estimate
    assert found["b"]["reliability"] == calibration.reliability(values[:, 1], target == 1)
    assert list(found["c"]) == ["reason"]
    assert "patients have this class: 10 are needed" in found["c"]["reason"]
    json.dumps(found, allow_nan=False)
    with pytest.raises(InputError, match="3 columns of probabilities for 2 names"):
        calibration.classwise(values, target, patient, ("a", "b"))
