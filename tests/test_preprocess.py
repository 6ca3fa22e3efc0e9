from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from medjax import preprocess
from medjax.errors import InputError

RNG = np.random.default_rng(0)


def image(shape=(12, 10, 1), dtype=np.uint8) -> dict:
    array = RNG.integers(0, 256, shape).astype(dtype)
    segmentation = RNG.integers(0, 3, shape[:-1])
    return {"id": "a", "group": "p", "image" if len(shape) == 3 else "volume": array, "segmentation": segmentation}


# Standardisation


def test_standardise_agrees_with_scikit_learn_and_ignores_how_the_data_arrive() -> None:
    table = (RNG.normal(size=(200, 5)) * [1, 10, 0.1, 3, 1] + [0, 1e4, 5, -3, 1]).astype(np.float32)
    table[RNG.uniform(size=table.shape) < 0.1] = np.nan
    whole, rows = preprocess.fit_standardise([table]), preprocess.fit_standardise(row for row in table)
    scaler = StandardScaler().fit(table.astype(np.float64))
    for fitted in (whole, rows):
        np.testing.assert_allclose(fitted["mean"], scaler.mean_, rtol=1e-6)
        np.testing.assert_allclose(fitted["scale"], scaler.scale_, rtol=1e-5)
    expected = np.nan_to_num(scaler.transform(table.astype(np.float64)))
    np.testing.assert_allclose(preprocess.standardise(whole, table), expected, atol=2e-3)


def test_constant_and_empty_columns_stay_finite() -> None:
    table = np.array([[0.1, np.nan, 1e6], [0.1, np.nan, 1e6], [0.1, np.nan, 1e6]], np.float32)
    fitted = preprocess.fit_standardise(table)
    np.testing.assert_array_equal(fitted["scale"], [np.inf] * 3)
    np.testing.assert_array_equal(preprocess.standardise(fitted, table), np.zeros((3, 3)))
    other = np.array(
        [[7.0, 140.0, np.nan]], np.float32
    )  # nothing was learnt of these columns, so nothing is made of them
    np.testing.assert_array_equal(preprocess.standardise(fitted, other), np.zeros((1, 3)))
    np.testing.assert_array_equal(jax.jit(preprocess.standardise)(fitted, jnp.asarray(other)), np.zeros((1, 3)))


def test_standardise_of_channels_on_host_and_device_agree() -> None:
    images = RNG.integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
    fitted = preprocess.fit_standardise(images)
    host = preprocess.standardise(fitted, images)
    device = jax.jit(preprocess.standardise)(jax.tree.map(jnp.asarray, fitted), jnp.asarray(images))
    assert isinstance(host, np.ndarray)
    assert host.dtype == np.float32
    assert device.dtype == jnp.float32
    np.testing.assert_allclose(host, device, atol=1e-6)
    np.testing.assert_allclose(host.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(host.std(axis=(0, 1, 2)), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [([], "no training case"), ([np.ones(2), np.ones(3)], "3 columns"), ([np.array([1.0, np.inf])], "column 1")],
)
def test_fit_standardise_says_what_is_wrong(arrays, message) -> None:
    with pytest.raises(InputError, match=message):
        preprocess.fit_standardise(arrays)


# Intensity


def test_rescale_maps_the_range_to_zero_and_one() -> None:
    case = {"id": "a", "image": np.array([0, 51, 255], np.uint8).reshape(3, 1, 1)}
    np.testing.assert_allclose(preprocess.rescale(case)["image"].ravel(), [0, 0.2, 1])
    wide = {"id": "a", "image": np.array([-2000.0, -1000.0, 200.0, 1400.0], np.float32).reshape(4, 1, 1)}
    found = preprocess.rescale(wide, low=-1000.0, high=1400.0)["image"].ravel()
    np.testing.assert_allclose(found, [-1 / 2.4, 0, 0.5, 1], rtol=1e-6)
    assert preprocess.rescale(wide, low=-1000.0, high=1400.0, clip=True)["image"].min() == 0
    with pytest.raises(InputError, match=r"case a: image is float32.*give low and high"):
        preprocess.rescale(wide)


def test_normalise_by_channel() -> None:
    case = {"id": "a", "image": np.ones((2, 2, 3), np.float32)}
    found = preprocess.normalise(case, mean=(0.0, 1.0, 2.0), std=(1.0, 1.0, 0.5))["image"]
    np.testing.assert_array_equal(found[0, 0], [1, 0, -2])
    with pytest.raises(InputError, match=r"mean has 2 numbers, image 3 channels"):
        preprocess.normalise(case, mean=(0.0, 1.0), std=1.0)
    with pytest.raises(InputError, match="above 0"):
        preprocess.normalise(case, mean=0.0, std=0.0)


# Geometry


def test_resize_to_the_same_shape_changes_nothing() -> None:
    case = image()
    found = preprocess.resize(case, shape=(12, 10))
    np.testing.assert_array_equal(found["image"], case["image"])
    np.testing.assert_array_equal(found["segmentation"], case["segmentation"])


def test_resize_keeps_constants_type_and_range() -> None:
    for dtype in (np.uint8, np.float32):
        case = {"id": "a", "image": np.full((20, 30, 3), 200, dtype)}
        for shape in ((7, 9), (31, 40)):
            found = preprocess.resize(case, shape=shape)["image"]
            assert found.shape == (*shape, 3)
            assert found.dtype == dtype
            np.testing.assert_allclose(found, 200, rtol=1e-5)


def test_anti_aliasing_averages_a_texture_that_sampling_would_alias() -> None:
    stripes = np.zeros((64, 64, 1), np.float32)
    stripes[:, ::2] = 1.0
    case = {"id": "a", "image": stripes}
    middle = (slice(4, 12), slice(4, 12))
    smooth = preprocess.resize(case, shape=(16, 16))["image"][middle]
    np.testing.assert_allclose(smooth, 0.5, atol=0.05)
    coarse = preprocess.resize({"id": "a", "image": np.roll(stripes, 1, 1)[:, 1:]}, shape=(16, 16), anti_aliasing=False)
    assert np.ptp(coarse["image"]) > 0.3


def test_resize_moves_a_volume_its_segmentation_and_its_spacing_together() -> None:
    block = np.zeros((8, 8, 8), int)
    block[2:6, 2:6, 2:6] = 2
    case = {"id": "a", "volume": block[..., None].astype(np.float32), "segmentation": block}
    found = preprocess.resize({**case, "spacing": np.array([1.0, 2.0, 3.0], np.float32)}, shape=(16, 4, 8))
    np.testing.assert_allclose(found["spacing"], [0.5, 4.0, 3.0])
    assert set(np.unique(found["segmentation"])) == {0, 2}
    expected = np.repeat(block, 2, axis=0)[:, ::2]
    np.testing.assert_array_equal(found["segmentation"], expected)
    inner, outer = found["volume"][6:10, 1:3, 2:6, 0], found["volume"][:3, :, :, 0]
    assert inner.min() > 1.5
    np.testing.assert_allclose(outer, 0, atol=1e-5)


def test_crop_undoes_pad_and_both_end_in_a_fixed_shape() -> None:
    for shape in ((12, 10, 1), (5, 6, 7, 2)):
        case = image(shape)
        key = "image" if len(shape) == 3 else "volume"
        larger = tuple(side + extra for side, extra in zip(shape[:-1], (3, 4, 1), strict=False))
        padded = preprocess.pad(case, shape=larger, value=9)
        assert padded[key].shape == (*larger, shape[-1])
        assert padded["segmentation"].shape == larger
        assert (padded[key] == 9).sum() >= np.prod(larger) - np.prod(shape[:-1])
        back = preprocess.centre_crop(padded, shape=shape[:-1])
        np.testing.assert_array_equal(back[key], case[key])
        np.testing.assert_array_equal(back["segmentation"], case["segmentation"])
    steps = (partial(preprocess.pad, shape=(11, 11)), partial(preprocess.centre_crop, shape=(11, 11)))
    assert preprocess.apply(steps, image())["image"].shape == (11, 11, 1)


def test_centre_crop_takes_the_middle() -> None:
    case = {"id": "a", "image": np.arange(5, dtype=np.float32).reshape(1, 5, 1)}
    np.testing.assert_array_equal(preprocess.centre_crop(case, shape=(1, 3))["image"].ravel(), [1, 2, 3])


def test_steps_leave_the_case_they_were_given_alone() -> None:
    case = image()
    before = {key: np.copy(value) for key, value in case.items()}
    steps = (
        partial(preprocess.resize, shape=(6, 6)),
        preprocess.rescale,
        partial(preprocess.normalise, mean=0.5, std=0.5),
        partial(preprocess.pad, shape=(8, 8)),
    )
    result = preprocess.apply(steps, case)
    assert result["image"].dtype == np.float32
    assert result["group"] == "p"
    for key, value in before.items():
        np.testing.assert_array_equal(case[key], value)


def test_check_fixed_names_file_case_and_key() -> None:
    preprocess.check_fixed(image(), {"image": (12, 10, 1)}, "train")
    with pytest.raises(InputError, match=r"x\.npz, case a: image has shape \(12, 10, 1\).*\(28, 28, 1\)"):
        preprocess.check_fixed(image(), {"image": (28, 28, 1)}, "x.npz")
    with pytest.raises(InputError, match="table is missing"):
        preprocess.check_fixed(image(), {"table": (3,)}, "x.npz")


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ({"id": "a", "table": np.ones(3)}, "needs an image or a volume"),
        ({"id": "a", "image": np.ones((4, 4))}, "last axis must be channels"),
        ({"id": "a", "volume": np.ones((4, 4, 4, 1))}, "the case has volume"),
        ({"id": "a", "image": np.ones((4, 4, 1)), "segmentation": np.ones((3, 4), int)}, "segmentation is"),
    ],
)
def test_geometry_refuses_what_it_cannot_move(case, message) -> None:
    with pytest.raises(InputError, match=message):
        preprocess.pad(case, shape=(8, 8))


def test_a_case_normalised_by_itself_forgets_the_scale_of_its_scanner() -> None:
    volume = RNG.normal(size=(3, 4, 5, 2)).astype(np.float32)
    found = preprocess.normalise_case({"volume": volume})["volume"]
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(found.std((0, 1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(preprocess.normalise_case({"volume": 7 * volume + 1000})["volume"], found, atol=1e-3)
    np.testing.assert_array_equal(preprocess.normalise_case({"image": np.full((2, 2, 1), 9)})["image"], 0)


def test_resampling_keeps_the_extent_and_says_what_it_made_of_the_spacing() -> None:
    case = image((12, 10, 1)) | {"spacing": np.array([2.0, 1.0], np.float32)}
    found = preprocess.resample(case, spacing=(1.0, 2.5))
    assert found["image"].shape == (24, 4, 1)
    assert found["segmentation"].shape == (24, 4)
    np.testing.assert_allclose(found["spacing"], [1.0, 2.5])
    np.testing.assert_array_equal(preprocess.resample(case, spacing=(2.0, 1.0))["image"], case["image"])
    with pytest.raises(InputError, match="spacing"):
        preprocess.resample(image((12, 10, 1)), spacing=(1.0, 1.0))
