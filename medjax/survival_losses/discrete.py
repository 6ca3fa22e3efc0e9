"""Survival in intervals of time: the chance of each interval, by hazards or by a distribution over causes and intervals.

`edges` are the ends of the intervals, `intervals + 1` rising times from 0, in the unit of the times. Interval k holds the
times after `edges[k]` up to and with `edges[k + 1]`. Of a censored case only the intervals that it was followed through
count; of an event after the last edge only that it came later. Source of both rules: Kvamme & Borgan, Lifetime Data Anal.
27:710 (2021), arXiv:1910.06724.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from medjax import losses
from medjax.errors import InputError
from medjax.survival_losses.follow_up import known


def time_edges(
    times: Num[np.ndarray, " n"], events: Num[np.ndarray, " n"] | Bool[np.ndarray, " n"], intervals: int
) -> Float[np.ndarray, " edges"]:
    """Ends of intervals that hold about equally many events each: 0, then quantiles of the times of events.

    Fit it on training cases. Where times are rounded and two quantiles coincide, the later one moves to the next time
    that occurs, so that the number of intervals is always the one asked for. The last edge is the last event.

    Args:
        times: follow-up until the event or the end of observation; NaN or negative is unknown and left out.
        events: 0 or False for censored, 1, True or the number of the cause for an event.
        intervals: how many.

    Raises:
        InputError: when fewer different times after 0 with an event occur than intervals are asked for.
    """
    distinct, counts = np.unique(times[(times > 0) & (events > 0)].astype(np.float64), return_counts=True)
    if not 1 <= intervals <= len(distinct):
        raise InputError(
            f"{intervals} intervals of time need as many different times of an event after 0, and the training cases have "
            f"{len(distinct)}: ask for fewer intervals, at least 1"
        )
    share = np.cumsum(counts) / counts.sum()
    chosen = np.searchsorted(share, np.arange(1, intervals + 1) / intervals - 1e-9)
    # Strictly rising, and never so far that too few times remain for the intervals that follow.
    steps = np.arange(intervals)
    chosen = np.minimum(np.maximum.accumulate(chosen - steps) + steps, len(distinct) - intervals + steps)
    return np.concatenate([[0.0], distinct[chosen]])


def cut(
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
    edges: Num[Array, " edges"],
) -> tuple[Int[Array, " batch"], Bool[Array, " batch"]]:
    """Return how many intervals a case is known to have been free of the event, and whether the event is in the next.

    The first number is therefore the interval of the event where there is one. Unknown cases (NaN or negative time or
    event) give 0 and False.

    Args:
        times: follow-up until the event or the end of observation.
        events: 0 or False for censored, 1, True or the number of the cause for an event.
        edges: ends of the intervals, in the unit of the times.
    """
    ends, at = edges[1:].astype(jnp.float32)[None, :], times.astype(jnp.float32)[:, None]
    happened = known(times, events) & (events > 0)
    passed = jnp.where(happened[:, None], ends < at, ends <= at) & known(times, events)[:, None]
    count = passed.sum(-1)
    return count, happened & (count < ends.shape[-1])


def logistic_hazard(
    logits: Float[Array, "batch intervals"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
    edges: Num[Array, " intervals+1"],
) -> Float[Array, " batch"]:
    """Negative log-likelihood of the hazards `sigmoid(logit)`: of an event in interval k, given that it was not before.

    The sum of the cross-entropies of the question "now?" over the intervals that the case is known to have reached, in
    nats. Sources: Gensheimer & Narasimhan, PeerJ 7:e6257 (2019), arXiv:1805.00917, who also count an interval of which
    a censored case was followed through more than half; Kvamme & Borgan (2021), who, as here, do not.

    Args:
        logits: log-odds of the hazard in each interval.
        times: follow-up until the event or the end of observation.
        events: 1 or True for the event, 0 or False for censored. A case whose time or event is NaN or negative is
            unknown, and gives loss 0, gradient 0.
        edges: ends of the intervals, in the unit of the times.
    """
    free, happened = cut(times, events, edges)
    step, free = jnp.arange(logits.shape[-1])[None, :], free[:, None]
    answer = jnp.where(step < free, 0.0, jnp.where((step == free) & happened[:, None], 1.0, jnp.nan))
    return losses.sigmoid_cross_entropy(logits, answer).sum(-1)


def probability_mass(
    logits: Float[Array, "batch causes intervals"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
    edges: Num[Array, " intervals+1"],
) -> Float[Array, " batch"]:
    """Negative log-likelihood of the distribution over the cause and the interval of the first event, in nats.

    The softmax of the logits of a case and of one 0 more, which stands for no event until the last edge. An event gives
    minus the logarithm of its own chance; a censored case that of all chances that remain. Sources: Lee et al., DeepHit,
    AAAI (2018), the loss L1; for the 0, without which all must have the event in time, Kvamme & Borgan (2021).

    Args:
        logits: one number for each cause and interval; one cause: an axis of length 1.
        times: follow-up until the event or the end of observation.
        events: 0 or False for censored, else the number of the cause, from 1; a number above `causes` cannot be seen
            inside a compiled step and gives NaN. A case whose time or event is NaN or negative is unknown, and gives
            loss 0, gradient 0.
        edges: ends of the intervals, in the unit of the times.
    """
    logits = _known_logits(logits, times, events)
    free, happened = cut(times, events, edges)
    cause = jnp.arange(1, logits.shape[1] + 1)[None, :, None]
    step, free, hit = jnp.arange(logits.shape[2])[None, None, :], free[:, None, None], happened[:, None, None]
    possible = jnp.where(hit, (step == free) & (cause == events[:, None, None]), step >= free)
    every = _with_no_event(logits)
    seen = jnp.concatenate([possible.reshape(len(logits), -1), ~happened[:, None]], axis=-1)
    terms = jax.nn.logsumexp(every, axis=-1) - jax.nn.logsumexp(every, axis=-1, where=seen)
    terms = jnp.where(events > logits.shape[1], jnp.nan, terms)
    return jnp.where(known(times, events), terms, 0.0)


def ranking(
    logits: Float[Array, "batch causes intervals"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
    edges: Num[Array, " intervals+1"],
    weights: Num[Array, " batch"] | None = None,
    sigma: float | int = 0.1,
) -> tuple[Float[Array, " batch"], Float[Array, " batch"]]:
    """DeepHit's ranking term: who has the event should by then have the higher incidence of it than who is still free.

    For a case i with the event of cause k in interval s the sum, over the cases j that are known to be free of any event
    at the end of s, of `exp((incidence_k of j - incidence_k of i) / sigma)` at that end. Source: Lee et al. (2018),
    the loss L2, which they add to the likelihood with a factor for each cause.

    Args:
        logits: as for `probability_mass`.
        times: follow-up until the event or the end of observation; unknown cases as for `probability_mass`.
        events: 0 or False for censored, else the number of the cause, from 1.
        edges: ends of the intervals, in the unit of the times.
        weights: how many cases j stands for; 0 is padding and is as if absent.
        sigma: the difference of incidence that makes a pair e times as bad.

    Returns:
        Of each case the sum and the weight of its pairs, not yet multiplied by its own weight (but 0 where that is 0):
        over a batch the loss is the sum of `weight * sum` divided by that of `weight * pairs`. Under mini-batches the
        pairs are those of the batch.
    """
    logits = _known_logits(logits, times, events)
    present = known(times, events)
    weights = jnp.ones(times.shape, logits.dtype) if weights is None else weights.astype(logits.dtype)
    present &= weights > 0
    logits = jnp.where(present[:, None, None], logits, 0.0)
    free, happened = cut(times, events, edges)
    causes, intervals = logits.shape[1:]
    # Column i of `incidence` is that of all cases for the cause of i at the end of the interval of i.
    cause = jnp.clip(jnp.where(happened, events, 1).astype(jnp.int32) - 1, 0, causes - 1)
    at = cause * intervals + jnp.minimum(free, intervals - 1)
    incidence = cumulative_incidence(logits)[:, :, 1:].reshape(len(logits), -1)[:, at]
    later = (free[:, None] > free[None, :]) & (happened & present)[None, :] & present[:, None]
    pair_weights = jnp.where(later, weights[:, None], 0.0)
    sums = (pair_weights * jnp.exp((incidence - jnp.diagonal(incidence)[None, :]) / sigma)).sum(0)
    return sums, pair_weights.sum(0)


def logistic_hazard_survival(logits: Float[Array, "batch intervals"]) -> Float[Array, "batch intervals+1"]:
    """Chance to be free of the event at each of the edges, the first of which is time 0: product of 1 - hazard."""
    free = jnp.exp(jnp.cumsum(jax.nn.log_sigmoid(-logits), axis=-1))
    return jnp.pad(free, ((0, 0), (1, 0)), constant_values=1.0)


def cumulative_incidence(logits: Float[Array, "batch causes intervals"]) -> Float[Array, "batch causes intervals+1"]:
    """Chance to have had the event of each cause, as the first one, until each of the edges; 0 at time 0."""
    chances = jax.nn.softmax(_with_no_event(logits), axis=-1)[:, :-1].reshape(logits.shape)
    return jnp.pad(jnp.cumsum(chances, axis=-1), ((0, 0), (0, 0), (1, 0)))


def probability_mass_survival(logits: Float[Array, "batch causes intervals"]) -> Float[Array, "batch intervals+1"]:
    """Chance to be free of all events at each of the edges: 1 less the incidences, added up from the last edge."""
    chances = jax.nn.softmax(_with_no_event(logits), axis=-1)
    in_interval = chances[:, :-1].reshape(logits.shape).sum(1)
    return jnp.cumsum(jnp.concatenate([in_interval, chances[:, -1:]], axis=-1)[:, ::-1], axis=-1)[:, ::-1]


def between_edges(
    curves: Float[Array, "*cases edges"], edges: Num[Array, " edges"], grid: Num[Array, " grid"]
) -> Float[Array, "*cases grid"]:
    """Curves at other times than the edges: straight lines between the edges, and flat after the last one.

    Of a survival curve that is a constant density within each interval (Kvamme & Borgan 2021). After the last edge
    nothing is known.

    Args:
        curves: survival or incidence at the edges.
        edges: ends of the intervals.
        grid: times in the unit of the edges.
    """
    index = jnp.clip(jnp.searchsorted(edges, grid, side="right") - 1, 0, len(edges) - 2)
    way = jnp.clip((grid - edges[index]) / (edges[index + 1] - edges[index]), 0.0, 1.0).astype(curves.dtype)
    way = way.reshape((1,) * (curves.ndim - 1) + way.shape)
    return curves[..., index] * (1 - way) + curves[..., index + 1] * way


def _known_logits(
    logits: Float[Array, "batch causes intervals"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
) -> Float[Array, "batch causes intervals"]:
    """Replace the logits of unknown cases by 0: multiplied by 0, NaN would remain in the gradient."""
    logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
    return jnp.where(known(times, events)[:, None, None], logits, 0.0)


def _with_no_event(logits: Float[Array, "batch causes intervals"]) -> Float[Array, "batch outcomes"]:
    """The logits of all outcomes: cause by cause the intervals, and last 0, no event until the last edge."""
    return jnp.pad(logits.reshape(len(logits), -1), ((0, 0), (0, 1)))
