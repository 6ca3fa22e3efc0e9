"""From predictions to a judged result: the frozen plan, reference models on the same cases, the files of the run."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from medjax import baselines, config, folder, reserved
from medjax.data.ledger import Opening
from medjax.errors import InputError
from medjax.evidence.evaluation import evaluate
from medjax.evidence.intervals import patient_codes
from medjax.evidence.prediction_files import write_csv
from medjax.evidence.predictions import Predictions, ensemble, known, select
from medjax.evidence.thresholds import attained, choose_threshold
from medjax.experiment import Experiment
from medjax.job import Job
from medjax.tasks import judged
from medjax.training import processes
from medjax.training.replicate import Replicate

KINDS = {
    "out_of_fold": "INTERNAL cross-validation",
    "validation": "INTERNAL validation",
    "test": "TEST set",
    "external": "EXTERNAL validation",
}


@dataclass(frozen=True)
class Plan:
    """What is fixed before a test set is opened: model, threshold, metrics; its hash goes into the ledger."""

    content: dict[str, Any]

    @property
    def hash(self) -> str:
        """The SHA-256 of the content."""
        return hashlib.sha256(json.dumps(self.content, sort_keys=True).encode()).hexdigest()


def freeze(
    experiment: Experiment,
    validation: Predictions | None,
    data: str,
    model: str,
    calibration: Predictions | None = None,
) -> Plan:
    """Fix the plan; a threshold rule is applied to validation predictions here, and never again.

    Args:
        experiment: resolved.
        validation: predictions of the validation cases, where the threshold is chosen.
        data: fingerprint of the data set.
        model: digest of the delivered model.
        calibration: predictions of the patients kept apart, on which probabilities are recalibrated.
    """
    settings, threshold = experiment.evaluation, experiment.evaluation.threshold
    fixed: dict[str, Any] = {}
    if isinstance(threshold, str):
        index = experiment.task.positive_index
        if validation is None or index is None:
            raise InputError(f"evaluation.threshold '{threshold}' needs validation cases and a positive class")
        validation = select(validation, np.flatnonzero(known(validation)))
        probability, target = ensemble(validation)[:, index], validation.target == index
        threshold = choose_threshold(probability, target, rule=settings.threshold)
        codes = patient_codes(validation.group)
        fixed["chosen"] = attained(probability, target, codes, threshold, rule=settings.threshold)
    if calibration is not None:
        fixed["reserved"] = reserved.fit(calibration, _positive(experiment), float(threshold), experiment.seed)
    return Plan(
        {
            "experiment": hashlib.sha256(config.dumps(experiment).encode()).hexdigest(),
            "evaluation": config.encode(settings),
            "threshold": threshold,
            "data": data,
            "model": model,
            **fixed,
        }
    )


def together(job: Job, values: Sequence[np.ndarray], cases: Sequence[np.ndarray]) -> Predictions:
    """Gather what replicates predict for the same cases: one member a replicate."""
    rows = cases[0]
    return _predictions(
        job,
        rows,
        values=np.stack(values),
        replicate=np.array([model.number for model in job.replicates]),
        seed=np.array([model.seed_number for model in job.replicates]),
        fold=np.full(len(rows), -1),
    )


def out_of_fold(job: Job, values: Sequence[np.ndarray], cases: Sequence[np.ndarray]) -> Predictions:
    """Gather what replicates predict for the folds they held out: one member a seed.

    Cases of folds that were not trained (`replicates.only`) are left out, and so is a seed that lacks a fold of others.
    """
    folds = sorted({model.fold for model in job.replicates})
    by = {(model.seed_number, model.fold): k for k, model in enumerate(job.replicates)}
    seeds = complete_seeds(job.replicates)
    first = [by[seeds[0], fold] for fold in folds]
    rows = np.concatenate([cases[k] for k in first])
    order = np.argsort(rows, kind="stable")
    fold = np.concatenate([np.full(len(cases[k]), job.replicates[k].fold) for k in first])
    stacked = [np.concatenate([values[by[seed, f]] for f in folds]) for seed in seeds]
    numbers = [
        np.concatenate([np.full(len(cases[by[seed, f]]), job.replicates[by[seed, f]].number) for f in folds])
        for seed in seeds
    ]
    return _predictions(
        job,
        rows[order],
        values=np.stack(stacked)[:, order],
        replicate=np.stack(numbers)[:, order],
        seed=np.array(seeds),
        fold=fold[order],
    )


def complete_seeds(replicates: Sequence[Replicate]) -> list[int]:
    """Return the seeds that were trained on every fold that any was trained on.

    Raises:
        InputError: there is none.
    """
    folds = {model.fold for model in replicates}
    by = {(model.seed_number, model.fold) for model in replicates}
    seeds = [seed for seed in sorted({seed for seed, _ in by}) if all((seed, fold) in by for fold in folds)]
    if not seeds:
        raise InputError("replicates.only leaves no seed with all of its folds; nothing can be put together")
    return seeds


def references(job: Job, split: str, model: Predictions, cases: Iterable[Any] | None = None) -> dict[str, Predictions]:
    """Fit each reference model on the training cases of each part, and predict what `model` predicted.

    Args:
        job: the run's job.
        split: "out_of_fold", or another one.
        model: the predictions to be compared with.
        cases: the cases themselves behind the pipeline, where they are not development cases (test).

    Returns:
        Their predictions by name, in the order in which the experiment names them; empty without a reference.
    """
    named = baselines.references(job.experiment.evaluation.reference)
    if not named:
        return {}
    (key,) = job.experiment.data.inputs
    inputs = (
        job.arrays[key] if job.arrays is not None else np.stack([job.source[i][key] for i in range(len(job.source))])
    )
    judged = np.stack([case[key] for case in cases]) if cases is not None else None
    return {name: _reference(job, fit, inputs, split, model, judged) for name, fit in named.items()}


def _reference(
    job: Job, fit: Callable, inputs: np.ndarray, split: str, model: Predictions, judged: np.ndarray | None
) -> Predictions:
    """What one reference model predicts for the cases of `model`; `judged`: the inputs of cases from elsewhere."""
    task = job.experiment.task
    if task.kind == "survival":
        fit = partial(fit, times=task.times)
    values = np.full((len(model.id), model.values.shape[-1]), np.nan)
    if split == "out_of_fold":
        position = {name: row for row, name in enumerate(model.id)}
        ids = np.asarray(job.dataset.index.id)[job.partition.development]
        for number in np.unique(model.fold):
            part = job.partition.parts[number]
            rows = [position[ids[case]] for case in part.held_out]
            values[rows] = fit(inputs[part.train], job.targets[part.train], inputs[part.held_out])
    else:
        (part,) = job.partition.parts
        asked = inputs[part.validation] if judged is None else judged
        values[:] = fit(inputs[part.train], job.targets[part.train], asked)
    none = np.array([-1])
    return replace(model, values=values[None], replicate=none, seed=none, attributes={}, pooled=None)


def judge(
    experiment: Experiment,
    plan: Plan,
    predictions: Predictions,
    name: str,
    run: Path,
    about: dict[str, Any],
    compared: dict[str, Predictions] | None = None,
    opening: Opening | None = None,
) -> dict[str, Any]:
    """Evaluate predictions under the plan; the first process writes `predictions/<name>.csv` and `evaluation/<name>.json`.

    Several processes all call it with the same predictions, and divide the metrics with their intervals among them.

    Args:
        experiment: resolved.
        plan: frozen.
        predictions: what is judged.
        name: the split, or `external_<data>`.
        run: the run folder.
        about: facts for the head of the table.
        compared: the reference models' predictions of the same cases, by name.
        opening: of the test set.
    """
    settings = experiment.evaluation
    first, *others = compared or {"": None}
    result = evaluate(
        predictions,
        positive=_positive(experiment),
        threshold=plan.content["threshold"],
        primary=settings.primary,
        resamples=settings.resamples,
        seed=experiment.seed,
        reference=compared[first] if compared else None,
        reference_name=first,
        further={other: compared[other] for other in others} if compared else None,
        margin=settings.margin,
        prevalences=settings.prevalences,
        decision_thresholds=(settings.decision_threshold,),
        late_entry=getattr(experiment.task, "entry", False),
        each=processes.divided,
    )
    kind = name.partition("_")[0] if name.startswith("external") else name
    label = KINDS[kind]
    chosen = any(plan.content.get("largest_component", {}).values())
    if name == "validation" and (experiment.training.select or isinstance(settings.threshold, str) or chosen):
        label += " on the cases that choices were made on"
    head: dict[str, Any] = {**about, "validation": label, "split": name, "plan": plan.hash[:8]}
    if opening is not None:
        head["opening"] = f"opening {opening.number}, {opening.models} model{'s' if opening.models != 1 else ''}"
    if "chosen" in plan.content:
        result["chosen"] = plan.content["chosen"]
    if "reserved" in plan.content:
        threshold = float(plan.content["threshold"])
        result |= reserved.report(
            plan.content["reserved"], predictions, _positive(experiment), threshold, seed=experiment.seed
        )
    result = {"about": head, **result}
    if processes.first():
        write_csv(run / folder.predictions(name), predictions)
        folder.write_json(run / folder.evaluation(name), result)
    return result


def _positive(experiment: Experiment) -> int | None:
    """The index of the positive class, where there are two."""
    return experiment.task.positive_index if len(experiment.task.classes) == 2 else None


def _predictions(job: Job, rows: np.ndarray, **members: Any) -> Predictions:
    index, development = job.dataset.index, job.partition.development[rows]
    return Predictions(
        id=np.asarray(index.id)[development],
        group=np.asarray(index.group)[development],
        target=judged(job.experiment.task, job.targets[rows]),
        kind=job.experiment.task.kind,
        classes=job.experiment.task.classes,
        quantiles=job.experiment.task.quantile_levels,
        times=job.experiment.task.times,
        horizons=job.experiment.task.horizons,
        attributes={name: np.asarray(values)[development] for name, values in index.attributes.items()},
        **members,
    )
