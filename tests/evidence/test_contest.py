"""Several predictors against each other: intervals, p-values and verdicts say the same, and only of the same cases."""

import importlib.util
import itertools
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from medjax.errors import InputError
from medjax.evidence import auroc, comparison, multi_label, resampling, survival_measures
from medjax.evidence.contest import contest
from medjax.evidence.difference import Difference, difference_interval, mcnemar, p_value, paired, variation
from medjax.evidence.evaluation import evaluate
from medjax.evidence.intervals import patient_codes
from medjax.evidence.measures import point
from medjax.evidence.pairs import holm, judged_pairs
from medjax.evidence.predictions import Predictions, ensemble, select
from medjax.evidence.setting import NO_DIRECTION, Setting

KINDS = {"probability": 2, "several": 3, "grade": 4, "labels": 3, "value": 0}


def made(
    kind: str = "probability", *, seed: int = 0, skill: float = 1.5, size: int = 120, members: int = 1, cases: int = 1
) -> Predictions:
    """Predictions of the same cases whatever the seed, which is that of the predictor."""
    truth, own = np.random.default_rng(7), np.random.default_rng(seed)
    outputs = KINDS[kind]
    shared = truth.normal(size=(size, max(outputs, 1)))
    noise = 0.7 * shared + 0.5 * own.normal(size=(members, size, max(outputs, 1)))
    if kind == "value":
        target = truth.normal(size=size)
        values = target[:, None] + noise / skill
    elif kind == "labels":
        target = (truth.random((size, outputs)) < 0.4).astype(np.float64)
        target[truth.random((size, outputs)) < 0.1] = math.nan
        values = 1 / (1 + np.exp(-(skill * (np.nan_to_num(target) - 0.5) + noise)))
    else:
        target = truth.integers(0, outputs, size)
        values = np.exp(skill * np.eye(outputs)[target] + noise)
        values /= values.sum(-1, keepdims=True)
    return Predictions(
        id=np.array([f"case {k}" for k in range(size)]),
        group=np.array([f"patient {k // cases}" for k in range(size)]),
        target=target,
        values=values,
        replicate=np.arange(members),
        seed=np.arange(members),
        fold=np.full(size, -1),
        kind="probability" if kind == "several" else kind,
        classes=tuple("abcd"[:outputs]),
    )


def three(kind: str = "probability", **options) -> dict[str, Predictions]:
    return {
        name: made(kind, seed=k, skill=skill, **options)
        for k, (name, skill) in enumerate(zip("xyz", (1.5, 1.6, 2.5), strict=True))
    }


def setting_of(one: Predictions, positive: int | None = None, resamples: int = 200) -> Setting:
    fold = one.fold if np.any(one.fold >= 0) else None
    patient = patient_codes(one.group)
    return Setting(one.target, patient, fold, one.kind, one.classes, positive, 0.5, 0.95, resamples, 0, one.quantiles)


def judged(entries: dict[str, Predictions], **options) -> dict:
    first = next(iter(entries.values()))
    positive = 1 if len(first.classes) == 2 and first.kind == "probability" else None
    found = contest(entries, positive=positive, **{"resamples": 20, **options})
    return json.loads(json.dumps(found, allow_nan=False))


def by_pair(found: dict, kind: str = "predictors") -> dict[tuple[str, str], dict]:
    return {(pair["first"], pair["second"]): pair for pair in found[kind]["pairs"]}


PRIMARY = {
    "probability": ("auroc", "auprc", "brier", "accuracy"),
    "several": ("auroc", "balanced_accuracy"),
    "grade": ("quadratic_weighted_kappa", "auroc"),
    "labels": ("auroc", "f1"),
    "value": ("mean_absolute_error", "spearman"),
}


@pytest.mark.parametrize(("kind", "primary"), [(kind, name) for kind, names in PRIMARY.items() for name in names])
def test_every_kind_and_metric_gives_what_comparing_two_gave(kind, primary):
    entries = three(kind, members=2, cases=2, size=90)
    entries.pop("y")
    found = judged(entries, primary=primary)
    positive = 1 if kind == "probability" else None
    two = evaluate(entries["x"], reference=entries["z"], positive=positive, primary=primary, resamples=20)["comparison"]
    pair = by_pair(found)["x", "z"]
    assert pair["p_value"] is not None
    assert pair["estimate"] == pytest.approx(two["predictors"][primary]["estimate"], abs=1e-12)
    assert by_pair(found, "methods")["x", "z"]["estimate"] == pytest.approx(
        two["methods"][primary]["estimate"], abs=1e-12
    )
    width, theirs = (one["high"] - one["low"] for one in (pair, two["predictors"][primary]))
    assert width == pytest.approx(theirs, rel=1e-9)
    for name, one in found["entries"].items():
        assert one["metrics"][primary]["estimate"] is not None, name


def test_many_patients_are_resampled_and_labels_use_influences():
    labels, values = three("labels", size=1100), three("value", size=1100)
    setting = setting_of(labels["x"])
    means = [ensemble(labels[name]) for name in "xz"]
    sides = [variation("f1", mean[None], setting) for mean in means]
    (ours, sums), (theirs, other_sums) = (multi_label.influence("f1", mean, setting) for mean in means)
    found = paired(*sides, setting)
    assert sides[0].how == "influence"
    assert found.estimate == pytest.approx(ours - theirs, abs=1e-12)
    assert found.error == pytest.approx(math.sqrt(((sums - other_sums) ** 2).sum()), rel=1e-12)
    setting = setting_of(values["x"])
    means = [ensemble(values[name]) for name in "xz"]
    expected, error = comparison.predictors(
        *(point("mean_absolute_error", mean, setting) for mean in means), setting.patient, resamples=200
    )
    found = paired(*(variation("mean_absolute_error", mean[None], setting) for mean in means), setting)
    assert (found.error, found.method) == (pytest.approx(error, rel=1e-9), expected.method)
    assert difference_interval(found, 0.95).high == pytest.approx(expected.high, rel=1e-9)


# The p-value of AUROC.


def kernel_error(score: np.ndarray, other: np.ndarray, target: np.ndarray, patient: np.ndarray) -> tuple[float, float]:
    """Difference of AUROC and its standard error from the full matrix of pairs, by class and patient, with loops."""
    ones, zeros = np.flatnonzero(target), np.flatnonzero(1 - target)

    def kernel(values: np.ndarray) -> np.ndarray:
        above = values[ones][:, None] - values[zeros][None, :]
        return (above > 0) + 0.5 * (above == 0)

    difference = kernel(score) - kernel(other)
    mean = difference.mean()
    by_patient = np.zeros((patient.max() + 1, 2))
    for row, case in enumerate(ones):
        by_patient[patient[case], 0] += (difference[row] - mean).mean() / len(ones)
    for column, case in enumerate(zeros):
        by_patient[patient[case], 1] += (difference[:, column] - mean).mean() / len(zeros)
    sizes = [len(set(patient[ones])), len(set(patient[zeros]))]
    variance = sum(n / (n - 1) * (by_patient[:, k] ** 2).sum() for k, n in enumerate(sizes))
    cross = math.prod(math.sqrt(n / (n - 1)) for n in sizes) * (by_patient[:, 0] * by_patient[:, 1]).sum()
    return mean, math.sqrt(variance + 2 * cross)


@pytest.mark.parametrize("cases", [1, 3])
def test_the_p_value_of_auroc_is_that_of_the_full_matrix_of_pairs(cases):
    entries = {name: replace(one, values=np.round(one.values, 2)) for name, one in three(cases=cases).items()}
    found = by_pair(judged(entries))
    target, patient = entries["x"].target, patient_codes(entries["x"].group)
    fewest = min(len(set(patient[target == k])) for k in (0, 1))
    for (ours, theirs), pair in found.items():
        scores = [entries[name].values[0, :, 1] for name in (ours, theirs)]
        mean, error = kernel_error(*scores, target, patient)
        assert pair["estimate"] == pytest.approx(mean, abs=1e-12)
        assert pair["p_value"] == pytest.approx(2 * stats.t.sf(abs(mean) / error, fewest - 1), abs=1e-10)
        assert pair["high"] - mean == pytest.approx(stats.t.ppf(0.975, fewest - 1) * error, abs=1e-10)
        assert pair["smallest_detectable_difference"] == pytest.approx(2.8 * error, abs=1e-10)


def test_with_one_case_a_patient_that_error_is_delongs():
    # DeLong's own form: covariance matrices of the structural components of the two scores.
    entries = three()
    target = entries["x"].target == 1
    parts = []
    for name in "xz":
        score = entries[name].values[0, :, 1]
        above = score[target][:, None] - score[~target][None, :]
        kernel = (above > 0) + 0.5 * (above == 0)
        parts.append((kernel.mean(1), kernel.mean(0)))
    covariance = sum(np.cov([parts[0][k], parts[1][k]]) / len(parts[0][k]) for k in (0, 1))
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    pair = by_pair(judged(entries))["x", "z"]
    assert pair["smallest_detectable_difference"] / 2.8 == pytest.approx(error, abs=1e-12)
    _, theirs = auroc.auroc_difference(
        *(entries[name].values[0, :, 1] for name in "xz"), target, np.arange(len(target)), level=0.95
    )
    assert error == pytest.approx(theirs, abs=1e-12)


# Holm.


def test_holm_by_hand():
    adjusted, levels = holm([0.01, 0.04, 0.03])
    assert adjusted == pytest.approx([0.03, 0.06, 0.06])  # 3 x .01; 2 x .03 fails, and .04 with it
    assert levels == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 2, 1 - 0.05 / 2])
    adjusted, levels = holm([0.03, 0.001, 0.02])
    assert adjusted == pytest.approx([0.04, 0.003, 0.04])  # 1 x .03 is held at 2 x .02
    assert levels == pytest.approx([0.95, 1 - 0.05 / 3, 1 - 0.05 / 2])
    adjusted, levels = holm([0.01, math.nan])
    assert adjusted == pytest.approx([0.02, 1.0])
    assert levels == pytest.approx([0.975, 0.95])
    assert holm([0.04], 0.9)[1].tolist() == [0.9]
    adjusted, levels = holm([0.015, 0.015, 0.04])  # equal ones are decided together, whatever their order
    assert adjusted == pytest.approx([0.045, 0.045, 0.045])
    assert levels == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 3, 0.95])


def test_holm_is_the_closed_test_of_bonferroni():
    generator = np.random.default_rng(0)
    for _ in range(200):
        p = generator.beta(0.3, 2, generator.integers(1, 6))
        adjusted, _ = holm(p.tolist())
        for k in range(len(p)):
            with_k = [s for n in range(1, len(p) + 1) for s in itertools.combinations(range(len(p)), n) if k in s]
            assert adjusted[k] == pytest.approx(max(min(1.0, len(s) * p[list(s)].min()) for s in with_k), abs=1e-14)


def test_intervals_and_p_values_always_agree():
    generator, disagreeing, shown = np.random.default_rng(1), 0, 0
    setting = setting_of(made())
    for _ in range(120):
        pairs = int(generator.integers(1, 7))
        found = {
            (f"{k}", "other"): (Difference(float(t), 1.0, float(df), "t"), "")
            for k, (t, df) in enumerate(
                zip(generator.normal(0, 2.5, pairs), generator.uniform(1, 200, pairs), strict=True)
            )
        }
        for pair in judged_pairs(found, setting, primary="auroc", margin=None, level=0.95):
            for p, low, high in (
                (pair["p_value"], pair["low"], pair["high"]),
                (pair["adjusted"]["p_value"], pair["adjusted"]["low"], pair["adjusted"]["high"]),
            ):
                assert (p < 0.05) == (not low <= 0 <= high)
            assert (pair["outcome"] in ("better", "worse")) == (pair["adjusted"]["p_value"] < 0.05)
            shown += pair["outcome"] in ("better", "worse")
            disagreeing += (pair["p_value"] < 0.05) != (pair["adjusted"]["p_value"] < 0.05)
    assert shown > 50
    assert disagreeing > 20  # the adjustment did something


def test_the_p_value_is_students():
    found = Difference(-0.02, 0.01, 7.5, "any")
    assert p_value(found) == pytest.approx(2 * stats.t.sf(2.0, 7.5), abs=1e-12)
    assert math.isnan(p_value(replace(found, reason="none")))
    # At the level of its own p-value the interval ends at 0.
    assert difference_interval(found, 1 - p_value(found)).high == pytest.approx(0, abs=1e-12)


# Verdicts.


def verdict(estimate: float, *, margin: float | None = None, primary: str = "auroc", others: int = 0) -> dict:
    """The first of one pair, with standard error .01, and of `others` that certainly differ."""
    found = {("a", "b"): (Difference(estimate, 0.01, 1e6, "t"), "")}
    found |= {(f"{k}", "b"): (Difference(1.0, 0.01, 1e6, "t"), "") for k in range(others)}
    return judged_pairs(found, setting_of(made()), primary=primary, margin=margin, level=0.95)[0]


@pytest.mark.parametrize(
    ("estimate", "margin", "outcome"),
    [
        (0.0200, None, "better"),
        (0.0190, None, "not distinguishable"),
        (-0.0200, None, "worse"),
        (-0.0200, 0.02, "worse"),
        (-0.0200, 0.05, "worse within the margin"),
        (-0.0050, 0.02, "second non-inferior"),
        (-0.0050, 0.01, "not distinguishable"),
        (0.0050, 0.02, "non-inferior"),
        (-0.0050, 0.03, "equivalent"),
        (-0.0150, 0.015, "second non-inferior"),
        (0.0000, 0.0197, "equivalent"),
        (0.0000, 0.0195, "not distinguishable"),
    ],
)
def test_outcomes_against_a_margin(estimate, margin, outcome):
    assert verdict(estimate, margin=margin)["outcome"] == outcome
    turned = verdict(-estimate, margin=margin, primary="brier")  # less is better
    assert turned["outcome"] == outcome
    assert turned["verdict"] == verdict(estimate, margin=margin)["verdict"]


def test_verdicts_in_words():
    assert verdict(0.02)["verdict"] == "better"
    assert verdict(0.01)["verdict"] == ("not distinguishable; the smallest difference that 120 cases can show is 0.028")
    assert verdict(0.005, margin=0.02)["verdict"] == "non-inferior, margin 0.02"


def test_non_inferiority_needs_the_interval_that_holds_all_differences_at_once():
    alone, among = verdict(0.0, margin=0.02), verdict(0.0, margin=0.02, others=4)
    assert alone["outcome"] == "equivalent"
    assert among["adjusted"]["level"] == pytest.approx(0.95)  # the others are decided first, and Holm ends at .95
    assert among["adjusted"]["low"] > -0.02
    assert among["outcome"] == "not distinguishable"
    assert verdict(0.0, margin=0.026, others=4)["outcome"] == "equivalent"  # 2.576 for five at once


def test_lower_is_better_in_a_real_contest():
    found = by_pair(judged(three("value", size=300), primary="mean_absolute_error"))
    assert found["x", "z"]["estimate"] > 0  # z errs less
    assert found["x", "z"]["outcome"] == "worse"


# Invariance, and limits.


def test_the_order_of_entries_and_rows_changes_nothing():
    entries = three(members=2)
    found = judged(entries)
    mixed = np.random.default_rng(3).permutation(120)
    turned = judged({name: select(entries[name], mixed) if name == "y" else entries[name] for name in "zyx"})
    for kind in ("predictors", "methods"):
        for (ours, theirs), pair in by_pair(found, kind).items():
            other = by_pair(turned, kind)[theirs, ours]
            assert other["estimate"] == pytest.approx(-pair["estimate"], abs=1e-14)
            assert other["p_value"] == pytest.approx(pair["p_value"], rel=1e-9)
            assert other["adjusted"]["p_value"] == pytest.approx(pair["adjusted"]["p_value"], rel=1e-9)
            assert other["adjusted"]["low"] == pytest.approx(-pair["adjusted"]["high"], abs=1e-12)
            swapped = {"better": "worse", "worse": "better"}
            assert other["outcome"] == swapped.get(pair["outcome"], pair["outcome"])
    for name in "xyz":
        for key in ("estimate", "low", "high"):
            one, other = (result["entries"][name]["metrics"]["auroc"][key] for result in (found, turned))
            assert other == pytest.approx(one, abs=1e-12)
    turned_tests = {(pair["first"], pair["second"]): pair for pair in turned["mcnemar"]["pairs"]}
    for pair in found["mcnemar"]["pairs"]:
        assert turned_tests[pair["second"], pair["first"]]["only_first_right"] == pair["only_second_right"]


def test_the_order_of_classes_changes_nothing():
    entries = three("several")
    other = entries["y"]
    order = [2, 0, 1]
    entries["y"] = replace(
        other,
        classes=tuple(other.classes[k] for k in order),
        values=other.values[..., order],
        target=np.argsort(order)[other.target],
    )
    turned = judged(entries)
    assert turned["predictors"] == judged(three("several"))["predictors"]
    labels = three("labels")
    labels["z"] = replace(
        labels["z"], classes=("c", "a", "b"), values=labels["z"].values[..., order], target=labels["z"].target[:, order]
    )
    assert judged(labels)["predictors"] == judged(three("labels"))["predictors"]


@pytest.mark.parametrize("kind", list(KINDS))
def test_identical_predictions_do_not_differ(kind):
    one = made(kind)
    primary = "mean_absolute_error" if kind == "value" else "auroc"
    found = judged({"a": one, "b": one, "c": made(kind, seed=5, skill=0.8)}, primary=primary)
    pair = by_pair(found)["a", "b"]
    assert (pair["estimate"], pair["p_value"], pair["low"], pair["outcome"]) == (0.0, None, None, "identical")
    assert "no patient makes a difference" in pair["verdict"]
    assert by_pair(found)["a", "c"]["adjusted"]["level"] >= 1 - 0.05 / 2  # the pair stays among the three
    assert by_pair(found)["a", "c"]["p_value"] == by_pair(found)["b", "c"]["p_value"]


def test_rounding_is_no_difference():
    one = made("value")
    found = judged({"a": one, "b": replace(one, values=3.7 * one.values + 0.1)}, primary="pearson")
    assert by_pair(found)["a", "b"]["outcome"] == "identical"


def test_two_flawless_predictors_cannot_be_compared():
    one = made()
    sure = replace(one, values=0.1 + 0.8 * np.eye(2)[one.target][None])
    other = replace(one, values=0.2 + 0.6 * np.eye(2)[one.target][None])
    pair = by_pair(judged({"a": sure, "b": other}))["a", "b"]
    assert pair["outcome"] == "not estimable"
    assert "both order every pair" in pair["reason"]


def test_reference_and_thresholds():
    entries = three()
    found = judged(entries, reference="y", thresholds={"x": 0.2, "y": 0.5, "z": 0.9})
    assert list(by_pair(found)) == [("x", "y"), ("z", "y")]
    assert (
        found["entries"]["x"]["metrics"]["sensitivity"]["estimate"]
        > found["entries"]["z"]["metrics"]["sensitivity"]["estimate"]
    )
    shares = judged(entries, primary="sensitivity", thresholds={"x": 0.2, "y": 0.5, "z": 0.9})
    sensitivity = {name: one["metrics"]["sensitivity"]["estimate"] for name, one in shares["entries"].items()}
    assert by_pair(shares)["x", "z"]["estimate"] == pytest.approx(sensitivity["x"] - sensitivity["z"], abs=1e-12)
    level = max(pair["adjusted"]["level"] for pair in found["predictors"]["pairs"])
    assert level in (pytest.approx(0.95), pytest.approx(0.975))
    right = {
        name: (entries[name].values[0, :, 1] >= at) == (entries[name].target == 1)
        for name, at in zip("xy", (0.2, 0.5), strict=True)
    }
    test = found["mcnemar"]["pairs"][0]
    assert test["only_first_right"] == int((right["x"] & ~right["y"]).sum())
    assert test["only_second_right"] == int((right["y"] & ~right["x"]).sum())


def test_mcnemar():
    right = np.array([True] * 12 + [False] * 8)
    other = np.array([True] * 4 + [False] * 8 + [True] + [False] * 7)
    ours, theirs, p = mcnemar(right, other)
    assert (ours, theirs) == (8, 1)
    assert p == pytest.approx(2 * (math.comb(9, 0) + math.comb(9, 1)) / 2**9, abs=1e-12)
    assert mcnemar(right, right) == (0, 0, 1.0)
    for entries, primary, why in (
        (three(cases=2), "auroc", "several"),
        (three("labels"), "auroc", "labels"),
        (three("value"), "r2", "not right or wrong"),
    ):
        found = judged(entries, primary=primary)["mcnemar"]
        assert found["pairs"] == []
        assert why in found["reason"]


def test_few_decisions_that_differ_are_warned_about():
    one = made()
    values = one.values.copy()
    values[0, :4] = values[0, :4, ::-1]
    found = judged({"a": one, "b": replace(one, values=values)}, primary="accuracy")
    assert "only 4 patients are judged differently" in by_pair(found)["a", "b"]["warning"]
    assert "warning" not in by_pair(judged({"a": one, "b": replace(one, values=values)}))["a", "b"]


# Methods.


def test_methods_add_the_variance_of_the_seeds():
    entries = three(members=4)
    found = by_pair(judged(entries), "methods")["x", "z"]
    setting = setting_of(entries["x"], 1)
    target, patient = entries["x"].target == 1, setting.patient
    single = {
        name: np.array([float(point("auroc", one, setting)(None)) for one in entries[name].values]) for name in "xz"
    }
    parts = [
        np.mean([auroc.auroc_influence(one[:, 1], target)[1] for one in entries[name].values], axis=0) for name in "xz"
    ]
    patients = auroc.influence_variance(parts[0] - parts[1], target, patient)
    fewest = min(target.sum(), (~target).sum())
    parts = [(patients, fewest - 1), *((single[name].var(ddof=1) / 4, 3) for name in "xz")]
    variance = sum(part for part, _ in parts)
    degrees = variance**2 / sum(part**2 / free for part, free in parts)
    estimate = single["x"].mean() - single["z"].mean()
    assert found["estimate"] == pytest.approx(estimate, abs=1e-12)
    assert found["p_value"] == pytest.approx(2 * stats.t.sf(abs(estimate) / math.sqrt(variance), degrees), abs=1e-10)


def test_single_seeds_have_no_methods_and_a_lone_one_is_named():
    found = judged(three())["methods"]
    assert found["pairs"] == []
    assert "one seed" in found["reason"]
    entries = three(members=3)
    entries["y"] = made(seed=8)
    found = by_pair(judged(entries), "methods")
    assert "y has one seed" in found["x", "y"]["warning"]
    assert "warning" not in found["x", "z"]


# Bad input.


def test_what_cannot_be_compared_is_refused():
    one, other = made(seed=1), made(seed=2)
    elsewhere = replace(other, id=np.array([f"scan {k}" for k in range(120)]))
    target, group, fold = other.target.copy(), other.group.copy(), other.fold.copy()
    target[17], group[5], fold[9] = 1 - target[17], "somebody", 2
    lacking = select(one, np.arange(110))
    for entries, options, message in (
        ({"a": one}, {}, "at least two"),
        ({"a": one, "b": elsewhere}, {}, "'b' lacks 120 cases of 'a', such as case 0"),
        ({"a": one, "b": select(other, np.arange(100))}, {}, "'b' lacks 20 cases of 'a', such as case 100"),
        ({"a": lacking, "b": other}, {}, "'b' has 10 cases that 'a' lacks, such as case 110"),
        ({"a": one, "b": replace(other, target=target)}, {}, "'b' has another target for case case 17 than 'a'"),
        ({"a": one, "b": replace(other, group=group.astype("U20"))}, {}, "'b' has another patient .* case 5 "),
        ({"a": one, "b": replace(other, fold=fold)}, {}, "'b' has another fold .* case 9 "),
        ({"a": one, "b": made("several")}, {}, "classes"),
        ({"a": one, "b": made("value")}, {}, "value"),
        ({"a": one, "b": replace(other, classes=("a", "q"))}, {}, "'b' has classes"),
        ({"a": select(one, np.arange(9)), "b": select(other, np.arange(9))}, {}, "9 cases"),
        ({"a": one, "b": other}, {"positive": None}, "positive class"),
        ({"a": one, "b": other}, {"positive": 2}, "positive class 2"),
        ({"a": one, "b": other}, {"primary": "r2"}, "r2"),
        ({"a": one, "b": other}, {"reference": "c"}, "reference 'c'"),
        ({"a": one, "b": other}, {"margin": -0.1}, "margin"),
        ({"a": one, "b": other}, {"thresholds": {"a": 0.5}}, "thresholds of a "),
        ({"a": one, "b": other}, {"thresholds": 1.5}, "1.5"),
        ({"a": replace(one, target=np.ones(120, int)), "b": replace(other, target=np.ones(120, int))}, {}, "auroc"),
    ):
        with pytest.raises(InputError, match=message):
            contest(entries, **{"positive": 1, "resamples": 10, **options})
    for name in NO_DIRECTION:
        with pytest.raises(InputError, match=name):
            contest({"a": made("value"), "b": made("value", seed=1)}, primary=name)


def test_cases_without_a_target_are_left_out_and_counted():
    entries = three()
    unknown = {name: replace(one, target=np.where(np.arange(120) < 8, -1, one.target)) for name, one in entries.items()}
    found = judged(unknown)
    assert (found["counts"]["cases"], found["counts"]["without_target"]) == (112, 8)
    kept = judged({name: select(one, np.arange(8, 120)) for name, one in entries.items()})
    assert found["predictors"] == kept["predictors"]


# Simulation.


@pytest.fixture(scope="module")
def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "contest.py"
    specification = importlib.util.spec_from_file_location("contest_benchmark", path)
    module = importlib.util.module_from_spec(specification)
    sys.modules["contest_benchmark"] = module  # dataclasses look their module up
    specification.loader.exec_module(module)
    return module


def test_equal_predictors_are_rarely_told_apart(benchmark):
    tried = 0
    for number, scenario in enumerate(benchmark.scenarios()):
        if scenario.name in ("AUROC, equal, 50 cases, prevalence 0.5", "AUROC, equal, 40 patients x 5, prevalence 0.5"):
            row = benchmark.simulate(scenario, 150, 50 + number)
            # .05 has a Monte Carlo error of .018 here.
            assert row["errors"] <= 0.05 + 3 * 0.018
            assert 0.005 <= row["single"] <= 0.1
            tried += 1
    assert tried == 2


# Times to an event.

_path = Path(__file__).parent / "test_evaluation.py"
_specification = importlib.util.spec_from_file_location("evaluation_cases_of_contest", _path)
evaluation_cases = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(evaluation_cases)
times = evaluation_cases.times


@pytest.mark.parametrize(
    ("settings", "primary"),
    [
        ({}, "integrated_brier"),
        ({"cases_each": 2, "folds": 2}, "concordance_index"),
        ({"causes": ("relapse", "death")}, "auroc_at_8_death"),
    ],
)
def test_survival_predictions_are_compared_on_the_same_cases(settings, primary):
    entries = {"one": times(36, **settings), "two": times(36, seed=3, **settings)}
    if primary == "concordance_index":
        entries["half"] = replace(entries["two"], values=entries["two"].values / 2)
    found = json.loads(json.dumps(contest(entries, primary=primary, resamples=20), allow_nan=False))
    assert found["higher_is_better"] == (primary != "integrated_brier")
    assert found["counts"]["until"] == 8.0
    assert found["mcnemar"]["reason"].endswith("a risk is not right or wrong")
    pairs = len(entries) * (len(entries) - 1) // 2
    assert len(found["predictors"]["pairs"]) == len(found["methods"]["pairs"]) == pairs
    for pair in found["predictors"]["pairs"]:
        ours, theirs = (found["entries"][pair[side]]["metrics"][primary]["estimate"] for side in ("first", "second"))
        assert pair["estimate"] == pytest.approx(ours - theirs, abs=1e-12)
        assert pair["verdict"]
    if primary == "concordance_index":  # halves of risks order as the risks do
        assert found["predictors"]["pairs"][2]["outcome"] == "identical"


def test_a_survival_contest_that_decides_nothing_is_refused():
    entries = {"one": times(20), "two": times(20, seed=3)}
    censored = {name: replace(one, target=one.target * [1, 0]) for name, one in entries.items()}
    with pytest.raises(InputError, match=r"concordance_index cannot be computed for these cases \(no pair of an event"):
        contest(censored, primary="concordance_index", resamples=20)
    with pytest.raises(InputError, match="'observed_to_expected_at_4' cannot be the primary metric"):
        contest(entries, primary="observed_to_expected_at_4")
    other = replace(entries["two"], times=(2.0, 4.0, 6.0, 9.0))
    with pytest.raises(
        InputError, match="'two' has curves at 4 times from 2 to 9, not at 4 times from 2 to 8 as 'one'"
    ):
        contest({"one": entries["one"], "two": other}, primary="concordance_index")


@pytest.mark.parametrize("name", ["concordance_index", "uno_concordance_index", "concordance_index_death"])
def test_the_difference_by_influences_is_that_of_the_jackknife(name):
    causes = ("relapse", "death") if name.endswith("death") else ()
    first, second = times(90, causes=causes, cases_each=2), times(90, causes=causes, cases_each=2, seed=3)
    setting = evaluation_setting(first)
    by_influence = paired(variation(name, first.values, setting), variation(name, second.values, setting), setting)
    metrics = [[survival_measures.point(name, one, setting) for one in side.values] for side in (first, second)]
    weights = np.concatenate(list(resampling.jackknife_weights(setting.patient)))
    left_out = [np.mean([metric(weights) for metric in side], axis=0) for side in metrics]
    patients = len(weights)
    error = np.sqrt((patients - 1) * np.var(left_out[0] - left_out[1]))
    assert by_influence.method.startswith("paired influence of each patient by patient")
    assert by_influence.error == pytest.approx(error, rel=0.1)
    whole = [np.mean([float(metric(None)) for metric in side]) for side in metrics]
    assert by_influence.estimate == pytest.approx(whole[0] - whole[1])


def evaluation_setting(predictions):
    return Setting(
        target=predictions.target, patient=patient_codes(predictions.group), fold=None, kind="survival",
        classes=predictions.classes, positive=None, threshold=0.5, level=0.95, resamples=20, seed=0,
        times=predictions.times, horizons=predictions.horizons,
    )  # fmt: skip
