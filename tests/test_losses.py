import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from medjax import losses

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy_is_the_sum_over_soft_targets(smoothing: float) -> None:
    logits, labels = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)
    targets = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = -(targets * log_softmax(logits, axis=-1)).sum(axis=-1)
    found = losses.softmax_cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(labels), smoothing)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_two_classes_by_softmax_and_by_sigmoid_agree(smoothing: float) -> None:
    logits = jnp.asarray(RNG.normal(size=9), jnp.float32)
    labels = jnp.asarray(RNG.integers(0, 2, 9))
    pair = jnp.stack([jnp.zeros(9), logits], axis=-1)
    by_softmax = losses.softmax_cross_entropy(pair, labels, smoothing)
    by_sigmoid = losses.sigmoid_cross_entropy(logits, labels.astype(jnp.float32), smoothing)
    np.testing.assert_allclose(by_softmax, by_sigmoid, rtol=1e-5, atol=1e-6)


def test_sigmoid_cross_entropy_of_probabilities_and_of_extreme_logits() -> None:
    logits, targets = RNG.normal(size=(5, 3)), RNG.uniform(size=(5, 3))
    expected = -targets * np.log(expit(logits)) - (1 - targets) * np.log(expit(-logits))
    found = losses.sigmoid_cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(targets, jnp.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(jnp.array([200.0, -200.0]), jnp.array([0, 0])), [200.0, 0.0]
    )


def test_squared_error_by_hand() -> None:
    np.testing.assert_array_equal(losses.squared_error(jnp.array([1.0, -2.0]), jnp.array([3, 1])), [4.0, 9.0])


@pytest.mark.parametrize(
    ("loss", "logits", "unknown"),
    [
        (losses.softmax_cross_entropy, [[1.0, 2.0], [np.nan, np.inf]], [0, -1]),
        (losses.sigmoid_cross_entropy, [1.0, np.inf], [1.0, np.nan]),
        (losses.squared_error, [1.0, np.nan], [0.0, np.nan]),
    ],
)
def test_an_unknown_target_gives_zero_and_no_gradient(loss, logits, unknown) -> None:
    logits, targets = jnp.array(logits), jnp.array(unknown)
    values, gradient = loss(logits, targets), jax.grad(lambda x: loss(x, targets).sum())(logits)
    assert values[0] > 0
    assert values[1] == 0
    assert np.any(gradient[0] != 0)
    np.testing.assert_array_equal(gradient[1], np.zeros_like(gradient[1]))


def test_a_label_beyond_the_classes_is_not_taken_for_another_class() -> None:
    assert np.isnan(losses.softmax_cross_entropy(jnp.ones((1, 2)), jnp.array([2])))[0]


def test_losses_of_bfloat16_are_computed_in_float32() -> None:
    logits = jnp.asarray(RNG.normal(size=(4, 3)), jnp.bfloat16)
    labels = jnp.array([0, 1, 2, 0])
    assert losses.softmax_cross_entropy(logits, labels).dtype == jnp.float32
    wide = losses.softmax_cross_entropy(logits.astype(jnp.float32), labels)
    np.testing.assert_array_equal(losses.softmax_cross_entropy(logits, labels), wide)


def test_weighted_mean_of_padded_parts_equals_the_mean_of_all() -> None:
    values, weights = jnp.array([1.0, 2.0, 6.0, jnp.nan]), jnp.array([1.0, 1.0, 1.0, 0.0])
    assert losses.weighted_mean(values, weights) == 3.0
    assert losses.weighted_mean(values[:3], jnp.array([0, 1, 3])) == 5.0


def test_weighted_mean_of_nothing_is_zero_with_finite_gradient() -> None:
    values, weights = jnp.array([1.0, jnp.inf]), jnp.zeros(2)
    assert losses.weighted_mean(values, weights) == 0
    np.testing.assert_array_equal(jax.grad(losses.weighted_mean)(values, weights), [0.0, 0.0])
