"""Run a tuple of augmentations on one case, or on a batch inside the compiled step."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from medjax.augment.intensity import VOXELWISE
from medjax.keys import named

_MOVED = ("image", "volume", "segmentation")
_READ = (*_MOVED, "spacing")


def apply(functions: Sequence[Callable], key: Key[Array, ""], case: dict) -> dict:
    """Run the functions one after the other, each with its own key from its place and its name.

    Args:
        functions: `functools.partial` of augmentations with settings bound by keyword.
        key: the key of this case at this step.
        case: one case, arrays on the device.
    """
    return _run(functions, range(len(functions)), key, case)


def apply_batch(
    functions: Sequence[Callable],
    key: Key[Array, ""],
    step: int | Int[Array, ""],
    index: Int[Array, " batch"],
    batch: dict,
) -> dict:
    """Augment every case of a batch; the key of a case is `fold_in(fold_in(key, step), index)`.

    So what a case looks like at a step depends on nothing but (key, step, case): not on its place in the batch, its
    neighbours, or the number of devices.

    Args:
        functions: as for `apply`; an empty sequence gives the batch back.
        key: the key of the run (or of the replicate).
        step: the training step.
        index: which case each row is.
        batch: `image`, `volume` and `segmentation` are changed (`spacing` is read); all other keys pass through.
    """
    if not functions:
        return batch
    keys = jax.vmap(lambda number: jax.random.fold_in(jax.random.fold_in(key, step), number))(index)
    moved = {name: batch[name] for name in batch if name in _READ}
    for places in _together(functions):
        moved = _apart(jax.vmap(partial(_run, functions, places)), step, keys, moved)
    return {**batch, **{name: moved[name] for name in moved if name in _MOVED}}


def _run(functions: Sequence[Callable], places: Iterable[int], key: Key[Array, ""], case: dict) -> dict:
    for place in places:
        function = functions[place]
        case = function(named(jax.random.fold_in(key, place), _plain(function).__name__), case)
    return case


def _together(functions: Sequence[Callable]) -> list[list[int]]:
    """Divide a chain where the next function reads other voxels than its own, or one several times."""
    groups: list[list[int]] = []
    for place, function in enumerate(functions):
        if groups and _plain(function) in VOXELWISE:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups


def _apart(function: Callable, step: int | Int[Array, ""], keys: Key[Array, " batch"], batch: dict) -> dict:
    """Run functions as a program of their own: their pictures are made once, before the next function reads them.

    Left alone the compiler fuses functions, and makes a flipped voxel anew for each of the eight corners that a
    resampling reads (1.7 times the time of a chain on a volume, on a CPU). There `optimization_barrier` is dropped
    before fusion; a choice that depends on the step is not. No step is negative.
    """
    if jax.default_backend() != "cpu":
        return jax.lax.optimization_barrier(function(keys, batch))

    def nothing(keys: Key[Array, " batch"], batch: dict) -> dict:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, keys, batch))

    return jax.lax.cond(jnp.asarray(step) < 0, nothing, function, keys, batch)


def _plain(function: Callable) -> Callable:
    while isinstance(function, partial):
        function = function.func
    return function
