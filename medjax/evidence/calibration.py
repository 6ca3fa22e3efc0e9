"""Calibration: intercept, slope, CORP reliability, expected calibration error beside what perfection would give."""

import math

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import Cases, Interval, Patients, patient_sums, t_quantile, undefined

CLIP = 1e-6  # probabilities of 0 and 1 have no logit: they count as one in a million


def log_odds(probability: Cases) -> Float[np.ndarray, " cases"]:
    """Logit of probabilities, clipped at `CLIP`."""
    probability = np.clip(np.asarray(probability, np.float64), CLIP, 1 - CLIP)
    return np.log(probability / (1 - probability))


def _logistic(design: np.ndarray, offset: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Newton's method; coefficients, inverse information, and fitted probabilities. NaN where it does not converge."""
    coefficients = np.zeros(design.shape[1])
    for _ in range(100):
        fitted = 1 / (1 + np.exp(-np.clip(offset + design @ coefficients, -500, 500)))
        information = (design * (fitted * (1 - fitted))[:, None]).T @ design
        if np.linalg.cond(information) > 1e12:
            break
        step = np.linalg.solve(information, design.T @ (target - fitted))
        coefficients = coefficients + np.clip(step, -3, 3)
        if np.abs(step).max() < 1e-9:
            return coefficients, np.linalg.inv(information), fitted
    return np.full(design.shape[1], math.nan), np.full((design.shape[1],) * 2, math.nan), np.zeros(len(target))


def _interval(design: np.ndarray, offset: np.ndarray, target: np.ndarray, patient: Patients, level: float) -> Interval:
    coefficients, bread, fitted = _logistic(design, offset, target)
    if not np.all(np.isfinite(coefficients)):
        return undefined("the logistic fit does not converge (classes separated, or constant probabilities)", level)
    scores = patient_sums(design * (target - fitted)[:, None], patient)
    patients, size = len(scores), design.shape[1]
    if patients <= size:
        return undefined("too few patients", level)
    variance = patients / (patients - size) * (bread @ (scores.T @ scores) @ bread)[-1, -1]
    if patients == len(
        target
    ):  # by simulation: the sandwich alone is too short in small samples; for slopes the larger
        model = bread[
            -1, -1
        ]  # of the two is too long; for intercepts the model's own is wrong where the slope is not 1
        variance = max(variance, model) if size == 1 else (variance + model) / 2
    estimate, half = float(coefficients[-1]), t_quantile(level, patients - size) * math.sqrt(variance)
    method = "logistic recalibration, sandwich variance by patient"
    return Interval(estimate, estimate - half, estimate + half, level, method)


def calibration_intercept(probability: Cases, target: Cases, patient: Patients, level: float = 0.95) -> Interval:
    """Calibration in the large: the shift of the log odds that would make predictions right on average; 0 is perfect.

    Positive: risks are underestimated. Source: Van Calster et al., BMC Med. 17:230 (2019).
    """
    target = np.asarray(target, np.float64)
    return _interval(np.ones((len(target), 1)), log_odds(probability), target, patient, level)


def calibration_slope(probability: Cases, target: Cases, patient: Patients, level: float = 0.95) -> Interval:
    """Slope of the outcome on the predicted log odds; 1 is perfect, below 1 predictions are too extreme."""
    target, odds = np.asarray(target, np.float64), log_odds(probability)
    return _interval(np.stack([np.ones(len(odds)), odds], axis=-1), np.zeros(len(odds)), target, patient, level)


def reliability(probability: Cases, target: Cases) -> dict:
    """CORP reliability curve and the parts of the Brier score, from isotonic regression.

    Brier = miscalibration - discrimination + uncertainty. Source: Dimitriadis, Gneiting & Jordan, PNAS 118 (2021).
    `curve` holds (lowest probability, highest probability, recalibrated probability, cases) of each block.
    """
    from scipy.optimize import isotonic_regression

    probability, target = np.asarray(probability, np.float64), np.asarray(target, np.float64)
    levels, place = np.unique(probability, return_inverse=True)
    cases = np.bincount(place).astype(np.float64)
    fitted = isotonic_regression(np.bincount(place, target) / cases, weights=cases).x
    recalibrated, share = fitted[place], float(target.mean())
    brier = [float(np.mean((p - target) ** 2)) for p in (probability, recalibrated, np.full(len(target), share))]
    starts = np.flatnonzero(np.diff(fitted, prepend=-1.0) > 1e-12)
    ends = np.append(starts[1:], len(levels))
    curve = [
        [float(levels[a]), float(levels[b - 1]), float(fitted[a]), int(cases[a:b].sum())]
        for a, b in zip(starts, ends, strict=True)
    ]
    return {
        "miscalibration": brier[0] - brier[1],
        "discrimination": brier[2] - brier[1],
        "uncertainty": brier[2],
        "curve": curve,
    }


def expected_calibration_error(probability: Cases, target: Cases, *, bins: int = 10, seed: int = 0) -> dict:
    """ECE over bins of equal size, without interval, beside its mean were the model perfectly calibrated.

    ECE is biased upwards: a perfect model lies below its own bootstrap interval one time in five. Compare the two.
    """
    probability, target = np.asarray(probability, np.float64), np.asarray(target, np.float64)
    order = np.argsort(probability, kind="stable")
    edges = np.linspace(0, len(order), min(bins, len(order)) + 1).astype(int)[:-1]
    generator = np.random.Generator(np.random.Philox(key=seed))
    outcomes = (generator.random((200, len(order))) < probability).astype(np.float64)
    gaps = np.add.reduceat((np.vstack([target, outcomes]) - probability)[:, order], edges, axis=1)
    errors = np.abs(gaps).sum(-1) / len(order)
    return {"estimate": float(errors[0]), "expected_if_perfect": float(errors[1:].mean()), "bins": len(edges)}
