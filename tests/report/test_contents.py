"""What is counted of a data set agrees with what was put into it."""

import numpy as np
import pytest

from medjax.data.source import MemorySource
from medjax.report import contents


def cases():
    images = [np.full((4, 4 + k % 2, 1), 10 * k, np.uint8) for k in range(6)]
    return [
        {"id": str(k), "group": str(k), "image": image, "label": k % 2, "site": "AB"[k // 3], "age": 40.0 + k}
        for k, image in enumerate(images)
    ]


def test_counts_sizes_and_intensities():
    found = contents.read(MemorySource(cases()))
    assert found.cases == 6
    assert found.classes == {0: 3, 1: 3}
    assert found.shapes["image"] == {(4, 4, 1, "uint8"): 3, (4, 5, 1, "uint8"): 3}
    assert (found.low["image"], found.high["image"]) == (0, 50)
    count, total, squares = found.sums["image"]
    every = np.concatenate([case["image"].ravel() for case in cases()]).astype(float)
    assert (count, total, squares) == (len(every), every.sum(), (every**2).sum())
    assert found.attributes["site"] == {"A": 3, "B": 3}
    assert [len(images) for images in found.examples.values()] == [3, 3]


def test_missing_values_are_counted_by_column_and_do_not_spoil_the_range():
    table = np.array([[1.0, np.nan], [3.0, np.nan], [np.nan, 2.0]], np.float32)
    rows = [{"id": str(k), "group": str(k), "table": row, "value": 2.0 * k} for k, row in enumerate(table)]
    found = contents.read(MemorySource(rows))
    assert found.missing.tolist() == [1, 2]
    assert (found.low["table"], found.high["table"]) == (1.0, 3.0)
    assert found.values == {"value": [0.0, 2.0, 4.0]}


def test_findings_count_what_is_present_and_what_is_unknown():
    labels = np.array([[1, 0, np.nan], [1, 1, np.nan], [0, 0, 0]], np.float32)
    rows = [
        {"id": str(k), "group": str(k), "image": np.zeros((2, 2, 1), np.uint8), "labels": row}
        for k, row in enumerate(labels)
    ]
    found = contents.read(MemorySource(rows))
    assert [found.classes[k] for k in range(3)] == [2, 1, 0]
    assert [found.unknown[k] for k in range(3)] == [0, 0, 2]
    assert {row: len(images) for row, images in found.examples.items()} == {0: 2, 1: 1, -1: 1}


def test_splits_merge_to_what_reading_all_at_once_gives():
    every = cases()
    whole = contents.read(MemorySource(every))
    merged = contents.merge([contents.read(MemorySource(every[:2])), contents.read(MemorySource(every[2:]))])
    assert merged.cases == whole.cases
    assert merged.shapes == whole.shapes
    assert merged.attributes == whole.attributes
    np.testing.assert_array_equal(merged.sums["image"], whole.sums["image"])
    assert {row: len(images) for row, images in merged.examples.items()} == {0: 3, 1: 3}


@pytest.mark.parametrize("count", [3, 20])
def test_a_sheet_shows_some_images_of_each_class(count):
    rows = [{"id": str(k), "group": str(k), "image": np.zeros((2, 2, 1), np.uint8), "label": 0} for k in range(count)]
    assert len(contents.read(MemorySource(rows)).examples[0]) == min(count, contents.SHOWN)


def test_masks_are_counted_by_class():
    masks = [np.array([[0, 1], [0, 2]], np.uint8), np.array([[0, 0], [0, 2]], np.uint8)]
    image = np.zeros((2, 2, 1), np.uint8)
    rows = [{"id": str(k), "group": str(k), "image": image, "segmentation": mask} for k, mask in enumerate(masks)]
    found = contents.read(MemorySource(rows))
    assert found.classes == {0: 2, 1: 1, 2: 2}
    assert found.pixels == {0: 5, 1: 1, 2: 2}
