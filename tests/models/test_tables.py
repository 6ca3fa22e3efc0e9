"""Models of tables: what they compute, what a category, an unknown one and a missing value do in them."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.models import FTTransformer, TabularResNet
from medjax.models.columns import ColumnTokens, column_sizes

KEY = jax.random.key(0)
NAMES = ("age", "crp", "sex=male", "stage=I", "stage=II", "stage=III", "site=A", "site=B")
SIZES = (1, 1, 1, 3, 2)
X = jax.random.normal(KEY, (4, 16))
MODELS = {
    "transformer": FTTransformer(depth=2, width=8, heads=2, columns=SIZES, outputs=2),
    "resnet": TabularResNet(depth=1, width=8, outputs=2),
}


def drawn(model, x):
    return jax.jit(lambda: model.init(KEY, x, train=False))()


def test_the_numbers_of_a_category_are_one_column():
    assert column_sizes(NAMES) == SIZES
    assert column_sizes(("a", "b", "c=1")) == (1, 1, 1)
    assert column_sizes(()) == ()


def test_a_token_is_the_embedding_of_its_level_and_the_bias_alone_where_none_is_known():
    tokens = ColumnTokens(4, SIZES)
    rows = np.zeros((5, 16), np.float32)
    rows[0, :2] = [2.0, -1.0]
    rows[1, 4] = 1  # stage II
    rows[2, 5] = 1  # stage III
    rows[3, 8 + 3 : 8 + 6] = 1  # stage missing
    rows = jnp.asarray(rows)
    variables = tokens.init(KEY, rows)
    p = variables["params"]
    out = tokens.apply(variables, rows)
    assert out.shape == (5, 5, 4)
    np.testing.assert_allclose(out[0, 0], p["bias"][0, 0] + 2 * p["weight"][0], rtol=1e-5)
    np.testing.assert_allclose(out[0, 1], p["bias"][0, 1] - p["weight"][1], rtol=1e-5)
    np.testing.assert_allclose(out[1, 3], p["bias"][0, 3] + p["weight"][4], rtol=1e-5)
    np.testing.assert_allclose(out[2, 3], p["bias"][0, 3] + p["weight"][5], rtol=1e-5)
    np.testing.assert_allclose(out[3, 3], p["bias"][0, 3] + p["missing"][0, 3], rtol=1e-5)
    np.testing.assert_allclose(out[4], p["bias"][0], rtol=1e-6)  # the unknown level, and every mean
    np.testing.assert_allclose(out[1, [0, 1, 2, 4]], out[4, [0, 1, 2, 4]])  # no column leaks into another's token


def test_columns_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="takes 8 numbers of 5 columns .16 with the flags"):
        ColumnTokens(4, SIZES).init(KEY, X[:, :9])


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_float32_and_gradients_reach_every_parameter(name):
    model = MODELS[name]
    variables = drawn(model, X)

    def loss(parameters):
        outputs, _ = model.apply(
            {**variables, "params": parameters}, X, train=True, mutable=["batch_stats"], rngs={"dropout": KEY}
        )
        return (outputs * jnp.arange(8.0).reshape(4, 2)).sum(), outputs

    (gradients, outputs) = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    assert outputs.shape == (4, 2)
    assert outputs.dtype == jnp.float32
    for path, leaf in jax.tree.leaves_with_path(gradients):
        path = jax.tree_util.keystr(path)
        # Batch normalisation cancels a bias in front of it; softmax the part of a key that all tokens share.
        assert np.abs(leaf).max() > 0 or (name == "resnet" and "bias" in path), path
    half = model.clone(dtype="bfloat16")
    assert jax.eval_shape(lambda: half.apply(variables, X, train=False)).dtype == jnp.float32


def test_the_transformer_does_not_care_in_which_order_the_columns_stand():
    model = FTTransformer(depth=1, width=4, heads=2, columns=(1, 1, 1), outputs=1)
    x = X[:, :3]
    variables = drawn(model, x)
    order = np.array([2, 0, 1])
    swapped = jax.tree.map(lambda leaf: leaf, variables)
    tokens = variables["params"]["columns"]
    swapped["params"]["columns"] = {"weight": tokens["weight"][order], "bias": tokens["bias"][:, order]}
    run = jax.jit(lambda variables, x: model.apply(variables, x, train=False))
    np.testing.assert_allclose(run(swapped, x[:, order]), run(variables, x), atol=1e-5)
    assert np.abs(run(variables, x[:, order]) - run(variables, x)).max() > 1e-3


def test_the_resnet_computes_what_the_formula_says():
    model = TabularResNet(depth=1, width=4, factor=2.0, normalisation="layer", outputs=2)
    variables = drawn(model, X)
    p = variables["params"]

    def dense(name, x):
        return x @ p[name]["kernel"] + p[name]["bias"][None]

    def norm(x):
        return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)

    x = dense("stem", X)
    x = x + dense("contract_1", nn.relu(dense("expand_1", norm(x))))
    found = jax.jit(lambda: model.apply(variables, X, train=False))()
    np.testing.assert_allclose(found, dense("output", nn.relu(norm(x))), atol=1e-5)


def test_settings_that_make_no_model_are_refused():
    for model, words in (
        (FTTransformer(), "outputs is 0"),
        (FTTransformer(outputs=1, width=9, heads=2), "multiple of the heads"),
        (TabularResNet(), "outputs is 0"),
    ):
        with pytest.raises(InputError, match=words):
            model.init(KEY, X, train=False)
