from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax.errors import InputError
from medjax.experiment import Optimizer
from medjax.training import optimizer
from medjax.training.schedule import cosine, linear, steps

PARAMS = {"stem": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}, "head": {"kernel": jnp.full((3, 1), 2.0)}}
GRADS = jax.tree.map(lambda x: jnp.full_like(x, 0.5), PARAMS)


def update(settings, grads=GRADS, count=1, total=10):
    transform = optimizer.build(settings, PARAMS, total)
    state, params = transform.init(PARAMS), PARAMS
    for _ in range(count):
        updates, state = transform.update(grads, state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_gradient_descent_by_hand():
    new = update(Optimizer(transform=optax.sgd, learning_rate=0.1))
    np.testing.assert_allclose(new["stem"]["kernel"], 1 - 0.1 * 0.5, rtol=1e-6)


def test_momentum_and_nesterov_agree_with_optax():
    for nesterov in (False, True):
        own = update(
            Optimizer(transform=partial(optax.sgd, momentum=0.9, nesterov=nesterov), learning_rate=0.1), count=4
        )
        reference, params = optax.sgd(0.1, momentum=0.9, nesterov=nesterov), PARAMS
        state = reference.init(params)
        for _ in range(4):
            updates, state = reference.update(GRADS, state, params)
            params = optax.apply_updates(params, updates)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), own, params)


def test_decay_by_table_agrees_with_adamw():
    table = update(Optimizer(transform=optax.adam, learning_rate=0.1, decay=((".*", 0.3),)), count=3)
    adamw = update(Optimizer(transform=partial(optax.adamw, weight_decay=0.3), learning_rate=0.1), count=3)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), table, adamw)


def test_decay_spares_what_the_table_spares():
    no_gradient = jax.tree.map(jnp.zeros_like, PARAMS)
    new = update(Optimizer(transform=optax.sgd, learning_rate=0.1, decay=((".*bias", 0.0), (".*", 0.5))), no_gradient)
    np.testing.assert_array_equal(new["stem"]["bias"], PARAMS["stem"]["bias"])
    np.testing.assert_allclose(new["head"]["kernel"], 2 * (1 - 0.1 * 0.5), rtol=1e-6)


def test_factors_scale_and_freeze():
    settings = Optimizer(transform=optax.adam, learning_rate=0.1, rates=(("stem/.*", 0.0), (".*", 0.5)), clip=1.0)
    new = update(settings, count=3)
    jax.tree.map(np.testing.assert_array_equal, new["stem"], PARAMS["stem"])
    plain = update(Optimizer(transform=optax.adam, learning_rate=0.05))
    once = update(Optimizer(transform=optax.adam, learning_rate=0.1, rates=(("stem/.*", 0.0), (".*", 0.5))))
    np.testing.assert_allclose(once["head"]["kernel"], plain["head"]["kernel"], rtol=1e-6)


def test_frozen_gradients_take_no_part_in_the_clipping_norm():
    grads = {"stem": jax.tree.map(lambda x: x * 1e6, GRADS["stem"]), "head": GRADS["head"]}
    settings = Optimizer(transform=optax.sgd, learning_rate=1.0, rates=(("stem/.*", 0.0), (".*", 1.0)), clip=100.0)
    np.testing.assert_allclose(update(settings, grads)["head"]["kernel"], 1.5, rtol=1e-6)


def test_clipping_bounds_the_global_norm():
    new = update(Optimizer(transform=optax.sgd, learning_rate=1.0, clip=0.1))
    assert float(optax.tree.norm(jax.tree.map(jnp.subtract, new, PARAMS))) == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ((("stem/.*", 1.0),), "no pattern matches the parameter 'head/kernel'"),
        ((("stm/.*", 1.0), (".*", 1.0)), "'stm/.\\*' matches no parameter"),
        (((".*", 1.0), ("stem/.*", 0.0)), "an earlier pattern takes"),
        ((("(", 1.0),), "no regular expression"),
    ],
)
def test_a_table_must_cover_every_parameter_and_use_every_pattern(rates, message):
    with pytest.raises(InputError, match=message):
        update(Optimizer(transform=optax.sgd, rates=rates))


def test_two_decays_at_once_are_refused():
    with pytest.raises(InputError, match="both decay and transform.weight_decay"):
        update(Optimizer(transform=partial(optax.adamw, weight_decay=0.1), decay=((".*", 0.1),)))


def test_transforms_without_a_rate_are_scaled_by_it():
    new = update(Optimizer(transform=optax.scale_by_sign, learning_rate=0.25))
    np.testing.assert_allclose(new["stem"]["kernel"], 0.75)


def test_schedules_begin_and_end_where_they_say():
    for schedule in (linear, cosine):
        assert float(schedule(jnp.array(0.0), warmup=0.1)) == 0
        assert float(schedule(jnp.array(0.1), warmup=0.1)) == pytest.approx(1, abs=1e-6)
        assert float(schedule(jnp.array(1.0), final=0.2)) == pytest.approx(0.2, abs=1e-6)
    values = [float(steps(jnp.array(x))) for x in (0.49, 0.5, 0.76)]
    np.testing.assert_allclose(values, [1, 0.1, 0.01], rtol=1e-5)


def test_the_schedule_reaches_its_end_with_the_last_step():
    rate = optimizer.learning_rate(Optimizer(learning_rate=2.0, schedule=linear), 10)
    np.testing.assert_allclose([float(rate(0)), float(rate(5)), float(rate(10))], [2, 1, 0], atol=1e-6)
