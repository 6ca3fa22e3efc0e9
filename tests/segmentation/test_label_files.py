"""Label maps as files: on the grid and with the affine of their scan, and never over it."""

import json
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from PIL import Image

from medjax.errors import InputError
from medjax.predictor import Predictor
from medjax.segmentation import label_files
from medjax.segmentation.segmenter import Segmenter


class Bright(Segmenter):
    """Calls every voxel above 100 class 1."""

    def segment(self, case):
        key = "volume" if "volume" in case else "image"
        return (case[key][..., 0] > 100).astype(np.uint8)


def bright(key, channels=1):
    shape = [[4] * (3 if key == "volume" else 2) + [channels], "float32"]
    experiment = SimpleNamespace(data=SimpleNamespace(inputs=(key,), origin=None))
    one = object.__new__(Bright)
    object.__setattr__(one, "model", SimpleNamespace(experiment=experiment, record={"data": {"shapes": {key: shape}}}))
    return one


def test_a_label_map_lies_where_its_scan_lies(tmp_path):
    volume = np.zeros((4, 5, 6), np.float32)
    volume[1, 0, 4] = 200
    affine = np.array([[0, -2.0, 0, 7], [0, 0, 3.0, -8], [1.5, 0, 0, 9], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(volume, affine), tmp_path / "scan.nii.gz")
    out = tmp_path / "seg.nii.gz"
    assert label_files.segment_files(bright("volume"), [tmp_path / "scan.nii.gz"], out) == [out]
    found = nibabel.load(out)
    np.testing.assert_array_equal(found.get_fdata(), volume > 100)
    np.testing.assert_array_equal(found.affine, affine)


def test_images_become_png_and_several_inputs_a_folder(tmp_path):
    pixels = np.zeros((4, 6), np.uint8)
    pixels[1, 2] = 250
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    inputs = [tmp_path / "a.png", tmp_path / "b.png"]
    written = label_files.segment_files(bright("image"), inputs, tmp_path / "out")
    assert [path.name for path in written] == ["a.png", "b.png"]
    np.testing.assert_array_equal(np.asarray(Image.open(written[1])), pixels > 100)


def test_what_would_go_wrong_is_refused_before_anything_is_computed(tmp_path):
    scan, twin = tmp_path / "scan.nii.gz", tmp_path / "other" / "scan.nii.gz"
    for inputs, out, words in (
        ([scan], scan, "over its own scan"),
        ([scan], tmp_path / "seg.png", r"written as \.nii"),
        ([tmp_path / "a.png"], tmp_path / "seg.nii", r"written as \.png"),
        ([scan, twin], tmp_path / "out", "same name"),
        ([scan, twin], tmp_path, "over its own scan"),
    ):
        with pytest.raises(InputError, match=words):
            label_files.targets(inputs, out)
    with pytest.raises(InputError, match="segments images"):
        label_files.segment_files(bright("image"), [scan], tmp_path / "seg.nii.gz")


def judged(tmp_path, labels, classes=("background", "liver")):
    """A run on scans with these classes, and a folder in the Decathlon's layout with one scan and one label map."""
    for name in ("imagesTr", "labelsTr"):
        (tmp_path / name).mkdir(exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), tmp_path / "imagesTr/a.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "labelsTr/a.nii.gz")
    pair = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}
    told = {"labels": {"0": "background", "1": "liver"}, "training": [pair]}
    (tmp_path / "dataset.json").write_text(json.dumps(told))
    model = object.__new__(Predictor)
    vars(model).update(vars(bright("volume").model))
    model.experiment.task = SimpleNamespace(classes=classes)
    return model


def test_scans_with_label_maps_from_elsewhere_are_read_as_the_runs_own(tmp_path):
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[1, 2, 3] = 1
    source = label_files.labelled_files(judged(tmp_path, labels), tmp_path)
    assert len(source) == 1
    assert source[0]["volume"].shape == (4, 4, 4, 1)
    assert source[0]["segmentation"].sum() == 1


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        (np.zeros((4, 4, 5), np.uint8), ("background", "liver"), "a.nii.gz: its grid differs"),
        (np.full((4, 4, 4), 2, np.uint8), ("background", "liver"), "a.nii.gz: the value 2 is none of 2 classes"),
        (np.zeros((4, 4, 4), np.uint8), ("background", "tumour"), "dataset.json has the classes background, liver"),
    ],
)
def test_label_maps_that_do_not_fit_the_run_are_refused(tmp_path, labels, classes, words):
    model = judged(tmp_path, labels, classes)
    with pytest.raises(InputError, match=words) as told:
        label_files.labelled_files(model, tmp_path)
    assert str(tmp_path) in str(told.value)
