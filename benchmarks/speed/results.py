"""The measured rows: judged, merged with those of before, and written as JSON and as a page."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.speed import interval
from benchmarks.speed.row import Goal, Row

LOADED = 0.1  # share of the cores that others had, from which a row should be measured again

Found = dict[str, Any]


def judge(row: Row, measured: Found) -> Found:
    """Add to what was measured the row's words, its ratio to the faster peer, its goal, and whether that is met."""
    found: Found = {"name": row.name, "work": row.work, "unit": row.unit, "per": row.per, "cost": row.cost, **measured}
    if "error" in measured:
        return {**found, "goal": None, "met": None, "reason": ""}
    ours = measured["ours"]
    value, found["ratio"], found["peer"] = ours["median"], None, None
    low, high = ours["interval"] or (None, None)
    if measured["peers"]:
        best = min(measured["peers"], key=lambda side: side["median"])
        both = (ours["values"], best["values"])
        found["ratio"] = interval.ratio(*(both if row.cost else both[::-1]))
        found["peer"] = best["label"]
        value, low, high = (found["ratio"][key] for key in ("median", "low", "high"))
    goal = row.goals.get("cpu" if ours["facts"]["device"]["kind"] == "cpu" else "gpu")
    # A goal on a ratio says nothing where the peer is absent.
    if goal is None or (row.peers and not measured["peers"]):
        return {**found, "goal": _bounds(goal), "met": None, "reason": ""}
    met = goal.met(value)
    sure = low is not None and high is not None and goal.met(low) == goal.met(high) == met
    return {**found, "goal": _bounds(goal), "met": met, "sure": sure,
            "reason": "" if met else row.reason or "not profiled"}  # fmt: skip


def label(machine: Mapping[str, Any], rows: Sequence[Found]) -> str:
    """Return what the rows' machine is called in the page: its GPU where they ran on one, else its processor."""
    for row in rows:
        device = row.get("ours", {}).get("facts", {}).get("device", {})
        if device.get("kind", "cpu") != "cpu":
            return f"{device['count']} x {device['name']}"
    return f"{machine['processor']}, {machine['cores']} cores"


def merge(old: Found, machine: Found, rows: Sequence[Found], order: Sequence[str]) -> Found:
    """Return the old content with these rows in the place of those of the same name on the same machine.

    Args:
        old: content of `results.json`: {label of a machine: {"machine": ..., "rows": {name: row}}}; may be empty.
        machine: as `benchmarks.speed.machine.describe` has it.
        rows: judged.
        order: all names, in the order of the table; rows that are no longer known are dropped.
    """
    name = label(machine, rows)
    # A row that could not be measured does not wipe out the one that could.
    before = old.get(name, {}).get("rows", {})
    new = {row["name"]: row for row in rows if "error" not in row or "error" in before.get(row["name"], row)}
    if all("error" in row for row in rows) and not new:
        return old
    together = {**before, **new}
    return {**old, name: {"machine": machine, "rows": {key: together[key] for key in order if key in together}}}


def read(path: Path) -> Found:
    """Read `results.json`; nothing where there is none."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(content: Found, folder: Path) -> None:
    """Write `results.json` and `RESULTS.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(_rounded(content), indent=1) + "\n")
    (folder / "RESULTS.md").write_text(page(content))


def page(content: Found) -> str:
    """Return the page in Markdown."""
    parts = [_OPENING]
    for name, one in content.items():
        rows, about = list(one["rows"].values()), one["machine"]
        parts.append(f"## {name}\n\n{about['processor']}, {about['cores']} cores, {about['memory_gib']:.0f} GiB of memory, "
                     f"{about['system']}; {_versions(rows)}.\n")  # fmt: skip
        parts.append("\n".join([*_HEAD, *(line(row) for row in rows)]) + "\n")
        parts.append("\n".join(_notes(row) for row in rows) + "\n")
    return "\n".join(parts)


_OPENING = """# Speed, medjax beside its peers

    python -m benchmarks.run [--only NAME ...] [--peer PYTHON] [--quick]

Written by that command. Every side runs in a process of its own and has all cores; the sides take turns, in turns first,
after a warm-up. What stands here are medians over rounds; "ratio" is the median over rounds of peer's / ours (how many times
as fast; with "cost" ours / peer's), in brackets a 95 % interval by order statistics, which holds for any distribution and
needs six rounds. A goal is met where the median meets it; "?" says that the interval holds the goal as well. Of several
peers the fastest counts. "others" is the share of the cores that other work on the machine had during the rounds: from 10 %
on a row is marked with "!": its verdict is not to be relied on (threads that wait for each other suffer more than others from
a shared core), and it should be measured again (`--only`).
"""
_HEAD = (
    "| row | work | peer | ours | peer's | ratio | goal | met | others |",
    "|---|---|---|---|---|---|---|---|---|",
)


def line(row: Found) -> str:
    """Return a row's line of the table."""
    if "error" in row:
        return f"| {row['name']} | {row['work']} | | | | | | not measured | |"
    ours, unit, per = row["ours"], row["unit"], row["per"]
    theirs = next((side["median"] for side in row["peers"] if side["label"] == row["peer"]), None)
    found = _ratio(row)
    met = "" if row["met"] is None else ("yes" if row["met"] else "**no**") + ("" if row["sure"] else " ?")
    others = row["load"]["others"]
    share = "" if others is None else f"{100 * others:.0f} %" + (" !" if others >= LOADED else "")
    cells = [row["name"], row["work"], row["peer"] or "", show(ours["median"], unit, per),
             "" if theirs is None else show(theirs, unit, per), found, _goal(row), met, share]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def show(value: float, unit: str, per: str = "") -> str:
    """Return a measured value for a reader: 0.0123 s a step -> "12.3 ms a step"."""
    if unit == "s":
        scale, name = (1, "s") if value >= 1 else (1e3, "ms") if value >= 1e-3 else (1e6, "µs")
        text = f"{value * scale:.3g} {name}" if value < 1000 else f"{value:,.0f} s"
    elif unit:
        text = f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
    else:
        text = f"{value:.3f}"
    return text + (f" / {per}" if per else "")


def _ratio(row: Found) -> str:
    if row["ratio"] is None:
        return ""
    low, median, high = (row["ratio"][key] for key in ("low", "median", "high"))
    form = ".3f" if row["cost"] else ".3g"
    held = "too few rounds" if low is None else f"{low:{form}} to {high:{form}}"
    return ("cost " if row["cost"] else "") + f"{median:{form}} ({held})"


def _goal(row: Found) -> str:
    goal = row["goal"]
    if goal is None:
        return ""
    unit = "" if row["ratio"] or row["peer"] or not row["unit"] else f" {row['unit']}"
    return ", ".join(f"{sign} {goal[key]:g}{unit}" for key, sign in (("least", ">="), ("most", "<=")) if key in goal)


def _notes(row: Found) -> str:
    """Return what else is to be said of a row."""
    if "error" in row:
        return f"- **{row['name']}**: not measured: {row['error']}"
    load = row["load"]
    said = [f"{row['rounds']} rounds, load {load['average_1_minute']}, commit {row['commit']}, {row['date']}"]
    for side in [row["ours"], *row["peers"]]:
        if side["label"] not in (row["ours"]["label"], row["peer"]):
            said.append(f"{side['label']}: {show(side['median'], row['unit'], row['per'])}")
        note = side["facts"].get("note")
        said += [f"{side['label']}: {note}"] if note else []
    said += [f"not measured, {reason}" for reason in row["missing"]]
    said += [f"why not: {row['reason']}"] if row["reason"] else []
    return f"- **{row['name']}**: " + "; ".join(said)


def _versions(rows: Sequence[Found]) -> str:
    found: dict[str, str] = {}
    for row in rows:
        for side in [row["ours"], *row["peers"]] if "ours" in row else []:
            found |= side["facts"].get("versions", {})
    return ", ".join(f"{name} {found[name]}" for name in sorted(found))


def _bounds(goal: Goal | None) -> dict[str, float] | None:
    return None if goal is None else {key: value for key, value in vars(goal).items() if value is not None}


def _rounded(content: Any) -> Any:
    """Return the content with six digits a number: more is noise."""
    if isinstance(content, float):
        return float(f"{content:.6g}")
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items()}
    return [_rounded(value) for value in content] if isinstance(content, list | tuple) else content
