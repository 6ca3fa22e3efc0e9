import numpy as np
import pytest
from sklearn import metrics as sk

from medjax.metrics import classification, multi_label


def drawn(unknown=0.25, seed=0):
    rng = np.random.default_rng(seed)
    target = (rng.random((70, 4)) < 0.4).astype(float)
    score = np.round(rng.random((70, 4)) + 0.3 * target, 1) / 1.3  # many ties
    target[rng.random((70, 4)) < unknown] = np.nan
    return score, target, rng.integers(0, 3, (2, 70)).astype(float)


def by_label(function, score, target, weights):
    known = np.isfinite(target)
    return [
        function(target[known[:, k], k], score[known[:, k], k], sample_weight=weights[known[:, k]]) for k in range(4)
    ]


def test_macro_ranks_agree_with_scikit_learn_over_known_labels():
    score, target, weights = drawn()
    for ours, theirs in (
        (multi_label.macro_auroc, sk.roc_auc_score),
        (multi_label.macro_auprc, sk.average_precision_score),
    ):
        expected = [np.mean(by_label(theirs, score, target, one)) for one in weights]
        np.testing.assert_allclose(ours(score, target, weights), expected, rtol=1e-12)
        np.testing.assert_allclose(ours(score, target), ours(score, target, np.ones(70)), rtol=1e-12)


@pytest.mark.parametrize("name", multi_label.RATIOS)
def test_macro_ratios_agree_with_scikit_learn(name):
    score, target, weights = drawn()
    said = score >= 0.5
    function = {
        "accuracy": sk.accuracy_score,
        "sensitivity": sk.recall_score,
        "specificity": lambda t, p, sample_weight: sk.recall_score(1 - t, 1 - p, sample_weight=sample_weight),
        "f1": sk.f1_score,
    }[name]
    expected = [np.mean(by_label(function, said.astype(float), target, one)) for one in weights]
    np.testing.assert_allclose(multi_label.macro_ratio(name, said, target, weights), expected, rtol=1e-12)


def test_what_is_unknown_plays_no_part():
    score, target, weights = drawn()
    rng = np.random.default_rng(5)
    moved = np.where(np.isnan(target), rng.random(score.shape), score)
    for function in (multi_label.macro_auroc, multi_label.macro_auprc):
        np.testing.assert_array_equal(function(moved, target, weights), function(score, target, weights))
    for name in multi_label.RATIOS:
        both = [multi_label.macro_ratio(name, one >= 0.5, target) for one in (score, moved)]
        assert both[0] == both[1]
    assert multi_label.exact_match(moved >= 0.5, target) == multi_label.exact_match(score >= 0.5, target)
    for name in ("brier", "log_loss"):
        assert multi_label.mean_error(name, moved, target) == multi_label.mean_error(name, score, target)


def test_without_unknowns_they_are_the_plain_metrics():
    score, target, weights = drawn(unknown=0)
    assert multi_label.exact_match(score >= 0.5, target) == sk.accuracy_score(target, score >= 0.5)
    each = [classification.auroc(score[:, k], target[:, k], weights) for k in range(4)]
    np.testing.assert_allclose(multi_label.macro_auroc(score, target, weights), np.mean(each, axis=0))
    assert multi_label.mean_error("brier", score, target) == pytest.approx(((score - target) ** 2).mean())
    flat = np.clip(score, 1e-9, 1 - 1e-9).reshape(-1)
    assert multi_label.mean_error("log_loss", flat.reshape(score.shape), target) == pytest.approx(
        sk.log_loss(target.reshape(-1), flat)
    )


def test_a_label_with_one_answer_is_left_out_and_none_is_nan():
    score, target, _ = drawn()
    target[:, 1] = np.where(np.isfinite(target[:, 1]), 0, np.nan)
    kept = [0, 2, 3]
    assert multi_label.judged(target).tolist() == [True, False, True, True]
    assert multi_label.macro_auroc(score, target) == multi_label.macro_auroc(score[:, kept], target[:, kept])
    empty = np.full_like(target, np.nan)
    assert np.isnan(multi_label.macro_auroc(score, empty))
    assert np.isnan(multi_label.macro_ratio("f1", score >= 0.5, empty))
    assert np.isnan(multi_label.exact_match(score >= 0.5, empty))
    assert np.isnan(multi_label.mean_error("brier", score, empty))


def test_pairs_within_folds_only():
    score, target, weights = drawn()
    fold = np.arange(70) % 3
    base = multi_label.macro_auroc(score, target, weights, fold=fold)
    np.testing.assert_allclose(multi_label.macro_auroc(score + 10 * fold[:, None], target, weights, fold=fold), base)
