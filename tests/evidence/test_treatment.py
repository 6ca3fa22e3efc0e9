"""The value of a treatment rule: by hand without censoring, against a known truth with it, and what it says of itself."""

import numpy as np
import pytest

from medjax.evidence.treatment import Trial, chances, policy, value


def trial(time, event, treated, chance, spared, until=10.0):
    count = len(time)
    return Trial(
        np.asarray(time, np.float64), np.asarray(event, bool), np.asarray(treated, bool), np.full(count, chance, np.float64),
        np.asarray(spared, np.float64), np.arange(count), until,
    )  # fmt: skip


def test_without_censoring_the_value_is_the_mean_of_those_who_followed_the_rule():
    one = trial([2, 4, 6, 20], [1, 1, 1, 1], [1, 1, 0, 0], 0.5, np.zeros((4, 2)))
    everybody, nobody = np.ones(4, bool), np.zeros(4, bool)
    assert value(one, everybody, "inverse")(None) == pytest.approx(3)
    assert value(one, nobody, "inverse")(None) == pytest.approx((6 + 10) / 2)  # 20 counts up to 10
    mixed = np.array([True, False, False, True])
    assert value(one, mixed, "inverse")(None) == pytest.approx((2 + 6) / 2)
    # With predictions of 0 the doubly robust one divides by all cases, not by those who followed: here the same.
    assert value(one, mixed, "doubly_robust")(None) == pytest.approx((2 + 6) / 2)


def test_right_predictions_need_no_followers_and_right_chances_no_predictions():
    truth = np.stack([np.full(4, 5.0), np.full(4, 7.0)], axis=-1)
    one = trial([7, 7, 5, 5], [1, 1, 1, 1], [1, 1, 0, 0], 0.9, truth)  # wrong chances
    assert value(one, np.ones(4, bool), "doubly_robust")(None) == pytest.approx(7)
    assert value(one, np.zeros(4, bool), "doubly_robust")(None) == pytest.approx(5)


@pytest.fixture(scope="module")
def randomised():
    """1,500 patients by lot; the treatment doubles the time of those with a marker and halves that of the others."""
    generator = np.random.default_rng(11)
    marker, treated = generator.uniform(size=1500) < 0.5, generator.uniform(size=1500) < 0.5
    scale = 5 * np.where(treated, np.where(marker, 2.0, 0.5), 1.0)
    lived, watched = generator.exponential(scale), generator.uniform(2, 25, 1500)

    def mean(scale):
        return scale * (1 - np.exp(-10 / scale))  # restricted to 10

    spared = np.stack([np.full(1500, mean(5.0)), np.where(marker, mean(10.0), mean(2.5))], axis=-1)
    inputs = np.stack([marker.astype(float), generator.normal(size=1500)], axis=-1)
    chance = chances(inputs, treated, np.arange(1500))
    found = Trial(np.minimum(lived, watched), lived <= watched, treated, chance, spared, np.arange(1500), 10.0)
    return found, {
        "recommended": np.mean([mean(10.0), mean(5.0)]),
        "treat_all": np.mean([mean(10.0), mean(2.5)]),
        "treat_none": mean(5.0),
    }


def test_a_known_truth_is_recovered_under_censoring(randomised):
    one, truth = randomised
    assert np.abs(one.chance - 0.5).max() < 0.1
    result = policy(one, resamples=100)
    for method in ("doubly_robust", "inverse"):
        for rule, expected in truth.items():
            found = result[method][rule]
            assert abs(found["estimate"] - expected) < 3 * (found["high"] - found["low"]) / 3.92, (method, rule)
        assert result[method]["over_treat_all"]["low"] > 0
        assert result[method]["over_treat_none"]["low"] > 0
    assert result["recommended"] == int((one.spared[:, 1] > one.spared[:, 0]).sum())


def test_the_statistic_of_the_followers_rewards_treating_everybody_where_the_treatment_works():
    generator = np.random.default_rng(5)
    treated = np.arange(400) % 2 == 0
    lived = generator.exponential(np.where(treated, 8.0, 4.0))
    spared = np.tile([4.0, 8.0], (400, 1))  # everybody gains: the rule is to treat all
    result = policy(trial(lived, lived < 20, treated, 0.5, spared), resamples=50)
    assert result["as_recommended"]["treat_all"]["difference"]["low"] > 0
    assert result["as_recommended"]["treat_none"]["difference"]["high"] < 0
    assert "same for everybody" in result["doubly_robust"]["over_treat_all"]["reason"]
    assert "treat everybody" in result["warning"]
