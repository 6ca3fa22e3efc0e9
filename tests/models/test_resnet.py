import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.models import ResNet

KEY = jax.random.key(0)
SMALL = {"width": 8, "outputs": 3}


def nonzero(variables: dict) -> dict:
    """Every parameter away from its start: a block whose last scale is 0 hides what is before it."""
    keys = iter(jax.random.split(jax.random.key(1), 1000))
    moved = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(next(keys), leaf.shape), variables["params"])
    return {**variables, "params": moved}


@pytest.mark.parametrize(("depth", "count"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_parameter_counts_are_the_published_ones(depth: int, count: int) -> None:
    model = ResNet(depth=depth, stem="standard", normalisation="batch", outputs=1000)
    shapes = jax.eval_shape(lambda key: model.init(key, jnp.zeros((1, 64, 64, 3)), train=False), KEY)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"depth": 18}, (2, 28, 28, 1)),
        ({"depth": 50, "normalisation": "batch", "stem": "standard"}, (2, 33, 32, 3)),
        ({"depth": 18, "dimensions": 3}, (2, 9, 8, 10, 1)),
        ({"depth": 18, "dimensions": 3, "stem": "standard", "normalisation": "batch"}, (2, 16, 16, 16, 1)),
    ],
)
def test_outputs_are_finite_float32_and_gradients_reach_every_parameter(settings: dict, shape: tuple) -> None:
    model = ResNet(**{**SMALL, **settings})
    x = jax.random.normal(KEY, shape)
    variables = nonzero(jax.jit(lambda key: model.init(key, x, train=False))(KEY))

    def loss(parameters):
        outputs, _ = model.apply({**variables, "params": parameters}, x, train=True, mutable=["batch_stats"])
        return jnp.sum(jnp.sin(outputs)), outputs

    (_, outputs), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])
    assert outputs.shape == (2, 3)
    assert outputs.dtype == jnp.float32
    for path, leaf in jax.tree.leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, path


def test_blocks_start_as_the_identity() -> None:
    model = ResNet(**SMALL)
    x = jax.random.normal(KEY, (1, 8, 8, 1))
    parameters = model.init(KEY, x, train=False)["params"]
    for name, block in parameters.items():
        if "block" in name:
            assert not block["norm_2"]["scale"].any()
            assert block["norm_1"]["scale"].all()
    grown = jax.tree.map_with_path(lambda path, leaf: leaf * 7 if "'convolution_" in str(path) else leaf, parameters)
    np.testing.assert_array_equal(
        model.apply({"params": parameters}, x, train=False), model.apply({"params": grown}, x, train=False)
    )


def test_bfloat16_computes_coarsely_with_float32_parameters() -> None:
    x = jax.random.normal(KEY, (2, 12, 12, 1))
    fine, coarse = ResNet(**SMALL), ResNet(**SMALL, dtype="bfloat16")
    variables = nonzero(fine.init(KEY, x, train=False))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(coarse.init(KEY, x, train=False)))
    a, b = fine.apply(variables, x, train=False), coarse.apply(variables, x, train=False)
    assert b.dtype == jnp.float32
    np.testing.assert_allclose(a, b, atol=0.1)
    assert np.any(a != b)


@pytest.mark.parametrize("normalisation", ["group", "batch"])
def test_remat_changes_neither_parameters_nor_results(normalisation: str) -> None:
    x = jax.random.normal(KEY, (2, 8, 8, 1))
    plain, saving = (ResNet(**SMALL, normalisation=normalisation, remat=remat) for remat in (False, True))
    variables = nonzero(plain.init(KEY, x, train=False))
    assert jax.tree.structure(variables) == jax.tree.structure(saving.init(KEY, x, train=False))

    def run(model):
        def loss(parameters):
            outputs, state = model.apply({**variables, "params": parameters}, x, train=True, mutable=["batch_stats"])
            return jnp.sum(jnp.sin(outputs)), state

        return jax.jit(jax.value_and_grad(loss, has_aux=True))(variables["params"])

    for a, b in zip(jax.tree.leaves(run(plain)), jax.tree.leaves(run(saving)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_with_group_normalisation_a_case_does_not_see_its_batch() -> None:
    x = jax.random.normal(KEY, (3, 8, 8, 1))
    model = ResNet(**SMALL)
    variables = nonzero(model.init(KEY, x, train=False))
    whole, alone = model.apply(variables, x, train=True), model.apply(variables, x[:1], train=True)
    np.testing.assert_allclose(whole[:1], alone, atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"outputs": 0}, "outputs is 0"), ({"dimensions": 3}, "volumes dimensions=3")],
)
def test_settings_that_make_no_sense_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ResNet(**{**SMALL, **settings}).init(KEY, jnp.zeros((1, 8, 8, 1)), train=False)
