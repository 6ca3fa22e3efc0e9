"""The label maps that a run predicted, kept beside its table of predictions: one compressed file a split."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from medjax.data.storage import write_atomically
from medjax.errors import InputError


def write_maps(path: Path, ids: Sequence[str], maps: Sequence[UInt8[np.ndarray, "*space"]]) -> None:
    """Write the label maps of cases, each on its own grid; whole or not at all."""
    buffer = io.BytesIO()
    named: dict[str, Any] = {f"map_{number}": one for number, one in enumerate(maps)}
    np.savez_compressed(buffer, ids=np.array(ids), **named)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def read_maps(path: Path) -> dict[str, UInt8[np.ndarray, "*space"]]:
    """Read the label maps of a split by case id.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {str(name): stored[f"map_{number}"] for number, name in enumerate(stored["ids"])}
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: no readable label maps ({error}); `medjax evaluate` makes them again") from error
