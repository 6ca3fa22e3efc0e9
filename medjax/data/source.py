"""The seam between data and training: everything that gives cases is a `Source`."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from medjax.data.case import Case


@runtime_checkable
class Source(Protocol):
    """Random access to cases: a length, and the case at a position from 0 to length - 1."""

    def __len__(self) -> int:
        """Count the cases; reads nothing."""
        ...

    def __getitem__(self, index: int, /) -> Case:
        """Read one case; IndexError when the position is out of range."""
        ...


@dataclass(frozen=True, eq=False)
class MemorySource:
    """Cases that are already in memory."""

    cases: Sequence[Case]

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int, /) -> Case:
        return dict(self.cases[_checked(index, len(self))])


@dataclass(frozen=True, eq=False)
class Subset:
    """The cases of another source at the given positions, in that order; the others cannot be reached through it."""

    source: Source
    indices: Int[np.ndarray, " cases"]

    def __post_init__(self) -> None:
        outside = (self.indices < 0) | (self.indices >= len(self.source))
        if outside.any():
            raise IndexError(f"position {self.indices[outside][0]} of a source of {len(self.source)} cases")

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int, /) -> Case:
        return self.source[int(self.indices[_checked(index, len(self))])]


@dataclass(frozen=True, eq=False)
class Concatenation:
    """Several sources, one after the other; made by `concatenate`."""

    sources: tuple[Source, ...]
    ends: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", tuple(accumulate(len(source) for source in self.sources)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: int, /) -> Case:
        part = bisect_right(self.ends, _checked(index, len(self)))
        return self.sources[part][index - (self.ends[part - 1] if part else 0)]


def concatenate(sources: Sequence[Source]) -> Source:
    """Put sources one after the other."""
    return sources[0] if len(sources) == 1 else Concatenation(tuple(sources))


@dataclass(frozen=True)
class TfdsSource:
    """One split of a data set prepared by TFDS, read through `tfds.data_source` without TensorFlow.

    No file is opened before the first case is asked for. It can be sent to another process.

    Attributes:
        directory: the prepared version, the folder that holds `dataset_info.json`.
        split: a TFDS split, such as "train" or "all".
        count: the number of cases in it.
    """

    directory: Path
    split: str
    count: int

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> Case:
        return {key: _plain(value) for key, value in self._records[_checked(index, self.count)].items()}

    def __getstate__(self) -> dict[str, Any]:
        return {"directory": self.directory, "split": self.split, "count": self.count}

    @cached_property
    def _records(self) -> Any:
        import tensorflow_datasets as tfds

        builder: Any = tfds.builder_from_directory(self.directory)
        return builder.as_data_source(self.split)


def _checked(index: int, length: int) -> int:
    if not 0 <= index < length:
        raise IndexError(f"position {index} of a source of {length} cases")
    return index


def _plain(value: Any) -> Any:
    """Give text as `str` and single numbers as Python numbers; arrays stay NumPy arrays."""
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value
