"""The elastic deformation against SciPy, in voxels and millimetres, picture and segmentation together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import interpolate, ndimage

from medjax import augment
from medjax.augment.elastic import FOLDS, spread
from medjax.errors import InputError

RNG = np.random.default_rng(0)
MODES = {"reflect": "mirror", "nearest": "nearest", "constant": "grid-constant"}


@pytest.mark.parametrize("space", [(14, 11), (6, 7, 8)])
@pytest.mark.parametrize("edge", list(MODES))
@pytest.mark.parametrize("order", [0, 1])
def test_reading_between_voxels_agrees_with_scipy(space, edge, order):
    x = RNG.uniform(size=(*space, 2)).astype(np.float32)
    where = [RNG.uniform(-1.7 * size, 2.6 * size, space).astype(np.float32) for size in space]
    run = jax.jit(lambda x, where: augment.resample(x, where, order=order, edge=edge, fill=0.3))
    found = np.asarray(run(x, where))
    for c in (0, 1):
        expected = ndimage.map_coordinates(x[..., c].astype(float), where, order=order, mode=MODES[edge], cval=0.3)
        np.testing.assert_allclose(found[..., c], expected, atol=1e-5)


def test_an_axis_of_one_voxel_is_no_trouble():
    x = RNG.uniform(size=(1, 5, 1)).astype(np.float32)
    here = [np.full((1, 5), 0.4, np.float32), np.arange(5, dtype=np.float32)[None]]
    for found in jax.jit(lambda *given: [augment.resample(*given, edge=e) for e in ("reflect", "nearest")])(x, here):
        np.testing.assert_array_equal(found, x)


def test_the_field_is_a_cubic_b_spline():
    control = RNG.normal(size=(2, 6, 4)).astype(np.float32)
    found = jax.jit(lambda control: spread(control, (13, 9)))(control)
    for k in (0, 1):
        along = control[k].astype(float)
        for axis, size in enumerate((13, 9)):
            points = control.shape[axis + 1]
            spline = interpolate.BSpline(np.arange(-3, points + 1.0), along, 3, axis=axis)
            along = spline(np.linspace(0, points - 3, size))
        np.testing.assert_allclose(found[k], along, atol=1e-5)


@pytest.mark.parametrize("space", [(40, 36), pytest.param((20, 22, 24), marks=pytest.mark.slow)])
def test_image_and_segmentation_move_together_and_nothing_folds(space):
    n, name = len(space), "image" if len(space) == 2 else "volume"
    grid = np.meshgrid(*(np.arange(side, dtype=np.float32) for side in space), indexing="ij")
    ball = sum((axis - side / 2.3) ** 2 for axis, side in zip(grid, space, strict=True)) < (space[0] / 4) ** 2
    strongest = FOLDS * (min(space) - 1) / 3
    # The channels: the label itself, and where every voxel comes from.
    case = {
        name: jnp.asarray(np.stack([ball, *grid], -1), jnp.float32),
        "segmentation": jnp.asarray(ball, jnp.int32),
    }
    run = jax.jit(
        lambda key: augment.random_elastic(key, case, displacement=strongest * 0.999, cells=3, edge="nearest")
    )
    for number in range(4):
        found = jax.tree.map(np.asarray, run(jax.random.key(number)))
        soft, moved = found[name][..., 0], found["segmentation"] == 1
        overlap = ((soft > 0.5) & moved).sum() / ((soft > 0.5) | moved).sum()
        assert overlap > 0.9
        assert (moved & ball).sum() / (moved | ball).sum() < 0.97  # something happened
        inside = (slice(4, -4),) * n
        jacobian = np.stack([np.stack(np.gradient(found[name][..., 1 + k]), -1) for k in range(n)], -1)
        assert np.linalg.det(jacobian[inside]).min() > -1e-3


def test_displacements_are_millimetres_where_the_spacing_is_known():
    grid = np.meshgrid(*(np.arange(30.0),) * 3, indexing="ij")
    case = {"volume": jnp.asarray(np.stack(grid, -1), jnp.float32), "spacing": jnp.asarray([5.0, 1.0, 1.0])}
    keys = jax.random.split(jax.random.key(1), 12)
    found = jax.jit(jax.vmap(lambda k: augment.random_elastic(k, case, displacement=2.5, edge="nearest")["volume"]))
    inside = (slice(None), slice(4, -4), slice(4, -4), slice(4, -4))
    moves = np.abs(np.asarray(found(keys)) - np.asarray(case["volume"]))[inside].reshape(-1, 3)
    spreads = moves.std(0)
    np.testing.assert_allclose(spreads[1:] / spreads[0], 5, rtol=0.3)  # as many millimetres, five times the voxels
    assert moves[:, 0].max() <= 0.5
    assert moves.max() <= 2.5


def test_what_would_fold_is_refused():
    case = {"image": jnp.zeros((21, 21, 1))}
    with pytest.raises(InputError, match="at most 2 voxels"):
        augment.random_elastic(jax.random.key(0), case, displacement=2.1, cells=4)
    with pytest.raises(InputError, match="cells=0"):
        augment.random_elastic(jax.random.key(0), case, displacement=1, cells=0)
    # With a spacing the limit is applied instead: the spacing is known only on the device.
    free = case | {"spacing": jnp.ones(2)}
    found = jax.jit(lambda case: augment.random_elastic(jax.random.key(0), case, displacement=500)["image"])(free)
    assert np.isfinite(found).all()
