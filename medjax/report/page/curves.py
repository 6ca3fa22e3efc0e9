"""The numbers behind the figures: curves on a grid with pointwise bands, made from predictions alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from medjax.evidence.calibration import reliability
from medjax.evidence.intervals import Cases, Patients
from medjax.evidence.resampling import case_weights

GRID = np.linspace(0.0, 1.0, 401)
_WORK = 50_000_000  # weights drawn for one band: bounds its time where cases are many
_MOST, _LEAST = 500, 100  # resamples

Grid = Float[np.ndarray, " grid"]


@dataclass(frozen=True)
class Curve:
    """A curve y(x) with a pointwise band; NaN where nothing is known."""

    name: str
    x: Grid
    y: Grid
    low: Grid
    high: Grid
    resamples: int = 0


def resamples_for(cases: int) -> int:
    """How many resamples a band of so many cases gets."""
    return int(np.clip(_WORK // max(cases, 1), _LEAST, _MOST))


def _order(score: Cases) -> tuple[Int[np.ndarray, " cases"], Int[np.ndarray, " levels"]]:
    """Cases from the highest score to the lowest, and the last of each tie."""
    order = np.argsort(-score, kind="stable")
    return order, np.flatnonzero(np.append(np.diff(score[order]) != 0, True))


def _band(
    name: str, curve: Callable[[Any], np.ndarray], patient: Patients, level: float, seed: int, x: Grid = GRID
) -> Curve:
    """`curve` maps weights (resamples, cases) to (resamples, grid); percentiles of patient resamples at each x."""
    count = resamples_for(len(patient))
    drawn = np.concatenate([curve(weights) for weights in case_weights(patient, count, seed)])
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    ends, known = np.full((2, len(x)), np.nan), np.isfinite(drawn)
    whole, some = known.all(0), known.any(0) & ~known.all(0)
    ends[:, whole] = np.quantile(drawn[:, whole], tails, axis=0)
    if some.any():  # where resamples lost a class; much slower
        ends[:, some] = np.nanquantile(drawn[:, some], tails, axis=0)
    low, high = ends
    return Curve(name, x, curve(np.ones((1, len(patient))))[0], low, high, count)


def roc(
    name: str,
    score: Cases,
    target: Bool[np.ndarray, " cases"],
    patient: Patients,
    fold: Cases | None = None,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Curve:
    """Sensitivity over 1 - specificity; with folds the mean of their curves, weighted by their pairs, as AUROC is.

    Tied scores are joined by a straight line, so that the area is the AUROC.
    """
    parts = [np.arange(len(score))] if fold is None else [np.flatnonzero(fold == one) for one in np.unique(fold)]
    ordered = [(part[order], ends) for part in parts for order, ends in [_order(np.asarray(score)[part])]]

    def curve(weights: np.ndarray) -> np.ndarray:
        total, pairs = np.zeros((len(weights), len(GRID))), np.zeros((len(weights), 1))
        for rows, ends in ordered:
            own = weights[:, rows]
            hits = np.cumsum(own * target[rows], axis=-1)[:, ends]
            alarms = np.cumsum(own * ~target[rows], axis=-1)[:, ends]
            both = (hits[:, -1] * alarms[:, -1])[:, None]
            usable = np.flatnonzero(both[:, 0] > 0)
            for row in usable:
                total[row] += both[row] * _upper(alarms[row] / alarms[row, -1], hits[row] / hits[row, -1])
            pairs += both
        with np.errstate(invalid="ignore"):
            return total / np.where(pairs > 0, pairs, np.nan)

    return _band(name, curve, patient, level, seed)


def _upper(x: np.ndarray, y: np.ndarray) -> Grid:
    """The line through (0, 0) and these points on the grid; at a vertical step its upper end."""
    x, y = np.append(0.0, x), np.append(0.0, y)
    left = np.searchsorted(x, GRID, "right") - 1
    right = np.minimum(left + 1, len(x) - 1)
    run = x[right] - x[left]
    share = np.where(run > 0, (GRID - x[left]) / np.where(run > 0, run, 1.0), 0.0)
    return y[left] + share * (y[right] - y[left])


def precision_recall(
    name: str,
    score: Cases,
    target: Bool[np.ndarray, " cases"],
    patient: Patients,
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Curve:
    """Precision at the highest threshold that reaches each recall (no interpolation: Davis & Goadrich, ICML 2006)."""
    order, ends = _order(np.asarray(score))

    def curve(weights: np.ndarray) -> np.ndarray:
        own = weights[:, order]
        hits, everyone = np.cumsum(own * target[order], axis=-1)[:, ends], np.cumsum(own, axis=-1)[:, ends]
        found = np.full((len(weights), len(GRID)), np.nan)
        for row in np.flatnonzero(hits[:, -1] > 0):
            first = np.searchsorted(hits[row], GRID[1:] * hits[row, -1] - 1e-9)
            found[row, 1:] = hits[row, first] / everyone[row, first]
        return found

    return _band(name, curve, patient, level, seed)


def corp(score: Cases, target: Bool[np.ndarray, " cases"]) -> Float[np.ndarray, "blocks 4"]:
    """CORP blocks: lowest and highest probability, share of events, cases."""
    return np.array(reliability(score, target)["curve"], np.float64).reshape(-1, 4)


def training(rows: list[dict], steps: int | None, replicates: list[dict]) -> dict[str, list[Curve]]:
    """Loss and validation metrics over optimizer steps, a curve a replicate (or a wave of them), by metric.

    Waves follow one another in `metrics.jsonl`: `steps` is the length of one, so that step 700 of 589 a wave is step 111
    of the second. A validation at the end of a wave belongs to it.
    """
    found: dict[str, dict[str, list[tuple[int, float]]]] = {}
    last = max((row["step"] for row in rows), default=0)
    waves = steps is not None and last > steps
    for row in rows:
        step, wave = row["step"], 0
        if waves and steps:
            wave = max(step - ("loss" not in row), 0) // steps
            step -= wave * steps
        for name, value in row.items():
            metric, _, member = name.partition("/")
            if metric not in ("step", "gradient_norm") and isinstance(value, int | float):
                who = member or ("mean" if not waves else _wave_name(wave, replicates))
                found.setdefault(metric, {}).setdefault(who, []).append((step, float(value)))
    curves: dict[str, list[Curve]] = {}
    for metric, members in found.items():
        for name, points in members.items():
            x, y = np.array(sorted(points), np.float64).T
            none = np.full(len(x), np.nan)
            curves.setdefault(metric, []).append(Curve(name.replace("_", " "), x, y, none, none))
    return curves


def _wave_name(wave: int, replicates: list[dict]) -> str:
    if wave < len(replicates) and replicates[wave].get("seed_number") == wave:
        return f"seed {wave}"
    return f"wave {wave + 1}"
