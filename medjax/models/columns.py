"""Columns of a table as tokens: a vector for each measurement and each category, and one for what is missing."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from medjax.errors import InputError


def column_sizes(names: Sequence[str]) -> tuple[int, ...]:
    """Return how many numbers each column takes: one for a measurement, of a category one a level ("race=asian", ...).

    Args:
        names: of the numbers of a table, as a data set gives them; the levels of one column stand in a row.
    """
    sizes, last = [], None
    for name in names:
        column, level = name.partition("=")[::2]
        if level and column == last:
            sizes[-1] += 1
        else:
            sizes.append(1)
        last = column if level else None
    return tuple(sizes)


def start(width: int) -> Callable[..., Array]:
    """Return the initialisation of tokens: uniform within 1 / sqrt(width) of 0."""
    bound = width**-0.5

    def draw(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, minval=-bound, maxval=bound)

    return draw


class ColumnTokens(nn.Module):
    """A token for each column: bias + sum over its numbers of number * weight (Gorishniy et al. 2021, section 3.3).

    A measurement has one number; a category has one a level, of which one is 1, so that the sum looks up its embedding
    (of standardised numbers too: that moves the bias). An unknown level is 0 in all of them and leaves the bias. Where
    `flag_missing` has appended a flag for each number, a column's flag adds a vector of its own: what is missing is then
    neither the mean nor any level.

    Attributes:
        width: channels of a token.
        columns: how many numbers each column takes, as `column_sizes` says; () takes each number for a column.
    """

    width: int
    columns: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: Float[Array, "batch numbers"]) -> Float[Array, "batch columns width"]:
        """Embed a batch.

        Raises:
            InputError: the batch has neither as many numbers as the columns take, nor twice as many (with flags).
        """
        sizes = self.columns or (1,) * x.shape[-1]
        numbers = sum(sizes)
        if x.shape[-1] not in (numbers, 2 * numbers):
            raise InputError(
                f"model.columns takes {numbers} numbers of {len(sizes)} columns ({2 * numbers} with the flags of "
                f"flag_missing), but a case has {x.shape[-1]}; leave model.columns empty, then it follows the data"
            )
        even = start(self.width)
        owner = np.repeat(np.eye(len(sizes), dtype=np.float32), sizes, axis=0)  # (numbers, columns)
        weight = self.param("weight", even, (numbers, self.width)).astype(x.dtype)
        tokens = jnp.einsum("bn,ncw->bcw", x[:, :numbers], weight[:, None, :] * jnp.asarray(owner, x.dtype)[:, :, None])
        tokens = tokens + self.param("bias", even, (1, len(sizes), self.width)).astype(x.dtype)
        if x.shape[-1] == numbers:
            return tokens
        first = numbers + np.cumsum((0, *sizes[:-1]))
        missing = self.param("missing", even, (1, len(sizes), self.width)).astype(x.dtype)
        return tokens + x[:, first, None] * missing
