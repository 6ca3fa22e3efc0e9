"""Splits and folds by patient: hashed, so that they depend on nothing but the patient's name and a salt.

Whoever is added to a data set later moves nobody, and no label enters, so a wrong label cannot move a patient either.
Balance comes from choosing the salt once, by re-randomisation (Morgan and Rubin, Annals of Statistics 40:1263, 2012),
and freezing it in the configuration.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from medjax.data.readers.cells import excel_day, is_date
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
class OfficialTest:
    """The published test set stays as it is; a share of the other patients, drawn by hash, is for validation."""

    validation: float = 0.2
    salt: int = 0

    def __post_init__(self) -> None:
        _check_fraction(self.validation, "split: validation")


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


@dataclass(frozen=True)
class LeaveOneOut:
    """Cross-validation in which each fold holds out one value of an attribute, such as one hospital."""

    attribute: str
    salt: int = 0
    hold_back: float = 0.0

    def __post_init__(self) -> None:
        _check_fraction(self.hold_back)


@dataclass(frozen=True)
class ByTime:
    """A split by time: patients first seen from `validation` on choose, those first seen from `test` on are sealed.

    The attribute holds dates (as 2024-05-31) or numbers (such as a year), and so do the two limits. All cases of a patient
    go where the first of them lies.
    """

    attribute: str
    validation: str | float | int
    test: str | float | int

    def __post_init__(self) -> None:
        limits = moments([str(self.validation), str(self.test)], "split")
        if not limits[0] < limits[1]:
            raise InputError(f"split: validation begins at {self.validation}, not before test at {self.test}.")


@dataclass(frozen=True)
class Nested:
    """Growing subsets of the training patients, for a learning curve; who judges stays the same.

    Attributes:
        shares: of the training patients, ascending, the last one at most 1.
        draws: how often the patients are put in order anew; within a draw the larger subset holds the smaller one.
        of: the splits whose training patients are taken; None: the data set's official ones.
        salt: of the drawing.
    """

    shares: tuple[float | int, ...]
    draws: int = 5
    of: HashedSplit | OfficialTest | Folds | LeaveOneOut | ByTime | None = None
    salt: int = 0

    def __post_init__(self) -> None:
        ascend = list(self.shares) == sorted(set(self.shares))
        if not self.shares or not ascend or self.shares[0] <= 0 or self.shares[-1] > 1:
            raise InputError(f"shares: {self.shares} must ascend, above 0 and up to 1, such as .05,.10,.25,.50,1.")
        if self.draws < 1:
            raise InputError(f"draws: {self.draws}; at least 1 is needed.")


Splits = HashedSplit | OfficialTest | Folds | LeaveOneOut | ByTime | Nested


def moments(values: Sequence[str] | Shaped[np.ndarray, " values"], where: str) -> Float[np.ndarray, " values"]:
    """Read dates (ISO 8601) or numbers as numbers that order them: days, or what is written.

    Raises:
        InputError: a value is neither, or both kinds are mixed; `where` says whose values they are.
    """
    texts = [str(value) for value in values]
    try:
        return np.array([float(text) for text in texts])
    except ValueError:
        pass
    try:
        read = [datetime.fromisoformat(text).replace(tzinfo=None) for text in texts]
    except ValueError as error:
        days = [text for text in texts if excel_day(text)]
        slashed = [text for text in texts if is_date(text) and not text[:4].isdigit()]
        advice = f"; {days[0]!r} may be a day number of Excel, {excel_day(days[0])}" if days else ""
        advice = f"; in {slashed[0]!r} nobody can tell day from month" if slashed else advice
        raise InputError(f"{where}: neither dates as 2024-05-31 nor numbers all through ({error}){advice}.") from None
    return np.array([(one - datetime(1970, 1, 1)).total_seconds() / 86400 for one in read])


def assign_by_time(
    groups: Shaped[np.ndarray, " cases"], values: Shaped[np.ndarray, " cases"], spec: ByTime
) -> Shaped[np.ndarray, " cases"]:
    """Name the split of every case by the time at which its patient was first seen."""
    missing = int(np.sum(values == ""))
    if missing:
        raise InputError(f"split: {missing} cases have no '{spec.attribute}'; a split by time needs it for every case.")
    limits = [str(spec.validation), str(spec.test)]
    every = moments([*values.tolist(), *limits], f"split: '{spec.attribute}' and the limits {' and '.join(limits)}")
    times, (validation, test) = every[:-2], every[-2:]
    _, patient = np.unique(groups, return_inverse=True)
    first = np.full(patient.max() + 1, np.inf)
    np.minimum.at(first, patient, times)
    first = first[patient]
    return np.where(first < validation, "train", np.where(first < test, "validation", "test"))


def assign_left_out(
    groups: Shaped[np.ndarray, " cases"], values: Shaped[np.ndarray, " cases"], spec: LeaveOneOut
) -> tuple[Int[np.ndarray, " cases"], list[str]]:
    """Number the fold of every case by its value of the attribute, in the order of the values, which are returned too.

    Raises:
        InputError: a value is missing, there is one only, or a patient has cases in two of them.
    """
    missing = int(np.sum(values == ""))
    if missing:
        raise InputError(f"folds: {missing} cases have no '{spec.attribute}'; leaving one out needs it for every case.")
    names, fold = np.unique(values, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"folds: every case has '{spec.attribute}' {names[0]}; there is nothing to leave out.")
    pairs = np.unique(np.stack([np.unique(groups, return_inverse=True)[1], fold]), axis=1)
    shared = int(np.sum(np.bincount(pairs[0]) > 1))
    if shared:
        raise InputError(
            f"folds: {shared} patients have cases with several values of '{spec.attribute}', and would stand on both sides."
        )
    return fold.astype(np.int64), names.tolist()


def uniform(salt: int, name: str, groups: Iterable[str]) -> Float[np.ndarray, " groups"]:
    """Draw each patient's number in [0, 1): BLAKE2b of the salt, the purpose and the patient, 53 bits of it.

    Args:
        salt: the frozen choice of the configuration.
        name: the purpose ("split", "fold", ...), so that two purposes draw independently.
        groups: the patients.
    """
    texts = (f"{salt}\0{name}\0{group}".encode() for group in groups)
    digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
    return (np.frombuffer(digests, ">u8") >> 11) * 2.0**-53


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


def first_patients(
    groups: Sequence[str] | Shaped[np.ndarray, " cases"], share: float, salt: int, draw: int = 0
) -> Bool[np.ndarray, " cases"]:
    """Choose a share of the patients, at least one: the first in a hashed order, so that a larger share holds a smaller."""
    patients, of_case = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    rank = np.argsort(np.argsort(_draws(patients, f"subset {draw}", salt), kind="stable"))
    return (rank < max(1, round(share * len(patients))))[of_case]


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
    return uniform(salt, name, patients.tolist())[of_case]


def _planned(spec: HashedSplit | Folds) -> dict[str | int, float]:
    if isinstance(spec, Folds):
        return dict.fromkeys(range(spec.count), 1 / spec.count)
    shares = {"train": spec.train, "validation": spec.validation, "test": spec.test}
    return {name: share for name, share in shares.items() if share}


def _salted(spec: HashedSplit | Folds, salt: int) -> HashedSplit | Folds:
    return replace(spec, salt=salt)


def _check_fraction(fraction: float, name: str = "folds: hold_back") -> None:
    if not 0 <= fraction < 1:
        raise InputError(f"{name} is {fraction}; it is a share from 0 up to, not including, 1.")
