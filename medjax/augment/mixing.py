"""Cases of a batch mixed with one another: mixup and cutmix, inside the compiled step.

Both are `f(key, batch, inputs, *, settings) -> (batch, other, share)`. The inputs of a row are mixed with those of its
partner's row; `other` is the batch with everything but the inputs from the partner's row, and `share` is the part that
is the row's own. The loss is the task's own loss for both targets, weighted with `share` and `1 - share`: exact for
cross-entropy, which is linear in its target, and at hand for every task, unknown targets included.

A row of weight 0 is padding: it stays as it is, and so does a row whose partner it would be.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from medjax.augment.erasing import box
from medjax.errors import InputError

Batch = dict[str, Any]
Mixed = tuple[Batch, Batch, Float[Array, " batch"]]
_SPACE = {"signal": 1, "image": 2, "volume": 3}  # axes of one case that a box has
_WORDS = ("tokens", "sequence")


def mixup(
    key: Key[Array, ""],
    batch: Batch,
    inputs: Sequence[str],
    *,
    alpha: float | int = 0.2,
    probability: float | int = 1.0,
) -> Mixed:
    """Take weighted means of pairs of cases (Zhang et al. 2018, arXiv:1710.09412).

    Args:
        key: of this step.
        batch: arrays with a leading batch axis, among them `weight` and the inputs (integers become float32).
        inputs: the keys of the model's inputs.
        alpha: the share is drawn from Beta(alpha, alpha), for each case anew; 0 mixes nothing.
        probability: how often a case is mixed at all.

    Returns:
        The batch with mixed inputs, the batch with the partners' targets, weights and all else, and the shares. A
        missing number of a table (NaN) of the partner leaves the row's own.

    Raises:
        InputError: an input of words or letters, or settings out of range.
    """
    partner, share = _pairs(key, batch["weight"], alpha, probability)
    mixed = {name: _mean(_floating(batch, name), partner, share) for name in inputs}
    return {**batch, **mixed}, _of(batch, inputs, partner), share


def cutmix(
    key: Key[Array, ""],
    batch: Batch,
    inputs: Sequence[str],
    *,
    alpha: float | int = 1.0,
    probability: float | int = 1.0,
) -> Mixed:
    """Paste a box of the partner into each case (Yun et al. 2019, arXiv:1905.04899).

    The box has the shape of the picture, the drawn part of its area (of its volume; of a signal's length), and its
    centre anywhere; what the border cuts off is taken into account in the share. `segmentation` is pasted with the
    picture. Inputs without a grid (a table beside an image) are mixed as by `mixup`, with the same share.

    Args:
        key: of this step.
        batch: see `mixup`.
        inputs: see `mixup`.
        alpha: the part that stays is drawn from Beta(alpha, alpha) before the border cuts; 0 mixes nothing.
        probability: how often a case is mixed at all.

    Returns:
        See `mixup`; the pasted segmentation stands in both batches, so that its loss needs no second target.

    Raises:
        InputError: no image, volume or signal among the inputs, and as `mixup`.
    """
    grids = [name for name in inputs if name in _SPACE]
    if not grids:
        raise InputError(f"cutmix needs an image, a volume or a signal among the inputs, not {list(inputs)}; use mixup")
    chance, place = jax.random.split(key)
    partner, share = _pairs(chance, batch["weight"], alpha, probability)
    n = _SPACE[grids[0]]
    for name in grids:
        if _SPACE[name] != n:
            raise InputError(f"cutmix: inputs {grids} have grids of different dimensions; use mixup")
    centre = jax.random.uniform(place, (len(share), n))
    half = ((1 - share) ** (1 / n) / 2)[:, None]

    def masks(space: tuple[int, ...]) -> Bool[Array, "batch *space"]:
        sides = jnp.asarray([space], jnp.float32)
        start = jnp.round(jnp.clip(centre - half, 0, 1) * sides).astype(jnp.int32)
        stop = jnp.round(jnp.clip(centre + half, 0, 1) * sides).astype(jnp.int32)
        return jax.vmap(lambda start, stop: box(space, start, stop - start))(start, stop)

    first = masks(batch[grids[0]].shape[1 : 1 + n])
    share = jnp.where(share == 1, 1, 1 - first.reshape(len(first), -1).mean(1, dtype=jnp.float32))
    pasted = {}
    for name in [*grids, *(["segmentation"] if "segmentation" in batch else [])]:
        array = batch[name]
        inside = masks(array.shape[1 : 1 + n]) & (share < 1).reshape(-1, *(1,) * n)
        inside = inside.reshape(*inside.shape, *(1,) * (array.ndim - inside.ndim))
        pasted[name] = jnp.where(inside, array[partner], array)
    others = {name: _mean(_floating(batch, name), partner, share) for name in inputs if name not in grids}
    return {**batch, **pasted, **others}, {**_of(batch, inputs, partner), **pasted}, share


def _pairs(
    key: Key[Array, ""], weight: Float[Array, " batch"], alpha: float | int, probability: float | int
) -> tuple[Int[Array, " batch"], Float[Array, " batch"]]:
    """Draw for every row its partner and its own share; 1 where either is padding."""
    if not alpha >= 0:
        raise InputError(f"mix: alpha={alpha} must be at least 0")
    if not 0 <= probability <= 1:
        raise InputError(f"mix: probability={probability} must be from 0 to 1")
    count = len(weight)
    order, amount, toss = jax.random.split(key, 3)
    partner = jax.random.permutation(order, count)
    if alpha == 0:
        return partner, jnp.ones(count)
    share = jnp.clip(jax.random.beta(amount, alpha, alpha, (count,), jnp.float32), 0, 1)
    mixes = (weight > 0) & (weight[partner] > 0) & (jax.random.uniform(toss, (count,)) < probability)
    return partner, jnp.where(mixes, share, 1.0)


def _floating(batch: Batch, name: str) -> Float[Array, "batch ..."]:
    if name in _WORDS:
        raise InputError(f"mix: {name} cannot be mixed: words and letters have no means")
    array = batch[name]
    return array if jnp.issubdtype(array.dtype, jnp.floating) else array.astype(jnp.float32)


def _mean(
    array: Float[Array, "batch ..."], partner: Int[Array, " batch"], share: Float[Array, " batch"]
) -> Float[Array, "batch ..."]:
    own = share.reshape(-1, *(1,) * (array.ndim - 1)).astype(array.dtype)
    mixed = own * array + (1 - own) * array[partner]
    return jnp.where((own == 1) | jnp.isnan(mixed), array, mixed)


def _of(batch: Batch, inputs: Sequence[str], partner: Int[Array, " batch"]) -> Batch:
    """The rows of the partners, but for the inputs."""
    return {name: array if name in inputs else array[partner] for name, array in batch.items()}
