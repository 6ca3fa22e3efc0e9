"""The story of a run, top-down: train, then judge; later evaluate again, or open the sealed test set."""

import dataclasses
import datetime
import resource
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import folder, job, predict, results
from medjax.data import ledger
from medjax.data.partition import test_source
from medjax.data.source import Source
from medjax.data.split import split_fingerprint
from medjax.errors import InputError
from medjax.evidence.predictions import Predictions
from medjax.experiment import Experiment
from medjax.job import Job, Prepared
from medjax.predictor import Predictor, load
from medjax.report import opening
from medjax.report.screen import Screen
from medjax.results import Plan
from medjax.training import checkpoint, loop
from medjax.training.record import MetricsLog
from medjax.training.replicate import Replicate, put, take
from medjax.training.state import current_variables, final_variables


def train(
    experiment: Experiment, workdir: Path | str, *, data_dir: Path | None = None, screen: Screen | None = None
) -> dict[str, Any]:
    """Train an experiment in a run folder, or continue the unfinished run that lies there; then judge it.

    Args:
        experiment: what to run.
        workdir: the run folder.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        screen: where to report progress; None: standard error.

    Returns:
        The evaluations by split, as in `evaluation/<split>.json`.

    Raises:
        InputError: something a person can mend; what was saved before stays.
        Interrupted: SIGTERM or Ctrl-C; the state is saved, and the same call continues.
    """
    began, screen, workdir = time.monotonic(), screen or Screen(), Path(workdir)
    work = job.build(experiment, data_dir)
    record = _begin(work, workdir)
    if record.get("finished"):
        screen.say(f"{workdir} holds this run, finished; give another --workdir to train it again")
        return evaluations(workdir)
    earlier = record.get("seconds", 0.0)
    screen.say(opening.first_screen(work, workdir))

    state = _fit(work, workdir, record, screen, began)

    model = Predictor(work.experiment, record, final_variables(state), state.fitted)
    choosing = None
    if isinstance(work.experiment.evaluation.threshold, str) and not work.partition.folds:
        choosing = _predict_development(work, model, "validation")
    plan = results.freeze(work.experiment, choosing, record["data"]["fingerprint"], model.digest)
    record |= {"plan": plan.content, "plan_hash": plan.hash}
    folder.write_json(workdir / folder.RECORD, record)
    for split in _open_splits(work):
        _judge_development(work, model, plan, split, workdir)
    if work.experiment.evaluation.test:
        _judge_test(work, model, plan, workdir, None)
    record |= {"finished": _now(), "seconds": round(earlier + time.monotonic() - began, 1), "memory": _peak_memory()}
    folder.write_json(workdir / folder.RECORD, record)
    return evaluations(workdir)


def evaluate(
    run: Path | str,
    split: str | None = None,
    *,
    data_dir: Path | None = None,
    config_file: Path | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Evaluate a finished run on one of its own splits.

    Args:
        run: the run folder.
        split: "validation", "out_of_fold" or "test"; "test" opens the sealed test set and writes that down first.
            None: the first that the run has.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        config_file: the configuration file, where it defines its own classes or functions.
        command: what to write into the ledger; None: this process's command line.

    Returns:
        The evaluation, as written to `evaluation/<split>.json`.
    """
    run, model = Path(run), load(run, config_file)
    work = job.build(model.experiment, data_dir)
    if describe_data(work) != model.record["data"]:
        raise InputError(f"{run}: the data set or its splits are not the ones that this run was trained on")
    known = [*_open_splits(work), *(["test"] if len(work.partition.test) else [])]
    split = split or known[0]
    if split not in known:
        raise InputError(f"this run has no split '{split}'; it has {', '.join(known)}")
    plan = Plan(model.record["plan"])
    if split == "test":
        return _judge_test(work, model, plan, run, command)
    return _judge_development(work, model, plan, split, run)


def evaluate_external(run: Path | str, cases: Source, name: str, *, config_file: Path | None = None) -> dict[str, Any]:
    """Evaluate a finished run, under its frozen plan, on cases from elsewhere that carry the target.

    Args:
        run: the run folder.
        cases: the new cases.
        name: of these data, for the files and the table.
        config_file: the configuration file, where it defines its own classes or functions.
    """
    run, model = Path(run), load(run, config_file)
    target = model.experiment.task.target
    listed = [cases[i] for i in range(len(cases))]
    for case in listed:
        if target not in case:
            raise InputError(f"{name}: case '{case.get('id')}' has no '{target}', so there is nothing to compare with")
    predictions = model.predict(listed)
    about = {**_about(model.experiment, model.record), "data": name, "title": f"{model.experiment.name} on {name}"}
    for key in ("missing", "duplicates", "patients", "folds"):
        about.pop(key, None)
    if not np.any(predictions.id != predictions.group):
        about["patients"] = "patients unknown (taken as independent)"
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in Path(name).stem)
    plan = Plan(model.record["plan"])
    return results.judge(model.experiment, plan, predictions, f"external_{safe}", run, about)


def evaluations(run: Path | str) -> dict[str, Any]:
    """Read the evaluations of a run, by split."""
    return {path.stem: folder.read_json(path) for path in sorted((Path(run) / "evaluation").glob("*.json"))}


# ---------------------------------------------------------------------------------------------------------------------
# Training all waves
# ---------------------------------------------------------------------------------------------------------------------


def _begin(work: Job, workdir: Path) -> dict[str, Any]:
    """Claim the folder and return the record: a new one, or that of the run to continue."""
    folder.claim(workdir, work.experiment)
    path, data = workdir / folder.RECORD, describe_data(work)
    if path.exists():
        record = folder.read_json(path)
        if record["data"] != data:
            raise InputError(f"{workdir}: the data set changed since this run began; give another --workdir")
        return record
    record = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": _now(),
        **opening.environment(),
        "seed": work.experiment.seed,
        "replicates": [
            {"number": m.number, "seed_number": m.seed_number, "fold": m.fold, "seed": m.seed} for m in work.replicates
        ],
        "steps": work.total,
        "batch": work.batch,
        "mesh": dict(work.programs.mesh.shape),
        "data": data,
        "audit": dataclasses.asdict(work.audit),
    }
    folder.write_json(path, record)
    return record


def _fit(work: Job, workdir: Path, record: dict[str, Any], screen: Screen, began: float) -> Any:
    """Train every wave from the newest checkpoint, or from the start; returns all replicates' state, on the host."""
    training, programs, total = work.experiment.training, work.programs, work.total
    checkpoints, every = workdir / folder.CHECKPOINTS, total * len(programs.waves)
    whole, done = job.blank_state(work.experiment, work.shapes, total, len(work.replicates)), 0
    if checkpoint.steps(checkpoints):
        done, whole, warnings = checkpoint.restore(checkpoints, whole)
        for warning in warnings:
            screen.say(f"warning: {warning}")
        screen.say(f"continuing from step {done} of {every}")
    feed, writer, log = job.feed(work), checkpoint.Writer(checkpoints), MetricsLog(workdir, done)
    cases = work.batch * len(np.unique(programs.waves[0]))
    saved = time.monotonic()
    # However short the run, a good checkpoint lies behind the last one.
    halfway = total // 2 // training.save_grid * training.save_grid
    try:
        with _signals() as interrupted, screen.progress("training", every, done, cases) as update:
            for number, wave in enumerate(programs.waves):
                offset, models = number * total, [work.replicates[k] for k in wave]
                if done >= offset + total or (done > offset and bool(np.all(whole.stopped[wave]))):
                    continue
                if done > offset:
                    state = take(whole, wave, programs.mesh)
                else:
                    seeds = np.array([model.seed for model in models], np.uint32)
                    state = programs.initialise(seeds, take(work.fitted, wave, programs.mesh))

                def validate(state: Any, step: int, models: Sequence[Replicate] = models) -> Any:
                    return _validate(work, feed, state, step, models)

                def save(state: Any, step: int, wave: np.ndarray = wave, offset: int = offset) -> None:
                    nonlocal whole, saved
                    whole = put(whole, wave, state)
                    writer.save(offset + step, whole)
                    saved = time.monotonic()

                def report(step: int, values: dict[str, float], offset: int = offset) -> None:
                    if "seconds_to_first_step" not in record:
                        record["seconds_to_first_step"] = round(time.monotonic() - began, 2)
                    log.write(offset + step, values)
                    update(offset + step + 1, values)

                hooks = loop.Hooks(
                    validate=validate,
                    due=lambda step: step == halfway or time.monotonic() - saved >= training.save_seconds,
                    save=save,
                    log=report,
                    interrupted=interrupted.is_set,
                )
                state = loop.run(
                    programs,
                    feed,
                    job.training_plan(work, wave),
                    state,
                    [model.label for model in models],
                    start=max(done - offset, 0),
                    total=total,
                    evaluate_every=work.every,
                    log_every=training.log_every,
                    grid=training.save_grid,
                    hooks=hooks,
                )
                save(state, total)
    finally:
        log.close()
        writer.wait()
    return whole


def _validate(work: Job, feed: Any, state: Any, step: int, models: Sequence[Replicate]) -> tuple[Any, dict[str, float]]:
    """Predict each replicate's validation cases with its current variables, and keep the best of each."""
    name, cases = work.experiment.training.select, [model.validation for model in models]
    if name is None or not len(cases[0]):
        return state, {}
    values = predict.predict_wave(
        work.programs, current_variables(state), state.fitted, feed, cases, predict.EVALUATION_BATCH
    )
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
            signal.signal(number, handler)


# ---------------------------------------------------------------------------------------------------------------------
# Judging
# ---------------------------------------------------------------------------------------------------------------------


def _open_splits(work: Job) -> list[str]:
    if work.partition.folds:
        return ["out_of_fold"]
    return ["validation"] if len(work.partition.parts[0].validation) else []


def _predict_development(work: Job, model: Predictor, split: str) -> Predictions:
    cases = [one.held_out if split == "out_of_fold" else one.validation for one in work.replicates]
    values = predict.predict_all(work.programs, model.variables, model.fitted, job.feed(work), cases)
    return (results.out_of_fold if split == "out_of_fold" else results.together)(work, values, cases)


def _judge_development(work: Job, model: Predictor, plan: Plan, split: str, run: Path) -> dict[str, Any]:
    predictions = _predict_development(work, model, split)
    compared = results.reference(work, split, predictions)
    about = _about(work.experiment, model.record)
    return results.judge(work.experiment, plan, predictions, split, run, about, compared)


def _judge_test(work: Job, model: Predictor, plan: Plan, run: Path, command: str | None) -> dict[str, Any]:
    source, opened = open_test(work, model, plan, run, command)
    cases = [source[i] for i in range(len(source))]
    prepared = [work.source.pipeline(case) for case in cases]
    predictions = model.predict(cases)
    compared = results.reference(work, "test", predictions, prepared)
    about = _about(work.experiment, model.record)
    return results.judge(work.experiment, plan, predictions, "test", run, about, compared, opened)


def open_test(
    work: Job, model: Predictor, plan: Plan, run: Path, command: str | None = None
) -> tuple[Source, ledger.Opening]:
    """Open the sealed test set: the opening lies in both ledgers, on disk, before the first case can be read.

    Openings are counted by the content of the test cases, across runs: beside the prepared data lies the second ledger.
    """
    if not len(work.partition.test):
        raise InputError(f"{work.dataset.name} has no test set under data.splits; nothing can be opened")
    rows = work.partition.test
    split = split_fingerprint(np.asarray(work.dataset.index.fingerprint)[rows], np.full(len(rows), "test"))
    opened = ledger.record_opening(
        [run / folder.LEDGER, ledger.ledger_path(split)],
        command=command or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        plan=plan.hash,
        split=split,
        model=model.digest,
    )
    return test_source(work.dataset, work.partition), opened


def describe_data(work: Job) -> dict[str, Any]:
    """Return what `record.json` says about the data; two runs with equal entries saw the same cases in the same parts."""
    from medjax.data.dataset import fingerprint

    index = work.dataset.index
    names, counts = np.unique(work.partition.assignment.astype(str), return_counts=True)
    return {
        "name": work.dataset.name,
        "version": work.dataset.version,
        "fingerprint": fingerprint(work.dataset),
        "split_fingerprint": split_fingerprint(index.id, work.partition.assignment.astype(str)),
        "cases": {str(name): int(count) for name, count in zip(names, counts, strict=True)},
        "patients_known": work.audit.patients_known,
        "columns": list(work.dataset.columns),
        "missing": _missing(work),
        "shapes": {key: [list(x.shape), str(x.dtype)] for key, x in work.shapes.items()},
    }


def _missing(work: Job) -> int:
    """Count the development cases that lack a value in an input."""
    if work.arrays is None:
        rows = (work.source[i] for i in range(len(work.source)))
        return sum(any(np.isnan(case[key]).any() for key in work.experiment.data.inputs) for case in rows)
    lacks = np.zeros(len(work.targets), bool)
    for key in work.experiment.data.inputs:
        values = work.arrays[key]
        if np.issubdtype(values.dtype, np.floating):
            lacks |= np.isnan(values).reshape(len(values), -1).any(1)
    return int(lacks.sum())


def _about(experiment: Experiment, record: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that stand above a table of results."""
    members, audit = record["replicates"], record["audit"]
    folds = {member["fold"] for member in members if member["fold"] >= 0}
    about: dict[str, Any] = {
        "title": experiment.name,
        "data": record["data"]["name"],
        "seeds": len({member["seed_number"] for member in members}),
        "excluded": 0,
        "missing": record["data"]["missing"],
        "duplicates": audit["duplicate_cases"],
    }
    if folds:
        about["folds"] = len(folds)
    if experiment.task.positive is not None:
        about["positive"] = experiment.task.positive
    if not record["data"]["patients_known"]:
        about["patients"] = "patients unknown (taken as independent)"
    return about


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _peak_memory() -> dict[str, int]:
    """Return the peak memory of the process and, where they tell, of the devices, in bytes."""
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    for number, device in enumerate(jax.local_devices()):
        if used := (device.memory_stats() or {}).get("peak_bytes_in_use"):
            peak[f"device_{number}"] = int(used)
    return peak


__all__ = ["Prepared", "evaluate", "evaluate_external", "evaluations", "load", "open_test", "train"]
