"""Group normalisation with channels last, written so that the reductions run along contiguous channels."""

import math
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NORMALISATIONS = ("group", "batch")


class GroupNorm(nn.Module):
    """Normalise every case over space and within groups of channels (Wu & He 2018, arXiv:1803.08494, equations 1 to 3).

    The same function as `flax.linen.GroupNorm` with two-pass variance, two to four times as fast on a CPU: space is
    reduced first, the few numbers a channel that remain are grouped afterwards. Two passes, since the one-pass variance
    cancels where the mean is large against the spread. Statistics are float32 whatever the input is.

    Attributes:
        groups: the number of groups wanted; its greatest common divisor with the channels is taken (so min(groups,
            channels) for the usual powers of two).
        epsilon: added to the variance.
        zero: whether the scale starts at 0 (the last normalisation of a residual block) instead of 1.
    """

    groups: int = 32
    epsilon: float = 1e-5
    zero: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *space channels"]:
        """Normalise; the result has the type of the input."""
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.zeros if self.zero else nn.initializers.ones, (channels,))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        space = tuple(range(1, x.ndim - 1))
        groups = math.gcd(self.groups, channels)
        flat = (x.shape[0],) + (1,) * len(space) + (channels,)

        def of_group(values: Float[Array, "batch channels"]) -> Float[Array, "batch ..."]:
            members = values.reshape(x.shape[0], groups, channels // groups)
            return jnp.broadcast_to(members.mean(axis=-1, keepdims=True), members.shape).reshape(flat)

        centred = wide - of_group(jnp.mean(wide, axis=space))
        variance = of_group(jnp.mean(jnp.square(centred), axis=space))
        row = (1,) * (x.ndim - 1) + (channels,)
        gain = jax.lax.rsqrt(variance + self.epsilon) * scale.reshape(row)
        return (centred * gain + bias.reshape(row)).astype(x.dtype)


def normalise(
    kind: Literal["group", "batch"],
    name: str,
    x: Float[Array, "batch *space channels"],
    train: bool,
    zero: bool = False,
) -> Float[Array, "batch *space channels"]:
    """Apply the chosen normalisation as a submodule of the module that calls.

    Args:
        kind: "group" (32 groups at most) or "batch" (momentum 0.9, its statistics in the collection "batch_stats").
        name: of the submodule.
        x: what is normalised.
        train: whether batch statistics are those of the batch.
        zero: whether the scale starts at 0.
    """
    if kind == "group":
        return GroupNorm(zero=zero, name=name)(x)
    scale = nn.initializers.zeros if zero else nn.initializers.ones
    return nn.BatchNorm(not train, momentum=0.9, epsilon=1e-5, dtype=x.dtype, scale_init=scale, name=name)(x)
