"""Shares of true and false positives and negatives at many thresholds, with their joint errors by patient, and limits.

Everything follows from how many cases of each patient lie between which thresholds, with and without the event, so that
100,000 cases cost no more than their sorting.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import Cases, Patients, normal_quantile, patient_codes, t_quantile

TP, FP, FN, TN = range(4)


@dataclass(frozen=True)
class Shares:
    """Shares of cases, and the covariance of the four kinds at all thresholds: TP, FP, FN, TN, each (thresholds,)."""

    mean: Float[np.ndarray, "4 thresholds"]
    covariance: Float[np.ndarray, "columns columns"]
    prevalence: float
    prevalence_total: float
    total: Float[np.ndarray, "4 thresholds"]  # effective number of cases of each share
    cases: int
    patients: int


def shares(
    probability: Cases, positive: Cases, patient: Patients, thresholds: Float[np.ndarray, " thresholds"]
) -> Shares:
    """The shares and their errors, by patient; a case is positive at a threshold where its probability reaches it."""
    from scipy.sparse import csr_array

    count, cases = len(thresholds), len(probability)
    codes = patient_codes(patient)
    patients = int(codes.max()) + 1
    # Cell 2 b + y: cases at or above b thresholds, with event y.
    cell = 2 * np.searchsorted(thresholds, probability, side="right") + positive
    cells = 2 * (count + 1)
    by_patient = csr_array((np.ones(cases), (codes, cell)), shape=(patients, cells))
    products = (by_patient.T @ by_patient).toarray()
    above = np.arange(count + 1)[:, None] > np.arange(count)
    columns = np.zeros((count + 1, 2, 4, count))
    columns[:, 1, TP], columns[:, 0, FP], columns[:, 1, FN], columns[:, 0, TN] = above, above, ~above, ~above
    columns = np.concatenate([columns.reshape(cells, 4 * count), np.tile([[0.0], [1.0]], (count + 1, 1))], axis=1)
    mean = np.bincount(cell, minlength=cells) @ columns / cases
    centred = columns - mean
    covariance = centred.T @ products @ centred / cases**2 * (patients / max(patients - 1, 1))
    if patients == cases:
        total = np.full(len(mean), float(cases))
    else:  # as `intervals.effective_total`; Student's quantile comes with the level, below
        variance = np.diag(covariance)
        with np.errstate(divide="ignore", invalid="ignore"):
            total = np.clip(np.where(mean * (1 - mean) > 1e-12, mean * (1 - mean) / variance, patients), 1.0, cases)
    return Shares(
        mean[:-1].reshape(4, count), covariance[:-1, :-1], float(mean[-1]), float(total[-1]),
        total[:-1].reshape(4, count), cases, patients,
    )  # fmt: skip


def limits(
    share: Float[np.ndarray, "..."] | float,
    total: Float[np.ndarray, "..."] | float,
    level: Float[np.ndarray, "..."] | float,
    found: Shares,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Exact limits of shares by the mid-p value, of the effective number of cases where patients have several.

    At the levels that many joint intervals need, 99.7 % and more, Wilson's limits fail for rare events (one case where
    .05 was expected). Sources: Berry & Armitage, The Statistician 44:417 (1995), for mid-p; Korn & Graubard, Survey
    Methodol. 24:193 (1998), for exact limits of an effective number with Student's quantile.
    """
    from scipy.special import betainc, betaincinv

    share, total, level = np.broadcast_arrays(np.asarray(share, np.float64), total, level)
    if found.patients < found.cases:
        shrink = [(normal_quantile(one) / t_quantile(one, found.patients - 1)) ** 2 for one in np.unique(level)]
        # With all cases alike the total is that of the patients, which no quantile diminishes.
        inside = (share > 0) & (share < 1)
        total = np.where(inside, np.array(shrink)[np.searchsorted(np.unique(level), level)], 1.0) * total
    success, tail = share * total, (1 - level) / 2

    def upper(successes: float | Float[np.ndarray, "..."]) -> np.ndarray:
        """The share under which so few successes, half of this number itself, have the probability of the tail."""
        # It lies between the exact limits of one success less and of this number.
        rest = np.maximum(total - successes, 1e-12)
        high = betaincinv(successes + 1, rest, 1 - tail)
        low = np.where(successes > 0, betaincinv(np.maximum(successes, 1e-12), rest + 1, 1 - tail), 0.0)
        for _ in range(10):
            middle = (low + high) / 2
            fewer = np.where(successes > 0, betainc(rest + 1, np.maximum(successes, 1e-12), 1 - middle), 0.0)
            above = (fewer + betainc(rest, successes + 1, 1 - middle)) / 2 < tail
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.where(successes >= total, 1.0, (low + high) / 2)

    return np.asarray(1 - upper(total - success)), upper(success)
