"""What holds for every augmentation of one case, in two and three dimensions."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from medjax import augment, config
from medjax.errors import InputError

QUICK = {"xla_backend_optimization_level": 0}  # run once or twice: most of the time would go into optimising
KEYS = [jax.random.key(number) for number in range(3)]
SPATIAL = {
    "random_crop": ({"padding": 2}, {"padding": 0}),
    "random_flip": ({"axes": (0, 1), "probability": 1}, {"axes": (0, 1), "probability": 0}),
    "random_affine": ({"rotation": 30, "scale": 0.2, "shear": 5, "translation": 0.1}, {}),
    "random_elastic": ({"displacement": 1.2, "cells": 2}, {"displacement": 0}),
}
INTENSITY = {
    "random_gamma": ({"strength": 0.5}, {"strength": 0}),
    "random_brightness_contrast": ({"brightness": 0.2, "contrast": 0.5}, {}),
    "random_noise": ({"deviation": 0.3}, {"deviation": 0}),
    "random_window": ({"level": 0.2, "width": 1}, {}),
    "random_blur": ({"deviation": 1.5}, {"deviation": 0}),
    "random_sharpen": ({"strength": 2}, {"strength": 0}),
    "random_low_resolution": ({"factor": 3}, {"factor": 1}),
    "random_cutout": ({"size": 4, "count": 2, "fill": "mean"}, {"size": 0}),
    "random_erasing": ({"area": (0.1, 0.3), "probability": 1}, {"area": (0, 0)}),
    "random_bias_field": ({"strength": 1}, {"strength": 0}),
    "random_ghosting": ({"strength": 1.0, "ghosts": (3, 4)}, {"strength": 0}),
    "random_motion": ({"rotation": 20, "translation": 0.2}, {"rotation": 0, "translation": 0}),
}
EVERY = SPATIAL | INTENSITY
SPACES = [(11, 12), (9, 8, 10)]


def case_of(space: tuple[int, ...], dtype=jnp.float32, spacing: bool = False) -> dict:
    rng = np.random.default_rng(1)
    case = {
        "image" if len(space) == 2 else "volume": jnp.asarray(rng.uniform(0.1, 0.9, (*space, 2)), dtype),
        "segmentation": jnp.asarray(rng.integers(0, 3, space), jnp.int32),
    }
    return case | ({"spacing": jnp.asarray([5.0, 1.0, 1.0][-len(space) :])} if spacing else {})


def grid_of(case: dict) -> jax.Array:
    return case["image"] if "image" in case else case["volume"]


def same(a: dict, b: dict) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name])


def test_every_function_is_listed_here():
    public = {name for name in augment.__all__ if name.startswith("random_")}
    assert public == EVERY.keys() | {"random_rotation"}


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("name", EVERY)
def test_identity_repeatability_types_and_what_moves(name, space):
    function, (strong, zero) = getattr(augment, name), EVERY[name]
    case = case_of(space, spacing=len(space) == 3 and name != "random_elastic")
    key, keys = "image" if len(space) == 2 else "volume", jnp.stack(KEYS)
    flat = case | {key: jnp.full_like(case[key], 0.5)}

    many = {field: jnp.stack([value] * len(KEYS) + [flat[field]]) for field, value in case.items()}

    @partial(jax.jit, compiler_options=QUICK)
    def run(keys):
        fixed = [jax.vmap(lambda k, s=s: function(k, case, **s))(keys) for s in (zero, strong | {"probability": 0})]
        return *fixed, jax.vmap(lambda k, one: function(k, one, **strong))(jnp.append(keys, keys[0]), many)

    still, never, found = run(keys)
    of_flat, found = ({field: one[rows] for field, one in found.items()} for rows in (-1, slice(len(KEYS))))
    # Zero strength and zero probability change no bit.
    for one in (still, never):
        for row in range(len(KEYS)):
            same({field: one[field][row] for field in one}, case)
    # Strong: other pictures for other keys; finite; shapes and types kept; what has no business to change does not.
    assert np.isfinite(of_flat[key]).all()
    assert {field: (one.shape[1:], one.dtype) for field, one in found.items()} == {
        field: (one.shape, one.dtype) for field, one in case.items()
    }
    assert np.isfinite(found[key]).all()
    assert np.abs(found[key] - case[key][None]).reshape(len(KEYS), -1).max(1).max() > 1e-3
    moved = np.any(found["segmentation"] != case["segmentation"][None])
    assert moved == (name in SPATIAL)
    if name != "random_flip":
        assert np.any(found[key][0] != found[key][1])
    if "spacing" in case:
        np.testing.assert_array_equal(found["spacing"][0], case["spacing"])
    else:  # mapped over cases and alone, compiled and asked for again: the same picture
        alone = jax.jit(lambda k: function(k, case, **strong), compiler_options=QUICK)
        one = alone(KEYS[1])
        np.testing.assert_allclose(found[key][1], one[key], atol=1e-5)
        np.testing.assert_array_equal(found["segmentation"][1], one["segmentation"])
        same(alone(KEYS[1]), one)


@pytest.mark.parametrize("name", EVERY)
def test_half_precision_stays_half_and_settings_survive_json(name):
    strong = partial(getattr(augment, name), **EVERY[name][0])
    shape = jax.eval_shape(lambda c: strong(KEYS[0], c), case_of((11, 12), jnp.bfloat16))["image"]
    assert (shape.dtype, shape.shape) == (jnp.bfloat16, (11, 12, 2))
    assert config.dumps(config.decode(config.encode(strong))) == config.dumps(strong)


@pytest.mark.parametrize("name", INTENSITY)
def test_whole_numbers_are_refused(name):
    with pytest.raises(InputError, match="rescale"):
        getattr(augment, name)(KEYS[0], {"image": jnp.ones((4, 4, 1), jnp.uint8)}, **INTENSITY[name][0])


@pytest.mark.parametrize("space", [SPACES[0], pytest.param(SPACES[1], marks=pytest.mark.slow)])
@pytest.mark.slow
def test_pictures_are_the_same_on_one_and_eight_devices(space):
    chain = tuple(partial(getattr(augment, name), **settings) for name, (settings, _) in EVERY.items())
    case = case_of(space)
    batch = {field: jnp.stack([value] * 8) for field, value in case.items()}
    index, found = jnp.arange(8), []
    for count in (1, 8):
        mesh = Mesh(np.array(jax.devices()[:count]), ("data",))
        rows = NamedSharding(mesh, PartitionSpec("data"))
        run = jax.jit(partial(augment.apply_batch, chain, KEYS[0]), compiler_options=QUICK, out_shardings=rows)
        found.append(run(jnp.int32(3), *jax.device_put((index, batch), rows)))
    for other in found[1:]:
        for field in case:
            np.testing.assert_allclose(other[field], found[0][field], atol=2e-5)
