"""Groups of cases beside the rest: the gap of one metric, and intervals that hold for all groups together."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Shaped

from medjax.evidence import auroc, intervals, multi_label
from medjax.evidence.intervals import Interval, undefined
from medjax.evidence.measures import interval, point
from medjax.evidence.resampling import JACKKNIFE_PATIENTS
from medjax.evidence.setting import Setting
from medjax.evidence.simultaneous import difference_ends, level_each

BLOCKS = 500  # of patients that are left out together, where there are too many to leave out each
UNITS = 5000  # beyond, influences of several patients are added up: only correlations are taken from them
Rows = Shaped[np.ndarray, "_"]


@dataclass(frozen=True)
class Compared:
    """By group: the gap to the rest; and metric and gap again at the levels at which those of all groups hold together."""

    gap: dict[str, Interval] = field(default_factory=dict)
    joint_metric: dict[str, Interval] = field(default_factory=dict)
    joint_gap: dict[str, Interval] = field(default_factory=dict)
    level_of_metrics: float = math.nan
    level_of_gaps: float = math.nan


def part(setting: Setting, rows: Rows) -> Setting:
    """The same choices for some of the cases."""
    return replace(
        setting,
        target=setting.target[rows],
        patient=intervals.patient_codes(setting.patient[rows]),
        fold=None if setting.fold is None else setting.fold[rows],
    )


def compare_groups(
    name: str,
    values: Float[np.ndarray, "cases outputs"],
    setting: Setting,
    groups: dict[str, Rows],
    rests: dict[str, Rows | str],
) -> Compared:
    """A metric of each group beside that of its rest; of the rest the reason where it cannot be judged.

    The joint levels come from the joint influences, by patient (max-T, see `simultaneous`). A group or a rest without an
    interval has no gap, and a group without one no part in what holds jointly.
    """
    found = Compared()
    influences: dict[str, np.ndarray] = {}
    gaps: dict[str, tuple[np.ndarray, float, np.ndarray]] = {}  # influence of the gap, correlation, rows of the rest
    for group, rows in groups.items():
        rest, own = rests[group], interval(name, values[rows], part(setting, rows))
        if own.reason:
            found.gap[group] = undefined(f"no interval of the group: {own.reason}", setting.level)
            continue
        influences[group] = influence(name, values, setting, rows)
        if isinstance(rest, str):
            found.gap[group] = undefined(rest, setting.level)
            continue
        other = interval(name, values[rest], part(setting, rest))
        if other.reason:
            found.gap[group] = undefined(f"no interval of the rest: {other.reason}", setting.level)
            continue
        theirs = influence(name, values, setting, rest)
        shared = len(np.intersect1d(setting.patient[rows], setting.patient[rest]))
        correlation = _correlation(influences[group], theirs) if shared else 0.0
        gaps[group] = influences[group] - theirs, correlation, rest
        found.gap[group] = gap(own, other, correlation, setting.level)
    levels = [_level(list(influences.values()), setting), _level([one for one, _, _ in gaps.values()], setting)]
    for group in influences:
        found.joint_metric[group] = _at(levels[0], name, values, setting, groups[group])
    for group, (_, correlation, rest) in gaps.items():
        both = [_at(levels[1], name, values, setting, rows) for rows in (groups[group], rest)]
        found.joint_gap[group] = gap(both[0], both[1], correlation, setting.level)
    return replace(found, level_of_metrics=levels[0], level_of_gaps=levels[1])


def _at(level: float, name: str, values: Float[np.ndarray, "cases outputs"], setting: Setting, rows: Rows) -> Interval:
    """The interval made at one level, named after that of the setting, at which it holds jointly."""
    return replace(interval(name, values[rows], replace(part(setting, rows), level=level)), level=setting.level)


def gap(own: Interval, rest: Interval, correlation: float | int, level: float) -> Interval:
    """Interval of own - rest from the intervals of both."""
    three = [(one.estimate, one.low, one.high) for one in (own, rest)]
    low, high = difference_ends(three[0], three[1], correlation)
    method = "group minus rest, from both intervals (MOVER)" + (", correlated by patients in both" * bool(correlation))
    return Interval(own.estimate - rest.estimate, float(low), float(high), level, method)


def influence(
    name: str, values: Float[np.ndarray, "cases outputs"], setting: Setting, rows: Rows
) -> Float[np.ndarray, " units"]:
    """Influence of each patient (of more than some thousand: of each block of them) on a metric of some of the cases.

    AUROC and metrics of labels have it in closed form; other metrics by leaving out one patient (or block) at a time.
    """
    patients = int(setting.patient.max()) + 1
    closed = name == "auroc" or setting.kind == "labels"
    most, fewer = (UNITS, UNITS) if closed else (JACKKNIFE_PATIENTS, BLOCKS)
    units = patients if patients <= most else fewer
    own, patient = part(setting, rows), setting.patient[rows]
    whose = np.unique(patient) % units  # codes go by name: a block is spread over all of them
    if setting.kind == "labels":
        return np.bincount(whose, multi_label.influence(name, values[rows], own)[1], units)
    if name == "auroc":
        if setting.positive is not None:
            score, answer = values[rows, setting.positive, None], own.target[:, None] == setting.positive
        else:
            score, answer = values[rows], own.target[:, None] == np.arange(len(setting.classes))
        return np.bincount(whose, auroc.rank(score, answer, own.patient, own.fold).total, units)
    metric, present, block = point(name, values[rows], own), np.unique(whose), patient % units
    left_out = []
    step = max(1, 2_000_000 // len(rows))
    for start in range(0, len(present), step):
        left_out.append(metric((block != present[start : start + step, None]).astype(np.float64)))
    without = np.concatenate([np.atleast_1d(one) for one in left_out])
    change = np.nan_to_num(np.nanmean(without) - without) if np.isfinite(without).any() else np.zeros(len(present))
    result = np.zeros(units)
    result[present] = change * math.sqrt((len(present) - 1) / len(present))
    return result


def _correlation(first: Float[np.ndarray, " units"], second: Float[np.ndarray, " units"]) -> float:
    scale = math.sqrt(float(first @ first) * float(second @ second))
    return float(first @ second) / scale if scale else 0.0


def _level(columns: list[Float[np.ndarray, "_"]], setting: Setting) -> float:
    if not columns:
        return setting.level
    together = np.stack(columns, axis=-1)
    return level_each(together.T @ together, setting.level, seed=setting.seed)
