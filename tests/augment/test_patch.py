"""Patches: where they lie follows from the key alone, inside the case, and around foreground as often as asked."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.augment import apply_batch
from medjax.augment.patch import random_patch
from medjax.errors import InputError
from medjax.segmentation_losses import UNKNOWN

SHAPE = (4, 6)


def canvas(space=(12, 16), inside=(slice(1, 11), slice(2, 15)), marked=()):
    """A case on its canvas whose intensities are the positions, with marked voxels of classes 1, 2, ..."""
    labels = np.full(space, UNKNOWN, np.uint8)
    labels[inside] = 0
    for number, place in enumerate(marked, start=1):
        labels[place] = number
    image = np.stack(np.meshgrid(*map(np.arange, space), indexing="ij"), -1).astype(np.float32)
    return {"image": jnp.asarray(image), "segmentation": jnp.asarray(labels)}


def draws(case, foreground, classes=3, count=400, shape=SHAPE):
    keys = jax.random.split(jax.random.key(0), count)
    run = jax.jit(jax.vmap(lambda key: random_patch(key, case, shape=shape, foreground=foreground, classes=classes)))
    return jax.tree.map(np.asarray, run(keys))


def test_image_and_mask_move_together_and_stay_inside_the_case():
    case = canvas(marked=[(3, 4), (9, 13)])
    found = draws(case, 0.5)
    assert found["image"].shape == (400, *SHAPE, 2)
    assert found["segmentation"].shape == (400, *SHAPE)
    rows, columns = found["image"][..., 0].astype(int), found["image"][..., 1].astype(int)
    np.testing.assert_array_equal(found["segmentation"], np.asarray(case["segmentation"])[rows, columns])
    assert not (found["segmentation"] == UNKNOWN).any()
    np.testing.assert_array_equal(np.unique(rows[:, 0, 0]), np.arange(1, 8))  # every place is drawn
    np.testing.assert_array_equal(np.unique(columns[:, 0, 0]), np.arange(2, 10))


def test_foreground_patches_hold_each_class_equally_often_however_small_it_is():
    case = canvas(marked=[(1, 2)])
    labels = np.asarray(case["segmentation"]).copy()
    labels[6:11, 9:15] = 2  # thirty voxels of class 2, one of class 1, far apart
    found = draws({**case, "segmentation": jnp.asarray(labels)}, 1.0)["segmentation"].reshape(400, -1)
    first, second = (found == 1).any(1), (found == 2).any(1)
    assert (first | second).all()
    assert 0.42 < first.mean() < 0.58
    assert draws({**case, "segmentation": jnp.asarray(labels)}, 0.0)["segmentation"].reshape(400, -1).max(1).min() == 0


def test_a_foreground_patch_has_its_voxel_in_the_middle_and_axes_are_drawn_apart():
    case = canvas(marked=[(6, 8)])
    corner = draws(case, 1.0, count=20)["image"][:, 0, 0]
    np.testing.assert_array_equal(corner, np.broadcast_to([6 - SHAPE[0] // 2, 8 - SHAPE[1] // 2], (20, 2)))
    row = np.asarray(case["segmentation"]).copy()
    row[6, 5:10] = 1
    corners = draws({**case, "segmentation": jnp.asarray(row)}, 1.0, count=60)["image"][:, 0, 0, 1]
    np.testing.assert_array_equal(np.unique(corners), np.arange(5, 10) - SHAPE[1] // 2)  # any voxel of the class
    square = canvas(inside=(slice(1, 11), slice(2, 14)))  # as many places along both axes: one key would be one place
    assert len(np.unique(draws(square, 0.0)["image"][:, 0, 0], axis=0)) > 45  # of 7 times 7


def test_a_short_case_stands_in_the_middle_and_one_without_foreground_is_drawn_anywhere():
    short = canvas(inside=(slice(5, 7), slice(2, 15)))
    found = draws(short, 1.0)
    np.testing.assert_array_equal(found["segmentation"][:, 0], UNKNOWN)
    np.testing.assert_array_equal(found["segmentation"][:, 1:3], 0)
    assert len(np.unique(found["image"][:, 0, 0, 1])) == 8


def test_a_place_depends_on_seed_step_and_case_only():
    one = canvas(marked=[(3, 4)])
    batch = jax.tree.map(lambda x: jnp.stack([x, x, x]), one)
    functions = (partial(random_patch, shape=SHAPE, foreground=0.3, classes=2),)

    @jax.jit
    def run(step, index):
        return apply_batch(functions, jax.random.key(7), step, index, batch)["image"]

    first, swapped, later = (
        run(step, jnp.asarray(index)) for step, index in ((5, [3, 8, 4]), (5, [4, 3, 8]), (6, [3, 8, 4]))
    )
    np.testing.assert_array_equal(first[0], swapped[1])
    np.testing.assert_array_equal(first[2], swapped[0])
    assert (np.asarray(first) != np.asarray(later)).any()


def test_a_patch_larger_than_the_canvas_or_a_case_without_a_mask_is_refused():
    with pytest.raises(InputError, match="none larger"):
        random_patch(jax.random.key(0), canvas(), shape=(20, 4), foreground=0.3, classes=2)
    with pytest.raises(InputError, match="needs a segmentation"):
        random_patch(jax.random.key(0), {"image": canvas()["image"]}, shape=SHAPE, foreground=0.3, classes=2)
