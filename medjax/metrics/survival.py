"""Survival curves as weighted pure functions, vectorised over resamples (see `classification`).

`time` is when a case was last seen, in any unit, and `event` whether it ended with the event (1) or was censored (0).
Of an event and a censoring at the same time the event comes first, so that whoever is censored at t is known to be free
of the event up to and at t. `entry` is when a case came under observation: it is at risk at t where entry < t <= time.
Sources: Kaplan & Meier, JASA 53:457 (1958); late entry as in Klein & Moeschberger, Survival Analysis (2003), ch. 4.6.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from medjax.metrics.classification import Cases, Values, Weights, ratio

Times = Shaped[np.ndarray, " times"]
_NOBODY = 1e-12  # of all weight: what is left of a risk set after subtraction is rounding


@dataclass(frozen=True)
class Steps:
    """A function of time, constant between its steps and continuous from the right.

    Attributes:
        times: when it steps, ascending.
        values: before the first step, and from each step on; NaN where no case has weight.
        last: when the last case with weight was seen; beyond it the value is held, though nobody was watched there.
    """

    times: Float[np.ndarray, " steps"]
    values: Float[np.ndarray, "*resamples steps_and_one"]
    last: Float[np.ndarray, "*resamples"]

    def at(self, times: Times, *, before: bool = False) -> Float[np.ndarray, "*resamples times"]:
        """Values at these times; just before them (a step at that very time not yet taken) with `before`."""
        return self.values[..., np.searchsorted(self.times, times, side="left" if before else "right")]


def _weight_by_time(
    time: Cases, weights: Float[np.ndarray, "*resamples cases"]
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, "*resamples steps"]]:
    """The distinct times, ascending, and the weight at each of them."""
    order = np.argsort(time, kind="stable")
    times, starts = np.unique(np.asarray(time, np.float64)[order], return_index=True)
    return times, np.add.reduceat(weights[..., order], starts, axis=-1)


def from_the_end(values: Float[np.ndarray, "*resamples steps"]) -> Float[np.ndarray, "*resamples steps_and_one"]:
    """Sums of the values from each position to the end; a last column of exact zeros."""
    sums = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    sums[..., :-1] = np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
    return sums


@dataclass(frozen=True)
class Risk:
    """How many (by weight) leave at each distinct time: with the event, by censoring, and how many go on beyond it."""

    times: Float[np.ndarray, " steps"]
    events: Float[np.ndarray, "*resamples steps"]
    censored: Float[np.ndarray, "*resamples steps"]
    beyond: Float[np.ndarray, "*resamples steps"]


def risk_sets(time: Cases, event: Cases, weights: Weights | None = None, *, entry: Cases | None = None) -> Risk:
    """Events, censorings and those still at risk afterwards, by time.

    Raises:
        ValueError: a case enters at or after the time at which it leaves.
    """
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    times, leaving = _weight_by_time(time, weights)
    events = _weight_by_time(time, weights * np.asarray(event).astype(bool))[1]
    censored = _weight_by_time(time, weights * ~np.asarray(event).astype(bool))[1]
    beyond = from_the_end(leaving)[..., 1:]
    if entry is not None:
        if np.any(np.asarray(entry) >= np.asarray(time)):
            raise ValueError("a case must enter before it leaves: entry < time")
        entries, entering = _weight_by_time(entry, weights)
        beyond = beyond - from_the_end(entering)[..., np.searchsorted(entries, times, side="left")]
        beyond = np.where(beyond <= _NOBODY * weights.sum(-1, keepdims=True), 0.0, beyond)
    return Risk(times, events, censored, beyond)


def _share(leaving: np.ndarray, staying: np.ndarray) -> np.ndarray:
    """Share of those at risk that leaves; 0 where nobody is at risk, exactly 1 where nobody stays."""
    at_risk = leaving + staying
    return leaving / np.where(at_risk > 0, at_risk, 1.0)


def _steps(first: float, later: np.ndarray, time: Cases, weights: Weights | None, times: np.ndarray) -> Steps:
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    values = np.concatenate([np.full((*later.shape[:-1], 1), first), later], axis=-1)
    watched = weights > 0
    values = np.where(watched.any(-1, keepdims=True), values, np.nan)
    last = np.where(watched, np.asarray(time, np.float64), -np.inf).max(-1, initial=-np.inf)
    return Steps(times, values, np.asarray(last))


def kaplan_meier(time: Cases, event: Cases, weights: Weights | None = None, *, entry: Cases | None = None) -> Steps:
    """Probability to be free of the event beyond t: the product over event times u <= t of 1 - events / at risk."""
    risk = risk_sets(time, event, weights, entry=entry)
    survival = np.cumprod(1 - _share(risk.events, risk.censored + risk.beyond), axis=-1)
    return _steps(1.0, survival, time, weights, risk.times)


def cumulative_incidence(
    time: Cases, event: Cases, cause: int, weights: Weights | None = None, *, entry: Cases | None = None
) -> Steps:
    """Probability to have had the event of one cause by t, others competing: the Aalen-Johansen estimate.

    The sum over times u <= t of (free of all events before u) x events of the cause / at risk. `event` holds the numbers
    of the causes, 0 for censored. Source: Aalen & Johansen, Scand. J. Stat. 5:141 (1978).
    """
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    risk = risk_sets(time, event, weights, entry=entry)
    at_risk = risk.events + risk.censored + risk.beyond
    free = np.cumprod(1 - _share(risk.events, risk.censored + risk.beyond), axis=-1)
    before = np.concatenate([np.ones((*free.shape[:-1], 1)), free[..., :-1]], axis=-1)
    of_cause = _weight_by_time(time, weights * (np.asarray(event) == cause))[1]
    share = of_cause / np.where(at_risk > 0, at_risk, 1.0)
    return _steps(0.0, np.cumsum(before * share, axis=-1), time, weights, risk.times)


def nelson_aalen(time: Cases, event: Cases, weights: Weights | None = None, *, entry: Cases | None = None) -> Steps:
    """Cumulative hazard: the sum over event times u <= t of events / at risk, tied events together.

    Source: Aalen, Ann. Statist. 6:701 (1978).
    """
    risk = risk_sets(time, event, weights, entry=entry)
    hazard = np.cumsum(_share(risk.events, risk.censored + risk.beyond), axis=-1)
    return _steps(0.0, hazard, time, weights, risk.times)


def censoring_survival(
    time: Cases, event: Cases, weights: Weights | None = None, *, entry: Cases | None = None
) -> Steps:
    """Probability G(t) not to be censored up to and at t: the reverse Kaplan-Meier estimate.

    Those with an event at t have left before anybody is censored at t. Then the Kaplan-Meier estimate times G is the
    share still at risk, and inverse weights 1 / G(t-), from `at(..., before=True)`, add up to the number of cases.
    """
    risk = risk_sets(time, event, weights, entry=entry)
    return _steps(1.0, np.cumprod(1 - _share(risk.censored, risk.beyond), axis=-1), time, weights, risk.times)


def inverse_censoring(time: Cases, event: Cases, weights: Weights | None = None) -> Weights:
    """1 / G(t-) at each case's own time, (..., cases), or (cases,) without weights; 0 where G is 0 (or NaN).

    G is 0 before the time of a case only where that case has no weight itself.
    """
    remaining = censoring_survival(time, event, weights).at(time, before=True)
    return np.where(remaining > 0, 1 / np.where(remaining > 0, remaining, 1.0), 0.0)


def restricted_mean(curve: Steps, horizon: float) -> Values:
    """Mean time free of the event up to the horizon, in units of time: the area under a survival curve from 0 to there.

    NaN where the horizon lies beyond the last case seen, unless the curve has come down to 0 by then.
    """
    edges = np.clip(np.concatenate([[0.0], curve.times, [np.inf]]), 0.0, horizon)
    known = (horizon <= curve.last) | (curve.values[..., -1] == 0)
    return np.asarray(np.where(known, curve.values @ np.diff(edges), np.nan))


# Predicted curves: survival probabilities of each case at the times of a grid, joined by straight lines from 1 at 0.


def predicted_at(
    survival: Float[np.ndarray, "cases grid"], grid: Float[np.ndarray, " grid"], times: Times
) -> Float[np.ndarray, "cases times"]:
    """Each case's predicted survival at these times, linear between grid times, held beyond the last one.

    A straight line is a constant density, the interpolation that Kvamme & Borgan recommend for discrete-time models
    (Lifetime Data Anal. 27:710, 2021); at grid times, such as the event times of a Cox model, it makes no difference.
    """
    times = np.asarray(times, np.float64)
    edges = np.concatenate([[0.0], grid])
    values = np.concatenate([np.ones((len(survival), 1)), np.asarray(survival, np.float64)], axis=1)
    after = np.clip(np.searchsorted(edges, times, side="left"), 1, len(grid))
    part = np.clip(ratio(times - edges[after - 1], edges[after] - edges[after - 1]), 0.0, 1.0)
    # A grid that starts at 0 has a first piece without length: its value is the one at the grid time.
    part = np.where(np.isnan(part), 1.0, part)
    return values[:, after - 1] * (1 - part) + values[:, after] * part


def predicted_restricted_mean(
    survival: Float[np.ndarray, "cases grid"], grid: Float[np.ndarray, " grid"], horizon: float
) -> Float[np.ndarray, " cases"]:
    """Each case's predicted mean time free of the event up to the horizon; NaN where the grid ends before it."""
    if horizon > grid[-1]:
        return np.full(len(survival), np.nan)
    times = np.concatenate([[0.0], grid[(grid > 0) & (grid < horizon)], [horizon]])
    return np.asarray(np.trapezoid(predicted_at(survival, grid, times), times, axis=-1))


def predicted_median(
    survival: Float[np.ndarray, "cases grid"], grid: Float[np.ndarray, " grid"]
) -> Float[np.ndarray, " cases"]:
    """Each case's predicted time by which half of such cases have had the event; NaN where the grid ends before that."""
    edges = np.concatenate([[0.0], grid])
    values = np.concatenate([np.ones((len(survival), 1)), np.asarray(survival, np.float64)], axis=1)
    after = np.argmax(values <= 0.5, axis=1)  # 0, where the curve is 1, means never
    rows, before = np.arange(len(values)), np.maximum(after - 1, 0)
    drop = values[rows, before] - values[rows, after]
    way = ratio(values[rows, before] - 0.5, drop)
    return np.where(after > 0, edges[before] + way * (edges[after] - edges[before]), np.nan)
