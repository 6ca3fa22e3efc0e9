"""The subgroups as plain text of at most 108 columns: a block an attribute, a line a group, the worst one below."""

from medjax.report import formats
from medjax.report.formats import MACRO, MACRO_LABELS, WIDTH

SHOWN = 20  # groups of one attribute; of more the rest is in the JSON only
_STARTS = (0, 30, 37, 44, 59, 84)


def subgroup_lines(result: dict) -> list[str]:
    """The lines, from what `medjax.evidence.subgroups.subgroups` returns; none where there are no attributes."""
    if not result.get("attributes"):
        return []
    name = result["primary"]
    some = [group for one in result["attributes"].values() for group in one["groups"].values()]
    events = {event for group in some for event in group["events"]}
    label = formats.label(name)
    if len(events) > 1:  # several classes or labels
        label = MACRO.get(name, f"{label}, macro" if name in MACRO_LABELS[2:] and "exact_match" not in name else label)
    head = (next(iter(events)) if len(events) == 1 else "") if events else ""
    lines = [_row("Subgroups", "cases", "pat.", _short(head, 14), label, "gap to the rest")]
    for attribute, found in result["attributes"].items():
        lines += _block(attribute, found, name, head)
    level = f"{100 * result['level']:g} %"
    note = (
        f"Intervals: {level}. The gap is the group minus the other groups together; cases without a value belong to neither. "
        f"Too few: fewer than {result['fewest']} patients with, or without, the event. The worst group was picked among the "
        "groups of its attribute, and its interval is adjusted for that (max-T); nothing is adjusted for the number of "
        "attributes."
    )
    return lines + formats.wrap(note)


def _block(attribute: str, found: dict, name: str, event: str) -> list[str]:
    title = attribute
    if found["kind"] == "numeric":
        title += f" (cut at {', '.join(f'{edge:.6g}' for edge in found['edges'])}: {found['edges_from']})"
    lines = formats.wrap(title)
    groups = list(found["groups"].items())
    if len(groups) > SHOWN:
        groups.sort(key=lambda item: -item[1]["cases"])
    lines += [_line(group, one, name, event) for group, one in groups[:SHOWN]]
    if rest := [one for _, one in groups[SHOWN:]]:
        few = sum("too_few" in one for one in rest)
        count = sum(one["cases"] for one in rest)
        lines.append(f"  and {len(rest)} smaller groups ({few} with too few), {count} cases")
    if found["unknown"]["cases"]:
        lines.append(_row("  (unknown)", str(found["unknown"]["cases"]), str(found["unknown"]["patients"])))
    if not found["groups"]:
        lines.append("  no case has a value")
    worst = found["worst"]
    if "group" in worst:
        text = (
            f"  worst of {worst['groups']}: {_short(worst['group'], 40)}, {formats.interval(worst['metric'], 3, name)}"
        )
        if worst["gap"].get("low") is not None:
            text += f"; gap {formats.interval(worst['gap'], 3, name, signed=True)}"
        lines += formats.wrap(text + "; adjusted", "    ")
    return lines


def _line(group: str, one: dict, name: str, event: str) -> str:
    counts = [str(one["cases"]), str(one["patients"])]
    events = one["events"].get(event)
    if events:
        counts.append(f"{events['cases']} ({formats.percent(events['cases'] / max(one['cases'], 1))})")
    else:
        counts.append("")
    label = "  " + _short(group, 26)
    if "too_few" in one:
        room = WIDTH - _STARTS[4]
        return _row(label, *counts, _short(f"too few: {one['too_few']}", room))
    gap = one.get("gap", {})
    if gap.get("estimate") is None:
        reason = gap.get("reason", "")
        apart = "rest has too few" if reason.startswith("too few") else _short(reason, WIDTH - _STARTS[5])
    else:
        apart = formats.interval(gap, 3, name, signed=True)
    return _row(label, *counts, formats.interval(one["metrics"][name], 3, name), apart)


def _short(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 2] + ".."


def _row(*cells: str) -> str:
    text = ""
    for cell, start in zip(cells, _STARTS, strict=False):
        text = text.ljust(start) if len(text) < start or not start else text + " "
        text += cell
    return text.rstrip()[:WIDTH]
