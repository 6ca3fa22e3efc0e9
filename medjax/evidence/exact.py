"""Exact binomial intervals of a proportion, for one case a patient: Clopper-Pearson, and mid-P.

Wilson's interval is the default of `intervals.proportion`: its coverage lies near the level on average, where
Clopper-Pearson's is never below it and mostly far above. Exact is for readers who ask for a guarantee.
"""

import numpy as np
from scipy.special import betainc, betaincinv

from medjax.errors import InputError
from medjax.evidence.intervals import Cases, Interval, Patients, count_patients, near_a_limit, undefined


def _check(successes: float | int, total: float | int) -> None:
    if not 0 <= successes <= total or not total > 0:
        raise InputError(
            f"exact interval: {successes:g} successes of {total:g}; state 0 <= successes <= total, total > 0"
        )


def clopper_pearson(successes: float | int, total: float | int, level: float = 0.95) -> tuple[float, float]:
    """Limits at which so many successes, or so few, have probability (1 - level) / 2; counts may be effective ones.

    Raises InputError where the counts are impossible. Source: Clopper & Pearson, Biometrika 26:404 (1934).
    """
    _check(successes, total)
    tail, failures = (1 - level) / 2, total - successes
    low = 0.0 if successes == 0 else float(betaincinv(successes, failures + 1, tail))
    return low, 1.0 if failures == 0 else float(betaincinv(successes + 1, failures, 1 - tail))


def mid_p(successes: float | int, total: float | int, level: float = 0.95) -> tuple[float, float]:
    """Clopper-Pearson with the observed count at half its probability: shorter, the level kept only on average.

    Counts may be effective ones. Raises InputError where they are impossible. Source: Berry & Armitage, Statistician
    44:417 (1995).
    """
    _check(successes, total)
    tail, failures = (1 - level) / 2, total - successes

    def more(share: float | int) -> float:
        """P(X > successes) + P(X = successes) / 2, which grows with the share."""
        at_least = 1.0 if successes == 0 else float(betainc(successes, failures + 1, share))
        above = 0.0 if failures == 0 else float(betainc(successes + 1, failures, share))
        return (at_least + above) / 2

    from scipy.optimize import root_scalar  # only here, as in `intervals`

    def end(probability: float | int) -> float:
        found = root_scalar(lambda share: more(share) - probability, bracket=(0.0, 1.0), method="brentq", xtol=1e-14)
        return float(found.root)

    return 0.0 if successes == 0 else end(tail), 1.0 if failures == 0 else end(1 - tail)


def exact_proportion(success: Cases, patient: Patients, level: float = 0.95, *, mid: bool = False) -> Interval:
    """A share of cases, `success` holding 0 or 1, with Clopper-Pearson's interval (or mid-P); one case a patient only."""
    if not len(success):
        return undefined("no case in the denominator", level)
    right, total = int(np.sum(np.asarray(success).astype(bool))), len(success)
    patients = len(np.unique(patient))
    if patients < total:
        reason = "several cases a patient: an exact interval needs independent cases (use Wilson clustered by patient)"
        return undefined(reason, level, right / total)
    low, high = (mid_p if mid else clopper_pearson)(right, total, level)
    rarer = np.asarray(success).astype(bool) == (2 * right < total)
    warning = near_a_limit(count_patients(patient, rarer), total) if mid else ""
    return Interval(right / total, low, high, level, "exact, mid-P" if mid else "Clopper-Pearson", warning=warning)
