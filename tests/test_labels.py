"""Whole runs with every kind of label, on small synthetic tables: trained, judged, written, read back, predicted."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest

from medjax import cli, external, job, run
from medjax.data import dataset as datasets
from medjax.data import partition
from medjax.data.case import TARGETS, fingerprint
from medjax.data.dataset import Dataset, Index
from medjax.data.source import MemorySource
from medjax.errors import InputError
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import ensemble
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training
from medjax.models import Perceptron
from medjax.report.screen import Silent
from medjax.report.table import results_table
from medjax.tasks import Classification, MultiLabel, Ordinal, Regression

COUNTS = {"train": 240, "validation": 120, "test": 60}


def tables(target, seed=0):
    """Cases with four numbers each; `target` makes the targets from them and a generator."""
    rng = np.random.default_rng(seed)
    cases = {}
    for split, count in COUNTS.items():
        rows = rng.normal(size=(count, 4)).astype(np.float32)
        cases[split] = [
            {"id": f"{split}/{k}", "group": f"{split}/{k // 2}", "table": row, **target(row, rng)}
            for k, row in enumerate(rows)
        ]
    return cases


@pytest.fixture
def memory(monkeypatch):
    """Put cases in the place of a prepared data set."""

    def place(cases, classes=()):
        every = [case for split in cases.values() for case in split]
        index = Index(
            split=np.array([name for name, split in cases.items() for _ in split]),
            id=np.array([case["id"] for case in every]),
            group=np.array([case["group"] for case in every]),
            fingerprint=np.array([fingerprint(case, ["table"]) for case in every]),
            conflicts=(),
            targets="0",
        )
        made = Dataset(
            name="memory", version="1.0.0", classes=classes, columns=("a", "b", "c", "d"), inputs=("table",),
            targets=tuple(key for key in TARGETS if key in every[0]), official=True,
            splits={name: len(split) for name, split in cases.items()}, index=index, directory=Path(),
            citation="", licence="", description="",
        )  # fmt: skip
        monkeypatch.setattr(datasets, "prepare", lambda *_, **__: made)
        for module in (datasets, partition):
            monkeypatch.setattr(module, "open_split", lambda _, split: MemorySource(cases[split]))
        return cases

    return place


def experiment(task, primary, **settings):
    return Experiment(
        name="labels",
        data=Data(name="memory", inputs=("table",)),
        task=task,
        model=Perceptron(hidden=(16,)),
        optimizer=Optimizer(learning_rate=0.02),
        training=Training(duration=Duration(steps=60), batch_size=60, **settings.pop("training", {})),
        replicates=Replicates(seeds=2),
        evaluation=Evaluation(primary=primary, resamples=100, **settings),
    )


def several(row, rng):
    odds = 2 * np.array([row[0], row[1] - 1, row[2] + row[3] - 3.0])
    labels = (rng.random(3) < 1 / (1 + np.exp(-odds))).astype(np.float32)
    labels[rng.random(3) < 0.2] = np.nan
    return {"labels": labels}


FINDINGS = ("effusion", "mass", "hernia")


def test_several_labels_from_training_to_a_predicted_file(memory, tmp_path, monkeypatch, capsys):
    from medjax.baselines import logistic_regression

    cases = memory(tables(several), FINDINGS)
    select = {"select": "auroc", "evaluate_every": Duration(steps=20)}
    plan = experiment(MultiLabel(positive_weights="balanced"), "auroc", reference=logistic_regression, margin=0.05,
                      training=select)  # fmt: skip
    found = run.train(plan, tmp_path / "run", screen=Silent())["validation"]
    assert found["metrics"]["auroc"]["estimate"] > 0.75
    assert found["comparison"]["predictors"]["auroc"]["method"].startswith("paired influence of each patient")
    assert set(found["classes"]) == set(FINDINGS)
    assert found["counts"]["classes"]["mass"]["unknown"] > 0
    json.dumps(found, allow_nan=False)
    stored = read_csv(tmp_path / "run/predictions/validation.csv")
    assert stored.kind == "labels"
    np.testing.assert_array_equal(stored.target, np.stack([case["labels"] for case in cases["validation"]]))
    header = (tmp_path / "run/predictions/validation.csv").read_text().splitlines()[0]
    assert header.startswith(
        "id,group,replicate,seed,fold,target_effusion,target_mass,target_hernia,probability_effusion"
    )
    opened = run.evaluate(tmp_path / "run", "test")
    assert "opening 1" in opened["about"]["opening"]
    text = results_table(opened)
    assert "AUROC, macro  [primary]" in text
    assert "hernia" in text
    np.savez(tmp_path / "new.npz", table=np.stack([case["table"] for case in cases["validation"]]))
    monkeypatch.setattr("sys.argv", ["medjax", "predict", str(tmp_path / "run"), str(tmp_path / "new.npz")])
    capsys.readouterr()
    assert cli.main() == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    np.testing.assert_allclose([float(row["probability_mass"]) for row in rows], ensemble(stored)[:, 1], atol=1e-6)
    assert rows[0]["prediction"] == "; ".join(
        name for name, p in zip(FINDINGS, ensemble(stored)[0], strict=True) if p >= 0.5
    )


@pytest.mark.slow
def test_grades_by_both_losses_are_judged_by_the_same_metrics(memory, tmp_path):
    def graded(row, rng):
        return {"label": int(np.digitize(row[0] + 0.3 * rng.normal(), [-1, 0, 1]))}

    cases = memory(tables(graded), ("none", "mild", "moderate", "severe"))
    for loss in ("corn", "softmax"):
        plan = experiment(
            Ordinal(loss=loss, class_weights="balanced"), "quadratic_weighted_kappa",
            training={"select": "quadratic_weighted_kappa", "evaluate_every": Duration(steps=30)},
        )  # fmt: skip
        found = run.train(plan, tmp_path / loss, screen=Silent())["validation"]
        assert found["metrics"]["quadratic_weighted_kappa"]["estimate"] > 0.7
        stored = read_csv(tmp_path / loss / "predictions/validation.csv")
        assert stored.kind == "grade"
        np.testing.assert_allclose(stored.values.sum(-1), 1, atol=1e-5)
        assert stored.target.tolist() == [case["label"] for case in cases["validation"]]
        text = results_table(found)
        assert "\nweighted kappa  [primary]  ." in text
        model = run.load(tmp_path / loss)
        predicted = model.predict(cases["validation"])
        np.testing.assert_allclose(predicted.values, stored.values, atol=1e-6)
        assert external.prediction_csv(model, predicted).startswith("id,prediction,probability_none,probability_mild")


@pytest.mark.parametrize("loss", ["absolute", "huber", "quantile"])
@pytest.mark.slow
def test_values_by_every_loss(memory, tmp_path, loss):
    def valued(row, rng):
        return {"value": float(40 + 10 * row[0] + 4 * rng.normal())}

    cases = memory(tables(valued))
    primary = "pinball_loss" if loss == "quantile" else "mean_absolute_error"
    plan = experiment(
        Regression(loss=loss), primary, training={"select": primary, "evaluate_every": Duration(steps=30)}
    )
    found = run.train(plan, tmp_path / "run", screen=Silent())["validation"]
    assert found["metrics"]["r2"]["estimate"] > 0.5
    stored = read_csv(tmp_path / "run/predictions/validation.csv")
    np.testing.assert_array_equal(stored.target, [case["value"] for case in cases["validation"]])
    model = run.load(tmp_path / "run")
    text = external.prediction_csv(model, model.predict(cases["validation"]))
    if loss != "quantile":
        assert text.startswith("id,prediction,prediction_standard_deviation\n")
        return
    assert text.startswith("id,prediction,quantile_0.05,quantile_0.5,quantile_0.95,prediction_standard")
    assert stored.quantiles == (0.05, 0.5, 0.95)
    assert (np.diff(stored.values[..., 1:], axis=-1) >= 0).all()
    np.testing.assert_array_equal(stored.values[..., 0], stored.values[..., 2])
    covered = found["metrics"]["interval_coverage"]
    assert 0.6 < covered["estimate"] <= 1
    assert covered["nominal"] == pytest.approx(0.9)
    assert "90 % interval: coverage" in results_table(found)
    with pytest.raises(InputError, match="cannot be primary|does not apply"):
        run.train(experiment(Regression(loss="quantile"), "interval_width"), tmp_path / "wide", screen=Silent())


@pytest.mark.slow
def test_soft_labels_are_learnt_and_hard_ones_judge(memory, tmp_path):
    def read(row, rng):
        votes = rng.binomial(5, 1 / (1 + np.exp(-3 * row[0])))
        return {"label": int(votes > 2), "soft_label": np.array([5 - votes, votes], np.float32) / 5}

    cases = memory(tables(read), ("healthy", "ill"))
    task = Classification(positive="ill", soft_target="soft_label", focal=1.0, class_weights="balanced")
    found = run.train(experiment(task, "auroc"), tmp_path / "run", screen=Silent())["validation"]
    assert found["metrics"]["auroc"]["estimate"] > 0.85
    assert found["counts"]["classes"]["ill"]["cases"] == sum(case["label"] for case in cases["validation"])
    plan = experiment(task, "auroc")
    streamed = job.build(dataclasses.replace(plan, data=dataclasses.replace(plan.data, feed="streamed")))
    assert streamed.arrays is None
    assert set(streamed.shapes) == {"table", "label", "soft_label"}
    np.testing.assert_array_equal(streamed.targets, job.build(plan).targets)
    cases["train"][7]["soft_label"] = np.array([np.nan, np.nan], np.float32)
    with pytest.raises(InputError, match="case 7 has soft_label"):
        run.train(experiment(task, "auroc"), tmp_path / "broken", screen=Silent())


def test_what_does_not_fit_is_refused_before_training(memory, tmp_path):
    from medjax.baselines import ridge_regression

    memory(tables(several), FINDINGS)
    for plan, message in (
        (experiment(Ordinal(), "auroc"), "names 'label', but memory has table, labels"),
        (experiment(MultiLabel(), "auroc", threshold="youden"), "'youden' chooses one number for one positive class"),
        (experiment(MultiLabel(), "quadratic_weighted_kappa"), "does not apply here; known: auroc"),
        (experiment(MultiLabel(positive_weights=(1.0, 2.0)), "auroc"), "needs 3 numbers"),
        (experiment(MultiLabel(focal=-1.0), "auroc"), "at least 0"),
    ):
        with pytest.raises(InputError, match=message):
            run.train(plan, tmp_path / "refused", screen=Silent())
    memory(tables(lambda row, rng: {"value": float(row[0])}))
    with pytest.raises(InputError, match="no reference model predicts quantiles"):
        run.train(
            experiment(Regression(loss="quantile"), "r2", reference=ridge_regression), tmp_path / "q", screen=Silent()
        )
    memory(tables(lambda row, rng: {"label": int(row[0] > 0)}), ("a", "b"))
    with pytest.raises(InputError, match="three or more grades"):
        run.train(experiment(Ordinal(), "auroc"), tmp_path / "two", screen=Silent())
