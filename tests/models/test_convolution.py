import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import correlate

from medjax.models import convolution
from medjax.models.convolution import convolve

RNG = np.random.default_rng(0)


def draw(*shape: int) -> jax.Array:
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


@pytest.mark.parametrize(
    ("space", "size"), [((7, 6), (3, 3)), ((7, 6), (5, 3)), ((4, 5, 6), (3, 3, 3)), ((5, 6), (1, 1))]
)
@pytest.mark.parametrize("stride", [1, 2])
def test_it_agrees_with_scipy(space, size, stride) -> None:
    x, kernel = draw(2, *space, 16), draw(*size, 16, 3)
    expected = np.stack(
        [
            [sum(correlate(np.asarray(case[..., i]), np.asarray(kernel[..., i, o]), mode="constant") for i in range(16))
             for o in range(3)]
            for case in np.asarray(x)
        ]
    )  # fmt: skip
    every = (slice(None), *[slice(None, None, stride)] * len(space))
    found = jax.jit(convolve, static_argnums=2)(x, kernel, stride)
    np.testing.assert_allclose(found, np.moveaxis(expected, 1, -1)[every], atol=2e-4)


@pytest.mark.parametrize(
    ("space", "size", "stride"),
    [
        ((7, 6), (3, 3), 1),
        pytest.param((9, 8), (5, 3), 1, marks=pytest.mark.slow),
        pytest.param((4, 5, 6), (3, 3, 3), 1, marks=pytest.mark.slow),
        pytest.param((5, 8, 7), (7, 5, 3), 2, marks=pytest.mark.slow),
        ((3, 3, 3), (3, 3, 3), 2),
        pytest.param((1, 1), (3, 3), 1, marks=pytest.mark.slow),
    ],
)
def test_own_derivatives_are_those_of_the_compiler(space, size, stride) -> None:
    x, kernel = draw(2, *space, 16), draw(*size, 16, 5)
    target = draw(2, *(-(-side // stride) for side in space), 5)

    def own(x, kernel):
        return jnp.sum(target * jnp.tanh(convolve(x, kernel, stride) / 30))

    def plain(x, kernel):
        return jnp.sum(target * jnp.tanh(convolution._convolve(x, kernel, (stride,) * (x.ndim - 2)) / 30))

    @jax.jit
    def derivatives(x, kernel):
        # Forward mode, a map over kernels (replicates) and second derivatives go through the same rule.
        v, found = jnp.ones_like(kernel), []
        for f in (own, plain):
            forward = jax.jvp(lambda k, f=f: f(x, k), (kernel,), (v,))[1]
            curved = jax.grad(lambda k, f=f: jnp.sum(jax.grad(f, 1)(x, k) * v))(kernel)
            found.append((jax.grad(f, (0, 1))(x, kernel), forward, curved))
        mapped = jax.vmap(jax.grad(own, 1), (None, 0))(x, jnp.stack([kernel, 2 * kernel]))
        return *found, (mapped[1], jax.grad(plain, 1)(x, 2 * kernel))

    (slopes, forward, curved), (plain_slopes, plain_forward, plain_curved), mapped = derivatives(x, kernel)
    for ours, theirs in zip(slopes, plain_slopes, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5)
    np.testing.assert_allclose(forward, plain_forward, rtol=1e-3)
    np.testing.assert_allclose(*mapped, atol=2e-5)
    np.testing.assert_allclose(curved, plain_curved, atol=5e-5)


def test_programs_that_convolve_are_told_the_compiler_s_faster_way() -> None:
    x, kernel = draw(2, 8, 8, 16), draw(3, 3, 16, 16)
    options = convolution.compiler_options()
    assert bool(options) == (jax.default_backend() == "cpu")
    told = jax.jit(convolve, compiler_options=options)(x, kernel)
    np.testing.assert_allclose(told, jax.jit(convolve)(x, kernel), atol=1e-4)


def test_other_versions_of_the_compiler_are_told_nothing(monkeypatch) -> None:
    monkeypatch.setattr(jax.lib, "__version__", "0.11.0")
    assert convolution.compiler_options() == {}
