"""Random changes of intensity for ONE case on the device: gamma, brightness and contrast, noise, the CT window.

Every function is `f(key, case, *, settings) -> case`, changes `image` and `volume` alone, keeps shape and type, and
gives the case back bit for bit at strength 0. Only the window clips: contrast, brightness and noise may leave [0, 1];
gamma keeps the case's own range. Intensities are floating numbers (put `rescale` into the preprocessing).
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from medjax.augment.grids import change, coin, draw
from medjax.errors import InputError
from medjax.keys import words


def random_gamma(key: Key[Array, ""], case: dict, *, strength: float | int, probability: float | int = 1.0) -> dict:
    """Bend the grey scale between the case's own minimum and maximum by a power.

    `minimum + range * ((x - minimum) / range) ** gamma`, so standardised images work as well as those in [0, 1].

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        strength: gamma lies log-evenly in [1 / (1 + strength), 1 + strength].
        probability: how often gamma is drawn at all.
    """

    def bend(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        gamma = jnp.exp(draw(key, probability) * math.log1p(strength)).astype(x.dtype)
        low = jnp.min(x)
        span = jnp.max(x) - low
        unit = jnp.clip((x - low) / jnp.where(span > 0, span, 1), 0, 1)
        # exp(gamma log u) is u ** gamma for u >= 0, at a third of the time on a CPU.
        return jnp.where((gamma == 1) | (span == 0), x, low + span * jnp.exp(gamma * jnp.log(unit)))

    return change(key, case, bend)


def random_brightness_contrast(
    key: Key[Array, ""],
    case: dict,
    *,
    brightness: float | int = 0.0,
    contrast: float | int = 0.0,
    probability: float | int = 1.0,
) -> dict:
    """Stretch the intensities about their mean (of the whole case) and add a constant.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        brightness: largest constant, each way, in the units of the intensities.
        contrast: the factor lies log-evenly in [1 / (1 + contrast), 1 + contrast].
        probability: how often anything is drawn at all.
    """

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        toss, up, stretch = jax.random.split(key, 3)
        on = coin(toss, probability)
        shift = jnp.where(on, draw(up) * brightness, 0).astype(x.dtype)
        factor = jnp.where(on, jnp.exp(draw(stretch) * math.log1p(contrast)), 1).astype(x.dtype)
        return x + ((x - jnp.mean(x)) * (factor - 1) + shift)

    return change(key, case, altered)


def random_noise(key: Key[Array, ""], case: dict, *, deviation: float | int, probability: float | int = 1.0) -> dict:
    """Add independent Gaussian noise; its standard deviation is drawn evenly from 0 to `deviation` for each case.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        deviation: largest standard deviation, in the units of the intensities.
        probability: how often noise is added at all.
    """

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        level, noise = jax.random.split(key)
        amount = jnp.abs(draw(level, probability)) * deviation
        return x + amount.astype(x.dtype) * _normal(noise, x.shape).astype(x.dtype)

    return change(key, case, altered)


@functools.cache
def _quantiles() -> Float[np.ndarray, " levels"]:
    from scipy.special import ndtri

    return ndtri((np.arange(2**16) + 0.5) / 2**16).astype(np.float32)


def _normal(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw normal numbers at 65,536 quantiles, up to 4.3 deviations.

    Noise is drawn for every voxel. On a CPU a table takes a third of the time of the inverse error function of
    `jax.random.normal`, which is exact to more digits than a detector has.
    """
    return jnp.asarray(_quantiles()).at[words(key, shape) >> 16].get(mode="promise_in_bounds")


def random_window(
    key: Key[Array, ""],
    case: dict,
    *,
    level: float | int = 0.0,
    width: float | int = 0.0,
    low: float | int = 0.0,
    high: float | int = 1.0,
    probability: float | int = 1.0,
) -> dict:
    """Look through another window, as a reader of CT does: move its level, change its width, clip what lies outside.

    The intensities arrive in the window [low, high] into which the preprocessing has put them; the drawn window is
    stretched to that range, so that a model that is given the plain window at prediction meets what it knows. With the
    preprocessing `rescale(low=-1000, high=1000)` a level of .1 is 200 Hounsfield units.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        level: largest shift of the window's centre, each way, as a fraction of `high - low`.
        width: the factor on the width lies log-evenly in [1 / (1 + width), 1 + width].
        low: intensity at the lower end of the plain window.
        high: intensity at its upper end.
        probability: how often a window is drawn at all; nothing is clipped where none is.
    """
    if not high > low:
        raise InputError(f"random_window: high={high} must lie above low={low}")

    def look(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        toss, move, stretch = jax.random.split(key, 3)
        on = coin(toss, probability)
        shift = jnp.where(on, draw(move) * level, 0)
        factor = jnp.where(on, jnp.exp(draw(stretch) * math.log1p(width)), 1)
        unit = (x - low) / (high - low)
        seen = jnp.clip((unit - (0.5 + shift)) / factor + 0.5, 0, 1)
        return jnp.where((shift == 0) & (factor == 1), x, low + (high - low) * seen).astype(x.dtype)

    return change(key, case, look)


VOXELWISE = (random_noise, random_window)
"""What reads each voxel once, by itself: done as a part of what comes before."""
