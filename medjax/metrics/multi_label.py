"""Metrics of several yes-or-no labels a case, some unknown; weighted and vectorised over resamples (see `classification`).

Targets are (cases, labels) with 0, 1 and NaN for unknown. An unknown label is left out of that label's metric alone.
Macro metrics are unweighted means over the labels in which both answers are known; `judged` says which these are.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped

from medjax.metrics import classification
from medjax.metrics.classification import Cases, Values, Weights, ratio, weighted_mean

Labels = Float[np.ndarray, "cases labels"]
Answers = Shaped[np.ndarray, "cases labels"]
RATIOS = ("accuracy", "sensitivity", "specificity", "f1")


def judged(target: Labels) -> Bool[np.ndarray, " labels"]:
    """Which labels have at least one case known to have it and one known not to."""
    return (target == 1).any(0) & (target == 0).any(0)


def label_auroc(probability: Labels, target: Labels, weights: Weights | None = None, *, fold: Cases | None = None):
    """AUROC of each label, over the cases in which it is known."""
    return _by_label(classification.auroc, probability, target, weights, fold)


def label_auprc(probability: Labels, target: Labels, weights: Weights | None = None):
    """Average precision of each label, over the cases in which it is known."""
    return _by_label(classification.auprc, probability, target, weights, None)


def _by_label(function, probability, target, weights, fold) -> Float[np.ndarray, "*resamples labels"]:
    columns = []
    for score, answer in zip(probability.T, target.T, strict=True):
        rows = np.flatnonzero(np.isfinite(answer))
        more = {} if fold is None else {"fold": fold[rows]}
        chosen = None if weights is None else weights[..., rows]
        columns.append(function(score[rows], answer[rows], chosen, **more))
    return np.stack(columns, axis=-1)


def macro_auroc(
    probability: Labels, target: Labels, weights: Weights | None = None, *, fold: Cases | None = None
) -> Values:
    """Mean AUROC over the judged labels; NaN where there is none, or where a resample lost all of a label's cases."""
    return _macro(probability, target, lambda p, t: label_auroc(p, t, weights, fold=fold))


def macro_auprc(probability: Labels, target: Labels, weights: Weights | None = None) -> Values:
    """Mean average precision over the judged labels."""
    return _macro(probability, target, lambda p, t: label_auprc(p, t, weights))


def _macro(probability, target, function) -> np.ndarray:
    chosen = judged(target)
    if not chosen.any():
        return np.asarray(np.nan)
    return np.asarray(function(probability[:, chosen], target[:, chosen]).mean(-1))


def ratio_parts(name: str, predicted: Answers, target: Labels) -> tuple[Labels, Labels]:
    """Numerator and denominator of each case and label, whose sums over cases give the metric `name` of each label.

    `accuracy`, `sensitivity`, `specificity`, and `f1` as 2 TP / (2 TP + FP + FN); all 0 where the label is unknown.
    """
    known, said = np.isfinite(target), np.asarray(predicted).astype(bool)
    true = (target == 1) & known
    right = ((said == true) & known).astype(np.float64)
    if name == "accuracy":
        return right, known.astype(np.float64)
    if name in ("sensitivity", "specificity"):
        among = (true if name == "sensitivity" else known & ~true).astype(np.float64)
        return right * among, among
    if name == "f1":
        hit = (said & true).astype(np.float64)
        return 2 * hit, (said & known).astype(np.float64) + true
    raise ValueError(f"{name} is not one of {RATIOS}")


def macro_ratio(name: str, predicted: Answers, target: Labels, weights: Weights | None = None) -> Values:
    """Mean over the judged labels of one of `RATIOS`, from yes-or-no predictions."""
    chosen = judged(target)
    if not chosen.any():
        return np.asarray(np.nan)
    return mean_of_ratios(*ratio_parts(name, predicted[:, chosen], target[:, chosen]), weights)


def mean_of_ratios(above: Labels, below: Labels, weights: Weights | None = None) -> Values:
    """Mean over labels of sum(above) / sum(below); NaN where a sum below is 0."""
    weights = np.ones(len(above)) if weights is None else np.asarray(weights, np.float64)
    return np.asarray(ratio(weights @ above, weights @ below).mean(-1))


def exact_match(predicted: Answers, target: Labels, weights: Weights | None = None) -> Values:
    """Share of cases in which every known label is predicted rightly, among cases with a known label."""
    right, some = exact_match_cases(predicted, target)
    return weighted_mean(right[some], None if weights is None else weights[..., some])


def exact_match_cases(
    predicted: Answers, target: Labels
) -> tuple[Bool[np.ndarray, " cases"], Bool[np.ndarray, " cases"]]:
    """Which cases are right in every known label, and which have a known label."""
    known = np.isfinite(target)
    right = (np.asarray(predicted).astype(bool) == (target == 1)) | ~known
    return np.all(right, axis=-1), np.any(known, axis=-1)


def error_parts(name: str, probability: Labels, target: Labels) -> tuple[Cases, Cases]:
    """Sum over a case's known labels of the `brier` or `log_loss` value, and how many labels these are."""
    known = np.isfinite(target)
    answer = np.where(known, target, 0.0)
    values = getattr(classification, f"{name}_values")(probability.reshape(-1), answer.reshape(-1)).reshape(known.shape)
    return np.where(known, values, 0.0).sum(-1), known.sum(-1).astype(np.float64)


def mean_error(name: str, probability: Labels, target: Labels, weights: Weights | None = None) -> Values:
    """Mean over all known (case, label) pairs of the `brier` or `log_loss` value."""
    above, below = error_parts(name, probability, target)
    weights = np.ones(len(target)) if weights is None else np.asarray(weights, np.float64)
    return ratio(weights @ above, weights @ below)
