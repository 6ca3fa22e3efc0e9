"""Metrics of masks and their intervals by patient, from what `medjax.metrics.segmentation.measures` gave for each case.

A metric of several classes is the mean over the classes within a case, then over cases; lesions of all classes are counted
together. A run of several seeds is judged by the masks that its models give together, the single models beside it. A table
of several seeds without such rows has the mean over the seeds as a case's value: the metric of a single model, averaged.

Means are skewed: a few failures rule them. Their intervals are those of `resampling.skewed_mean`, of 1 - Dice and of what
else has 1 as its best value; simulated coverage stands in `benchmarks/coverage_segmentation.py`.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import (
    Cases,
    Interval,
    Patients,
    count_patients,
    near_a_limit,
    normal_quantile,
    patient_sums,
    t_quantile,
    undefined,
    wilson,
)
from medjax.evidence.resampling import skewed_mean
from medjax.evidence.setting import SEGMENTATION, Setting
from medjax.metrics.classification import ratio, weighted_mean

Values = Float[np.ndarray, "cases outputs"]
RARE = 100  # patients: with fewer, a failure of one in twenty may well be missing
FAILING = ("dice", "iou", "surface_dice", "hausdorff_95", "mean_surface_distance")
BEST_AT_ONE = ("dice", "iou", "surface_dice")


def measure(name: str, values: Values, setting: Setting) -> Float[np.ndarray, "cases classes"]:
    """One measure of each case and class."""
    table = values.reshape(len(values), len(setting.classes), len(setting.measures))
    return table[:, :, setting.measures.index(name)]


def per_case(name: str, values: Values, setting: Setting) -> Cases:
    """What each case adds to a mean, one of `SEGMENTATION` but the sensitivity to lesions."""
    return measure(SEGMENTATION[name][0], values, setting).mean(-1)


def point(name: str, values: Values, setting: Setting) -> Callable[..., np.ndarray]:
    """A metric of these cases as a function of case weights (..., cases), or None."""
    if name == "lesion_sensitivity":
        there, found = _lesions(values, setting)
        return lambda weights: ratio(
            found.sum() if weights is None else weights @ found, there.sum() if weights is None else weights @ there
        )
    own = per_case(name, values, setting)
    return lambda weights: weighted_mean(own, weights)


def interval(name: str, values: Values, setting: Setting) -> Interval:
    """A metric with its interval by patient."""
    if name == "lesion_sensitivity":
        there, detected = _lesions(values, setting)
        return share(detected, there, setting.patient, setting.level)
    own = per_case(name, values, setting)
    if name not in BEST_AT_ONE:
        return skewed_mean(own, setting.patient, setting.level)
    found = replace(skewed_mean(1 - own, setting.patient, setting.level), estimate=float(own.mean()))
    if not math.isfinite(found.high):
        return found
    return replace(found, low=max(1 - found.high, 0.0), high=1 - found.low, method=f"{found.method} of 1 - x")


def share(above: Cases, below: Cases, patient: Patients, level: float = 0.95) -> Interval:
    """sum(above) / sum(below), a share of things that come in clusters: Wilson with their effective number.

    The design effect is that of the linearised ratio, by patient (Rao & Scott, Biometrics 48:577, 1992), with Student's
    quantile for the number of patients. Where all patients agree it cannot be estimated, and patients are counted.
    """
    total, having = float(below.sum()), count_patients(patient, below > 0)
    if not total:
        return undefined("there is no lesion", level)
    found = float(above.sum()) / total
    effective = float(having)
    residual = patient_sums((above - found * below).astype(np.float64), patient)
    variance = having / max(having - 1, 1) * float(residual @ residual) / total**2
    if having > 1 and 0 < found < 1 and variance > 0:
        shrink = (normal_quantile(level) / t_quantile(level, having - 1)) ** 2
        effective = min(max(found * (1 - found) / variance * shrink, 1.0), total)
    low, high = wilson(found * effective, effective, level)
    rarer = below - above if found >= 0.5 else above
    warning = near_a_limit(count_patients(patient, rarer > 0), having)
    return Interval(found, low, high, level, "Wilson, lesions clustered by patient", warning=warning)


def described(name: str, values: Values, setting: Setting) -> dict:
    """Median and quartiles over cases, a description without interval; the two counts behind the sensitivity."""
    if name == "lesion_sensitivity":
        there, found = _lesions(values, setting)
        return {"numerator": round(float(found.sum())), "denominator": round(float(there.sum()))}
    low, middle, high = np.quantile(per_case(name, values, setting), [0.25, 0.5, 0.75]).tolist()
    return {"median": middle, "quartiles": [low, high]}


def rare_failures(name: str, setting: Setting) -> str:
    """The warning of a rule on the design: a sample without its rare failures looks both good and certain."""
    if setting.kind != "segmentation" or name not in FAILING or int(setting.patient.max()) + 1 >= RARE:
        return ""
    return (
        f"with fewer than {RARE} patients rare failures may be missing: where one mask in twenty fails, simulated coverage "
        "is .78 with 30 patients, .93 with 60"
    )


def _lesions(values: Values, setting: Setting) -> tuple[Cases, Cases]:
    """Lesions of each case, and how many of them are found."""
    return measure("lesions", values, setting).sum(-1), measure("lesions_found", values, setting).sum(-1)
