"""Power laws of learning: how an error falls with the number of training patients.

e(n) = limit + scale * (n + offset)^-exponent with no part negative (Cortes et al., NIPS 6:327, 1994; Figueroa et al., BMC
Med. Inform. Decis. Mak. 12:8, 2012; the offset, for the slow start that a pure power law lacks: Viering & Loog,
arXiv:2103.10948), by weighted least squares. For a given offset and exponent the law is linear, so these two are searched
and the rest solved exactly (variable projection: Golub & Pereyra, SIAM J. Numer. Anal. 10:413, 1973).
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

EXPONENTS = np.geomspace(0.05, 3.0, 50)
NARROWINGS = 20  # of the exponent between two points of that grid, each by a third
OFFSETS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # of the largest size

Sizes = Float[np.ndarray, " sizes"]


@dataclass(frozen=True)
class Law:
    """Laws e(x) = limit + scale * ((x + offset) / (1 + offset))^-exponent; x is the size relative to the largest.

    Attributes:
        offset: how slowly the curve starts.
        exponent: how fast patients lower the error.
        limit: the error that no number of patients removes.
        scale: the part of the error at the largest size that more patients remove.
        misfit: weighted sum of squared residuals.
    """

    offset: Float[np.ndarray, "*batch"]
    exponent: Float[np.ndarray, "*batch"]
    limit: Float[np.ndarray, "*batch"]
    scale: Float[np.ndarray, "*batch"]
    misfit: Float[np.ndarray, "*batch"]


def fit(
    relative: Sizes,
    error: Float[np.ndarray, "*batch sizes"],
    weight: Sizes,
    *,
    offsets: tuple[float, ...] = OFFSETS,
    narrowings: int = NARROWINGS,
) -> Law:
    """Fit laws to errors by weighted least squares.

    Args:
        relative: sizes divided by the largest.
        error: at each size; several curves at once.
        weight: of each size, inverse to its variance.
        offsets: that are tried; (0.0,): pure power laws.
        narrowings: how often the exponent is narrowed between the points of its grid; 0: the best point.
    """
    batch, error = error.shape[:-1], error.reshape(-1, len(relative))
    curves, count = len(error), len(EXPONENTS)
    offset, exponent = (part.reshape(-1) for part in np.meshgrid(np.array(offsets), EXPONENTS, indexing="ij"))
    misfits = _misfits(_design(relative, offset, exponent), error, weight).reshape(curves, len(offsets), count)
    if narrowings:  # for every offset, since a coarse grid may prefer the wrong one
        error, offset = np.repeat(error, len(offsets), axis=0), np.tile(offsets, curves)
        place = misfits.argmin(-1).reshape(-1)
    else:
        best = misfits.reshape(curves, -1).argmin(-1)
        offset, place = offset[best], best % count
    low, high = EXPONENTS[np.maximum(place - 1, 0)], EXPONENTS[np.minimum(place + 1, count - 1)]
    for _ in range(narrowings):  # by thirds, since the misfit has a kink where the limit meets 0
        left, right = (2 * low + high) / 3, (low + 2 * high) / 3
        ours, theirs = (_solve(_design(relative, offset, one), error, weight)[-1] for one in (left, right))
        low, high = np.where(ours <= theirs, low, left), np.where(ours <= theirs, right, high)
    exponent = (low + high) / 2 if narrowings else EXPONENTS[place]
    parts = (offset, exponent, *_solve(_design(relative, offset, exponent), error, weight))
    if narrowings:
        best = parts[-1].reshape(curves, len(offsets)).argmin(-1) + np.arange(curves) * len(offsets)
        parts = tuple(part[best] for part in parts)
    return Law(*(part.reshape(batch) for part in parts))


def _design(relative: Shaped[np.ndarray, " sizes"], offset: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """What multiplies the scale: (curves, sizes)."""
    return ((relative + offset[:, None]) / (1 + offset[:, None])) ** -exponent[:, None]


def _misfits(design: np.ndarray, error: np.ndarray, weight: Sizes) -> Float[np.ndarray, "curves designs"]:
    """The misfit of every curve (curves, sizes) under every design (designs, sizes), without their residuals."""
    total = weight.sum()
    centre, mean = design @ weight / total, (error @ weight / total)[:, None]
    whole = (error**2 @ weight)[:, None]
    cross, square = (error * weight) @ design.T, design**2 @ weight
    covariance, variance = cross - total * mean * centre, square - total * centre**2
    free = covariance / variance
    flat = whole - total * mean**2
    misfit = np.where(mean - free * centre < 0, whole - cross**2 / square, flat - covariance**2 / variance)
    return np.where(free < 0, flat, misfit)


def _solve(design: np.ndarray, error: np.ndarray, weight: Sizes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limit, scale and misfit of every curve (curves, sizes) under its own design (curves, sizes)."""
    total = weight.sum()
    centre, mean = design @ weight / total, error @ weight / total
    deviation = design - centre[:, None]
    free = (error * deviation) @ weight / (deviation**2 @ weight)
    bounded = mean - free * centre < 0
    through_zero = (error * design) @ weight / (design**2 @ weight)
    scale = np.maximum(np.where(bounded, through_zero, free), 0.0)
    limit = np.where(bounded, 0.0, mean - scale * centre)
    residual = error - limit[:, None] - scale[:, None] * design
    return limit, scale, residual**2 @ weight


def at(law: Law, relative: Shaped[np.ndarray, "*sizes"] | float) -> Float[np.ndarray, "*any"]:
    """The error at sizes relative to the largest: of one law at several, or of several laws at one."""
    return np.asarray(law.limit + law.scale * ((relative + law.offset) / (1 + law.offset)) ** -law.exponent)


def factor_for(law: Law, gain: float) -> Float[np.ndarray, "*batch"]:
    """How many times the largest size lowers the error by `gain`; infinite where no size does."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        left = 1 - gain / law.scale
        factor = (1 + law.offset) * np.maximum(left, 1e-300) ** (-1 / law.exponent) - law.offset
        return np.where(left > 0, factor, np.inf)


def smooth_variance(sizes: Shaped[np.ndarray, " sizes"], values: Float[np.ndarray, "seeds sizes"]) -> Sizes:
    """Variance of a single model's value at each size: a power law through the variances between seeds.

    The variance of a few seeds is too rough to be a weight. At the largest size all seeds learn from the same patients
    and differ too little, so that size does not count. NaN where seeds do not differ.
    """
    from scipy.special import digamma

    spread = values[:, :-1].var(axis=0, ddof=1)
    seen = spread > 1e-24
    if seen.sum() < 2:
        return np.full(len(sizes), math.nan)
    half = (len(values) - 1) / 2
    logarithm = np.log(spread[seen]) - (digamma(half) - math.log(half))  # the logarithm of a variance is biased
    place = np.log(sizes[:-1][seen])
    slope = float(np.clip(np.polyfit(place, logarithm, 1)[0], -2.0, 0.0))
    return np.exp(logarithm.mean() + slope * (np.log(sizes) - place.mean()))
