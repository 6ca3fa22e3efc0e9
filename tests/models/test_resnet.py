import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.models import ResNet
from medjax.models.resnet import _Block

KEY = jax.random.key(0)
SMALL = {"width": 8, "outputs": 3}


def drawn(model: ResNet, x: jax.Array) -> dict:
    """Variables away from their start (a block whose last scale is 0 hides what is before it), drawn without compiling."""
    rng = np.random.default_rng(1)
    shapes = jax.eval_shape(lambda: model.init(KEY, x, train=False))

    def draw(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.Array:
        noise = rng.normal(size=leaf.shape) / np.sqrt(max(np.prod(leaf.shape[:-1]), 100))
        return jnp.asarray((noise + any(name in str(path[-1]) for name in ("scale", "var"))).astype(leaf.dtype))

    return jax.tree.map_with_path(draw, shapes)


@pytest.mark.parametrize(("depth", "count"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_parameter_counts_are_the_published_ones(depth: int, count: int) -> None:
    model = ResNet(depth=depth, stem="standard", normalisation="batch", outputs=1000)
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, 64, 64, 3)), train=False), KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"depth": 18}, (2, 10, 9, 1)),
        pytest.param(
            {"depth": 50, "normalisation": "batch", "stem": "standard"}, (2, 33, 32, 3), marks=pytest.mark.slow
        ),
        pytest.param({"depth": 18, "dimensions": 3}, (2, 9, 8, 10, 1), marks=pytest.mark.slow),
        pytest.param(
            {"depth": 18, "dimensions": 3, "stem": "standard", "normalisation": "batch"},
            (2, 16, 16, 16, 1),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_outputs_are_finite_float32_and_gradients_reach_every_parameter(settings: dict, shape: tuple) -> None:
    model = ResNet(**{**SMALL, **settings})
    x = jax.random.normal(KEY, shape)
    variables = drawn(model, x)

    def loss(parameters):
        outputs, _ = model.apply({**variables, "params": parameters}, x, train=True, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(outputs)), outputs

    (_, outputs), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    assert outputs.shape == (2, 3)
    assert outputs.dtype == jnp.float32
    for path, leaf in jax.tree.leaves_with_path(jax.device_get(gradients)):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path


def test_blocks_start_as_the_identity() -> None:
    block = _Block(8, 1, bottleneck=False, normalisation="group", dtype="float32")
    x = jax.random.uniform(KEY, (2, 4, 4, 8))
    variables = jax.jit(lambda: block.init(KEY, x, True))()
    np.testing.assert_array_equal(jax.jit(lambda v: block.apply(v, x, True))(variables), x)
    assert np.asarray(variables["params"]["norm_1"]["scale"]).all()


def test_bfloat16_computes_coarsely_with_float32_parameters() -> None:
    x = jax.random.normal(KEY, (2, 12, 12, 1))
    fine, coarse = ResNet(**SMALL), ResNet(**SMALL, dtype="bfloat16")
    variables = drawn(fine, x)
    a, b = jax.jit(lambda v: [model.apply(v, x, train=False) for model in (fine, coarse)])(variables)
    assert b.dtype == jnp.float32
    np.testing.assert_allclose(a, b, atol=0.1)
    assert np.any(a != b)


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({}, (2, 28, 28, 1)),
        ({"depth": 50, "normalisation": "batch", "stem": "standard", "dtype": "bfloat16"}, (2, 224, 224, 3)),
        ({"dimensions": 3, "remat": True}, (2, 28, 28, 28, 1)),
        ({"depth": 34, "dimensions": 3, "stem": "standard", "normalisation": "batch"}, (2, 64, 64, 64, 1)),
    ],
)
def test_shapes_of_all_kinds_without_computing(settings: dict, shape: tuple) -> None:
    model, x = ResNet(**{**SMALL, **settings}), jnp.zeros(shape)
    variables = jax.eval_shape(lambda: model.init(KEY, x, train=False))
    outputs, _ = jax.eval_shape(lambda v: model.apply(v, x, train=True, mutable=["batch_stats"]), variables)
    assert (outputs.shape, outputs.dtype) == ((2, 3), jnp.float32)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))


def test_remat_marks_every_block_and_keeps_the_names() -> None:
    x = jnp.zeros((2, 8, 8, 1))
    plain, saving = (ResNet(**SMALL, remat=remat) for remat in (False, True))
    variables = jax.eval_shape(lambda: plain.init(KEY, x, train=False))
    assert jax.tree.structure(variables) == jax.tree.structure(jax.eval_shape(lambda: saving.init(KEY, x, train=False)))
    for model, count in ((plain, 0), (saving, 8)):
        program = jax.make_jaxpr(lambda v, model=model: model.apply(v, x, train=True))(variables)
        assert sum(equation.primitive.name in ("remat", "remat2", "checkpoint") for equation in program.eqns) == count


@pytest.mark.slow
@pytest.mark.parametrize("normalisation", ["group", "batch"])
def test_remat_changes_neither_parameters_nor_results(normalisation: str) -> None:
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    plain, saving = (ResNet(**SMALL, normalisation=normalisation, remat=remat) for remat in (False, True))
    variables = drawn(plain, x)

    def run(model):
        def loss(parameters):
            outputs, state = model.apply({**variables, "params": parameters}, x, train=True, mutable=["batch_stats"])
            return jnp.sum(jnp.sin(outputs)), state

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])

    for a, b in zip(jax.tree.leaves(run(plain)), jax.tree.leaves(run(saving)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_with_group_normalisation_a_case_does_not_see_its_batch() -> None:
    x = jax.random.normal(KEY, (3, 8, 8, 1))
    model = ResNet(**SMALL)
    variables = drawn(model, x)
    # Of the first case's outputs, the gradient to the other cases is 0.
    whole, slope = jax.jit(jax.value_and_grad(lambda x: jnp.sum(model.apply(variables, x, train=True)[0])))(x)
    assert np.isfinite(whole)
    assert np.abs(slope[0]).max() > 0
    np.testing.assert_array_equal(slope[1:], jnp.zeros_like(slope[1:]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"outputs": 0}, "outputs is 0"), ({"dimensions": 3}, "volumes dimensions=3")],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ResNet(**{**SMALL, **settings}).init(KEY, jnp.zeros((1, 8, 8, 1)), train=False)
