"""The evaluation is strict JSON, agrees with scikit-learn, and refuses what cannot be evaluated."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from medjax.errors import InputError
from medjax.evidence import comparison
from medjax.evidence.difference import Difference, between_methods, difference_interval
from medjax.evidence.evaluation import evaluate
from medjax.evidence.intervals import Interval
from medjax.evidence.predictions import Predictions, ensemble, select
from medjax.evidence.setting import BINARY, MULTI_CLASS, REGRESSION


def binary(size: int = 200, members: int = 3, skill: float = 1.5, folds: bool = True, seed: int = 0) -> Predictions:
    generator = np.random.default_rng(99)
    target = (generator.random(size) < 0.4).astype(np.int64)
    shared = generator.normal(size=size)
    noise = np.random.default_rng(seed).normal(size=(members, size))
    odds = skill * (skill * (target - 0.5) + 0.9 * shared + 0.4 * noise)
    positive = 1 / (1 + np.exp(-odds))
    return Predictions(
        id=np.array([f"case {k}" for k in range(size)]),
        group=np.array([f"patient {k}" for k in range(size)]),
        target=target,
        values=np.stack([1 - positive, positive], axis=-1),
        replicate=np.arange(members),
        seed=np.arange(members),
        fold=np.arange(size) % 5 if folds else np.full(size, -1),
        kind="probability",
        classes=("healthy", "ill"),
    )


def several(size: int = 150) -> Predictions:
    generator = np.random.default_rng(1)
    target = generator.integers(0, 3, size)
    values = generator.dirichlet(np.ones(3), size) + np.eye(3)[target] * 0.5
    base = binary(size, 1, folds=False)
    return replace(base, target=target, values=(values / 1.5)[None], classes=("a", "b", "c"))


def values(size: int = 120) -> Predictions:
    generator = np.random.default_rng(2)
    target = generator.normal(50, 10, size)
    guess = target + generator.normal(0, 5, (2, size))
    return replace(binary(size, 2, folds=False), target=target, values=guess[..., None], kind="value", classes=())


def strict(evaluation: dict) -> dict:
    return json.loads(json.dumps(evaluation, allow_nan=False))


def test_binary_evaluation_is_strict_json_with_every_metric():
    predictions = binary()
    found = strict(evaluate(predictions, positive=1, threshold=0.4, prevalences=(0.1,), resamples=200))
    assert set(found["metrics"]) == set(BINARY)
    for entry in found["metrics"].values():
        assert entry["low"] < entry["estimate"] < entry["high"]
        assert entry["seeds"]["count"] == 3
        assert entry["method"]
        assert entry["patients"] <= 200
    score = ensemble(predictions)[:, 1]
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["estimate"] == pytest.approx(sklearn_metrics.accuracy_score(predictions.target, score >= 0.4))
    assert accuracy["numerator"] / accuracy["denominator"] == pytest.approx(accuracy["estimate"])
    assert found["metrics"]["brier"]["base_rate_alone"] == pytest.approx(
        predictions.target.mean() * (1 - predictions.target.mean())
    )
    assert np.sum(found["confusion_matrix"]) == 200
    matrix = sklearn_metrics.confusion_matrix(predictions.target, score >= 0.4)
    np.testing.assert_array_equal(found["confusion_matrix"], matrix)
    assert found["at_threshold_half"]["accuracy"]["estimate"] == pytest.approx(
        np.mean((score >= 0.5) == predictions.target)
    )
    assert len(found["folds"]["values"]) == 5
    assert found["counts"]["folds"] == 5


def test_estimate_is_the_ensemble_and_seeds_are_the_single_models():
    predictions = binary(folds=False)
    entry = evaluate(predictions, positive=1, resamples=50)["metrics"]["auroc"]
    single = [sklearn_metrics.roc_auc_score(predictions.target, one[:, 1]) for one in predictions.values]
    assert entry["estimate"] == pytest.approx(
        sklearn_metrics.roc_auc_score(predictions.target, ensemble(predictions)[:, 1])
    )
    assert entry["seeds"]["mean"] == pytest.approx(np.mean(single))
    assert entry["seeds"]["standard_deviation"] == pytest.approx(np.std(single, ddof=1))


def test_positive_class_zero_mirrors_the_binary_metrics():
    predictions = binary()
    ill, healthy = (evaluate(predictions, positive=k, resamples=50)["metrics"] for k in (1, 0))
    assert ill["auroc"]["estimate"] == pytest.approx(healthy["auroc"]["estimate"])
    assert ill["sensitivity"]["low"] == pytest.approx(healthy["specificity"]["low"])
    assert ill["brier"]["estimate"] == pytest.approx(healthy["brier"]["estimate"])


def test_without_a_reference_the_smallest_difference_to_a_fixed_value_is_told():
    small, large = (evaluate(binary(size), positive=1, resamples=50) for size in (200, 800))
    one = small["metrics"]["auroc"]
    assert small["smallest_detectable_difference"] == pytest.approx(2.8 * (one["high"] - one["low"]) / 2 / 1.959964)
    assert small["smallest_detectable_difference"] > 1.3 * large["smallest_detectable_difference"]
    assert "smallest_detectable_difference" not in evaluate(
        binary(), positive=1, reference=binary(seed=7), resamples=50
    )


def test_each_further_reference_is_compared_as_if_it_were_the_only_one():
    ours, one, two = binary(), binary(seed=7), binary(seed=8)
    shuffled = select(two, np.random.default_rng(0).permutation(200))
    both = strict(evaluate(ours, positive=1, reference=one, further={"two": shuffled}, margin=0.05, resamples=50))
    alone = evaluate(ours, positive=1, reference=two, reference_name="two", margin=0.05, resamples=50)
    assert both["further_references"] == [{**alone["reference"], "comparison": alone["comparison"]}]
    assert both["comparison"] == evaluate(ours, positive=1, reference=one, margin=0.05, resamples=50)["comparison"]
    with pytest.raises(InputError, match="lacks 100 cases"):
        evaluate(ours, positive=1, reference=one, further={"two": select(two, np.arange(100))}, resamples=50)


def test_order_of_cases_changes_nothing():
    predictions = binary()
    shuffled = select(predictions, np.random.default_rng(0).permutation(200))
    ours, theirs = (evaluate(one, positive=1, resamples=0)["metrics"] for one in (predictions, shuffled))
    for name in BINARY:
        assert ours[name]["low"] == pytest.approx(theirs[name]["low"], abs=1e-9), name


def test_cases_of_one_patient_widen_the_intervals():
    predictions = binary()
    fifth = replace(predictions, group=np.array([f"patient {t} {k // 10}" for k, t in enumerate(predictions.target)]))
    alone, grouped = (evaluate(one, positive=1, resamples=50) for one in (predictions, fifth))
    assert grouped["counts"]["patients"] < 50
    assert "patient" in grouped["metrics"]["auroc"]["method"]
    assert grouped["metrics"]["auroc"]["estimate"] == alone["metrics"]["auroc"]["estimate"]
    assert "warning" in grouped["metrics"]["accuracy"]
    assert "warning" not in alone["metrics"]["accuracy"]
    assert "patient 1" not in json.dumps(grouped)


def test_multi_class_and_regression():
    found = strict(evaluate(several(), resamples=50))
    assert set(found["metrics"]) == set(MULTI_CLASS)
    assert set(found["classes"]) == {"a", "b", "c"}
    target, mean = several().target, ensemble(several())
    macro = np.mean([sklearn_metrics.roc_auc_score(target == k, mean[:, k]) for k in range(3)])
    assert found["metrics"]["auroc"]["estimate"] == pytest.approx(macro)
    assert found["metrics"]["f1"]["estimate"] == pytest.approx(
        sklearn_metrics.f1_score(target, mean.argmax(-1), average="macro")
    )
    found = strict(evaluate(values(), primary="r2", reference=values(), margin=0.1, resamples=50))
    assert set(found["metrics"]) == set(REGRESSION)
    assert found["comparison"]["predictors"]["r2"]["estimate"] == 0


def test_undefined_metrics_are_null_with_a_reason():
    predictions = binary(folds=False)
    one_class = select(predictions, np.flatnonzero(predictions.target == 1))
    found = strict(evaluate(one_class, positive=1, primary="accuracy", resamples=50))
    assert found["metrics"]["auroc"]["estimate"] is None
    assert found["metrics"]["auroc"]["reason"]
    assert found["metrics"]["specificity"]["reason"]
    assert found["metrics"]["sensitivity"]["estimate"] is not None


def test_cases_without_target_are_left_out_and_counted():
    predictions = binary()
    some = replace(predictions, target=np.where(np.arange(200) < 20, -1, predictions.target))
    found = evaluate(some, positive=1, resamples=50)
    assert found["counts"]["cases"] == 180
    assert found["counts"]["without_target"] == 20


def test_refusals():
    predictions = binary()
    one_class = select(predictions, np.flatnonzero(predictions.target == 1))
    for arguments, message in (
        ({"positive": None}, "positive class"),
        ({"positive": 2}, "not one of the classes"),
        ({"positive": 1, "primary": "dice"}, "does not apply"),
        ({"positive": 1, "margin": -0.1}, "negative"),
        ({"positive": 1, "reference": select(predictions, np.arange(100))}, "lacks 100 cases"),
        ({"positive": 1, "reference": replace(predictions, target=1 - predictions.target)}, "another target"),
    ):
        with pytest.raises(InputError, match=message):
            evaluate(predictions, **arguments)
    with pytest.raises(InputError, match="no case is healthy"):
        evaluate(one_class, positive=1)
    apart = replace(predictions, fold=predictions.target)  # every fold holds one class
    with pytest.raises(InputError, match="no fold holds both classes"):
        evaluate(apart, positive=1)


def test_comparison_is_paired_and_changes_sign():
    ours, theirs = binary(skill=1.8), binary(skill=1.2, seed=5)
    one = strict(evaluate(ours, positive=1, reference=theirs, margin=0.05, resamples=50))["comparison"]
    two = evaluate(theirs, positive=1, reference=ours, margin=0.05, resamples=50)["comparison"]
    for name in BINARY:
        first, second = one["predictors"][name], two["predictors"][name]
        assert first["estimate"] == pytest.approx(-second["estimate"], abs=1e-12)
        assert first["low"] == pytest.approx(-second["high"], abs=1e-9), name
    difference = one["predictors"]["auroc"]
    alone = evaluate(ours, positive=1, resamples=50)["metrics"]["auroc"]
    assert difference["high"] - difference["low"] < alone["high"] - alone["low"]  # pairing pays
    assert difference["smallest_detectable_difference"] > 0
    # The detectable difference is 2.8 standard errors; with as many patients as are needed it would be the margin.
    needed = difference["needed_for_non_inferiority"]
    assert needed["patients"] == np.ceil(200 * (difference["smallest_detectable_difference"] / 0.05) ** 2)
    assert needed["low"] < needed["patients"] < needed["high"]
    assert (
        "needed_for_non_inferiority"
        not in evaluate(ours, positive=1, reference=theirs, resamples=50)["comparison"]["predictors"]["auroc"]
    )  # no margin was stated
    assert one["methods"]["auroc"]["low"] < one["methods"]["auroc"]["high"]


def test_a_reference_in_another_order_is_aligned_by_case():
    ours, theirs = binary(), binary(skill=1.2, seed=5)
    shuffled = select(theirs, np.random.default_rng(1).permutation(200))
    one, two = (evaluate(ours, positive=1, reference=other, resamples=50) for other in (theirs, shuffled))
    assert one["comparison"]["predictors"]["auroc"] == two["comparison"]["predictors"]["auroc"]
    assert two["reference"]["metrics"]["auroc"] == one["reference"]["metrics"]["auroc"]


def test_verdicts_follow_the_interval():
    def of(low: float, high: float, margin: float | None, better: bool = True) -> str:
        found = Interval((low + high) / 2, low, high, 0.95, "")
        return comparison.verdict(found, margin, higher_is_better=better)

    assert of(0.01, 0.03, 0.01) == "superior"
    assert of(-0.03, -0.01, 0.01, better=False) == "superior"
    assert of(-0.005, 0.02, 0.01).startswith("non-inferior")
    assert of(-0.02, 0.02, 0.01).startswith("inconclusive")
    assert of(-0.02, 0.005, 0.01, better=False).startswith("non-inferior")
    assert of(-0.05, -0.02, 0.01).startswith("inferior")
    assert of(-0.05, 0.02, None) == "no difference shown"


def test_seeds_widen_the_comparison_of_methods():
    patients = Difference(0.02, 0.01, 199.0, "paired")
    still, moving = (
        difference_interval(between_methods(patients, seeds, np.full(1, 0.88)), 0.95)
        for seeds in (np.full(5, 0.9), np.array([0.8, 0.85, 0.9, 0.95, 1.0]))
    )
    assert still.estimate == pytest.approx(0.02)
    assert still.high - still.low == pytest.approx(2 * stats.t.ppf(0.975, 199) * 0.01)
    assert moving.high - moving.low > 2 * (still.high - still.low)
