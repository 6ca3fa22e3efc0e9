"""The patient bootstrap: against scipy on the same resamples, what must not change it, and its bounds."""

import tracemalloc

import numpy as np
import pytest
from scipy import stats

from medjax.errors import InputError
from medjax.evidence import auroc, bootstrap, intervals, resampling
from medjax.metrics import classification


def mean_of(values: np.ndarray):
    return lambda weights: classification.weighted_mean(values, weights)


def scored(seed: int, size: int = 200, prevalence: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target = (generator.random(size) < prevalence).astype(np.int64)
    return np.round(generator.normal(size=size) + target, 1), target


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_intervals_of_a_mean_are_scipys_on_the_same_resamples(seed, level):
    values = np.random.default_rng(seed).gamma(0.7, size=37) ** 1.5  # skewed: BCa differs from percentiles
    patient, metric = np.arange(37), mean_of(values)
    drawn = bootstrap.resample(metric, patient, resamples=800, seed=seed)
    given = stats.bootstrap((values,), np.mean, n_resamples=2, rng=0, method="percentile")
    given.bootstrap_distribution = drawn
    for method, ours in (("percentile", bootstrap.percentile), ("BCa", bootstrap.bca)):
        expected = stats.bootstrap(
            (values,), np.mean, n_resamples=0, bootstrap_result=given, method=method, confidence_level=level
        ).confidence_interval
        found = ours(metric, patient, level=level, resamples=800, seed=seed)
        np.testing.assert_allclose((found.low, found.high), tuple(expected), rtol=1e-10)
    plain = bootstrap.percentile(metric, patient, level=level, resamples=800, seed=seed)
    moved = bootstrap.bca(metric, patient, level=level, resamples=800, seed=seed)
    assert moved.high > plain.high


@pytest.mark.parametrize("prevalence", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("folds", [0, 4])
def test_ranked_auroc_is_auroc(prevalence, folds):
    score, target = scored(1, prevalence=prevalence)
    fold = np.arange(200) % folds if folds else None
    metric = bootstrap.ranked_auroc(score, target, fold)
    generator = np.random.default_rng(0)
    weights = generator.random((30, 200)) * generator.integers(0, 3, (30, 200))
    weights[0] = target  # no negative case: undefined
    found = metric(weights)
    assert found.shape == (30,)
    assert np.isnan(found[0])
    np.testing.assert_allclose(found, classification.auroc(score, target, weights, fold=fold), rtol=1e-12)
    np.testing.assert_allclose(metric(None), classification.auroc(score, target, fold=fold), rtol=1e-12)
    np.testing.assert_allclose(metric(weights[3]), found[3], rtol=1e-12)
    distinct = score + 1e-3 * generator.random(200)
    np.testing.assert_allclose(
        bootstrap.ranked_auroc(distinct, target, fold)(weights[1:]),
        classification.auroc(distinct, target, weights[1:], fold=fold),
        rtol=1e-12,
    )
    assert np.isnan(bootstrap.ranked_auroc(score, np.ones(200))(None))


def test_1000_resamples_of_2000_cases_have_delongs_standard_error():
    score, target = scored(2, 2000)
    drawn = bootstrap.resample(bootstrap.ranked_auroc(score, target), np.arange(2000), seed=3)
    variance = auroc.influence_variance(auroc.auroc_influence(score, target)[1], target, np.arange(2000))
    assert len(drawn) == 1000
    assert drawn.std(ddof=1) == pytest.approx(np.sqrt(variance), rel=0.05)


@pytest.mark.parametrize("ours", [bootstrap.percentile, bootstrap.bca])
def test_patients_are_drawn_whole(ours):
    score, target = scored(3)
    alone = ours(bootstrap.ranked_auroc(score, target), np.arange(200), seed=1)
    score, target, patient = (np.repeat(x, 5) for x in (score, target, np.arange(200)))
    often = ours(bootstrap.ranked_auroc(score, target), patient, seed=1)
    np.testing.assert_allclose((often.low, often.high), (alone.low, alone.high), rtol=1e-12)
    rows = ours(bootstrap.ranked_auroc(score, target), np.arange(1000), seed=1)
    assert rows.high - rows.low < 0.6 * (alone.high - alone.low)
    assert "patient bootstrap (1000)" in alone.method


def test_bca_follows_a_change_of_scale():
    values = np.random.default_rng(5).gamma(1.0, size=60)
    plain = bootstrap.bca(mean_of(values), np.arange(60), resamples=2000)
    changed = bootstrap.bca(lambda weights: np.exp(3 * mean_of(values)(weights)), np.arange(60), resamples=2000)
    # The acceleration is estimated on either scale, by the jackknife, so that agreement is to second order.
    np.testing.assert_allclose(np.log([changed.low, changed.high]) / 3, (plain.low, plain.high), rtol=0.02)


def test_leaving_out_each_patient_is_done_by_hand():
    score, target = scored(6, 40)
    patient = np.arange(40) // 3
    found = bootstrap.leave_out(bootstrap.ranked_auroc(score, target), patient)
    expected = [classification.auroc(score[patient != k], target[patient != k]) for k in range(14)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_leaving_out_groups_of_many_patients_gives_the_same_variance_and_acceleration():
    values = np.random.default_rng(7).gamma(0.05, size=6000)  # skewness 9
    parts = bootstrap.leave_out(mean_of(values), np.arange(6000))
    assert len(parts) == resampling.JACKKNIFE_PATIENTS
    gaps = parts.mean() - parts
    assert len(parts) * gaps.var() == pytest.approx(values.var() / 6000, rel=0.1)
    acceleration = (gaps**3).sum() / (6 * (gaps @ gaps) ** 1.5)
    assert acceleration == pytest.approx(stats.skew(values) / (6 * np.sqrt(6000)), rel=0.15)


def test_strata_keep_their_numbers_of_patients_and_are_drawn_apart():
    patient = np.repeat(np.arange(30), 2)
    stratum = np.array(["case", "control", "control"])[patient % 3]
    weights = np.concatenate(list(bootstrap.stratified_weights(patient, stratum, 40, 1)))
    assert weights.shape == (40, 60)
    np.testing.assert_array_equal(weights[:, ::2], weights[:, 1::2])
    for name, cases in (("case", 20), ("control", 40)):
        np.testing.assert_array_equal(weights[:, stratum == name].sum(1), cases)
    halves = np.concatenate(list(bootstrap.stratified_weights(np.arange(20), np.arange(20) // 10, 40, 1)))
    assert not np.array_equal(halves[:, :10], halves[:, 10:])
    # A mean that differs between strata only does not vary where their sizes are held fixed.
    outcome = (stratum == "case") * 1.0
    assert bootstrap.percentile(mean_of(outcome), patient, stratum=stratum).reason
    free = bootstrap.percentile(mean_of(outcome), patient)
    assert free.low < 1 / 3 < free.high
    value = outcome + np.random.default_rng(0).normal(size=60)
    held = bootstrap.percentile(mean_of(value), patient, stratum=stratum)
    assert "stratified" in held.method
    assert held.low < held.estimate < held.high


def test_one_stratum_is_no_stratum():
    score, target = scored(8, 60)
    metric = bootstrap.ranked_auroc(score, target)
    held = bootstrap.resample(metric, np.arange(60), resamples=50, seed=4, stratum=np.zeros(60))
    np.testing.assert_array_equal(held, bootstrap.resample(metric, np.arange(60), resamples=50, seed=4))


def test_torn_and_missing_strata_are_refused():
    patient = np.array([0, 0, 1])
    with pytest.raises(InputError, match="case 1 lies in two strata"):
        next(bootstrap.stratified_weights(patient, np.array([1, 2, 2]), 5, 0))
    with pytest.raises(InputError, match="2 strata for 3 cases"):
        next(bootstrap.stratified_weights(patient, np.array([1, 2]), 5, 0))


@pytest.mark.parametrize("ours", [bootstrap.percentile, bootstrap.bca])
def test_where_nothing_can_be_said_there_is_a_reason(ours):
    score, target = scored(9, 30)
    for metric, patient, reason in (
        (bootstrap.ranked_auroc(score, np.ones(30)), np.arange(30), "undefined for these cases"),
        (bootstrap.ranked_auroc(np.zeros(30), target), np.arange(30), "no variation"),
        (bootstrap.ranked_auroc(score, target), np.zeros(30, np.int64), "no variation"),
        (mean_of(np.zeros(0)), np.zeros(0, np.int64), "no case"),
    ):
        found = ours(metric, patient, resamples=50)
        assert reason in found.reason
        assert np.isnan([found.low, found.high]).all()
    lone = (np.arange(30) == 0).astype(np.int64)
    few = ours(bootstrap.ranked_auroc(score, lone), np.arange(30), resamples=300)
    assert "resamples, which are left out" in few.warning  # about a third hold no positive case
    assert few.low <= few.high
    rare = lambda weights: np.where(np.atleast_2d(weights)[:, 0] > 1, 1.0, np.nan) if weights is not None else 1.0  # noqa: E731
    assert "of 300 resamples" in ours(rare, np.arange(30), resamples=300).reason


def test_resamples_that_equal_the_estimate_count_one_half_as_scipys_do():
    values, patient = np.repeat([0.0, 1.0], [14, 6]), np.arange(20)
    drawn = bootstrap.resample(mean_of(values), patient, resamples=500, seed=1)
    assert 0.1 < np.mean(np.abs(drawn - 0.3) < 1e-9) < 0.3
    given = stats.bootstrap((values,), np.mean, n_resamples=2, rng=0, method="percentile")
    given.bootstrap_distribution = np.round(drawn, 12)
    expected = stats.bootstrap(
        (values,),
        lambda x, axis: np.round(np.mean(x, axis), 12),
        n_resamples=0,
        bootstrap_result=given,
        method="BCa",
        confidence_level=0.87,
    ).confidence_interval
    found = bootstrap.bca(mean_of(values), patient, level=0.87, resamples=500, seed=1)
    np.testing.assert_allclose((found.low, found.high), tuple(expected), rtol=1e-9)


def test_memory_is_bounded_at_100_000_cases():
    score, target = scored(10, 100_000)
    metric, patient = bootstrap.ranked_auroc(score, target), np.arange(100_000)
    bootstrap.resample(metric, patient, resamples=2)
    tracemalloc.start()
    drawn = bootstrap.resample(metric, patient, resamples=30)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(drawn) == 30
    assert peak < 16 * 2**20  # all 30 rows of weights alone would take 24 million bytes


def test_the_level_is_held_on_average_where_patients_are_many():
    generator, inside = np.random.default_rng(11), 0
    for repetition in range(200):
        values = generator.exponential(size=80)
        found = bootstrap.bca(mean_of(values), np.arange(80), resamples=300, seed=repetition)
        inside += found.low <= 1.0 <= found.high
    assert 0.88 < inside / 200 < 0.985


def test_few_patients_are_warned_of_by_their_number_alone():
    for patients, cases in ((199, 1), (199, 3), (200, 1), (200, 3)):
        values = np.random.default_rng(patients).normal(size=patients * cases)
        for name, ours in (("percentile", bootstrap.percentile), ("BCa", bootstrap.bca)):
            found = ours(mean_of(values), np.repeat(np.arange(patients), cases), resamples=50)
            assert found.warning.startswith(f"only 199 patients: {name} intervals") == (patients < 200)
            assert not found.reason


def test_names_of_methods_and_the_interval_type():
    found = bootstrap.bca(mean_of(np.arange(9.0)), np.arange(9), resamples=40)
    assert isinstance(found, intervals.Interval)
    assert found.method == "BCa, patient bootstrap (40)"
