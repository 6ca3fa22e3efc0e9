"""How many patients the next study needs: for an interval of a stated width, or to stay within a stated margin.

Nothing here is computed from an observed difference: "cases needed" to confirm one answered 372 to 304,687 where the truth
was 1,761.
"""

import math

import numpy as np

from medjax.errors import InputError
from medjax.evidence.auroc import LEAST_DEGREES, rank
from medjax.evidence.intervals import (
    SCALES,
    Cases,
    Patients,
    count_patients,
    effective_total,
    normal_quantile,
    patient_codes,
    t_quantile,
)


def cases_for_share(share: float | int, half_width: float | int, level: float = 0.95) -> int:
    """Independent cases for which half of Wilson's interval of this share is at most `half_width`.

    From h (n + z2) = z sqrt(n p (1 - p) + z2 / 4), the larger root, rounded up.
    """
    _check_half_width(half_width)
    z2, spread = normal_quantile(level) ** 2, share * (1 - share)
    first = half_width**2
    second = z2 * (2 * first - spread)
    third = z2**2 * (first - 0.25)
    return max(math.ceil((-second + math.sqrt(max(second**2 - 4 * first * third, 0.0))) / (2 * first) - 1e-9), 1)


def hanley_mcneil(auroc: float | int, events: int, non_events: int) -> float:
    """Variance of an AUROC from its value alone, for two exponential distributions of the score.

    Source: Hanley & McNeil, Radiology 143:29 (1982), equations 1 and 2.
    """
    first, second = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    sum_ = auroc * (1 - auroc) + (events - 1) * (first - auroc**2) + (non_events - 1) * (second - auroc**2)
    return sum_ / (events * non_events)


def auroc_variance_for(auroc: float | int, half_width: float | int, level: float = 0.95) -> float:
    """The variance at which half of the interval of an AUROC, symmetric on the logit scale, is `half_width`."""
    from scipy.optimize import root_scalar

    _check_half_width(half_width)
    forward, derivative, back = SCALES["logit"]
    centre = float(forward(auroc))

    def excess(step: float) -> float:
        return float(back(centre + step) - back(centre - step)) / 2 - half_width

    wide = float(root_scalar(excess, bracket=(0.0, 200.0), method="brentq").root)
    return (wide / normal_quantile(level) / float(derivative(auroc))) ** 2


def cases_for_auroc(
    auroc: float | int, half_width: float | int, *, prevalence: float | int, level: float = 0.95
) -> tuple[int, int]:
    """Events and non-events, one case a patient, for an EXPECTED AUROC at a prevalence, by Hanley and McNeil."""
    if not (0.5 <= auroc < 1 and 0 < prevalence < 1):
        raise InputError(
            f"sample size: AUROC {auroc} must lie in .5 to 1 and prevalence {prevalence} between 0 and 1; state others"
        )
    needed, ratio = auroc_variance_for(auroc, half_width, level), (1 - prevalence) / prevalence
    low, high = 1, 2
    while hanley_mcneil(auroc, high, math.ceil(high * ratio)) > needed:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (
            (middle, high) if hanley_mcneil(auroc, middle, math.ceil(middle * ratio)) > needed else (low, middle)
        )
    return high, math.ceil(high * ratio)


def precision(
    probability: Cases,
    target: Cases,
    patient: Patients,
    *,
    threshold: float | int,
    half_width: float | int = 0.05,
    level: float = 0.95,
    fold: Cases | None = None,
) -> dict:
    """Patients with and without the event that the next study needs for intervals of +- `half_width`, as JSON.

    Sensitivity and specificity at `threshold` by Wilson's interval; AUROC from the variance of these cases' influences, at
    these cases' ratio of events to non-events. `patients` is the whole study at the share of events found here. Where a
    quantity is 0 or 1 here its variance is unknown, and the answer is "not estimable" with the reason.

    Raises:
        InputError: a half width that does not lie between 0 and .5.
    """
    _check_half_width(half_width)
    patient, positive = patient_codes(patient), np.asarray(target).astype(bool)
    right = (np.asarray(probability, np.float64) >= threshold) == positive
    counts = {True: count_patients(patient, positive), False: count_patients(patient, ~positive)}
    patients = int(patient.max()) + 1
    result: dict = {"half_width": float(half_width), "level": level, "threshold": float(threshold)}
    for name, own in (("sensitivity", True), ("specificity", False)):
        among = positive == own
        share = float(right[among].mean()) if among.any() else math.nan
        word = "events" if own else "non_events"
        if not among.any():
            result[name] = _not_estimable(f"no case is {'positive' if own else 'negative'}", half_width)
        elif share in (0.0, 1.0):
            result[name] = _not_estimable(
                f"it is {share:.0f} here, so that nothing shows how it varies", half_width, share
            )
        else:
            worth = effective_total(right[among], patient[among], level) / counts[own]
            needed = math.ceil(cases_for_share(share, half_width, level) / worth - 1e-9)
            whole = math.ceil(needed * patients / counts[own] - 1e-9)
            result[name] = {"expected": share, word: needed, "patients": whole}
    result["auroc"] = _auroc(probability, positive, patient, counts, half_width, level, fold)
    return result | {"assumptions": _assumptions(patient, positive, counts, level)}


def _auroc(
    probability: Cases,
    positive: Cases,
    patient: Patients,
    counts: dict[bool, int],
    half_width: float | int,
    level: float,
    fold: Cases | None,
) -> dict:
    found = rank(np.asarray(probability, np.float64)[:, None], positive[:, None], patient, fold)
    estimate, variance = found.estimate, float(found.total @ found.total)
    if not math.isfinite(estimate) or found.fewest < 2:
        return _not_estimable("a class has fewer than two patients, or no pair in any fold", half_width)
    if estimate in (0.0, 1.0) or variance <= 0:
        return _not_estimable(f"it is {estimate:.3g} here, so that nothing shows how it varies", half_width, estimate)
    # With f times as many patients the variance is an f-th, and its degrees of freedom (Satterthwaite) are f times as many.
    degrees = 2 * variance**2 / float((found.total**4).sum())
    needed = auroc_variance_for(estimate, half_width, level)
    factor = variance / needed
    for _ in range(100):
        quantile = t_quantile(level, max(factor * degrees, LEAST_DEGREES)) / normal_quantile(level)
        factor = variance / needed * quantile**2
    events, non_events = (math.ceil(factor * counts[own] - 1e-9) for own in (True, False))
    whole = math.ceil(factor * (int(patient.max()) + 1) - 1e-9)
    return {"expected": estimate, "events": events, "non_events": non_events, "patients": whole}


def _not_estimable(why: str, half_width: float | int, expected: float | None = None) -> dict:
    return {"expected": expected, "patients": None, "reason": f"not estimable for +- {half_width:g}: {why}"}


def _assumptions(patient: Patients, positive: Cases, counts: dict[bool, int], level: float) -> list[str]:
    patients = int(patient.max()) + 1
    several = len(patient) > patients
    return [
        "the next study's patients are like these, and its true values are the estimates found here",
        f"{counts[True] / patients:.1%} of patients have the event, and {counts[False] / patients:.1%} a case without it",
        f"{len(patient) / patients:.3g} cases a patient, as alike within a patient as here" if several else "one case a patient",
        f"{level:.0%} intervals whose expected half width is the stated one: half of such studies will be a little wider",
    ]  # fmt: skip


def non_inferiority(
    error: float | int,
    patients: int,
    margin: float | int,
    *,
    power: float = 0.8,
    level: float = 0.95,
    degrees: float | int | None = None,
) -> dict:
    """Patients for which two predictors that are truly equal are shown non-inferior within a STATED margin, as JSON.

    n = patients x ((z + z_power) x error / margin)^2, where `error` is the paired standard error of the difference found
    with these `patients`; the difference itself plays no part. `low` and `high` say how well n is known: the interval of
    the error's variance, chi-squared with `degrees` of freedom (patients - 1).

    Raises:
        InputError: a margin that is not positive, or a power that does not lie between .5 and 1.
    """
    from scipy.special import chdtri, ndtri

    if not (margin > 0 and math.isfinite(margin)):
        raise InputError(f"sample size: the margin {margin} must be above 0; state the largest loss that is acceptable")
    if not 0.5 <= power < 1:
        raise InputError(f"sample size: the power {power} must lie between .5 and 1")
    result: dict = {"margin": float(margin), "power": power, "level": level, "assumed_difference": 0.0}
    if not math.isfinite(error) or error <= 0 or patients < 3:
        why = (
            "the paired difference does not vary between patients here"
            if error == 0
            else "it has no standard error here"
        )
        return result | {"patients": None, "low": None, "high": None, "reason": f"not estimable: {why}"}
    needed = patients * ((normal_quantile(level) + float(ndtri(power))) * error / margin) ** 2
    free = float(degrees or patients - 1)
    ends = [needed * free / float(chdtri(free, tail)) for tail in ((1 - level) / 2, (1 + level) / 2)]
    return result | {
        "patients": math.ceil(needed - 1e-9),
        "low": math.ceil(ends[0] - 1e-9),
        "high": math.ceil(ends[1] - 1e-9),
        "paired_standard_error": float(error),
        "observed_patients": int(patients),
        "method": "from the paired standard error; interval of its variance by chi-squared",
        "assumptions": [
            "the two predictors are truly equal; where the new one is truly worse no number of patients suffices",
            f"non-inferior means that the {level:.0%} interval lies above -{margin:g}; that happens with probability {power:g}",
            "the next study's patients are like these, and the paired standard error falls with the root of their number",
        ],
    }


def _check_half_width(half_width: float | int) -> None:
    if not 0 < half_width < 0.5:
        raise InputError(f"sample size: the half width {half_width} must lie between 0 and .5")
