"""Tables (CSV with a header) to cases."""

import csv
import difflib
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medjax.data.case import Case, check_case
from medjax.errors import InputError

_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}


def read_table(
    path: Path | str, columns: Sequence[str], target: str | None = None, classes: Sequence[str] = ()
) -> list[Case]:
    """Read a table, one case a row; columns are found by name, in any order.

    `id` and `group` are read where the table has them; otherwise the id is the row number, and the group the id. An
    empty cell (or NA, NaN, null, ?) in one of the columns is missing and becomes NaN.

    Args:
        path: the file; UTF-8, separated by comma, semicolon or tab.
        columns: the inputs, in the order of `table`. Other columns of the file are left out.
        target: the column of the target, if it is to be read.
        classes: names of the classes; the target is a name or the number of one. Without classes it is a value.

    Raises:
        InputError: a missing or empty file, missing columns, a cell that is no number (by line and column).
    """
    path = Path(path)
    header, rows = _rows(path)
    allowed = [*columns, "id", "group", *([target] if target else [])]
    missing = [name for name in [*columns, *([target] if target else [])] if name not in header]
    if missing:
        raise InputError(f"{path}: {_named(missing, [name for name in header if name not in allowed])}.")
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


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the header and the rows, each with its line number."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: this is no text in UTF-8 that can be read ({error}).") from error
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        table = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}.") from error
    if len(table) < 2:
        raise InputError(f"{path}: a header and at least one row are expected.")
    header = [name.strip() for name in table[0][1]]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InputError(f"{path}: the header names {', '.join(map(repr, twice))} more than once.")
    for line, row in table[1:]:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} cells where the header has {len(header)}.")
    return header, table[1:]


def _named(missing: list[str], unknown: list[str]) -> str:
    """Name the first missing columns, each with the column of the file that may be meant."""
    parts = []
    for name in missing[:3]:
        near = difflib.get_close_matches(name, unknown, n=1)
        parts.append(f"column {name!r} is missing" + (f" (is it {near[0]!r}?)" if near else ""))
    if len(missing) > 3:
        parts.append(f"and {len(missing) - 3} more are missing")
    return "; ".join(parts)


def _number(cell: str, path: Path, line: int, column: str) -> float:
    if cell.strip().lower() in _MISSING:
        return math.nan
    try:
        number = float(cell) if "_" not in cell else math.inf  # Python would read 1_000 as a thousand
    except ValueError:
        number = math.inf
    if not abs(number) <= float(np.finfo(np.float32).max):
        raise InputError(
            f"{path}, line {line}, column {column!r}: {cell!r} is no number; leave the cell empty if missing."
        )
    return number


def _target(cell: str, classes: Sequence[str], path: Path, line: int, column: str) -> Case:
    cell = cell.strip()
    if not classes:
        number = _number(cell, path, line, column)
        if math.isnan(number):
            raise InputError(f"{path}, line {line}, column {column!r}: the target is missing.")
        return {"value": number}
    if cell in classes:
        return {"label": list(classes).index(cell)}
    if cell.isdecimal() and int(cell) < len(classes):
        return {"label": int(cell)}
    raise InputError(f"{path}, line {line}, column {column!r}: {cell!r} is none of the classes {', '.join(classes)}.")
