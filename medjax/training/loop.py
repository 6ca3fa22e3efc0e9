"""The loop: validate the old state, save it, take the batch, step, write the metrics of the steps before."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from medjax.data.feed import Feed, Plan
from medjax.errors import InputError
from medjax.training import processes
from medjax.training.mesh import rows, to_host
from medjax.training.programs import Programs
from medjax.training.state import TrainState


class Interrupted(Exception):
    """A signal ended the run after its state was saved; the same command continues it."""


@dataclass(frozen=True)
class Hooks:
    """What the loop asks of those who run it; each is called at fixed steps only, so no clock enters the numbers.

    Attributes:
        validate: (state, step) -> (state with the best kept, metrics by name).
        due: step -> whether to save now.
        save: (state, step) -> None.
        log: (step, metrics by name) -> None.
        interrupted: whether a signal asks to stop.
        before: (step, state) -> None, before each step; for a profiler.
    """

    validate: Callable[[TrainState, int], tuple[TrainState, dict[str, float]]]
    due: Callable[[int], bool]
    save: Callable[[TrainState, int], None]
    log: Callable[[int, dict[str, float]], None]
    interrupted: Callable[[], bool]
    before: Callable[[int, TrainState], None] = lambda step, state: None


def run(
    programs: Programs,
    feed: Feed,
    plan: Plan,
    state: TrainState,
    labels: Sequence[str],
    *,
    start: int,
    total: int,
    evaluate_every: int | None,
    log_every: int,
    grid: int,
    hooks: Hooks,
) -> TrainState:
    """Train one wave from step `start` to step `total`.

    Args:
        programs: the compiled functions.
        feed: where batches come from.
        plan: step -> which cases, for the wave's replicates.
        state: the wave's state on the devices; it is donated.
        labels: how to name each replicate of the wave; the clones at its end have none, and do not count.
        start: first step.
        total: the step after the last.
        evaluate_every: steps between validations; None for the end only.
        log_every: steps between two written metrics.
        grid: a save or an interruption falls on a multiple of this many steps.
        hooks: see `Hooks`.

    Raises:
        InputError: a loss or gradient became NaN or infinite (replicate and step are named).
        Interrupted: after saving.
    """
    batches = feed.steps(plan, start, total)
    pending: list[tuple[int, Any]] = []
    # Enough steps in flight to keep a device busy while the host plans a chunk or writes metrics. On several simulated CPU
    # devices even two can lock each other out of the threads that their sums over devices need (XLA aborts the process);
    # replicates sum nothing.
    locking = rows(programs.mesh) > 1 and programs.mesh.devices.flat[0].platform == "cpu"
    in_flight = 0 if locking else 16

    def flush(newest: int) -> None:
        """Fetch the sums of all steps before `newest`; the newest may still run on the device."""
        ready = [item for item in pending if item[0] < newest]
        del pending[: len(ready)]
        if ready:
            values = to_host([sums for _, sums in ready])
            summary = summarise([step for step, _ in ready], values, labels)
            hooks.log(ready[-1][0], summary)

    for step in range(start, total + 1):
        if evaluate_every and step and (step % evaluate_every == 0 or step == total):
            flush(step)
            state, metrics = hooks.validate(state, step)
            hooks.log(step, metrics)
            if bool(np.all(to_host(state.stopped))):
                break
        if step == total:
            break
        if step % grid == 0 and step > start and any(processes.any_of(hooks.interrupted(), hooks.due(step))):
            flush(step)
            hooks.save(state, step)
            if any(processes.any_of(hooks.interrupted())):
                raise Interrupted(f"stopped by a signal at step {step}")
        hooks.before(step, state)
        state, sums = programs.train(state, feed.resident, next(batches))
        pending.append((step, sums))
        if len(pending) > in_flight:
            jax.block_until_ready(pending[-1 - in_flight][1])
        if step == start:
            flush(step + 1)  # waits once, so that the first number, or the first NaN, is seen at once
        elif (step + 1) % log_every == 0:
            flush(step)
    flush(total)
    return state


def summarise(steps: Sequence[int], values: Sequence[dict[str, np.ndarray]], labels: Sequence[str]) -> dict[str, float]:
    """Return mean losses over some steps from sums and counts, for the wave and for each replicate.

    Raises:
        InputError: a value is not finite.
    """
    table = {name: np.stack([np.asarray(row[name], np.float64) for row in values]) for name in values[0]}
    for name, column in table.items():
        bad = np.argwhere(~np.isfinite(column))
        if len(bad):
            row, replicate = bad[0]
            raise InputError(
                f"{name} became {column[row, replicate]} at step {steps[row]} ({labels[replicate]}); training stopped and "
                "the last good checkpoint is kept: lower optimizer.learning_rate, set optimizer.clip, or look at the data"
            )
    count = len(labels)
    losses = table["loss"].sum(0)[:count], np.maximum(table["weight"].sum(0)[:count], 1e-30)
    out = {
        "loss": float(losses[0].sum() / losses[1].sum()),
        "gradient_norm": float(table["gradient_norm"][:, :count].mean()),
    }
    if count > 1:
        out |= {f"loss/{label}": float(a / b) for label, a, b in zip(labels, *losses, strict=True)}
    return out
