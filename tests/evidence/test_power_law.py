import math

import numpy as np
import pytest

from medjax.evidence.power_law import EXPONENTS, at, factor_for, fit, smooth_variance

SIZES = np.array([20, 40, 100, 200, 400])
RELATIVE = SIZES / SIZES[-1]


@pytest.mark.parametrize("exponent", [0.2, 0.5, 1.3])
@pytest.mark.parametrize("limit", [0.0, 0.1])
def test_an_exact_law_is_found(limit, exponent):
    law = fit(RELATIVE, limit + 0.05 * RELATIVE**-exponent, np.ones(5))
    assert float(law.exponent) == pytest.approx(exponent, rel=0.003)
    np.testing.assert_allclose(at(law, RELATIVE), limit + 0.05 * RELATIVE**-exponent, rtol=2e-3)
    assert float(at(law, 2.0)) == pytest.approx(limit + 0.05 * 2.0**-exponent, abs=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_the_fit_agrees_with_scipy_s_bounded_least_squares(seed):
    from scipy.optimize import curve_fit

    generator = np.random.default_rng(seed)
    deviation = 0.004 * RELATIVE**-0.5
    error = 0.01 * (seed % 3) + 0.04 * RELATIVE**-0.6 + deviation * generator.normal(size=5)
    law = fit(RELATIVE, error, deviation**-2, offsets=(0.0,))

    def model(x, limit, scale, exponent):
        return limit + scale * x**-exponent

    bounds = ([0, 0, EXPONENTS[0]], [1, 1, EXPONENTS[-1]])
    residuals = [
        ((error - model(RELATIVE, *curve_fit(model, RELATIVE, error, start, deviation, bounds=bounds)[0])) / deviation)
        ** 2
        for start in ([0.01, 0.05, 0.3], [0.03, 0.02, 1.0], [1e-6, 0.05, 0.5])
    ]
    best = min(float(part.sum()) for part in residuals)
    assert float(law.misfit) <= best * 1.001 + 1e-3
    assert float(law.misfit) >= best - 1e-6
    assert float(law.limit) >= 0
    assert float(law.scale) >= 0
    assert float(fit(RELATIVE, error, deviation**-2).misfit) <= float(law.misfit) + 1e-9  # an offset can only help


def test_a_slow_start_is_found():
    error = 0.1 + 0.03 * ((RELATIVE + 0.1) / 1.1) ** -0.8
    law = fit(RELATIVE, error, np.ones(5))
    assert float(law.offset) == 0.1
    assert float(law.exponent) == pytest.approx(0.8, rel=0.01)
    assert float(at(law, 2.0)) == pytest.approx(0.1 + 0.03 * (2.1 / 1.1) ** -0.8, abs=1e-4)
    factor = float(factor_for(law, 0.004))
    assert float(at(law, 1.0) - at(law, factor)) == pytest.approx(0.004)
    pure = fit(RELATIVE, error, np.ones(5), offsets=(0.0,))
    assert float(at(pure, 2.0)) < float(at(law, 2.0)) - 0.002  # which would promise too much


def test_many_curves_at_once_are_each_curve_alone():
    errors = np.random.default_rng(0).uniform(0, 0.3, size=(7, 5))
    weight = np.array([1.0, 2, 3, 4, 5])
    every = fit(RELATIVE, errors, weight)
    for k, error in enumerate(errors):
        alone = fit(RELATIVE, error, weight)
        for name in ("offset", "limit", "scale", "exponent", "misfit"):
            assert float(getattr(every, name)[k]) == pytest.approx(float(getattr(alone, name)))
        residual = error - at(alone, RELATIVE)
        assert float(alone.misfit) == pytest.approx(float(residual**2 @ weight))


def test_a_curve_that_gets_worse_is_fitted_by_its_weighted_mean():
    law = fit(RELATIVE, np.array([0.1, 0.2, 0.3, 0.4, 0.5]), np.array([1.0, 1, 1, 1, 6]))
    assert float(law.scale) == 0
    assert float(law.limit) == pytest.approx(0.4)


def test_the_factor_reaches_the_gain():
    law = fit(RELATIVE, 0.02 + 0.03 * RELATIVE**-0.5, np.ones(5))
    factor = float(factor_for(law, 0.005))
    assert float(at(law, 1.0) - at(law, factor)) == pytest.approx(0.005)
    assert math.isinf(float(factor_for(law, 0.04)))  # more than ever can be gained


def test_variances_are_smoothed_by_a_power_of_the_size_without_the_last():
    generator = np.random.default_rng(1)
    values = generator.normal(size=(4000, 5)) * 0.1 * RELATIVE**-0.5
    values[:, -1] = 0.5  # the same patients, and a learner without chance
    np.testing.assert_allclose(smooth_variance(SIZES, values), 0.01 / RELATIVE, rtol=0.1)
    few = np.mean([np.log(smooth_variance(SIZES, values[k : k + 4])) for k in range(0, 4000, 4)], axis=0)
    np.testing.assert_allclose(few[:4], np.log(0.01 / RELATIVE[:4]), atol=0.15)  # unbiased, with four seeds too
    assert np.isnan(smooth_variance(SIZES, np.full((5, 5), 0.3))).all()
