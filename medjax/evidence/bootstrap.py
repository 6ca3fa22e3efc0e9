"""Bootstrap of patients for any metric: percentile and BCa intervals in bounded memory, and an AUROC made for it.

`evaluate` prefers methods whose coverage is nearer the level where patients are few (docs/evidence.md, "How often the
intervals hold the truth"). The bootstrap serves every metric that has no such method, one of your own among them.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Shaped

from medjax.errors import InputError
from medjax.evidence.intervals import Cases, Interval, Patients, patient_codes, undefined
from medjax.evidence.resampling import (
    JACKKNIFE_PATIENTS,
    Metric,
    bootstrap_weights,
    case_weights,
    jackknife_weights,
)

MOST_UNDEFINED = (
    0.5  # share of resamples without a value (such as those without a positive case) from which none is given
)
ENOUGH_PATIENTS = 200
# Measured by benchmarks/evidence_coverage.py with 40 to 200 patients, over metrics: printed in the warning.
MEASURED = {"percentile": ".77 to .95", "BCa": ".80 to .97"}
_SAME = 1e-12  # a resample that equals the estimate may differ from it by rounding


def stratified_weights(
    patient: Patients, stratum: Shaped[np.ndarray, "_"], resamples: int, seed: int
) -> Iterator[Float[np.ndarray, "resamples cases"]]:
    """Weights of cases in resamples that draw as many patients from every stratum as it holds.

    Only for samples that were drawn so (a fixed number of cases and of controls, of patients from each hospital): holding
    an outcome fixed that was not makes intervals too short. Raises InputError where a patient lies in two strata.
    """
    if len(stratum) != len(patient):
        raise InputError(f"bootstrap: {len(stratum)} strata for {len(patient)} cases; give one a case")
    place, first = patient_codes(stratum), np.unique(patient, return_index=True)[1]
    of_patient = place[first]
    torn = np.flatnonzero(of_patient[patient] != place)
    if len(torn):
        raise InputError(
            f"bootstrap: the patient of case {torn[0]} lies in two strata; a stratum must hold whole patients"
        )
    members = [np.flatnonzero(of_patient == k) for k in range(int(place.max()) + 1)]
    # One independent stream a stratum; the width makes all of them come in equal chunks.
    streams = [
        bootstrap_weights(len(own), resamples, seed + (k << 64), width=len(patient)) for k, own in enumerate(members)
    ]
    for parts in zip(*streams, strict=True):
        weights = np.empty((len(parts[0]), len(first)))
        for own, part in zip(members, parts, strict=True):
            weights[:, own] = part
        yield weights[:, patient]


def resample(
    metric: Metric, patient: Patients, *, resamples: int = 1000, seed: int = 0, stratum: Cases | None = None
) -> Float[np.ndarray, " resamples"]:
    """The metric in resamples of whole patients, NaN where it is undefined; the same seed gives the same resamples.

    `metric` maps weights (resamples, cases) to (resamples,). Memory holds a few resamples at a time, whatever their
    number; so does `leave_out`.
    """
    patient = patient_codes(patient)
    chunks = (
        case_weights(patient, resamples, seed)
        if stratum is None
        else stratified_weights(patient, stratum, resamples, seed)
    )
    return np.concatenate([np.atleast_1d(metric(weights)) for weights in chunks]).astype(np.float64)


def leave_out(metric: Metric, patient: Patients, *, seed: int = 0) -> Float[np.ndarray, " parts"]:
    """The metric without each patient in turn; beyond 1,000 patients, without each of 1,000 random groups of them.

    Sums of cubes and squares of what is left out are, on average, the same for groups as for single patients.
    """
    patient = patient_codes(patient)
    patients = int(patient.max()) + 1
    if patients > JACKKNIFE_PATIENTS:
        generator = np.random.Generator(np.random.Philox(key=seed))
        patient = (generator.permutation(patients) % JACKKNIFE_PATIENTS)[patient]
    return np.concatenate([np.atleast_1d(metric(weights)) for weights in jackknife_weights(patient)]).astype(np.float64)


def _usable(
    estimate: float, values: Shaped[np.ndarray, " resamples"], level: float
) -> tuple[np.ndarray, str, Interval | None]:
    """The resamples that have a value, a warning where some have none, and why there is no interval at all."""
    finite = values[np.isfinite(values)]
    missing = len(values) - len(finite)
    if not math.isfinite(estimate):
        return finite, "", undefined("undefined for these cases", level)
    if not len(values) or missing > MOST_UNDEFINED * len(values):
        return finite, "", undefined(f"undefined in {missing} of {len(values)} resamples", level, estimate)
    if np.ptp(finite) <= _SAME * max(1.0, abs(estimate)):
        return finite, "", undefined("no variation between patients to make an interval from", level, estimate)
    warning = f"undefined in {missing} of {len(values)} resamples, which are left out" if missing else ""
    return finite, warning, None


def percentile_interval(
    estimate: float, values: Shaped[np.ndarray, " resamples"], level: float = 0.95, method: str = "percentile"
) -> Interval:
    """The middle `level` of the resamples. Source: Efron, Ann. Stat. 7:1 (1979)."""
    finite, warning, none = _usable(estimate, values, level)
    if none:
        return none
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, method, warning=warning)


def bca_interval(
    estimate: float,
    values: Shaped[np.ndarray, " resamples"],
    left_out: Shaped[np.ndarray, " parts"],
    level: float = 0.95,
    method: str = "BCa",
) -> Interval:
    """Percentiles moved by the resamples' bias and by the acceleration of the jackknife.

    Source: Efron, JASA 82:171 (1987), equations 2.3 and 6.6; ties with the estimate count one half.
    """
    from scipy.special import ndtr, ndtri

    finite, warning, none = _usable(estimate, values, level)
    if none:
        return none
    slack, parts = _SAME * max(1.0, abs(estimate)), left_out[np.isfinite(left_out)]
    below = np.mean(finite < estimate - slack) + np.mean(np.abs(finite - estimate) <= slack) / 2
    edge = 0.5 / len(finite)
    bias, gaps = float(ndtri(np.clip(below, edge, 1 - edge))), parts.mean() - parts if len(parts) else parts
    squares = float(gaps @ gaps)
    acceleration = float((gaps**3).sum()) / (6 * squares**1.5) if squares else 0.0
    moved = bias + ndtri(np.array([(1 - level) / 2, (1 + level) / 2]))
    if np.any(acceleration * moved >= 1):
        return undefined("too few patients: one of them decides (BCa)", level, estimate)
    low, high = np.quantile(finite, ndtr(bias + moved / (1 - acceleration * moved)))
    return Interval(estimate, float(low), float(high), level, method, warning=warning)


def _how(resamples: int, stratum: Cases | None) -> str:
    return f"patient bootstrap ({resamples}{'' if stratum is None else ', stratified'})"


def _warned(found: Interval, name: str, patient: Patients) -> Interval:
    """The interval with a word on how short it may be where patients are few; a rule on the design, not on the values."""
    patients = len(np.unique(patient))
    if found.reason or patients >= ENOUGH_PATIENTS:
        return found
    few = f"only {patients} patients: {name} intervals are often too short (simulated coverage {MEASURED[name]} of .95)"
    return replace(found, warning="; ".join(text for text in (few, found.warning) if text))


def percentile(
    metric: Metric,
    patient: Patients,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    stratum: Cases | None = None,
) -> Interval:
    """Percentile interval of any metric of weights (`measures.point` gives those of an evaluation), by patient."""
    if not len(patient):
        return undefined("no case", level)
    values = resample(metric, patient, resamples=resamples, seed=seed, stratum=stratum)
    found = percentile_interval(float(metric(None)), values, level, f"percentile, {_how(resamples, stratum)}")
    return _warned(found, "percentile", patient)


def bca(
    metric: Metric,
    patient: Patients,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    stratum: Cases | None = None,
) -> Interval:
    """BCa interval of any metric of weights (`measures.point` gives those of an evaluation), by patient."""
    if not len(patient):
        return undefined("no case", level)
    values = resample(metric, patient, resamples=resamples, seed=seed, stratum=stratum)
    left_out = leave_out(metric, patient, seed=seed)
    found = bca_interval(float(metric(None)), values, left_out, level, f"BCa, {_how(resamples, stratum)}")
    return _warned(found, "BCa", patient)


def ranked_auroc(score: Cases, target: Cases, fold: Cases | None = None) -> Metric:
    """AUROC as a function of case weights (resamples, cases), or None; the scores are sorted once, not at every call.

    The same values as `classification.auroc`. The weights of the smaller class are summed up along the order of the scores,
    and looked up where the cases of the other class stand, so that time and memory of a resample grow with the cases.
    Ties count one half.
    """
    score, positive = np.asarray(score), np.asarray(target).astype(bool)
    parts = []
    for cases in (
        [np.arange(len(score))] if fold is None else [np.flatnonzero(fold == name) for name in np.unique(fold)]
    ):
        positives, negatives = cases[positive[cases]], cases[~positive[cases]]
        upward = len(negatives) <= len(positives)
        few, many = (negatives, positives) if upward else (positives, negatives)
        if not len(few):
            continue
        few, many = (own[np.argsort(score[own], kind="stable")] for own in (few, many))
        first, last = (np.searchsorted(score[few], score[many], side) for side in ("left", "right"))
        parts.append((upward, few, many, first, None if np.array_equal(first, last) else last))

    def metric(weights: np.ndarray | None) -> np.ndarray:
        rows = np.ones((1, len(score))) if weights is None else np.atleast_2d(np.asarray(weights, np.float64))
        concordant, pairs = np.zeros(len(rows)), np.zeros(len(rows))
        for upward, few, many, first, last in parts:
            passed = np.zeros((len(rows), len(few) + 1))
            np.cumsum(rows.take(few, axis=1), axis=1, out=passed[:, 1:])
            own = rows.take(many, axis=1)
            found = np.einsum("ri,ri->r", own, passed.take(first, axis=1))
            if last is not None:
                found = (found + np.einsum("ri,ri->r", own, passed.take(last, axis=1))) / 2
            both = own.sum(axis=1) * passed[:, -1]
            concordant += found if upward else both - found
            pairs += both
        values = np.where(pairs > 0, concordant / np.where(pairs > 0, pairs, 1.0), math.nan)
        return values if weights is not None and np.ndim(weights) > 1 else np.asarray(values[0])

    return metric
