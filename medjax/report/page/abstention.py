"""Selective prediction on the page: the error against the share of cases that is answered, and the frozen abstention."""

from typing import Any

import numpy as np

from medjax.report.page.figures import Drawn
from medjax.report.page.svg import INK, MUTED, SERIES, render
from medjax.report.page.tables import Table, make
from medjax.report.page.wording import UNKNOWN, count, value

_ROWS = {
    "coverage": "answered",
    "accuracy_kept": "accuracy of the answers",
    "accuracy_all_readable": "accuracy, were every readable case answered",
    "accuracy_worst": "accuracy, were every case without an answer wrong",
    "accuracy_best": "accuracy, were every case without an answer right",
}


def tables(content: dict[str, Any]) -> list[Table]:
    """What the abstention that was frozen on the calibration cases does here, for all cases and each true class."""
    frozen = content.get("frozen")
    if not frozen:
        return []
    counts, classes = frozen["counts"], frozen.get("classes", {})
    rows = [
        [words, value(frozen.get(key)), *(value(part.get(key)) for part in classes.values())]
        for key, words in _ROWS.items()
    ]
    notes = [
        f"Of {count(counts['cases'], 'case')} {counts['kept']} were answered, {counts['abstained']} left to a person, "
        f"{counts['unreadable']} unreadable. From which confidence on a case is answered was frozen on the calibration cases.",
        "Of a class, the row before the last is its sensitivity with the cases without an answer in the denominator.",
    ]
    return [make("With abstention", ["", "all cases", *classes], rows, notes)]


def figure(content: dict[str, Any]) -> Drawn | None:
    """Draw the error among the most confident cases over their share."""
    curve, frozen = content.get("curve", {}), content.get("frozen") or {}
    if not curve.get("coverage"):
        return None
    columns = {key: np.array(curve[key], np.float64) for key in ("coverage", "risk", "confidence")}
    answered, kept = frozen.get("coverage", {}).get("estimate"), frozen.get("accuracy_kept", {}).get("estimate")

    def draw(drawing: Any) -> None:
        axes = drawing.add_subplot()
        axes.plot(
            columns["coverage"], columns["risk"], color=SERIES[0], linewidth=1.6, label="most confident cases first"
        )
        axes.axhline(
            columns["risk"][-1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)), label="every case answered"
        )
        if answered is not None and kept is not None:
            axes.plot([answered], [1 - kept], "o", color=INK, markersize=5, label="frozen abstention")
        axes.set(xlabel="share of cases answered", ylabel="share of wrong answers", xlim=(0, 1))
        axes.set_ylim(bottom=0)
        axes.legend(loc="upper left")

    area = value(curve.get("area")) if curve.get("area") else UNKNOWN
    return Drawn(
        "selective_prediction", "Selective prediction",
        f"Wrong answers among the most confident cases, by their share. Area under the curve {area}; with the cases in a "
        f"random order it would be {value(curve.get('area_random'))}, lower is better.",
        "error against the share of cases answered; the numbers stand in selective_prediction.csv", render(draw, 4.8, 3.4),
        columns,
    )  # fmt: skip
