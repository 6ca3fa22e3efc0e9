import json
import math

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.evidence import learning_curve as room
from medjax.evidence.auroc import auroc
from medjax.evidence.intervals import t_quantile
from medjax.evidence.learning_curve import judge, learning_curve
from medjax.evidence.predictions import Predictions

SIZES = np.array([20, 40, 100, 200, 400])


def made(limit=0.02, scale=0.03, exponent=0.5, models=0.003, patients=0.004, seeds=5, sizes=SIZES, seed=0):
    """Errors of a power law with noise of models and of judged patients; and the patients' covariance."""
    generator = np.random.default_rng(seed)
    relative = sizes / sizes[-1]
    error = limit + scale * relative**-exponent
    covariance = patients**2 * np.where(np.eye(len(sizes)) > 0, 1.0, 0.9)
    values = 1 - error - np.linalg.cholesky(covariance) @ generator.normal(size=len(sizes))
    return values - models * relative**-0.5 * generator.normal(size=(seeds, len(sizes))), covariance


def curve(values, covariance, sizes=SIZES, **settings):
    found = learning_curve(sizes, values, covariance, cases=300, patients=250, **{"resamples": 500} | settings)
    json.dumps(found, allow_nan=False)
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The answer
# ---------------------------------------------------------------------------------------------------------------------


def test_a_clear_law_is_predicted_at_twice_the_patients():
    found = curve(*made(models=0.0005, patients=0.0005), gain=0.005)
    assert found["estimable"]
    prediction = found["prediction"]
    assert prediction["training_patients"] == 800
    assert prediction["low"] < 1 - 0.02 - 0.03 / math.sqrt(2) < prediction["high"]
    assert prediction["high"] - prediction["low"] < 0.008
    change = found["gain_of_doubling"]
    assert change["low"] < 0.03 - 0.03 / math.sqrt(2) < change["high"]
    # .005 = .03 (1 - x^-.5): x = 1.44, so 176 more than 400.
    needed = found["needed"]
    assert needed["low"] < 176 < needed["high"]
    assert needed["more_patients"] == pytest.approx(176, rel=0.2)
    assert needed["answer"] == f"{needed['more_patients']} more patients ({needed['low']} to {needed['high']})"
    assert found["law"]["exponent"] == pytest.approx(0.5, abs=0.1)


def test_other_training_patients_would_move_the_curve():
    """With many seeds and judges only the training patients at hand are left to chance: about one model's variance."""
    prediction = curve(*made(models=0.003, patients=1e-6, seeds=60))["prediction"]
    assert prediction["high"] - prediction["low"] > 2 * 1.96 * 0.003 * 0.8


def test_nothing_is_said_beyond_twice_the_data():
    found = curve(*made(models=0.0005, patients=0.0005), gain=0.02)  # true: x = 9
    assert found["estimable"]
    assert found["needed"]["more_patients"] is None
    assert found["needed"]["low"] is None
    assert found["answer"] == "more than twice the data: not estimable"
    text = json.dumps(found)
    numbers = [point["training_patients"] for point in found["points"]] + [found["prediction"]["training_patients"]]
    assert max(numbers) == 2 * SIZES[-1] == found["furthest"]
    assert "3600" not in text


def test_a_gain_beyond_the_best_value_is_impossible():
    needed = curve(*made(models=0.0005, patients=0.0005), gain=0.06)["needed"]
    assert needed["answer"] == "no number of patients can: only 0.05 is missing to the best value"
    assert needed["more_patients"] is None


def test_an_open_end_is_said_to_be_open():
    open_ends = 0
    for seed in range(12):
        needed = curve(*made(seed=seed), gain=0.007).get("needed")
        if needed and needed["more_patients"] is not None:
            assert needed["low"] <= needed["more_patients"] <= SIZES[-1]
            assert needed["high"] is None or needed["more_patients"] <= needed["high"] <= SIZES[-1]
            open_ends += needed["high"] is None and "more than twice the data)" in needed["answer"]
    assert open_ends


def refusal(values, covariance, **settings):
    found = curve(values, covariance, **settings)
    assert not found["estimable"]
    assert found["answer"] == f"not estimable: {found['reason']}"
    assert not {"prediction", "needed", "gain_of_doubling"} & set(found)
    return found["reason"]


def test_what_cannot_be_estimated_is_said_with_its_reason():
    values, covariance = made()
    three = np.s_[:, 2:]
    assert "3 sizes, and a power law needs at least 4" in refusal(values[three], covariance[2:, 2:], sizes=SIZES[2:])
    assert "2 seeds" in refusal(values[:2], covariance)
    assert "1 seed, " in refusal(values[:1], covariance)
    assert "do not differ" in refusal(np.tile(values[:1], (5, 1)), covariance)
    assert "does not get better" in refusal(*made(scale=0.0))
    assert "does not get better" in refusal(made(models=1e-4)[0][:, ::-1], covariance)
    flat = np.array([0.7, 0.885, 0.9, 0.9, 0.9]) + 0.02 * np.random.default_rng(0).normal(size=(5, 5))
    assert "after the first sizes the curve is flat" in refusal(flat, 1e-6 * np.eye(5))
    line = np.array([0.7, 0.9, 0.71, 0.95, 0.92]) + 0.001 * np.random.default_rng(0).normal(size=(5, 5))
    assert "do not follow a power law" in refusal(line, 1e-6 * np.eye(5))
    values[0, 1] = math.nan
    assert "undefined for some models" in refusal(values, covariance)
    assert "all models of some size are perfect" in refusal(np.where(SIZES < 400, made()[0], 1.0), covariance)
    assert "too few patients" in refusal(made()[0], np.full((5, 5), math.nan))


def test_an_interval_wider_than_the_curve_is_refused():
    reasons = [
        curve(*made(0.1, 0.05, 0.15, models=0.006, patients=0.02, seed=seed)).get("reason", "") for seed in range(20)
    ]
    assert any("wider than the whole curve" in reason for reason in reasons)


def test_flat_curves_are_hardly_ever_called_estimable():
    answers = [curve(*made(scale=0.0, models=0.01, seed=seed), resamples=100)["estimable"] for seed in range(60)]
    assert sum(answers) <= 4


def test_prediction_intervals_hold_the_truth():
    """A small version of benchmarks/learning_curve.py: 40 curves."""
    true, held, count = 1 - 0.02 - 0.03 / math.sqrt(2), 0, 0
    for seed in range(40):
        found = curve(*made(models=0.004, patients=0.006, seed=seed), resamples=200)
        if found["estimable"]:
            count += 1
            held += found["prediction"]["low"] <= true <= found["prediction"]["high"]
    assert count > 35
    assert held / count >= 0.87


# ---------------------------------------------------------------------------------------------------------------------
# Points, and invariance
# ---------------------------------------------------------------------------------------------------------------------


def test_a_point_holds_patients_and_seeds():
    values, covariance = made()
    point = curve(values, covariance)["points"][2]
    own, s2 = values[:, 2], values[:, 2].var(ddof=1) / 5
    variance = covariance[2, 2] + s2
    degrees = variance**2 / (covariance[2, 2] ** 2 / 249 + s2**2 / 4)
    ratio = math.exp(t_quantile(0.95, degrees) * math.sqrt(variance) / (1 - own.mean()))
    assert point["estimate"] == pytest.approx(own.mean())
    assert 1 - point["low"] == pytest.approx((1 - own.mean()) * ratio)
    assert 1 - point["high"] == pytest.approx((1 - own.mean()) / ratio)
    assert point["seeds"]["standard_deviation"] == pytest.approx(own.std(ddof=1))
    assert (point["cases"], point["patients"], point["training_patients"]) == (300, 250, 100)
    perfect = np.ones((5, 5))
    assert "neither patients nor seeds vary" in curve(perfect, np.zeros((5, 5)))["points"][0]["reason"]


def test_a_loss_is_the_mirror_of_a_score():
    values, covariance = made()
    score, loss = curve(values, covariance), curve(1 - values, covariance, lower_is_better=True)
    assert loss["prediction"]["estimate"] == pytest.approx(1 - score["prediction"]["estimate"])
    assert loss["prediction"]["low"] == pytest.approx(1 - score["prediction"]["high"])
    for name in ("needed", "answer", "gain_of_doubling"):
        assert loss[name] == pytest.approx(score[name]) if name != "answer" else loss[name] == score[name]


def test_the_unit_of_a_loss_and_of_the_size_does_not_matter():
    values, covariance = made()
    small = curve(1 - values, covariance, lower_is_better=True, gain=0.004)
    large = curve(1000 * (1 - values), 1e6 * covariance, lower_is_better=True, gain=4.0, sizes=10 * SIZES)
    assert large["prediction"]["estimate"] == pytest.approx(1000 * small["prediction"]["estimate"])
    assert large["prediction"]["high"] == pytest.approx(1000 * small["prediction"]["high"])
    assert large["needed"]["more_patients"] == pytest.approx(10 * small["needed"]["more_patients"], abs=10)
    assert large["law"]["exponent"] == pytest.approx(small["law"]["exponent"])


def test_mistakes_are_named():
    values, covariance = made()
    with pytest.raises(InputError, match="ascending order"):
        curve(values, covariance, sizes=SIZES[::-1].copy())
    with pytest.raises(InputError, match="gain 0 must be positive"):
        curve(values, covariance, gain=0)


# ---------------------------------------------------------------------------------------------------------------------
# From predictions
# ---------------------------------------------------------------------------------------------------------------------


def predicted(cases=120, seeds=4, a_patient=1, kind="probability", seed=0, folds=0):
    """Predictions that get better with the size, of the same cases."""
    generator = np.random.default_rng(seed)
    target = np.tile([0, 1], cases // 2)
    names = np.array([f"case {k}" for k in range(cases)])
    group = np.array([f"patient {k // a_patient}" for k in range(cases)])
    fold = np.arange(cases) // a_patient % folds if folds else np.full(cases, -1)
    hard = generator.normal(size=cases)
    every = []
    for size in SIZES:
        noise = 2.5 * (size / 400) ** -0.25 * generator.normal(size=(seeds, cases))
        score = 3 * (target - 0.5) + hard + noise
        probability = 1 / (1 + np.exp(-score))
        outputs = np.stack([1 - probability, probability], -1) if kind == "probability" else score[..., None]
        classes = ("no", "yes") if kind == "probability" else ()
        own = target if kind == "probability" else 3 * (target - 0.5)
        numbers = np.arange(seeds)
        every.append(Predictions(names, group, own, outputs, numbers, numbers, fold, kind, classes))
    return every


def test_values_and_patient_variance_are_those_of_delong():
    every = predicted()
    found = judge(SIZES, every, positive=1, resamples=200)
    json.dumps(found, allow_nan=False)
    target, patient = every[0].target, np.arange(120)
    for point, one in zip(found["points"], every, strict=True):
        values = [auroc(member[:, 1], target, patient).estimate for member in one.values]
        assert point["seeds"]["values"] == pytest.approx(values)
        assert point["cases"] == point["patients"] == 120


@pytest.mark.parametrize("folds", [0, 3])
def test_influences_and_jackknife_give_the_same_covariance(folds):
    every = predicted(a_patient=2, folds=folds)
    setting = _setting(every[0])
    functions = [[room.point("auroc", one, setting) for one in part.values] for part in every]
    by_influence = room._patient_covariance("auroc", every, functions, setting)
    by_jackknife = room._patient_covariance("any other", every, functions, setting)
    np.testing.assert_allclose(by_influence, by_jackknife, rtol=0.15)
    assert np.all(np.linalg.eigvalsh(by_influence) > -1e-12)


def _setting(one):
    from medjax.evidence.intervals import patient_codes
    from medjax.evidence.setting import Setting

    fold = one.fold if np.any(one.fold >= 0) else None
    return Setting(one.target, patient_codes(one.group), fold, one.kind, one.classes, 1, 0.5, 0.95, 1000, 0)


def test_the_bootstrap_of_many_patients_agrees_with_the_jackknife(monkeypatch):
    every = predicted(cases=400, seeds=2)
    setting = _setting(every[0])
    functions = [[room.point("brier", one, setting) for one in part.values] for part in every]
    exact = room._patient_covariance("brier", every, functions, setting)
    monkeypatch.setattr(room.resampling, "JACKKNIFE_PATIENTS", 100)
    drawn = room._patient_covariance("brier", every, functions, setting)
    scale = np.sqrt(np.diag(exact))
    np.testing.assert_allclose(drawn / np.outer(scale, scale), exact / np.outer(scale, scale), atol=0.25)


def test_cases_without_target_do_not_count_and_losses_fall():
    every = predicted()
    for one in every:
        one.target[:20] = -1
    found = judge(SIZES, every, positive=1, primary="brier", resamples=200)
    assert found["points"][0]["cases"] == 100
    assert found["points"][0]["estimate"] > found["points"][-1]["estimate"]
    assert found["wanted_gain"] == 0.01


def test_the_gain_of_an_error_without_limit_is_a_twentieth_of_it():
    found = judge(SIZES, predicted(kind="value"), primary="mean_squared_error", resamples=200)
    assert found["wanted_gain"] == pytest.approx(found["points"][-1]["estimate"] / 20, rel=0.05)


def test_what_does_not_fit_together_is_refused():
    every = predicted()
    with pytest.raises(InputError, match="same cases by as many seeds"):
        judge(SIZES, [*every[:4], predicted(cases=100)[4]], positive=1)
    with pytest.raises(InputError, match="'r2' does not apply; one of auroc"):
        judge(SIZES, every, positive=1, primary="r2")
    for one in every:
        one.target[:] = -1
    with pytest.raises(InputError, match="no judged case has a target"):
        judge(SIZES, every, positive=1)
