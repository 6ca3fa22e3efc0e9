"""What a job works out before the first step; whole runs are in tests/test_run.py."""

import dataclasses

import jax
import numpy as np
import pytest

from medjax import config, job
from medjax.data.split import HashedSplit
from medjax.errors import InputError
from medjax.experiment import Data, Evaluation


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
