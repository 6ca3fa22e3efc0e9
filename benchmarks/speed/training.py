"""medjax's own training step and loop, as the rows of the speed table run them: nothing of them is written anew here."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import job
from medjax.experiment import Experiment
from medjax.report.screen import Silent
from medjax.training import loop, programs
from medjax.training.mesh import spread
from medjax.training.record import MetricsLog
from medjax.training.replicate import take

LONG = 1_000_000  # steps of a training that no row reaches the end of


def built(
    experiment: Experiment,
    arrays: Mapping[str, np.ndarray],
    batch: int,
    replicates: int = 1,
    devices: Sequence[Any] | None = None,
) -> programs.Programs:
    """Return the compiled functions of so many models, for cases of these arrays (cases, ...)."""
    shapes = {key: jax.ShapeDtypeStruct(values.shape[1:], values.dtype) for key, values in arrays.items()}
    return programs.build(experiment, shapes, {}, replicates, LONG, None, batch, devices)


def step(experiment: Experiment, arrays: Mapping[str, np.ndarray], batch: int) -> tuple[Callable[[], None], int]:
    """Return a call that takes one training step on the next cases of a resident set, and the number of parameters."""
    own = built(experiment, arrays, batch)
    resident = jax.device_put(dict(arrays), spread(own.mesh))
    rows = np.arange(len(next(iter(arrays.values()))), dtype=np.int32)
    weight = np.ones((1, batch), np.float32)
    sharding = spread(own.mesh, "replicate", "data")
    state, number = own.initialise(np.zeros(1, np.uint32), {}), 0

    def run() -> None:
        nonlocal state, number
        index = np.take(rows, np.arange(number, number + batch), mode="wrap")[None]
        placed = jax.device_put({"index": index, "weight": weight}, sharding)
        state, _ = own.train(state, resident, placed)
        jax.block_until_ready(state)
        number += batch

    run()
    return run, sum(leaf.size for leaf in jax.tree.leaves(own.parameters))


def start(work: job.Job, wave: np.ndarray) -> Any:
    """Return a fresh state of a wave of a job's replicates."""
    seeds = np.array([work.replicates[k].seed for k in wave], np.uint32)
    return jax.block_until_ready(work.programs.initialise(seeds, take(work.fitted, wave, work.programs.mesh)))


def looped(work: job.Job, feed: Any, wave: np.ndarray, state: Any, first: int, last: int) -> tuple[Any, float]:
    """Run medjax's training loop from step `first` to `last`, metrics written as in a run; return the state and the seconds.

    Opening and closing the file of metrics, once a run, is not in them.
    """
    with tempfile.TemporaryDirectory() as folder, Silent().progress("", last, first, 1) as update:
        log = MetricsLog(Path(folder), 0)

        def report(step: int, values: dict[str, float]) -> None:
            log.write(step, values)
            update(step, values)

        hooks = loop.Hooks(
            validate=lambda state, step: (state, {}),
            due=lambda step: False,
            save=lambda state, step: None,
            log=report,
            interrupted=lambda: False,
        )
        labels = [work.replicates[k].label for k in wave]
        training = work.experiment.training
        begin = time.perf_counter()
        state = loop.run(
            work.programs, feed, job.training_plan(work, wave), state, labels, start=first, total=last,
            evaluate_every=None, log_every=training.log_every, grid=training.save_grid, hooks=hooks,
        )  # fmt: skip
        jax.block_until_ready(state)
        seconds = time.perf_counter() - begin
        log.close()
    return state, seconds
