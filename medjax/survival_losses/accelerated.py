"""Accelerated failure time: log time = location + scale * noise, by two outputs a case, the location and the log scale.

The location is the logarithm of a time, in the unit of the times; one more unit of it makes every wait e times as long.
Source: Kalbfleisch & Prentice, The Statistical Analysis of Failure Time Data (2002), sections 2.2 and 3.3.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from medjax.survival_losses.follow_up import known

STEEPEST = 30.0  # above it exp is continued by its tangent: 1e13 nats are wrong enough, and stay finite


def weibull(
    outputs: Float[Array, "batch 2"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
) -> Float[Array, " batch"]:
    """Negative log-likelihood of Weibull times, in nats: the noise has the survival function `exp(-exp(z))`.

    With z = (log time - location) / scale, an event has log density `z - exp(z) - log scale - log time`, and a censored
    case the log survival `-exp(z)`. The shape that textbooks name is 1 / scale, and scale 1 is the exponential law.

    Args:
        outputs: location and log scale.
        times: follow-up until the event or the end of observation; another unit adds a constant to the loss of each
            event. An event at time 0 is impossible under the model and gives NaN; the door of the data refuses it.
        events: 1 or True for the event, 0 or False for censored. A case whose time or event is NaN or negative is
            unknown, and gives loss 0, gradient 0.
    """
    z, log_scale, log_time = _standardised(outputs, times, events)
    hazard = _bounded_exp(z)
    return _of_cases(hazard - z + log_scale + log_time, hazard, times, events)


def log_normal(
    outputs: Float[Array, "batch 2"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
) -> Float[Array, " batch"]:
    """Negative log-likelihood of log-normal times, in nats: the noise is standard normal.

    With z = (log time - location) / scale, an event has log density `-z^2 / 2 - log(2 pi) / 2 - log scale - log time`,
    and a censored case the log survival `log Phi(-z)`.

    Args:
        outputs: location and log scale.
        times: follow-up until the event or the end of observation; units and time 0 as for `weibull`.
        events: 1 or True for the event, 0 or False for censored; unknown cases as for `weibull`.
    """
    z, log_scale, log_time = _standardised(outputs, times, events)
    event = 0.5 * z**2 + 0.5 * math.log(2 * math.pi) + log_scale + log_time
    return _of_cases(event, -jax.scipy.special.log_ndtr(-z), times, events)


def weibull_survival(outputs: Float[Array, "batch 2"], grid: Num[Array, " grid"]) -> Float[Array, "batch grid"]:
    """Chance to be free of the event at the times of the grid, in the unit of the times; 1 at time 0."""
    return jnp.exp(-jnp.exp(_on_grid(outputs, grid)))


def log_normal_survival(outputs: Float[Array, "batch 2"], grid: Num[Array, " grid"]) -> Float[Array, "batch grid"]:
    """Chance to be free of the event at the times of the grid, in the unit of the times; 1 at time 0."""
    return jax.scipy.special.ndtr(-_on_grid(outputs, grid))


def weibull_median(outputs: Float[Array, "batch 2"]) -> Float[Array, " batch"]:
    """The time, in the unit of the times, by which half of such cases have had the event: survival 1/2."""
    return jnp.exp(outputs[:, 0] + jnp.exp(outputs[:, 1]) * math.log(math.log(2)))


def log_normal_median(outputs: Float[Array, "batch 2"]) -> Float[Array, " batch"]:
    """The time, in the unit of the times, by which half of such cases have had the event: exp(location)."""
    return jnp.exp(outputs[:, 0])


def _standardised(
    outputs: Float[Array, "batch 2"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
) -> tuple[Float[Array, " batch"], Float[Array, " batch"], Float[Array, " batch"]]:
    """Return z, log scale and log time; 0 where the loss does not use them, so that no NaN enters a gradient."""
    outputs = outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))
    used = known(times, events) & (times > 0)
    log_time = jnp.log(jnp.where(used, times, 1).astype(outputs.dtype))
    location, log_scale = jnp.where(used[:, None], outputs, 0.0).T
    return (log_time - location) * jnp.exp(-log_scale), log_scale, log_time


def _of_cases(
    event_loss: Float[Array, " batch"],
    censored_loss: Float[Array, " batch"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
) -> Float[Array, " batch"]:
    at_zero = jnp.where(events > 0, jnp.nan, 0.0).astype(event_loss.dtype)  # who is censored at once tells nothing
    loss = jnp.where(times > 0, jnp.where(events > 0, event_loss, censored_loss), at_zero)
    return jnp.where(known(times, events), loss, 0.0)


def _bounded_exp(z: Float[Array, " batch"]) -> Float[Array, " batch"]:
    return jnp.exp(jnp.minimum(z, STEEPEST)) * (1 + jnp.maximum(z - STEEPEST, 0.0))


def _on_grid(outputs: Float[Array, "batch 2"], grid: Num[Array, " grid"]) -> Float[Array, "batch grid"]:
    location, log_scale = outputs[:, :1], outputs[:, 1:]
    return (jnp.log(grid)[None, :] - location) * jnp.exp(-log_scale)
