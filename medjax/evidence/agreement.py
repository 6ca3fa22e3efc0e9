"""Do two ways of measuring one quantity agree? Bias and limits of agreement, by patient."""

from collections.abc import Callable
from typing import Any

import numpy as np

from medjax.evidence.intervals import Cases, Interval, Patients
from medjax.evidence.resampling import smooth


def agreement(
    predicted: Cases, observed: Cases, patient: Patients, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Bias and limits of agreement (bias -/+ 1.96 sd of predicted - observed), by patient.

    Source: Bland & Altman, Lancet 327:307 (1986); the intervals are those of `resampling.smooth`.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(observed, np.float64)

    def limit(side: float) -> Callable[[Any], Any]:
        def metric(weights: np.ndarray | None) -> Any:
            own = np.ones(len(difference)) if weights is None else weights
            count = own.sum(-1)
            mean = own @ difference / count
            spread = own @ difference**2 / count - mean**2
            return mean + side * np.sqrt(np.maximum(spread, 0.0) * count / np.maximum(count - 1, 1))

        return metric

    sides = {"bias": 0.0, "lower limit of agreement": -1.96, "upper limit of agreement": 1.96}
    return {
        name: smooth(limit(side), patient, scale="plain", level=level, resamples=resamples, seed=seed)
        for name, side in sides.items()
    }
