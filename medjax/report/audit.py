"""The deep leak audit of a data set in words, and its most suspicious pairs in pictures."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from medjax.data import giveaways, near, twins
from medjax.data.dataset import Dataset, fingerprint
from medjax.data.partition import Partition
from medjax.data.twins import Twins
from medjax.errors import InputError
from medjax.report import data
from medjax.report.examination import BOUND, examination
from medjax.report.pair_sheet import pair_sheet, short

LISTED, WIDTH = 20, 108
_HOW = {
    "image": "images, whitened, in 8 orientations, cropped or shifted by up to 2 of 28 pixels",
    "volume": "volumes, whitened, in 8 mirror images, cropped by up to 2 of 28",
    "signal": "signals, whitened, cropped or shifted by up to 2 of 28",
    "table": "rows, by the ranks of their columns",
}


class Audited(NamedTuple):
    """A deep audit: in words, the most suspicious pairs as PNG (None: there are none), as plain JSON, and the pairs."""

    text: str
    sheet: bytes | None
    result: dict[str, Any]
    twins: Twins


def audited(
    dataset: Dataset,
    plan: Partition | None = None,
    *,
    rate: float = near.RATE,
    bound: float = BOUND,
    after: Sequence[str] = (),
) -> Audited:
    """Audit a data set by reading its inputs, after what its index tells by itself (`data.audited`).

    Args:
        dataset: prepared.
        plan: an experiment's partition; None: the data set's own splits.
        rate: share of cases without a copy that may be called near-duplicates.
        bound: AUROC from which a single column is suspect.
        after: columns that are known only after the time of prediction.

    Raises:
        InputError: a patient stands in two splits.
    """
    first = data.audited(dataset, plan)
    found = twins.find(dataset, plan, rate=rate)
    development = giveaways.read(dataset, plan)
    result = examination(dataset, plan, found, development, bound, after)
    return Audited(first + "\n\n" + in_words(result), pair_sheet(dataset, found), result, found)


def against(first: Dataset, second: Dataset, *, rate: float = near.RATE) -> tuple[str, bytes | None]:
    """Look for cases of one data set in another one: in words, and the most suspicious pairs as PNG.

    Raises:
        InputError: they are the same, or have no input, or no column, in common that can be compared.
    """
    if fingerprint(first) == fingerprint(second):
        raise InputError(
            f"audit: {second.name} is the same data set; medjax data audit {first.name} compares its cases"
        )
    found = twins.between(first, second, rate=rate)
    cases = [len({pair.ids[side] for pair in found.pairs}) for side in (0, 1)]
    same = [pair for pair in found.pairs if pair.identical]
    lines = [
        f"{first.name} ({len(first.index)} cases) against {second.name} ({len(second.index)} cases)",
        f"near-duplicates: {_HOW[found.compared]}",
        f"  false-alarm rate {rate:g} a case: {rate * found.different:.2g} cases of {first.name} would be suspect without any copy",
        f"  {len(found.pairs)} pairs, {len(same)} of them identical; {cases[0]} cases of {first.name}, "
        f"{cases[1]} of {second.name}",
    ]
    if found.by_chance == found.by_chance:  # not NaN: tables
        lines.append(f"  cases with an identical row by chance alone: {found.by_chance:.1f} at least")
    lines += [
        f"  {'same' if pair.identical else f'{pair.chance:.0e}':<8} {short(pair.ids[0], 40)} = {short(pair.ids[1], 40)}"
        for pair in found.pairs[:LISTED]
    ]
    if len(found.pairs) > LISTED:
        lines.append(f"  and {len(found.pairs) - LISTED} pairs more")
    lines.append(
        "Never train on one of the two and test on the other." if found.pairs else "  none: no case stands in both"
    )
    return "\n".join(_cut(line) for line in lines), pair_sheet(first, found, second)


def in_words(found: dict[str, Any]) -> str:
    """The examination as text, at most 108 columns wide."""
    lines = [f"deep audit of {found['data']}: {found['cases']} cases"]
    if found["test_inputs_read"]:
        lines.append(
            f"  inputs of the {found['test_inputs_read']} test cases were read; their labels were not looked at"
        )
    lines += _twin_lines(found) + _column_lines(found) + _border_lines(found["border"])
    if found["after"]:
        lines.append(f"inputs known only after prediction time: {', '.join(found['after'])}; leave them out")
    lines += [
        f"'{one['attribute']}': {one['later']} of {one['train']} training cases are later than the first test case"
        for one in found["time"]
    ]
    return "\n".join(_cut(line) for line in lines)


# In words.


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3f}"


def _interval(one: dict[str, Any]) -> str:
    return f"{_number(one['estimate'])} ({_number(one['low'])} to {_number(one['high'])})"


def _twin_lines(found: dict[str, Any]) -> list[str]:
    about = found["near_duplicates"]
    key = about["compared"]
    if not key:
        return ["near-duplicates: not looked for; images, volumes, signals and tables can be compared"]
    lines = ["", f"near-duplicates: {_HOW[key]}"]
    lines.append(
        f"  false-alarm rate {about['rate']:g} a case: {about['expected_without_copies']:.2g} of "
        f"{about['different_inputs']} different cases would be suspect without any copy"
    )
    if about["numbering_columns"]:
        lines.append(f"  columns left out because they only number the rows: {', '.join(about['numbering_columns'])}")
    if about["identical_rows_by_chance"] is not None:
        lines.append(f"  cases with an identical row by chance alone: {about['identical_rows_by_chance']:.1f} at least")
    if not about["pairs"]:
        return [*lines, "  none"]
    for name, count in sorted(about["counts"].items(), key=lambda item: ("+" not in item[0], item[0])):
        first, _, second = name.partition("+")
        if second:
            sides = zip((first, second), count["cases"], strict=True)
            shares = [f"{cases} of {found['splits'][side]} in {side}" for side, cases in sides]
            lines.append(f"  {first} and {second}: {count['pairs']} pairs; {', '.join(shares)}")
        else:
            lines.append(
                f"  within {first}: {count['pairs']} pairs; {count['cases'][0]} of {found['splits'][first]} cases"
            )
    labels = about["labels"]
    if labels and labels["pairs"]:
        lines.append(
            f"  same label in {labels['agree']} of {labels['pairs']} pairs of development cases "
            f"(by chance {labels['by_chance']:.0%})"
        )
        lines += [f"    labels differ: {short(a, 45)} = {short(b, 45)}" for a, b in labels["differ"][:LISTED]]
    head = "distance" if key == "table" else "alike"
    lines.append(f"  {head:<8} {'chance':<8} splits, ids")
    order = sorted(about["pairs"], key=lambda one: (one["splits"][0] == one["splits"][1], one["chance"]))
    same = [one for one in order if one["chance"] == 0][: LISTED // 2]
    shown = same + [one for one in order if one["chance"] > 0][: LISTED - len(same)]
    for one in shown:
        said = "same" if one["chance"] == 0 else f"{one['chance']:.0e}"
        names = " = ".join(short(name, 34) for name in one["ids"])
        lines.append(f"  {one['alike']:<8.3f} {said:<8} {'+'.join(dict.fromkeys(one['splits']))}: {names}")
    if len(about["pairs"]) > len(shown):
        lines.append(f"  and {len(about['pairs']) - len(shown)} pairs more")
    return lines


def _column_lines(found: dict[str, Any]) -> list[str]:
    columns = found["columns"]
    if not columns:
        return []
    suspect = sum(one["suspect"] for one in columns)
    kind = "AUROC, out of 5 folds by patient, 95 % interval"
    lines = ["", f"single columns that predict the target ({kind}); {suspect} reach {found['bound']:g}"]
    for one in columns[: min(suspect, LISTED) + 3]:
        mark = "EXPLAIN IT, OR LEAVE IT OUT" if one["suspect"] else "below the bound"
        role = "input" if one["input"] else "no input"
        line = f"  {short(one['column'], 22):<22} {_interval(one['auroc'])}  {role + ',':<9} {mark}"
        missing = one["missing_auroc"]
        if missing and missing["estimate"] is not None:
            line += f"; missing alone {missing['estimate']:.3f}"
        lines.append(line)
    return lines


def _border_lines(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    alone, whole = found["border"], found["whole"]
    low, high = alone["low"], alone["high"]
    said = "no better than chance" if low is None or low <= 0.5 else "better than chance"
    if low is not None and whole["estimate"] is not None and high >= whole["estimate"]:
        said = "as good as the whole picture: look at the corners" if low > 0.5 else said
    return [
        "",
        f"border of the picture alone ({found['points']} of {found['of']} points): AUROC {_interval(alone)}, {said}",
        f"  whole thumbnail, the same linear model: AUROC {_interval(whole)}",
    ]


def _cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
