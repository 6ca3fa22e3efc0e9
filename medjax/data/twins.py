"""Near-duplicates of a prepared data set: which cases of which splits are too much alike, and what training should leave out.

Inputs are compared, of the test split too, and said so; its labels are not looked at. Nothing here runs inside training.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from medjax.data import near
from medjax.data.dataset import Dataset, open_split
from medjax.data.partition import Partition
from medjax.data.thumbnail import GRIDS, thumbnail
from medjax.errors import InputError

COMPARED = (*GRIDS, "table")
"""Inputs that are compared; tokens and sequences are only looked through for identical ones."""


@dataclass(frozen=True)
class Twin:
    """Two cases that are too much alike, with their splits; the one that training may lose comes first.

    `similarity` is a whitened correlation, or for rows of a table the distance of their ranks; `chance` is 0 where
    they are identical.
    """

    ids: tuple[str, str]
    parts: tuple[str, str]
    similarity: float
    chance: float

    @property
    def identical(self) -> bool:
        """Whether nothing differs (columns that only number the rows aside)."""
        return self.chance == 0.0


@dataclass(frozen=True, eq=False)
class Twins:
    """What a comparison found.

    Attributes:
        pairs: most alike first: identical ones, then the others.
        compared: which input was compared, "" where none of the kinds can be.
        different: cases left after taking each identical case once; these were compared with each other.
        rate: share of them that may be called suspect though there is no copy.
        by_chance: cases with an identical row that columns drawn independently would give, NaN where there is no table.
        numbering: columns left out because they only number the rows.
    """

    pairs: tuple[Twin, ...]
    compared: str
    different: int
    rate: float
    by_chance: float = float("nan")
    numbering: tuple[str, ...] = ()


def read_inputs(dataset: Dataset, key: str) -> Float32[np.ndarray, "cases *size"]:
    """Read one input of every case, in the order of the index: thumbnails, or rows of a table; no target is kept."""
    found = []
    for split, count in dataset.splits.items():
        source = open_split(dataset, split)
        for row in range(count):
            array = source[row][key]
            found.append(np.asarray(array, np.float32) if key == "table" else thumbnail(array, GRIDS[key]))
    return np.stack(found)


def compared_input(dataset: Dataset) -> str:
    """Name the input by which cases are compared: the first of image, volume, signal and table; "" for none."""
    return next((key for key in COMPARED if key in dataset.inputs), "")


def find(dataset: Dataset, plan: Partition | None = None, *, rate: float = near.RATE) -> Twins:
    """Look for near-duplicates within and across the splits (or folds) of a data set; one patient's cases may be alike.

    Args:
        dataset: prepared.
        plan: an experiment's partition; None: the data set's own splits.
        rate: share of cases without a copy that may be called suspect.
    """
    index = dataset.index
    parts = (index.split if plan is None else plan.assignment).astype(str)
    key = compared_input(dataset)
    content, by_chance, numbering = index.fingerprint, float("nan"), np.zeros(0, np.int64)
    inputs = read_inputs(dataset, key) if key else None
    if inputs is not None and key == "table":
        numbering = numbering_columns(inputs)
        inputs = np.delete(inputs, numbering, axis=1)
        if inputs.shape[1]:
            content, by_chance = row_contents(inputs), repeats_by_chance(inputs)
    same = repeated(content)
    pairs = [
        (a, b, float(key != "table"), 0.0)
        for rows in same
        for a, b in combinations(rows, 2)
        if index.group[a] != index.group[b]
    ]
    once = np.sort(np.unique(content, return_index=True)[1])
    if inputs is not None and inputs.shape[1] and len(once) > 1:
        members = {rows[0]: rows for rows in same}
        for one in closest(inputs[once], index.group[once], key, rate):
            a, b = int(once[one.first]), int(once[one.second])
            pairs += [
                (c, d, one.similarity, max(one.chance, 1e-300))
                for c in members.get(a, [a])
                for d in members.get(b, [b])
                if index.group[c] != index.group[d]
            ]
    return Twins(
        pairs=tuple(_twin(index.id, parts, *pair) for pair in pairs),
        compared=key,
        different=len(once),
        rate=rate,
        by_chance=by_chance,
        numbering=tuple(dataset.columns[column] for column in numbering),
    )


def closest(
    inputs: Float32[np.ndarray, "cases *size"], patients: Shaped[np.ndarray, " cases"], key: str, rate: float
) -> list[near.Suspect]:
    """Return the suspect pairs among different inputs."""
    if key == "table":
        found = near.row_neighbours(inputs.astype(np.float64), None, (patients, patients))
    else:
        found = near.picture_neighbours(inputs, None, (patients, patients))
    return near.suspects(found, rate=rate, same=None if key == "table" else near.SAME)


def between(first: Dataset, second: Dataset, *, rate: float = near.RATE) -> Twins:
    """Look for cases of one data set in another one; tables are compared on the columns that both have.

    Raises:
        InputError: they have no input, or no column, in common that can be compared.
    """
    key = compared_input(first)
    if not key or compared_input(second) != key:
        raise InputError(f"audit: {first.name} and {second.name} have no input in common that can be compared")
    ours, theirs = read_inputs(first, key), read_inputs(second, key)
    if key == "table":
        common = [name for name in first.columns if name in second.columns]
        if not common:
            raise InputError(f"audit: {first.name} and {second.name} have no column in common; name the columns alike")
        ours = ours[:, [first.columns.index(name) for name in common]]
        theirs = theirs[:, [second.columns.index(name) for name in common]]
        contents = row_contents(np.concatenate([ours, theirs]))
        found = near.row_neighbours(ours.astype(np.float64), theirs.astype(np.float64))
    else:
        contents = np.concatenate([first.index.fingerprint, second.index.fingerprint])
        found = near.picture_neighbours(ours, theirs)
    where = defaultdict(list)
    for row, content in enumerate(contents[len(ours) :].tolist()):
        where[content].append(row)
    exact = [(a, b) for a, content in enumerate(contents[: len(ours)].tolist()) for b in where.get(content, [])]
    pairs = [(*pair, float(key != "table"), 0.0) for pair in exact]
    known = set(exact)
    pairs += [
        (one.first, one.second, one.similarity, max(one.chance, 1e-300))
        for one in near.suspects(found, rate=rate, alone=False, same=None if key == "table" else near.SAME)
        if (one.first, one.second) not in known
    ]
    ids, others, names = first.index.id, second.index.id, (first.name, second.name)
    twins = tuple(Twin((str(ids[a]), str(others[b])), names, s, chance) for a, b, s, chance in pairs)
    by_chance = repeats_by_chance(np.concatenate([ours, theirs])) if key == "table" else float("nan")
    return Twins(twins, key, len(ours), rate, by_chance)


def numbering_columns(table: Float[np.ndarray, "cases columns"]) -> Int[np.ndarray, " numbering"]:
    """Find the columns that only number the rows: whole numbers, all known, all different, few left out in between."""
    found = []
    for column in range(table.shape[1]):
        values = table[:, column].astype(np.float64)
        if len(values) > 20 and np.isfinite(values).all() and (values == np.round(values)).all():
            different = len(np.unique(values)) == len(values)
            if different and values.max() - values.min() < 2 * len(values):
                found.append(column)
    return np.array(found, np.int64)


def row_contents(table: Float[np.ndarray, "cases columns"]) -> Shaped[np.ndarray, " cases"]:
    """Number the different rows; missing equals missing."""
    filled = np.where(np.isnan(table), np.inf, table) + 0.0  # -0.0 becomes 0.0
    return np.unique(filled, axis=0, return_inverse=True)[1].reshape(-1)


def repeats_by_chance(table: Float[np.ndarray, "cases columns"], shuffles: int = 20, seed: int = 0) -> float:
    """Mean number of cases with an identical row when every column is shuffled by itself.

    Columns that go together repeat more often than that: it is a lower bound of what chance gives.
    """
    random = np.random.Generator(np.random.Philox(key=seed))
    counts = []
    for _ in range(shuffles):
        numbers = np.bincount(row_contents(random.permuted(table, axis=0)))
        counts.append(numbers[numbers > 1].sum())
    return float(np.mean(counts))


def repeated(contents: Shaped[np.ndarray, " cases"]) -> list[list[int]]:
    """Group the rows of equal content, where there are two or more."""
    rows = defaultdict(list)
    for row, content in enumerate(contents.tolist()):
        rows[content].append(row)
    return [same for same in rows.values() if len(same) > 1]


def tally(pairs: Sequence[Twin]) -> dict[str, tuple[int, int, int]]:
    """Count by pair of splits "a+b": pairs, different cases of a, different cases of b; "a" where both lie in one."""
    groups = defaultdict(list)
    for pair in pairs:
        groups["+".join(dict.fromkeys(pair.parts))].append(pair.ids)
    return {
        name: (len(ids), len({a for a, _ in ids}), len({b for _, b in ids}))
        if "+" in name
        else (len(ids), len({one for pair in ids for one in pair}), 0)
        for name, ids in groups.items()
    }


_ORDER = {"train": 0, "validation": 1, "test": 3}


def _twin(ids: np.ndarray, parts: np.ndarray, a: int, b: int, similarity: float, chance: float) -> Twin:
    """Put the case that training may lose first."""
    a, b = sorted((a, b), key=lambda row: (_ORDER.get(parts[row], 2), parts[row], row))
    return Twin((str(ids[a]), str(ids[b])), (str(parts[a]), str(parts[b])), similarity, chance)


def judged(twins: Twins, part: str | None = None, left_out: Sequence[str] = ()) -> list[str]:
    """The ids of cases in a split that have a twin in training; None: of cases whose twin lies in another fold.

    Cases that training left out (`left_out`) make nobody suspect.
    """
    gone, found = set(left_out), set()
    for pair in twins.pairs:
        for (own, name), (other, twin) in zip(
            zip(pair.parts, pair.ids, strict=True),
            zip(pair.parts[::-1], pair.ids[::-1], strict=True),
            strict=True,
        ):
            if own != other and twin not in gone and (part is None or (own == part and other == "train")):
                found.add(name)
    return sorted(found)
