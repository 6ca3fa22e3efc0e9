"""Patches of an image or a volume, each mapped to a vector: the first layer of transformers, the strides of ConvNeXt."""

import math
from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

# Standard deviation .02 AFTER the cut at two deviations, as the published code draws; JAX states it before the cut.
TRUNCATED_NORMAL = nn.initializers.truncated_normal(0.02 / 0.87962566103423978)


class Patches(nn.Module):
    """A convolution whose stride is its size, with bias, written as one matrix product.

    What is left over at the far end, where the size does not divide the space, is dropped, as a convolution does.

    Attributes:
        features: number of output channels.
        size: sides of a patch, one for each axis of space.
        dtype: the type of the computation; the parameters are float32.
        kernel: how the weights start.
    """

    features: int
    size: tuple[int, ...]
    dtype: str = "float32"
    kernel: Callable = TRUNCATED_NORMAL

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *grid features"]:
        """Cut into patches and project each."""
        channels, n = x.shape[-1], len(self.size)
        kernel = self.param("kernel", self.kernel, (*self.size, channels, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        grid = [space // side for space, side in zip(x.shape[1:-1], self.size, strict=True)]
        kept = (slice(None), *[slice(0, count * side) for count, side in zip(grid, self.size, strict=True)])
        pairs = [number for pair in zip(grid, self.size, strict=True) for number in pair]
        cut = x[kept].reshape(x.shape[0], *pairs, channels)
        order = (0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2), 2 * n + 1)
        rows = cut.transpose(order).reshape(x.shape[0], *grid, math.prod(self.size) * channels)
        weights = kernel.reshape(-1, self.features).astype(self.dtype)
        y = jnp.dot(rows.astype(self.dtype), weights)
        return y + bias.astype(self.dtype).reshape((1,) * (n + 1) + (-1,))
