"""Single cases worth a look: the most confidently wrong, and those the model knew least about. Named by their id alone."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np

from medjax.evidence.predictions import Predictions, ensemble, known, select
from medjax.metrics.ordinal import median_grade
from medjax.report.page import masks, time_to_event
from medjax.report.page.reading import RunFolder
from medjax.report.page.tables import Table, make

LISTED = 12
_LARGEST = 100_000  # bytes of a picture; all of them together must leave the page below five megabytes

Thumbnails = Callable[[list[str]], dict[str, bytes]]


def hardest(run: RunFolder) -> list[Table]:
    """Tables of cases, each with the ids of its rows in "ids"."""
    predictions = run.judged
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    if predictions.kind == "value":
        return [_values(predictions)]
    if predictions.kind == "survival":
        return time_to_event.surprising(predictions)
    if predictions.kind == "segmentation":
        return [masks.lowest(run)]
    if predictions.kind == "labels":
        return [_labels(predictions, float(run.evaluation.get("threshold", 0.5)))]
    return _classes(predictions, run.evaluation)


def _table(caption: str, head: list[str], ids: np.ndarray, rows: list[list[str]], notes: list[str]) -> Table:
    return make(caption, ["case", *head], [[str(name), *row] for name, row in zip(ids, rows, strict=True)], notes) | {
        "ids": [str(name) for name in ids]
    }


def _classes(predictions: Predictions, evaluation: dict[str, Any]) -> list[Table]:
    mean, target, names = ensemble(predictions), predictions.target, predictions.classes
    hard, margin, rule = _decisions(mean, predictions, evaluation)
    own = mean[np.arange(len(mean)), target]
    single = np.stack([_decisions(one, predictions, evaluation)[0] for one in predictions.values])
    wrong = single != target

    def row(k: np.integer) -> list[str]:
        seeds = f"{int(wrong[:, k].sum())} of {len(wrong)}"
        return [names[target[k]], names[hard[k]], f"{own[k]:.3g}", seeds]

    head = ["true class", "said", "probability of the true class", "seeds that are wrong"]
    mistakes = np.flatnonzero(hard != target)
    worst = mistakes[np.argsort(own[mistakes], kind="stable")][:LISTED]
    least = np.argsort(margin, kind="stable")[:LISTED]
    few = f"{len(mistakes)} of {len(mean)} cases are wrong."
    return [
        _table("Most confidently wrong", head, predictions.id[worst], [row(k) for k in worst], [few, rule]),
        _table(
            "Hardest: nearest to the decision", head, predictions.id[least], [row(k) for k in least],
            ["The cases whose answer a small change would turn."],
        ),
    ]  # fmt: skip


def _decisions(
    values: np.ndarray, predictions: Predictions, evaluation: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray, str]:
    """The class that is said, how far each case lies from another answer, and the rule in words."""
    threshold, positive = evaluation.get("threshold"), evaluation.get("counts", {}).get("positive")
    if predictions.kind == "grade":
        ordered = np.sort(values, axis=-1)
        return median_grade(values), ordered[:, -1] - ordered[:, -2], "Said is the median of the probabilities."
    if threshold is not None and positive in predictions.classes:
        index = predictions.classes.index(positive)
        said = np.where(values[:, index] >= threshold, index, 1 - index)
        return (
            said,
            np.abs(values[:, index] - threshold),
            f"{positive} is said from a probability of {threshold:.4g} on.",
        )
    ordered = np.sort(values, axis=-1)
    return values.argmax(-1), ordered[:, -1] - ordered[:, -2], "Said is the most probable class."


def _labels(predictions: Predictions, threshold: float) -> Table:
    mean, target = ensemble(predictions), predictions.target
    wrong = np.isfinite(target) & ((mean >= threshold) != (target == 1))
    case, label = np.nonzero(wrong)
    own = np.where(target[case, label] == 1, mean[case, label], 1 - mean[case, label])
    order = np.argsort(own, kind="stable")[:LISTED]
    rows = [
        [predictions.classes[label[k]], "present" if target[case[k], label[k]] == 1 else "absent",
         f"{mean[case[k], label[k]]:.3g}"]
        for k in order
    ]  # fmt: skip
    note = f"{len(case)} wrong answers among {int(np.isfinite(target).sum())} known ones, at a threshold of {threshold:.4g}."
    head = ["label", "truth", "probability of the label"]
    return _table("Most confidently wrong answers", head, predictions.id[case[order]], rows, [note])


def _values(predictions: Predictions) -> Table:
    predicted, observed = ensemble(predictions)[:, 0], predictions.target
    spread = predictions.values[:, :, 0].std(axis=0)
    worst = np.argsort(-np.abs(predicted - observed), kind="stable")[:LISTED]
    rows = [
        [f"{observed[k]:.5g}", f"{predicted[k]:.5g}", f"{predicted[k] - observed[k]:+.4g}", f"{spread[k]:.3g}"]
        for k in worst
    ]
    head = ["observed", "predicted", "difference", "sd between seeds"]
    return _table("Largest errors", head, predictions.id[worst], rows, [])


def pictures(tables: list[Table], thumbnails: Thumbnails | None) -> dict[str, str]:
    """Data addresses of the pictures of the cases in these tables; without a loader, or of other formats, none."""
    if thumbnails is None:
        return {}
    ids = list(dict.fromkeys(name for one in tables for name in one["ids"]))
    found = {}
    for name, content in thumbnails(ids).items():
        kinds = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"}
        kind = next((kind for start, kind in kinds.items() if content.startswith(start)), None)
        if name in ids and kind and len(content) <= _LARGEST:
            found[name] = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return found
