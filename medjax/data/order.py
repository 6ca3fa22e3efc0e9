"""Which cases make batch t: a pure function of (seed, step), so that any batch can be made again."""

import functools
import threading

import numpy as np
from jaxtyping import Float, Int

_generators = threading.local()


def _generator(seed: int, epoch: int) -> np.random.Generator:
    """Return `Generator(Philox(key=(seed, epoch)))`: one a thread, keyed anew, which takes an eighth of making one."""
    if not hasattr(_generators, "generator"):
        _generators.generator = np.random.Generator(np.random.Philox(key=0))
        _generators.fresh = _generators.generator.bit_generator.state
    _generators.fresh["state"]["key"] = np.array([seed, epoch], np.uint64)
    _generators.generator.bit_generator.state = _generators.fresh
    return _generators.generator


@functools.lru_cache(maxsize=256)
def permutation(seed: int, epoch: int, count: int) -> Int[np.ndarray, " count"]:
    """Return the order of `count` cases in an epoch; Philox is keyed, so no epoch depends on an earlier one."""
    order = _generator(seed, epoch).permutation(count)
    order.setflags(write=False)
    return order


def positions(seed: int, count: int, batch: int, start: int, stop: int) -> Int[np.ndarray, "steps batch"]:
    """Return which of `count` training cases stand in the batches `start` to `stop` (exclusive).

    Position p = step * batch + i lies in epoch p // count and takes the entry p % count of its permutation: every batch
    is full, and each case appears once an epoch.
    """
    first, stop_position = start * batch, stop * batch
    epochs = range(first // count, -(-stop_position // count))
    # Whole epochs one after the other, then cut at both ends: this runs on the host beside every training step.
    order = np.concatenate([permutation(seed, epoch, count) for epoch in epochs] or [np.zeros(0, np.int64)])
    skipped = first - epochs.start * count
    return order[skipped : skipped + stop_position - first].reshape(stop - start, batch)


def training_batches(
    seed: int, cases: Int[np.ndarray, " cases"], batch: int, start: int, stop: int
) -> tuple[Int[np.ndarray, "steps batch"], Float[np.ndarray, "steps batch"]]:
    """Return the indices and weights of a replicate's training batches.

    Args:
        seed: the replicate's own seed.
        cases: its training cases, as indices into the source.
        batch: the batch size; at least `len(cases)` means the whole set in each step (full-batch gradient descent),
            where positions beyond the set repeat its first case with weight 0.
        start: first step.
        stop: the step after the last.
    """
    if batch >= len(cases):
        index = np.full(batch, cases[0], np.int32)
        index[: len(cases)] = cases
        weight = (np.arange(batch) < len(cases)).astype(np.float32)
        return np.tile(index, (stop - start, 1)), np.tile(weight, (stop - start, 1))
    index = cases[positions(seed, len(cases), batch, start, stop)].astype(np.int32)
    return index, np.ones(index.shape, np.float32)


def evaluation_batches(
    cases: Int[np.ndarray, " cases"], batch: int
) -> tuple[Int[np.ndarray, "steps batch"], Float[np.ndarray, "steps batch"]]:
    """Return every case exactly once, in order; the last batch is filled with weight 0."""
    steps = -(-len(cases) // batch)
    index = np.zeros(steps * batch, np.int32)
    index[: len(cases)] = cases
    weight = (np.arange(steps * batch) < len(cases)).astype(np.float32)
    return index.reshape(steps, batch), weight.reshape(steps, batch)
