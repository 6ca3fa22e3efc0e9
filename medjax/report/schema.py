"""What a table holds, from the file alone: kind of every column, identifiers, dates, and what gives a target away."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from medjax.config import nearest
from medjax.data import giveaways
from medjax.data.readers.cells import MISSING, clean, excel_day, fits_number, show, with_points
from medjax.data.readers.columns import Column, inspect, parse, unnamed
from medjax.data.readers.table import read_rows
from medjax.data.split import Folds, assign_folds
from medjax.errors import InputError
from medjax.evidence import auroc
from medjax.evidence.intervals import Interval, patient_codes
from medjax.report import formats

BOUND = 0.9
"""AUROC of one column alone from which it is suspected to know the answer, as in the deep audit."""
_CLASSES = 10
_NOTES = {
    "identifier": "IDENTIFIER: it numbers or names rows or patients; no input",
    "date": "dates: give the days since a fixed event instead",
    "text": "free text: no input of a table",
    "constant": "one value only: it tells nothing",
    "empty": "no value",
}


def schema(path: Path, target: str | None = None, group: str | None = None) -> str:
    """Describe every column of a CSV, a line each; with a target also how well each column alone predicts it.

    The target is asked about as classes where it has at most ten values, else as "above the median". Predictions are out of
    five folds by patient, where `group` names the patient, else by row; rows without the target are left out.

    Raises:
        InputError: the file cannot be read, or there is no such column.
    """
    header = unnamed(path)
    columns = inspect(path, header)
    names = [column.name for column in columns]
    for option, given in (("--target", target), ("--group", group)):
        if given is not None and given not in names:
            raise InputError(f"{path}: {option} {given!r}: there is no such column; {nearest(given, names)}")
    scores = {} if target is None else _scores(path, header, columns, target, group)
    lines = [f"{path}: {columns[0].count} rows, {len(columns)} columns", ""]
    width = min(24, max(map(len, names)))
    shown = "; AUROC" if target else ""
    lines.append(f"{'column':<{width}}  {'kind':<12}{'missing':>8}  values{shown}")
    for column in columns:
        alone = scores.get(column.name)
        told = [_values(column), *([f"{formats.interval(_entry(alone), 3)} alone"] if alone is not None else [])]
        role = "target" if column.name == target else "patient" if column.name == group else _kind(column)
        missing = formats.percent(column.missing / max(column.count, 1)) if column.missing else "0"
        lines += formats.wrap(f"{column.name:<{width}}  {role:<12}{missing:>8}  {'; '.join(told)}", " " * (width + 24))
        lines += [
            line
            for note in _notes(column, alone, column.name in (target, group))
            for line in formats.wrap(f"    {note}", "    ")
        ]
    if "order of the rows" in scores and (order := scores["order of the rows"]).estimate >= BOUND:
        lines += [
            "",
            *formats.wrap(
                f"SORTED: the order of the rows alone predicts the target, AUROC {formats.interval(_entry(order), 3)}"
            ),
        ]
    return "\n".join(lines)


def _kind(column: Column) -> str:
    return "binary" if column.distinct == 2 and column.kind in ("numeric", "categorical") else column.kind


def _values(column: Column) -> str:
    if column.distinct <= 6:
        return ", ".join(f"{show(level)[1:-1]} {count}" for level, count in column.levels) or "none"
    if column.minimum is not None:
        return f"{column.minimum:g} to {column.maximum:g}, mean {column.mean:.4g}, {column.distinct} different"
    first = "" if column.kind == "identifier" else ", ".join(show(level)[1:-1] for level, _ in column.levels[:3])
    return f"{column.distinct} different" + (f", such as {first}" if first else "")


def _notes(column: Column, alone: Interval | None, role: bool) -> list[str]:
    found = [] if role or column.kind not in _NOTES else [_NOTES[column.kind]]
    if alone is not None and alone.estimate >= BOUND and column.kind != "identifier":
        found.append("LEAK? it alone predicts the target: is it known at the time of prediction?")
    if column.dirty:
        found.append(f"cleaned: {column.dirty} cells such as {column.example}")
    if column.kind == "date" and (days := [cell for _, cell in column.problems if excel_day(clean(cell))]):
        found.append(
            f"day numbers of Excel among the dates: {show(days[0])} is {excel_day(clean(days[0]))}; write it so"
        )
    elif column.kind == "date" and column.minimum is not None:
        text = f"{column.minimum:.15g}"
        found.append(f"day numbers of Excel: {text} is {excel_day(text)}")
    elif column.unfit and column.kind in ("numeric", "date"):
        line, cell = column.problems[0]
        found.append(f"{column.unfit} cells that are none of this kind, first {show(cell)} in line {line}")
    if 2 * column.missing > column.count > column.missing:
        found.append("missing in most rows: whether it was measured may tell more than its value")
    return found


def _entry(interval: Interval) -> dict:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _scores(
    path: Path, header: tuple[str, ...], columns: tuple[Column, ...], target: str, group: str | None
) -> dict[str, Interval]:
    """How well each column alone, and the order of the rows, predicts the target."""
    names, rows = read_rows(path, header)
    cells = {name: [row[place] for _, row in rows] for place, name in enumerate(names) if name}
    learnt = parse(cells[target], str, numbers=True)
    kept = np.array([row for row, value in enumerate(learnt.values) if value is not None], int)
    texts = np.array([learnt.values[row] for row in kept])
    classes = np.unique(texts)
    if len(classes) < 2:
        raise InputError(f"{path}: the target {target!r} has one value only; nothing can give it away")
    if len(classes) <= _CLASSES:
        asked = classes[1:] if len(classes) == 2 else classes
        answer = (texts[:, None] == asked[None]).astype(np.float64)
    elif all(fits_number(text) for text in classes):
        values = texts.astype(np.float64)
        answer = (values > np.median(values)).astype(np.float64)[:, None]
    else:
        raise InputError(f"{path}: the target {target!r} has {len(classes)} different texts; that is no class")
    patient = np.array([clean(cells[group][row]) if group else str(row) for row in kept])
    fold = assign_folds(patient, Folds(giveaways.FOLDS))
    found = {"order of the rows": _score(np.arange(len(kept), dtype=np.float64), answer, fold, patient)}
    for column in columns:
        if column.name not in (target, group) and column.distinct > 1:
            found[column.name] = _score(_coded(cells[column.name], kept), answer, fold, patient)
    return found


def _coded(cells: list[str], kept: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Numbers where all cells are, else a number for each text; NaN where missing."""
    texts = np.array(with_points([clean(cells[row]) for row in kept]))
    known = ~np.isin(np.char.lower(texts), MISSING)
    found = np.full(len(texts), np.nan)
    if all(fits_number(text) for text in set(texts[known].tolist())):
        found[known] = texts[known].astype(np.float64)
    else:
        found[known] = np.unique(texts[known], return_inverse=True)[1]
    return found


def _score(column: np.ndarray, answer: np.ndarray, fold: np.ndarray, patient: np.ndarray) -> Interval:
    scores, codes = giveaways.column_scores(column, answer, fold), patient_codes(patient)
    if answer.shape[1] == 1:
        return auroc.auroc(scores[:, 0], answer[:, 0], codes, fold=fold)
    return auroc.labels_auroc(scores, answer, codes, fold=fold)
