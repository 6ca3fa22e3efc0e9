from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from medjax import augment
from medjax.errors import InputError

X = np.random.default_rng(0).uniform(0.1, 0.9, (9, 8, 2)).astype(np.float32)
CASE = {"image": X, "segmentation": np.ones((9, 8), np.int32)}
KEYS = jax.random.split(jax.random.key(1), 5)


def each(function, case: dict) -> np.ndarray:
    """The picture `function(key, case)` gives for each key, all of them from one program."""
    found = jax.jit(jax.vmap(lambda key, case: function(key, case), (0, None)))(KEYS, case)
    return np.asarray(found["volume" if "volume" in case else "image"])


@pytest.mark.parametrize(
    ("function", "strong"),
    [
        (augment.random_gamma, {"strength": 0.5}),
        (augment.random_brightness_contrast, {"brightness": 0.2, "contrast": 0.5}),
        (augment.random_noise, {"deviation": 0.3}),
    ],
)
def test_identity_at_zero_and_the_same_key_gives_the_same_picture(function, strong) -> None:
    @jax.jit
    @partial(jax.vmap, in_axes=(0, None))
    def run(key, case):
        found = function(key, case, **strong)
        assert found["segmentation"] is case["segmentation"]
        zero, never = function(key, case, **dict.fromkeys(strong, 0)), function(key, case, **strong, probability=0)
        return zero["image"], never["image"], found["image"]

    still, never, found = map(np.asarray, run(KEYS, CASE))
    np.testing.assert_array_equal(still, np.stack([X] * len(KEYS)))
    np.testing.assert_array_equal(never, still)
    np.testing.assert_array_equal(found, run(KEYS, CASE)[2])
    assert np.abs(found - X).max((1, 2, 3)).min() > 1e-3
    with pytest.raises(InputError, match="rescale"):
        jax.eval_shape(partial(function, **strong), KEYS[0], {"image": np.ones((2, 2, 1), np.uint8)})


def test_gamma_keeps_range_and_order_wherever_the_intensities_lie() -> None:
    gamma = partial(augment.random_gamma, strength=1)
    for x in (X, X * 4 - 2):
        for found in each(gamma, {"image": x}):
            np.testing.assert_allclose([found.min(), found.max()], [x.min(), x.max()], atol=1e-6)
            np.testing.assert_array_equal(np.argsort(found, axis=None), np.argsort(x, axis=None))
    flat = np.full((9, 8, 2), 0.4, np.float32)
    np.testing.assert_array_equal(each(gamma, {"image": flat})[0], flat)


def test_contrast_keeps_the_mean_and_brightness_moves_it_within_bounds() -> None:
    change = augment.random_brightness_contrast
    for stretched, moved in zip(
        each(partial(change, contrast=0.5), CASE), each(partial(change, brightness=0.2), CASE) - X, strict=True
    ):
        assert abs(float(stretched.mean() - X.mean())) < 1e-5
        assert 1 / 1.5 <= float(stretched.std() / X.std()) <= 1.5
        assert float(np.ptp(moved)) < 1e-6
        assert abs(float(moved.mean())) <= 0.2


def test_noise_has_the_stated_spread() -> None:
    volume = {"volume": jnp.zeros((20, 20, 20, 1))}
    run = jax.jit(jax.vmap(lambda key: augment.random_noise(key, volume, deviation=0.3)["volume"].std()))
    deviations = np.asarray(run(jax.random.split(KEYS[0], 50)))
    assert deviations.max() < 0.31
    np.testing.assert_allclose(deviations.mean(), 0.15, atol=0.04)


@pytest.mark.parametrize("side", [40, 41])
def test_noise_is_normal_and_no_voxel_knows_another(side) -> None:
    volume = {"volume": jnp.zeros((side, side, side, 1))}
    run = jax.jit(partial(augment.random_noise, deviation=1.0))
    found = np.asarray(run(KEYS[1], volume)["volume"]).reshape(-1)
    found = found / found.std()
    assert stats.kstest(found, "norm").pvalue > 0.01
    assert abs(stats.kurtosis(found)) < 0.1
    assert abs(np.corrcoef(np.abs(found[:-1]), np.abs(found[1:]))[0, 1]) < 0.02


def test_a_window_is_clip_and_rescale_within_its_bounds() -> None:
    x = np.linspace(-1000, 1000, 401, dtype=np.float32)[None, :, None]
    settings = {"level": 0.1, "width": 0.5, "low": -1000, "high": 1000}
    for found in each(partial(augment.random_window, **settings), {"image": x})[:, 0, :, 0]:
        assert np.all(np.diff(found) >= 0)
        assert found.min() >= -1000
        assert found.max() <= 1000
        inside = (found > -999) & (found < 999)
        slope, offset = np.polyfit(x[0, inside, 0], found[inside], 1)
        np.testing.assert_allclose(found[inside], slope * x[0, inside, 0] + offset, atol=0.1)
        assert slope * 1.0001 >= 1 / 1.5
        assert slope <= 1.5 * 1.0001
        assert abs(-offset / slope) <= 200.1  # the level: where the middle of the range is reached
    # What lies outside of [0, 1] is clipped to the window's ends.
    wide = each(partial(augment.random_window, level=0.1, width=0.1), {"image": X * 9 - 4})[0]
    assert (float(wide.min()), float(wide.max())) == (0, 1)
    with pytest.raises(InputError, match="must lie above"):
        augment.random_window(KEYS[0], CASE, low=1, high=1)
