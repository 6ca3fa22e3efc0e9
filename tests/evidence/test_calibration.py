"""The variance of the calibration slope, against its two textbook forms."""

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from medjax.evidence import calibration


def test_slope_has_the_mean_of_sandwich_and_model_variance_with_one_case_a_patient():
    generator = np.random.default_rng(0)
    probability = generator.beta(2, 2, 90)
    target = (generator.random(90) < probability).astype(np.int64)
    odds = np.log(probability / (1 - probability))
    fitted = LogisticRegression(C=np.inf, tol=1e-12, max_iter=1000).fit(odds[:, None], target)
    risk = fitted.predict_proba(odds[:, None])[:, 1]
    design = np.stack([np.ones(90), odds], axis=-1)
    bread = np.linalg.inv((design * (risk * (1 - risk))[:, None]).T @ design)
    sandwich = 90 / 88 * bread @ ((design * ((target - risk) ** 2)[:, None]).T @ design) @ bread
    assert abs(sandwich[1, 1] / bread[1, 1] - 1) > 0.01
    half = stats.t.ppf(0.975, 88) * np.sqrt((sandwich[1, 1] + bread[1, 1]) / 2)
    found = calibration.calibration_slope(probability, target, np.arange(90))
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-4)
