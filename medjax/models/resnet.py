"""Residual networks for images and volumes."""

from typing import Literal

import flax.linen as nn
from jaxtyping import Array, Float

from medjax.models.convolution import Convolution
from medjax.models.head import average, head
from medjax.models.normalisation import NORMALISATIONS, normalise
from medjax.models.settings import check
from medjax.models.stem import STEMS, stem

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}


class ResNet(nn.Module):
    """ResNet-18, 34 or 50 (He et al. 2016, arXiv:1512.03385, table 1) in two or three dimensions.

    Blocks are "conv, norm, relu" with the stride of a bottleneck in its 3 x 3 convolution, as in the published weights
    that everybody compares to. The last normalisation of a block starts at scale 0, so that every block starts as the
    identity (Goyal et al. 2017, arXiv:1706.02677, section 5.1). Parameters and batch statistics are float32.

    Attributes:
        depth: 18, 34 (basic blocks) or 50 (bottlenecks).
        dimensions: 2 for images (batch, H, W, channels), 3 for volumes (batch, D, H, W, channels).
        stem: "cifar" (3 x 3, stride 1, no pooling: for 28 or 32 pixels) or "standard" (7 x 7, stride 2, then 3 x 3
            maximum pooling with stride 2).
        normalisation: "group" (32 groups at most; a case does not see its batch) or "batch" (momentum 0.9, its
            statistics in the collection "batch_stats").
        width: channels of the first stage.
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
        dtype: the type of the computation, "float32" or "bfloat16".
        remat: compute every block again in the backward pass: less memory for about a third more time.
        dropout: probability that a pooled feature is dropped while training; needs the random stream "dropout".
    """

    depth: Literal[18, 34, 50] = 18
    dimensions: Literal[2, 3] = 2
    stem: Literal["cifar", "standard"] = "cifar"
    normalisation: Literal["group", "batch"] = "group"
    width: int = 64
    outputs: int = 0
    dtype: str = "float32"
    remat: bool = False
    dropout: float = 0.0

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"], *, train: bool) -> Float[Array, "batch outputs"]:
        """Map a batch of images or volumes to logits (or values) in float32.

        Args:
            x: standardised intensities, of a floating type and of any size in space.
            train: whether dropout is on and batch statistics are those of the batch.

        Raises:
            InputError: a setting is unknown, `outputs` is not set, or the rank of `x` does not fit `dimensions`.
        """
        check(self, x.ndim, depth=tuple(_BLOCKS), stem=STEMS, normalisation=NORMALISATIONS)
        x = stem(x, self.stem, self.width, self.normalisation, self.dtype, train)
        block = nn.remat(_Block, static_argnums=(2,)) if self.remat else _Block
        for stage, count in enumerate(_BLOCKS[self.depth], start=1):
            for number in range(1, count + 1):
                x = block(
                    features=self.width * 2 ** (stage - 1),
                    stride=2 if stage > 1 and number == 1 else 1,
                    bottleneck=self.depth == 50,
                    normalisation=self.normalisation,
                    dtype=self.dtype,
                    name=f"stage_{stage}_block_{number}",
                )(x, train)
        return head(average(x), self.outputs, self.dropout, self.dtype, train)


class _Block(nn.Module):
    """One residual block: two 3 x 3 convolutions, or a bottleneck (1 x 1, 3 x 3, 1 x 1 to four times the features)."""

    features: int
    stride: int
    bottleneck: bool
    normalisation: Literal["group", "batch"]
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"], train: bool) -> Float[Array, "batch *out features"]:
        if self.bottleneck:
            plan = [(self.features, 1, 1), (self.features, 3, self.stride), (4 * self.features, 1, 1)]
        else:
            plan = [(self.features, 3, self.stride), (self.features, 3, 1)]
        y = x
        for number, (features, size, stride) in enumerate(plan, start=1):
            last = number == len(plan)
            y = Convolution(features, size, stride, self.dtype, name=f"convolution_{number}")(y)
            y = normalise(self.normalisation, f"norm_{number}", y, train, zero=last)
            y = y if last else nn.relu(y)
        if x.shape != y.shape:
            x = Convolution(y.shape[-1], 1, self.stride, self.dtype, name="shortcut_convolution")(x)
            x = normalise(self.normalisation, "shortcut_norm", x, train)
        return nn.relu(x + y)
