import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from medjax.errors import InputError
from medjax.losses import weighted_mean
from medjax.tasks import MultiLabel

THREE = ("effusion", "mass", "hernia")


def task(**settings) -> MultiLabel:
    return MultiLabel(**settings).resolve(THREE)


def drawn(count=40, unknown=0.3):
    rng = np.random.default_rng(0)
    labels = (rng.random((count, 3)) < 0.4).astype(np.float32)
    labels[rng.random((count, 3)) < unknown] = np.nan
    return rng.normal(size=(count, 3)).astype(np.float32), labels


def batch(labels, weight=None):
    weight = np.ones(len(labels)) if weight is None else weight
    return {"labels": labels, "weight": np.asarray(weight, np.float32)}


def losses(outputs, cases, fitted):
    """Losses and weights, compiled as a whole: step by step would be one compilation a step."""
    return jax.device_get(jax.jit(MultiLabel.losses, static_argnums=0)(task(), outputs, cases, fitted))


def test_every_known_label_counts_once_and_unknown_ones_not_at_all():
    outputs, labels = drawn()
    labels[3] = np.nan
    values, weights = losses(outputs, batch(labels), {})
    known = np.isfinite(labels)
    probability = np.asarray(task().predict(jnp.asarray(outputs), {}), np.float64)
    expected = log_loss(labels[known], probability[known], labels=[0, 1])
    np.testing.assert_allclose(jax.jit(weighted_mean)(values, weights), expected, rtol=1e-5)
    np.testing.assert_array_equal(weights, known.sum(1))
    halves = [losses(outputs[k::2], batch(labels[k::2]), {}) for k in (0, 1)]
    total = sum(float((v * w).sum()) for v, w in halves) / sum(float(w.sum()) for _, w in halves)
    np.testing.assert_allclose(total, expected, rtol=1e-5)  # sums over parts, not a mean of means
    padded = losses(outputs, batch(labels, np.arange(40) < 30), {})
    np.testing.assert_array_equal(padded[1][30:], 0)


def test_a_batch_of_which_nothing_is_known_gives_no_gradient():
    cases = jax.tree.map(jnp.asarray, batch(np.full((5, 3), np.nan, np.float32)))

    @jax.jit
    @jax.value_and_grad
    def loss(outputs):
        return weighted_mean(*task(focal=2.0, positive_weights="balanced").losses(outputs, cases, {}))

    value, gradient = loss(np.full((5, 3), 50.0, np.float32))
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((5, 3)))


def test_weights_of_positive_answers():
    _, labels = drawn(200)
    fitted = task(positive_weights="balanced").fit(labels)["positive_weights"]
    np.testing.assert_allclose(fitted, (labels == 0).sum(0) / (labels == 1).sum(0))
    fitted = {"positive_weights": fitted}
    values, weights = losses(np.zeros((200, 3), np.float32), batch(labels), fitted)
    expected = np.log(2) * np.where(labels == 1, fitted["positive_weights"], 1.0)[np.isfinite(labels)].sum()
    np.testing.assert_allclose((values * weights).sum(), expected, rtol=1e-5)
    alone = np.where(labels == 1, np.nan, labels)
    np.testing.assert_array_equal(task(positive_weights="balanced").fit(alone)["positive_weights"], 1)
    assert task(positive_weights=(1.0, 2.0, 3.0)).fit(labels)["positive_weights"].tolist() == [1, 2, 3]
    assert task().fit(labels) == {}


def test_scores_agree_with_scikit_learn_where_labels_are_known():
    outputs, labels = drawn(80)
    probability = 1 / (1 + np.exp(-outputs.astype(np.float64)))
    known = np.isfinite(labels)
    each = [roc_auc_score(labels[known[:, k], k], probability[known[:, k], k]) for k in range(3)]
    assert task().score("auroc", probability, labels) == pytest.approx(np.mean(each))
    right = [((probability[:, k] >= 0.5) == labels[:, k])[known[:, k]].mean() for k in range(3)]
    assert task().score("accuracy", probability, labels) == pytest.approx(np.mean(right))
    assert task().score("log_loss", probability, labels) == pytest.approx(-log_loss(labels[known], probability[known]))
    one_answer = labels.copy()
    one_answer[:, 2] = np.where(known[:, 2], 0, np.nan)
    assert task().score("auroc", probability, one_answer) == pytest.approx(np.mean(each[:2]))
    with pytest.raises(InputError, match="no label has both"):
        task().score("auroc", probability, np.where(known, 0, np.nan))


def test_what_is_no_label_is_refused():
    labels = drawn()[1]
    task().check(labels, "x")
    for wrong, message in (
        (np.where(np.arange(40)[:, None] == 7, 0.5, labels), "case 7 has 0.5 for 'effusion'"),
        (labels[:, :2], "the labels are"),
        (np.full_like(labels, np.nan), "no case has a known label"),
    ):
        with pytest.raises(InputError, match=message):
            task().check(wrong, "x")
    with pytest.raises(InputError, match="differ from the data set's"):
        MultiLabel(classes=("a",)).resolve(THREE)
    with pytest.raises(InputError, match="needs the names"):
        MultiLabel().resolve(())
