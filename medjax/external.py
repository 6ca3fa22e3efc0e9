"""Cases from outside: files to predict, and other data sets to validate a run on."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medjax.data import dataset as datasets
from medjax.data.case import Case
from medjax.data.origins import Events, Folder
from medjax.data.origins.elsewhere import images_to_judge, images_to_predict
from medjax.data.origins.table import Table, read_cases
from medjax.data.origins.table import unknown_levels as table_unknown_levels
from medjax.data.readers.images import read_images
from medjax.data.readers.npz import read_npz
from medjax.data.readers.table import read_table
from medjax.data.source import MemorySource, Source, concatenate
from medjax.errors import InputError
from medjax.evidence.predictions import Predictions, ensemble, outputs
from medjax.metrics.ordinal import median_grade
from medjax.metrics.survival import predicted_median, predicted_restricted_mean
from medjax.predictor import Predictor, shapes
from medjax.segmentation.label_files import labelled_files

TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
"""Ends of the names of files that are read as tables."""


def read_inputs(model: Predictor, paths: Sequence[Path]) -> list[Case]:
    """Read files to predict: image files, an npz, a CSV of table rows, a folder of events; for images also lists of them.

    Several of a kind may be given.

    Raises:
        InputError: a missing or broken file, by its name.
    """
    cases: list[Case] = []
    images, origin = [], model.experiment.data.origin
    for path in paths:
        if isinstance(origin, Events):
            cases += _read_events(model, origin, path)
        elif path.suffix.lower() == ".npz":
            cases += read_npz(path)
        elif _holds_images(model, path):
            cases += images_to_predict(_folder(model, path), path, _channels(model))
        elif path.name.lower().endswith(TABLES):
            cases += _read_rows(model, path)
        else:
            images.append(path)
    if images:
        # One's own images were trained on with these settings; another conversion would be another picture.
        own = isinstance(origin, Folder)
        cases += read_images(images, origin.channels, origin.dtype) if own else read_images(images)
    names = [case["id"] for case in cases]
    repeated = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if repeated:
        raise InputError(f"the id '{min(repeated)}' occurs more than once among the inputs; give each case its own id")
    return cases


def unknown_levels(model: Predictor, paths: Sequence[Path]) -> list[str]:
    """Say which cells of tables to predict are of a category that the run's own table does not know, a line a column."""
    origin = model.experiment.data.origin
    if not isinstance(origin, Table):
        return []
    tables = [path for path in paths if path.name.lower().endswith(TABLES)]
    excluded = model.experiment.data.exclude
    return [f"{path}: {note}" for path in tables for note in table_unknown_levels(origin, path, excluded)]


def cases(model: Predictor, name: str, target: str | None = None, data_dir: Path | None = None) -> Source:
    """Return labelled cases for external validation: from an npz, a CSV, a folder, or a data set (all of its splits).

    Args:
        model: the run that will be judged.
        name: a file or folder, or the name of a data set. A run on images takes a folder for each class, or a CSV that
            lists images.
        target: the CSV's target column; None: that of the run's own table, else the run's target key.
        data_dir: folder of original data files.
    """
    path, task = Path(name), model.experiment.task
    if task.kind == "segmentation" and path.exists():
        return labelled_files(model, path)
    if path.suffix.lower() == ".npz":
        return MemorySource(read_npz(path))
    if _holds_images(model, path):
        return MemorySource(images_to_judge(_folder(model, path), path, task.classes, _channels(model)))
    if path.name.lower().endswith(TABLES):
        origin = model.experiment.data.origin
        own = origin.target if isinstance(origin, Table) else task.target
        return MemorySource(_read_rows(model, path, target or own))
    if path.is_dir() or len(Path(name.removeprefix("medmnist/")).parts) > 1:  # no data set has such a name
        why = "holds nothing that this run can read" if path.exists() else "there is no such file or folder"
        raise InputError(
            f"--data {name}: {why}; give a CSV, an npz, a folder or list of images to a run on images, or the name of a data set"
        )
    dataset = datasets.prepare(name, data_dir)
    if dataset.name == model.record["data"]["name"]:
        raise InputError(f"'{name}' is the data that this run was trained on; --data is for other data, use --split")
    if task.classes and dataset.classes != task.classes:
        raise InputError(
            f"'{name}' has the classes {', '.join(dataset.classes)}, but this run knows {', '.join(task.classes)}; "
            "external validation needs the same classes"
        )
    return concatenate([datasets.open_split(dataset, split) for split in dataset.splits])


def _holds_images(model: Predictor, path: Path) -> bool:
    """Whether a folder or a CSV is one of images: of a run that takes images and no table."""
    inputs = model.experiment.data.inputs
    return "image" in inputs and "table" not in inputs and (path.is_dir() or path.name.lower().endswith(TABLES))


def _folder(model: Predictor, path: Path) -> Folder:
    """How the run's own images were read; a run on a public data set reads folders and lists of the usual form."""
    origin = model.experiment.data.origin
    return origin if isinstance(origin, Folder) else Folder(path=str(path))


def _channels(model: Predictor) -> int:
    return shapes(model.record)["image"].shape[-1]


def _read_rows(model: Predictor, path: Path, target: str | None = None) -> list[Case]:
    """Read a CSV. Columns that the model must not see are not read: known too late, they may not even be there.

    A run that learnt from a table of one's own reads every other one in the same way: levels, codes, missing words.
    """
    columns, excluded = model.record["data"]["columns"], model.experiment.data.exclude
    origin, task = model.experiment.data.origin, model.experiment.task
    classes = () if task.kind == "survival" else task.classes
    if isinstance(origin, Table):
        return read_cases(origin, path, target, classes, excluded)
    kept = np.array([name not in excluded for name in columns], bool)
    names = [name for name, keep in zip(columns, kept, strict=True) if keep]
    if task.kind == "survival" and target:
        rows = read_cases(Table(str(path), target, kind="survival", event="event", numeric=tuple(names)), path, target)
    else:
        rows = read_table(path, names, target, classes)
    for case in rows:
        table = np.full(len(columns), np.nan, np.float32)  # the pipeline drops the excluded ones by position
        table[kept] = case["table"]
        case["table"] = table
    return rows


def _read_events(model: Predictor, origin: Events, path: Path) -> list[Case]:
    """Read a folder of tables that have the names of those that the run learnt from."""
    if not path.is_dir():
        names = ", ".join(dict.fromkeys(Path(one.path).name for one in (origin.stays, *origin.tables)))
        raise InputError(f"{path}: a run on events predicts the stays of a folder that holds {names}")
    return origin.elsewhere(path, model.record["data"]["codes"], model.experiment.data.exclude)


def prediction_csv(model: Predictor, predictions: Predictions) -> str:
    """Return predictions as CSV: id, the mean over the replicates, and the spread between them where there are several.

    With two classes the predicted class follows the run's frozen threshold, of more it is the most probable one, of
    grades the median. Of several labels those at or above the threshold are listed, separated by "; ". Quantiles follow
    the predicted value in columns of their own. Times to an event: the median time, empty where the curve ends before it,
    and the mean time free of the event up to the task's `until`, both of the mean curve, then risk and survival; with
    competing causes the risks and incidences alone.
    """
    mean, several = ensemble(predictions), len(predictions.values) > 1
    spread = predictions.values.std(axis=0, ddof=1) if several else None
    names, chosen = outputs(predictions), _chosen(model, predictions, mean)
    header = ["id", *([] if chosen is None else ["prediction"]), *names]
    of_times = _times(predictions, mean)
    header[1:1] = of_times
    if several:
        header += [f"{name}_standard_deviation" for name in names]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for row, name in enumerate(predictions.id):
        cells = [repr(float(value)) for value in mean[row]]
        if chosen is not None:
            cells.insert(0, chosen[row])
        cells[:0] = [repr(float(values[row])) if np.isfinite(values[row]) else "" for values in of_times.values()]
        if spread is not None:
            cells += [repr(float(value)) for value in spread[row]]
        writer.writerow([name, *cells])
    return out.getvalue()


def _times(predictions: Predictions, mean: np.ndarray) -> dict[str, np.ndarray]:
    """Median and restricted mean of predicted curves, by column; {} where nothing has one curve."""
    if predictions.kind != "survival" or predictions.classes:
        return {}
    times = np.asarray(predictions.times)
    until = f"{times[-1]:g}"
    return {
        "median": predicted_median(mean[:, 1:], times),
        f"mean_until_{until}": predicted_restricted_mean(mean[:, 1:], times, float(times[-1])),
    }


def _chosen(model: Predictor, predictions: Predictions, mean: np.ndarray) -> list[str] | None:
    """The predicted class, grade or labels of each case, in words; None where a value is predicted."""
    kind, classes, positive = predictions.kind, predictions.classes, model.experiment.task.positive_index
    if kind in ("value", "survival"):
        return None
    if kind == "labels":
        said = mean >= model.record["plan"]["threshold"]
        return ["; ".join(name for name, yes in zip(classes, row, strict=True) if yes) for row in said]
    chosen = median_grade(mean) if kind == "grade" else mean.argmax(-1)
    if positive is not None and len(classes) == 2:
        chosen = np.where(mean[:, positive] >= model.record["plan"]["threshold"], positive, 1 - positive)
    return [classes[int(number)] for number in chosen]
