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


def soft_cross_entropy(
    logits: Float[Array, "batch classes"],
    probabilities: Float[Array, "batch classes"],
    label_smoothing: float | int = 0.0,
    focal: float | int = 0.0,
) -> Float[Array, " batch"]:
    """Cross-entropy against class probabilities, such as the votes of several readers, in nats.

    With `focal` g the term of class k is multiplied by `(1 - p_k)^g` (Lin et al. 2017, arXiv:1708.02002, equation 4, for
    each class of the target); with g = 0 and one-hot rows this is `softmax_cross_entropy`.

    Args:
        logits: unnormalised log-probabilities.
        probabilities: rows that sum to one; a row with NaN is unknown and gives loss 0, gradient 0.
        label_smoothing: `a`, in [0, 1); the target becomes `(1 - a) * probabilities + a / classes`.
        focal: `g`, at least 0.
    """
    logits = _at_least_float32(logits)
    known = ~jnp.isnan(probabilities).any(-1)
    logits = jnp.where(known[:, None], logits, 0.0)
    target = jnp.where(known[:, None], probabilities.astype(logits.dtype), 0.0)
    target = (1 - label_smoothing) * target + label_smoothing / logits.shape[-1]
    terms = -target * jax.nn.log_softmax(logits)
    if focal:
        # log(1 - p_k) from the other logits: 1 - p itself loses its digits, and its power below 1 its gradient.
        others = jnp.where(jnp.eye(logits.shape[-1], dtype=bool)[None], -jnp.inf, logits[:, None, :])
        complement = jax.nn.logsumexp(others, axis=-1) - jax.nn.logsumexp(logits, axis=-1, keepdims=True)
        terms = terms * jnp.exp(focal * complement)
    return jnp.where(known, terms.sum(-1), 0.0)


def sigmoid_cross_entropy(
    logits: Float[Array, "*shape"],
    targets: Num[Array, "*shape"],
    label_smoothing: float | int | Float[Array, ""] = 0.0,
    focal: float | int = 0.0,
) -> Float[Array, "*shape"]:
    """Cross-entropy of one yes-or-no question, or of several independent ones, in nats and element by element.

    With label smoothing `a` the target is `(1 - a) * target + a / 2`. With `focal` g the term of the positive answer is
    multiplied by `(1 - p)^g`, that of the negative one by `p^g` (Lin et al. 2017, arXiv:1708.02002, equation 4).

    Args:
        logits: log-odds, (batch,) or (batch, labels).
        targets: 0, 1 or a probability, in the shape of the logits; NaN means unknown and gives loss 0, gradient 0.
        label_smoothing: `a`, in [0, 1).
        focal: `g`, at least 0; 0 is cross-entropy.
    """
    logits = _at_least_float32(logits)
    targets = targets.astype(logits.dtype)
    known = ~jnp.isnan(targets)
    smoothed = (1 - label_smoothing) * jnp.where(known, targets, 0.0) + label_smoothing / 2
    logits = jnp.where(known, logits, 0.0)
    if focal:
        right, wrong = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
        terms = -smoothed * right * jnp.exp(focal * wrong) - (1 - smoothed) * wrong * jnp.exp(focal * right)
    else:
        terms = optax.sigmoid_binary_cross_entropy(logits, smoothed)
    return jnp.where(known, terms, 0.0)


def corn(logits: Float[Array, "batch thresholds"], labels: Int[Array, " batch"]) -> Float[Array, "batch thresholds"]:
    """Cross-entropy of each conditional question "is the grade above k, given that it is above k - 1?", in nats.

    A case answers the questions 0 to its grade; the others are no evidence about it and give 0. Over a batch the loss is
    the sum divided by the number of answered questions (Shi, Cao & Raschka 2021, arXiv:2111.08851, equation 4), which
    `corn_questions` counts.

    Args:
        logits: log-odds of the answer yes, one column for each grade but the last.
        labels: the grade, 0 to the number of columns.
    """
    step = jnp.arange(logits.shape[-1])[None, :]
    answer = jnp.where(step <= labels[:, None], (labels[:, None] > step).astype(jnp.float32), jnp.nan)
    return sigmoid_cross_entropy(logits, answer)


def corn_questions(labels: Int[Array, " batch"], thresholds: int) -> Int[Array, " batch"]:
    """How many of the conditional questions of `corn` a case of this grade answers."""
    return jnp.clip(labels + 1, 0, thresholds)


def squared_error(outputs: Float[Array, "*shape"], values: Num[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Square of the difference, in squared units of the values; a NaN value is unknown and gives loss 0, gradient 0."""
    return _known_difference(outputs, values) ** 2


def absolute_error(outputs: Float[Array, "*shape"], values: Num[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Absolute difference, in units of the values; a NaN value is unknown and gives loss 0, gradient 0."""
    return jnp.abs(_known_difference(outputs, values))


def huber(
    outputs: Float[Array, "*shape"], values: Num[Array, "*shape"], delta: float | int = 1.0
) -> Float[Array, "*shape"]:
    """Half the squared difference up to `delta`, beyond it a straight line: `delta * (|difference| - delta / 2)`.

    In squared units of the values. Source: Huber, Ann. Math. Stat. 35:73 (1964). NaN gives loss 0, gradient 0.
    """
    distance = jnp.abs(_known_difference(outputs, values))
    inside = jnp.minimum(distance, delta)
    return 0.5 * inside**2 + delta * (distance - inside)


def pinball(
    outputs: Float[Array, "batch quantiles"], values: Num[Array, " batch"], quantiles: tuple[float, ...]
) -> Float[Array, "batch quantiles"]:
    """Loss whose minimum is the quantile q: q times the value's excess, (1 - q) times its shortfall.

    In units of the values. Source: Koenker & Bassett, Econometrica 46:33 (1978). NaN gives loss 0, gradient 0.
    """
    excess = -_known_difference(outputs, jnp.broadcast_to(values[:, None], outputs.shape))
    level = jnp.asarray(quantiles, excess.dtype)[None, :]
    return jnp.maximum(level * excess, (level - 1) * excess)


def weighted_mean(values: Float[Array, "*shape"], weights: Num[Array, "*shape"]) -> Float[Array, ""]:
    """The sum of the weighted values divided by the sum of the weights; 0 (with gradient 0) where that sum is 0.

    A value of weight 0 takes no part even when it is NaN or infinite. Of parts of a batch add up the sums and the
    weights instead: a mean of means is wrong when the parts differ.
    """
    weights = weights.astype(values.dtype)
    total = jnp.sum(weights)
    weighted = jnp.sum(jnp.where(weights == 0, 0.0, values) * weights)
    return jnp.where(total == 0, 0.0, weighted / jnp.where(total == 0, 1.0, total))


def _known_difference(outputs: Float[Array, "*shape"], values: Num[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Outputs - values, and 0 with gradient 0 where the value is NaN."""
    outputs = _at_least_float32(outputs)
    values = values.astype(outputs.dtype)
    known = ~jnp.isnan(values)
    return jnp.where(known, outputs, 0.0) - jnp.where(known, values, 0.0)


def _at_least_float32(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Widen bfloat16 and float16: exponentials and logarithms of a loss need the digits."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))
