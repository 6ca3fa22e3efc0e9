"""Conformal sets and intervals: by hand, at the limits, and the promised coverage over re-splits by patient."""

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence import conformal

TWO = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "conformal.py"
    specification = importlib.util.spec_from_file_location("conformal_benchmark", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["conformal_benchmark"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def test_threshold_by_hand():
    # Scores .1, .2, .4, .3; ceil(5 x .6) = 3rd smallest is .3; ceil(5 x .8) = 4th is .4.
    target, patient = np.array([0, 1, 0, 1]), np.arange(4)
    assert conformal.fit(TWO, target, patient, 0.4)["thresholds"] == pytest.approx([0.3, 0.3])
    found = conformal.fit(TWO, target, patient, 0.2)
    assert found["thresholds"] == pytest.approx([0.4, 0.4])
    asked = np.array([[0.65, 0.35], [0.6, 0.4], [0.5, 0.5], [0.3, 0.7]])
    np.testing.assert_array_equal(conformal.sets(found, asked), [[1, 0], [1, 0], [0, 0], [0, 1]])


@pytest.mark.parametrize("alpha", [0.05, 0.1, 0.25])
def test_one_case_a_patient_gives_the_finite_sample_quantile(alpha):
    generator = np.random.default_rng(0)
    for size in (19, 20, 99, 100, 101):
        values, target = generator.dirichlet(np.ones(3), size), generator.integers(0, 3, size)
        found = conformal.fit(values, target, np.arange(size), alpha)["thresholds"][0]
        scores = np.sort(1 - values[np.arange(size), target])
        rank = math.ceil(round((size + 1) * (1 - alpha), 9))
        assert found == scores[rank - 1]


def test_cases_of_a_patient_share_its_weight():
    # Patient 0 has 3 cases of score .5, patients 1 to 4 one of .1: it counts as one patient of five.
    values = np.array([[0.5, 0.5]] * 3 + [[0.9, 0.1]] * 4)
    patient = np.array([0, 0, 0, 1, 2, 3, 4])
    found = conformal.fit(values, np.zeros(7, np.int64), patient, 0.34)
    assert found["thresholds"][0] == pytest.approx(0.1)
    assert conformal.fit(values, np.zeros(7, np.int64), patient, 0.2)["thresholds"][0] == pytest.approx(0.5)
    as_cases = conformal.fit(values, np.zeros(7, np.int64), np.arange(7), 0.34)
    assert as_cases["thresholds"][0] == pytest.approx(0.5)


def test_too_few_patients_give_infinite_sets_and_say_so():
    values, target = np.tile(TWO, (5, 1)), np.tile([0, 1, 0, 1], 5)
    assert "reasons" not in conformal.fit(values[:19], target[:19], np.arange(19), 0.05)
    found = conformal.fit(values[:18], target[:18], np.arange(18), 0.05)
    assert found["thresholds"] == [None, None]
    assert found["reasons"]["0"] == "18 calibration patients are too few for alpha 0.05: 19 are needed"
    assert conformal.sets(found, np.array([[1.0, 0.0]])).all()
    whole = conformal.report(found, values, target, np.arange(20))
    assert whole["coverage"]["estimate"] == 1
    assert whole["reasons"] == found["reasons"]
    assert whole["sizes"] == [0, 0, 20]
    clustered = conformal.fit(values, target, np.arange(20) // 2, 0.05)  # cases do not stand in for patients
    assert clustered["thresholds"] == [None, None]
    own = conformal.fit(values, np.r_[np.zeros(19, np.int64), 1], np.arange(20), 0.1, class_conditional=True)
    assert own["thresholds"][0] is not None
    assert own["thresholds"][1] is None
    assert own["reasons"] == {"1": "class 1: 1 calibration patients are too few for alpha 0.1: 9 are needed"}


def test_class_conditional_thresholds_are_those_of_each_class_alone():
    generator = np.random.default_rng(1)
    values, target, patient = generator.dirichlet(np.ones(3), 300), generator.integers(0, 3, 300), np.arange(300) // 2
    found = conformal.fit(values, target, patient, 0.1, class_conditional=True)
    for k in range(3):
        own = target == k
        alone = conformal.fit(values[own], target[own], patient[own], 0.1)
        assert found["thresholds"][k] == alone["thresholds"][0]
    assert len(set(found["thresholds"])) == 3


def test_perfect_predictions_give_single_classes():
    target = np.arange(60) % 3
    values = np.eye(3)[target]
    for conditional in (False, True):
        found = conformal.fit(values, target, np.arange(60), 0.1, class_conditional=conditional)
        assert found["thresholds"] == [0, 0, 0]
        np.testing.assert_array_equal(conformal.sets(found, values), values.astype(bool))
        whole = conformal.report(found, values, target, np.arange(60), names=("a", "b", "c"))
        assert whole["coverage"]["estimate"] == 1
        assert whole["mean_set_size"]["estimate"] == 1
        assert whole["mean_set_size"]["low"] is None
        assert "no variation" in whole["mean_set_size"]["reason"]
        assert whole["empty"]["estimate"] == whole["full"]["estimate"] == 0


def test_order_of_cases_and_names_of_patients_change_nothing():
    generator = np.random.default_rng(2)
    values, target = generator.dirichlet(np.ones(4), 400), generator.integers(0, 4, 400)
    patient = generator.integers(0, 90, 400)
    patient = np.unique(patient, return_inverse=True)[1]
    order, rename = generator.permutation(400), generator.permutation(patient.max() + 1)
    for conditional in (False, True):
        found = conformal.fit(values, target, patient, class_conditional=conditional)
        again = conformal.fit(values[order], target[order], rename[patient][order], class_conditional=conditional)
        assert found == again
        one = conformal.report(found, values, target, patient)
        other = conformal.report(found, values[order], target[order], rename[patient][order])
        for name in ("coverage", "coverage_of_cases", "empty", "full"):
            for key in ("estimate", "low", "high"):
                assert one[name][key] == pytest.approx(other[name][key], abs=1e-12)


def test_report_counts_by_hand():
    parameters = conformal.fit(TWO, np.array([0, 1, 0, 1]), np.arange(4), 0.2)  # threshold .4
    values = np.array([[0.7, 0.3], [0.7, 0.3], [0.5, 0.5], [0.1, 0.9]])
    whole = conformal.report(parameters, values, np.array([0, 1, 1, 1]), np.array([0, 0, 0, 1]))
    assert whole["coverage_of_cases"]["estimate"] == 0.5
    assert whole["coverage"]["estimate"] == pytest.approx((1 / 3 + 1) / 2)
    assert whole["classes"]["0"]["estimate"] == 1
    assert whole["classes"]["1"]["estimate"] == pytest.approx((0 + 1) / 2)
    assert whole["sizes"] == [1, 3, 0]
    assert whole["mean_set_size"]["estimate"] == 0.75
    assert whole["empty"]["estimate"] == 0.25
    assert whole["nominal"] == 0.8
    json.dumps(whole, allow_nan=False)
    json.dumps(parameters, allow_nan=False)


def test_stored_parameters_give_the_same_sets():
    generator = np.random.default_rng(3)
    values, target = generator.dirichlet(np.ones(3), 100), generator.integers(0, 3, 100)
    found = conformal.fit(values, target, np.arange(100))
    np.testing.assert_array_equal(conformal.sets(json.loads(json.dumps(found)), values), conformal.sets(found, values))
    assert conformal.sets(found, values)[np.arange(100), target].sum() >= 90  # the threshold's own case is inside


@pytest.mark.parametrize("each", [1, 5])
@pytest.mark.parametrize("conditional", [False, True])
def test_coverage_over_resplits_by_patient_is_as_promised(benchmark, each, conditional):
    row = benchmark.resplits(classes=2, each=each, alpha=0.1, conditional=conditional, repetitions=200, patients=600)
    for covered in row["promised"]:
        assert abs(covered - 0.9) < 0.01, row


def test_pooled_cases_would_break_the_promise_where_large_patients_are_easy(benchmark):
    """Why patients are weighted: scores of patients with many cases would otherwise set the threshold."""
    row = benchmark.resplits(classes=2, each=5, alpha=0.1, conditional=False, repetitions=60, patients=600, uneven=True)
    assert abs(row["promised"][0] - 0.9) < 0.01
    assert row["pooled"] < 0.88


@pytest.mark.parametrize("each", [1, 5])
@pytest.mark.parametrize("quantiles", [False, True])
def test_intervals_of_values_cover_over_resplits(benchmark, each, quantiles):
    row = benchmark.value_resplits(each=each, alpha=0.1, quantiles=quantiles, repetitions=200, patients=600)
    assert abs(row["promised"] - 0.9) < 0.01, row


def test_bounds_by_hand():
    values = np.array([[1.0], [2.0], [3.0], [4.0]])
    target = np.array([1.1, 2.2, 2.7, 4.4])
    found = conformal.fit_bounds(values, target, np.arange(4), 0.4)  # residuals .1 .2 .3 .4; the third
    assert found["thresholds"][0] == pytest.approx(0.3)
    np.testing.assert_allclose(conformal.bounds(found, np.array([[10.0]])), [[9.7, 10.3]])
    # Quantiles: .5 outside below, .5 inside, 0 at the end, .25 outside above.
    columns = np.array([[0.0, 1.0, 2.0]] * 4)
    outside = conformal.fit_bounds(columns, np.array([0.5, 1.5, 1.0, 2.25]), np.arange(4), 0.2, quantiles=(0.1, 0.9))
    assert outside["thresholds"][0] == pytest.approx(0.5)
    np.testing.assert_allclose(conformal.bounds(outside, columns[:1]), [[0.5, 2.5]])


def test_quantiles_too_wide_are_drawn_in_to_a_point_at_most():
    columns = np.array([[0.0, -1.0, 1.0]] * 40)
    found = conformal.fit_bounds(columns, np.zeros(40), np.arange(40), 0.1, quantiles=(0.1, 0.9))
    assert found["thresholds"][0] == -1
    np.testing.assert_allclose(conformal.bounds(found, np.array([[0.5, 0.4, 0.8]])), [[0.6, 0.6]])
    np.testing.assert_array_equal(conformal.bounds(found, np.array([[0.5, -3.0, 3.0]])), [[-2.0, 2.0]])


def test_infinite_bounds_say_why():
    found = conformal.fit_bounds(np.zeros((8, 1)), np.zeros(8), np.arange(8), 0.1)
    assert found["thresholds"] == [None]
    np.testing.assert_array_equal(conformal.bounds(found, np.zeros((1, 1))), [[-np.inf, np.inf]])
    whole = conformal.report_bounds(found, np.zeros((8, 1)), np.zeros(8), np.arange(8))
    assert whole["mean_width"]["reason"] == "the intervals are infinite"
    json.dumps([found, whole], allow_nan=False)


def test_interval_of_the_coverage_covers(benchmark):
    """Of the mean over patients of shares, with 1 to 9 cases each: Wilson with their number of effective patients."""
    generator = np.random.default_rng(4)
    hits = 0
    for _ in range(400):
        patient = np.repeat(np.arange(80), generator.integers(1, 10, 80))
        chance = generator.beta(4.5, 0.5, 80)  # .9 on average, very unequal
        inside = generator.random(len(patient)) < chance[patient]
        found = conformal._coverage(inside, patient, 0.95)
        hits += found.low <= 0.9 <= found.high
    assert 0.92 < hits / 400 < 0.98


def test_mistakes_are_named():
    target, patient = np.array([0, 1, 0, 1]), np.arange(4)
    with pytest.raises(InputError, match="alpha is 0"):
        conformal.fit(TWO, target, patient, 0.0)
    with pytest.raises(InputError, match="known targets"):
        conformal.fit(TWO, np.array([0, 1, -1, 1]), patient)
    with pytest.raises(InputError, match="fitted on 2 classes, applied to 3"):
        conformal.sets(conformal.fit(TWO, target, patient), np.full((1, 3), 1 / 3))
    with pytest.raises(InputError, match="for 'value', not 'classes'"):
        conformal.sets(conformal.fit_bounds(np.zeros((4, 1)), np.zeros(4), patient), TWO)
    with pytest.raises(InputError, match="known targets"):
        conformal.fit_bounds(np.zeros((2, 1)), np.array([0.0, np.nan]), np.arange(2))
    with pytest.raises(InputError, match="3 columns for a prediction and 1 quantiles"):
        conformal.fit_bounds(np.zeros((2, 3)), np.zeros(2), np.arange(2), quantiles=(0.5,))
