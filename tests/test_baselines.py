import dataclasses
from functools import partial

import jax
import lifelines
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medjax import baselines, job, results
from medjax.errors import InputError
from medjax.evidence.predictions import Predictions


@pytest.fixture(scope="module")
def table():
    x, y = load_breast_cancer(return_X_y=True)
    x = x.astype(np.float32)
    x[np.random.default_rng(0).random(x.shape) < 0.05] = np.nan
    return x, y


def reference(model):
    return make_pipeline(SimpleImputer(), StandardScaler(), model)


def test_logistic_regression_is_scikit_learn_s_pipeline(table):
    x, y = table
    expected = reference(LogisticRegression(C=0.5, max_iter=10_000)).fit(x[:400], y[:400]).predict_proba(x[400:])
    out = baselines.logistic_regression(x[:400], y[:400], x[400:], regularisation=2.0)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    np.testing.assert_allclose(out.sum(1), 1)


def test_ridge_regression_is_scikit_learn_s_pipeline_on_known_targets(table):
    x, _ = table
    y = np.nan_to_num(x[:, 0])
    unknown = np.where(np.arange(400) % 7 == 0, np.nan, y[:400])
    known = ~np.isnan(unknown)
    expected = reference(Ridge(alpha=3.0)).fit(x[:400][known], y[:400][known]).predict(x[400:])
    out = baselines.ridge_regression(x[:400], unknown, x[400:], regularisation=3.0)
    np.testing.assert_allclose(out[:, 0], expected, rtol=1e-5)


def test_gradient_boosting_is_scikit_learn_s_and_takes_missing_values(table):
    x, y = table
    few = {"max_iter": 10, "random_state": 0, "early_stopping": False}
    expected = HistGradientBoostingClassifier(**few).fit(x[:400], y[:400]).predict_proba(x[400:])
    np.testing.assert_allclose(baselines.gradient_boosting(x[:400], y[:400], x[400:], iterations=10), expected)
    value = np.where(np.arange(400) % 7 == 0, np.nan, y[:400].astype(float))
    known = ~np.isnan(value)
    expected = HistGradientBoostingRegressor(**few).fit(x[:400][known], value[known]).predict(x[400:])
    out = baselines.gradient_boosting_regression(x[:400], value, x[400:], iterations=10)
    np.testing.assert_allclose(out[:, 0], expected)


def test_two_references_of_one_name_are_refused():
    both = baselines.logistic_regression, baselines.gradient_boosting
    assert list(baselines.references(both)) == ["logistic regression", "gradient boosting"]
    assert list(baselines.references(both[0])) == ["logistic regression"]
    assert baselines.references(None) == {}
    with pytest.raises(InputError, match="'logistic regression' twice"):
        baselines.references((*both, partial(both[0], regularisation=2.0)))


def test_images_are_flattened_and_labels_keep_their_column():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 3, 3, 1)).astype(np.uint8), np.repeat([0, 2], 20)
    out = baselines.logistic_regression(images, labels, images[:5])
    assert out.shape == (5, 3)
    np.testing.assert_array_equal(out[:, 1], 0)
    flat = baselines.logistic_regression(images.reshape(40, 9), labels, images[:5].reshape(5, 9))
    np.testing.assert_array_equal(out, flat)
    with pytest.raises(InputError, match="needs two classes"):
        baselines.logistic_regression(images, np.zeros(40, int), images)


def test_a_column_without_any_value_does_not_shift_the_others(table):
    x, y = table
    empty = x.copy()
    empty[:, 4] = np.nan
    out = baselines.logistic_regression(empty[:400], y[:400], empty[400:])
    expected = baselines.logistic_regression(np.delete(x, 4, 1)[:400], y[:400], np.delete(x, 4, 1)[400:])
    np.testing.assert_allclose(out, expected, atol=1e-4)


def test_names_are_words():
    assert baselines.name(baselines.logistic_regression) == "logistic regression"
    assert baselines.name(partial(baselines.ridge_regression, regularisation=2.0)) == "ridge regression"


def test_the_reference_never_sees_the_cases_that_it_predicts(small):
    """Through the run's own door: what is fitted on is exactly the part's training cases, fold by fold."""
    seen = []

    def spy(train, targets, cases):
        seen.append((train, targets, cases))
        return np.tile([len(seen) - 1.0, 0.0], (len(cases), 1))

    work = job.build(dataclasses.replace(small, evaluation=dataclasses.replace(small.evaluation, reference=spy)))
    held = [part.held_out for part in work.partition.parts]
    rows = np.sort(np.concatenate(held))[::-1]  # in another order than the folds
    index, none = work.dataset.index, np.array([-1])
    model = Predictions(
        index.id[rows], index.group[rows], work.targets[rows], np.full((1, len(rows), 2), 0.5), none, none,
        work.partition.assignment[rows], "probability", work.experiment.task.classes,
    )  # fmt: skip
    (out,) = results.references(work, "out_of_fold", model).values()
    assert len(seen) == 2
    x = work.arrays["table"]
    for part, (train, targets, cases) in zip(work.partition.parts, seen, strict=True):
        np.testing.assert_array_equal(train, x[part.train])
        np.testing.assert_array_equal(targets, work.targets[part.train])
        np.testing.assert_array_equal(cases, x[part.held_out])
        assert not {row.tobytes() for row in train} & {row.tobytes() for row in cases}
    np.testing.assert_array_equal(out.values[0, :, 0], model.fold)  # each case by the model of its own fold
    np.testing.assert_array_equal(out.id, model.id)


def test_of_several_labels_each_has_a_model_of_its_own():
    rng = np.random.default_rng(0)
    train, cases = rng.normal(size=(60, 3)), rng.normal(size=(7, 3))
    labels = (train + rng.normal(size=(60, 3)) > 0).astype(float)
    labels[rng.random((60, 3)) < 0.3] = np.nan
    labels[:, 2] = np.where(np.isfinite(labels[:, 2]), 0, np.nan)  # one answer only
    found = baselines.logistic_regression(train, labels, cases)
    assert found.shape == (7, 3)
    for k in (0, 1):
        known = np.isfinite(labels[:, k])
        alone = baselines.logistic_regression(train[known], labels[known, k].astype(int), cases)
        np.testing.assert_allclose(found[:, k], alone[:, 1])
    np.testing.assert_array_equal(found[:, 2], 0)


# Cox regression.


@pytest.fixture(scope="module")
def followed():
    """Ninety cases, times with ties, three inputs of which the last one never varies."""
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (90, 3))
    time = np.ceil(rng.exponential(8 * np.exp(0.3 * x[:, 0] - 0.2 * x[:, 1])))
    event, x[:, 2] = rng.random(90) < 0.6, 4.0
    return x, time, event.astype(float)


def by_lifelines(x, time, event):
    frame = pd.DataFrame({"a": x[:, 0], "b": x[:, 1], "time": time, "event": event})
    return lifelines.CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-12}), frame


def test_cox_coefficients_are_those_of_lifelines(followed):
    x, time, event = followed
    fitted, _ = by_lifelines(*followed)
    found = baselines.cox_coefficients(x, time, event)
    np.testing.assert_allclose(found[:2], fitted.params_, atol=1e-6)
    assert abs(found[2]) < 1e-12
    with jax.enable_x64(True):
        value = baselines._cox_derivatives()(found, x, time, event, 0.0, "efron")[0]
    assert -float(value) == pytest.approx(fitted.log_likelihood_, abs=1e-6)


def test_cox_curves_and_risks_are_those_of_lifelines_and_missing_values_are_means(followed):
    x, time, event = followed
    x = x.copy()
    x[::11, 1] = np.nan
    filled = np.where(np.isnan(x), np.nanmean(x, 0), x)
    fitted, frame = by_lifelines(filled, time, event)
    grid = np.unique(time)[[2, 5, 8]]  # lifelines draws straight lines between times at which somebody left
    found = baselines.cox_regression(x, np.stack([time, event], -1), x[:20], times=tuple(grid))
    expected = fitted.predict_survival_function(frame[:20], times=grid).to_numpy().T
    np.testing.assert_allclose(found[:, 1:], expected, atol=1e-6)
    risk = fitted.predict_log_partial_hazard(frame).to_numpy()
    np.testing.assert_allclose(found[:, 0], risk[:20] - risk.mean(), atol=1e-6)


def test_cox_regression_leaves_out_cases_of_which_the_time_is_unknown(followed):
    x, time, event = followed
    more, targets = np.concatenate([x, x[:3] * 9]), np.full((93, 2), np.nan)
    targets[:90] = np.stack([time, event], -1)
    targets[90, 0] = 5.0
    found = baselines.cox_regression(more, targets, x[:20], times=(3.0, 9.0))
    expected = baselines.cox_regression(x, targets[:90], x[:20], times=(3.0, 9.0))
    np.testing.assert_allclose(np.diff(found[:, 0]), np.diff(expected[:, 0]), atol=1e-8)
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], atol=1e-8)


@pytest.mark.parametrize("hidden", [False, True])
def test_an_input_that_separates_the_events_is_refused_beside_others_too(followed, hidden):
    x, time, event = followed
    x = x.copy()
    x[:, 2] = event - x[:, 1] if hidden else event  # alone, or only together with another column
    with pytest.raises(InputError, match=r"separates the cases with an event from all others; give it a"):
        baselines.cox_coefficients(x, time, event)
    found = baselines.cox_coefficients(x, time, event, regularisation=1.0)
    assert np.abs(found).max() < 10
