"""From the host to the devices: whole trees, or a batch of which each process reads its own cases only."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

Bounds = tuple[tuple[int, int], ...]  # start and stop along each sharded axis


def place(tree: Any, shardings: Any) -> Any:
    """Put a host tree on the devices; with several processes each holds the whole tree and places its own part.

    Args:
        tree: of NumPy arrays, equal in all processes.
        shardings: one for all leaves, or a tree of them.
    """
    if isinstance(shardings, NamedSharding):
        one = shardings
        shardings = jax.tree.map(lambda _: one, tree)
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)

    def put(leaf: Any, sharding: NamedSharding) -> jax.Array:
        leaf = np.asarray(leaf)
        return jax.make_array_from_callback(leaf.shape, sharding, lambda index: leaf[index])

    return jax.tree.map(put, tree, shardings)


def read_shares(
    index: np.ndarray, sharding: NamedSharding, read: Callable[[int], dict[str, np.ndarray]]
) -> dict[Bounds, dict[str, np.ndarray]]:
    """Read the cases of a batch that this process's devices hold, by the part of the batch that they fill.

    Args:
        index: which case stands where, (replicates, batch), equal in all processes.
        sharding: of the batch.
        read: case -> its arrays.

    Returns:
        For each part of the batch that lies on a device of this process its cases, stacked.
    """
    parts = {_bounds(where, index.shape) for where in sharding.addressable_devices_indices_map(index.shape).values()}
    shares = {}
    for part in sorted(parts):
        numbers = index[tuple(slice(*ends) for ends in part)]
        cases = [read(int(i)) for i in numbers.reshape(-1)]
        shares[part] = {
            key: np.stack([case[key] for case in cases]).reshape(*numbers.shape, *cases[0][key].shape)
            for key in cases[0]
        }
    return shares


def join_shares(
    shares: dict[Bounds, dict[str, np.ndarray]], shape: tuple[int, ...], sharding: NamedSharding
) -> dict[str, jax.Array]:
    """Make of all processes' shares the arrays of the whole batch, on the devices."""

    def one(key: str, own: tuple[int, ...]) -> jax.Array:
        def part(where: Any) -> np.ndarray:
            return shares[_bounds(where[: len(shape)], shape)][key]

        return jax.make_array_from_callback((*shape, *own), sharding, part)

    first = next(iter(shares.values()))
    return {key: one(key, values.shape[len(shape) :]) for key, values in first.items()}


def _bounds(where: Any, shape: tuple[int, ...]) -> Bounds:
    return tuple(axis.indices(side)[:2] for axis, side in zip(where, shape, strict=True))
