"""The vocabulary of events, fitted on training cases: which codes they hold, and what is usual for the number of each."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from medjax.errors import InputError

UNKNOWN = 1
"""The code of everything that no training case holds; 0 stands behind the last event."""


def fit_vocabulary(cases: Iterable[Mapping[str, np.ndarray]], codes: int) -> dict[str, np.ndarray]:
    """Fit on training cases which codes are known, and mean and deviation of the numbers of each code.

    Args:
        cases: with `code` (L,) and, where it is an input, `number` (L,), NaN where an event has none.
        codes: size of the dictionary, 0 and 1 included.

    Returns:
        {"known": (codes,) bool, "mean": (codes,), "scale": (codes,)} in float32; the scale is infinite, so that the
        standardised number is 0, where training has no two different numbers.

    Raises:
        InputError: a code lies outside the dictionary.
    """
    known = np.zeros(codes, bool)
    count, total, squares = np.zeros(codes), np.zeros(codes), np.zeros(codes)
    rows = [(case["code"], case.get("number")) for case in cases]
    for code, number in rows:
        if len(code) and code.max() >= codes:
            raise InputError(f"code {int(code.max())} lies outside the dictionary of {codes}; prepare the data again")
        known[code] = True
        if number is not None:
            there = np.isfinite(number)
            np.add.at(count, code[there], 1)
            np.add.at(total, code[there], number[there])
    mean = total / np.maximum(count, 1)
    for code, number in rows:
        if number is not None:
            there = np.isfinite(number)
            np.add.at(squares, code[there], (number[there] - mean[code[there]]) ** 2)
    scale = np.sqrt(squares / np.maximum(count, 1))
    known[: UNKNOWN + 1] = True
    constant = scale <= np.finfo(np.float32).eps * np.abs(mean)
    scale = np.where(constant, np.inf, scale)
    return {"known": known, "mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}


def known_codes(fitted: Mapping[str, Any], code: Int[Array, "*batch length"]) -> Int[Array, "*batch length"]:
    """Return the codes with `UNKNOWN` in place of every one that no training case holds."""
    return jnp.where(jnp.asarray(fitted["known"])[code], code, UNKNOWN)


def standardise_numbers(
    fitted: Mapping[str, Any], code: Int[Array, "*batch length"], number: Float[Array, "*batch length"]
) -> Float[Array, "*batch length"]:
    """Subtract from each number the mean of its code and divide by its deviation; NaN stays."""
    return (number - jnp.asarray(fitted["mean"])[code]) / jnp.asarray(fitted["scale"])[code]


def happened(code: Int[Array, "*batch length"]) -> Bool[Array, "*batch length"]:
    """Which places hold an event, and which stand behind the last one."""
    return code > 0
