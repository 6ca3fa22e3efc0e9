"""Random keys derived by name: every number that a run draws is a function of (seed, step, name)."""

import math
import zlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, UInt32


def named(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """Derive the key of a named stream, independent of how many other streams there are.

    Args:
        key: the parent key, typed (`jax.random.key`).
        name: the stream, for example "dropout" or "augment".
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


_TURNS = (13, 15, 26, 6, 17, 29, 16, 24)


def words(key: Key[Array, ""], shape: tuple[int, ...]) -> UInt32[Array, "..."]:
    """Draw a random word for each of many voxels, all rounds of the generator in one loop over the voxels.

    Threefry-2x32 is JAX's own generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), here with
    the 13 rounds that its authors publish beside the usual 20; a voxel takes the first word at its own count. On a CPU
    `jax.random.bits` goes round by round, and reads and writes all words in each: four times the time.

    Args:
        key: of any generator; for another than Threefry `jax.random.bits` draws.
        shape: at most 2 ** 32 words.
    """
    if str(jax.random.key_impl(key)) != "threefry2x32":
        return jax.random.bits(key, shape, jnp.uint32)
    count = jax.lax.iota(jnp.uint32, math.prod(shape)).reshape(shape)
    return threefry(jax.random.key_data(key), count, jnp.zeros_like(count), rounds=13)[0]


def threefry(
    key: UInt32[Array, "2"], left: UInt32[Array, "*shape"], right: UInt32[Array, "*shape"], *, rounds: int
) -> tuple[UInt32[Array, "*shape"], UInt32[Array, "*shape"]]:
    """Encrypt pairs of words by Threefry-2x32 (the same paper), written out round by round."""
    schedule = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))
    left, right = left + schedule[0], right + schedule[1]
    for number in range(rounds):
        turn = _TURNS[number % 8]
        left = left + right
        right = left ^ (right << jnp.uint32(turn) | right >> jnp.uint32(32 - turn))
        if number % 4 == 3:
            step = number // 4 + 1
            left = left + schedule[step % 3]
            right = right + schedule[(step + 1) % 3] + jnp.uint32(step)
    return left, right
