import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.models.normalisation import GroupNorm

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((3, 5, 4, 8), 4), pytest.param((3, 5, 4, 64), 32, marks=pytest.mark.slow), ((2, 3, 4, 5, 6), 6)],
)
@pytest.mark.slow
def test_it_is_flax_group_norm(shape, groups) -> None:
    x = jax.random.normal(KEY, shape) * 3 + 1
    own, theirs = GroupNorm(groups), nn.GroupNorm(groups, epsilon=1e-5, use_fast_variance=False)
    variables = jax.tree.map(lambda leaf: leaf + jnp.arange(leaf.size) * 0.1, own.init(KEY, x))

    def loss(module, variables, x):
        return jnp.sum(jnp.sin(module.apply(variables, x)))

    np.testing.assert_allclose(own.apply(variables, x), theirs.apply(variables, x), atol=1e-4)
    ours = jax.grad(lambda v, x: loss(own, v, x), (0, 1))(variables, x)
    plain = jax.grad(lambda v, x: loss(theirs, v, x), (0, 1))(variables, x)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3)


def test_a_large_mean_does_not_eat_the_spread() -> None:
    x = jax.random.normal(KEY, (2, 16, 16, 8))
    found = jax.jit(lambda x: GroupNorm(8).init_with_output(KEY, x * 0.1 + 1000)[0])(x)
    assert abs(float(found.std()) - 1) < 0.01


def test_a_case_does_not_see_its_batch_and_shift_and_scale_vanish() -> None:
    x = jax.random.normal(KEY, (4, 6, 6, 12))
    module = GroupNorm(4)
    run = jax.jit(lambda x: module.init_with_output(KEY, x)[0])
    np.testing.assert_allclose(run(x)[:1], run(x[:1]), atol=1e-6)
    np.testing.assert_allclose(run(5 * x + 2), run(x), atol=1e-4)
