import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, log_softmax

from medjax import losses

RNG = np.random.default_rng(0)


def compiled(loss, *arrays, **settings) -> np.ndarray:
    """What a loss gives, compiled as a whole: step by step would be one compilation a step."""
    return np.asarray(jax.jit(loss, static_argnames=tuple(settings))(*arrays, **settings))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy_is_the_sum_over_soft_targets(smoothing: float) -> None:
    logits, labels = RNG.normal(size=(7, 4)), RNG.integers(0, 4, 7)
    targets = (1 - smoothing) * np.eye(4)[labels] + smoothing / 4
    expected = -(targets * log_softmax(logits, axis=-1)).sum(axis=-1)
    found = compiled(losses.softmax_cross_entropy, logits.astype(np.float32), labels, label_smoothing=smoothing)
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_two_classes_by_softmax_and_by_sigmoid_agree(smoothing: float) -> None:
    logits, labels = RNG.normal(size=9).astype(np.float32), RNG.integers(0, 2, 9)
    pair = np.stack([np.zeros_like(logits), logits], axis=-1)
    by_softmax = compiled(losses.softmax_cross_entropy, pair, labels, label_smoothing=smoothing)
    by_sigmoid = compiled(losses.sigmoid_cross_entropy, logits, labels.astype(np.float32), label_smoothing=smoothing)
    np.testing.assert_allclose(by_softmax, by_sigmoid, rtol=1e-5, atol=1e-6)


def test_sigmoid_cross_entropy_of_probabilities_and_of_extreme_logits() -> None:
    logits, targets = RNG.normal(size=(5, 3)), RNG.uniform(size=(5, 3))
    expected = -targets * np.log(expit(logits)) - (1 - targets) * np.log(expit(-logits))
    found = compiled(losses.sigmoid_cross_entropy, logits.astype(np.float32), targets.astype(np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    extreme = compiled(losses.sigmoid_cross_entropy, jnp.array([200.0, -200.0]), jnp.array([0, 0]))
    np.testing.assert_allclose(extreme, [200.0, 0.0])


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
    targets = jnp.array(unknown)

    def total(logits):
        values = loss(logits, targets)
        return values.sum(), values

    gradient, values = jax.device_get(jax.jit(jax.grad(total, has_aux=True))(jnp.array(logits)))
    assert values[0] > 0
    assert values[1] == 0
    assert np.any(gradient[0] != 0)
    np.testing.assert_array_equal(gradient[1], np.zeros_like(gradient[1]))


def test_a_label_beyond_the_classes_is_not_taken_for_another_class() -> None:
    assert np.isnan(compiled(losses.softmax_cross_entropy, jnp.ones((1, 2)), jnp.array([2])))[0]


def test_losses_of_bfloat16_are_computed_in_float32() -> None:
    logits = jnp.asarray(RNG.normal(size=(4, 3)), jnp.bfloat16)
    labels = jnp.array([0, 1, 2, 0])
    found = compiled(losses.softmax_cross_entropy, logits, labels)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, compiled(losses.softmax_cross_entropy, logits.astype(jnp.float32), labels))


def test_weighted_mean_of_padded_parts_equals_the_mean_of_all() -> None:
    values, weights = np.array([1.0, 2.0, 6.0, np.nan], np.float32), jnp.array([1.0, 1.0, 1.0, 0.0])
    assert compiled(losses.weighted_mean, values, weights) == 3.0
    assert compiled(losses.weighted_mean, values[:3], jnp.array([0, 1, 3])) == 5.0


def test_weighted_mean_of_nothing_is_zero_with_finite_gradient() -> None:
    values, weights = jnp.array([1.0, jnp.inf]), jnp.zeros(2)
    mean, gradient = jax.jit(jax.value_and_grad(losses.weighted_mean))(values, weights)
    assert mean == 0
    np.testing.assert_array_equal(gradient, [0.0, 0.0])


# Focal loss, soft labels, grades, and regression losses.


def drawn(*shape: int) -> jnp.ndarray:
    return jnp.asarray(np.random.default_rng(3).normal(size=shape) * 2, jnp.float32)


@pytest.mark.slow
def test_focal_loss_of_zero_is_cross_entropy_and_by_hand_otherwise() -> None:
    logits, labels = drawn(5, 3), jnp.array([0, 2, 1, 1, 0])
    hard = jax.nn.one_hot(labels, 3)
    np.testing.assert_allclose(
        losses.soft_cross_entropy(logits, hard), losses.softmax_cross_entropy(logits, labels), rtol=1e-4, atol=1e-7
    )
    np.testing.assert_allclose(
        losses.soft_cross_entropy(logits, hard, 0.2),
        losses.softmax_cross_entropy(logits, labels, 0.2),
        rtol=1e-4,
        atol=1e-7,
    )
    own = np.asarray(jax.nn.softmax(logits))[np.arange(5), labels]
    np.testing.assert_allclose(
        losses.soft_cross_entropy(logits, hard, focal=2.0), (1 - own) ** 2 * -np.log(own), rtol=1e-4, atol=1e-7
    )
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(logits, jnp.ones((5, 3)), focal=1.5), (1 - p) ** 1.5 * -np.log(p), rtol=1e-4
    )
    np.testing.assert_allclose(
        losses.sigmoid_cross_entropy(logits, jnp.zeros((5, 3)), focal=1.5), p**1.5 * -np.log(1 - p), rtol=1e-4
    )
    two = jnp.stack([jnp.zeros(5), logits[:, 0]], axis=-1)  # softmax of (0, z) is sigmoid of z
    answer = (labels > 0).astype(jnp.float32)
    np.testing.assert_allclose(
        losses.soft_cross_entropy(two, jax.nn.one_hot((labels > 0).astype(int), 2), focal=2.0),
        losses.sigmoid_cross_entropy(logits[:, 0], answer, focal=2.0),
        rtol=1e-4,
        atol=1e-7,
    )


def test_soft_labels_are_the_expected_loss_over_their_readers() -> None:
    logits = drawn(4, 3)
    votes = np.array([[3, 1, 1], [5, 0, 0], [0, 0, 5], [2, 2, 1]], np.float32) / 5
    expected = sum(votes[:, k] * compiled(losses.softmax_cross_entropy, logits, np.full(4, k)) for k in range(3))
    np.testing.assert_allclose(compiled(losses.soft_cross_entropy, logits, votes), expected, rtol=1e-5)


@pytest.mark.parametrize(("focal", "size"), [(0.0, 1e4), (0.5, 0.0), (0.5, 30.0), (0.5, 1e4), (2.0, 1e4)])
def test_gradients_are_finite_wherever_the_logits_are(focal, size) -> None:
    logits = jnp.array([[size, -size, 0.0], [-size, size, size], [size, size, -size]])
    votes = jnp.array([[1.0, 0, 0], [0.5, 0.5, 0], [jnp.nan, 0, 0]])
    answers = jnp.array([[1, 0, jnp.nan], [0, 1, 1], [jnp.nan] * 3])
    for function, target in (
        (lambda x, t: losses.soft_cross_entropy(x, t, focal=focal), votes),
        (lambda x, t: losses.sigmoid_cross_entropy(x, t, focal=focal), answers),
    ):
        values, gradient = jax.jit(jax.value_and_grad(lambda x, f=function, t=target: f(x, t).sum()))(logits)
        assert np.isfinite(values)
        assert np.isfinite(gradient).all()
        np.testing.assert_array_equal(gradient[2], 0)  # nothing is known of this case


def test_corn_by_hand() -> None:
    """Of four grades: grade 0 answers one question, grade 1 two, grades 2 and 3 all three."""
    logits = np.array([[0.5, -1.0, 2.0]] * 4, np.float32)
    p = 1 / (1 + np.exp([-0.5, 1.0, -2.0]))
    found = compiled(losses.corn, logits, np.arange(4))
    expected = [
        [-np.log(1 - p[0]), 0, 0],
        [-np.log(p[0]), -np.log(1 - p[1]), 0],
        [-np.log(p[0]), -np.log(p[1]), -np.log(1 - p[2])],
        [-np.log(p[0]), -np.log(p[1]), -np.log(p[2])],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(compiled(losses.corn_questions, np.arange(4), thresholds=3), [1, 2, 3, 3])
    np.testing.assert_array_equal(compiled(losses.corn_questions, np.array([-1]), thresholds=3), [0])
    assert compiled(losses.corn, logits[:1], np.array([-1])).sum() == 0


def test_regression_losses_by_hand() -> None:
    outputs, values = jnp.array([1.0, -3.0, 0.5, 7.0]), jnp.array([1.5, 1.0, 0.5, jnp.nan])
    np.testing.assert_allclose(compiled(losses.absolute_error, outputs, values), [0.5, 4, 0, 0])
    np.testing.assert_allclose(compiled(losses.huber, outputs, values), [0.125, 3.5, 0, 0])
    np.testing.assert_allclose(compiled(losses.huber, outputs, values, delta=2), [0.125, 6, 0, 0])
    both = jnp.array([[1.0, 1.0], [2.0, 2.0], [0.0, 0.0]])
    found = compiled(losses.pinball, both, jnp.array([3.0, 0.0, jnp.nan]), quantiles=(0.1, 0.75))
    np.testing.assert_allclose(found, [[0.2, 1.5], [1.8, 0.5], [0, 0]], rtol=1e-6)
    for function in (losses.absolute_error, losses.huber, losses.squared_error):
        gradient = np.asarray(jax.jit(jax.grad(lambda x, f=function: f(x, values).sum()))(outputs))
        assert np.isfinite(gradient).all()
        assert gradient[3] == 0


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.8])
def test_the_constant_with_the_least_pinball_loss_is_the_quantile(quantile) -> None:
    values = np.random.default_rng(4).normal(size=999).astype(np.float32)
    best = np.float32(np.quantile(values, quantile))
    constant = jax.jit(lambda x: losses.pinball(jnp.full((999, 1), x), jnp.asarray(values), (quantile,)).mean())
    loss = [constant(best + move) for move in np.array([-0.05, 0, 0.05], np.float32)]
    assert loss[1] < min(loss[0], loss[2])
