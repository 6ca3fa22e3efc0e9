"""Judging masks: every case on its own grid, class by class, with the components that the plan says."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from medjax import folder, results
from medjax.data.case import Case, attributes
from medjax.data.source import Source, Subset
from medjax.evidence.predictions import Predictions
from medjax.job import Job
from medjax.judging.contract import Found, Judging
from medjax.metrics.segmentation import MEASURES, measures, volume
from medjax.predictor import Predictor
from medjax.report import overlays
from medjax.results import Plan
from medjax.segmentation.label_maps import write_maps
from medjax.segmentation.segmenter import Segmenter, choose_components, load_largest
from medjax.training import processes


@dataclass(frozen=True)
class _Judged:
    """What is kept of a segmented case, and sent from process to process.

    Attributes:
        id: of the case.
        group: its patient.
        attributes: whatever else is told of it.
        labels: the label map of all models together.
        single: `measured`, of each model's label map.
        together: `measured`, of `labels`.
        truth: the true volume of every class but the background.
    """

    id: str
    group: str
    attributes: dict[str, str]
    labels: UInt8[np.ndarray, "*space"]
    single: Float[np.ndarray, "members outputs"]
    together: Float[np.ndarray, " outputs"]
    truth: Float[np.ndarray, " classes"]


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
            cases = Subset(work.source.source, work.replicates[members[0]].validation)
            chosen[fold] = choose_components(segmenter, fold, members, cases, task.target)
    else:
        chosen = dict.fromkeys(folds, everything if task.components == "largest" else ())
    return Plan({**plan.content, "largest_component": {str(fold): list(own) for fold, own in chosen.items()}})


def _development(work: Job, model: Predictor, plan: Plan, split: str) -> Found:
    """Segment the validation cases, or every case by the models of the fold that held it out."""
    place = {(one.seed_number, one.fold): number for number, one in enumerate(work.replicates)}
    seeds = results.complete_seeds(work.replicates)
    rows, folds, members = [], [], {}
    for fold in sorted({one.fold for one in work.replicates}):
        members[fold] = [place[seed, fold] for seed in seeds]
        first = work.replicates[members[fold][0]]
        own = first.held_out if split == "out_of_fold" else first.validation
        rows += own.tolist()
        folds += [fold] * len(own)
    return _segmented(model, plan, Subset(work.source.source, np.array(rows)), folds, members)


def _elsewhere(model: Predictor, plan: Plan, cases: Source) -> Found:
    """Segment cases that belong to no fold, by all replicates."""
    return _segmented(model, plan, cases, [-1] * len(cases), {-1: list(range(len(model.record["replicates"])))})


def _segmented(
    model: Predictor, plan: Plan, cases: Source, folds: Sequence[int], members: dict[int, list[int]]
) -> Found:
    """Segment and measure every case by the mean of the models of its fold, and by each of them.

    A case is read where it is segmented: of several processes each reads and holds its share.
    """
    task: Any = model.experiment.task
    segmenter = Segmenter(model, load_largest(plan.content))
    rows = processes.divided(lambda k: vars(_judged(segmenter, cases[k], folds[k], members[folds[k]])), len(folds))
    judged = [_Judged(**row) for row in rows]
    predictions = _predictions(model, judged, folds, members)
    maps = [one.labels for one in judged]

    def keep(run: Path, name: str) -> None:
        write_maps(run / folder.label_maps(name), predictions.id.tolist(), maps)
        pictures = _pictures(model.experiment, predictions, cases, maps)
        overlays.write(run / overlays.path_of(name), predictions.classes, pictures)

    kept = any(segmenter.largest.values())
    return Found(predictions, {"components": _told(segmenter.largest, task.classes)} if kept else {}, keep)


def _judged(segmenter: Segmenter, case: Case, fold: int, members: Sequence[int]) -> _Judged:
    """Segment and measure one case."""
    task: Any = segmenter.model.experiment.task
    own = segmenter.probabilities(case, members)
    labels = segmenter.labels(np.mean(own, axis=0), fold)
    single = [measured(task, case, segmenter.labels(one, fold)) for one in own]
    truth, spacing = np.asarray(case[task.target]), _spacing(case, task.target)
    return _Judged(
        id=str(case["id"]),
        group=str(case.get("group", case["id"])),
        attributes={key: str(value) for key, value in attributes(case).items()},
        labels=labels,
        single=np.array(single),
        together=measured(task, case, labels) if len(own) > 1 else single[0],
        truth=np.array([volume(truth == number, spacing) for number in range(1, len(task.classes))]),
    )


def _pictures(
    experiment: Any, predictions: Predictions, cases: Source, maps: Sequence[UInt8[np.ndarray, "*space"]]
) -> list[overlays.Overlay]:
    """Cut the slices that a report shows: of the worst, the middle and the best cases."""
    (key,), target = experiment.data.inputs, experiment.task.target
    place = {name: number for number, name in enumerate(predictions.id.tolist())}
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
    judged: Sequence[_Judged],
    folds: Sequence[int],
    members: dict[int, list[int]],
) -> Predictions:
    """Put together what the models say of cases, each alone and, where there are several, together."""
    replicates, single = model.record["replicates"], np.stack([one.single for one in judged], axis=1)
    numbers = np.array([[replicates[place]["number"] for place in members[fold]] for fold in folds]).T
    names = dict.fromkeys(key for one in judged for key in one.attributes)
    return Predictions(
        id=np.array([one.id for one in judged]),
        group=np.array([one.group for one in judged]),
        target=np.array([one.truth for one in judged]),
        values=single,
        pooled=np.stack([one.together for one in judged]) if len(single) > 1 else None,
        replicate=numbers if len(members) > 1 else numbers[:, 0],
        seed=np.array([replicates[place]["seed_number"] for place in members[folds[0]]]),
        fold=np.array(folds),
        kind="segmentation",
        classes=model.experiment.task.classes[1:],
        measures=MEASURES,
        attributes={key: np.array([one.attributes.get(key, "") for one in judged]) for key in names},
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
