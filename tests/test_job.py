"""What a job works out before the first step; whole runs are in tests/test_run.py."""

import jax
import pytest

from medjax import config, job


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
