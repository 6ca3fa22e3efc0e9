"""One's own images: what lies in the folder comes out as cases, and what cannot be used is named, file and row."""

import csv
import os
import shutil
import tarfile
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from medjax import config
from medjax.data import dataset as datasets
from medjax.data.case import check_case
from medjax.data.origin import Origin, Problem
from medjax.data.origins import Folder
from medjax.errors import InputError


def draw(path, seed=0, size=(6, 5), colour=False, dtype=np.uint8):
    """Write a random image and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if colour else size
    array = np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    Image.fromarray(array).save(path)
    return array


def tree(root, *names, **options):
    return {name: draw(root / name, seed, **options) for seed, name in enumerate(names)}


def read(origin):
    """Return the cases and the problems of all splits."""
    found = [case for split in origin.facts().counts for case in origin.cases(split)]
    return [case for case in found if not isinstance(case, Problem)], [
        case for case in found if isinstance(case, Problem)
    ]


def manifest(root, header, *rows, name="labels.csv"):
    with (root / name).open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return Folder(path=str(root), manifest=name)


@pytest.fixture
def scans(tmp_path):
    root = tmp_path / "scans"
    tree(root, *(f"{name}{number}.png" for name in "ab" for number in range(4)))
    return root


HEADER = ("path", "label")
ROWS = tuple((f"{name}{number}.png", name) for name in "ab" for number in range(4))

# ---------------------------------------------------------------------------------------------------------------------
# Folders
# ---------------------------------------------------------------------------------------------------------------------


def test_folders_are_classes_and_paths_are_ids(tmp_path):
    arrays = tree(tmp_path, "10/x.png", "10/deep/er/ünï.png", "9/a.jpg.png", "9/b.png")
    origin = Folder(path=str(tmp_path))
    assert isinstance(origin, Origin)
    facts = origin.facts()
    assert facts.counts == {"all": 4}
    assert facts.classes == ("9", "10")
    assert facts.labelled
    assert facts.shapes == {"image": ((6, 5, 1), "uint8")}
    cases, problems = read(origin)
    assert not problems
    assert [case["id"] for case in cases] == ["10/deep/er/ünï.png", "10/x.png", "9/a.jpg.png", "9/b.png"]
    for case in cases:
        check_case(case, where="test")
        assert case["group"] == case["id"]
        assert facts.classes[case["label"]] == case["id"].split("/")[0]
        np.testing.assert_array_equal(case["image"][..., 0], arrays[case["id"]])


@pytest.mark.parametrize("names", [("train", "validation", "test"), ("Training", "val", "Testing"), ("train", "test")])
def test_folders_named_like_splits_are_official_splits(tmp_path, names):
    tree(tmp_path, *(f"{name}/{label}/{number}.png" for name in names for label in "ab" for number in range(2)))
    facts = Folder(path=str(tmp_path)).facts()
    assert facts.counts == dict.fromkeys(("train", "validation", "test") if len(names) == 3 else names, 4)
    assert facts.classes == ("a", "b")
    assert next(Folder(path=str(tmp_path)).cases("train"))["id"] == f"{names[0]}/a/0.png"


def test_one_split_alone_parts_nothing_and_a_mixture_is_refused(tmp_path):
    tree(tmp_path, "train/a/0.png", "train/a/1.png", "train/b/0.png", "train/b/1.png")
    facts = Folder(path=str(tmp_path)).facts()
    assert facts.counts == {"all": 4}
    assert "'train' is the only split" in " ".join(facts.notes)
    tree(tmp_path, "test/a/0.png", "extra/a/0.png")
    with pytest.raises(InputError, match=r"'test', 'train' look like splits, but 'extra'"):
        Folder(path=str(tmp_path)).facts()


def test_what_is_no_image_is_noted_and_litter_is_not(tmp_path):
    tree(tmp_path, "a/0.png", "a/1.png", "b/0.png", "b/1.png", "a/.hidden.png", "__MACOSX/a/0.png")
    shutil.copy(tmp_path / "a/0.png", tmp_path / "b/scan.dat")  # an image in spite of its name
    for name in ("README.txt", "a/Thumbs.db", "b/.DS_Store", "a/bmi.csv"):
        (tmp_path / name).write_text("BMI,age")
    facts = Folder(path=str(tmp_path)).facts()
    assert facts.counts == {"all": 5}
    assert facts.classes == ("a", "b")
    assert facts.notes == (
        "2 files left out, being no images: README.txt, a/bmi.csv.",
        "1 file read as images in spite of their names: b/scan.dat.",
    )


def test_problems_of_a_tree_are_named(tmp_path):
    root = tmp_path / "scans"
    tree(root, "a/0.png", "a/1.png", "b/0.png", "b/1.png", "stray.png")
    outside = draw(tmp_path / "outside" / "x.png")
    assert outside.size
    (root / "a/out.png").symlink_to(tmp_path / "outside/x.png")
    (root / "a/nowhere.png").symlink_to(tmp_path / "nothing.png")
    (root / "a/twice.png").symlink_to(root / "a/0.png")
    (root / "c").symlink_to(tmp_path / "outside")
    (root / "b/empty.png").write_bytes(b"")
    (root / "b/cut.png").write_bytes((root / "b/0.png").read_bytes()[:60])
    draw(root / "b/deep.png", dtype=np.uint16)
    os.mkfifo(root / "b/pipe.png")
    (root / os.fsdecode(b"b/\xff.png")).write_bytes((root / "b/0.png").read_bytes())
    origin = Folder(path=str(root), on_error="skip")
    cases, problems = read(origin)
    assert [case["id"] for case in cases] == ["a/0.png", "a/1.png", "b/0.png", "b/1.png"]
    assert {problem.where: problem.what.split(",")[0].split(";")[0] for problem in problems} == {
        "a/nowhere.png": "a link that leads nowhere",
        "a/out.png": "a link that leads out of the folder",
        "a/twice.png": "the file 'a/twice.png' is already that of a/0.png",
        "b/cut.png": "it is damaged or cut short (Truncated File Read)",
        "b/deep.png": "16 bits a pixel where 8 are expected",
        "b/empty.png": "the file is empty (0 bytes)",
        "b/pipe.png": "there is no such file",
        "b/\\udcff.png": "its name is no text in UTF-8",
        "c": "links to folders are not followed",
        "stray.png": "it lies in no class folder",
    }
    assert origin.facts().counts == {"all": 14}  # the unusable ones included


def test_a_class_with_one_image_stops_or_is_left_out(tmp_path):
    tree(tmp_path, "a/0.png", "a/1.png", "b/0.png", "b/1.png", "rare/only.png")
    _, (problem,) = read(Folder(path=str(tmp_path)))
    assert problem.where == "rare/only.png"
    assert "only image of the class 'rare'" in problem.what
    origin = Folder(path=str(tmp_path), on_error="skip")
    cases, (problem,) = read(origin)
    assert len(cases) == 4
    assert origin.facts().classes == ("a", "b")
    assert "rare" in " ".join(origin.facts().notes)


def test_folders_that_leave_nothing_to_learn_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        Folder(path=str(tmp_path / "nothing")).facts()
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"there is no image.*\.txt"):
        Folder(path=str(tmp_path)).facts()
    with pytest.raises(InputError, match=r"no such folder|this is a file"):
        Folder(path=str(tmp_path / "notes.txt")).facts()
    draw(tmp_path / "x.png")
    with pytest.raises(InputError, match=r"in no class folder.*manifest"):
        Folder(path=str(tmp_path)).facts()
    tree(tmp_path, "set/a/0.png", "set/b/0.png", "set/a/1.png")
    with pytest.raises(InputError, match=r"only one class, 'set'; its folders are a, b: is 'set' the folder"):
        Folder(path=str(tmp_path)).facts()
    (tmp_path / "set" / "empty").mkdir()
    draw(tmp_path / "set/b/1.png")
    with pytest.raises(InputError, match="the class 'empty' has no image"):
        Folder(path=str(tmp_path / "set")).facts()
    facts = Folder(path=str(tmp_path / "set"), on_error="skip").facts()
    assert facts.classes == ("a", "b")
    assert "empty" in facts.notes[0]
    tree(tmp_path, "set/empty/0.png", "set/empty/1.png", "set/A/1.png", "set/A/2.png")
    with pytest.raises(InputError, match="'A' and 'a' differ by case"):
        Folder(path=str(tmp_path / "set")).facts()


def test_given_classes_are_in_the_order_given(tmp_path):
    tree(tmp_path, "a/0.png", "a/1.png", "b/0.png", "b/1.png")
    cases, _ = read(Folder(path=str(tmp_path), classes=("b", "a")))
    assert [case["label"] for case in cases] == [1, 1, 0, 0]
    with pytest.raises(InputError, match="'c' has no image"):
        Folder(path=str(tmp_path), classes=("b", "a", "c")).facts()
    draw(tmp_path / "c/0.png")
    with pytest.raises(InputError, match="'c' is none of the classes b, a"):
        Folder(path=str(tmp_path), classes=("b", "a")).facts()


def test_patients_are_found_in_the_path_and_kept_in_one_split(tmp_path):
    tree(tmp_path, *(f"train/{name}/p{k // 2}_{k}.png" for name in "ab" for k in range(4)), "test/a/p7_0.png")
    origin = Folder(path=str(tmp_path), group_pattern=r"/p(\d+)_")
    assert {case["group"] for case in origin.cases("train")} == {"0", "1"}
    draw(tmp_path / "test/a/p0_9.png")
    with pytest.raises(
        InputError, match=r"train/a/p0_0.png \(train\) and test/a/p0_9.png \(test\)|test/a/p0_9.png \(test\)"
    ):
        origin.facts()
    (tmp_path / "test/a/p0_9.png").rename(tmp_path / "test/a/none.png")
    _, (problem,) = read(origin)
    assert problem.where == "test/a/none.png"
    assert "group_pattern" in problem.what


def test_grey_beside_colour_asks_for_a_decision(tmp_path):
    tree(tmp_path, "a/0.png", "a/1.png", "b/0.png")
    draw(tmp_path / "b/1.png", colour=True)
    with pytest.raises(
        InputError, match=r"3 images are grey, such as 'a/0.png', and 1 are in colour, such as 'b/1.png'"
    ):
        Folder(path=str(tmp_path)).facts()
    cases, problems = read(Folder(path=str(tmp_path), channels=3))
    assert {case["image"].shape for case in cases} == {(6, 5, 3)}
    assert not problems
    cases, (problem,) = read(Folder(path=str(tmp_path), channels=1, on_error="skip"))
    assert {case["image"].shape for case in cases} == {(6, 5, 1)}
    assert len(cases) == 3
    assert problem.where == "b/1.png"
    assert "channels=3" in problem.what


def test_sizes_and_depths_may_differ_and_it_is_said(tmp_path):
    tree(tmp_path, "a/0.png", "a/1.png", "b/0.png")
    deep = draw(tmp_path / "b/1.png", size=(9, 7), dtype=np.uint16)
    origin = Folder(path=str(tmp_path), dtype="float32")
    facts = origin.facts()
    assert facts.shapes == {"image": ((None, None, 1), "float32")}
    assert facts.notes[0] == "2 sizes, from 6 x 5 to 9 x 7 (height x width)."
    assert "3 of 8, 1 of 16" in facts.notes[1]
    np.testing.assert_array_equal(list(origin.cases("all"))[-1]["image"][..., 0], deep.astype(np.float32))


# ---------------------------------------------------------------------------------------------------------------------
# Manifests
# ---------------------------------------------------------------------------------------------------------------------


def test_a_manifest_gives_ids_patients_splits_and_attributes(scans):
    header = ("path", "id", "group", "split", "label", "age", "site")
    rows = [
        (path, f"s{k}", f"p{k // 2}", "train" if k % 4 < 2 else "dev", label.upper() if k else "a", k or "NA", "north")
        for k, (path, label) in enumerate(ROWS)
    ]
    origin = replace(manifest(scans, header, *rows), attributes=("age", "site"))
    facts = origin.facts()
    assert facts.counts == {"train": 4, "validation": 4}
    assert facts.classes == ("A", "B")
    assert "'a' as 'A'" in facts.notes[0]
    assert facts.shapes["age"] == ((), "float32")
    assert facts.shapes["site"] == ((), "str")
    first, second = list(origin.cases("train"))[:2]
    assert first["id"] == "s0"
    assert first["group"] == "p0"
    assert first["label"] == 0
    assert first["site"] == "north"
    assert np.isnan(first["age"])
    assert second["age"] == 1.0
    np.testing.assert_array_equal(first["image"][..., 0], np.asarray(Image.open(scans / "a0.png")))
    assert replace(origin, split_column="", group_column="").facts().counts == {"all": 8}
    case = next(replace(origin, split_column="", group_column="").cases("all"))
    assert case["group"] == "s0"


def test_several_labels_with_unknown_ones(scans):
    rows = [(path, k % 2, "" if k == 3 else "1.0" if k > 4 else 0) for k, (path, _) in enumerate(ROWS)]
    origin = replace(manifest(scans, ("path", "x", "y"), *rows), target="labels", label_columns=("x", "y"))
    facts = origin.facts()
    assert facts.classes == ("x", "y")
    assert facts.shapes["labels"] == ((2,), "float32")
    assert not facts.labelled
    labels = np.stack([case["labels"] for case in origin.cases("all")])
    np.testing.assert_array_equal(labels[:, 0], np.arange(8) % 2)
    np.testing.assert_array_equal(labels[:, 1], [0, 0, 0, np.nan, 0, 1, 1, 1])
    rows[0], rows[1] = (rows[0][0], "-1", 0), (rows[1][0], "", "nan")
    origin = replace(origin, manifest=manifest(scans, ("path", "x", "y"), *rows).manifest)
    _, problems = read(origin)
    assert [str(problem) for problem in problems] == [
        "labels.csv, line 2: column 'x': '-1' where 0 or 1 is expected; leave it empty if unknown",
        "labels.csv, line 3: none of its labels is known",
    ]
    rows = [(path, 1, k % 2) for k, (path, _) in enumerate(ROWS)]
    manifest(scans, ("path", "x", "y"), *rows)
    with pytest.raises(InputError, match="column 'x': it is 1 wherever it is known"):
        origin.facts()


def test_values(scans):
    rows = [(path, k / 2) for k, (path, _) in enumerate(ROWS)]
    origin = replace(manifest(scans, ("path", "age"), *rows), target="value", value_column="age")
    assert origin.facts().shapes["value"] == ((), "float32")
    assert origin.facts().classes == ()
    assert [case["value"] for case in origin.cases("all")] == [k / 2 for k in range(8)]
    rows[:3] = [(rows[0][0], "2020-01-31"), (rows[1][0], ""), (rows[2][0], "1e60")]
    manifest(scans, ("path", "age"), *rows)
    _, problems = read(origin)
    assert [problem.where for problem in problems] == [f"labels.csv, line {line}" for line in (2, 3, 4)]
    assert "date" in problems[0].what
    assert "missing" in problems[1].what
    assert "too large" in problems[2].what
    manifest(scans, ("path", "age"), *((path, 3) for path, _ in ROWS))
    with pytest.raises(InputError, match="nothing can be learnt"):
        origin.facts()


def test_problems_of_a_manifest_are_named_by_row(scans, tmp_path):
    draw(tmp_path / "secret.png")
    (scans / "link.png").symlink_to(tmp_path / "secret.png")
    (scans / "empty.png").write_bytes(b"")
    bad = [
        ("../secret.png", "a"), (str(scans / "a0.png"), "a"), ("link.png", "a"), ("gone.png", "a"), ("", "a"),
        ("a0.png", "a"), ("b0.png", "a"), ("a\\0.png", "a"), (".", "a"), ("empty.png", "a"), ("a1.png", "", "x"),
        ("x" * 4000, "a"),
    ]  # fmt: skip
    origin = manifest(scans, HEADER, *ROWS, *bad)
    cases, problems = read(replace(origin, on_error="skip"))
    texts = dict((problem.where.removeprefix("labels.csv, line "), problem.what) for problem in problems)
    expected = {
        "10": "leaves the folder", "11": "is absolute", "12": "leads out of the folder", "13": "there is no file 'gone.png'",
        "14": "the path is empty", "15": "already that of labels.csv, line 2", "16": "also that of labels.csv, line 6",
        "6": "also that of labels.csv, line 16, with another target", "17": "write / between folders", "18": "is a folder",
        "19": "empty.png: the file is empty", "20": "3 cells where the header has 2", "21": "there is no file",
    }  # fmt: skip
    assert texts.keys() == expected.keys()
    for line, text in expected.items():
        assert text in texts[line]
    assert len(cases) == 7
    assert not any("secret" in str(case["id"]) for case in cases)


def test_ids_labels_splits_and_classes_of_rows(scans):
    header = ("id", *HEADER, "split")
    rows = [(f"s{k}", *row, "train" if k % 2 else "test") for k, row in enumerate(ROWS)]
    rows[2] = ("s1", "a2.png", "a", "test")
    rows[4] = ("s4", "b0.png", "NA", "test")
    rows[5] = ("", "b1.png", "b", "train")
    rows[6] = ("s6", "b2.png", "b", "hold-out")
    origin = manifest(scans, header, *rows)
    _, problems = read(replace(origin, classes=("a", "b")))
    assert sorted(str(problem).removeprefix("labels.csv, line ") for problem in problems) == [
        "4: the id 's1' is already that of labels.csv, line 3",
        "6: column 'label': the label is missing",
        "7: column 'id', which names the case, is empty",
        "8: column 'split': 'hold-out' is no split; write train, validation (val, valid, dev) or test, "
        "or leave the column out by split_column=''",
        "9: it is the only image of the class 'b' that can be used; to learn a class and to test it takes two at least",
    ]
    _, problems = read(replace(manifest(scans, HEADER, *ROWS[:-1], ("b3.png", "c")), classes=("a", "b")))
    assert [str(problem) for problem in problems] == [
        "labels.csv, line 9: column 'label': 'c' is none of the classes a, b"
    ]


def test_a_patient_in_two_splits_ends_everything_and_is_not_named(scans):
    rows = [(*row, "SMITH" if k in (1, 6) else f"p{k}", "test" if k == 6 else "train") for k, row in enumerate(ROWS)]
    origin = replace(manifest(scans, (*HEADER, "group", "split"), *rows), on_error="skip")
    with pytest.raises(
        InputError, match=r"line 3 \(train\) and labels.csv, line 8 \(test\) are of one patient"
    ) as error:
        origin.facts()
    assert "SMITH" not in str(error.value)


def test_where_the_manifest_and_its_images_may_lie(tmp_path):
    (tmp_path / "lists").mkdir()
    tree(tmp_path / "scans", *(path for path, _ in ROWS))
    manifest(tmp_path / "lists", HEADER, *ROWS)
    origin = Folder(path=str(tmp_path / "scans"), manifest=str(tmp_path / "lists/labels.csv"))
    assert origin.facts().counts == {"all": 8}
    draw(tmp_path / "lists/a0.png", seed=99)
    _, (problem,) = read(origin)
    assert "both in the folder of the images and in that of the manifest" in problem.what
    with pytest.raises(InputError, match=r"scans/none.csv: there is no such file"):
        replace(origin, manifest="none.csv").facts()
    with pytest.raises(InputError, match=r"this is a file; give its folder as path, and manifest='labels.csv'"):
        Folder(path=str(tmp_path / "lists/labels.csv")).facts()
    with pytest.raises(InputError, match=r"column 'file' is missing"):
        replace(origin, path_column="file").facts()


def test_labels_that_are_whole_numbers_are_sorted_by_value(scans):
    labels = ("10", "2.0", "2", "10.0", "0", "0", "2", "10")
    origin = manifest(scans, HEADER, *((path, label) for (path, _), label in zip(ROWS, labels, strict=True)))
    assert origin.facts().classes == ("0", "2", "10")
    assert [case["label"] for case in origin.cases("all")] == [2, 1, 1, 2, 0, 0, 1, 2]


def test_a_number_that_is_none_makes_an_attribute_text_and_is_noted(scans):
    rows = [(*row, "4O" if k == 2 else 40 + k) for k, row in enumerate(ROWS)]
    origin = replace(manifest(scans, (*HEADER, "age"), *rows), attributes=("age",))
    assert origin.facts().shapes["age"] == ((), "str")
    assert origin.facts().notes == (
        "'age' is kept as text: 7 of its cells are numbers, but labels.csv, line 4 says '4O'.",
    )


def test_a_column_of_numbers_is_no_class(scans):
    tree(scans, *(f"c{k}.png" for k in range(12)))
    with pytest.raises(InputError, match="occur only once; set target='value'"):
        manifest(scans, HEADER, *((f"c{k}.png", k / 7) for k in range(12))).facts()


# ---------------------------------------------------------------------------------------------------------------------
# Settings, fingerprint, preparation, prediction
# ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"target": "value"}, "manifest"),
        ({"target": "labels", "manifest": "m.csv"}, "label_columns"),
        ({"label_columns": ("x",), "manifest": "m.csv"}, "label_columns"),
        ({"attributes": ("group",), "manifest": "m.csv"}, "'group'"),
        ({"attributes": ("age",)}, "manifest"),
        ({"classes": ("a",)}, "two different"),
        ({"classes": ("a", "a")}, "two different"),
        ({"group_pattern": "("}, "no regular expression"),
        ({"group_pattern": "p(a)(b)"}, "one group"),
        ({"group_pattern": "p"}, "one group"),
        ({"group_pattern": "(p)", "group_column": "g"}, "not by both"),
    ],
)
def test_settings_that_contradict_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        Folder(path="x", **settings)


def test_a_configuration_can_hold_it():
    origin = Folder(path="x", manifest="m.csv", target="labels", label_columns=("a", "b"), channels=3, on_error="skip")
    assert config.decode(config.encode(origin)) == origin


def test_the_fingerprint_follows_files_and_settings_and_not_the_place(tmp_path, scans):
    tree(tmp_path / "one", "a/0.png", "a/1.png", "b/0.png", "b/1.png")
    origin = Folder(path=str(tmp_path / "one"))
    first = origin.fingerprint()
    assert replace(origin, channels=1).fingerprint() != first
    shutil.move(tmp_path / "one", tmp_path / "two")
    moved = Folder(path=str(tmp_path / "two"))
    assert moved.fingerprint() == first
    draw(tmp_path / "two/a/2.png")
    assert moved.fingerprint() != first
    (tmp_path / "two/a/2.png").unlink()
    assert moved.fingerprint() == first
    draw(tmp_path / "two/a/1.png", seed=5)
    assert moved.fingerprint() != first
    listed = manifest(scans, HEADER, *ROWS)
    before = listed.fingerprint()
    manifest(scans, HEADER, *ROWS[:-1], ("b3.png", "a"))
    assert listed.fingerprint() != before
    manifest(scans, HEADER, *ROWS)
    assert listed.fingerprint() == before  # its content counts, not when it was written
    draw(scans / "a0.png", seed=7)
    assert listed.fingerprint() != before


def test_prepared_data_lists_what_was_skipped(tmp_path):
    tree(tmp_path, "a/0.png", "a/1.png", "b/0.png", "b/1.png")
    (tmp_path / "b/2.png").write_bytes((tmp_path / "b/1.png").read_bytes()[:-30])
    with pytest.raises(InputError, match=r"b/2.png: it is damaged or cut short.*--on-error skip"):
        datasets.prepare("cut_folder", origin=Folder(path=str(tmp_path)))
    dataset = datasets.prepare("cut_folder", origin=Folder(path=str(tmp_path), on_error="skip"))
    assert dataset.splits == {"all": 4}
    assert [where for where, _ in dataset.skipped] == ["b/2.png"]


def test_prediction_from_disk_equals_the_predictions_of_the_run(tmp_path):
    import optax

    from medjax import external, run
    from medjax.data.split import HashedSplit
    from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Training
    from medjax.models import Perceptron
    from medjax.preprocess import resize
    from medjax.tasks import Classification

    root = tmp_path / "scans"
    for k in range(64):  # grey of 8 and 16 bits and colour of several sizes: channels and dtype have work to do
        name = root / "ab"[k % 2] / f"{k}.png"
        kind = k // 2 % 3
        draw(name, k, size=(8 + k % 3, 8), colour=kind == 1, dtype=np.uint16 if kind == 2 else np.uint8)
    experiment = Experiment(
        name="folder",
        data=Data(name="folder", origin=Folder(path=str(root), channels=3, dtype="float32"), splits=HashedSplit()),
        task=Classification(positive="a"),
        model=Perceptron(hidden=(4,)),
        preprocess=(partial(resize, shape=(8, 8)),),
        standardise=("image",),
        optimizer=Optimizer(transform=partial(optax.adam), learning_rate=0.01),
        training=Training(duration=Duration(steps=5), batch_size=8, log_every=5),
        evaluation=Evaluation(resamples=20, threshold=0.5),
    )
    run.train(experiment, tmp_path / "run")
    model = run.load(tmp_path / "run")
    with (tmp_path / "run/predictions/validation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > 3
    found = model.predict(external.read_inputs(model, [root / row["id"] for row in rows]))
    own = [[float(row["probability_a"]), float(row["probability_b"])] for row in rows]
    np.testing.assert_allclose(found.values[0], own, rtol=0, atol=1e-6)
    assert list(found.id) == [row["id"].split("/")[1] for row in rows]


def test_mednist(medjax_data, tmp_path):
    """Real images: six folders of JPEG, as they come out of the archive; some of each, since all take 5 seconds."""
    with tarfile.open(medjax_data / "image2d/mednist/mednist_600x6.tar") as archive:
        members = [member for member in archive.getmembers() if member.name.endswith("7.jpeg")]
        archive.extractall(tmp_path, members, filter="data")
    (root,) = {tmp_path / member.name.split("/")[0] for member in members if member.name.count("/") > 1} or {tmp_path}
    origin = Folder(path=str(root))
    facts = origin.facts()
    assert facts.classes == ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
    assert facts.shapes == {"image": ((64, 64, 1), "uint8")}
    assert facts.counts == {"all": len(members)}
    cases, problems = read(origin)
    assert not problems
    assert len(cases) == len(members) > 300
    means = [np.mean([case["image"].mean() for case in cases if case["label"] == label]) for label in range(6)]
    assert np.argmin(means) == 1  # breast MRI is dark; labels and pixels belong together
