"""What a cell of a table says: cleaned text, a number, a level, or a reason why it is none of these."""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta

import numpy as np

MISSING: tuple[str, ...] = ("", "na", "n/a", "#n/a", "<na>", "nan", "null", "none", "?", ".")
"""Words that stand for a missing value, whatever their case."""

UNKNOWN = "(unknown level)"
"""What `level_or_unknown` reads where a cell is none of the levels."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_INFINITE = re.compile(r"[+-]?(inf|infinity|∞)", re.IGNORECASE)
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_TIME = r"([T ]\d{1,2}(:\d{2}){1,2}.*)?"
_DATE = re.compile(
    rf"(\d{{4}}-\d{{1,2}}-\d{{1,2}}|\d{{4}}/\d{{1,2}}/\d{{1,2}}|\d{{1,2}}([/.-])\d{{1,2}}\2(\d{{4}}|\d{{2}})"
    rf"|\d{{1,2}}[ -]{_MONTH}[ -](\d{{4}}|\d{{2}})|{_MONTH} \d{{1,2}},? \d{{4}}){_TIME}",
    re.ASCII | re.IGNORECASE,
)
_FORMS: tuple[tuple[str, str], ...] = (
    (r"[<>≤≥=~].*", "a limit and no number; decide what stands for it"),
    (r"[+-]?[\d.,]+ ?[%‰]", "a percentage; write the number alone, in one unit for the whole column"),
    (r"[+-]?\d{1,3}(,\d{3})+", "a comma in a number: write 1234 for a thousand, and 1.234 for a fraction"),
    (r"[+-]?\d*,\d+(e[+-]?\d+)?", "a decimal comma; write a point"),
    (r"[+-]?\d{1,3}([., '\u2019_]\d{3})+([.,]\d+)?", "a number with separators of thousands; write it without"),
    (r"[+-]?[\d.]+ ?(-|to|\.\.) ?[\d.]+", "a range and no number"),
    (r"[+-]?[\d.]+(e[+-]?\d+)? ?[a-zµμ²³/°^]+.*", "a number with something behind it; write the number alone"),
)  # fmt: skip
_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+", re.ASCII)
_REFUSED = tuple((re.compile(form, re.IGNORECASE), reason) for form, reason in _FORMS)

_AS_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # full-width letters, digits and signs
_AS_ASCII |= dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212), ord("-"))  # hyphens, dashes, the minus sign
_AS_ASCII |= dict.fromkeys((0x00AD, 0x200B, 0x200C, 0x200D, 0x2060, 0xFEFF))  # without width: taken out


def clean(cell: str) -> str:
    """Return a cell without what nobody sees: white space around it, tabs, no-break spaces, full-width characters."""
    if not cell.isascii():
        cell = unicodedata.normalize("NFC", cell.translate(_AS_ASCII))
    return " ".join(cell.split())


def show(cell: str) -> str:
    """Return a cell for a message: quoted, on one line, not too long."""
    return repr(cell if len(cell) <= 40 else cell[:37] + "...")


def is_number(text: str) -> bool:
    """Say whether a cleaned cell is a decimal number with a point, such as -1.5 or 1e3."""
    return _NUMBER.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """Say whether a cleaned cell looks like a date: 2020-01-31, 31.1.2020, 1/31/20, 31-Jan-2020, with or without time."""
    return _DATE.fullmatch(text) is not None


def excel_day(text: str) -> str | None:
    """Return the date that a cleaned cell is where it is a day number of Excel (45123 or 44927.5); None where it is not.

    Days count from 1899-12-30; those from 1941 to 2064 are believed, as smaller numbers may be anything.
    """
    if not is_number(text) or not 15_000 <= float(text) < 60_200:
        return None
    return (date(1899, 12, 30) + timedelta(days=int(float(text)))).isoformat()


def fits_number(text: str) -> bool:
    """Say whether a cleaned cell is a number that can be read."""
    return is_number(text) and abs(float(text)) <= float(np.finfo(np.float32).max)


def is_infinite(text: str) -> bool:
    """Say whether a cleaned cell is infinity."""
    return _INFINITE.fullmatch(text) is not None


def number(text: str) -> float:
    """Read a cleaned cell as a number that float32 can hold.

    Raises:
        ValueError: with the cell and the reason why it is no number, without a full stop.
    """
    if is_number(text):
        value = float(text)
        if abs(value) <= float(np.finfo(np.float32).max):
            return value
        raise ValueError(f"{show(text)} is too large for a number in single precision")
    if is_infinite(text):
        raise ValueError(f"{show(text)} is infinite; leave the cell empty if the value is missing")
    if is_date(text):
        raise ValueError(f"{show(text)} is a date and no number; write the days since a fixed event")
    if (reason := refusal(text)) is not None:
        raise ValueError(f"{show(text)} is {reason}")
    raise ValueError(f"{show(text)} is no number; leave the cell empty if the value is missing")


def decimal_commas(texts: Iterable[str]) -> bool:
    """Say whether the cleaned cells of a column write fractions behind a comma, as half of Europe does.

    Not a stray cell, but a third of the different ones; one at least is nothing else (1,234 may be a thousand), and none
    has a point or two commas.
    """
    different = set(texts)
    found = [text for text in different if _COMMA.fullmatch(text)]
    if all(_THOUSANDS.fullmatch(text) for text in found) or 3 * len(found) < len(different):
        return False
    others = different.difference(found)
    return not any(_THOUSANDS.fullmatch(text) or ("." in text and is_number(text)) for text in others)


def with_point(text: str) -> str:
    """Return a cleaned cell that is a number with a decimal comma with a point instead; any other as it is."""
    return text.replace(",", ".") if _COMMA.fullmatch(text) else text


def with_points(texts: Sequence[str]) -> list[str]:
    """Return the cleaned cells of a column, its decimal commas as points, if it has some."""
    return [with_point(text) for text in texts] if decimal_commas(texts) else list(texts)


def refusal(text: str) -> str | None:
    """Return why a cleaned cell that looks like a number is none; None where it does not look like one."""
    return next((reason for form, reason in _REFUSED if form.fullmatch(text)), None)


def time(text: str) -> float:
    """Read a time: a number of at least 0."""
    value = number(text)
    if value < 0:
        raise ValueError(f"{show(text)} is a negative time; times count from 0")
    return value


def event(text: str) -> float:
    """Read how a time ended: 0 for censored, 1 for the event, or the number of a cause."""
    try:
        value = number(text)
    except ValueError:
        value = -1.0
    if value < 0 or value % 1:
        raise ValueError(
            f"{show(text)} is no event; write 0 (censored), 1 (the event) or the number of a cause, or name words in `codes`"
        )
    return value


def level_reader(levels: Sequence[str], what: str = "levels") -> Callable[[str], str]:
    """Return a function that finds a cleaned cell among the levels: as it stands, else whatever its case, else by value.

    "Yes" finds the level yes, and 1.0 the level 1, unless two levels differ by just that.

    Args:
        levels: the known ones.
        what: their name in the message.

    Returns:
        A function that gives the level, or raises ValueError with the cell and the levels.
    """
    keys: dict[str, list[str]] = {}
    for level in levels:
        keys.setdefault(_key(level), []).append(level)

    def read(text: str) -> str:
        if text in levels:
            return text
        found = keys.get(_key(text), [])
        if len(found) == 1:
            return found[0]
        near = difflib.get_close_matches(text.casefold(), [level.casefold() for level in levels], n=1)
        hint = next((f" (is it {show(level)}?)" for level in levels if near == [level.casefold()]), "")
        known = ", ".join(levels[:12]) + (", ..." if len(levels) > 12 else "")
        raise ValueError(f"{show(text)} is none of the {what} {known}{hint}")

    return read


def level_or_unknown(levels: Sequence[str]) -> Callable[[str], str]:
    """Return a function as `level_reader` does, which gives `UNKNOWN` for a cell that is none of the levels."""
    known = level_reader(levels)

    def read(text: str) -> str:
        try:
            return known(text)
        except ValueError:
            return UNKNOWN

    return read


def same_value(cell: str, text: str) -> bool:
    """Say whether two texts are one number, such as 1.0 and 1: nothing worth a word."""
    return is_number(cell.strip(" ")) and is_number(text) and float(cell) == float(text)


def unify(texts: Iterable[str]) -> dict[str, str]:
    """Return for each cleaned text the most frequent of those that differ from it by case only."""
    counts = Counter(texts)
    best: dict[str, str] = {}
    for text in sorted(counts, key=lambda text: (-counts[text], text)):
        best.setdefault(text.casefold(), text)
    return {text: best[text.casefold()] for text in counts}


def _key(text: str) -> str:
    text = clean(text)
    return repr(float(text) + 0.0) if is_number(text) else text.casefold()
