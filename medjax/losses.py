"""Losses per case: no mean is taken here. The one division, sum by weight, is `weighted_mean`."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Num


def softmax_cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    label_smoothing: float | int | Float[Array, ""] = 0.0,
) -> Float[Array, " batch"]:
    """Cross-entropy of one class among several, in nats.

    With label smoothing `a` the target is `(1 - a) * onehot + a / classes` (Szegedy et al. 2016, arXiv:1512.00567,
    section 7).

    Args:
        logits: unnormalised log-probabilities.
        labels: the class of each case; a negative label means unknown, and gives loss 0 with gradient 0 (its weight is
            the caller's business). Labels of `classes` or more cannot be seen inside a compiled step and give NaN; the
            door of the data refuses them.
        label_smoothing: `a`, in [0, 1).
    """
    known = labels >= 0
    logits = jnp.where(known[:, None], _at_least_float32(logits), 0.0)  # inside as well: 0 * NaN would be NaN
    exact = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(known, labels, 0))
    if not (isinstance(label_smoothing, (int, float)) and label_smoothing == 0):
        uniform = -jnp.mean(jax.nn.log_softmax(logits), axis=-1)
        exact = (1 - label_smoothing) * exact + label_smoothing * uniform
    return jnp.where(known, exact, 0.0)


def sigmoid_cross_entropy(
    logits: Float[Array, "*shape"],
    targets: Num[Array, "*shape"],
    label_smoothing: float | int | Float[Array, ""] = 0.0,
) -> Float[Array, "*shape"]:
    """Cross-entropy of one yes-or-no question, or of several independent ones, in nats and element by element.

    With label smoothing `a` the target is `(1 - a) * target + a / 2`.

    Args:
        logits: log-odds, (batch,) or (batch, labels).
        targets: 0, 1 or a probability, in the shape of the logits; NaN means unknown and gives loss 0, gradient 0.
        label_smoothing: `a`, in [0, 1).
    """
    logits = _at_least_float32(logits)
    targets = targets.astype(logits.dtype)
    known = ~jnp.isnan(targets)
    smoothed = (1 - label_smoothing) * jnp.where(known, targets, 0.0) + label_smoothing / 2
    return jnp.where(known, optax.sigmoid_binary_cross_entropy(jnp.where(known, logits, 0.0), smoothed), 0.0)


def squared_error(outputs: Float[Array, "*shape"], values: Num[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Square of the difference, in squared units of the values; a NaN value is unknown and gives loss 0, gradient 0."""
    outputs = _at_least_float32(outputs)
    values = values.astype(outputs.dtype)
    known = ~jnp.isnan(values)
    return optax.squared_error(jnp.where(known, outputs, 0.0), jnp.where(known, values, 0.0))


def weighted_mean(values: Float[Array, "*shape"], weights: Num[Array, "*shape"]) -> Float[Array, ""]:
    """The sum of the weighted values divided by the sum of the weights; 0 (with gradient 0) where that sum is 0.

    A value of weight 0 takes no part even when it is NaN or infinite. Of parts of a batch add up the sums and the
    weights instead: a mean of means is wrong when the parts differ.
    """
    weights = weights.astype(values.dtype)
    total = jnp.sum(weights)
    weighted = jnp.sum(jnp.where(weights == 0, 0.0, values) * weights)
    return jnp.where(total == 0, 0.0, weighted / jnp.where(total == 0, 1.0, total))


def _at_least_float32(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Widen bfloat16 and float16: exponentials and logarithms of a loss need the digits."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
