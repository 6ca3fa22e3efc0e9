import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from medjax import augment
from medjax.errors import InputError

X = jax.random.uniform(jax.random.key(0), (9, 8, 2)) * 0.8 + 0.1
CASE = {"image": X, "segmentation": jnp.ones((9, 8), int)}
KEYS = [jax.random.key(number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("function", "strong"),
    [
        (augment.random_gamma, {"strength": 0.5}),
        (augment.random_brightness_contrast, {"brightness": 0.2, "contrast": 0.5}),
        (augment.random_noise, {"deviation": 0.3}),
    ],
)
def test_identity_at_zero_and_the_same_key_gives_the_same_picture(function, strong) -> None:
    for key in KEYS:
        zero = function(key, CASE, **dict.fromkeys(strong, 0))
        never = function(key, CASE, **strong, probability=0)
        np.testing.assert_array_equal(zero["image"], X)
        np.testing.assert_array_equal(never["image"], X)
        found = function(key, CASE, **strong)
        np.testing.assert_array_equal(found["image"], function(key, CASE, **strong)["image"])
        assert found["segmentation"] is CASE["segmentation"]
        assert np.abs(found["image"] - X).max() > 1e-3
    with pytest.raises(InputError, match="rescale"):
        function(KEYS[0], {"image": jnp.ones((2, 2, 1), jnp.uint8)}, **strong)


def test_gamma_keeps_range_and_order_wherever_the_intensities_lie() -> None:
    for x in (X, X * 4 - 2):
        for key in KEYS:
            found = augment.random_gamma(key, {"image": x}, strength=1)["image"]
            np.testing.assert_allclose([found.min(), found.max()], [x.min(), x.max()], atol=1e-6)
            np.testing.assert_array_equal(np.argsort(found, axis=None), np.argsort(x, axis=None))
    flat = jnp.full((3, 3, 1), 0.4)
    np.testing.assert_array_equal(augment.random_gamma(KEYS[0], {"image": flat}, strength=1)["image"], flat)


def test_contrast_keeps_the_mean_and_brightness_moves_it_within_bounds() -> None:
    for key in KEYS:
        stretched = augment.random_brightness_contrast(key, CASE, contrast=0.5)["image"]
        assert abs(float(stretched.mean() - X.mean())) < 1e-5
        assert 1 / 1.5 <= float(stretched.std() / X.std()) <= 1.5
        moved = augment.random_brightness_contrast(key, CASE, brightness=0.2)["image"] - X
        assert float(jnp.ptp(moved)) < 1e-6
        assert abs(float(moved.mean())) <= 0.2


def test_noise_has_the_stated_spread() -> None:
    volume = {"volume": jnp.zeros((20, 20, 20, 1))}
    deviations = jax.vmap(lambda key: augment.random_noise(key, volume, deviation=0.3)["volume"].std())(
        jax.random.split(KEYS[0], 50)
    )
    assert deviations.max() < 0.31
    np.testing.assert_allclose(deviations.mean(), 0.15, atol=0.04)


@pytest.mark.parametrize("side", [40, 41])
def test_noise_is_normal_and_no_voxel_knows_another(side) -> None:
    volume = {"volume": jnp.zeros((side, side, side, 1))}
    found = np.asarray(augment.random_noise(KEYS[1], volume, deviation=1.0)["volume"]).reshape(-1)
    found = found / found.std()
    assert stats.kstest(found, "norm").pvalue > 0.01
    assert abs(stats.kurtosis(found)) < 0.1
    # Two numbers come from one random word: half of the grid apart.
    half = -(-found.size // 2)
    assert abs(np.corrcoef(found[: found.size - half], found[half:])[0, 1]) < 0.02
    assert abs(np.corrcoef(np.abs(found[:-1]), np.abs(found[1:]))[0, 1]) < 0.02


def test_a_window_is_clip_and_rescale_within_its_bounds() -> None:
    x = jnp.linspace(-1000, 1000, 401)[None, :, None]
    settings = {"level": 0.1, "width": 0.5, "low": -1000, "high": 1000}
    for key in KEYS:
        found = np.asarray(augment.random_window(key, {"image": x}, **settings)["image"][0, :, 0])
        assert np.all(np.diff(found) >= 0)
        assert found.min() >= -1000
        assert found.max() <= 1000
        inside = (found > -999) & (found < 999)
        slope, offset = np.polyfit(np.asarray(x[0, inside, 0]), found[inside], 1)
        np.testing.assert_allclose(found[inside], slope * x[0, inside, 0] + offset, atol=0.1)
        assert slope * 1.0001 >= 1 / 1.5
        assert slope <= 1.5 * 1.0001
        assert abs(-offset / slope) <= 200.1  # the level: where the middle of the range is reached
    # What lies outside of [0, 1] is clipped to the window's ends.
    wide = augment.random_window(KEYS[0], {"image": X * 9 - 4}, level=0.1, width=0.1)["image"]
    assert (float(wide.min()), float(wide.max())) == (0, 1)
    with pytest.raises(InputError, match="must lie above"):
        augment.random_window(KEYS[0], CASE, low=1, high=1)
