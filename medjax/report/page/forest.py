"""The subgroups' primary metric with its intervals, a line a group: the forest plot."""

from typing import Any

import numpy as np

from medjax.report.page.figures import Drawn, short
from medjax.report.page.svg import INK, MUTED, SERIES, render
from medjax.report.page.wording import metric

_SHOWN = 40  # groups; the CSV holds them all


def forest(content: dict[str, Any], whole: dict[str, Any] | None) -> Drawn | None:
    """Draw the groups of every attribute below the metric of everybody; None where no group could be judged.

    Args:
        content: "subgroups" of an evaluation.
        whole: the primary metric of all cases.
    """
    primary = str(content.get("primary", ""))
    rows = [
        (attribute, group, counts.get("cases"), counts.get("metrics", {}).get(primary))
        for attribute, part in content.get("attributes", {}).items()
        for group, counts in part.get("groups", {}).items()
    ]
    rows = [row for row in rows if row[3] and row[3].get("estimate") is not None]
    if not rows:
        return None
    shown = rows[:_SHOWN]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        if whole and whole.get("estimate") is not None:
            axes.axvline(whole["estimate"], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        place, places, labels, last = 0.0, [], [], ""
        for attribute, group, cases, entry in shown:
            if attribute != last:
                place -= 0.6
                axes.annotate(
                    short(attribute, 30), (0.0, place), (4, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", va="center", fontsize=8.5, fontweight="bold", color=INK,
                )  # fmt: skip
                place, last = place - 0.9, attribute
            ends = [entry.get("low"), entry.get("high")]
            if None not in ends:
                axes.plot(ends, [place, place], color=SERIES[0], linewidth=1.4)
            axes.plot([entry["estimate"]], [place], "s", color=SERIES[0], markersize=4.5)
            places, labels = [*places, place], [*labels, f"{short(group, 26)} (n = {cases})"]
            place -= 1.0
        axes.set_yticks(places, labels)
        axes.set(ylim=(place + 0.3, 0.2), xlabel=metric(primary))
        axes.grid(axis="y", visible=False)

    columns: dict[str, Any] = {
        "attribute": [row[0] for row in rows], "group": [row[1] for row in rows], "cases": [row[2] for row in rows]
    }  # fmt: skip
    for end in ("estimate", "low", "high"):
        columns[end] = np.array([row[3].get(end) for row in rows], np.float64)
    attributes = len({row[0] for row in shown})
    more = f" Drawn are {_SHOWN} of {len(rows)} groups; the CSV holds all." if len(rows) > _SHOWN else ""
    return Drawn(
        "subgroups",
        f"{metric(primary)} by group",
        f"{metric(primary)} of each group with its interval; dashed: everybody. Groups that are too small to be judged "
        f"are left out.{more}",
        f"forest plot of {metric(primary)} in {len(shown)} groups; the numbers stand in the table below and in subgroups.csv",
        render(draw, 6.4, 0.8 + 0.27 * (len(shown) + 1.5 * attributes)),
        columns,
    )
