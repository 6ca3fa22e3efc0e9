"""What gives the target away: a single column, a missing value, the order of the files, the border of the picture.

Each suspect predicts alone, out of fold by patient; how well is judged by `medjax.report.audit`, which knows intervals.
Only development cases enter, since their targets do.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Shaped

from medjax.data.case import TARGETS
from medjax.data.dataset import Dataset
from medjax.data.partition import Partition, development_source
from medjax.data.split import Folds, assign_folds, moments
from medjax.data.thumbnail import GRIDS, thumbnail

FOLDS = 5
BINS = 16
"""Stretches of equal count into which a column of many values is cut."""
BORDER = 2
"""Width of the border of a thumbnail (of 28 points an image)."""
PENALTIES = tuple(10.0**power for power in range(-2, 5))


@dataclass(frozen=True, eq=False)
class Development:
    """What is known of the cases that training may read, in their order.

    Attributes:
        answer: 1 or 0 for each question, NaN where unknown: classes (one column where there are two), findings, whether a
            value lies above its median, or whether the event was seen.
        questions: what each column of `answer` asks.
        fold: of 5, by patient.
        columns: what could be looked up, by name; numbers, NaN where missing.
        inputs: which of them a model is given.
        pictures: thumbnails, or None.
        patient: of each case.
    """

    answer: Float[np.ndarray, "cases questions"]
    questions: tuple[str, ...]
    fold: Int[np.ndarray, " cases"]
    columns: dict[str, Float[np.ndarray, " cases"]]
    inputs: frozenset[str]
    pictures: Float32[np.ndarray, "cases *grid"] | None
    patient: Shaped[np.ndarray, " cases"]


def read(dataset: Dataset, plan: Partition | None = None) -> Development | None:
    """Read the development cases: all but those of a split "test". None where no target can be asked about."""
    names = np.asarray(dataset.index.split if plan is None else plan.assignment).astype(str)
    rows = np.flatnonzero(names != "test") if plan is None else plan.development
    none = np.zeros(0, np.int64)
    source = development_source(dataset, plan or Partition(names, rows, none, (), folds=False))
    key = next((name for name in GRIDS if name in dataset.inputs), None)
    tables, pictures, sizes, targets = [], [], [], []
    for number in range(len(source)):
        case = source[number]
        targets.append({name: case[name] for name in TARGETS if name in case})
        if "table" in case:
            tables.append(np.asarray(case["table"], np.float64))
        if key is not None:
            pictures.append(thumbnail(case[key], GRIDS[key]))
            sizes.append(np.shape(case[key]))
    found = answers(targets, dataset.classes)
    if found is None:
        return None
    columns = joined(np.stack(tables), dataset.columns) if tables else {}
    given = frozenset(columns)
    for name, values in dataset.index.attributes.items():
        columns.setdefault(f"{name} (attribute)", coded(values[rows]))
    columns["order of the cases"] = _within(rows.astype(np.float64), names[rows])
    columns["number in the id"] = _within(trailing_numbers(dataset.index.id[rows]), names[rows])
    if sizes and len(set(sizes)) > 1:
        for axis in range(len(sizes[0])):
            columns[f"size of {key}, axis {axis}"] = np.array([size[axis] for size in sizes], np.float64)
    return Development(
        answer=found[0],
        questions=found[1],
        fold=assign_folds(dataset.index.group[rows], Folds(FOLDS)),
        columns=columns,
        inputs=given,
        pictures=np.stack(pictures) if pictures else None,
        patient=dataset.index.group[rows],
    )


def answers(
    targets: Sequence[Mapping[str, object]], classes: Sequence[str]
) -> tuple[Float[np.ndarray, "cases questions"], tuple[str, ...]] | None:
    """Turn targets into questions with the answers 0 and 1; None where there is nothing to ask (segmentations)."""
    first = targets[0] if targets else {}
    if "label" in first:
        label = np.array([case["label"] for case in targets], np.int64)
        asked = range(1, 2) if len(classes) == 2 else range(len(classes))
        return (label[:, None] == np.array(asked)).astype(np.float64), tuple(classes[number] for number in asked)
    if "labels" in first:
        return np.stack([np.asarray(case["labels"], np.float64) for case in targets]), tuple(classes)
    if "event" in first:
        return np.array([[case["event"]] for case in targets], np.float64), ("event",)
    if "value" in first:
        value = np.array([case["value"] for case in targets], np.float64)
        return (value > np.median(value)).astype(np.float64)[:, None], ("above the median",)
    return None


def joined(table: Float[np.ndarray, "cases columns"], names: Sequence[str]) -> dict[str, Float[np.ndarray, " cases"]]:
    """Put the numbers of one categorical column (`race=asian`, ...) together again: its pattern, NaN where missing."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(name.partition("=")[0], []).append(place)
    found = {}
    for name, own in places.items():
        if len(own) == 1:
            found[name] = table[:, own[0]]
            continue
        known = np.isfinite(table[:, own]).all(1)
        found[name] = np.full(len(table), np.nan)
        found[name][known] = np.unique(table[known][:, own], axis=0, return_inverse=True)[1].reshape(-1)
    return found


def coded(values: Shaped[np.ndarray, " cases"]) -> Float[np.ndarray, " cases"]:
    """Numbers for text: the numbers or dates that it holds, otherwise the number of each word; NaN where empty."""
    known = values != ""
    found = np.full(len(values), np.nan)
    if known.any():
        try:
            found[known] = moments(values[known], "attribute")
        except ValueError:
            found[known] = np.unique(values[known], return_inverse=True)[1]
    return found


def trailing_numbers(ids: Shaped[np.ndarray, " cases"]) -> Float[np.ndarray, " cases"]:
    """The last number in each id, NaN where there is none."""
    found = [re.search(r"(\d+)\D*$", str(one)) for one in ids]
    return np.array([float(one.group(1)) if one else np.nan for one in found])


def column_scores(
    column: Float[np.ndarray, " cases"],
    answer: Float[np.ndarray, "cases questions"],
    fold: Int[np.ndarray, " cases"],
    bins: int = BINS,
) -> Float[np.ndarray, "cases questions"]:
    """Predict every answer from one column, out of fold.

    The share of positive cases, drawn towards the overall one by one case, in stretches of equal count (each value by
    itself where there are few), missing values by themselves. Linear order is not assumed: a code or a class name counts.
    """
    scores = np.zeros(answer.shape)
    known = np.isfinite(column)
    for held in np.unique(fold):
        train, inside = fold != held, fold == held
        values = np.unique(column[train & known])
        if len(values) > 2 * bins:
            values = np.unique(np.quantile(column[train & known], np.arange(1, bins) / bins))
            place = np.searchsorted(values, column, "right")
        else:
            place = np.searchsorted((values[1:] + values[:-1]) / 2, column, "right")
        place = np.where(known, place, len(values) + 1)
        for question in range(answer.shape[1]):
            judged = train & np.isfinite(answer[:, question])
            if not judged.any():
                continue
            overall = answer[judged, question].mean()
            size = np.bincount(place[judged], minlength=len(values) + 2)
            positive = np.bincount(place[judged], answer[judged, question], minlength=len(values) + 2)
            scores[inside, question] = ((positive + overall) / (size + 1))[place[inside]]
    return scores


def border(pictures: Float32[np.ndarray, "cases *grid"]) -> Bool[np.ndarray, " points"]:
    """Which points of a thumbnail belong to its border; of a signal its two ends."""
    inside = np.zeros(pictures.shape[1:], bool)
    inside[tuple(slice(BORDER, -BORDER) for _ in inside.shape)] = True
    return ~inside.reshape(-1)


def picture_scores(
    pictures: Float32[np.ndarray, "cases *grid"],
    answer: Float[np.ndarray, "cases questions"],
    fold: Int[np.ndarray, " cases"],
    points: Bool[np.ndarray, " points"] | None = None,
) -> Float[np.ndarray, "cases questions"]:
    """Predict every answer from some points of a thumbnail, their mean and their spread by ridge regression, out of fold.

    The penalty is chosen inside the training folds by generalised cross-validation; unknown answers are left out of it.
    """
    from sklearn.linear_model import RidgeCV

    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    flat = flat if points is None else flat[:, points]
    flat = np.concatenate([flat, flat.mean(1, keepdims=True), flat.std(1, keepdims=True)], axis=1)
    scores = np.zeros(answer.shape)
    for held in np.unique(fold):
        inside = fold == held
        mean, scale = flat[~inside].mean(0), flat[~inside].std(0)
        scaled = (flat - mean) / np.where(scale > 0, scale, 1.0)
        for question in range(answer.shape[1]):
            train = ~inside & np.isfinite(answer[:, question])
            if train.any():
                model = RidgeCV(np.array(PENALTIES) * train.sum() / 100).fit(scaled[train], answer[train, question])
                scores[inside, question] = model.predict(scaled[inside])
    return scores


def times(dataset: Dataset) -> list[str]:
    """Name the attributes that hold dates (as 2024-05-31) all through."""
    found = []
    for name, values in dataset.index.attributes.items():
        texts = [str(value) for value in values if value]
        if texts and all(re.match(r"\d{4}-\d{2}", text) for text in texts):
            found.append(name)
    return found


def later_than_test(moment: Float[np.ndarray, " cases"], part: Shaped[np.ndarray, " cases"]) -> tuple[int, int] | None:
    """Count the training cases, and those of them after the first test case; None where one of the two is not there."""
    train, test = moment[(part == "train") & np.isfinite(moment)], moment[(part == "test") & np.isfinite(moment)]
    if not len(train) or not len(test):
        return None
    return len(train), int((train > test.min()).sum())


def _within(values: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Share of the way through a split, so that splits of different size can be compared."""
    found = np.full(len(values), np.nan)
    for name in np.unique(part):
        rows = np.flatnonzero((part == name) & np.isfinite(values))
        found[rows] = np.unique(values[rows], return_inverse=True)[1] / max(len(rows) - 1, 1)
    return found
