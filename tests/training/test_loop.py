"""The loop's arithmetic and order of events; whole runs are in tests/test_run.py."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.experiment import Mesh
from medjax.training import loop
from medjax.training import mesh as meshes
from medjax.training.loop import Hooks, Interrupted, summarise

LABELS = ["seed_0", "seed_1"]


def row(loss, weight, norm=(1.0, 1.0)):
    return {"loss": np.array(loss), "weight": np.array(weight), "gradient_norm": np.array(norm)}


def test_losses_are_sums_over_counts_and_never_means_of_means():
    rows = [row([2.0, 9.0], [1.0, 3.0], [1.0, 3.0]), row([6.0, 1.0], [3.0, 1.0], [5.0, 7.0])]
    out = summarise([0, 1], rows, LABELS)
    assert out == {
        "loss": 18 / 8,
        "loss/seed_0": 8 / 4,
        "loss/seed_1": 10 / 4,
        "gradient_norm": 4.0,
    }


def test_clones_that_fill_a_wave_do_not_count():
    out = summarise([0], [row([2.0, 100.0], [1.0, 1.0], [1.0, 9.0])], ["seed_0"])
    assert out == {"loss": 2.0, "gradient_norm": 1.0}


def test_a_replicate_without_weight_gives_no_nan():
    out = summarise([0], [row([2.0, 0.0], [4.0, 0.0])], LABELS)
    assert out["loss"] == 0.5
    assert out["loss/seed_1"] == 0


@pytest.mark.parametrize(("bad", "name"), [(np.nan, "nan"), (np.inf, "inf")])
def test_what_is_not_finite_is_named_with_step_and_replicate(bad, name):
    rows = [row([1.0, 1.0], [1.0, 1.0]), row([1.0, bad], [1.0, 1.0])]
    with pytest.raises(InputError, match=rf"loss became {name} at step 7 \(seed_1\).*last good checkpoint is kept"):
        summarise([6, 7], rows, LABELS)
    with pytest.raises(InputError, match=rf"gradient_norm became {name} at step 3 \(seed_0\)"):
        summarise([3], [row([1.0, 1.0], [1.0, 1.0], [bad, 1.0])], LABELS)


class Story:
    """Runs the loop on a state that only counts, and writes down what happens."""

    def __init__(self, stop_at=None, due=(), signal_at=None, bad_at=None):
        self.events, self.stop_at, self.due, self.signal_at, self.bad_at = [], stop_at, due, signal_at, bad_at
        self.now = 0

    def train(self, state, resident, batch):
        self.events.append(("train", batch))
        self.now = batch + 1
        bad = np.nan if batch == self.bad_at else 1.0
        sums = {"loss": jnp.array([bad]), "weight": jnp.array([2.0]), "gradient_norm": jnp.array([1.0])}
        return SimpleNamespace(step=batch + 1, stopped=np.array([False])), sums

    def validate(self, state, step):
        self.events.append(("validate", step))
        state.stopped = np.array([step == self.stop_at])
        return state, {"validation_auroc": 0.5}

    def run(self, start=0, total=6, evaluate_every=2, log_every=2, grid=2):
        programs = SimpleNamespace(train=self.train, mesh=meshes.make(Mesh(), 1, 1, jax.devices()[:1]))
        feed = SimpleNamespace(resident={}, steps=lambda plan, a, b: iter(range(a, b)))
        hooks = Hooks(
            validate=self.validate,
            due=lambda step: step in self.due,
            save=lambda state, step: self.events.append(("save", step)),
            log=lambda step, values: self.events.append(("log", step, *sorted(values))),
            interrupted=lambda: self.signal_at is not None and self.now >= self.signal_at,
        )
        run = getattr(loop.run, "__wrapped__", loop.run)  # a stand-in is no Feed and no Programs
        return run(
            programs, feed, None, SimpleNamespace(step=start, stopped=np.array([False])), ["seed_0"],
            start=start, total=total, evaluate_every=evaluate_every, log_every=log_every, grid=grid, hooks=hooks,
        )  # fmt: skip

    def of(self, kind):
        return [event[1] for event in self.events if event[0] == kind]


def test_each_step_is_taken_once_and_validated_before_it_is_saved():
    story = Story(due=(4,))
    assert story.run().step == 6
    assert story.of("train") == [0, 1, 2, 3, 4, 5]
    assert story.of("validate") == [2, 4, 6]
    assert story.of("save") == [4]
    order = [event[:2] for event in story.events]
    assert (
        order.index(("train", 3)) < order.index(("validate", 4)) < order.index(("save", 4)) < order.index(("train", 4))
    )


def test_every_step_reaches_the_log_once():
    story = Story()
    story.run(log_every=1, evaluate_every=None)
    assert [event[1] for event in story.events if event[0] == "log" and "loss" in event] == [0, 1, 2, 3, 4, 5]


def test_a_resumed_loop_validates_its_state_again_and_does_not_save_it_again():
    story = Story(due=(2, 4))
    story.run(start=2)
    assert story.of("train") == [2, 3, 4, 5]
    assert story.of("validate") == [2, 4, 6]
    assert story.of("save") == [4]


def test_training_ends_when_every_replicate_has_stopped():
    story = Story(stop_at=4)
    assert story.run().step == 4
    assert story.of("train") == [0, 1, 2, 3]


def test_a_signal_waits_for_the_grid_and_saves_first():
    story = Story(signal_at=3)
    with pytest.raises(Interrupted, match="at step 4"):
        story.run()
    assert story.of("save") == [4]
    assert story.of("train") == [0, 1, 2, 3]


@pytest.mark.parametrize("bad", range(6))
def test_nan_stops_before_anything_that_holds_it_is_saved(bad):
    story = Story(bad_at=bad, due=(2, 4))
    with pytest.raises(InputError, match=rf"loss became nan at step {bad} \(seed_0\)"):
        story.run(log_every=50, evaluate_every=None)
    assert all(step <= bad for step in story.of("save"))
