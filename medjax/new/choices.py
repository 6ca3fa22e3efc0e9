"""What follows from counts alone: splits, durations, batch sizes, and which class is the positive one."""

import math
from collections.abc import Sequence

import numpy as np

from medjax.config import nearest
from medjax.data.dataset import Dataset
from medjax.data.readers.columns import Column, tokens
from medjax.data.split import Folds, HashedSplit, choose_salt
from medjax.errors import InputError
from medjax.new.draft import Choice

FEW = 600  # patients: below this a single test set says little, and cross-validation uses every patient for judging
RARE = 30  # patients of a class, the least that an interval needs
_POSITIVE = ("yes", "positive", "pos", "true", "1", "malignant", "disease", "diseased", "ill", "sick", "abnormal", "dead",
             "died", "case", "cancer", "tumor", "tumour", "pathological")  # fmt: skip
_TIMES = {
    "time",
    "times",
    "duration",
    "days",
    "weeks",
    "months",
    "years",
    "survival",
    "followup",
    "os",
    "pfs",
    "dfs",
    "rfs",
}
_ENDS = {"event", "status", "death", "dead", "died", "deceased", "censored", "censoring", "relapse", "recurrence"}
_NEGATIVE = ("no", "non", "neg", "normal", "healthy", "benign", "control", "absent", "false", "alive")


def splits(dataset: Dataset, strata: np.ndarray | None) -> tuple[HashedSplit | Folds | None, str]:
    """Choose how the cases are parted, and say why.

    Args:
        dataset: prepared.
        strata: class of every case, or quarter of its value, for the balance of the parts; None: not known.
    """
    if dataset.official:
        counts = ", ".join(f"{name} {count}" for name, count in dataset.splits.items())
        return None, f"The data comes with splits ({counts}): they are kept, and the test set is sealed."
    groups = np.asarray(dataset.index.group)
    patients = len(np.unique(groups))
    whose = "patients" if not np.array_equal(dataset.index.id, groups) else "cases, each taken for a patient"
    rarest = _rarest(groups, strata)
    if patients < FEW:
        count = 5 if rarest >= 10 else max(2, min(5, rarest // 2))
        spec: HashedSplit | Folds = Folds(count=count)
        why = f"{patients} {whose}: too few to set a test set aside, so every one is judged by models that did not see it."
    else:
        spec = HashedSplit()
        why = f"{patients} {whose}: 70 % to learn from, 15 % to choose on, 15 % sealed until the end."
    if strata is None:
        return spec, why
    candidates = 300 if len(groups) < 2000 else 50
    salt, worst = choose_salt(groups, strata, spec, candidates)
    balanced = type(spec)(**{**vars(spec), "salt": salt})
    why += f" Of {candidates} salts this one balances the target best (off by at most {worst:.1%})."
    return balanced, why


def splits_code(spec: HashedSplit | Folds | None) -> tuple[str, tuple[str, ...]]:
    """Return a split as Python, and the import that it needs."""
    if spec is None:
        return "None", ()
    name = type(spec).__name__
    settings = f"count={spec.count}, salt={spec.salt}" if isinstance(spec, Folds) else f"salt={spec.salt}"
    return f"{name}({settings})", (f"from medjax.data.split import {name}",)


def training_cases(dataset: Dataset, spec: HashedSplit | Folds | None) -> int:
    """Return about how many cases one model learns from."""
    if spec is None:
        return dataset.splits["train"]
    share = 1 - 1 / spec.count if isinstance(spec, Folds) else spec.train
    return max(1, round(len(dataset.index) * share))


def chooses(dataset: Dataset, spec: HashedSplit | Folds | None) -> bool:
    """Return whether there are validation cases to choose on."""
    return "validation" in dataset.splits if spec is None else isinstance(spec, HashedSplit)


def batch(cases: int, most: int) -> int:
    """Return a power of two: at least ten steps an epoch where the cases allow it."""
    return int(min(most, max(8, 2 ** math.floor(math.log2(max(cases / 10, 8))), 1), cases))


def epochs(cases: int, seen: int, low: int, high: int) -> int:
    """Return the epochs in which about `seen` cases are seen."""
    return int(min(high, max(low, round(seen / cases))))


def positive(classes: Sequence[str], counts: Sequence[int] | np.ndarray, given: str | None) -> tuple[str, str]:
    """Choose the positive class of two, and say why."""
    if given is not None:
        if given not in classes:
            raise InputError(f"--positive {given!r} is none of the classes; {nearest(given, classes)}")
        return given, ""
    words = [name for name in classes if name.strip().lower() in _POSITIVE]
    if len(words) == 1:
        return words[0], f"Guessed from its name: sensitivity and PPV are about '{words[0]}'. Check it."
    plain = [name for name in classes if name.strip().lower().startswith(_NEGATIVE)]
    if len(plain) == 1:
        (other,) = [name for name in classes if name not in plain]
        return other, f"Guessed, since '{plain[0]}' sounds healthy: sensitivity and PPV are about '{other}'. Check it."
    chosen = classes[int(np.argmin(counts))]
    return chosen, f"Guessed, being the rarer class: sensitivity and PPV are about '{chosen}'. Check it (--positive)."


def seeds(count: int, reason: str) -> Choice:
    """Return how many seeds are trained, as an argument of the experiment."""
    return Choice("replicates", f"Replicates(seeds={count})", reason)


def rare_note(names: Sequence[str], counts: Sequence[int] | np.ndarray) -> tuple[str, ...]:
    """Return a note where classes are too rare for an honest interval."""
    few = [f"{name} ({count})" for name, count in zip(names, counts, strict=True) if count < RARE]
    return (f"few cases of {', '.join(few[:5])}: intervals will be wide, and carry a warning",) if few else ()


def censored_note(target: Column, columns: Sequence[Column]) -> tuple[str, ...]:
    """Return a note where a number to be learnt may be a time that not all rows saw end, as two names say."""
    ends = [column.name for column in columns if column.distinct == 2 and tokens(column.name) & _ENDS]
    if not tokens(target.name) & _TIMES or not ends:
        return ()
    return (
        f"column {target.name!r} may be a time that is not over in every row, as column {ends[0]!r} may say: a regression takes "
        f"it for known; --event {ends[0]!r} learns survival",
    )


def strata_of(targets: np.ndarray) -> np.ndarray:
    """Return the classes of the cases, or the quarters of their values."""
    if np.issubdtype(targets.dtype, np.integer):
        return targets
    return np.searchsorted(np.nanquantile(targets, [0.25, 0.5, 0.75]), targets)


def _rarest(groups: np.ndarray, strata: np.ndarray | None) -> int:
    if strata is None:
        return len(groups)
    return min(len(np.unique(groups[strata == stratum])) for stratum in np.unique(strata))
