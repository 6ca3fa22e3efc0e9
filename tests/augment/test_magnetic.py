"""Bias field, ghosts and motion: what the physics says about each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import augment
from medjax.errors import InputError

KEYS = jax.random.split(jax.random.key(2), 6)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("space", [(24, 30), (9, 10, 11)])
def test_a_bias_field_is_smooth_positive_and_within_its_bounds(space):
    name = "image" if len(space) == 2 else "volume"
    x = jnp.asarray(RNG.uniform(0.2, 1, (*space, 2)), jnp.float32)
    run = jax.jit(jax.vmap(lambda key: augment.random_bias_field(key, {name: x}, strength=0.5, degree=2)[name]))
    logs = np.log(np.asarray(run(KEYS)) / np.asarray(x))
    np.testing.assert_allclose(logs[..., 0], logs[..., 1], atol=1e-5)  # one field for all channels
    logs = logs[..., 0]
    assert np.abs(logs).max() <= np.log(1.5) + 1e-5
    assert np.abs(logs).max(tuple(range(1, logs.ndim))).min() > 1e-3
    for axis in range(1, logs.ndim):  # a polynomial of degree 2: third differences vanish
        np.testing.assert_allclose(np.diff(logs, 3, axis=axis), 0, atol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_ghosts_take_lines_of_k_space_along_one_axis(axis):
    x = jnp.asarray(RNG.uniform(size=(48, 40, 1)), jnp.float32)
    settings = {"strength": 1, "ghosts": (4, 4), "axis": axis}
    run = jax.jit(jax.vmap(lambda key: augment.random_ghosting(key, {"image": x}, **settings)["image"]))
    for found in np.asarray(run(KEYS))[:3]:
        before, after = (np.fft.fft(np.asarray(one, float), axis=axis) for one in (x, found))
        kept = np.abs(after).sum(axis=(1 - axis, 2)) / np.abs(before).sum(axis=(1 - axis, 2))
        lost = np.arange(x.shape[axis]) % 4 == 0
        lost[0] = False
        np.testing.assert_allclose(kept[~lost], 1, atol=1e-4)
        np.testing.assert_allclose(kept[lost], kept[lost][0], atol=1e-4)
        assert kept[lost][0] < 0.99
        np.testing.assert_allclose(found.mean(), x.mean(), atol=1e-5)  # the centre of k-space is the mean


def test_a_point_has_as_many_ghosts_as_asked_for():
    point = np.zeros((60, 9, 1), np.float32)
    point[10, 4] = 1
    run = jax.jit(lambda key, x: augment.random_ghosting(key, {"image": x}, strength=1, ghosts=(5, 5))["image"])
    found = np.asarray(run(KEYS[0], point))
    ghosts = np.sort(np.argsort(-np.abs((found - point)[:, 4, 0]))[:5])
    np.testing.assert_array_equal(ghosts, [10, 22, 34, 46, 58])
    assert np.all(found[:, :4] == 0)


@pytest.mark.parametrize("space", [(32, 28), pytest.param((12, 14, 10), marks=pytest.mark.slow)])
def test_motion_mixes_lines_of_poses_and_keeps_the_centre(space):
    name = "image" if len(space) == 2 else "volume"
    grid = np.meshgrid(*(np.linspace(-1, 1, side) for side in space), indexing="ij")
    x = jnp.asarray((sum(g**2 for g in grid) < 0.4)[..., None], jnp.float32)
    run = jax.jit(jax.vmap(lambda key: augment.random_motion(
        key, {name: x}, rotation=20, translation=0.1, moves=1, axis=1)[name]))  # fmt: skip
    for found in np.asarray(run(KEYS), float):
        change = np.abs(np.fft.fft(found - x, axis=1)).sum(axis=tuple(k for k in range(found.ndim) if k != 1))
        assert change[0] < 1e-3  # the centre, so that the segmentation fits
        assert change.max() > 0.1
        moved = change[1 : space[1] // 2] > 1e-3  # one jump: from some line on
        assert np.all(np.diff(moved.astype(int)) >= 0)


@pytest.mark.slow
def test_nothing_moves_where_the_body_does_not_change_by_moving():
    flat = jnp.full((20, 22, 1), 0.7)
    found = augment.random_motion(KEYS[0], {"image": flat}, rotation=30, translation=0.2)["image"]
    np.testing.assert_allclose(found, flat, atol=1e-5)


def test_wrong_settings_are_named():
    case = {"image": jnp.ones((8, 8, 1))}
    with pytest.raises(InputError, match=r"ghosts=\(5, 3\)"):
        augment.random_ghosting(KEYS[0], case, strength=0.5, ghosts=(5, 3))
    with pytest.raises(InputError, match="strength=2"):
        augment.random_ghosting(KEYS[0], case, strength=2)
    with pytest.raises(InputError, match="axes 0 to 1"):
        augment.random_motion(KEYS[0], case, axis=2)
