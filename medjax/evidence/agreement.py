"""Do two ways of measuring one quantity agree? Bias and limits of agreement, by patient."""

import math

import numpy as np

from medjax.evidence.intervals import Cases, Interval, Patients, undefined
from medjax.evidence.resampling import skewed_mean, smooth
from medjax.metrics.classification import weighted_mean

_NORMAL = 1.96  # between the limits lie 95 % of differences that are normal


def agreement(
    predicted: Cases, observed: Cases, patient: Patients, *, level: float = 0.95, resamples: int = 1000, seed: int = 0
) -> dict[str, Interval]:
    """Bias and limits of agreement (bias -/+ 1.96 sd of predicted - observed), by patient.

    Source: Bland & Altman, Lancet 327:307 (1986). The intervals of the limits put those of the bias and of the standard
    deviation together (MOVER; Zou, Stat. Methods Med. Res. 22:630, 2013). The latter is that of a mean of squares, which
    are skewed: a sample without its rare large differences looks both close and certain.
    """
    difference = np.asarray(predicted, np.float64) - np.asarray(observed, np.float64)
    cases = len(difference)
    bias = smooth(
        lambda weights: weighted_mean(difference, weights),
        patient, scale="plain", level=level, resamples=resamples, seed=seed,
    )  # fmt: skip
    squares = (difference - difference.mean()) ** 2 * cases / max(cases - 1, 1)
    variance = skewed_mean(squares, patient, level)
    found = {"bias": bias}
    for name, side in (("lower limit of agreement", -_NORMAL), ("upper limit of agreement", _NORMAL)):
        estimate = float(difference.mean()) + side * math.sqrt(squares.mean())
        reason = bias.reason or variance.reason
        if reason:
            found[name] = undefined(reason, level, estimate)
            continue
        sd, low, high = (math.sqrt(one) for one in (squares.mean(), variance.low, variance.high))
        inner, outer = _NORMAL * (sd - low), _NORMAL * (high - sd)
        below, above = (inner, outer) if side > 0 else (outer, inner)
        ends = math.hypot(bias.estimate - bias.low, below), math.hypot(bias.high - bias.estimate, above)
        method = "MOVER of bias and standard deviation, by patient"
        found[name] = Interval(
            estimate, estimate - ends[0], estimate + ends[1], level, method, warning=variance.warning
        )
    return found
