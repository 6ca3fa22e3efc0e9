"""What training leaves out because of an audit: a plain list of case ids, never one of the test set's own cases."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medjax.data.dataset import Dataset, fingerprint
from medjax.data.partition import Partition
from medjax.data.split import split_fingerprint
from medjax.data.twins import Twins
from medjax.errors import InputError


def dropped(dataset: Dataset, twins: Twins, plan: Partition | None = None) -> list[str]:
    """Choose the ids that training leaves out, sorted.

    Of a pair across splits the training case; of cases with identical inputs and different targets all that train. In
    cross-validation every case trains and is judged: of a pair across folds both leave training, and both stay judged.
    The rest of what trains, and all of validation and test, stays.
    """
    index = dataset.index
    part = dict(
        zip(index.id.tolist(), (index.split if plan is None else plan.assignment).astype(str).tolist(), strict=True)
    )
    folds = plan is not None and plan.folds
    trains = {name for name in part.values() if folds or name in ("train", "all")}
    chosen = {
        one
        for pair in twins.pairs
        if pair.parts[0] != pair.parts[1]
        for one, own in zip(pair.ids, pair.parts, strict=True)
        if own in trains
    }
    chosen |= {one for same in index.conflicts for one in same if part[one] in trains}
    return sorted(chosen)


def written(dataset: Dataset, twins: Twins, plan: Partition | None = None) -> str:
    """Return the list as text: a line that says how it was made, then an id a line."""
    ids = dropped(dataset, twins, plan)
    assignment = dataset.index.split if plan is None else plan.assignment
    how = (
        f"# {len(ids)} cases that training leaves out; medjax data audit {dataset.name}; data {fingerprint(dataset)[:12]}, "
        f"splits {split_fingerprint(dataset.index.id, assignment)[:12]}; suspects at rate {twins.rate:g}, conflicting targets"
    )
    return "".join(f"{line}\n" for line in [how, *ids])


def read(path: Path) -> tuple[str, ...]:
    """Read the ids of such a list; lines that begin with # say how it was made.

    Raises:
        InputError: the file cannot be read, or names a case twice.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the list of dropped cases cannot be read ({error}).") from error
    ids = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    twice = next((one for one in ids if ids.count(one) > 1), None) if len(set(ids)) < len(ids) else None
    if twice is not None:
        raise InputError(f"{path}: the case {twice!r} stands in the list twice; name each once.")
    return tuple(ids)


def without(dataset: Dataset, plan: Partition, ids: Sequence[str]) -> Partition:
    """Take cases out of training alone: validation, held-out folds and test stay as they are.

    Raises:
        InputError: an id is no case of the data set, is sealed or chooses, or nothing would be left to train on.
    """
    known = set(dataset.index.id.tolist())
    unknown = [one for one in ids if one not in known]
    if unknown:
        raise InputError(f"dropped cases: {unknown[0]!r} is no case of {dataset.name}; make the list for these data.")
    names = dataset.index.id[plan.development]
    chosen = np.isin(names, np.asarray(list(ids), dtype=names.dtype)) if len(ids) else np.zeros(len(names), bool)
    trains = np.zeros(len(names), bool)
    for part in plan.parts:
        trains[part.train] = True
    idle = [one for one in ids if one not in set(names[trains].tolist())]
    if idle:
        raise InputError(
            f"dropped cases: {idle[0]!r} never trains under these splits; the list was made for other splits, make it again."
        )
    parts = tuple(replace(part, train=part.train[~chosen[part.train]]) for part in plan.parts)
    if any(not len(part.train) for part in parts):
        raise InputError("dropped cases: nothing is left to train on; shorten the list.")
    return replace(plan, parts=parts)
