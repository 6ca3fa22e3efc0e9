"""Judging masks: every case on its own grid, class by class, with the components that the plan says."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from medjax import folder, results
from medjax.data.case import Case, attributes
from medjax.evidence.predictions import Predictions
from medjax.job import Job
from medjax.judging.contract import Found, Judging
from medjax.metrics.segmentation import MEASURES, measures, volume
from medjax.predictor import Predictor
from medjax.report import overlays
from medjax.results import Plan
from medjax.segmentation.label_maps import write_maps
from medjax.segmentation.segmenter import Segmenter, choose_components, load_largest


def _freeze(work: Job, model: Predictor, plan: Plan) -> Plan:
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


def _development(work: Job, model: Predictor, plan: Plan, split: str) -> Found:
    """Segment the validation cases, or every case by the models of the fold that held it out."""
    place = {(one.seed_number, one.fold): number for number, one in enumerate(work.replicates)}
    seeds = results.complete_seeds(work.replicates)
    cases, folds, members = [], [], {}
    for fold in sorted({one.fold for one in work.replicates}):
        members[fold] = [place[seed, fold] for seed in seeds]
        first = work.replicates[members[fold][0]]
        own = first.held_out if split == "out_of_fold" else first.validation
        cases += [work.source.source[int(i)] for i in own]
        folds += [fold] * len(own)
    return _segmented(model, plan, cases, folds, members)


def _elsewhere(model: Predictor, plan: Plan, cases: Sequence[Case]) -> Found:
    """Segment cases that belong to no fold, by all replicates."""
    return _segmented(model, plan, cases, [-1] * len(cases), {-1: list(range(len(model.record["replicates"])))})


def _segmented(
    model: Predictor, plan: Plan, cases: Sequence[Case], folds: Sequence[int], members: dict[int, list[int]]
) -> Found:
    """Segment and measure every case by the mean of the models of its fold, and by each of them."""
    task: Any = model.experiment.task
    segmenter = Segmenter(model, load_largest(plan.content))
    maps, single = [], []
    for case, fold in zip(cases, folds, strict=True):
        own = segmenter.probabilities(case, members[fold])
        maps.append(segmenter.labels(np.mean(own, axis=0), fold))
        single.append([measured(task, case, segmenter.labels(one, fold)) for one in own])
    predictions = _predictions(model, cases, maps, np.array(single).swapaxes(0, 1), folds, members)
    pictures = _pictures(model.experiment, predictions, cases, maps)

    def keep(run: Path, name: str) -> None:
        write_maps(run / folder.label_maps(name), predictions.id.tolist(), maps)
        overlays.write(run / overlays.path_of(name), predictions.classes, pictures)

    kept = any(segmenter.largest.values())
    return Found(predictions, {"components": _told(segmenter.largest, task.classes)} if kept else {}, keep)


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


def measured(task: Any, case: Case, found: UInt8[np.ndarray, "*space"]) -> Float[np.ndarray, " outputs"]:
    """Measure a label map against the truth of a case, on its own grid: of every class but the background all `MEASURES`."""
    return measures(found, np.asarray(case[task.target]), _spacing(case, task.target), len(task.classes)).ravel()


def _predictions(
    model: Predictor,
    cases: Sequence[Case],
    maps: Sequence[UInt8[np.ndarray, "*space"]],
    single: Float[np.ndarray, "members cases outputs"],
    folds: Sequence[int],
    members: dict[int, list[int]],
) -> Predictions:
    """Put together what the models say of cases, each alone (`single`) and, where there are several, together (`maps`)."""
    task: Any = model.experiment.task
    replicates, classes, together = model.record["replicates"], len(task.classes), None
    if len(single) > 1:
        together = np.stack([measured(task, case, one) for case, one in zip(cases, maps, strict=True)])
    volumes = [
        [volume(np.asarray(case[task.target]) == number, _spacing(case, task.target)) for number in range(1, classes)]
        for case in cases
    ]
    numbers = np.array([[replicates[place]["number"] for place in members[fold]] for fold in folds]).T
    told = [attributes(case) for case in cases]
    names = dict.fromkeys(key for row in told for key in row)
    return Predictions(
        id=np.array([case["id"] for case in cases]),
        group=np.array([case.get("group", case["id"]) for case in cases]),
        target=np.array(volumes),
        values=single,
        pooled=together,
        replicate=numbers if len(members) > 1 else numbers[:, 0],
        seed=np.array([replicates[place]["seed_number"] for place in members[folds[0]]]),
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


JUDGING = Judging(freeze=_freeze, development=_development, elsewhere=_elsewhere)
