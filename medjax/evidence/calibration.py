"""Calibration: intercept, slope, CORP reliability with its band, expected calibration error beside what perfection
would give, index of prediction accuracy, and each of several classes against the rest.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from medjax.errors import InputError
from medjax.evidence.intervals import Cases, Interval, Patients, count_patients, patient_sums, t_quantile, undefined
from medjax.evidence.resampling import studentised
from medjax.metrics.classification import brier_values

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


def shared_outcomes(probability: Cases, target: Cases, patient: Patients) -> float:
    """How far outcomes of one patient go together beyond their probabilities: 0 independent, 1 as far as they can.

    The correlation r of the model from which `reliability_band` draws, by moments: the sum over pairs of cases of a patient
    of the product of residuals, over the same sum of min(p, q) - p q, which is its expectation at r = 1.
    """
    order = np.lexsort((probability, patient))
    p, whose, residual = probability[order], patient[order], (target - probability)[order]
    later = np.searchsorted(whose, whose, side="right") - np.arange(len(p)) - 1  # cases of that patient with larger p
    sums = patient_sums(np.stack([residual, residual**2, p, p**2], axis=-1), whose)
    together = (sums[:, 0] ** 2 - sums[:, 1]).sum() / 2
    most = float(p @ later) - (sums[:, 2] ** 2 - sums[:, 3]).sum() / 2
    return float(np.clip(together / most, 0.0, 1.0)) if most > 1e-12 else 0.0


def reliability_band(
    probability: Cases,
    target: Cases,
    patient: Patients,
    *,
    points: int = 101,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict:
    """The CORP curve on a fixed grid of probabilities, with a pointwise CONSISTENCY band: where it would lie, `level` of
    the time, were every probability right.

    Outcomes are drawn from the probabilities and the curve fitted to them again. The outcomes of a patient are drawn
    together: with probability r (`shared_outcomes`) all follow one number, otherwise each its own, so that each keeps its
    probability and pairs their measured covariance. A band for each point, not for the whole curve at once: a perfect model
    has about 1 - `level` of its curve outside. The grid is `points` numbers from 0 to 1; null where no prediction reaches.
    Source: Dimitriadis, Gneiting & Jordan, PNAS 118 (2021), consistency bands by resampling.
    """
    from scipy.optimize import isotonic_regression

    probability, target = np.asarray(probability, np.float64), np.asarray(target, np.float64)
    levels, place = np.unique(probability, return_inverse=True)
    cases, patients = np.bincount(place).astype(np.float64), int(patient.max()) + 1

    def curve(outcome: np.ndarray) -> np.ndarray:
        return isotonic_regression(np.bincount(place, outcome, len(levels)) / cases, weights=cases).x

    fitted, grid = curve(target), np.linspace(0.0, 1.0, points)
    inside = (grid >= levels[0]) & (grid <= levels[-1])
    shared = shared_outcomes(fitted[place], target, patient)
    generator, drawn = np.random.Generator(np.random.Philox(key=seed)), np.empty((resamples, len(levels)))
    for row in range(resamples):
        own, common = generator.random(len(probability)), generator.random(patients)[patient]
        joined = (generator.random(patients) < shared)[patient]
        drawn[row] = curve((np.where(joined, common, own) < probability).astype(np.float64))
    tail = (1 - level) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail], axis=0)
    beyond = ((fitted < low - 1e-12) | (fitted > high + 1e-12))[place]

    def on_grid(values: np.ndarray) -> list[float | None]:
        found = np.interp(grid, levels, values).tolist()
        return [value if there else None for value, there in zip(found, inside, strict=True)]

    return {
        "kind": "consistency",
        "level": level,
        "method": f"outcomes drawn by patient from the probabilities ({resamples})",
        "cases": len(probability),
        "patients": patients,
        "shared_outcomes": shared,
        "share_of_cases_outside": float(beyond.mean()),
        "grid": grid.tolist(),
        "curve": on_grid(fitted),
        "low": on_grid(low),
        "high": on_grid(high),
    }


def prediction_accuracy(
    probability: Float[np.ndarray, "cases *classes"],
    target: Cases,
    patient: Patients,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> Interval:
    """Index of prediction accuracy: 1 - Brier score / Brier score of the shares of the classes among these cases.

    1 is perfect, 0 no better than telling everybody the prevalence, below 0 worse. One column of probabilities of the
    positive class, or one column a class. Source: Kattan & Gerds, Diagn. Progn. Res. 2:7 (2018).
    """
    columns = probability if probability.ndim == 2 else np.stack([1 - probability, probability], axis=-1)
    outcome = np.eye(columns.shape[1])[np.asarray(target).astype(np.int64)]
    if np.any(outcome.all(axis=0)):
        return undefined("one class only: its share is already perfect", level)
    per_case = np.concatenate([brier_values(columns, target)[:, None], outcome, np.ones((len(outcome), 1))], axis=-1)

    def function(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        within, counts, total = sums[:, 0], sums[:, 1:-1], sums[:, -1]
        base = total - (counts**2).sum(-1) / total
        of_total = (1 + (counts**2).sum(-1) / total**2) / base
        gradient = [1 / within[:, None], 2 * counts / (total * base)[:, None], -of_total[:, None]]
        return 1 - within / base, np.concatenate(gradient, axis=-1)

    if not per_case[:, 0].any():
        return undefined("every probability is 0 or 1 and right: no variation to make an interval from", level, 1.0)
    return studentised((per_case, function), patient, scale="log(1 - x)", level=level, resamples=resamples, seed=seed)


ENOUGH_EVENTS = 10  # patients with and without a class, below which its calibration is not judged


def classwise(
    probability: Float[np.ndarray, "cases classes"],
    target: Cases,
    patient: Patients,
    names: Sequence[str],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, dict]:
    """Calibration of each class against the rest, as JSON: intercept, slope, parts of the Brier score with CORP curve, ECE.

    Classwise calibration is weaker than calibration of the whole vector (Kull et al., NeurIPS 2019), but each part has a
    meaning of its own. A class with fewer than 10 patients, or 10 others, says so in place of numbers.
    """
    from medjax.evidence.measures import entry

    if probability.shape[1] != len(names):
        raise InputError(
            f"calibration: {probability.shape[1]} columns of probabilities for {len(names)} names of classes"
        )
    result: dict[str, dict] = {}
    for k, name in enumerate(names):
        own = np.asarray(target) == k
        events, others = count_patients(patient, own), count_patients(patient, ~own)
        if min(events, others) < ENOUGH_EVENTS:
            what = (
                f"only {events} patients have this class" if events < ENOUGH_EVENTS else f"only {others} have another"
            )
            result[name] = {"reason": f"{what}: {ENOUGH_EVENTS} are needed to judge its calibration"}
            continue
        found = {
            "intercept": calibration_intercept(probability[:, k], own, patient, level),
            "slope": calibration_slope(probability[:, k], own, patient, level),
        }
        result[name] = {key: entry(one, len(own), int(patient.max()) + 1) for key, one in found.items()}
        result[name]["reliability"] = reliability(probability[:, k], own)
        result[name]["expected_calibration_error"] = expected_calibration_error(probability[:, k], own, seed=seed)
    return result
