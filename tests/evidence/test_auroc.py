"""The interval of AUROC: against DeLong's own definition, what it must not depend on, and where it warns."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from medjax.evidence import auroc


def scored(seed: int, positives: int, negatives: int, distance: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    target = np.repeat([1, 0], [positives, negatives])
    return np.random.default_rng(seed).normal(size=len(target)) + distance * target, target


def parts(score: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray]:
    """AUROC and what each case adds to it, from the full matrix of pairs, scaled as DeLong's variance is."""
    difference = score[target == 1][:, None] - score[target == 0]
    kernel = (difference > 0) + 0.5 * (difference == 0)
    both = [(mean - kernel.mean()) / np.sqrt(len(mean) * (len(mean) - 1)) for mean in (kernel.mean(1), kernel.mean(0))]
    return float(kernel.mean()), np.concatenate(both)


def ends(found) -> tuple[float, float]:
    return found.low, found.high


def plain_delong(score: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    estimate, influence = parts(score, target)
    half = stats.norm.ppf(0.975) * np.sqrt(influence @ influence) / (estimate * (1 - estimate))
    return expit(logit(estimate) - half), expit(logit(estimate) + half)


@pytest.mark.parametrize("seed", range(4))
def test_interval_is_students_on_the_logit_scale_with_degrees_from_the_fourth_moments(seed):
    score, target = scored(seed, 30, 70)
    estimate, influence = parts(score, target)
    variance = influence @ influence
    unseen = 0.03 * estimate * (1 - estimate) * (30.0**-4 + 70.0**-4)
    degrees = 2 * variance**2 / ((influence**4).sum() + unseen)
    assert 4 < degrees < 100
    centre = estimate - 0.2 * (estimate - 0.5) * (1 / 30 + 1 / 70)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(variance) / (centre * (1 - centre))
    found = auroc.auroc(score, target, np.arange(100))
    np.testing.assert_allclose(ends(found), expit(logit(centre) + np.array([-half, half])), rtol=1e-12)
    assert found.estimate == pytest.approx(estimate, rel=1e-12)


def test_without_corrections_it_is_delongs_interval(monkeypatch):
    for name, value in (("SHIFT", 0.0), ("LEAST_DEGREES", 1e15)):
        monkeypatch.setattr(auroc, name, value)
    score, target = scored(5, 40, 60)
    found = auroc.auroc(score, target, np.arange(100))
    np.testing.assert_allclose(ends(found), plain_delong(score, target), rtol=1e-9)


def test_it_is_wider_than_plain_delong_and_reaches_lower():
    tried = 0
    for seed in range(150):
        generator = np.random.default_rng(seed)
        score, target = scored(seed, *(int(k) for k in generator.integers(5, 120, 2)), generator.uniform(0.2, 3))
        found = auroc.auroc(score, target, np.arange(len(score)))
        if 0.5 < found.estimate < 1:
            low, high = plain_delong(score, target)
            assert found.low < low
            assert found.high - found.low > high - low
            assert found.low <= found.estimate <= found.high
            tried += 1
    assert tried > 120


def test_it_approaches_delong_with_many_patients():
    score, target = scored(6, 4000, 6000)
    found = auroc.auroc(score, target, np.arange(10_000))
    np.testing.assert_allclose(ends(found), plain_delong(score, target), atol=2e-4)


def test_one_misjudged_case_lowers_the_degrees_of_freedom():
    score, target = scored(7, 30, 300, 4.0)
    apart = score.copy()
    apart[0] = score[target == 0].min() - 1
    found, (low, high) = auroc.auroc(apart, target, np.arange(330)), plain_delong(apart, target)
    assert found.low < low - 0.05
    assert found.high < high + 0.01


def test_turning_the_scores_mirrors_the_interval_and_stretching_them_changes_nothing():
    score, target = scored(8, 35, 50)
    patient = np.arange(85)
    found, mirrored = auroc.auroc(score, target, patient), auroc.auroc(-score, target, patient)
    np.testing.assert_allclose(ends(mirrored), (1 - found.high, 1 - found.low), rtol=1e-9)
    swapped = auroc.auroc(-score, 1 - target, patient)
    np.testing.assert_allclose(ends(swapped), ends(found), rtol=1e-12)
    assert ends(auroc.auroc(np.exp(3 * score), target, patient)) == ends(found)


def test_both_ends_rise_with_the_distance_of_the_classes():
    score, target = scored(9, 40, 80, 0.0)
    found = [auroc.auroc(score + shift * target, target, np.arange(120)) for shift in np.linspace(-2, 2, 9)]
    for one in zip(*(ends(each) for each in found), strict=True):
        assert np.all(np.diff(one) > 0)


@pytest.mark.parametrize(("positives", "negatives"), [(2, 2), (2, 40), (30, 30), (30, 300)])
def test_ends_are_finite_in_order_and_apart_wherever_the_estimate_lies(positives, negatives):
    target = np.repeat([1, 0], [positives, negatives])
    size = positives + negatives
    best = target * 10.0 + np.arange(size) * 1e-3
    nearly = best.copy()
    nearly[0] = best[target == 0].max() - 1e-6  # one pair is lost
    for score in (best, -best, nearly, -nearly, np.zeros(size), np.where(np.arange(size) == 0, 1.0, 0.0)):
        for fold in (None, np.arange(size) % 2):
            found = auroc.auroc(score, target, np.arange(size), fold=fold)
            if found.reason:
                continue
            assert 0 <= found.low <= found.estimate <= found.high <= 1
            assert found.high - found.low > 1e-3
            assert found.low < found.estimate or found.estimate == 0
            assert found.high > found.estimate or found.estimate == 1


def test_the_warning_is_a_matter_of_size_alone():
    for size, warned in ((30, True), (199, True), (200, False), (400, False)):
        for distance in (0.0, 1.0, 4.0, 20.0):
            score, target = scored(10, size, 400, distance)
            found = auroc.auroc(score, target, np.arange(len(score)))
            assert bool(found.warning) == warned, (size, distance)
            probability = expit(score)
            both = auroc.macro_auroc(np.stack([1 - probability, probability], -1), target, np.arange(len(score)))
            assert bool(both.warning) == warned
    # Patients count, not cases.
    score, target = scored(11, 400, 400)
    assert auroc.auroc(score, target, np.arange(800) // 4).warning == auroc.TAIL_WARNING


def test_macro_auroc_of_two_classes_is_auroc_but_for_the_degrees_of_freedom():
    score, target = scored(12, 60, 90)
    probability = expit(score)
    both = auroc.macro_auroc(np.stack([1 - probability, probability], -1), target, np.arange(150))
    one = auroc.auroc(probability, target, np.arange(150))
    assert both.estimate == pytest.approx(one.estimate, rel=1e-12)
    np.testing.assert_allclose(ends(both), ends(one), atol=5e-4)


def test_near_one_the_centre_moves_by_at_most_a_part_of_the_standard_error():
    target = np.repeat([0, 1], 200)
    score = np.where(target, 1000.0, np.arange(400))
    score[200:220] = 197.5  # 20 positives, each below two negatives: 40 of 40,000 pairs in the wrong order
    found = auroc.auroc(score, target, np.arange(400))
    error = np.linalg.norm(parts(score, target)[1])
    assert found.estimate == pytest.approx(0.999)
    odds = logit(np.array(ends(found))).mean()  # the centre on the scale on which the interval is symmetric
    moved = found.estimate - expit(odds)
    # By half of what is missing to 1 it would move .7 of the error, and the interval would end near its estimate.
    assert moved == pytest.approx(0.4 * error, rel=1e-9)


def test_macro_auroc_is_students_on_the_mean_of_influences():
    generator = np.random.default_rng(13)
    target = np.repeat([0, 1, 2], [8, 10, 12])
    probability = generator.dirichlet(np.ones(3), 30) + 0.3 * np.eye(3)[target]
    total, mean, shift, unseen, alone = np.zeros(30), 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        own = (target == k).astype(int)
        estimate, influence = parts(probability[:, k], own)
        total[np.concatenate([np.flatnonzero(own), np.flatnonzero(1 - own)])] += influence / 3
        sizes = np.array([own.sum(), 30 - own.sum()], float)
        mean += estimate / 3
        shift += 0.2 * (estimate - 0.5) * (1 / sizes).sum() / 3
        alone += influence @ influence / 3
        unseen += 0.03 * estimate * (1 - estimate) * (sizes**-4).sum() / 3**4
    variance = total @ total
    centre = mean - shift * variance / alone  # independent classes would leave a third
    degrees = 2 * variance**2 / ((total**4).sum() + unseen)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(variance) / (centre * (1 - centre))
    found = auroc.macro_auroc(probability, target, np.arange(30))
    assert found.estimate == pytest.approx(mean, rel=1e-12)
    np.testing.assert_allclose(ends(found), expit(logit(centre) + np.array([-half, half])), rtol=1e-12)
