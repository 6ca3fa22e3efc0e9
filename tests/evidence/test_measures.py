"""Warnings that go with the design, and the intervals of squared errors and average precision."""

import numpy as np
import pytest

from medjax.evidence import measures, resampling
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


def test_squared_errors_get_the_interval_of_a_mean_square():
    generator = np.random.default_rng(1)
    value, patient = generator.normal(size=90), np.arange(90) // 3
    prediction = value + generator.normal(size=90)
    found = measures.interval("mean_squared_error", prediction[:, None], setting(value, "value", patient))
    expected = resampling.mean_square((prediction - value) ** 2, patient)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_average_precision_takes_a_little_from_the_jackknifes_variance():
    generator = np.random.default_rng(2)
    target = np.repeat([0, 1], [60, 30])
    positive = 1 / (1 + np.exp(-generator.normal(size=90) - target))
    found = measures.interval("auprc", np.stack([1 - positive, positive], -1), setting(target, "probability"))
    plain = resampling.smooth(lambda w: classification.auprc(positive, target, w), np.arange(90), scale="logit")
    assert 0.95 < (found.high - found.low) / (plain.high - plain.low) < 0.99
