"""Pairs of predictors: p-values and intervals adjusted for their number, and a plain verdict on each."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from medjax.evidence.comparison import SINGLE_MODELS, smallest_detectable
from medjax.evidence.difference import SAME, Difference, difference_interval, p_value
from medjax.evidence.intervals import Interval
from medjax.evidence.measures import entry
from medjax.evidence.setting import Setting, lower_is_better

Pair = tuple[str, str]


def holm(
    p_values: Sequence[float], level: float = 0.95
) -> tuple[Float[np.ndarray, " tests"], Float[np.ndarray, " tests"]]:
    """Holm's adjusted p-values, and for each test the level at which its interval says the same.

    Step-down (Holm, Scand. J. Stat. 6:65, 1979): the smallest p-value is held against alpha / m, the next against
    alpha / (m - 1), until one fails; all later ones fail with it. A test that is decided while k of the m still stand has
    the interval of level 1 - alpha / k (Serlin, J. Exp. Educ. 61:350, 1993), which leaves 0 out exactly where the adjusted
    p-value is below alpha. So intervals and tests agree; but these intervals do not hold all true differences at once, for
    which the level is 1 - alpha / m (Strassburger & Bretz, Stat. Med. 27:4914, 2008; Guilbaud, Biom. J. 50:678, 2008).
    Equal p-values are decided together. NaN (not estimable) counts as 1: the test stays among the m, and fails.
    """
    p = np.asarray(p_values, np.float64)
    p = np.where(np.isfinite(p), p, 1.0)
    order, alpha = np.argsort(p, kind="stable"), 1 - level
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    shown = adjusted < alpha
    standing = len(p) - np.where(shown, (p[:, None] > p).sum(-1), shown.sum())
    return adjusted, np.where(standing == 1, level, 1 - alpha / standing)


def judged_pairs(
    found: dict[Pair, tuple[Difference, str]],
    setting: Setting,
    *,
    primary: str,
    margin: float | int | None,
    level: float,
) -> list[dict]:
    """Each pair as JSON, adjusted for their number, with its verdict."""
    p_values = [p_value(difference) for difference, _ in found.values()]
    adjusted, levels = holm(p_values, level)
    cases, patients = len(setting.target), int(setting.patient.max()) + 1
    higher, result = not lower_is_better(primary), []
    for k, ((ours, theirs), (difference, warning)) in enumerate(found.items()):
        interval = difference_interval(difference, float(levels[k]))
        all_at_once = difference_interval(difference, 1 - (1 - level) / len(found))
        detectable = smallest_detectable(difference.error) if not difference.reason else math.nan
        outcome = _outcome(difference, interval, all_at_once, margin, higher_is_better=higher)
        estimable = math.isfinite(p_values[k])
        one = replace(difference_interval(difference, level), warning=warning)
        result.append(
            {"first": ours, "second": theirs}
            | entry(one, cases, patients)
            | {
                "p_value": p_values[k] if estimable else None,
                "adjusted": {
                    "p_value": float(adjusted[k]) if estimable else None,
                    "low": interval.low if estimable else None,
                    "high": interval.high if estimable else None,
                    "level": float(levels[k]),
                },
                "outcome": outcome,
                "verdict": _verdict(outcome, difference, detectable, margin, setting),
                "margin": margin,
                "smallest_detectable_difference": detectable if math.isfinite(detectable) else None,
            }
        )
    return result


def _outcome(
    found: Difference, interval: Interval, all_at_once: Interval, margin: float | int | None, *, higher_is_better: bool
) -> str:
    """What may be said of the first against the second."""
    if found.reason:
        return "identical" if found.reason == SAME else "not estimable"
    (low, high), (least, most) = (
        (one.low, one.high) if higher_is_better else (-one.high, -one.low) for one in (interval, all_at_once)
    )
    if low > 0:
        return "better"
    within = margin is not None and least > -margin
    if high < 0:
        return "worse within the margin" if within else "worse"
    other_within = margin is not None and most < margin
    if within:
        return "equivalent" if other_within else "non-inferior"
    return "second non-inferior" if other_within else "not distinguishable"


def _verdict(outcome: str, found: Difference, detectable: float, margin: float | int | None, setting: Setting) -> str:
    """The outcome in words."""
    cases, patients = len(setting.target), int(setting.patient.max()) + 1
    stated = "" if margin is None else f"margin {margin:g}"
    who = f"{cases} cases" if cases == patients else f"{cases} cases of {patients} patients"
    who += " and these seeds" if found.method == SINGLE_MODELS else ""
    return {
        "not estimable": f"not estimable: {found.reason}",
        "identical": f"no difference: {found.reason}",
        "better": "better",
        "worse": "worse",
        "worse within the margin": f"worse, yet non-inferior, {stated}",
        "equivalent": f"each non-inferior to the other, {stated}",
        "non-inferior": f"non-inferior, {stated}",
        "second non-inferior": f"the second is non-inferior, {stated}",
        "not distinguishable": f"not distinguishable; the smallest difference that {who} can show is {two_digits(detectable)}",
    }[outcome]


def two_digits(value: float) -> str:
    """A positive number with two significant digits, never in powers of ten."""
    return np.format_float_positional(value, precision=2, fractional=False, min_digits=2).rstrip(".")
