"""Draw the results of a finished run with two classes from its folder alone: predictions/*.csv and evaluation/*.json.

    uv run --with matplotlib python docs/figure.py RUN OUT.png

Left: the ROC curve of the ensemble, of every single seed, and what the reference reached. Right: the metrics with their
95 % intervals beside the reference's. matplotlib is needed here only, so medjax does not depend on it.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from medjax.evidence.setting import BINARY
from medjax.report.formats import NAMES

OURS, OTHER, FAINT = "#0b5394", "#b45f06", "#9db8d2"
SHOWN = tuple(name for name in BINARY if name not in ("brier", "log_loss"))  # these are better when lower
METRICS = {name: NAMES[name] for name in SHOWN}


def read_predictions(path: Path, positive: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read a split's predictions: probability of the positive class (seeds, cases), target and fold (cases,)."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    classes = [name.removeprefix("probability_") for name in rows[0] if name.startswith("probability_")]
    cases = {name: k for k, name in enumerate(dict.fromkeys(row["id"] for row in rows))}
    seeds = {name: k for k, name in enumerate(dict.fromkeys(row["seed"] for row in rows))}
    probability = np.full((len(seeds), len(cases)), np.nan)
    target, fold = np.zeros(len(cases), bool), np.zeros(len(cases), int)
    for row in rows:
        k = cases[row["id"]]
        probability[seeds[row["seed"]], k] = float(row[f"probability_{positive}"])
        target[k] = classes[int(row["target"])] == positive
        fold[k] = int(row["fold"] or 0)
    return probability, target, fold


def roc(score: np.ndarray, target: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return false and true positive rates; with folds the mean of their curves, because only pairs within one count.

    Folds weigh by their numbers of pairs, as the AUROC of the table weighs them.
    """
    grid, heights, pairs = np.linspace(0, 1, 2001), [], []
    for k in np.unique(fold):
        inside = fold == k
        own, hit = score[inside], target[inside]
        cuts = np.unique(own)[::-1]
        false = np.array([0, *[(own[~hit] >= cut).mean() for cut in cuts]])
        true = np.array([0, *[(own[hit] >= cut).mean() for cut in cuts]])
        if len(np.unique(fold)) == 1:
            return false, true
        heights.append(np.interp(grid, false, true))
        heights[-1][0] = true[false == 0].max()
        pairs.append(hit.sum() * (~hit).sum())
    return grid, np.average(heights, axis=0, weights=pairs)


def describe(entry: dict[str, Any]) -> str:
    """Return an estimate with its interval: .995 (.986 to .998)."""
    shown = [f"{entry[key]:.3f}".replace("0.", ".", 1) for key in ("estimate", "low", "high")]
    return "{} ({} to {})".format(*shown)


def draw_roc(axes: Any, run: Path, split: str, evaluation: dict[str, Any]) -> None:
    """Draw the ROC curves, zoomed to the corner where they differ."""
    probability, target, fold = read_predictions(run / f"predictions/{split}.csv", evaluation["counts"]["positive"])
    for number, single in enumerate(probability):
        label = f"single seeds ({len(probability)})" if number == 0 else None
        axes.plot(*roc(single, target, fold), color=FAINT, linewidth=0.8, label=label)
    label = f"medjax, mean of the seeds\nAUROC {describe(evaluation['metrics']['auroc'])}"
    axes.plot(*roc(probability.mean(0), target, fold), color=OURS, linewidth=2, label=label)
    if "reference" in evaluation:
        name, other = evaluation["reference"]["name"], evaluation["reference"]["metrics"]
        axes.plot(
            1 - other["specificity"]["estimate"], other["sensitivity"]["estimate"], "D", color=OTHER, markersize=6,
            label=f"{name}, at its threshold\nAUROC {describe(other['auroc'])}",
        )  # fmt: skip
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.004, 0.3), ylim=(0.7, 1.004))
    folds = ", mean over the folds" if len(np.unique(fold)) > 1 else ""
    axes.set_title(f"ROC curve{folds} (upper left corner)", fontsize=10, loc="left")
    axes.legend(loc="lower right", frameon=False, fontsize=8.5, labelspacing=0.8)
    axes.grid(color="#e6e6e6", linewidth=0.6)


def draw_forest(axes: Any, evaluation: dict[str, Any]) -> None:
    """Draw estimate and interval of every metric, the reference's below ours."""
    reference = evaluation.get("reference")
    names = [name for name in METRICS if evaluation["metrics"].get(name, {}).get("estimate") is not None]
    sides = [("medjax", evaluation["metrics"], OURS, "o", -0.14)]
    if reference:
        sides.append((reference["name"], reference["metrics"], OTHER, "D", 0.14))
    for label, metrics, colour, marker, shift in sides:
        rows = [metrics[name] for name in names]
        middle = np.array([row["estimate"] for row in rows])
        reach = np.abs(np.array([[row["low"] for row in rows], [row["high"] for row in rows]]) - middle)
        where = np.arange(len(names)) + shift
        axes.errorbar(
            middle, where, xerr=reach, fmt=marker, color=colour, markersize=4.5, linewidth=1.4, label=label
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [METRICS[name] for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    level = f"{100 * evaluation['level']:g} %"
    axes.set_title(f"Metrics with {level} intervals", fontsize=10, loc="left")
    # Below the axes, where it hides no interval.
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.07), ncols=2, frameon=False, fontsize=8.5)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)


def main() -> None:
    """Draw the run that the command line names."""
    parser = argparse.ArgumentParser(description="Draw the results of a finished run with two classes.")
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="picture to write (.png, .svg, .pdf)")
    parser.add_argument("--split", help="which evaluation (default: the first that the run has)")
    arguments = parser.parse_args()
    found = sorted(path.stem for path in (arguments.run / "evaluation").glob("*.json"))
    split = arguments.split or (found[0] if found else "")
    if split not in found:
        raise SystemExit(f"{arguments.run} has no evaluation '{split}'; it has {', '.join(found) or 'none'}")
    evaluation = json.loads((arguments.run / f"evaluation/{split}.json").read_text())
    if "positive" not in evaluation["counts"]:
        raise SystemExit(f"{arguments.run}: only runs with two classes can be drawn")
    plt.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained")
    draw_roc(left, arguments.run, split, evaluation)
    draw_forest(right, evaluation)
    about, counts = evaluation["about"], evaluation["counts"]
    figure.suptitle(
        f"{about['title']}: {about['validation']}; {counts['cases']} cases, positive class: {counts['positive']}",
        fontsize=10.5, x=0.01, ha="left",
    )  # fmt: skip
    figure.savefig(arguments.out, dpi=130)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
