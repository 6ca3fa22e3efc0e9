"""`medjax new` on images: from a folder or a manifest to an experiment that trains."""

import numpy as np
import pytest
from PIL import Image

from medjax import config, new
from medjax.data.split import Folds
from medjax.errors import InputError
from medjax.tasks import MultiLabel, Ordinal, Regression


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEDJAX_CACHE", str(tmp_path / "cache"))


def folder(root, classes=("normal", "sick"), count=12, size=(20, 20), dtype=np.uint8, seed=0):
    draw = np.random.default_rng(seed)
    for k, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            shape = size(number) if callable(size) else size
            pixels = draw.integers(0, 100 + 100 * (k > 0), shape)
            scale = 200 if dtype == np.uint16 else 1
            Image.fromarray((pixels * scale).astype(dtype)).save(root / name / f"P{number // 2}_{number}.png")
    return root


def written(name="mine", **settings):
    file, notes = new.write(name, **settings)
    return config.load_experiment(file), file.read_text(), notes


def test_small_images_of_one_size_stay_as_they_are(tmp_path):
    experiment, text, _ = written(images=folder(tmp_path / "scans"))
    assert experiment.model.stem == "cifar"
    assert len(experiment.preprocess) == 1  # rescale alone
    assert experiment.task.positive == "sick"
    assert "Guessed from its name: sensitivity and PPV are about 'sick'" in text
    assert isinstance(experiment.data.splits, Folds)


def test_large_images_and_mixed_sizes_are_resized(tmp_path):
    mixed = folder(tmp_path / "mixed", size=lambda number: (100 + number % 4, 130))
    experiment, text, _ = written(images=mixed)
    assert experiment.preprocess[1].keywords["shape"] == (64, 64)
    assert "100 x 130 to 103 x 130 pixels" in text


def test_deep_images_keep_their_bits(tmp_path):
    experiment, text, _ = written(images=folder(tmp_path / "deep", dtype=np.uint16))
    assert experiment.data.origin.dtype == "float32"
    assert experiment.preprocess[0].keywords["high"] > 255
    assert "deeper than eight bits" in text


def test_grey_and_colour_become_colour(tmp_path):
    root = folder(tmp_path / "scans")
    Image.fromarray(np.full((20, 20, 3), [9, 90, 200], np.uint8)).save(root / "sick" / "colour.png")
    experiment, text, _ = written(images=root)
    assert experiment.data.origin.channels == 3
    assert "Grey and colour are mixed" in text


def test_a_pattern_finds_the_patients(tmp_path):
    _, text, _ = written(images=folder(tmp_path / "scans"), group=r"/(P[0-9]+)_")
    assert "6 patients" in text


def test_a_manifest_names_its_columns(tmp_path):
    root = folder(tmp_path / "scans")
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = ["file,diagnosis,person"] + [f"{name},{name.split('/')[0]},{k // 2}" for k, name in enumerate(files)]
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    experiment, text, _ = written(images=root / "list.csv", group="person")
    origin = experiment.data.origin
    assert (origin.path_column, origin.label_column, origin.group_column) == ("file", "diagnosis", "person")
    assert "12 patients" in text
    with pytest.raises(InputError, match="there is no column 'persn'"):
        written("other", images=root / "list.csv", group="persn")


@pytest.mark.parametrize(
    ("target", "cells", "task", "primary"),
    [
        ("size", [f"{0.5 + 0.37 * k:.2f}" for k in range(24)], Regression(), "mean_absolute_error"),
        ("grade", [k % 3 for k in range(24)], Ordinal(), "quadratic_weighted_kappa"),
        ("a,b", [f"{k % 2},{'' if k == 3 else k // 12}" for k in range(24)], MultiLabel(), "auroc"),
    ],
)
def test_a_list_of_images_may_hold_values_grades_or_findings(tmp_path, target, cells, task, primary):
    root = folder(tmp_path / "scans")
    files = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.png"))
    lines = [f"path,{target}"] + [f"{name},{cell}" for name, cell in zip(files, cells, strict=True)]
    (root / "list.csv").write_text("\n".join(lines) + "\n")
    experiment, _, _ = written(images=root / "list.csv", target=target)
    assert experiment.task == task
    assert experiment.evaluation.primary == primary


def test_an_image_that_cannot_be_read_stops_or_is_left_out(tmp_path):
    root = folder(tmp_path / "scans")
    (root / "sick" / "broken.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"broken.png.*--on-error skip"):
        written(images=root)
    assert not (tmp_path / "configs").exists()
    experiment, _, notes = written(images=root, on_error="skip")
    assert any("broken.png" in note for note in notes)
    assert experiment.data.origin.on_error == "skip"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"images": "nowhere"}, "there is no such folder or file"),
        ({"target": "label"}, "the folders are the classes"),
        ({"positive": "ill"}, "--positive 'ill' is none of the classes"),
    ],
)
def test_mistakes_are_named(tmp_path, settings, message):
    root = folder(tmp_path / "scans")
    settings = {"images": root} | settings
    settings["images"] = tmp_path / settings["images"]
    with pytest.raises(InputError, match=message):
        new.write("mine", **settings)


def test_what_is_written_trains_to_a_result(tmp_path):
    from medjax import run
    from medjax.report.screen import Silent

    experiment, _, _ = written(images=folder(tmp_path / "scans", count=30))
    changes = [
        "training.duration.epochs=2",
        'model={"class": "medjax.models.Perceptron", "hidden": [4]}',
        "data.splits.count=2",
        "evaluation.resamples=50",
    ]
    (evaluation,) = run.train(config.override(experiment, changes), tmp_path / "run", screen=Silent()).values()
    assert evaluation["metrics"]["auroc"]["estimate"] is not None
