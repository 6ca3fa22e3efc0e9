"""The ratio of two sides that took turns, with an interval that holds for any distribution."""

import statistics
from collections.abc import Sequence

LEVEL = 0.95


def held(values: Sequence[float]) -> tuple[float, float] | None:
    """Return order statistics that hold the median in 95 % at least; None below six values, where there are none."""
    from scipy.stats import binom

    ordered = sorted(values)
    # The smallest rank of which the chance is above 2.5 %: the rank-th smallest and largest hold the median.
    rank = int(binom.ppf((1 - LEVEL) / 2, len(ordered), 0.5))
    return (ordered[rank - 1], ordered[-rank]) if rank else None


def ratio(upper: Sequence[float], lower: Sequence[float]) -> dict[str, float | None]:
    """Return the median of upper / lower, round by round, and its interval: `median`, `low`, `high` (None: too few)."""
    ratios = [a / b for a, b in zip(upper, lower, strict=True)]
    low, high = held(ratios) or (None, None)
    return {"median": statistics.median(ratios), "low": low, "high": high}
