"""The task of segmentation: its loss, its score from counts of voxels, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import segmentation_losses as losses
from medjax.errors import InputError
from medjax.tasks import Segmentation

TASK = Segmentation(classes=("background", "a", "b"))
U = losses.UNKNOWN


def test_the_loss_is_dice_and_cross_entropy_over_the_levels():
    labels = jnp.asarray(np.random.default_rng(0).integers(0, 3, (2, 4, 4)), jnp.uint8)
    fine, coarse = (jax.random.normal(jax.random.key(k), (2, n, n, 3)) for k, n in ((0, 4), (1, 2)))
    batch = {"segmentation": labels, "weight": jnp.asarray([1.0, 0.0])}

    @jax.jit
    def run(fine, coarse):
        parts = [
            losses.soft_dice(x, y) + losses.voxel_cross_entropy(x, y)
            for x, y in ((fine, labels), (coarse, labels[:, ::2, ::2]))
        ]
        return TASK.losses((fine, coarse), batch, {}), TASK.losses(fine, batch, {}), parts

    (both, weight), (alone, _), parts = run(fine, coarse)
    np.testing.assert_allclose(both, 2 / 3 * parts[0] + 1 / 3 * parts[1], rtol=1e-5)
    np.testing.assert_allclose(alone, parts[0], rtol=1e-5)
    np.testing.assert_array_equal(weight, [1, 0])


def test_the_score_is_the_mean_over_cases_and_classes_and_unknown_voxels_do_not_count():
    labels = jnp.asarray([[0, 1, 1, 2, U], [0, 0, 0, 0, U]], jnp.uint8)
    said = jnp.asarray([[0, 1, 2, 2, 1], [0, 0, 1, 0, 1]])
    outputs = jax.nn.one_hot(said, 3)
    counts = np.asarray(TASK.counts(outputs, {"segmentation": labels}), np.float64)
    np.testing.assert_array_equal(counts, [[1, 1, 2, 1, 2, 1], [0, 1, 0, 0, 0, 0]])
    nothing = np.zeros((2, 3))
    assert TASK.score("dice", counts, nothing) == pytest.approx(np.mean([2 / 3, 2 / 3, 0, 1]))
    assert TASK.score("iou", counts, nothing) == pytest.approx(np.mean([1 / 2, 1 / 2, 0, 1]))
    with pytest.raises(InputError, match="known: dice, iou"):
        TASK.score("auroc", counts, nothing)


def test_what_makes_no_segmentation_is_refused_by_its_key():
    assert Segmentation().resolve(("background", "lesion")).outputs == 2
    assert Segmentation(classes=("background", "lesion")).resolve(("normal", "ill")).classes[1] == "lesion"
    for task, word in (
        (Segmentation(), "two to 254"),
        (Segmentation(classes=("a", "b"), foreground=2), "foreground"),
        (Segmentation(classes=("a", "b"), overlap=1), "overlap"),
        (Segmentation(classes=("a", "b"), patch=(0, 4)), "patch"),
        (Segmentation(classes=("a", "b"), false_positives=-1), "false_positives"),
    ):
        with pytest.raises(InputError, match=word):
            task.resolve(())
    with pytest.raises(InputError, match="all is background"):
        TASK.check(np.array([[10, 0, 0]]), "data")
