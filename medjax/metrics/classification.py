"""Classification metrics as weighted pure functions, vectorised over resamples.

Every function takes predictions and targets of the cases, and optional `weights` of shape `(..., cases)`. Its value has
shape `(...)`, so that 1,000 bootstrap resamples are one call. Integer weights mean repeated cases. A metric that is
undefined (0/0, one class only) is NaN, never a silent 0 or 0.5. All sums are float64.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Shaped

Cases = Shaped[np.ndarray, " cases"]
Weights = Shaped[np.ndarray, "*resamples cases"]
Values = Float[np.ndarray, "*resamples"]


def _weights(weights: Weights | None, cases: int) -> np.ndarray:
    return np.ones(cases) if weights is None else np.asarray(weights, np.float64)


def ratio(numerator: np.typing.ArrayLike, denominator: np.typing.ArrayLike) -> np.ndarray:
    """Divide, with NaN wherever the denominator is 0."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.asarray(np.where(denominator == 0, np.nan, numerator / np.where(denominator == 0, 1.0, denominator)))


def weighted_mean(values: Cases, weights: Weights | None = None) -> Values:
    """Mean of per-case values; NaN where the weights sum to 0."""
    weights = _weights(weights, len(values))
    return ratio(weights @ np.asarray(values, np.float64), weights.sum(-1))


# Hard predictions: everything follows from the confusion matrix.


def confusion_matrix(
    predicted: Cases, target: Cases, weights: Weights | None = None, *, classes: int = 2
) -> Float[np.ndarray, "*resamples classes classes"]:
    """Weighted counts; row = true class, column = predicted class."""
    weights = _weights(weights, len(target))
    cell = np.asarray(target).astype(np.int64) * classes + np.asarray(predicted).astype(np.int64)
    one_hot = (cell[:, None] == np.arange(classes * classes)).astype(np.float64)
    return np.asarray(weights @ one_hot).reshape(*weights.shape[:-1], classes, classes)


def accuracy(predicted: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """Share of cases whose predicted class is the true one (two or more classes)."""
    return weighted_mean(np.asarray(predicted).astype(np.int64) == np.asarray(target).astype(np.int64), weights)


def sensitivity(predicted: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """Recall: TP / (TP + FN) of binary predictions."""
    matrix = confusion_matrix(predicted, target, weights)
    return ratio(matrix[..., 1, 1], matrix[..., 1, :].sum(-1))


def specificity(predicted: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """TN / (TN + FP) of binary predictions."""
    matrix = confusion_matrix(predicted, target, weights)
    return ratio(matrix[..., 0, 0], matrix[..., 0, :].sum(-1))


def positive_predictive_value(predicted: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """Precision: TP / (TP + FP) of binary predictions, at the prevalence of these cases."""
    matrix = confusion_matrix(predicted, target, weights)
    return ratio(matrix[..., 1, 1], matrix[..., :, 1].sum(-1))


def negative_predictive_value(predicted: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """TN / (TN + FN) of binary predictions, at the prevalence of these cases."""
    matrix = confusion_matrix(predicted, target, weights)
    return ratio(matrix[..., 0, 0], matrix[..., :, 0].sum(-1))


def f1(predicted: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """2 TP / (2 TP + FP + FN) of binary predictions; NaN where there is neither a positive case nor prediction."""
    return class_f1(confusion_matrix(predicted, target, weights))[..., 1]


def class_f1(matrix: Float[np.ndarray, "*resamples classes classes"]) -> Float[np.ndarray, "*resamples classes"]:
    """F1 of each class, from a confusion matrix."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    return ratio(2 * hits, matrix.sum(-1) + matrix.sum(-2))


def class_recall(matrix: Float[np.ndarray, "*resamples classes classes"]) -> Float[np.ndarray, "*resamples classes"]:
    """Recall (sensitivity) of each class, from a confusion matrix."""
    return ratio(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1))


def macro_f1(predicted: Cases, target: Cases, weights: Weights | None = None, *, classes: int) -> Values:
    """Unweighted mean of the classes' F1; NaN where a class is neither present nor predicted."""
    return np.asarray(class_f1(confusion_matrix(predicted, target, weights, classes=classes)).mean(-1))


def balanced_accuracy(predicted: Cases, target: Cases, weights: Weights | None = None, *, classes: int = 2) -> Values:
    """Unweighted mean of the classes' recall; NaN where a class is absent."""
    return np.asarray(class_recall(confusion_matrix(predicted, target, weights, classes=classes)).mean(-1))


def matthews(predicted: Cases, target: Cases, weights: Weights | None = None, *, classes: int = 2) -> Values:
    """Matthews correlation coefficient, for K classes as R_K; NaN where one class is all that is true or predicted."""
    return matrix_matthews(confusion_matrix(predicted, target, weights, classes=classes))


def matrix_matthews(matrix: Float[np.ndarray, "*resamples classes classes"]) -> Values:
    """Matthews correlation coefficient of a confusion matrix. Source: Gorodkin, Comput. Biol. Chem. 28:367 (2004)."""
    true, guessed, total = matrix.sum(-1), matrix.sum(-2), matrix.sum((-2, -1))
    covariance = np.trace(matrix, axis1=-2, axis2=-1) * total - (true * guessed).sum(-1)
    spread = (total**2 - (true**2).sum(-1)) * (total**2 - (guessed**2).sum(-1))
    return ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))


# Scores: ranks.


def auroc(
    score: Cases, target: Cases, weights: Weights | None = None, *, fold: Cases | None = None
) -> Float[np.ndarray, "*resamples"]:
    """Area under the ROC curve: the share of (positive, negative) pairs in order, ties counting one half.

    With `fold` only pairs within a fold count: models of different folds score on different scales. NaN without a pair.
    """
    score, positive = np.asarray(score), np.asarray(target).astype(bool)
    weights = _weights(weights, len(score))
    concordant, pairs = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for part in [np.arange(len(score))] if fold is None else [np.flatnonzero(fold == name) for name in np.unique(fold)]:
        positives, negatives = part[positive[part]], part[~positive[part]]
        if not len(positives) or not len(negatives):
            continue
        negatives = negatives[np.argsort(score[negatives], kind="stable")]
        below = np.zeros((*weights.shape[:-1], len(negatives) + 1))
        np.cumsum(weights[..., negatives], axis=-1, out=below[..., 1:])
        first = np.searchsorted(score[negatives], score[positives], side="left")
        last = np.searchsorted(score[negatives], score[positives], side="right")
        own = weights[..., positives]
        lower = below[..., first]
        if np.any(first != last):
            lower = 0.5 * (lower + below[..., last])
        concordant = concordant + np.einsum("...i,...i->...", own, lower)
        pairs = pairs + own.sum(-1) * below[..., -1]
    return ratio(concordant, pairs)


def auprc(score: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """Average precision: the sum over thresholds of (gain in recall) x precision, tied scores taken together.

    No interpolation (Davis & Goadrich, ICML 2006). NaN without a positive case.
    """
    return ranked_auprc(score, target)(weights)


def ranked_auprc(score: Cases, target: Cases) -> Callable[[Weights | None], Values]:
    """Average precision as a function of case weights; the scores are sorted once, not at every call."""
    score, positive = np.asarray(score), np.asarray(target).astype(bool)
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    # Recall grows only at scores that a positive case has: precision is needed nowhere else.
    positives = np.flatnonzero(positive[order])
    tie = np.searchsorted(last_of_tie, positives)
    last_positive = np.flatnonzero(np.append(np.diff(tie) != 0, True)) if len(tie) else tie
    ends = last_of_tie[tie[last_positive]]

    def metric(weights: Weights | None) -> Values:
        weights = _weights(weights, len(score))
        if not len(positives):
            return np.full(weights.shape[:-1], np.nan)
        ranked = weights.take(order, axis=-1)
        hits = np.cumsum(ranked.take(positives, axis=-1), axis=-1)
        if len(last_positive) < len(positives):
            hits = hits.take(last_positive, axis=-1)
        everyone = np.cumsum(ranked, axis=-1).take(ends, axis=-1)
        precision = hits / np.where(everyone == 0, 1.0, everyone)
        gain = np.diff(hits, axis=-1, prepend=0.0)
        return ratio(np.einsum("...i,...i->...", gain, precision), hits[..., -1])

    return metric


def class_auroc(
    probability: Float[np.ndarray, "cases classes"],
    target: Cases,
    weights: Weights | None = None,
    *,
    fold: Cases | None = None,
) -> Float[np.ndarray, "*resamples classes"]:
    """AUROC of each class against the rest."""
    columns = [auroc(column, target == k, weights, fold=fold) for k, column in enumerate(probability.T)]
    return np.stack(columns, axis=-1)


def macro_auroc(
    probability: Float[np.ndarray, "cases classes"],
    target: Cases,
    weights: Weights | None = None,
    *,
    fold: Cases | None = None,
) -> Values:
    """Unweighted mean over classes of the AUROC against the rest; NaN where a class is absent."""
    return np.asarray(class_auroc(probability, target, weights, fold=fold).mean(-1))


# Probabilities.


def _one_hot(probability: np.ndarray, target: np.ndarray) -> np.ndarray:
    return (np.asarray(target).astype(np.int64)[:, None] == np.arange(probability.shape[1])).astype(np.float64)


def brier_values(probability: Shaped[np.ndarray, "cases *classes"], target: Cases) -> Float[np.ndarray, " cases"]:
    """Squared error of each case's probabilities.

    Of the positive class where `probability` is (cases,), in [0, 1]; summed over classes where it is (cases, classes),
    in [0, 2] (Brier, Mon. Weather Rev. 78:1, 1950), so that two columns give twice the one-column value.
    """
    probability = np.asarray(probability, np.float64)
    if probability.ndim == 1:
        return (probability - np.asarray(target).astype(np.float64)) ** 2
    return ((probability - _one_hot(probability, target)) ** 2).sum(-1)


def log_loss_values(probability: Shaped[np.ndarray, "cases *classes"], target: Cases) -> Float[np.ndarray, " cases"]:
    """Negative log likelihood (nats) of each case; probabilities are clipped at the float64 epsilon 2.2e-16."""
    probability, epsilon = np.asarray(probability, np.float64), np.finfo(np.float64).eps
    if probability.ndim == 1:
        own = np.where(np.asarray(target).astype(bool), probability, 1.0 - probability)
    else:
        own = probability[np.arange(len(probability)), np.asarray(target).astype(np.int64)]
    return -np.log(np.clip(own, epsilon, 1.0))


def brier(
    probability: Shaped[np.ndarray, "cases *classes"], target: Cases, weights: Weights | None = None
) -> Float[np.ndarray, "*resamples"]:
    """Mean of `brier_values`."""
    return weighted_mean(brier_values(probability, target), weights)


def log_loss(
    probability: Shaped[np.ndarray, "cases *classes"], target: Cases, weights: Weights | None = None
) -> Float[np.ndarray, "*resamples"]:
    """Mean of `log_loss_values`."""
    return weighted_mean(log_loss_values(probability, target), weights)
