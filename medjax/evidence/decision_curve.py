"""Decision curves: net benefit of a model over a declared range of threshold probabilities, with a simultaneous band.

Everything follows from how many cases of each patient lie between which thresholds, with and without the event, so that
100,000 cases cost no more than their sorting.
"""

import math

import numpy as np
from jaxtyping import Bool, Float

from medjax.errors import InputError
from medjax.evidence.decision_shares import FN, FP, TN, TP, Shares, limits, shares
from medjax.evidence.intervals import Cases, Patients, patient_codes
from medjax.evidence.predictions import Predictions, ensemble, known, select
from medjax.evidence.simultaneous import DRAWS, difference_ends, level_each

SURE = 0.999  # level at which the prevalence is taken to lie above or below a threshold


def declared_range(
    low: float | int = 0.01, high: float | int = 0.60, step: float | int = 0.01
) -> Float[np.ndarray, " thresholds"]:
    """Threshold probabilities from low to high by steps."""
    if not (0 < low <= high < 1 and step > 0):
        raise InputError(
            f"decision curve: the range {low} to {high} by {step} must lie between 0 and 1, with a step > 0"
        )
    return np.round(low + step * np.arange(math.floor((high - low) / step + 1e-9) + 1), 12)


def decision_curve(
    probability: Cases,
    target: Cases,
    patient: Patients,
    *,
    thresholds: Float[np.ndarray, " thresholds"] | None = None,
    level: float = 0.95,
    resamples: int = DRAWS,
    seed: int = 0,
) -> dict:
    """Net benefit over a declared range of threshold probabilities t, as JSON: lists with one entry a threshold.

    Net benefit is TP/n - FP/n x t/(1 - t); treating no one has 0, treating all (p - t)/(1 - t) at prevalence p (Vickers &
    Elkin, Med. Decis. Making 26:565, 2006). What counts is the difference to the better of these two, which is the
    smaller of the differences to each. Which one is better is itself estimated, hence a kink at t = p: where a 99.9 %
    interval of the prevalence holds t, both differences get a band, and the smaller of their ends bounds the smaller of
    them; elsewhere only the difference to the better one counts.

    `band_low` and `band_high` hold at all thresholds together: the level of each comes from the joint errors by patient
    (max-T), its ends from intervals of the shares of cases (MOVER), so that at the edges, where few cases are
    treated differently, the band knows of errors that this sample happens to lack. `low` and `high` hold at one threshold
    each. The model is shown to be useful where `band_low` > 0.

    Args:
        probability: of the event.
        target: 1 or 0.
        patient: codes; cases of a patient are not independent.
        thresholds: the declared range, increasing; by default .01 to .60 by .01.
        level: of pointwise intervals and of the band.
        resamples: draws of the joint errors.
        seed: of these draws.

    Raises:
        InputError: thresholds that do not increase between 0 and 1.
    """
    grid = declared_range() if thresholds is None else np.asarray(thresholds, np.float64)
    if not len(grid) or grid[0] <= 0 or grid[-1] >= 1 or np.any(np.diff(grid) <= 0):
        raise InputError("decision curve: the thresholds must increase and lie between 0 and 1")
    positive = np.asarray(target).astype(bool)
    about: dict = {"thresholds": grid.tolist(), "level": level, "cases": len(positive)}
    about["patients"] = len(np.unique(patient))
    if reason := _reason(positive, about["patients"]):
        return about | {"reason": reason, "useful": [], "summary": f"not estimable: {reason}"}
    found = shares(np.asarray(probability, np.float64), positive, patient, grid)
    odds = grid / (1 - grid)
    prevalence = found.prevalence
    low, high = limits(prevalence, found.prevalence_total, SURE, found)
    either, to_all = (low <= grid) & (grid <= high), prevalence > grid
    counted = np.stack([either | to_all, either | ~to_all])  # the difference to treating all, and to none

    def smaller(values: Float[np.ndarray, "2 thresholds"]) -> list[float]:
        return np.where(counted, values, np.inf).min(0).tolist()

    estimates = np.stack([odds * found.mean[TN] - found.mean[FN], found.mean[TP] - odds * found.mean[FP]])
    errors = _covariance(found, odds)
    vary = counted.reshape(-1) & (np.diag(errors) > 0)
    each = level_each(errors[np.ix_(vary, vary)], level, draws=resamples, seed=seed)
    band_low, band_high = _ends(found, odds, np.full(len(grid), each))
    # Where either may be the smaller one, both intervals must hold: Bonferroni.
    point_low, point_high = _ends(found, odds, np.where(either, (1 + level) / 2, level))
    alone_low, alone_high = _ends(found, odds, np.full(len(grid), level))
    everyone = [prevalence, *limits(prevalence, found.prevalence_total, level, found)]
    useful = _runs(grid, np.array(smaller(band_low)) > 0)
    names = np.where(either, "either", np.where(to_all, "treat_all", "treat_none"))
    three = ("estimate", "low", "high")
    return about | {
        "prevalence": prevalence,
        "model": {name: x[1].tolist() for name, x in zip(three, (estimates, alone_low, alone_high), strict=True)},
        "treat_all": {name: ((x - grid) / (1 - grid)).tolist() for name, x in zip(three, everyone, strict=True)},
        "treat_none": {"estimate": [0.0] * len(grid)},
        "difference": {
            "to": names.tolist(),
            "estimate": estimates.min(0).tolist(),
            "low": smaller(point_low),
            "high": smaller(point_high),
            "band_low": smaller(band_low),
            "band_high": smaller(band_high),
            "level_of_each": each,
        },
        "avoided_per_100": {
            name: (100 / odds * x[0]).tolist()
            for name, x in zip(three, (estimates, alone_low, alone_high), strict=True)
        },
        "useful": useful,
        "summary": _summary(useful, grid, level),
        "method": "max-T over the declared thresholds, errors by patient; ends from mid-p intervals of shares (MOVER)",
    }


def _reason(positive: Bool[np.ndarray, " cases"], patients: int) -> str:
    if not len(positive):
        return "no case is known"
    if positive.all() or not positive.any():
        return "every case is positive" if positive.all() else "no case is positive"
    return "one patient only" if patients < 2 else ""


def _covariance(found: Shares, odds: Float[np.ndarray, " thresholds"]) -> Float[np.ndarray, "columns columns"]:
    """Of the differences to treating all (TN x odds - FN) and to treating none (TP - FP x odds), thresholds within each."""
    none = np.zeros((len(odds), len(odds)))
    weights = np.block(
        [[none, none, -np.eye(len(odds)), np.diag(odds)], [np.eye(len(odds)), -np.diag(odds), none, none]]
    )
    return weights @ found.covariance @ weights.T


def _ends(
    found: Shares, odds: Float[np.ndarray, " thresholds"], levels: Float[np.ndarray, " thresholds"]
) -> tuple[Float[np.ndarray, "2 thresholds"], Float[np.ndarray, "2 thresholds"]]:
    """Low and high ends of the differences to treating all and to treating none, each at its own level."""
    low, high = limits(found.mean, found.total, levels, found)
    deviation = np.sqrt(np.diag(found.covariance)).reshape(found.mean.shape)
    joint = found.covariance.reshape(*found.mean.shape, *found.mean.shape)
    at, ends = np.arange(len(odds)), []
    for gain, loss, up, down in ((TN, FN, odds, 1.0), (TP, FP, 1.0, odds)):
        spread = deviation[gain] * deviation[loss]
        correlation = np.where(spread > 0, joint[gain, at, loss, at] / np.where(spread > 0, spread, 1.0), 0.0)
        three = [tuple(weight * x[k] for x in (found.mean, low, high)) for k, weight in ((gain, up), (loss, down))]
        ends.append(difference_ends(three[0], three[1], correlation))
    return np.stack([low for low, _ in ends]), np.stack([high for _, high in ends])


def _runs(grid: Float[np.ndarray, " thresholds"], chosen: Bool[np.ndarray, " thresholds"]) -> list[list[float]]:
    """First and last threshold of each unbroken stretch."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], chosen, [False]])))
    return [[float(grid[a]), float(grid[b - 1])] for a, b in edges.reshape(-1, 2)]


def _summary(useful: list[list[float]], grid: Float[np.ndarray, " thresholds"], level: float) -> str:
    where = f"of the declared range {grid[0]:g} to {grid[-1]:g}, {level:.0%} band"
    if not useful:
        return f"none shown: nowhere {where.replace('of', 'in', 1)}, is the model shown to beat treating all and none"
    stretches = ", ".join(f"between {a:g} and {b:g}" if a < b else f"at {a:g}" for a, b in useful)
    return f"useful {stretches} {where}"


def decision_curves(
    predictions: Predictions,
    *,
    positive: int | None = None,
    thresholds: Float[np.ndarray, " thresholds"] | None = None,
    level: float = 0.95,
    resamples: int = DRAWS,
    seed: int = 0,
) -> dict[str, dict]:
    """The decision curve of the positive class of two, or of each class or label against the rest; {} for a value.

    Cases without a target (of a label: without this one) are left out. Nothing accounts for the number of classes.
    """
    if predictions.kind == "value":
        return {}
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    mean, patient, result = ensemble(predictions), patient_codes(predictions.group), {}
    for k, name in enumerate(predictions.classes):
        if positive is not None and k != positive and len(predictions.classes) == 2:
            continue
        if predictions.kind == "labels":
            rows = np.flatnonzero(np.isfinite(predictions.target[:, k]))
            answer = predictions.target[rows, k]
        else:
            rows, answer = np.arange(len(mean)), predictions.target == k
        result[name] = decision_curve(
            mean[rows, k], answer, patient[rows], thresholds=thresholds, level=level, resamples=resamples, seed=seed
        )
    return result
