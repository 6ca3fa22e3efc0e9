"""What a training step needs of a device's memory, and the settings with which it fits; nothing is run, only compiled.

Two settings save memory. `training.accumulate` gives the step its batch in parts: the same mathematics, but for batch
statistics and risk sets, which are then those of a part. `model.remat` computes activations again in the backward pass:
the same mathematics, about a third more time.
"""

import dataclasses
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from medjax.errors import InputError
from medjax.experiment import Experiment
from medjax.job import Job, build, compiled_for, step_arguments
from medjax.training import mesh as meshes

UNITS = {"": 2**30, "mib": 2**20, "gib": 2**30, "tib": 2**40, "mb": 10**6, "gb": 10**9, "tb": 10**12}


@dataclass(frozen=True)
class Need:
    """Bytes of one device that a compiled training step needs.

    Attributes:
        kept: what lies there between steps: parameters, moments, averages, the resident data set; and what comes back.
        work: what the step sets aside while it runs.
    """

    kept: int
    work: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.kept + self.work


@dataclass(frozen=True)
class Setting:
    """What was compiled: cases a step and replicate, in how many parts, and whether activations are computed again."""

    batch: int
    accumulate: int
    remat: bool


@dataclass(frozen=True)
class Fit:
    """What `search` has found.

    Attributes:
        limit: bytes of one device that the step may take.
        source: where the limit comes from.
        resident: bytes of the data set on each device.
        needs: of every setting that was compiled; None: the compiler itself ran out of memory.
        asked: the experiment as it is.
        chosen: its batch, in a way that fits.
        largest: remat -> the largest batch that fits at once, 0 where none does.
        cases: of the smallest training set, beyond which no batch goes.
        notes: what accumulation changes here.
    """

    limit: int
    source: str
    resident: int
    needs: dict[Setting, Need | None]
    asked: Setting
    chosen: Setting
    largest: dict[bool, int]
    cases: int
    notes: tuple[str, ...]

    @property
    def assignments(self) -> list[str]:
        """What `--set` takes for the chosen setting; empty where the experiment fits as it is."""
        words = []
        if self.chosen.accumulate != self.asked.accumulate:
            words.append(f"training.accumulate={self.chosen.accumulate}")
        if self.chosen.remat != self.asked.remat:
            words.append(f"model.remat={str(self.chosen.remat).lower()}")
        return words


def planned(job: Job) -> Need | None:
    """Compile a job's training step and return what it needs; None where the platform's compiler does not say."""
    step: Any = job.programs.train
    plan = step.lower(*step_arguments(job)).compile().memory_analysis()
    if plan is None:
        return None
    kept = plan.argument_size_in_bytes + plan.output_size_in_bytes - plan.alias_size_in_bytes
    return Need(kept, plan.temp_size_in_bytes)


def parse(text: str) -> int:
    """Return the bytes of an amount as it is typed: 16GiB, 800MiB; a number alone is GiB.

    Raises:
        InputError: it is no positive amount.
    """
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]*)\s*", text.lower())
    if not found or found[2] not in UNITS or not float(found[1]):
        raise InputError(f"--memory {text}: write it as 16GiB, 800MiB or 12.5 (GiB)")
    return int(float(found[1]) * UNITS[found[2]])


def limit(asked: str | None) -> tuple[int, str]:
    """Return the bytes of one device that a step may take, and where the number comes from.

    On a CPU the devices share the main memory, and what this process has already comes off an amount that is asked for.

    Args:
        asked: the amount as it is typed; None: what the device has, of a CPU's main memory what is available.
    """
    device = jax.local_devices()[0]
    shared = jax.local_device_count() if device.platform == "cpu" else 1
    if asked is not None:
        whole, own = parse(asked), _own() if device.platform == "cpu" else 0
        source = f"{asked} asked for" + (f", {own / 2**30:.1f} GiB of it for the process itself" if own else "")
        return max(whole - own, 0) // shared, source
    if device.platform != "cpu":
        bytes_limit = (device.memory_stats() or {}).get("bytes_limit")
        if not bytes_limit:
            raise InputError(f"{device.device_kind} does not say how much memory it has; say it with --memory 16GiB")
        return bytes_limit, f"all that JAX may take of {device.device_kind}"
    return _available() // shared, "available main memory" + (f", shared by {shared} devices" if shared > 1 else "")


def search(
    experiment: Experiment,
    asked: str | None = None,
    *,
    data_dir: Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Fit:
    """Find how an experiment's batch fits into memory: whole, in parts, or with remat, in the order of their cost.

    Args:
        experiment: as a configuration gives it.
        asked: the amount of memory as it is typed; None: the device's own.
        data_dir: folder of original data files; None: MEDJAX_DATA.
        tell: is told what is compiled, since that takes a while.

    Raises:
        InputError: nothing fits, or something else that a person can mend.
    """
    if asked is not None:
        parse(asked)  # a mistake in it is told before any data are read
    job = build(experiment, data_dir)
    room, source = limit(asked)
    training, model = job.experiment.training, job.experiment.model
    own = Setting(job.batch, training.accumulate, bool(getattr(model, "remat", False)))
    ways = (False, True) if hasattr(model, "remat") else (False,)
    rows = meshes.rows(job.programs.mesh)
    cases = min(len(one.train) for one in job.replicates)
    needs: dict[Setting, Need | None] = {}

    def takes(setting: Setting) -> float | int:
        if setting not in needs:
            again = " with remat" if setting.remat else ""
            tell(f"compiling a step of {setting.batch} cases in {setting.accumulate}{again}")
            needs[setting] = _need(job, setting)
        need = needs[setting]
        return float("inf") if need is None else need.total

    sizes = batch_sizes(rows, job.batch, cases)
    largest = {remat: largest_fitting(sizes, lambda n, way=remat: takes(Setting(n, 1, way)), room) for remat in ways}
    if not any(largest.values()):
        least = min(takes(Setting(sizes[0], 1, remat)) for remat in ways)
        raise InputError(_nothing(job, sizes[0], least, room, source, len(ways) == 2))
    statistics = "batch_stats" in job.programs.state.variables
    parts = [1] if training.batch_size == "full" else [n for n in range(1, job.batch + 1) if not job.batch % (n * rows)]
    # Parts cost little time and remat a third of it; but parts change batch statistics, and remat changes nothing.
    orders = [(n, remat) for remat in ways for n in parts]
    for n, remat in sorted(orders) if statistics else orders:
        chosen = Setting(job.batch, n, remat)
        if job.batch // n <= largest[remat] and takes(chosen) <= room:
            break
    else:
        raise InputError(
            f"no part of the batch of {job.batch} fits into {room / 2**30:.3g} GiB ({source}), though a batch of "
            f"{max(largest.values())} does: set training.batch_size to a multiple of that"
        )
    resident = sum(values.nbytes for values in (job.arrays or {}).values())
    return Fit(room, source, resident, needs, own, chosen, largest, cases, _notes(job, statistics))


def batch_sizes(rows: int, batch: int, cases: int) -> list[int]:
    """Return the batches that are tried: powers of two times the devices a batch lies on, and the batch itself."""
    sizes = {batch}
    while rows <= max(cases, batch):
        sizes.add(rows)
        rows *= 2
    return sorted(sizes)


def largest_fitting(sizes: Sequence[int], takes: Callable[[int], float | int], room: float | int) -> int:
    """Return the largest size that takes no more than the room, 0 where none does.

    What a step takes grows almost along a line, so the line through the two smallest sizes says where to look, and a few
    sizes are compiled, not all.

    Args:
        sizes: ascending.
        takes: of a size, growing with it.
        room: in the unit of `takes`.
    """
    least = takes(sizes[0])
    if least > room:
        return 0
    if len(sizes) == 1:
        return sizes[0]
    slope = max((takes(sizes[1]) - least) / (sizes[1] - sizes[0]), 1e-9)
    found = max(k for k, size in enumerate(sizes) if size <= sizes[0] + (room - least) / slope)
    while takes(sizes[found]) > room:
        found -= 1
    while found + 1 < len(sizes) and least + slope * (sizes[found + 1] - sizes[0]) <= 1.25 * room:
        if takes(sizes[found + 1]) > room:
            break
        found += 1
    return sizes[found]


def _need(job: Job, setting: Setting) -> Need | None:
    """Compile the step of a setting; None where the compiler runs out of the device's memory, as on a TPU."""
    training = job.experiment.training
    if training.batch_size != "full":
        training = dataclasses.replace(training, batch_size=setting.batch, accumulate=setting.accumulate)
    model = job.experiment.model
    if hasattr(model, "remat"):
        model = model.clone(remat=setting.remat)
    changed = dataclasses.replace(job.experiment, training=training, model=model)
    other = dataclasses.replace(job, experiment=changed, batch=setting.batch)
    try:
        need = planned(compiled_for(other, job.replicates, job.fitted))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return None
    if need is None:
        raise InputError(f"the compiler of {jax.default_backend()} does not say how much memory a step needs")
    return need


def _nothing(job: Job, size: int, least: float | int, room: int, source: str, remat: bool) -> str:
    """Return by how much the smallest step does not fit, and what could be done."""
    smaller = "a smaller task.patch" if job.experiment.task.kind == "segmentation" else "smaller inputs"
    lacks = "" if least == float("inf") else f", {(least - room) / 2**30:.3g} GiB more than there is"
    needs = "does not compile" if least == float("inf") else f"needs {least / 2**30:.3g} GiB a device"
    return (
        f"nothing fits into {room / 2**30:.3g} GiB ({source}): a batch of {size} {needs}{' even with remat' if remat else ''}"
        f"{lacks}; take {smaller}, fewer channels, data.feed=streamed if the data set is large, or more devices "
        "(training.mesh.fsdp)"
    )


def _notes(job: Job, statistics: bool) -> tuple[str, ...]:
    """Return what accumulation changes in the mathematics of this experiment's step."""
    notes = []
    if statistics:
        notes.append("batch normalisation takes its statistics over a part: training.accumulate changes what is learnt")
    if job.experiment.task.kind == "survival":
        notes.append("a loss over risk sets has those of a part: training.accumulate changes what is learnt")
    if job.experiment.mix is not None:
        notes.append("mix blends the cases of a part with each other")
    return tuple(notes)


def _own() -> int:
    """Return the bytes of main memory that this process has now."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


def _available() -> int:
    """Return the bytes of main memory that a process could still have; where that is not told, all there are."""
    try:
        return int(re.findall(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())[0]) * 1024
    except (OSError, IndexError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
