"""The experiment made concrete: data, parts, replicates, compiled functions; all that is known before the first step."""

import dataclasses
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from medjax import baselines, preprocess
from medjax.data import audit as audits
from medjax.data import dataset as datasets
from medjax.data import drop
from medjax.data.dataset import Dataset
from medjax.data.feed import CHUNK, Feed, case_arrays, stack
from medjax.data.order import positions, training_batches
from medjax.data.partition import Partition, development_source, keep_apart, partition
from medjax.data.placement import place
from medjax.data.source import Source
from medjax.data.split import Nested
from medjax.errors import InputError
from medjax.evidence.recalibration import calibration_part
from medjax.evidence.setting import metric_names, no_direction
from medjax.experiment import Experiment, resolve
from medjax.layout import Prepared, layout
from medjax.metrics import multi_label
from medjax.predict import case_pipeline
from medjax.tasks import Survival, truth
from medjax.training import programs as compiled
from medjax.training import replicate as replicates
from medjax.training.mesh import CASES, kept, spread
from medjax.training.programs import Programs
from medjax.training.replicate import Replicate
from medjax.training.state import initialise
from medjax.vocabulary import fit_vocabulary

RESIDENT_LIMIT = 2**30  # bytes of a data set that "auto" still lays on the device


@dataclass(frozen=True)
class Job:
    """Everything that training and evaluation share.

    Attributes:
        experiment: resolved.
        dataset: what was prepared.
        partition: which row serves what.
        audit: duplicates and shared patients.
        source: the development cases behind the case pipeline; built without the test cases.
        shapes: of one case's arrays.
        targets: of the development cases.
        replicates: the models.
        fitted: what was fitted on training cases, with a leading replicate axis, on the host.
        total: training steps.
        every: steps between validations, or None.
        batch: cases a step and replicate.
        programs: the compiled functions.
        arrays: the development cases, stacked, where they are resident; else None.
    """

    experiment: Experiment
    dataset: Dataset
    partition: Partition
    audit: audits.Audit
    source: Prepared
    shapes: dict[str, jax.ShapeDtypeStruct]
    targets: np.ndarray
    replicates: list[Replicate]
    fitted: Any
    total: int
    every: int | None
    batch: int
    programs: Programs
    arrays: dict[str, np.ndarray] | None


def build(experiment: Experiment, data_dir: Path | None = None, devices: Sequence[Any] | None = None) -> Job:
    """Prepare the data, audit it, part it, fit what is fitted on training cases, and compile.

    Raises:
        InputError: whatever is wrong with the experiment or the data, by its key or case.
    """
    dataset = datasets.prepare(experiment.data.name, data_dir, experiment.data.origin)
    experiment = resolve(experiment, dataset.classes, dataset.columns, dataset.codes)
    keys = (*experiment.data.inputs, *experiment.task.targets)
    for key in keys:
        if key not in (*dataset.inputs, *dataset.targets):
            have = ", ".join((*dataset.inputs, *dataset.targets))
            raise InputError(f"data.inputs or task.target names '{key}', but {dataset.name} has {have}")
    parts = partition(dataset, experiment.data.splits)
    if experiment.data.drop is not None:
        parts = drop.without(dataset, parts, drop.read(Path(experiment.data.drop)))
    if experiment.evaluation.calibrate:
        groups = np.asarray(dataset.index.group)[parts.development]
        parts = keep_apart(parts, calibration_part(groups, experiment.evaluation.calibrate))
    audit = audits.audit(dataset.index, parts.assignment)
    audits.check(audit)
    behind = Prepared(development_source(dataset, parts), case_pipeline(experiment, dataset.columns))
    laid = layout(experiment.task).lay(behind, experiment, dataset.name)
    source, keys = laid.source, (*keys, *laid.keys)
    shapes = {k: jax.ShapeDtypeStruct(v.shape, v.dtype) for k, v in case_arrays(source[0], keys).items()}
    arrays = None
    if _resident(experiment, shapes, len(source)):
        arrays = stack(source, keys, dataset.name)
    columns = laid.columns or _targets(source.source, arrays, experiment.task.targets)
    targets = truth(experiment.task, columns)
    experiment.task.check(targets, dataset.name, *columns[1:])
    models = replicates.plan(
        experiment.seed,
        experiment.replicates.seeds,
        [(part.train, part.validation, part.held_out) for part in parts.parts],
        parts.folds,
        experiment.replicates.only,
    )
    _check_judges(experiment, targets, models)
    _check_references(experiment)
    fitted = [fit(experiment, _rows(source, arrays, model.train), targets[model.train]) for model in _unique(models)]
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *[fitted[i] for i in _position(models)])
    training = experiment.training
    cases = max(len(model.train) for model in models)
    smallest = min(len(model.train) for model in models)
    if training.batch_size == "full":
        data = training.mesh.data * training.mesh.fsdp or len(devices or jax.devices())
        batch = -(-cases // data) * data
    elif training.batch_size > (cases if isinstance(experiment.data.splits, Nested) else smallest):
        raise InputError(
            f"training.batch_size {training.batch_size} is more than the {smallest} training cases; "
            "make it smaller, or 'full' for full-batch gradient descent"
        )
    else:
        batch = training.batch_size
    real = min(batch, cases)  # a full batch may be filled up to the devices; the length of training must not follow
    total = training.duration.in_steps(real, cases)
    every = training.evaluate_every.in_steps(real, cases) if training.evaluate_every else None
    patience = _patience(experiment, every)
    programs = compiled.build(experiment, shapes, fitted[0], len(models), total, patience, batch, devices)
    return Job(
        experiment,
        dataset,
        parts,
        audit,
        source,
        shapes,
        targets,
        models,
        stacked,
        total,
        every,
        batch,
        programs,
        arrays,
    )


def compiled_for(job: Job, models: list[Replicate], fitted: Any) -> Job:
    """Return the job with these replicates and what was fitted for them, its functions compiled anew.

    Args:
        job: what else is known.
        models: the replicates.
        fitted: with a leading replicate axis, on the host.
    """
    one = jax.tree.map(lambda x: x[0], fitted)
    patience = _patience(job.experiment, job.every)
    programs = compiled.build(job.experiment, job.shapes, one, len(models), job.total, patience, job.batch)
    return dataclasses.replace(job, replicates=models, fitted=fitted, programs=programs)


def _patience(experiment: Experiment, every: int | None) -> int | None:
    """Return the steps without a better validation after which a replicate stops."""
    return experiment.training.patience * every if experiment.training.patience and every else None


def feed(job: Job) -> Feed:
    """Return the feed of the development cases."""
    mesh = job.programs.mesh
    sharding = spread(mesh, "replicate", CASES)
    if job.arrays is not None:
        return Feed(place(job.arrays, spread(mesh)), None, sharding)
    keys = tuple(job.shapes)
    return Feed({}, lambda i: case_arrays(job.source[i], keys), sharding)


def step_arguments(job: Job) -> tuple[Any, Any, Any]:
    """Return the shapes, and the places on the devices, of what the compiled training step takes: state, data, batch."""
    programs, mesh = job.programs, job.programs.mesh
    count, rows = len(programs.waves[0]), spread(mesh, "replicate")

    def shaped(shape: tuple[int, ...], dtype: Any, sharding: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)

    state = jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), programs.state)
    state = jax.tree.map(lambda x, own: shaped(x.shape, x.dtype, own), state, kept(mesh, state))
    cell = spread(mesh, "replicate", CASES)
    if job.arrays is None:
        batch = {k: shaped((count, job.batch, *x.shape), x.dtype, cell) for k, x in job.shapes.items()}
        numbers = {name: shaped((count, job.batch), kind, cell) for name, kind in _NUMBERS.items()}
        return state, {}, {**batch, **numbers}
    chunk = spread(mesh, "replicate", None, CASES)
    numbers = {name: shaped((count, CHUNK, job.batch), kind, chunk) for name, kind in _NUMBERS.items()}
    resident = {k: shaped(v.shape, v.dtype, spread(mesh)) for k, v in job.arrays.items()}
    return state, resident, {**numbers, "first": shaped((count,), np.int32, rows)}


_NUMBERS = {"index": np.int32, "weight": np.float32}  # which cases a batch holds, and how much they count


def training_plan(job: Job, wave: np.ndarray) -> Any:
    """Return the plan of a wave's training batches: (start, stop) -> index and weight (steps, replicates, batch)."""
    members = [job.replicates[k] for k in wave]

    def plan(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        rows = [_batches(job, model, start, stop) for model in members]
        return np.stack([index for index, _ in rows], axis=1), np.stack([weight for _, weight in rows], axis=1)

    return plan


def _batches(job: Job, model: Replicate, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a replicate's batches; a subset smaller than a batch (learning curves) fills it by passing several times."""
    if job.experiment.training.batch_size == "full" or job.batch <= len(model.train):
        return training_batches(model.seed, model.train, job.batch, start, stop)
    index = model.train[positions(model.seed, len(model.train), job.batch, start, stop)].astype(np.int32)
    return index, np.ones(index.shape, np.float32)


def fit(experiment: Experiment, cases: Iterable[dict[str, np.ndarray]], targets: np.ndarray) -> dict[str, Any]:
    """Fit on training cases whatever is fitted: standardisation of inputs, and what the task fits on targets."""
    fitted: dict[str, Any] = dict(experiment.task.fit(targets))
    events = "code" in experiment.data.inputs
    own = layout(experiment.task).own
    if experiment.standardise or events:
        rows = list(cases) if len(experiment.standardise) + events > 1 else cases
        if events:
            fitted["code"] = fit_vocabulary(rows, vars(experiment.model)["codes"])
        for key in experiment.standardise:
            if key == "number":
                continue  # by code, with the vocabulary
            if key not in experiment.data.inputs:
                raise InputError(f"standardise names '{key}', but data.inputs are {', '.join(experiment.data.inputs)}")
            fitted[key] = preprocess.fit_standardise(own(experiment, row, key) for row in rows)
    return fitted


def fitted_shapes(experiment: Experiment, shapes: dict[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
    """Return a tree of the shapes that `fit` gives, without data."""
    example = {key: np.zeros(x.shape, x.dtype) for key, x in shapes.items()}
    columns = layout(experiment.task).example(experiment, example)
    return fit(experiment, [example], truth(experiment.task, columns))


def blank_state(experiment: Experiment, shapes: dict[str, jax.ShapeDtypeStruct], total: int, count: int) -> Any:
    """Return a host tree of zeros like every replicate's state, stacked: what a checkpoint is restored into."""
    inputs = compiled.model_input_shapes(experiment, shapes)
    fitted = fitted_shapes(experiment, shapes)
    one = jax.eval_shape(partial(initialise, experiment, inputs, total), np.uint32(0), fitted)
    return jax.tree.map(lambda x: np.zeros((count, *x.shape), x.dtype), one)


def _resident(experiment: Experiment, shapes: dict[str, jax.ShapeDtypeStruct], cases: int) -> bool:
    if experiment.data.feed != "auto":
        return experiment.data.feed == "resident"
    size = sum(int(np.prod(x.shape)) * x.dtype.itemsize for x in shapes.values())
    return size * cases <= RESIDENT_LIMIT


def _targets(source: Source, arrays: dict[str, np.ndarray] | None, keys: Sequence[str]) -> list[np.ndarray]:
    """Return the targets of all cases, each key's stacked; from the arrays, or by reading every case once."""
    if arrays is not None:
        return [arrays[key] for key in keys]
    rows = [[case[key] for key in keys] for case in (source[i] for i in range(len(source)))]
    return [np.array(column) for column in zip(*rows, strict=True)]


def _rows(source: Source, arrays: dict[str, np.ndarray] | None, cases: np.ndarray) -> Iterable[dict[str, np.ndarray]]:
    if arrays is not None:
        return ({key: values[i] for key, values in arrays.items()} for i in cases)
    return (source[int(i)] for i in cases)


def _unique(models: list[Replicate]) -> list[Replicate]:
    """Return one replicate a fold: seeds of the same fold share their training cases, so they share what is fitted."""
    return list({model.fold: model for model in reversed(models)}.values())


def _position(models: list[Replicate]) -> list[int]:
    folds = [model.fold for model in _unique(models)]
    return [folds.index(model.fold) for model in models]


def _check_references(experiment: Experiment) -> None:
    """Refuse, before any training, references that could not be fitted on these cases."""
    if not baselines.references(experiment.evaluation.reference):
        return
    if experiment.task.kind == "segmentation":
        raise InputError("no reference model segments; set evaluation.reference to null")
    if len(experiment.data.inputs) != 1:
        raise InputError("evaluation.reference takes one input; set it to null for a model of several inputs")
    if experiment.task.quantile_levels:
        raise InputError("no reference model predicts quantiles; set evaluation.reference to null")
    if experiment.task.kind == "survival" and experiment.task.classes:
        raise InputError("no reference model knows competing causes; set evaluation.reference to null")
    if isinstance(experiment.task, Survival) and (experiment.task.entry or experiment.task.strata > 1):
        raise InputError("no reference model knows task.entry or task.strata; set evaluation.reference to null")
    for name, one in baselines.references(experiment.evaluation.reference).items():
        if ("times" in inspect.signature(one).parameters) != (experiment.task.kind == "survival"):
            what = "for times to an event" if experiment.task.kind != "survival" else "not for times to an event"
            raise InputError(f"evaluation.reference '{name}' is {what}; name another one, or set it to null")


def _check_judges(experiment: Experiment, targets: np.ndarray, models: list[Replicate]) -> None:
    """Refuse, before any training, a split that the chosen metrics cannot judge."""
    first = models[0]
    needs = [name for name, value in (("training.select", experiment.training.select),) if value]
    if isinstance(experiment.evaluation.threshold, str):
        needs.append("evaluation.threshold")
    if needs and not len(first.validation):
        raise InputError(f"{needs[0]} needs validation cases, but data.splits gives none")
    task = experiment.task
    if isinstance(experiment.evaluation.threshold, str) and task.positive_index is None:
        raise InputError(
            f"evaluation.threshold '{experiment.evaluation.threshold}' chooses one number for one positive class, which "
            "this task does not have; state a number"
        )
    known = [
        name
        for name in metric_names(task.kind, task.classes, len(task.quantile_levels), task.horizons)
        if not no_direction(name)
    ]
    if experiment.evaluation.primary not in known:
        raise InputError(
            f"evaluation.primary '{experiment.evaluation.primary}' does not apply here; known: {', '.join(known)}"
        )
    if experiment.training.select is not None and experiment.training.select not in task.selectable:
        raise InputError(
            f"training.select '{experiment.training.select}' is unknown; known: {', '.join(task.selectable)}"
        )
    if isinstance(experiment.evaluation.threshold, str) and len(np.unique(targets[first.validation])) < 2:
        raise InputError(
            f"evaluation.threshold '{experiment.evaluation.threshold}' needs both classes among the "
            f"{len(first.validation)} validation cases, which have one; choose another split, or state a number"
        )
    if "auroc" not in (experiment.evaluation.primary, experiment.training.select):
        return
    judged = np.concatenate([model.held_out for model in models]) if first.fold >= 0 else first.validation
    part = "held-out" if first.fold >= 0 else "validation"
    if task.kind == "labels":
        if len(judged) and not multi_label.judged(targets[judged]).any():
            raise InputError(
                f"AUROC is undefined: no label has both a positive and a negative case among the {len(judged)} {part} "
                "cases; choose another split, or another evaluation.primary and training.select"
            )
        return
    present = np.unique(targets[judged])
    if len(judged) and len(present) < 2:
        raise InputError(
            f"AUROC is undefined: all {len(judged)} {part} cases have label {present[0]}; "
            "choose another split, or another evaluation.primary and training.select"
        )
