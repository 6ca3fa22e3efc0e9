"""What is fitted on patients kept apart from every choice, frozen in the plan, and what it does on other cases.

Recalibration must improve the log loss of these patients under cross-fitting, or is not kept; conformal sets (of classes)
and intervals (of values) hold the truth with a stated probability for patients like them; of the classes, the least sure
tenth may be left to a person.
"""

from typing import Any

import numpy as np

from medjax.evidence import comparison, conformal, intervals, recalibration, selective
from medjax.evidence.measures import entry
from medjax.evidence.predictions import Predictions, ensemble, known, select
from medjax.metrics.classification import brier_values, log_loss_values, weighted_mean
from medjax.metrics.ordinal import median_grade

ALPHA = 0.1  # conformal sets hold the truth for 90 % of the patients
ANSWERED = 0.9  # the share of cases that are answered; the others are left to a person


def fit(predictions: Predictions, positive: int | None, threshold: float, seed: int) -> dict[str, Any]:
    """Fit on the predictions of the calibration cases; JSON for the plan.

    Args:
        predictions: of the calibration cases, all members.
        positive: index of the positive class, where there are two.
        threshold: the frozen one.
        seed: deals the folds of the cross-fitting.
    """
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    mean, target, patient = ensemble(predictions), predictions.target, intervals.patient_codes(predictions.group)
    counts = {"cases": len(target), "patients": int(patient.max()) + 1}
    if predictions.kind == "value":
        return counts | {
            "conformal": conformal.fit_bounds(mean, target, patient, ALPHA, quantiles=predictions.quantiles)
        }
    found: dict[str, Any] = counts
    if predictions.kind == "probability":
        found["recalibration"] = recalibration.choose(mean, target, patient, seed=seed)
    found["conformal"] = conformal.fit(mean, target, patient, ALPHA)
    found["conformal_by_class"] = conformal.fit(mean, target, patient, ALPHA, class_conditional=True)
    confidence, right = _answers(predictions.kind, mean, target, positive, threshold)
    found["abstention"] = selective.choose(confidence, right, patient, coverage=ANSWERED)
    return found


def report(
    fitted: dict[str, Any],
    predictions: Predictions,
    positive: int | None,
    threshold: float,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """What the frozen fit does on other cases, as JSON, whether it helps or not.

    Returns:
        `recalibration` (method, and log loss and Brier score before, after, and their paired difference by patient),
        `conformal`, `conformal_by_class` (coverage and sizes) and `selective` (`curve` of the error against the share
        answered, and what the `frozen` abstention does); only those that were fitted.
    """
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    mean, target, patient = ensemble(predictions), predictions.target, intervals.patient_codes(predictions.group)
    if predictions.kind == "value":
        return {"conformal": conformal.report_bounds(fitted["conformal"], mean, target, patient, level=level)}
    found: dict[str, Any] = {
        key: conformal.report(fitted[key], mean, target, patient, names=predictions.classes, level=level)
        for key in ("conformal", "conformal_by_class")
    }
    confidence, right = _answers(predictions.kind, mean, target, positive, threshold)
    found["selective"] = {
        "curve": selective.risk_coverage(confidence, right, patient, level=level, seed=seed),
        "frozen": selective.report(
            fitted["abstention"], confidence, right, patient, target=target, names=predictions.classes, level=level
        ),
    }
    if "recalibration" in fitted:
        found["recalibration"] = _recalibrated(fitted["recalibration"], mean, target, patient, level)
    return found


def _answers(
    kind: str, mean: np.ndarray, target: np.ndarray, positive: int | None, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """How sure each answer is, and whether it is right."""
    if positive is not None:
        said = mean[:, positive] >= threshold
        right = said == (target == positive)
        return selective.confidence_of(mean, positive=positive, threshold=threshold), right
    hard = median_grade(mean) if kind == "grade" else mean.argmax(-1)
    return selective.confidence_of(mean), hard == target


def _recalibrated(
    chosen: dict[str, Any], mean: np.ndarray, target: np.ndarray, patient: np.ndarray, level: float
) -> dict[str, Any]:
    result: dict[str, Any] = {"method": chosen["method"]}
    if "reason" in chosen:
        result["reason"] = chosen["reason"]
    if chosen["method"] == "none":
        return result
    after, cases, patients = recalibration.apply(chosen["parameters"], mean), len(target), int(patient.max()) + 1
    for name, per_case in (("log_loss", log_loss_values), ("brier", _brier)):
        new, old = per_case(after, target), per_case(mean, target)
        change, _ = comparison.predictors(
            lambda weights, values=new: weighted_mean(values, weights),
            lambda weights, values=old: weighted_mean(values, weights),
            patient,
            level=level,
        )
        result[name] = {
            "before": float(old.mean()),
            "after": float(new.mean()),
            "difference": entry(change, cases, patients),
        }
    return result


def _brier(values: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Brier's per-case values as the table shows them: of two classes that of the one probability."""
    return brier_values(values[:, 1], target) if values.shape[1] == 2 else brier_values(values, target)


__all__ = ["ALPHA", "fit", "report"]
