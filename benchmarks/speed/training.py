"""medjax's own training step and loop, as the rows of the speed table run them: nothing of them is written anew here."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import job
from medjax.data.placement import place
from medjax.experiment import Experiment
from medjax.report.screen import Silent
from medjax.training import loop, programs
from medjax.training.mesh import CASES, spread
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


def perceptron(width: int, batch: int) -> tuple[Experiment, dict[str, np.ndarray]]:
    """Return an experiment with a perceptron of three hidden layers on 32 columns, and the arrays of two batches of noise."""
    import optax

    from medjax.experiment import Data, Optimizer
    from medjax.models import Perceptron
    from medjax.tasks import Classification

    random = np.random.default_rng(0)
    arrays = {
        "table": random.normal(size=(2 * batch, 32)).astype(np.float32),
        "label": random.integers(0, 2, 2 * batch).astype(np.int32),
    }
    found = Experiment(
        name="perceptron",
        data=Data("noise", inputs=("table",)),
        task=Classification(positive="b").resolve(("a", "b")),
        model=Perceptron(hidden=(width,) * 3, outputs=2),
        optimizer=Optimizer(transform=optax.adam),
    )
    return found, arrays


def step(
    experiment: Experiment, arrays: Mapping[str, np.ndarray], batch: int, replicates: int = 1
) -> tuple[Callable[[], None], int]:
    """Return a call that takes one training step on the next cases of a resident set, and the parameters of a replicate.

    All replicates take the same cases; of several processes each calls it, and has its share of the work.
    """
    own = built(experiment, arrays, batch, replicates)
    size = len(own.waves[0])  # filled up to the devices
    resident = place(dict(arrays), spread(own.mesh))
    rows = np.arange(len(next(iter(arrays.values()))), dtype=np.int32)
    weight = np.ones((size, batch), np.float32)
    sharding = spread(own.mesh, "replicate", CASES)
    state, number = own.initialise(np.arange(size, dtype=np.uint32), {}), 0

    def run() -> None:
        nonlocal state, number
        index = np.tile(np.take(rows, np.arange(number, number + batch), mode="wrap"), (size, 1))
        state, _ = own.train(state, resident, place({"index": index, "weight": weight}, sharding))
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
            evaluate_every=None, log_every=training.log_every, hooks=hooks,
        )  # fmt: skip
        jax.block_until_ready(state)
        seconds = time.perf_counter() - begin
        log.close()
    return state, seconds
