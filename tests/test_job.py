"""What a job works out before the first step; whole runs are in tests/test_run.py."""

import dataclasses
from functools import partial

import jax
import numpy as np
import pytest

from medjax import config, job
from medjax.baselines import cox_regression, logistic_regression, ridge_regression
from medjax.data.split import HashedSplit
from medjax.errors import InputError
from medjax.experiment import Data, Evaluation
from medjax.tasks import Classification, Regression, Survival


@pytest.mark.parametrize(("epochs", "steps"), [(30.0, 30), (1000.0, 1000)])
def test_full_batch_training_takes_a_step_an_epoch_on_any_number_of_devices(small, epochs, steps):
    """The batch is filled up to a multiple of the devices; the number of steps must not follow."""
    full = config.override(
        small, ["training.batch_size=full", "training.duration.steps=null", f"training.duration.epochs={epochs}"]
    )
    for devices in (1, 8):
        work = job.build(full, devices=jax.devices()[:devices])
        assert work.batch % devices == 0
        assert work.total == steps


def test_a_rule_for_the_threshold_without_both_classes_is_refused_before_training(small, monkeypatch):
    data = Data(name="breast_cancer_wisconsin", inputs=("table",), splits=HashedSplit())
    chosen = dataclasses.replace(small, data=data, evaluation=Evaluation(threshold="youden", primary="accuracy"))
    real = job._targets

    def one_class(*arguments):
        return [np.zeros_like(values) for values in real(*arguments)]

    monkeypatch.setattr(job, "_targets", one_class)
    monkeypatch.setattr(type(chosen.task), "check", lambda *_: None)
    with pytest.raises(InputError, match="evaluation.threshold 'youden' needs both classes among the"):
        job.build(chosen)


@pytest.mark.parametrize(
    ("task", "reference", "message"),
    [
        (Survival(9, (3,)), logistic_regression, "'logistic regression' is not for times to an event; name another one"),
        (Survival(9, (3,)), (cox_regression, ridge_regression), "'ridge regression' is not for times to an event"),
        (Classification(), cox_regression, "'cox regression' is for times to an event; name another one"),
        (Survival(9, (3,), "probability_mass", causes=("a", "b")), cox_regression, "knows competing causes; set evaluation"),
        (Survival(9, (3,), strata=2), cox_regression, "no reference model knows task.entry or task.strata; set evaluation"),
        (Survival(9, (3,), entry=True), cox_regression, "no reference model knows task.entry or task.strata"),
        (Regression(loss="quantile"), ridge_regression, "no reference model predicts quantiles"),
    ],
)  # fmt: skip
def test_references_that_do_not_fit_the_task_are_refused_before_training(small, task, reference, message):
    one = dataclasses.replace(small, task=task, evaluation=Evaluation(reference=reference))
    with pytest.raises(InputError, match=message):
        job._check_references(one)


def test_references_that_fit_the_task_are_taken(small):
    for task, reference in ((Survival(9, (3,)), partial(cox_regression, regularisation=1.0)), (Regression(), None)):
        job._check_references(dataclasses.replace(small, task=task, evaluation=Evaluation(reference=reference)))
