import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from medjax.training.state import Best, TrainState, current_variables, final_variables, select


def state(value=0.0, step=0, average=None, best=True):
    variables = {"params": {"w": jnp.full(3, value)}}
    kept = Best(variables=variables, metric=jnp.float32(-jnp.inf), step=jnp.int32(0)) if best else None
    return TrainState(
        step=jnp.int32(step), seed=jnp.uint32(0), variables=variables, moments=None, fitted={},
        average=average, best=kept, stopped=jnp.asarray(False),
    )  # fmt: skip


def at(one, value, step):
    return dataclasses.replace(one, variables={"params": {"w": jnp.full(3, value)}}, step=jnp.int32(step))


def judged(one, metric, patience=None):
    return select(one, jnp.float32(metric), patience)


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_best_is_kept_and_of_equals_the_first():
    one = state()
    for step, metric in enumerate([0.5, 0.8, 0.7, 0.8], 1):
        one = judged(at(one, float(step), step), metric)
    np.testing.assert_array_equal(final_variables(one)["params"]["w"], 2.0)
    assert one.best.metric == np.float32(0.8)
    assert one.best.step == 2
    np.testing.assert_array_equal(one.variables["params"]["w"], 4.0)  # training itself goes on from the last


def test_judging_the_same_state_twice_changes_nothing():
    one = judged(at(state(), 1.0, 5), 0.5, patience=10)
    identical(judged(one, 0.5, patience=10), one)
    worse = judged(at(one, 2.0, 10), 0.4, patience=5)
    identical(judged(worse, 0.4, patience=5), worse)


def test_nan_never_replaces_a_metric():
    one = judged(at(state(), 1.0, 1), 0.5)
    after = judged(at(one, 2.0, 2), np.nan)
    assert after.best.metric == 0.5
    np.testing.assert_array_equal(final_variables(after)["params"]["w"], 1.0)
    assert judged(at(state(), 1.0, 1), np.nan).best.metric == -np.inf


def test_patience_counts_from_the_best_and_a_stopped_replicate_keeps_its_best():
    one = judged(at(state(), 1.0, 4), 0.5, patience=4)
    assert not one.stopped
    one = judged(at(one, 2.0, 7), 0.4, patience=4)
    assert not one.stopped
    one = judged(at(one, 3.0, 8), 0.4, patience=4)
    assert one.stopped
    later = judged(at(one, 4.0, 12), 0.9, patience=4)
    assert later.stopped
    assert later.best.metric == 0.5
    assert not judged(at(judged(at(state(), 1.0, 4), 0.5), 2.0, 1000), 0.4).stopped


def test_where_nothing_is_selected_the_last_variables_or_their_average_are_delivered():
    plain = state(1.0, best=False)
    identical(judged(plain, 0.5, patience=1), plain)
    assert final_variables(plain) is plain.variables
    average = {"params": {"w": jnp.full(3, 9.0)}}
    assert final_variables(state(1.0, best=False, average=average)) is average
    assert current_variables(state(1.0, average=average)) is average
    kept = judged(at(state(average=average), 1.0, 1), 0.5)  # what was judged is what is kept
    np.testing.assert_array_equal(final_variables(kept)["params"]["w"], 9.0)


def test_each_replicate_has_its_own_best():
    both = jax.tree.map(lambda *x: jnp.stack(x), at(state(), 1.0, 1), at(state(), 2.0, 1))
    select_both = jax.vmap(lambda one, metric: select(one, metric, 1))
    both = select_both(both, jnp.array([0.5, 0.9]))
    both = dataclasses.replace(both, variables=jax.tree.map(lambda x: x + 10, both.variables), step=both.step + 1)
    both = select_both(both, jnp.array([0.6, 0.8]))
    assert final_variables(both)["params"]["w"][:, 0].tolist() == [11, 2]
    assert both.stopped.tolist() == [False, True]
