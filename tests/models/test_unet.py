"""U-Net: logits on the grid of the input, whatever its size, and a gradient in every parameter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.errors import InputError
from medjax.models import UNet, unet
from medjax.models.convolution import compiler_options
from medjax.models.unet import _pack, _unpack


def shapes(model: UNet, *shape: int, train: bool):
    """Shapes of what the model gives, without computing anything."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), x)
    found = jax.eval_shape(lambda v, x: model.apply(v, x, train=train), variables, x)
    return jax.tree.map(lambda leaf: leaf.shape, found)


def test_logits_lie_on_the_grid_of_the_input_also_where_no_stride_divides_it():
    flat = UNet(dimensions=2, widths=(4, 8, 8), outputs=3)
    assert shapes(flat, 2, 13, 10, 1, train=False) == (2, 13, 10, 3)
    thick = UNet(
        widths=(4, 4, 8, 8), strides=((1, 2, 2), (2, 2, 2), (1, 2, 2)), kernels=((1, 3, 3), (3,) * 3, (3,) * 3, (3,) * 3),
        outputs=2, packing=(1, 2, 2),
    )  # fmt: skip
    assert shapes(thick, 1, 5, 35, 17, 2, train=False) == (1, 5, 35, 17, 2)


def test_while_training_all_but_the_coarsest_decoder_level_answer():
    model = UNet(dimensions=2, widths=(4, 4, 4, 4), outputs=3)
    assert shapes(model, 1, 16, 24, 1, train=True) == ((1, 16, 24, 3), (1, 8, 12, 3))
    assert shapes(model.clone(deep_supervision=False), 1, 16, 24, 1, train=True) == (1, 16, 24, 3)
    assert shapes(model.clone(packing=2), 1, 16, 24, 1, train=True) == ((1, 16, 24, 3), (1, 4, 6, 3))


def test_packing_loses_nothing():
    x = jnp.arange(2 * 5 * 6 * 4 * 3, dtype=jnp.float32).reshape(2, 5, 6, 4, 3)
    packed = _pack(x, (2, 3, 1))
    assert packed.shape == (2, 3, 2, 4, 18)
    np.testing.assert_array_equal(packed[0, 1, 1, 2].reshape(2, 3, 3), x[0, 2:4, 3:6, 2])
    np.testing.assert_array_equal(_unpack(packed, (2, 3, 1))[:, :5], x)
    np.testing.assert_array_equal(_unpack(packed, (2, 3, 1))[:, 5:], 0)


def test_every_parameter_learns_and_a_case_does_not_see_its_batch():
    model = UNet(dimensions=2, widths=(3, 4), outputs=2, packing=2)
    x = jax.random.normal(jax.random.key(1), (2, 8, 8, 1))
    shape = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), x)
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shape)

    def loss(variables, x):
        """Of the first case alone."""
        return jnp.square(model.apply(variables, x, train=True)[0] - 1).sum()

    of_parameters, of_input = jax.jit(jax.grad(loss, (0, 1)))(variables, x)
    flat = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(of_parameters)}
    assert [name for name, leaf in flat.items() if not np.abs(leaf).max() > 0] == []
    assert np.abs(of_input[0]).max() > 0
    np.testing.assert_array_equal(of_input[1], 0)


@pytest.mark.parametrize(
    ("packing", "expected"),
    [(1, {0: {0}, 1: {0, 1}, 6: {6}, 12: {12}}), (2, {0: {0, 1}, 1: {0, 1}, 3: {0, 1, 2, 3}, 12: {12}})],
)
def test_what_is_cut_off_an_odd_grid_is_its_far_end(monkeypatch, packing, expected):
    """With kernels of one voxel and no normalisation a voxel sees itself (by the skip connection) and its coarse voxel."""
    monkeypatch.setattr(unet, "_normalise", lambda kind, name, x: x)
    model = UNet(
        dimensions=2, widths=(3, 4), strides=((2, 1),), kernels=((1, 1), (1, 1)), outputs=2, packing=(packing, 1)
    )
    x = jnp.ones((1, 13, 1, 1))
    variables = jax.jit(lambda: model.init(jax.random.key(0), x, train=False))()
    rng = np.random.default_rng(1)
    variables = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), jnp.float32), variables)
    of_line = jax.jit(jax.jacobian(lambda x: model.apply(variables, x, train=False)[0, :, 0, 0]))(x)[:, 0, :, 0, 0]
    for voxel, seen in expected.items():
        assert set(np.flatnonzero(of_line[voxel]).tolist()) == seen


def test_every_level_has_its_blocks_kernels_normalisations_and_activations(monkeypatch):
    activations, real = [], unet.nn.leaky_relu
    monkeypatch.setattr(unet.nn, "leaky_relu", lambda x: activations.append(x.shape) or real(x))
    model = UNet(
        widths=(4, 6, 8), kernels=((1, 3, 3), (3, 3, 3), (3, 3, 1)), blocks=2, outputs=3, dtype="bfloat16",
        normalisation="group",
    )  # fmt: skip
    x = jax.ShapeDtypeStruct((1, 8, 8, 8, 1), jnp.float32)
    found, variables = jax.eval_shape(lambda x: model.init_with_output(jax.random.key(0), x, train=True), x)
    assert {level.dtype for level in jax.tree.leaves(found)} == {jnp.dtype("float32")}
    assert len(activations) == 3 * 2 * 2 + 2  # two a block, one a level of the decoder
    parameters = {
        "/".join(key.key for key in path[1:]): leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
    }
    kernels = {
        name.split("/")[0]: shape[:3]
        for name, shape in parameters.items()
        if "convolution_2" in name and len(shape) == 5
    }
    of_level = [(1, 3, 3), (3, 3, 3), (3, 3, 1)]
    assert kernels == {f"encoder_{k + 1}_block_{block}": of_level[k] for k in range(3) for block in (1, 2)}
    decoder = {
        name.split("_conv")[0]: shape[:3]
        for name, shape in parameters.items()
        if name.startswith("decoder") and len(shape) == 5
    }
    assert decoder == {"decoder_1": (1, 3, 3), "decoder_2": (3, 3, 3)}
    assert {name.split("/")[0] for name in parameters if name.startswith("decoder") and "norm" in name} == {
        "decoder_1_norm", "decoder_2_norm",
    }  # fmt: skip


def test_instance_normalisation_is_that_of_every_channel_and_group_normalisation_of_groups():
    scales = jnp.arange(1.0, 65.0)[None, None, None]

    class Alone(unet.nn.Module):
        kind: str

        @unet.nn.compact
        def __call__(self, x):
            return unet._normalise(self.kind, "norm", x)

    x = jax.random.normal(jax.random.key(0), (1, 9, 9, 64)) * scales + scales
    by_kind = {}
    for kind in unet.NORMALISATIONS:
        by_kind[kind] = Alone(kind).init_with_output(jax.random.key(0), x)[0]
    np.testing.assert_allclose(by_kind["instance"].std((1, 2)), 1, atol=1e-2)
    np.testing.assert_allclose(by_kind["instance"].mean((1, 2)), 0, atol=1e-2)
    assert np.abs(by_kind["group"].std((1, 2)) - 1).max() > 0.1
    pairs = by_kind["group"].reshape(9, 9, 32, 2)
    np.testing.assert_allclose(pairs.std((0, 1, 3)), 1, atol=1e-2)


def test_settings_that_fit_no_network_are_named():
    x = jnp.zeros((1, 8, 8, 1))
    for change, words in (
        ({"widths": (4,)}, "two levels"),
        ({"strides": ((2, 2, 2),) * 2}, "strides"),
        ({"kernels": ((2, 2),) * 3}, "kernels"),
        ({"packing": 0}, "packing"),
        ({"outputs": 0}, "outputs"),
        ({"dimensions": 3, "strides": (), "kernels": ()}, "rank"),
    ):
        model = UNet(**{"dimensions": 2, "widths": (4, 4, 4), "outputs": 2, **change})
        with pytest.raises(InputError, match=words):
            jax.eval_shape(lambda x, model=model: model.init(jax.random.key(0), x, train=False), x)


def slopes(model: UNet, variables, x):
    return jax.grad(lambda v: sum(jnp.square(logits).sum() for logits in model.apply(v, x, train=True)))(variables)


@pytest.mark.slow
def test_remat_changes_neither_parameters_nor_gradients():
    x = jax.random.normal(jax.random.key(0), (1, 8, 12, 8, 1))
    plain = UNet(widths=(4, 4, 8), strides=((1, 2, 2), (2, 2, 2)), outputs=2)
    variables = plain.init(jax.random.key(1), x, train=False)
    saving = plain.clone(remat=True)
    again = jax.eval_shape(lambda: saving.init(jax.random.key(1), x, train=False))
    assert jax.tree.structure(variables) == jax.tree.structure(again)
    a, b = (jax.jit(lambda v, m=m: slopes(m, v, x))(variables) for m in (plain, saving))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3), a, b)


@pytest.mark.slow
def test_remat_saves_memory_on_a_cpu_too():
    """The compiler there would take the barriers of `jax.checkpoint` away and merge what they hold apart."""
    x = jax.ShapeDtypeStruct((1, 32, 32, 32, 1), jnp.float32)
    plan = {}
    for remat in (False, True):
        model = UNet(widths=(16, 32), blocks=2, outputs=2, deep_supervision=False, remat=remat)
        variables = jax.eval_shape(lambda model=model: model.init(jax.random.key(0), jnp.zeros(x.shape), train=False))
        step = jax.jit(
            jax.grad(lambda v, x, model=model: jnp.square(model.apply(v, x, train=True)).sum()),
            compiler_options=compiler_options(),
        )
        plan[remat] = step.lower(variables, x).compile().memory_analysis().temp_size_in_bytes
    assert plan[True] < 0.75 * plan[False]
