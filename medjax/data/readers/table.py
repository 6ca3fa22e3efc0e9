"""Tables (CSV) to rows, and tables of numbers to cases."""

import codecs
import csv
import difflib
import gzip
import io
import math
import os
import re
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medjax.data.case import Case, check_case
from medjax.data.readers.cells import MISSING, clean, is_number, number, show
from medjax.errors import InputError

Rows = list[tuple[int, list[str]]]

DELIMITERS = ",;\t|"

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")


def read_table(
    path: Path | str, columns: Sequence[str], target: str | None = None, classes: Sequence[str] = ()
) -> list[Case]:
    """Read a table, one case a row; columns are found by name, in any order.

    `id` and `group` are read where the table has them; otherwise the id is the row number, and the group the id. An
    empty cell (or NA, NaN, null, ?) in one of the columns is missing and becomes NaN.

    Args:
        path: the file; UTF-8, separated by comma, semicolon, tab or bar.
        columns: the inputs, in the order of `table`. Other columns of the file are left out.
        target: the column of the target, if it is to be read.
        classes: names of the classes; the target is a name or the number of one. Without classes it is a value.

    Raises:
        InputError: a missing or empty file, missing columns, a cell that is no number (by line and column).
    """
    path = Path(path)
    header, rows = read_rows(path)
    needed = [*columns, *([target] if target else [])]
    check_columns(path, needed, header, [*needed, "id", "group"])
    cases = []
    for line, row in rows:
        cells = dict(zip(header, row, strict=True))
        name = cells.get("id", "").strip() or f"{len(cases):05d}"
        table = [_number(cells[column], path, line, column) for column in columns]
        case: Case = {"id": name, "group": cells.get("group", "").strip() or name, "table": np.array(table, np.float32)}
        if target:
            case |= _target(cells[target], classes, path, line, target)
        check_case(case, where=str(path))
        cases.append(case)
    names = [case["id"] for case in cases]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}, column 'id': {twice!r} occurs more than once.")
    return cases


def read_rows(path: Path | str, header: Sequence[str] = (), *, ragged: bool = False) -> tuple[list[str], Rows]:
    """Read the header and the rows of a table, each with the line that it begins in; empty lines are left out.

    Comma, semicolon, tab or bar separate the cells: whichever parts the first row into most. Line ends of any system, a
    byte order mark, quoted cells with line breaks, and gzip are understood. Cells come as they stand in the file.

    Args:
        path: the file, in UTF-8.
        header: names of the columns where the file has none; a first row that repeats them is left out.
        ragged: whether rows with too few or too many cells are given back as well, instead of refused.

    Raises:
        InputError: no file, no text in UTF-8 (by line and byte), no row, a column named twice, a row with too many or
            too few cells, a quote that is never closed.
    """
    path = Path(path)
    text = read_text(path)
    first = _first_rows(text)
    if not first:
        raise InputError(f"{path}: a header and at least one row are expected, but the file is empty.")
    fits = [sign for sign, row in first.items() if len(row) == len(header)]
    delimiter = fits[0] if header and fits else max(first, key=lambda sign: len(first[sign]))
    table = _parse(path, text, delimiter)
    if not header:
        (line, head), *table = table
        if len(head) > 1 and all(is_number(clean(cell)) for cell in head):
            raise InputError(
                f"{path}, line {line}: numbers only where the names of the columns are expected; "
                "if the file has no header, give the names as `header`."
            )
        header = [clean(name) for name in head]
    elif table and [clean(cell) for cell in table[0][1]] == list(header):
        table = table[1:]
    if not table:
        raise InputError(f"{path}: a header and at least one row are expected.")
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice:
        raise InputError(f"{path}: the header names {', '.join(map(show, twice))} more than once.")
    for line, row in table:
        if len(row) != len(header) and not ragged:
            raise InputError(f"{path}, line {line}: {uneven(row, header)}.")
    return list(header), table


def read_first(path: Path | str) -> list[str]:
    """Read the first row alone, whether it holds names or not.

    Raises:
        InputError: no file, no text in UTF-8, no row.
    """
    rows = _first_rows(read_text(Path(path)))
    if not rows:
        raise InputError(f"{path}: the file is empty.")
    return max(rows.values(), key=len)


def check_columns(path: Path, needed: Sequence[str], header: Sequence[str], taken: Sequence[str] = ()) -> None:
    """Refuse a header that lacks a column; the nearest name that is not `taken` is suggested.

    Raises:
        InputError: by the names of the first three that are missing.
    """
    missing = [name for name in needed if name not in header]
    if not missing:
        return
    parts, free = [], [name for name in header if name and name not in (taken or needed)]
    for name in missing[:3]:
        near = difflib.get_close_matches(name, free, n=1)
        near = near or [other for other in free if other.casefold() == name.casefold()]
        parts.append(f"column {name!r} is missing" + (f" (is it {near[0]!r}?)" if near else ""))
    if len(missing) > 3:
        parts.append(f"and {len(missing) - 3} more are missing")
    known = ", ".join(show(name) for name in header[:12] if name)
    known = f"The header has {known}{f' and {len(header) - 12} more' if len(header) > 12 else ''}."
    if not set(needed) & set(header) and any(re.search(r"\d", name) for name in header):  # it may name a patient
        known = "The first line looks like a row of data; where a table has no header, give the names as `header`."
    raise InputError(f"{path}: {'; '.join(parts)}. {known}")


def uneven(cells: Sequence[str], header: Sequence[str]) -> str:
    """Say that a row has too few or too many cells."""
    return f"{len(cells)} cell{'s' * (len(cells) != 1)} where the header has {len(header)}"


def find_file(path: str) -> Path:
    """Return the path of a file; one that is relative and not found is looked for in the folder MEDJAX_DATA."""
    found = Path(path).expanduser()
    data = os.environ.get("MEDJAX_DATA")
    if data and not found.is_absolute() and not found.exists() and (Path(data) / found).exists():
        return Path(data) / found
    return found


def read_text(path: Path) -> str:
    """Read a text in UTF-8, gzipped or not, without its byte order mark.

    Raises:
        InputError: no such file, or no such text; with the line and the byte that is none.
    """
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: this cannot be read ({error}).") from error
    if data.startswith(b"PK\x03\x04"):
        raise InputError(f"{path}: this is a workbook or an archive and no text; save the table as CSV in UTF-8.")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        raise InputError(f"{path}, line 1: this is no text in UTF-8 but in UTF-16 or UTF-32; save it as CSV in UTF-8.")
    try:
        text = data.decode("utf-8-sig").removesuffix("\x1a")  # the end of a file in DOS
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise InputError(
            f"{path}, line {line}, byte {column}: 0x{data[error.start]:02x} is no text in UTF-8; save the file as UTF-8."
        ) from error
    if odd := _CONTROL.search(text):
        line, what = text.count("\n", 0, odd.start()) + 1, f"a byte {ord(odd[0])} that is no text"
        raise InputError(f"{path}, line {line}: {what} stands in the file; it is damaged, or no CSV in UTF-8.")
    return text


def _first_rows(text: str) -> dict[str, list[str]]:
    """Read the first row that is not empty with each delimiter."""
    rows, text = {}, text[: 2**20]
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        try:
            rows[delimiter] = next((row for row in reader if any(cell.strip() for cell in row)), [])
        except csv.Error:
            rows[delimiter] = []
    return rows if any(rows.values()) else {}


def _parse(path: Path, text: str, delimiter: str) -> Rows:
    """Read all rows strictly, each with its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    table, line = [], 1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                table.append((line, row))
            line = reader.line_num + 1
    except csv.Error as error:
        what = str(error)
        if "unexpected end" in what:
            what = "a quote is opened and never closed"
        raise InputError(f"{path}, line {line}: {what}.") from error
    return table


def _number(cell: str, path: Path, line: int, column: str) -> float:
    text = clean(cell)
    if text.casefold() in MISSING:
        return math.nan
    try:
        return number(text)
    except ValueError as error:
        raise InputError(f"{path}, line {line}, column {column!r}: {error}.") from error


def _target(cell: str, classes: Sequence[str], path: Path, line: int, column: str) -> Case:
    cell = cell.strip()
    if not classes:
        value = _number(cell, path, line, column)
        if math.isnan(value):
            raise InputError(f"{path}, line {line}, column {column!r}: the target is missing.")
        return {"value": value}
    if cell in classes:
        return {"label": list(classes).index(cell)}
    if cell.isdecimal() and len(cell) < 5 and int(cell) < len(classes):
        return {"label": int(cell)}
    raise InputError(
        f"{path}, line {line}, column {column!r}: {show(cell)} is none of the classes {', '.join(classes)}."
    )
