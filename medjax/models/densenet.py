"""Densely connected networks for images and volumes."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medjax.errors import InputError
from medjax.models.convolution import Convolution
from medjax.models.head import average, head
from medjax.models.normalisation import NORMALISATIONS, normalise
from medjax.models.settings import check, text
from medjax.models.stem import STEMS, stem

_LAYERS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}


class DenseNet(nn.Module):
    """DenseNet-121, 169 or 201 (Huang et al. 2017, arXiv:1608.06993, table 1) in two or three dimensions.

    Every layer sees what all layers of its stage gave: "norm, relu, 1 x 1 to four times the growth, norm, relu, 3 x 3 to
    the growth"; between stages a 1 x 1 convolution halves the channels and 2 x 2 average pooling the grid. Kernels start
    from He et al. 2015. Parameters and batch statistics are float32. For 28-pixel images:

        DenseNet(depth=121, stem="cifar", growth=16)

    Attributes:
        depth: 121, 169 or 201.
        dimensions: 2 for images (batch, H, W, channels), 3 for volumes (batch, D, H, W, channels).
        stem: "cifar" (3 x 3, stride 1, no pooling: for 28 or 32 pixels) or "standard" (7 x 7, stride 2, then 3 x 3
            maximum pooling with stride 2).
        normalisation: "group" (32 groups at most; a case does not see its batch) or "batch" (as published; momentum 0.9,
            its statistics in the collection "batch_stats").
        growth: channels that a layer adds; the stem has twice as many.
        layers: number of layers of each stage; (): as `depth` says.
        dropout: probability that a pooled feature is dropped while training; needs the random stream "dropout".
        outputs: number of outputs; 0 means "not set yet" and is refused when the model is called.
        dtype: the type of the computation, "float32" or "bfloat16".
        remat: compute every layer again in the backward pass, its concatenation included, so that memory grows linearly
            with depth (Pleiss et al. 2017, arXiv:1707.06990), for about a third more time.
    """

    depth: Literal[121, 169, 201] = 121
    dimensions: Literal[2, 3] = 2
    stem: Literal["cifar", "standard"] = "cifar"
    normalisation: Literal["group", "batch"] = "group"
    growth: int = 32
    layers: tuple[int, ...] = ()
    dropout: float = 0.0
    outputs: int = 0
    dtype: str = "float32"
    remat: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"], *, train: bool) -> Float[Array, "batch outputs"]:
        """Map a batch of images or volumes to logits (or values) in float32.

        Args:
            x: standardised intensities, of a floating type.
            train: whether dropout is on and batch statistics are those of the batch.

        Raises:
            InputError: a setting is unknown, or the input is too small for the stages.
        """
        check(self, x.ndim, depth=tuple(_LAYERS), stem=STEMS, normalisation=NORMALISATIONS)
        counts, space = self.layers or _LAYERS[self.depth], x.shape[1:-1]
        x = stem(x, self.stem, 2 * self.growth, self.normalisation, self.dtype, train)
        if min(x.shape[1:-1]) < 2 ** (len(counts) - 1):
            raise InputError(
                f"DenseNet with stem '{self.stem}' and {len(counts)} stages cannot halve an input of {text(space)} "
                f"{len(counts) - 1} times: use stem 'cifar', or a larger input"
            )
        layer = nn.remat(_Layer, static_argnums=(2,)) if self.remat else _Layer
        transition = nn.remat(_Transition, static_argnums=(2,)) if self.remat else _Transition
        settings = {"normalisation": self.normalisation, "dtype": self.dtype}
        for stage, count in enumerate(counts, start=1):
            features = (x,)
            for number in range(1, count + 1):
                new = layer(growth=self.growth, **settings, name=f"stage_{stage}_layer_{number}")(features, train)
                features = (*features, new)
            if stage < len(counts):
                x = transition(**settings, name=f"stage_{stage}_transition")(features, train)
            else:
                x = jnp.concatenate(features, axis=-1)
        x = nn.relu(normalise(self.normalisation, "output_norm", x, train))
        return head(average(x), self.outputs, self.dropout, self.dtype, train)


class _Layer(nn.Module):
    """One layer: from all features of its stage to `growth` further channels."""

    growth: int
    normalisation: Literal["group", "batch"]
    dtype: str

    @nn.compact
    def __call__(
        self, features: tuple[Float[Array, "batch *space _"], ...], train: bool
    ) -> Float[Array, "batch *space growth"]:
        x = jnp.concatenate(features, axis=-1)
        x = nn.relu(normalise(self.normalisation, "norm_1", x, train))
        x = Convolution(4 * self.growth, 1, dtype=self.dtype, name="convolution_1")(x)
        x = nn.relu(normalise(self.normalisation, "norm_2", x, train))
        return Convolution(self.growth, 3, dtype=self.dtype, name="convolution_2")(x)


class _Transition(nn.Module):
    """Half the channels and half the grid; what is left over at the far end of an odd side is dropped, as published."""

    normalisation: Literal["group", "batch"]
    dtype: str

    @nn.compact
    def __call__(
        self, features: tuple[Float[Array, "batch *space _"], ...], train: bool
    ) -> Float[Array, "batch *out half"]:
        x = jnp.concatenate(features, axis=-1)
        x = nn.relu(normalise(self.normalisation, "norm", x, train))
        x = Convolution(x.shape[-1] // 2, 1, dtype=self.dtype, name="convolution")(x)
        two = (2,) * (x.ndim - 2)
        return nn.avg_pool(x, two, two)
