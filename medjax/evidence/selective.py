"""Selective prediction: the error among the cases kept, when the least confident ones are left to somebody else.

The threshold is chosen on validation cases and applied frozen. Cases without an answer, abstained or unreadable (confidence
NaN), never leave the denominator silently: the worst case counts each of them as wrong.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from medjax.errors import InputError
from medjax.evidence import intervals, resampling
from medjax.evidence.calibration import log_odds
from medjax.evidence.intervals import Cases, Interval, Patients
from medjax.evidence.measures import entry

Right = Bool[np.ndarray, " cases"]


def confidence_of(
    values: Float[np.ndarray, "cases classes"], *, positive: int | None = None, threshold: float = 0.5
) -> Float[np.ndarray, " cases"]:
    """How sure the answer is: the largest probability; of two classes with `positive`, the distance of its probability
    from the decision threshold on the log odds scale, so that a case at the threshold is the least sure.
    """
    if positive is None:
        return np.asarray(values.max(-1), np.float64)
    return np.abs(log_odds(values[:, positive]) - log_odds(np.array([threshold])))


def risk_coverage(
    confidence: Cases, right: Right, patient: Patients, *, points: int = 101, level: float = 0.95, seed: int = 0
) -> dict:
    """The error among the cases kept against the share kept, most confident first, as JSON, with the area under it.

    Equally confident cases are kept or left together. `area` is the mean of the error over the numbers of cases kept
    (Geifman & El-Yaniv, NeurIPS 2017); `area_best` that of an ideal order, `area_random` the error with all cases kept.
    Unreadable cases are left out here (`unreadable` says how many); `report` counts them.
    """
    confidence, right, patient, unreadable = _readable(confidence, right, patient)
    if not len(right):
        return {"reason": "no readable case", "unreadable": unreadable}
    levels, first, cases = _levels(confidence)
    errors = np.add.reduceat((~right[np.argsort(-confidence, kind="stable")]).astype(np.float64), first)
    kept, wrong = np.cumsum(cases), np.cumsum(errors)
    chosen = np.unique(np.linspace(0, len(kept) - 1, min(points, len(kept))).round().astype(np.int64))
    function, patients, total = _area(confidence, right), int(patient.max()) + 1, len(right)
    found = resampling.smooth(function, patient, scale="log", level=level, seed=seed) if not right.all() else None
    found = found or intervals.undefined("every answer is right: no variation to make an interval from", level, 0.0)
    overall = intervals.proportion((~right).astype(np.int64), patient, level)
    return {
        "coverage": (kept[chosen] / total).tolist(),
        "risk": (wrong[chosen] / kept[chosen]).tolist(),
        "confidence": levels[chosen].tolist(),
        "area": entry(found, total, patients),
        "area_best": float(_area(right.astype(np.float64), right)(None)),
        "area_random": entry(overall, total, patients),
        "unreadable": unreadable,
    }


def choose(
    confidence: Cases,
    right: Right,
    patient: Patients,
    *,
    risk: float | int | None = None,
    coverage: float | int | None = None,
    level: float = 0.95,
) -> dict:
    """The confidence from which on cases are kept, as JSON; on VALIDATION cases, then frozen.

    With `risk`: the largest share of cases whose error is at most `risk`. It was the best of many, so that the error
    elsewhere will often be larger; its interval here does not know that. With `coverage`: the most confident cases, just
    as many as needed for that share. A threshold of null keeps nothing, and `reason` says why.
    """
    stated = {name: value for name, value in (("risk", risk), ("coverage", coverage)) if value is not None}
    if len(stated) != 1 or not all(0 <= value <= 1 for value in stated.values()):
        raise InputError(f"abstention: state either a risk or a coverage, between 0 and 1; got {stated or 'neither'}")
    readable, own, whose, unreadable = _readable(confidence, right, patient)
    result: dict = {"rule": stated, "threshold": None, "cases": len(own), "unreadable": unreadable}
    if not len(own):
        return result | {"reason": "no readable case"}
    levels, first, cases = _levels(readable)
    kept = np.cumsum(cases)
    wrong = np.cumsum(np.add.reduceat((~own[np.argsort(-readable, kind="stable")]).astype(np.float64), first))
    if coverage is not None:
        place = min(int(np.searchsorted(kept, coverage * len(own) - 1e-9)), len(kept) - 1)
    else:
        allowed = np.flatnonzero(wrong <= stated["risk"] * kept + 1e-9)
        if not len(allowed):
            return result | {"reason": f"no share of the cases has an error of at most {risk:g}: everything is left"}
        place = int(allowed[-1])
    following = levels[place + 1] if place + 1 < len(levels) else -math.inf
    halfway = (levels[place] + following) / 2
    result["threshold"] = float(halfway if following < halfway < levels[place] else levels[place])
    among = readable >= result["threshold"]
    found = intervals.proportion((~own[among]).astype(np.int64), whose[among], level)
    share = intervals.proportion(among.astype(np.int64), whose, level)
    counts = int(among.sum()), intervals.count_patients(whose, among)
    return result | {
        "risk": entry(found, *counts),
        "coverage": entry(share, len(own), int(whose.max()) + 1),
    }


def report(
    parameters: dict,
    confidence: Cases,
    right: Right,
    patient: Patients,
    *,
    target: Int[np.ndarray, " cases"] | None = None,
    names: Sequence[str] = (),
    level: float = 0.95,
) -> dict:
    """What the frozen threshold does on all cases, as JSON; unreadable ones have a confidence of NaN.

    `accuracy_kept` flatters: its denominator lacks the cases without an answer. `accuracy_worst` counts these as wrong,
    `accuracy_best` as right, as if whoever gets them made no mistake. With `target` the same for each true class, where
    the worst one is the sensitivity for that class.
    """
    threshold = math.inf if parameters["threshold"] is None else parameters["threshold"]
    readable = np.isfinite(confidence)
    kept = readable & (np.nan_to_num(confidence, nan=-math.inf) >= threshold)
    right = np.asarray(right).astype(bool)

    def shares(cases: np.ndarray) -> dict:
        found = {
            "coverage": (kept, cases),
            "accuracy_kept": (right, cases & kept),
            "accuracy_all_readable": (right, cases & readable),
            "accuracy_worst": (right & kept, cases),
            "accuracy_best": (right | ~kept, cases),
        }
        return {name: _share(success[among], patient[among], level) for name, (success, among) in found.items()}

    everything = np.ones(len(right), bool)
    result = {
        "threshold": parameters["threshold"],
        "counts": {
            "cases": len(right),
            "kept": int(kept.sum()),
            "abstained": int((readable & ~kept).sum()),
            "unreadable": int((~readable).sum()),
        },
    } | shares(everything)
    if target is not None:
        labels = names or [str(k) for k in range(int(target.max()) + 1)]
        result["classes"] = {name: shares(target == k) for k, name in enumerate(labels)}
    return result


def _share(success: np.ndarray, patient: Patients, level: float) -> dict:
    found: Interval = intervals.proportion(success.astype(np.int64), patient, level)
    counts = {"numerator": int(success.sum()), "denominator": len(success)}
    return entry(found, len(success), len(np.unique(patient)), **counts)


def _readable(confidence: Cases, right: Right, patient: Patients) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    confidence = np.asarray(confidence, np.float64)
    found = np.isfinite(confidence)
    whose = intervals.patient_codes(patient[found])
    return confidence[found], np.asarray(right).astype(bool)[found], whose, int((~found).sum())


def _levels(confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The levels of confidence, falling, where each begins in that order, and how many cases it has."""
    levels, cases = np.unique(confidence, return_counts=True)
    levels, cases = levels[::-1], cases[::-1]
    return levels, np.r_[0, np.cumsum(cases)[:-1]], cases


def _area(confidence: np.ndarray, right: np.ndarray) -> resampling.Metric:
    """The area under the curve as a function of case weights (..., cases), whole numbers meaning repeated cases.

    Within a level of confidence the order is unknown, and the expected error is taken: after k cases of which W lie
    above the level, with E errors, it is (E + (k - W) e) / k; its sum over k needs the harmonic numbers.
    """
    from scipy.special import digamma

    order = np.argsort(-confidence, kind="stable")
    _, first, _ = _levels(confidence)
    wrong = (~right[order]).astype(np.float64)

    def function(weights: Shaped[np.ndarray, "*resamples cases"] | None) -> np.ndarray:
        weights = np.ones(len(order)) if weights is None else np.asarray(weights, np.float64)[..., order]
        cases = np.add.reduceat(weights, first, axis=-1)
        errors = np.add.reduceat(weights * wrong, first, axis=-1)
        after, found = np.cumsum(cases, axis=-1), np.cumsum(errors, axis=-1)
        before, earlier = after - cases, found - errors
        rate = errors / np.where(cases > 0, cases, 1.0)
        parts = errors + (earlier - rate * before) * (digamma(after + 1) - digamma(before + 1))
        return np.asarray(parts.sum(-1) / after[..., -1])

    return function
