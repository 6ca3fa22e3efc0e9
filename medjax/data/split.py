"""Splits and folds by patient: hashed, so that they depend on nothing but the patient's name and a salt.

Whoever is added to a data set later moves nobody, and no label enters, so a wrong label cannot move a patient either.
Balance comes from choosing the salt once, by re-randomisation (Morgan and Rubin, Annals of Statistics 40:1263, 2012),
and freezing it in the configuration.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int, Shaped

from medjax.errors import InputError


@dataclass(frozen=True)
class HashedSplit:
    """Shares of the patients in each split; they sum to 1."""

    train: float = 0.7
    validation: float = 0.15
    test: float = 0.15
    salt: int = 0

    def __post_init__(self) -> None:
        shares = (self.train, self.validation, self.test)
        if min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
            raise InputError(f"split: the shares train, validation and test are {shares}; they must sum to 1.")


@dataclass(frozen=True)
class Folds:
    """Cross-validation: the number of folds, and the share of each fold's training patients held back for choices."""

    count: int = 5
    salt: int = 0
    hold_back: float = 0.0

    def __post_init__(self) -> None:
        if self.count < 2:
            raise InputError(f"folds: count is {self.count}; cross-validation needs at least 2 folds.")
        _check_fraction(self.hold_back)


def uniform(salt: int, name: str, group: str) -> float:
    """Draw a patient's number in [0, 1): BLAKE2b of the salt, the purpose and the patient, 53 bits of it.

    Args:
        salt: the frozen choice of the configuration.
        name: the purpose ("split", "fold", ...), so that two purposes draw independently.
        group: the patient.
    """
    digest = hashlib.blake2b(f"{salt}\0{name}\0{group}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def assign_splits(
    groups: Sequence[str] | Shaped[np.ndarray, " cases"], spec: HashedSplit
) -> Shaped[np.ndarray, " cases"]:
    """Name the split of every case: "train", "validation" or "test"; all cases of a patient get the same one."""
    draws = _draws(groups, "split", spec.salt)
    # The last share takes what is left, so that rounding of the sums can leave no patient without a split.
    names = np.where(draws < spec.train, "train", np.where(draws < spec.train + spec.validation, "validation", "test"))
    return np.where((names == "test") & (spec.test == 0), "validation" if spec.validation else "train", names)


def assign_folds(groups: Sequence[str] | Shaped[np.ndarray, " cases"], spec: Folds) -> Int[np.ndarray, " cases"]:
    """Number the fold of every case, from 0 to count - 1; all cases of a patient get the same one."""
    return (_draws(groups, "fold", spec.salt) * spec.count).astype(np.int64)


def held_back(
    groups: Sequence[str] | Shaped[np.ndarray, " cases"], fraction: float, salt: int
) -> Bool[np.ndarray, " cases"]:
    """Choose the patients that are held back from training for choices (early stopping, thresholds, calibration)."""
    _check_fraction(fraction)
    return _draws(groups, "hold_back", salt) < fraction


def assign(
    groups: Sequence[str] | Shaped[np.ndarray, " cases"], spec: HashedSplit | Folds
) -> Shaped[np.ndarray, " cases"]:
    """Assign every case to its split or to its fold."""
    return assign_splits(groups, spec) if isinstance(spec, HashedSplit) else assign_folds(groups, spec)


def choose_salt(
    groups: Sequence[str] | Shaped[np.ndarray, " cases"],
    strata: Sequence[int] | Sequence[str] | Shaped[np.ndarray, " cases"],
    spec: HashedSplit | Folds,
    candidates: int = 1000,
) -> tuple[int, float]:
    """Choose the best-balanced of the salts 0 to candidates - 1: do it once, and freeze the salt in the configuration.

    The criterion is the largest deviation over the parts, both of the strata's shares within a part and of the part's
    share of all cases from the planned one (a plan that leaves a part empty is never chosen).

    Args:
        groups: the patient of every case.
        strata: what to balance, for example the label; one stratum a case.
        spec: the plan; its own salt is ignored.
        candidates: how many salts to try.

    Returns:
        The salt and its `imbalance`.
    """
    if candidates < 1:
        raise InputError(f"choose_salt: {candidates} candidates; at least 1 is needed.")
    plan = _planned(spec)
    patients, of_case = np.unique(np.asarray(groups), return_inverse=True)
    _, stratum = np.unique(np.asarray(strata), return_inverse=True)
    overall = np.bincount(stratum) / len(stratum)

    def deviation(salt: int) -> float:
        parts = assign(patients, _salted(spec, salt))[of_case]
        worst = 0.0
        for part, share in plan.items():
            inside = parts == part
            if not inside.any():
                return np.inf
            shares = np.bincount(stratum[inside], minlength=len(overall)) / inside.sum()
            worst = max(worst, abs(inside.mean() - share), np.abs(shares - overall).max())
        return worst

    best = min(range(candidates), key=deviation)
    if not np.isfinite(deviation(best)):
        raise InputError(f"choose_salt: {len(patients)} patients are too few: every candidate leaves a part empty.")
    return best, imbalance(assign(groups, _salted(spec, best)), strata)


def imbalance(
    assignment: Sequence[int] | Sequence[str] | Shaped[np.ndarray, " cases"],
    strata: Sequence[int] | Sequence[str] | Shaped[np.ndarray, " cases"],
) -> float:
    """Measure the largest absolute deviation of a stratum's share within a part from its share of all cases."""
    table = balance_table(assignment, strata)
    total = {stratum: sum(row[stratum] for row in table.values()) for stratum in next(iter(table.values()))}
    cases = sum(total.values())
    return max(
        abs(count / sum(row.values()) - total[stratum] / cases)
        for row in table.values()
        for stratum, count in row.items()
    )


def balance_table(
    assignment: Sequence[int] | Sequence[str] | Shaped[np.ndarray, " cases"],
    strata: Sequence[int] | Sequence[str] | Shaped[np.ndarray, " cases"],
) -> dict[str, dict[str, int]]:
    """Count the cases of each stratum in each part: {part: {stratum: cases}}, names as text."""
    parts, strata = np.asarray(assignment), np.asarray(strata)
    if len(parts) != len(strata) or not len(parts):
        raise InputError(f"balance: {len(parts)} assigned cases and {len(strata)} strata; give one of each per case.")
    return {
        str(part): {str(stratum): int(np.sum((parts == part) & (strata == stratum))) for stratum in np.unique(strata)}
        for part in np.unique(parts)
    }


def split_fingerprint(
    ids: Sequence[str] | Shaped[np.ndarray, " cases"],
    assignment: Sequence[int] | Sequence[str] | Shaped[np.ndarray, " cases"],
) -> str:
    """Hash which case is in which part (SHA-256 as hex); the order of the cases does not matter.

    Give the fingerprints of the cases as `ids` where the same numbering may occur in two data sets.
    """
    pairs = sorted((str(name), str(part)) for name, part in zip(ids, assignment, strict=True))
    return hashlib.sha256(json.dumps(pairs).encode()).hexdigest()


def _draws(groups: Sequence[str] | np.ndarray, name: str, salt: int) -> np.ndarray:
    patients, of_case = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.array([uniform(salt, name, str(group)) for group in patients], dtype=np.float64)[of_case]


def _planned(spec: HashedSplit | Folds) -> dict[str | int, float]:
    if isinstance(spec, Folds):
        return dict.fromkeys(range(spec.count), 1 / spec.count)
    shares = {"train": spec.train, "validation": spec.validation, "test": spec.test}
    return {name: share for name, share in shares.items() if share}


def _salted(spec: HashedSplit | Folds, salt: int) -> HashedSplit | Folds:
    return replace(spec, salt=salt)


def _check_fraction(fraction: float) -> None:
    if not 0 <= fraction < 1:
        raise InputError(f"folds: hold_back is {fraction}; it is a share from 0 up to, not including, 1.")
