"""What every image model checks about itself before it computes."""

from typing import Any

import flax.linen as nn

from medjax.errors import InputError


def check(model: nn.Module, rank: int, **allowed: tuple[Any, ...]) -> None:
    """Refuse settings that would give a silently different model.

    Args:
        model: has the fields `outputs` and `dimensions`.
        rank: of the batch that it is called with.
        allowed: field -> the values that it may have.

    Raises:
        InputError: a field has another value, `outputs` is not set, or the rank does not fit `dimensions`.
    """
    name, settings = type(model).__name__, vars(model)
    for field, values in {"dimensions": (2, 3), **allowed}.items():
        if settings[field] not in values:
            raise InputError(f"{name}.{field} is {settings[field]!r}: use one of {values}")
    if settings["outputs"] < 1:
        raise InputError(
            f"{name}.outputs is {settings['outputs']}: set it to the number of classes or values (1 or more)"
        )
    for field in ("dropout", "stochastic_depth"):
        if not 0 <= settings.get(field, 0) < 1:
            raise InputError(f"{name}.{field} is {settings[field]}: a probability from 0 to below 1")
    if rank != settings["dimensions"] + 2:
        raise InputError(
            f"{name}.dimensions is {settings['dimensions']}, so a batch has rank {settings['dimensions'] + 2}, but this "
            f"one has rank {rank}: images need dimensions=2, volumes dimensions=3"
        )


def text(sizes: tuple[int, ...]) -> str:
    """Return sizes as messages show them: 28 x 28."""
    return " x ".join(map(str, sizes))
