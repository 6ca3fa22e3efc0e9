import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.models.convolution import DepthwiseConvolution, _convolve, convolve_depthwise
from medjax.models.patches import TRUNCATED_NORMAL, Patches

KEY = jax.random.key(0)


@pytest.mark.parametrize(("space", "size"), [((8, 6), (4, 2)), ((7, 9), (2, 2)), ((4, 6, 5), (2, 3, 2))])
def test_a_patch_layer_is_a_convolution_whose_stride_is_its_size(space: tuple, size: tuple) -> None:
    x = jax.random.normal(KEY, (2, *space, 3))
    module = Patches(5, size)
    letters = "DHW"[-len(space) :]

    @jax.jit
    def both(x):
        variables = module.init(KEY, x)
        variables = jax.tree.map(lambda leaf: leaf + jnp.arange(leaf.size).reshape(leaf.shape) * 1e-3, variables)
        expected = jax.lax.conv_general_dilated(
            x,
            variables["params"]["kernel"],
            size,
            "VALID",
            dimension_numbers=(f"N{letters}C", f"{letters}IO", f"N{letters}C"),
        )
        bias = variables["params"]["bias"].reshape((1,) * (len(space) + 1) + (-1,))
        return module.apply(variables, x), expected + bias

    np.testing.assert_allclose(*both(x), atol=1e-5)


def test_weights_start_with_deviation_two_hundredths_cut_at_two_deviations() -> None:
    drawn = np.asarray(jax.jit(lambda: TRUNCATED_NORMAL(KEY, (300, 300)))())
    assert abs(drawn.std() - 0.02) < 2e-4
    assert np.abs(drawn).max() < 0.0456


@pytest.mark.parametrize(("space", "size"), [((6, 5), (5, 5)), ((3, 2), (5, 3)), ((4, 5, 3), (3, 3, 3))])
def test_a_depthwise_convolution_and_its_derivatives_are_those_of_the_compiler(space: tuple, size: tuple) -> None:
    rng = np.random.default_rng(0)
    x, target = (jnp.asarray(rng.normal(size=(2, *space, 4)), jnp.float32) for _ in range(2))
    kernel = jnp.asarray(rng.normal(size=(*size, 1, 4)), jnp.float32)

    def own(x, kernel):
        return jnp.sum(target * jnp.tanh(convolve_depthwise(x, kernel) / 9))

    def plain(x, kernel):
        return jnp.sum(target * jnp.tanh(_convolve(x, kernel, (1,) * (x.ndim - 2), groups=4) / 9))

    @jax.jit
    def both(x, kernel):
        pairs = {}
        for name, loss in (("own", own), ("plain", plain)):
            forward = jax.jvp(lambda k, loss=loss: loss(x, k), (kernel,), (jnp.ones_like(kernel),))[1]
            mapped = jax.vmap(jax.grad(loss, 1), (None, 0))(x, jnp.stack([kernel, 2 * kernel]))
            pairs[name] = (jax.grad(loss, (0, 1))(x, kernel), forward, mapped)
        return pairs, convolve_depthwise(x, kernel), _convolve(x, kernel, (1,) * (x.ndim - 2), groups=4)

    pairs, ours, theirs = both(x, kernel)
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    for a, b in zip(jax.tree.leaves(pairs["own"]), jax.tree.leaves(pairs["plain"]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_depthwise_layer_adds_its_bias_and_keeps_channels_apart() -> None:
    x = jax.random.normal(KEY, (1, 5, 5, 3))
    module = DepthwiseConvolution(3)
    variables = jax.jit(module.init)(KEY, x)
    variables["params"]["bias"] = jnp.array([1.0, 2.0, 3.0])

    @jax.jit
    def both(x):
        slope = jax.grad(lambda x: jnp.sum(module.apply(variables, x)[..., 1]))
        return module.apply(variables, 0 * x)[0, 2, 2], slope(x)

    found, slope = jax.device_get(both(x))
    np.testing.assert_allclose(found, [1, 2, 3])
    assert np.abs(slope[..., 1]).min() > 0
    np.testing.assert_array_equal(slope[..., ::2], np.zeros_like(slope[..., ::2]))
