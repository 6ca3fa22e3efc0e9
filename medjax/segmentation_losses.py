"""Losses of segmentations, per case: soft Dice, Tversky, cross-entropy, and their sum over coarser levels.

A voxel whose label is `UNKNOWN` (padding, or nobody looked) takes no part. Everything is finite, with finite gradients,
where a case has no foreground, lacks a class, or has no known voxel at all.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Shaped

UNKNOWN = 255
"""The label of voxels that take no part."""


def voxel_cross_entropy(
    logits: Float[Array, "batch *space classes"], labels: Integer[Array, "batch *space"]
) -> Float[Array, " batch"]:
    """Cross-entropy in nats, the mean over the known voxels of each case; 0 where there are none."""
    logits = _at_least_float32(logits)
    known = labels != UNKNOWN
    chosen = jnp.where(known, labels, 0).astype(jnp.int32)
    terms = -jnp.take_along_axis(jax.nn.log_softmax(logits), chosen[..., None], axis=-1)[..., 0]
    space = tuple(range(1, labels.ndim))
    return jnp.where(known, terms, 0.0).sum(space) / jnp.maximum(known.sum(space), 1)


def overlaps(
    logits: Float[Array, "batch *space classes"], labels: Integer[Array, "batch *space"]
) -> tuple[Float[Array, "batch classes"], Float[Array, "batch classes"], Float[Array, "batch classes"]]:
    """Soft counts of voxels, per case and class: true positives, false positives, false negatives.

    The probability of a class counts as that share of a voxel.
    """
    probabilities = jax.nn.softmax(_at_least_float32(logits), axis=-1)
    known = (labels != UNKNOWN)[..., None]
    probabilities = jnp.where(known, probabilities, 0.0)
    truth = jnp.where(known, jax.nn.one_hot(labels, logits.shape[-1], dtype=probabilities.dtype), 0.0)
    space = tuple(range(1, labels.ndim))
    both = (probabilities * truth).sum(space)
    return both, probabilities.sum(space) - both, truth.sum(space) - both


def tversky(
    logits: Float[Array, "batch *space classes"],
    labels: Integer[Array, "batch *space"],
    false_positives: float | int = 0.3,
    false_negatives: float | int = 0.7,
    smooth: float | int = 0.5,
) -> Float[Array, " batch"]:
    """1 - TP / (TP + a FP + b FN), the mean over the foreground classes of each case.

    `smooth` voxels are added above and below, so that a class which is neither there nor predicted costs 0, and one that
    is predicted without being there costs more, the more of it is predicted.

    Source: Salehi, Erdogmus & Gholipour 2017, arXiv:1706.05721, equation 3.

    Args:
        logits: unnormalised log-probabilities; class 0 is the background, which is not counted.
        labels: the class of each voxel, or `UNKNOWN`.
        false_positives: a.
        false_negatives: b; a = b = 1/2 is soft Dice.
        smooth: voxels, above 0.
    """
    both, excess, missed = overlaps(logits, labels)
    index = (both + smooth) / (both + false_positives * excess + false_negatives * missed + smooth)
    return 1 - index[:, 1:].mean(axis=-1)


def soft_dice(
    logits: Float[Array, "batch *space classes"], labels: Integer[Array, "batch *space"], smooth: float | int = 1.0
) -> Float[Array, " batch"]:
    """1 - (2 TP + s) / (2 TP + FP + FN + s), the mean over the foreground classes of each case.

    Source: Milletari, Navab & Ahmadi 2016, arXiv:1606.04797, section 3, with sums instead of sums of squares. `smooth` as
    for `tversky`.
    """
    return tversky(logits, labels, 0.5, 0.5, smooth / 2)


def level_weights(count: int) -> tuple[float, ...]:
    """Return what each level of deep supervision weighs: half of the finer one's, all together 1.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 2.
    """
    total = sum(0.5**level for level in range(count))
    return tuple(0.5**level / total for level in range(count))


def coarser(labels: Shaped[Array, "batch *space"], space: Sequence[int]) -> Shaped[Array, "batch *coarse"]:
    """Read labels on the next coarser grid, where voxel i lies at voxel i times the stride, as a strided convolution's.

    The stride is the ratio of the sizes, rounded up: of 35 voxels a stride of 2 leaves 18.
    """
    for axis, size in enumerate(space, start=1):
        here = labels.shape[axis]
        places = np.minimum(np.arange(size) * -(-here // size), here - 1)
        labels = jnp.take(labels, places, axis=axis)
    return labels


def over_levels(
    loss: Callable, outputs: Array | tuple[Array, ...], labels: Integer[Array, "batch *space"]
) -> Float[Array, " batch"]:
    """Weigh a loss over the levels of deep supervision, finest first; a single output is that loss alone.

    Args:
        loss: (logits, labels) -> per-case loss.
        outputs: logits, or the logits of every level.
        labels: on the finest grid.
    """
    levels = outputs if isinstance(outputs, tuple) else (outputs,)
    parts = []
    for weight, logits in zip(level_weights(len(levels)), levels, strict=True):
        labels = coarser(labels, logits.shape[1:-1])  # from level to level, where the stride is known
        parts.append(weight * loss(logits, labels))
    return jnp.stack(parts).sum(axis=0)


def _at_least_float32(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
