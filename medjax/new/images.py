"""An experiment for one's own images."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from medjax.data import dataset as datasets
from medjax.data.dataset import Dataset, open_split
from medjax.data.origin import OnError
from medjax.data.origins.folder import Folder
from medjax.data.readers.columns import inspect
from medjax.errors import InputError
from medjax.new import choices
from medjax.new.draft import Choice, Draft, changed, comment
from medjax.new.table import kind_of
from medjax.report import contents
from medjax.report.contents import Contents

SIDES = (28, 32, 48, 64)
KEPT = 96  # the largest side that is kept as it is where all images agree; larger ones cost minutes an epoch on a CPU
SEEN = 12_000  # images that training sees: some minutes on two processor cores


def draft(
    name: str, path: Path, target: str | None, group: str | None, positive: str | None, on_error: OnError
) -> Draft:
    """Look at a folder of images, or at a manifest, and draft an experiment.

    Raises:
        InputError: whatever makes the images unusable.
    """
    origin, why = _origin(path, target, group, on_error)
    origin, dataset, reasons = _prepared(name, origin)
    whole = contents.merge(contents.read(open_split(dataset, split)) for split in dataset.splits if split != "test")
    targets = _targets(dataset, origin.target)
    counts = np.bincount(targets, minlength=len(dataset.classes)) if origin.target == "label" else np.zeros(0, int)
    spec, splits_why = choices.splits(dataset, None if dataset.official else choices.strata_of(_strata(targets)))
    splits_code, splits_import = choices.splits_code(spec)
    cases, chooses = choices.training_cases(dataset, spec), choices.chooses(dataset, spec)
    shape, shape_why = _shape(whole)
    side = max(shape)
    batch = choices.batch(cases, 64)
    epochs = choices.epochs(cases, SEEN, 4, 60)
    task, task_why, task_name = _task(dataset, origin, counts, positive)
    primary = {"Ordinal": "quadratic_weighted_kappa", "Regression": "mean_absolute_error"}.get(task_name, "auroc")
    low, high = (0.0, 255.0) if origin.dtype == "uint8" else (whole.low["image"], whole.high["image"])
    steps = [f"partial(rescale, low={float(low)!r}, high={float(high)!r}),"]
    if shape_why:
        steps.append(f"partial(resize, shape={shape}),")
    every = max(1, epochs // 10)
    training = [f"duration=Duration(epochs={epochs}.0)", f"batch_size={batch}"]
    if chooses:
        training += [f"evaluate_every=Duration(epochs={every}.0)", f'select="{primary}"', "ema=0.99"]
    data = [
        "Data(",
        f'    name="{name}",',
        "    origin=" + changed(origin, reasons | why).replace("\n", "\n    ") + ",",
        '    inputs=("image",),',
        *comment(splits_why),
        f"    splits={splits_code},",
        ")",
    ]
    stem = "cifar" if side <= 40 else "standard"
    kept = "Exposure and position differ between machines, so they are varied."
    return Draft(
        name=name,
        title=f"{name}: {_what(dataset, origin)}",
        book=(
            f"data      {len(dataset.index)} images"
            + (f", {len(dataset.skipped)} left out" if dataset.skipped else ""),
            *(f"          {class_name} {count}" for class_name, count in zip(dataset.classes, counts, strict=False)),
            "score     (write here what the run printed, and the commit)",
        ),
        imports=(
            "from functools import partial",
            "import optax",
            "from medjax.augment import random_affine, random_brightness_contrast",
            "from medjax.data.origins import Folder",
            *splits_import,
            "from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training",
            "from medjax.models import ResNet",
            f"from medjax.preprocess import {'rescale, resize' if shape_why else 'rescale'}",
            f"from medjax.tasks import {task_name}",
            "from medjax.training.schedule import cosine",
        ),
        choices=(
            Choice("name", f'"{name}"'),
            Choice("data", "\n".join(data)),
            Choice("task", task, task_why),
            Choice(
                "model",
                f'ResNet(depth=18, dimensions=2, stem="{stem}", normalisation="group", width=32)',
                f"Half the usual width, for speed; the {stem} stem suits {side} pixels. width=64 learns more from more cases.",
            ),
            Choice("preprocess", "\n".join(["(", *(f"    {step}" for step in steps), ")"]), shape_why),
            Choice("standardise", '("image",)', "With the mean and deviation of the training cases."),
            Choice(
                "augment",
                "(\n    partial(random_affine, rotation=10.0, scale=0.1, translation=0.07),\n"
                "    partial(random_brightness_contrast, brightness=0.1, contrast=0.2),\n)",
                f"{kept} No flip: left and right mean something in most of medicine; where they do not, add random_flip.",
            ),
            Choice(
                "optimizer",
                "Optimizer(\n    transform=partial(optax.adamw, weight_decay=0.05),\n    learning_rate=2e-3,\n"
                "    schedule=partial(cosine, warmup=0.1),\n    clip=1.0,\n)",
            ),
            Choice(
                "training",
                f"Training({', '.join(training)})",
                f"About {cases} cases to learn from: {epochs} epochs show {cases * epochs:,} images."
                + ("" if chooses else " Nothing is selected, since no cases are set aside for choosing."),
            ),
            choices.seeds(
                1, "One seed to begin with; three or more tell the spread of training apart from that of patients."
            ),
            Choice("evaluation", f'Evaluation(primary="{primary}")'),
        ),
        notes=(
            *dataset.notes,
            *(f"left out: {where}: {what}" for where, what in dataset.skipped[:20]),
            *(choices.rare_note(dataset.classes, counts) if origin.target == "label" else ()),
        ),
    )


def _origin(path: Path, target: str | None, group: str | None, on_error: OnError) -> tuple[Folder, dict[str, str]]:
    """Point at a folder, or read a manifest's header for its columns."""
    if path.is_dir():
        if target is not None:
            raise InputError("--target names a column; with a folder of images the folders are the classes")
        why = {"group_pattern": "Finds the patient in the path."} if group else {}
        return Folder(path=path.as_posix(), group_pattern=group or "", on_error=on_error), why
    if not path.exists():
        raise InputError(f"--images {path}: there is no such folder or file")
    columns = {column.name: column for column in inspect(path)}
    names = [name.strip() for name in target.split(",")] if target else []
    names = names or [name for name in ("label", "class", "diagnosis", "target") if name in columns][:1]
    place = next((name for name in ("path", "file", "filename", "image", "image_path") if name in columns), None)
    if place is None or not names:
        lacks = "the path of the image (path, file, filename, image)" if place is None else "the label: give --target"
        raise InputError(f"{path}: no column is known to hold {lacks}. Its columns are {', '.join(columns)}.")
    for given in (*names, group):
        if given and given not in columns:
            raise InputError(f"{path}: there is no column {given!r}. Its columns are {', '.join(columns)}.")
    origin = Folder(
        path=path.parent.as_posix(), manifest=path.name, path_column=place, group_column=group, on_error=on_error
    )
    if len(names) > 1:
        why = {"label_columns": "Findings that may be present at once: 1, 0, or empty where unknown."}
        return replace(origin, target="labels", label_columns=tuple(names)), why
    kind, _ = kind_of(columns[names[0]])
    if kind == "value":
        return replace(origin, target="value", value_column=names[0]), {}
    return replace(origin, label_column=names[0]), {}


def _prepared(name: str, origin: Folder) -> tuple[Folder, Dataset, dict[str, str]]:
    """Prepare the images as they are; where they differ in colour or depth, in the one way that takes all of them."""
    ways: Iterator[tuple[Folder, dict[str, str]]] = iter(
        [
            (origin, {}),
            (replace(origin, dtype="float32"), {"dtype": "Some images are deeper than eight bits; all bits are kept."}),
            (replace(origin, channels=3), {"channels": "Grey and colour are mixed; grey is repeated in all three."}),
        ]
    )
    first: InputError | None = None
    for way, reasons in ways:
        try:
            return way, datasets.prepare(name, origin=way), reasons
        except InputError as error:
            first = first or error
    raise first or InputError("there is nothing to prepare")


def _targets(dataset: Dataset, key: str) -> np.ndarray:
    """The targets of every case outside a sealed test set, in the order of the index."""
    found = []
    for split in dataset.splits:
        if split != "test":
            source = open_split(dataset, split)
            found += [source[row][key] for row in range(len(source))]
    return np.asarray(found)


def _strata(targets: np.ndarray) -> np.ndarray:
    """Classes and values as they are; of findings the one that is nearest to half of the cases."""
    if targets.ndim == 1:
        return targets
    shares = np.nanmean(targets, axis=0)
    return np.nan_to_num(targets[:, int(np.argmin(np.abs(shares - 0.5)))]).astype(int)


def _shape(whole: Contents) -> tuple[tuple[int, int], str]:
    """Choose the size that the images are brought to; no reason where they keep their own."""
    sizes = np.array([shape[:2] for shape in whole.shapes["image"].elements()])
    same = bool((sizes == sizes[0]).all())
    if same and sizes[0].max() <= KEPT:
        return (int(sizes[0][0]), int(sizes[0][1])), ""
    middle = float(np.median(sizes.min(axis=1)))
    side = max([one for one in SIDES if one <= middle], default=SIDES[0])
    low, high = sizes.min(0), sizes.max(0)
    found = f"All images have {low[0]} x {low[1]} pixels" if same else (
        f"The images have {low[0]} x {low[1]} to {high[0]} x {high[1]} pixels"
    )  # fmt: skip
    why = f"{found}; {side} x {side} trains in minutes on a CPU. Fine detail needs more: raise it on an accelerator."
    return (side, side), why if same else why + " Sides of different length are brought to a square."


def _task(dataset: Dataset, origin: Folder, counts: np.ndarray, positive: str | None) -> tuple[str, str, str]:
    """Return the task as Python, the reason, and its name."""
    if origin.target == "labels":
        return "MultiLabel()", "Several findings may be present at once.", "MultiLabel"
    if origin.target == "value":
        return "Regression()", "", "Regression"
    settings, why = [], ""
    grades = [int(name) for name in dataset.classes if name.isdecimal()]
    if len(grades) == len(dataset.classes) > 2 and grades == list(range(grades[0], grades[0] + len(grades))):
        why = f"{grades[0]} to {grades[-1]} are taken for ordered grades; if they are mere names, use Classification()."
        return "Ordinal()", why, "Ordinal"
    if len(dataset.classes) == 2:
        chosen, why = choices.positive(dataset.classes, counts.tolist(), positive)
        settings.append(f"positive={chosen!r}".replace("'", '"'))
    elif positive is not None:
        raise InputError(f"--positive is for two classes; there are {len(dataset.classes)}")
    if counts.max() > 3 * max(counts.min(), 1):
        settings.append('class_weights="balanced"')
        why += f" The classes are uneven ({counts.min()} to {counts.max()} cases), so the rarer ones weigh more."
    return f"Classification({', '.join(settings)})", why.strip(), "Classification"


def _what(dataset: Dataset, origin: Folder) -> str:
    if origin.target == "value":
        return f"a number from {len(dataset.index)} images."
    names = ", ".join(dataset.classes[:6]) + (", ..." if len(dataset.classes) > 6 else "")
    return f"{len(dataset.index)} images, {len(dataset.classes)} classes ({names})."
