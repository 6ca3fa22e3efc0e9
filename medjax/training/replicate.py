"""Seeds and folds trained side by side: the replicate axis, its waves, and the clones that fill a wave.

Clones never leave this file: `take` adds them, `put` drops them.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Int

from medjax.data.placement import place
from medjax.errors import InputError
from medjax.training.mesh import kept, to_host


@dataclass(frozen=True)
class Replicate:
    """One model of a run.

    Attributes:
        number: its position, seed-major (seed * folds + fold).
        seed_number: which seed.
        fold: which fold is held out; -1 without cross-validation.
        seed: the number from which its initialisation, order and random keys derive.
        train: the cases it learns from, as indices into the development source.
        validation: the cases on which something may be chosen (parameters, threshold); may be empty.
        held_out: the cases of its fold; empty without cross-validation.
        trial: which trial of a sweep it belongs to; -1 without one.
    """

    number: int
    seed_number: int
    fold: int
    seed: int
    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    held_out: Int[np.ndarray, " held_out"]
    trial: int = -1

    @property
    def label(self) -> str:
        """How messages name it."""
        trial = f"trial_{self.trial}_" if self.trial >= 0 else ""
        return f"{trial}seed_{self.seed_number}" + (f"_fold_{self.fold}" if self.fold >= 0 else "")


def replicate_seed(seed: int, seed_number: int, fold: int) -> int:
    """Return a replicate's own 32-bit seed, a function of (experiment seed, seed number, fold) alone."""
    digest = hashlib.blake2b(f"{seed}/{seed_number}/{fold}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")


def plan(
    seed: int, seeds: int, parts: Sequence[tuple[Any, Any, Any]], folds: bool, only: Sequence[int] = ()
) -> list[Replicate]:
    """Return the replicates: every seed with every part.

    Args:
        seed: the experiment's seed.
        seeds: how many seeds.
        parts: one (train, validation, held_out) a fold; a single one without cross-validation.
        folds: whether the parts are folds.
        only: positions to keep; empty: all.
    """
    every = [
        Replicate(
            number=seed_number * len(parts) + part,
            seed_number=seed_number,
            fold=part if folds else -1,
            seed=replicate_seed(seed, seed_number, part if folds else -1),
            train=np.asarray(train, np.int64),
            validation=np.asarray(validation, np.int64),
            held_out=np.asarray(held_out, np.int64),
        )
        for seed_number in range(seeds)
        for part, (train, validation, held_out) in enumerate(parts)
    ]
    unknown = [number for number in only if not 0 <= number < len(every)]
    if unknown:
        raise InputError(f"replicates.only names {unknown[0]}, but the positions are 0 to {len(every) - 1}")
    return [every[number] for number in only] if only else every


def waves(count: int, together: int, devices: int) -> list[Int[np.ndarray, " wave"]]:
    """Part replicates 0..count-1 into waves of one size, a multiple of `devices`; the rest is filled with clones."""
    size = -(-min(together, count) // devices) * devices
    starts = range(0, count, size)
    return [np.minimum(np.arange(start, start + size), count - 1) for start in starts]


def over_replicates(function: Callable, size: int, axes: tuple[int | None, ...]) -> Callable:
    """Map a function of one replicate over the leading axis of its arguments (None: shared by all).

    A wave of one is not `vmap`-ed but squeezed: a batched convolution over one replicate is slower than a plain one.
    """
    if size > 1:
        return jax.vmap(function, in_axes=axes, spmd_axis_name="replicate")

    @functools.wraps(function)
    def single(*arguments: Any) -> Any:
        squeezed = [
            argument if axis is None else jax.tree.map(lambda x: x[0], argument)
            for argument, axis in zip(arguments, axes, strict=True)
        ]
        return jax.tree.map(lambda x: x[None], function(*squeezed))

    return single


def take(tree: Any, wave: Int[np.ndarray, " wave"], mesh: jax.sharding.Mesh) -> Any:
    """Put the wave's part of a host tree on the devices, clones included."""
    part = jax.tree.map(lambda x: np.asarray(x)[wave], tree)
    return place(part, kept(mesh, part))


def put(tree: Any, wave: Int[np.ndarray, " wave"], part: Any) -> Any:
    """Return a copy of the host tree with the wave's part replaced by what the devices hold, clones dropped."""
    numbers, first = np.unique(wave, return_index=True)

    def write(whole: Any, new: Any) -> np.ndarray:
        whole = np.array(whole)
        whole[numbers] = new[first]
        return whole

    return jax.tree.map(write, tree, to_host(part))


def has_convolutions(function: Callable, *shapes: Any) -> bool:
    """Return whether a function, traced on these shapes, convolves anything."""
    return "conv_general_dilated" in str(jax.make_jaxpr(function)(*shapes))


def default_together(count: int, convolutions: bool, platform: str) -> int:
    """Return how many replicates share a step: all, but one where convolutions meet a CPU (measured: twice the time)."""
    return 1 if convolutions and platform == "cpu" else count
