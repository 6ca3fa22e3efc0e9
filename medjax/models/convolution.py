"""Convolution with channels last, that is fast on a CPU too."""

import functools
import math
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LEAST_PLANE = 4  # voxels a side, from which planes are the faster way


class Convolution(nn.Module):
    """A convolution without bias in 2-D or 3-D; the padding is (size - 1) / 2 on both sides, as in published ResNets.

    Attributes:
        features: number of output channels.
        size: side of the kernel, odd; one for all axes of space, or one each.
        stride: step of the output grid, likewise.
        dtype: the type of the computation; the kernel is float32.
    """

    features: int
    size: int | tuple[int, ...]
    stride: int | tuple[int, ...] = 1
    dtype: str = "float32"

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *out features"]:
        """Convolve; the kernel starts from He et al. 2015 (arXiv:1502.01852, equation 14: normal, by fan-out)."""
        shape = (*_each(self.size, x.ndim - 2), x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.variance_scaling(2.0, "fan_out", "normal"), shape)
        return convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride)


class DepthwiseConvolution(nn.Module):
    """A convolution of every channel by itself in 2-D or 3-D, stride 1, with bias; the grid keeps its size.

    Attributes:
        size: side of the kernel, odd.
        dtype: the type of the computation; the parameters are float32.
        kernel: how the weights start.
    """

    size: int
    dtype: str = "float32"
    kernel: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Float[Array, "batch *space channels"]) -> Float[Array, "batch *space channels"]:
        """Convolve."""
        n, channels = x.ndim - 2, x.shape[-1]
        kernel = self.param("kernel", self.kernel, (self.size,) * n + (1, channels))
        bias = self.param("bias", nn.initializers.zeros, (channels,))
        y = convolve_depthwise(x.astype(self.dtype), kernel.astype(self.dtype))
        return y + bias.astype(self.dtype).reshape((1,) * (n + 1) + (channels,))


def convolve(
    x: Float[Array, "batch *space channels"],
    kernel: Float[Array, "*size channels features"],
    stride: int | tuple[int, ...] = 1,
) -> Float[Array, "batch *out features"]:
    """Cross-correlate every case with a kernel of odd sizes, zero-padded by (size - 1) / 2 on both sides.

    On a CPU a volume is convolved plane by plane: a 7 x 7 x 7 stem of stride 2 on 64 volumes of 28 x 28 x 28 takes the
    compiler (jax 0.10.2) 1.3 s, its planes .17 s. And with a stride, from 16 channels on, all three directions of planes
    are one product. The mathematics is the same, to rounding. Gradients to kernels of stride 1 are left to the compiler,
    which with `compiler_options` reaches 280 to 450 GFLOP/s where products of shifted inputs reached 150 to 400: within a
    step .77 of the time of a ResNet-18 in bfloat16, in float32 no difference, and less memory with remat.
    """
    strides = _each(stride, x.ndim - 2)
    if max(strides) > 1 and all(size == 1 for size in kernel.shape[:-2]):
        return convolve(x[(slice(None), *[slice(None, None, step) for step in strides])], kernel)
    if x.ndim == 5 and x.shape[3] >= LEAST_PLANE and jax.default_backend() == "cpu":
        return _convolve_by_planes(x, kernel, strides)
    if max(strides) > 1 and x.ndim == 4 and x.shape[-1] >= 16 and jax.default_backend() == "cpu":
        return _convolve_columns(x, kernel, strides)
    return _convolve(x, kernel, strides)


def compiler_options() -> dict[str, str]:
    """Return what the compiler should be told of programs that convolve (`jax.jit(..., compiler_options=...)`).

    On a CPU jaxlib 0.10 gives float32 convolutions to YNNPACK, which takes about half as long again as its other way, by
    Eigen: a training step of a ResNet-18 on 64 images of 28 x 28 takes 2.5 s and 2.1 s. Matrix products stay where they
    are. And it saves memory (`saving_options`), which takes no time where convolutions fill all cores. Nothing is said to
    other versions, where the names may be unknown and the facts others.
    """
    kept = ("LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT", "LIBRARY_FUSION_TYPE_REDUCE")
    saving = saving_options()
    return {"xla_cpu_experimental_ynn_fusion_type": ",".join(kept), **saving} if saving else {}


def saving_options() -> dict[str, str]:
    """Return what the compiler should be told of programs that are to save memory, by remat or by parts of a batch.

    On a CPU jaxlib 0.10 orders operations so that many can run at once, however much they keep, and takes the barriers of
    `jax.checkpoint` away before it merges equal expressions, which undoes remat. Both are turned off.
    """
    if jax.default_backend() != "cpu" or jax.lib.__version__.split(".")[:2] != ["0", "10"]:
        return {}
    return {
        "xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED",
        "xla_disable_hlo_passes": "cse_barrier_expander",
    }


def convolve_depthwise(
    x: Float[Array, "batch *space channels"], kernel: Float[Array, "*size 1 channels"]
) -> Float[Array, "batch *space channels"]:
    """Cross-correlate every channel with its own kernel of odd sizes, zero-padded by (size - 1) / 2 on both sides.

    On a CPU it is written as a sum of shifted products: the compiler's grouped convolution (jax 0.10.2) takes 114 ms for
    64 x 14 x 14 x 96 values and a 7 x 7 kernel, the sum 7 ms. The mathematics is the same, to rounding.
    """
    if jax.default_backend() != "cpu":
        return _convolve(x, kernel, (1,) * (x.ndim - 2), groups=x.shape[-1])
    if x.ndim == 4:
        return _depthwise(x, kernel)
    # The taps of the first axis are a loop around planes: 343 products written out take minutes to compile.
    half, depth = (kernel.shape[0] - 1) // 2, x.shape[1]
    padded = jnp.pad(x, [(0, 0), (half, half), (0, 0), (0, 0), (0, 0)])

    def add(total: Float[Array, "..."], tap: tuple) -> tuple:
        first, plane = tap
        part = jax.lax.dynamic_slice_in_dim(padded, first, depth, axis=1)
        return total + _depthwise(part.reshape(-1, *x.shape[2:]), plane).reshape(x.shape), None

    return jax.lax.scan(add, jnp.zeros_like(x), (jnp.arange(kernel.shape[0]), kernel))[0]


@jax.custom_jvp
def _depthwise(x: Float[Array, "..."], kernel: Float[Array, "..."]) -> Float[Array, "..."]:
    """A depthwise convolution of planes (batch, H, W, channels) as a sum of shifted products, which fuse to one loop."""
    padded = jnp.pad(x, [(0, 0), *[((size - 1) // 2,) * 2 for size in kernel.shape[:2]], (0, 0)])
    height, width = x.shape[1:3]
    products = [
        padded[:, i : i + height, j : j + width] * kernel[i, j].reshape(1, 1, 1, -1)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    ]
    return functools.reduce(jnp.add, products)


@_depthwise.defjvp
def _depthwise_jvp(primals: tuple, tangents: tuple) -> tuple:
    """As for the dense convolution: the kernel's part is written so that its transpose is cheap."""
    x, kernel = primals
    x_dot, kernel_dot = tangents
    return _depthwise(x, kernel), _depthwise(x_dot, kernel) + _depthwise_by_bands(x, kernel_dot)


def _depthwise_by_bands(x: Float[Array, "..."], kernel: Float[Array, "..."]) -> Float[Array, "..."]:
    """The same convolution as products with banded matrices, one for each channel and row of the kernel.

    Transposed, a product of rows by columns gives all taps along the last axis at once; written as shifts, the gradient
    to the kernel would be one slow sum over the batch for each tap.
    """
    height, width = x.shape[1:3]
    taps, last = kernel.shape[0], kernel.shape[1]
    padded = jnp.pad(x, [(0, 0), *[((size - 1) // 2,) * 2 for size in kernel.shape[:2]], (0, 0)])
    rows = jnp.moveaxis(padded, -1, 0)  # (channels, batch, H, W)
    diagonals = jnp.stack([jnp.eye(width + last - 1, width, -j, x.dtype) for j in range(last)])
    bands = jnp.einsum("ijc,jab->icab", kernel.reshape(taps, last, -1), diagonals)
    parts = [
        jnp.einsum("cna,cab->cnb", rows[:, :, i : i + height].reshape(rows.shape[0], -1, rows.shape[-1]), bands[i])
        for i in range(taps)
    ]
    total = functools.reduce(jnp.add, parts).reshape(rows.shape[0], x.shape[0], height, width)
    return jnp.moveaxis(total, 0, -1)


def _each(value: int | tuple[int, ...], count: int) -> tuple[int, ...]:
    """One number for each axis of space, from one for all or from one each."""
    return (value,) * count if isinstance(value, int) else tuple(value)


@functools.partial(jax.checkpoint, static_argnums=2)
def _convolve_by_planes(
    x: Float[Array, "..."], kernel: Float[Array, "..."], strides: tuple[int, ...]
) -> Float[Array, "..."]:
    """A convolution of volumes as a sum of convolutions of planes, one for each tap of the first axis.

    The backward pass pads and cuts the input again: kept, the planes of every tap would be four times the input.
    """
    taps, stride = kernel.shape[0], strides[0]
    half, depth = (taps - 1) // 2, (x.shape[1] - 1) // stride + 1
    padded = jnp.pad(x, [(0, 0), (half, half), (0, 0), (0, 0), (0, 0)])
    parts = []
    for tap in range(taps):
        planes = padded[:, tap : tap + (depth - 1) * stride + 1 : stride]
        part = convolve(planes.reshape(-1, *x.shape[2:]), kernel[tap], strides[1:])
        parts.append(part.reshape(x.shape[0], depth, *part.shape[1:]))
    # Without the barrier the compiler fuses the sum into everything that reads it, and keeps all parts for that.
    return jax.lax.optimization_barrier(functools.reduce(jnp.add, parts))


def _convolve(
    x: Float[Array, "..."], kernel: Float[Array, "..."], strides: tuple[int, ...], groups: int = 1
) -> Float[Array, "..."]:
    """The compiler's own convolution."""
    space = "DHW"[-(x.ndim - 2) :]
    layout = (f"N{space}C", f"{space}IO", f"N{space}C")
    padding = [((size - 1) // 2,) * 2 for size in kernel.shape[:-2]]
    return jax.lax.conv_general_dilated(
        x, kernel, strides, padding, dimension_numbers=layout, feature_group_count=groups
    )


def _convolve_columns(
    x: Float[Array, "..."], kernel: Float[Array, "..."], strides: tuple[int, ...]
) -> Float[Array, "..."]:
    """A convolution of planes as one product: what lies under each tap, side by side, by the kernel's rows."""
    *sizes, channels, features = kernel.shape
    out = [(side - 1) // step + 1 for side, step in zip(x.shape[1:3], strides, strict=True)]
    padded = jnp.pad(x, [(0, 0), *[((size - 1) // 2,) * 2 for size in sizes], (0, 0)])
    rows, cols = ([slice(i, i + (n - 1) * step + 1, step) for i in range(size)]
                  for n, step, size in zip(out, strides, sizes, strict=True))  # fmt: skip
    columns = jnp.concatenate([padded[:, row, col] for row in rows for col in cols], axis=-1)
    flat = jnp.dot(columns.reshape(-1, math.prod(sizes) * channels), kernel.reshape(-1, features))
    return flat.reshape(x.shape[0], *out, features)
