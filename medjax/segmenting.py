"""Judging a run that segments: every case on its own grid, class by class, under the frozen plan."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medjax import facts, folder, results
from medjax.data.case import Case, attributes
from medjax.data.ledger import Opening
from medjax.data.source import Source
from medjax.evidence.predictions import Predictions
from medjax.job import Job
from medjax.metrics.segmentation import MEASURES, measures, volume
from medjax.predictor import Predictor
from medjax.report import overlays
from medjax.results import Plan
from medjax.segmentation.label_maps import write_maps
from medjax.segmentation.segmenter import Segmenter, choose_components, load_largest


def freeze(work: Job, model: Predictor, plan: Plan) -> Plan:
    """Add to the plan of which classes only the largest component is kept, for each fold (-1: without folds).

    "choose" looks at validation cases, in cross-validation at those held back from the fold's own training; a fold's
    judged cases are never among them.
    """
    task: Any = work.experiment.task
    folds = sorted({one.fold for one in work.replicates})
    everything = tuple(range(1, len(task.classes)))
    if task.components == "choose":
        segmenter, chosen = Segmenter(model, {}), {}
        for fold in folds:
            members = [k for k, one in enumerate(work.replicates) if one.fold == fold]
            cases = [work.source.source[int(i)] for i in work.replicates[members[0]].validation]
            chosen[fold] = choose_components(segmenter, fold, members, cases, task.target)
    else:
        chosen = dict.fromkeys(folds, everything if task.components == "largest" else ())
    return Plan({**plan.content, "largest_component": {str(fold): list(own) for fold, own in chosen.items()}})


def judge_development(work: Job, model: Predictor, plan: Plan, split: str, run: Path) -> dict[str, Any]:
    """Judge the validation cases, or every case by the models of the fold that held it out."""
    cases, folds = [], []
    for fold in sorted({one.fold for one in work.replicates}):
        (first, *_) = [one for one in work.replicates if one.fold == fold]
        own = first.held_out if split == "out_of_fold" else first.validation
        cases += [work.source.source[int(i)] for i in own]
        folds += [fold] * len(own)
    return _judge(work.experiment, model, plan, cases, folds, split, run)


def judge_test(work: Job, model: Predictor, plan: Plan, source: Source, opened: Opening, run: Path) -> dict[str, Any]:
    """Judge the test cases, whose opening has been written down."""
    cases = [source[i] for i in range(len(source))]
    return _judge(work.experiment, model, plan, cases, [-1] * len(cases), "test", run, opened)


def judge_external(
    experiment: Any, model: Predictor, plan: Plan, cases: Sequence[Case], name: str, run: Path, about: dict[str, Any]
) -> dict[str, Any]:
    """Judge cases from elsewhere that carry a label map."""
    return _judge(experiment, model, plan, cases, [-1] * len(cases), name, run, about=about)


def _judge(
    experiment: Any,
    model: Predictor,
    plan: Plan,
    cases: Sequence[Case],
    folds: Sequence[int],
    name: str,
    run: Path,
    opening: Opening | None = None,
    about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Segment and measure every case by the mean of the models of its fold; write table, label maps and evaluation."""
    segmenter = Segmenter(model, load_largest(plan.content))
    maps = []
    for case, fold in zip(cases, folds, strict=True):
        own = segmenter.probabilities(case, segmenter.members(fold))
        maps.append(segmenter.labels(np.mean(own, axis=0), fold))
    predictions = measured(experiment.task, cases, maps, folds)
    write_maps(run / folder.label_maps(name), predictions.id.tolist(), maps)
    overlays.write(run / overlays.path_of(name), predictions.classes, _pictures(experiment, predictions, cases, maps))
    about = {**(about or facts.about(experiment, model.record))}
    if any(segmenter.largest.values()):
        about["components"] = _told(segmenter.largest, experiment.task.classes)
    return results.judge(experiment, plan, predictions, name, run, about, opening=opening)


def _pictures(
    experiment: Any, predictions: Predictions, cases: Sequence[Case], maps: Sequence[UInt8[np.ndarray, "*space"]]
) -> list[overlays.Overlay]:
    """Cut the slices that a report shows: of the worst, the middle and the best cases."""
    (key,), target = experiment.data.inputs, experiment.task.target
    place = {case["id"]: number for number, case in enumerate(cases)}
    found = []
    for rank, name in overlays.chosen(predictions):
        case, own = cases[place[name]], maps[place[name]]
        found.append(overlays.overlay(rank, name, case[key], np.asarray(case[target]), own, _spacing(case, target)))
    return found


def _spacing(case: Case, target: str) -> list[float]:
    """The spacing in mm; 1 along every axis where it is unknown."""
    return [float(step) for step in case["spacing"]] if "spacing" in case else [1.0] * np.ndim(case[target])


def measured(
    task: Any, cases: Sequence[Case], maps: Sequence[UInt8[np.ndarray, "*space"]], folds: Sequence[int]
) -> Predictions:
    """Measure label maps against the truth, each on the case's own grid; one member, the one that made the maps.

    Args:
        task: resolved.
        cases: with a label map; `spacing` in mm, or 1 where it is unknown.
        maps: what was predicted.
        folds: which held each case out; -1 without cross-validation.
    """
    classes, values, volumes = len(task.classes), [], []
    for case, found in zip(cases, maps, strict=True):
        truth, spacing = np.asarray(case[task.target]), _spacing(case, task.target)
        values.append(measures(found, truth, spacing, classes).ravel())
        volumes.append([volume(truth == number, spacing) for number in range(1, classes)])
    told = [attributes(case) for case in cases]
    names = dict.fromkeys(key for row in told for key in row)
    return Predictions(
        id=np.array([case["id"] for case in cases]),
        group=np.array([case.get("group", case["id"]) for case in cases]),
        target=np.array(volumes),
        values=np.stack(values)[None],
        replicate=np.array([-1]),
        seed=np.array([0]),
        fold=np.array(folds),
        kind="segmentation",
        classes=task.classes[1:],
        measures=MEASURES,
        attributes={key: np.array([row.get(key, "") for row in told]) for key in names},
    )


def _told(largest: dict[int, tuple[int, ...]], classes: Sequence[str]) -> str:
    """Of which classes only the largest component was kept, in words."""
    counts = {number: sum(number in own for own in largest.values()) for number in range(1, len(classes))}
    return "largest component only: " + ", ".join(
        classes[number] + (f" ({count} of {len(largest)} folds)" if len(largest) > 1 else "")
        for number, count in counts.items()
        if count
    )
