"""Reading a grid between its voxels: the one resampling behind every change of geometry."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from medjax.errors import InputError

Edge = Literal["reflect", "nearest", "constant"]


def resample_affine(
    array: Num[Array, "*space channels"],
    matrix: Float[Array, "axes axes"],
    offset: Float[Array, " axes"],
    *,
    order: Literal[0, 1] = 1,
    edge: Edge = "reflect",
    fill: float | int = 0.0,
) -> Num[Array, "*space channels"]:
    """Resample a grid: the result at voxel `o` is the input at `matrix @ o + offset`, as in `scipy.ndimage`.

    Args:
        array: the grid, channels last; floating for order 1.
        matrix: from positions in the result to positions in the input, in voxels.
        offset: in voxels.
        order: 1 interpolates linearly, 0 takes the nearest voxel.
        edge: what lies outside (SciPy's "mirror", "nearest", "grid-constant").
        fill: the value outside for edge="constant".

    Raises:
        InputError: integers are to be interpolated.
    """
    grid = voxels(array.shape[:-1])
    axes = range(len(grid))
    # Sums of products, not a matrix product: accelerators round those to few digits, and positions need all of theirs.
    positions = [sum(matrix[k, j] * grid[j] for j in axes) + offset[k] for k in axes]
    return resample(array, positions, order=order, edge=edge, fill=fill)


def resample(
    array: Num[Array, "*space channels"],
    positions: Sequence[Float[Array, "*space"]],
    *,
    order: Literal[0, 1] = 1,
    edge: Edge = "reflect",
    fill: float | int = 0.0,
) -> Num[Array, "*space channels"]:
    """Read a grid at given positions, as `scipy.ndimage.map_coordinates` does.

    Args:
        array: the grid, channels last; floating for order 1.
        positions: for each axis where every voxel of the result looks, in voxels.
        order: 1 interpolates linearly, 0 takes the nearest voxel.
        edge: what lies outside (SciPy's "mirror", "nearest", "grid-constant").
        fill: the value outside for edge="constant".

    Raises:
        InputError: integers are to be interpolated, or an unknown edge.
    """
    space, channels = array.shape[:-1], array.shape[-1]
    if order == 1 and not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"resampling {array.dtype} intensities would round them: put `rescale` into the preprocessing")
    if edge not in ("reflect", "nearest", "constant"):
        raise InputError(f"edge={edge!r}: use 'reflect', 'nearest' or 'constant'")
    flat = array.reshape(-1, channels)
    if order == 0:
        index, inside = jnp.zeros(space, jnp.int32), jnp.ones(space, bool)
        for k, size in enumerate(space):
            nearest, within = fold(jnp.floor(positions[k] + 0.5), size, edge)
            index = index + nearest.astype(jnp.int32) * math.prod(space[k + 1 :])
            inside = inside & within
        value = flat.at[index.astype(jnp.uint32)].get(mode="promise_in_bounds")
        return jnp.where(inside[..., None], value, jnp.asarray(fill, value.dtype)) if edge == "constant" else value

    # The mirrored picture at a position is the picture at the mirrored position, so that positions are brought inside
    # first, and the second corner of a cell is the first one plus a constant: half the arithmetic an axis.
    base, sides = (
        jnp.zeros(space, jnp.int32),
        [],
    )  # an axis: (step to the next corner, weight) of both sides of the cell
    for k, size in enumerate(space):
        stride = math.prod(space[k + 1 :])
        if edge == "constant":
            first = jnp.floor(positions[k])
            part = positions[k] - first
            weights = [
                jnp.where((first + side >= 0) & (first + side < size), weight, 0)
                for side, weight in enumerate((1 - part, part))
            ]
            low, high = (jnp.clip(first + side, 0, size - 1).astype(jnp.int32) for side in (0, 1))
            base = base + low * stride
            sides.append([(0, weights[0]), ((high - low) * stride, weights[1])])
        else:
            position, _ = fold(positions[k], size, edge)
            first = jnp.minimum(jnp.floor(position), max(size - 2, 0))
            part = position - first
            base = base + first.astype(jnp.int32) * stride
            sides.append([(0, 1 - part), (stride, part)][: min(size, 2)])
    parts, covered = [], []
    for corner in itertools.product(*sides):
        # Unsigned: a signed index costs a test for counting from the end.
        index = (base + sum(step for step, _ in corner)).astype(jnp.uint32)
        value = flat.at[index].get(mode="promise_in_bounds")
        weight = functools.reduce(jnp.multiply, [weight for _, weight in corner])[..., None]
        parts.append(value * weight)
        covered.append(weight)
    result = functools.reduce(jnp.add, parts)
    if edge == "constant":
        result = result + (1 - functools.reduce(jnp.add, covered)) * fill
    return result.astype(array.dtype)


def voxels(space: tuple[int, ...]) -> list[Float[Array, "*space"]]:
    """Where every voxel lies: for each axis its own index, float32."""
    return [
        jnp.broadcast_to(
            jnp.arange(size, dtype=jnp.float32).reshape([size if j == k else 1 for j in range(len(space))]), space
        )
        for k, size in enumerate(space)
    ]


def fold(
    position: Float[Array, "*shape"], size: int, edge: Edge
) -> tuple[Float[Array, "*shape"], Bool[Array, "*shape"]]:
    """Bring positions along one axis into the grid, and say which of them lay inside; whole numbers stay exact."""
    inside = (position >= 0) & (position <= size - 1)
    if edge == "reflect" and size > 1:
        # The distance to the nearest whole period: a third of the arithmetic of folding twice.
        period = 2.0 * (size - 1)
        return jnp.minimum(jnp.abs(position - period * jnp.round(position * (1 / period))), size - 1), inside
    return jnp.clip(position, 0, size - 1), inside
