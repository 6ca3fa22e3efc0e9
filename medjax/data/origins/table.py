"""One's own table: which columns of a CSV are inputs, target, patient, split and attributes."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from medjax.data.case import INPUTS, TARGETS, Case
from medjax.data.origin import Facts, Problem
from medjax.data.origins.table_content import Content, check_whole, find_wrong, noted
from medjax.data.readers.cells import (
    MISSING,
    clean,
    event,
    is_infinite,
    is_number,
    level_or_unknown,
    level_reader,
    number,
    show,
    time,
    unify,
    with_points,
)
from medjax.data.readers.columns import Parsed, fits, parse, unknown_notes
from medjax.data.readers.listing import SPLITS
from medjax.data.readers.table import Rows, check_columns, find_file, read_first, read_rows, uneven
from medjax.errors import InputError

_FORMAT = 1
"""Raised when the same file would give other cases, so that data prepared by an older version is made again."""
_MANY = 20
"""Classes that may be taken from a file without being named."""


@dataclass(frozen=True)
class Table:
    """A CSV with one case a row, for `Data(origin=Table(...), inputs=("table",))`.

    A case's `table` holds the numeric columns, then the categorical ones: a column of two levels as one number, 0 for
    the first level and 1 for the second (named `sex=male`); a column of more levels as a number for each (`race=asian`,
    ...), 1 where it applies. A missing value is NaN, in all numbers of its column; `preprocess.flag_missing` adds the
    mask. With `unknown="code"` every level has a number, also where there are two, and a cell that is none of them has 0 in
    all of them: the code of what was never seen. Cells are cleaned before they are read (tabs and no-break spaces around them, full-width characters, "Yes" for
    the level yes); what was cleaned is counted in the notes. Nothing else is guessed: a date, a percentage, "<5", a
    decimal comma or an unknown level is refused by line and column.

    Attributes:
        path: the file, in UTF-8, gzipped or not; a relative one from where the command runs, else from MEDJAX_DATA.
        target: the column to be learnt; of "survival" the time.
        kind: "label" for a class, "value" for a number, "survival" for a time to an event.
        event: of "survival", the column that says how the time ended: 0 censored, 1 the event, or the number of a cause;
            `codes` turns words into these: (("died", (("no", "0"), ("yes", "1"))),).
        entry: of "survival", the column with the time at which a case came under observation, where there is one.
        classes: names of the classes, in their order; () takes those of the file, sorted. A cell with any other class
            stops everything, also under "skip": leaving a class out is no matter of a few bad cells.
        numeric: columns of numbers that are inputs.
        categorical: columns that are inputs with their levels: (("sex", ("female", "male")), ...).
        id: the column that names the case; None: the number of the row in the file, from 00000.
        group: the column that names the patient; None: every row is its own patient.
        split: a column with train, validation (val, valid, dev) or test; None: the cases are not parted.
        unknown: what a cell does that is none of the levels of its column: "stop" everything, or be the "code" of the
            unknown, counted in the notes; also in files to predict.
        attributes: columns kept beside the inputs to break results down by; numbers where all cells are, else text.
        missing: words that stand for a missing value, whatever their case, as an empty cell always does; a level of
            that name comes first.
        codes: what cells of a column stand for, before all else: (("outcome", (("0", "healthy"), ("1", "ill"))), ...);
            an empty text is a missing value: ("glucose", (("0", ""),)).
        header: names of all columns where the file has none.
        on_error: what a row that cannot be used does: "stop" everything, or "skip" it, list it and count it.
    """

    path: str
    target: str
    kind: Literal["label", "value", "survival"] = "label"
    event: str | None = None
    entry: str | None = None
    classes: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    categorical: tuple[tuple[str, tuple[str, ...]], ...] = ()
    id: str | None = None
    group: str | None = None
    split: str | None = None
    unknown: Literal["stop", "code"] = "stop"
    attributes: tuple[str, ...] = ()
    missing: tuple[str, ...] = MISSING
    codes: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    header: tuple[str, ...] = ()
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self):
        """Refuse settings that contradict each other, before any file is opened."""
        choices = {"kind": ("label", "value", "survival"), "on_error": ("stop", "skip"), "unknown": ("stop", "code")}
        for key, known in choices.items():
            if getattr(self, key) not in known:
                raise InputError(f"{key} is {getattr(self, key)!r}; it must be {' or '.join(map(repr, known))}")
        for entry in self.categorical:
            if isinstance(entry, str) or len(entry) != 2 or isinstance(entry[1], str):
                raise InputError(f"categorical {entry!r}: give the levels as well, as in ('sex', ('female', 'male'))")
            name, levels = entry
            if len({clean(level) for level in levels} - {""}) < max(2, len(levels)):
                raise InputError(f"categorical {name!r}: give at least two different levels, not {levels}")
        _check_roles(self)
        if self.kind != "label" and self.classes:
            raise InputError(f"classes are named, but kind is '{self.kind}'; leave them out, or set kind='label'")
        if (self.kind == "survival") != (self.event is not None):
            raise InputError(
                "kind 'survival' needs the column `event` beside the target, which is the time; no other kind does"
            )
        if self.entry is not None and self.kind != "survival":
            raise InputError(f"entry names {self.entry!r}, which goes with kind='survival'")
        if self.classes and len(set(self.classes)) < max(2, len(self.classes)):
            raise InputError(f"classes: give at least two different ones, not {self.classes}")
        if len({name for name, _ in self.codes}) < len(self.codes):
            raise InputError("codes: a column stands in it more than once")
        if len(set(self.header)) < len(self.header):
            raise InputError("header: a name stands in it more than once")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the numbers in a case's `table`."""
        names = list(self.numeric)
        for name, levels in self.categorical:
            names += [f"{name}={level}" for level in self.numbered(levels)]
        return tuple(names)

    def numbered(self, levels: Sequence[str]) -> tuple[str, ...]:
        """Return the levels of a column that have a number of their own: of two the second alone, unless some are unknown."""
        return tuple(levels[1:] if len(levels) == 2 and self.unknown == "stop" else levels)

    def fingerprint(self) -> str:
        """Hash the settings and the content of the file (SHA-256 as hex), and its name, which messages hold; not where it lies."""
        path = find_file(self.path)
        try:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise InputError(f"{path}: there is no such file, or it cannot be read ({error.strerror}).") from error
        settings = {**dataclasses.asdict(self), "path": path.name, "format": _FORMAT, "content": content}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def facts(self) -> Facts:
        """Read the whole file and say what the cases are.

        Raises:
            InputError: no such file or column, no text in UTF-8, an input without any value, a target with one class
                or one value, an unknown class, an infinite number, a patient in two splits.
        """
        content = self._content()
        shapes: dict[str, tuple[tuple[int | None, ...], str]] = {"table": ((len(self.columns),), "float32")}
        told = {"value": ("value",), "survival": ("time", "event", *(("entry",) if self.entry else ()))}
        shapes |= {key: ((), "float32") for key in told.get(self.kind, ())}
        for name in content.attributes:
            shapes[name] = ((), "str" if name in content.texts else "float32")
        return Facts(
            shapes=shapes,
            counts={split: len(content.rows(split)) for split in content.splits},
            classes=content.classes,
            columns=self.columns,
            description=f"{len(content.lines)} rows of {content.path.name}; the target is {self.target!r}.",
            notes=noted(content),
        )

    def cases(self, split: str) -> Iterator[Case | Problem]:
        """Give the cases of a split in the order of the file, and a `Problem` for each row that cannot be used.

        A row whose split cannot be read comes with the first split.
        """
        content = self._content()
        for row in content.rows(split):
            yield content.problem(row) or content.case(row)

    def _content(self) -> Content:
        content = _read(self, find_file(self.path), self.target)
        check_whole(content, skip=self.on_error == "skip")
        return content


def read_cases(
    table: Table,
    path: Path,
    target: str | None = None,
    classes: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> list[Case]:
    """Read another file in the way that a table is read: the same columns, levels, codes and missing words.

    Args:
        table: how the run's own table was read.
        path: the new file; it needs neither id, patient, split nor attributes.
        target: the column of the target, if it is to be read.
        classes: of the run.
        exclude: names from `table.columns` that the model does not see; their columns need not be there (NaN).

    Raises:
        InputError: whatever is wrong with the file; every row must be readable here.
    """
    table = dataclasses.replace(table, classes=tuple(classes) if target else ())
    content = _read_new(table, path, target, exclude)
    found = [problem for row in range(len(content.lines)) if (problem := content.problem(row))]
    if found:
        more = {1: "", 2: "; 1 more row cannot be read"}.get(len(found), f"; {len(found) - 1} more rows cannot be read")
        raise InputError(f"{found[0]}{more}.")
    return [content.case(row) for row in range(len(content.lines))]


def unknown_levels(table: Table, path: Path, exclude: Sequence[str] = ()) -> list[str]:
    """Say for each column of another file which cells `read_cases` takes for the code of the unknown; [] without any."""
    content = _read_new(table, path, None, exclude)
    return unknown_notes(content.inputs, content.lines)


def _read_new(table: Table, path: Path, target: str | None, exclude: Sequence[str]) -> Content:
    needless = [name for name in table.numeric if name in exclude]
    for name, levels in table.categorical:
        if all(f"{name}={level}" in exclude for level in table.numbered(levels)):
            needless.append(name)
    return _read(dataclasses.replace(table, split=None, attributes=()), path, target, needless, new=True)


def _check_roles(table: Table) -> None:
    """Refuse a column that is named twice where one of the two roles excludes the other."""
    inputs = [*table.numeric, *(name for name, _ in table.categorical)]
    if not inputs:
        raise InputError("there is no input; name columns in numeric or categorical")
    twice = next((name for name in inputs if inputs.count(name) > 1), None)
    if twice:
        raise InputError(f"column {twice!r} is named twice among numeric and categorical; name it once")
    for role in ("target", "event", "entry", "id", "group", "split"):
        name = getattr(table, role)
        if name in inputs:
            raise InputError(
                f"column {name!r} is the {role} and an input; the model would be given what it must not see"
            )
    names = set(table.columns)
    if len(names) < len(table.columns):
        raise InputError("two inputs would have the same name; rename a column or a level")
    taken = {*INPUTS, *TARGETS, "id", "group", "spacing", "index", "weight"}
    for name in table.attributes:
        if name in taken or "/" in name:
            raise InputError(f"attribute {name!r}: a case uses that name itself; rename the column")
    if len(set(table.attributes)) < len(table.attributes):
        raise InputError("attributes: a name stands in it more than once")


def _read(table: Table, path: Path, target: str | None, needless: Sequence[str] = (), *, new: bool = False) -> Content:
    """Read the columns that a table names.

    Args:
        table: the settings.
        path: the file.
        target: the column of the target, or None.
        needless: inputs that may be absent, or hold anything; what cannot be read is missing then.
        new: whether this is another file, which need not have id and patient.

    Raises:
        InputError: the file cannot be read, a column is not there, a number is infinite.
    """
    given = table.header
    if new and given and {clean(cell) for cell in read_first(path)} <= set(given):
        given = ()  # the run's file had no names, but this one has
    header, rows = read_rows(path, given, ragged=True)
    levels = dict(table.categorical)
    names = {"target": target} | {role: getattr(table, role) if target else None for role in ("event", "entry")}
    names |= {role: getattr(table, role) for role in ("id", "group", "split")}
    if new:
        names |= {role: None for role in ("id", "group", "split") if names[role] not in header}
    inputs = [name for name in (*table.numeric, *levels) if name not in needless]
    codes = {name: dict(pairs) for name, pairs in table.codes}
    needed = [*inputs, *(name for name in names.values() if name), *table.attributes, *(() if new else codes)]
    check_columns(path, list(dict.fromkeys(needed)), header)
    wrong = _uneven(path, header, rows)
    lines = [line for line, _ in rows]

    def column(name: str, read: Callable[[str], Any] = str, keep: Sequence[str] = ()) -> Parsed:
        if name not in header:
            return Parsed([None] * len(rows), {}, {}, {})
        place, words = header.index(name), {clean(level).casefold() for level in keep}
        # The cells of an uneven row stand in the wrong columns: nothing of it is read.
        cells = ["" if row in wrong else row_cells[place] for row, (_, row_cells) in enumerate(rows)]
        known = [word for word in table.missing if word.casefold() not in words]
        parsed = parse(cells, read, known, codes.get(name), numbers=read in (number, time))
        for row in parsed.wrong:
            if read is number and name not in needless and is_infinite(clean(cells[row])):
                raise InputError(f"{path}, line {lines[row]}, column {name!r}: {parsed.wrong[row]}.")
            if clean(cells[row]) in patients:  # a row whose cells have slipped; no message names a patient
                parsed.wrong[row] = "the identifier of a patient stands here"
        return parsed

    patients: set[str] = set()
    group = column(names["group"], _name) if names["group"] else None
    patients |= set(group.known) if group else set()
    columns = {name: column(name, number) for name in table.numeric}
    reader = level_reader if table.unknown == "stop" else level_or_unknown
    columns |= {name: column(name, reader(known), known) for name, known in levels.items()}
    for name in needless:
        columns[name].wrong.clear()
    goal, classes = None, ()
    if target and table.kind == "label":
        classes = table.classes or _classes(path, target, column(target).known)
        goal = column(target, level_reader(classes, "classes"), classes)
    elif target:
        goal = column(target, time if table.kind == "survival" else number)
    attributes = {name: columns.get(name) or _attribute(partial(column, name)) for name in table.attributes}
    content = Content(
        path=path,
        names=names,
        lines=lines,
        inputs=columns,
        levels=levels,
        numbered={name: table.numbered(known) for name, known in levels.items()},
        attributes=attributes,
        texts=frozenset(name for name, own in attributes.items() if isinstance(next(iter(own.known), ""), str)),
        target=goal,
        event=column(names["event"], event) if names["event"] else None,
        entry=column(names["entry"], time) if names["entry"] else None,
        id=column(names["id"], _name) if names["id"] else None,
        group=group,
        split=column(names["split"], _split) if names["split"] else None,
        classes=classes,
        wrong={row: [reason] for row, reason in wrong.items()},
    )
    find_wrong(content)
    return content


def _uneven(path: Path, header: Sequence[str], rows: Rows) -> dict[int, str]:
    """Return the rows with too few or too many cells; if these are all rows, it is the header that is wrong."""
    wrong = {row: uneven(cells, header) for row, (_, cells) in enumerate(rows) if len(cells) != len(header)}
    if len(wrong) == len(rows):
        hint = "; is a name missing in the header, or another delimiter used?"
        raise InputError(f"{path}, line {rows[0][0]}: {wrong[0]}, and so in every row{hint}")
    return wrong


def _classes(path: Path, target: str, known: Sequence[str]) -> tuple[str, ...]:
    """Take the classes from the file, numbers by size, texts in alphabetical order."""
    spelling = unify(known)
    numbers = all(is_number(text) for text in known)
    found = {f"{float(text):g}" for text in known} if numbers else set(spelling.values())
    if len(found) > _MANY:
        advice = "set kind='value' if it is a number to predict, otherwise name the classes"
        raise InputError(f"{path}, column {target!r}: {len(found)} different values are many for classes; {advice}.")
    return tuple(sorted(found, key=float if numbers else None)) or ("",)


def _name(text: str) -> str:
    if '"' in text:  # of damaged quoting; it would make one patient two
        raise ValueError("a quote stands in it")
    return text


def _split(text: str) -> str:
    if text.casefold() in SPLITS:
        return SPLITS[text.casefold()]
    raise ValueError(f"{show(text)} is no split; write train, validation or test")


def _attribute(column: Callable[[Callable[[str], Any]], Parsed]) -> Parsed:
    """Read numbers where every cell is one, else texts, each in its most frequent spelling."""
    texts = column(str).known
    if texts and all(fits(number, text) for text in set(with_points(texts))):
        return column(number)
    spelling = unify(texts)
    return column(lambda text: spelling[text]) if texts else column(str)
