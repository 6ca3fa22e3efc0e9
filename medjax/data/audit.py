"""The leak audit: patients in two splits, identical inputs across splits, identical inputs with different targets.

It works on the index alone, so it runs before training without opening the test set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Shaped

from medjax.data.dataset import Index
from medjax.errors import InputError


@dataclass(frozen=True)
class Audit:
    """What was found; every field is plain data for JSON (`dataclasses.asdict`). Patients are counted, never named.

    Attributes:
        cases: number of cases.
        patients: number of different patients.
        patients_known: False where every case is its own patient, because nothing better is known.
        shared_patients: patients with cases in both splits, for each pair "a+b" of splits that share any.
        duplicate_groups: groups of cases with identical inputs.
        duplicate_cases: cases in these groups.
        across: groups with a case in both splits, for each pair "a+b" of splits that share any.
        within: groups with two cases or more in the split, for each split that has any.
        duplicates: the groups: {split: ids} of each.
        conflicting: ids of the groups whose identical inputs carry different targets.
    """

    cases: int
    patients: int
    patients_known: bool
    shared_patients: dict[str, int]
    duplicate_groups: int
    duplicate_cases: int
    across: dict[str, int]
    within: dict[str, int]
    duplicates: tuple[dict[str, tuple[str, ...]], ...]
    conflicting: tuple[tuple[str, ...], ...]


def audit(
    index: Index, assignment: Sequence[str] | Sequence[int] | Shaped[np.ndarray, " cases"] | None = None
) -> Audit:
    """Look for leaks between the parts of an assignment.

    Args:
        index: the index of a prepared data set.
        assignment: the part (split or fold) of every case, in the order of the index; None for the index's own splits.
    """
    parts = np.asarray(index.split if assignment is None else assignment).astype(str)
    if len(parts) != len(index):
        raise InputError(f"audit: {len(parts)} assigned cases for an index of {len(index)} cases.")
    duplicates = _repeated(index.fingerprint)
    order = list(dict.fromkeys(parts.tolist()))
    found = [[parts[row] for row in rows] for rows in duplicates]
    return Audit(
        cases=len(index),
        patients=len(np.unique(index.group)),
        patients_known=not np.array_equal(index.id, index.group),
        shared_patients=_pairs(order, [[parts[row] for row in rows] for rows in _repeated(index.group)]),
        duplicate_groups=len(duplicates),
        duplicate_cases=sum(len(rows) for rows in duplicates),
        across=_pairs(order, found),
        within={part: n for part in order if (n := sum(group.count(part) >= 2 for group in found))},
        duplicates=tuple(
            {part: tuple(str(index.id[row]) for row in rows if parts[row] == part) for part in order if part in group}
            for rows, group in zip(duplicates, found, strict=True)
        ),
        conflicting=index.conflicts,
    )


def check(audit: Audit) -> None:
    """Refuse a plan that puts a patient into two parts; identical inputs are for the report, not refused.

    Raises:
        InputError: patients are shared; says how many and by which parts.
    """
    if audit.shared_patients:
        shares = ", ".join(f"{count} by {pair}" for pair, count in audit.shared_patients.items())
        raise InputError(
            f"Patients stand in two parts of the split ({shares}). Split by patient (`group`), as `HashedSplit` and "
            "`Folds` do."
        )


def _repeated(values: np.ndarray) -> list[list[int]]:
    """Group the rows with equal values, where there are two or more."""
    rows: dict[str, list[int]] = {}
    for row, value in enumerate(values.tolist()):
        rows.setdefault(value, []).append(row)
    return [same for same in rows.values() if len(same) > 1]


def _pairs(order: list[str], groups: list[list[str]]) -> dict[str, int]:
    """Count the groups that reach into both parts of each pair of parts."""
    return {
        f"{a}+{b}": count
        for a, b in combinations(order, 2)
        if (count := sum(a in group and b in group for group in groups))
    }
