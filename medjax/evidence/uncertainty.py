"""Uncertainty of an ensemble, in two parts: what the members agree to be uncertain, and what they disagree about."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from medjax.errors import InputError
from medjax.evidence import auroc, intervals
from medjax.evidence.intervals import Cases, Patients
from medjax.evidence.measures import entry
from medjax.evidence.ratios import ratio_of_sums

PARTS = ("total", "aleatoric", "epistemic")
Parts = dict[str, Float[np.ndarray, " cases"]]
_ONE = "one member: nothing to disagree with, so that this is 0 by construction"


def of_classes(values: Float[np.ndarray, "members cases classes"]) -> Parts:
    """Entropy (nats) of the mean prediction, mean entropy of the members, and their difference, for each case.

    total = aleatoric + epistemic; the epistemic part is the mutual information of class and member, between 0 and
    log(members). Few members find too little of it. Source: Depeweg et al., ICML 2018; Lakshminarayanan et al., NeurIPS 2017.
    """
    from scipy.special import entr

    values = np.asarray(values, np.float64)
    total = entr(values.mean(axis=0)).sum(-1)
    aleatoric = entr(values).sum(-1).mean(axis=0)
    return _parts(aleatoric, np.zeros_like(total) if len(values) == 1 else np.maximum(total - aleatoric, 0.0))


def of_values(
    means: Float[np.ndarray, "members cases"], variances: Float[np.ndarray, "members cases"] | None = None
) -> Parts:
    """Variance in its parts, for each case: mean of the members' own variances, and variance of their means.

    Those of the equal mixture of the members (law of total variance). Without `variances` the members say nothing about
    the spread of the outcome, and the aleatoric part and the total are NaN.
    """
    means = np.asarray(means, np.float64)
    if variances is not None and (variances.shape != means.shape or np.any(variances < 0)):
        raise InputError("uncertainty: variances must have the shape of the means, and none may be negative")
    epistemic = means.var(axis=0)
    unknown = np.full(means.shape[1], math.nan)
    return _parts(unknown if variances is None else np.asarray(variances, np.float64).mean(axis=0), epistemic)


def variances_of_quantiles(
    values: Float[np.ndarray, "members cases outputs"], quantiles: Sequence[float]
) -> Float[np.ndarray, "members cases"]:
    """The variance of a normal distribution as wide as the outermost two quantiles (the columns after the prediction)."""
    from scipy.special import ndtri

    if len(quantiles) < 2 or values.shape[2] != len(quantiles) + 1 or list(quantiles) != sorted(set(quantiles)):
        raise InputError(
            f"uncertainty: {values.shape[2]} columns for a prediction and rising quantiles {tuple(quantiles)}"
        )
    width = np.maximum(np.asarray(values[..., -1] - values[..., 1], np.float64), 0.0)
    return (width / float(ndtri(quantiles[-1]) - ndtri(quantiles[0]))) ** 2


def summary(
    parts: Parts,
    patient: Patients,
    members: int,
    *,
    wrong: Cases | None = None,
    unit: str = "nats",
    level: float = 0.95,
) -> dict:
    """Means over cases with intervals by patient, as JSON; with `wrong`, how well each part ranks the wrong answers.

    `detects_errors` is an AUROC: the probability that a wrong answer was more uncertain than a right one.
    """
    cases, patients = len(patient), int(patient.max()) + 1
    result: dict = {"unit": unit, "members": members, "mean": {}}
    for name in PARTS:
        result["mean"][name] = entry(_mean(parts[name], patient, level), cases, patients)
    if members == 1:
        result["mean"]["epistemic"]["reason"] = _ONE
    share = float(np.sum(parts["epistemic"]) / np.sum(parts["total"])) if np.sum(parts["total"]) > 0 else math.nan
    result["epistemic_share"] = share if math.isfinite(share) else None
    if wrong is not None:
        wrong = np.asarray(wrong).astype(bool)
        result["detects_errors"] = {
            name: entry(_detects(parts[name], wrong, patient, level), cases, patients) for name in PARTS
        }
    return result


def _parts(aleatoric: np.ndarray, epistemic: np.ndarray) -> Parts:
    return {"total": aleatoric + epistemic, "aleatoric": aleatoric, "epistemic": epistemic}


def _mean(values: np.ndarray, patient: Patients, level: float) -> intervals.Interval:
    if np.any(np.isnan(values)):
        return intervals.undefined("the members give no spread of the outcome", level)
    return ratio_of_sums(values, np.ones(len(values)), patient, level=level)


def _detects(values: np.ndarray, wrong: np.ndarray, patient: Patients, level: float) -> intervals.Interval:
    if wrong.all() or not wrong.any():
        return intervals.undefined("no answer is wrong" if not wrong.any() else "every answer is wrong", level)
    if np.any(np.isnan(values)) or np.ptp(values) == 0:
        return intervals.undefined("this part is the same, or unknown, for all cases", level)
    return auroc.auroc(values, wrong, patient, level=level)
