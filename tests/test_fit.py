"""Cox's baseline in a run: fitted on training cases alone, kept in the checkpoint, used by whoever predicts."""

import dataclasses
import json
from functools import partial

import jax
import lifelines
import numpy as np
import optax
import pandas as pd
import pytest

from medjax import fit, folder, job, run
from medjax.baselines import cox_regression
from medjax.data.origins import Table
from medjax.data.split import Folds
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import select
from medjax.experiment import Data, Duration, Evaluation, Experiment, Mesh, Optimizer, Replicates, Training
from medjax.metrics.concordance import harrell
from medjax.models import Perceptron
from medjax.predictor import load
from medjax.report.screen import Silent
from medjax.report.table import results_table
from medjax.survival_losses import cox
from medjax.tasks import Survival

ROWS = {"train": 48, "val": 24, "test": 24}


def written(path, poisoned=()):
    """A table of simulated patients; time and event of the poisoned rows are noise."""
    rng, noise = np.random.default_rng(0), np.random.default_rng(1)
    lines = ["name,a,b,time,event,part"]
    for row, part in enumerate(np.repeat(list(ROWS), list(ROWS.values()))):
        a, b = rng.normal(size=2)
        time, end = np.ceil(rng.exponential(8 * np.exp(-a))), np.ceil(rng.exponential(14))
        told = f"{noise.integers(1, 40)},{row % 2}" if row in poisoned else f"{min(time, end):g},{int(time <= end)}"
        lines.append(f"p{row},{a:.4f},{b:.4f},{told},{part}")
    path.write_text("\n".join(lines) + "\n")
    return Table(
        path=str(path), target="time", event="event", kind="survival", numeric=("a", "b"), id="name", split="part"
    )


def experiment(origin, **data):
    return Experiment(
        name="followed",
        data=Data(name="followed", inputs=("table",), origin=origin, **data),
        task=Survival(until=10, horizons=(4, 8), points=5, unit="weeks"),
        model=Perceptron(hidden=(4,)),
        standardise=("table",),
        optimizer=Optimizer(transform=partial(optax.adam), learning_rate=0.05),
        training=Training(duration=Duration(steps=6), batch_size="full", log_every=3, mesh=Mesh(replicate=1, data=1)),
        replicates=Replicates(seeds=2),
        evaluation=Evaluation(primary="concordance_index", reference=cox_regression, margin=0.05, resamples=20),
    )


@pytest.fixture(scope="module")
def origin(tmp_path_factory):
    return written(tmp_path_factory.mktemp("table") / "followed.csv")


@pytest.fixture(scope="module")
def finished(origin, tmp_path_factory):
    """A run on one device, its folder and its job."""
    base = tmp_path_factory.getbasetemp() / "cache"
    base.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDJAX_CACHE", str(base))
        work = job.build(experiment(origin))
        folder_of_run = tmp_path_factory.mktemp("runs") / "followed"
        run.train(experiment(origin), folder_of_run, screen=Silent())
    return folder_of_run, work


@pytest.fixture(scope="module")
def again(finished):
    """What the loaded run predicts for all development cases, and for the first of them without id and target."""
    where, work = finished
    cases = [work.source[row] for row in range(len(work.source))]
    predictor = load(where)
    return predictor, predictor.predict([*cases, {"id": "new", "table": cases[0]["table"]}])


def test_the_baseline_lies_in_the_checkpoint_and_is_that_of_the_training_cases(finished, again):
    (_, work), (predictor, predicted) = finished, again
    assert not predictor.warnings
    baseline = predictor.fitted["log_baseline"]
    assert baseline.shape == (2, 1, len(work.experiment.task.times))
    assert (baseline > cox.NOTHING).all()
    assert (np.diff(baseline) >= 0).all()
    train = work.partition.parts[0].train
    time, event = work.targets[train].T
    for member in range(2):
        risk = predicted.values[member, train, 0]
        at_risk = [np.exp(risk[time >= one]).sum() for one in time]
        expected = [(event / at_risk)[time <= one].sum() for one in work.experiment.task.times]
        np.testing.assert_allclose(np.exp(baseline[member, 0]), expected, rtol=1e-4)


def test_who_loads_the_run_gets_the_curves_of_its_predictions(finished, again):
    (where, work), (_, predicted) = finished, again
    told = read_csv(where / folder.predictions("validation"))
    found = select(predicted, work.partition.parts[0].validation)
    assert found.id.tolist() == told.id.tolist()
    assert (found.times, found.kind, found.horizons) == (told.times, "survival", (4.0, 8.0))
    np.testing.assert_allclose(found.values, told.values, atol=1e-6)
    np.testing.assert_array_equal(found.target, told.target)
    assert np.isnan(predicted.target[-1]).all()
    np.testing.assert_array_equal(predicted.values[:, -1], predicted.values[:, 0])


def test_the_run_is_judged_beside_cox_regression(finished):
    where, work = finished
    found = json.loads((where / folder.evaluation("validation")).read_text())
    assert found["primary"] == "concordance_index"
    assert found["counts"]["cases"] == 24
    reference = found["reference"]["metrics"]
    assert found["reference"]["name"] == "cox regression"
    (part,) = work.partition.parts
    frame = pd.DataFrame(work.arrays["table"], columns=["a", "b"]).assign(
        time=work.targets[:, 0], event=work.targets[:, 1]
    )
    fitted = lifelines.CoxPHFitter().fit(frame.iloc[part.train], "time", "event")
    risk = fitted.predict_log_partial_hazard(frame.iloc[part.validation]).to_numpy()
    time, event = work.targets[part.validation].T
    expected = harrell(risk, time, event, truncation=10.0)
    assert reference["concordance_index"]["estimate"] == pytest.approx(float(expected))
    text = results_table(found)
    for words in (
        "concordance  [primary]",
        "cox regression",
        "times in weeks, judged up to 10",
        "Thirds of predicted risk",
    ):
        assert words in text
    assert max(map(len, text.splitlines())) <= 108


def trained(origin, workdir, **data):
    """Train without judging; returns the state of all replicates and the job."""
    one = experiment(origin, **data)
    work = job.build(dataclasses.replace(one, evaluation=dataclasses.replace(one.evaluation, reference=None)))
    return jax.device_get(fit.fit(work, workdir, {}, Silent(), 0.0)), work


def same(first, second, place=slice(None)):
    return all(
        np.array_equal(a[place], b[place])
        for one, two in ((first.variables, second.variables), (first.fitted, second.fitted))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True)
    )


def test_what_happened_to_test_patients_changes_neither_parameters_nor_baseline(finished, tmp_path):
    where, work = finished
    first = ROWS["train"] + ROWS["val"]
    poisoned = written(tmp_path / "followed.csv", range(first, first + ROWS["test"]))
    found, other = trained(poisoned, tmp_path / "run")
    assert other.dataset.index.targets != work.dataset.index.targets  # the noise is there
    kept = load(where)
    for one, two in ((kept.fitted, found.fitted), (kept.variables["params"], found.variables["params"])):
        jax.tree.map(np.testing.assert_array_equal, one, two)


@pytest.mark.slow
def test_what_happened_in_a_held_out_fold_changes_nothing_for_its_own_model(origin, tmp_path):
    folds = Folds(count=2)
    before, work = trained(origin, tmp_path / "before", splits=folds)
    held_out = {work.dataset.index.id[row] for row in work.partition.parts[0].held_out}
    rows = {row for row in range(sum(ROWS.values())) if f"p{row}" in held_out}
    assert 20 < len(rows) == len(held_out)
    after, again = trained(written(tmp_path / "followed.csv", rows), tmp_path / "after", splits=folds)
    assert [model.fold for model in again.replicates] == [model.fold for model in work.replicates]
    for number, model in enumerate(work.replicates):
        assert same(before, after, number) == (model.fold == 0)


def test_tasks_without_a_baseline_are_left_as_they_are(origin):
    one = experiment(origin)
    task = dataclasses.replace(one.task, loss="weibull")
    work = job.build(dataclasses.replace(one, task=task))
    state = object()
    assert fit._complete(work, None, state, []) is state
