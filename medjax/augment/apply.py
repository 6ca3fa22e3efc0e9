"""Run a tuple of augmentations on one case, or on a batch inside the compiled step."""

from collections.abc import Callable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

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
    for place in range(len(functions)):
        case = _one(functions, place, key, case)
    return case


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
    for place in range(len(functions)):
        moved = _apart(jax.vmap(partial(_one, functions, place)), step, keys, moved)
    return {**batch, **{name: moved[name] for name in moved if name in _MOVED}}


def _one(functions: Sequence[Callable], place: int, key: Key[Array, ""], case: dict) -> dict:
    return functions[place](named(jax.random.fold_in(key, place), _name(functions[place])), case)


def _apart(function: Callable, step: int | Int[Array, ""], keys: Key[Array, " batch"], batch: dict) -> dict:
    """Run a function as a program of its own: its pictures are made once, before the next function reads them.

    Left alone the compiler fuses functions, and makes a flipped voxel anew for each of the eight corners that a
    resampling reads (1.7 times the time of a chain on a volume, on a CPU). There `optimization_barrier` is dropped
    before fusion; a choice that depends on the step is not. No step is negative.
    """
    if jax.default_backend() != "cpu":
        return jax.lax.optimization_barrier(function(keys, batch))

    def nothing(keys: Key[Array, " batch"], batch: dict) -> dict:
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, keys, batch))

    return jax.lax.cond(jnp.asarray(step) < 0, nothing, function, keys, batch)


def _name(function: Callable) -> str:
    while isinstance(function, partial):
        function = function.func
    return function.__name__
