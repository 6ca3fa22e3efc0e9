import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.models import ConvNext, DenseNet, Perceptron, ResNet, VisionTransformer
from medjax.models.features import features, layer_names

KEY = jax.random.key(0)
X = jax.random.normal(KEY, (2, 8, 8, 1))
MODEL = VisionTransformer(patch=4, depth=3, width=8, heads=2, dropout=0.5, outputs=3)


@pytest.fixture(scope="module")
def variables():
    return jax.jit(lambda: MODEL.init(KEY, X, train=False))()


def run(variables, *names: str) -> list[np.ndarray]:
    """The outputs of several layers, compiled at once."""
    return jax.device_get(jax.jit(lambda v, x: [features(MODEL, v, x, name=name) for name in names])(variables, X))


def test_names_come_with_shapes_in_the_order_of_the_computation_and_without_computing() -> None:
    shapes = jax.eval_shape(lambda: MODEL.init(KEY, X, train=False))
    found = layer_names(MODEL, shapes, jax.ShapeDtypeStruct(X.shape, X.dtype))
    names = [name for name, _ in found]
    assert names[0] == "patches"
    assert names[-2:] == ["pooled", "output"]
    assert names.index("block_1/norm_1") < names.index("block_1") < names.index("block_2/expand")
    assert dict(found)["block_2/expand"] == (2, 4, 32)
    assert dict(found)["patches"] == (2, 2, 2, 8)
    assert len(set(names)) == len(names)


def test_a_layer_s_output_is_what_the_rest_of_the_model_reads(variables) -> None:
    pooled, norm = run(variables, "pooled", "norm")
    p = jax.device_get(variables["params"]["output"])
    outputs = jax.jit(lambda v: MODEL.apply(v, X, train=False))(variables)
    np.testing.assert_allclose(pooled @ p["kernel"] + p["bias"][None], outputs, atol=1e-6)
    np.testing.assert_allclose(norm.mean(axis=1), pooled, atol=1e-6)  # dropout is off


def test_a_regular_expression_may_name_one_layer(variables) -> None:
    np.testing.assert_array_equal(*run(variables, "block_2/norm_1", ".*2/norm_1"))
    with pytest.raises(InputError, match=r"'block_\.\*' fits 36 layers \(block_1/norm_1, .* and 32 more\): name one"):
        features(MODEL, variables, X, name="block_.*")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("blok_2", "there is no layer 'blok_2'; the nearest are .*block_2"),
        ("norm_1", "the nearest are block_1/norm_1, block_2/norm_1"),
        ("zzz", "there is no layer 'zzz'; the nearest are patches"),
        ("", "there is no layer ''"),
        ("block_[", "no regular expression"),
    ],
)
def test_an_unknown_name_lists_the_nearest(variables, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        features(MODEL, variables, X, name=name)


def test_compiled_it_leaves_out_what_lies_behind_the_layer(variables) -> None:
    def flops(name: str) -> float:
        compiled = jax.jit(lambda v, x: features(MODEL, v, x, name=name)).lower(variables, X).compile()
        return compiled.cost_analysis()["flops"]

    assert flops("block_1") < 0.5 * flops("block_3")


@pytest.mark.parametrize(
    ("model", "layer", "shape"),
    [
        (ResNet(width=8, normalisation="batch", outputs=3), "pooled", (2, 64)),
        (ResNet(width=8, remat=True, outputs=3), "stage_2_block_1/norm_1", (2, 4, 4, 16)),
        (ConvNext(patch=1, blocks=(1, 1), widths=(8, 16), outputs=3, remat=True), "stage_2_block_1", (2, 4, 4, 16)),
        (DenseNet(growth=4, layers=(2, 2), outputs=3), "stage_1_layer_2/convolution_2", (2, 8, 8, 4)),
        (Perceptron(hidden=(8, 5), outputs=3), "hidden_2", (2, 5)),
    ],
)
def test_every_model_names_its_layers(model, layer: str, shape: tuple) -> None:
    variables = jax.eval_shape(lambda: model.init(KEY, X, train=False))
    assert dict(layer_names(model, variables, X))[layer] == shape
    found = jax.eval_shape(lambda v, x: features(model, v, x, name=layer), variables, jnp.zeros(X.shape))
    assert found.shape == shape
