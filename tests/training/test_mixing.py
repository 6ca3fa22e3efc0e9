"""Mixing inside the training step: the loss of soft targets, padding, micro-batches, devices."""

import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from medjax import config
from medjax.augment import cutmix, mixup
from medjax.experiment import Data, Duration, Experiment, Optimizer, Training, resolve
from medjax.keys import named
from medjax.models import Perceptron
from medjax.tasks import Classification, MultiLabel, Ordinal, Regression
from medjax.training.programs import model_input_shapes
from medjax.training.state import initialise
from medjax.training.step import train_step

# Slow are those that compile steps of their own; the others share two. How rows are mixed is tested in tests/augment.
SHAPES = {"image": jax.ShapeDtypeStruct((4, 4, 1), np.dtype(np.float32))}
CASES = 16
SOFT = partial(mixup, alpha=1.0)
PASTE = partial(cutmix, alpha=1.0)


def made(mix, task=None, **training):
    experiment = Experiment(
        name="mixing", data=Data(name="d"), task=task or Classification(), model=Perceptron(hidden=(5,)), mix=mix,
        optimizer=Optimizer(transform=optax.sgd, learning_rate=0.5),
        training=Training(duration=Duration(steps=10), batch_size=CASES, **training),
    )  # fmt: skip
    return resolve(experiment, ("a", "b", "c"))


@functools.cache
def starting(experiment):
    return jax.jit(partial(initialise, experiment, model_input_shapes(experiment, SHAPES), 10))


def fresh(experiment, fitted=None):
    return starting(experiment)(np.uint32(3), fitted or {})


def batch_of(weight=None):
    rng = np.random.default_rng(0)
    return {
        "image": jnp.asarray(rng.normal(size=(CASES, 4, 4, 1)), jnp.float32),
        "label": jnp.asarray(rng.integers(0, 3, CASES)),
        "value": jnp.asarray(np.where(np.arange(CASES) < 4, np.nan, rng.normal(size=CASES)), jnp.float32),
        "index": jnp.arange(CASES, dtype=jnp.int32),
        "weight": jnp.ones(CASES) if weight is None else jnp.asarray(weight, jnp.float32),
    }


@functools.cache
def compiled(experiment):
    return jax.jit(partial(train_step, experiment, 10), compiler_options={"xla_backend_optimization_level": 0})


@functools.cache
def drawing(mix):
    def draw(seed, step, batch, number):
        key = jax.random.fold_in(jax.random.fold_in(named(jax.random.key(seed), "mix"), step), number)
        return mix(key, batch, ("image",))

    return jax.jit(draw)


def drawn(experiment, state, batch, number=0):
    return drawing(experiment.mix)(state.seed, state.step, batch, number)


def close(a, b):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), a, b)


@pytest.mark.parametrize("mix", [SOFT, PASTE])
def test_the_loss_is_cross_entropy_with_the_soft_target(mix):
    experiment, batch = made(mix), batch_of()
    state = fresh(experiment)
    after, sums = compiled(experiment)(state, batch)
    mixed, other, share = drawn(experiment, state, batch)
    assert np.any(share < 0.9)
    share, hot = np.asarray(share)[:, None], np.eye(3, dtype=np.float32)
    soft = share * hot[batch["label"]] + (1 - share) * hot[other["label"]]

    def loss(params):
        outputs = experiment.model.apply({"params": params}, mixed["image"], train=False)
        return optax.softmax_cross_entropy(outputs, soft).mean()

    expected, gradient = jax.jit(jax.value_and_grad(loss))(state.variables["params"])
    np.testing.assert_allclose(sums["loss"] / sums["weight"], expected, atol=1e-6)
    moved = jax.tree.map(
        lambda old, new: (np.asarray(old) - new) / 0.5, state.variables["params"], after.variables["params"]
    )
    jax.tree.map(partial(np.testing.assert_allclose, atol=1e-6), moved, gradient)


@pytest.mark.slow
def test_each_row_and_each_target_has_its_own_weight():
    experiment = made(SOFT, Classification(class_weights=(1.0, 2.0, 4.0)))
    batch = batch_of(weight=np.linspace(0.2, 2, CASES))
    fitted = {"class_weights": jnp.asarray([1.0, 2.0, 4.0])}
    state = fresh(experiment, fitted)
    _, sums = compiled(experiment)(state, batch)
    mixed, other, share = drawn(experiment, state, batch)
    outputs = jax.nn.log_softmax(experiment.model.apply(state.variables, mixed["image"], train=False))
    total = weight = 0.0
    for rows, part in ((batch, share), (other, 1 - share)):
        each = part * rows["weight"] * fitted["class_weights"][rows["label"]]
        total -= float((each * outputs[jnp.arange(CASES), rows["label"]]).sum())
        weight += float(each.sum())
    np.testing.assert_allclose([sums["loss"], sums["weight"]], [total, weight], rtol=1e-5)


@pytest.mark.slow
def test_unknown_values_of_a_regression_take_no_part():
    experiment, batch = made(SOFT, Regression(standardise=False)), batch_of()
    state = fresh(experiment)
    after, sums = compiled(experiment)(state, batch)
    mixed, other, share = drawn(experiment, state, batch)
    outputs = experiment.model.apply(state.variables, mixed["image"], train=False)[:, 0]
    parts = [(batch["value"], share), (other["value"], 1 - share)]
    total = sum(np.nansum(part * (outputs - values) ** 2) for values, part in parts)
    np.testing.assert_allclose(sums["loss"], total, rtol=1e-5)
    np.testing.assert_allclose(sums["weight"], sum(part[~np.isnan(values)].sum() for values, part in parts), rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.variables))


@pytest.mark.parametrize(
    "task",
    [
        MultiLabel(classes=("a", "b", "c")),
        Ordinal(),
        Ordinal(loss="softmax"),
        Regression(loss="quantile", quantiles=(0.1, 0.5, 0.9), standardise=False),
    ],
)
@pytest.mark.slow
def test_every_task_weighs_the_losses_of_both_targets(task):
    experiment, batch = made(SOFT, task), batch_of()
    answers = np.random.default_rng(1).integers(0, 2, (CASES, 3)).astype(np.float32)
    answers[:6, 1] = np.nan  # unknown
    batch |= {"labels": jnp.asarray(answers)}
    state = fresh(experiment)
    after, sums = compiled(experiment)(state, batch)
    mixed, other, share = drawn(experiment, state, batch)
    outputs = experiment.model.apply(state.variables, mixed["image"], train=False)
    total = weight = 0.0
    for rows, part in ((batch, share), (other, 1 - share)):
        each, known = experiment.task.losses(outputs, {**rows, "weight": part * rows["weight"]}, {})
        total, weight = total + float((each * known).sum()), weight + float(known.sum())
    np.testing.assert_allclose([sums["loss"], sums["weight"]], [total, weight], rtol=1e-5)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.variables))


@pytest.mark.parametrize("mix", [SOFT, PASTE])
def test_padding_changes_nothing_whatever_it_holds(mix):
    experiment = made(mix)
    weight = np.ones(CASES)
    weight[5:9] = 0
    clean = batch_of(weight)
    real = weight > 0
    dirty = clean | {
        "image": jnp.asarray(np.where(real[:, None, None, None], clean["image"], np.float32(1e6))),
        "label": jnp.asarray(np.where(real, clean["label"], 2)),
    }
    state = fresh(experiment)
    a, b = (compiled(experiment)(state, batch) for batch in (clean, dirty))
    jax.tree.map(np.testing.assert_array_equal, a[1], b[1])
    close(a[0].variables, b[0].variables)
    assert a[1]["weight"] <= 12.001


@pytest.mark.slow
def test_micro_batches_mix_within_themselves():
    experiment, batch = made(SOFT, accumulate=2), batch_of()
    state = fresh(experiment)
    _, sums = compiled(experiment)(state, batch)
    total = 0.0
    for number in (0, 1):
        micro = jax.tree.map(lambda x, n=number: x[n::2], batch)
        mixed, other, share = drawn(experiment, state, micro, number)
        outputs = jax.nn.log_softmax(experiment.model.apply(state.variables, mixed["image"], train=False))
        for rows, part in ((micro, share), (other, 1 - share)):
            total -= float((part * outputs[jnp.arange(CASES // 2), rows["label"]]).sum())
    np.testing.assert_allclose(sums["loss"], total, rtol=1e-5)
    np.testing.assert_allclose(sums["weight"], CASES, rtol=1e-5)


@pytest.mark.slow
def test_the_step_is_the_same_on_one_two_and_eight_devices():
    experiment = made(PASTE)
    state, found = fresh(experiment), []
    for count in (1, 2, 8):
        mesh = Mesh(np.array(jax.devices()[:count]), ("data",))
        batch = jax.device_put(batch_of(), NamedSharding(mesh, PartitionSpec("data")))
        found.append(compiled(experiment)(jax.device_put(state, NamedSharding(mesh, PartitionSpec())), batch))
    for after, sums in found[1:]:
        close(after.variables, found[0][0].variables)
        close(sums, found[0][1])


@pytest.mark.slow
def test_another_step_mixes_otherwise_and_the_setting_survives_json():
    experiment, batch = made(SOFT), batch_of()
    state = fresh(experiment)
    later = drawn(experiment, state.__class__(**(vars(state) | {"step": state.step + 1})), batch)
    assert np.any(later[2] != drawn(experiment, state, batch)[2])
    back = config.decode(config.encode(experiment))
    assert back.mix.func is mixup
    assert config.override(experiment, ["mix.alpha=0.4"]).mix.keywords["alpha"] == 0.4
    assert config.override(experiment, ["mix=null"]).mix is None
