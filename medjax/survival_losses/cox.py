"""Cox's proportional hazards: the partial likelihood, the baseline that belongs to it, and survival curves.

A case of log risk `r` has the hazard `baseline(t) * exp(r)`; nothing is assumed about the baseline.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Num

from medjax.survival_losses.follow_up import known

NOTHING = -1e30  # stands for the logarithm of 0, since minus infinity turns gradients into NaN
ROWS = 256  # of the pairs of cases that are held in memory at a time


def partial_likelihood(
    log_risks: Float[Array, " batch"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
    weights: Num[Array, " batch"] | None = None,
    entries: Num[Array, " batch"] | None = None,
    strata: Int[Array, " batch"] | None = None,
    ties: Literal["efron", "breslow"] = "efron",
) -> Float[Array, " batch"]:
    """Negative log partial likelihood: of each event, how likely it struck this case out of those then at risk, in nats.

    The term of event i is `log(sum of exp(log_risk) over the cases at risk at its time) - log_risk_i`; censored cases
    give 0, and act through the risk sets. Of m events at one time Breslow's rule leaves that sum as it is; Efron's takes
    l/m of the risk of the m away from it, and the term is the mean over l = 0 ... m - 1, which is the same for any order
    of the tied. Sources: Cox, J. R. Stat. Soc. B 34:187 (1972); Breslow, Biometrics 30:89 (1974); Efron, J. Am. Stat.
    Assoc. 72:557 (1977). The sum of `weights * terms` is what R's coxph and lifelines maximise, with its sign changed.

    In full batch this is exact. Of a mini-batch the risk set is that of the batch: a smaller one than the cohort's, so
    the expected gradient is not that of the cohort; an approximation, the better the larger the batch. A batch without an
    event teaches nothing. Adding one number to all log risks changes nothing: only their differences are learnt.

    Args:
        log_risks: logarithm of the hazard ratio.
        times: follow-up until the event or the end of observation, any one unit: only the order counts. Equal times are
            ties, and a case censored at the time of an event is still at risk.
        events: 1 or True for the event, 0 or False for censored. A case whose time, event, entry or stratum is NaN or
            negative is unknown: it is in no risk set, and has loss 0 and gradient 0.
        weights: how many cases this one stands for in the risk sets; 0 is padding and is as if absent. The terms
            themselves are not multiplied: that is `losses.weighted_mean`'s part.
        entries: left truncation: the time when the case came under observation, in the unit of times. It is at risk after
            that; one that enters at its own time or later never is, and counts as unknown. Takes time quadratic in the
            batch (n log n without).
        strata: number of the baseline of each case; risk sets hold cases of one stratum only.
        ties: the rule for events at the same time.
    """
    sets = _risk_sets(log_risks, times, events, weights, entries, strata)
    if ties == "efron":
        count = len(sets.order)
        position = jnp.arange(count)
        sizes = jax.ops.segment_sum(sets.event.astype(jnp.int32), sets.tie, count)[sets.tie]
        last = jax.ops.segment_max(position, sets.tie, count)[sets.tie]
        # The events of a time come last in it, so that the distance to the end numbers them 0 ... sizes - 1.
        left = jnp.where(sets.event, 1 - (last - position) / jnp.maximum(sizes, 1), 1.0).astype(sets.dying.dtype)
        denominators = jnp.where(sets.event, jnp.logaddexp(sets.staying, sets.dying + jnp.log(left)), 0.0)
        summed = jax.ops.segment_sum(denominators, sets.tie, count)[sets.tie]
        denominators = summed / jnp.maximum(sizes, 1).astype(summed.dtype)
    else:
        denominators = jnp.logaddexp(sets.staying, sets.dying)
    terms = jnp.where(sets.event, denominators - sets.log_risk, 0.0)
    return jnp.zeros_like(terms).at[sets.order].set(terms)


def log_baseline_hazard(
    log_risks: Float[Array, " batch"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
    grid: Num[Array, " grid"],
    weights: Num[Array, " batch"] | None = None,
    entries: Num[Array, " batch"] | None = None,
) -> Float[Array, " grid"]:
    """Logarithm of the cumulative baseline hazard at the times of a grid; minus infinity before the first event.

    Each event adds `weight / sum of weight * exp(log_risk) over the cases at risk at its time`, whatever the ties
    (Breslow, in the discussion of Cox, J. R. Stat. Soc. B 34:216 (1972)). In logarithms, since log risks have no origin:
    shifted by 1000 the hazard itself would not be a number. Fit it on training cases, with the log risks that the model
    gives them. After the last event it stays flat, where nothing is known. For strata call it once a stratum, with weight
    0 elsewhere.

    Args:
        log_risks: logarithm of the hazard ratio.
        times: follow-up until the event or the end of observation.
        events: 1 or True for the event, 0 or False for censored; unknown cases (see `partial_likelihood`) take no part.
        grid: times in the unit of times; an event at a time of the grid is counted there.
        weights: how many cases this one stands for.
        entries: when the case came under observation, in the unit of times.
    """
    sets = _risk_sets(log_risks, times, events, weights, entries, None)
    increments = jnp.where(sets.event, sets.log_weight - jnp.logaddexp(sets.staying, sets.dying), NOTHING)

    def until(time: Num[Array, ""]) -> Float[Array, ""]:
        happened = sets.event & (sets.time <= time)
        total = jax.nn.logsumexp(jnp.where(happened, increments, NOTHING))
        return jnp.where(happened.any(), total, -jnp.inf)

    return jax.lax.map(until, grid)


def survival(log_risks: Float[Array, " batch"], log_hazard: Float[Array, " grid"]) -> Float[Array, "batch grid"]:
    """Chance to be free of the event at the times of the grid: `exp(-exp(log_hazard + log_risk))`.

    Args:
        log_risks: logarithm of the hazard ratio, on the same origin as those the baseline was fitted with.
        log_hazard: what `log_baseline_hazard` gives on the grid.
    """
    return jnp.exp(-jnp.exp(log_risks[:, None] + log_hazard[None, :]))


class _RiskSets(NamedTuple):
    """The cases by stratum, then from the last time to the first, of one time the censored before the events."""

    order: Int[Array, " batch"]  # where a case stood
    time: Num[Array, " batch"]
    event: Bool[Array, " batch"]
    log_risk: Float[Array, " batch"]
    log_weight: Float[Array, " batch"]
    tie: Int[Array, " batch"]  # number of the group of one stratum and time
    dying: Float[Array, " batch"]  # log of the summed weight * risk of the events of that time
    staying: Float[Array, " batch"]  # and of the others who are at risk then


def _risk_sets(
    log_risks: Float[Array, " batch"],
    times: Num[Array, " batch"],
    events: Num[Array, " batch"] | Bool[Array, " batch"],
    weights: Num[Array, " batch"] | None,
    entries: Num[Array, " batch"] | None,
    strata: Int[Array, " batch"] | None,
) -> _RiskSets:
    log_risks = log_risks.astype(jnp.promote_types(log_risks.dtype, jnp.float32))
    weights = jnp.ones_like(log_risks) if weights is None else weights.astype(log_risks.dtype)
    strata = jnp.zeros(times.shape, jnp.int32) if strata is None else strata
    present = known(times, events) & (weights > 0) & (strata >= 0)
    if entries is not None:
        present &= (entries >= 0) & (entries < times)

    # What is not present must not reach a sum even as NaN: 0 * NaN would be its gradient.
    times, events = jnp.where(present, times, 0), present & (events > 0)
    log_risks = jnp.where(present, log_risks, 0.0)
    log_weights = jnp.where(present, jnp.log(jnp.where(present, weights, 1.0)), NOTHING)
    order = jnp.lexsort((~events, times, strata))[::-1]
    time, event, stratum = times[order], events[order], strata[order]
    log_risk, log_weight = log_risks[order], log_weights[order]
    count = len(order)
    new_tie = (stratum != jnp.roll(stratum, 1)) | (time != jnp.roll(time, 1))
    tie = jnp.cumsum(new_tie.at[:1].set(False))

    last = jax.ops.segment_max(jnp.arange(count), tie, count)[tie]
    log_hazard = log_risk + log_weight
    dying = _group_sums(jnp.where(event, log_hazard, NOTHING), tie)
    if entries is None:
        before = last - jax.ops.segment_sum(event.astype(jnp.int32), tie, count)[tie]  # the last who is no event of it
        summed = _running_sums(log_hazard, stratum)[jnp.maximum(before, 0)]
        alone = (before < 0) | (stratum[jnp.maximum(before, 0)] != stratum)
        staying = jnp.where(alone, NOTHING, summed)
    else:
        entry = jnp.where(present, entries, 0)[order]

        def of_one(row: tuple[Array, Array, Array]) -> Float[Array, ""]:
            row_time, row_stratum, row_tie = row
            at_risk = (entry < row_time) & (row_time <= time) & (stratum == row_stratum) & ~(event & (tie == row_tie))
            return jax.nn.logsumexp(jnp.where(at_risk, log_hazard, NOTHING))

        staying = jax.lax.map(jax.checkpoint(of_one), (time, stratum, tie), batch_size=ROWS)
    return _RiskSets(order, time, event, log_risk, log_weight, tie, dying, staying)


def _running_sums(logarithms: Float[Array, " batch"], stratum: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """Logarithms of the running sums, within each stratum, of what these are the logarithms of.

    By doubling: after k steps a place holds the sum of the last 2^k, as a multiple of the largest. Nothing is ever taken
    away from a sum, and the program stays short where `associative_scan` would be unrolled.
    """
    count = len(logarithms)

    def double(sums: tuple[Array, Array], shift: Int[Array, ""]) -> tuple[tuple[Array, Array], None]:
        def earlier(values: Array, before: float | int) -> Array:
            return jax.lax.dynamic_slice_in_dim(
                jnp.pad(values, (count, 0), constant_values=before), count - shift, count
            )

        largest, multiple = sums
        other = jnp.where(earlier(stratum, -1) == stratum, earlier(largest, NOTHING), NOTHING)
        both = jnp.maximum(largest, other)
        return (both, multiple * jnp.exp(largest - both) + earlier(multiple, 0) * jnp.exp(other - both)), None

    fixed = jax.lax.stop_gradient(logarithms)
    shifts = jnp.asarray(2 ** np.arange(max(count - 1, 0).bit_length()))
    largest, multiple = jax.lax.scan(double, (fixed, jnp.exp(logarithms - fixed)), shifts)[0]
    return largest + jnp.log(multiple)


def _group_sums(logarithms: Float[Array, " batch"], group: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """Logarithm of the sum over its group of what these are the logarithms of, for every case."""
    count = len(logarithms)
    largest = jax.lax.stop_gradient(jax.ops.segment_max(logarithms, group, count))[group]
    return largest + jnp.log(jax.ops.segment_sum(jnp.exp(logarithms - largest), group, count)[group])
