"""One step by hand: the moving average, accumulation, frozen replicates, padding, types."""

import dataclasses
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax.augment import random_noise
from medjax.experiment import Data, Duration, Experiment, Optimizer, Training, resolve
from medjax.models import Perceptron
from medjax.tasks import Classification
from medjax.training.programs import model_input_shapes
from medjax.training.state import initialise
from medjax.training.step import gather, model_inputs, predict_step, train_step

SHAPES = {"image": jax.ShapeDtypeStruct((2, 2, 1), np.dtype(np.float32))}
CASES = 8
NOISE = (partial(random_noise, deviation=1.0),)


def made(**training) -> Experiment:
    own = {name: training.pop(name) for name in ("model", "augment", "optimizer", "standardise") if name in training}
    experiment = Experiment(
        name="step",
        data=Data(name="d"),
        task=Classification(positive="b"),
        model=own.pop("model", Perceptron(hidden=(3,))),
        optimizer=own.pop("optimizer", Optimizer(transform=optax.sgd, learning_rate=0.5)),
        training=Training(duration=Duration(steps=10), batch_size=CASES, **training),
        **own,
    )
    return resolve(experiment, ("a", "b"))


@functools.cache
def starting(experiment):
    return jax.jit(partial(initialise, experiment, model_input_shapes(experiment, SHAPES), 10))


def fresh(experiment, fitted=None):
    return starting(experiment)(np.uint32(3), fitted or {})


def batch(seed=0, weight=None, count=CASES):
    rng = np.random.default_rng(seed)
    return {
        "image": jnp.asarray(rng.normal(size=(count, 2, 2, 1)), jnp.float32),
        "label": jnp.asarray(rng.integers(0, 2, count)),
        "index": jnp.arange(count, dtype=jnp.int32),
        "weight": jnp.ones(count) if weight is None else jnp.asarray(weight, jnp.float32),
    }


@functools.cache
def compiled(experiment):
    # These tiny programs run once or twice: most of their time would go into optimising them.
    return jax.jit(partial(train_step, experiment, 10), compiler_options={"xla_backend_optimization_level": 0})


def step(experiment, state, cases):
    return compiled(experiment)(state, cases)


def close(a, b, **tolerance):
    jax.tree.map(partial(np.testing.assert_allclose, **({"rtol": 1e-5, "atol": 1e-7} | tolerance)), a, b)


def identical(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_sums_are_those_of_the_loss_before_the_step():
    experiment = made()
    state, cases = fresh(experiment), batch(weight=[1, 1, 2, 0, 0.5, 1, 0, 1])
    after, sums = step(experiment, state, cases)

    @jax.jit
    def likelihood(variables, image):
        return jax.nn.log_softmax(experiment.model.apply(variables, image, train=False))

    found = np.asarray(likelihood(state.variables, cases["image"]))
    values = -np.take_along_axis(found, np.asarray(cases["label"])[:, None], 1)[:, 0]
    np.testing.assert_allclose(sums["loss"], (values * cases["weight"]).sum(), rtol=1e-5)
    assert sums["weight"] == 6.5
    assert after.step == 1
    moved = jax.tree.map(lambda a, b: (np.asarray(a) - b) / 0.5, state.variables, after.variables)
    norm = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(moved)))
    np.testing.assert_allclose(sums["gradient_norm"], norm, rtol=1e-4)


def test_the_moving_average_by_hand():
    experiment = made(ema=0.15)
    state = fresh(experiment)
    identical(state.average, state.variables)
    expected = state.variables
    decays = []
    for number in range(4):
        state, _ = step(experiment, state, batch(number))
        decay = min(0.15, (1 + number) / (10 + number))
        decays.append(decay)
        expected = jax.tree.map(
            lambda a, v, d=decay: d * np.asarray(a) + (1 - d) * np.asarray(v), expected, state.variables
        )
        close(state.average, expected)
    assert decays[0] == 0.1
    assert decays[-1] == 0.15
    assert fresh(made()).average is None


def test_accumulation_divides_the_summed_gradients_by_the_summed_weights_once():
    cases = batch(weight=[1, 0, 1, 3, 0, 0, 1, 0.5])  # parts of unequal weight: a mean of means would differ
    results = []
    for parts in (1, 4):
        experiment = made(accumulate=parts)
        after, sums = step(experiment, fresh(experiment), cases)
        results.append((after.variables, sums))
    close(*results)


def test_cases_of_weight_zero_change_nothing():
    experiment = made()
    real, noise = batch(0), jax.tree.map(lambda x: np.asarray(x) * 50, batch(1))
    whole = {key: np.concatenate([real[key], noise[key]]) for key in real}
    whole["weight"][CASES:] = 0
    whole["label"] = np.clip(whole["label"], 0, 1)
    alone, padded = (step(experiment, fresh(experiment), cases) for cases in (real, whole))
    close(alone, padded)


def test_a_batch_of_weight_zero_leaves_the_parameters_as_they_are():
    experiment = made()
    state = fresh(experiment)
    after, sums = step(experiment, state, batch(weight=np.zeros(CASES)))
    identical(after.variables, state.variables)
    assert sums["loss"] == sums["weight"] == sums["gradient_norm"] == 0


def test_a_stopped_replicate_is_frozen_in_all_its_leaves():
    experiment = made(
        patience=1, select="accuracy", evaluate_every=Duration(steps=1), ema=0.9,
        model=Perceptron(hidden=(3,), normalisation="batch"), optimizer=Optimizer(transform=optax.adam),
    )  # fmt: skip
    state, _ = step(experiment, fresh(experiment), batch())
    stopped = dataclasses.replace(state, stopped=jnp.asarray(True))
    identical(step(experiment, stopped, batch(1))[0], stopped)
    assert step(experiment, state, batch(1))[0].step == 2
    never = made(ema=0.9, model=Perceptron(hidden=(3,), normalisation="batch"))
    assert step(never, dataclasses.replace(fresh(never), stopped=jnp.asarray(True)), batch(1))[0].step == 1


def test_batch_statistics_go_through_every_micro_batch():
    experiment = made(accumulate=2, model=Perceptron(hidden=(3,), normalisation="batch"))
    state, cases = fresh(experiment), batch()
    after, _ = step(experiment, state, cases)
    stats = state.variables["batch_stats"]
    run = jax.jit(partial(experiment.model.apply, train=True, mutable=["batch_stats"]))
    for part in (0, 1):
        variables = {"params": state.variables["params"], "batch_stats": stats}
        stats = run(variables, np.asarray(cases["image"])[part::2])[1]["batch_stats"]
    close(after.variables["batch_stats"], stats)


def test_augmentation_and_dropout_belong_to_training_alone():
    plain, dropped, noisy = made(), made(model=Perceptron(hidden=(3,), dropout=0.5)), made(augment=NOISE)
    state, cases = fresh(plain), batch()
    later = dataclasses.replace(state, step=jnp.asarray(1, jnp.int32))

    def predicted(one):
        return jax.jit(partial(predict_step, one))(state.variables, {}, cases)

    expected, losses = predicted(plain), [step(plain, state, cases)[1]["loss"]]
    for one in (dropped, noisy):
        identical(predicted(one), expected)
        losses += [step(one, state, cases)[1]["loss"], step(one, later, cases)[1]["loss"]]
        identical(step(one, state, cases), step(one, state, cases))  # the same noise each time it is asked for
    assert len({float(loss) for loss in losses}) == 5


def test_what_a_case_looks_like_does_not_depend_on_its_neighbours():
    experiment, cases = made(augment=NOISE), batch()
    some = jax.tree.map(lambda x: np.asarray(x)[[5, 2]], cases)
    alone = {**cases, "weight": np.isin(np.arange(CASES), [2, 5]).astype(np.float32)}
    state = fresh(experiment)
    close(step(experiment, state, some), step(experiment, state, alone))


def test_gather_completes_a_batch_from_the_resident_arrays():
    resident = {"image": jnp.arange(10.0), "label": jnp.arange(10) % 2}
    cases = {"index": jnp.array([7, 0, 7]), "weight": jnp.ones(3)}
    full = gather(resident, cases)
    assert full["image"].tolist() == [7, 0, 7]
    assert full["label"].tolist() == [1, 0, 1]
    identical(full["index"], cases["index"])
    identical(gather({}, full), full)


def test_inputs_are_standardised_with_what_was_fitted_and_become_floating_point():
    fitted = {"image": {"mean": jnp.array([10.0]), "scale": jnp.array([2.0])}}
    image = jnp.arange(8, dtype=jnp.uint8).reshape(2, 2, 2, 1)
    (plain,) = model_inputs(made(), {}, {"image": image})
    (scaled,) = model_inputs(made(standardise=("image",)), fitted, {"image": image})
    assert plain.dtype == scaled.dtype == jnp.float32
    np.testing.assert_allclose(scaled, (np.asarray(plain) - 10) / 2)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_no_leaf_changes_its_type_in_a_step(dtype):
    with jax.enable_x64(dtype == "float64"):
        experiment = made(
            model=Perceptron(hidden=(3,), dtype=dtype), ema=0.9, accumulate=2, optimizer=Optimizer(transform=optax.adam)
        )
        state = fresh(experiment, {"class_weights": jnp.ones(2, jnp.float32)})
        wide = jnp.promote_types(dtype, jnp.float32)
        assert {x.dtype for x in jax.tree.leaves(state.variables)} == {wide}
        after, sums = step(experiment, state, batch())
        assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, state)
        assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
        assert sums["gradient_norm"].dtype == wide
        assert np.isfinite(sums["loss"])
