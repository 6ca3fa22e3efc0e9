"""Sliding windows: every voxel is seen, what does not depend on the window comes out exactly, one program serves all sizes."""

import jax
import numpy as np
import pytest

from medjax.segmentation import sliding


def window(function, shape=(4, 6), overlap=0.5, flips=(), batch=1):
    return sliding.Window(
        "image", shape, overlap, flips, batch, lambda variables, fitted, batch: function(batch["image"])
    )


def test_windows_reach_from_edge_to_edge_without_a_gap():
    for size in range(1, 40):
        for overlap in (0.0, 0.25, 0.5, 0.9):
            found = sliding.starts(size, 8, overlap)
            seen = np.zeros(max(size, 8), bool)
            for start in found:
                assert 0 <= start <= max(size - 8, 0)
                seen[start : start + 8] = True
            assert seen.all()
            assert max(np.diff(found), default=0) <= max(8 * (1 - overlap), 1)
    assert sliding.starts(16, 8, 0.5) == [0, 4, 8]


def test_the_gaussian_is_symmetric_largest_in_the_middle_and_never_zero():
    weights = sliding.gaussian((5, 8))
    assert weights[2, 3] == weights[2, 4] == weights.max() == 1
    np.testing.assert_allclose(weights, weights[::-1, ::-1], rtol=1e-6)
    assert weights[2, 7] == pytest.approx(np.exp(-(3.5**2) / 2) / np.exp(-(0.5**2) / 2), rel=1e-5)
    assert sliding.gaussian((64, 64, 64)).min() > 0


@pytest.mark.parametrize("batch", [1, 3])
def test_a_prediction_voxel_by_voxel_does_not_feel_windows_flips_or_batches(batch):
    rng = np.random.default_rng(0)
    for space in ((11, 9), (4, 6), (2, 3), (5, 13)):
        array = rng.random((*space, 2)).astype(np.float32)
        found = sliding.predict(window(np.square, flips=(0, 1), batch=batch), None, None, array)
        np.testing.assert_allclose(found, np.square(array), rtol=1e-5)


def test_where_windows_overlap_the_gaussian_weighs_them():
    """Each window answers its own number; in a line of 6 voxels two windows of 4 meet at voxels 2 and 3."""
    numbers = iter([1.0, 3.0])
    found = sliding.predict(
        window(lambda x: np.full((*x.shape[:-1], 1), next(numbers), np.float32), shape=(4, 1)),
        None,
        None,
        np.zeros((6, 1, 1), np.float32),
    )[:, 0, 0]
    weight = sliding.gaussian((4,))
    middle = [(weight[k + 2] * 1 + weight[k] * 3) / (weight[k + 2] + weight[k]) for k in (0, 1)]
    np.testing.assert_allclose(found, [1, 1, *middle, 3, 3], rtol=1e-6)


def test_flips_average_all_mirror_images_brought_back():
    """A prediction that marks the first column of what it is given marks both ends, half each."""
    array = np.zeros((4, 6, 1), np.float32)

    def first_column(x):
        marked = np.zeros_like(x)
        marked[:, :, 0] = 1
        return marked

    found = sliding.predict(window(first_column, flips=(1,)), None, None, array)
    np.testing.assert_allclose(found[..., 0], np.tile([0.5, 0, 0, 0, 0, 0.5], (4, 1)), atol=1e-7)


def test_one_program_serves_cases_of_any_size():
    traced = []

    @jax.jit
    def predict(variables, fitted, batch):
        traced.append(batch["image"].shape)
        return batch["image"] * variables

    one = sliding.Window("image", (4, 4), 0.5, (), 2, predict)
    for space in ((4, 4), (9, 5), (2, 7)):
        array = np.ones((*space, 1), np.float32)
        np.testing.assert_allclose(sliding.predict(one, 2.0, None, array), 2 * array)
    assert traced == [(2, 4, 4, 1)]
