import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, cohen_kappa_score, mean_absolute_error

from medjax.errors import InputError
from medjax.losses import weighted_mean
from medjax.metrics.ordinal import median_grade
from medjax.tasks import Ordinal

FOUR = ("none", "mild", "moderate", "severe")


def task(**settings) -> Ordinal:
    return Ordinal(**settings).resolve(FOUR)


def batch(labels, weight=None):
    weight = np.ones(len(labels)) if weight is None else weight
    return {"label": jnp.asarray(labels), "weight": jnp.asarray(weight, jnp.float32)}


@jax.jit
def predict(outputs):
    return task().predict(outputs, {})


def losses(kind, outputs, cases, fitted):
    """Losses and weights, compiled as a whole: step by step would be one compilation a step."""
    return jax.device_get(jax.jit(Ordinal.losses, static_argnums=0)(kind, outputs, cases, fitted))


@pytest.mark.parametrize("size", [0.0, 1.0, 20.0, 1e4])
def test_corn_gives_a_distribution_for_any_outputs(size):
    outputs = jnp.asarray(np.random.default_rng(0).normal(size=(50, 3)) * size, jnp.float32)
    found = np.asarray(predict(outputs))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
    p = 1 / (1 + np.exp(-np.clip(np.asarray(outputs, np.float64), -500, 500)))
    above = np.cumprod(p, axis=-1)
    np.testing.assert_allclose(found[:, 1:][:, ::-1].cumsum(-1)[:, ::-1], above, atol=1e-5)
    assert task().outputs == 3
    assert task(loss="softmax").outputs == 4


def test_the_loss_is_the_sum_over_answered_questions_divided_by_their_number():
    rng = np.random.default_rng(1)
    outputs, labels = rng.normal(size=(30, 3)), rng.integers(0, 4, 30)
    total, count = 0.0, 0
    for k in range(3):  # task by task, as the paper has it
        inside = labels >= k
        p = 1 / (1 + np.exp(-outputs[inside, k]))
        yes = labels[inside] > k
        total += -np.log(np.where(yes, p, 1 - p)).sum()
        count += inside.sum()
    values, weights = losses(task(), outputs.astype(np.float32), batch(labels), {})
    np.testing.assert_allclose(jax.jit(weighted_mean)(values, weights), total / count, rtol=1e-5)
    assert weights.sum() == count


def test_what_corn_learns_of_counts_alone_is_their_shares():
    """With one set of outputs for all, the minimum lies where the probabilities are the shares of the grades."""
    labels = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
    cases, outputs = batch(labels), np.zeros(3, np.float32)

    @jax.jit
    @jax.grad
    def slope(x):
        return weighted_mean(*task().losses(jnp.broadcast_to(x[None], (100, 3)), cases, {}))

    for _ in range(300):
        outputs = outputs - 2 * np.asarray(slope(outputs))
    np.testing.assert_allclose(predict(outputs[None])[0], [0.4, 0.3, 0.2, 0.1], atol=1e-3)


def test_class_weights_multiply_and_gradients_are_finite():
    labels = np.array([0, 1, 2, 3, 3])
    cases, fitted = batch(labels), jax.tree.map(jnp.asarray, task(class_weights="balanced").fit(labels))
    for loss in ("corn", "softmax"):
        kind = task(loss=loss)
        outputs = np.full((5, kind.outputs), 1e4, np.float32)
        plain = losses(kind, outputs, cases, {})[1]
        weighted = losses(kind, outputs, cases, fitted)[1]
        np.testing.assert_allclose(weighted, plain * np.asarray(fitted["class_weights"])[labels])
        gradient = jax.jit(jax.grad(lambda x, k=kind: weighted_mean(*k.losses(x, cases, fitted))))(outputs)
        assert np.isfinite(gradient).all()


def test_scores_agree_with_scikit_learn_and_larger_is_better():
    rng = np.random.default_rng(2)
    labels, probability = rng.integers(0, 4, 60), rng.dirichlet(np.ones(4), 60)
    grade = median_grade(probability)
    kappa = cohen_kappa_score(labels, grade, weights="quadratic")
    assert task().score("quadratic_weighted_kappa", probability, labels) == pytest.approx(kappa)
    assert task().score("mean_absolute_grade_error", probability, labels) == pytest.approx(
        -mean_absolute_error(labels, grade)
    )
    assert task().score("accuracy", probability, labels) == pytest.approx(accuracy_score(labels, grade))
    assert task().score("log_loss", probability, labels) < 0
    with pytest.raises(InputError, match="one grade"):
        task().score("quadratic_weighted_kappa", np.eye(4)[np.zeros(5, int)], np.zeros(5, int))


def test_what_has_no_order_is_refused():
    with pytest.raises(InputError, match="three or more grades"):
        Ordinal().resolve(("no", "yes"))
    with pytest.raises(InputError, match="case 1 has label 4"):
        task().check(np.array([0, 4]), "x")
    with pytest.raises(InputError, match="needs 4 numbers"):
        task(class_weights=(1.0,))
