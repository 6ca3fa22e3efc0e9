"""Metrics of grades (ordered classes) as weighted pure functions, vectorised over resamples (see `classification`)."""

import numpy as np
from jaxtyping import Float, Int

from medjax.metrics.classification import Cases, Values, Weights, confusion_matrix, ratio, weighted_mean


def median_grade(probability: Float[np.ndarray, "*shape grades"]) -> Int[np.ndarray, "*shape"]:
    """The median of each distribution over grades: the number of k with P(grade > k) > 1/2.

    The decision that the mean absolute grade error asks for, and the same one whatever loss the probabilities come from.
    """
    above = np.cumsum(probability[..., ::-1], axis=-1)[..., ::-1][..., 1:]  # column k: P(grade > k)
    return np.asarray((above > 0.5).sum(-1))


def matrix_quadratic_weighted_kappa(matrix: Float[np.ndarray, "*resamples classes classes"]) -> Values:
    """Cohen's kappa with quadratic weights, of a confusion matrix; 1 is perfect, 0 what chance gives.

    `1 - sum(w * counts) / sum(w * expected counts)` with w = (true - predicted)^2; NaN where everything true and
    predicted is one and the same grade. Source: Cohen, Psychol. Bull. 70:213 (1968).
    """
    grades = np.arange(matrix.shape[-1], dtype=np.float64)
    distance = (grades[:, None] - grades[None, :]) ** 2
    expected = matrix.sum(-1)[..., :, None] * matrix.sum(-2)[..., None, :]
    seen, chance = (matrix * distance).sum((-2, -1)), (expected * distance).sum((-2, -1))
    return np.asarray(1.0 - ratio(seen * matrix.sum((-2, -1)), chance))


def quadratic_weighted_kappa(
    predicted: Cases, target: Cases, weights: Weights | None = None, *, classes: int
) -> Values:
    """Cohen's kappa with quadratic weights of predicted against true grades."""
    return matrix_quadratic_weighted_kappa(confusion_matrix(predicted, target, weights, classes=classes))


def mean_absolute_grade_error(predicted: Cases, target: Cases, weights: Weights | None = None) -> Values:
    """Mean of |predicted - true grade|, in grades."""
    return weighted_mean(np.abs(np.asarray(predicted, np.float64) - np.asarray(target, np.float64)), weights)
