"""Patients for the next study: against brute force, published numbers, and studies drawn at the size that is named."""

import json
import math

import numpy as np
import pytest
from scipy.special import expit

from medjax.errors import InputError
from medjax.evidence import auroc, intervals, sample_size


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("half_width", [0.02, 0.05, 0.1])
def test_cases_for_a_share_are_the_fewest_that_suffice(share, half_width):
    def half(cases: int) -> float:
        low, high = intervals.wilson(share * cases, cases)
        return (high - low) / 2

    needed = sample_size.cases_for_share(share, half_width)
    assert half(needed) <= half_width + 1e-12
    assert needed == 1 or half(needed - 1) > half_width


def test_a_share_of_one_half_needs_nearly_what_every_textbook_says():
    assert sample_size.cases_for_share(0.5, 0.05) == math.ceil(1.959964**2 * (0.25 / 0.05**2 - 1))  # 385 less z2


def test_hanley_and_mcneil_hold_for_exponential_scores():
    generator, area = np.random.default_rng(0), 0.85
    positive = generator.exponential(area / (1 - area), (8000, 20, 1))
    drawn = (positive > generator.exponential(1.0, (8000, 1, 60))).mean((1, 2))
    assert drawn.mean() == pytest.approx(area, abs=0.003)
    assert drawn.var() == pytest.approx(sample_size.hanley_mcneil(area, 20, 60), rel=0.05)


def test_cases_for_an_expected_auroc_give_the_stated_interval():
    events, non_events = sample_size.cases_for_auroc(0.85, 0.05, prevalence=0.25)
    assert non_events == 3 * events
    needed = sample_size.auroc_variance_for(0.85, 0.05)
    assert sample_size.hanley_mcneil(0.85, events, non_events) <= needed
    assert sample_size.hanley_mcneil(0.85, events - 1, 3 * (events - 1)) > needed
    step = 1.959964 * math.sqrt(needed) / (0.85 * 0.15)
    centre = math.log(0.85 / 0.15)
    assert (expit(centre + step) - expit(centre - step)) / 2 == pytest.approx(0.05, abs=1e-6)
    with pytest.raises(InputError, match="state others"):
        sample_size.cases_for_auroc(1.0, 0.05, prevalence=0.25)


def drawn(seed: int, patients: int, cases: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), cases)
    x = generator.normal(size=patients)[patient] + 0.5 * generator.normal(size=len(patient))
    return expit(2 * x - 1), (generator.random(len(patient)) < expit(2 * x - 1)).astype(int), patient


@pytest.mark.parametrize("cases", [1, 5])
def test_studies_of_the_named_size_have_the_stated_width(cases):
    """A large first study names a size; studies of that size have intervals of the width that was asked for."""
    found = sample_size.precision(*drawn(0, 6000, cases), threshold=0.4, half_width=0.06)
    json.dumps(found, allow_nan=False)
    for name, own in (("sensitivity", 1), ("specificity", 0), ("auroc", None)):
        size, halves = found[name]["patients"], []
        for seed in range(40):
            probability, target, patient = drawn(seed + 1, size, cases)
            if own is None:
                one = auroc.auroc(probability, target, patient)
            else:
                among = target == own
                one = intervals.proportion(((probability >= 0.4) == target)[among], patient[among])
            halves.append((one.high - one.low) / 2)
        assert np.mean(halves) == pytest.approx(0.06, rel=0.05), name


def test_what_does_not_vary_cannot_be_planned():
    target = np.repeat([0, 1], 20)
    found = sample_size.precision(target * 0.8 + 0.1, target, np.arange(40), threshold=0.5)
    for name in ("sensitivity", "specificity", "auroc"):
        assert found[name]["patients"] is None
        assert found[name]["reason"].startswith("not estimable for +- 0.05: it is 1 here")
    one_class = sample_size.precision(np.linspace(0, 1, 9), np.ones(9, int), np.arange(9), threshold=0.5)
    assert one_class["specificity"]["reason"].endswith("no case is negative")
    assert one_class["auroc"]["patients"] is None
    json.dumps(one_class, allow_nan=False)
    for wrong in (0, 0.5, -1):
        with pytest.raises(InputError, match="half width"):
            sample_size.precision(target * 0.8, target, np.arange(40), threshold=0.5, half_width=wrong)


def test_more_is_needed_for_half_the_width_and_the_order_of_cases_is_nothing():
    probability, target, patient = drawn(3, 300, 2)
    wide, narrow = (
        sample_size.precision(probability, target, patient, threshold=0.4, half_width=h) for h in (0.08, 0.04)
    )
    for name in ("sensitivity", "specificity", "auroc"):
        assert 3.5 < narrow[name]["patients"] / wide[name]["patients"] < 4.8
    order = np.random.default_rng(0).permutation(600)
    assert (
        sample_size.precision(probability[order], target[order], patient[order], threshold=0.4, half_width=0.08) == wide
    )


def test_non_inferiority_keeps_its_power():
    """Of studies of the named size, four in five show two equal predictors non-inferior."""
    found = sample_size.non_inferiority(0.03, 200, 0.05, power=0.8)
    assert found["patients"] == math.ceil(200 * ((1.959964 + 0.841621) * 0.03 / 0.05) ** 2)
    assert found["low"] < found["patients"] < found["high"]
    assert found["assumed_difference"] == 0.0
    size = found["patients"]
    differences = np.random.default_rng(0).normal(0, 0.03 * math.sqrt(200), (4000, size))
    means, errors = differences.mean(1), differences.std(1, ddof=1) / math.sqrt(size)
    assert np.mean(means - 1.96 * errors > -0.05) == pytest.approx(0.8, abs=0.025)


def test_non_inferiority_does_not_know_the_observed_difference_and_says_when_it_cannot_tell():
    assert (
        sample_size.non_inferiority(0.02, 100, 0.04)["patients"]
        == sample_size.non_inferiority(0.01, 100, 0.02)["patients"]
    )
    for error, why in ((0.0, "does not vary"), (math.nan, "no standard error")):
        found = sample_size.non_inferiority(error, 100, 0.02)
        assert found["patients"] is None
        assert why in found["reason"]
        json.dumps(found, allow_nan=False)
    for margin in (0.0, -0.1, math.nan):
        with pytest.raises(InputError, match="margin"):
            sample_size.non_inferiority(0.02, 100, margin)
