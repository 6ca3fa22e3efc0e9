"""Times to an event on the page: survival by risk group, calibration at the horizons, and the cases that surprise most."""

from typing import Any

import numpy as np

from medjax.evidence.predictions import Predictions, ensemble
from medjax.report import formats
from medjax.report.page.figures import Drawn
from medjax.report.page.reading import RunFolder
from medjax.report.page.svg import MUTED, SERIES, render
from medjax.report.page.tables import Table, make
from medjax.report.page.wording import UNKNOWN

LISTED = 10


def figures(run: RunFolder) -> list[Drawn]:
    """Of the event, or of every cause: curves of thirds of risk, and calibration."""
    unit, drawn = str(run.evaluation.get("about", {}).get("unit", "")), []
    found = run.evaluation.get("survival", {})
    for cause, part in found.items():
        suffix = f"_{cause}" if len(found) > 1 else ""
        drawn.append(_groups(part["groups"], cause, suffix, unit))
        drawn.append(_calibration(part["calibration"], cause, suffix, unit))
    return drawn


def _groups(content: dict[str, Any], cause: str, suffix: str, unit: str) -> Drawn:
    columns: dict[str, Any] = {}
    for name, one in content["curves"].items():
        columns |= {f"{key} {name}": np.array(one[key], np.float64) for key in ("times", "survival", "low", "high")}

    def draw(drawing: Any) -> None:
        axes = drawing.add_subplot()
        for (name, one), colour in zip(content["curves"].items(), SERIES, strict=False):
            few = " (few events)" if name in content["few_events"] else ""
            axes.fill_between(one["times"], one["low"], one["high"], step="post", color=colour, alpha=0.18, linewidth=0)
            axes.step(one["times"], one["survival"], where="post", color=colour, linewidth=1.6, label=name + few)
        axes.set(xlabel=f"time{f', {unit}' if unit else ''}", ylabel="free of the event", ylim=(0, 1.01))
        axes.set_xlim(0, content["ticks"][-1])
        axes.legend(loc="lower left")

    return Drawn(
        f"risk_groups{suffix}", "Survival by predicted risk" + (f", {cause}" if suffix else ""),
        f"Kaplan-Meier curves of thirds of the predicted risk, with pointwise intervals. {test_words(content['log_rank'])} "
        "How many are still watched stands in the table below.",
        f"survival curves of three groups; the numbers stand in risk_groups{suffix}.csv", render(draw, 4.8, 3.6), columns,
    )  # fmt: skip


def test_words(test: dict[str, Any]) -> str:
    """The log-rank test as a sentence."""
    if "p_value" not in test:
        return f"No log-rank test: {test['reason']}."
    p = "p < .001" if test["p_value"] < 0.001 else f"p = {formats.fixed(test['p_value'], 3)}"
    return f"Log-rank test: chi-squared {test['statistic']:.1f} on {test['degrees']} degrees of freedom, {p}."


def _calibration(content: list[dict[str, Any]], cause: str, suffix: str, unit: str) -> Drawn:
    columns: dict[str, Any] = {}
    for part in content:
        for key in ("predicted", "observed", "low", "high"):
            columns[f"{key} {part['horizon']:g}"] = _numbers(part["groups"], key)

    def draw(drawing: Any) -> None:
        axes = drawing.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        for part, colour in zip(content, SERIES, strict=False):
            x, y, low, high = (_numbers(part["groups"], key) for key in ("predicted", "observed", "low", "high"))
            axes.errorbar(x, y, [y - low, high - y], fmt="o-", color=colour, markersize=4, linewidth=1.0, elinewidth=1.0,
                          label=f"at {part['horizon']:g}{f' {unit}' if unit else ''}")  # fmt: skip
        axes.set(
            xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="predicted risk", ylabel="observed share (1 - Kaplan-Meier)"
        )
        axes.set_aspect("equal")
        axes.legend(loc="upper left")

    return Drawn(
        f"calibration_at_horizons{suffix}", "Calibration at the horizons" + (f", {cause}" if suffix else ""),
        "For fifths of the predicted risk at each horizon: the share that had the event by then, with its pointwise interval, "
        "against the mean prediction. On the dashed line the two agree.",
        f"observed against predicted risk; the numbers stand in calibration_at_horizons{suffix}.csv",
        render(draw, 4.4, 4.2), columns,
    )  # fmt: skip


def _numbers(groups: list[dict[str, Any]], key: str) -> np.ndarray:
    return np.array([np.nan if one[key] is None else one[key] for one in groups], np.float64)


def tables(content: dict[str, Any]) -> list[Table]:
    """How many of each group are still watched at some times; the observed and predicted shares of each fifth."""
    made = []
    for cause, part in content.items():
        groups, of = part["groups"], f": {cause}" if len(content) > 1 else ""
        head = ["", "cases", "events", *(f"at {tick:.4g}" for tick in groups["ticks"])]
        rows = [
            [name, str(one["cases"]), str(one["events"]), *(str(number) for number in one["at_risk"])]
            for name, one in groups["curves"].items()
        ]
        notes = [test_words(groups["log_rank"])]
        notes += [f"WARNING, fewer than 10 events: {', '.join(groups['few_events'])}."] if groups["few_events"] else []
        made.append(make(f"Number at risk{of}", head, rows, notes))
        rows = [
            [f"{level['horizon']:g}, fifth {number}", str(one["cases"]), _share(one["predicted"]), _observed(one)]
            for level in part["calibration"]
            for number, one in enumerate(level["groups"], start=1)
        ]
        made.append(make(f"Calibration by fifths of risk{of}", ["horizon", "cases", "predicted", "observed"], rows))
    return made


def _share(value: float | None) -> str:
    return UNKNOWN if value is None else formats.fixed(value, 3)


def _observed(one: dict[str, Any]) -> str:
    if one["observed"] is None:
        return "nobody is watched that long"
    return f"{_share(one['observed'])} ({_share(one['low'])} to {_share(one['high'])})"


def surprising(predictions: Predictions) -> list[Table]:
    """Cases with an event soon although few were expected to have one by then, and cases long free of a likely one."""
    mean, (time, event) = ensemble(predictions), predictions.target.T
    causes = predictions.classes or ("the event",)
    every = max(len(predictions.classes), 1)
    curves = mean[:, every:].reshape(len(mean), every, -1)
    free = 1 - curves.sum(1) if predictions.classes else curves[:, 0]
    grid = np.concatenate([[0.0], predictions.times])
    # The predicted chance to be free of any event at the time when a case was last seen, held beyond the last time.
    at = np.array([np.interp(t, grid, np.concatenate([[1.0], row])) for t, row in zip(time, free, strict=True)])

    def row(k: np.integer) -> list[str]:
        ended = causes[int(event[k]) - 1] if event[k] else "censored"
        return [f"{time[k]:.4g}", ended, formats.fixed(1 - at[k], 3)]

    early = np.flatnonzero(event > 0)
    early = early[np.argsort(1 - at[early], kind="stable")][:LISTED]
    late = np.argsort(at, kind="stable")[:LISTED]
    head = ["case", "time", "ended with", "risk by then"]
    made = []
    for caption, chosen, note in (
        ("Events that came unexpectedly", early, "Events at a time by which few such cases were expected to have one."),
        (
            "Free for unexpectedly long",
            late,
            "Cases seen up to a time by which most were expected to have had the event.",
        ),
    ):
        ids = [str(name) for name in predictions.id[chosen]]
        rows = [[name, *row(k)] for name, k in zip(ids, chosen, strict=True)]
        made.append(make(caption, head, rows, [note]) | {"ids": ids})
    return made
