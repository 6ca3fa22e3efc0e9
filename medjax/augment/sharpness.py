"""Random changes of sharpness for ONE case on the device: blur, sharpening, low resolution.

Every function is `f(key, case, *, settings) -> case`, changes `image` and `volume` alone, keeps shape and type, and
gives the case back bit for bit at strength 0.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from medjax.augment.grids import change, chosen, draw, within


def random_blur(
    key: Key[Array, ""],
    case: dict,
    *,
    deviation: float | int,
    radius: int | None = None,
    probability: float | int = 1.0,
) -> dict:
    """Blur with a Gaussian; its standard deviation is drawn evenly from 0 to `deviation` for each case.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`; with `spacing` the blur is round in millimetres.
        deviation: largest standard deviation, in voxels, or in mm with `spacing`.
        radius: voxels that the kernel reaches each way (it is cut there and its weights sum to one); None: three
            deviations, counted in voxels of side 1. Give it where voxels are much smaller than 1 mm.
        probability: how often the case is blurred at all.
    """
    within(deviation, 0, math.inf, "deviation")
    taps = math.ceil(3 * deviation) if radius is None else radius

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        amount = jnp.abs(draw(key, probability)) * deviation
        return gaussian(x, _in_voxels(amount, x.ndim - 1, case), taps)

    return change(key, case, altered)


def random_sharpen(
    key: Key[Array, ""],
    case: dict,
    *,
    strength: float | int,
    deviation: float | int = 1.0,
    probability: float | int = 1.0,
) -> dict:
    """Add what a Gaussian blur takes away (unsharp masking), as the edge filters of scanners do.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`; with `spacing` the blur is round in millimetres.
        strength: how many times the difference to the blurred picture is added, drawn evenly from 0 to this.
        deviation: standard deviation of that blur, in voxels, or in mm with `spacing`.
        probability: how often the case is sharpened at all.
    """
    within(strength, 0, math.inf, "strength")

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        amount = (jnp.abs(draw(key, probability)) * strength).astype(x.dtype)
        blurred = gaussian(x, _in_voxels(jnp.float32(deviation), x.ndim - 1, case), math.ceil(3 * deviation))
        return x + amount * (x - blurred)

    return change(key, case, altered)


def random_low_resolution(
    key: Key[Array, ""],
    case: dict,
    *,
    factor: float | int,
    axes: int | tuple[int, ...] | None = None,
    probability: float | int = 1.0,
) -> dict:
    """Make voxels larger and interpolate back: thick slices, an older scanner, a picture that was sent small.

    Each new voxel is the mean over its extent (the partial volume of a thick slice), and the picture is interpolated
    linearly between them. One draw for all axes.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        factor: voxels become up to this many times as long; drawn log-evenly from 1.
        axes: axes of space that are made coarse (0 is depth of a volume); None: all.
        probability: how often the case is made coarse at all.
    """
    within(factor, 1, math.inf, "factor")

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        length = jnp.exp(jnp.abs(draw(key, probability)) * math.log(factor))
        result = x
        for axis in chosen(axes, x.ndim - 1, "random_low_resolution"):
            rows = _coarse(x.shape[axis], length).astype(x.dtype)
            result = jnp.tensordot(rows, result, axes=(1, axis), precision=jax.lax.Precision.HIGHEST)
            result = jnp.moveaxis(result, 0, axis)
        return jnp.where(length == 1, x, result)

    return change(key, case, altered)


def gaussian(x: Float[Array, "*grid"], deviations: Float[Array, " axes"], radius: int) -> Float[Array, "*grid"]:
    """Blur along every axis of space, edges mirrored, as `scipy.ndimage.gaussian_filter(mode="mirror")` does.

    Args:
        x: channels last.
        deviations: of every axis of space, in voxels; 0 leaves the axis alone.
        radius: voxels that the kernel reaches each way.
    """
    reach = np.arange(-radius, radius + 1)
    for axis in range(x.ndim - 1):
        if x.shape[axis] == 1 or radius == 0:
            continue
        deviation = deviations[axis]
        bell = jnp.exp(-0.5 * (jnp.asarray(reach, jnp.float32) / jnp.where(deviation > 0, deviation, 1)) ** 2)
        bell = jnp.where(deviation > 0, bell / bell.sum(), jnp.asarray(reach == 0, jnp.float32)).astype(x.dtype)
        size = x.shape[axis]
        wide = jnp.take(x, np.pad(np.arange(size), radius, mode="reflect"), axis=axis)
        taps = [bell[k] * jax.lax.slice_in_dim(wide, k, k + size, axis=axis) for k in range(2 * radius + 1)]
        x = functools.reduce(jnp.add, taps)
    return x


def _in_voxels(amount: Float[Array, ""], axes: int, case: dict) -> Float[Array, " axes"]:
    return jnp.full(axes, amount) / (case["spacing"] if "spacing" in case else jnp.ones(axes))


def _coarse(size: int, length: Float[Array, ""]) -> Float[Array, "size size"]:
    """From voxels to voxels through ones that are `length` times as long: means over extents, then interpolation."""
    place = jnp.arange(size, dtype=jnp.float32)[None]
    middle = (size - 1) / 2
    centres = (middle + (place - middle) * length).T
    extent = jnp.minimum(place + 0.5, centres + length / 2) - jnp.maximum(place - 0.5, centres - length / 2)
    extent = jnp.maximum(extent, 0)
    total = extent.sum(1, keepdims=True)
    means = extent / jnp.where(total > 0, total, 1)
    near = jnp.maximum(1 - jnp.abs(place.T - centres.T) / length, 0) * (total.T > 0)
    near = near / near.sum(1, keepdims=True)
    return jnp.matmul(near, means, precision=jax.lax.Precision.HIGHEST)
