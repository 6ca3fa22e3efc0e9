"""Warnings that go with the design, and the intervals of squared errors and average precision."""

from dataclasses import replace

import numpy as np
import pytest

from medjax.evidence import intervals, measures, resampling
from medjax.evidence.setting import Setting
from medjax.metrics import classification


def setting(target: np.ndarray, kind: str, patient: np.ndarray | None = None) -> Setting:
    patient = np.arange(len(target)) if patient is None else patient
    names, positive = (("no", "yes"), 1) if kind == "probability" else ((), None)
    return Setting(target, patient, None, kind, names, positive, 0.5, 0.95, 50, 0)


@pytest.mark.parametrize("noise", [1e-3, 1.0, 100.0])
def test_squared_errors_warn_by_the_number_of_patients_alone(noise):
    generator = np.random.default_rng(0)
    for size, cases, warned in ((60, 1, True), (199, 1, True), (200, 1, False), (400, 4, True)):
        value = generator.normal(size=size)
        chosen = setting(value, "value", np.arange(size) // cases)
        found = measures.interval("mean_squared_error", value[:, None] + noise, chosen)
        assert found.reason  # the same error everywhere
        found = measures.interval(
            "mean_squared_error", value[:, None] + noise * generator.normal(size=(size, 1)), chosen
        )
        assert ("heavy" in measures.warnings("mean_squared_error", found, chosen)) == warned
        assert "heavy" not in measures.warnings("mean_absolute_error", found, chosen)


def test_squared_errors_get_the_interval_of_a_skewed_mean():
    generator = np.random.default_rng(1)
    value, patient = generator.normal(size=90), np.arange(90) // 3
    prediction = value + generator.normal(size=90)
    found = measures.interval("mean_squared_error", prediction[:, None], setting(value, "value", patient))
    expected = resampling.skewed_mean((prediction - value) ** 2, patient)
    assert (found.low, found.high) == (expected.low, expected.high)


def probabilities(positive: np.ndarray) -> np.ndarray:
    return np.stack([1 - positive, positive], -1)


def judged(wrong: int, size: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of `size` cases of which the first `wrong`, all of class 1, lie on the wrong side."""
    target = np.repeat([1, 0], size // 2)
    positive = np.where(target == 1, 0.9, 0.1) + np.random.default_rng(0).uniform(-0.05, 0.05, size)
    positive[:wrong] = 0.2
    return probabilities(positive), target


@pytest.mark.parametrize("name", ["brier", "log_loss"])
def test_losses_get_the_interval_of_a_skewed_mean_and_a_warning_with_few_wrong(name):
    for wrong, warned in ((0, True), (4, True), (5, False)):
        values, target = judged(wrong)
        found = measures.interval(name, values, setting(target, "probability"))
        per_case = getattr(classification, f"{name}_values")(values[:, 1], target)
        expected = resampling.skewed_mean(per_case, np.arange(80))
        assert (found.low, found.high) == (expected.low, expected.high)
        assert (f"only {wrong} of 80 patients" in found.warning) == warned


@pytest.mark.parametrize(
    "name", ["accuracy", "sensitivity", "negative_predictive_value", "balanced_accuracy", "f1", "matthews"]
)
def test_decisions_warn_where_one_to_four_patients_differ(name):
    for wrong, warned in ((0, False), (1, True), (4, True), (5, False)):
        values, target = judged(wrong)
        found = measures.interval(name, values, setting(target, "probability"))
        assert bool(found.warning) == warned, (name, wrong)
        assert found.low < found.estimate <= found.high
    # Several cases of one patient are one patient; two classes of one case each are as near to the other limit.
    values, target = judged(6)
    six = measures.interval(name, values, setting(target, "probability", np.arange(80) // 2))
    assert "3 of" in six.warning


def test_balanced_accuracy_is_the_score_interval_of_the_classes_shares():
    values, target = judged(6)
    found = measures.interval("balanced_accuracy", values, setting(target, "probability"))
    expected = intervals.mean_of_shares([np.repeat([0, 1], [6, 34]), np.ones(40)])
    assert (found.estimate, found.low, found.high) == (expected.estimate, expected.low, expected.high)


def test_what_was_simulated_with_very_few_or_with_folds_stands_in_the_warning():
    values, target = judged(6)
    few = np.where(np.cumsum(target) <= 3, target, 0)  # three positives
    found = measures.interval("balanced_accuracy", values, setting(few, "probability"))
    text = measures.warnings("balanced_accuracy", found, setting(few, "probability"))
    assert "only 3 independent patients" in text
    assert "1 to 4: down to 0.73" in text
    folded = replace(setting(target, "probability"), fold=np.arange(80) % 5)
    assert "down to 0.86 with fewer" in measures.warnings("auprc", found, folded)
    assert "cross-validated" not in measures.warnings("auroc", found, folded)
    assert "cross-validated" not in measures.warnings("auprc", found, setting(target, "probability"))
    many = replace(setting(np.repeat(target, 5), "probability"), fold=np.arange(400) % 5)
    assert "cross-validated" not in measures.warnings("auprc", found, many)
