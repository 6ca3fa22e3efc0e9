"""Images with masks: every layout gives the same kind of case, and what cannot be used is said by name."""

import io
import json
import tarfile
import zipfile

import nibabel
import numpy as np
import pytest
from PIL import Image

from medjax.data.case import check_case, check_label
from medjax.data.dataset import open_split, prepare
from medjax.data.origin import Problem
from medjax.data.origins import Masks
from medjax.errors import InputError


def png(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array, np.uint8)).save(path)


def scan(path, array, spacing=(1.0, 2.0, 3.0)):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.diag([*spacing, 1.0])), path)


@pytest.fixture
def decathlon(tmp_path):
    """Two scans of different size; the second label map comes last."""
    training = []
    for number, shape in enumerate([(3, 4, 5), (4, 4, 5)]):
        volume = np.random.default_rng(number).normal(size=shape).astype(np.float32)
        scan(tmp_path / f"imagesTr/case_{number}.nii.gz", volume)
        scan(tmp_path / f"labelsTr/case_{number}.nii.gz", (volume > 0).astype(np.uint8) * (number + 1))
        training.append({"image": f"./imagesTr/case_{number}.nii.gz", "label": f"./labelsTr/case_{number}.nii.gz"})
    scan(tmp_path / "imagesTs/case_9.nii.gz", np.ones((2, 2, 2), np.float32))
    content = {"labels": {"2": "tumour", "0": "background", "1": "liver"}, "training": training, "licence": "CC BY"}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def cases(origin):
    facts, found = origin.facts(), list(origin.cases("all"))
    for case in found:
        if not isinstance(case, Problem):
            check_case(case, where="test")
            check_label(case, len(facts.classes), "test")
            for key, (shape, dtype) in facts.shapes.items():
                if dtype != "str":
                    assert np.asarray(case[key]).dtype == dtype
                assert all(want in (None, got) for want, got in zip(shape, np.shape(case[key]), strict=True))
    return found


def test_decathlon_becomes_a_data_set_of_volumes_of_different_size(decathlon):
    origin = Masks(path=str(decathlon))
    dataset = prepare("liver", origin=origin)
    assert (dataset.classes, dataset.targets) == (("background", "liver", "tumour"), ("segmentation",))
    assert dataset.licence == "CC BY"
    assert any("case_9" in note for note in dataset.notes)
    source = open_split(dataset, "all")
    for stored, case in zip((source[0], source[1]), cases(origin), strict=True):
        assert stored["id"] == case["id"]
        for key in ("volume", "segmentation", "spacing"):
            np.testing.assert_array_equal(stored[key], case[key])
        # The label map fits: it was made from the sign of the scan, and both were turned alike.
        np.testing.assert_array_equal(stored["segmentation"] > 0, stored["volume"][..., 0] > 0)
    assert source[0]["volume"].shape == (5, 4, 3, 1)
    assert source[0]["spacing"].tolist() == [3.0, 2.0, 1.0]


def test_a_broken_pair_is_a_problem_with_its_file(decathlon):
    scan(decathlon / "labelsTr/case_0.nii.gz", np.zeros((3, 4, 4), np.uint8))
    scan(decathlon / "labelsTr/case_1.nii.gz", np.full((4, 4, 5), 3, np.uint8))
    found = cases(Masks(path=str(decathlon), on_error="skip"))
    assert "case_0.nii.gz: its grid differs" in found[0].what
    assert "case_1.nii.gz: the value 3 is none of 3 classes" in found[1].what
    (decathlon / "imagesTr/case_0.nii.gz").write_bytes(b"\x1f\x8b")
    (decathlon / "labelsTr/case_1.nii.gz").unlink()
    with pytest.raises(InputError, match=r"none of 2 cases can be used.*case_0.nii.gz: it is damaged"):
        Masks(path=str(decathlon)).facts()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": {"0": "background", "2": "liver"}}, "without a gap"),
        ({"labels": {"background": 0}}, "numbers to names"),
        ({"training": []}, "are needed"),
        ({"training": [{"image": "../secret.nii", "label": "a.nii"}]}, "leaves the folder"),
    ],
)
def test_a_wrong_dataset_json_is_refused(decathlon, change, words):
    content = json.loads((decathlon / "dataset.json").read_text())
    (decathlon / "dataset.json").write_text(json.dumps(content | change))
    with pytest.raises(InputError, match=words):
        Masks(path=str(decathlon)).facts()


def test_instance_masks_of_an_image_become_one_class(tmp_path):
    """One file an object (as BBBC038 came), one file a map of objects, and the same in an archive: equal cases."""
    rng = np.random.default_rng(0)
    for name, side in (("a", 6), ("b", 8)):
        objects = rng.integers(0, 4, (side, 5))
        picture = rng.integers(0, 255, (side, 5))
        png(tmp_path / f"apart/{name}/images/{name}.png", picture)
        png(tmp_path / f"maps/images/{name}.png", picture)
        png(tmp_path / f"maps/labels/{name}.png", objects)
        for number in (1, 2, 3):
            png(tmp_path / f"apart/{name}/masks/{number}.png", 255 * (objects == number))
    with tarfile.open(tmp_path / "maps.tar", "w") as archive:
        archive.add(tmp_path / "maps", arcname=".")
    with zipfile.ZipFile(tmp_path / "apart.zip", "w") as archive:
        for file in sorted((tmp_path / "apart").rglob("*.png")):
            archive.write(file, file.relative_to(tmp_path / "apart"))
    sets = [
        cases(Masks(path=str(tmp_path / name), values="instances", spacing=(0.5, 0.25)))
        for name in ("apart", "maps", "maps.tar", "apart.zip")
    ]
    for found in sets:
        assert [case["id"] for case in found] == ["a", "b"]
        for case, first in zip(found, sets[0], strict=True):
            np.testing.assert_array_equal(case["segmentation"], first["segmentation"])
            np.testing.assert_array_equal(case["image"], first["image"])
            assert case["spacing"].tolist() == [0.5, 0.25]
    assert sets[0][0]["segmentation"].mean() == (np.random.default_rng(0).integers(0, 4, (6, 5)) > 0).mean()
    (problem, *_) = cases(Masks(path=str(tmp_path / "maps"), classes=("background", "object"), on_error="skip"))
    assert "the value" in problem.what
    with pytest.raises(InputError, match=r"none of 2 cases.*it has 3 masks"):
        Masks(path=str(tmp_path / "apart"), classes=("background", "object")).facts()


def test_a_manifest_says_patients_spacing_and_splits(tmp_path):
    for name, size in (("a", (4, 5)), ("b", (6, 5)), ("c", (4, 5))):
        png(tmp_path / f"{name}.png", np.zeros(size))
        png(tmp_path / f"{name}_1.png", np.eye(*size))
        png(tmp_path / f"{name}_2.png", np.eye(*size)[::-1])
    rows = ["image,mask,id,group,split,spacing,site", "a.png,a_1.png; a_2.png,A,P1,train,0.5 0.7,x"]
    rows += ["b.png,b_1.png,B,P2,test,2,y", "c.png,b_1.png,C,P3,train,-1,y"]
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    origin = Masks(path=str(tmp_path), manifest="cases.csv", values="instances", attributes=("site",), on_error="skip")
    assert origin.facts().counts == {"train": 2, "test": 1}
    first, problem = origin.cases("train")
    assert (first["id"], first["group"], first["site"]) == ("A", "P1", "x")
    np.testing.assert_array_equal(first["segmentation"], np.eye(4, 5) + np.eye(4, 5)[::-1] > 0)
    np.testing.assert_allclose(first["spacing"], [0.5, 0.7])
    assert "line 4" in problem.where
    assert "spacing '-1'" in problem.what
    (second,) = origin.cases("test")
    assert second["spacing"].tolist() == [2, 2]
    rows[3] = "c.png,b_1.png,C,P3,train,1,y"
    (tmp_path / "cases.csv").write_text("\n".join(rows))
    _, problem = origin.cases("train")
    assert "b_1.png: it measures (6, 5), but its image (4, 5)" in problem.what


def test_what_nothing_can_be_made_of_is_refused(tmp_path):
    png(tmp_path / "images/a.png", np.zeros((4, 4)))
    with pytest.raises(InputError, match="folder 'masks'"):
        Masks(path=str(tmp_path)).facts()
    png(tmp_path / "masks/b.png", np.zeros((4, 4)))
    with pytest.raises(InputError, match="it has no mask"):
        Masks(path=str(tmp_path)).facts()
    png(tmp_path / "masks/a.png", np.zeros((4, 4)))
    with pytest.raises(InputError, match="names of the classes are not known"):
        Masks(path=str(tmp_path)).facts()
    origin = Masks(path=str(tmp_path), classes=("background", "lesion"))
    assert any("b.png" in note for note in origin.facts().notes)
    before = origin.fingerprint()
    png(tmp_path / "masks/a.png", np.eye(4))
    assert origin.fingerprint() != before
    for settings in ({"classes": ("one",)}, {"spacing": (1.0, 0.0)}, {"group_pattern": "("}):
        with pytest.raises(InputError):
            Masks(path=str(tmp_path), **settings)
    scan(tmp_path / "images/c.nii.gz", np.zeros((2, 2, 2), np.float32))
    scan(tmp_path / "masks/c.nii.gz", np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(InputError, match="1 scans stand beside 1 images"):
        Masks(path=str(tmp_path)).facts()


@pytest.mark.parametrize("name", ["../out.png", "/out.png", "a/../../out.png", "C:out.png", "link"])
def test_an_archive_writes_nowhere_else(tmp_path, name):
    path = tmp_path / "images.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
        else:
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(InputError, match=r"outside of its folder|no plain file"):
        Masks(path=str(path)).facts()
    assert sorted(file.name for file in tmp_path.rglob("*")) == ["images.tar"]
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(InputError):
        Masks(path=str(path)).facts()


def test_real_data_sets_are_read(medjax_data):
    hippocampus = Masks(path="volume3d/msd_hippocampus")
    assert hippocampus.facts().counts == {"all": 195}
    case = next(hippocampus.cases("all"))
    assert (case["id"], case["volume"].shape) == ("hippocampus_003", (35, 52, 34, 1))
    assert np.bincount(case["segmentation"].ravel()).shape == (3,)
    nuclei = Masks(path="image2d/dsb2018_nuclei/dsb2018_160.tar", values="instances")
    assert nuclei.facts().counts == {"all": 160}
    assert next(nuclei.cases("all"))["image"].shape == (256, 320, 3)
