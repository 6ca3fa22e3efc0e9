"""U-Net with a residual encoder, for segmentations of images and volumes."""

import math
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from medjax.errors import InputError
from medjax.models.convolution import Convolution
from medjax.models.normalisation import GroupNorm
from medjax.models.settings import check

NORMALISATIONS = ("instance", "group")


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015, arXiv:1505.04597) in two or three dimensions, logits on the grid of the input.

    The encoder is residual and the decoder has one convolution a level, as in nnU-Net's residual presets (Isensee et al.
    2024, arXiv:2404.09556, section 2.1); activations are leaky rectifiers of slope .01. Strides and kernels may differ
    between axes, so that thick slices are not mixed before they are as wide as the pixels in them (Isensee et al. 2021,
    doi:10.1038/s41592-020-01008-z); `medjax plan` chooses them from spacing and shape. Any size in space will do: what
    is brought up from a coarser level is cut to the finer one.

    Attributes:
        dimensions: 2 for images (batch, H, W, channels), 3 for volumes (batch, D, H, W, channels).
        widths: channels of every level, finest first.
        strides: of every level but the first, one number an axis; empty: 2 in every axis.
        kernels: sides of the kernels of every level, odd, one an axis; empty: 3 in every axis.
        packing: voxels along each axis (one number, or one an axis) that the first level takes as channels of one; the
            logits are unpacked in the same way (Shi et al. 2016, arXiv:1609.05158, equation 4). 2 saves seven eighths of
            the finest and dearest level of a volume.
        blocks: residual blocks of every level of the encoder.
        normalisation: "instance" (every channel of a case by itself) or "group" (32 groups at most).
        deep_supervision: while training, also give the logits of the coarser levels of the decoder but the coarsest.
        outputs: number of classes, the background among them; 0 means "not set yet" and is refused when called.
        dtype: the type of the computation, "float32" or "bfloat16".
        remat: compute every block again in the backward pass: less memory for about a third more time.
    """

    dimensions: Literal[2, 3] = 3
    widths: tuple[int, ...] = (16, 32, 64, 128)
    strides: tuple[tuple[int, ...], ...] = ()
    kernels: tuple[tuple[int, ...], ...] = ()
    packing: int | tuple[int, ...] = 1
    blocks: int = 1
    normalisation: Literal["instance", "group"] = "instance"
    deep_supervision: bool = True
    outputs: int = 0
    dtype: str = "float32"
    remat: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch *space channels"], *, train: bool
    ) -> Float[Array, "batch *space outputs"] | tuple[Float[Array, "batch ..."], ...]:
        """Map a batch of images or volumes to logits in float32.

        Args:
            x: standardised intensities, of a floating type and of any size in space.
            train: whether to give a tuple, the logits on the input grid first, then those of coarser levels, where
                `deep_supervision` is set. The voxel i of a level lies at voxel i times the product of strides of the
                input.

        Raises:
            InputError: a setting is unknown or of another length than the levels, `outputs` is not set, or the rank of
                `x` does not fit `dimensions`.
        """
        check(self, x.ndim, normalisation=NORMALISATIONS)
        strides, kernels = self._geometry()
        block = nn.remat(_Block) if self.remat else _Block
        decoded = nn.remat(_decoded, static_argnums=(1,)) if self.remat else _decoded
        settings = {"normalisation": self.normalisation, "dtype": self.dtype}
        packing = _each(self.packing, self.dimensions)
        whole = x.shape[1:-1]
        x = _pack(x.astype(self.dtype), packing)
        levels = []
        for level, width in enumerate(self.widths):
            for number in range(1, self.blocks + 1):
                step = strides[level] if number == 1 else (1,) * self.dimensions
                name = f"encoder_{level + 1}_block_{number}"
                x = block(width, kernels[level], step, **settings, name=name)(x)
            levels.append(x)
        supervised = self.deep_supervision and (train or self.is_initializing())
        logits = []
        for level in reversed(range(len(self.widths) - 1)):
            finer = levels[level]
            x = decoded(self, level, x, finer)
            if level == 0 or (supervised and level < len(self.widths) - 2):
                if level == 0:
                    found = _Rise(self.outputs, packing, self.dtype, name="output")(x)
                    found = found[(slice(None), *[slice(size) for size in whole])]
                else:
                    found = nn.Dense(self.outputs, dtype=self.dtype, name=f"output_{level + 1}")(x)
                logits.append(found.astype(jnp.promote_types(found.dtype, jnp.float32)))
        return tuple(reversed(logits)) if train and len(logits) > 1 else logits[-1]

    def _geometry(self) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
        """Strides (1 at the first level) and kernels of every level."""
        count, n = len(self.widths), self.dimensions
        if count < 2 or min(self.widths) < 1 or self.blocks < 1:
            raise InputError(f"UNet needs two levels or more and a block in each, not widths {self.widths}")
        strides = tuple(tuple(step) for step in self.strides) or ((2,) * n,) * (count - 1)
        kernels = tuple(tuple(size) for size in self.kernels) or ((3,) * n,) * count
        packing = _each(self.packing, n)
        if len(packing) != n or min(packing) < 1:
            raise InputError(f"UNet.packing {self.packing}: one number of 1 or more, or {n} of them")
        if len(strides) != count - 1 or any(len(step) != n or min(step) < 1 for step in strides):
            raise InputError(
                f"UNet.strides {strides}: {count} levels need {count - 1} entries of {n} numbers, each >= 1"
            )
        if len(kernels) != count or any(len(size) != n or any(k % 2 == 0 for k in size) for size in kernels):
            raise InputError(f"UNet.kernels {kernels}: {count} levels need {count} entries of {n} odd numbers")
        return ((1,) * n, *strides), kernels


def _decoded(
    net: UNet, level: int, x: Float[Array, "batch *coarse features"], finer: Float[Array, "batch *space channels"]
) -> Float[Array, "batch *space channels"]:
    """Bring a level of the decoder up beside the encoder's finer one, and convolve both; a function, so that the parameters
    keep their places in the whole net where it is computed again."""
    strides, kernels = net._geometry()
    x = _Rise(finer.shape[-1], strides[level + 1], net.dtype, name=f"rise_{level + 1}")(x)
    x = x[(slice(None), *[slice(size) for size in finer.shape[1:-1]])]
    x = Convolution(net.widths[level], kernels[level], 1, net.dtype, name=f"decoder_{level + 1}_convolution")(
        jnp.concatenate([x, finer], axis=-1)
    )
    return nn.leaky_relu(_normalise(net.normalisation, f"decoder_{level + 1}_norm", x))


class _Block(nn.Module):
    """Two convolutions with a shortcut past them (He et al. 2016, arXiv:1512.03385, figure 2); the first has the stride."""

    features: int
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    normalisation: Literal["instance", "group"]
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *out features"]:
        y = Convolution(self.features, self.kernel, self.stride, self.dtype, name="convolution_1")(x)
        y = nn.leaky_relu(_normalise(self.normalisation, "norm_1", y))
        y = Convolution(self.features, self.kernel, 1, self.dtype, name="convolution_2")(y)
        y = _normalise(self.normalisation, "norm_2", y)
        if x.shape != y.shape:
            x = Convolution(self.features, 1, self.stride, self.dtype, name="shortcut_convolution")(x)
            x = _normalise(self.normalisation, "shortcut_norm", x)
        return nn.leaky_relu(x + y)


class _Rise(nn.Module):
    """The transposed convolution whose kernel is as wide as its stride: one matrix product, then every voxel is a block."""

    features: int
    stride: tuple[int, ...]
    dtype: str

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *out features"]:
        return _unpack(
            nn.Dense(math.prod(self.stride) * self.features, dtype=self.dtype, name="kernel")(x), self.stride
        )


def _pack(x: Float[Array, "batch *space channels"], blocks: tuple[int, ...]) -> Float[Array, "batch *coarse packed"]:
    """Move blocks of voxels into the channels; what is lacking at the far ends is filled with 0, the mean."""
    if max(blocks) == 1:
        return x
    n = len(blocks)
    lacks = [-size % block for size, block in zip(x.shape[1:-1], blocks, strict=True)]
    x = jnp.pad(x, [(0, 0), *[(0, lack) for lack in lacks], (0, 0)])
    split = [part for size, block in zip(x.shape[1:-1], blocks, strict=True) for part in (size // block, block)]
    y = x.reshape(x.shape[0], *split, x.shape[-1])
    y = y.transpose(0, *[1 + 2 * k for k in range(n)], *[2 + 2 * k for k in range(n)], 1 + 2 * n)
    return y.reshape(*y.shape[: n + 1], -1)


def _unpack(x: Float[Array, "batch *coarse packed"], blocks: tuple[int, ...]) -> Float[Array, "batch *space channels"]:
    """Undo `_pack`, but for what it filled in."""
    n, space = len(blocks), x.shape[1:-1]
    y = x.reshape(*x.shape[:-1], *blocks, -1)
    # (batch, D, H, W, d, h, w, channels) -> (batch, D, d, H, h, W, w, channels)
    y = y.transpose(0, *[axis for k in range(n) for axis in (1 + k, 1 + n + k)], 1 + 2 * n)
    return y.reshape(x.shape[0], *[size * block for size, block in zip(space, blocks, strict=True)], y.shape[-1])


def _each(value: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)


def _normalise(kind: Literal["instance", "group"], name: str, x: Float[Array, "batch *space c"]) -> Float[Array, "..."]:
    groups = x.shape[-1] if kind == "instance" else 32
    return GroupNorm(groups=groups, name=name)(x)
