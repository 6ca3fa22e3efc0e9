"""Curves agree with scikit-learn and with the metrics of the table; bands know the patient."""

import numpy as np
import pytest

from medjax.evidence.auroc import auroc
from medjax.metrics.classification import auprc
from medjax.report.page import curves
from medjax.report.page.curves import GRID


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    target = rng.random(300) < 0.3
    score = np.round(rng.normal(size=300) + 1.2 * target, 1)  # with ties
    return score, target, np.arange(300)


def test_the_roc_curve_is_that_of_scikit_learn(scored):
    from sklearn.metrics import roc_curve

    score, target, patient = scored
    found = curves.roc("x", score, target, patient)
    x, y, _ = roc_curve(target, score, drop_intermediate=False)
    for wanted, height in zip(GRID, found.y, strict=True):
        upper = y[x <= wanted + 1e-12].max() if np.any(np.isclose(x, wanted)) else np.interp(wanted, x, y)
        assert height == pytest.approx(upper, abs=1e-12)
    assert np.all(found.low <= found.y + 1e-9)
    assert np.all(found.y <= found.high + 1e-9)
    assert found.high[50] - found.low[50] > 0.03


def test_the_area_is_the_auroc_also_within_folds(scored):
    score, target, patient = scored
    fold = patient % 3
    shifted = score + 2.0 * fold  # models of different folds on different scales
    area = np.trapezoid(curves.roc("x", shifted, target, patient, fold).y, GRID)
    inside = auroc(shifted, target, patient, fold=fold).estimate
    assert area == pytest.approx(inside, abs=2e-3)
    pooled = np.trapezoid(curves.roc("x", shifted, target, patient).y, GRID)
    assert pooled == pytest.approx(auroc(shifted, target, patient).estimate, abs=2e-3)
    assert abs(pooled - inside) > 0.05


def test_precision_at_each_recall_is_that_of_scikit_learn(scored):
    from sklearn.metrics import precision_recall_curve

    score, target, patient = scored
    found = curves.precision_recall("x", score, target, patient)
    precision, recall, _ = precision_recall_curve(target, score)
    for wanted, height in zip(GRID[1:], found.y[1:], strict=True):
        place = np.flatnonzero(recall >= wanted - 1e-9)[-1]  # recall falls: the highest threshold that reaches it
        assert height == pytest.approx(precision[place], abs=1e-12)
    assert np.isnan(found.y[0])
    assert np.mean(found.y[1:]) == pytest.approx(float(auprc(score, target)), abs=5e-3)


def test_bands_resample_patients_not_cases(scored):
    score, target, patient = scored
    alone = curves.roc("x", score, target, patient, seed=4)
    copies = curves.roc("x", np.repeat(score, 4), np.repeat(target, 4), np.repeat(patient, 4), seed=4)
    np.testing.assert_allclose(copies.low, alone.low, atol=1e-12)
    np.testing.assert_allclose(copies.high, alone.high, atol=1e-12)
    wrong = curves.roc("x", np.repeat(score, 4), np.repeat(target, 4), np.arange(1200), seed=4)
    assert np.mean(wrong.high - wrong.low) < 0.7 * np.mean(alone.high - alone.low)
    assert np.array_equal(curves.roc("x", score, target, patient, seed=4).low, alone.low)


def test_bands_stay_defined_where_resamples_lose_a_class():
    score, target = np.array([0.1, 0.9, 0.4]), np.array([False, True, False])
    for made in (curves.roc, curves.precision_recall):
        found = made("x", score, target, np.arange(3))
        assert np.all(np.isfinite(found.low[1:]))
        assert np.all((found.low[1:] >= 0) & (found.high[1:] <= 1))


def test_many_cases_get_fewer_resamples():
    assert curves.resamples_for(500) == 500
    assert curves.resamples_for(200_000) == 250
    assert curves.resamples_for(10_000_000) == 100


def test_training_curves_by_replicate_and_by_wave():
    rows = [{"step": s, "loss": 1.0, "loss/seed_0": 2.0, "loss/seed_1": 0.5, "gradient_norm": 9.0} for s in (0, 10)]
    found = curves.training(rows, 11, [])
    assert set(found) == {"loss"}
    assert {curve.name: curve.y.tolist() for curve in found["loss"]} == {
        "mean": [1.0, 1.0], "seed 0": [2.0, 2.0], "seed 1": [0.5, 0.5]
    }  # fmt: skip
    waves = [{"step": 4, "loss": 3.0}, {"step": 10, "validation_auroc": 0.7}, {"step": 10, "loss": 2.0},
             {"step": 20, "validation_auroc": 0.8}]  # fmt: skip
    members = [{"seed_number": 0}, {"seed_number": 1}]
    found = curves.training(waves, 10, members)
    assert {curve.name: curve.x.tolist() for curve in found["loss"]} == {"seed 0": [4], "seed 1": [0]}
    assert {curve.name: (curve.x.tolist(), curve.y.tolist()) for curve in found["validation_auroc"]} == {
        "seed 0": ([10], [0.7]), "seed 1": ([10], [0.8])
    }  # fmt: skip
    assert curves.training([], None, []) == {}
