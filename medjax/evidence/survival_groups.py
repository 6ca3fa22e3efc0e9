"""What survival predictions mean for patients: curves by risk group with a log-rank test, and calibration by group."""

import math

import numpy as np
from jaxtyping import Float, Int

from medjax.evidence.intervals import Cases
from medjax.evidence.kaplan_meier import at_horizon, log_rank, median_follow_up, number_at_risk, with_band
from medjax.evidence.setting import Setting
from medjax.evidence.survival_measures import free_of, risk_of

THIRDS = ("low risk", "middle risk", "high risk")
FIFTHS = 5
FEWEST_EVENTS = 10  # of a group: with fewer its curve is shown, but nothing should be read from it


def follow_up(setting: Setting) -> dict:
    """Events, censored cases and how long cases were watched, for the head of a table."""
    time, event = setting.target[:, 0], setting.target[:, 1]
    median = median_follow_up(time, event > 0)
    found: dict = {
        "events": int((event > 0).sum()),
        "censored": int((event == 0).sum()),
        "median_follow_up": median if math.isfinite(median) else None,
        "longest_follow_up": float(time.max()),
        "horizons": list(setting.horizons),
        "until": setting.times[-1],
    }
    if setting.classes:
        found["events_by_cause"] = {name: int((event == k).sum()) for k, name in enumerate(setting.classes, start=1)}
    return found


def survival_sections(mean: Float[np.ndarray, "cases outputs"], setting: Setting) -> dict:
    """Groups and calibration, of each cause, as JSON: `{"event": {"groups": ..., "calibration": ...}}`."""
    causes = dict(enumerate(setting.classes, start=1)) if setting.classes else {0: "event"}
    return {
        name: {"groups": risk_groups(mean, setting, cause), "calibration": by_fifths(mean, setting, cause)}
        for cause, name in causes.items()
    }


def shares_of_risk(risk: Cases, fold: Cases | None, count: int) -> Int[np.ndarray, " cases"]:
    """Which of `count` equal groups a case falls into, from the lowest risk; within its fold, since models differ."""
    group = np.zeros(len(risk), np.int64)
    for part in [np.arange(len(risk))] if fold is None else [np.flatnonzero(fold == name) for name in np.unique(fold)]:
        ends = np.quantile(risk[part], np.arange(1, count) / count)
        group[part] = np.searchsorted(ends, risk[part], side="left")
    return group


def risk_groups(mean: Float[np.ndarray, "cases outputs"], setting: Setting, cause: int = 0) -> dict:
    """Kaplan-Meier curves of thirds of predicted risk, the number at risk below them, and the log-rank test.

    With competing causes a curve is 1 - the Aalen-Johansen incidence of the cause, and the test compares the hazards of
    the cause: another one first ends the time at risk.
    """
    group = shares_of_risk(risk_of(mean, cause), setting.fold, len(THIRDS))
    time, kind = setting.target[:, 0], setting.target[:, 1].astype(np.int64)
    event = kind == cause if cause else kind > 0
    ticks = np.linspace(0.0, setting.times[-1], 6)
    curves: dict[str, dict] = {}
    for number, name in enumerate(THIRDS):
        own = group == number
        if not own.any():
            continue
        curve = with_band(time[own], kind[own], setting.level, cause)
        shown = _thinned(curve["times"], setting.times[-1])
        curves[name] = {key: [values[k] for k in shown] for key, values in curve.items()} | {
            "cases": int(own.sum()),
            "events": int((event[own] & (time[own] <= setting.times[-1])).sum()),
            "at_risk": number_at_risk(time[own], ticks).tolist(),
        }
    statistic, degrees, p_value = log_rank(time, event, group)
    test: dict = {"statistic": statistic, "degrees": degrees, "p_value": p_value}
    if not math.isfinite(p_value):
        test = {"reason": "one group only, or no event"}
    elif setting.patient.max() + 1 < len(setting.patient):
        test = {"reason": "several cases a patient: the log-rank test needs independent cases"}
    few = [name for name, one in curves.items() if one["events"] < FEWEST_EVENTS]
    return {"curves": curves, "ticks": ticks.tolist(), "log_rank": test, "few_events": few}


def _thinned(times: list[float], until: float, most: int = 200) -> list[int]:
    """Steps up to `until`, at most so many, the first and the last among them."""
    count = max(int(np.searchsorted(times, until, side="right")), 1)
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def by_fifths(mean: Float[np.ndarray, "cases outputs"], setting: Setting, cause: int = 0) -> list[dict]:
    """At every horizon, for fifths of the predicted risk there: the mean prediction and the observed share.

    Observed is 1 - Kaplan-Meier within the fifth (of a cause the Aalen-Johansen incidence), with its pointwise interval;
    null where nobody is watched that long.
    """
    time, event = setting.target[:, 0], setting.target[:, 1].astype(np.int64)
    free, found = free_of(mean, cause, setting), []
    for horizon in setting.horizons:
        predicted = 1 - free[:, int(np.searchsorted(setting.times, horizon))]
        fifth = shares_of_risk(predicted, None, FIFTHS)
        groups = []
        for number in np.unique(fifth):
            own = fifth == number
            survival, low, high = at_horizon(time[own], event[own], horizon, setting.level, cause)
            observed = (1 - survival, 1 - high, 1 - low)
            entry = dict(zip(("observed", "low", "high"), observed, strict=True))
            groups.append(
                {"predicted": float(predicted[own].mean()), "cases": int(own.sum())}
                | {key: value if math.isfinite(value) else None for key, value in entry.items()}
            )
        found.append({"horizon": horizon, "groups": groups})
    return found
