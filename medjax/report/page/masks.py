"""What the page shows of masks: some cases drawn, how the cases are spread, how volumes agree, the worst ones by name."""

from typing import Any

import numpy as np
from jaxtyping import Float

from medjax.evidence.intervals import Interval
from medjax.evidence.predictions import Predictions, ensemble, known, select
from medjax.report import formats, mask_lines
from medjax.report.overlays import Overlay, mean_dice
from medjax.report.page import figures as drawings
from medjax.report.page.figures import Drawn, short
from medjax.report.page.reading import RunFolder
from medjax.report.page.svg import MUTED, SERIES, render
from medjax.report.page.tables import Table, make
from medjax.report.page.wording import value

LISTED = 12
_CLASSES = 6  # drawn or listed; the CSV and the JSON hold them all
_ACROSS = 3  # pictures in a row
_CONTOURS = (
    "#4fc3f7",
    "#ffb74d",
    "#81c784",
    "#ba68c8",
    "#e57373",
    "#fff176",
)  # on grey, told apart by the colour-blind
_BEYOND = 30.0  # of distances: the largest over the median from which the axis is logarithmic
_LIMITS = ("bias", "lower_limit_of_agreement", "upper_limit_of_agreement")


def figures(run: RunFolder) -> list[Drawn]:
    """Overlays where the run kept some, the spread of the cases, and Bland-Altman plots of volumes."""
    predictions = run.judged
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    found = [overlays(*run.overlays, predictions)] if run.overlays and run.overlays[1] else []
    found.append(spread(predictions))
    unit = mask_lines.unit(run.evaluation)
    for k, name in enumerate(predictions.classes[:_CLASSES]):
        limits = run.evaluation.get("agreement", {}).get(name)
        if limits and "volume" in predictions.measures:
            found.append(
                _bland_altman(measure(predictions, "volume")[:, k], predictions.target[:, k], limits, name, unit, k)
            )
    return found


def whose(predictions: Predictions) -> str:
    """Whose masks a number of a case is about, in words."""
    return "of all models together" if predictions.pooled is not None else "the mean over the seeds"


def measure(predictions: Predictions, name: str) -> Float[np.ndarray, "cases classes"]:
    """One measure of each case and class, of what is reported: of all models together, or the mean over the seeds."""
    table = ensemble(predictions).reshape(len(predictions.id), len(predictions.classes), -1)
    return table[:, :, predictions.measures.index(name)]


def overlays(names: tuple[str, ...], cases: list[Overlay], predictions: Predictions) -> Drawn:
    """Images with the contours of the true (solid) and the predicted mask (dashed)."""
    dice = dict(zip(predictions.id.tolist(), mean_dice(predictions).tolist(), strict=True))
    seen = [sum(other.rank == one.rank for other in cases[:k]) for k, one in enumerate(cases)]
    cases = [cases[k] for k in sorted(range(len(cases)), key=lambda k: (seen[k], k))]  # a column a rank
    rows, alone = -(-len(cases) // _ACROSS), len(names) == 1

    def colour(number: int, predicted: bool) -> str:
        """Of a class; of a single one truth and prediction, which else lie on each other unseen."""
        return _CONTOURS[(int(predicted) if alone else number) % len(_CONTOURS)]

    def draw(figure: Any) -> None:
        from matplotlib.lines import Line2D

        axes = np.atleast_1d(figure.subplots(rows, min(_ACROSS, len(cases)))).ravel()
        for place, one in zip(axes, cases, strict=False):
            aspect = one.spacing[0] / one.spacing[1]
            grey = {"cmap": "gray", "vmin": 0, "vmax": 255} if one.image.ndim == 2 else {}
            place.imshow(one.image, aspect=aspect, interpolation="none", **grey)
            for number in range(len(names)):
                for predicted, mask in enumerate((one.truth, one.prediction)):
                    own = mask == number + 1
                    if own.any() and not own.all():
                        line = {"colors": [colour(number, bool(predicted))], "linewidths": 1.2}
                        place.contour(own, levels=[0.5], linestyles=("solid", "dashed")[predicted], **line)
            where = f", slice {one.slice + 1} of {one.slices}" if one.slices else ""
            told = f"Dice {formats.fixed(dice[one.id], 3)}" if one.id in dice else ""
            place.set_title(f"{one.rank}: {short(one.id, 26)}\n{told}{where}", fontsize=8)
        for place in axes:
            place.set_axis_off()
        marks = [Line2D([], [], color=colour(k, False), label=short(name)) for k, name in enumerate(names[:_CLASSES])]
        marks = [] if alone else marks
        for word, style, predicted in (("truth", "-", False), ("predicted", "--", True)):
            shade = colour(0, predicted) if alone else MUTED
            marks.append(Line2D([], [], color=shade, linestyle=style, label=word))
        figure.legend(handles=marks, loc="outside lower center", ncols=4)

    columns = {
        "rank": [one.rank for one in cases],
        "case": [one.id for one in cases],
        "dice": [dice.get(one.id, np.nan) for one in cases],
        "slice": [one.slice + 1 if one.slices else "" for one in cases],
    }
    return Drawn(
        "overlays", "Best, median and worst cases",
        "Solid: the true contour. Dashed: the predicted one. Of a volume the slice with most of the truth is shown, cut to the "
        f"surroundings of the masks. Chosen by Dice, the mean over classes, {whose(predictions)}; the median and the best among cases with "
        "something to find; two pictures of a rank are no sample.",
        "pictures of the worst, two middle and the best cases with the true and the predicted contours; which cases they are "
        "stands in overlays.csv", render(draw, 7.2, 2.9 * rows + 0.5), columns,
    )  # fmt: skip


def spread(predictions: Predictions) -> Drawn:
    """Every case as a point, with the quartiles: Dice, and beside it Hausdorff 95 where it was measured."""
    shown = [name for name in ("dice", "hausdorff_95") if name in predictions.measures]
    classes = predictions.classes[:_CLASSES]

    def draw(figure: Any) -> None:
        for axes, name in zip(np.atleast_1d(figure.subplots(1, len(shown))), shown, strict=True):
            values = measure(predictions, name)[:, : len(classes)]
            for k, column in enumerate(values.T):
                shift = 0.5 * (np.modf(np.arange(len(column)) * 0.618034)[0] - 0.5)  # apart, the same for every drawing
                axes.plot(k + shift, column, ".", color=SERIES[k % len(SERIES)], markersize=4, alpha=0.55)
                low, middle, high = np.quantile(column, [0.25, 0.5, 0.75])
                axes.plot([k - 0.33, k + 0.33], [middle, middle], color=SERIES[k % len(SERIES)], linewidth=2.2)
                axes.vlines([k - 0.33, k + 0.33], low, high, color=SERIES[k % len(SERIES)], linewidth=1.2)
                axes.hlines([low, high], k - 0.33, k + 0.33, color=SERIES[k % len(SERIES)], linewidth=1.2)
            axes.set_xticks(range(len(classes)), [short(one, 14) for one in classes])
            axes.set(xlim=(-0.6, len(classes) - 0.4), ylabel=formats.NAMES[name])
            axes.grid(visible=False, axis="x")
            if (
                name == "hausdorff_95"
                and values.max() > _BEYOND * max(float(np.median(values)), 1e-9)
                and np.median(values)
            ):
                axes.set_yscale("symlog", linthresh=float(np.median(values)))
                axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")

    columns: dict[str, Any] = {"case": predictions.id}
    for name in shown:
        columns |= {
            f"{name} {one}": column
            for one, column in zip(predictions.classes, measure(predictions, name).T, strict=True)
        }
    more = f" Drawn are the first {_CLASSES} classes." if len(predictions.classes) > _CLASSES else ""
    return Drawn(
        "cases", "Spread of the cases",
        f"One point a case, {whose(predictions)}. Box: quartiles; thick line: median.{more}",
        "Dice and distances of every case; the numbers stand in cases.csv", render(draw, 6.4, 3.6), columns,
    )  # fmt: skip


def _bland_altman(
    predicted: np.ndarray, true: np.ndarray, limits: dict[str, Any], name: str, unit: str, number: int
) -> Drawn:
    lines = {key.replace("_", " "): _interval(limits[key]) for key in _LIMITS if key in limits}
    words = "area" if unit == "mm2" else "volume"
    of = f"{words}, {short(name)}"
    return drawings.bland_altman(predicted, true, lines, unit, name=f"bland_altman_{number + 1}", of=of)


def _interval(entry: dict[str, Any]) -> Interval:
    estimate, low, high = (np.nan if entry[key] is None else float(entry[key]) for key in ("estimate", "low", "high"))
    return Interval(estimate, low, high, entry["level"], entry["method"])


def agreement(run: RunFolder) -> list[list[str]]:
    """Bias and limits of agreement of the volumes, as rows of a table."""
    unit = mask_lines.unit(run.evaluation)
    rows = []
    for name, limits in run.evaluation.get("agreement", {}).items():
        for key in _LIMITS:
            if entry := limits.get(key):
                words = f"{value(entry, signed=True)} {unit}".strip()
                rows.append([f"{name}: {key.replace('_', ' ')}", words, str(entry.get("method", ""))])
                rows[-1][2] += f" WARNING: {entry['warning']}" if entry.get("warning") else ""
    return rows


def lowest(run: RunFolder) -> Table:
    """The cases with the lowest Dice, by id."""
    predictions = run.judged
    predictions = select(predictions, np.flatnonzero(known(predictions)))
    classes = predictions.classes[:_CLASSES]
    dice, order = mean_dice(predictions), np.argsort(mean_dice(predictions), kind="stable")[:LISTED]
    by_class, places = measure(predictions, "dice"), predictions.measures.index("dice")
    table = predictions.values.reshape(len(predictions.values), len(predictions.id), len(predictions.classes), -1)
    deviation = table[..., places].mean(-1).std(0)
    several = len(classes) > 1
    head = ["case", "Dice", *(classes if several else ()), "sd between seeds"]
    head += ["Hausdorff 95 (mm)"] if "hausdorff_95" in predictions.measures else []
    rows = []
    for k in order:
        row = [str(predictions.id[k]), formats.fixed(float(dice[k]), 3)]
        row += [formats.fixed(float(one), 3) for one in by_class[k, : len(classes)]] if several else []
        row.append(formats.fixed(float(deviation[k]), 3))
        row += (
            [f"{measure(predictions, 'hausdorff_95')[k].max():.4g}"] if "hausdorff_95" in predictions.measures else []
        )
        rows.append(row)
    notes = [f"Dice: mean over the classes. Hausdorff 95: the largest of the classes, {whose(predictions)}."]
    return make("Lowest Dice", head, rows, notes) | {"ids": [str(predictions.id[k]) for k in order]}
