"""Metrics of survival predictions and their intervals, by the names that `setting.survival_metrics` gives.

The values of a case are its risk and its survival at `setting.times`, or with competing causes the risks of all causes
and then the incidences of each. Concordance counts events before the last of these times, tau. Everything with
censoring weights estimates them in the cases that are judged, and again whenever patients are left out or drawn.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from medjax.evidence import concordance as pairs
from medjax.evidence import resampling
from medjax.evidence.concordance import Concordance
from medjax.evidence.intervals import Cases, Interval, count_patients
from medjax.evidence.setting import OfTimes, Setting, survival_metrics
from medjax.metrics import concordance, horizon

Values = Float[np.ndarray, "cases outputs"]
SCALE = {
    "auroc": "logit",
    "prediction_accuracy": "log(1 - x)",
    "brier": "log",
    "observed_to_expected": "log",
    "integrated_brier": "log",
}
BY_PAIRS = ("concordance_index", "uno_concordance_index", "time_dependent_concordance_index")
DRAWN = 4_000_000  # cases in all resamples of a metric: beyond 2,000 patients fewer resamples are drawn, at least 200


def risk_of(values: Values, cause: int) -> Cases:
    """The risk: of the event, or of a cause."""
    return values[:, max(cause - 1, 0)]


def free_of(values: Values, cause: int, setting: Setting) -> Float[np.ndarray, "cases times"]:
    """The predicted chance to be free of the event (of a cause: of that one) at `setting.times`."""
    if not cause:
        return values[:, 1:]
    first = len(setting.classes) + (cause - 1) * len(setting.times)
    return 1 - values[:, first : first + len(setting.times)]


def of_cause(setting: Setting, cause: int) -> tuple[Cases, Cases]:
    """Time and event for pairs: whoever had another cause first never has this one.

    Source: Wolbers, Koller, Witteman & Steyerberg, Epidemiology 20:555 (2009).
    """
    time, event = setting.target[:, 0], setting.target[:, 1]
    if not cause:
        return time, event > 0
    return np.where((event > 0) & (event != cause), np.max(time) + 1, time), event == cause


def point(name: str, values: Values, setting: Setting) -> Callable[..., np.ndarray]:
    """A metric of these predictions as a function of case weights (..., cases), or None."""
    meant = _meant(name, setting)
    risk, free, times = risk_of(values, meant.cause), free_of(values, meant.cause, setting), np.asarray(setting.times)
    time, event = setting.target[:, 0], setting.target[:, 1].astype(np.int64)
    if meant.horizon is not None:
        at, place = np.array([meant.horizon]), [int(np.searchsorted(times, meant.horizon))]
        if meant.what == "auroc":
            score = 1 - free[:, place]  # risks of one horizon: curves may cross
            return lambda weights: horizon.auroc(score, time, event, at, weights, fold=setting.fold, cause=meant.cause)[
                ..., 0
            ]
        function = getattr(horizon, meant.what)
        return lambda weights: function(free[:, place], time, event, at, weights, cause=meant.cause)[..., 0]
    if meant.what == "integrated_brier":
        return lambda weights: horizon.integrated_brier(free, time, event, times, weights, cause=meant.cause)
    if meant.what == "time_dependent_concordance_index":
        seen = np.minimum(time, setting.times[-1])
        watched = (event > 0) & (time < setting.times[-1])
        return lambda weights: concordance.antolini(free, times, seen, watched, weights, fold=setting.fold)
    function = {"concordance_index": concordance.harrell, "uno_concordance_index": concordance.uno}[meant.what]
    time, event = of_cause(setting, meant.cause)
    return lambda weights: function(risk, time, event, weights, fold=setting.fold, truncation=setting.times[-1])


def by_pairs(name: str, values: Values, setting: Setting) -> Concordance | None:
    """A concordance index with the influence of each patient; None for every other metric."""
    meant = _meant(name, setting)
    if meant.what not in BY_PAIRS:
        return None
    if meant.what == "time_dependent_concordance_index":
        curves, (time, event) = free_of(values, 0, setting), setting.target.T
        return pairs.antolini(
            curves,
            np.asarray(setting.times),
            time,
            event,
            setting.patient,
            fold=setting.fold,
            truncation=setting.times[-1],
        )
    time, event = of_cause(setting, meant.cause)
    function = pairs.harrell if meant.what == "concordance_index" else pairs.uno
    return function(
        risk_of(values, meant.cause), time, event, setting.patient, fold=setting.fold, truncation=setting.times[-1]
    )


def interval(name: str, values: Values, setting: Setting) -> Interval:
    """A metric with its interval by patient."""
    found = by_pairs(name, values, setting)
    if found is not None:
        return pairs.interval(found, setting.level)
    drawn = resampling.smooth(
        point(name, values, setting),
        setting.patient,
        scale=SCALE[_meant(name, setting).what],
        level=setting.level,
        resamples=resamples(setting),
        seed=setting.seed,
    )
    return replace(drawn, method=f"{drawn.method}, censoring weights estimated again each time")


def resamples(setting: Setting) -> int:
    """How many resamples are drawn: a standard error needs no thousands, and with many cases each costs much."""
    return min(setting.resamples, max(200, DRAWN // len(setting.target)))


def no_skill(name: str, setting: Setting) -> float | None:
    """The Brier score (or its integral) of one Kaplan-Meier curve for everybody; None for other metrics."""
    meant = _meant(name, setting)
    if meant.what not in ("brier", "integrated_brier"):
        return None
    at = np.asarray(setting.times if meant.horizon is None else (meant.horizon,))
    if meant.horizon is None and len(at) < 2:
        return None
    share = horizon.observed(setting.target[:, 0], setting.target[:, 1].astype(np.int64), at, cause=meant.cause)
    null = share * (1 - share)
    return float(null[0] if meant.horizon is not None else np.trapezoid(null, at) / (at[-1] - at[0]))


def scarcest(name: str, setting: Setting) -> tuple[int, str]:
    """The fewest patients that a metric rests on, those with the event or those known to be free, and what they have."""
    meant = _meant(name, setting)
    time, event = setting.target[:, 0], setting.target[:, 1].astype(np.int64)
    until = setting.times[-1] if meant.horizon is None else meant.horizon
    events = count_patients(setting.patient, horizon.happened(time, event, until, meant.cause))
    having = "an event" if not meant.cause else f"the event '{setting.classes[meant.cause - 1]}'"
    fewest = events, f"by {until:g} {having} was seen in"
    if meant.horizon is not None:
        free = count_patients(setting.patient, horizon.known_free(time, event, until))
        fewest = min(fewest, (free, f"at {until:g} known to be free of it are"))
    return fewest


def _meant(name: str, setting: Setting) -> OfTimes:
    return survival_metrics(setting.classes, setting.horizons)[name]
