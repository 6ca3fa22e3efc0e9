"""Small grey pictures of images, volumes and signals, and the small changes under which a copy is still a copy.

Sizes are changed by a triangle filter as wide as the step (anti-aliased), as one matrix an axis, so that cropping and
resampling are one linear step whatever the number of dimensions.
"""

from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
from jaxtyping import Float, Float32, Num

GRIDS: dict[str, tuple[int, ...]] = {"image": (28, 28), "volume": (12, 12, 12), "signal": (128,)}
"""Size of the thumbnail of each input."""
STEP = 1 / 28
"""Unit of a crop: one pixel of 28."""

Crop = tuple[tuple[int, int], ...]
"""Units that are cut off before and behind, for each axis."""
Turn = tuple[tuple[int, ...], tuple[int, ...]]
"""An order of the axes, and those that are then reversed."""


def sampling(length: int, points: int, start: float = 0.0, stop: float = 1.0) -> Float32[np.ndarray, "points length"]:
    """Weights that take the stretch from `start` to `stop` (shares of the length) of an axis to a number of points."""
    centres = (start + (np.arange(points) + 0.5) / points * (stop - start)) * length - 0.5
    width = max((stop - start) * length / points, 1.0)
    weights = np.maximum(1 - np.abs(np.arange(length) - centres[:, None]) / width, 0.0)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def resample(
    arrays: Float32[np.ndarray, "cases *size"], grid: Sequence[int], crop: Crop | None = None
) -> Float32[np.ndarray, "cases *grid"]:
    """Bring all axes but the first to a grid, after cutting off what `crop` says."""
    for axis, points in enumerate(grid):
        before, behind = crop[axis] if crop else (0, 0)
        if before == behind == 0 and arrays.shape[axis + 1] == points:
            continue
        weights = sampling(arrays.shape[axis + 1], points, before * STEP, 1 - behind * STEP)
        arrays = np.moveaxis(np.moveaxis(arrays, axis + 1, -1) @ weights.T, -1, axis + 1)
    return np.ascontiguousarray(arrays)


def thumbnail(array: Num[np.ndarray, "*size channels"], grid: tuple[int, ...]) -> Float32[np.ndarray, "*grid"]:
    """The thumbnail of one image (H, W, C), volume (D, H, W, C) or signal (T, C); channels are averaged.

    The channels of a signal are different measurements, and are laid end to end instead.
    """
    whole = np.asarray(array, np.float32)
    if whole.ndim == 2:
        channels = resample(np.ascontiguousarray(whole.T), (max(grid[0] // whole.shape[1], 8),))
        channels = channels - channels.mean(1, keepdims=True)
        channels /= np.maximum(np.linalg.norm(channels, axis=1, keepdims=True), 1e-9)
        return resample(channels.reshape(1, -1), grid)[0]
    return resample(whole.mean(-1)[None], grid)[0]


def turns(dimensions: int) -> list[Turn]:
    """The ways in which a copy may be turned or mirrored: 8 of an image, 8 mirror images of a volume, none of a signal."""
    axes = tuple(range(dimensions))
    if dimensions == 1:
        return [(axes, ())]
    orders = list(permutations(axes)) if dimensions == 2 else [axes]
    return [
        (order, tuple(axis for axis in axes if reverse[axis]))
        for order in orders
        for reverse in product((0, 1), repeat=dimensions)
    ]


def turned(arrays: Float32[np.ndarray, "cases *grid"], turn: Turn) -> Float32[np.ndarray, "cases *grid"]:
    """Turn or mirror every array."""
    order, reverse = turn
    arrays = np.transpose(arrays, (0, *(axis + 1 for axis in order)))
    return np.ascontiguousarray(np.flip(arrays, tuple(axis + 1 for axis in reverse)))


def crops(dimensions: int, totals: Sequence[int]) -> list[Crop]:
    """All crops that cut the same from every axis, at most two units a side, by how much they cut in total."""
    sides = {total: [(cut, total - cut) for cut in range(3) if 0 <= total - cut <= 2] for total in totals}
    return [tuple(crop) for total in totals for crop in product(sides[total], repeat=dimensions)]


def shifts(dimensions: int) -> list[tuple[Crop, Crop]]:
    """What to cut from a case and from its copy that was moved by up to two units along each axis."""
    found: list[tuple[Crop, Crop]] = []
    for moved in product((-2, -1, 0, 1, 2), repeat=dimensions):
        if any(moved):
            ours = tuple((1 + (one + 1) // 2, 1 - (one + 1) // 2) for one in moved)
            theirs = tuple((1 - one // 2, 1 + one // 2) for one in moved)
            found.append((ours, theirs))
    return found


def standardised(arrays: Float[np.ndarray, "cases *grid"]) -> Float32[np.ndarray, "cases features"]:
    """Each array as a vector of mean 0 and length 1, so that products are correlations; constant ones are 0."""
    flat = arrays.reshape(len(arrays), -1).astype(np.float32)
    flat = flat - flat.mean(1, keepdims=True)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(length > 1e-4, length, np.inf)
