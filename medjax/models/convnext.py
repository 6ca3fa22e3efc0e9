"""ConvNeXt for images and volumes."""

from typing import Literal

import flax.linen as nn
from jaxtyping import Array, Float

from medjax.errors import InputError
from medjax.models.convolution import DepthwiseConvolution
from medjax.models.head import average, head
from medjax.models.patches import TRUNCATED_NORMAL, Patches
from medjax.models.settings import check, text

_SIZES = {"tiny": ((3, 3, 9, 3), (96, 192, 384, 768))}  # blocks and channels of the stages


class ConvNext(nn.Module):
    """ConvNeXt (Liu et al. 2022, arXiv:2201.03545) in two or three dimensions.

    A block is "7 x 7 depthwise convolution, layer normalisation, four times the channels, exact GELU, back, layer scale,
    add". Weights start from a normal distribution with deviation .02 cut at two deviations, biases at 0. Parameters are
    float32. A volume convolves 7 x 7 x 7, which is costly: `kernel=3` there. For 28-pixel images:

        ConvNext(size="tiny", patch=1, stochastic_depth=0.1)

    Attributes:
        size: "tiny" (3, 3, 9, 3 blocks of 96, 192, 384, 768 channels).
        dimensions: 2 for images (batch, H, W, channels), 3 for volumes (batch, D, H, W, channels).
        patch: side of the stem's patches: 4 as published, 1 or 2 for small images; three stages then halve the grid.
        blocks: number of blocks of each stage; (): as `size` says.
        widths: channels of each stage; (): as `size` says.
        kernel: side of the depthwise convolution, odd. Published: 7.
        layer_scale: where the factors on the blocks' branches start.
        dropout: probability that a pooled feature is dropped while training.
        stochastic_depth: probability that a case skips the last block (Huang et al. 2016, arXiv:1603.09382), falling
            linearly to 0 in the first.
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
        dtype: the type of the computation, "float32" or "bfloat16".
        remat: compute every block again in the backward pass: less memory for about a third more time.
    """

    size: Literal["tiny"] = "tiny"
    dimensions: Literal[2, 3] = 2
    patch: int = 4
    blocks: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    kernel: int = 7
    layer_scale: float = 1e-6
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    outputs: int = 0
    dtype: str = "float32"
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"], *, train: bool) -> Float[Array, "batch outputs"]:
        """Map a batch of images or volumes to logits (or values) in float32.

        Args:
            x: standardised intensities, of a floating type.
            train: whether dropout and stochastic depth are on; they draw from the random stream "dropout".

        Raises:
            InputError: a setting is unknown, or the input is too small for the stages.
        """
        check(self, x.ndim, size=tuple(_SIZES))
        counts, widths = self.blocks or _SIZES[self.size][0], self.widths or _SIZES[self.size][1]
        if len(counts) != len(widths):
            raise InputError(f"ConvNext.blocks {counts} and widths {widths} must be of the same length, the stages")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise InputError(f"ConvNext.kernel is {self.kernel}: use an odd number")
        smallest = self.patch * 2 ** (len(counts) - 1)
        if self.patch < 1 or min(x.shape[1:-1]) < smallest:
            raise InputError(
                f"ConvNext with patch {self.patch} and {len(counts)} stages needs at least {smallest} pixels on every "
                f"side, not {text(x.shape[1:-1])}: make patch smaller (1 at least)"
            )
        n, total, before = self.dimensions, sum(counts), 0
        block = nn.remat(_Block, static_argnums=(2,)) if self.remat else _Block
        for stage, (count, width) in enumerate(zip(counts, widths, strict=True), start=1):
            if stage == 1:
                x = Patches(width, (self.patch,) * n, self.dtype, name="stem_patches")(x)
                x = _norm("stem_norm", self.dtype)(x)
            else:
                x = _norm(f"stage_{stage}_norm", self.dtype)(x)
                x = Patches(width, (2,) * n, self.dtype, name=f"stage_{stage}_patches")(x)
            for number in range(1, count + 1):
                skip = self.stochastic_depth * before / max(total - 1, 1)
                name = f"stage_{stage}_block_{number}"
                x = block(self.kernel, self.layer_scale, skip, self.dtype, name=name)(x, train)
                before += 1
        x = _norm("output_norm", None)(average(x))
        return head(x, self.outputs, self.dropout, self.dtype, train, TRUNCATED_NORMAL)


class _Block(nn.Module):
    """A depthwise convolution over space, then a perceptron over channels, added to what came in."""

    kernel: int
    layer_scale: float
    skip: float
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"], train: bool) -> Float[Array, "batch *space channels"]:
        width = x.shape[-1]
        y = DepthwiseConvolution(self.kernel, self.dtype, TRUNCATED_NORMAL, name="depthwise")(x)
        y = _norm("norm", self.dtype)(y)
        y = nn.Dense(4 * width, dtype=self.dtype, kernel_init=TRUNCATED_NORMAL, name="expand")(y)
        y = nn.gelu(y, approximate=False)
        y = nn.Dense(width, dtype=self.dtype, kernel_init=TRUNCATED_NORMAL, name="contract")(y)
        scale = self.param("layer_scale", nn.initializers.constant(self.layer_scale), (width,))
        y = y * scale.astype(y.dtype).reshape((1,) * (x.ndim - 1) + (-1,))
        return x + nn.Dropout(self.skip, tuple(range(1, x.ndim)), deterministic=not train, name="skip")(y)


def _norm(name: str, dtype: str | None) -> nn.LayerNorm:
    return nn.LayerNorm(1e-6, dtype, use_fast_variance=False, name=name)
