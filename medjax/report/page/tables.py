"""The tables of the page as plain dicts: {"caption", "head", "rows": [[cell, ...]], "notes"}; the first cell names its row."""

from typing import Any

import numpy as np

from medjax.evidence.intervals import patient_codes
from medjax.evidence.predictions import Predictions
from medjax.report import formats, mask_lines
from medjax.report.beside import compared, references
from medjax.report.page import flow
from medjax.report.page.reading import RunFolder
from medjax.report.page.wording import UNKNOWN, count, metric, percent, value
from medjax.report.table import chosen_words, extra_rows, row_label

Table = dict[str, Any]
_SHOWN = 30  # classes or labels in a table; the JSON holds them all
_VALUES = 8  # of an attribute
_MATRIX = 20  # classes of a confusion matrix


def make(caption: str, head: list[str], rows: list[list[str]], notes: list[str] | None = None) -> Table:
    """A table."""
    return {"caption": caption, "head": head, "rows": rows, "notes": notes or []}


# Table 1.


def table_one(run: RunFolder) -> Table:
    """Who is in each part: cases, patients, classes and attributes where the folder knows them."""
    if run.split == "out_of_fold":
        return _by_fold(run)
    parts = flow.parts(run)
    names = [*parts, *(name for name in run.evaluations if name not in parts)]
    columns = {name: _column(run, name, parts.get(name)) for name in names}
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [[key, *(column.get(key, UNKNOWN) for column in columns.values())] for key in keys]
    return make("Table 1: cases by part", ["", *names], rows, [*_missing(run), _sealed(run)])


def _column(run: RunFolder, name: str, cases: int | None) -> dict[str, str]:
    evaluation = run.evaluations.get(name, {})
    counts = evaluation.get("counts", {})
    column = {"cases": count(cases if cases is not None else counts.get("cases"))}
    known = run.record.get("audit", {}).get("patients_known") or name.startswith("external")
    if known and not isinstance(evaluation.get("about", {}).get("patients"), str):
        column["patients"] = count(counts.get("patients"))
    if name in run.evaluations:
        column["judged, with known target"] = count(counts.get("cases"))
        column["without target"] = count(counts.get("without_target"))
        column |= _targets(run.predictions[name])
        column |= _attributes(run.predictions[name])
    return column


def _by_fold(run: RunFolder) -> Table:
    predictions = run.judged
    folds = np.unique(predictions.fold).tolist()
    known = run.record.get("audit", {}).get("patients_known")
    columns = {}
    for fold in [None, *folds]:
        inside = np.ones(len(predictions.id), bool) if fold is None else predictions.fold == fold
        column = {"cases": count(int(inside.sum()))}
        if known:
            column["patients"] = count(len(np.unique(predictions.group[inside])))
        columns["all" if fold is None else f"fold {fold}"] = column | _targets(predictions, inside)
    columns["all"] |= _attributes(predictions)
    keys = list(dict.fromkeys(key for column in columns.values() for key in column))
    rows = [[key, *(column.get(key, "") for column in columns.values())] for key in keys]
    return make("Table 1: cases by fold", ["", *columns], rows, _missing(run))


def _missing(run: RunFolder) -> list[str]:
    missing = run.record.get("data", {}).get("missing")
    if missing is None:
        return [f"Missing input values: {UNKNOWN}."]
    return [f"Missing input values: {count(missing, 'development case')} lack at least one; which column is {UNKNOWN}."
            if missing else "Missing input values: none in the development cases."]  # fmt: skip


def _sealed(run: RunFolder) -> str:
    return (
        f"What the run folder holds no predictions of ({', '.join(sorted(set(flow.parts(run)) - set(run.predictions)))}) "
        f"is {UNKNOWN} beyond its number of cases."
        if set(flow.parts(run)) - set(run.predictions)
        else ""
    )


def _targets(predictions: Predictions, inside: np.ndarray | None = None) -> dict[str, str]:
    """Cases of each class or label; of a value its mean, deviation and range."""
    target = predictions.target if inside is None else predictions.target[inside]
    if predictions.kind == "survival":
        return _ended(target, predictions.classes)
    if predictions.kind == "segmentation":
        return _volumes(target, predictions.classes)
    if predictions.kind == "value":
        found = target[np.isfinite(target)]
        if not len(found):
            return {}
        spread = f"{found.mean():.4g} ({found.std(ddof=1):.4g})" if len(found) > 1 else f"{found[0]:.4g}"
        return {"target, mean (sd)": spread, "target, range": f"{found.min():.4g} to {found.max():.4g}"}
    rows = {}
    for k, name in enumerate(predictions.classes[:_SHOWN]):
        if predictions.kind == "labels":
            asked = np.isfinite(target[:, k])
            rows[name] = _share(int((target[asked, k] == 1).sum()), int(asked.sum()))
            if not asked.all():
                rows[name] += f", {int((~asked).sum())} unknown"
        else:
            rows[name] = _share(int((target == k).sum()), int((target >= 0).sum()))
    return rows


def _ended(target: np.ndarray, causes: tuple[str, ...]) -> dict[str, str]:
    """Events, censored cases and times."""
    time, event = target[np.isfinite(target).all(-1)].T
    if not len(time):
        return {}
    named = enumerate(causes or ("the event",), start=1)
    rows = {f"with {name}": f"{int((event == k).sum()):,} ({percent(float((event == k).mean()))})" for k, name in named}
    low, middle, high = np.quantile(time, [0.25, 0.5, 0.75])
    return rows | {
        "censored": count(int((event == 0).sum())),
        "time, median (quartiles)": f"{middle:.4g} ({low:.4g} to {high:.4g})",
    }


def _volumes(target: np.ndarray, names: tuple[str, ...]) -> dict[str, str]:
    """In how many cases each class is there, and its median volume (of images: area) where it is."""
    rows = {}
    for name, own in list(zip(names, target.T, strict=True))[:_SHOWN]:
        there = own[own > 0]
        middle = f", median volume {np.median(there):.3g}" if len(there) else ""
        rows[name] = f"in {count(len(there), 'case')}{middle}"
    return rows


def _share(number: int, total: int) -> str:
    return f"{number:,} ({percent(number / total)})" if total else f"{number:,}"


def _attributes(predictions: Predictions) -> dict[str, str]:
    """Attributes as text: the values that occur, or the range where there are many numbers; missing ones are counted."""
    rows = {}
    for name, values in predictions.attributes.items():
        texts = [str(one).strip() for one in values]
        missing = sum(not text for text in texts)
        known = [text for text in texts if text]
        numbers = _numbers(known)
        different, times = np.unique(known, return_counts=True)
        if numbers is not None and len(different) > _VALUES:
            low, middle, high = np.quantile(numbers, [0.25, 0.5, 0.75])
            rows[f"{name}, median (quartiles)"] = f"{middle:.4g} ({low:.4g} to {high:.4g})"
        else:
            order = np.argsort(-times, kind="stable")
            shown = [f"{different[k]}: {_share(int(times[k]), len(known))}" for k in order[:_VALUES]]
            shown += [f"{len(different) - _VALUES} other values"] if len(different) > _VALUES else []
            rows[name] = "; ".join(shown) or "none known"
        rows[f"{name}, missing"] = _share(missing, len(texts))
    return rows


def _numbers(texts: list[str]) -> np.ndarray | None:
    try:
        found = np.array([float(text) for text in texts])
    except ValueError:
        return None
    return found if len(found) and np.all(np.isfinite(found)) else None


# Results.


def results(run: RunFolder) -> Table:
    """Every metric with its interval, beside each reference; the methods of the intervals and the warnings as notes."""
    evaluation = run.evaluation
    others = references(evaluation)
    notes: list[str] = []
    head = ["metric", "this run", *(text for one in others for text in (str(one["name"]), "paired difference"))]
    head += ["single seeds, mean (sd)", "notes"]
    rows, primary = [], evaluation.get("primary")
    for name in sorted(evaluation.get("metrics", {}), key=lambda name: name != primary):
        entry, differences = evaluation["metrics"][name], [compared(one, name) for one in others]
        cells = [row_label(name, evaluation).replace("  [", " ["), value(entry, name)]
        for one, difference in zip(others, differences, strict=True):
            cells.append(value(one["metrics"].get(name), name))
            cells.append(value(difference, name, signed=True))
            if name == primary and difference.get("verdict"):
                cells[-1] += f": {difference['verdict']}"
        cells += [_seeds(entry, name), _notes(notes, entry, *differences)]
        rows.append(cells)
        if entry.get("one_curve_for_all") is not None:
            rows[-1][0] += f" (one Kaplan-Meier curve for all {formats.fixed(entry['one_curve_for_all'], 3)})"
        if "base_rate_alone" in entry:
            rows[-1][0] += f" (base rate alone {formats.fixed(entry['base_rate_alone'], 3)})"
    above = ""
    for label, entry in extra_rows(evaluation):
        above = above if label.startswith(" ") else label  # an indented label goes on from the one above
        name = f"{above},{label[1:]}" if label.startswith(" ") else label
        rows.append([name, value(entry), *[""] * 2 * len(others), "", _notes(notes, entry)])
    methods = [one["comparison"].get("methods", {}).get(primary) for one in others]
    if any(methods):
        label = f"{metric(str(primary))} as methods (single models; patients and seeds vary)"
        cells = [text for one in methods for text in ("", value(one, str(primary), signed=True) if one else "")]
        rows.append([label, "", *cells, "", _notes(notes, *methods)])
    level = f"{100 * evaluation.get('level', 0.95):g} %"
    caption = f"Results: estimate ({level} interval) and, for shares, numerator/denominator"
    condition = evaluation.get("conditional_on", "the trained models")
    numbered = [f"[{k}] {text}" for k, text in enumerate(notes, start=1)]
    if words := chosen_words(evaluation):
        numbered.append(f"{words}.")
    numbered += [text for text in (mask_lines.medians(evaluation), mask_lines.empties(evaluation)) if text]
    return make(caption, head, rows, [
        f"Intervals of level {level}, by patient, conditional on {condition}: the variation over training sets is not in them.",
        *numbered,
    ])  # fmt: skip


def _seeds(entry: dict, name: str) -> str:
    seeds = entry.get("seeds", {})
    if seeds.get("mean") is None:
        return ""
    mean = formats.number(seeds["mean"], 3, name)
    deviation = seeds.get("standard_deviation")
    return f"{mean} ({formats.number(deviation, 4, name)})" if deviation is not None else f"{mean} (one)"


def _notes(notes: list[str], *entries: dict | None) -> str:
    """Numbers of the notes that these entries need; new ones are added to the list."""
    numbers = []
    for entry in entries:
        for key, word in (("method", ""), ("warning", "WARNING: "), ("reason", "not estimable: ")):
            text = (entry or {}).get(key)
            if text and text != "none":
                notes += [word + text] if word + text not in notes else []
                numbers.append(notes.index(word + text) + 1)
    return " ".join(f"[{number}]" for number in sorted(set(numbers)))


def splits(run: RunFolder) -> Table | None:
    """The same models on every split that was judged, side by side; None where there is one only."""
    if len(run.evaluations) < 2:
        return None
    names = sorted(run.evaluations, key=lambda name: name != run.split)
    primary = run.evaluation.get("primary")
    metrics = sorted(run.evaluation.get("metrics", {}), key=lambda name: name != primary)
    rows = [[metric(name), *(value(run.evaluations[one].get("metrics", {}).get(name), name) for one in names)]
            for name in metrics]  # fmt: skip
    for part in ("intercept", "slope"):
        cells = [value(run.evaluations[one].get("calibration", {}).get(part)) for one in names]
        rows += [[f"calibration {part}", *cells]] if any(cell != UNKNOWN for cell in cells) else []
    head = [
        "metric",
        *(f"{name} ({run.evaluations[name].get('counts', {}).get('cases', '?')} cases)" for name in names),
    ]
    return make("The same frozen models on every split that was judged", head, rows, [
        "Validation cases may have chosen parameters and threshold, so that they flatter; other patients stand in each column, "
        "so that differences between columns have no interval here.",
    ])  # fmt: skip


def classes(run: RunFolder) -> Table | None:
    """Each class against the rest, or each label; None for two classes and for values."""
    found, kind = run.evaluation.get("classes", {}), run.judged.kind
    if not found or len(found) < {"labels": 1, "segmentation": 2}.get(kind, 3):
        return None
    counts = run.evaluation.get("counts", {}).get("classes", {})
    names = list(dict.fromkeys(name for entries in found.values() for name in entries))
    rows = [
        [name, count(counts.get(name, {}).get("cases")), *(value(entries.get(one), one) for one in names)]
        for name, entries in list(found.items())[:_SHOWN]
    ]
    notes = ["Intervals of single classes are not adjusted for their number."]
    notes += [f"{len(found) - _SHOWN} more stand in the JSON of the evaluation."] if len(found) > _SHOWN else []
    known = {
        "labels": "Each label, where it is known",
        "segmentation": "Each class; cases: in whose truth it is present",
    }
    what = known.get(kind, "Each class against the rest")
    return make(what, ["", "cases", *(metric(name) for name in names)], rows, notes)


def confusion(run: RunFolder) -> dict[str, Any] | None:
    """The confusion matrix with counts, and shares of the true class; None where there is none or it is too large."""
    matrix, names = run.evaluation.get("confusion_matrix"), run.judged.classes
    if not matrix or len(matrix) != len(names) or len(names) > _MATRIX:
        return None
    rows = []
    for name, row in zip(names, matrix, strict=True):
        total = sum(row)
        shares = [number / total if total else 0.0 for number in row]
        cells = [{"count": f"{number:,}", "share": percent(share), "strength": round(100 * share)}
                 for number, share in zip(row, shares, strict=True)]  # fmt: skip
        rows.append({"name": name, "cells": cells, "total": f"{total:,}"})
    return {"classes": list(names), "rows": rows, "threshold": run.evaluation.get("threshold")}


def clustered(predictions: Predictions) -> bool:
    """Whether a patient has several cases."""
    return int(patient_codes(predictions.group).max()) + 1 < len(predictions.id)
