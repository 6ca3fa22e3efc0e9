"""Evidence for tables of predictions, whoever made them: `medjax evaluate --predictions` and `medjax compare`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from medjax import folder
from medjax.errors import InputError
from medjax.evidence.contest import contest
from medjax.evidence.evaluation import evaluate
from medjax.evidence.prediction_files import read_csv
from medjax.evidence.predictions import Predictions

FEWEST = 10  # cases: below, no number would say anything
PRIMARY = {
    "probability": "auroc",
    "labels": "auroc",
    "grade": "quadratic_weighted_kappa",
    "value": "mean_absolute_error",
    "segmentation": "dice",
    "survival": "concordance_index",
}


def evaluate_file(
    path: Path | str,
    *,
    positive: str | None = None,
    threshold: float = 0.5,
    primary: str | None = None,
    prevalences: Sequence[float] = (),
    horizons: Sequence[float] = (),
    resamples: int = 2000,
) -> dict[str, Any]:
    """Judge a table of predictions as a run's own are judged.

    Args:
        path: the CSV; see `medjax.evidence.prediction_files.read_csv` for its columns.
        positive: name of the positive class, which two classes need.
        threshold: probability from which a case is called positive; it must not have been chosen on these cases.
        primary: the one declared primary metric; None: AUROC, weighted kappa of grades, mean absolute error of values.
        prevalences: at which PPV and NPV are stated as well.
        horizons: of times to an event, the times at which AUROC, Brier score and calibration are stated; of those at which
            the file gives curves.
        resamples: bootstrap resamples.

    Returns:
        What a run writes as `evaluation/<split>.json`.

    Raises:
        InputError: a mistake in the file (with row and case), fewer than 10 cases with a target, one class only.
    """
    predictions = at_horizons(read_csv(path), horizons, str(path))
    index = positive_index(predictions, positive, str(path))
    if not 0.0 <= threshold <= 1.0:
        raise InputError(f"--threshold {threshold} lies outside 0 to 1")
    if outside := [one for one in prevalences if not 0.0 < one < 1.0]:
        raise InputError(f"--prevalence {outside[0]:g} must lie between 0 and 1")
    if prevalences and index is None:
        raise InputError(f"{path}: --prevalence is for two classes, of which one is positive")
    check_cases(predictions, str(path))
    result = evaluate(
        predictions,
        positive=index,
        threshold=threshold,
        primary=primary or _default_primary(predictions),
        resamples=resamples,
        prevalences=tuple(prevalences),
    )
    several = len(predictions.classes) == 2 and predictions.kind == "probability"
    about: dict[str, Any] = {
        "title": Path(path).name,
        "validation": "predictions from a file; how the model, the cases and the threshold were chosen is not known here",
        "split": "file",
        "seeds": len(predictions.seed),
    }
    if several:
        about["positive"] = positive
    if np.any(predictions.fold >= 0):
        about["folds"] = len(np.unique(predictions.fold))
    if np.array_equal(predictions.id, predictions.group):
        about["patients"] = "patients unknown (taken as independent)"
    return {"about": about, **result}


def compare(
    paths: Sequence[Path],
    *,
    split: str | None = None,
    primary: str | None = None,
    positive: str | None = None,
    margin: float | None = None,
    reference: str | None = None,
    horizons: Sequence[float] = (),
    resamples: int = 2000,
) -> dict[str, Any]:
    """Compare runs, or tables of predictions, on the same cases.

    Args:
        paths: run folders, each judged at the threshold that it froze, and CSV files, judged at .5.
        split: whose predictions of the runs; None: the first of out_of_fold, test and validation that all of them have.
        primary: the one declared primary metric; None: that of the first run, else AUROC or its like.
        positive: name of the positive class; None: that of the first run.
        margin: the largest loss of the primary metric that would be acceptable, stated beforehand.
        reference: the path with which all others are compared; None: every pair.
        horizons: of times to an event, see `evaluate_file`; empty: those of the first run.
        resamples: bootstrap resamples.

    Returns:
        What `medjax.evidence.contest.contest` gives, with `about`.

    Raises:
        InputError: no such run, file or split; other cases, targets, patients or folds.
    """
    names = _names(paths)
    split = split or _common_split([path for path in paths if path.is_dir()])
    entries, thresholds, told = {}, {}, {}
    for name, path in names.items():
        if not path.is_dir():
            entries[name], thresholds[name] = read_csv(path), 0.5
            continue
        record = folder.read_json(path / folder.RECORD)
        if "plan" not in record:
            raise InputError(f"{path}: this run is not finished; the command that started it continues it")
        file = path / folder.predictions(str(split))
        if not file.exists():
            raise InputError(
                f"{path}: it has no predictions of '{split}'; medjax evaluate {path} --split {split} makes them"
            )
        entries[name], thresholds[name] = read_csv(file), float(record["plan"]["threshold"])
        own = folder.read_json(path / folder.evaluation(str(split)))
        told = told or {
            "primary": own.get("primary"),
            "positive": own.get("about", {}).get("positive"),
            "horizons": own.get("counts", {}).get("horizons", ()),
        }
    entries = {name: at_horizons(one, horizons or told.get("horizons", ()), name) for name, one in entries.items()}
    first = next(iter(entries.values()))
    two = first.kind == "probability" and len(first.classes) == 2
    positive = positive or (told.get("positive") if two else None)
    if reference is not None:
        reference = next((name for name, path in names.items() if reference in (name, str(path))), reference)
    result = contest(
        entries,
        primary=primary or told.get("primary") or _default_primary(first),
        positive=positive_index(first, positive, next(iter(names))),
        thresholds=thresholds,
        margin=margin,
        reference=reference,
        resamples=resamples,
    )
    return {"about": {"split": split, "positive": positive}, **result}


def _default_primary(predictions: Predictions) -> str:
    """The usual metric of a kind; with competing causes that of the first."""
    name = PRIMARY[predictions.kind]
    return f"{name}_{predictions.classes[0]}" if predictions.kind == "survival" and predictions.classes else name


def _names(paths: Sequence[Path]) -> dict[str, Path]:
    """Name each path by its last part, or in full where two have the same."""
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: no such run folder or predictions file")
    short = [path.stem if path.is_file() else path.resolve().name for path in paths]
    if len(set(short)) < len(short):
        short = [str(path) for path in paths]
    if len(set(short)) < len(short):
        raise InputError(f"comparison: {next(name for name in short if short.count(name) > 1)} is named twice")
    return dict(zip(short, paths, strict=True))


def _common_split(runs: Sequence[Path]) -> str | None:
    if not runs:
        return None
    for split in ("out_of_fold", "test", "validation"):
        if all((run / folder.predictions(split)).exists() for run in runs):
            return split
    have = "; ".join(
        f"{run}: {', '.join(sorted(file.stem for file in (run / 'predictions').glob('*.csv'))) or 'none'}"
        for run in runs
    )
    raise InputError(
        f"comparison: the runs share no split with predictions ({have}); give --split, or evaluate them on one"
    )


def positive_index(predictions: Predictions, positive: str | None, where: str) -> int | None:
    """Return the position of the positive class; None where there are not two classes.

    Raises:
        InputError: it is not named, named though it plays no part, or none of the classes.
    """
    classes = ", ".join(predictions.classes)
    if predictions.kind != "probability" or len(predictions.classes) != 2:
        if positive is not None:
            raise InputError(f"{where}: --positive is for two classes; these predictions have {classes or 'values'}")
        return None
    if positive is None:
        raise InputError(
            f"{where}: say which of the two classes is the positive one, --positive with one of: {classes}"
        )
    if positive not in predictions.classes:
        raise InputError(f"{where}: --positive '{positive}' is none of the classes {classes}")
    return predictions.classes.index(positive)


def at_horizons(predictions: Predictions, horizons: Sequence[float], where: str) -> Predictions:
    """Say at which times survival predictions are judged; other predictions stay as they are.

    Raises:
        InputError: horizons for predictions of another kind, none, or one at which there is no curve.
    """
    if predictions.kind != "survival":
        if horizons:
            raise InputError(f"{where}: --horizon is for times to an event")
        return predictions
    shown = ", ".join(f"{time:g}" for time in predictions.times[:12]) + (", ..." if len(predictions.times) > 12 else "")
    if not horizons:
        raise InputError(f"{where}: say at which times the curves are judged, --horizon with some of: {shown}")
    if missing := [time for time in horizons if time not in predictions.times]:
        raise InputError(f"{where}: there is no curve at the horizon {missing[0]:g}; its curves are given at {shown}")
    return replace(predictions, horizons=tuple(sorted(set(map(float, horizons)))))


def check_cases(predictions: Predictions, where: str) -> None:
    """Refuse tables that no number could be made from.

    Raises:
        InputError: fewer than 10 cases with a target, or all of them of one class.
    """
    if predictions.kind == "survival" and not np.any(predictions.target[:, 1] > 0):
        raise InputError(f"{where}: no case has an event; nothing can be told apart when all are censored")
    unknown = predictions.target < 0 if predictions.kind in ("probability", "grade") else np.isnan(predictions.target)
    known = ~(unknown.all(-1) if unknown.ndim > 1 else unknown)
    if known.sum() < FEWEST:
        raise InputError(
            f"{where}: {int(known.sum())} cases with a target; at least {FEWEST} are needed for any evidence"
        )
    if predictions.kind in ("probability", "grade") and len(np.unique(predictions.target[known])) < 2:
        name = predictions.classes[int(predictions.target[known][0])]
        raise InputError(f"{where}: every case is '{name}'; nothing can be told apart with one class only")
