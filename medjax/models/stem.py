"""The first layers of convolutional networks, by the size of the images. Its modules belong to the one that calls."""

from typing import Literal

import flax.linen as nn
from jaxtyping import Array, Float

from medjax.models.convolution import Convolution
from medjax.models.normalisation import normalise

STEMS = ("cifar", "standard")


def stem(
    x: Float[Array, "batch *space channels"],
    kind: Literal["cifar", "standard"],
    features: int,
    normalisation: Literal["group", "batch"],
    dtype: str,
    train: bool,
) -> Float[Array, "batch *out features"]:
    """Convolve, normalise, rectify and, in the standard stem, pool.

    Args:
        x: images or volumes.
        kind: "cifar" (3 x 3, stride 1, no pooling: for 28 or 32 pixels) or "standard" (7 x 7, stride 2, then 3 x 3
            maximum pooling with stride 2; He et al. 2016, arXiv:1512.03385, table 1).
        features: channels of the result.
        normalisation: "group" or "batch".
        dtype: the type of the computation.
        train: whether batch statistics are those of the batch.
    """
    size, stride = (3, 1) if kind == "cifar" else (7, 2)
    x = Convolution(features, size, stride, dtype=dtype, name="stem_convolution")(x.astype(dtype))
    x = nn.relu(normalise(normalisation, "stem_norm", x, train))
    if kind == "standard":
        n = x.ndim - 2
        x = nn.max_pool(x, (3,) * n, (2,) * n, ((1, 1),) * n)
    return x
