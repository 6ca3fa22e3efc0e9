"""Evaluation of several labels, of grades and of quantiles: strict JSON, by patient, agreeing with other software."""

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from medjax.errors import InputError
from medjax.evidence import auroc, multi_label
from medjax.evidence.difference import paired, variation
from medjax.evidence.evaluation import evaluate
from medjax.evidence.predictions import Predictions, ensemble, select
from medjax.evidence.setting import GRADE, LABELS, QUANTILE, REGRESSION, Setting


def made(kind, target, values, classes=(), quantiles=(), patients=None) -> Predictions:
    size = len(target)
    whose = np.arange(size) if patients is None else patients
    return Predictions(
        id=np.array([f"case {k}" for k in range(size)]),
        group=np.array([f"patient {k}" for k in whose]),
        target=target,
        values=values,
        replicate=np.arange(len(values)),
        seed=np.arange(len(values)),
        fold=np.full(size, -1),
        kind=kind,
        classes=classes,
        quantiles=quantiles,
    )


def several(size=200, seed=0, skill=1.5, unknown=0.2, patients=None) -> Predictions:
    generator = np.random.default_rng(7)
    target = (generator.random((size, 3)) < [0.5, 0.4, 0.3]).astype(float)
    shared = generator.normal(size=(size, 3))
    target[generator.random(target.shape) < unknown] = np.nan
    truth = np.nan_to_num(target, nan=0.5)
    noise = np.random.default_rng(seed).normal(size=(2, size, 3))
    odds = skill * (skill * (truth - 0.5) + 0.9 * shared + 0.4 * noise)
    return made("labels", target, 1 / (1 + np.exp(-odds)), ("a", "b", "c"), patients=patients)


def grades(size=160, seed=0, noise=0.5) -> Predictions:
    generator = np.random.default_rng(8)
    target = generator.integers(0, 4, size)
    values = np.random.default_rng(seed).dirichlet(np.ones(4) * noise, (2, size)) + 1.5 * np.eye(4)[target] * 0.5
    return made("grade", target, values / values.sum(-1, keepdims=True), ("0", "1", "2", "3"))


def ranges(size=120) -> Predictions:
    generator = np.random.default_rng(9)
    middle = generator.normal(size=size)
    values = middle[:, None] + np.array([0.0, -1.5, 0.0, 1.5])
    return made("value", middle + generator.normal(size=size), values[None], quantiles=(0.05, 0.5, 0.95))


def strict(evaluation: dict) -> dict:
    return json.loads(json.dumps(evaluation, allow_nan=False))


def test_several_labels_have_every_metric_and_every_label():
    predictions = several()
    found = strict(evaluate(predictions, threshold=0.4, resamples=100))
    assert set(found["metrics"]) == set(LABELS)
    for entry in found["metrics"].values():
        assert entry["low"] < entry["estimate"] < entry["high"]
    mean, target = ensemble(predictions), predictions.target
    known = np.isfinite(target)
    each = [sk.roc_auc_score(target[known[:, k], k], mean[known[:, k], k]) for k in range(3)]
    assert found["metrics"]["auroc"]["estimate"] == pytest.approx(np.mean(each))
    for k, name in enumerate("abc"):
        rows = known[:, k]
        one = found["classes"][name]
        assert one["auroc"]["estimate"] == pytest.approx(each[k])
        said = mean[rows, k] >= 0.4
        assert one["f1"]["estimate"] == pytest.approx(sk.f1_score(target[rows, k], said))
        assert one["positive_predictive_value"]["estimate"] == pytest.approx(sk.precision_score(target[rows, k], said))
        counts = found["counts"]["classes"][name]
        assert counts["cases"] + counts["negative"] + counts["unknown"] == 200
        assert counts["unknown"] == (~rows).sum()
        # By the rules for two classes: the same interval as when this label stands alone.
        alone = auroc.auroc(mean[rows, k], target[rows, k] == 1, np.arange(rows.sum()))
        assert one["auroc"]["low"] == pytest.approx(alone.low)
    assert found["threshold"] == 0.4


def test_one_label_alone_has_nearly_the_interval_of_two_classes():
    predictions = several(unknown=0)
    mean, target, patient = ensemble(predictions)[:, :1], predictions.target[:, :1], np.arange(200)
    ours = multi_label.multi_label_auroc(mean, target, patient)
    theirs = auroc.auroc(mean[:, 0], target[:, 0] == 1, patient)
    assert ours.estimate == pytest.approx(theirs.estimate)
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)
    other = ensemble(several(seed=5, skill=1.0, unknown=0))[:, :1]
    setting = Setting(target, patient, None, "labels", ("a",), None, 0.5, 0.95, 50, 0)
    difference = paired(*(variation("auroc", one[None], setting) for one in (mean, other)), setting)
    expected, expected_error = auroc.auroc_difference(mean[:, 0], other[:, 0], target[:, 0] == 1, patient)
    assert difference.estimate == pytest.approx(expected.estimate)
    assert difference.error == pytest.approx(expected_error)


def test_repeating_every_case_for_its_patient_changes_no_interval():
    """Ten equal scans of a patient are one patient's worth of evidence."""
    alone = several()
    rows = np.repeat(np.arange(200), 10)
    ten = made("labels", alone.target[rows], alone.values[:, rows], alone.classes, patients=rows)
    one, many = (evaluate(x, resamples=50)["metrics"] for x in (alone, ten))
    for name in LABELS:
        assert many[name]["estimate"] == pytest.approx(one[name]["estimate"])
        width = [x[name]["high"] - x[name]["low"] for x in (one, many)]
        assert width[1] == pytest.approx(width[0], rel=0.05), name
    assert "by patient" in many["auroc"]["method"]


def test_a_label_with_one_answer_is_null_with_a_reason_and_the_others_go_on():
    predictions = several()
    target = predictions.target.copy()
    target[:, 2] = np.where(np.isfinite(target[:, 2]), 0, np.nan)
    found = strict(evaluate(replace(predictions, target=target), resamples=50))
    assert found["classes"]["c"]["auroc"]["estimate"] is None
    assert found["classes"]["c"]["auroc"]["reason"] == "no case is known to have 'c'"
    assert "mean over 2 of 3 labels: of c only one answer is known" in found["metrics"]["auroc"]["warning"]
    both = replace(
        predictions, target=target[:, :2], values=predictions.values[..., :2], classes=predictions.classes[:2]
    )
    for name in ("auroc", "auprc", "f1"):
        expected = evaluate(both, resamples=50)["metrics"][name]
        assert found["metrics"][name]["estimate"] == expected["estimate"]
        assert found["metrics"][name]["low"] == pytest.approx(expected["low"], abs=1e-3)
    target[:] = np.where(np.isfinite(target), 0, np.nan)
    nothing = replace(predictions, target=target)
    with pytest.raises(InputError, match="no label has both"):
        evaluate(nothing)
    found = strict(evaluate(nothing, primary="brier", resamples=50))
    assert found["metrics"]["auroc"]["reason"]
    assert found["metrics"]["brier"]["estimate"] is not None


def test_few_patients_with_a_label_are_said():
    predictions = several()
    target = predictions.target.copy()
    target[20:, 2] = 0
    found = evaluate(replace(predictions, target=target), resamples=50)
    assert "of cases with 'c' there are only" in found["metrics"]["auroc"]["warning"]
    assert "class with 'c' has only" in found["classes"]["c"]["auroc"]["warning"]


def test_perfect_labels_still_get_an_interval():
    predictions = several(unknown=0)
    perfect = replace(predictions, values=np.clip(predictions.target, 0.1, 0.9)[None].repeat(2, axis=0))
    found = strict(evaluate(perfect, resamples=50))
    for name in ("auroc", "sensitivity", "specificity", "f1", "accuracy", "exact_match"):
        assert found["metrics"][name]["estimate"] == 1
        assert 0.8 < found["metrics"][name]["low"] < 1


def test_grades_agree_with_scikit_learn():
    predictions = grades()
    found = strict(evaluate(predictions, primary="quadratic_weighted_kappa", resamples=100))
    assert set(found["metrics"]) == set(GRADE)
    mean, target = ensemble(predictions), predictions.target
    median = (np.cumsum(mean[:, ::-1], axis=-1)[:, ::-1][:, 1:] > 0.5).sum(-1)
    kappa = found["metrics"]["quadratic_weighted_kappa"]
    assert kappa["estimate"] == pytest.approx(sk.cohen_kappa_score(target, median, weights="quadratic"))
    assert kappa["low"] < kappa["estimate"] < kappa["high"]
    assert found["metrics"]["mean_absolute_grade_error"]["estimate"] == pytest.approx(np.abs(median - target).mean())
    assert found["metrics"]["accuracy"]["estimate"] == pytest.approx((median == target).mean())
    np.testing.assert_array_equal(found["confusion_matrix"], sk.confusion_matrix(target, median))
    recall = found["classes"]["2"]["sensitivity"]["estimate"]
    assert recall == pytest.approx((median == 2)[target == 2].mean())
    right = replace(predictions, values=np.eye(4)[target][None].repeat(2, axis=0))
    perfect = strict(evaluate(right, primary="quadratic_weighted_kappa", resamples=50))["metrics"]
    assert perfect["quadratic_weighted_kappa"]["estimate"] == 1
    assert 0.8 < perfect["quadratic_weighted_kappa"]["low"] < 1
    assert "every grade is right" in perfect["mean_absolute_grade_error"]["reason"]


def test_quantiles_by_hand():
    predictions = ranges()
    found = strict(evaluate(predictions, primary="pinball_loss", resamples=100))
    assert set(found["metrics"]) == {*REGRESSION, *QUANTILE}
    values, target = predictions.values[0], predictions.target
    expected = np.mean(
        [sk.mean_pinball_loss(target, values[:, k + 1], alpha=q) for k, q in enumerate((0.05, 0.5, 0.95))]
    )
    assert found["metrics"]["pinball_loss"]["estimate"] == pytest.approx(expected)
    inside = np.abs(target - values[:, 0]) <= 1.5
    covered = found["metrics"]["interval_coverage"]
    assert (covered["numerator"], covered["denominator"]) == (inside.sum(), 120)
    assert covered["nominal"] == pytest.approx(0.9)
    assert found["metrics"]["interval_width"]["estimate"] == pytest.approx(3)
    assert found["metrics"]["interval_width"]["reason"]  # all alike: no interval
    with pytest.raises(InputError, match="cannot be primary"):
        evaluate(predictions, primary="interval_coverage")


@pytest.mark.parametrize(
    ("ours", "theirs", "primary"),
    [
        (several(), several(seed=5, skill=1.0), "auroc"),
        (several(), several(seed=5, skill=1.0), "f1"),
        (grades(), grades(seed=3, noise=2.0), "quadratic_weighted_kappa"),
        (grades(), grades(seed=3, noise=2.0), "mean_absolute_grade_error"),
        (ranges(), replace(ranges(), values=ranges().values + 0.3), "pinball_loss"),
    ],
)
def test_the_difference_is_paired_for_every_primary_metric(ours, theirs, primary):
    one = strict(evaluate(ours, primary=primary, reference=theirs, margin=0.05, resamples=50))
    two = evaluate(theirs, primary=primary, reference=ours, margin=0.05, resamples=50)
    first, second = (x["comparison"]["predictors"][primary] for x in (one, two))
    assert first["estimate"] == pytest.approx(
        one["metrics"][primary]["estimate"] - one["reference"]["metrics"][primary]["estimate"]
    )
    assert first["low"] == pytest.approx(-second["high"])
    assert first["low"] < first["estimate"] < first["high"]
    assert first["verdict"]
    assert first["smallest_detectable_difference"] > 0
    assert set(one["comparison"]["predictors"]) == set(one["metrics"])
    if len(ours.seed) > 1:
        assert one["comparison"]["methods"][primary]["low"] is not None


def test_two_that_never_differ_get_no_interval():
    found = strict(evaluate(grades(), primary="accuracy", reference=grades(), resamples=50))["comparison"]
    assert found["predictors"]["accuracy"]["estimate"] == 0
    assert "no patient makes a difference" in found["predictors"]["accuracy"]["reason"]
    assert found["predictors"]["accuracy"]["verdict"] == "not estimable"


def test_a_reference_with_other_answers_is_refused():
    ours = several()
    target = ours.target.copy()
    place = np.argwhere(np.isfinite(target))[0]
    target[tuple(place)] = np.nan
    with pytest.raises(InputError, match="another target"):
        evaluate(ours, reference=replace(ours, target=target))
    with pytest.raises(InputError, match="has quantiles"):
        evaluate(ranges(), primary="r2", reference=replace(ranges(), quantiles=(0.1, 0.5, 0.9)))


def test_the_order_of_cases_changes_nothing():
    for predictions, primary in ((several(), "auroc"), (grades(), "accuracy")):
        shuffled = select(predictions, np.random.default_rng(0).permutation(len(predictions.id)))
        one, two = (evaluate(x, primary=primary, resamples=0)["metrics"] for x in (predictions, shuffled))
        for name in one:
            assert one[name]["low"] == pytest.approx(two[name]["low"], abs=1e-9), name
