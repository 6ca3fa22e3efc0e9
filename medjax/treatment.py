"""The story of a treatment choice: predict the judged patients with and without the treatment, and value the rule."""

from pathlib import Path
from typing import Any

import numpy as np

from medjax import facts, folder, job
from medjax.config import nearest
from medjax.data.case import Case
from medjax.data.source import Source, Subset
from medjax.errors import InputError
from medjax.evidence.intervals import patient_codes
from medjax.evidence.predictions import ensemble
from medjax.evidence.treatment import Trial, chances, policy
from medjax.metrics.survival import predicted_restricted_mean
from medjax.predictor import Predictor, load
from medjax.results import Plan
from medjax.run import open_test


def treatment(
    run: Path | str,
    column: str,
    split: str = "validation",
    *,
    until: float | None = None,
    resamples: int = 2000,
    data_dir: Path | None = None,
    config_file: Path | None = None,
    command: str | None = None,
) -> dict[str, Any]:
    """Value the rule "treat whoever this run's models predict to gain from it" on patients who were treated or not.

    Args:
        run: a finished run of a survival task with one event, on tables.
        column: the input that says whether a patient was treated, 1 or 0.
        split: "validation" or "test"; "test" opens the sealed test set and writes that down first.
        until: up to which time the mean time free of the event counts; None: the task's `until`.
        resamples: bootstrap resamples.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        config_file: the configuration file, where it defines its own classes or functions.
        command: what to write into the ledger.

    Returns:
        What `medjax.evidence.treatment.policy` gives, with `about`; also written to `treatment/<split>.json`.

    Raises:
        InputError: another task, no such column, one that is not 0 or 1, one arm only, or no such split.
    """
    run, model = Path(run), load(run, config_file)
    task = model.experiment.task
    if task.kind != "survival" or task.classes or "table" not in model.experiment.data.inputs:
        raise InputError(f"{run}: treatment choice needs a survival run with one event on a table")
    until = task.times[-1] if until is None else float(until)
    if not 0 < until <= task.times[-1]:
        raise InputError(f"--until {until:g} must lie after 0 and not beyond the run's task.until {task.times[-1]:g}")
    columns = list(model.record["data"]["columns"])
    if column not in columns or column in model.experiment.data.exclude:
        raise InputError(f"{run}: the model has no input '{column}'; {nearest(column, columns)}")
    source = _cases(run, model, split, data_dir, command)
    cases = [source[row] for row in range(len(source))]
    place = columns.index(column)
    table = np.stack([case["table"] for case in cases]).astype(np.float64)
    if not np.isin(table[:, place], (0.0, 1.0)).all():
        wrong = cases[int(np.flatnonzero(~np.isin(table[:, place], (0.0, 1.0)))[0])]
        raise InputError(
            f"case '{wrong['id']}': '{column}' is {wrong['table'][place]:g}; a treatment is 1 (given) or 0"
        )
    treated = table[:, place] == 1
    if treated.all() or not treated.any():
        raise InputError(f"'{column}' is the same for all {len(cases)} patients; nothing can be compared")
    patient = patient_codes(np.array([case["group"] for case in cases]))
    others = [k for k, name in enumerate(columns) if k != place and name not in model.experiment.data.exclude]
    spared = np.stack([_spared(model, cases, place, arm, until) for arm in (0.0, 1.0)], axis=-1)
    trial = Trial(
        time=np.array([case["time"] for case in cases], np.float64),
        event=np.array([case["event"] > 0 for case in cases]),
        treated=treated,
        chance=chances(table[:, others], treated, patient),
        spared=spared,
        patient=patient,
        until=until,
    )
    found = policy(trial, resamples=resamples, seed=model.experiment.seed)
    about = facts.about(model.experiment, model.record) | {"split": split, "treatment": column}
    result = {"about": about, **found}
    folder.write_json(run / folder.treatment(split), result)
    return result


def _cases(run: Path, model: Predictor, split: str, data_dir: Path | None, command: str | None) -> Source:
    work = job.build(model.experiment, data_dir)
    if split == "test":
        return open_test(work, model, Plan(model.record["plan"]), run, command)[0]
    rows = work.partition.parts[0].validation
    if split != "validation" or work.partition.folds or not len(rows):
        raise InputError(f"{run}: treatment choice is for the run's validation cases or its test set, not '{split}'")
    return Subset(work.source.source, rows)


def _spared(model: Predictor, cases: list[Case], place: int, arm: float, until: float) -> np.ndarray:
    """The predicted mean time free of the event of every case, had all been treated (or none): the mean over models."""
    asked = []
    for case in cases:
        row = case["table"].copy()
        row[place] = arm
        asked.append({**case, "table": row})
    found = model.predict(asked)
    return predicted_restricted_mean(ensemble(found)[:, 1:], np.asarray(found.times), until)
