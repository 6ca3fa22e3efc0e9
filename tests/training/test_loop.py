"""The loop's arithmetic and order of events; whole runs are in tests/test_run.py."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.data.feed import CHUNK
from medjax.errors import InputError
from medjax.experiment import Mesh
from medjax.training import loop
from medjax.training import mesh as meshes
from medjax.training.loop import Hooks, Interrupted, summarise

LABELS = ["seed_0", "seed_1"]


def row(loss, weight, norm=(1.0, 1.0)):
    return {"loss": np.array(loss), "weight": np.array(weight), "gradient_norm": np.array(norm)}


def table(*rows):
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def test_losses_are_sums_over_counts_and_never_means_of_means():
    rows = [row([2.0, 9.0], [1.0, 3.0], [1.0, 3.0]), row([6.0, 1.0], [3.0, 1.0], [5.0, 7.0])]
    out = summarise([0, 1], table(*rows), LABELS)
    assert out == {
        "loss": 18 / 8,
        "loss/seed_0": 8 / 4,
        "loss/seed_1": 10 / 4,
        "gradient_norm": 4.0,
    }


def test_clones_that_fill_a_wave_do_not_count():
    out = summarise([0], table(row([2.0, 100.0], [1.0, 1.0], [1.0, 9.0])), ["seed_0"])
    assert out == {"loss": 2.0, "gradient_norm": 1.0}


def test_a_replicate_without_weight_gives_no_nan():
    out = summarise([0], table(row([2.0, 0.0], [4.0, 0.0])), LABELS)
    assert out["loss"] == 0.5
    assert out["loss/seed_1"] == 0


@pytest.mark.parametrize(("bad", "name"), [(np.nan, "nan"), (np.inf, "inf")])
def test_what_is_not_finite_is_named_with_step_and_replicate(bad, name):
    rows = [row([1.0, 1.0], [1.0, 1.0]), row([1.0, bad], [1.0, 1.0])]
    with pytest.raises(InputError, match=rf"loss became {name} at step 7 \(seed_1\).*last good checkpoint is kept"):
        summarise([6, 7], table(*rows), LABELS)
    with pytest.raises(InputError, match=rf"gradient_norm became {name} at step 3 \(seed_0\)"):
        summarise([3], table(row([1.0, 1.0], [1.0, 1.0], [bad, 1.0])), LABELS)


class Story:
    """Runs the loop on a state that only counts, and writes down what happens; of `several` steps a call, or of one."""

    def __init__(self, several, stop_at=None, due=(), signal_at=None, bad_at=None):
        self.several, self.calls = several, []
        self.events, self.stop_at, self.due, self.signal_at, self.bad_at = [], stop_at, due, signal_at, bad_at
        self.now = 0

    def train(self, state, resident, batch):
        self.events.append(("train", batch))
        self.now = batch + 1
        bad = np.nan if batch == self.bad_at else 1.0
        sums = {"loss": jnp.array([bad]), "weight": jnp.array([2.0]), "gradient_norm": jnp.array([1.0])}
        return SimpleNamespace(step=batch + 1, stopped=np.array([False])), sums

    def train_several(self, state, resident, chunk, count):
        first, stop = chunk
        assert first <= state.step < state.step + count <= stop
        self.calls.append(int(count))
        rows = []
        for _ in range(count):
            state, sums = self.train(state, resident, state.step)
            rows.append(sums)
        filled = rows + [rows[-1]] * (CHUNK - len(rows))  # what lies behind the last step means nothing
        return state, {name: jnp.stack([row[name] for row in filled]) for name in rows[0]}

    def chunks(self, plan, start, total):
        if not self.several:
            yield from ((step + 1, step) for step in range(start, total))
            return
        for first in range(start, total, CHUNK):
            yield min(first + CHUNK, total), (first, first + CHUNK)

    def validate(self, state, step):
        self.events.append(("validate", step))
        state.stopped = np.array([step == self.stop_at])
        return state, {"validation_auroc": 0.5}

    def run(self, start=0, total=6, evaluate_every=2, log_every=2, spacing=2):
        programs = SimpleNamespace(
            train=self.train, train_several=self.train_several, convolutions=not self.several, spacing=spacing,
            mesh=meshes.make(Mesh(), 1, 1, jax.devices()[:1]),
        )  # fmt: skip
        feed = SimpleNamespace(resident={}, read=None, chunks=self.chunks)
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
            start=start, total=total, evaluate_every=evaluate_every, log_every=log_every, hooks=hooks,
        )  # fmt: skip

    def of(self, kind):
        return [event[1] for event in self.events if event[0] == kind]


@pytest.fixture(autouse=True)
def unchecked(monkeypatch):
    """A stand-in is no Feed and no Programs."""
    monkeypatch.setattr(loop, "takes_several", getattr(loop.takes_several, "__wrapped__", loop.takes_several))


@pytest.fixture(params=[False, True], ids=["one step a call", "several steps a call"])
def several(request):
    return request.param


def test_each_step_is_taken_once_and_validated_before_it_is_saved(several):
    story = Story(several, due=(4,))
    assert story.run().step == 6
    assert story.of("train") == [0, 1, 2, 3, 4, 5]
    assert story.of("validate") == [2, 4, 6]
    assert story.of("save") == [4]
    order = [event[:2] for event in story.events]
    assert (
        order.index(("train", 3)) < order.index(("validate", 4)) < order.index(("save", 4)) < order.index(("train", 4))
    )


def test_every_step_reaches_the_log_once():
    story = Story(False)
    story.run(log_every=1, evaluate_every=None)
    assert [event[1] for event in story.events if event[0] == "log" and "loss" in event] == [0, 1, 2, 3, 4, 5]


def test_a_call_ends_where_something_may_happen_and_takes_all_steps_before():
    story = Story(True)
    total = 2 * CHUNK + 10
    story.run(start=5, total=total, evaluate_every=100, log_every=10, spacing=60)
    assert story.of("train") == list(range(5, total))
    ends = {6, 60, 5 + CHUNK, 100, 120, 5 + 2 * CHUNK, total}  # the first step alone; saves, chunks, a validation
    assert set(np.cumsum(story.calls) + 5) == ends
    logged = [event[1] for event in story.events if event[0] == "log" and "loss" in event]
    assert logged == sorted(set(logged))
    assert logged[-1] == total - 1


def test_a_resumed_loop_validates_its_state_again_and_does_not_save_it_again(several):
    story = Story(several, due=(2, 4))
    story.run(start=2)
    assert story.of("train") == [2, 3, 4, 5]
    assert story.of("validate") == [2, 4, 6]
    assert story.of("save") == [4]


def test_training_ends_when_every_replicate_has_stopped(several):
    story = Story(several, stop_at=4)
    assert story.run().step == 4
    assert story.of("train") == [0, 1, 2, 3]


def test_a_signal_waits_for_the_next_save_and_saves_first(several):
    story = Story(several, signal_at=3)
    with pytest.raises(Interrupted, match="at step 4"):
        story.run()
    assert story.of("save") == [4]
    assert story.of("train") == [0, 1, 2, 3]


@pytest.mark.parametrize("bad", range(6))
def test_nan_stops_before_anything_that_holds_it_is_saved(bad, several):
    story = Story(several, bad_at=bad, due=(2, 4))
    with pytest.raises(InputError, match=rf"loss became nan at step {bad} \(seed_0\)"):
        story.run(log_every=50, evaluate_every=None)
    assert all(step <= bad for step in story.of("save"))
