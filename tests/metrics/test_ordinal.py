import numpy as np
from sklearn.metrics import cohen_kappa_score, mean_absolute_error

from medjax.metrics import ordinal


def test_weighted_kappa_agrees_with_scikit_learn_also_over_resamples():
    rng = np.random.default_rng(0)
    for classes in (3, 5):
        true = rng.integers(0, classes, 80)
        guess = np.clip(true + rng.integers(-1, 2, 80), 0, classes - 1)
        weights = rng.integers(0, 4, (3, 2, 80)).astype(float)
        found = ordinal.quadratic_weighted_kappa(guess, true, weights, classes=classes)
        assert found.shape == (3, 2)
        for place in np.ndindex(3, 2):
            expected = cohen_kappa_score(true, guess, weights="quadratic", sample_weight=weights[place])
            np.testing.assert_allclose(found[place], expected, rtol=1e-12)
            repeated = np.repeat(np.arange(80), weights[place].astype(int))
            error = ordinal.mean_absolute_grade_error(guess, true, weights[place])
            np.testing.assert_allclose(error, mean_absolute_error(true[repeated], guess[repeated]), rtol=1e-12)


def test_kappa_at_its_limits():
    true = np.array([0, 1, 2, 0, 1, 2])
    assert ordinal.quadratic_weighted_kappa(true, true, classes=3) == 1
    assert ordinal.quadratic_weighted_kappa(2 - true, true, classes=3) == -1
    assert ordinal.quadratic_weighted_kappa(np.ones(6, int), true, classes=3) == 0
    assert np.isnan(ordinal.quadratic_weighted_kappa(np.ones(6, int), np.ones(6, int), classes=3))
    assert np.isnan(ordinal.quadratic_weighted_kappa(true, true, np.zeros(6), classes=3))


def test_the_median_grade_has_the_least_expected_error():
    rng = np.random.default_rng(1)
    probability = rng.dirichlet(np.ones(5) * 0.7, 200)
    distance = np.abs(np.arange(5)[:, None] - np.arange(5)[None, :])
    best = (probability @ distance).min(-1)
    chosen = ordinal.median_grade(probability)
    np.testing.assert_allclose((probability @ distance)[np.arange(200), chosen], best)
    assert ordinal.median_grade(np.array([0.5, 0.0, 0.5])) == 0  # of two medians the lower grade
    assert ordinal.median_grade(np.array([0.3, 0.3, 0.4])) == 1  # the most probable grade would be 2
