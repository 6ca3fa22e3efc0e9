"""What every augmentation of a case needs: its grids, its settings an axis, and its draws."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from medjax.errors import InputError

SPACE = {"image": 2, "volume": 3}
"""Inputs with a grid, and how many axes of space they have; channels come last."""


def grids(case: dict) -> list[tuple[list[str], tuple[int, ...]]]:
    """The inputs with a grid, each with the segmentation of the same grid behind it, and the grid's shape."""
    found = []
    for name in SPACE:
        if name in case:
            space = case[name].shape[:-1]
            if len(space) != SPACE[name]:
                raise InputError(f"augment: {name} of ONE case has rank {SPACE[name] + 1}, this one {len(space) + 1}")
            moved = "segmentation" in case and case["segmentation"].shape == space
            found.append(([name, "segmentation"] if moved else [name], space))
    if not found:
        raise InputError(f"augment: the case has neither image nor volume, only {sorted(case)}")
    if "segmentation" in case and not any(len(names) == 2 for names, _ in found):
        raise InputError(f"augment: segmentation {case['segmentation'].shape} fits no grid of {[g[1] for g in found]}")
    return found


def change(key: Key[Array, ""], case: dict, function: Callable) -> dict:
    """Give every grid of intensities to `function(key, grid)`; the segmentation and all else stay."""
    result = dict(case)
    for names, _ in grids(case):
        name = names[0]
        if not jnp.issubdtype(case[name].dtype, jnp.floating):
            raise InputError(f"augment: {name} is {case[name].dtype}: put `rescale` into the preprocessing")
        result[name] = function(key, case[name])
    return result


def each(value: float | int | tuple, count: int, name: str) -> tuple:
    """One setting for each axis, from one for all or from one each."""
    values = (value,) * count if isinstance(value, (int, float)) else tuple(value)
    if len(values) != count:
        raise InputError(f"augment: {name}={value} has {len(values)} entries, this grid needs {count} (or one number)")
    return values


def chosen(axes: int | tuple[int, ...] | None, count: int, name: str) -> tuple[int, ...]:
    """The axes of space that a setting names; None means all."""
    if axes is None:
        return tuple(range(count))
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    if not all(0 <= axis < count for axis in axes):
        raise InputError(f"{name}: axes={axes}, but this grid has the axes 0 to {count - 1}")
    return axes


def coin(key: Key[Array, ""], probability: float | int) -> Bool[Array, ""]:
    """True with this probability."""
    return jax.random.uniform(key) < probability


def draw(key: Key[Array, ""], probability: float | int = 1.0) -> Float[Array, ""]:
    """A number spread evenly over -1 to 1, or 0 where the coin says no."""
    toss, amount = jax.random.split(key)
    return jnp.where(coin(toss, probability), jax.random.uniform(amount, (), jnp.float32, -1.0, 1.0), 0.0)


def within(value: float | int, low: float | int, high: float | int, name: str) -> None:
    """Refuse a setting outside of its range."""
    if not low <= value <= high:
        limits = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise InputError(f"augment: {name}={value} must be {limits}")
