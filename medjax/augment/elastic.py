"""Random elastic deformation of ONE case: tissue pushed about smoothly, picture and segmentation together.

A free-form deformation (Rueckert et al. 1999, IEEE Trans. Med. Imaging 18:712): displacements are drawn at the points of
a coarse grid, a cubic B-spline carries them to every voxel, and the picture is read once at the moved positions.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from medjax.augment.grids import SPACE, coin, each, grids
from medjax.augment.resample import Edge, resample, voxels
from medjax.errors import InputError

FOLDS = 0.4
"""A B-spline map folds nowhere while displacements stay below .4 of the distance of the control points, in two and in
three dimensions (Choi and Lee 2000, Graphical Models 62:20)."""


def random_elastic(
    key: Key[Array, ""],
    case: dict,
    *,
    displacement: float | int,
    cells: int | tuple[int, ...] = 4,
    probability: float | int = 1.0,
    edge: Edge = "reflect",
    fill: float | int = 0.0,
) -> dict:
    """Bend the grid smoothly; every control point moves evenly up to `displacement` along each axis.

    Without `spacing` in the case displacements are voxels, and one that could fold the picture is refused. With
    `spacing` (mm an axis) they are millimetres, and limited to .4 of the distance of the control points, because the
    spacing is known only when the case is there. Strength 0 gives the case back bit for bit.

    Args:
        key: the random key of this case.
        case: see `medjax.augment.spatial`.
        displacement: largest displacement of a control point along an axis, each way: voxels, or mm with `spacing`.
        cells: how many cells of the control grid span the picture, for all axes or for each; more bend it more finely.
        probability: how often anything is drawn at all.
        edge: what lies outside.
        fill: the intensity outside for edge="constant".

    Raises:
        InputError: a displacement in voxels of more than .4 of the distance of the control points, or cells below 1.
    """
    result = dict(case)
    for names, space in grids(case):
        counts = each(cells, len(space), "cells")
        if min(counts) < 1:
            raise InputError(f"random_elastic: cells={cells} must be at least 1")
        limits = [FOLDS * max(size - 1, 1) / count for size, count in zip(space, counts, strict=True)]
        spacing = case.get("spacing")
        if spacing is None and displacement > min(limits):
            raise InputError(
                f"random_elastic: displacement={displacement} could fold the {names[0]} of {space} with cells={cells}; "
                f"use at most {min(limits):.2g} voxels, or fewer cells"
            )
        toss, amounts = jax.random.split(key)
        reach = [displacement if spacing is None else jnp.minimum(displacement / spacing[k], limits[k]) for k in
                 range(len(space))]  # fmt: skip
        control = jax.random.uniform(amounts, (len(space), *(count + 3 for count in counts)), jnp.float32, -1.0, 1.0)
        field = spread(jnp.where(coin(toss, probability), control, 0), space)
        positions = [axis + field[k] * reach[k] for k, axis in enumerate(voxels(space))]
        for name in names:
            if name in SPACE:
                result[name] = resample(case[name], positions, edge=edge, fill=fill)
            else:
                result[name] = resample(case[name][..., None], positions, order=0, edge=edge)[..., 0]
    return result


def spread(control: Float[Array, "axes *points"], space: Sequence[int]) -> Float[Array, "axes *space"]:
    """Carry values at control points to every voxel by a tensor product of uniform cubic B-splines.

    Args:
        control: values at the points of a grid with `cells + 3` points an axis, of which the second and the last but
            one lie on the first and the last voxel.
        space: the shape of the picture.
    """
    for size in space:  # the first axis left goes to the back, done
        weights = jnp.asarray(_weights(size, control.shape[1]))
        control = jnp.tensordot(control, weights, axes=(1, 1), precision=jax.lax.Precision.HIGHEST)
    return control


@functools.cache
def _weights(size: int, points: int) -> np.ndarray:
    """Weight of every control point at every voxel, (size, points); rows sum to one."""
    at = np.linspace(0, points - 3, size)[:, None] - (np.arange(points)[None] - 1)
    far = np.abs(at)
    near = (4 - 6 * far**2 + 3 * far**3) / 6
    return np.where(far < 1, near, np.where(far < 2, (2 - far) ** 3 / 6, 0)).astype(np.float32)
