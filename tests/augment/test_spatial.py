from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from medjax import augment
from medjax.errors import InputError

RNG = np.random.default_rng(0)
KEY = jax.random.key(3)
SPACES = [(12, 10), (6, 7, 8)]
MODES = {"reflect": "mirror", "nearest": "nearest", "constant": "grid-constant"}


def case_of(space: tuple[int, ...], channels: int = 2) -> dict:
    """Intensities that are the labels, so that moving together shows."""
    labels = RNG.integers(0, 9, space)
    grid = np.repeat(labels[..., None], channels, axis=-1).astype(np.float32) / 10
    return {"image" if len(space) == 2 else "volume": jnp.asarray(grid), "segmentation": jnp.asarray(labels)}


def grid_of(case: dict) -> jax.Array:
    return case["image"] if "image" in case else case["volume"]


def for_keys(count: int, function, case: dict) -> list[dict]:
    """What `function(key, case)` gives for each of the first keys, all of them from one program."""
    found = jax.jit(jax.vmap(lambda n, c: function(jax.random.key(n), c), (0, None)))(np.arange(count), case)
    return [jax.tree.map(lambda x, n=n: np.asarray(x)[n], found) for n in range(count)]


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name])


@pytest.mark.parametrize("space", [SPACES[0], pytest.param(SPACES[1], marks=pytest.mark.slow)])
@pytest.mark.parametrize("edge", ["reflect", "nearest", "constant"])
@pytest.mark.parametrize("order", [0, 1])
def test_resampling_agrees_with_scipy(space, edge, order) -> None:
    n = len(space)
    x = RNG.uniform(size=(*space, 2)).astype(np.float32)
    matrix = (np.eye(n) + 0.3 * RNG.normal(size=(n, n))).astype(np.float32)
    offset = (np.arange(n) - 1.3).astype(np.float32)
    resample = jax.jit(partial(augment.resample_affine, order=order, edge=edge, fill=0.7))
    found = resample(x, matrix, offset)
    settings = {"order": order, "mode": MODES[edge], "cval": 0.7}
    wide = np.asarray(x, np.float64)
    expected = [
        ndimage.affine_transform(wide[..., c], matrix.astype(float), offset.astype(float), **settings) for c in (0, 1)
    ]
    np.testing.assert_allclose(found, np.stack(expected, -1), atol=1e-5)


@pytest.mark.parametrize("space", [SPACES[0], pytest.param(SPACES[1], marks=pytest.mark.slow)])
def test_zero_strength_and_zero_probability_change_no_bit(space) -> None:
    case = case_of(space)
    strong = {"rotation": 40, "scale": 0.5, "shear": 20, "translation": 0.3}

    @jax.jit
    def run(case):
        zero = [augment.random_affine(KEY, case, edge=edge, fill=3) for edge in MODES]
        zero += [augment.random_crop(KEY, case, padding=0, edge=edge) for edge in MODES]
        return [
            *zero,
            augment.random_affine(KEY, case, **strong, probability=0),
            augment.random_crop(KEY, case, padding=3, probability=0),
            augment.random_flip(KEY, case, axes=(0, 1), probability=0),
        ]

    for found in run(case):
        same(found, case)


@pytest.mark.parametrize("space", [SPACES[0], pytest.param(SPACES[1], marks=pytest.mark.slow)])
def test_flip_twice_is_the_identity_and_once_is_numpy(space) -> None:
    case = case_of(space)
    axes = tuple(range(len(space)))
    flip = partial(augment.random_flip, axes=axes)
    once = jax.jit(partial(flip, probability=1))(KEY, case)
    np.testing.assert_array_equal(grid_of(once), np.flip(grid_of(case), axes))
    np.testing.assert_array_equal(once["segmentation"], np.flip(case["segmentation"], axes))
    for twice in for_keys(6, lambda key, case: flip(key, flip(key, case)), case):
        same(twice, case)


def test_flips_of_the_axes_are_independent_coins() -> None:
    corner = {"image": jnp.asarray([[1.0, 0], [0, 0]])[..., None]}
    found = for_keys(400, partial(augment.random_flip, axes=(0, 1)), corner)
    where = np.stack([one["image"][..., 0] for one in found])
    np.testing.assert_allclose(where.mean(axis=0), 0.25, atol=0.08)


@pytest.mark.parametrize("space", [SPACES[0], pytest.param(SPACES[1], marks=pytest.mark.slow)])
@pytest.mark.parametrize("edge", ["reflect", "nearest", "constant"])
def test_crop_is_a_window_of_the_padded_picture(space, edge) -> None:
    case = case_of(space, channels=1)
    mode = {"reflect": "reflect", "nearest": "edge", "constant": "constant"}[edge]
    padded = np.pad(case["segmentation"], 2, mode=mode)
    windows = [
        padded[tuple(slice(s, s + n) for s, n in zip(start, space, strict=True))]
        for start in np.ndindex(*(5,) * len(space))
    ]
    seen = set()
    for found in for_keys(12, partial(augment.random_crop, padding=2, edge=edge), case):
        hits = [i for i, window in enumerate(windows) if np.array_equal(window, found["segmentation"])]
        assert len(hits) == 1
        seen.update(hits)
        np.testing.assert_allclose(grid_of(found)[..., 0] * 10, found["segmentation"], atol=1e-5)
    assert len(seen) > 5


@pytest.mark.parametrize("space", [(40, 40), pytest.param((24, 24, 24), marks=pytest.mark.slow)])
def test_the_inverse_map_restores_the_interior(space) -> None:
    n = len(space)
    waves = sum(np.sin(axis / 4.0) for axis in np.meshgrid(*map(np.arange, space), indexing="ij"))
    x = waves[..., None].astype(np.float32)
    matrix = np.eye(n) + 0.05 * RNG.normal(size=(n, n))
    centre = (np.array(space) - 1) / 2
    offset = centre - matrix @ centre + 0.7
    back = np.linalg.inv(matrix)
    resample = jax.jit(augment.resample_affine)
    there = resample(x, matrix.astype(np.float32), offset.astype(np.float32))
    again = resample(there, back.astype(np.float32), (-back @ offset).astype(np.float32))
    inside = (slice(6, -6),) * n
    assert np.abs(np.asarray(there) - x)[inside].max() > 0.1
    np.testing.assert_allclose(np.asarray(again)[inside], x[inside], atol=0.05)


@pytest.mark.parametrize("space", [(32, 32), pytest.param((16, 16, 16), marks=pytest.mark.slow)])
def test_image_and_segmentation_move_together(space) -> None:
    ball = sum(
        (axis - side / 3) ** 2
        for axis, side in zip(np.meshgrid(*map(np.arange, space), indexing="ij"), space, strict=True)
    )
    labels = (ball < (space[0] / 5) ** 2).astype(int)
    case = {
        "image" if len(space) == 2 else "volume": jnp.asarray(labels[..., None], jnp.float32),
        "segmentation": jnp.asarray(labels),
    }
    bend = partial(augment.random_affine, rotation=60, scale=0.2, shear=10, translation=0.1)
    for found in for_keys(5, bend, case):
        grid = grid_of(found)[..., 0]
        sure = np.abs(grid - 0.5) > 0.45
        assert np.any(found["segmentation"] != case["segmentation"])
        np.testing.assert_array_equal((grid > 0.5)[sure], (found["segmentation"] == 1)[sure])


def test_rotation_keeps_lengths_in_millimetres() -> None:
    space, spacing = (21, 41), np.array([2.0, 1.0], np.float32)
    away = [
        (axis - (side - 1) / 2) * mm
        for axis, side, mm in zip(np.meshgrid(*map(np.arange, space), indexing="ij"), space, spacing, strict=True)
    ]
    disc = (np.hypot(*away) / 10)[..., None].astype(np.float32)  # round in mm, so turning leaves it alone
    turn = jax.jit(lambda case: augment.random_rotation(KEY, case, degrees=80)["image"])
    found, bent = (np.asarray(turn({"image": disc} | more)) for more in ({"spacing": spacing}, {}))
    inside = (slice(4, -4), slice(8, -8))
    np.testing.assert_allclose(found[inside], disc[inside], atol=0.06)
    assert np.abs(bent - disc)[inside].max() > 0.2


def test_wrong_input_is_named() -> None:
    def refused(match, function, **case):
        with pytest.raises(InputError, match=match):
            jax.eval_shape(function, KEY, case)

    image = np.ones((4, 4, 1), np.float32)
    refused("put `rescale` into", partial(augment.random_affine, rotation=3), image=image.astype(np.uint8))
    refused("neither image nor volume", partial(augment.random_flip, axes=0), table=np.ones(3, np.float32))
    refused("axes 0 to 1", partial(augment.random_flip, axes=2), image=image)
    refused("fits no grid", partial(augment.random_crop, padding=1), image=image, segmentation=np.ones((3, 4), int))


@pytest.mark.slow
def test_a_volume_with_thick_slices_turns_as_the_body_does() -> None:
    space, spacing = (9, 45, 45), np.array([5.0, 1.0, 1.0], np.float32)
    away = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(space, spacing, strict=True)), indexing="ij"
    )
    volume = jnp.asarray(np.stack([*away], -1), jnp.float32)  # every voxel knows its place in mm
    for number in range(3):
        case = {"volume": volume, "spacing": jnp.asarray(spacing)}
        found = augment.random_rotation(jax.random.key(number), case, degrees=10)["volume"]
        inside = (slice(3, -3), slice(15, -15), slice(15, -15))
        # Distances from the centre are kept, and the map is one rotation: positions = R @ positions.
        flat, moved = np.asarray(volume[inside]).reshape(-1, 3), np.asarray(found[inside]).reshape(-1, 3)
        turn, *_ = np.linalg.lstsq(flat, moved, rcond=None)
        np.testing.assert_allclose(flat @ turn, moved, atol=1e-3)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-4)
        assert np.abs(turn - np.eye(3)).max() > 0.03
