"""The operating-point slider: what the page needs to recount cases at any threshold without a network."""

from typing import Any

import numpy as np

from medjax.evidence.intervals import normal_quantile
from medjax.evidence.predictions import ensemble, known
from medjax.report.page.reading import RunFolder
from medjax.report.page.tables import clustered

LEVELS = 5000  # scores in the page; neighbours are joined beyond


def data(run: RunFolder) -> dict[str, Any] | None:
    """Sorted scores with the cases of each class at them; None unless there are two classes.

    "levels" rise; "negatives" and "positives" count the cases with that score. Of more than `LEVELS` different scores
    neighbours are joined, never across the frozen threshold ("joined" says so).
    """
    evaluation, predictions = run.evaluation, run.judged
    threshold = evaluation.get("threshold")
    positive = evaluation.get("counts", {}).get("positive")
    if predictions.kind != "probability" or len(predictions.classes) != 2 or threshold is None:
        return None
    if positive not in predictions.classes:
        return None
    index = predictions.classes.index(positive)
    there = known(predictions)
    score, target = ensemble(predictions)[there, index], predictions.target[there] == index
    levels, place = np.unique(score, return_inverse=True)
    counts = np.stack([np.bincount(place, target == own, len(levels)) for own in (False, True)]).astype(int)
    joined = len(levels) > LEVELS
    if joined:
        starts = np.unique(np.linspace(0, len(levels), LEVELS, endpoint=False).astype(int))
        starts = np.unique(np.append(starts, min(np.searchsorted(levels, threshold), len(levels) - 1)))
        levels, counts = levels[starts], np.add.reduceat(counts, starts, axis=1)
    stated = [one.get("prevalence") for one in evaluation.get("predictive_values", [])]
    return {
        "levels": levels.tolist(),
        "negatives": counts[0].tolist(),
        "positives": counts[1].tolist(),
        "threshold": float(threshold),
        "prevalence": stated[0] if stated else float(target.mean()),
        "quantile": normal_quantile(evaluation.get("level", 0.95)),
        "level": evaluation.get("level", 0.95),
        "clustered": clustered(predictions),
        "joined": joined,
        "positive": positive,
        "negative": predictions.classes[1 - index],
    }
