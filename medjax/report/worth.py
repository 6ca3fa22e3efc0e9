"""What the suspects of an audit are worth in a run's results: its metrics with and without them."""

from typing import Any

from medjax.report import formats
from medjax.report.table import row_label

_WORDS = {
    "test": "test cases have a near-duplicate in train",
    "validation": "validation cases have a near-duplicate in train",
    "out_of_fold": "cases have a near-duplicate in another fold",
}


def worth_rows(one: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value with all cases and value without the suspects of each metric, the primary one first."""
    names = sorted(one["metrics"], key=lambda name: name != one["primary"])
    rows = []
    for name in names:
        both = one["metrics"][name]
        decimals = max(formats.decimals(both["all"]), 3 if name == one["primary"] else 2)
        about = {"primary": one["primary"], "threshold": one["threshold"], "metrics": {name: both["all"]}}
        whole, rest = formats.cell(both["all"], decimals, name), formats.cell(both["without"], decimals, name)
        rows.append((row_label(name, about), whole, rest))
    return rows


def worth_words(split: str, one: dict[str, Any]) -> str:
    """One sentence: how many judged cases are suspect, and why nothing is judged without them where that is so."""
    words = f"{one['left_out']} of {one['cases']} {_WORDS.get(split, split)}"
    return words if one["metrics"] and not one["reason"] else f"{words}: {one['reason']}"


def worth_lines(worth: dict[str, dict[str, Any]]) -> list[str]:
    """Everything as text of at most 108 columns."""
    lines = []
    for split, one in worth.items():
        lines += ["", *formats.wrap(f"{worth_words(split, one)}.")]
        if one["reason"]:
            continue
        lines.append(formats.row("", "all cases", "without the suspects"))
        lines += [formats.row(*row) for row in worth_rows(one)]
    if any(not one["reason"] for one in worth.values()):
        lines += formats.wrap(
            "The cases without suspects are other cases: easier or harder ones may have gone. Neither column is corrected."
        )
    return lines
