"""A patch of ONE case on the device, at a random place or around foreground; its key makes it a pure function of
(seed, step, case), as that of every augmentation.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Integer, Key

from medjax.augment.grids import coin, grids
from medjax.errors import InputError
from medjax.segmentation_losses import UNKNOWN


def random_patch(
    key: Key[Array, ""], case: dict, *, shape: tuple[int, ...], foreground: float | int, classes: int
) -> dict:
    """Cut a patch out of the canvas on which a case lies, wholly inside the case along each axis that is long enough.

    Where the case is shorter than the patch it stands in the patch's middle. With probability `foreground` the patch is
    centred, as far as the border allows, on a random voxel of a random class among those that the case has (Isensee et
    al. 2021, doi:10.1038/s41592-020-01008-z: a third of the patches); otherwise all places are equally likely.

    Args:
        key: the random key of this case.
        case: `image` (H, W, C) or `volume` (D, H, W, C) with a `segmentation` on its grid, 255 around the case.
        shape: of the patch, one number an axis, at most the canvas.
        foreground: a share from 0 to 1.
        classes: how many there are, the background among them.

    Raises:
        InputError: no segmentation, or the patch has another rank than the grid or is larger.
    """
    result = dict(case)
    for names, space in grids(case):
        if "segmentation" not in names:
            raise InputError("random_patch needs a segmentation on the grid, which says where the foreground is")
        if len(shape) != len(space) or any(want > has for want, has in zip(shape, space, strict=True)):
            raise InputError(f"task.patch {shape} does not fit the grid {space}: give one number an axis, none larger")
        labels = case["segmentation"]
        toss, which, pick, place = jax.random.split(key, 4)
        centre, found = _foreground(which, pick, labels, classes)
        around = coin(toss, foreground) & found
        for axis, (want, has) in enumerate(zip(shape, space, strict=True)):
            inside = (labels != UNKNOWN).any(axis=tuple(other for other in range(len(space)) if other != axis))
            low, high = jnp.argmax(inside), has - jnp.argmax(inside[::-1])  # the case lies in [low, high)
            lack = want - (high - low)
            first = jnp.where(lack > 0, low - lack // 2, low)
            last = jnp.where(lack > 0, first, high - want)
            drawn = jax.random.randint(jax.random.fold_in(place, axis), (), first, last + 1)
            start = jnp.where(around, jnp.clip(centre[axis] - want // 2, first, last), drawn)
            start = jnp.clip(start, 0, has - want)
            for name in names:
                result[name] = jax.lax.dynamic_slice_in_dim(result[name], start, want, axis=axis)
    return result


def _foreground(
    which: Key[Array, ""], pick: Key[Array, ""], labels: Integer[Array, "*space"], classes: int
) -> tuple[Int[Array, " axes"], Bool[Array, ""]]:
    """A random voxel of a random class among those that are there, and whether there is any."""
    flat = labels.reshape(-1)
    numbers = jnp.arange(1, classes)
    there = (flat[:, None] == numbers[None, :].astype(flat.dtype)).any(axis=0)
    weights = jnp.where(there, 0.0, -jnp.inf)
    number = numbers[jax.random.categorical(which, jnp.where(there.any(), weights, 0.0))]
    total = jnp.cumsum(flat == number.astype(flat.dtype))
    # The n-th voxel of the class, n evenly drawn: where the running count first exceeds n.
    wanted = jnp.floor(jax.random.uniform(pick) * total[-1]).astype(total.dtype)
    voxel = jnp.searchsorted(total, wanted, side="right")
    return jnp.stack(jnp.unravel_index(jnp.minimum(voxel, flat.size - 1), labels.shape)), there.any()
