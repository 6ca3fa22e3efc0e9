"""The loop: validate the old state, save it, take the batch, step, write the metrics of the steps before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Num

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
        before: (step, state) -> None, before each call, which may take several steps; for a profiler.
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
        hooks: see `Hooks`.

    Raises:
        InputError: a loss or gradient became NaN or infinite (replicate and step are named).
        Interrupted: after saving.
    """
    chunks, held, chunk = feed.chunks(plan, start, total), start, {}
    several = takes_several(programs, feed)
    pending: list[tuple[list[int], Any]] = []
    # Enough calls in flight to keep a device busy while the host plans a chunk or writes metrics. On several simulated CPU
    # devices even two can lock each other out of the threads that their sums over devices need (XLA aborts the process);
    # replicates sum nothing.
    locking = rows(programs.mesh) > 1 and programs.mesh.devices.flat[0].platform == "cpu"
    in_flight = 0 if locking else 2 if several else 16

    def flush(newest: int) -> None:
        """Fetch the sums of all calls that ended before step `newest`; the newest may still run on the device."""
        ready = [item for item in pending if item[0][-1] < newest]
        del pending[: len(ready)]
        if ready:
            found = to_host([sums for _, sums in ready])
            kept = [slice(len(steps)) if several else None for steps, _ in ready]
            parts = [{name: sums[name][rows] for name in sums} for sums, rows in zip(found, kept, strict=True)]
            numbers = [step for steps, _ in ready for step in steps]
            hooks.log(
                numbers[-1],
                summarise(numbers, {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}, labels),
            )

    step = start
    while True:
        if evaluate_every and step and (step % evaluate_every == 0 or step == total):
            flush(step)
            state, metrics = hooks.validate(state, step)
            hooks.log(step, metrics)
            if bool(np.all(to_host(state.stopped))):
                break
        if step == total:
            break
        if (
            step % programs.spacing == 0
            and step > start
            and any(processes.any_of(hooks.interrupted(), hooks.due(step)))
        ):
            flush(step)
            hooks.save(state, step)
            if any(processes.any_of(hooks.interrupted())):
                raise Interrupted(f"stopped by a signal at step {step}")
        hooks.before(step, state)
        if step == held:
            held, chunk = next(chunks)
        if several:
            # The first step stands alone, so that the first number, or the first NaN, is seen at once.
            ends = [(step // every + 1) * every for every in (programs.spacing, evaluate_every or total)]
            ends = [step + 1] if step == start else [held, total, *ends]
            after = min(ends)
            state, sums = programs.train_several(state, feed.resident, chunk, np.int32(after - step))
        else:
            after = step + 1
            state, sums = programs.train(state, feed.resident, chunk)
        pending.append((list(range(step, after)), sums))
        if len(pending) > in_flight:
            jax.block_until_ready(pending[-1 - in_flight][1])
        if step == start:
            flush(after)  # waits once
        elif after // log_every > step // log_every:
            flush(step)
        step = after
    flush(total)
    return state


def takes_several(programs: Programs, feed: Feed) -> bool:
    """Return whether one call takes several steps: of models without convolutions, on cases that lie on the devices.

    In a loop a CPU takes several times as long for the gradients of convolutions (jax issue 12868).
    """
    return not programs.convolutions and feed.read is None


def summarise(
    steps: Sequence[int], sums: Mapping[str, Num[np.ndarray, "steps replicates"]], labels: Sequence[str]
) -> dict[str, float]:
    """Return mean losses over some steps from sums and counts, for the wave and for each replicate.

    Raises:
        InputError: a value is not finite.
    """
    table = {name: np.asarray(column, np.float64) for name, column in sums.items()}
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
