"""A common canvas: every case lies on it whole, centred, and what is around it is unknown."""

import numpy as np
import pytest

from medjax.data.canvas import on_canvas, survey
from medjax.data.source import MemorySource
from medjax.errors import InputError
from medjax.segmentation_losses import UNKNOWN

CLASSES = ("background", "lesion")


def case(name, *space, marked=1):
    labels = np.zeros(space, np.int64)
    labels[0, :marked] = 1
    return {"id": name, "image": np.ones((*space, 2), np.float32), "segmentation": labels}


def test_every_case_fits_and_its_voxels_are_counted():
    source = MemorySource([case("a", 3, 8), case("b", 5, 4, marked=2)])
    shape, counts = survey(source, "image", "segmentation", CLASSES, (4, 6), "data")
    assert shape == (5, 8)
    np.testing.assert_array_equal(counts, [[23, 1], [18, 2]])
    laid = on_canvas(source[1], "image", "segmentation", shape)
    assert laid["image"].shape == (5, 8, 2)
    np.testing.assert_array_equal(laid["image"][..., 0] == 1, laid["segmentation"] != UNKNOWN)
    np.testing.assert_array_equal(laid["segmentation"][:, 2:6], source[1]["segmentation"])
    assert laid["segmentation"].dtype == np.uint8


def test_a_label_without_a_class_and_a_patch_of_another_rank_are_named():
    labelled = case("a", 3, 4) | {"segmentation": np.full((3, 4), 7)}
    with pytest.raises(InputError, match="case 'a'.*label 7.*0 to 1"):
        survey(MemorySource([labelled]), "image", "segmentation", CLASSES, (), "data")
    with pytest.raises(InputError, match=r"task.patch has 3 numbers.*2 axes"):
        survey(MemorySource([case("a", 3, 4)]), "image", "segmentation", CLASSES, (2, 2, 2), "data")
    with pytest.raises(InputError, match="another grid"):
        survey(
            MemorySource([case("a", 3, 4) | {"segmentation": np.zeros((4, 3), int)}]),
            "image",
            "segmentation",
            CLASSES,
            (),
            "data",
        )
