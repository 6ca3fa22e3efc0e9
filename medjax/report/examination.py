"""The deep leak audit as plain JSON: near-duplicates, what gives the target away, and what suspects are worth."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from medjax.data import giveaways, twins
from medjax.data.dataset import Dataset
from medjax.data.giveaways import Development
from medjax.data.partition import Partition
from medjax.data.twins import Twins
from medjax.evidence import auroc
from medjax.evidence.evaluation import evaluate
from medjax.evidence.intervals import patient_codes
from medjax.evidence.measures import entry
from medjax.evidence.predictions import Predictions, select

BOUND = 0.9
"""A single column whose AUROC reaches this is suspect until somebody explains it."""


def examination(
    dataset: Dataset,
    plan: Partition | None,
    found: Twins,
    development: Development | None,
    bound: float = BOUND,
    after: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that the deep audit found, as plain JSON; cases by id, patients counted only."""
    part = np.asarray(dataset.index.split if plan is None else plan.assignment).astype(str)
    sizes = {name: int((part == name).sum()) for name in dict.fromkeys(part.tolist())}
    return {
        "data": dataset.name,
        "cases": len(part),
        "splits": sizes,
        "folds": plan is not None and plan.folds,
        "test_inputs_read": sizes.get("test", 0) if found.compared else 0,
        "near_duplicates": {
            "compared": found.compared,
            "different_inputs": found.different,
            "rate": found.rate,
            "expected_without_copies": found.rate * found.different,
            "identical_rows_by_chance": found.by_chance if math.isfinite(found.by_chance) else None,
            "numbering_columns": list(found.numbering),
            "counts": {
                name: {"pairs": pairs, "cases": list(cases)}
                for name, (pairs, *cases) in twins.tally(found.pairs).items()
            },
            "pairs": [
                {"ids": list(one.ids), "splits": list(one.parts), "alike": one.similarity, "chance": one.chance}
                for one in found.pairs
            ],
            "labels": _labels(dataset, plan, found, development),
        },
        "bound": bound,
        "columns": [] if development is None else _columns(development, bound),
        "border": None if development is None or development.pictures is None else _border(development),
        "after": [name for name in after if name in {one.partition("=")[0] for one in dataset.columns}],
        "time": _time(dataset, part),
    }


def without(predictions: Predictions, ids: Sequence[str], **arguments: Any) -> dict[str, Any]:
    """Judge predictions as they are, and without suspects: what the suspects are worth.

    Args:
        predictions: of the split that is judged.
        ids: suspects, such as `twins.judged(found, "test")`; those of other splits are passed over.
        arguments: of `evaluate`.

    Returns:
        `all` and `without`, two evaluations, `left_out`, how many cases, and `reason` where nothing can be judged without.
    """
    suspect = np.isin(predictions.id, np.asarray(list(ids), dtype=predictions.id.dtype)) if len(ids) else None
    left_out = 0 if suspect is None else int(suspect.sum())
    result: dict[str, Any] = {
        "left_out": left_out,
        "all": evaluate(predictions, **arguments),
        "without": None,
        "reason": "",
    }
    if suspect is None or not left_out:
        return result | {"reason": "no suspect among the judged cases"}
    if left_out == len(suspect):
        return result | {"reason": "every judged case is suspect"}
    try:
        result["without"] = evaluate(select(predictions, np.flatnonzero(~suspect)), **arguments)
    except ValueError as error:  # such as a class that only suspects have
        result["reason"] = str(error)
    return result


def _score(development: Development, scores: Float[np.ndarray, "cases questions"]) -> dict[str, Any]:
    """AUROC of out-of-fold scores, the mean over questions, with its interval."""
    patient = patient_codes(development.patient)
    if scores.shape[1] == 1:
        rows = np.flatnonzero(np.isfinite(development.answer[:, 0]))
        found = auroc.auroc(
            scores[rows, 0], development.answer[rows, 0], patient_codes(patient[rows]), fold=development.fold[rows]
        )
    else:
        found = auroc.labels_auroc(scores, development.answer, patient, fold=development.fold)
    return entry(found, len(scores), int(patient.max()) + 1)


def _columns(development: Development, bound: float) -> list[dict[str, Any]]:
    """Every column alone, the best first; whether a value is missing counts as well, and is also judged by itself."""
    found = []
    for name, column in development.columns.items():
        alone = _score(development, giveaways.column_scores(column, development.answer, development.fold))
        missing = np.isnan(column)
        gone = None
        if 0 < missing.sum() < len(missing):
            mask = missing.astype(np.float64)
            gone = _score(development, giveaways.column_scores(mask, development.answer, development.fold))
        about = {"column": name, "input": name in development.inputs, "suspect": (alone["estimate"] or 0.0) >= bound}
        found.append(about | {"auroc": alone, "missing_auroc": gone})
    return sorted(found, key=lambda one: -(one["auroc"]["estimate"] or 0.0))


def _border(development: Development) -> dict[str, Any]:
    """The border alone, beside the whole thumbnail."""
    assert development.pictures is not None
    points = giveaways.border(development.pictures)
    scores = [
        giveaways.picture_scores(development.pictures, development.answer, development.fold, chosen)
        for chosen in (points, None)
    ]
    alone, whole = (_score(development, one) for one in scores)
    return {"border": alone, "whole": whole, "points": int(points.sum()), "of": len(points)}


def _labels(
    dataset: Dataset, plan: Partition | None, found: Twins, development: Development | None
) -> dict[str, Any] | None:
    """How often suspects carry one label, where both are development cases, beside what chance would give."""
    if development is None or not {"label", "labels", "event"} & set(dataset.targets):
        return None
    part = np.asarray(dataset.index.split).astype(str)
    rows = np.flatnonzero(part != "test") if plan is None else plan.development
    answer = np.nan_to_num(development.answer, nan=-1.0)
    codes = np.unique(answer, axis=0, return_inverse=True)[1].reshape(-1)
    label = dict(zip(dataset.index.id[rows].tolist(), codes.tolist(), strict=True))
    both = [one for one in found.pairs if one.ids[0] in label and one.ids[1] in label]
    differ = [one for one in both if label[one.ids[0]] != label[one.ids[1]]]
    share = np.bincount(codes) / len(codes)
    return {
        "pairs": len(both),
        "agree": len(both) - len(differ),
        "by_chance": float((share**2).sum()),
        "differ": [list(one.ids) for one in differ],
    }


def _time(dataset: Dataset, part: Shaped[np.ndarray, " cases"]) -> list[dict[str, Any]]:
    found = []
    for name in giveaways.times(dataset):
        counts = giveaways.later_than_test(giveaways.coded(dataset.index.attributes[name]), part)
        if counts is not None:
            found.append({"attribute": name, "train": counts[0], "later": counts[1]})
    return found
