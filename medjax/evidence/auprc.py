"""Average precision by its influence function: for many patients, where resampling would take minutes."""

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import Cases


def auprc_influence(score: Cases, target: Cases) -> tuple[float, Float[np.ndarray, " cases"]]:
    """Average precision and the derivative of it by the weight of each case; the derivatives sum to 0.

    With precision p_i and k_i cases at or above the score of positive i, and P positives, the weight of case j counts
    y_j (p_j - AP) / P for itself, and (y_j - p_i) / (k_i P) at each positive i whose score is not above its own. Tied
    scores are taken together. NaN and zeros without a positive case.
    """
    score, positive = np.asarray(score, np.float64), np.asarray(target).astype(bool)
    total = int(positive.sum())
    if not total:
        return float("nan"), np.zeros(len(score))
    order = np.argsort(-score, kind="stable")
    hits = positive[order]
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # of each group of tied scores
    group = np.searchsorted(last, np.arange(len(score)))
    caught, everyone = np.cumsum(hits)[last], last + 1
    precision, own = caught / everyone, np.diff(caught, prepend=0)
    estimate = float(own @ precision) / total
    # Sums over the positives at or below each group, in the order of the scores.
    gain = np.cumsum((own / everyone)[::-1])[::-1]
    loss = np.cumsum((own * precision / everyone)[::-1])[::-1]
    influence = np.empty(len(score))
    influence[order] = (hits * (precision[group] - estimate + gain[group]) - loss[group]) / total
    return estimate, influence
