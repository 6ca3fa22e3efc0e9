"""Two feeds that give identical batches: resident (the data set lies on the device) and streamed (read meanwhile).

A feed turns a plan, step -> (index, weight) for every replicate, into batches on the devices. Both feeds follow the same
plan, so they agree by construction, and a resume is a start step.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from medjax.data.placement import join_shares, place, read_shares
from medjax.data.source import Source
from medjax.errors import InputError

Arrays = dict[str, np.ndarray]
Plan = Callable[[int, int], tuple[np.ndarray, np.ndarray]]  # (start, stop) -> index, weight: (steps, replicates, batch)
CHUNK = 64  # steps planned at once: spreads the cost of planning without planning far ahead


@dataclass(frozen=True)
class Feed:
    """Where batches come from.

    Attributes:
        resident: arrays over all cases, on the devices; empty where cases are streamed.
        read: case index -> arrays of that case, for streaming; None where they are resident.
        sharding: of a batch (replicate and batch axes).
        threads: reading threads of the streamed feed.
    """

    resident: dict[str, Any]
    read: Callable[[int], Arrays] | None
    sharding: NamedSharding
    threads: int = 4

    def steps(self, plan: Plan, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Yield for each training step what it takes its batch from: see `chunks`."""
        first = start
        for end, chunk in self.chunks(plan, start, stop):
            yield from [chunk] * (end - first)
            first = end

    def chunks(self, plan: Plan, start: int, stop: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (the step after its last, batch) of training steps; where cases are resident, whole chunks of the plan.

        A chunk lies on the devices once for all of its steps: `index` and `weight` (replicates, CHUNK, batch) and the
        `first` step (replicates,), from which the compiled step takes its own row. Moving two small arrays in each step
        costs a small model several per cent of its time.
        """
        if self.read is not None:
            yield from enumerate(self.batches(plan, start, stop), start + 1)
            return
        replicate, *rest = self.sharding.spec
        along = NamedSharding(self.sharding.mesh, PartitionSpec(replicate, None, *rest))
        for first in range(start, stop, CHUNK):
            # Always a full chunk, also beyond the last step: one shape, one compiled program.
            index, weight = (np.moveaxis(rows, 0, 1) for rows in plan(first, first + CHUNK))
            firsts = np.full(len(index), first, np.int32)
            placed = place((index, weight, firsts), (along, along, NamedSharding(along.mesh, PartitionSpec(replicate))))
            chunk = dict(zip(("index", "weight", "first"), placed, strict=True))
            yield min(first + CHUNK, stop), chunk

    def batches(self, plan: Plan, start: int, stop: int) -> Iterator[dict[str, Any]]:
        """Yield the batches of steps `start` to `stop` (exclusive): `index`, `weight` and, streamed, the cases."""
        if self.read is None:
            for first in range(start, stop, CHUNK):
                index, weight = plan(first, min(first + CHUNK, stop))
                for row in zip(index, weight, strict=True):
                    yield dict(zip(("index", "weight"), place(row, self.sharding), strict=True))
            return
        import grain

        read = self.read

        def batch_at(step: int) -> tuple[np.ndarray, np.ndarray, Any]:
            (index,), (weight,) = plan(int(step), int(step) + 1)
            return index, weight, read_shares(index, self.sharding, read)

        options = grain.ReadOptions(num_threads=self.threads, prefetch_buffer_size=2 * self.threads)
        for index, weight, shares in grain.MapDataset.range(start, stop).map(batch_at).to_iter_dataset(options):
            placed = place({"index": index, "weight": weight}, self.sharding)
            yield {**join_shares(shares, index.shape, self.sharding), **placed}


def case_arrays(case: dict[str, Any], keys: tuple[str, ...]) -> Arrays:
    """Return the arrays of one case that go to a device."""
    return {key: np.asarray(case[key]) for key in keys}


def stack(source: Source, keys: tuple[str, ...], where: str) -> Arrays:
    """Read every case of a source once and stack the named keys: (cases, ...).

    Raises:
        InputError: a case lacks a key or has another shape than the first one, by its id.
    """
    rows = []
    for number in range(len(source)):
        case = source[number]
        for key in keys:
            if key not in case:
                raise InputError(f"{where}: case '{case['id']}' has no '{key}'; it has {', '.join(sorted(case))}")
            if rows and np.shape(case[key]) != rows[0][key].shape:
                raise InputError(
                    f"{where}: case '{case['id']}': '{key}' has shape {np.shape(case[key])}, the first case "
                    f"{rows[0][key].shape}; let preprocess end in a fixed shape (resize, centre_crop, pad)"
                )
        rows.append(case_arrays(case, keys))
    if not rows:
        raise InputError(f"{where}: it holds no case")
    return {key: np.stack([row[key] for row in rows]) for key in keys}
