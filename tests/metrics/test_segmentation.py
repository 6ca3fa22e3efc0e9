"""Numbers worked out by hand, agreement with all-pairs distances, what must not change a metric, and empty masks."""

import itertools
import math

import numpy as np
import pytest

from medjax.metrics import segmentation as metrics


def blobs(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Smooth random labels 0, 1, 2."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2)
    return np.digitize(field, np.quantile(field, [0.6, 0.85])).astype(np.uint8)


def by_hand(mask: np.ndarray, spacing) -> np.ndarray:
    """The surface voxels in mm, found voxel by voxel: a neighbour by a face is missing."""
    points = []
    for place in np.argwhere(mask):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            other = place.copy()
            other[axis] += step
            outside = not 0 <= other[axis] < mask.shape[axis]
            if outside or not mask[tuple(other)]:
                points.append(place * np.asarray(spacing))
                break
    return np.array(points)


@pytest.mark.parametrize(
    ("shape", "spacing"), [((12, 14), (0.7, 2.0)), ((7, 9, 8), (3.0, 0.5, 1.2)), ((6, 6, 1), (1, 1, 5))]
)
def test_surface_metrics_agree_with_all_pairs_of_surface_voxels(shape, spacing):
    prediction, truth = blobs(shape, 1), blobs(shape, 2)
    found = metrics.measures(prediction, truth, spacing, 3, tolerance=1.3)
    for number in (1, 2):
        ours, theirs = by_hand(prediction == number, spacing), by_hand(truth == number, spacing)
        pairs = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
        there, back = pairs.min(1), pairs.min(0)
        row = dict(zip(metrics.MEASURES, found[number - 1], strict=True))
        assert row["hausdorff_95"] == pytest.approx(max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-12)
        everything = np.concatenate([there, back])
        assert row["mean_surface_distance"] == pytest.approx(everything.mean(), rel=1e-12)
        assert row["surface_dice"] == (everything <= 1.3 + 1e-9).mean()
        said, own = set(np.flatnonzero(prediction == number)), set(np.flatnonzero(truth == number))
        assert row["dice"] == pytest.approx(2 * len(said & own) / (len(said) + len(own)))
        assert row["iou"] == pytest.approx(row["dice"] / (2 - row["dice"]))


def test_two_boxes_worked_out_by_hand():
    """Boxes of 2 x 3 x 4 voxels, one moved by two voxels of 2 mm: half of each lies in the other."""
    truth, prediction = np.zeros((4, 5, 10), np.uint8), np.zeros((4, 5, 10), np.uint8)
    truth[1:3, 1:4, 2:6] = 1
    prediction[1:3, 1:4, 4:8] = 1
    row = dict(zip(metrics.MEASURES, metrics.measures(prediction, truth, (1, 1, 2), 2, tolerance=1.9)[0], strict=True))
    assert row["dice"] == 0.5
    assert row["iou"] == pytest.approx(1 / 3)
    assert row["volume"] == pytest.approx(0.048)  # 24 voxels of 2 mm3
    assert row["volume_error"] == 0
    # The box is two voxels thick, so all 24 are surface; planes lie 4 (6 voxels), 2 (6), 0 (12) mm from the other box.
    assert row["mean_surface_distance"] == pytest.approx((6 * 4 + 6 * 2) / 24)
    assert row["hausdorff_95"] == 4
    assert row["surface_dice"] == 0.5
    assert (row["lesions"], row["lesions_found"], row["lesions_false"]) == (1, 1, 0)


def test_order_of_axes_mirrors_and_shifts_change_nothing():
    prediction, truth, spacing = blobs((6, 7, 8), 3), blobs((6, 7, 8), 4), (1.0, 2.0, 0.5)
    expected = metrics.measures(prediction, truth, spacing, 3)
    for change, steps in (
        (lambda x: x.transpose(2, 0, 1), (0.5, 1.0, 2.0)),
        (lambda x: x[::-1, :, ::-1], spacing),
        (lambda x: np.pad(x, ((3, 1), (0, 2), (1, 0))), spacing),
    ):
        np.testing.assert_allclose(metrics.measures(change(prediction), change(truth), steps, 3), expected, rtol=1e-12)
    swapped = metrics.measures(truth, prediction, spacing, 3)
    np.testing.assert_allclose(swapped[:, :5], expected[:, :5], rtol=1e-12)  # none of these knows which one is true
    doubled = metrics.measures(prediction, truth, [2 * step for step in spacing], 3)
    np.testing.assert_allclose(doubled[:, [3, 4]], 2 * expected[:, [3, 4]], rtol=1e-12)
    np.testing.assert_allclose(doubled[:, 5], 8 * expected[:, 5], rtol=1e-12)


def test_empty_masks_follow_the_rule_and_stay_finite():
    empty, one = np.zeros((3, 4), np.uint8), np.zeros((3, 4), np.uint8)
    one[1, 2] = 1
    diagonal = math.hypot(3 * 2.0, 4 * 1.0)
    both, missed, invented = (
        metrics.measures(*pair, (2.0, 1.0), 2)[0] for pair in ((empty, empty), (empty, one), (one, empty))
    )
    assert both.tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert missed.tolist() == pytest.approx([0, 0, 0, diagonal, diagonal, 0, 2, 1, 0, 0])
    assert invented.tolist() == pytest.approx([0, 0, 0, diagonal, diagonal, 2, 2, 0, 0, 1])
    assert np.isfinite(metrics.measures(one, one, (2.0, 1.0), 5)).all()


def test_lesions_are_counted_by_hand():
    """Three true lesions: one hit, one hit by a tenth of its voxels, one missed; and one false alarm beside them."""
    truth = np.zeros((12, 30), bool)
    truth[0, 0] = truth[1, 1] = True  # one lesion, by a corner
    truth[4, 5:25] = True
    truth[8, 0:2] = True
    prediction = np.zeros_like(truth)
    prediction[1, 1:3] = True
    prediction[4, 5:7] = True
    prediction[11, 20] = True
    assert metrics.lesions(prediction, truth) == (3, 2, 1)
    assert metrics.lesions(prediction, truth, overlap=0.11) == (3, 1, 1)
    assert metrics.lesions(np.zeros_like(truth), truth, overlap=0.0) == (3, 0, 0)  # no voxel at all is no hit
    assert metrics.lesions(truth, truth) == (3, 3, 0)
