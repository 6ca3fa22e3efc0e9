"""Random keys derived by name: every number that a run draws is a function of (seed, step, name)."""

import zlib

import jax
from jaxtyping import Array, Key


def named(key: Key[Array, ""], name: str) -> Key[Array, ""]:
    """Derive the key of a named stream, independent of how many other streams there are.

    Args:
        key: the parent key, typed (`jax.random.key`).
        name: the stream, for example "dropout" or "augment".
    """
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
