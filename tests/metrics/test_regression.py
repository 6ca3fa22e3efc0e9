"""Regression metrics against scikit-learn and SciPy."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from medjax.metrics import regression


def cases(seed: int, size: int = 90) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    value = np.round(generator.normal(5, 2, size), 1)
    prediction = np.round(0.6 * value + generator.normal(2, 1, size), 1)
    return prediction, value, generator.integers(0, 4, (4, size))


@pytest.mark.parametrize("seed", range(4))
def test_errors_and_r2_agree_with_scikit_learn(seed):
    prediction, value, weights = cases(seed)
    for name, independent in (
        ("mean_squared_error", sklearn_metrics.mean_squared_error),
        ("mean_absolute_error", sklearn_metrics.mean_absolute_error),
        ("r2", sklearn_metrics.r2_score),
    ):
        expected = [independent(value, prediction, sample_weight=row) for row in weights]
        np.testing.assert_allclose(getattr(regression, name)(prediction, value, weights), expected, rtol=1e-11)
        np.testing.assert_allclose(
            getattr(regression, name)(prediction, value), independent(value, prediction), rtol=1e-11
        )


@pytest.mark.parametrize("seed", range(4))
def test_correlations_agree_with_scipy_and_weights_are_repeated_cases(seed):
    prediction, value, weights = cases(seed)
    for name, independent in (("pearson", stats.pearsonr), ("spearman", stats.spearmanr)):
        function = getattr(regression, name)
        expected = [independent(np.repeat(prediction, row), np.repeat(value, row))[0] for row in weights]
        np.testing.assert_allclose(function(prediction, value, weights), expected, rtol=1e-10)
        np.testing.assert_allclose(function(prediction, value), independent(prediction, value)[0], rtol=1e-10)


def test_large_offsets_do_not_spoil_correlations():
    prediction, value, _ = cases(0)
    for name in ("pearson", "spearman", "r2"):
        function = getattr(regression, name)
        np.testing.assert_allclose(function(prediction + 1e6, value + 1e6), function(prediction, value), rtol=1e-6)


def test_undefined_is_nan():
    constant, value = np.full(10, 3.1), np.arange(10.0)
    assert np.isnan(regression.r2(value, constant))
    assert np.isnan(regression.pearson(constant, value))
    assert np.isnan(regression.spearman(constant, value))
    assert np.isnan(regression.mean_squared_error(value, value, np.zeros(10)))
