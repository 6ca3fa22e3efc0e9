"""The interval of a positive ratio of two sums over cases, such as a mean error, by patient."""

import numpy as np

from medjax.evidence import resampling
from medjax.evidence.intervals import Cases, Interval, Patients, patient_sums, undefined


def ratio_of_sums(
    above: Cases, below: Cases, patient: Patients, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Interval:
    """sum(above) / sum(below) with its studentised interval on the log scale.

    Undefined where the ratio is that of every patient: nothing then shows how it varies.
    """
    total = float(below.sum())
    if not total:
        return undefined("no case to take a mean of", level)
    estimate = float(above.sum()) / total
    sums = patient_sums(above - estimate * below, patient)
    if estimate == 0 or float(np.abs(sums).max()) <= 1e-9 * abs(estimate):  # rounding alone
        return undefined("no variation between patients to make an interval from", level, estimate)

    def function(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return sums[:, 0] / sums[:, 1], np.stack([1 / sums[:, 0], -1 / sums[:, 1]], axis=-1)

    moments = np.stack([above, below], axis=-1).astype(np.float64), function
    return resampling.studentised(moments, patient, scale="log", level=level, resamples=resamples, seed=seed)
