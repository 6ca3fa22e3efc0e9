"""The compiled functions: however many steps a call takes, the bits are the same."""

import jax
import numpy as np
import pytest

from medjax import job
from medjax.data.feed import CHUNK
from medjax.training.programs import SHORT, spacing
from medjax.training.replicate import take

BUILT = []


@pytest.fixture
def work(small):
    """A job of four replicates of one experiment, built once."""
    if not BUILT:
        BUILT.append(job.build(small))
    return BUILT[0]


def trained(work, calls):
    """Return the state after calls of so many steps each, and the sums of every step."""
    wave, feed, plan = work.programs.waves[0], job.feed(work), job.training_plan(work, work.programs.waves[0])
    seeds = np.array([work.replicates[k].seed for k in wave], np.uint32)
    state, rows = work.programs.initialise(seeds, take(work.fitted, wave, work.programs.mesh)), []
    ((_, chunk),) = feed.chunks(plan, 0, sum(calls))
    for count in calls:
        state, sums = work.programs.train_several(state, feed.resident, chunk, np.int32(count))
        rows.append({name: np.asarray(values)[:count] for name, values in sums.items()})
    return jax.tree.map(np.asarray, state), {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@pytest.mark.parametrize("calls", [(1,) * 12, (5, 7), (1, 11)])
def test_how_many_steps_a_call_takes_changes_no_bit(work, calls):
    for once, parted in zip(trained(work, (12,)), trained(work, calls), strict=True):
        jax.tree.map(np.testing.assert_array_equal, once, parted)


def test_steps_in_one_call_are_the_steps_taken_one_by_one(work):
    wave, feed, plan = work.programs.waves[0], job.feed(work), job.training_plan(work, work.programs.waves[0])
    seeds = np.array([work.replicates[k].seed for k in wave], np.uint32)
    state, losses = work.programs.initialise(seeds, take(work.fitted, wave, work.programs.mesh)), []
    for chunk in feed.steps(plan, 0, 12):
        state, sums = work.programs.train(state, feed.resident, chunk)
        losses.append(np.asarray(sums["loss"]))
    together, sums = trained(work, (12,))
    np.testing.assert_allclose(np.stack(losses), sums["loss"], rtol=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), state.variables, together.variables
    )


@pytest.mark.parametrize(
    ("grid", "total", "operations", "expected"),
    [
        (10, 3000, SHORT / 2, 60),  # what a chunk of 64 steps holds, in multiples of 10
        (10, 3000, SHORT, 10),
        (10, 50, SHORT / 2, 20),  # half of the training at most
        (10, 3, SHORT / 2, 10),
        (100, 3000, SHORT / 2, 100),  # never finer than asked for
        (1, 3000, SHORT / 2, CHUNK),
    ],
)
def test_short_steps_are_handed_out_together(grid, total, operations, expected):
    assert spacing(grid, total, operations) == expected
