"""Metrics of predicted survival at stated horizons, as weighted pure functions, vectorised over resamples.

At a horizon t a case has had its event, is known to be free of it, or was censored before and is not known. Those known
stand for the others by inverse probability of censoring: 1 / G(T-) for an event at T <= t, 1 / G(t-) for those seen
beyond t or censored exactly at t (whoever is censored at t is free of the event up to t; see `survival`). Unless cases
are censored exactly at a horizon this is the weighting of Graf et al. These weights add up to the number of cases, and
they are estimated in these cases, again with each row of `weights`, which assumes that censoring tells nothing of the
risk. A horizon up to which nobody can be known, where G(t-) = 0, is NaN. Values are (..., horizons).

With competing causes `event` holds their numbers, 1, 2, ..., and `cause` says which is meant: whoever had another one
first is known to stay free of it. 0 means any event.
"""

import numpy as np
from jaxtyping import Float, Shaped

from medjax.metrics import classification
from medjax.metrics.classification import Cases, Values, Weights, ratio, weighted_mean
from medjax.metrics.survival import censoring_survival, cumulative_incidence, inverse_censoring, kaplan_meier

Horizons = Float[np.ndarray, " horizons"]
PerHorizon = Float[np.ndarray, "*resamples horizons"]


def known_free(time: Cases, event: Cases, horizon: float) -> Shaped[np.ndarray, " cases"]:
    """Which cases are known to be free of the event up to and at the horizon."""
    time = np.asarray(time)
    return (time > horizon) | ((time == horizon) & ~np.asarray(event).astype(bool))


def happened(time: Cases, event: Cases, horizon: float, cause: int = 0) -> Shaped[np.ndarray, " cases"]:
    """Which cases are known to have had the event (of a cause) by the horizon."""
    event = np.asarray(event)
    return (np.asarray(time) <= horizon) & (event == cause if cause else event.astype(bool))


def horizon_weights(
    time: Cases, event: Cases, horizons: Horizons, weights: Weights | None = None
) -> Float[np.ndarray, "horizons *resamples_and_cases"]:
    """Each case's weight times its inverse probability of censoring, (horizons, ..., cases); NaN where G(t-) is 0."""
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    of_event = weights * np.asarray(event).astype(bool) * inverse_censoring(time, event, weights)
    remaining = censoring_survival(time, event, weights).at(horizons, before=True)
    at_horizon = ratio(np.ones_like(remaining), remaining)
    found = []
    for k, horizon in enumerate(horizons):
        seen = np.where(time <= horizon, of_event, 0.0)
        factor = at_horizon[..., k, None]
        free = known_free(time, event, float(horizon))
        found.append(np.where(np.isnan(factor), np.nan, seen + np.where(free, weights * factor, 0.0)))
    return np.stack(found)


def _columns(values: Shaped[np.ndarray, "cases *horizons"], horizons: Horizons) -> list[np.ndarray]:
    return [values] * len(horizons) if values.ndim == 1 else list(values.T)


def auroc(
    risk: Shaped[np.ndarray, "cases *horizons"],
    time: Cases,
    event: Cases,
    horizons: Horizons,
    weights: Weights | None = None,
    *,
    fold: Cases | None = None,
    cause: int = 0,
) -> PerHorizon:
    """Cumulative/dynamic AUROC: does a case with an event up to the horizon have a higher risk than one free of it?

    `risk` is one score a case, or one for each horizon; tied risk counts one half. NaN without a pair. With `fold` only
    pairs within a fold count. Sources: Uno et al., JASA 102:527 (2007); Hung & Chiang, Can. J. Stat. 38:8 (2010); with
    causes Blanche, Dartigues & Jacqmin-Gadda, Stat. Med. 32:5381 (2013), their second definition.
    """
    found = [
        classification.auroc(score, happened(time, event, float(horizon), cause), own, fold=fold)
        for score, horizon, own in zip(
            _columns(risk, horizons), horizons, horizon_weights(time, event, horizons, weights), strict=True
        )
    ]
    return np.stack(found, axis=-1)


def brier(
    survival: Float[np.ndarray, "cases horizons"],
    time: Cases,
    event: Cases,
    horizons: Horizons,
    weights: Weights | None = None,
    *,
    cause: int = 0,
) -> PerHorizon:
    """Brier score: mean squared error of the predicted probability to be free of the event at each horizon, in [0, 1].

    Source: Graf, Schmoor, Sauerbrei & Schumacher, Stat. Med. 18:2529 (1999), with G just before events (Gerds &
    Schumacher, Biom. J. 48:1029, 2006).
    """
    found = [
        weighted_mean((predicted - ~happened(time, event, float(horizon), cause)) ** 2, own)
        for predicted, horizon, own in zip(
            survival.T, horizons, horizon_weights(time, event, horizons, weights), strict=True
        )
    ]
    return np.stack(found, axis=-1)


def prediction_accuracy(
    survival: Float[np.ndarray, "cases horizons"],
    time: Cases,
    event: Cases,
    horizons: Horizons,
    weights: Weights | None = None,
    *,
    cause: int = 0,
) -> PerHorizon:
    """Index of prediction accuracy: 1 - Brier score / Brier score of the Kaplan-Meier estimate of these very cases.

    1 is perfect, 0 no better than one curve for all, negative worse. The Brier score of the Kaplan-Meier estimate S is
    S (1 - S), because the inverse weights reproduce it (with causes the Aalen-Johansen estimate takes its place); NaN
    where S is 0 or 1, all cases being alike. Source: Kattan & Gerds, Diagn. Progn. Res. 2:7 (2018).
    """
    same_for_all = observed(time, event, horizons, weights, cause=cause)
    null = same_for_all * (1 - same_for_all)
    return np.asarray(1 - ratio(brier(survival, time, event, horizons, weights, cause=cause), null))


def observed(
    time: Cases, event: Cases, horizons: Horizons, weights: Weights | None = None, *, cause: int = 0
) -> PerHorizon:
    """The share of cases that had the event by each horizon: 1 - Kaplan-Meier, of a cause Aalen-Johansen.

    NaN beyond the last case seen, unless all had an event by then.
    """
    if cause:
        share = cumulative_incidence(time, event, cause, weights).at(horizons)
    else:
        share = 1 - kaplan_meier(time, event, weights).at(horizons)
    watched = censoring_survival(time, event, weights).at(horizons, before=True) > 0
    return np.where(watched, share, np.nan)


def observed_to_expected(
    survival: Float[np.ndarray, "cases horizons"],
    time: Cases,
    event: Cases,
    horizons: Horizons,
    weights: Weights | None = None,
    *,
    cause: int = 0,
) -> PerHorizon:
    """Calibration in the large: the observed share with the event by each horizon, divided by the mean prediction.

    1 is right on average; above it the model predicts too little risk. NaN where the prediction is 0. Source: McLernon
    et al., Ann. Intern. Med. 176:105 (2023).
    """
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    expected = ratio(weights @ (1 - survival), weights.sum(-1, keepdims=True))
    return ratio(observed(time, event, horizons, weights, cause=cause), expected)


def integrated_brier(
    survival: Float[np.ndarray, "cases horizons"],
    time: Cases,
    event: Cases,
    horizons: Horizons,
    weights: Weights | None = None,
    *,
    cause: int = 0,
) -> Values:
    """Mean Brier score over time between the first and the last horizon, by the trapezoid rule.

    `horizons` ascend and state the range of time. NaN with fewer than two, or where one of them is NaN. Source: Graf et
    al. (1999), with dt / (last - first) as the weight function.
    """
    scores = brier(survival, time, event, horizons, weights, cause=cause)
    return ratio(np.trapezoid(scores, horizons, axis=-1), horizons[-1] - horizons[0])
