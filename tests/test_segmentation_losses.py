"""Losses of segmentations: numbers worked out by hand, and nothing infinite where a class or the whole case is absent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import segmentation_losses as losses

U = losses.UNKNOWN


def logits(*rows):
    """Logits (1, voxels, classes) of these probabilities."""
    return jnp.log(jnp.asarray([rows], jnp.float32))


FOUR = logits((0.5, 0.25, 0.25), (0.2, 0.6, 0.2), (0.1, 0.1, 0.8), (0.7, 0.2, 0.1))
LABELS = jnp.asarray([[0, 1, 1, U]], jnp.uint8)


def test_soft_counts_by_hand():
    both, excess, missed = losses.overlaps(FOUR, LABELS)  # the fourth voxel takes no part
    np.testing.assert_allclose(both[0], [0.5, 0.7, 0.0], rtol=1e-5)
    np.testing.assert_allclose(excess[0], [0.3, 0.25, 1.25], rtol=1e-5)
    np.testing.assert_allclose(missed[0], [0.5, 1.3, 0.0], rtol=1e-5)


def test_dice_tversky_and_cross_entropy_by_hand():
    dice = [(1.4 + 1) / (1.4 + 0.25 + 1.3 + 1), (0 + 1) / (0 + 1.25 + 1)]
    np.testing.assert_allclose(losses.soft_dice(FOUR, LABELS), [1 - np.mean(dice)], rtol=1e-5)
    index = [(0.7 + 0.5) / (0.7 + 0.3 * 0.25 + 0.7 * 1.3 + 0.5), 0.5 / (0.3 * 1.25 + 0.5)]
    np.testing.assert_allclose(losses.tversky(FOUR, LABELS), [1 - np.mean(index)], rtol=1e-5)
    np.testing.assert_allclose(losses.voxel_cross_entropy(FOUR, LABELS), [-np.log([0.5, 0.6, 0.1]).mean()], rtol=1e-5)


def test_a_perfect_answer_costs_nothing_and_the_order_of_voxels_does_not_matter():
    labels = jnp.asarray([[0, 1, 2, 2]], jnp.uint8)
    sure = 50.0 * jax.nn.one_hot(labels, 3)
    assert float(losses.soft_dice(sure, labels)[0]) < 1e-5
    assert float(losses.voxel_cross_entropy(sure, labels)[0]) < 1e-5
    turned = losses.soft_dice(FOUR[:, ::-1], LABELS[:, ::-1])
    np.testing.assert_allclose(turned, losses.soft_dice(FOUR, LABELS), rtol=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [U, U, U, U], [1, 1, 1, 1]], ids=["empty", "unknown", "one class"])
def test_values_and_gradients_are_finite_whatever_is_absent(labels):
    labels = jnp.asarray([labels], jnp.uint8)

    @jax.jit
    def both(x):
        def total(x):
            parts = (losses.soft_dice, losses.tversky, losses.voxel_cross_entropy)
            return sum(part(x, labels).sum() for part in parts)

        return jax.value_and_grad(total)(x)

    for x in (FOUR, jnp.full_like(FOUR, 200.0) * jnp.asarray([1.0, 0.0, -1.0])[None, None, :]):
        value, gradient = both(x)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()
        if (labels == U).all():
            np.testing.assert_array_equal(gradient, 0)


def test_an_absent_class_costs_more_the_more_of_it_is_said():
    labels = jnp.zeros((1, 2), jnp.uint8)
    little, much = logits((0.9, 0.1), (0.9, 0.1)), logits((0.5, 0.5), (0.5, 0.5))
    np.testing.assert_allclose(losses.soft_dice(little, labels), [1 - 1 / 1.2], rtol=1e-5)
    assert losses.soft_dice(much, labels)[0] > losses.soft_dice(little, labels)[0]


def test_levels_weigh_half_of_the_finer_one_and_read_labels_at_their_own_voxels():
    np.testing.assert_allclose(losses.level_weights(3), [4 / 7, 2 / 7, 1 / 7])
    labels = jnp.arange(6 * 4).reshape(1, 6, 4)
    np.testing.assert_array_equal(losses.coarser(labels, (3, 2)), labels[:, ::2, ::2])
    levels = (jnp.ones((1, 6, 4, 1)), jnp.full((1, 3, 2, 1), 3.0))
    found = losses.over_levels(lambda x, y: x.mean((1, 2, 3)) + y.shape[1], levels, labels)
    np.testing.assert_allclose(found, [2 / 3 * (1 + 6) + 1 / 3 * (3 + 3)], rtol=1e-6)


def test_labels_of_odd_sizes_are_read_where_the_voxels_of_each_level_lie():
    """35 voxels become 18, 9 and 5 by strides of 2: voxel i of the third level lies at voxel 8 i."""
    labels, seen = jnp.arange(35)[None], []

    def loss(logits, own):
        seen.append(np.asarray(own[0]))
        return logits.mean((1, 2))

    losses.over_levels(loss, tuple(jnp.zeros((1, size, 2)) for size in (35, 18, 9, 5)), labels)
    for level, own in enumerate(seen):
        np.testing.assert_array_equal(own, np.arange(len(own)) * 2**level)


@pytest.mark.parametrize("loss", [losses.soft_dice, losses.tversky, losses.voxel_cross_entropy])
def test_a_case_does_not_see_its_batch_and_half_outputs_are_summed_in_float32(loss):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, 3000, 3)), jnp.bfloat16)
    labels = jnp.asarray(rng.integers(0, 3, (3, 3000)), jnp.uint8).at[1, :9].set(U)
    found = loss(x, labels)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, [loss(x[k : k + 1], labels[k : k + 1])[0] for k in range(3)], rtol=1e-5)
    np.testing.assert_allclose(found, loss(x.astype(jnp.float32), labels), rtol=1e-6)
