"""Patients kept apart: what is fitted on them alone, and that nothing else is chosen on them."""

from dataclasses import replace
from functools import partial

import numpy as np
import optax
import pytest

from medjax import folder, job, reserved, run
from medjax.data.split import Folds, HashedSplit
from medjax.errors import InputError
from medjax.evidence import recalibration
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import Predictions
from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Training
from medjax.models import Perceptron
from medjax.tasks import Classification


def overconfident(seed: int, patients: int = 300, cases: int = 2) -> Predictions:
    generator, size = np.random.default_rng(seed), patients * cases
    patient = np.repeat(np.arange(patients), cases)
    risk = generator.normal(size=patients)[patient] + 0.5 * generator.normal(size=size)
    target = (generator.random(size) < 1 / (1 + np.exp(-risk))).astype(int)
    said = 1 / (1 + np.exp(-3 * risk))  # three times too sure
    return Predictions(
        id=np.array([f"c{k}" for k in range(size)]), group=np.array([f"p{k}" for k in patient]), target=target,
        values=np.stack([1 - said, said], -1)[None], replicate=np.array([0]), seed=np.array([0]),
        fold=np.full(size, -1), kind="probability", classes=("no", "yes"),
    )  # fmt: skip


def test_overconfidence_is_mended_on_other_patients_and_the_sets_hold_what_they_promise():
    fitted = reserved.fit(overconfident(0), 1, 0.5, seed=0)
    assert fitted["recalibration"]["method"] != "none"
    found = reserved.report(fitted, overconfident(1), 1, 0.5)
    loss = found["recalibration"]["log_loss"]
    assert loss["difference"]["high"] < 0
    assert loss["after"] - loss["before"] == pytest.approx(loss["difference"]["estimate"])
    assert found["conformal"]["coverage"]["low"] < 0.9 < found["conformal"]["coverage"]["high"]
    assert set(found["conformal_by_class"]["classes"]) == {"no", "yes"}
    kept = found["selective"]["frozen"]
    assert 0.85 < kept["coverage"]["estimate"] < 0.95
    assert kept["accuracy_worst"]["estimate"] < kept["accuracy_kept"]["estimate"]
    # Brier's score is that of the results table: of the positive class alone.
    other = overconfident(1)
    after = recalibration.apply(fitted["recalibration"]["parameters"], other.values[0])[:, 1]
    assert found["recalibration"]["brier"]["after"] == pytest.approx(np.mean((after - other.target) ** 2))


def test_what_does_not_help_is_not_kept_and_says_so():
    generator = np.random.default_rng(2)
    calm = overconfident(3, patients=40, cases=1)
    risk = np.clip(generator.beta(2, 2, 40), 0.01, 0.99)
    target = (np.arange(40) % 2).astype(int)
    right = np.where(target == 1, 0.5 + risk / 4, 0.5 - risk / 4)
    calm = replace(calm, target=target, values=np.stack([1 - right, right], -1)[None])
    few = reserved.fit(replace(calm, target=np.r_[np.ones(3, int), np.zeros(37, int)]), 1, 0.5, seed=0)
    assert few["recalibration"]["method"] == "none"
    assert "not estimable" in few["recalibration"]["reason"]
    assert reserved.report(few, calm, 1, 0.5)["recalibration"] == {
        "method": "none",
        "reason": few["recalibration"]["reason"],
    }


def plan(**settings) -> Experiment:
    return Experiment(
        name="reserved",
        data=Data(name="breast_cancer_wisconsin", inputs=("table",), splits=HashedSplit(0.4, 0.4, 0.2, salt=1)),
        task=Classification(positive="malignant"),
        model=Perceptron(hidden=(8,)),
        standardise=("table",),
        optimizer=Optimizer(transform=partial(optax.adam), learning_rate=0.01),
        training=Training(duration=Duration(steps=40), batch_size=16),
        evaluation=Evaluation(**{"threshold": "youden", "calibrate": 0.5, "test": True, "resamples": 50} | settings),
    )


def test_a_run_keeps_patients_apart_freezes_what_they_gave_and_reports_it_on_the_test_cases(tmp_path):
    experiment = plan()
    (part,) = job.build(experiment).partition.parts
    assert len(part.calibration) > 50
    assert not set(part.calibration) & (set(part.validation) | set(part.train))
    found = run.train(experiment, tmp_path / "run")
    own = read_csv(tmp_path / "run" / folder.predictions("calibration"))
    assert len(own.id) == len(part.calibration)
    assert found["test"]["recalibration"]["method"] in ("none", *recalibration.METHODS)
    frozen = folder.read_json(tmp_path / "run" / folder.RECORD)["plan"]["reserved"]
    record = folder.read_json(tmp_path / "run" / folder.RECORD)
    assert frozen == reserved.fit(own, 0, record["plan"]["threshold"], experiment.seed)
    chosen = read_csv(tmp_path / "run" / folder.predictions("validation"))
    assert not set(chosen.group) & set(own.group)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"calibrate": 1.0}, "must be a share"),
        ({"calibrate": 0.9999}, "no validation case is left|cannot be divided at share"),
    ],
)
def test_impossible_shares_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        job.build(plan(**change))


def test_cross_validation_has_no_cases_to_keep_apart():
    folds = plan(threshold=0.5, test=False)
    with pytest.raises(InputError, match="in cross-validation set it to 0"):
        job.build(replace(folds, data=replace(folds.data, splits=Folds(count=2))))
