"""Published methods against implementations written from their formulas, and metrics against scikit-learn."""

import numpy as np
import pytest
from scipy import stats
from sklearn import isotonic
from sklearn import metrics as sklearn_metrics

from medjax.evidence import auroc, bootstrap, calibration, difference, exact, intervals
from medjax.metrics import classification

TIGHT = {"rtol": 1e-10, "atol": 1e-14}


def kernel(score: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Psi of every (positive, negative) pair, one by one: 1 in order, 1/2 tied, 0 otherwise."""
    ones, zeros = score[target == 1], score[target == 0]
    return np.array([[1.0 if x > y else 0.5 if x == y else 0.0 for y in zeros] for x in ones])


def two_scores(seed: int, size: int = 70, digits: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    target = (generator.random(size) < 0.35).astype(np.int64)
    shared = generator.normal(size=size)
    scores = [np.round(shared + generator.normal(size=size) + shift * target, digits) for shift in (1.5, 1.0)]
    return scores[0], scores[1], target


# DeLong, DeLong & Clarke-Pearson, Biometrics 44:837 (1988): S = S10 / m + S01 / n, from the structural components.


def delong_covariance(first: np.ndarray, second: np.ndarray, target: np.ndarray) -> np.ndarray:
    matrices = [kernel(score, target) for score in (first, second)]
    m, n = matrices[0].shape
    found = np.zeros((2, 2))
    for a, left in enumerate(matrices):
        for b, right in enumerate(matrices):
            s10 = sum((left[i].mean() - left.mean()) * (right[i].mean() - right.mean()) for i in range(m)) / (m - 1)
            s01 = sum((left[:, j].mean() - left.mean()) * (right[:, j].mean() - right.mean()) for j in range(n)) / (
                n - 1
            )
            found[a, b] = s10 / m + s01 / n
    return found


@pytest.mark.parametrize("digits", [0, 1, 9])  # many ties, some, none
@pytest.mark.parametrize("seed", range(3))
def test_variance_and_covariance_of_two_correlated_aurocs_are_delongs(seed, digits):
    first, second, target = two_scores(seed, digits=digits)
    expected, patient = delong_covariance(first, second, target), np.arange(len(target))
    estimates, influences = zip(*(auroc.auroc_influence(score, target) for score in (first, second)), strict=True)
    np.testing.assert_allclose(estimates, [kernel(s, target).mean() for s in (first, second)], **TIGHT)
    variances = [auroc.influence_variance(own, target, patient) for own in influences]
    np.testing.assert_allclose(variances, np.diag(expected), **TIGHT)
    both = auroc.influence_variance(influences[0] + influences[1], target, patient)
    np.testing.assert_allclose((both - sum(variances)) / 2, expected[0, 1], **TIGHT)
    found, error = auroc.auroc_difference(first, second, target, patient)
    np.testing.assert_allclose(error**2, expected[0, 0] + expected[1, 1] - 2 * expected[0, 1], **TIGHT)
    assert found.estimate == pytest.approx(estimates[0] - estimates[1], rel=1e-12)


# Obuchowski, Biometrics 53:567 (1997): clustered data, sums of the structural components by cluster.


def obuchowski_variance(score: np.ndarray, target: np.ndarray, patient: np.ndarray) -> tuple[float, float, float]:
    """(S10 / M + S01 / N, the sum of products that S11 is made of, over M N; the clusters), from the full kernel."""
    matrix = kernel(score, target)
    m, n, area = *matrix.shape, matrix.mean()
    of_positive, of_negative = patient[target == 1], patient[target == 0]
    clusters = np.unique(patient)
    gaps = np.array(
        [
            [
                sum(matrix[i].mean() for i in np.flatnonzero(of_positive == c)) - (of_positive == c).sum() * area,
                sum(matrix[:, j].mean() for j in np.flatnonzero(of_negative == c)) - (of_negative == c).sum() * area,
            ]
            for c in clusters
        ]
    )
    with_positive, with_negative = len(np.unique(of_positive)), len(np.unique(of_negative))
    s10 = with_positive / ((with_positive - 1) * m) * (gaps[:, 0] ** 2).sum()
    s01 = with_negative / ((with_negative - 1) * n) * (gaps[:, 1] ** 2).sum()
    return s10 / m + s01 / n, float((gaps[:, 0] * gaps[:, 1]).sum()) / (m * n), len(clusters)


@pytest.mark.parametrize("digits", [0, 1, 9])
@pytest.mark.parametrize("design", ["one class a patient", "both classes in every patient"])
def test_variance_of_clustered_cases_is_obuchowskis(design, digits):
    score, _, _ = two_scores(4, 120, digits)
    patient = np.arange(120) // 4
    target = (np.arange(120) % 4 < 2).astype(np.int64) if design.startswith("both") else (patient % 3 == 0).astype(int)
    score = np.round(score + 0.8 * target + np.random.default_rng(5).normal(size=30)[patient], digits)
    own, products, clusters = obuchowski_variance(score, target, patient)
    s11 = clusters / (clusters - 1) * products
    found = auroc.influence_variance(auroc.auroc_influence(score, target)[1], target, patient)
    np.testing.assert_allclose(found, own + 2 * s11, **TIGHT)
    assert (abs(s11) > 0.05 * own) == design.startswith("both")


@pytest.mark.parametrize("seed", range(4))
def test_where_only_some_patients_hold_both_classes_the_cross_term_has_another_factor_of_order_one(seed):
    # S11 has I / (I - 1) for I clusters; here the geometric mean of the classes' own k / (k - 1), so that the whole is
    # a sum of squares and never negative.
    score, _, target = two_scores(seed, 120)
    patient = np.random.default_rng(seed).integers(0, 40, 120)
    patient = intervals.patient_codes(patient)
    own, products, clusters = obuchowski_variance(score, target, patient)
    found = auroc.influence_variance(auroc.auroc_influence(score, target)[1], target, patient)
    a, b = (len(np.unique(patient[target == k])) for k in (0, 1))
    np.testing.assert_allclose(found, own + 2 * np.sqrt(a / (a - 1) * b / (b - 1)) * products, **TIGHT)
    assert found == pytest.approx(own + 2 * clusters / (clusters - 1) * products, rel=0.02)


# Proportions.


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("successes", "total"), [(0, 7), (7, 7), (3, 11), (81, 263), (999, 1000)])
def test_wilson_and_clopper_pearson_are_scipys(successes, total, level):
    test = stats.binomtest(successes, total)
    for method, ours in (("wilson", intervals.wilson), ("exact", exact.clopper_pearson)):
        expected = test.proportion_ci(level, method=method)
        np.testing.assert_allclose(ours(successes, total, level), (expected.low, expected.high), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(("only_ours", "only_theirs"), [(0, 0), (0, 6), (6, 0), (3, 3), (1, 12), (86, 150)])
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_pairs(only_ours, only_theirs):
    # (86, 150): Agresti, Categorical Data Analysis, table 10.1; the score statistic there is 17.36.
    ours = np.repeat([True, True, False, False], [20, only_ours, only_theirs, 7])
    theirs = np.repeat([True, False, True, False], [20, only_ours, only_theirs, 7])
    found = difference.mcnemar(ours, theirs)
    assert found[:2] == (only_ours, only_theirs)
    discordant = only_ours + only_theirs
    expected = stats.binomtest(only_ours, discordant, 0.5).pvalue if discordant else 1.0
    assert found[2] == pytest.approx(expected, rel=1e-12)
    if discordant == 236:
        assert found[2] == pytest.approx(stats.chi2.sf(17.36, 1), rel=0.3)


# Bootstrap.


def test_bca_of_a_skewed_mean_is_scipys_within_monte_carlo_error():
    values = np.random.default_rng(3).gamma(1.0, size=50)
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, rng=1, method="BCa").confidence_interval
    metric = lambda weights: classification.weighted_mean(values, weights)  # noqa: E731
    found = bootstrap.bca(metric, np.arange(50), resamples=20_000, seed=2)
    width = expected.high - expected.low
    # The standard error of an end is about .01 of the width with 20,000 resamples.
    np.testing.assert_allclose((found.low, found.high), tuple(expected), atol=0.04 * width)
    plain = bootstrap.percentile(metric, np.arange(50), resamples=20_000, seed=2)
    assert abs(plain.high - expected.high) > 0.05 * width


# Metrics against scikit-learn, where tests/metrics does not: the negative class, per-class values, losses with weights.


@pytest.mark.parametrize("seed", range(4))
def test_metrics_of_the_negative_class_and_binary_losses_with_weights(seed):
    generator = np.random.default_rng(seed)
    probability = np.round(generator.uniform(0.01, 0.99, 90), 2)
    target = (generator.random(90) < probability).astype(np.int64)
    weights, said = generator.random((3, 90)), probability >= 0.5
    for row, weight in enumerate(weights):
        common = {"sample_weight": weight}
        for ours, given, expected in (
            ("specificity", said, sklearn_metrics.recall_score(target, said, pos_label=0, **common)),
            ("negative_predictive_value", said, sklearn_metrics.precision_score(target, said, pos_label=0, **common)),
            ("log_loss", probability, sklearn_metrics.log_loss(target, probability, **common)),
            ("brier", probability, sklearn_metrics.brier_score_loss(target, probability, **common)),
        ):
            found = getattr(classification, ours)(given, target, weights)[row]
            np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(
        classification.log_loss_values(probability, target).mean(), sklearn_metrics.log_loss(target, probability)
    )


@pytest.mark.parametrize("seed", range(3))
def test_values_of_each_class(seed):
    generator = np.random.default_rng(seed)
    target, said, weight = generator.integers(0, 5, 200), generator.integers(0, 5, 200), generator.random(200)
    matrix = classification.confusion_matrix(said, target, weight, classes=5)
    for ours, independent in (
        (classification.class_recall, sklearn_metrics.recall_score),
        (classification.class_f1, sklearn_metrics.f1_score),
    ):
        np.testing.assert_allclose(ours(matrix), independent(target, said, average=None, sample_weight=weight))


@pytest.mark.parametrize("digits", [1, 9])
def test_the_reliability_curve_is_scikit_learns_isotonic_regression(digits):
    generator = np.random.default_rng(digits)
    probability = np.round(generator.random(150), digits)
    target = (generator.random(150) < probability**1.5).astype(np.int64)
    recalibrated = isotonic.IsotonicRegression().fit_transform(probability, target)
    found = calibration.reliability(probability, target)
    place = np.searchsorted([block[1] for block in found["curve"]], probability)
    np.testing.assert_allclose(np.array([block[2] for block in found["curve"]])[place], recalibrated, atol=1e-6)
    brier = [sklearn_metrics.brier_score_loss(target, p) for p in (probability, recalibrated.clip(0, 1))]
    assert found["miscalibration"] == pytest.approx(brier[0] - brier[1], abs=1e-8)
    assert found["uncertainty"] - found["discrimination"] == pytest.approx(brier[1], abs=1e-8)
