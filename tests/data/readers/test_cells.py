import math

import numpy as np
import pytest

from medjax.data.readers.cells import (
    MISSING,
    clean,
    decimal_commas,
    is_date,
    is_number,
    level_reader,
    number,
    show,
    unify,
    with_point,
)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("no", "no"),
        ("\tno", "no"),
        (" yes\u00a0\n", "yes"),
        ("a \t b", "a b"),
        ("\uff11\uff12\uff0e\uff15", "12.5"),
        ("\u22121", "-1"),
        ("ye\u200bs", "yes"),
        ("caf\u0065\u0301", "caf\u00e9"),
        ("kg/m\u00b2", "kg/m\u00b2"),  # what carries a meaning stays
        ("", ""),
    ],
)
def test_what_nobody_sees_is_taken_away(cell, text):
    assert clean(cell) == text
    assert clean(text) == text


def test_numbers_are_decimal_with_a_point_and_fit_into_single_precision():
    for text in ("0", "-1.5", "+.5", "3.", "1e3", "1E-3", "007", "3.4e38"):
        assert number(text) == float(text)
        assert is_number(text)
        assert math.isfinite(np.float32(number(text)))
    for text in ("", "1_0", "0x1f", "nan", "1e39", "1 2", "--1", "e5", ".", "1.2.3", "\u0663"):
        with pytest.raises(ValueError, match="^'"):
            number(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<5", "a limit"),
        (">= 90", "a limit"),
        ("12 %", "a percentage"),
        ("1,5", "a decimal comma"),
        ("1,500", "a comma in a number"),
        ("1.234.567", "separators of thousands"),
        ("1'234", "separators of thousands"),
        ("12 345,6", "separators of thousands"),
        ("3-5", "a range"),
        ("12 mg/dl", "something behind it"),
        ("inf", "infinite"),
        ("-\u221e", "infinite"),
        ("1e99", "too large"),
        ("2020-02-30", "a date"),
        ("high", "no number"),
    ],
)
def test_what_is_no_number_is_named(text, reason):
    with pytest.raises(ValueError, match=reason):
        number(text)


@pytest.mark.parametrize(
    ("texts", "commas"),
    [
        (("60,1", "58", "-0,25", ""), True),
        (("1,234", "12,5"), True),  # the second one says what the first one is
        (("1,234", "2,500"), False),  # thousands, perhaps
        (("1,5", "2.5"), False),
        (("1,234,567", "1,5"), False),
        (("1,5", *map(str, range(20))), False),  # a stray cell
        (("1.5", "high"), False),
        ((), False),
    ],
)
def test_a_column_has_decimal_commas_only_where_nothing_speaks_against_it(texts, commas):
    assert decimal_commas(texts) is commas
    assert [with_point(text) for text in ("-0,25", "1,5e3", "a, b", "1,234,567")] == [
        "-0.25", "1.5e3", "a, b", "1,234,567",
    ]  # fmt: skip


def test_dates_are_told_from_numbers():
    for text in ("2020-01-31", "2020/1/31", "31.1.2020", "1/31/20", "31-Jan-2020", "2 March 2020", "Mar 2, 2020", "2020-01-31T12:00:05Z"):  # fmt: skip
        assert is_date(text), text
    for text in ("2020", "1.5", "120/80", "1-2", "31.1", "12:30", "Marc 2020"):
        assert not is_date(text), text


def test_a_level_is_found_whatever_its_case_unless_two_differ_by_just_that():
    read = level_reader(("no", "Yes", "1", "mm", "Mm"))
    assert [read(text) for text in ("no", "NO", "yes", "1.0", "mm", "Mm")] == ["no", "no", "Yes", "1", "mm", "Mm"]
    for text in ("MM", "2", "nope", ""):
        with pytest.raises(ValueError, match=r"none of the levels no, Yes, 1, mm, Mm"):
            read(text)
    with pytest.raises(ValueError, match=r"none of the classes benign, malign \(is it 'malign'\?\)"):
        level_reader(("benign", "malign"), "classes")("malignant")


def test_the_most_frequent_spelling_wins():
    assert unify(["A", "a", "a", "B"]) == {"A": "a", "a": "a", "B": "B"}
    assert unify(["a", "A"]) == {"A": "A", "a": "A"}  # a draw: the same whatever the order


def test_a_cell_in_a_message_is_short_and_on_one_line():
    assert show("a\tb\n") == r"'a\tb\n'"
    assert len(show("x" * 10_000)) < 50
    assert all(word == word.casefold() for word in MISSING)
