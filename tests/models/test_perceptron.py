import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.models import Perceptron

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (6, 30))


def drawn(model: Perceptron) -> dict:
    return jax.jit(lambda key: model.init(key, X, train=False))(KEY)


def test_six_weight_layers_by_default() -> None:
    parameters = Perceptron(outputs=2).init(KEY, X, train=False)["params"]
    assert sum("kernel" in layer for layer in parameters.values()) == 6
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == 30 * 64 + 64 + 4 * (64 * 64 + 64) + 64 * 2 + 2


def test_it_computes_what_the_formula_says() -> None:
    model = Perceptron(hidden=(5,), outputs=3, activation=nn.gelu)
    variables = drawn(model)
    p = variables["params"]
    expected = nn.gelu(X @ p["hidden_1"]["kernel"] + p["hidden_1"]["bias"][None]) @ p["output"]["kernel"]
    np.testing.assert_allclose(model.apply(variables, X, train=False), expected, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["none", "layer", "batch"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_outputs_and_parameters_are_float32_and_gradients_reach_all(normalisation, dtype) -> None:
    model = Perceptron(hidden=(16, 8), outputs=2, normalisation=normalisation, dtype=dtype)
    variables = drawn(model)

    def loss(parameters):
        outputs, _ = model.apply({**variables, "params": parameters}, X, train=True, mutable=["batch_stats"])
        assert outputs.dtype == jnp.float32
        return (outputs * jnp.arange(12.0).reshape(6, 2)).sum()

    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(variables))
    assert ("batch_stats" in variables) == (normalisation == "batch")
    for path, leaf in jax.tree.leaves_with_path(jax.jit(jax.grad(loss))(variables["params"])):
        # A bias in front of batch normalisation cancels: the one gradient that is 0 by mathematics.
        if not (normalisation == "batch" and "hidden" in str(path) and "bias" in str(path)):
            assert np.abs(leaf).max() > 0, path


def test_dropout_is_on_in_training_only_and_follows_its_stream() -> None:
    model = Perceptron(outputs=2, dropout=0.5)
    variables = drawn(model)
    one, again, two = (model.apply(variables, X, train=True, rngs={"dropout": jax.random.key(k)}) for k in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert np.any(one != two)
    np.testing.assert_array_equal(model.apply(variables, X, train=False), model.apply(variables, X, train=False))


def test_batch_statistics_move_in_training_and_rest_in_evaluation() -> None:
    model = Perceptron(hidden=(4,), outputs=1, normalisation="batch")
    variables = drawn(model)
    _, moved = model.apply(variables, X, train=True, mutable=["batch_stats"])
    _, rested = model.apply(variables, X, train=False, mutable=["batch_stats"])
    before = jax.tree.leaves(variables["batch_stats"])
    assert any(np.any(a != b) for a, b in zip(before, jax.tree.leaves(moved["batch_stats"]), strict=True))
    assert all(np.all(a == b) for a, b in zip(before, jax.tree.leaves(rested["batch_stats"]), strict=True))


def test_a_linear_model_is_a_perceptron_without_hidden_layers() -> None:
    assert list(Perceptron(hidden=(), outputs=1).init(KEY, X, train=False)["params"]) == ["output"]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match=r"Perceptron\.outputs is 0"):
        Perceptron().init(KEY, X, train=False)
