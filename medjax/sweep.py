"""The story of a sweep: every trial of a grid trained beside the others as replicates of one program, one chosen.

Numbers of the optimizer (`SWEPT`) enter the compiled step as values, so trials that differ in nothing else share it. A
grid over anything else (widths, batch sizes, losses) needs other programs: of that, `commands` makes a list.
"""

import dataclasses
import itertools
import re
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import config, facts, folder, job, predict
from medjax.errors import InputError
from medjax.experiment import Experiment
from medjax.fit import fit
from medjax.job import Job
from medjax.report.screen import Screen, Silent
from medjax.training import processes
from medjax.training.optimizer import SWEPT
from medjax.training.state import final_variables

RESULT = "sweep.json"
Grid = Mapping[str, Sequence[Any]]


def parse_grid(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Read grids as they are typed: "optimizer.learning_rate=1e-4,1e-3"; each value is read as `--set` reads it.

    Raises:
        InputError: no `=`, no value, or the same key twice.
    """
    grid: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        words = [word.strip() for word in _parted(values)]
        if not equals or not key or not all(words):
            raise InputError(f"--grid {text}: write it as key.sub=value,value,...")
        if key in grid:
            raise InputError(f"--grid {key} is given twice; list its values once, with commas")
        if len(set(words)) < len(words):
            raise InputError(f"--grid {text}: a value stands there twice")
        grid[key] = words
    if not grid:
        raise InputError("a sweep needs at least one --grid key.sub=value,value,...")
    return grid


def _parted(text: str) -> list[str]:
    """Part a text at its commas, but for those within brackets."""
    words, depth = [""], 0
    for sign in text:
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and depth == 0:
            words.append("")
        else:
            words[-1] += sign
    return words


def is_number(key: str) -> bool:
    """Return whether trials that differ in this key can share one compiled program."""
    return re.fullmatch(SWEPT, key) is not None


def commands(config_file: Path, assignments: Sequence[str], grid: Grid, workdir: Path) -> list[str]:
    """Return one command for each combination of what needs a program of its own; numbers stay a sweep in each.

    Args:
        config_file: the experiment file.
        assignments: the `--set` of the whole sweep.
        grid: key -> values as text.
        workdir: each command gets a folder in it.

    Raises:
        InputError: a key or value that the experiment does not take.
    """
    apart = {key: values for key, values in grid.items() if not is_number(key)}
    inside = [f"{key}={','.join(values)}" for key, values in grid.items() if is_number(key)]
    lines = []
    for number, chosen in enumerate(itertools.product(*apart.values())):
        own = [*assignments, *(f"{key}={value}" for key, value in zip(apart, chosen, strict=True))]
        config.load_experiment(config_file, own)  # a wrong key or value is told now, not by the hundredth job
        words = ["medjax", "sweep"] if inside else ["python", "train.py"]
        words += ["--config", str(config_file), *itertools.chain(*(("--set", one) for one in own))]
        words += [*itertools.chain(*(("--grid", one) for one in inside)), "--workdir", str(workdir / f"{number:03d}")]
        lines.append(shlex.join(words))
    return lines


def sweep(
    experiment: Experiment,
    workdir: Path | str,
    grid: Grid,
    *,
    data_dir: Path | None = None,
    screen: Screen | None = None,
) -> dict[str, Any]:
    """Train every trial of a grid of numbers with every seed and fold, and choose one on the validation cases alone.

    All trials start from the same parameters and see the same batches. A call that was interrupted continues.

    Args:
        experiment: its splits must give validation cases (in cross-validation: `hold_back`); no test set is opened.
        workdir: the run folder.
        grid: key of the optimizer -> values, as text.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        screen: where to report progress; None: standard error.

    Returns:
        The content of `sweep.json`: `metric`, `trials` (settings, mean score, each replicate's score; larger is better),
        best first, and `chosen`, the assignments of the best one. In all but the first of several processes: empty.

    Raises:
        InputError: something a person can mend.
        Interrupted: SIGTERM or Ctrl-C; the state is saved, and the same call continues.
    """
    began, workdir = time.monotonic(), Path(workdir)
    screen = (screen or Screen()) if processes.first() else Silent()
    trials = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    experiment = dataclasses.replace(experiment, evaluation=dataclasses.replace(experiment.evaluation, test=False))
    numbers = [_numbers(experiment, trial) for trial in trials]
    work = job.build(experiment, data_dir)
    metric = _metric(work)
    count = len(work.replicates)
    work = _with_trials(work, numbers)
    with processes.first_then_others("record"):
        record = facts.begin(work, workdir, {key: list(values) for key, values in grid.items()})
    if record.get("finished"):
        screen.say(f"{workdir} holds this sweep, finished; give another --workdir to train it again")
        return folder.read_json(workdir / RESULT)
    waves = len(work.programs.waves)
    screen.say(
        f"{len(trials)} trials x {count} replicates: {len(work.replicates)} models, {work.total} steps each"
        + (f", in {waves} waves of one program" if waves > 1 else ", in one program")
    )
    state = fit(work, workdir, record, screen, began)
    cases = [model.validation for model in work.replicates]
    values = predict.predict_all(work.programs, final_variables(state), state.fitted, job.feed(work), cases)
    if not processes.first():
        return {}
    score = work.experiment.task.score
    scores = [
        score(metric, own, work.targets[model.validation]) for own, model in zip(values, work.replicates, strict=True)
    ]
    result = judged(metric, trials, np.array(scores).reshape(len(trials), count))
    result["about"] = {"name": experiment.name, "replicates": count, "validation_cases": len(cases[0])}
    folder.write_json(workdir / RESULT, result)
    record |= {"finished": facts.now(), "seconds": round(time.monotonic() - began, 1), "memory": facts.peak_memory()}
    folder.write_json(workdir / folder.RECORD, record)
    return result


def judged(metric: str, trials: Sequence[Mapping[str, Any]], scores: np.ndarray) -> dict[str, Any]:
    """Order trials by their mean score over replicates (the first of equals first) and name the assignments of the best.

    Args:
        metric: its name.
        trials: settings of each.
        scores: (trials, replicates), larger is better.
    """
    order = np.argsort(-scores.mean(axis=1), kind="stable")
    listed = [
        {"settings": dict(trials[k]), "score": float(scores[k].mean()), "replicates": scores[k].tolist()} for k in order
    ]
    chosen = [f"{key}={value}" for key, value in trials[order[0]].items()]
    return {"metric": metric, "trials": listed, "chosen": [*chosen, f"evaluation.trials={len(trials)}"]}


def _numbers(experiment: Experiment, trial: Mapping[str, str]) -> dict[str, np.float32]:
    """Return a trial's numbers by key, after the same checks that `--set` makes."""
    for key in trial:
        if not is_number(key):
            raise InputError(f"--grid {key} needs a program for each value; `medjax sweep` lists the commands instead")
    optimizer = config.override(experiment, [f"{key}={value}" for key, value in trial.items()]).optimizer
    found = {}
    for key in trial:
        name = key.removeprefix("optimizer.")
        value = (
            optimizer.transform.keywords[name.removeprefix("transform.")]
            if name.startswith("transform.")
            else getattr(optimizer, name)
        )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InputError(f"--grid {key}: '{trial[key]}' is no number")
        found[name] = np.float32(value)
    return found


def _metric(work: Job) -> str:
    """Return the validation metric by which a trial is chosen."""
    task, evaluation = work.experiment.task, work.experiment.evaluation
    name = work.experiment.training.select or evaluation.primary
    if name not in task.selectable:
        raise InputError(
            f"a sweep chooses by training.select or evaluation.primary, and '{name}' can be neither on validation; known: "
            f"{', '.join(task.selectable)}"
        )
    if not len(work.replicates[0].validation):
        raise InputError(
            "a sweep chooses on validation cases, and data.splits gives none: in cross-validation set "
            "--set data.splits.hold_back=0.2 (the held-out folds choose nothing)"
        )
    return name


def _with_trials(work: Job, numbers: Sequence[dict[str, np.float32]]) -> Job:
    """Return the job with every replicate once for each trial, whose numbers lie beside what is fitted."""
    models = [
        dataclasses.replace(model, number=trial * len(work.replicates) + model.number, trial=trial)
        for trial in range(len(numbers))
        for model in work.replicates
    ]
    repeated = jax.tree.map(lambda x: np.concatenate([x] * len(numbers)), work.fitted)
    each = {key: np.repeat([one[key] for one in numbers], len(work.replicates)) for key in numbers[0]}
    fitted = {**repeated, "sweep": each}
    return job.compiled_for(work, models, fitted)
