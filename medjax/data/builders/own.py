"""Cases of an origin (one's own images or table, a phantom) as a TFDS data set."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from medjax.data.case import TARGETS, Case
from medjax.data.origin import Facts, Origin, Problem
from medjax.errors import InputError

_SHARD_BYTES = 2**28
"""TFDS holds one shard in memory while it writes it."""
_SHARD_CASES = 1000
"""Cases in a shard where their size is not known beforehand."""


@dataclass(kw_only=True)
class OwnConfig(tfds.core.BuilderConfig):
    """An origin under the name that the experiment gives it; the fingerprint of its files is a part of the name."""

    name: str
    origin: Origin


class Own(tfds.core.ShardBasedBuilder):
    """Cases in the order of their origin.

    Attributes:
        skipped: the cases that the origin could not give, filled while the data is prepared.
    """

    VERSION = tfds.core.Version("1.0.0")
    code_path = None  # no checksum file lies beside this one; looking for it needs a package that TFDS does not install

    def __init__(self, *, name: str, origin: Origin, file_format: Any = "array_record", **kwargs: Any) -> None:
        self._origin = origin
        self._known: Facts | None = None
        self.skipped: list[Problem] = []
        config = OwnConfig(name=_config_name(name, origin), origin=origin)
        super().__init__(file_format=file_format, config=config, **kwargs)

    @property
    def facts(self) -> Facts:
        """What the origin says of its cases; read once."""
        if self._known is None:
            self._known = self._origin.facts()
        return self._known

    def _info(self) -> tfds.core.DatasetInfo:
        facts = self.facts
        features: dict[str, Any] = {"id": tfds.features.Text(), "group": tfds.features.Text()}
        if facts.labelled:
            features["label"] = tfds.features.ClassLabel(names=list(facts.classes))
        features |= {key: _feature(shape, dtype) for key, (shape, dtype) in facts.shapes.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=facts.description or "One's own data.",
            features=tfds.features.FeaturesDict(features),
            citation=facts.citation,
            license=facts.licence,
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(
                classes=list(facts.classes),
                columns=list(facts.columns),
                codes=list(facts.codes),
                official_splits=list(facts.counts) != ["all"],
                synthetic=facts.synthetic,
                notes=list(facts.notes),
            ),
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence[Callable[[], Iterator[tuple[int, Case]]]]]:
        shards, targets = {}, [key for key in TARGETS if key in self.facts.shapes]
        if not self.facts.labelled and not targets:
            raise InputError("the data has no target; name the column or the folders that say what is to be learnt")
        for split, count in self.facts.counts.items():
            cases = self._cases(split)
            size = _shard_size(self.facts)
            # TFDS writes the shards in this order, one after the other: each takes its share of the one stream.
            shards["train" if split == "all" else split] = [
                partial(islice, cases, size) for _ in range(0, max(count, 1), size)
            ]
        return shards

    def _cases(self, split: str) -> Iterator[tuple[int, Case]]:
        """Number the usable cases; an unusable one ends everything, or is noted."""
        row = 0
        for case in self._origin.cases(split):
            if isinstance(case, Problem):
                if self._origin.on_error != "skip":
                    raise InputError(f"{case}. Mend it, or leave such cases out and list them with --on-error skip.")
                self.skipped.append(case)
                continue
            yield row, case
            row += 1
        if not row:
            raise InputError(f"no case of the split '{split}' can be used ({len(self.skipped)} were left out)")


def directory(root: Path, name: str, origin: Origin) -> Path:
    """Return where the data lies once it is prepared, by the fingerprint of the files alone."""
    return root / Own.name / _config_name(name, origin) / str(Own.VERSION)


def _config_name(name: str, origin: Origin) -> str:
    return f"{name}_{origin.fingerprint()[:20]}"


def _feature(shape: tuple[int | None, ...], dtype: str) -> Any:
    if dtype == "str":
        return tfds.features.Text()
    if shape == ():
        return tfds.features.Scalar(dtype=np.dtype(dtype))
    # Bytes where the size is fixed, since the record file compresses as well; sizes that differ need zlib.
    encoding = "zlib" if None in shape else "bytes"
    return tfds.features.Tensor(shape=shape, dtype=np.dtype(dtype), encoding=encoding)


def _shard_size(facts: Facts) -> int:
    sizes = [(shape, np.dtype(dtype).itemsize) for shape, dtype in facts.shapes.values() if dtype != "str"]
    if any(None in shape for shape, _ in sizes):
        return _SHARD_CASES
    return max(1, _SHARD_BYTES // max(1, sum(math.prod(side or 1 for side in shape) * size for shape, size in sizes)))
