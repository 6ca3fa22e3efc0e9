"""Figures: each an SVG with the numbers behind it, a caption that says what is seen, and a description for the blind."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import Interval
from medjax.report.page.curves import Curve
from medjax.report.page.svg import INK, LINE, MUTED, SERIES, render
from medjax.report.page.wording import count

SHOWN = len(SERIES)  # more classes than colours cannot be told apart; the CSV holds them all
_BANDS = 3  # bands of more curves hide one another
Columns = dict[str, Any]  # a column's name -> its values
_POINTS = 1500  # of a scatter plot


@dataclass(frozen=True)
class Drawn:
    """A finished figure: the SVG, the columns of its CSV, and the words beside it."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str
    columns: Columns


def table(columns: Columns) -> str:
    """The CSV of a figure; columns may differ in length, NaN is an empty cell."""
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow(columns)
    for row in range(max(map(len, columns.values()), default=0)):
        writer.writerow([_cell(values[row]) if row < len(values) else "" for values in columns.values()])
    return content.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return repr(round(float(value), 9)) if np.isfinite(value) else ""
    return str(value)


def short(text: str, longest: int = 22) -> str:
    """A name that fits beside a figure."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _columns(curves: Sequence[Curve], x: str, y: str) -> Columns:
    """One x for all where they share it; a curve's y, and its band where it has one."""
    columns: Columns = {}
    for curve in curves:
        several = f" {curve.name}" if len(curves) > 1 else ""
        columns[x if curve.x is curves[0].x else f"{x}{several}"] = curve.x
        columns[f"{y}{several}"] = curve.y
        if np.isfinite(curve.low).any():
            columns |= {f"low{several}": curve.low, f"high{several}": curve.high}
    return columns


def _plot(axes: Any, curves: Sequence[Curve], start: tuple[float, float] | None = None) -> None:
    for curve, colour in zip(curves[:SHOWN], SERIES, strict=False):
        x, y = (curve.x, curve.y) if start is None else (np.append(start[0], curve.x), np.append(start[1], curve.y))
        if len(curves) <= _BANDS and np.isfinite(curve.low).any():
            axes.fill_between(curve.x, curve.low, curve.high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, y, color=colour, linewidth=1.6, label=short(curve.name))


def _square(axes: Any, x: str, y: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)
    axes.set_aspect("equal")


def _bands(curves: Sequence[Curve], level: float) -> str:
    if len(curves) > _BANDS:
        more = f" Drawn are the first {SHOWN} of {len(curves)}." if len(curves) > SHOWN else ""
        return f" Pointwise {100 * level:g} % bands stand in the CSV.{more}"
    return f" Bands: pointwise {100 * level:g} %, {curves[0].resamples} bootstrap resamples of patients (percentiles)."


def roc(curves: Sequence[Curve], points: Sequence[tuple[str, float, float]], level: float, folds: bool) -> Drawn:
    """ROC curves; `points` are (name, 1 - specificity, sensitivity) of thresholds."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        _plot(axes, curves, (0.0, 0.0))
        for name, x, y in points:
            axes.plot([x], [y], "o", color=INK, markersize=5, label=name, linestyle="none")
        _square(axes, "1 - specificity", "sensitivity")
        axes.legend(loc="lower right")

    caption = "How many ill cases are found (upwards) against how many healthy ones raise a false alarm (rightwards)."
    if len(curves) > 1:
        caption = "Each class or label against the rest. " + caption
    caption += " Mean of the folds' curves, weighted by their pairs." if folds else ""
    return Drawn(
        "roc", "ROC curve", caption + _bands(curves, level),
        f"ROC curve{'s' if len(curves) > 1 else ''}; the numbers stand in roc.csv and in the table of results",
        render(draw), _columns(curves, "1 - specificity", "sensitivity"),
    )  # fmt: skip


def precision_recall(curves: Sequence[Curve], prevalence: float | None, level: float) -> Drawn:
    """Precision-recall curves, above the share of positive cases that chance would give."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        if prevalence is not None:
            axes.axhline(prevalence, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        _plot(axes, curves)
        _square(axes, "recall (sensitivity)", "precision (PPV)")
        if len(curves) > 1:
            axes.legend(loc="lower left")

    dashed = f" Dashed: chance, the prevalence of {prevalence:.3g}." if prevalence is not None else ""
    caption = "Of the cases called positive, the share that is (upwards), against the share of positive cases found."
    return Drawn(
        "precision_recall", "Precision-recall curve", caption + dashed + _bands(curves, level),
        f"precision-recall curve{'s' if len(curves) > 1 else ''}; the numbers stand in precision_recall.csv",
        render(draw), _columns(curves, "recall", "precision"),
    )  # fmt: skip


def reliability(
    blocks: Float[np.ndarray, "blocks 4"], band: Curve, counts: dict[str, np.ndarray], clustered: bool, level: float
) -> Drawn:
    """The CORP curve over a histogram of the probabilities, by class (`counts`: twenty bins each)."""
    x, y = blocks[:, :2].ravel(), np.repeat(blocks[:, 2], 2)

    def draw(figure: Any) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        upper.fill_between(band.x, band.low, band.high, color=MUTED, alpha=0.2, linewidth=0)
        upper.plot(x, y, color=SERIES[0], linewidth=1.6)
        upper.set(xlim=(-0.01, 1.01), ylim=(-0.02, 1.02), ylabel="share of events")
        edges, bottom = np.linspace(0, 1, 21), np.zeros(20)
        for (name, number), colour in zip(counts.items(), (SERIES[1], SERIES[0]), strict=False):
            lower.bar(edges[:-1], number, 0.05, bottom, align="edge", color=colour, alpha=0.75, label=short(name))
            bottom = bottom + number
        lower.set(xlabel="predicted probability", ylabel="cases")
        lower.legend(loc="lower center", bbox_to_anchor=(0.5, 0.95), ncols=2, borderpad=0.1)

    band_words = f" Grey: where the curve of right probabilities would lie in {100 * level:g} % of samples this large"
    band_words += ", outcomes of a patient drawn together." if clustered else "."
    return Drawn(
        "reliability", "Reliability (CORP)",
        "Predicted probability against the share of events, by isotonic regression (no bins to choose). On the dashed line "
        "probabilities are right; below it they are too high." + band_words + " Below: how often each was predicted.",
        "reliability curve above a histogram of the predicted probabilities; the numbers stand in reliability.csv",
        render(draw, 4.6, 4.8),
        {"probability": x, "share of events": y, "probability of band": band.x, "low": band.low, "high": band.high}
        | {"bin from": np.linspace(0, 0.95, 20)}
        | {f"cases {name}": number for name, number in counts.items()},
    )  # fmt: skip


def decision_curve(columns: dict[str, np.ndarray], summary: str, level: float) -> Drawn:
    """Net benefit over threshold probabilities, and below it the difference that counts; see `plots.decision_columns`."""
    x = columns["threshold"]
    better = "difference to the better"

    def draw(figure: Any) -> None:
        axes, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        axes.axhline(0, color=MUTED, linewidth=1.2, label="treat no one")
        axes.plot(x, columns["treat all"], color=SERIES[1], linewidth=1.4, label="treat everyone")
        axes.plot(x, columns["model"], color=SERIES[0], linewidth=1.6, label="model")
        top = max(float(np.nanmax(columns["model"])), 0.02)
        axes.set(ylim=(-0.25 * top, 1.25 * top), ylabel="net benefit")
        axes.legend(loc="best")
        lower.axhline(0, color=MUTED, linewidth=1.0)
        if f"{better} band low" in columns:
            ends = columns[f"{better} band low"], columns[f"{better} band high"]
            lower.fill_between(x, *ends, color=SERIES[0], alpha=0.18, linewidth=0)
        if better in columns:
            lower.plot(x, columns[better], color=SERIES[0], linewidth=1.6)
        lower.set(xlabel="threshold probability", ylabel="difference")

    return Drawn(
        "decision_curve", "Decision curve",
        "Net benefit: true positives a case, less false positives at the price that the threshold sets. Below: the "
        f"difference to the better of treating everyone and no one, with a {100 * level:g} % band that holds at all thresholds "
        f"together; above zero the model is worth using. {summary[:1].upper()}{summary[1:]}.",
        f"decision curve: {summary}; the numbers stand in decision_curve.csv", render(draw, 5.0, 4.6), columns,
    )  # fmt: skip


def training(metric: str, curves: Sequence[Curve]) -> Drawn:
    """A metric over the steps of training, a thin line a replicate, their mean thick where it was written."""
    members = [curve for curve in curves if curve.name != "mean"]
    mean = [curve for curve in curves if curve.name == "mean"]
    few = len(members) <= SHOWN

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for k, curve in enumerate(members):
            colour = SERIES[k] if few and not mean else SERIES[-1]
            style = {"linewidth": 0.8 if mean else 1.3, "alpha": 0.55 if mean else 1.0}
            axes.plot(curve.x, curve.y, color=colour, label=curve.name if few and not mean else None, **style)
        for curve in mean:
            axes.plot(curve.x, curve.y, color=SERIES[0], linewidth=2.0, label="mean of all" if members else None)
        axes.set(xlabel="optimizer step", ylabel=metric.replace("_", " "))
        lowest, highest = (getattr(np, end)([getattr(curve.y, end)() for curve in curves]) for end in ("min", "max"))
        if metric == "loss" and lowest > 0 and highest > 30 * lowest:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.yaxis.set_minor_formatter("")
        if (few and not mean) or (mean and members):
            axes.legend(loc="best")

    each = f"{count(len(members), 'model')}, a line each" if members else "mean over the models"
    return Drawn(
        f"training_{metric}", f"Training: {metric.replace('_', ' ')}",
        f"By optimizer step, as logged in metrics.jsonl; {each}" + (", and their mean." if mean and members else "."),
        f"{metric.replace('_', ' ')} over the steps of training; the numbers stand in training_{metric}.csv",
        render(draw, 5.2, 3.2), _columns(curves, "step", metric),
    )  # fmt: skip


def _thin(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, _POINTS)).round().astype(int))


def predicted_observed(predicted: np.ndarray, observed: np.ndarray, unit: str) -> Drawn:
    """Predicted values against observed ones."""
    order = np.argsort(observed, kind="stable")
    shown = order[_thin(len(order))]
    ends = [float(min(predicted.min(), observed.min())), float(max(predicted.max(), observed.max()))]
    unit = f" ({unit})" if unit else ""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.plot(ends, ends, color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.plot(predicted[shown], observed[shown], ".", color=SERIES[0], markersize=4, alpha=0.6)
        axes.set(xlabel=f"predicted{unit}", ylabel=f"observed{unit}")

    some = "" if len(shown) == len(order) else f" Drawn are {len(shown)} of {len(order)} cases; the CSV holds all."
    return Drawn(
        "predicted_observed", "Predicted against observed", f"One point a case; on the dashed line both agree.{some}",
        "scatter plot of predicted against observed values; the numbers stand in predicted_observed.csv",
        render(draw), {"predicted": predicted, "observed": observed},
    )  # fmt: skip


def bland_altman(
    predicted: np.ndarray,
    observed: np.ndarray,
    limits: dict[str, Interval],
    unit: str,
    *,
    name: str = "bland_altman",
    of: str = "",
) -> Drawn:
    """Differences over means, with the bias and the limits of agreement; `of` says what was measured."""
    mean, difference = (predicted + observed) / 2, predicted - observed
    shown = np.argsort(mean, kind="stable")[_thin(len(mean))]
    unit = f" ({unit})" if unit else ""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        axes.plot(mean[shown], difference[shown], ".", color=SERIES[0], markersize=4, alpha=0.6)
        for line, found in limits.items():
            style = "-" if line == "bias" else (0, (4, 3))
            axes.axhline(found.estimate, color=SERIES[1], linewidth=1.2, linestyle=style)
            if np.isfinite(found.low):
                axes.axhspan(found.low, found.high, color=SERIES[1], alpha=0.12, linewidth=0)
        axes.axhline(0, color=LINE, linewidth=0.8)
        axes.set(xlabel=f"mean of predicted and observed{unit}", ylabel=f"predicted - observed{unit}")

    return Drawn(
        name, f"Agreement (Bland-Altman){f': {of}' if of else ''}",
        "Line: bias. Dashed: limits of agreement, between which 95 % of differences lie if they are normal. Bands: their "
        "intervals, by patient.",
        f"Bland-Altman plot; the numbers stand in {name}.csv", render(draw), {"mean": mean, "difference": difference},
    )  # fmt: skip
