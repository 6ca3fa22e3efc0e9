"""The content of one's own table, column by column: values, what is wrong with them, and what deserves a note."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from medjax.data.case import Case
from medjax.data.origin import Problem
from medjax.data.readers.cells import UNKNOWN, excel_day, show
from medjax.data.readers.columns import Parsed, day_numbers, notes, unknown_cells
from medjax.errors import InputError

_ORDER = ("train", "validation", "test")


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that was read, row by row in the order of the file.

    Attributes:
        path: the file.
        names: the column of each role: target, id, group, split.
        lines: the line in which each row begins.
        inputs: the columns of `table`, numbers and levels.
        levels: of the categorical ones.
        numbered: those of them that have a number in `table`.
        attributes: further columns.
        texts: those of them that hold text.
        target: None where it was not asked for; of times to an event the time.
        event: how the time ended; None for every other target.
        entry: when a case came under observation; None where that is not told.
        id: None where rows are numbered.
        group: None where every row is its own patient.
        split: None where the cases are not parted.
        classes: of the target; () for a value.
        wrong: by row what makes it unusable.
    """

    path: Path
    names: dict[str, str | None]
    lines: list[int]
    inputs: dict[str, Parsed]
    levels: dict[str, tuple[str, ...]]
    numbered: dict[str, tuple[str, ...]]
    attributes: dict[str, Parsed]
    texts: frozenset[str]
    target: Parsed | None
    event: Parsed | None
    entry: Parsed | None
    id: Parsed | None
    group: Parsed | None
    split: Parsed | None
    classes: tuple[str, ...]
    wrong: dict[int, list[str]]

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that are there; "all" where the cases are not parted."""
        if self.split is None:
            return ("all",)
        return tuple(name for name in _ORDER if name in self.split.known) or ("train",)

    def rows(self, split: str) -> list[int]:
        """Rows of a split; those that name none come with the first."""
        if self.split is None:
            return list(range(len(self.lines))) if split == "all" else []
        first = self.splits[0]
        return [row for row, name in enumerate(self.split.values) if (name or first) == split]

    def problem(self, row: int) -> Problem | None:
        """What is wrong with a row, if anything is."""
        if row not in self.wrong:
            return None
        reasons = self.wrong[row]
        more = f"; {len(reasons) - 3} more" if len(reasons) > 3 else ""
        return Problem(f"{self.path.name}, line {self.lines[row]}", "; ".join(reasons[:3]) + more)

    def case(self, row: int) -> Case:
        """The case of a usable row."""
        name = f"{row:05d}" if self.id is None else self.id.values[row]
        case: Case = {"id": name, "group": name if self.group is None else self.group.values[row]}
        numbers: list[float] = []
        for column, parsed in self.inputs.items():
            numbers += _encode(parsed.values[row], self.numbered.get(column))
        case["table"] = np.array(numbers, np.float32)
        if self.target is not None:
            value = self.target.values[row]
            if self.event is not None:
                case |= {"time": value, "event": self.event.values[row]}
                case |= {} if self.entry is None else {"entry": self.entry.values[row]}
            else:
                case |= {"label": self.classes.index(value)} if self.classes else {"value": value}
        for column, parsed in self.attributes.items():
            value = parsed.values[row]
            case[column] = value if value is not None else "" if column in self.texts else np.nan
        return case


def check_whole(content: Content, *, skip: bool) -> None:
    """Refuse a table that leaves nothing to go on with, however many rows are skipped.

    Args:
        content: of the whole file, with its target.
        skip: whether rows that cannot be used are left out.

    Raises:
        InputError: an input without a value or of another kind, an unknown class, one class, one value, no training
            case, a patient in two splits.
    """
    for name, parsed in content.inputs.items():
        _check_input(content, name, parsed)
    target = content.target
    if target is None:
        return
    where = f"column {content.names['target']!r}"
    if content.classes and target.wrong:
        row = min(target.wrong)
        many = f" ({len(target.wrong)} rows have such classes)" if len(target.wrong) > 1 else ""
        raise InputError(
            f"{content.path}, line {content.lines[row]}, {where}: {target.wrong[row]}{many}. "
            "Name every class; `codes` merges classes and marks cells as missing."
        )
    rows = [row for row in range(len(content.lines)) if not (skip and row in content.wrong)]
    found = {target.values[row] for row in rows} - {None}
    if not found:
        first = content.problem(min(content.wrong)) if content.wrong else None
        raise InputError(f"{content.path}, {where}: no row can be used" + (f"; the first: {first}." if first else "."))
    if len(found) < 2:
        what = "class" if content.classes else "value"
        raise InputError(
            f"{content.path}, {where}: every row has the {what} {show(str(next(iter(found))))}; nothing can be learnt."
        )
    if content.event is not None and not any(content.event.values[row] for row in rows):
        raise InputError(
            f"{content.path}, column {content.names['event']!r}: all {len(rows)} rows are censored (0); without an event no "
            "risk can be learnt."
        )
    _check_splits(content)


def noted(content: Content) -> tuple[str, ...]:
    """Return what a person should know: what was cleaned, what is missing, what is constant or looks like the answer."""
    lines = []
    columns = {**content.attributes, **content.inputs}
    for role in ("target", "event", "entry", "split"):
        if (parsed := getattr(content, role)) is not None:
            columns[str(content.names[role])] = parsed
    for name, parsed in columns.items():
        lines += notes(name, parsed, content.lines)
    lacks = {name: parsed.values.count(None) for name, parsed in content.inputs.items()}
    lacks = {name: count for name, count in sorted(lacks.items(), key=lambda item: -item[1]) if count}
    if lacks:
        first = ", ".join(f"{name!r} {count}" for name, count in list(lacks.items())[:8])
        more = f", and {len(lacks) - 8} more columns" if len(lacks) > 8 else ""
        lines.append(f"missing values in {len(content.lines)} rows: {first}{more}")
    for name, parsed in content.inputs.items():
        if len(set(parsed.known)) == 1:
            lines.append(f"column {name!r} is {parsed.known[0]!r} in every row that has it: it tells nothing")
        elif not content.levels.get(name) and day_numbers(name, parsed.known):
            day = f"{parsed.known[0]:g}"
            lines.append(
                f"column {name!r} seems to hold Excel's day numbers ({day} is {excel_day(day)}): a date is no input"
            )
        elif not content.levels.get(name) and len(parsed.known) >= 10 and len(set(np.diff(parsed.known))) == 1:
            lines.append(f"column {name!r} counts the rows: a number of the case and no measurement")
    usable = [row for row in range(len(content.lines)) if row not in content.wrong]
    present = {content.target.values[row] for row in usable} if content.target else set()
    for name in content.classes:
        if name not in present:
            lines.append(f"no usable row has the class {name!r}")
    return (*lines, *_giveaways(content))


def _encode(value: Any, levels: Sequence[str] | None) -> list[float]:
    if levels is None:
        return [np.nan if value is None else value]
    return [np.nan if value is None else float(value == name) for name in levels]


def find_wrong(content: Content) -> None:
    """Collect what makes a row unusable: cells that cannot be read, no target, no id, an id that was there before."""

    def add(row: int, column: str | None, reason: str) -> None:
        content.wrong.setdefault(row, []).append(f"column {column!r}: {reason}")

    uneven = set(content.wrong)
    for name, parsed in content.inputs.items():
        for row, reason in parsed.wrong.items():
            add(row, name, reason)
    for role in ("target", "event", "entry", "id", "group", "split"):
        parsed = getattr(content, role)
        if parsed is None:
            continue
        what = {"target": "the target", "group": "the patient"}.get(role, f"the {role}")
        for row, value in enumerate(parsed.values):
            if value is None and row not in uneven:
                add(row, content.names[role], parsed.wrong.get(row, f"{what} is missing"))
    if content.entry is not None and content.target is not None:
        for row, (entry, end) in enumerate(zip(content.entry.values, content.target.values, strict=True)):
            if entry is not None and end is not None and entry >= end:
                add(
                    row,
                    content.names["entry"],
                    f"the entry {entry:g} is not before the end of the observation, {end:g}",
                )
    if content.id is not None:
        first: dict[str, int] = {}
        for row, value in enumerate(content.id.values):
            if value is not None and first.setdefault(value, row) != row:
                again = f"the id {show(value)} stands in line {content.lines[first[value]]} already"
                add(row, content.names["id"], f"{again}; a patient with several rows is named by `group`")


def _check_input(content: Content, name: str, parsed: Parsed) -> None:
    where, levels = f"{content.path}, column {name!r}", content.levels.get(name)
    if not parsed.known and not parsed.wrong:
        raise InputError(f"{where}: it holds no value; leave the column out.")
    strange = {row: f"{show(cell)} is none of them" for cell, row in unknown_cells(parsed)}
    if 2 * len(strange) > len(parsed.known):
        raise InputError(
            f"{where}: most cells are none of the levels {', '.join(levels or ())}, first in line "
            f"{content.lines[min(strange)]}: {strange[min(strange)]}; name the levels that the file has."
        )
    if 2 * len(parsed.wrong) <= len(parsed.wrong) + len(parsed.known):
        return
    row = min(parsed.wrong)
    advice = (
        "name the levels that the file has" if levels else "name it in `categorical` with its levels, or leave it out"
    )
    raise InputError(
        f"{where}: most cells cannot be read, first in line {content.lines[row]}: {parsed.wrong[row]}; {advice}."
    )


def _check_splits(content: Content) -> None:
    if content.split is None:
        return
    if "train" not in content.split.known:
        where = f"{content.path}, column {content.names['split']!r}"
        raise InputError(f"{where}: no row has the split 'train'; it has {', '.join(content.splits)}.")
    if content.group is None:
        return
    first: dict[str, int] = {}
    for row, (group, split) in enumerate(zip(content.group.values, content.split.values, strict=True)):
        if group is None or split is None:
            continue
        other = first.setdefault(group, row)
        if content.split.values[other] != split:
            raise InputError(
                f"{content.path}, lines {content.lines[other]} and {content.lines[row]}: one patient in two splits, "
                f"{content.split.values[other]} and {split}; a patient belongs in one."
            )


def _giveaways(content: Content) -> list[str]:
    """Name the inputs that alone tell all classes of the training cases apart: too good to be a measurement."""
    rows = [row for row in content.rows(content.splits[0]) if row not in content.wrong]
    found, target = [], content.target
    if target is None or len(content.classes) < 2:
        return found
    for name, parsed in content.inputs.items():
        order: dict[Any, int] = {level: place for place, level in enumerate(content.levels.get(name, ()))}
        order |= {UNKNOWN: len(order)} if order else {}
        by_class: dict[str, set[float]] = {}
        known = [row for row in rows if parsed.values[row] is not None]
        for row in known:
            value = parsed.values[row]
            by_class.setdefault(target.values[row], set()).add(order.get(value, value))
        ranges = sorted((min(values), max(values)) for values in by_class.values())
        apart = all(low[1] < high[0] for low, high in pairwise(ranges))
        if (
            len(by_class) == len({target.values[row] for row in rows}) > 1
            and apart
            and 2 * len(known) > len(rows) >= 20
        ):
            found.append(
                f"column {name!r} alone tells the classes apart: is it known before the outcome, and no number of the case?"
            )
    return found
