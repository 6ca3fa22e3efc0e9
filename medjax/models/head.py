"""The end of an image model: average over space, dropout, one linear layer. Its modules belong to the one that calls."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float


def average(x: Float[Array, "batch *space channels"]) -> Float[Array, "batch channels"]:
    """Return the mean over space, in float32 at least."""
    return jnp.mean(x.astype(jnp.promote_types(x.dtype, jnp.float32)), axis=tuple(range(1, x.ndim - 1)))


def head(
    x: Float[Array, "batch channels"],
    outputs: int,
    dropout: float,
    dtype: str,
    train: bool,
    kernel: Callable = nn.linear.default_kernel_init,
) -> Float[Array, "batch outputs"]:
    """Map pooled features to logits (or values) in float32; the layer "pooled" gives the features (after dropout).

    Args:
        x: one vector a case.
        outputs: how many logits or values.
        dropout: probability that a feature is dropped while training.
        dtype: the type of the computation.
        train: whether dropout is on.
        kernel: how the weights start.
    """
    x = nn.Dropout(dropout, deterministic=not train, name="pooled")(x)
    x = nn.Dense(outputs, dtype=dtype, kernel_init=kernel, name="output")(x)
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
