"""Training all waves of a run, from the newest checkpoint or from the start, until the end or a signal."""

import dataclasses
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import folder, job, predict
from medjax.data.placement import place
from medjax.errors import InputError
from medjax.job import Job
from medjax.report.screen import Screen
from medjax.tasks import Survival
from medjax.training import checkpoint, loop, processes, speed
from medjax.training.profile import Profiler, top_costs
from medjax.training.record import MetricsLog, NoLog
from medjax.training.replicate import Replicate, put, take
from medjax.training.state import current_variables, final_variables


def fit(work: Job, workdir: Path, record: dict[str, Any], screen: Screen, began: float, profile: bool = False) -> Any:
    """Train every wave from the newest checkpoint, or from the start; returns all replicates' state, on the host.

    Notes in the record how fast it was, and traces some steps where that is asked for.
    """
    training, programs, total = work.experiment.training, work.programs, work.total
    checkpoints, every = workdir / folder.CHECKPOINTS, total * len(programs.waves)
    count, done = len(work.replicates), 0
    whole = jax.tree.map(lambda x: np.zeros((count, *x.shape), x.dtype), programs.state)
    if checkpoint.steps(checkpoints):
        done, whole, warnings = checkpoint.restore(checkpoints, whole)
        for warning in warnings:
            screen.say(f"warning: {warning}")
        screen.say(f"continuing from step {done} of {every}")
    feed, writer = job.feed(work), checkpoint.Writer(checkpoints)
    log = MetricsLog(workdir, done, validated=done % total == 0) if processes.first() else NoLog()
    cases = work.batch * len(np.unique(programs.waves[0]))
    saved, watch, joules = time.monotonic(), speed.Stopwatch(), speed.energy()
    profiler = Profiler(workdir / folder.PROFILE, total) if profile and processes.first() else None
    # However short the run, a good checkpoint lies behind the last one.
    halfway = total // 2 // training.save_grid * training.save_grid
    try:
        with _signals() as interrupted, screen.progress("training", every, done, cases) as update:
            for number, wave in enumerate(programs.waves):
                offset, models = number * total, [work.replicates[k] for k in wave]
                if done >= offset + total:
                    continue
                if done > offset:
                    state = take(whole, wave, programs.mesh)
                else:
                    seeds = np.array([model.seed for model in models], np.uint32)
                    state = programs.initialise(seeds, take(work.fitted, wave, programs.mesh))

                def validate(state: Any, step: int, models: Sequence[Replicate] = models) -> Any:
                    watch.pause()
                    return _validate(work, feed, state, step, models)

                def save(state: Any, step: int, wave: np.ndarray = wave, offset: int = offset) -> None:
                    nonlocal whole, saved
                    watch.pause()
                    whole = put(whole, wave, state)
                    writer.save(offset + step, whole)
                    saved = time.monotonic()

                def report(step: int, values: dict[str, float], offset: int = offset) -> None:
                    if "seconds_to_first_step" not in record:
                        record["seconds_to_first_step"] = round(time.monotonic() - began, 2)
                    if "loss" in values:
                        watch.tick(offset + step)
                    log.write(offset + step, values)
                    update(offset + step + 1, values)

                hooks = loop.Hooks(
                    validate=validate,
                    due=lambda step: (
                        halfway <= step < halfway + programs.spacing
                        or time.monotonic() - saved >= training.save_seconds
                    ),
                    save=save,
                    log=report,
                    interrupted=interrupted.is_set,
                    **({"before": profiler.before} if profiler else {}),
                )
                # Stopped early, and interrupted before the last save: nothing is left to learn.
                if done <= offset or not bool(np.all(whole.stopped[wave])):
                    state = loop.run(
                        programs,
                        feed,
                        job.training_plan(work, wave),
                        state,
                        [work.replicates[k].label for k in np.unique(wave)],
                        start=max(done - offset, 0),
                        total=total,
                        evaluate_every=work.every,
                        log_every=training.log_every,
                        hooks=hooks,
                    )
                save(_complete(work, feed, state, models), total)
    finally:
        log.close()
        writer.wait()
        if profiler:
            profiler.close()
    if profiler and profiler.steps:
        several = loop.takes_several(programs, feed)
        step: Any = programs.train_several if several else programs.train
        program = step.lower(*job.step_arguments(work), *([np.int32(1)] if several else [])).compile().as_text()
        for line in top_costs(profiler.folder, program, profiler.steps):
            screen.say(line)
        screen.say(f"trace: {profiler.folder} (tensorboard --logdir {profiler.folder}, with the profile plugin)")
    if done < every and (seconds := watch.seconds()) is not None:
        used, flops = speed.energy(), speed.operations(programs.train, job.step_arguments(work))
        joules = None if used is None or joules is None or used < joules else round(used - joules, 1)
        dtype = str(getattr(work.experiment.model, "dtype", "float32"))
        devices = list(programs.mesh.devices.flat)
        record["speed"] = speed.summary(seconds, cases, flops, devices, dtype, joules)
    return whole


def _complete(work: Job, feed: Any, state: Any, models: Sequence[Replicate]) -> Any:
    """Fit what needs the final parameters, such as the baseline of Cox's model, on each replicate's training cases."""
    task = work.experiment.task
    if not isinstance(task, Survival) or not task.completes:
        return state
    cases = [model.train for model in models]
    values = predict.predict_wave(
        work.programs, final_variables(state), state.fitted, feed, cases, predict.EVALUATION_BATCH
    )
    found = [task.complete(own, work.targets[model.train]) for model, own in zip(models, values, strict=True)]
    added = jax.tree.map(
        lambda old, *new: place(np.stack(new), old.sharding),
        {key: state.fitted[key] for key in found[0]},
        *found,
    )
    return dataclasses.replace(state, fitted={**state.fitted, **added})


def _validate(work: Job, feed: Any, state: Any, step: int, models: Sequence[Replicate]) -> tuple[Any, dict[str, float]]:
    """Predict each replicate's validation cases with its current variables, and keep the best of each."""
    name, cases = work.experiment.training.select, [model.validation for model in models]
    if name is None or not len(cases[0]):
        return state, {}
    # A batch of grids needs the memory of a training batch, not that of so many rows or thumbnails.
    batch = work.batch if work.experiment.task.kind == "segmentation" else predict.EVALUATION_BATCH
    values = predict.predict_wave(work.programs, current_variables(state), state.fitted, feed, cases, batch)
    scores = []
    for model, own in zip(models, values, strict=True):
        if not np.isfinite(own).all():
            raise InputError(
                f"a validation prediction became NaN or infinite at step {step} ({model.label}); training stopped and "
                "the last good checkpoint is kept: lower optimizer.learning_rate, or set optimizer.clip"
            )
        scores.append(work.experiment.task.score(name, own, work.targets[model.validation]))
    state = work.programs.select(state, np.array(scores, np.float32))
    return state, {f"validation_{name}": float(np.mean(scores))}


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and Ctrl-C into an event that the loop looks at; a second Ctrl-C interrupts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def ask(number: int, frame: Any) -> None:
        if event.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        event.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not Python's own
