"""Decisions: net benefit at one threshold, and predictive values at a stated prevalence."""

import numpy as np
from jaxtyping import Float, Shaped

from medjax.errors import InputError
from medjax.evidence.intervals import (
    Cases,
    Interval,
    Patients,
    effective_total,
    normal_quantile,
    patient_sums,
    t_quantile,
    undefined,
)


def net_benefit(
    probability: Shaped[np.ndarray, " cases"], target: Shaped[np.ndarray, " cases"], threshold: float
) -> Float[np.ndarray, "cases 2"]:
    """Per-case contributions to net benefit at a threshold probability t: of the model, and of treating everyone.

    Their means are the net benefits TP/n - FP/n x t/(1 - t); treating no one is 0.
    Source: Vickers & Elkin, Med. Decis. Making 26:565 (2006).
    """
    if not 0.0 < threshold < 1.0:
        raise InputError(f"net benefit: the threshold probability {threshold} must lie between 0 and 1")
    worth = np.where(np.asarray(target).astype(bool), 1.0, -threshold / (1.0 - threshold))
    return np.stack([worth * (np.asarray(probability) >= threshold), worth], axis=-1)


def net_benefit_intervals(
    probability: Cases, target: Cases, patient: Patients, threshold: float, level: float = 0.95
) -> dict[str, Interval]:
    """Net benefit of the model, of treating everyone, and the difference to the better of treating all and none."""
    values = net_benefit(probability, target, threshold)
    model, everyone = values[:, 0], values[:, 1]
    best = everyone if everyone.mean() > 0 else np.zeros(len(everyone))
    columns = {"model": model, "treat_all": everyone, "difference": model - best}
    return {name: _mean(column, patient, level) for name, column in columns.items()}


def _mean(values: Float[np.ndarray, " cases"], patient: Patients, level: float) -> Interval:
    estimate = float(values.mean())
    sums = patient_sums(values - estimate, patient)
    if len(sums) < 2:
        return undefined("one patient only", level, estimate)
    error = float(np.sqrt(len(sums) / (len(sums) - 1) * (sums @ sums))) / len(values)
    half = t_quantile(level, len(sums) - 1) * error
    return Interval(estimate, estimate - half, estimate + half, level, "mean by patient, Student")


def predictive_values(
    predicted: Cases, target: Cases, patient: Patients, prevalence: float, level: float = 0.95
) -> tuple[Interval, Interval]:
    """PPV and NPV at a stated prevalence, from sensitivity and specificity (Bayes).

    Intervals by the delta method on the log likelihood ratios (Simel et al., J. Clin. Epidemiol. 44:763, 1991), with
    half a case added to each cell; several cases a patient count as their effective number.
    """
    if not 0.0 < prevalence < 1.0:
        raise InputError(f"predictive values: the stated prevalence {prevalence} must lie between 0 and 1")
    predicted, positive = np.asarray(predicted).astype(bool), np.asarray(target).astype(bool)
    if positive.all() or not positive.any():
        absent = undefined("a class has no case", level)
        return absent, absent
    odds, z = prevalence / (1 - prevalence), normal_quantile(level)
    sure = {
        own: effective_total(predicted[positive == own] == own, patient[positive == own], level)
        for own in (True, False)
    }
    right = {own: float(np.mean(predicted[positive == own] == own)) for own in (True, False)}
    found = []
    for own in (True, False):  # PPV from sensitivity / (1 - specificity), NPV from specificity / (1 - sensitivity)
        prior = odds if own else 1 / odds
        hit, miss = right[own], 1 - right[not own]
        estimate = prior * hit / (prior * hit + miss) if hit + miss else float("nan")
        if not np.isfinite(estimate):
            found.append(undefined("no case is predicted so", level))
            continue
        smooth_hit = (hit * sure[own] + 0.5) / (sure[own] + 1)
        smooth_miss = (miss * sure[not own] + 0.5) / (sure[not own] + 1)
        variance = (1 - smooth_hit) / (hit * sure[own] + 0.5) + (1 - smooth_miss) / (miss * sure[not own] + 0.5)
        centre, half = np.log(prior * smooth_hit / smooth_miss), z * np.sqrt(variance)
        low, high = (float(1 / (1 + np.exp(-(centre + side * half)))) for side in (-1, 1))
        method = (
            f"from sensitivity and specificity at prevalence {prevalence:g}, delta method on the log likelihood ratio"
        )
        found.append(Interval(estimate, min(low, estimate), max(high, estimate), level, method))
    return found[0], found[1]
