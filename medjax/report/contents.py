"""What a data set holds: counts by split and class, sizes, intensities, missing values, some cases to look at."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from medjax.data.case import INPUTS, TARGETS
from medjax.data.source import Source

SHOWN = 8  # images of each class on the contact sheet


@dataclass
class Contents:
    """What is counted while the cases of a split are read once.

    Attributes:
        cases: how many.
        classes: cases of each class, by label; for findings and masks how many have it.
        pixels: pixels or voxels of each class of a mask.
        unknown: cases whose finding is unknown, by position.
        shapes: how often each shape and dtype occurs, by input.
        low, high: the smallest and the largest value, by input.
        sums: count, sum and sum of squares of the known values, by input.
        missing: missing values of each column of the table.
        values: target values (regression, times).
        attributes: values of each attribute and how often they occur.
        examples: some images or volumes of each class.
    """

    cases: int = 0
    classes: Counter = field(default_factory=Counter)
    pixels: Counter = field(default_factory=Counter)
    unknown: Counter = field(default_factory=Counter)
    shapes: dict[str, Counter] = field(default_factory=dict)
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    sums: dict[str, np.ndarray] = field(default_factory=dict)
    missing: np.ndarray | None = None
    values: dict[str, list[float]] = field(default_factory=dict)
    attributes: dict[str, Counter] = field(default_factory=dict)
    examples: dict[int, list[np.ndarray]] = field(default_factory=dict)


def read(source: Source) -> Contents:
    """Read every case of a source once and count."""
    found = Contents(cases=len(source))
    for number in range(len(source)):
        case = source[number]
        for key, value in case.items():
            if key in INPUTS:
                _input(found, key, np.asarray(value))
            elif key in TARGETS:
                _target(found, key, value)
            elif key not in ("id", "group", "spacing") and np.ndim(value) == 0:
                found.attributes.setdefault(key, Counter())[value] += 1
        for row in _rows(case):
            shown = found.examples.setdefault(row, [])
            image = case.get("image", case.get("volume"))
            if image is not None and len(shown) < SHOWN:
                shown.append(np.asarray(image))
    return found


def merge(parts: Iterable[Contents]) -> Contents:
    """Put the shapes, intensities, missing values and attributes of several splits together."""
    whole = Contents()
    for part in parts:
        whole.cases += part.cases
        for key, shapes in part.shapes.items():
            whole.shapes.setdefault(key, Counter()).update(shapes)
            if key in part.low:
                whole.low[key] = min(whole.low.get(key, np.inf), part.low[key])
                whole.high[key] = max(whole.high.get(key, -np.inf), part.high[key])
            whole.sums[key] = whole.sums.get(key, 0) + part.sums[key]
        if part.missing is not None:
            whole.missing = part.missing if whole.missing is None else whole.missing + part.missing
        for key, values in part.attributes.items():
            whole.attributes.setdefault(key, Counter()).update(values)
        for row, images in part.examples.items():
            whole.examples[row] = (whole.examples.get(row, []) + images)[:SHOWN]
    return whole


def _input(found: Contents, key: str, array: np.ndarray) -> None:
    found.shapes.setdefault(key, Counter())[(*array.shape, array.dtype.name)] += 1
    values = array.astype(np.float64)
    known = values[~np.isnan(values)]
    if known.size:
        found.low[key] = min(found.low.get(key, np.inf), float(known.min()))
        found.high[key] = max(found.high.get(key, -np.inf), float(known.max()))
    found.sums[key] = found.sums.get(key, 0) + np.array([known.size, known.sum(), (known**2).sum()])
    if key == "table":
        lacks = np.isnan(values).astype(int)
        found.missing = lacks if found.missing is None else found.missing + lacks


def _target(found: Contents, key: str, value: Any) -> None:
    if key == "label":
        found.classes[int(value)] += 1
    elif key == "labels":
        for position, known in enumerate(np.asarray(value)):
            found.classes[position] += int(known == 1)
            found.unknown[position] += int(np.isnan(known))
    elif key == "segmentation":
        for position, pixels in enumerate(np.bincount(np.asarray(value).ravel()).tolist()):
            found.classes[position] += int(pixels > 0)
            found.pixels[position] += pixels
    elif np.ndim(value) == 0:
        found.values.setdefault(key, []).append(float(value))


def _rows(case: dict[str, Any]) -> list[int]:
    """The rows of the contact sheet on which a case belongs: its class, or each of its findings (-1: none)."""
    if "label" in case:
        return [int(case["label"])]
    if "labels" in case:
        return np.flatnonzero(np.asarray(case["labels"]) == 1).tolist() or [-1]
    return [-1]
