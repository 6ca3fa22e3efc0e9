"""From probabilities to label maps: back onto the grid of the case, components, and where the choice of them comes from."""

from types import SimpleNamespace

import numpy as np
import pytest

from medjax.errors import InputError
from medjax.segmentation.segmenter import Segmenter, choose_components, keep_largest, load_largest, onto


def test_only_the_largest_component_of_the_named_classes_stays():
    labels = np.array([[1, 0, 2, 0, 1], [1, 0, 0, 0, 0], [0, 1, 0, 2, 2]], np.uint8)
    found = keep_largest(labels, (1,))
    np.testing.assert_array_equal(found, [[1, 0, 2, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 2, 2]])  # a corner is no face
    np.testing.assert_array_equal(keep_largest(labels, ()), labels)
    np.testing.assert_array_equal(keep_largest(np.zeros((2, 2), np.uint8), (1, 2)), 0)


def test_probabilities_return_to_the_extent_that_they_came_from():
    ramp = (
        np.arange(8, dtype=np.float32) + 0.5
    ) / 8  # the value at the centre of each voxel is its place in the extent
    probabilities = np.stack([ramp, 1 - ramp], -1)[:, None].repeat(4, 1)
    found = onto(probabilities, (16, 4))
    assert found.shape == (16, 4, 2)
    np.testing.assert_allclose(found[1:-1, 0, 0], ((np.arange(16) + 0.5) / 16)[1:-1], atol=1e-6)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)
    assert onto(probabilities, (8, 4)) is probabilities


class Given(Segmenter):
    """A segmenter whose probabilities are those of the case."""

    def probabilities(self, case, members):
        return [case["said"]] * len(members)


def given(largest):
    model = SimpleNamespace(
        experiment=SimpleNamespace(task=SimpleNamespace(classes=("background", "a", "b"))),
        record={"replicates": [{"fold": 0}, {"fold": 1}, {"fold": 0}, {"fold": 1}]},
    )
    one = object.__new__(Given)  # a trained run would take long to make
    for name, value in {"model": model, "largest": largest}.items():
        object.__setattr__(one, name, value)
    return one


def test_components_are_chosen_class_by_class_where_the_mean_dice_is_better():
    truth = np.array([[1, 1, 1, 0, 0, 0], [0, 2, 0, 2, 0, 2]])
    said = np.array([[1, 1, 1, 0, 0, 1], [0, 2, 0, 2, 0, 2]])
    case = {"segmentation": truth, "said": np.eye(3)[said]}
    assert choose_components(given({}), 0, [0, 2], [case], "segmentation") == (1,)
    perfect = {"segmentation": truth, "said": np.eye(3)[truth]}
    assert choose_components(given({}), 0, [0, 2], [perfect], "segmentation") == ()  # a tie keeps all
    with pytest.raises(InputError, match="hold_back"):
        choose_components(given({}), 0, [0], [], "segmentation")


def test_a_fold_uses_its_own_choice_and_new_cases_that_of_most_folds():
    one = given(load_largest({"largest_component": {"0": [1], "1": [1, 2], "2": []}}))
    said = np.eye(3)[np.array([[1, 1, 0, 1, 2, 2, 0, 2]])]
    np.testing.assert_array_equal(one.labels(said, 0), [[1, 1, 0, 0, 2, 2, 0, 2]])
    np.testing.assert_array_equal(one.labels(said, 1), [[1, 1, 0, 0, 2, 2, 0, 0]])
    np.testing.assert_array_equal(one.labels(said, 2), [[1, 1, 0, 1, 2, 2, 0, 2]])
    np.testing.assert_array_equal(one.labels(said), [[1, 1, 0, 0, 2, 2, 0, 2]])
    assert one.members(1) == [1, 3]
    assert one.members(-1) == [0, 1, 2, 3]
