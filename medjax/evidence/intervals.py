"""Confidence intervals whose unit is the patient.

With one case a patient: Wilson for proportions, a score interval for their mean, DeLong on the logit scale for AUROC.
With several: influence values are summed by patient (Obuchowski, Biometrics 53:567, 1997), and proportions use Wilson with
the effective number of cases.
In cross-validation only pairs within a fold count; such an interval is conditional on the fold models. How often each
interval covers the truth is simulated in `benchmarks/coverage.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from medjax.metrics import classification

Cases = Shaped[np.ndarray, " cases"]
Patients = Int[np.ndarray, " cases"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; NaN where undefined, and then `reason` says why; `warning` where coverage is doubtful."""

    estimate: float
    low: float
    high: float
    level: float
    method: str
    reason: str = ""
    warning: str = ""


def undefined(reason: str, level: float, estimate: float = math.nan) -> Interval:
    """No interval, for a stated reason."""
    return Interval(estimate, math.nan, math.nan, level, "none", reason)


# Scales on which an interval is made symmetric: forward, derivative, back. Values at the edge are moved inwards.
_EDGE = 1e-9
SCALES: dict[str, tuple[Callable, Callable, Callable]] = {
    "plain": (lambda x: x, lambda x: 1.0 + 0.0 * x, lambda z: z),
    "log": (lambda x: np.log(np.maximum(x, 1e-300)), lambda x: 1 / np.maximum(x, 1e-300), np.exp),
    "logit": (
        lambda x: np.log(np.clip(x, _EDGE, 1) / np.clip(1 - x, _EDGE, 1)),
        lambda x: 1 / np.maximum(x * (1 - x), _EDGE),
        lambda z: 1 / (1 + np.exp(-z)),
    ),
    "Fisher z": (
        lambda x: np.arctanh(np.clip(x, -1 + _EDGE, 1 - _EDGE)),
        lambda x: 1 / np.maximum(1 - x * x, _EDGE),
        np.tanh,
    ),
    "log(1 - x)": (
        lambda x: np.log(np.maximum(1 - x, 1e-300)),
        lambda x: 1 / np.maximum(1 - x, 1e-300),
        lambda z: 1 - np.exp(z),
    ),
}


def normal_quantile(level: float) -> float:
    """Two-sided quantile of the normal distribution: 1.96 for level .95."""
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def t_quantile(level: float, degrees: float | int) -> float:
    """Two-sided quantile of Student's t distribution."""
    from scipy.special import stdtrit

    return float(stdtrit(max(degrees, 1.0), 0.5 + level / 2))


# Patients.


def patient_codes(group: Cases) -> Patients:
    """Patients numbered 0, 1, ... in place of their names."""
    return np.unique(group, return_inverse=True)[1].astype(np.int64).reshape(-1)


def patient_sums(
    values: Float[np.ndarray, "cases *columns"], patient: Patients
) -> Float[np.ndarray, "patients *columns"]:
    """Sums of per-case values by patient."""
    patients = int(patient.max()) + 1
    if values.ndim == 1:
        return np.bincount(patient, values, patients).astype(np.float64)
    columns = values.reshape(len(values), -1).T
    sums = np.stack([np.bincount(patient, column, patients) for column in columns], axis=-1)
    return sums.reshape(patients, *values.shape[1:]).astype(np.float64)


def count_patients(patient: Patients, cases: Bool[np.ndarray, " cases"]) -> int:
    """How many patients have at least one of these cases."""
    return len(np.unique(patient[cases]))


# Proportions.

FEW = 5  # patients that differ from the rest: with fewer, coverage swings as the truth nears the limit


def near_a_limit(differing: int, patients: int) -> str:
    """The warning where so few patients differ; none where no one does, since the interval then holds the limit."""
    if not 0 < differing < FEW:
        return ""
    verb = "differs" if differing == 1 else "differ"
    return f"only {differing} of {patients} patients {verb} from the rest: coverage is .84 to 1 so near a limit"


def wilson(successes: float | int, total: float | int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval; counts may be effective ones, not whole. Source: Wilson, JASA 22:209 (1927)."""
    z2 = normal_quantile(level) ** 2
    share = successes / total
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = math.sqrt(z2 * (share * (1 - share) / total + z2 / (4 * total**2))) / (1 + z2 / total)
    low = 0.0 if successes <= 0 else max(centre - half, 0.0)
    return low, 1.0 if successes >= total else min(centre + half, 1.0)


def effective_total(success: Cases, patient: Patients, level: float = 0.95) -> float:
    """The number of independent cases that would tell as much about this proportion as these clustered ones.

    Cases divided by the design effect of the linearised proportion (Rao & Scott, Biometrics 48:577, 1992), with
    Student's quantile for the number of patients. One case a patient: the number of cases. Where all cases agree the
    design effect cannot be estimated, and patients are counted instead.
    """
    success, total = np.asarray(success, np.float64), len(success)
    _, compact = np.unique(patient, return_inverse=True)
    patients = int(compact.max()) + 1
    share = success.mean()
    if patients == total:
        return float(total)
    if patients < 2 or share in (0.0, 1.0):
        return float(patients)
    residual = np.bincount(compact, success - share)
    variance = patients / (patients - 1) * float(residual @ residual) / total**2
    if variance == 0:  # the same share in every patient: nothing says that cases of one patient are alike
        return float(total)
    shrink = (normal_quantile(level) / t_quantile(level, patients - 1)) ** 2
    return float(min(max(share * (1 - share) / variance * shrink, 1.0), total))


def proportion(success: Cases, patient: Patients, level: float = 0.95) -> Interval:
    """A share of cases, such as a sensitivity: `success` holds 0 or 1 for the cases of the denominator."""
    if not len(success):
        return undefined("no case in the denominator", level)
    clustered = len(np.unique(patient)) < len(success)
    total = effective_total(success, patient, level)
    share = float(np.mean(success))
    low, high = wilson(share * total, total, level)
    rarer = np.asarray(success).astype(bool) == (share < 0.5)
    warning = near_a_limit(count_patients(patient, rarer), len(np.unique(patient)))
    method = "Wilson, cases clustered by patient" if clustered else "Wilson"
    return Interval(share, low, high, level, method, warning=warning)


def mean_of_shares(parts: list[Shaped[np.ndarray, "_"]], level: float = 0.95) -> Interval:
    """The mean of shares of disjoint sets of independent cases, such as a balanced accuracy: a score interval.

    `parts` holds 0 or 1 for the cases of each set. An end is the mean whose most probable shares lie just as far from
    the observed mean as `level` allows, with the variance of those shares: Wilson's interval where there is one set,
    Mee's where two are subtracted. Source: Martin Andres et al., Stat. Methods Med. Res. 20:369 (2011).
    """
    if any(not len(part) for part in parts):
        return undefined("a class has no case", level)
    total = np.array([len(part) for part in parts], np.float64)
    successes = np.array([np.sum(part) for part in parts], np.float64)
    estimate = float(np.mean(successes / total))

    def shares(multiplier: float) -> np.ndarray:
        """The most probable shares with a given mean, by Lagrange multiplier: x/p - (n - x)/(1 - p) = multiplier."""
        sums = multiplier + total
        root = np.sqrt(np.maximum(sums**2 - 4 * multiplier * successes, 0.0))
        positive = 2 * successes / np.where(sums > 0, np.maximum(sums + root, 1e-300), 1.0)
        return np.where(sums > 0, positive, (sums - root) / (2 * multiplier if multiplier else 1.0))

    from scipy.optimize import root_scalar  # only here: it takes a quarter of a second, before any training

    def distance(multiplier: float) -> float:
        found = shares(multiplier)
        deviation = math.sqrt(float(np.sum(found * (1 - found) / total))) / len(parts)
        return abs(estimate - float(found.mean())) - normal_quantile(level) * deviation

    def end(sign: float) -> float:
        # The mean falls as the multiplier grows. A share of 1 stays until it exceeds that set, a share of 0 for ever
        # (for the upper end the other way round).
        held = np.where(successes == (0 if sign > 0 else total), math.inf, total * np.isin(successes / total, (0, 1)))
        near, far = float(held.min()) * (1 + 1e-9) + 1e-9, 1e6 * float(total.max())
        if math.isinf(near):
            return estimate
        return float(shares(root_scalar(distance, bracket=(sign * near, sign * far), method="brentq").root).mean())

    low, high = min(end(1.0), estimate), max(end(-1.0), estimate)
    cases, right = int(total.sum()), int(successes.sum())
    warning = near_a_limit(min(right, cases - right), cases)
    return Interval(estimate, low, high, level, "score interval of the mean of shares", warning=warning)


def f1(predicted: Cases, target: Cases, patient: Patients, level: float = 0.95) -> Interval:
    """F1 = 2 J / (1 + J), where J = TP / (TP + FP + FN) is a share of cases and gets the interval of a proportion."""
    predicted, target = np.asarray(predicted).astype(bool), np.asarray(target).astype(bool)
    either = predicted | target
    share = proportion((predicted & target)[either], patient[either], level)
    if share.reason:
        return undefined("neither a positive case nor a positive prediction", level)
    estimate, low, high = (2 * j / (1 + j) for j in (share.estimate, share.low, share.high))
    return Interval(estimate, low, high, level, f"{share.method} on TP/(TP+FP+FN)", warning=share.warning)


# Functions of the confusion matrix.


def matrix_metric(
    metric: Callable[[np.ndarray], np.ndarray],
    scale: str,
    predicted: Cases,
    target: Cases,
    patient: Patients,
    *,
    classes: int,
    level: float = 0.95,
) -> Interval:
    """A smooth function of the confusion matrix (Matthews, macro F1, ...) by the delta method, summed by patient.

    One pseudo-case is spread over all cells before variance and centre are taken (as Agresti and Coull do for a
    proportion), so that a perfect table still gets an interval; the estimate itself is the raw one.
    `metric` maps (..., classes, classes) to (...); `scale` names the scale of the symmetric interval (`SCALES`).
    """
    matrix = classification.confusion_matrix(predicted, target, classes=classes)
    estimate = float(metric(matrix))
    if not math.isfinite(estimate):
        return undefined("a class is neither present nor predicted", level)
    forward, derivative, back = SCALES[scale]
    cells = classes * classes
    smooth = matrix + 1.0 / cells
    step = 1e-4 * np.eye(cells).reshape(cells, classes, classes)
    gradient = (metric(smooth + step) - metric(smooth - step)) / 2e-4
    centre = float(metric(smooth))
    cell = np.asarray(target).astype(np.int64) * classes + np.asarray(predicted).astype(np.int64)
    sums = patient_sums(gradient[cell], patient)
    patients = len(sums)
    if patients < 2:
        return undefined("one patient only", level, estimate)
    variance = patients / (patients - 1) * float(sums @ sums) + float(gradient @ gradient) / cells
    half = t_quantile(level, patients - 1) * math.sqrt(variance) * derivative(centre)
    low, high = back(forward(centre) - half), back(forward(centre) + half)
    method = f"delta method by patient, {scale} scale"
    warning = near_a_limit(count_patients(patient, np.asarray(predicted != target)), patients)
    return Interval(estimate, float(min(low, estimate)), float(max(high, estimate)), level, method, warning=warning)
