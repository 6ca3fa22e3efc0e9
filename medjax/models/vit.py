"""Vision transformers for images and volumes."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from medjax.errors import InputError
from medjax.models.head import average, head
from medjax.models.patches import TRUNCATED_NORMAL, Patches
from medjax.models.settings import check, text

_SIZES = {"tiny": (12, 192, 3), "small": (12, 384, 6)}  # depth, width, heads: Touvron et al. 2021, table 1


class VisionTransformer(nn.Module):
    """ViT (Dosovitskiy et al. 2021, arXiv:2010.11929) in the sizes of DeiT (Touvron et al. 2021, arXiv:2012.12877).

    Blocks are "norm, attention, add; norm, multilayer perceptron (four times the width, exact GELU), add", with one more
    layer normalisation at the end. The learned position embedding fits one input size only. Weights start from a normal
    distribution with deviation .02 cut at two deviations, the patch embedding by its fan-in (LeCun), biases at 0.
    Parameters are float32. For example, 12 blocks of width 192 on 7 x 7 tokens of a 28-pixel image:

        VisionTransformer(size="tiny", patch=4, dropout=0.1)

    Attributes:
        size: "tiny" (width 192, 3 heads) or "small" (width 384, 6 heads), both with 12 blocks.
        dimensions: 2 for images (batch, H, W, channels), 3 for volumes (batch, D, H, W, channels).
        patch: side of a patch, or a side for each axis of space; the input size must be a multiple. Published: 16.
        pooling: "mean" of the tokens (needs fewer data; Beyer et al. 2022, arXiv:2205.01580) or "class" (the published
            further token).
        depth: number of blocks; 0: as `size` says.
        width: channels of a token; 0: as `size` says.
        heads: of the attention, a divisor of the width; 0: as `size` says.
        dropout: probability after the position embedding, each projection, and on the pooled features.
        stochastic_depth: probability that a case skips the last block (Huang et al. 2016, arXiv:1603.09382), falling
            linearly to 0 in the first.
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
        dtype: the type of the computation, "float32" or "bfloat16".
        remat: compute every block again in the backward pass: less memory for about a third more time.
    """

    size: Literal["tiny", "small"] = "tiny"
    dimensions: Literal[2, 3] = 2
    patch: int | tuple[int, ...] = 16
    pooling: Literal["mean", "class"] = "mean"
    depth: int = 0
    width: int = 0
    heads: int = 0
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    outputs: int = 0
    dtype: str = "float32"
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"], *, train: bool) -> Float[Array, "batch outputs"]:
        """Map a batch of images or volumes to logits (or values) in float32.

        Args:
            x: standardised intensities, of a floating type, of the size that the model was initialised with.
            train: whether dropout and stochastic depth are on; they draw from the random stream "dropout".

        Raises:
            InputError: a setting is unknown, the patch does not divide the input, or its size is not that of the
                initialisation.
        """
        check(self, x.ndim, size=tuple(_SIZES), pooling=("mean", "class"))
        depth, width, heads = (
            own or usual for own, usual in zip((self.depth, self.width, self.heads), _SIZES[self.size], strict=True)
        )
        if min(depth, width, heads) < 1 or width % heads:
            raise InputError(
                f"VisionTransformer: depth {depth}, width {width} and heads {heads} must be positive, and the width a "
                "multiple of the heads"
            )
        x = Patches(width, self._sides(x.shape[1:-1]), self.dtype, nn.initializers.lecun_normal(), name="patches")(x)
        x = x.reshape(x.shape[0], -1, width)
        if self.pooling == "class":
            token = self.param("class_token", TRUNCATED_NORMAL, (1, 1, width)).astype(x.dtype)
            x = jnp.concatenate([jnp.broadcast_to(token, (x.shape[0], 1, width)), x], axis=1)
        if self.has_variable("params", "position"):
            known = self.get_variable("params", "position").shape[1]
            if known != x.shape[1]:
                raise InputError(
                    f"VisionTransformer was initialised with {known} tokens, but this input gives {x.shape[1]}: its "
                    "position embedding fits one input size; resize the input"
                )
        x = x + self.param("position", TRUNCATED_NORMAL, (1, x.shape[1], width)).astype(x.dtype)
        x = nn.Dropout(self.dropout, deterministic=not train, name="embedded")(x)
        block = nn.remat(_Block, static_argnums=(2,)) if self.remat else _Block
        for number in range(1, depth + 1):
            skip = self.stochastic_depth * (number - 1) / max(depth - 1, 1)
            x = block(heads, self.dropout, skip, self.dtype, name=f"block_{number}")(x, train)
        x = nn.LayerNorm(1e-6, self.dtype, use_fast_variance=False, name="norm")(x)
        pooled = average(x) if self.pooling == "mean" else x[:, 0]
        return head(pooled, self.outputs, self.dropout, self.dtype, train, TRUNCATED_NORMAL)

    def _sides(self, space: tuple[int, ...]) -> tuple[int, ...]:
        """Return the sides of a patch, where they divide the input."""
        sides = (self.patch,) * len(space) if isinstance(self.patch, int) else tuple(self.patch)
        if len(sides) != len(space) or min(sides) < 1:
            raise InputError(f"VisionTransformer.patch is {self.patch}: give one side, or {len(space)} (one an axis)")
        if any(size % side for size, side in zip(space, sides, strict=True)):
            fitting = [side for side in range(2, min(space)) if all(size % side == 0 for size in space)]
            hint = (
                f"patch {' or '.join(map(str, fitting))} would fit, or resize or pad it"
                if fitting
                else "resize or pad it"
            )
            raise InputError(f"VisionTransformer.patch {text(sides)} does not divide an input of {text(space)}: {hint}")
        return sides


class _Block(nn.Module):
    """Self-attention and a multilayer perceptron, each behind a normalisation and added to what came in."""

    heads: int
    dropout: float
    skip: float
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch tokens width"], train: bool) -> Float[Array, "batch tokens width"]:
        width = x.shape[-1]

        def dense(features: int, name: str) -> nn.Dense:
            return nn.Dense(features, dtype=self.dtype, kernel_init=TRUNCATED_NORMAL, name=name)

        def norm(name: str) -> nn.LayerNorm:
            return nn.LayerNorm(1e-6, self.dtype, use_fast_variance=False, name=name)

        def drop(name: str, rate: float, whole: bool = False) -> nn.Dropout:
            return nn.Dropout(rate, (1, 2) if whole else (), deterministic=not train, name=name)

        y = dense(3 * width, "query_key_value")(norm("norm_1")(x))
        query, key, value = jnp.moveaxis(y.reshape(*y.shape[:2], 3, self.heads, width // self.heads), 2, 0)
        y = jax.nn.dot_product_attention(query, key, value).reshape(x.shape)
        y = drop("attended", self.dropout)(dense(width, "projection")(y))
        x = x + drop("skip_1", self.skip, whole=True)(y)
        y = nn.gelu(dense(4 * width, "expand")(norm("norm_2")(x)), approximate=False)
        y = dense(width, "contract")(drop("expanded", self.dropout)(y))
        return x + drop("skip_2", self.skip, whole=True)(drop("contracted", self.dropout)(y))
