"""What treatment rules are worth, on the page: a section for every split on which `medjax treatment` valued them."""

from typing import Any

import numpy as np

from medjax.report.page.figures import Drawn
from medjax.report.page.svg import MUTED, SERIES, render
from medjax.report.page.tables import Table, make
from medjax.report.page.wording import UNKNOWN, count
from medjax.report.treatment_table import METHODS, OVER, RULES, design, followers, p_value, time_cell

TITLE = "Value of treatment rules"


def section(split: str, found: dict[str, Any]) -> dict[str, Any]:
    """The section of a split from the content of `treatment/<split>.json`.

    Args:
        split: on whose cases the rules were valued.
        found: what `medjax.evidence.treatment.policy` gave, with `about`.
    """
    made = {"name": f"section-treatment-{split}".replace("_", "-"), "title": f"{TITLE}, {split} cases"}
    try:
        return made | {"words": _words(found), "tables": [_values(found), _followed(found)],
                       "figures": [_figure(split, found)]}  # fmt: skip
    except (KeyError, TypeError, AttributeError):  # written by another version
        words = f"treatment/{split}.json cannot be shown; `medjax treatment` writes it again."
        return made | {"words": words, "tables": [], "figures": []}


def _words(found: dict[str, Any]) -> str:
    about = found["about"]
    return (
        f"The rule: give '{about['treatment']}' to whoever the models predict to gain from it. It is recommended for "
        f"{found['recommended']} of {count(found['cases'], 'case')}; {found['treated']} were treated, {found['followed']} got what is "
        f"recommended. The rule's value is the mean time free of the event up to {found['until']:g}{_unit(found)}, had everybody been treated by it. "
        "A rule is worth something where its differences to treating everybody, and to treating nobody, lie above 0."
    )


def _unit(found: dict[str, Any]) -> str:
    unit = found["about"].get("unit", "")
    return f" {unit}" if unit else ""


def _values(found: dict[str, Any]) -> Table:
    rows = [[words, *(time_cell(found[method][rule]) for method in METHODS)] for rule, words in RULES.items()]
    rows += [
        [f"rule {words.strip()}", *(time_cell(found[method][other], signed=True) for method in METHODS)]
        for other, words in OVER.items()
    ]
    reasons = {found[method][other].get("warning", "") for method in METHODS for other in OVER} - {""}
    notes = [f"WARNING: {design(found)}", *(f"WARNING: {reason}" for reason in sorted(reasons))]
    return make(
        f"Mean time free of the event{_unit(found) and ' in' + _unit(found)}", ["", *METHODS.values()], rows, notes
    )


def _followed(found: dict[str, Any]) -> Table:
    rows = []
    for rule, words in RULES.items():
        one = found["as_recommended"][rule]
        p = p_value(one["log_rank"]["p_value"]).removeprefix("= ") if "log_rank" in one else UNKNOWN
        rows.append([words, str(one["followed"]), followers(one), p])
    head = ["", "treated as the rule says", "mean time, these minus the others", "log-rank p"]
    notes = [f"WARNING: {found['warning']}. Not corrected for who was treated."]
    return make("Treated as recommended against not (the DeepSurv paper's statistic)", head, rows, notes)


def _figure(split: str, found: dict[str, Any]) -> Drawn:
    rows = [(method, other, found[method][other]) for other in OVER for method in METHODS]
    columns: dict[str, Any] = {
        "over": [OVER[other].strip() for _, other, _ in rows],
        "method": [METHODS[method] for method, _, _ in rows],
    }
    for end in ("estimate", "low", "high"):
        columns[end] = np.array([one.get(end) for *_, one in rows], np.float64)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.axvline(0.0, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        places = [-1.0 * k - 0.6 * (k // len(METHODS)) for k in range(len(rows))]
        for place, (method, _, one) in zip(places, rows, strict=True):
            shade = SERIES[list(METHODS).index(method)]
            if one.get("low") is not None:
                axes.plot([one["low"], one["high"]], [place, place], color=shade, linewidth=1.4)
            if one.get("estimate") is not None:
                axes.plot([one["estimate"]], [place], "s", color=shade, markersize=4.5)
        labels = [f"{OVER[other].strip()}, {METHODS[method]}" for method, other, _ in rows]
        axes.set_yticks(places, labels)
        axes.set(
            ylim=(min(places) - 0.7, 0.7),
            xlabel=f"gained mean time{_unit(found) and ' (' + found['about']['unit'] + ')'}",
        )
        axes.grid(axis="y", visible=False)

    return Drawn(
        f"treatment_{split}", "What choosing gains",
        "The rule's mean time free of the event minus that of treating everybody, and of treating nobody, with intervals; "
        "dashed: no difference.",
        f"differences with intervals; the numbers stand in the table below and in treatment_{split}.csv",
        render(draw, 6.4, 2.1), columns,
    )  # fmt: skip
