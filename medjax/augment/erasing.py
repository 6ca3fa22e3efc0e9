"""Parts of ONE case hidden at random: cutout and random erasing. The segmentation stays: what is hidden is still there.

Every function is `f(key, case, *, settings) -> case`, changes `image` and `volume` alone, and keeps shape and type.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from medjax.augment.grids import change, coin, each, within
from medjax.errors import InputError

Fill = float | int | Literal["mean", "noise"]


def random_cutout(
    key: Key[Array, ""],
    case: dict,
    *,
    size: int | tuple[int, ...],
    count: int = 1,
    fill: Fill = 0.0,
    probability: float | int = 1.0,
) -> dict:
    """Cover boxes of a fixed size, their centres anywhere in the picture (DeVries and Taylor 2017, arXiv:1708.04552).

    A box near the border is cut off by it, so that small pieces occur as well.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        size: sides of a box in voxels, for all axes or for each; 0 covers nothing.
        count: how many boxes.
        fill: a number, "mean" (the case's own, channel by channel) or "noise" (even between the case's minimum and
            maximum).
        probability: how often anything is covered at all.
    """
    within(count, 0, math.inf, "count")
    _check(fill, "random_cutout")

    def cover(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        space = x.shape[:-1]
        toss, place, noise = jax.random.split(key, 3)
        sides = jnp.asarray(each(size, len(space), "size"))
        hidden = jnp.zeros(space, bool)
        for one in range(count):
            where = jax.random.uniform(jax.random.fold_in(place, one), (len(space),))
            centre = jnp.floor(where * jnp.asarray(space)).astype(jnp.int32)
            hidden |= box(space, centre - sides // 2, sides)
        return _covered(noise, x, hidden & coin(toss, probability), fill)

    return change(key, case, cover)


def random_erasing(
    key: Key[Array, ""],
    case: dict,
    *,
    area: tuple[float | int, float | int] = (0.02, 0.2),
    aspect: float | int = 3.0,
    fill: Fill = "noise",
    probability: float | int = 0.5,
) -> dict:
    """Cover one box of random size and shape that lies within the picture (Zhong et al. 2020, AAAI 34:13001).

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        area: smallest and largest share of the picture (of a volume: of its volume); (0, 0) covers nothing.
        aspect: each side is up to this many times as long as another, relative to the picture's sides; 1: the shape of
            the picture. A side ends at the border.
        fill: a number, "mean" or "noise", see `random_cutout`.
        probability: how often anything is covered at all.
    """
    within(area[0], 0, area[1], "area[0]")
    within(area[1], area[0], 1, "area[1]")
    within(aspect, 1, math.inf, "aspect")
    _check(fill, "random_erasing")

    def cover(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        space, n = x.shape[:-1], x.ndim - 1
        toss, amount, shape, place, noise = jax.random.split(key, 5)
        share = jax.random.uniform(amount, (), jnp.float32, area[0], area[1])
        bends = jax.random.uniform(shape, (n,), jnp.float32, -0.5, 0.5) * math.log(aspect)
        relative = share ** (1 / n) * jnp.exp(bends - bends.mean())
        sides = jnp.clip(jnp.round(relative * jnp.asarray(space)), 0, jnp.asarray(space)).astype(jnp.int32)
        start = jnp.floor(jax.random.uniform(place, (n,)) * (jnp.asarray(space) - sides + 1)).astype(jnp.int32)
        return _covered(noise, x, box(space, start, sides) & coin(toss, probability), fill)

    return change(key, case, cover)


def box(space: tuple[int, ...], start: Array, sides: Array) -> Bool[Array, "*space"]:
    """True inside a box, cut off at the border.

    Args:
        space: the shape of the grid.
        start: its first voxel on each axis, (axes,).
        sides: its sides in voxels, (axes,).
    """
    inside = jnp.ones((1,) * len(space), bool)
    for k, length in enumerate(space):
        line = (jnp.arange(length) >= start[k]) & (jnp.arange(length) < start[k] + sides[k])
        inside = inside & line.reshape([length if k == j else 1 for j in range(len(space))])
    return inside


def _covered(
    key: Key[Array, ""], x: Float[Array, "*grid"], hidden: Bool[Array, "*space"], fill: Fill
) -> Float[Array, "*grid"]:
    if fill == "mean":
        cover = jnp.broadcast_to(jnp.mean(x, axis=tuple(range(x.ndim - 1)), keepdims=True), x.shape)
    elif fill == "noise":
        low, high = jnp.min(x), jnp.max(x)
        cover = low + (high - low) * jax.random.uniform(key, x.shape, x.dtype)
    else:
        cover = jnp.asarray(fill, x.dtype)
    return jnp.where(hidden[..., None], cover, x)


def _check(fill: Fill, name: str) -> None:
    if isinstance(fill, str) and fill not in ("mean", "noise"):
        raise InputError(f"{name}: fill={fill!r}: use a number, 'mean' or 'noise'")
