"""AUROC with its interval: DeLong on the logit scale, summed by patient, pairs within folds.

The variance comes from the influence of each case (DeLong, Biometrics 44:837, 1988), summed by patient where a patient
has several cases (Obuchowski, Biometrics 53:567, 1997). The same influences serve macro-AUROC and paired differences.
That variance is itself uncertain where few patients carry it, so the quantile is Student's with Satterthwaite's degrees
of freedom (Biometrics Bull. 2:110, 1946) from the influences' fourth moments. `benchmarks/coverage.py` simulates it.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from medjax.evidence.intervals import (
    SCALES,
    Cases,
    Interval,
    Patients,
    count_patients,
    patient_sums,
    t_quantile,
    undefined,
    wilson,
)

Influence = Float[np.ndarray, "cases 2"]
# Chosen by simulation over AUROC .6 to .98, 30 to 1,000 patients a class, and scores with light and heavy tails.
SHIFT = 0.2  # of a pseudo-case a class, ordered by chance, moves the centre of the interval towards 1/2, yet no further
# than by half of what is missing to 1 (or to 0), nor by more than
MOST_SHIFT = 0.4  # of the standard error: near 1 a large sample knows better
UNSEEN = 0.03  # of a case a class, misjudged throughout, enters the fourth moments: samples often lack the rare ones
LEAST_DEGREES = 4.0
LEAST_CASES = 0.5  # of a pseudo-case a class is the least variance: scores that are all tied show none
# A rule on the design, not on the scores: a sample without its rare misjudged cases looks harmless.
FEW_PATIENTS = 200
TAIL_WARNING = (
    "with fewer than 200 patients in a class, simulated coverage falls to .90 (AUROC .95) and .84 (.98) where rare cases "
    "score as the other class does (30 + 90 patients)"
)


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


def _patient_influence(
    influence: Influence, counts: tuple[int, int], patient: Patients
) -> Float[np.ndarray, " patients"]:
    """Influence of each patient; a class with k patients is scaled by k / (k - 1) on the scale of variances."""
    sizes = np.array(counts, np.float64)
    return patient_sums(influence, patient) @ np.sqrt(sizes / np.maximum(sizes - 1, 1))


def _class_patients(positive: Cases, patient: Patients) -> tuple[int, int]:
    return count_patients(patient, ~positive), count_patients(patient, positive)


def influence_variance(influence: Influence, target: Cases, patient: Patients) -> float:
    """Variance of an AUROC (or of a difference of two) from influences, summed by patient.

    A class with k patients is scaled by k / (k - 1), which makes it DeLong's variance with one case a patient.
    """
    counts = _class_patients(np.asarray(target).astype(bool), patient)
    total = _patient_influence(influence, counts, patient)
    return float(total @ total)


def _corrections(estimate: float, counts: tuple[int, int]) -> Float[np.ndarray, "3"]:
    """Shift of the centre towards 1/2; least variance; what cases that were not seen add to the fourth moments."""
    shift = min(SHIFT * abs(estimate - 0.5) * sum(1 / count for count in counts), min(estimate, 1 - estimate) / 2)
    least, unseen = (
        share * estimate * (1 - estimate) * sum(1 / count**power for count in counts)
        for share, power in ((LEAST_CASES, 2), (UNSEEN, 4))
    )
    return np.array([math.copysign(shift, estimate - 0.5), least, unseen])


def _logit_interval(found: "Ranking", level: float, method: str) -> Interval:
    """Symmetric on the logit scale."""
    estimate, fewest, total = found.estimate, found.fewest, found.total
    warning = TAIL_WARNING if fewest < FEW_PATIENTS else ""
    if estimate in (0.0, 1.0):
        low, high = wilson(estimate * fewest, fewest, level)
        limit = "Wilson with the smaller class as cases (AUROC at its limit)"
        return Interval(estimate, low, high, level, limit, warning=warning)
    shift, least, unseen = (float(one) for one in found.corrections)
    forward, derivative, back = SCALES["logit"]
    variance = max(float(total @ total), least)
    centre = estimate - math.copysign(min(abs(shift), MOST_SHIFT * math.sqrt(variance)), shift)
    # The squared error of the variance, a sum of squares, is at most the sum of their squares.
    degrees = 2 * variance**2 / (float((total**4).sum()) + unseen)
    half = t_quantile(level, max(degrees, LEAST_DEGREES)) * math.sqrt(variance) * float(derivative(centre))
    low, high = float(back(forward(centre) - half)), float(back(forward(centre) + half))
    return Interval(estimate, min(low, estimate), max(high, estimate), level, method, warning=warning)


def _method(name: str, patient: Patients, fold: Cases | None) -> str:
    name = name if len(np.unique(patient)) == len(patient) else f"{name} by patient (Obuchowski)"
    return f"{name}, logit scale" + ("" if fold is None else ", pairs within folds, conditional on the fold models")


@dataclass(frozen=True)
class Ranking:
    """An AUROC, or a mean of several: the estimate (NaN where a pair is missing) and what its interval needs.

    Attributes:
        estimate: the AUROC, or the unweighted mean.
        total: influence of each patient.
        corrections: see `_corrections`; of a mean over K the mean shift by the share of their variances that averaging
            leaves (a shift goes with the third moment over the second), and their sums over K^2 and K^4.
        fewest: patients of the smallest class.
    """

    estimate: float
    total: Float[np.ndarray, " patients"]
    corrections: Float[np.ndarray, "3"]
    fewest: int


def rank(
    score: Float[np.ndarray, "cases answers"],
    answer: Shaped[np.ndarray, "cases answers"],
    patient: Patients,
    fold: Cases | None = None,
) -> Ranking:
    """Mean over answers of the AUROC of each; `answer` is 1 or 0, or NaN where it is unknown and left out."""
    answers, patients = answer.shape[1], int(patient.max()) + 1
    estimate, total, corrections, fewest, alone = 0.0, np.zeros(patients), np.zeros(3), len(answer), 0.0
    for k in range(answers):
        rows = np.flatnonzero(np.isfinite(answer[:, k].astype(np.float64)))
        own = answer[rows, k] == 1
        one, influence = auroc_influence(score[rows, k], own, None if fold is None else fold[rows])
        counts = _class_patients(own, patient[rows])
        if not math.isfinite(one):
            return Ranking(math.nan, total, corrections, 0)
        estimate, fewest = estimate + one / answers, min(fewest, *counts)
        influence = _patient_influence(influence, counts, patient[rows])
        total[: len(influence)] += influence / answers
        alone += float(influence @ influence) / answers
        corrections += _corrections(one, counts) / answers ** np.array([1, 2, 4])
    if alone:
        corrections[0] *= min(float(total @ total) / alone, 1.0)
    estimate = 1.0 if estimate > 1 - 1e-12 else estimate  # a mean of ones, rounded
    return Ranking(estimate if answers else math.nan, total, corrections, fewest)


def auroc(
    score: Cases, target: Cases, patient: Patients, *, fold: Cases | None = None, level: float = 0.95
) -> Interval:
    """AUROC of a binary target (1 = positive) with its interval."""
    found = rank(np.asarray(score)[:, None], np.asarray(target).astype(bool)[:, None], patient, fold)
    if not math.isfinite(found.estimate):
        return undefined(
            "no pair of a positive and a negative case" + (" in one fold" if fold is not None else ""), level
        )
    if found.fewest < 2:
        return undefined("a class has fewer than two patients", level, found.estimate)
    return _logit_interval(found, level, _method("DeLong", patient, fold))


def macro_auroc(
    probability: Float[np.ndarray, "cases classes"],
    target: Cases,
    patient: Patients,
    *,
    fold: Cases | None = None,
    level: float = 0.95,
) -> Interval:
    """Unweighted mean over classes of the AUROC against the rest, with its interval."""
    found = rank(probability, np.asarray(target)[:, None] == np.arange(probability.shape[1]), patient, fold)
    if not math.isfinite(found.estimate) or found.fewest < 2:
        return undefined("a class has fewer than two patients, or no pair in any fold", level)
    return _logit_interval(found, level, _method("macro DeLong", patient, fold))


def labels_auroc(
    probability: Float[np.ndarray, "cases labels"],
    answer: Float[np.ndarray, "cases labels"],
    patient: Patients,
    *,
    fold: Cases | None = None,
    level: float = 0.95,
) -> Interval:
    """Unweighted mean over labels of the AUROC of each, unknown answers (NaN) left out, with its interval."""
    found = rank(probability, answer, patient, fold)
    if not math.isfinite(found.estimate):
        return undefined("a label has no pair" + (" in one fold" if fold is not None else ""), level)
    return _logit_interval(found, level, _method("macro DeLong over labels", patient, fold))


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
    fewest = min(_class_patients(positive, patient))
    if not math.isfinite(estimate) or fewest < 2:
        return undefined("a class has fewer than two patients", level, estimate), math.nan
    error = math.sqrt(influence_variance(influence - reference_influence, target, patient))
    if error == 0.0 and min(ours, theirs) == 1.0:
        return undefined("both predictors order every pair: no interval can be estimated", level, estimate), math.nan
    half = t_quantile(level, fewest - 1) * error
    method = _method("paired DeLong", patient, fold).replace(", logit scale", "")
    return Interval(estimate, estimate - half, estimate + half, level, method), error
