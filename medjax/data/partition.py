"""Which case serves what: the parts of a data set that train, choose and judge, and the sealed rest.

Everything here works on the index (ids, patients, fingerprints), so a run is planned without reading the test set.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Int, Shaped

from medjax.data.dataset import Dataset, open_split
from medjax.data.source import Source, Subset, concatenate
from medjax.data.split import (
    ByTime,
    Folds,
    LeaveOneOut,
    Nested,
    OfficialTest,
    Splits,
    assign_by_time,
    assign_folds,
    assign_left_out,
    assign_splits,
    first_patients,
    held_back,
)
from medjax.errors import InputError


@dataclass(frozen=True)
class Part:
    """One training set with what belongs to it, as positions in the development source.

    Attributes:
        train: the model learns from these.
        validation: on these something may be chosen; empty where nothing is.
        held_out: the fold that is predicted in cross-validation; otherwise empty.
        calibration: kept apart from training and from every choice, to recalibrate probabilities; mostly empty.
    """

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    held_out: Int[np.ndarray, " held_out"]
    calibration: Int[np.ndarray, " calibration"] = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class Partition:
    """Where every row of a data set's index goes.

    Attributes:
        assignment: name of the split, or number of the fold, of every row.
        development: the rows that training may read, in source order.
        test: the rows under seal; empty in cross-validation.
        parts: one a fold, and for learning curves one a draw, fold and share; a single one without cross-validation.
        folds: whether each part holds out cases of its own.
        left_out: what each fold leaves out, such as one site; empty where folds are drawn.
    """

    assignment: Shaped[np.ndarray, " rows"]
    development: Int[np.ndarray, " development"]
    test: Int[np.ndarray, " test"]
    parts: tuple[Part, ...]
    folds: bool
    left_out: tuple[str, ...] = ()


def partition(dataset: Dataset, spec: Splits | None) -> Partition:
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
    elif isinstance(spec, OfficialTest):
        published = np.asarray(index.split)
        if "test" not in published:
            raise InputError(
                f"data.splits is OfficialTest, but {dataset.name} has no published test set; use HashedSplit"
            )
        drawn = np.where(held_back(index.group, spec.validation, spec.salt), "validation", "train")
        shared = np.isin(index.group, np.asarray(index.group)[published == "test"])
        assignment = np.where(published == "test", "test", drawn)
        if bool((shared & (published != "test")).any()):
            raise InputError(f"{dataset.name}: a patient of the published test set has cases outside of it too")
    elif isinstance(spec, Folds | LeaveOneOut):
        return _folds(dataset, spec)
    elif isinstance(spec, Nested):
        return _nested(dataset, spec)
    elif isinstance(spec, ByTime):
        assignment = assign_by_time(np.asarray(index.group), _attribute(dataset, spec.attribute), spec)
    else:
        assignment = assign_splits(index.group, spec)
    development = np.flatnonzero(assignment != "test")
    names = assignment[development]
    none = np.empty(0, np.int64)
    part = Part(np.flatnonzero(names == "train"), np.flatnonzero(names == "validation"), none)
    if not len(part.train):
        raise InputError(f"data.splits leaves {dataset.name} without a training case; choose other shares")
    return Partition(assignment, development, np.flatnonzero(assignment == "test"), (part,), folds=False)


def keep_apart(plan: Partition, kept: Bool[np.ndarray, " development"]) -> Partition:
    """Move the validation cases that are `kept` (whole patients) into the calibration cases of their part.

    Raises:
        InputError: in cross-validation, or where one of the two would be empty.
    """
    if plan.folds:
        raise InputError("evaluation.calibrate needs validation cases; in cross-validation set it to 0")
    parts = []
    for part in plan.parts:
        apart = kept[part.validation]
        if not apart.any() or apart.all():
            empty = "every other choice" if apart.all() else "calibration"
            raise InputError(f"evaluation.calibrate: no validation case is left for {empty}; choose another share")
        parts.append(replace(part, validation=part.validation[~apart], calibration=part.validation[apart]))
    return replace(plan, parts=tuple(parts))


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


def _attribute(dataset: Dataset, name: str) -> np.ndarray:
    told = dataset.index.attributes
    if name not in told:
        have = ", ".join(told) or "none"
        raise InputError(f"data.splits names the attribute '{name}', but the attributes of {dataset.name} are: {have}")
    return np.asarray(told[name])


def _folds(dataset: Dataset, spec: Folds | LeaveOneOut) -> Partition:
    groups = np.asarray(dataset.index.group)
    if isinstance(spec, LeaveOneOut):
        assignment, names = assign_left_out(groups, _attribute(dataset, spec.attribute), spec)
    else:
        assignment, names = assign_folds(groups, spec), [str(fold) for fold in range(spec.count)]
    back = held_back(groups, spec.hold_back, spec.salt)
    parts = []
    for fold, name in enumerate(names):
        inside = assignment == fold
        part = Part(np.flatnonzero(~inside & ~back), np.flatnonzero(~inside & back), np.flatnonzero(inside))
        if not len(part.train) or not len(part.held_out):
            raise InputError(f"data.splits: fold {name} of {len(names)} is empty; use fewer folds or another salt")
        parts.append(part)
    rows = np.arange(len(groups))
    left_out = tuple(names) if isinstance(spec, LeaveOneOut) else ()
    return Partition(assignment, rows, np.empty(0, np.int64), tuple(parts), folds=True, left_out=left_out)


def _nested(dataset: Dataset, spec: Nested) -> Partition:
    """A part for every draw, fold and share, in this order; each holds out the cases that judge its fold."""
    whole = partition(dataset, spec.of)
    groups = np.asarray(dataset.index.group)[whole.development]
    parts = []
    for draw in range(spec.draws):
        for part in whole.parts:
            judges = part.held_out if whole.folds else part.validation
            if not len(judges):
                raise InputError("data.splits: a learning curve needs validation cases or folds that judge every size")
            for share in spec.shares:
                chosen = first_patients(groups[part.train], share, spec.salt, draw)
                parts.append(Part(part.train[chosen], part.validation, judges))
    return replace(whole, parts=tuple(parts), folds=True, left_out=())
