"""Survival curves of groups with their bands, how many are still watched, and the log-rank test between groups."""

import math

import numpy as np
from jaxtyping import Float, Int

from medjax.evidence.intervals import Cases, normal_quantile
from medjax.metrics.survival import censoring_survival, kaplan_meier, risk_sets

Curve = dict[str, list[float]]


def with_band(time: Cases, event: Cases, level: float = 0.95) -> Curve:
    """The Kaplan-Meier curve at its steps with pointwise intervals, on the scale log(-log S) with Greenwood's variance.

    Where the curve is 1 or 0 there is no such interval: the ends are the curve. Source: Kalbfleisch & Prentice, The
    Statistical Analysis of Failure Time Data (2002), section 1.4.

    Returns:
        `times` (0 and every time with an event), `survival`, `low`, `high`, lists of one length.
    """
    risk = risk_sets(time, event)
    at_risk = risk.events + risk.censored + risk.beyond
    happened = risk.events > 0
    survival = kaplan_meier(time, event).at(risk.times)[happened]
    staying = at_risk - risk.events
    terms = np.where(staying > 0, risk.events / np.maximum(at_risk * staying, 1e-300), 0.0)
    variance = np.cumsum(terms)[happened]
    low, high = survival.copy(), survival.copy()
    inside = (survival > 0) & (survival < 1)
    log = np.log(survival[inside])
    half = normal_quantile(level) * np.sqrt(variance[inside]) / np.abs(log)
    low[inside], high[inside] = survival[inside] ** np.exp(half), survival[inside] ** np.exp(-half)
    found = {"times": risk.times[happened], "survival": survival, "low": low, "high": high}
    return {name: [0.0 if name == "times" else 1.0, *values.tolist()] for name, values in found.items()}


def at_horizon(time: Cases, event: Cases, horizon: float, level: float = 0.95) -> tuple[float, float, float]:
    """The Kaplan-Meier estimate at one time with its interval; NaN where nobody is watched that long."""
    curve = kaplan_meier(time, event)
    if horizon > float(curve.last) and float(curve.values[-1]) > 0:
        return math.nan, math.nan, math.nan
    found = with_band(time, event, level)
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
