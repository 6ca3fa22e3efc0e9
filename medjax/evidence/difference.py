"""Paired differences of many predictors: each is looked at once, then every pair is a subtraction.

A `Difference` is what both the interval and the p-value are made of, so that the two always agree: estimate, standard
error and Student's degrees of freedom.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from medjax.evidence import multi_label, resampling
from medjax.evidence.auroc import auroc_influence, influence_variance
from medjax.evidence.comparison import SINGLE_MODELS, with_seeds
from medjax.evidence.intervals import Interval, count_patients, t_quantile, undefined
from medjax.evidence.measures import point
from medjax.evidence.setting import Setting
from medjax.evidence.survival_measures import by_pairs, resamples

SAME = "no patient makes a difference"
ROUNDING = 1e-12  # of the metrics' size: two sums of the same numbers in another order differ by less


@dataclass(frozen=True)
class Difference:
    """A paired difference before a level is chosen; where `reason` is given neither interval nor p-value exists."""

    estimate: float
    error: float
    degrees: float
    method: str
    reason: str = ""


@dataclass(frozen=True)
class Variation:
    """A metric of one predictor, and how it varies with the patients, in a form that may be subtracted from another's.

    `parts` holds the influence of each case ("DeLong") or patient ("influence") on the metric, or what the metric is when
    each patient is left out ("jackknife") or on each resample ("bootstrap").
    """

    estimate: float
    parts: Float[np.ndarray, "parts *columns"]
    how: Literal["DeLong", "influence", "jackknife", "bootstrap"]


def variation(name: str, members: Float[np.ndarray, "members cases outputs"], setting: Setting) -> Variation:
    """The metric `name`, as the mean over members, and how it varies with the patients.

    AUROC, of two classes, of several (macro) or of labels, by influences (DeLong 1988, Obuchowski 1997),
    and the concordance indices by influences too; any other metric by the jackknife of patients, beyond 1,000 patients by
    influences (labels) or the patient bootstrap.
    """
    if name == "auroc" and setting.positive is not None:
        target = setting.target == setting.positive
        found = [auroc_influence(one[:, setting.positive], target, setting.fold) for one in members]
        return Variation(float(np.mean([e for e, _ in found])), np.mean([part for _, part in found], axis=0), "DeLong")
    if setting.kind == "survival" and (of_pairs := [by_pairs(name, one, setting) for one in members])[0] is not None:
        return Variation(
            float(np.mean([one.estimate for one in of_pairs if one])),
            np.mean([one.total for one in of_pairs if one], axis=0),
            "influence",
        )
    if setting.kind == "survival":
        setting = replace(setting, resamples=resamples(setting))
    many = int(setting.patient.max()) + 1 > resampling.JACKKNIFE_PATIENTS
    if name == "auroc" or (setting.kind == "labels" and many):
        labels = _each_class_as_label(setting)
        found = [multi_label.influence(name, one, labels) for one in members]
        return Variation(
            float(np.mean([e for e, _ in found])), np.mean([part for _, part in found], axis=0), "influence"
        )
    metrics = [point(name, one, setting) for one in members]
    jackknife = resampling.jackknife_weights(setting.patient)
    chunks = resampling.case_weights(setting.patient, setting.resamples, setting.seed) if many else jackknife
    values = [np.mean([np.atleast_1d(metric(weights)) for metric in metrics], axis=0) for weights in chunks]
    estimate = float(np.mean([float(metric(None)) for metric in metrics]))
    return Variation(estimate, np.concatenate(values).astype(np.float64), "bootstrap" if many else "jackknife")


def _each_class_as_label(setting: Setting) -> Setting:
    """Classes as labels of which every case has one: the macro average over both is then the same."""
    if setting.kind == "labels":
        return setting
    own = setting.target[:, None] == np.arange(len(setting.classes))
    return replace(setting, kind="labels", target=own.astype(np.float64))


def paired(ours: Variation, theirs: Variation, setting: Setting) -> Difference:
    """The metric of ours minus that of theirs, patients varying; both are variations of one metric in one setting."""
    estimate, part = ours.estimate - theirs.estimate, ours.parts - theirs.parts
    error, degrees, method = _error(part, ours.how, setting)
    size = ROUNDING * max(abs(ours.estimate), abs(theirs.estimate))
    reason = ""
    if not math.isfinite(estimate) or not math.isfinite(error):
        estimate, reason = math.nan, "undefined for these cases"
    elif int(setting.patient.max()) < 2:
        reason = "fewer than three patients"
    elif setting.kind != "labels" and ours.how in ("DeLong", "influence") and _fewest(setting) < 2:
        reason = "a class, or the event, has fewer than two patients"
    elif error <= size and ours.how in ("DeLong", "influence") and min(ours.estimate, theirs.estimate) >= 1 - ROUNDING:
        reason = "both order every pair: no interval can be estimated"
    elif error <= size:
        same = abs(estimate) <= size
        estimate = 0.0 if same else estimate
        reason = SAME if same else "the difference does not vary between patients"
    return Difference(estimate, error, degrees, method, reason)


def _fewest(setting: Setting) -> int:
    """Patients of the smallest class; of times to an event, patients with one."""
    if setting.kind == "survival":
        return count_patients(setting.patient, setting.target[:, 1] > 0)
    return min(count_patients(setting.patient, setting.target == k) for k in range(len(setting.classes)))


def _error(part: Float[np.ndarray, "parts *columns"], how: str, setting: Setting) -> tuple[float, float, str]:
    """Standard error, degrees of freedom and method of a difference, from the difference of the parts."""
    patients, degrees = int(setting.patient.max()) + 1, float(setting.patient.max())
    clustered = " by patient (Obuchowski)" if patients < len(setting.patient) else ""
    clustered += ", pairs within folds, conditional on the fold models" if setting.fold is not None else ""
    if how == "DeLong":
        error = math.sqrt(influence_variance(part, setting.target == setting.positive, setting.patient))
        return error, float(_fewest(setting) - 1), f"paired DeLong{clustered}"
    if how == "influence":
        # Few patients may carry the difference: Satterthwaite's degrees of freedom, as for the labels' own intervals.
        return (
            float(np.linalg.norm(part)),
            multi_label.degrees_of_squares(part),
            f"paired influence of each patient{clustered}",
        )
    part = part[np.isfinite(part)]  # undefined where the last patient of a class is left out
    if len(part) < 2:
        return math.nan, degrees, "none"
    if how == "jackknife":
        return math.sqrt((patients - 1) * float(np.var(part))), degrees, "paired, patient jackknife"
    return float(np.std(part, ddof=1)), degrees, f"paired, patient bootstrap ({setting.resamples})"


def between_methods(
    patients: Difference,
    seeds: Float[np.ndarray, " members"],
    reference_seeds: Float[np.ndarray, " reference_members"],
) -> Difference:
    """The same with seeds varying too: `patients` is the difference of the means over seeds, the rest single models."""
    if patients.reason:
        return replace(patients, method=SINGLE_MODELS)
    variance, degrees = with_seeds(seeds, reference_seeds, patients.error**2, patients.degrees)
    return Difference(patients.estimate, math.sqrt(variance), degrees, SINGLE_MODELS)


def difference_interval(found: Difference, level: float) -> Interval:
    """The interval of a difference: estimate plus and minus Student's quantile times the standard error."""
    if found.reason:
        return undefined(found.reason, level, found.estimate)
    half = t_quantile(level, found.degrees) * found.error
    return Interval(found.estimate, found.estimate - half, found.estimate + half, level, found.method)


def p_value(found: Difference) -> float:
    """Two-sided p-value of no difference: below 1 - level exactly where the interval at that level leaves 0 out."""
    from scipy.special import stdtr

    if found.reason:
        return math.nan
    return float(2 * stdtr(max(found.degrees, 1.0), -abs(found.estimate) / found.error))


def mcnemar(right: Bool[np.ndarray, " cases"], reference: Bool[np.ndarray, " cases"]) -> tuple[int, int, float]:
    """How many independent cases only ours judges rightly, how many only theirs, and McNemar's exact two-sided p-value.

    Source: McNemar, Psychometrika 12:153 (1947); exact, with the binomial distribution of half of those that differ.
    """
    from scipy.stats import binomtest

    ours, theirs = int((right & ~reference).sum()), int((reference & ~right).sum())
    return ours, theirs, float(binomtest(ours, ours + theirs, 0.5).pvalue) if ours + theirs else 1.0
