"""Which cases are shown, which slice of them, and the file that a run keeps them in."""

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence.predictions import Predictions
from medjax.report import overlays


def predictions(dice: list[float]) -> Predictions:
    cases = len(dice)
    return Predictions(
        id=np.array([f"case_{k}" for k in range(cases)]),
        group=np.array([f"case_{k}" for k in range(cases)]),
        target=np.ones((cases, 1)),
        values=np.stack([dice, dice], -1)[None],
        replicate=np.array([0]),
        seed=np.array([0]),
        fold=np.full(cases, -1),
        kind="segmentation",
        classes=("lesion",),
        measures=("dice", "iou"),
    )


def test_worst_median_and_best_are_chosen_by_dice():
    found = overlays.chosen(predictions([0.5, 0.9, 0.1, 0.7, 0.3, 0.8, 0.2]))
    expected = [("worst", 2), ("worst", 6), ("median", 0), ("median", 3), ("best", 1), ("best", 5)]
    assert found == [(rank, f"case_{k}") for rank, k in expected]
    from dataclasses import replace

    empty = predictions([0.5, 1.0, 0.1, 0.7, 0.3, 1.0, 0.0])
    found = overlays.chosen(replace(empty, target=np.array([[1.0], [0], [1], [1], [1], [0], [0]])))
    expected = [("worst", 6), ("worst", 2), ("median", 0), ("median", 3), ("best", 4)]
    assert found == [
        (rank, f"case_{k}") for rank, k in expected
    ]  # an invented mask is shown, empty ones that agree are not
    few = overlays.chosen(predictions([0.5, 0.9, 0.1]))
    assert sorted(name for _, name in few) == ["case_0", "case_1", "case_2"]  # none twice


def test_the_slice_with_most_of_the_truth_is_cut_across_the_widest_spacing(tmp_path):
    truth = np.zeros((60, 50, 5), np.uint8)
    truth[20:24, 30:34, 3] = 2
    truth[20, 30, 1] = 1
    volume = np.random.default_rng(0).normal(size=(*truth.shape, 2)).astype(np.float32)
    one = overlays.overlay("worst", "a", volume, truth, np.roll(truth, 1, 0), (0.5, 0.7, 3.0))
    assert (one.slice, one.slices, one.spacing) == (3, 5, (0.5, 0.7))
    assert one.truth.sum() == 2 * 16
    assert one.image.shape == one.truth.shape == one.prediction.shape == (29, 28)  # 12 pixels around 5 x 4
    assert one.image.dtype == np.uint8
    empty = overlays.overlay("best", "b", volume, 0 * truth, 0 * truth, (3.0, 0.5, 0.5))
    assert (empty.slice, empty.truth.shape) == (30, (50, 5))
    colour = np.random.default_rng(0).integers(0, 255, (700, 40, 3)).astype(np.uint8)
    wide = np.ones((700, 40), np.uint8)
    large = overlays.overlay("best", "c", colour, wide, wide, (1.0, 1.0))
    assert large.image.shape == (234, 14, 3)
    assert large.spacing == (3.0, 3.0)
    path = tmp_path / overlays.path_of("test")
    overlays.write(path, ("x", "y"), [one, large])
    names, back = overlays.read(path)
    assert names == ("x", "y")
    for old, new in zip((one, large), back, strict=True):
        assert (old.rank, old.id, old.spacing, old.slice, old.slices) == (
            new.rank,
            new.id,
            new.spacing,
            new.slice,
            new.slices,
        )
        for key in ("image", "truth", "prediction"):
            np.testing.assert_array_equal(getattr(old, key), getattr(new, key))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="damaged"):
        overlays.read(path)
