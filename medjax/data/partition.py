"""Which case serves what: the parts of a data set that train, choose and judge, and the sealed rest.

Everything here works on the index (ids, patients, fingerprints), so a run is planned without reading the test set.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Shaped

from medjax.data.dataset import Dataset, open_split
from medjax.data.source import Source, Subset, concatenate
from medjax.data.split import Folds, HashedSplit, assign_folds, assign_splits, held_back
from medjax.errors import InputError


@dataclass(frozen=True)
class Part:
    """One training set with what belongs to it, as positions in the development source.

    Attributes:
        train: the model learns from these.
        validation: on these something may be chosen; empty where nothing is.
        held_out: the fold that is predicted in cross-validation; otherwise empty.
    """

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    held_out: Int[np.ndarray, " held_out"]


@dataclass(frozen=True)
class Partition:
    """Where every row of a data set's index goes.

    Attributes:
        assignment: name of the split, or number of the fold, of every row.
        development: the rows that training may read, in source order.
        test: the rows under seal; empty in cross-validation.
        parts: one a fold; a single one without cross-validation.
        folds: whether the parts are folds.
    """

    assignment: Shaped[np.ndarray, " rows"]
    development: Int[np.ndarray, " development"]
    test: Int[np.ndarray, " test"]
    parts: tuple[Part, ...]
    folds: bool


def partition(dataset: Dataset, spec: HashedSplit | Folds | None) -> Partition:
    """Assign every case to its split or fold; cases of one patient stay together.

    Raises:
        InputError: no official splits though `spec` is None, or a part without a case.
    """
    index = dataset.index
    if spec is None:
        if not dataset.official:
            raise InputError(
                f"data.splits is null, but {dataset.name} has no official splits; give data.splits = HashedSplit() or Folds()"
            )
        assignment = np.asarray(index.split)
    elif isinstance(spec, Folds):
        return _folds(dataset, spec)
    else:
        assignment = assign_splits(index.group, spec)
    development = np.flatnonzero(assignment != "test")
    names = assignment[development]
    none = np.empty(0, np.int64)
    part = Part(np.flatnonzero(names == "train"), np.flatnonzero(names == "validation"), none)
    if not len(part.train):
        raise InputError(f"data.splits leaves {dataset.name} without a training case; choose other shares")
    return Partition(assignment, development, np.flatnonzero(assignment == "test"), (part,), folds=False)


def development_source(dataset: Dataset, plan: Partition) -> Source:
    """Return the cases that training may read, a source built without the test cases."""
    return _rows(dataset, plan.development)


def test_source(dataset: Dataset, plan: Partition) -> Source:
    """Return the test cases. Only the code that has written the opening into the ledger calls this."""
    if not len(plan.test):
        raise InputError(f"{dataset.name} has no test set under these splits")
    return _rows(dataset, plan.test)


def split_sources(dataset: Dataset, plan: Partition | None) -> dict[str, tuple[int, Source | None]]:
    """Return the number of cases of every split, and their source: None for a test set, which stays sealed.

    Args:
        dataset: prepared.
        plan: an experiment's partition; None: the data set's own splits.
    """
    assignment = (dataset.index.split if plan is None else plan.assignment).astype(str)
    known = ["all", "train", "validation", "test"]
    names = sorted(np.unique(assignment).tolist(), key=lambda name: (known.index(name) if name in known else 9, name))
    found: dict[str, tuple[int, Source | None]] = {}
    for name in names:
        rows = np.flatnonzero(assignment == name)
        shown = f"fold {name}" if plan is not None and plan.folds else name
        found[shown] = len(rows), None if name == "test" else _rows(dataset, rows)
    return found


def _rows(dataset: Dataset, rows: np.ndarray) -> Source:
    """Return a source of these rows; a split without any of them is not even opened."""
    splits, sources, start = dataset.splits, [], 0
    for name, count in splits.items():
        inside = rows[(rows >= start) & (rows < start + count)] - start
        if len(inside) == count:
            sources.append(open_split(dataset, name))
        elif len(inside):
            sources.append(Subset(open_split(dataset, name), inside))
        start += count
    return concatenate(sources)


def _folds(dataset: Dataset, spec: Folds) -> Partition:
    groups = np.asarray(dataset.index.group)
    assignment = assign_folds(groups, spec)
    back = held_back(groups, spec.hold_back, spec.salt)
    parts = []
    for fold in range(spec.count):
        inside = assignment == fold
        part = Part(np.flatnonzero(~inside & ~back), np.flatnonzero(~inside & back), np.flatnonzero(inside))
        if not len(part.train) or not len(part.held_out):
            raise InputError(f"data.splits: fold {fold} of {spec.count} is empty; use fewer folds or another salt")
        parts.append(part)
    rows = np.arange(len(groups))
    return Partition(assignment, rows, np.empty(0, np.int64), tuple(parts), folds=True)
