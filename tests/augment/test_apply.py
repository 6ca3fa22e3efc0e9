from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import augment
from medjax.keys import named

KEY = jax.random.key(7)
CHAIN = (
    partial(augment.random_crop, padding=2),
    partial(augment.random_flip, axes=(0, 1)),
    partial(augment.random_affine, rotation=20, scale=0.1, shear=5, translation=0.1),
    partial(augment.random_gamma, strength=0.3),
    partial(augment.random_brightness_contrast, brightness=0.1, contrast=0.2),
    partial(augment.random_noise, deviation=0.1),
)


def batch_of(space: tuple[int, ...]) -> dict:
    name = "image" if len(space) == 2 else "volume"
    return {
        name: jax.random.uniform(KEY, (4, *space, 1)),
        "segmentation": jax.random.randint(KEY, (4, *space), 0, 3),
        "label": jnp.arange(4),
        "weight": jnp.ones(4),
    }


@pytest.mark.parametrize("space", [(10, 9), (6, 5, 7)])
@pytest.mark.slow
def test_a_mapped_batch_equals_a_loop_over_cases(space) -> None:
    batch, index = batch_of(space), jnp.array([5, 3, 900, 4])
    run = jax.jit(lambda batch, index, step: augment.apply_batch(CHAIN, KEY, step, index, batch))
    found = run(batch, index, jnp.int32(11))
    assert found.keys() == batch.keys()
    one = jax.jit(lambda key, case: augment.apply(CHAIN, key, case))
    for row in range(4):
        key = jax.random.fold_in(jax.random.fold_in(KEY, 11), int(index[row]))
        moved = {name: batch[name][row] for name in batch if name not in ("label", "weight")}
        alone = one(key, moved)
        for name in moved:
            np.testing.assert_allclose(found[name][row], alone[name], atol=1e-5)
            assert np.any(found[name][row] != moved[name])
    np.testing.assert_array_equal(found["label"], batch["label"])
    # Place in the batch does not matter, and the same step gives the same bits; another step does not.
    turned = run(jax.tree.map(lambda leaf: leaf[::-1], batch), index[::-1], jnp.int32(11))
    again, later = run(batch, index, jnp.int32(11)), run(batch, index, jnp.int32(12))
    name = "image" if len(space) == 2 else "volume"
    np.testing.assert_array_equal(turned[name][::-1], found[name])
    np.testing.assert_array_equal(again[name], found[name])
    assert all(np.any(later[name][row] != found[name][row]) for row in range(4))


def test_without_functions_the_batch_passes_through() -> None:
    batch = {"table": jnp.ones((2, 3))}
    assert augment.apply_batch((), KEY, 0, jnp.arange(2), batch) is batch


def test_functions_done_together_keep_their_places_and_order() -> None:
    noise, window = partial(augment.random_noise, deviation=0.3), partial(augment.random_window, level=0.2, width=0.5)
    gamma, flip = partial(augment.random_gamma, strength=0.5), partial(augment.random_flip, axes=0)
    chain = (noise, gamma, window, noise, flip, window)
    batch, index = {"image": jax.random.uniform(KEY, (3, 6, 5, 1))}, jnp.array([4, 1, 2])
    found = jax.jit(lambda step: augment.apply_batch(chain, KEY, step, index, batch))(jnp.int32(2))["image"]
    for row, number in enumerate(index):
        key = jax.random.fold_in(jax.random.fold_in(KEY, 2), number)
        alone = augment.apply(chain, key, {"image": batch["image"][row]})["image"]
        np.testing.assert_allclose(found[row], alone, atol=1e-5)


def test_keys_come_from_place_and_name() -> None:
    case = {"image": jnp.zeros((6, 6, 1))}
    noise = partial(augment.random_noise, deviation=1)
    twice = augment.apply((noise, noise), KEY, case)["image"]
    keys = [named(jax.random.fold_in(KEY, place), "random_noise") for place in (0, 1)]
    by_hand = noise(keys[1], noise(keys[0], case))["image"]
    np.testing.assert_array_equal(twice, by_hand)
    assert np.any(twice != 2 * noise(keys[0], case)["image"])
