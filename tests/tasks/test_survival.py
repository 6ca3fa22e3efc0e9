"""The survival task: the losses of the free functions, curves from outputs, Breslow's baseline, refusals."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import lifelines
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from medjax.errors import InputError
from medjax.losses import weighted_mean
from medjax.metrics import concordance, horizon
from medjax.survival_losses import accelerated, cox, discrete
from medjax.tasks import Survival

PLAIN = Survival(until=8, horizons=(2, 5)).resolve(())
TASKS = {
    "cox": PLAIN,
    "cox, late entry and strata, Breslow": replace(PLAIN, entry=True, strata=2, ties="breslow"),
    "weibull": replace(PLAIN, loss="weibull"),
    "log_normal": replace(PLAIN, loss="log_normal"),
    "logistic_hazard": replace(PLAIN, loss="logistic_hazard", intervals=3),
    "probability_mass": replace(PLAIN, loss="probability_mass", intervals=3),
    "DeepHit": replace(PLAIN, loss="probability_mass", intervals=3, ranking=0.7, causes=("relapse", "death")),
}
TASKS = {name: task.resolve(()) for name, task in TASKS.items()}
COUNT, PADDED = 10, 16


def made(task: Survival, seed: int = 0):
    """Outputs, a batch and what is fitted on it; of ten cases of few distinct times one is unknown."""
    rng = np.random.default_rng(seed)
    batch = {
        "time": rng.integers(1, 8, COUNT).astype(np.float32),
        "event": rng.integers(0, max(len(task.causes), 1) + 1, COUNT).astype(np.int32),
        "entry": np.zeros(COUNT, np.float32),
        "stratum": rng.integers(0, 2, COUNT).astype(np.int32),
        "weight": np.ones(COUNT, np.float32),
    }
    batch["entry"][3] = batch["time"][3] / 2
    fitted = task.fit(np.stack([batch["time"], batch["event"]], -1).astype(np.float64))
    batch["time"][6] = np.nan
    return rng.normal(size=(COUNT, task.outputs)).astype(np.float32), batch, jax.tree.map(jnp.asarray, fitted)


def padded(outputs, batch):
    """The same with garbage of weight 0 behind it."""
    outputs = np.concatenate([outputs, np.full((PADDED - COUNT, outputs.shape[1]), 3.0, np.float32)])
    batch = {key: np.resize(values, PADDED) for key, values in batch.items()}
    batch["weight"] = (np.arange(PADDED) < COUNT).astype(np.float32)
    return outputs, batch


@cache
def compiled(name: str):
    """Mean loss over a padded batch, its gradient, the losses and the weights of the cases."""

    def mean(outputs, batch, fitted):
        values, weights = TASKS[name].losses(outputs, batch, fitted)
        return weighted_mean(values, weights), (values, weights)

    return jax.jit(jax.value_and_grad(mean, has_aux=True))


def by_loop(task: Survival, outputs, batch):
    """Cox's terms by their definition, one event and one share of the tied at a time."""
    risks, time, event = np.exp(outputs[:, 0].astype(float)), batch["time"], batch["event"] * np.isfinite(batch["time"])
    entry, stratum = (batch["entry"], batch["stratum"]) if task.entry else (-np.ones(COUNT), np.zeros(COUNT))
    terms = np.zeros(COUNT)
    for i in np.flatnonzero(event):
        at_risk = (entry < time[i]) & (time >= time[i]) & (stratum == stratum[i])
        tied = (time == time[i]) & (event == 1) & (stratum == stratum[i])
        shares = np.arange(tied.sum()) / tied.sum() if task.ties == "efron" else [0.0]
        terms[i] = np.mean([np.log(risks[at_risk].sum() - share * risks[tied].sum()) for share in shares])
    return terms - event * outputs[:, 0], event > 0


def free(task: Survival, outputs, batch, fitted):
    """The terms of each case and their weights by the free functions, padding never having been there."""
    time, event, known = batch["time"], batch["event"], np.isfinite(batch["time"])
    if task.loss == "cox":
        return by_loop(task, outputs, batch)
    if task.loss in ("weibull", "log_normal"):
        return jax.jit(getattr(accelerated, task.loss))(outputs, time / fitted["time_scale"], event), known
    if task.loss == "logistic_hazard":
        return jax.jit(discrete.logistic_hazard)(outputs, time, event, fitted["edges"]), known
    logits = outputs.reshape(COUNT, -1, task.intervals)
    return jax.jit(discrete.probability_mass)(logits, time, event, fitted["edges"]), known


@pytest.mark.parametrize("name", TASKS)
def test_the_loss_is_that_of_the_free_functions_and_padding_is_as_if_absent(name):
    task = TASKS[name]
    outputs, batch, fitted = made(task)
    (mean, (values, weights)), gradient = compiled(name)(*padded(outputs, batch), fitted)
    expected, counted = free(task, outputs, batch, fitted)
    np.testing.assert_array_equal(weights[:COUNT] > 0, counted)
    np.testing.assert_array_equal(weights[COUNT:], 0)
    total = np.where(counted, expected, 0).sum() / np.sum(counted)
    if task.ranking:
        logits = outputs.reshape(COUNT, -1, task.intervals)
        sums, pairs = jax.jit(discrete.ranking)(logits, batch["time"], batch["event"], fitted["edges"])
        total += task.ranking * sums.sum() / pairs.sum()
    else:
        np.testing.assert_allclose(values[:COUNT][counted], np.asarray(expected)[counted], rtol=1e-5)
    np.testing.assert_allclose(mean, total, rtol=1e-5)
    np.testing.assert_array_equal(gradient[COUNT:], 0)
    np.testing.assert_array_equal(gradient[6], 0)  # unknown
    assert np.abs(gradient).max() > 0


@pytest.mark.parametrize("name", TASKS)
def test_loss_and_gradient_are_finite_where_nothing_can_be_learnt(name):
    outputs, batch, fitted = made(TASKS[name])
    outputs, batch = padded(outputs, batch)
    nothing = {
        "censored": batch | {"event": np.zeros(PADDED, np.int32)},
        "padding": batch | {"weight": np.zeros(PADDED, np.float32)},
        "unknown": batch | {"time": np.full(PADDED, np.nan, np.float32)},
    }
    for what, one in nothing.items():
        (mean, _), gradient = compiled(name)(outputs, one, fitted)
        assert np.isfinite(mean), what
        assert np.isfinite(gradient).all(), what
        if what != "censored" or TASKS[name].loss == "cox":
            assert mean == 0, what
            np.testing.assert_array_equal(gradient, 0)


def predicted(task: Survival, outputs, fitted):
    return np.asarray(jax.jit(task.predict)(outputs, fitted), np.float64)


def by_numpy(task: Survival, outputs, fitted, times):
    """Survival at these times in float64, from the definitions."""
    outputs = np.asarray(outputs, np.float64)
    if task.loss in ("weibull", "log_normal"):
        z = (np.log(times / float(fitted["time_scale"])) - outputs[:, :1]) / np.exp(outputs[:, 1:])
        return np.exp(-np.exp(z)) if task.loss == "weibull" else stats.norm.sf(z)
    if task.loss == "logistic_hazard":
        at_edges = np.cumprod(1 - 1 / (1 + np.exp(-outputs)), axis=1)
    else:
        chances = np.exp(outputs) / (1 + np.exp(outputs).sum(1, keepdims=True))
        at_edges = 1 - np.cumsum(chances, axis=1)
    return np.stack([np.interp(times, fitted["edges"], [1.0, *curve]) for curve in at_edges])


@pytest.mark.parametrize("name", ["weibull", "log_normal", "logistic_hazard", "probability_mass"])
def test_curves_fall_from_one_and_the_risk_is_the_time_lost(name):
    task = TASKS[name]
    outputs, _, fitted = made(task, 1)
    outputs = outputs / 2  # no scale so large that it begins with a cliff
    values = predicted(task, outputs, fitted)
    np.testing.assert_allclose(values[:, 1:], by_numpy(task, outputs, fitted, np.array(task.times)), atol=1e-5)
    assert (np.diff(values[:, 1:]) <= 1e-6).all()
    fine = np.linspace(1e-6, 8, 4001)
    curves = by_numpy(task, outputs, fitted, fine)
    np.testing.assert_allclose(curves[:, 0], 1, atol=0.01)
    np.testing.assert_allclose(values[:, 0], 8 - np.trapezoid(curves, fine, axis=1), atol=0.04)


def test_incidences_of_causes_and_survival_add_up_to_one_and_risks_are_times_lost():
    task = TASKS["DeepHit"]
    outputs, _, fitted = made(task, 2)
    values = predicted(task, outputs, fitted)
    assert values.shape == (COUNT, 2 + 2 * len(task.times))
    incidence = values[:, 2:].reshape(COUNT, 2, -1)
    logits = outputs.reshape(COUNT, 2, task.intervals)
    chances = np.exp(logits) / (1 + np.exp(logits).sum((1, 2), keepdims=True))
    free = 1 - np.pad(chances.sum(1).cumsum(1), ((0, 0), (1, 0)))
    survival = np.stack([np.interp(task.times, fitted["edges"], curve) for curve in free])
    np.testing.assert_allclose(incidence.sum(1) + survival, 1, atol=1e-5)
    assert (np.diff(incidence, axis=-1) >= -1e-6).all()
    grid = np.array([0.0, *task.times])
    for cause in range(2):
        curve = np.concatenate([np.zeros((COUNT, 1)), incidence[:, cause]], 1)
        np.testing.assert_allclose(values[:, cause], np.trapezoid(curve, grid, axis=1), atol=1e-4)


# Cox: the baseline.


def cohort(count: int = 90) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    x, stratum = rng.normal(size=count), rng.integers(0, 2, count)
    time = np.ceil(rng.exponential(4 * np.exp(-0.7 * x) * (1 + 2 * stratum))).clip(1, 8)
    entry = np.where(rng.random(count) < 0.3, np.maximum(time - 2, 0), 0)
    return pd.DataFrame(
        {"x": x, "time": time, "event": (rng.random(count) < 0.7).astype(int), "entry": entry, "stratum": stratum}
    )


@pytest.mark.parametrize("strata", [1, 3])
def test_cox_curves_are_those_of_lifelines(strata):
    cases = cohort()
    task = Survival(until=8, horizons=(2, 5), points=8, strata=strata).resolve(())
    kept = ["x", "time", "event", *(["stratum"] if strata > 1 else [])]
    fitted = lifelines.CoxPHFitter().fit(cases[kept], "time", "event", strata=kept[3:] or None)
    risk = (cases["x"] * fitted.params_["x"]).to_numpy()
    targets = task.truth([cases[key].to_numpy() for key in task.targets])
    found = task.complete(np.stack([risk + 30, np.zeros(90)], -1), targets)  # risks have no origin
    assert found["log_baseline"].shape == task.fit(targets)["log_baseline"].shape == (strata, 8)
    context = {"stratum": jnp.asarray(cases["stratum"].to_numpy())} if strata > 1 else {}
    values = predicted(task, jnp.asarray(risk + 30, jnp.float32)[:, None], found | context)
    expected = fitted.predict_survival_function(cases[kept], times=list(task.times)).T.sort_index().to_numpy()
    np.testing.assert_allclose(values[:, 1:], expected, atol=2e-5)
    np.testing.assert_allclose(values[:, 0], risk + 30, rtol=1e-6)
    if strata == 3:  # of the last nobody is known: no event is ever expected
        assert (found["log_baseline"][2] == cox.NOTHING).all()
        curves = predicted(task, jnp.ones((90, 1)), found | {"stratum": jnp.full(90, 2)})
        np.testing.assert_array_equal(curves[:, 1:], 1)


def test_who_enters_late_is_in_no_earlier_risk_set_of_the_baseline():
    """lifelines leaves entries out of its baseline; hence a loop."""
    cases = cohort()
    task = Survival(until=8, horizons=(2, 5), points=8, entry=True).resolve(())
    risk, time, event, entry = (cases[key].to_numpy(float) for key in ("x", "time", "event", "entry"))
    found = task.complete(risk[:, None], np.stack([time, event, entry], -1))["log_baseline"][0]
    steps = [np.exp(risk[(entry < t) & (time >= t)]).sum() for t in task.times]
    expected = np.cumsum([event[time == t].sum() / total for t, total in zip(task.times, steps, strict=True)])
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)


def test_before_its_baseline_is_fitted_cox_gives_finite_values():
    outputs = jnp.array([[-100.0], [0.0], [100.0]])
    values = predicted(PLAIN, outputs, PLAIN.fit(np.array([[1.0, 1.0]])))
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(values[:, 0], [-100, 0, 100])


# Settings and refusals.


def test_times_hold_the_horizons_in_order_and_as_files_name_them():
    assert Survival(until=10, horizons=(2.5, 6), points=4).resolve(()).times == (2.5, 5.0, 6.0, 7.5, 10.0)
    thirds = Survival(until=1, horizons=(1 / 3,), points=3).resolve(())
    assert thirds.times == (0.333333, 0.666667, 1.0)
    assert thirds.horizons == (0.333333,)


def test_the_keys_that_a_case_needs():
    assert PLAIN.targets == ("time", "event")
    both = TASKS["cox, late entry and strata, Breslow"]
    assert both.targets == ("time", "event", "entry", "stratum")
    assert both.context == ("stratum",)
    assert [TASKS[name].outputs for name in ("cox", "weibull", "logistic_hazard", "DeepHit")] == [1, 2, 3, 6]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"until": 0}, "task.until 0 must be positive"),
        ({"horizons": ()}, r"task.horizons \[\] must be rising"),
        ({"horizons": (5, 2)}, r"task.horizons \[5, 2\] must be rising"),
        ({"horizons": (0, 2)}, "after 0 and not beyond task.until 8"),
        ({"horizons": (2, 9)}, "not beyond task.until 8"),
        ({"intervals": 0}, "task.intervals must be at least 1"),
        ({"points": 1}, "task.points at least 2"),
        ({"ranking": 0.5}, "task.ranking goes with task.loss 'probability_mass', not with 'cox'"),
        ({"loss": "probability_mass", "ranking": -1}, "task.ranking -1 must be at least 0"),
        ({"loss": "probability_mass", "causes": ("a",)}, "must be at least two names"),
        ({"loss": "probability_mass", "causes": ("a", "a")}, "must be at least two names"),
        ({"causes": ("a", "b")}, "task.causes needs task.loss 'probability_mass'; 'cox' knows one event"),
        ({"loss": "weibull", "entry": True}, "task.entry and task.strata go with task.loss 'cox', not with 'weibull'"),
        ({"loss": "log_normal", "strata": 2}, "go with task.loss 'cox', not with 'log_normal'"),
        ({"strata": 0}, "task.strata 0 must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        replace(PLAIN, **settings).resolve(())


@pytest.mark.parametrize(
    ("settings", "change", "message"),
    [
        ({}, {0: -1.0}, "lungs: case 2 has the negative time -1"),
        ({}, {1: 2}, r"case 2 has event 2; it must be 0 \(censored at that time\) or 1 \(the event\)"),
        ({}, {1: 0.5}, "case 2 has event 0.5"),
        ({"loss": "probability_mass", "causes": ("a", "b")}, {1: 3}, r"or 1 to 2 \(one of task.causes\)"),
        ({"loss": "weibull"}, {0: 0.0}, "case 2 has an event at time 0, which an accelerated failure time cannot have"),
        ({"loss": "log_normal"}, {0: 0.0}, "an event at time 0"),
        ({"entry": True}, {2: 3.0}, "case 2 has an entry at or after its own time 3"),
        ({"strata": 2}, {2: 2.0}, "case 2 has a stratum that is none of 0 to 1"),
    ],
)
def test_targets_that_cannot_be_are_refused_by_case(settings, change, message):
    task = replace(PLAIN, **settings)
    targets = np.array([[4.0, 0, 1, 0], [5, 1, 1, 0], [3, 1, 0, 0], [2, 0, 1, 0]])[:, : len(task.targets)]
    task.check(targets, "lungs")
    for column, value in change.items():
        targets[2, column] = value
    with pytest.raises(InputError, match=message):
        task.check(targets, "lungs")


def test_cases_of_which_none_has_the_event_are_refused():
    with pytest.raises(InputError, match="lungs: no case has an event: all 3 are censored"):
        PLAIN.check(np.array([[4.0, 0], [5, 0], [3, 0]]), "lungs")
    PLAIN.check(np.array([[0.0, 1], [np.nan, 0], [3, np.nan]]), "lungs")  # Cox may see an event at 0, and unknown ones


def test_scores_for_selection_are_the_metrics_that_judge():
    task = TASKS["logistic_hazard"]
    outputs, _, fitted = made(task, 4)
    targets = np.stack([np.arange(COUNT) % 9 + 1.0, np.arange(COUNT) % 3 > 0], -1)
    values = predicted(task, outputs, fitted)
    time, event = targets.T
    expected = concordance.harrell(values[:, 0], time, event, truncation=8.0)
    assert task.score("concordance_index", values, targets) == pytest.approx(expected)
    expected = -horizon.integrated_brier(values[:, 1:], time, event, np.array(task.times))
    assert task.score("integrated_brier", values, targets) == pytest.approx(expected)
    unknown = np.concatenate([targets, [[np.nan, 1.0]]])
    assert task.score("integrated_brier", np.concatenate([values, values[:1]]), unknown) == pytest.approx(expected)


def test_the_score_of_causes_is_the_mean_of_what_judges_each_of_them():
    """Who had another cause first never has this one, in selection as in the evaluation."""
    task = TASKS["DeepHit"]
    risks = np.array([[3.0, 0], [0, 2], [1, 1], [2, 4], [0, 5]])
    targets = np.array([[1.0, 1], [2, 2], [3, 0], [4, 1], [5, 2]])
    first = concordance.harrell(risks[:, 0], np.array([1.0, 6, 3, 4, 6]), np.array([1, 0, 0, 1, 0]), truncation=8.0)
    second = concordance.harrell(risks[:, 1], np.array([6.0, 2, 3, 6, 5]), np.array([0, 1, 0, 0, 1]), truncation=8.0)
    assert task.score("concordance_index", risks, targets) == pytest.approx((first + second) / 2)


def test_scores_that_do_not_exist_are_refused():
    values, targets = np.zeros((3, 1 + len(PLAIN.times))), np.array([[1.0, 0], [2, 0], [3, 0]])
    with pytest.raises(InputError, match="training.select 'auroc' is unknown; known: concordance_index"):
        PLAIN.score("auroc", values, targets)
    with pytest.raises(InputError, match="'integrated_brier' needs one event and a loss that gives curves while"):
        PLAIN.score("integrated_brier", values, targets)
    with pytest.raises(InputError, match=r"undefined for the 3 validation cases \(0 with an event\)"):
        PLAIN.score("concordance_index", values, targets)


def test_only_events_have_weight_in_the_mean_of_coxs_loss():
    task = Survival(until=8, horizons=(2, 5)).resolve(())
    batch = {
        "time": jnp.asarray([1.0, 2.0, 3.0, jnp.nan]),
        "event": jnp.asarray([1.0, 0.0, 1.0, 1.0]),
        "weight": jnp.ones(4),
    }
    _, weight = jax.jit(lambda x: task.losses(x, batch, {}))(jnp.zeros((4, 1)))
    assert weight.tolist() == [1, 0, 1, 0]
