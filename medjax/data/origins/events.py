"""Records over time: stays, and tables of events with time, code and value, as sequences up to a time of prediction."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medjax.data.case import Case
from medjax.data.origin import Facts, Problem
from medjax.data.origins.event_content import HOURS, EventTable, Reading, Record, arrays, read_events, read_stays
from medjax.data.origins.table import Table, read_cases
from medjax.data.readers.table import find_file
from medjax.errors import InputError

_FORMAT = 1
"""Raised when the same files would give other cases, so that data prepared by an older version is made again."""


@dataclass(frozen=True)
class Events:
    """Relational tables (CSV) as one case a stay, for `Data(origin=Events(...), inputs=("code", "number", "hours"))`.

    A case holds what its stay's table says (`table`, the target, the patient) and its events up to the time of
    prediction, the last `length` of them in the order of time: `code` (length,), 0 behind the last event and from 2 on a
    number of the dictionary (1 is left to codes that training does not know); `number` (length,), NaN where an event has
    none; `hours` (length,) from the event to the time of prediction.

    Nothing after the time of prediction is read: of a row whose time, or whose `known` time, lies behind it, neither code
    nor value is looked at. Stays that end before it are no cases, since there nobody asks any more.

    Attributes:
        stays: the table of stays with its target, its `id` (the stay) and its `group` (the patient).
        tables: where the events stand.
        until: time of prediction, in hours after the zero of the times (such as admission).
        end: the column of the stays in which a stay ends, in the same unit as the times; None: all stays are cases.
        unit: of all times.
        length: events kept.
        on_error: what a stay that cannot be used does: "stop" everything, or "skip" it, list it and count it.
    """

    stays: Table
    tables: tuple[EventTable, ...]
    until: float
    end: str | None = None
    unit: Literal["minutes", "hours", "days"] = "minutes"
    length: int = 256
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self):
        """Refuse settings that leave nothing to read."""
        if self.stays.id is None:
            raise InputError(
                "stays.id is not set; name the column of the stay, which the tables of events name as well"
            )
        if not self.tables:
            raise InputError("tables is empty; name at least one table of events")
        if self.unit not in HOURS:
            raise InputError(f"unit is {self.unit!r}; it must be one of {', '.join(HOURS)}")
        if self.length < 1:
            raise InputError(f"length is {self.length}; keep at least 1 event")

    def fingerprint(self) -> str:
        """Hash the settings and the content of all files (SHA-256 as hex), not where they lie."""
        digest = hashlib.sha256(self._stays().fingerprint().encode())
        settings = dataclasses.asdict(self) | {"stays": "", "format": _FORMAT}
        for place, one in enumerate(self.tables):
            path = find_file(one.path)
            settings["tables"][place]["path"] = path.name
            try:
                digest.update(hashlib.sha256(path.read_bytes()).digest())
            except OSError as error:
                raise InputError(f"{path}: there is no such file, or it cannot be read ({error.strerror}).") from error
        digest.update(json.dumps(settings, sort_keys=True).encode())
        return digest.hexdigest()

    def facts(self) -> Facts:
        """Read all files and say what the cases are.

        Raises:
            InputError: no such file or column, a time that is no number, no event before the time of prediction, and
                whatever is wrong with the stays.
        """
        facts, reading = self._stays().facts(), self._read()
        codes = reading.dictionary
        if not codes:
            raise InputError(
                f"{', '.join(one.path for one in self.tables)}: no event of any stay lies before hour {self.until:g}; "
                "check until, unit and the keys"
            )
        sequence = (self.length,)
        return dataclasses.replace(
            facts,
            shapes={
                **facts.shapes,
                "code": (sequence, "int32"),
                "number": (sequence, "float32"),
                "hours": (sequence, "float32"),
            },
            codes=codes,
            description=f"{facts.description} Events of {len(self.tables)} tables up to hour {self.until:g}.",
            notes=(*facts.notes, *reading.notes),
        )

    def cases(self, split: str) -> Iterator[Case | Problem]:
        """Give the stays of a split that last beyond the time of prediction, in the order of their file."""
        reading = self._read()
        numbers = {code: place for place, code in enumerate(reading.dictionary, start=2)}
        for case in self._stays().cases(split):
            if isinstance(case, Problem):
                yield case
            elif case["id"] in reading.records:
                record = reading.records[case["id"]]
                yield Problem(record.where, record.wrong) if record.wrong else {
                    **case, **arrays(record.events, numbers, self.length, self.until),
                }  # fmt: skip

    def elsewhere(self, folder: Path, codes: Sequence[str], exclude: Sequence[str] = ()) -> list[Case]:
        """Read tables of the same names in another folder in the same way, without targets, to predict their stays.

        Nobody knows yet when these stays end, so each of them is a case.

        Args:
            folder: of the tables.
            codes: the dictionary of the run; other codes are unknown (1).
            exclude: names from `stays.columns` that the model does not see.

        Raises:
            InputError: whatever is wrong with the files; every stay must be readable here.
        """
        moved = dataclasses.replace(
            self,
            stays=dataclasses.replace(self.stays, path=str(folder / Path(self.stays.path).name)),
            tables=tuple(dataclasses.replace(one, path=str(folder / Path(one.path).name)) for one in self.tables),
            end=None,
        )
        records, numbers = moved._read().records, {code: place for place, code in enumerate(codes, start=2)}
        cases = read_cases(moved.stays, Path(moved.stays.path), exclude=exclude)
        return [case | arrays(records[case["id"]].events, numbers, self.length, self.until) for case in cases]

    def _stays(self) -> Table:
        return dataclasses.replace(self.stays, on_error=self.on_error)

    def _read(self) -> Reading:
        stays = read_stays(self.stays, self.end, {one.key for one in self.tables if one.key}, HOURS[self.unit])
        ended = [name for name, one in stays.items() if one.end is not None and one.end <= self.until]
        notes = []
        if ended:
            notes.append(f"{len(ended)} of {len(stays)} stays ended by hour {self.until:g} and are no cases")
        records = {name: Record(one.where, one.wrong, []) for name, one in stays.items() if name not in set(ended)}
        found: set[str] = set()
        for one in self.tables:
            codes, said = read_events(one, stays, records, self.until, HOURS[self.unit])
            found |= codes
            notes += said
        cut = sum(len(record.events) > self.length for record in records.values())
        if cut:
            notes.append(f"{cut} stays have more than {self.length} events; their last ones are kept")
        return Reading(records, tuple(sorted(found)), tuple(notes))
