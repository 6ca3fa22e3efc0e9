"""Run a tuple of augmentations on one case, or on a batch inside the compiled step."""

import functools
from collections.abc import Callable, Sequence

import jax
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
    for place, function in enumerate(functions):
        case = function(named(jax.random.fold_in(key, place), _name(function)), case)
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
    key = jax.random.fold_in(key, step)

    def one(index: Int[Array, ""], case: dict) -> dict:
        case = apply(functions, jax.random.fold_in(key, index), case)
        return {name: case[name] for name in case if name in _MOVED}

    return {**batch, **jax.vmap(one)(index, {name: batch[name] for name in batch if name in _READ})}


def _name(function: Callable) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return function.__name__
