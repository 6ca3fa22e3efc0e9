"""Paired comparison of two predictors on the same cases, and the verdict against a margin stated beforehand."""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import Interval, Patients, t_quantile, undefined
from medjax.evidence.resampling import standard_error

DETECTABLE = 2.8  # 1.96 + .84: two-sided .05, power .80
SINGLE_MODELS = "single models; patients and seeds vary (Welch-Satterthwaite)"


def verdict(interval: Interval, margin: float | int | None, *, higher_is_better: bool = True) -> str:
    """What the interval of (ours - reference) allows to say against a margin that was stated beforehand."""
    if interval.reason or not math.isfinite(interval.low):
        return "not estimable"
    low, high = (interval.low, interval.high) if higher_is_better else (-interval.high, -interval.low)
    if low > 0:
        return "superior"
    if margin is None:
        return "inferior" if high < 0 else "no difference shown"
    if high < -margin:
        return f"inferior, margin {margin:g}"
    if low > -margin:
        return f"non-inferior, margin {margin:g}"
    return f"inconclusive, margin {margin:g}"


def smallest_detectable(error: float) -> float:
    """The true difference that these cases would show with power .80 (two-sided .05): 2.8 paired standard errors."""
    return DETECTABLE * error


def predictors(
    metric: Callable[[np.ndarray | None], np.ndarray],
    reference: Callable[[np.ndarray | None], np.ndarray],
    patient: Patients,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Interval, float]:
    """Paired difference of any metric: both sides on the same resamples of patients. Also the standard error.

    Each side maps weights (..., cases), or None, to (...).
    """
    estimate = float(metric(None)) - float(reference(None))
    patients = int(patient.max()) + 1
    if not math.isfinite(estimate) or patients < 3:
        return undefined("undefined for these cases", level, estimate), math.nan
    error, how = standard_error(lambda w: metric(w) - reference(w), patient, resamples=resamples, seed=seed)
    if not math.isfinite(error):
        return undefined("undefined in the resamples", level, estimate), math.nan
    if error == 0.0:
        return undefined("the difference does not vary between patients: no interval", level, estimate), error
    half = t_quantile(level, patients - 1) * error
    return Interval(estimate, estimate - half, estimate + half, level, f"paired, {how}"), error


def with_seeds(
    seeds: Float[np.ndarray, " members"],
    reference_seeds: Float[np.ndarray, " reference_members"],
    patient_variance: float | int,
    patient_degrees: float | int,
) -> tuple[float, float]:
    """Variance of a difference when patients and seeds vary, and its Welch-Satterthwaite degrees of freedom.

    How much the seeds differ on these patients holds the interaction of the two as well: the sum is rather too large.
    """
    parts = [(patient_variance, patient_degrees)]
    parts += [(float(np.var(x, ddof=1)) / len(x), len(x) - 1) for x in (seeds, reference_seeds) if len(x) > 1]
    variance = float(sum(part for part, _ in parts))
    return variance, variance**2 / sum(part**2 / free for part, free in parts) if variance else 1.0


__all__ = ["predictors", "smallest_detectable", "verdict", "with_seeds"]
