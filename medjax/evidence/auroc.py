"""AUROC with its interval: DeLong on the logit scale, summed by patient, pairs within folds.

The variance comes from the influence of each case (DeLong, Biometrics 44:837, 1988), summed by patient where a patient
has several cases (Obuchowski, Biometrics 53:567, 1997). The same influences serve macro-AUROC and paired differences.
Two corrections were found by simulation (`benchmarks/coverage.py`): part of a pseudo-case a class in the variance, without
which intervals near 1 are too short, and Wilson's limit with the smaller class where the estimate is exactly 1.
"""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import (
    SCALES,
    Cases,
    Interval,
    Patients,
    count_patients,
    normal_quantile,
    patient_sums,
    t_quantile,
    undefined,
    wilson,
)

Influence = Float[np.ndarray, "cases 2"]
# A rule on the design, not on the scores: how few cases the lost pairs rest on was tried, and did not mark the intervals
# that miss, because a sample without its rare misjudged cases looks harmless.
FEW_PATIENTS = 100
TAIL_WARNING = "simulated coverage .91 where a few positives score as negatives do (30 + 90 patients, AUROC .95)"
PSEUDO_CASES = 0.75  # a class; chosen by simulation over AUROC .75 to .98 and 30 to 400 patients a class


def auroc_influence(score: Cases, target: Cases, fold: Cases | None = None) -> tuple[float, Influence]:
    """AUROC and the influence of each case on it: column 1 holds positive cases, column 0 negative ones.

    With folds, pairs within a fold only. O(n log n) (Sun & Xu, IEEE Signal Process. Lett. 21:1389, 2014). NaN without
    a pair.
    """
    score, positive = np.asarray(score, np.float64), np.asarray(target).astype(bool)
    wins, rivals = np.zeros(len(score)), np.zeros(len(score))
    for part in [np.arange(len(score))] if fold is None else [np.flatnonzero(fold == name) for name in np.unique(fold)]:
        positives, negatives = part[positive[part]], part[~positive[part]]
        for own, others, sign in ((positives, negatives, 1), (negatives, positives, -1)):
            ordered = np.sort(sign * score[others])
            below = np.searchsorted(ordered, sign * score[own], "left")
            wins[own] = (below + np.searchsorted(ordered, sign * score[own], "right")) / 2
            rivals[own] = len(others)
    pairs = float(rivals[positive].sum())
    if not pairs:
        return math.nan, np.zeros((len(score), 2))
    estimate = float(wins[positive].sum()) / pairs
    influence = (wins - estimate * rivals) / pairs
    return estimate, np.stack([np.where(positive, 0.0, influence), np.where(positive, influence, 0.0)], axis=-1)


def influence_variance(influence: Influence, target: Cases, patient: Patients) -> float:
    """Variance of an AUROC (or of a difference of two) from influences, summed by patient.

    A class with k patients is scaled by k / (k - 1), which makes it DeLong's variance with one case a patient.
    """
    positive = np.asarray(target).astype(bool)
    sums = patient_sums(influence, patient)
    counts = np.array([count_patients(patient, ~positive), count_patients(patient, positive)], np.float64)
    total = (sums * np.sqrt(counts / np.maximum(counts - 1, 1))).sum(-1)
    return float(total @ total)


def _logit_interval(estimate: float, variance: float, fewest: int, level: float, method: str) -> Interval:
    if estimate in (0.0, 1.0):
        low, high = wilson(estimate * fewest, fewest, level)
        return Interval(estimate, low, high, level, "Wilson with the smaller class as cases (AUROC at its limit)")
    forward, derivative, back = SCALES["logit"]
    half = normal_quantile(level) * math.sqrt(variance) * derivative(estimate)
    return Interval(
        estimate, float(back(forward(estimate) - half)), float(back(forward(estimate) + half)), level, method
    )


def _method(name: str, patient: Patients, fold: Cases | None) -> str:
    name = name if len(np.unique(patient)) == len(patient) else f"{name} by patient (Obuchowski)"
    return f"{name}, logit scale" + ("" if fold is None else ", pairs within folds, conditional on the fold models")


def auroc(
    score: Cases, target: Cases, patient: Patients, *, fold: Cases | None = None, level: float = 0.95
) -> Interval:
    """AUROC of a binary target (1 = positive) with its interval."""
    positive = np.asarray(target).astype(bool)
    estimate, influence = auroc_influence(score, target, fold)
    if not math.isfinite(estimate):
        return undefined(
            "no pair of a positive and a negative case" + (" in one fold" if fold is not None else ""), level
        )
    counts = [count_patients(patient, positive), count_patients(patient, ~positive)]
    if min(counts) < 2:
        return undefined("a class has fewer than two patients", level, estimate)
    pseudo = PSEUDO_CASES * estimate * (1 - estimate) * sum(1 / count**2 for count in counts)
    variance = influence_variance(influence, target, patient) + pseudo
    interval = _logit_interval(estimate, variance, min(counts), level, _method("DeLong", patient, fold))
    if estimate > 0.9 and min(counts) < FEW_PATIENTS:
        interval = replace(interval, warning=TAIL_WARNING)
    return interval


def macro_auroc(
    probability: Float[np.ndarray, "cases classes"],
    target: Cases,
    patient: Patients,
    *,
    fold: Cases | None = None,
    level: float = 0.95,
) -> Interval:
    """Unweighted mean over classes of the AUROC against the rest, with its interval."""
    classes = probability.shape[1]
    total, pseudo, fewest = 0.0, 0.0, len(target)
    variance_sums = np.zeros(int(patient.max()) + 1)
    for k in range(classes):
        own = np.asarray(target) == k
        estimate, influence = auroc_influence(probability[:, k], own, fold)
        counts = [count_patients(patient, own), count_patients(patient, ~own)]
        if not math.isfinite(estimate) or min(counts) < 2:
            return undefined("a class has fewer than two patients, or no pair in any fold", level)
        scale = np.sqrt([counts[1] / (counts[1] - 1), counts[0] / (counts[0] - 1)])
        variance_sums = variance_sums + patient_sums(influence, patient) @ scale / classes
        pseudo += PSEUDO_CASES * estimate * (1 - estimate) * sum(1 / count**2 for count in counts) / classes**2
        total, fewest = total + estimate / classes, min(fewest, *counts)
    variance = float(variance_sums @ variance_sums) + pseudo
    total = 1.0 if total > 1 - 1e-12 else total
    return _logit_interval(total, variance, fewest, level, _method("macro DeLong", patient, fold))


def auroc_difference(
    score: Cases,
    reference: Cases,
    target: Cases,
    patient: Patients,
    *,
    fold: Cases | None = None,
    level: float = 0.95,
) -> tuple[Interval, float]:
    """AUROC of `score` minus AUROC of `reference` on the same cases, with its interval; and the standard error."""
    positive = np.asarray(target).astype(bool)
    ours, influence = auroc_influence(score, target, fold)
    theirs, reference_influence = auroc_influence(reference, target, fold)
    estimate = ours - theirs
    fewest = min(count_patients(patient, positive), count_patients(patient, ~positive))
    if not math.isfinite(estimate) or fewest < 2:
        return undefined("a class has fewer than two patients", level, estimate), math.nan
    error = math.sqrt(influence_variance(influence - reference_influence, target, patient))
    if error == 0.0 and min(ours, theirs) == 1.0:
        return undefined("both predictors order every pair: no interval can be estimated", level, estimate), math.nan
    half = t_quantile(level, fewest - 1) * error
    method = _method("paired DeLong", patient, fold).replace(", logit scale", "")
    return Interval(estimate, estimate - half, estimate + half, level, method), error
