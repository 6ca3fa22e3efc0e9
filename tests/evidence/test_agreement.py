"""Bias and limits of agreement."""

import numpy as np
import pytest

from medjax.evidence.agreement import agreement


def test_limits_of_agreement_are_those_of_bland_and_altman():
    rng = np.random.default_rng(1)
    observed = rng.normal(size=200)
    predicted = observed + rng.normal(0.3, 0.5, 200)
    found = agreement(predicted, observed, np.arange(200))
    difference = predicted - observed
    sd = difference.std(ddof=1)
    assert found["bias"].estimate == pytest.approx(difference.mean())
    assert found["upper limit of agreement"].estimate == pytest.approx(difference.mean() + 1.96 * sd)
    half = (found["bias"].high - found["bias"].low) / 2
    assert half == pytest.approx(1.972 * sd / np.sqrt(200), rel=1e-3)  # Student, 199 degrees of freedom
    limit = found["lower limit of agreement"]
    bland = 1.972 * sd * np.sqrt((1 + 1.96**2 / 2) / 200)  # their approximation for normal differences
    assert (limit.high - limit.low) / 2 == pytest.approx(bland, rel=0.2)


def test_limits_may_lie_further_out_more_than_further_in():
    """The standard deviation of a sample is rather too small; the unit is the patient; what does not vary has a reason."""
    difference = np.random.default_rng(2).standard_t(4, 30)
    found = agreement(difference, np.zeros(30), np.arange(30))
    for name, outwards in (("upper limit of agreement", 1), ("lower limit of agreement", -1)):
        limit = found[name]
        above, below = limit.high - limit.estimate, limit.estimate - limit.low
        assert outwards * (above - below) > 0
    twice = agreement(np.repeat(difference, 2), np.zeros(60), np.repeat(np.arange(30), 2))
    for name, one in found.items():
        assert twice[name].high - twice[name].low == pytest.approx(one.high - one.low, rel=0.03)
    assert agreement(np.ones(5), np.zeros(5), np.arange(5))["upper limit of agreement"].reason
