"""Recalibration against scipy and scikit-learn, its cross-fitting, and its answers where nothing can be fitted."""

import json

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from medjax.errors import InputError
from medjax.evidence import calibration, recalibration


def overconfident(seed: int, patients: int, classes: int = 2, each: int = 1, sharpness: float = 2.0):
    """Probabilities whose log odds are `sharpness` times too large; cases of a patient share part of them."""
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), each)
    logits = generator.normal(0, 1.2, (patients, classes))[patient] + generator.normal(0, 0.6, (len(patient), classes))
    target = np.array([generator.choice(classes, p=p) for p in softmax(logits, axis=-1)])
    return softmax(sharpness * logits, axis=-1), target, patient


@pytest.mark.parametrize("classes", [2, 4])
def test_temperature_is_the_minimum_of_an_independent_log_loss(classes):
    values, target, _ = overconfident(0, 400, classes)
    weights = np.random.default_rng(1).integers(0, 4, 400)

    def loss(temperature: float) -> float:
        return -float(weights @ log_softmax(np.log(values) / temperature, axis=-1)[np.arange(400), target])

    best = minimize_scalar(loss, bounds=(0.1, 10), method="bounded", options={"xatol": 1e-10}).x
    found = recalibration.fit("temperature", values, target, weights)
    assert found["temperature"] == pytest.approx(best, abs=1e-6)
    assert found["temperature"] == pytest.approx(2.0, abs=0.5)
    repeated = recalibration.fit("temperature", np.repeat(values, weights, axis=0), np.repeat(target, weights))
    assert repeated["temperature"] == pytest.approx(found["temperature"], abs=1e-9)
    np.testing.assert_allclose(
        recalibration.apply(found, values), softmax(np.log(values) / found["temperature"], axis=-1), atol=1e-12
    )


def test_platt_is_an_unpenalised_logistic_regression_on_the_log_odds():
    values, target, patient = overconfident(2, 300)
    weights = np.random.default_rng(3).uniform(0.1, 2, 300)
    odds = np.log(values[:, 1] / values[:, 0])
    reference = LogisticRegression(C=1e12, tol=1e-12, max_iter=10_000).fit(odds[:, None], target, sample_weight=weights)
    found = recalibration.apply(recalibration.fit("platt", values, target, weights), values)
    np.testing.assert_allclose(found, reference.predict_proba(odds[:, None]), atol=1e-6)
    slope = recalibration.fit("platt", values, target)["slopes"][1]
    assert slope == pytest.approx(calibration.calibration_slope(values[:, 1], target, patient).estimate, abs=1e-6)


def test_platt_leaves_no_miscalibration_in_the_large_in_any_class():
    values, target, _ = overconfident(4, 500, classes=3)
    parameters = recalibration.fit("platt", values, target)
    for k in range(3):
        odds = parameters["intercepts"][k] + parameters["slopes"][k] * np.log(values[:, k] / (1 - values[:, k]))
        assert np.mean(1 / (1 + np.exp(-odds))) == pytest.approx(np.mean(target == k), abs=1e-9)
    np.testing.assert_allclose(recalibration.apply(parameters, values).sum(-1), 1, atol=1e-12)


def test_isotonic_is_that_of_scikit_learn():
    values, target, _ = overconfident(5, 250)
    values = np.round(values, 2)
    target[values[:, 1] < 0.1] = 0  # so that the lowest block has no event
    weights = np.random.default_rng(6).integers(1, 4, 250)
    parameters = recalibration.fit("isotonic", values, target, weights)
    edge = 1 / (weights.sum() + 2)
    reference = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip")
    reference.fit(values[:, 1], target, sample_weight=weights)
    asked = np.linspace(0, 1, 501)
    found = recalibration.apply(parameters, np.stack([1 - asked, asked], axis=-1))
    np.testing.assert_allclose(found[:, 1], reference.predict(asked), atol=1e-9)
    assert found.min() == pytest.approx(edge)


@pytest.mark.parametrize("method", recalibration.METHODS)
@pytest.mark.parametrize("classes", [2, 3])
def test_parameters_mean_the_same_out_of_json_and_on_members(method, classes):
    values, target, _ = overconfident(7, 200, classes)
    parameters = recalibration.fit(method, values, target)
    stored = json.loads(json.dumps(parameters, allow_nan=False))
    assert stored == parameters
    once = recalibration.apply(stored, values)
    np.testing.assert_array_equal(once, recalibration.apply(parameters, values))
    members = np.stack([values, values[::-1]])
    np.testing.assert_array_equal(recalibration.apply(stored, members), np.stack([once, once[::-1]]))
    np.testing.assert_allclose(once.sum(-1), 1, atol=1e-12)
    assert np.all(once > 0)
    order = np.random.default_rng(8).permutation(200)
    again = recalibration.apply(recalibration.fit(method, values[order], target[order]), values)
    np.testing.assert_allclose(again, once, atol=1e-9)
    swapped = recalibration.fit(method, values[:, ::-1], classes - 1 - target)
    np.testing.assert_allclose(recalibration.apply(swapped, values[:, ::-1])[:, ::-1], once, atol=1e-9)


def test_separable_classes_constant_values_and_one_class():
    target = np.repeat([0, 1], 30)
    certain = np.where(target == 1, 0.9, 0.2)
    certain = np.stack([1 - certain, certain], axis=-1)
    for method in ("temperature", "platt"):
        found = recalibration.fit(method, certain, target)
        assert found["method"] == "none"
        assert "not estimable" in found["reason"]
        assert recalibration.apply(found, certain) is certain
        against = recalibration.fit(method, certain[:, ::-1], target)
        assert against["method"] == "none"
    steps = recalibration.fit("isotonic", certain, target)
    np.testing.assert_allclose(recalibration.apply(steps, certain)[[0, -1], 1], [1 / 62, 61 / 62])
    assert np.isfinite(log_loss(target, recalibration.apply(steps, certain)[:, 1]))
    constant = np.full((60, 2), 0.5)
    assert recalibration.fit("platt", constant, target)["method"] == "none"
    assert recalibration.fit("temperature", constant, target)["method"] == "none"
    for method in recalibration.METHODS:
        alone = recalibration.fit(method, certain, np.ones(60, np.int64))
        assert alone["reason"] == "not estimable: no case of class 0"
    impossible = recalibration.fit("platt", np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.4]] * 5), np.array([0, 0, 1] * 5))
    assert impossible["method"] == "platt"


def test_choose_keeps_what_helps_and_nothing_that_does_not():
    values, target, patient = overconfident(9, 300, each=2, sharpness=2.5)
    found = recalibration.choose(values, target, patient)
    table = found["log_loss"]
    assert found["method"] in ("temperature", "platt")
    assert table[found["method"]]["shown"]
    assert table[found["method"]]["difference"]["high"] < 0
    assert table["none"]["log_loss"] == pytest.approx(log_loss(target, values[:, 1]))
    for method in recalibration.METHODS:
        gap = table[method]["log_loss"] - table["none"]["log_loss"]
        assert table[method]["difference"]["estimate"] == pytest.approx(gap, abs=1e-12)
    assert found["parameters"] == recalibration.fit(found["method"], values, target)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    # Recalibrated once, no cross-fitted method may be much better: a calibrated model stays as it is.
    better = recalibration.apply(recalibration.fit("isotonic", values, target), values)
    again = recalibration.choose(better, target, patient)
    assert again["method"] == "none"
    assert again["parameters"] == {"method": "none"}
    assert again["reason"] == "no method improves the cross-fitted log loss"


def test_cross_fitting_never_judges_a_patient_by_itself():
    # Each patient's 6 equal cases decide their own probability: isotonic regression within patients would be perfect.
    generator = np.random.default_rng(10)
    patient = np.repeat(np.arange(60), 6)
    score = generator.random(60)[patient]
    target = generator.integers(0, 2, 60)[patient]
    values = np.stack([1 - score, score], axis=-1)
    fitted = recalibration.apply(recalibration.fit("isotonic", values, target), values)
    apart = recalibration.choose(np.full_like(values, 0.5), target, patient)["log_loss"]["none"]["log_loss"]
    found = recalibration.choose(values, target, patient)["log_loss"]
    assert log_loss(target, fitted[:, 1]) < apart < found["isotonic"]["log_loss"]


def test_folds_hold_whole_patients_and_share_the_rare_class():
    generator = np.random.default_rng(11)
    patient = np.repeat(np.arange(100), 3)
    target = (generator.permutation(100) < 12)[patient].astype(np.int64)
    fold = recalibration._folds(target, patient, 5, 0)
    assert all(len(np.unique(fold[patient == k])) == 1 for k in range(100))
    events = [int(target[fold == k].sum()) // 3 for k in range(5)]
    assert sorted(events) == [2, 2, 2, 3, 3]
    assert not np.array_equal(fold, recalibration._folds(target, patient, 5, 1))


def test_too_few_patients_or_events_are_not_estimable():
    values, target, patient = overconfident(12, 19, each=4)
    found = recalibration.choose(values, target, patient)
    assert found["reason"] == "not estimable: 19 patients; 20 are needed"
    assert found["method"] == "none"
    assert all(found["log_loss"][name]["log_loss"] is None for name in recalibration.METHODS)
    values, _, patient = overconfident(13, 50)
    rare = (np.arange(50) < 9).astype(np.int64)
    assert "9 patients have class 1; 10 are needed" in recalibration.choose(values, rare, patient)["reason"]


def test_calibration_part_follows_patients_and_nothing_else():
    groups = np.array([f"patient {k % 200}" for k in range(600)])
    part = recalibration.calibration_part(groups)
    np.testing.assert_array_equal(part[:200], part[200:400])
    assert 0.4 < part.mean() < 0.6
    more = recalibration.calibration_part(np.r_[groups, ["somebody new"]])
    np.testing.assert_array_equal(more[:-1], part)
    assert not np.array_equal(part, recalibration.calibration_part(groups, salt=1))
    assert np.all(recalibration.calibration_part(groups, share=0.8) >= part)
    with pytest.raises(InputError, match="cannot be divided"):
        recalibration.calibration_part(["one", "one"])
    with pytest.raises(InputError, match="share is 1"):
        recalibration.calibration_part(groups, share=1.0)


def test_mistakes_are_named():
    values, target, _ = overconfident(14, 40)
    with pytest.raises(InputError, match="unknown method 'beta'"):
        recalibration.fit("beta", values, target)
    with pytest.raises(InputError, match="known targets"):
        recalibration.fit("platt", values, np.full(40, -1))
    with pytest.raises(InputError, match="fitted on 2 classes, applied to 3"):
        recalibration.apply(recalibration.fit("platt", values, target), np.full((1, 3), 1 / 3))
