"""The data flow: how many cases were read, left out, and laid into each part, as a diagram."""

import textwrap
from typing import Any

from medjax.report.page.figures import Drawn
from medjax.report.page.reading import RunFolder
from medjax.report.page.svg import INK, MUTED, PAPER, SERIES, render
from medjax.report.page.wording import UNKNOWN, count

_REASONS = 3  # listed beside the number of cases that were left out
_PARTS = 6  # boxes side by side
WIDTH, LINE_HEIGHT = 7.6, 0.17  # inches


def parts(run: RunFolder) -> dict[str, int]:
    """Cases in each split, or fold, in the order of a study."""
    found = run.record.get("data", {}).get("cases", {})
    known = ["train", "calibration", "validation", "test"]
    return dict(sorted(found.items(), key=lambda item: (known.index(item[0]) if item[0] in known else 9, item[0])))


def reasons(run: RunFolder) -> dict[str, int] | None:
    """Why cases were left out, and how many for each reason; None where the record does not say."""
    skipped = run.record.get("data", {}).get("skipped")
    if skipped is None:
        return None
    found: dict[str, int] = {}
    for entry in skipped:
        why = str(entry[1]) if isinstance(entry, list) and len(entry) > 1 else UNKNOWN
        found[why] = found.get(why, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def diagram(run: RunFolder) -> Drawn:
    """Read, left out, kept, parted, judged: a box each, with counts from record.json and the evaluations."""
    audit, left_out, found = run.record.get("audit", {}), reasons(run), parts(run)
    kept = audit.get("cases", sum(found.values()) or None)
    excluded = None if left_out is None else sum(left_out.values())
    everyone = UNKNOWN if kept is None or excluded is None else count(kept + excluded, "case")
    patients = count(audit.get("patients"), "patient") if audit.get("patients_known") else "patients unknown"
    why = [f"{n}: {text}" for text, n in list((left_out or {}).items())[:_REASONS]]
    why += [f"and {len(left_out) - _REASONS} other reasons"] if left_out and len(left_out) > _REASONS else []
    names = {name: f"fold {name}" if name.isdigit() else name for name in found}
    apart = run.record.get("plan", {}).get("reserved", {}).get("cases")  # for recalibration and the like
    boxes = []
    for name, number in list(found.items())[:_PARTS]:
        text = f"{names[name]}\n{count(number, 'case')}"
        if name in run.evaluations:
            counts = run.evaluations[name].get("counts", {})
            text += f"\njudged: {counts.get('cases', UNKNOWN)}"
            text += f"\nwithout target: {counts['without_target']}" if counts.get("without_target") else ""
            text += f"\nkept apart: {apart}" if name == "validation" and apart else ""
        elif name == "test":
            text += "\nsealed, not opened"
        boxes.append(text)
    if len(found) > _PARTS:
        boxes[-1] = f"{len(found) - _PARTS + 1} more parts"
    below = []
    if run.split == "out_of_fold" or run.split.startswith("external"):
        counts = run.evaluation.get("counts", {})
        name = "out of fold" if run.split == "out_of_fold" else run.evaluation.get("about", {}).get("data", run.split)
        below = [f"judged, {name}: {count(counts.get('cases'), 'case')}, {count(counts.get('patients'), 'patient')}"]
        below[0] += f"; without target: {counts.get('without_target', UNKNOWN)}"
    data = run.record.get("data", {})

    def draw(figure: Any) -> None:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set(xlim=(0, WIDTH), ylim=(0, height))
        top = height - 0.1
        first = _box(axes, 2.6, top, 2.9, read)
        second = _box(axes, 2.6, first - gap, 2.9, keeping)
        _line(axes, (2.6, first), (2.6, first - gap))
        _box(axes, 6.0, first - 0.15, 2.6, out, SERIES[1], left=True)
        _line(axes, (2.6, first - 0.4), (4.7, first - 0.4))
        places = [0.1 + (WIDTH - 0.2) * (k + 0.5) / max(len(boxes), 1) for k in range(len(boxes))]
        bus, bottoms = second - 0.25, []
        if places:
            axes.plot([2.6, 2.6], [second, bus], color=MUTED, linewidth=0.9)
            axes.plot([min(2.6, *places), max(2.6, *places)], [bus, bus], color=MUTED, linewidth=0.9)
        for place, text in zip(places, boxes, strict=True):
            bottoms.append(_box(axes, place, bus - 0.25, wide, text))
            _line(axes, (place, bus), (place, bus - 0.25))
        for text in below:
            end = min(bottoms, default=bus)
            if run.split == "out_of_fold" and places:
                axes.plot([places[0], places[-1]], [end - 0.2] * 2, color=MUTED, linewidth=0.9)
                for place, bottom in zip(places, bottoms, strict=True):
                    axes.plot([place, place], [bottom, end - 0.2], color=MUTED, linewidth=0.9)
                _line(axes, (WIDTH / 2, end - 0.2), (WIDTH / 2, end - 0.45))
            _box(axes, WIDTH / 2, end - 0.45, 4.4, text, SERIES[2])

    read, keeping = f"read from {data.get('name', UNKNOWN)}\n{everyone}", f"kept: {count(kept, 'case')}\n{patients}"
    out = "\n".join(["left out: " + count(excluded), *why])
    wide = min(1.9, (WIDTH - 0.2) / max(len(boxes), 1) - 0.15)
    gap = max(0.9, 0.2 + _height(out, 2.6) - _height(keeping, 2.9))
    height = 0.2 + _height(read, 2.9) + gap + _height(keeping, 2.9)
    height += 0.5 + max(_height(text, wide) for text in boxes) if boxes else 0.0
    height += sum(0.45 + _height(text, 4.4) for text in below)
    listed = [f"read {everyone}", f"left out {count(excluded)}", f"kept {count(kept)}"]
    listed += [f"{names[name]} {number}" for name, number in found.items()]
    return Drawn(
        "flow", "Data flow",
        "From the cases that were read to those that were judged. A case is one scan, recording, or row.",
        "data flow: " + "; ".join(listed + below), render(draw, WIDTH, height),
        {"step": ["read", "left out", *(f"left out: {why}" for why in left_out or {}), "kept", *names.values()],
         "cases": [_csv(None if kept is None or excluded is None else kept + excluded), _csv(excluded),
                   *(left_out or {}).values(), _csv(kept), *found.values()]},
    )  # fmt: skip


def _csv(number: int | None) -> str:
    return UNKNOWN if number is None else str(number)


def _lines(text: str, width: float) -> list[str]:
    letters = max(int(width / 0.078), 8)
    return [part for line in text.split("\n") for part in textwrap.wrap(line, letters, max_lines=3, placeholder=" …")]


def _height(text: str, width: float) -> float:
    return LINE_HEIGHT * len(_lines(text, width)) + 0.14


def _box(axes: Any, x: float, top: float, width: float, text: str, colour: str = MUTED, *, left: bool = False) -> float:
    """A box with wrapped text, centred at x under `top`; returns where it ends. Sizes are inches, whatever the font."""
    from matplotlib.patches import FancyBboxPatch

    lines, height = _lines(text, width), _height(text, width)
    style = {"boxstyle": "round,pad=0,rounding_size=0.06", "facecolor": PAPER, "edgecolor": colour, "linewidth": 1.2}
    axes.add_patch(FancyBboxPatch((x - width / 2, top - height), width, height, **style))
    for k, line in enumerate(lines):
        place = (x - width / 2 + 0.1 if left else x, top - 0.07 - LINE_HEIGHT * (k + 0.5))
        axes.text(*place, line, ha="left" if left else "center", va="center_baseline", color=INK, fontsize=8.5)
    return top - height


def _line(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)
