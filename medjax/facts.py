"""What a run writes down about itself: `record.json`, and the head of its tables."""

import dataclasses
import datetime
import resource
import shlex
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import folder
from medjax.data.dataset import fingerprint
from medjax.data.split import split_fingerprint
from medjax.errors import InputError
from medjax.experiment import Experiment
from medjax.job import Job
from medjax.report import opening


def begin(work: Job, workdir: Path, grid: dict[str, list[str]] | None = None) -> dict[str, Any]:
    """Claim the folder and return the record: a new one, or that of the run to continue.

    Args:
        work: what is to be trained.
        workdir: the run folder.
        grid: of a sweep; None: the run is none.

    Raises:
        InputError: the folder holds something else, or its data changed.
    """
    folder.claim(workdir, work.experiment)
    path, data = workdir / folder.RECORD, describe_data(work)
    if path.exists():
        record = folder.read_json(path)
        if record["data"] != data:
            raise InputError(f"{workdir}: the data set changed since this run began; give another --workdir")
        if record.get("grid") != grid:
            held = "a sweep" if "grid" in record else "a run that is no sweep"
            what = "the sweep of another grid" if grid and "grid" in record else held
            raise InputError(f"{workdir} holds {what}; give another --workdir")
        return record
    record = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "started": now(),
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
        **({"grid": grid} if grid else {}),
    }
    folder.write_json(path, record)
    return record


def describe_data(work: Job) -> dict[str, Any]:
    """Return what `record.json` says about the data; two runs with equal entries saw the same cases in the same parts."""

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
        "codes": list(work.dataset.codes),
        "skipped": [list(entry) for entry in work.dataset.skipped],
        "synthetic": work.dataset.synthetic,
        "missing": _missing(work),
        "shapes": {key: [list(x.shape), str(x.dtype)] for key, x in work.shapes.items()},
    }


def _missing(work: Job) -> int:
    """Count the development cases that lack a value in an input; events need not have a number."""
    keys = [key for key in work.experiment.data.inputs if key != "number"]
    if work.arrays is None:
        rows = (work.source[i] for i in range(len(work.source)))
        return sum(any(np.isnan(case[key]).any() for key in keys) for case in rows)
    lacks = np.zeros(len(work.targets), bool)
    for key in keys:
        values = work.arrays[key]
        if np.issubdtype(values.dtype, np.floating):
            lacks |= np.isnan(values).reshape(len(values), -1).any(1)
    return int(lacks.sum())


def about(experiment: Experiment, record: dict[str, Any]) -> dict[str, Any]:
    """Return the facts that stand above a table of results."""
    members, audit = record["replicates"], record["audit"]
    folds = {member["fold"] for member in members if member["fold"] >= 0}
    head: dict[str, Any] = {
        "title": experiment.name + (" (SYNTHETIC data)" if record["data"]["synthetic"] else ""),
        "data": record["data"]["name"] + (" (SYNTHETIC)" if record["data"]["synthetic"] else ""),
        "seeds": len({member["seed_number"] for member in members}),
        "excluded": len(record["data"]["skipped"]),
        "missing": record["data"]["missing"],
        "duplicates": audit["duplicate_cases"],
    }
    if folds:
        head["folds"] = len(folds)
    if experiment.evaluation.trials > 1:
        head["trials"] = experiment.evaluation.trials
    if experiment.task.positive is not None:
        head["positive"] = experiment.task.positive
    if experiment.task.kind == "segmentation":
        head["volume_unit"] = "ml" if "volume" in experiment.data.inputs else "mm2"
    if getattr(experiment.task, "unit", ""):
        head["unit"] = experiment.task.unit
    if not record["data"]["patients_known"]:
        head["patients"] = "patients unknown (taken as independent)"
    return head


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def peak_memory() -> dict[str, int]:
    """Return the peak memory of the process and, where they tell, of the devices, in bytes."""
    peak = {"host": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    for number, device in enumerate(jax.local_devices()):
        if used := (device.memory_stats() or {}).get("peak_bytes_in_use"):
            peak[f"device_{number}"] = int(used)
    return peak
