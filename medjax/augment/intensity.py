"""Random changes of intensity for ONE case on the device: gamma, brightness and contrast, noise.

Every function is `f(key, case, *, settings) -> case`, changes `image` and `volume` alone, keeps shape and type, and
gives the case back bit for bit at strength 0. Nothing is clipped: contrast, brightness and noise may leave [0, 1];
gamma keeps the case's own range. Intensities are floating numbers (put `rescale` into the preprocessing).
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from medjax.errors import InputError


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
        gamma = jnp.exp(_draw(key, probability) * math.log1p(strength)).astype(x.dtype)
        low = jnp.min(x)
        span = jnp.max(x) - low
        unit = jnp.clip((x - low) / jnp.where(span > 0, span, 1), 0, 1)
        return jnp.where((gamma == 1) | (span == 0), x, low + span * unit**gamma)

    return _change(key, case, bend)


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

    def change(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        coin, up, stretch = jax.random.split(key, 3)
        on = _coin(coin, probability)
        shift = jnp.where(on, _draw(up) * brightness, 0).astype(x.dtype)
        factor = jnp.where(on, jnp.exp(_draw(stretch) * math.log1p(contrast)), 1).astype(x.dtype)
        return x + ((x - jnp.mean(x)) * (factor - 1) + shift)

    return _change(key, case, change)


def random_noise(key: Key[Array, ""], case: dict, *, deviation: float | int, probability: float | int = 1.0) -> dict:
    """Add independent Gaussian noise; its standard deviation is drawn evenly from 0 to `deviation` for each case.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        deviation: largest standard deviation, in the units of the intensities.
        probability: how often noise is added at all.
    """

    def change(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        level, noise = jax.random.split(key)
        amount = jnp.abs(_draw(level, probability)) * deviation
        return x + amount.astype(x.dtype) * jax.random.normal(noise, x.shape, x.dtype)

    return _change(key, case, change)


def _change(key: Key[Array, ""], case: dict, function: Callable) -> dict:
    """Give every floating grid of the case to `function`."""
    names = [name for name in ("image", "volume") if name in case]
    if not names:
        raise InputError(f"augment: the case has neither image nor volume, only {sorted(case)}")
    result = dict(case)
    for name in names:
        if not jnp.issubdtype(case[name].dtype, jnp.floating):
            raise InputError(f"augment: {name} is {case[name].dtype}: put `rescale` into the preprocessing")
        result[name] = function(key, case[name])
    return result


def _draw(key: Key[Array, ""], probability: float | int = 1.0) -> Float[Array, ""]:
    """A number spread evenly over -1 to 1, or 0 where the coin says no."""
    coin, amount = jax.random.split(key)
    return jnp.where(_coin(coin, probability), jax.random.uniform(amount, (), jnp.float32, -1.0, 1.0), 0.0)


def _coin(key: Key[Array, ""], probability: float | int) -> Bool[Array, ""]:
    return jax.random.uniform(key) < probability
