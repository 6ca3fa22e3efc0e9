"""Classification metrics against scikit-learn, by hand, and by what must not change them."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medjax.metrics import classification


def cases(seed: int, size: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with many ties, targets that follow them, and weights of five resamples, some of them 0."""
    generator = np.random.default_rng(seed)
    score = np.round(generator.random(size), 1)
    target = (generator.random(size) < score).astype(np.int64)
    weights = generator.random((5, size)) * (generator.random((5, size)) < 0.8)
    return score, target, weights


PAIRS = [
    ("accuracy", sklearn_metrics.accuracy_score, False),
    ("sensitivity", sklearn_metrics.recall_score, False),
    ("positive_predictive_value", sklearn_metrics.precision_score, False),
    ("f1", sklearn_metrics.f1_score, False),
    ("matthews", sklearn_metrics.matthews_corrcoef, False),
    ("balanced_accuracy", sklearn_metrics.balanced_accuracy_score, False),
    ("auroc", sklearn_metrics.roc_auc_score, True),
    ("auprc", sklearn_metrics.average_precision_score, True),
    ("brier", sklearn_metrics.brier_score_loss, True),
]


@pytest.mark.parametrize(("name", "independent", "ranked"), PAIRS)
@pytest.mark.parametrize("seed", range(5))
def test_binary_metrics_agree_with_scikit_learn(name, independent, ranked, seed):
    score, target, weights = cases(seed)
    given = score if ranked else score >= 0.5
    found = getattr(classification, name)(given, target, weights)
    expected = [independent(target, given, sample_weight=row) for row in weights]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(getattr(classification, name)(given, target), independent(target, given), rtol=1e-12)


def test_specificity_and_negative_predictive_value_are_those_of_the_other_class():
    score, target, weights = cases(7)
    said = score >= 0.5
    for name, mirrored in (("specificity", "sensitivity"), ("negative_predictive_value", "positive_predictive_value")):
        found = getattr(classification, name)(said, target, weights)
        np.testing.assert_allclose(found, getattr(classification, mirrored)(~said, 1 - target, weights), rtol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_multi_class_metrics_agree_with_scikit_learn(seed):
    generator = np.random.default_rng(seed)
    target = generator.integers(0, 4, 150)
    probability = np.round(generator.dirichlet(np.ones(4), 150) + np.eye(4)[target] * 0.4, 2) + 1e-3
    probability /= probability.sum(-1, keepdims=True)
    weights, said = generator.random((3, 150)), probability.argmax(-1)
    for row, weight in enumerate(weights):
        for name, independent in (
            ("balanced_accuracy", sklearn_metrics.balanced_accuracy_score),
            ("matthews", sklearn_metrics.matthews_corrcoef),
            ("macro_f1", lambda *a, **k: sklearn_metrics.f1_score(*a, average="macro", **k)),
        ):
            found = getattr(classification, name)(said, target, weights, classes=4)[row]
            np.testing.assert_allclose(found, independent(target, said, sample_weight=weight), rtol=1e-12)
        loss = sklearn_metrics.log_loss(target, probability, sample_weight=weight)
        np.testing.assert_allclose(classification.log_loss(probability, target, weights)[row], loss, rtol=1e-12)
        square = np.average(((probability - np.eye(4)[target]) ** 2).sum(-1), weights=weight)
        np.testing.assert_allclose(classification.brier(probability, target, weights)[row], square, rtol=1e-12)
        each = [sklearn_metrics.roc_auc_score(target == k, probability[:, k], sample_weight=weight) for k in range(4)]
        np.testing.assert_allclose(classification.class_auroc(probability, target, weights)[row], each, rtol=1e-12)
        macro = classification.macro_auroc(probability, target, weights)[row]
        np.testing.assert_allclose(macro, np.mean(each), rtol=1e-12)
        matrix = sklearn_metrics.confusion_matrix(target, said, sample_weight=weight)
        np.testing.assert_allclose(
            classification.confusion_matrix(said, target, weights, classes=4)[row], matrix, rtol=1e-12
        )


def test_binary_log_loss_is_finite_at_probability_zero_and_agrees_elsewhere():
    target, probability = np.array([1, 0, 1]), np.array([0.8, 0.3, 0.6])
    expected = -np.mean(np.log([0.8, 0.7, 0.6]))
    np.testing.assert_allclose(classification.log_loss(probability, target), expected, rtol=1e-12)
    assert np.isfinite(classification.log_loss(np.array([0.0, 1.0, 0.5]), target))


@pytest.mark.parametrize("name", ["auroc", "auprc", "f1", "matthews", "brier", "log_loss", "accuracy"])
def test_integer_weights_are_repeated_cases(name):
    score, target, _ = cases(3)
    counts = np.random.default_rng(0).integers(0, 4, len(score))
    given = score if name in ("auroc", "auprc", "brier", "log_loss") else score >= 0.5
    function = getattr(classification, name)
    repeated = function(np.repeat(given, counts), np.repeat(target, counts))
    np.testing.assert_allclose(function(given, target, counts), repeated, rtol=1e-12)


def test_auroc_counts_pairs_by_hand():
    # positives .9 .5, negatives .5 .1: of four pairs three are in order, and one is tied
    score, target = np.array([0.9, 0.5, 0.5, 0.1]), np.array([1, 1, 0, 0])
    assert float(classification.auroc(score, target)) == pytest.approx(3.5 / 4)


def test_auroc_depends_on_ranks_only_and_mirrors():
    score, target, weights = cases(11)
    base = classification.auroc(score, target, weights)
    np.testing.assert_allclose(classification.auroc(np.exp(3 * score), target, weights), base, rtol=1e-12)
    np.testing.assert_allclose(classification.auroc(-score, target, weights), 1 - base, rtol=1e-12)
    np.testing.assert_allclose(classification.auroc(score, 1 - target, weights), 1 - base, rtol=1e-12)


def test_auroc_within_folds_ignores_shifts_of_a_fold_and_one_class_folds():
    score, target, weights = cases(5)
    fold = np.arange(len(score)) % 4
    base = classification.auroc(score, target, weights, fold=fold)
    np.testing.assert_allclose(classification.auroc(score + 10 * fold, target, weights, fold=fold), base, rtol=1e-12)
    pooled = classification.auroc(score + 10 * fold, target, weights)
    assert np.all(np.abs(pooled - base) > 0.05)
    pairs = [
        (weights[0, fold == k] @ target[fold == k]) * (weights[0, fold == k] @ (1 - target[fold == k]))
        for k in range(4)
    ]
    each = [classification.auroc(score[fold == k], target[fold == k], weights[0, fold == k]) for k in range(4)]
    np.testing.assert_allclose(base[0], np.average(each, weights=pairs), rtol=1e-12)
    alone = np.where(fold == 0, 1, target)  # fold 0 holds positives only: it has no pair
    kept = fold != 0
    np.testing.assert_allclose(
        classification.auroc(score, alone, fold=fold),
        classification.auroc(score[kept], alone[kept], fold=fold[kept]),
        rtol=1e-12,
    )


def test_undefined_is_nan():
    score, ones = np.array([0.2, 0.7, 0.9]), np.array([1, 1, 1])
    zeros, none, every = 1 - ones, np.zeros(3, bool), np.ones(3, bool)
    assert np.isnan(classification.auroc(score, ones))
    assert np.isnan(classification.auprc(score, zeros))
    assert np.isnan(classification.specificity(every, ones))
    assert np.isnan(classification.sensitivity(every, zeros))
    assert np.isnan(classification.positive_predictive_value(none, ones))
    assert np.isnan(classification.negative_predictive_value(every, ones))
    assert np.isnan(classification.f1(none, zeros))
    assert np.isnan(classification.matthews(every, np.array([0, 1, 1])))
    assert np.isnan(classification.balanced_accuracy(every, ones))
    assert np.isnan(classification.accuracy(every, ones, np.zeros(3)))


def test_average_precision_of_no_case_is_nan():
    assert np.isnan(classification.auprc(np.empty(0), np.empty(0)))
    assert np.isnan(classification.auprc(np.empty(0), np.empty(0), np.empty((3, 0)))).all()
