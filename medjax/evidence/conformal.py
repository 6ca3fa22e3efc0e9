"""Conformal prediction: sets of classes and intervals of values that hold the truth with a stated probability.

The promise is for patients like those of the calibration cases (exchangeable with them), and for one case, drawn at random,
of a new patient. With several cases a patient each counts for its share of the patient: hierarchical conformal prediction
(Lee, Barber & Willett, arXiv 2306.06342; Dunn, Wasserman & Ramdas, JASA 118:2491, 2023), which is split conformal prediction
where every patient has one case. For cases from elsewhere coverage is reported, never promised.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from medjax.errors import InputError
from medjax.evidence import intervals
from medjax.evidence.intervals import Cases, Interval, Patients, patient_sums
from medjax.evidence.measures import entry
from medjax.evidence.ratios import ratio_of_sums


def fit(
    values: Float[np.ndarray, "cases classes"],
    target: Cases,
    patient: Patients,
    alpha: float = 0.1,
    *,
    class_conditional: bool = False,
) -> dict:
    """The thresholds of sets of classes, as JSON: a set holds every class whose score 1 - p is at most its threshold.

    With `class_conditional` (Mondrian) the promise holds for the patients of each class, and each class has a threshold of
    its own. A threshold of null is infinite, because there are too few patients for `alpha`: the class is in every set,
    and `reasons` says so. Source: Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World (2005).
    """
    values, target = _checked(values, alpha), np.asarray(target).astype(np.int64)
    if target.min() < 0 or target.max() >= values.shape[1]:
        raise InputError("conformal: calibration cases need known targets, each one of the classes")
    score = 1 - values[np.arange(len(target)), target]
    thresholds, patients, reasons = [], [], {}
    for k in range(values.shape[1]):
        own = target == k if class_conditional else np.ones(len(target), bool)
        threshold, reason = _threshold(score[own], patient[own], alpha)
        thresholds.append(_json(threshold))
        patients.append(len(np.unique(patient[own])))
        if reason:
            reasons[str(k)] = f"class {k}: {reason}" if class_conditional else reason
    return {
        "kind": "classes",
        "alpha": float(alpha),
        "class_conditional": class_conditional,
        "thresholds": thresholds,
        "patients": patients,
        "cases": len(target),
        "promise": _promise(alpha, class_conditional),
    } | ({"reasons": reasons} if reasons else {})


def sets(parameters: dict, values: Float[np.ndarray, "cases classes"]) -> Bool[np.ndarray, "cases classes"]:
    """Which classes are in the set of each case; a set may be empty, where no class is as probable as it usually is."""
    thresholds = _thresholds(parameters, "classes")
    if values.shape[1] != len(thresholds):
        raise InputError(f"conformal: fitted on {len(thresholds)} classes, applied to {values.shape[1]}")
    return 1 - np.asarray(values, np.float64) <= thresholds


def report(
    parameters: dict,
    values: Float[np.ndarray, "cases classes"],
    target: Cases,
    patient: Patients,
    *,
    names: Sequence[str] = (),
    level: float = 0.95,
) -> dict:
    """What the sets do on other cases, as JSON: `coverage` as it was promised (patients count equally), by case, and by
    class; sizes of the sets, and the shares of empty and of full ones. Intervals are for these thresholds, by patient.
    """
    held, target = sets(parameters, values), np.asarray(target).astype(np.int64)
    size, inside = held.sum(-1), held[np.arange(len(target)), target]
    cases, patients = len(target), len(np.unique(patient))
    by_class = {}
    for k, name in enumerate(names or [str(k) for k in range(held.shape[1])]):
        own = target == k
        among = int(own.sum()), intervals.count_patients(patient, own)
        by_class[name] = entry(_coverage(inside[own], patient[own], level), *among)

    def whole(found: Interval) -> dict:
        return entry(found, cases, patients)

    return {
        "nominal": 1 - parameters["alpha"],
        "promise": parameters["promise"],
        "coverage": whole(_coverage(inside, patient, level)),
        "coverage_of_cases": whole(intervals.proportion(inside.astype(np.int64), patient, level)),
        "classes": by_class,
        "mean_set_size": whole(_mean(size.astype(np.float64), patient, level)),
        "empty": whole(intervals.proportion((size == 0).astype(np.int64), patient, level)),
        "full": whole(intervals.proportion((size == held.shape[1]).astype(np.int64), patient, level)),
        "sizes": np.bincount(size, minlength=held.shape[1] + 1).tolist(),
    } | ({"reasons": parameters["reasons"]} if "reasons" in parameters else {})


def fit_bounds(
    values: Float[np.ndarray, "cases outputs"],
    target: Cases,
    patient: Patients,
    alpha: float = 0.1,
    *,
    quantiles: Sequence[float] = (),
) -> dict:
    """How far the interval of a value must reach, as JSON.

    Without `quantiles` the score is the absolute residual of the first column, so that every interval has one width. With
    them (the columns after the first, in rising order) it is how far the target lies outside the outermost two, negative
    inside: conformalised quantile regression (Romano, Patterson & Candes, NeurIPS 2019), whose widths follow the case.
    """
    values, target = _checked(values, alpha, classes=False), np.asarray(target, np.float64)
    if not np.all(np.isfinite(target)):
        raise InputError("conformal: calibration cases need known targets")
    if quantiles and (len(quantiles) < 2 or values.shape[1] != len(quantiles) + 1):
        raise InputError(f"conformal: {values.shape[1]} columns for a prediction and {len(quantiles)} quantiles")
    low, high = _ends(values, bool(quantiles))
    reach, reason = _threshold(np.maximum(low - target, target - high), patient, alpha)
    return {
        "kind": "value",
        "alpha": float(alpha),
        "score": "outside the outermost quantiles" if quantiles else "absolute residual",
        "thresholds": [_json(reach)],
        "patients": [len(np.unique(patient))],
        "cases": len(target),
        "promise": _promise(alpha, False),
    } | ({"reasons": {"0": reason}} if reason else {})


def bounds(parameters: dict, values: Float[np.ndarray, "cases outputs"]) -> Float[np.ndarray, "cases 2"]:
    """Lower and upper end for each case; infinite where calibration patients were too few.

    Quantiles that are drawn in until they cross leave an empty interval; it becomes the point halfway, which holds it.
    """
    (reach,) = _thresholds(parameters, "value")
    low, high = _ends(np.asarray(values, np.float64), parameters["score"] != "absolute residual")
    low, high = low - reach, high + reach
    crossed, middle = low > high, (low + high) / 2 if math.isfinite(reach) else low
    return np.stack([np.where(crossed, middle, low), np.where(crossed, middle, high)], axis=-1)


def report_bounds(
    parameters: dict,
    values: Float[np.ndarray, "cases outputs"],
    target: Cases,
    patient: Patients,
    *,
    level: float = 0.95,
) -> dict:
    """What the intervals do on other cases, as JSON: coverage as promised and by case, and the mean width."""
    ends = bounds(parameters, values)
    inside = (ends[:, 0] <= target) & (np.asarray(target) <= ends[:, 1])
    cases, patients = len(inside), len(np.unique(patient))
    width = (
        _mean(ends[:, 1] - ends[:, 0], patient, level)
        if np.all(np.isfinite(ends))
        else intervals.undefined("the intervals are infinite", level)
    )
    return {
        "nominal": 1 - parameters["alpha"],
        "promise": parameters["promise"],
        "coverage": entry(_coverage(inside, patient, level), cases, patients),
        "coverage_of_cases": entry(intervals.proportion(inside.astype(np.int64), patient, level), cases, patients),
        "mean_width": entry(width, cases, patients),
    } | ({"reasons": parameters["reasons"]} if "reasons" in parameters else {})


def _checked(values: np.ndarray, alpha: float, *, classes: bool = True) -> np.ndarray:
    if not 0 < alpha < 1:
        raise InputError(f"conformal: alpha is {alpha}; it must lie between 0 and 1")
    if not len(values) or not np.all(np.isfinite(values)):
        raise InputError("conformal: needs calibration cases, and finite predictions of them")
    if classes and values.shape[1] < 2:
        raise InputError("conformal: needs a column of probabilities for each class")
    return np.asarray(values, np.float64)


def _threshold(score: np.ndarray, patient: Patients, alpha: float) -> tuple[float, str]:
    """The smallest score such that patients worth ceil((n + 1)(1 - alpha)) of n lie at or below it, or infinity and why.

    A case counts 1 / (cases of its patient): with one case each, this is the finite-sample quantile of split conformal
    prediction.
    """
    _, compact = np.unique(patient, return_inverse=True)
    count = np.bincount(compact)
    patients = len(count)
    needed = (patients + 1) * (1 - alpha)
    if needed > patients + 1e-9:
        fewest = math.ceil((1 - alpha) / alpha - 1e-9)
        return math.inf, f"{patients} calibration patients are too few for alpha {alpha:g}: {fewest} are needed"
    order = np.argsort(score, kind="stable")
    reached = np.cumsum(1 / count[compact[order]])
    place = int(np.searchsorted(reached, needed - 1e-9))
    return float(score[order[min(place, len(order) - 1)]]), ""


def _coverage(inside: np.ndarray, patient: Patients, level: float) -> Interval:
    """Mean over patients of the share of their cases that are covered, with Wilson's interval.

    The number of independent patients that would tell as much follows from the variance between their shares.
    """
    if not len(inside):
        return intervals.undefined("no case", level)
    _, compact = np.unique(patient, return_inverse=True)
    if int(compact.max()) + 1 == len(inside):
        return intervals.proportion(inside.astype(np.int64), patient, level)
    share = patient_sums(inside.astype(np.float64), compact) / np.bincount(compact)
    patients, mean = len(share), float(share.mean())
    total = float(patients)
    variance = float(share.var(ddof=1)) / patients if patients > 1 else 0.0
    if variance > 1e-12:
        shrink = (intervals.normal_quantile(level) / intervals.t_quantile(level, patients - 1)) ** 2
        total = min(max(mean * (1 - mean) / variance * shrink, 1.0), float(len(inside)))
    low, high = intervals.wilson(mean * total, total, level)
    differing = int((share < 1).sum() if mean > 0.5 else (share > 0).sum())
    warning = intervals.near_a_limit(differing, patients)
    return Interval(mean, low, high, level, "Wilson, mean of patients' shares", warning=warning)


def _mean(values: np.ndarray, patient: Patients, level: float) -> Interval:
    found = ratio_of_sums(values, np.ones(len(values)), intervals.patient_codes(patient), level=level)
    return replace(found, estimate=float(values.mean()))  # also where there is no interval


def _ends(values: np.ndarray, quantiles: bool) -> tuple[np.ndarray, np.ndarray]:
    return (values[:, 1], values[:, -1]) if quantiles else (values[:, 0], values[:, 0])


def _json(threshold: float) -> float | None:
    return threshold if math.isfinite(threshold) else None


def _thresholds(parameters: dict, kind: str) -> np.ndarray:
    if parameters["kind"] != kind:
        raise InputError(f"conformal: the stored parameters are for '{parameters['kind']}', not '{kind}'")
    return np.array([math.inf if one is None else one for one in parameters["thresholds"]])


def _promise(alpha: float, class_conditional: bool) -> str:
    whom = "patient of each class" if class_conditional else "patient"
    return (
        f"one case, drawn at random, of a new {whom} exchangeable with the calibration patients is held with probability "
        f"{1 - alpha:g} or more, on average over calibration sets; nothing is promised for cases from elsewhere"
    )
