"""Learning-rate schedules: pure functions from progress in [0, 1] to a factor on the peak rate.

Progress, not steps: the same schedule serves a run of any length, in whatever unit it was given.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

Progress = Float[Array, ""]


def constant(progress: Progress, *, warmup: float = 0.0) -> Progress:
    """Return 1, after a linear rise from 0 over the first `warmup` share."""
    return _warm(progress, warmup)


def linear(progress: Progress, *, warmup: float = 0.0, final: float = 0.0) -> Progress:
    """Fall linearly from 1 to `final`, after a linear rise over the first `warmup` share."""
    return _warm(progress, warmup) * (1 - (1 - final) * _after(progress, warmup))


def cosine(progress: Progress, *, warmup: float = 0.0, final: float = 0.0) -> Progress:
    """Fall along half a cosine from 1 to `final` (Loshchilov & Hutter 2017, eq. 5), after a linear rise."""
    return _warm(progress, warmup) * (final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * _after(progress, warmup))))


def steps(progress: Progress, *, at: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1) -> Progress:
    """Multiply by `factor` at each of the given shares of training (MedMNIST: 0.1 at one half and three quarters)."""
    value = jnp.ones_like(progress)
    for share in at:
        value = value * jnp.where(progress >= share, factor, 1.0)
    return value


def _warm(progress: Progress, warmup: float) -> Progress:
    return jnp.clip(progress / warmup, 0.0, 1.0) if warmup > 0 else jnp.ones_like(progress)


def _after(progress: Progress, warmup: float) -> Progress:
    return jnp.clip((progress - warmup) / max(1 - warmup, 1e-9), 0.0, 1.0)
