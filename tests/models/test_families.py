"""What ViT, ConvNeXt and DenseNet share: counts, types, gradients, replicates, remat, messages."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax import config
from medjax.errors import InputError
from medjax.models import ConvNext, DenseNet, VisionTransformer
from medjax.training.replicate import has_convolutions

KEY = jax.random.key(0)
VIT = VisionTransformer(patch=4, depth=2, width=16, heads=2, outputs=3)
CONVNEXT = ConvNext(patch=1, blocks=(1, 1), widths=(8, 16), kernel=3, outputs=3)
DENSENET = DenseNet(growth=4, layers=(2, 1), outputs=3)
SMALL = [VIT, CONVNEXT, DENSENET]
NAMES = ["vit", "convnext", "densenet"]
# Compiling costs most of the time of these tests: the convolutional networks are tried by hand.
MOST = [VIT.clone(depth=1), *(pytest.param(model, marks=pytest.mark.slow) for model in (CONVNEXT, DENSENET))]


def drawn(model, x, seed: int = 1) -> dict:
    """Variables away from their start (a layer scale of 1e-6 hides what is behind it), drawn without compiling."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: model.init(KEY, x, train=False))

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        noise = rng.normal(size=leaf.shape) / np.sqrt(max(np.prod(leaf.shape[:-1]), 10))
        return jnp.asarray((noise + any(name in str(path[-1]) for name in ("scale", "var"))).astype(leaf.dtype))

    return jax.tree.map_with_path(draw, shapes)


def slope(model, x, variables, **settings):
    """The outputs, and the gradient of a function of them to every parameter."""
    rest = {key: value for key, value in variables.items() if key != "params"}

    def loss(parameters):
        outputs, _ = model.apply({"params": parameters, **rest}, x, train=True, mutable=list(rest), **settings)
        return jnp.sum(jnp.sin(outputs)), outputs

    (_, outputs), gradients = jax.value_and_grad(loss, has_aux=True)(variables["params"])
    return outputs, gradients


@pytest.mark.parametrize(
    ("model", "count"),
    [
        (VisionTransformer("tiny", pooling="class"), 5_717_416),
        (VisionTransformer("small", pooling="class"), 22_050_664),
        (ConvNext("tiny"), 28_589_128),
        (DenseNet(121, stem="standard", normalisation="batch"), 7_978_856),
        pytest.param(DenseNet(169, stem="standard", normalisation="batch"), 14_149_480, marks=pytest.mark.slow),
        pytest.param(DenseNet(201, stem="standard", normalisation="batch"), 20_013_928, marks=pytest.mark.slow),
    ],
)
def test_parameter_counts_are_the_published_ones(model, count: int) -> None:
    model = model.clone(outputs=1000)
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, 224, 224, 3)), train=False), KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (VIT.clone(pooling="class"), (2, 12, 8, 1)),
        (VIT.clone(dimensions=3, patch=(2, 4, 4), depth=1), (2, 4, 8, 8, 1)),
        (CONVNEXT, (2, 7, 6, 1)),
        (CONVNEXT.clone(dimensions=3), (2, 4, 5, 4, 1)),
        (DENSENET, (2, 6, 5, 1)),
        pytest.param(DENSENET.clone(normalisation="batch", stem="standard"), (3, 16, 20, 3), marks=pytest.mark.slow),
        pytest.param(DENSENET.clone(dimensions=3, normalisation="batch"), (3, 5, 4, 6, 1), marks=pytest.mark.slow),
    ],
)
def test_outputs_are_finite_float32_and_gradients_reach_every_parameter(model, shape: tuple) -> None:
    x = jax.random.normal(KEY, shape)
    outputs, gradients = jax.jit(lambda v: slope(model, x, v))(drawn(model, x))
    assert (outputs.shape, outputs.dtype) == ((shape[0], 3), jnp.float32)
    for path, leaf in jax.tree.leaves_with_path(jax.device_get(gradients)):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path


@pytest.mark.parametrize("model", SMALL, ids=NAMES)
def test_bfloat16_computes_coarsely_with_float32_parameters(model) -> None:
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    variables = drawn(model, x)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    both = (model, model.clone(dtype="bfloat16"))
    a, b = jax.jit(lambda v: [m.apply(v, x, train=False) for m in both])(variables)
    assert b.dtype == jnp.float32
    np.testing.assert_allclose(a, b, atol=0.15)
    assert np.any(a != b)


@pytest.mark.parametrize("model", SMALL, ids=NAMES)
@pytest.mark.slow
def test_remat_changes_neither_parameters_nor_results_nor_names(model) -> None:
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    model = model.clone(dropout=0.3)
    variables = drawn(model, x)
    saving = model.clone(remat=True)
    assert jax.tree.structure(variables) == jax.tree.structure(jax.eval_shape(lambda: saving.init(KEY, x, train=False)))
    a, b = (jax.jit(lambda v, m=m: slope(m, x, v, rngs={"dropout": KEY}))(variables) for m in (model, saving))
    for ours, theirs in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)
    program = jax.make_jaxpr(lambda v: saving.apply(v, x, train=False))(variables)
    assert sum(equation.primitive.name in ("remat", "remat2", "checkpoint") for equation in program.eqns) >= 2


@pytest.mark.parametrize("model", MOST, ids=NAMES)
def test_a_wave_of_replicates_gives_what_each_alone_gives(model) -> None:
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    each = [drawn(model, x, seed) for seed in (1, 2)]
    run = jax.jit(lambda v: slope(model, x, v))
    together = jax.device_get(jax.jit(jax.vmap(run))(jax.tree.map(lambda *v: np.stack(v), *each)))
    for number, variables in enumerate(each):
        for a, b in zip(jax.tree.leaves(run(variables)), jax.tree.leaves(together), strict=True):
            np.testing.assert_allclose(a, b[number], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("model", [VIT, CONVNEXT], ids=NAMES[:2])
@pytest.mark.slow
def test_stochastic_depth_and_dropout_act_in_training_only_and_follow_their_stream(model) -> None:
    x = jax.random.normal(KEY, (8, 8, 8, 1))
    variables = drawn(model, x)
    plain = jax.jit(lambda v: model.apply(v, x, train=False))(variables)
    for settings in ({"stochastic_depth": 0.5}, {"dropout": 0.5}):
        noisy = model.clone(**settings)
        rest = jax.jit(lambda v, m=noisy: m.apply(v, x, train=False))
        np.testing.assert_allclose(rest(variables), plain, atol=1e-6)
        draw = jax.jit(lambda v, key, m=noisy: m.apply(v, x, train=True, rngs={"dropout": key}))
        one, again, two = (draw(variables, jax.random.key(k)) for k in (1, 1, 2))
        np.testing.assert_array_equal(one, again)
        assert np.any(one != two)


def test_a_case_skips_a_block_as_a_whole_and_survivors_are_scaled() -> None:
    # Two blocks; the first never skips (rate 0), the second skips half of the cases.
    model = CONVNEXT.clone(blocks=(2,), widths=(8,), stochastic_depth=0.5)
    x = jax.random.normal(KEY, (32, 4, 4, 1))
    variables = drawn(model, x)
    variables["params"]["output_norm"]["scale"] = jnp.ones(8)

    def last_block(variables: dict, train: bool):
        keep = {"capture_intermediates": True, "mutable": ["intermediates"], "rngs": {"dropout": KEY}}
        state = model.apply(variables, x, train=train, **keep)[1]["intermediates"]
        return state["stage_1_block_2"]["__call__"][0] - state["stage_1_block_1"]["__call__"][0]

    branch, kept = jax.device_get(jax.jit(lambda v: (last_block(v, False), last_block(v, True)))(variables))
    skipped = np.abs(kept).max(axis=(1, 2, 3)) == 0
    assert 8 < skipped.sum() < 24
    np.testing.assert_allclose(kept[~skipped], 2 * branch[~skipped], atol=1e-4)


@pytest.mark.parametrize("model", MOST, ids=NAMES)
def test_a_case_does_not_see_its_batch(model) -> None:
    x = jax.random.normal(KEY, (3, 8, 8, 1))
    variables = drawn(model, x)
    found = np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(model.apply(variables, x, train=True)[0])))(x))
    assert np.abs(found[0]).max() > 0
    np.testing.assert_array_equal(found[1:], np.zeros_like(found[1:]))


@pytest.mark.slow
@pytest.mark.parametrize("model", SMALL, ids=NAMES)
def test_the_loss_falls_on_a_toy_problem(model) -> None:
    # A bright spot or a dark one, anywhere.
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 32)
    x = rng.normal(size=(32, 8, 8, 1)).astype(np.float32) * 0.3
    x[np.arange(32), rng.integers(8, size=32), rng.integers(8, size=32)] += np.where(label, 6, -6)[:, None]
    x, model = jnp.asarray(x), model.clone(outputs=2)
    params = jax.jit(lambda: model.init(KEY, x, train=False))()["params"]
    transform = optax.adam(1e-2)

    @jax.jit
    def step(params, moments):
        def loss(params):
            outputs = model.apply({"params": params}, x, train=True)
            return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(outputs, label))

        value, gradients = jax.value_and_grad(loss)(params)
        updates, moments = transform.update(gradients, moments, params)
        return optax.apply_updates(params, updates), moments, value

    moments, losses = transform.init(params), []
    for _ in range(80):
        params, moments, value = step(params, moments)
        losses.append(float(value))
    assert losses[-1] < 0.5 * losses[0], losses


@pytest.mark.parametrize("model", SMALL, ids=NAMES)
def test_a_configuration_can_hold_it(model) -> None:
    again = config.decode(json.loads(config.dumps(model)))
    assert config.encode(again) == config.encode(model)
    assert again == model


def test_kinds_of_convolution_that_the_compiler_maps_badly_are_seen() -> None:
    x = jnp.zeros((1, 8, 8, 1))
    for model, expected in ((DENSENET, True), (VIT, False), (CONVNEXT, False)):
        variables = jax.eval_shape(lambda m=model: m.init(KEY, x, train=False))
        assert has_convolutions(lambda v, m=model: m.apply(v, x, train=False), variables) == expected
    # Elsewhere than on a CPU a depthwise convolution is the compiler's own, and seen as one.
    grouped = jax.ShapeDtypeStruct((3, 3, 1, 4), "float32")
    from medjax.models.convolution import _convolve

    assert has_convolutions(lambda k: _convolve(jnp.zeros((1, 5, 5, 4)), k, (1, 1), groups=4), grouped)


@pytest.mark.parametrize(
    ("model", "shape", "message"),
    [
        (VIT.clone(patch=16), (1, 28, 28, 1), "16 x 16 does not divide an input of 28 x 28: patch 2 or 4 or 7 or 14"),
        (VIT.clone(patch=4), (1, 13, 11, 1), "does not divide an input of 13 x 11: resize or pad it"),
        (VIT.clone(patch=(4, 4, 4)), (1, 8, 8, 1), "give one side, or 2"),
        (VIT.clone(patch=0), (1, 8, 8, 1), "patch is 0"),
        (VIT.clone(heads=3), (1, 8, 8, 1), "multiple of the heads"),
        (VIT.clone(dropout=1.0), (1, 8, 8, 1), "dropout is 1.0: a probability"),
        (VIT.clone(outputs=0), (1, 8, 8, 1), "outputs is 0"),
        (VIT, (1, 8, 8, 8, 1), "volumes dimensions=3"),
        (
            ConvNext(outputs=2),
            (1, 28, 28, 1),
            "needs at least 32 pixels on every side, not 28 x 28: make patch smaller",
        ),
        (CONVNEXT.clone(kernel=4), (1, 8, 8, 1), "kernel is 4: use an odd number"),
        (CONVNEXT.clone(widths=(8,)), (1, 8, 8, 1), "the same length"),
        (DenseNet(stem="standard", outputs=2), (1, 28, 28, 1), "cannot halve an input of 28 x 28 3 times"),
    ],
)
def test_settings_that_make_no_sense_are_refused(model, shape: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        jax.eval_shape(lambda: model.init(KEY, jnp.zeros(shape), train=False))


def test_another_input_size_than_at_the_start_is_refused_by_name() -> None:
    variables = jax.eval_shape(lambda: VIT.init(KEY, jnp.zeros((1, 8, 8, 1)), train=False))
    with pytest.raises(InputError, match="initialised with 4 tokens, but this input gives 6"):
        jax.eval_shape(lambda v: VIT.apply(v, jnp.zeros((1, 8, 12, 1)), train=False), variables)
