"""Run folders made by hand from predictions, without training."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from medjax.evidence.evaluation import evaluate
from medjax.evidence.prediction_files import write_csv
from medjax.evidence.predictions import Predictions

SCRIPT = "<script>alert(1)</script>"


def made_predictions(
    kind="probability", classes=("ill", "well"), cases=60, seeds=2, each=1, folds=0, seed=0, attributes=None, effect=2.0
):
    """Random predictions that know something about their targets."""
    rng = np.random.default_rng(seed)
    group = np.array([f"patient {k // each}" for k in range(cases)])
    fold = np.arange(cases) // each % folds if folds else np.full(cases, -1)
    common = {
        "id": np.array([f"case {k}" for k in range(cases)]), "group": group, "fold": fold, "kind": kind,
        "replicate": np.arange(seeds), "seed": np.arange(seeds), "attributes": attributes or {},
    }  # fmt: skip
    if kind == "value":
        target = rng.normal(70, 8, cases)
        values = target[None, :, None] + rng.normal(1, 3, (seeds, cases, 1))
        return Predictions(target=target, values=values, **common)
    if kind == "labels":
        target = (rng.random((cases, len(classes))) < 0.4).astype(np.float64)
        odds = effect * (target - 0.5) + rng.normal(size=(seeds, cases, len(classes)))
        target[rng.random(target.shape) < 0.1] = np.nan
        return Predictions(target=target, values=1 / (1 + np.exp(-odds)), classes=classes, **common)
    target = rng.integers(0, len(classes), cases)
    odds = effect * np.eye(len(classes))[target] + rng.normal(size=(seeds, cases, len(classes)))
    values = np.exp(odds) / np.exp(odds).sum(-1, keepdims=True)
    return Predictions(target=target, values=values, classes=classes, **common)


def reference(found: Predictions, seed=1) -> Predictions:
    """A second predictor of the same cases: the first with noise."""
    rng = np.random.default_rng(seed)
    odds = np.log(found.values[:1]) + 0.5 * rng.normal(size=found.values[:1].shape)
    values = np.exp(odds) / np.exp(odds).sum(-1, keepdims=True)
    one = np.array([-1])
    return Predictions(found.id, found.group, found.target, values, one, one, found.fold, found.kind, found.classes)


def made_run(path: Path, splits: dict[str, Predictions], *, primary="auroc", compare=False, threshold=0.5) -> Path:
    """A finished run folder with these predictions by split."""
    first = next(iter(splits.values()))
    cases = {"train": 100} | {name: len(found.id) for name, found in splits.items()}
    if "out_of_fold" in splits:
        names, counts = np.unique(first.fold, return_counts=True)
        cases = {str(name): int(count) for name, count in zip(names, counts, strict=True)}
    two = first.kind == "probability" and len(first.classes) == 2
    known = bool(np.any(first.id != first.group))
    record = {
        "command": "train.py", "started": "2026-01-01T00:00:00+00:00", "finished": "2026-01-01T00:10:00+00:00",
        "versions": {"python": "3.11.7", "jax": "0.10.2"}, "devices": {"count": 2, "kind": "H200", "platform": "gpu"},
        "commit": "0123abcd", "seed": 3, "steps": 100, "batch": 32, "mesh": {"replicate": 1, "data": 2},
        "replicates": [{"number": k, "seed_number": k, "fold": -1, "seed": 100 + k} for k in range(len(first.seed))],
        "data": {
            "name": "made_up", "version": "1.0.0", "fingerprint": "f" * 64, "split_fingerprint": "e" * 64, "cases": cases,
            "patients_known": known, "columns": [], "skipped": [["a.png", "cut short"], ["b.png", "cut short"]],
            "synthetic": False, "missing": 4, "shapes": {},
        },
        "audit": {
            "cases": sum(cases.values()), "patients": 90, "patients_known": known, "shared_patients": {},
            "duplicate_groups": 1, "duplicate_cases": 2, "across": {"train+test": 1}, "within": {},
            "duplicates": [{"train": ["case 1"], "test": ["case 2"]}], "conflicting": [["case 1", "case 2"]],
        },
        "plan": {"threshold": threshold, "model": "d" * 64}, "plan_hash": "abcdef0123456789", "seconds": 600.0,
        "memory": {"host": 2**30, "device_0": 2**31}, "seconds_to_first_step": 3.0,
    }  # fmt: skip
    config = {
        "class": "medjax.experiment.Experiment", "name": "made_up",
        "data": {"class": "medjax.experiment.Data", "name": "made_up", "inputs": ["table"], "splits": None, "exclude": ["id"]},
        "task": {"class": "medjax.tasks.classification.Classification", "loss": "softmax", "unit": "mmHg"},
        "model": {"class": "medjax.models.perceptron.Perceptron", "hidden": [8]}, "standardise": ["table"],
        "training": {"class": "medjax.experiment.Training", "select": "auroc"},
        "evaluation": {"class": "medjax.experiment.Evaluation", "threshold": "youden", "margin": 0.05,
                       "reference": {"def": "medjax.baselines.logistic_regression"}},
    }  # fmt: skip
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "record.json").write_text(json.dumps(record))
    rows = [{"step": step, "loss": 1 / (1 + step), "loss/seed_0": 0.9, "gradient_norm": 1.0} for step in (0, 50, 99)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step": 1')
    kinds = {"out_of_fold": "INTERNAL cross-validation", "validation": "INTERNAL validation", "test": "TEST set"}
    for name, found in splits.items():
        write_csv(path / f"predictions/{name}.csv", found)
        about = {"title": "made_up", "validation": kinds.get(name, "EXTERNAL validation"), "split": name}
        about |= {} if known else {"patients": "patients unknown (taken as independent)"}
        result = evaluate(
            found, positive=0 if two else None, primary=primary, resamples=50, prevalences=(0.1,), threshold=threshold,
            margin=0.05 if compare else None, reference=reference(found) if compare else None,
            reference_name="logistic regression" if compare else "reference",
        )  # fmt: skip
        (path / "evaluation").mkdir(exist_ok=True)
        (path / f"evaluation/{name}.json").write_text(json.dumps({"about": about, **result}))
    return path


@pytest.fixture
def predictions():
    """The function that makes predictions; test files cannot import from here."""
    return made_predictions


@pytest.fixture
def write_run():
    """The function that writes a run folder."""
    return made_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Two finished runs that tests copy, because judging takes longer than copying."""
    root = tmp_path_factory.mktemp("finished")
    splits = {name: made_predictions(each=2, seed=k, effect=1.0) for k, name in ((1, "validation"), (2, "test"))}
    made_run(root / "binary", splits, compare=True)
    found = made_predictions(
        classes=(SCRIPT, 'a "b" & $x$ | _c_'), attributes={"<b>sex": np.array(["<i>f", "", "m"] * 20)}
    )
    names = np.array([f"{SCRIPT}{k}" for k in range(60)])
    made_run(root / "hostile", {"test": dataclasses.replace(found, id=names, group=names)})
    return root


@pytest.fixture
def binary(finished, tmp_path):
    """A run with two classes: validation and test, two cases a patient."""
    return shutil.copytree(finished / "binary", tmp_path / "run")


@pytest.fixture
def hostile(finished, tmp_path):
    """Every text of the user tries to become HTML, Markdown, or mathematics; one case a patient."""
    return shutil.copytree(finished / "hostile", tmp_path / "run")


@pytest.fixture
def undrawn(monkeypatch):
    """Content without its drawings and with few resamples, where neither is what a test is about."""
    from medjax.report.page import curves, figures, flow, forest

    for module in (figures, flow, forest):
        monkeypatch.setattr(module, "render", lambda *_: "<svg></svg>")
    monkeypatch.setattr(curves, "_LEAST", 10)
    monkeypatch.setattr(curves, "_MOST", 10)
