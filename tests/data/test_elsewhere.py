import numpy as np
import pytest
from PIL import Image

from medjax.data.origins import Folder
from medjax.data.origins.elsewhere import images_to_judge, images_to_predict
from medjax.errors import InputError

CLASSES = ("healthy", "ill", "unsure")
ORIGIN = Folder(path="training", group_pattern="(P[0-9]+)_")


def picture(path, value=7, mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((5, 4) if mode == "L" else (5, 4, 3), value, np.uint8)).save(path)


@pytest.fixture
def scans(tmp_path):
    for number, name in enumerate(("ill/P1_a.png", "ill/P1_b.png", "healthy/P2_a.png")):
        picture(tmp_path / name, number)
    (tmp_path / "notes.txt").write_text("no image")
    return tmp_path


def test_folders_are_the_runs_own_classes_though_one_is_absent_and_another_has_one_image(scans):
    found = images_to_judge(ORIGIN, scans, CLASSES, 1)
    assert [(case["id"], case["group"], case["label"]) for case in found] == [
        ("healthy/P2_a.png", "P2", 0),
        ("ill/P1_a.png", "P1", 1),
        ("ill/P1_b.png", "P1", 1),
    ]
    assert all(case["image"].shape == (5, 4, 1) for case in found)
    picture(scans / "dead" / "P3_a.png")
    with pytest.raises(InputError, match="dead/P3_a.png: the class 'dead' is none of healthy, ill, unsure"):
        images_to_judge(ORIGIN, scans, CLASSES, 1)


def test_a_list_is_read_by_the_columns_of_the_runs_own(scans):
    (scans / "list.csv").write_text("path,patient,effusion,mass\nill/P1_a.png,A,1,\nhealthy/P2_a.png,B,0,1\n")
    origin = Folder(
        path="training", manifest="own.csv", target="labels", label_columns=("effusion", "mass"),
        group_column="patient", attributes=("scanner",),
    )  # fmt: skip
    found = images_to_judge(origin, scans / "list.csv", ("effusion", "mass"), 3)
    assert [(case["id"], case["group"]) for case in found] == [("ill/P1_a.png", "A"), ("healthy/P2_a.png", "B")]
    np.testing.assert_array_equal([case["labels"] for case in found], [[1, np.nan], [0, 1]])
    assert found[0]["image"].shape == (5, 4, 3)  # grey is repeated where the run has colour
    with pytest.raises(InputError, match="list the images in a CSV with 'labels'"):
        images_to_judge(origin, scans, ("effusion", "mass"), 1)


def test_to_predict_no_class_is_needed(scans):
    assert [case["id"] for case in images_to_predict(ORIGIN, scans, 1)] == [
        "healthy/P2_a.png", "ill/P1_a.png", "ill/P1_b.png",
    ]  # fmt: skip
    (scans / "list.csv").write_text("path\nill/P1_b.png\n")
    (case,) = images_to_predict(ORIGIN, scans / "list.csv", 1)
    assert case["id"] == "ill/P1_b.png"
    assert case["image"].max() == 1


@pytest.mark.parametrize("read", ["judge", "predict"])
@pytest.mark.parametrize("kind", ["broken", "colour", "outside", "twice"])
def test_what_cannot_be_used_ends_with_its_name(scans, read, kind):
    name = "ill/P1_c.png"
    if kind == "broken":
        (scans / name).write_bytes((scans / "ill/P1_a.png").read_bytes()[:30])
    elif kind == "colour":
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (5, 4, 3), np.uint8)).save(scans / name)
    elif kind == "outside":
        name = "../P9_a.png"
        picture(scans.parent / "P9_a.png")
    else:
        name = "ill/P1_a.png"
    where = scans
    if kind in ("outside", "twice"):
        where = scans / "list.csv"
        where.write_text(f"path,label\n{name},ill\n{name},ill\n")
    if kind == "twice" and read == "predict":
        return  # medjax.external refuses an id that comes twice
    function = images_to_judge if read == "judge" else images_to_predict
    arguments = (ORIGIN, where, CLASSES, 1) if read == "judge" else (ORIGIN, where, 1)
    with pytest.raises(InputError, match=r"P1_c|P9_a|P1_a"):
        function(*arguments)


def test_a_link_out_of_the_folder_is_not_followed(scans, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "secret.png"
    picture(other)
    (scans / "ill" / "P4_a.png").symlink_to(other)
    for call in (
        lambda: images_to_predict(ORIGIN, scans, 1),
        lambda: images_to_judge(ORIGIN, scans, CLASSES, 1),
    ):
        with pytest.raises(InputError, match="P4_a.png: a link that leads out of the folder"):
            call()
