"""Operating thresholds: chosen on VALIDATION cases by a rule, then frozen; and what they attain there, with intervals."""

import numpy as np
from jaxtyping import Float, Shaped

from medjax.errors import InputError
from medjax.evidence.intervals import Cases, Patients, count_patients, proportion
from medjax.evidence.measures import entry
from medjax.metrics.threshold_rules import Rule, parse_rule, valid_rule

_ROUNDING = 1e-12  # 19 of 20 reaches .95, whatever the order of the sums


def choose_threshold(
    probability: Shaped[np.ndarray, " cases"],
    target: Shaped[np.ndarray, " cases"],
    weights: Shaped[np.ndarray, " cases"] | None = None,
    rule: str | float | int = "youden",
) -> float:
    """The threshold t, with "positive" meaning probability >= t; on VALIDATION cases only, then frozen.

    `rule` is a number, which is returned as it is, or one of

    - "youden": largest sensitivity + specificity - 1 (Youden, Cancer 3:32, 1950);
    - "accuracy": most cases right;
    - "sensitivity>=.95", "specificity>=.90": of the thresholds that reach the target the one with the most of the other
      quantity. Calling every case positive (or none) reaches it always and decides nothing, so it does not count; where no
      other threshold reaches the target, the one that comes nearest is taken, and `attained` says that it falls short;
    - "cost 10" or "cost 10:1": least expected cost, where a miss costs 10 false alarms. It may call all positive, or none.

    Candidates lie halfway between neighbouring probabilities; of equally good ones the middle one is taken.

    Raises:
        InputError: an unknown rule, a number outside 0 to 1, or one class only.
    """
    if not isinstance(rule, str):
        if not 0.0 <= float(rule) <= 1.0:
            raise InputError(f"threshold: {rule} lies outside 0 to 1")
        return float(rule)
    chosen = parse_rule(rule)
    score, positive = np.asarray(probability, np.float64), np.asarray(target).astype(bool)
    weights = np.ones(len(score)) if weights is None else np.asarray(weights, np.float64)
    present = weights > 0  # an integer weight is a case that often: one of weight 0 is not there
    score, positive, weights = score[present], positive[present], weights[present]
    positives, negatives = float(weights[positive].sum()), float(weights[~positive].sum())
    if positives <= 0 or negatives <= 0:
        raise InputError(f"threshold: rule {rule!r} needs both classes in the validation cases; state a number instead")
    candidates, caught, spared = _candidates(score, positive, weights)
    if chosen.name in ("sensitivity", "specificity"):
        best = _reaching(chosen, {"sensitivity": caught / positives, "specificity": spared / negatives})
    elif chosen.name == "youden":
        best = _largest(caught / positives + spared / negatives)
    else:
        best = _largest(caught + spared / (chosen.value if chosen.name == "cost" else 1.0))
    return float(candidates[best[(len(best) - 1) // 2]])


def _candidates(
    score: Float[np.ndarray, " cases"], positive: Shaped[np.ndarray, " cases"], weights: Float[np.ndarray, " cases"]
) -> tuple[Float[np.ndarray, " thresholds"], Float[np.ndarray, " thresholds"], Float[np.ndarray, " thresholds"]]:
    """Thresholds, weight of positives at or above each, and of negatives below each."""
    levels = np.unique(score)
    halfway = (levels[:-1] + levels[1:]) / 2
    halfway = np.where(halfway > levels[:-1], halfway, levels[1:])  # neighbouring floats have nothing between them
    candidates = np.concatenate([[levels[0] / 2], halfway, [(levels[-1] + 1) / 2]])
    place = np.searchsorted(levels, score)
    in_level = np.bincount(place, weights * positive, len(levels)), np.bincount(place, weights * ~positive, len(levels))
    caught = np.concatenate([np.cumsum(in_level[0][::-1])[::-1], [0.0]])
    spared = np.concatenate([[0.0], np.cumsum(in_level[1])])
    # No threshold up to 1 calls a probability of 1 negative.
    kept = slice(None, -1) if levels[-1] >= 1.0 else slice(None)
    return candidates[kept], caught[kept], spared[kept]


def _largest(gain: Float[np.ndarray, " thresholds"]) -> Shaped[np.ndarray, " best"]:
    return np.flatnonzero(gain >= gain.max() - _ROUNDING * max(1.0, abs(gain.max())))


def _reaching(chosen: Rule, shares: dict[str, Float[np.ndarray, " thresholds"]]) -> Shaped[np.ndarray, " best"]:
    """Of the thresholds that reach a target those with the most of the other quantity, and of these with the most of it.

    Where none reaches it, those that come nearest: a finished training is worth more than an error, and `attained` says so.
    """
    own = shares[chosen.name]
    other = shares["specificity" if chosen.name == "sensitivity" else "sensitivity"]
    both = np.flatnonzero((own > 0) & (other > 0))
    usable = both if len(both) else np.arange(len(own))
    reached = usable[own[usable] >= chosen.value - _ROUNDING]
    if not len(reached):
        reached = usable[_largest(own[usable])]
    reached = reached[_largest(other[reached])]
    return reached[_largest(own[reached])]


def attained(
    probability: Cases,
    target: Cases,
    patient: Patients,
    threshold: float | int,
    *,
    rule: str | float | int | None = None,
    level: float = 0.95,
) -> dict:
    """What a threshold attains on the validation cases, as JSON: sensitivity and specificity with Wilson's interval.

    Several cases of a patient count as their effective number. Under a `rule` with a target it also says whether the target
    is met, and whether the interval lies above it: as a rule it does not, since the threshold is set so that the estimate
    just reaches it. The intervals take the threshold as given; chosen on these same cases it is a little too good.
    """
    positive = np.asarray(target).astype(bool)
    said = np.asarray(probability, np.float64) >= threshold
    found: dict = {"threshold": float(threshold)}
    for name, among in (("sensitivity", positive), ("specificity", ~positive)):
        right = (said == positive)[among]
        one = proportion(right, patient[among], level)
        more = {"warning": one.warning} if one.warning else {}
        more |= {"numerator": int(right.sum()), "denominator": int(among.sum())}
        found[name] = entry(one, int(among.sum()), count_patients(patient, among), **more)
    if not isinstance(rule, str):
        return found
    chosen = parse_rule(rule)
    found |= {"rule": rule.strip(), "chosen_on": "these cases, so that both are a little too good"}
    if chosen.name in ("sensitivity", "specificity"):
        low = found[chosen.name]["low"]
        estimate = found[chosen.name]["estimate"]
        met = estimate is not None and estimate >= chosen.value - _ROUNDING
        sure = low is not None and low >= chosen.value
        found["target"] = {"quantity": chosen.name, "value": chosen.value, "met": met, "below_the_interval": sure}
        if not met:
            found["target"]["note"] = (
                f"NOT MET: no threshold that still tells cases apart has a {chosen.name} that high"
            )
        elif not sure and low is not None:
            found["target"]["note"] = (
                f"reached here; in other patients the {chosen.name} may well be lower, down to {low:.2f} by its interval"
            )
    return found


__all__ = ["attained", "choose_threshold", "parse_rule", "valid_rule"]
