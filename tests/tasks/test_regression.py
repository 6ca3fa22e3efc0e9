import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics
from sklearn.preprocessing import StandardScaler

from medjax.errors import InputError
from medjax.losses import weighted_mean
from medjax.tasks import Regression


def batch(values, weight=None):
    values = jnp.asarray(values, jnp.float32)
    return {"value": values, "weight": jnp.ones(len(values)) if weight is None else jnp.asarray(weight, jnp.float32)}


def test_fitted_on_known_targets_as_scikit_learn_does():
    values = np.array([3.0, np.nan, 5.0, 10.0], np.float32)
    fitted = Regression().fit(values)
    expected = StandardScaler().fit(values[[0, 2, 3], None])
    np.testing.assert_allclose(fitted["target_mean"], expected.mean_[0], rtol=1e-6)
    np.testing.assert_allclose(fitted["target_scale"], expected.scale_[0], rtol=1e-6)
    assert Regression().fit(np.full(3, 7.0))["target_scale"] == 1
    assert Regression(standardise=False).fit(values) == {}


def test_the_loss_by_hand_on_the_learnt_scale():
    outputs, values = jnp.array([[0.5], [-1.0]]), [4.0, 8.0]
    fitted = {"target_mean": jnp.float32(6), "target_scale": jnp.float32(2)}
    losses, weights = Regression().losses(outputs, batch(values, [1, 3]), fitted)
    np.testing.assert_allclose(losses, [(0.5 + 1) ** 2, (-1 - 1) ** 2])
    np.testing.assert_array_equal(weights, [1, 3])
    np.testing.assert_allclose(Regression().losses(outputs, batch(values), {})[0], [3.5**2, 9.0**2])


def test_the_prediction_without_loss_is_the_target():
    values = np.array([3.0, 4.0, 9.0], np.float32)
    fitted = jax.tree.map(jnp.asarray, Regression().fit(values))
    outputs = jnp.asarray((values - values.mean()) / values.std())[:, None]
    np.testing.assert_allclose(Regression().losses(outputs, batch(values), fitted)[0], 0, atol=1e-12)
    np.testing.assert_allclose(Regression().predict(outputs, fitted)[:, 0], values, rtol=1e-6)
    np.testing.assert_array_equal(Regression().predict(outputs, {}), outputs)


@pytest.mark.parametrize(
    ("values", "weight"), [([np.nan, np.nan], [1, 1]), ([1.0, 2.0], [0, 0]), ([np.nan, 2.0], [1, 0])]
)
def test_unknown_targets_and_padding_have_no_loss_and_no_gradient(values, weight):
    fitted = {"target_mean": jnp.float32(6), "target_scale": jnp.float32(2)}
    value, gradient = jax.value_and_grad(
        lambda outputs: weighted_mean(*Regression().losses(outputs, batch(values, weight), fitted))
    )(jnp.ones((2, 1)))
    assert value == 0
    np.testing.assert_array_equal(gradient, 0)
    np.testing.assert_array_equal(Regression().losses(jnp.ones((2, 1)), batch(values, weight), {})[1] > 0, False)


def test_an_unknown_target_does_not_dilute_the_others():
    losses, weights = Regression().losses(jnp.zeros((2, 1)), batch([np.nan, 2.0]), {})
    np.testing.assert_array_equal(weights, [0, 1])
    assert weighted_mean(losses, weights) == 4


def test_scores_agree_with_scikit_learn_and_larger_is_better():
    rng = np.random.default_rng(0)
    values, predicted = rng.normal(size=20), rng.normal(size=(20, 1))
    values[3] = np.nan
    known = np.arange(20) != 3
    for name, sign, function in (
        ("mean_squared_error", -1, metrics.mean_squared_error),
        ("mean_absolute_error", -1, metrics.mean_absolute_error),
        ("r2", 1, metrics.r2_score),
    ):
        expected = sign * function(values[known], predicted[known, 0])
        np.testing.assert_allclose(Regression().score(name, predicted, values), expected)
        assert name in Regression().selectable


def test_what_cannot_be_judged_is_named():
    with pytest.raises(InputError, match="no validation case has a known target"):
        Regression().score("r2", np.zeros((2, 1)), np.full(2, np.nan))
    with pytest.raises(InputError, match="'auroc' is unknown; known: mean_squared_error"):
        Regression().score("auroc", np.zeros((2, 1)), np.zeros(2))
    with pytest.raises(InputError, match="d: case 1 has an infinite value"):
        Regression().check(np.array([np.nan, np.inf]), "d")
    Regression().check(np.array([np.nan, 1.0]), "d")
    assert Regression().resolve(()) == Regression()


# Other losses.


def test_what_is_fitted_has_the_same_shape_whether_or_not_targets_are_known():
    for settings in ({}, {"standardise": False}, {"loss": "quantile"}):
        known, unknown = (Regression(**settings).fit(x) for x in (np.arange(3.0), np.full(3, np.nan)))
        assert jax.tree.map(np.shape, known) == jax.tree.map(np.shape, unknown)
        assert jax.tree.map(lambda x: x.dtype, known) == jax.tree.map(lambda x: x.dtype, unknown)


@pytest.mark.parametrize(
    ("loss", "expected"), [("absolute", [1.5, 2.0]), ("huber", [1.0, 1.5]), ("squared", [2.25, 4.0])]
)
def test_losses_by_hand_on_the_learnt_scale(loss, expected):
    fitted = {"target_mean": jnp.float32(6), "target_scale": jnp.float32(2)}
    outputs, values = jnp.array([[0.5], [-1.0]]), [4.0, 8.0]  # -1 and 1 on the learnt scale
    np.testing.assert_allclose(Regression(loss=loss).losses(outputs, batch(values), fitted)[0], expected)


def test_quantiles_never_cross_and_the_median_is_the_prediction():
    task = Regression(loss="quantile", quantiles=(0.1, 0.5, 0.9)).resolve(())
    assert task.outputs == 3
    fitted = {"target_mean": jnp.float32(6), "target_scale": jnp.float32(2)}
    found = np.asarray(task.predict(jnp.array([[0.5, -1.0, 0.0], [0.0, 1.0, 2.0]]), fitted))
    np.testing.assert_allclose(found, [[6, 4, 6, 7], [8, 6, 8, 10]])
    values = np.array([8.0, np.nan], np.float32)
    loss, weight = task.losses(jnp.array([[0.0, 1.0, 2.0]] * 2), batch(values), fitted)
    np.testing.assert_allclose(loss, [(0.1 * 1 + 0 + 0.1 * 1) / 3, 0], atol=1e-6)
    np.testing.assert_array_equal(weight, [1, 0])
    score = task.score("pinball_loss", found.astype(float), np.array([6.5, np.nan]))
    expected = np.mean(
        [metrics.mean_pinball_loss([6.5], [found[0, k + 1]], alpha=q) for k, q in enumerate((0.1, 0.5, 0.9))]
    )
    assert score == pytest.approx(-expected)


@pytest.mark.parametrize("quantiles", [(0.05, 0.95), (0.5,), (0.5, 0.1), (0.0, 0.5), (0.5, 0.5, 0.9)])
def test_quantiles_without_a_point_prediction_or_order_are_refused(quantiles):
    with pytest.raises(InputError, match="task.quantiles"):
        Regression(loss="quantile", quantiles=quantiles).resolve(())
    Regression(quantiles=quantiles).resolve(())  # not used


def test_a_target_of_which_nothing_is_known_is_refused():
    with pytest.raises(InputError, match="no case has a known value"):
        Regression().check(np.full(3, np.nan), "x")
    with pytest.raises(InputError, match="huber_delta"):
        Regression(huber_delta=0.0).resolve(())
