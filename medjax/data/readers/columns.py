"""What the columns of a table hold, seen from the file alone, and the reading of one whole column."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from medjax.data.readers.cells import (
    MISSING,
    UNKNOWN,
    clean,
    decimal_commas,
    excel_day,
    is_date,
    is_number,
    number,
    refusal,
    same_value,
    show,
    unify,
    with_point,
)
from medjax.data.readers.table import read_first, read_rows

Kind = Literal["numeric", "categorical", "date", "text", "constant", "empty", "identifier"]

_MOST = 20
"""Levels that a column of text may have and still be categorical; of longer lists the most frequent are kept."""
_ENOUGH = 20
"""Rows from which on a column of nothing but different whole numbers or words counts as an identifier."""
_IDENTIFIERS = {"id", "mrn", "pid", "patient", "patientid", "subject", "subjectid", "identifier", "uuid"}

_DATES = {"date", "datetime", "timestamp", "dob", "birthdate", "birthday", "admitdate", "dischargedate"}


@dataclass(frozen=True, eq=False)
class Parsed:
    """One column, read cell by cell.

    Attributes:
        values: what each row says; None where it is missing or wrong.
        wrong: the reason by row, where the cell cannot be read.
        changed: the rows by (cell as it stands, what it was read as) where these differ; blanks around a cell and the
            digits behind a point (1.0 for 1) are not worth a word.
        coded: the same for cells that were replaced by the given codes.
    """

    values: list[Any]
    wrong: dict[int, str]
    changed: dict[tuple[str, str], list[int]]
    coded: dict[tuple[str, str], list[int]]

    @property
    def known(self) -> list[Any]:
        """The values that are there."""
        return [value for value in self.values if value is not None]


@dataclass(frozen=True)
class Column:
    """What a column holds, as far as its cells tell.

    Attributes:
        name: from the header.
        kind: "numeric" where most cells are numbers; "date", also of Excel's day numbers in a column that is called so; "categorical" for text of at most 20 levels, else "text";
            "identifier" where a number or a word of its own stands in every row, or the name says so; "constant" and
            "empty" where there is one value or none.
        count: rows.
        missing: of these without a value.
        words: the words that were read as missing, with their counts.
        distinct: different values, after cleaning.
        levels: values and their counts, the most frequent first, at most 20.
        minimum: of the numbers; None where the column is not numeric.
        maximum: likewise.
        mean: likewise.
        dirty: cells that had to be cleaned (tabs, case, full-width characters; blanks around a cell do not count).
        example: one of those, and what it was read as.
        unfit: cells that do not fit the kind, such as a text among numbers.
        problems: line and cell of the first five of those.
        refusal: why most cells of a text are no numbers, though they look like some; "" where they do not.
    """

    name: str
    kind: Kind
    count: int
    missing: int
    words: tuple[tuple[str, int], ...]
    distinct: int
    levels: tuple[tuple[str, int], ...]
    minimum: float | None
    maximum: float | None
    mean: float | None
    dirty: int
    example: str
    unfit: int
    problems: tuple[tuple[int, str], ...]
    refusal: str = ""


def parse(
    cells: Sequence[str],
    read: Callable[[str], Any],
    missing: Sequence[str] = MISSING,
    codes: Mapping[str, str] | None = None,
    *,
    numbers: bool = False,
) -> Parsed:
    """Read a column: clean each cell, replace it by its code, see whether it is missing, and read what is left.

    Args:
        cells: as they stand in the file.
        read: cleaned text -> value; a ValueError names the reason why it is none.
        missing: words that stand for a missing value, as an empty cell always does.
        codes: cleaned cell -> what it stands for; numbers are found by value, an empty text is a missing value.
        numbers: whether it should hold numbers: then those with a decimal comma get a point, if the column is clear.
    """
    words, memo = {"", *(word.casefold() for word in missing)}, {}
    commas = numbers and decimal_commas(map(clean, set(cells)))
    parsed = Parsed([], {}, {}, {})
    for row, cell in enumerate(cells):
        if cell not in memo:
            memo[cell] = _read(cell, read, words, codes or {}, commas)
        value, shown, coded, reason = memo[cell]
        parsed.values.append(value)
        if reason is not None:
            parsed.wrong[row] = reason
        elif coded:
            parsed.coded.setdefault((cell, shown), []).append(row)
        elif shown != cell.strip(" ") and not same_value(cell, shown):
            parsed.changed.setdefault((cell, shown), []).append(row)
    return parsed


def _read(
    cell: str, read: Callable[[str], Any], words: set[str], codes: Mapping[str, str], commas: bool
) -> tuple[Any, str, bool, str | None]:
    """Return value, what it was read as, whether a code said so, and the reason why there is none."""
    text = clean(cell)
    code = next((new for old, new in codes.items() if old == text or same_value(old, text)), None)
    plain, text = text, text if code is None else code
    text = with_point(text) if commas else text
    if text.casefold() in words:
        shown = plain if plain == cell.strip(" ") and code is None else "missing"
        return None, shown, code is not None, None
    try:
        value = read(text)
    except ValueError as error:
        return None, text, False, str(error)
    return value, value if isinstance(value, str) else text, code is not None, None


def inspect(path: Path | str, header: Sequence[str] = (), missing: Sequence[str] = MISSING) -> tuple[Column, ...]:
    """Read a table once and describe its columns, in the order of the file; those without a name are left out.

    Args:
        path: the file, as for `read_rows`.
        header: names of the columns where the file has none.
        missing: words that stand for a missing value.

    Raises:
        InputError: the file cannot be read, or rows have too few or too many cells.
    """
    header, rows = read_rows(path, header)
    lines = [line for line, _ in rows]
    return tuple(
        _describe(name, [row[place] for _, row in rows], lines, missing) for place, name in enumerate(header) if name
    )


def unnamed(path: Path | str) -> tuple[str, ...]:
    """Return names (column_1, column_2, ...) for a file whose first row holds numbers only; () where it has names."""
    first = read_first(path)
    if len(first) > 1 and all(is_number(clean(cell)) for cell in first):
        return tuple(f"column_{place}" for place in range(1, len(first) + 1))
    return ()


def notes(name: str, parsed: Parsed, lines: Sequence[int]) -> list[str]:
    """Return a line for what was cleaned in a column, and one for what its codes replaced."""
    found = []
    changed = {change: rows for change, rows in parsed.changed.items() if change[1] != UNKNOWN}
    if changed:
        (cell, shown), _ = max(changed.items(), key=lambda item: (len(item[1]), item[0]))
        rows = sorted(row for own in changed.values() for row in own)
        many = f"{len(rows)} cells such as" if len(rows) > 1 else "the cell"
        found.append(f"column {name!r}: {many} {show(cell)} read as {_shown(shown)} ({_places(rows, lines)})")
    if parsed.coded:
        counts = {change: len(rows) for change, rows in parsed.coded.items()}
        most = sorted(counts.items(), key=lambda item: -item[1])[:5]
        said = ", ".join(f"{show(cell)} as {_shown(shown)} ({count})" for (cell, shown), count in most)
        found.append(f"column {name!r}: as its codes say, {said}{', ...' * (len(counts) > 5)}")
    return found + unknown_notes({name: parsed}, lines)


def unknown_cells(parsed: Parsed) -> list[tuple[str, int]]:
    """Return cell and row of all cells that were read as the unknown level."""
    return [(cell, row) for (cell, shown), rows in parsed.changed.items() if shown == UNKNOWN for row in rows]


def unknown_notes(columns: Mapping[str, Parsed], lines: Sequence[int]) -> list[str]:
    """Return a line for each column in which levels were unknown: how many cells, which, and where."""
    found = []
    for name, parsed in columns.items():
        if cells := unknown_cells(parsed):
            different = sorted({cell for cell, _ in cells})
            shown = ", ".join(show(cell) for cell in different[:5]) + ", ..." * (len(different) > 5)
            rows = sorted(row for _, row in cells)
            found.append(
                f"column {name!r}: {len(rows)} cell{'s' * (len(rows) > 1)} of no known level ({shown}), taken as unknown "
                f"({_places(rows, lines)})"
            )
    return found


def _shown(text: str) -> str:
    return "missing" if text in ("", "missing") else show(text)


def _places(rows: Sequence[int], lines: Sequence[int]) -> str:
    first = ", ".join(str(lines[row]) for row in rows[:5])
    return f"line{'s' * (len(rows) > 1)} {first}{', ...' * (len(rows) > 5)}"


def _describe(name: str, cells: Sequence[str], lines: Sequence[int], missing: Sequence[str]) -> Column:
    """Decide what kind of column this is, and count."""
    parsed = parse(cells, str, missing, numbers=True)
    words = Counter(clean(cell).casefold() for cell, text in zip(cells, parsed.values, strict=True) if text is None)
    spelling = unify(parsed.known)
    if any(new != old for old, new in spelling.items()):
        parsed = parse(cells, lambda text: spelling[text], missing, numbers=True)
    counts = Counter(parsed.known)
    known = counts.total()
    numbers = {text: float(text) for text in counts if fits(number, text)}
    dates = {text for text in counts if is_date(text)}
    whole = len(numbers) == len(counts) and all(value.is_integer() for value in numbers.values())
    distinct = len(set(numbers.values())) if len(numbers) == len(counts) else len(counts)
    kind: Kind = "categorical" if distinct <= _MOST and 2 * distinct <= known else "text"
    if distinct < 2:
        kind = "constant" if counts else "empty"
    elif _identifies(name, counts, numbers, whole=whole) and not dates:
        kind = "identifier"
    elif 2 * sum(counts[text] for text in dates) > known or day_numbers(name, counts):
        kind = "date"
    elif 2 * sum(counts[text] for text in numbers) > known:
        kind = "numeric"
    usual = {"numeric": numbers, "date": dates or numbers}.get(kind, counts)
    unfit = [row for row, text in enumerate(parsed.values) if text is not None and text not in usual]
    (cell, shown), _ = max(parsed.changed.items(), key=lambda item: len(item[1]), default=(("", ""), ()))
    many = sum(counts[text] for text in numbers)
    numeric = bool(numbers) and (kind in ("numeric", "identifier", "constant") or (kind == "date" and not dates))
    return Column(
        name=name,
        kind=kind,
        count=len(cells),
        missing=len(cells) - known,
        words=tuple(words.most_common()),
        distinct=distinct,
        levels=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_MOST]),
        minimum=min(numbers.values()) if numeric else None,
        maximum=max(numbers.values()) if numeric else None,
        mean=sum(counts[text] * numbers[text] for text in numbers) / many if numeric else None,
        dirty=sum(len(rows) for rows in parsed.changed.values()),
        example=f"{show(cell)} read as {show(shown)}" if cell else "",
        unfit=len(unfit),
        problems=tuple((lines[row], cells[row]) for row in unfit[:5]),
        refusal=_refusal(counts) if kind == "text" else "",
    )


def _refusal(counts: Counter[str]) -> str:
    """Say why texts are no numbers, where more than half of them look like numbers for the same reason."""
    reasons: Counter[str] = Counter()
    for text, count in counts.items():
        reasons[refusal(text) or ""] += count
    reason, count = reasons.most_common(1)[0]
    if not reason or 2 * count <= counts.total():
        return ""
    return f"{show(next(text for text in counts if refusal(text) == reason))} is {reason}"


def day_numbers(name: str, cells: Iterable[Any]) -> bool:
    """Say whether a column that is called a date holds day numbers of Excel and nothing else."""
    return bool(_DATES & tokens(name)) and all(excel_day(f"{cell}") for cell in cells)


def tokens(name: str) -> set[str]:
    """Return the words of a column's name, in small letters: those of patientAge are patient and age."""
    return set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).casefold()))


def _identifies(name: str, counts: Counter[str], numbers: Mapping[str, float], *, whole: bool) -> bool:
    """Say whether a column numbers or names its rows, or the patients of its rows."""
    known, words = counts.total(), not numbers and not any(" " in text for text in counts)
    # Whole numbers may differ by chance (platelet counts); those that fill their range are a numbering.
    numbered = whole and max(numbers.values()) - min(numbers.values()) < 2 * known
    if len(counts) == known >= _ENOUGH and (words or numbered):
        return True
    return bool(_IDENTIFIERS & tokens(name)) and (whole or not numbers) and len(counts) > min(_MOST, known / 3)


def fits(read: Callable[[str], Any], text: str) -> bool:
    """Say whether a cleaned cell can be read without a reason against it."""
    try:
        read(text)
    except ValueError:
        return False
    return True
