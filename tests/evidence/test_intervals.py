"""Intervals against published numbers, independent implementations, and what must not change them."""

import numpy as np
import pytest
from scipy import optimize

from medjax.evidence import auroc, intervals, resampling
from medjax.metrics import classification, regression


def scored(seed: int, size: int = 90) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target = np.tile([0, 1, 0], size // 3)
    return np.round(generator.normal(size=size) + target, 1), target


def delong_variance(score: np.ndarray, target: np.ndarray) -> float:
    """DeLong's variance from the full matrix of pairs, as the paper defines it."""
    kernel = (score[target == 1][:, None] > score[target == 0]) + 0.5 * (
        score[target == 1][:, None] == score[target == 0]
    )
    return kernel.mean(1).var(ddof=1) / len(kernel) + kernel.mean(0).var(ddof=1) / kernel.shape[1]


def test_wilson_agrees_with_newcombes_published_examples():
    # Newcombe, Stat. Med. 17:857 (1998), table I, method 3: 81/263, 15/148, 0/20, 1/29
    for (successes, total), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        np.testing.assert_allclose(intervals.wilson(successes, total), expected, atol=5e-5)
    assert intervals.wilson(20, 20)[1] == 1.0


def share(successes: int, total: int) -> np.ndarray:
    return np.repeat([1, 0], [successes, total - successes])


def test_the_mean_of_one_share_is_wilsons_and_of_two_is_mees():
    for successes, total in ((81, 263), (0, 20), (20, 20), (1, 29), (28, 29)):
        found = intervals.mean_of_shares([share(successes, total)])
        np.testing.assert_allclose([found.low, found.high], intervals.wilson(successes, total), rtol=1e-8)
    # Newcombe, Stat. Med. 17:873 (1998), table II, method 5: p1 - p2 is twice the mean of p1 and 1 - p2, minus 1.
    for (a, m, b, n), expected in {
        (56, 70, 48, 80): (0.0533, 0.3377),
        (9, 10, 3, 10): (0.1821, 0.8370),
        (6, 7, 2, 7): (0.0544, 0.8478),
        (0, 10, 0, 20): (-0.1611, 0.2775),
        (10, 10, 0, 20): (0.7225, 1.0),
    }.items():
        found = intervals.mean_of_shares([share(a, m), share(n - b, n)])
        np.testing.assert_allclose([2 * found.low - 1, 2 * found.high - 1], expected, atol=6e-5)


def test_the_mean_of_shares_is_where_the_score_test_rejects():
    parts = [share(36, 40), share(80, 90), share(5, 40)]
    found = intervals.mean_of_shares(parts)
    counts, totals = np.array([36.0, 80, 5]), np.array([40.0, 90, 40])

    def score(mean: float) -> float:
        """The score statistic with the most probable shares of this mean, by a general optimiser."""
        fitted = optimize.minimize(
            lambda p: -np.sum(counts * np.log(p) + (totals - counts) * np.log(1 - p)),
            np.full(3, mean),
            constraints={"type": "eq", "fun": lambda p: p.mean() - mean},
            bounds=[(1e-6, 1 - 1e-6)] * 3,
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        ).x
        return ((counts / totals).mean() - mean) / np.sqrt(np.sum(fitted * (1 - fitted) / totals) / 9)

    np.testing.assert_allclose([score(found.low), score(found.high)], [1.95996, -1.95996], atol=2e-3)
    mirrored = intervals.mean_of_shares([1 - part for part in parts])
    np.testing.assert_allclose([mirrored.low, mirrored.high], [1 - found.high, 1 - found.low], atol=1e-9)
    many = intervals.mean_of_shares([share(40, 40)] * 50 + [share(3, 7)])
    assert 0 < many.low < many.estimate < many.high < 1
    assert intervals.mean_of_shares([share(3, 4), share(0, 0)]).reason == "a class has no case"


@pytest.mark.parametrize("seed", range(3))
def test_auroc_influence_gives_delongs_variance(seed):
    score, target = scored(seed)
    estimate, influence = auroc.auroc_influence(score, target)
    assert estimate == pytest.approx(float(classification.auroc(score, target)))
    np.testing.assert_allclose(influence.sum(0), 0, atol=1e-12)
    found = auroc.influence_variance(influence, target, np.arange(len(score)))
    assert found == pytest.approx(delong_variance(score, target), rel=1e-12)


def test_repeating_every_case_within_its_patient_changes_no_interval():
    score, target = scored(1)
    one, five = np.arange(len(score)), np.repeat(np.arange(len(score)), 5)
    alone = auroc.auroc(score, target, one)
    often = auroc.auroc(np.repeat(score, 5), np.repeat(target, 5), five)
    np.testing.assert_allclose([often.low, often.high], [alone.low, alone.high], rtol=1e-9)
    naive = auroc.auroc(np.repeat(score, 5), np.repeat(target, 5), np.arange(5 * len(score)))
    assert naive.high - naive.low < 0.6 * (alone.high - alone.low)
    success = (score > 0.5) == target
    single, clustered = intervals.proportion(success, one), intervals.proportion(np.repeat(success, 5), five)
    assert (clustered.high - clustered.low) == pytest.approx(single.high - single.low, rel=0.03)
    said, errors = score > 0.5, np.abs(score - target) + 0.1
    tables = [
        intervals.matrix_metric(classification.matrix_matthews, "Fisher z", s, t, p, classes=2)
        for s, t, p in ((said, target, one), (np.repeat(said, 5), np.repeat(target, 5), five))
    ]
    assert tables[1].low == pytest.approx(tables[0].low, abs=0.02)
    means = [
        resampling.studentised(resampling.mean_on_log_scale(e), p, scale="log", seed=1)
        for e, p in ((errors, one), (np.repeat(errors, 5), five))
    ]
    np.testing.assert_allclose([means[1].low, means[1].high], [means[0].low, means[0].high], rtol=1e-9)


def test_within_fold_auroc_ignores_shifts_between_folds():
    score, target = scored(2)
    patient, fold = np.arange(len(score)), np.arange(len(score)) % 4
    base = auroc.auroc(score, target, patient, fold=fold)
    shifted = auroc.auroc(score + 7.0 * fold, target, patient, fold=fold)
    np.testing.assert_allclose([shifted.estimate, shifted.low, shifted.high], [base.estimate, base.low, base.high])
    assert base.estimate == pytest.approx(float(classification.auroc(score, target, fold=fold)))
    assert "conditional on the fold models" in base.method


def test_macro_auroc_of_two_classes_is_auroc():
    score, target = scored(3)
    probability = 1 / (1 + np.exp(-score))
    patient = np.arange(len(score)) // 2
    two = auroc.macro_auroc(np.stack([1 - probability, probability], -1), target, patient)
    one = auroc.auroc(probability, target, patient)
    assert two.estimate == pytest.approx(one.estimate)
    assert two.high - two.low == pytest.approx(one.high - one.low, rel=0.02)


def test_perfect_results_still_have_an_interval():
    target = np.repeat([0, 1], 30)
    patient = np.arange(60)
    perfect = auroc.auroc(target + 0.0, target, patient)
    assert perfect.estimate == perfect.high == 1.0
    assert 0.85 < perfect.low < 0.95
    table = intervals.matrix_metric(classification.matrix_matthews, "Fisher z", target, target, patient, classes=2)
    assert table.estimate == table.high == 1.0
    assert 0.7 < table.low < 0.99
    assert 0.85 < intervals.f1(target, target, patient).low < 1
    clustered = intervals.proportion(np.ones(60), patient // 6)
    assert clustered.low == pytest.approx(intervals.wilson(10, 10)[0])


def test_undefined_gives_a_reason_and_no_number():
    score, patient = np.linspace(0, 1, 10), np.arange(10)
    for found in (
        auroc.auroc(score, np.ones(10), patient),
        auroc.auroc(score, np.arange(10) == 0, patient),
        intervals.proportion(np.zeros(0), np.zeros(0, np.int64)),
        resampling.studentised(resampling.mean_on_log_scale(np.zeros(10)), patient, scale="log"),
    ):
        assert found.reason
        assert np.isnan(found.low)


def test_patient_bootstrap_draws_patients_whole_and_repeats_with_its_seed():
    patient = np.array([0, 0, 1, 2, 2, 2, 3])
    weights = np.concatenate(list(resampling.case_weights(patient, 50, 3)))
    again = np.concatenate(list(resampling.case_weights(patient, 50, 3)))
    np.testing.assert_array_equal(weights, again)
    for own in (patient == 0, patient == 2):
        assert np.ptp(weights[:, own], axis=1).max() == 0
    first = np.unique(patient, return_index=True)[1]
    np.testing.assert_array_equal(weights[:, first].sum(1), 4)
    assert weights[:, first].std() > 0.5


def test_chunks_change_no_resample(monkeypatch):
    whole = np.concatenate(list(resampling.bootstrap_weights(41, 60, 5)))
    monkeypatch.setattr(resampling, "_CHUNK", 41 * 7)
    np.testing.assert_array_equal(np.concatenate(list(resampling.bootstrap_weights(41, 60, 5))), whole)


def test_bootstrap_standard_error_of_auroc_is_within_5_percent_of_delongs():
    generator = np.random.default_rng(0)
    target = (generator.random(2000) < 0.4).astype(np.int64)
    score, patient = generator.normal(size=2000) + 1.2 * target, np.arange(2000)
    error, how = resampling.standard_error(lambda w: classification.auroc(score, target, w), patient, seed=2)
    assert "bootstrap" in how
    assert error == pytest.approx(np.sqrt(delong_variance(score, target)), rel=0.05)


def test_jackknife_of_auroc_agrees_with_delong():
    score, target = scored(4)
    error, _ = resampling.standard_error(lambda w: classification.auroc(score, target, w), np.arange(len(score)))
    assert error == pytest.approx(np.sqrt(delong_variance(score, target)), rel=0.03)


@pytest.mark.parametrize(
    ("moments", "scale"),
    [
        (resampling.r2_on_log_scale, lambda x: np.log(1 - x)),
        (resampling.pearson_on_fisher_scale, np.arctanh),
        (lambda prediction, value: resampling.mean_on_log_scale((prediction - value) ** 2), np.log),
    ],
)
def test_gradients_are_those_of_finite_differences(moments, scale):
    generator = np.random.default_rng(3)
    value = generator.normal(size=50)
    columns, function = moments(value + generator.normal(size=50), value)
    sums = (generator.integers(0, 4, 50) @ columns)[None]  # a resample: its means are not 0
    gradient = function(sums)[1][0]
    for k, found in enumerate(gradient):
        step = np.zeros_like(sums)
        step[0, k] = 1e-5
        slope = (scale(function(sums + step)[0]) - scale(function(sums - step)[0]))[0] / 2e-5
        assert found == pytest.approx(slope, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("name", ["r2", "pearson"])
def test_gradients_of_smooth_functions_agree_with_the_jackknife(name):
    generator = np.random.default_rng(0)
    value = generator.normal(3, 1, 400)
    prediction = 0.5 * value + generator.normal(size=400)
    moments, scale, metric = {
        "r2": (resampling.r2_on_log_scale, "log(1 - x)", regression.r2),
        "pearson": (resampling.pearson_on_fisher_scale, "Fisher z", regression.pearson),
    }[name]
    found = resampling.studentised(moments(prediction, value), np.arange(400), scale=scale, resamples=0)
    assert found.estimate == pytest.approx(float(metric(prediction, value)), rel=1e-9)
    other = resampling.smooth(lambda w: metric(prediction, value, w), np.arange(400), scale=scale)
    np.testing.assert_allclose([found.low, found.high], [other.low, other.high], rtol=0.02)


def test_f1_is_a_function_of_a_share():
    said, target = np.array([1, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 1, 0, 0])
    found = intervals.f1(said, target, np.arange(6))
    assert found.estimate == pytest.approx(float(classification.f1(said, target)))
    low, high = intervals.wilson(2, 4)
    assert (found.low, found.high) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_the_same_share_in_every_patient_counts_every_case():
    success, patient = np.tile([1.0, 0.0], 20), np.repeat(np.arange(20), 2)
    assert intervals.effective_total(success, patient) == 40
