"""What is known before the first step, for the first screen, `--dry-run` and `record.json`."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import config
from medjax.data.dataset import Dataset
from medjax.job import Job
from medjax.memory import planned
from medjax.report.screen import parameter_table, size
from medjax.report.unseen import unseen
from medjax.training.replicate import Replicate


def first_screen(job: Job, workdir: Path | str) -> str:
    """Return the first screen: data, splits, model, devices; a line each."""
    experiment, audit, mesh = job.experiment, job.audit, job.programs.mesh
    patients = f"{audit.patients} patients" if audit.patients_known else "patients unknown, taken as independent"
    parameters = sum(leaf.size for leaf in jax.tree.leaves(job.programs.parameters))
    count, waves = len(job.replicates), len(job.programs.waves)
    parts = f" x fsdp {mesh.shape['fsdp']}" if mesh.shape["fsdp"] > 1 else ""
    lines = [
        f"medjax {metadata.version('medjax')}: {experiment.name} -> {workdir}",
        f"  data      {job.dataset.name} {job.dataset.version}: {audit.cases} cases, {patients}{left_out(job.dataset)}",
        *(f"  note      {note}" for note in unseen(job)),
        f"  splits    {splits(job)}",
        f"  audit     {audited(job)}",
        f"  target    {target(job)}",
        f"  model     {type(experiment.model).__name__}, {parameters:,} parameters; {models(job.replicates)}"
        + (f", in {waves} waves" if waves > 1 else ""),
        f"  training  {job.total} steps of {job.batch} cases" + (f" each for {count} models" if count > 1 else ""),
        f"  devices   {mesh.size} x {mesh.devices.flat[0].device_kind}: replicate {mesh.shape['replicate']} x data "
        f"{mesh.shape['data']}{parts}; data {'resident' if job.arrays is not None else 'streamed'}",
    ]
    return "\n".join(lines)


def left_out(dataset: Dataset) -> str:
    """Return what a person should know of one's own data: synthetic or not, cases that could not be used, notes."""
    text = "; SYNTHETIC" if dataset.synthetic else ""
    if dataset.skipped:
        where, what = dataset.skipped[0]
        more = f", and {len(dataset.skipped) - 1} more" if len(dataset.skipped) > 1 else ""
        text += f"\n  left out  {where}: {what}{more} (record.json lists them)"
    return text + "".join(f"\n  note      {note}" for note in dataset.notes)


def dry_run(job: Job, workdir: Path | str) -> str:
    """Return the resolved experiment, the parameter table, the first screen and the memory that a step needs."""
    parts = [
        config.dumps(job.experiment),
        parameter_table(job.programs.parameters),
        first_screen(job, workdir),
        f"  memory    {memory(job)}",
        "nothing was trained (--dry-run)",
    ]
    return "\n\n".join(parts[:3]) + "\n" + "\n".join(parts[3:])


def splits(job: Job) -> str:
    """Return the number of cases in each split or fold."""
    names, counts = np.unique(job.partition.assignment.astype(str), return_counts=True)
    known = ["train", "validation", "test"]
    rows = sorted(
        zip(names, counts, strict=True), key=lambda row: (known.index(row[0]) if row[0] in known else 9, row[0])
    )
    if job.partition.left_out:
        counts = np.bincount(job.partition.assignment.astype(np.int64), minlength=len(job.partition.left_out))
        shown = [f"{name} {count}" for name, count in zip(job.partition.left_out, counts, strict=True)]
        more = f" and {len(shown) - 20} more" if len(shown) > 20 else ""
        return f"{len(shown)} folds, each leaves one out: {', '.join(shown[:20])}{more} cases"
    if job.partition.folds:
        text = f"{len(rows)} folds by patient of {', '.join(str(count) for _, count in rows)} cases"
        held = len(job.partition.parts[0].validation)
        return text + (f"; {held} training cases of the first fold held back for choices" if held else "")
    sealed = {"test": " (sealed)"}
    return ", ".join(f"{name} {count}{sealed.get(str(name), '')}" for name, count in rows)


def audited(job: Job) -> str:
    """Return what the leak audit found, in one line."""
    audit = job.audit
    patients = "no patient in two splits" if audit.patients_known else "each case is taken as its own patient"
    if not audit.duplicate_groups:
        text = f"{patients}; no identical cases"
    else:
        groups = "group" if audit.duplicate_groups == 1 else "groups"
        across = ", ".join(f"{count} across {pair}" for pair, count in audit.across.items()) or "none across splits"
        text = (
            f"{patients}; {audit.duplicate_cases} cases in {audit.duplicate_groups} {groups} of identical "
            f"inputs ({across})"
        )
    return text + (f"; {len(audit.conflicting)} with conflicting targets" if audit.conflicting else "")


def patches(job: Job) -> str:
    """Return what a model that segments sees at once, and the canvas that every case lies on."""
    task: Any = job.experiment.task
    canvas = job.shapes[task.target].shape
    shown = " x ".join(str(side) for side in task.patch or canvas)
    return f"patches of {shown} out of {' x '.join(map(str, canvas))}" if task.patch else f"the whole canvas of {shown}"


def target(job: Job) -> str:
    """Return the classes with their counts among the cases that training may see, or the range of the values."""
    task = job.experiment.task
    if task.kind == "value":
        known = job.targets[~np.isnan(job.targets)]
        unit = f" {task.unit}" if getattr(task, "unit", "") else ""
        return f"{task.target}: {known.min():.4g} to {known.max():.4g}{unit}, {len(known)} known"
    if task.kind == "segmentation":
        have = (job.targets > 0).sum(0)
        names = [f"{name} in {count}" for name, count in zip(task.classes[1:], have[1:], strict=True)]
        return f"{', '.join(names)} of {len(job.targets)} cases; {patches(job)}"
    if task.kind == "survival":
        time, event = job.targets[:, 0], job.targets[:, 1]
        unit = f" {task.unit}" if task.unit else ""
        known = np.isfinite(time) & np.isfinite(event)
        counts = ", ".join(
            f"{int((event == k).sum())} with {name}" for k, name in enumerate(task.causes or ("the event",), start=1)
        )
        return f"time to the event: {counts}, {int((event == 0).sum())} censored, up to {time[known].max():g}{unit}"
    if task.kind == "labels":
        unknown = int(np.isnan(job.targets).sum())
        counts = (job.targets == 1).sum(0)
    else:
        unknown, counts = 0, np.bincount(job.targets, minlength=len(task.classes))
    sealed = " (without the sealed test cases)" if len(job.partition.test) else ""
    names = [
        f"{name} {count}" + (" [positive]" if name == task.positive else "")
        for name, count in zip(task.classes, counts, strict=True)
    ]
    return ", ".join(names) + (f"; {unknown} answers unknown" if unknown else "") + sealed


def models(replicates: list[Replicate]) -> str:
    """Return how many models are trained."""
    seeds, folds = {m.seed_number for m in replicates}, {m.fold for m in replicates}
    if folds == {-1}:
        return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    return f"{len(replicates)} replicates ({len(seeds)} seeds, {len(folds)} folds)"


def memory(job: Job) -> str:
    """Return the memory that the compiled training step needs on a device, as the compiler states it."""
    need = planned(job)
    if need is None:
        return "the compiler of this platform gives no estimate"
    return (
        f"{size(need.total)} a device by the compiler's estimate: {size(need.kept)} state and data, {size(need.work)} while "
        "a step runs"
    )


def environment() -> dict[str, Any]:
    """Return versions, devices and the commit of the working folder, for the record."""
    packages = ("medjax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy", "scikit-learn")
    devices = jax.devices()
    return {
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}},
        "devices": {"count": len(devices), "kind": devices[0].device_kind, "platform": devices[0].platform},
        "commit": _commit(),
    }


def _commit() -> str | None:
    """Return the commit of the package's checkout, with "+" where files differ from it; None outside of one."""
    here = Path(__file__).parent
    try:
        run = ["git", "-C", str(here)]
        commit = subprocess.run([*run, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
        changed = subprocess.run([*run, "status", "--porcelain"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return commit.stdout.strip() + ("+" if changed.stdout.strip() else "")
