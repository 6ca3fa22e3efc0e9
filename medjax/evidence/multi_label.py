"""Intervals of macro metrics over several labels, by patient: the labels of a case are never taken as independent.

Every macro metric is a mean over labels, so the influence of a patient on it is the mean of its influences on the labels'
metrics (Obuchowski, Biometrics 53:567, 1997, for AUROC; ratios of sums by linearisation). A label counts where cases
with and without it are known; which ones do not is said in a warning. Coverage: `benchmarks/coverage_labels.py`.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from medjax.evidence import resampling
from medjax.evidence.auprc import auprc_influence
from medjax.evidence.auroc import Ranking, labels_auroc, rank
from medjax.evidence.intervals import (
    SCALES,
    Cases,
    Interval,
    Patients,
    count_patients,
    normal_quantile,
    patient_sums,
    proportion,
    t_quantile,
    undefined,
    wilson,
)
from medjax.evidence.ratios import ratio_of_sums
from medjax.evidence.setting import Setting
from medjax.metrics import multi_label as metrics
from medjax.metrics.multi_label import Labels

Columns = Float[np.ndarray, "cases columns"]
LEAST_DEGREES = 4.0
NONE = "no label has both a case with it and one without"


def point(name: str, values: Labels, setting: Setting) -> Callable[..., np.ndarray]:
    """A metric of these predictions as a function of case weights (..., cases), or None."""
    target = setting.target
    if name == "auroc":
        return lambda weights: metrics.macro_auroc(values, target, weights, fold=setting.fold)
    if name == "auprc":
        return lambda weights: metrics.macro_auprc(values, target, weights)
    above, below = _sums(name, values, setting)  # once, not again for each chunk of resamples
    return lambda weights: metrics.mean_of_ratios(above, below, weights)


def _sums(name: str, values: Labels, setting: Setting) -> tuple[Columns, Columns]:
    """What each case adds above and below the line of a metric that is a mean of ratios of sums."""
    target, said = setting.target, values >= setting.threshold
    if name in metrics.RATIOS:
        chosen = metrics.judged(target)
        none = np.zeros((len(target), 1))
        return metrics.ratio_parts(name, said[:, chosen], target[:, chosen]) if chosen.any() else (none, none)
    if name == "exact_match":
        right, some = metrics.exact_match_cases(said, target)
        return (right & some).astype(np.float64)[:, None], some.astype(np.float64)[:, None]
    above, below = metrics.error_parts(name, values, target)
    return above[:, None], below[:, None]


def interval(name: str, values: Labels, setting: Setting) -> Interval:
    """A macro metric with its interval."""
    target, patient, level = setting.target, setting.patient, setting.level
    said, drawn = values >= setting.threshold, {"resamples": setting.resamples, "seed": setting.seed}
    if name == "exact_match":
        right, some = metrics.exact_match_cases(said, target)
        return proportion(right[some], patient[some], level)
    if name in ("brier", "log_loss"):
        return ratio_of_sums(*metrics.error_parts(name, values, target), patient, level=level, **drawn)
    chosen = metrics.judged(target)
    if not chosen.any():
        return undefined(NONE, level)
    if name == "auroc":
        found = multi_label_auroc(values, target, patient, fold=setting.fold, level=level)
    elif name == "auprc":
        found = multi_label_auprc(values, setting)
    else:
        found = macro_ratio(name, said[:, chosen], target[:, chosen], patient, level)
    if chosen.all():
        return found
    absent = ", ".join(one for one, kept in zip(setting.classes, chosen, strict=True) if not kept)
    note = f"mean over {chosen.sum()} of {len(chosen)} labels: of {absent} only one answer is known"
    return replace(found, warning="; ".join(text for text in (note, found.warning) if text))


def multi_label_auprc(values: Labels, setting: Setting) -> Interval:
    """Unweighted mean over the judged labels of the average precision, with its interval.

    By jackknife; beyond 1,000 patients, where both agree, from the influence of each patient.
    """
    target, patient, level = setting.target, setting.patient, setting.level
    parts = _auprc_parts(values, target, patient)
    extra = float(0.3 * sum(p * (1 - p) / k**2 for p, k in parts) / len(parts) ** 2)
    if int(patient.max()) + 1 <= resampling.JACKKNIFE_PATIENTS:
        metric, drawn = point("auprc", values, setting), {"resamples": setting.resamples, "seed": setting.seed}
        return resampling.smooth(metric, patient, scale="logit", level=level, extra_variance=extra, **drawn)
    estimate, sums = macro_auprc_influence(values, target, patient)
    fewest, quantile = min(k for _, k in parts), t_quantile(level, len(sums) - 1)
    method = "influence by patient, logit scale"
    return _logit(estimate, float(sums @ sums) + extra, fewest, quantile, level, method)


def macro_auprc_influence(
    values: Labels, target: Labels, patient: Patients
) -> tuple[float, Float[np.ndarray, " patients"]]:
    """Macro average precision over the judged labels, and the influence of each patient on it."""
    kept = np.flatnonzero(metrics.judged(target))
    total, sums = 0.0, np.zeros(int(patient.max()) + 1)
    for k in kept:
        rows = np.flatnonzero(np.isfinite(target[:, k]))
        estimate, influence = auprc_influence(values[rows, k], target[rows, k] == 1)
        sums += np.bincount(patient[rows], influence, len(sums)) / len(kept)
        total += estimate / len(kept)
    return total if len(kept) else math.nan, sums


def influence(name: str, values: Labels, setting: Setting) -> tuple[float, Float[np.ndarray, " patients"]]:
    """Any metric of several labels, and the influence of each patient on it."""
    target, patient = setting.target, setting.patient
    if name == "auroc":
        found = _ranking(values, target, patient, setting.fold)
        return found.estimate, found.total
    if name == "auprc":
        return macro_auprc_influence(values, target, patient)
    above, below = _sums(name, values, setting)
    totals = below.sum(0)
    if not totals.all():
        return math.nan, np.zeros(int(patient.max()) + 1)
    share = above.sum(0) / totals
    return float(share.mean()), patient_sums(((above - share * below) / totals).mean(-1), patient)


def _auprc_parts(values: Labels, target: Labels, patient: Patients) -> list[tuple[float, int]]:
    """Average precision of each judged label, and how many patients have the label."""
    found = metrics.label_auprc(values, target)
    kept = np.flatnonzero(metrics.judged(target))
    return [(float(found[k]), count_patients(patient, target[:, k] == 1)) for k in kept]


def _ranking(probability: Labels, target: Labels, patient: Patients, fold: Cases | None) -> Ranking:
    """Macro-AUROC over the judged labels; NaN where there is none."""
    kept = metrics.judged(target)
    return rank(probability[:, kept], target[:, kept], patient, fold)


def multi_label_auroc(
    probability: Labels, target: Labels, patient: Patients, *, fold: Cases | None = None, level: float = 0.95
) -> Interval:
    """Unweighted mean over labels of the AUROC, unknown labels left out, with its interval."""
    kept = metrics.judged(target)
    found = labels_auroc(probability[:, kept], target[:, kept], patient, fold=fold, level=level)
    return found if kept.any() else undefined(NONE, level)


def degrees_of_squares(sums: Float[np.ndarray, " patients"]) -> float:
    """Degrees of freedom of a sum of squared influences, by Satterthwaite: few where a few patients carry it."""
    fourth = float((sums**4).sum())
    return max(2 * float(sums @ sums) ** 2 / fourth, LEAST_DEGREES) if fourth else LEAST_DEGREES


def macro_ratio(name: str, said: Labels | np.ndarray, target: Labels, patient: Patients, level: float) -> Interval:
    """Mean over labels of a ratio of sums (sensitivity, specificity, accuracy, F1), by linearisation."""
    above, below = metrics.ratio_parts(name, said, target)
    totals, labels = below.sum(0), target.shape[1]
    if not totals.all():
        return undefined("a label is neither present nor predicted", level)
    share = above.sum(0) / totals
    estimate = float(share.mean())
    sums = patient_sums(((above - share * below) / totals).sum(-1) / labels, patient)
    patients = len(sums)
    if patients < 2:
        return undefined("one patient only", level, estimate)
    resting = [count_patients(patient, one > 0) for one in below.T]
    # A label at 0 or 1 shows no variation: it gets the variance that Wilson's interval would imply.
    still = np.flatnonzero((share == 0) | (share == 1))
    ends = np.array([wilson(float(share[k]) * resting[k], resting[k], level) for k in still]).reshape(-1, 2)
    hidden = float((((ends[:, 1] - ends[:, 0]) / (2 * normal_quantile(level))) ** 2).sum()) / labels**2
    variance = patients / (patients - 1) * float(sums @ sums) + hidden
    method = "mean over labels, linearised by patient, logit scale"
    return _logit(estimate, variance, min(resting), t_quantile(level, patients - 1), level, method)


def _logit(estimate: float, variance: float, fewest: int, quantile: float, level: float, method: str) -> Interval:
    if estimate in (0.0, 1.0):
        low, high = wilson(estimate * fewest, fewest, level)
        return Interval(estimate, low, high, level, "Wilson with the rarest answer's patients as cases (at the limit)")
    forward, derivative, back = SCALES["logit"]
    centre, half = forward(estimate), quantile * math.sqrt(variance) * float(derivative(estimate))
    return Interval(estimate, float(back(centre - half)), float(back(centre + half)), level, method)


def scarcest(setting: Setting) -> tuple[int, str]:
    """The fewest patients with, or without, a judged label, and the words for it."""
    found = (int(setting.patient.max()) + 1, "these cases have")
    for k in np.flatnonzero(metrics.judged(setting.target)):
        for answer, word in ((1, "with"), (0, "without")):
            patients = count_patients(setting.patient, setting.target[:, k] == answer)
            if patients < found[0]:
                found = patients, f"of cases {word} '{setting.classes[k]}' there are"
    return found
