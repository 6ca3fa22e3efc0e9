"""Concordance of predicted risk and survival time as weighted pure functions, vectorised over resamples.

Of two cases the earlier one must have had its event: then it is known which of them survived longer, and the pair is
concordant where the earlier one was given the higher risk. A pair with tied risk counts one half. Of tied times only an
event and a censoring form a pair, the event being the earlier (Harrell et al., Stat. Med. 15:361, 1996, section 5.5; as
in R's survival::concordance and scikit-survival); two events at the same time form none. For `time` and `event` see
`survival`; a pair counts w_i w_j times. NaN without a pair.
"""

import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from medjax.metrics.classification import Cases, Values, Weights, ratio
from medjax.metrics.survival import from_the_end, inverse_censoring, predicted_at

Order = Int[np.ndarray, " cases"]
_BLOCK = 2_000_000  # pairs held at a time: 16 MB


def order_of_exit(time: Cases, event: Cases) -> Order:
    """Place of each case in order of time, 0 first: those with an event before those censored at the same time."""
    place = np.unique(np.asarray(time, np.float64), return_inverse=True)[1]
    return np.unique(2 * place + ~np.asarray(event).astype(bool), return_inverse=True)[1].reshape(-1)


def later(order: Order, weights: Float[np.ndarray, "*resamples cases"]) -> Float[np.ndarray, "*resamples cases"]:
    """For each case the weight of all that come after it; those in the same place are not after it."""
    ascending = np.argsort(order, kind="stable")
    beyond = from_the_end(weights[..., ascending])
    return beyond[..., np.searchsorted(order[ascending], order, side="right")]


def later_and_lower(
    order: Order, risk: Cases, weights: Float[np.ndarray, "*resamples cases"]
) -> Float[np.ndarray, "*resamples cases"]:
    """For each case the weight of all that come after it with a lower risk; tied risk counts one half.

    The highest bit in which two places differ says which comes after. For each bit, cases that agree in all higher bits
    stand together, sorted by risk, and a running sum answers all of them. The next bit parts each of these groups in two,
    which keeps them sorted: O(n log n) in time, exact.
    """
    rank = np.unique(np.asarray(risk), return_inverse=True)[1].reshape(-1)
    standing, here = np.argsort(rank, kind="stable"), np.arange(len(rank))
    total = np.zeros(weights.shape)
    for bit in reversed(range(int(order.max(initial=0)).bit_length())):
        place = order[standing]
        is_later, group = (place >> bit) & 1 == 1, place >> (bit + 1)
        new_group = np.diff(group, prepend=-1) != 0
        first, last = _runs(new_group)
        tie_first, tie_last = _runs(new_group | (np.diff(rank[standing], prepend=-1) != 0))
        below = np.zeros((*weights.shape[:-1], len(rank) + 1))
        np.cumsum(np.where(is_later, weights[..., standing], 0.0), axis=-1, out=below[..., 1:])
        asked = ~is_later
        total[..., standing[asked]] += (below[..., tie_first[asked]] + below[..., tie_last[asked]]) / 2 - below[
            ..., first[asked]
        ]
        before = np.concatenate([[0], np.cumsum(asked)])  # how many of those asked stand before each position
        own = before[here] - before[first]
        moved = np.empty_like(standing)
        moved[np.where(asked, first + own, here + before[last] - before[here])] = standing
        standing = moved
    return total


def _runs(starts: Bool[np.ndarray, " cases"]) -> tuple[Order, Order]:
    """For each position the first one of its run, and the first one behind it."""
    first = np.flatnonzero(starts)
    number = np.cumsum(starts) - 1
    return first[number], np.append(first[1:], len(starts))[number]


def parts(cases: int, fold: Cases | None) -> list[Int[np.ndarray, " _"]]:
    """Which cases may form pairs: all of them, or those of each fold."""
    return [np.arange(cases)] if fold is None else [np.flatnonzero(fold == name) for name in np.unique(fold)]


def counted(time: Cases, event: Cases, truncation: float) -> Bool[np.ndarray, " cases"]:
    """Which cases may be the earlier one of a pair: those with an event before the truncation time."""
    return np.asarray(event).astype(bool) & (np.asarray(time) < truncation)


def _concordance(
    risk: Cases,
    order: Order,
    earlier: Float[np.ndarray, "*resamples cases"],
    weights: Float[np.ndarray, "*resamples cases"],
    fold: Cases | None,
) -> Values:
    """Share of concordant pairs; a case counts by `earlier` as the earlier one of a pair, by `weights` as the later."""
    concordant, pairs = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for part in parts(len(risk), fold):
        own, place = earlier[..., part], order[part]
        wins = later_and_lower(place, np.asarray(risk)[part], weights[..., part])
        concordant = concordant + np.einsum("...i,...i->...", own, wins)
        pairs = pairs + np.einsum("...i,...i->...", own, later(place, weights[..., part]))
    return ratio(np.clip(concordant, 0.0, pairs), pairs)  # running sums round


def harrell(
    risk: Cases,
    time: Cases,
    event: Cases,
    weights: Weights | None = None,
    *,
    fold: Cases | None = None,
    truncation: float = math.inf,
) -> Float[np.ndarray, "*resamples"]:
    """Harrell's concordance index: the share of pairs in which the case with the earlier event has the higher risk.

    Its limit depends on the censoring, because only pairs count whose earlier case was not censored (see `uno`). With
    `fold` only pairs within a fold count. Events at or after `truncation` do not count as the earlier one of a pair.
    Source: Harrell et al., JAMA 247:2543 (1982).
    """
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    return _concordance(risk, order_of_exit(time, event), weights * counted(time, event, truncation), weights, fold)


def uno(
    risk: Cases,
    time: Cases,
    event: Cases,
    weights: Weights | None = None,
    *,
    fold: Cases | None = None,
    truncation: float = math.inf,
) -> Float[np.ndarray, "*resamples"]:
    """Uno's concordance: pairs weighted by 1 / G(t-)^2 at the time t < truncation of the earlier event.

    G is the censoring survival of these cases (of all folds together), estimated again with each row of weights. Where
    censoring is independent of risk and time, the limit is free of it: P(risk_i > risk_j | T_i < T_j, T_i < limit).
    Source: Uno et al., Stat. Med. 30:1105 (2011), equation 6, with tied risk at one half.
    """
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    earlier = weights * counted(time, event, truncation) * inverse_censoring(time, event, weights) ** 2
    return _concordance(risk, order_of_exit(time, event), earlier, weights, fold)


def antolini(
    survival: Float[np.ndarray, "cases grid"],
    grid: Float[np.ndarray, " grid"],
    time: Cases,
    event: Cases,
    weights: Weights | None = None,
    *,
    fold: Cases | None = None,
) -> Float[np.ndarray, "*resamples"]:
    """Antolini's time-dependent concordance: at each event, was this case's predicted survival the lower one?

    Compares the predicted survival at the time of the earlier event (linear between the times of the grid, see
    `survival.predicted_at`); tied predictions count one half. With proportional hazards it is Harrell's index. Time
    O(n^2), memory bounded. Source: Antolini, Boracchi & Biganzoli, Stat. Med. 24:3927 (2005), equation 3.
    """
    weights = np.ones(len(time)) if weights is None else np.asarray(weights, np.float64)
    concordant, pairs = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for part, own, after, wins in antolini_pairs(survival, grid, time, event, fold):
        concordant = concordant + np.einsum("...i,...i->...", weights[..., part] @ wins, weights[..., own])
        pairs = pairs + np.einsum("...i,...i->...", weights[..., part] @ after, weights[..., own])
    return ratio(np.clip(concordant, 0.0, pairs), pairs)


def antolini_pairs(
    survival: Float[np.ndarray, "cases grid"],
    grid: Float[np.ndarray, " grid"],
    time: Cases,
    event: Cases,
    fold: Cases | None = None,
) -> Iterator[tuple[Order, Order, Float[np.ndarray, "part events"], Float[np.ndarray, "part events"]]]:
    """Blocks of pairs: the cases of a part, some events in it, who comes after which event, and who of these is concordant."""
    order, is_event = order_of_exit(time, event), counted(time, event, math.inf)
    for part in parts(len(time), fold):
        events = part[is_event[part]]
        block = max(1, _BLOCK // max(len(part), 1))
        for own in (events[start : start + block] for start in range(0, len(events), block)):
            at_event = predicted_at(survival[part], grid, time[own])  # of every case, at the time of each event
            mine = at_event[np.searchsorted(part, own), np.arange(len(own))]
            after = (order[part][:, None] > order[own]).astype(np.float64)
            yield part, own, after, after * ((at_event > mine) + 0.5 * (at_event == mine))
