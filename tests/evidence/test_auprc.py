import numpy as np
import pytest
from scipy import stats

from medjax.evidence import intervals, resampling
from medjax.evidence.auprc import auprc, auprc_influence
from medjax.evidence.multi_label import influence, multi_label_auprc, point
from medjax.evidence.setting import LABELS, Setting
from medjax.metrics import classification


@pytest.mark.parametrize("decimals", [1, 9])
def test_the_influence_is_the_derivative_by_each_case_s_weight(decimals):
    rng = np.random.default_rng(0)
    target = rng.random(60) < 0.3
    score = np.round(rng.normal(size=60) + target, decimals)  # many ties, or none
    estimate, influence = auprc_influence(score, target)
    assert estimate == pytest.approx(float(classification.auprc(score, target)))
    step = 1e-6 * np.eye(60)
    slope = (classification.auprc(score, target, 1 + step) - classification.auprc(score, target, 1 - step)) / 2e-6
    np.testing.assert_allclose(influence, slope, atol=1e-7)
    assert influence.sum() == pytest.approx(0, abs=1e-12)
    assert np.isnan(auprc_influence(score, np.zeros(60))[0])


def test_for_many_patients_it_agrees_with_the_jackknife(monkeypatch):
    rng = np.random.default_rng(1)
    size, patient = 2400, np.repeat(np.arange(1200), 2)
    target = (rng.random((size, 2)) < 0.2).astype(float)
    target[rng.random((size, 2)) < 0.1] = np.nan
    values = 1 / (1 + np.exp(-rng.normal(size=(size, 2)) - 1.5 * np.nan_to_num(target)))
    other = np.clip(values + 0.1 * rng.normal(size=values.shape), 0, 1)
    setting = Setting(target, patient, None, "labels", ("a", "b"), None, 0.5, 0.95, 100, 0)
    fast = multi_label_auprc(values, setting)
    monkeypatch.setattr(resampling, "JACKKNIFE_PATIENTS", 5000)
    slow = multi_label_auprc(values, setting)
    assert fast.estimate == pytest.approx(slow.estimate)
    assert fast.high - fast.low == pytest.approx(slow.high - slow.low, rel=0.03)
    for name in LABELS:
        (ours, sums), (theirs, other_sums) = influence(name, values, setting), influence(name, other, setting)
        sides = point(name, values, setting), point(name, other, setting)
        assert ours - theirs == pytest.approx(float(sides[0](None) - sides[1](None)))
        if name != "auroc":
            expected, _ = resampling.standard_error(lambda w, pair=sides: pair[0](w) - pair[1](w), patient)
            assert np.linalg.norm(sums - other_sums) == pytest.approx(expected, rel=0.05), name


def scores(seed: int, distance: float, size: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng, target = np.random.default_rng(seed), np.repeat([0, 1], [size - size // 3, size // 3])
    return rng.normal(size=size) + distance * target, target


@pytest.mark.parametrize("distance", [0.0, 1.0, 3.0])
def test_the_interval_is_symmetric_on_the_logit_scale_around_a_centre_moved_towards_a_half(distance):
    score, target = scores(2, distance)
    found = auprc(score, target, np.arange(90))
    error, _ = resampling.standard_error(lambda w: classification.auprc(score, target, w), np.arange(90))
    p = float(classification.auprc(score, target))
    error = np.sqrt(0.91 * (1 - 1.5 / 30) * error**2 + 0.3 * p * (1 - p) / 30**2) / (p * (1 - p))
    logits = np.log(np.array([found.low, found.high]) / (1 - np.array([found.low, found.high])))
    assert np.diff(logits)[0] == pytest.approx(2 * stats.t.ppf(0.975, 89) * error)
    shift = np.log(p / (1 - p)) - logits.mean()
    assert shift == pytest.approx(min(max(p - 0.5, 0) * error**2, 0.4 * error), abs=1e-9)
    assert found.estimate == p


def test_the_interval_is_of_patients_and_defined_at_its_limit():
    score, target = scores(3, 1.5)
    alone = auprc(score, target, np.arange(90))
    often = auprc(np.repeat(score, 3), np.repeat(target, 3), np.repeat(np.arange(90), 3))
    # Repeated cases are tied, which moves no precision.
    np.testing.assert_allclose([often.low, often.high], [alone.low, alone.high], rtol=1e-9)
    perfect = auprc(target + 0.0, target, np.arange(90))
    assert (perfect.low, perfect.high) == (intervals.wilson(30, 30)[0], 1.0)
    assert auprc(score, np.zeros(90), np.arange(90)).reason
    assert auprc(score, target, np.arange(90) // 45).reason == "too few patients"
