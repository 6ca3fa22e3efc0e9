"""The evaluation is strict JSON, agrees with scikit-learn, and refuses what cannot be evaluated."""

import json
from dataclasses import replace

import numpy as np
import pytest
from flax import serialization
from scipy import stats
from sklearn import metrics as sklearn_metrics

from medjax.errors import InputError
from medjax.evidence import comparison
from medjax.evidence.difference import Difference, between_methods, difference_interval
from medjax.evidence.evaluation import evaluate
from medjax.evidence.intervals import Interval
from medjax.evidence.predictions import Predictions, ensemble, select
from medjax.evidence.setting import BINARY, MULTI_CLASS, REGRESSION, survival_metrics
from medjax.metrics import concordance, horizon
from medjax.metrics.survival import kaplan_meier


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


@pytest.mark.parametrize("predictions", [binary(60), several(60), values(60)], ids=["binary", "several", "values"])
def test_who_computes_a_metric_changes_nothing(predictions):
    """As processes divide them: in any order, and sent from one to the other."""

    def elsewhere(function, count):
        found = {number: function(number) for number in reversed(range(count))}
        return [serialization.msgpack_restore(serialization.msgpack_serialize(found[k])) for k in range(count)]

    settings = {"primary": "mean_absolute_error" if predictions.kind == "value" else "auroc", "resamples": 50}
    settings |= {"positive": 1} if len(predictions.classes) == 2 else {}
    settings |= {"reference": replace(predictions, values=predictions.values[:, ::-1])}
    assert evaluate(predictions, **settings) == evaluate(predictions, **settings, each=elsewhere)


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


# Times to an event.


def times(
    size: int = 80, members: int = 2, causes: tuple[str, ...] = (), cases_each: int = 1, folds: int = 0, seed: int = 0
) -> Predictions:
    """Curves at 2, 4, 6 and 8, judged at 4 and 8; exponential times, a third censored before 12."""
    generator = np.random.default_rng(5)
    x, number = generator.normal(size=size), max(len(causes), 1)
    own = np.stack([generator.exponential(9 * number * np.exp(-x * (-1) ** k)) for k in range(number)], -1)
    censored = np.minimum(generator.exponential(20, size), 12.0)
    time, event = np.minimum(own.min(-1), censored), np.where(own.min(-1) <= censored, own.argmin(-1) + 1, 0)
    noise = np.random.default_rng(seed).normal(0, 0.7, (members, size))
    grid = np.array([2.0, 4, 6, 8])
    risks = np.stack([(x + noise) * (-1) ** k for k in range(number)], -1)
    happened = 1 - np.exp(-np.exp(risks)[..., None] * grid / (9 * number))
    if causes:
        values = np.concatenate([risks, happened.reshape(members, size, -1) / number], -1)
    else:
        values = np.concatenate([risks, 1 - happened[:, :, 0]], -1)
    patient = np.arange(size) // cases_each
    return Predictions(
        id=np.array([f"case {k}" for k in range(size)]),
        group=np.array([f"patient {k}" for k in patient]),
        target=np.stack([time, event.astype(np.float64)], -1),
        values=values,
        replicate=np.arange(members),
        seed=np.arange(members),
        fold=patient % folds if folds else np.full(size, -1),
        kind="survival",
        classes=causes,
        times=tuple(grid),
        horizons=(4.0, 8.0),
    )


def test_survival_evaluation_has_every_metric_with_its_interval():
    predictions = times()
    found = strict(evaluate(predictions, primary="concordance_index", resamples=50))
    assert tuple(found["metrics"]) == tuple(survival_metrics((), (4.0, 8.0)))
    values, (time, event) = ensemble(predictions), predictions.target.T
    at, grid = np.array([4.0, 8.0]), np.array(predictions.times)
    survive = values[:, [2, 4]]
    expected = {
        "concordance_index": concordance.harrell(values[:, 0], time, event, truncation=8.0),
        "uno_concordance_index": concordance.uno(values[:, 0], time, event, truncation=8.0),
        "time_dependent_concordance_index": concordance.antolini(
            values[:, 1:], grid, np.minimum(time, 8), event * (time < 8)
        ),
        "integrated_brier": horizon.integrated_brier(values[:, 1:], time, event, grid),
    }
    for name in ("brier", "prediction_accuracy", "observed_to_expected"):
        one = getattr(horizon, name)(survive, time, event, at)
        expected |= {f"{name}_at_4": one[0], f"{name}_at_8": one[1]}
    one = horizon.auroc(1 - survive, time, event, at)
    expected |= {"auroc_at_4": one[0], "auroc_at_8": one[1]}
    assert set(expected) == set(found["metrics"])
    for name, value in expected.items():
        entry = found["metrics"][name]
        assert entry["estimate"] == pytest.approx(float(value)), name
        assert entry["low"] < entry["estimate"] < entry["high"], name
        assert entry["seeds"]["count"] == 2
    share = 1 - kaplan_meier(time, event).at(at)
    assert found["metrics"]["brier_at_8"]["one_curve_for_all"] == pytest.approx(share[1] * (1 - share[1]))
    counts = found["counts"]
    assert (counts["events"], counts["censored"]) == (int(event.sum()), 80 - int(event.sum()))
    assert (counts["until"], counts["horizons"], counts["longest_follow_up"]) == (8.0, [4.0, 8.0], time.max())
    assert set(found["survival"]["event"]["groups"]["curves"]) == {"low risk", "middle risk", "high risk"}


def test_survival_evaluation_of_several_cases_a_patient_in_folds_beside_a_reference():
    predictions, other = times(120, cases_each=3, folds=2), times(120, 1, cases_each=3, folds=2, seed=9)
    found = strict(evaluate(predictions, primary="uno_concordance_index", reference=other, margin=0.1, resamples=50))
    assert (found["counts"]["patients"], found["counts"]["cases"]) == (40, 120)
    assert len(found["folds"]["values"]) == 2
    primary = found["metrics"]["uno_concordance_index"]
    values, (time, event) = ensemble(predictions), predictions.target.T
    expected = concordance.uno(values[:, 0], time, event, fold=predictions.fold, truncation=8.0)
    assert primary["estimate"] == pytest.approx(float(expected))
    assert "by patient" in primary["method"]
    assert "within folds" in primary["method"]
    difference = found["comparison"]["predictors"]["uno_concordance_index"]
    theirs = found["reference"]["metrics"]["uno_concordance_index"]["estimate"]
    assert difference["estimate"] == pytest.approx(primary["estimate"] - theirs)
    assert difference["verdict"]
    assert found["survival"]["event"]["groups"]["log_rank"]["reason"].startswith("several cases a patient")


def test_survival_evaluation_of_competing_causes():
    predictions = times(150, causes=("relapse", "death"))
    found = strict(evaluate(predictions, primary="concordance_index_death", resamples=50))
    assert tuple(found["metrics"]) == tuple(survival_metrics(("relapse", "death"), (4.0, 8.0)))
    values, (time, event) = ensemble(predictions), predictions.target.T
    incidence = values[:, 2:].reshape(150, 2, 4)[:, 1, [1, 3]]
    expected = horizon.brier(1 - incidence, time, event.astype(int), np.array([4.0, 8.0]), cause=2)
    assert found["metrics"]["brier_at_8_death"]["estimate"] == pytest.approx(expected[1])
    expected = horizon.auroc(incidence, time, event.astype(int), np.array([4.0, 8.0]), cause=2)
    assert found["metrics"]["auroc_at_4_death"]["estimate"] == pytest.approx(expected[0])
    never = np.where(event == 1, 99.0, time)
    expected = concordance.harrell(values[:, 1], never, event == 2, truncation=8.0)
    assert found["metrics"]["concordance_index_death"]["estimate"] == pytest.approx(float(expected))
    assert found["counts"]["events_by_cause"] == {
        "relapse": int((event == 1).sum()), "death": int((event == 2).sum())
    }  # fmt: skip
    assert set(found["survival"]) == {"relapse", "death"}


def test_where_nobody_is_watched_to_the_horizon_metrics_are_null_with_a_reason():
    predictions = times()
    target = np.stack([np.minimum(predictions.target[:, 0], 6), predictions.target[:, 1]], -1)
    target[:, 1] *= target[:, 0] < 6
    found = strict(evaluate(replace(predictions, target=target), primary="auroc_at_4", resamples=50))
    for name, entry in found["metrics"].items():
        if name.endswith("_at_8") or name == "integrated_brier":
            assert entry["estimate"] is None, name
            assert entry["reason"], name
        else:
            assert entry["estimate"] is not None, name
    fifths = found["survival"]["event"]["calibration"]
    assert [one["horizon"] for one in fifths] == [4.0, 8.0]
    assert all(one["observed"] is None for one in fifths[1]["groups"])
    with pytest.raises(InputError, match="auroc_at_8 is the primary metric, but it is undefined for these cases"):
        evaluate(replace(predictions, target=target), primary="auroc_at_8", resamples=50)


def test_where_all_are_censored_only_errors_are_defined():
    predictions = times()
    censored = replace(predictions, target=predictions.target * [1, 0])
    with pytest.raises(InputError, match="concordance_index is the primary metric, but it is undefined"):
        evaluate(censored, primary="concordance_index")
    found = strict(evaluate(censored, primary="brier_at_4", resamples=50))
    for name, entry in found["metrics"].items():
        errors = name.startswith(("brier", "integrated_brier", "observed_to_expected"))
        assert (entry["estimate"] is None) == (not errors), name
        assert entry["estimate"] is not None or entry["reason"], name
    assert found["counts"]["events"] == 0
    assert found["survival"]["event"]["groups"]["log_rank"] == {"reason": "one group only, or no event"}


def test_curves_at_one_time_only():
    predictions = times()
    one = replace(predictions, values=predictions.values[..., [0, 3]], times=(6.0,), horizons=(6.0,))
    found = strict(evaluate(one, primary="brier_at_6", resamples=50))
    assert found["metrics"]["integrated_brier"]["estimate"] is None
    assert found["metrics"]["brier_at_6"]["low"] is not None


def test_a_survival_metric_that_cannot_be_primary_is_refused():
    with pytest.raises(InputError, match="'auroc' does not apply; one of auroc_at_4, "):
        evaluate(times(), primary="auroc")
    with pytest.raises(InputError, match="it cannot be primary"):
        evaluate(times(), primary="observed_to_expected_at_4")
