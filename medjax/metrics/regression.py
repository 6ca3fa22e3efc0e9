"""Regression metrics as weighted pure functions, vectorised over resamples (see `classification`)."""

import numpy as np
from jaxtyping import Float

from medjax.metrics.classification import Cases, Values, Weights, ratio, weighted_mean

_FLAT = 1e-12  # a variance below this share of the mean square is rounding: the values are constant


def mean_squared_error(prediction: Cases, value: Cases, weights: Weights | None = None) -> Values:
    """Mean of (prediction - value)^2, in squared units of the value."""
    return weighted_mean((prediction - value) ** 2, weights)


def mean_absolute_error(prediction: Cases, value: Cases, weights: Weights | None = None) -> Values:
    """Mean of |prediction - value|, in units of the value."""
    return weighted_mean(np.abs(prediction - value), weights)


def r2(prediction: Cases, value: Cases, weights: Weights | None = None) -> Values:
    """Coefficient of determination: 1 - (residual sum of squares) / (sum of squares about the mean value).

    Negative where the predictions are worse than the mean; NaN where the value is constant.
    """
    value, prediction = np.asarray(value, np.float64), np.asarray(prediction, np.float64)
    weights = np.ones(len(value)) if weights is None else np.asarray(weights, np.float64)
    centred = value - value.mean()
    sums = weights @ np.stack([centred, centred**2, (prediction - value) ** 2], axis=-1)
    total = weights.sum(-1)
    about_mean = sums[..., 1] - ratio(sums[..., 0] ** 2, total)
    about_mean = np.where(about_mean <= _FLAT * (centred @ centred), 0.0, about_mean)
    return np.asarray(1.0 - ratio(sums[..., 2], about_mean))


def pearson(prediction: Cases, value: Cases, weights: Weights | None = None) -> Values:
    """Pearson's correlation; NaN where either side is constant."""
    value, prediction = np.asarray(value, np.float64), np.asarray(prediction, np.float64)
    weights = np.ones(len(value)) if weights is None else np.asarray(weights, np.float64)
    # Centring first keeps the differences of large sums exact enough.
    x, y = prediction - prediction.mean(), value - value.mean()
    sums = weights @ np.stack([x, y, x * x, y * y, x * y], axis=-1)
    total = weights.sum(-1)
    variance_x = sums[..., 2] - ratio(sums[..., 0] ** 2, total)
    variance_y = sums[..., 3] - ratio(sums[..., 1] ** 2, total)
    covariance = sums[..., 4] - ratio(sums[..., 0] * sums[..., 1], total)
    flat = (variance_x <= _FLAT * (x @ x)) | (variance_y <= _FLAT * (y @ y))
    return ratio(covariance, np.where(flat, 0.0, np.sqrt(np.maximum(variance_x * variance_y, 0.0))))


def mid_ranks(values: Cases, weights: Weights | None = None) -> Float[np.ndarray, "*resamples cases"]:
    """Weighted mid-ranks up to a constant: the weight below each value plus half the weight tied with it."""
    values = np.asarray(values)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    below = np.zeros((*weights.shape[:-1], len(values) + 1))
    np.cumsum(weights[..., order], axis=-1, out=below[..., 1:])
    first, last = np.searchsorted(ordered, values, side="left"), np.searchsorted(ordered, values, side="right")
    return 0.5 * (below[..., first] + below[..., last])


def spearman(prediction: Cases, value: Cases, weights: Weights | None = None) -> Values:
    """Spearman's rank correlation: Pearson's of the (weighted) mid-ranks; NaN where either side is constant."""
    weights = np.ones(len(value)) if weights is None else np.asarray(weights, np.float64)
    total = weights.sum(-1, keepdims=True)
    x = mid_ranks(prediction, weights) - total / 2  # the weighted mean of mid-ranks is exactly half the total
    y = mid_ranks(value, weights) - total / 2
    covariance = np.einsum("...i,...i,...i->...", weights, x, y)
    variance_x = np.einsum("...i,...i,...i->...", weights, x, x)
    variance_y = np.einsum("...i,...i,...i->...", weights, y, y)
    return ratio(covariance, np.sqrt(variance_x * variance_y))


def pinball_values(
    prediction: Float[np.ndarray, "cases quantiles"], value: Cases, quantiles: tuple[float, ...]
) -> Float[np.ndarray, " cases"]:
    """Quantile loss of each case, averaged over the quantiles, in units of the value.

    q times the value's excess over the quantile, (1 - q) times its shortfall (Koenker & Bassett, Econometrica 46:33,
    1978); of the median alone it is half the absolute error.
    """
    excess = np.asarray(value, np.float64)[:, None] - prediction
    level = np.asarray(quantiles)[None, :]
    return np.maximum(level * excess, (level - 1) * excess).mean(-1)
