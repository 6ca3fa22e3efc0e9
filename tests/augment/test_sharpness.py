"""Blur against SciPy, round in millimetres; sharpening is its opposite; coarse voxels keep what a scan contains."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from medjax import augment
from medjax.augment.sharpness import gaussian

RNG = np.random.default_rng(0)
KEY = jax.random.key(5)


@pytest.mark.parametrize(("space", "deviations"), [((15, 12), (1.3, 0.6)), ((6, 9, 8), (0.5, 2.0, 0.0))])
def test_blur_agrees_with_scipy(space, deviations):
    x = RNG.normal(size=(*space, 2)).astype(np.float32)
    found = jax.jit(gaussian, static_argnums=2)(x, np.array(deviations, np.float32), 7)
    wide = x.astype(float)
    for axis, deviation in enumerate(deviations):
        if deviation:
            wide = ndimage.gaussian_filter1d(wide, deviation, axis=axis, mode="mirror", radius=7)
    np.testing.assert_allclose(found, wide, atol=1e-5)


@pytest.mark.slow
def test_blur_is_round_in_millimetres_and_as_wide_as_it_says():
    point = jnp.zeros((21, 41, 41, 1)).at[10, 20, 20].set(1.0)
    case = {"volume": point, "spacing": jnp.asarray([2.0, 1.0, 1.0])}
    widths = []
    for number in range(5):
        found = np.asarray(augment.random_blur(jax.random.key(number), case, deviation=4)["volume"][..., 0], float)
        assert abs(found.sum() - 1) < 1e-5
        away = [np.arange(side) - side // 2 for side in found.shape]
        lines = [found.sum(axis=tuple({0, 1, 2} - {k})) for k in range(3)]
        spread = [np.sqrt((line * a**2).sum()) * mm for line, a, mm in zip(lines, away, (2, 1, 1), strict=True)]
        assert abs(spread[1] - spread[2]) < 1e-4
        if spread[1] > 1.5:  # finer ones are not resolved by voxels of 2 mm
            assert abs(spread[0] / spread[1] - 1) < 0.05
        widths.append(spread[1])
    assert 2 < max(widths) < 4


def test_sharpening_steepens_an_edge_and_keeps_the_mean():
    edge = ndimage.gaussian_filter(np.repeat([0.0, 1.0], 20)[None].repeat(9, 0), 2.0)[..., None].astype(np.float32)
    found = np.asarray(jax.jit(lambda x: augment.random_sharpen(KEY, {"image": x}, strength=3)["image"])(edge))
    assert np.diff(found[4, :, 0]).max() > 1.1 * np.diff(edge[4, :, 0]).max()
    np.testing.assert_allclose(found.mean(), edge.mean(), atol=1e-3)


@pytest.mark.slow
def test_coarse_voxels_keep_the_mean_and_straight_lines_and_lose_detail():
    for number in range(4):
        key = jax.random.key(number)
        ramp = jnp.tile(jnp.arange(24.0), (24, 1))[..., None]
        found = augment.random_low_resolution(key, {"image": ramp}, factor=4)["image"]
        np.testing.assert_allclose(found[8:16, 8:16], ramp[8:16, 8:16], atol=0.13)
        noise = jnp.asarray(RNG.normal(size=(24, 24, 1)), jnp.float32)
        along = augment.random_low_resolution(key, {"image": noise}, factor=4, axes=0)["image"]
        assert np.abs(np.diff(along, axis=0)).mean() < 0.9 * np.abs(np.diff(noise, axis=0)).mean()
        flat = augment.random_low_resolution(key, {"image": jnp.full((5, 6, 1), 0.3)}, factor=4)["image"]
        np.testing.assert_allclose(flat, 0.3, atol=1e-6)
