"""Survival curves of groups with their bands, how many are still watched, and the log-rank test between groups."""

import math

import numpy as np
from jaxtyping import Float, Int

from medjax.evidence.intervals import Cases, normal_quantile
from medjax.metrics.survival import censoring_survival, cumulative_incidence, kaplan_meier, risk_sets

Curve = dict[str, list[float]]
_ROUNDING = 1e-12  # what is left when incidences have added up to 1


def with_band(time: Cases, event: Cases, level: float = 0.95, cause: int = 0) -> Curve:
    """The Kaplan-Meier curve at its steps with pointwise intervals, on the scale log(-log S) with Greenwood's variance.

    With a `cause`, whose number `event` then holds, the curve is 1 - the Aalen-Johansen incidence of that cause, others
    competing, with the variance of the delta method, which is Greenwood's where there is one cause. Where the curve is 1
    or 0 there is no such interval: the ends are the curve. Sources: Kalbfleisch & Prentice, The Statistical Analysis of
    Failure Time Data (2002), section 1.4; Marubini & Valsecchi, Analysing Survival Data (1995), chapter 10.

    Returns:
        `times` (0 and every time with an event), `survival`, `low`, `high`, lists of one length.
    """
    own = np.asarray(event) == cause if cause else np.asarray(event).astype(bool)
    risk, events = risk_sets(time, event), risk_sets(time, own).events
    at_risk = risk.events + risk.censored + risk.beyond
    staying = at_risk - risk.events
    free = kaplan_meier(time, event).at(risk.times)
    before = np.concatenate([[1.0], free[:-1]])
    incidence = cumulative_incidence(time, event, cause).at(risk.times) if cause else 1 - free
    # The sum over times u until t of (incidence at t - at u)^2 leaving - 2 (incidence at t - at u) crossed + own.
    leaving = np.where(staying > 0, risk.events / np.maximum(at_risk * staying, 1e-300), 0.0)
    crossed = before * events / at_risk**2
    terms = incidence**2 * leaving + 2 * incidence * crossed + before**2 * events * (at_risk - events) / at_risk**3
    variance = incidence**2 * np.cumsum(leaving) - 2 * incidence * np.cumsum(incidence * leaving + crossed)
    variance = np.maximum(variance + np.cumsum(terms), 0.0)
    happened = events > 0
    survival, variance = (1 - incidence if cause else free)[happened], variance[happened]
    survival = np.where(survival < _ROUNDING, 0.0, survival)
    low, high = survival.copy(), survival.copy()
    inside = (survival > 0) & (survival < 1)
    log = np.log(survival[inside])
    half = normal_quantile(level) * np.sqrt(variance[inside]) / (survival[inside] * np.abs(log))
    low[inside], high[inside] = survival[inside] ** np.exp(half), survival[inside] ** np.exp(-half)
    found = {"times": risk.times[happened], "survival": survival, "low": low, "high": high}
    return {name: [0.0 if name == "times" else 1.0, *values.tolist()] for name, values in found.items()}


def at_horizon(
    time: Cases, event: Cases, horizon: float, level: float = 0.95, cause: int = 0
) -> tuple[float, float, float]:
    """The curve of `with_band` at one time with its interval; NaN where nobody is watched that long."""
    curve = kaplan_meier(time, event)
    if horizon > float(curve.last) and float(curve.values[-1]) > 0:
        return math.nan, math.nan, math.nan
    found = with_band(time, event, level, cause)
    place = int(np.searchsorted(found["times"], horizon, side="right")) - 1
    return found["survival"][place], found["low"][place], found["high"][place]


def number_at_risk(time: Cases, ticks: Float[np.ndarray, " ticks"]) -> Int[np.ndarray, " ticks"]:
    """How many cases are watched at each time: seen at it or later."""
    return (np.asarray(time)[:, None] >= ticks).sum(0)


def median_follow_up(time: Cases, event: Cases) -> float:
    """The time by which half of the cases would have been censored without events; NaN where it is not reached.

    Source: Schemper & Smith, Control. Clin. Trials 17:343 (1996).
    """
    steps = censoring_survival(time, event)
    below = np.flatnonzero(steps.values <= 0.5)
    return float(steps.times[below[0] - 1]) if len(below) else math.nan


def log_rank(time: Cases, event: Cases, group: Int[np.ndarray, " cases"]) -> tuple[float, int, float]:
    """Chi-squared statistic, degrees of freedom and p-value: do groups share one hazard?

    Observed minus expected events of each group, with their hypergeometric covariance. NaN without an event or with
    one group. Source: Mantel, Cancer Chemother. Rep. 50:163 (1966); Kalbfleisch & Prentice (2002), section 1.5.
    """
    from scipy.special import chdtrc

    names = np.unique(group)
    sets = [risk_sets(time, event, (group == name).astype(np.float64)) for name in names]
    events = np.stack([one.events for one in sets])
    at_risk = np.stack([one.events + one.censored + one.beyond for one in sets])
    total, died = at_risk.sum(0), events.sum(0)
    share = at_risk / np.maximum(total, 1)
    excess = (events - died * share).sum(1)
    spread = died * (total - died) / np.maximum(total - 1, 1)
    covariance = np.einsum("t,it,ij->ij", spread, share, np.eye(len(names))) - np.einsum(
        "t,it,jt->ij", spread, share, share
    )
    degrees = len(names) - 1
    if degrees < 1 or not died.sum():
        return math.nan, degrees, math.nan
    statistic = float(excess[:-1] @ np.linalg.pinv(covariance[:-1, :-1]) @ excess[:-1])
    return statistic, degrees, float(chdtrc(degrees, statistic))
