import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.utils.class_weight import compute_class_weight

from medjax.errors import InputError
from medjax.losses import weighted_mean
from medjax.tasks import Classification

TWO, THREE = ("benign", "malignant"), ("a", "b", "c")


def task(classes=TWO, **settings) -> Classification:
    positive = settings.pop("positive", classes[1] if len(classes) == 2 else None)
    return Classification(positive=positive, **settings).resolve(classes)


def batch(labels, weight=None):
    weight = np.ones(len(labels)) if weight is None else weight
    return {"label": np.asarray(labels), "weight": np.asarray(weight, np.float32)}


def losses(kind, outputs, cases, fitted):
    """Losses and weights, compiled as a whole: step by step would be one compilation a step."""
    return jax.device_get(jax.jit(Classification.losses, static_argnums=0)(kind, outputs, cases, fitted))


def predict(kind, outputs):
    return np.asarray(jax.jit(Classification.predict, static_argnums=0)(kind, outputs, {}))


def drawn(count, outputs, classes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, outputs)).astype(np.float32) * 2, rng.integers(0, classes, count)


KINDS = [
    task(),
    task(positive="benign"),
    task(THREE),
    task(loss="sigmoid"),
    task(loss="sigmoid", positive="benign"),
    task(THREE, loss="sigmoid"),
]


@pytest.mark.parametrize("kind", KINDS[:5])
def test_the_loss_is_scikit_learn_s_log_loss_of_what_is_predicted(kind):
    logits, labels = drawn(50, kind.outputs, len(kind.classes))
    values, weights = losses(kind, logits, batch(labels), {})
    predicted = predict(kind, logits).astype(np.float64)
    expected = log_loss(labels, predicted / predicted.sum(1, keepdims=True), labels=range(len(kind.classes)))
    np.testing.assert_allclose(values.mean(), expected, rtol=1e-5)
    np.testing.assert_array_equal(weights, 1)


def test_losses_by_hand():
    logits = jnp.array([[2.0, 0.0, -1.0]])
    z = np.exp([2.0, 0.0, -1.0])
    np.testing.assert_allclose(losses(task(THREE), logits, batch([1]), {})[0], [-np.log(z[1] / z.sum())], rtol=1e-6)
    p = 1 / (1 + np.exp([-2.0, 0.0, 1.0]))
    each = -np.log([1 - p[0], p[1], 1 - p[2]])
    np.testing.assert_allclose(losses(task(THREE, loss="sigmoid"), logits, batch([1]), {})[0], [each.sum()], rtol=1e-6)
    one = jnp.array([[2.0], [2.0]])  # the logit is the positive class's, whatever its label
    for positive, expected in (("malignant", -np.log([1 - p[0], p[0]])), ("benign", -np.log([p[0], 1 - p[0]]))):
        values, _ = losses(task(loss="sigmoid", positive=positive), one, batch([0, 1]), {})
        np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_label_smoothing_by_hand():
    logits, a = jnp.array([[2.0, 0.0, -1.0]]), 0.3
    logs = np.asarray(jax.nn.log_softmax(logits))[0]
    target = np.array([0, 1 - a, 0]) + a / 3
    values, _ = losses(task(THREE, label_smoothing=a), logits, batch([1]), {})
    np.testing.assert_allclose(values, [-(target * logs).sum()], rtol=1e-6)
    p = 1 / (1 + np.exp(-2.0))
    values, _ = losses(task(loss="sigmoid", label_smoothing=a), jnp.array([[2.0]]), batch([1]), {})
    np.testing.assert_allclose(values, [-((1 - a / 2) * np.log(p) + a / 2 * np.log(1 - p))], rtol=1e-5)


def test_balanced_weights_are_scikit_learn_s_and_have_mean_one_over_the_training_cases():
    labels = np.repeat([0, 1, 2], [50, 30, 5])
    weights = task(THREE, class_weights="balanced").fit(labels)["class_weights"]
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(3), y=labels), rtol=1e-6)
    np.testing.assert_allclose(weights[labels].mean(), 1, rtol=1e-6)
    absent = labels[labels != 1]
    weights = task(THREE, class_weights="balanced").fit(absent)["class_weights"]
    np.testing.assert_allclose(weights[absent].mean(), 1, rtol=1e-6)
    assert np.isfinite(weights).all()


def test_class_weights_multiply_the_case_s_own_weight():
    fitted = task(THREE, class_weights=(1.0, 2.0, 5.0)).fit(np.array([0]))
    logits, _ = drawn(4, 3, 3)
    cases = batch([0, 1, 2, 2], [1, 1, 0.5, 0])
    values, weights = losses(task(THREE), logits, cases, fitted)
    np.testing.assert_allclose(weights, [1, 2, 2.5, 0])
    np.testing.assert_array_equal(values, losses(task(THREE), logits, cases, {})[0])
    assert task(THREE).fit(np.array([0, 1])) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_of_weight_zero_has_finite_loss_and_gradient_zero(kind):
    logits, labels = drawn(6, kind.outputs, len(kind.classes))

    @jax.jit
    @jax.value_and_grad
    def loss(outputs):
        return weighted_mean(*kind.losses(outputs, jax.tree.map(jnp.asarray, batch(labels, np.zeros(6))), {}))

    for outputs in (logits, logits * 1e6):
        value, gradient = loss(outputs)
        assert value == 0
        np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_sum_to_one_also_for_extreme_outputs(kind):
    logits, _ = drawn(8, kind.outputs, len(kind.classes))
    for outputs in (logits, logits * 1e4, logits - 300, logits + 300):
        predicted = predict(kind, outputs)
        assert predicted.shape == (8, len(kind.classes))
        np.testing.assert_allclose(predicted.sum(1), 1, rtol=1e-5)


def test_each_column_is_its_class_whichever_is_positive():
    logits = jnp.array([[3.0], [-1.0]])
    probability = np.asarray(jax.nn.sigmoid(logits))[:, 0]
    for index, positive in enumerate(TWO):
        kind = task(loss="sigmoid", positive=positive)
        assert kind.positive_index == index
        assert kind.outputs == 1
        predicted = predict(kind, logits)
        np.testing.assert_allclose(predicted[:, index], probability, rtol=1e-6)
        np.testing.assert_allclose(predicted[:, 1 - index], 1 - probability, rtol=1e-5)
    many = jnp.array([[0.0, 1.0, -1.0]])
    p = np.asarray(jax.nn.sigmoid(many))
    np.testing.assert_allclose(predict(task(THREE, loss="sigmoid"), many), p / p.sum(), rtol=1e-5)


def test_scores_agree_with_scikit_learn_and_larger_is_better():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 80)
    p = np.clip(0.4 * labels + rng.uniform(0, 0.6, 80), 0.01, 0.99)
    for positive in TWO:  # AUROC of two classes is the same for either of them
        kind, both = task(positive=positive), np.stack([1 - p, p], 1)
        np.testing.assert_allclose(kind.score("auroc", both, labels), roc_auc_score(labels, p))
        np.testing.assert_allclose(kind.score("log_loss", both, labels), -log_loss(labels, p))
        assert kind.score("accuracy", both, labels) == np.mean((p > 0.5) == labels)
    many, labels = rng.dirichlet(np.ones(3), 90), rng.integers(0, 3, 90)
    expected = roc_auc_score(labels, many, multi_class="ovr", average="macro")
    np.testing.assert_allclose(task(THREE).score("auroc", many, labels), expected)


def test_a_validation_part_of_one_class_is_named():
    predicted, labels = np.full((4, 2), 0.5), np.ones(4, int)
    with pytest.raises(InputError, match=r"all 4 validation cases are 'malignant'.*accuracy"):
        task().score("auroc", predicted, labels)
    assert task().score("accuracy", predicted, labels) == 0
    with pytest.raises(InputError, match="'f1' is unknown; known: auroc, accuracy, log_loss"):
        task().score("f1", predicted, labels)


@pytest.mark.parametrize(
    ("settings", "classes", "message"),
    [
        ({}, TWO, r"task.positive is missing.*'benign', 'malignant'"),
        ({"positive": "cancer"}, TWO, r"task.positive 'cancer' is not a class.*'benign', 'malignant'"),
        ({"positive": "d"}, THREE, "'d' is not a class"),
        ({"positive": "benign", "classes": ("malignant", "benign")}, TWO, "task.classes.*differ from the data set's"),
        ({}, ("one",), "at least two classes"),
        ({}, (), "at least two classes; the data set names none"),
        ({"label_smoothing": 1.0}, THREE, r"task.label_smoothing 1.0 must be"),
        ({"class_weights": (1.0, 2.0)}, THREE, "task.class_weights needs 3 numbers"),
    ],
)
def test_settings_that_contradict_the_data_are_named(settings, classes, message):
    with pytest.raises(InputError, match=message):
        Classification(**settings).resolve(classes)


def test_a_label_that_is_no_class_is_named():
    task(THREE).check(np.array([0, 2]), "d")
    for bad in (3, -1):
        with pytest.raises(InputError, match=rf"d: case 1 has label {bad}; it must be 0 to 2"):
            task(THREE).check(np.array([0, bad]), "d")


# Focal loss and soft labels.


@pytest.mark.parametrize("kind", KINDS)
def test_a_one_hot_soft_label_is_the_hard_one(kind):
    import dataclasses

    soft = dataclasses.replace(kind, soft_target="soft_label", class_weights="balanced")
    logits, labels = drawn(30, kind.outputs, len(kind.classes))
    fitted = soft.fit(labels)
    both = batch(labels) | {"soft_label": np.eye(len(kind.classes), dtype=np.float32)[labels]}
    hard = losses(dataclasses.replace(kind, class_weights="balanced"), logits, batch(labels), fitted)
    found = losses(soft, logits, both, fitted)
    for ours, theirs in zip(found, hard, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)
    assert soft.targets == ("label", "soft_label")
    assert kind.targets == ("label",)


@pytest.mark.parametrize("kind", [task(), task(loss="sigmoid")])
def test_soft_labels_are_the_readers_losses_on_average(kind):
    import dataclasses

    logits, _ = drawn(8, kind.outputs, 2)
    share = np.linspace(0, 1, 8)
    soft = dataclasses.replace(kind, soft_target="soft_label", class_weights=(1.0, 3.0))
    fitted = soft.fit(np.zeros(8, int))
    votes = np.stack([1 - share, share], axis=-1).astype(np.float32)
    values, weights = losses(soft, logits, batch(np.zeros(8, int)) | {"soft_label": votes}, fitted)
    each = [losses(kind, logits, batch(np.full(8, k)), {})[0] for k in (0, 1)]
    np.testing.assert_allclose(values, (1 - share) * each[0] + share * each[1], rtol=1e-4)
    np.testing.assert_allclose(weights, 1 + 2 * share, rtol=1e-6)  # expected over the class weights 1 and 3


@pytest.mark.parametrize("kind", KINDS[:5])
def test_focal_loss_pays_less_for_what_is_already_right(kind):
    import dataclasses

    logits, labels = drawn(50, kind.outputs, len(kind.classes))
    plain = losses(kind, logits, batch(labels), {})[0]
    focal = losses(dataclasses.replace(kind, focal=2.0), logits, batch(labels), {})[0]
    own = predict(kind, logits)[np.arange(50), labels]
    np.testing.assert_allclose(focal, (1 - own) ** 2 * plain, rtol=1e-3, atol=1e-6)


def test_soft_labels_that_are_no_distribution_are_refused():
    soft = task(soft_target="soft_label")
    labels, fine = np.array([0, 1]), np.array([[0.6, 0.4], [0, 1]], np.float32)
    soft.check(labels, "x", fine)
    for wrong in ([np.nan, np.nan], [0.5, 0.6], [-0.1, 1.1]):
        with pytest.raises(InputError, match="case 1 has soft_label"):
            soft.check(labels, "x", np.array([[0.6, 0.4], wrong], np.float32))
    with pytest.raises(InputError, match="needs 2 probabilities"):
        soft.check(labels, "x", np.ones((2, 3), np.float32) / 3)
    with pytest.raises(InputError, match="are both 'label'"):
        task(soft_target="label")
    with pytest.raises(InputError, match="focal -1 must"):
        task(focal=-1)
