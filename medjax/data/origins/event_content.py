"""The content of tables of events: which rows belong to which stay, and which are known at the time of prediction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from medjax.data.origins.table import Table
from medjax.data.readers.cells import MISSING, clean, number, show
from medjax.data.readers.table import check_columns, find_file, read_rows
from medjax.errors import InputError

HOURS = {"minutes": 1 / 60, "hours": 1.0, "days": 24.0}


@dataclass(frozen=True)
class EventTable:
    """A table with one event a row.

    Attributes:
        path: the CSV, gzipped or not; a relative one from where the command runs, else from MEDJAX_DATA.
        code: columns whose texts, joined by "=", say what happened; a row in which the first is empty is no event.
        time: the column of its time; None: facts that are known from the start, at time 0.
        value: a column of numbers; cells that are none (">200") count as missing, and are counted in the notes.
        known: the column of the time at which the event was entered or revised: what was drawn before the prediction
            and entered after it was not known then.
        key: the column that this table shares with the stays; None: that of the stay.
        prefix: set before every code, so that two tables cannot mean different things by one.
    """

    path: str
    code: tuple[str, ...]
    time: str | None = None
    value: str | None = None
    known: str | None = None
    key: str | None = None
    prefix: str = ""

    def __post_init__(self):
        """Refuse a table whose events would have no code."""
        if isinstance(self.code, str) or not self.code:
            raise InputError(f"tables, {self.path}: code {self.code!r} must name columns, as in ('labname',)")


class Event(NamedTuple):
    """One event: hours from time 0, what happened, and the number that belongs to it (NaN: none)."""

    hours: float
    code: str
    value: float


class Stay(NamedTuple):
    """A stay as the tables of events need it: where it stands, what it is called in them, its end in hours."""

    where: str
    keys: dict[str, str]
    end: float | None
    wrong: str


class Record(NamedTuple):
    """A stay that lasts beyond the time of prediction, with its events in the order of their tables."""

    where: str
    wrong: str
    events: list[Event]


class Reading(NamedTuple):
    """Everything that was read: records by stay, all codes in their order, and what a person should know."""

    records: dict[str, Record]
    dictionary: tuple[str, ...]
    notes: tuple[str, ...]


def read_stays(stays: Table, end: str | None, keys: set[str], scale: float) -> dict[str, Stay]:
    """Read the bookkeeping of all stays, by their id.

    Args:
        stays: the table of stays.
        end: the column in which they end, or None.
        keys: further columns by which tables of events name them.
        scale: hours in one unit of the times.

    Raises:
        InputError: no such file or column.
    """
    path = find_file(stays.path)
    header, rows = read_rows(path, stays.header, ragged=True)
    wanted = [str(stays.id), *sorted(keys), *([end] if end else [])]
    check_columns(path, wanted, header)
    found = {}
    for line, cells in rows:
        if len(cells) != len(header):
            continue  # the table of stays names it as a problem
        row = {name: clean(cells[header.index(name)]) for name in wanted}
        wrong, at = "", None
        if end is not None:
            if row[end].casefold() in MISSING:
                wrong = f"column {end!r}: the end of the stay is missing"
            else:
                try:
                    at = number(row[end]) * scale
                except ValueError as error:
                    wrong = f"column {end!r}: {error}"
        found[row[str(stays.id)]] = Stay(
            f"{path.name}, line {line}", {key: row[key] for key in (str(stays.id), *keys)}, at, wrong
        )
    return found


def read_events(
    table: EventTable, stays: Mapping[str, Stay], records: Mapping[str, Record], until: float, scale: float
) -> tuple[set[str], list[str]]:
    """Add the events of a table to the records that they belong to; of those after `until` nothing but the time is read.

    Args:
        table: which columns say what.
        stays: all stays, by id.
        records: those that are cases, by id; their lists of events grow.
        until: time of prediction in hours.
        scale: hours in one unit of the times.

    Returns:
        The codes that occur, and what a person should know.

    Raises:
        InputError: no such file or column, a time that is no number (by line).
    """
    path = find_file(table.path)
    header, rows = read_rows(path)
    key = table.key or next(iter(next(iter(stays.values())).keys)) if stays else ""
    columns = {"key": key, "time": table.time, "known": table.known, "value": table.value}
    check_columns(path, [*(name for name in columns.values() if name), *table.code], header)
    place = {role: header.index(name) for role, name in columns.items() if name}
    parts = [header.index(name) for name in table.code]
    owners: dict[str, list[str]] = {}
    for name, stay in stays.items():
        owners.setdefault(stay.keys[key], []).append(name)
    codes: set[str] = set()
    later = timeless = lost = 0
    strange: list[str] = []
    for line, cells in rows:
        names = owners.get(clean(cells[place["key"]]))
        if names is None:
            lost += 1
            continue
        hours = _time(path, line, header, cells, place.get("time"), scale) if table.time else 0.0
        known = _time(path, line, header, cells, place.get("known"), scale) if table.known else hours
        if hours is None:
            timeless += 1
            continue
        if hours > until or (known is not None and known > until):
            later += 1
            continue
        code, value = _code(table.prefix, cells, parts), np.nan
        if not code:
            continue
        if table.value and (text := clean(cells[place["value"]])).casefold() not in MISSING:
            try:
                value = number(text)
            except ValueError:
                strange.append(text)
        for name in names:
            if name in records:
                codes.add(code)
                records[name].events.append(Event(hours, code, value))
    said = [
        (later, f"behind hour {until:g}, when the prediction is made: not read"),
        (timeless, "without a time: left out"),
        (lost, "of no stay: left out"),
        (
            len(strange),
            f"with a value that is no number, such as {show(strange[0]) if strange else ''}: taken as missing",
        ),
    ]
    return codes, [f"{path.name}: {count} events {what}" for count, what in said if count]


def arrays(events: Sequence[Event], numbers: Mapping[str, int], length: int, until: float) -> dict[str, np.ndarray]:
    """Return `code`, `number` and `hours` (before the prediction) of the last events, padded to one length.

    A code that is not in the dictionary becomes 1, which training never saw either.
    """
    kept = sorted(events, key=lambda event: event.hours)[-length:]
    code, value, hours = np.zeros(length, np.int32), np.full(length, np.nan, np.float32), np.zeros(length, np.float32)
    code[: len(kept)] = [numbers.get(event.code, 1) for event in kept]
    value[: len(kept)] = [event.value for event in kept]
    hours[: len(kept)] = [until - event.hours for event in kept]
    return {"code": code, "number": value, "hours": hours}


def _time(
    path: Path, line: int, header: Sequence[str], cells: Sequence[str], place: int | None, scale: float
) -> float | None:
    """The time of a row in hours; None where it is missing."""
    if place is None:
        return None
    text = clean(cells[place])
    if text.casefold() in MISSING:
        return None
    try:
        return number(text) * scale
    except ValueError as error:
        raise InputError(f"{path}, line {line}, column {header[place]!r}: {error}.") from error


def _code(prefix: str, cells: Sequence[str], parts: Sequence[int]) -> str:
    texts = [clean(cells[part]) for part in parts]
    return prefix + "=".join(text for text in texts if text) if texts[0] else ""
