import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.random import threefry_2x32

from medjax import keys


@pytest.mark.parametrize(
    ("rounds", "key", "words", "expected"),
    [  # the authors' known answers
        (13, (0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x9D1C5EC6, 0x8BD50731)),
        (13, (0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0xFD36D048, 0x2D17272C)),
        (20, (0x00000000, 0x00000000), (0x00000000, 0x00000000), (0x6B200159, 0x99BA4EFE)),
    ],
)
def test_threefry_gives_the_known_answers(rounds, key, words, expected) -> None:
    pair = [jnp.asarray([word], jnp.uint32) for word in words]
    found = keys.threefry(jnp.asarray(key, jnp.uint32), *pair, rounds=rounds)
    assert tuple(int(word[0]) for word in found) == expected


def test_twenty_rounds_are_what_jax_computes() -> None:
    key = jax.random.key_data(jax.random.key(3))
    count = jnp.arange(10, dtype=jnp.uint32)
    found = keys.threefry(key, count[:5], count[5:], rounds=20)
    np.testing.assert_array_equal(jnp.concatenate(found), threefry_2x32(key, count))


@pytest.mark.parametrize("kind", ["threefry2x32", "rbg"])
def test_words_depend_on_key_and_place_alone_and_every_bit_is_fair(kind) -> None:
    one, other = (keys.words(jax.random.key(seed, impl=kind), (50, 400)) for seed in (1, 2))
    np.testing.assert_array_equal(one, keys.words(jax.random.key(1, impl=kind), (50, 400)))
    bits = np.stack([np.unpackbits(np.asarray(found).view(np.uint8)).reshape(-1, 32) for found in (one, other)])
    error = 0.5 / np.sqrt(bits.shape[1])
    assert abs(bits.mean(1) - 0.5).max() < 5 * error
    # Neither the other key nor the neighbour says anything: as many bits agree as of two coins.
    assert abs((bits[0] == bits[1]).mean(0) - 0.5).max() < 5 * error
    assert abs((bits[0, 1:] == bits[0, :-1]).mean(0) - 0.5).max() < 5 * error
