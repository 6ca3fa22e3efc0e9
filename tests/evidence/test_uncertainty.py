"""Parts of the uncertainty: against scipy, additive and non-negative, and by hand at the limits."""

import json
import math

import numpy as np
import pytest
from scipy.stats import entropy, norm

from medjax.errors import InputError
from medjax.evidence import uncertainty


@pytest.mark.parametrize("classes", [2, 5])
def test_parts_of_the_entropy_against_scipy(classes):
    values = np.random.default_rng(0).dirichlet(np.ones(classes) / 2, (4, 300))
    found = uncertainty.of_classes(values)
    mean = values.mean(axis=0)
    np.testing.assert_allclose(found["total"], entropy(mean, axis=-1), atol=1e-12)
    np.testing.assert_allclose(found["aleatoric"], entropy(values, axis=-1).mean(axis=0), atol=1e-12)
    information = np.mean([entropy(member, mean, axis=-1) for member in values], axis=0)  # divergence from the mean
    np.testing.assert_allclose(found["epistemic"], information, atol=1e-12)
    np.testing.assert_allclose(found["aleatoric"] + found["epistemic"], found["total"], atol=1e-12)
    assert all(np.all(part >= 0) for part in found.values())
    assert np.all(found["epistemic"] <= math.log(4) + 1e-12)
    shuffled = uncertainty.of_classes(values[::-1, :, ::-1])
    for name in uncertainty.PARTS:
        np.testing.assert_allclose(shuffled[name], found[name], atol=1e-12)


def test_agreement_and_contradiction_by_hand():
    agree = uncertainty.of_classes(np.full((3, 1, 2), 0.5))
    assert agree["total"][0] == pytest.approx(math.log(2))
    assert agree["epistemic"][0] == 0
    contradict = uncertainty.of_classes(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    assert contradict["epistemic"][0] == pytest.approx(math.log(2))
    assert contradict["aleatoric"][0] == 0
    # Members that agree to the last digit must not come out below zero.
    same = np.repeat(np.random.default_rng(1).dirichlet(np.ones(7), (1, 2000)), 3, axis=0)
    assert np.all(uncertainty.of_classes(same)["epistemic"] >= 0)
    assert np.all(uncertainty.of_classes(same)["epistemic"] < 1e-12)


def test_one_member_has_no_epistemic_part_and_says_why():
    values = np.random.default_rng(2).dirichlet(np.ones(3), (1, 50))
    parts = uncertainty.of_classes(values)
    assert not parts["epistemic"].any()
    np.testing.assert_array_equal(parts["total"], parts["aleatoric"])
    found = uncertainty.summary(parts, np.arange(50), 1)
    assert found["mean"]["epistemic"]["estimate"] == 0
    assert "one member" in found["mean"]["epistemic"]["reason"]
    assert found["epistemic_share"] == 0
    json.dumps(found, allow_nan=False)


def test_variance_of_values_is_that_of_the_mixture():
    generator = np.random.default_rng(3)
    means, spreads = generator.normal(0, 2, (5, 4)), generator.uniform(0.5, 2, (5, 4))
    found = uncertainty.of_values(means, spreads**2)
    drawn = generator.normal(means, spreads, (200_000, 5, 4)).reshape(-1, 4)
    np.testing.assert_allclose(found["total"], drawn.var(axis=0), rtol=0.01)
    np.testing.assert_allclose(found["epistemic"], means.var(axis=0), atol=1e-12)
    np.testing.assert_allclose(found["aleatoric"] + found["epistemic"], found["total"], atol=1e-12)
    alone = uncertainty.of_values(means)
    assert np.all(np.isnan(alone["aleatoric"]) & np.isnan(alone["total"]))
    summary = uncertainty.summary(alone, np.arange(4), 5, unit="squared units")
    assert summary["mean"]["total"]["estimate"] is None
    assert "no spread" in summary["mean"]["total"]["reason"]
    assert summary["mean"]["epistemic"]["estimate"] == pytest.approx(means.var(axis=0).mean())
    assert summary["epistemic_share"] is None
    json.dumps(summary, allow_nan=False)
    with pytest.raises(InputError, match="none may be negative"):
        uncertainty.of_values(means, -(spreads**2))


def test_variance_from_normal_quantiles():
    levels = (0.05, 0.5, 0.95)
    columns = np.array([[[3.0, *norm.ppf(levels, 3.0, 1.7)], [0.0, 1.0, 1.0, 1.0]]])
    np.testing.assert_allclose(uncertainty.variances_of_quantiles(columns, levels), [[1.7**2, 0.0]], atol=1e-12)
    with pytest.raises(InputError, match="rising quantiles"):
        uncertainty.variances_of_quantiles(columns, (0.95, 0.5, 0.05))


def test_summary_means_by_patient_and_finds_errors():
    generator = np.random.default_rng(4)
    patient = np.arange(600) // 3
    sure = generator.uniform(0.5, 1, 600)
    values = np.stack(
        [np.stack([sure, 1 - sure], -1), np.stack([np.clip(sure + 0.1, 0, 1), np.clip(0.9 - sure, 0, 1)], -1)]
    )
    values = values / values.sum(-1, keepdims=True)
    wrong = generator.random(600) > sure
    parts = uncertainty.of_classes(values)
    found = uncertainty.summary(parts, patient, 2, wrong=wrong)
    for name in uncertainty.PARTS:
        row = found["mean"][name]
        assert row["estimate"] == pytest.approx(parts[name].mean(), abs=1e-12)
        assert row["low"] < row["estimate"] < row["high"]
        assert (row["cases"], row["patients"]) == (600, 200)
    means = [found["mean"][name]["estimate"] for name in ("aleatoric", "epistemic", "total")]
    assert means[0] + means[1] == pytest.approx(means[2], abs=1e-12)
    detected = found["detects_errors"]["total"]
    pairs = parts["total"][wrong][:, None] - parts["total"][~wrong][None, :]
    assert detected["estimate"] == pytest.approx(np.mean(pairs > 0) + np.mean(pairs == 0) / 2)
    assert detected["low"] > 0.5
    right = uncertainty.summary(parts, patient, 2, wrong=np.zeros(600, bool))
    assert right["detects_errors"]["total"]["reason"] == "no answer is wrong"
