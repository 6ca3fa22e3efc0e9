"""Groups by predicted risk: within folds, with curves of their own cases, calibrated or not, and always as JSON."""

import json

import lifelines
import numpy as np
import pytest
from lifelines.statistics import multivariate_logrank_test

from medjax.evidence.setting import Setting
from medjax.evidence.survival_groups import by_fifths, follow_up, risk_groups, shares_of_risk, survival_sections

TIMES = (2.0, 4.0, 6.0, 8.0)


def made(size: int = 120, causes: tuple[str, ...] = (), cases_each: int = 1, follow_up: float = 25.0):
    """Predictions that are exactly right, and what happened, every time another one."""
    generator = np.random.default_rng(3)
    x, number = generator.normal(size=size), max(len(causes), 1)
    risk = np.stack([x * (-1) ** k for k in range(number)], -1)
    own = generator.exponential(9 * number * np.exp(-risk))
    censored = np.minimum(generator.exponential(follow_up, size), 15.0)
    time, event = np.minimum(own.min(1), censored), np.where(own.min(1) <= censored, own.argmin(1) + 1, 0)
    hazard = np.exp(risk) / (9 * number)
    gone = 1 - np.exp(-hazard.sum(1)[:, None] * TIMES)
    incidence = (hazard / hazard.sum(1, keepdims=True))[:, :, None] * gone[:, None]
    mean = np.concatenate([risk, incidence.reshape(size, -1) if causes else 1 - gone], -1)
    setting = Setting(
        target=np.stack([time, event.astype(float)], -1),
        patient=np.arange(size) // cases_each,
        fold=None,
        kind="survival",
        classes=causes,
        positive=None,
        threshold=0.5,
        level=0.95,
        resamples=50,
        seed=0,
        times=TIMES,
        horizons=(4.0, 8.0),
    )
    return mean, setting


def test_groups_are_equal_shares_of_each_fold():
    fold = np.arange(90) % 2
    risk = np.random.default_rng(0).normal(size=90) + 100.0 * fold  # models of two folds have two origins
    group = shares_of_risk(risk, fold, 3)
    for name in range(2):
        own = np.flatnonzero(fold == name)
        np.testing.assert_array_equal(np.bincount(group[own]), [15, 15, 15])
        assert risk[own][group[own] == 0].max() < risk[own][group[own] == 1].min()
        assert risk[own][group[own] == 1].max() < risk[own][group[own] == 2].min()
    np.testing.assert_array_equal(shares_of_risk(risk, None, 2), fold)
    np.testing.assert_array_equal(shares_of_risk(np.zeros(7), None, 3), 0)  # ties are never parted


def test_curves_and_log_rank_are_those_of_the_groups():
    mean, setting = made()
    found = json.loads(json.dumps(risk_groups(mean, setting), allow_nan=False))
    time, event = setting.target.T
    group = shares_of_risk(mean[:, 0], None, 3)
    for number, name in enumerate(("low risk", "middle risk", "high risk")):
        own, curve = group == number, found["curves"][name]
        fitted = lifelines.KaplanMeierFitter().fit(time[own], event[own])
        np.testing.assert_allclose(curve["survival"], fitted.survival_function_at_times(curve["times"]), rtol=1e-9)
        assert curve["times"][-1] <= 8.0
        assert (curve["cases"], curve["events"]) == (40, int((event[own] * (time[own] <= 8)).sum()))
        assert curve["at_risk"] == [(time[own] >= tick).sum() for tick in found["ticks"]]
    expected = multivariate_logrank_test(time, group, event)
    assert found["log_rank"]["statistic"] == pytest.approx(expected.test_statistic, rel=1e-6)
    assert found["log_rank"]["p_value"] == pytest.approx(expected.p_value, rel=1e-6)
    assert found["few_events"] == [name for name, one in found["curves"].items() if one["events"] < 10]


def test_of_causes_curves_are_incidences_and_the_test_is_of_the_cause():
    mean, setting = made(causes=("relapse", "death"))
    time, event = setting.target[:, 0], setting.target[:, 1].astype(int)
    found = risk_groups(mean, setting, cause=2)
    group = shares_of_risk(mean[:, 1], None, 3)
    fitted = lifelines.AalenJohansenFitter().fit(time[group == 2], event[group == 2], event_of_interest=2)
    curve = found["curves"]["high risk"]
    expected = 1 - fitted.cumulative_density_.loc[curve["times"]].to_numpy()[:, 0]
    np.testing.assert_allclose(curve["survival"], expected, rtol=1e-9)
    assert curve["at_risk"] == [(time[group == 2] >= tick).sum() for tick in found["ticks"]]
    expected = multivariate_logrank_test(time, group, event == 2)  # another cause ends the time at risk
    assert found["log_rank"]["statistic"] == pytest.approx(expected.test_statistic, rel=1e-6)


@pytest.mark.parametrize("causes", [(), ("relapse", "death")])
def test_fifths_of_right_predictions_are_calibrated_under_heavy_censoring(causes):
    mean, setting = made(6000, causes, follow_up=6.0)
    for cause in range(1, 3) if causes else [0]:
        for one in by_fifths(mean, setting, cause):
            assert [group["cases"] for group in one["groups"]] == [1200] * 5
            for group in one["groups"]:
                assert group["low"] < group["observed"] < group["high"]
                assert abs(group["observed"] - group["predicted"]) < 2.5 * (group["high"] - group["low"]) / 2


def test_what_is_not_known_is_null():
    mean, setting = made(12)
    for change in (
        lambda target: target * [1, 0],  # all censored
        lambda target: np.minimum(target, [3.0, 1]) * [1, 0],  # and nobody watched to the first horizon
        lambda target: target * [0, 0] + [1.0, 1],  # all at once
    ):
        target = change(setting.target)
        own = Setting(**{**vars(setting), "target": target})
        json.dumps(survival_sections(mean, own), allow_nan=False)
        told = json.loads(json.dumps(follow_up(own), allow_nan=False))
        assert told["events"] + told["censored"] == 12
        assert told["median_follow_up"] is None or told["median_follow_up"] <= told["longest_follow_up"]
    same = risk_groups(mean * 0 + 0.5, setting)
    assert same["log_rank"] == {"reason": "one group only, or no event"}
    assert list(same["curves"]) == ["low risk"]


def test_the_log_rank_test_needs_independent_cases():
    found = risk_groups(*made(cases_each=2))
    assert found["log_rank"] == {"reason": "several cases a patient: the log-rank test needs independent cases"}


def test_follow_up_by_hand():
    _, setting = made(8, ("relapse", "death"))
    target = np.array([[1.0, 1], [2, 0], [3, 2], [4, 0], [5, 0], [6, 1], [7, 0], [8, 0]])
    found = follow_up(Setting(**{**vars(setting), "target": target}))
    assert found == {
        "events": 3, "censored": 5, "median_follow_up": 7.0, "longest_follow_up": 8.0, "horizons": [4.0, 8.0],
        "until": 8.0, "events_by_cause": {"relapse": 2, "death": 1},
    }  # fmt: skip


def test_long_curves_are_thinned_to_two_hundred_steps():
    mean, setting = made(3000)
    curve = risk_groups(mean, setting)["curves"]["high risk"]
    assert len(curve["times"]) == 200
    assert curve["times"][0] == 0.0
    assert sorted(set(curve["times"])) == curve["times"]
