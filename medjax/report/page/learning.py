"""The learning curve as a figure and in words, where `medjax learning-curve` has made one for the same experiment."""

from pathlib import Path
from typing import Any

import numpy as np

from medjax import folder
from medjax.errors import InputError
from medjax.report.learning_curve_table import answer_lines
from medjax.report.page.figures import Drawn
from medjax.report.page.svg import MUTED, SERIES, render
from medjax.report.page.wording import metric

RESULT = "learning_curve.json"


def read(path: Path | None, data: str) -> dict[str, Any] | None:
    """Read the curve of a learning-curve run's folder; None without one.

    Raises:
        InputError: the folder holds no curve, or one of other data.
    """
    if path is None:
        return None
    curve = folder.read_json(path / RESULT)
    own = curve.get("about", {}).get("data")
    if own != data:
        raise InputError(f"{path}: this learning curve is of {own}, but the run was trained on {data}")
    return curve


def section(curve: dict[str, Any]) -> dict[str, Any]:
    """The section of the page: what it says, and the figure."""
    about = curve.get("about", {})
    words = " ".join(line.strip() for line in answer_lines(curve))
    judged = f"Every size was judged on the same cases ({about.get('judged_on', 'development cases')}); a test set was not touched."
    return {"name": "section-learning-curve", "title": "Learning curve", "words": f"{words} {judged}", "tables": [],
            "figures": [figure(curve)]}  # fmt: skip


def figure(curve: dict[str, Any]) -> Drawn:
    """The points with their intervals, single seeds, and what the fitted law says of twice the patients."""
    points, name = curve["points"], curve["primary"]
    columns = {
        "training patients": np.array([point["training_patients"] for point in points], np.float64),
        **{end: _column(points, end) for end in ("estimate", "low", "high")},
    }
    seeds = [(point["training_patients"], value) for point in points for value in point["seeds"].get("values", [])]
    columns |= {"patients of a seed": np.array([size for size, _ in seeds], np.float64)}
    columns |= {"value of a seed": np.array([value for _, value in seeds], np.float64)}
    law, later = curve.get("law"), curve.get("prediction")
    if law:
        sizes = np.geomspace(columns["training patients"].min(), curve["furthest"], 80)
        columns |= {"patients of the law": sizes, "law": _law(law, curve["largest"], sizes)}
    if later:
        columns |= {f"twice the patients, {end}": _column([later], end) for end in ("estimate", "low", "high")}

    def draw(drawing: Any) -> None:
        axes = drawing.add_subplot()
        axes.plot(
            columns["patients of a seed"], columns["value of a seed"], ".", color=MUTED, alpha=0.5, label="single seeds"
        )
        if law:
            axes.plot(sizes, columns["law"], "--", color=MUTED, linewidth=1.2, label="fitted power law")
        _bars(axes, columns["training patients"], columns, "", SERIES[0], "mean of the seeds")
        if later:
            _bars(
                axes,
                np.array([later["training_patients"]]),
                columns,
                "twice the patients, ",
                SERIES[1],
                "twice the patients, by the law",
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set(xlabel="training patients", ylabel=metric(name))
        axes.legend(loc="best")

    level = f"{100 * curve.get('level', 0.95):g} %"
    return Drawn(
        "learning_curve", f"Learning curve: {metric(name)}",
        f"{metric(name)} of single models by the number of training patients, with {level} intervals in which the judged "
        "patients and the models vary. Nothing is said of more than twice the patients.",
        f"learning curve of {metric(name)}; the numbers stand in learning_curve.csv", render(draw, 5.2, 3.6), columns,
    )  # fmt: skip


def _column(entries: list[dict[str, Any]], end: str) -> np.ndarray:
    return np.array([np.nan if one[end] is None else one[end] for one in entries], np.float64)


def _bars(axes: Any, x: np.ndarray, columns: dict[str, np.ndarray], start: str, colour: str, label: str) -> None:
    middle, low, high = (columns[f"{start}{end}"] for end in ("estimate", "low", "high"))
    axes.errorbar(
        x, middle, yerr=[middle - low, high - middle], fmt="o", color=colour, capsize=3, markersize=4, label=label
    )


def _law(law: dict[str, Any], largest: float | int, sizes: np.ndarray) -> np.ndarray:
    """The fitted law at these sizes: limit + scale x (patients / largest) ^ -exponent, of the metric or of 1 - metric."""
    exponent, offset = law["exponent"], law.get("offset") or 0.0
    exponent = exponent["estimate"] if isinstance(exponent, dict) else exponent
    values = law["limit"] + law["scale"] * ((sizes + offset) / (largest + offset)) ** -exponent
    return 1 - values if law["formula"].startswith("1 -") else values
