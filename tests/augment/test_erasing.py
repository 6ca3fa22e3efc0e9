"""What is covered: how much, where, with what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import augment
from medjax.errors import InputError

KEYS = jax.random.split(jax.random.key(2), 200)


def sides(hidden: np.ndarray) -> list[int]:
    """The sides of the smallest box around what is hidden."""
    return [int(np.ptp(np.nonzero(hidden)[k])) + 1 for k in range(hidden.ndim)]


@pytest.mark.parametrize("space", [(20, 30), (10, 12, 14)])
def test_a_cutout_is_a_box_of_its_size_or_cut_off_by_the_border(space):
    name, size = "image" if len(space) == 2 else "volume", (4, 5, 6)[: len(space)]
    case = {name: jnp.ones((*space, 1))}
    found = jax.jit(jax.vmap(lambda key: augment.random_cutout(key, case, size=size, fill=7)[name][..., 0]))(KEYS)
    hidden = np.asarray(found) == 7
    whole = 0
    for one in hidden:
        assert one.any()
        box = sides(one)
        assert all(a <= b for a, b in zip(box, size, strict=True))
        assert one.sum() == np.prod(box)
        whole += box == list(size)
    assert whole > 50
    for axis in range(1, hidden.ndim):  # from border to border
        assert hidden.any(axis=tuple({*range(hidden.ndim)} - {axis})).all()


@pytest.mark.parametrize("space", [(40, 60), pytest.param((20, 24, 28), marks=pytest.mark.slow)])
def test_erased_boxes_have_the_area_and_the_aspect_asked_for(space):
    name = "image" if len(space) == 2 else "volume"
    case = {name: jnp.ones((*space, 1))}

    @jax.jit
    def run(keys, case):
        settings = {"area": (0.05, 0.25), "aspect": 2, "fill": 0, "probability": 1}
        erased = jax.vmap(lambda key: augment.random_erasing(key, case, **settings)[name][..., 0])(keys)
        return erased, augment.random_erasing(keys[0], case, probability=0)

    erased, never = run(KEYS, case)
    hidden = np.asarray(erased) == 0
    shares = hidden.mean(tuple(range(1, hidden.ndim)))
    assert shares.min() > 0.035
    assert shares.max() < 0.28
    assert np.ptp(shares) > 0.15
    for one in hidden:
        box = np.array(sides(one))
        assert one.sum() == box.prod()  # never cut off
        relative = box / space
        assert relative.max() / relative.min() < 2.3
    np.testing.assert_array_equal(never[name], case[name])


def test_fills():
    @jax.jit
    def run(key, x):
        mean = augment.random_cutout(key, {"image": x}, size=6, fill="mean")
        return mean["image"], augment.random_erasing(key, {"image": x}, area=(0.4, 0.5), probability=1)["image"]

    x = np.random.default_rng(0).uniform(size=(16, 16, 2)).astype(np.float32) + np.float32([0, 5])
    mean, noise = map(np.asarray, run(KEYS[1], x))
    changed = np.any(mean != x, axis=-1)
    np.testing.assert_allclose(mean[changed], np.tile(x.mean((0, 1)), (changed.sum(), 1)), rtol=1e-6)
    covered = noise[np.any(noise != x, axis=-1)]
    assert len(np.unique(covered)) > 50
    assert x.min() <= covered.min() <= covered.max() <= x.max()


def test_wrong_settings_are_named():
    case = {"image": jnp.ones((4, 4, 1))}
    for settings, text in (({"area": (0.3, 0.1)}, "area"), ({"area": (0.1, 1.4)}, "area"), ({"aspect": 0.5}, "aspect")):
        with pytest.raises(InputError, match=text):
            augment.random_erasing(KEYS[0], case, **settings)
    with pytest.raises(InputError, match="3 entries, this grid needs 2"):
        augment.random_cutout(KEYS[0], case, size=(1, 2, 3))
