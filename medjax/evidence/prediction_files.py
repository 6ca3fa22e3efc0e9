"""Tables of predictions as CSV: those of a run, written and read back exactly, and those that any other tool made."""

import csv
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medjax.errors import InputError
from medjax.evidence.predictions import Predictions, outputs
from medjax.metrics.ordinal import median_grade
from medjax.metrics.segmentation import MEASURES

_FIXED = ["id", "group", "replicate", "seed", "fold"]
_SHARES = ("dice_", "iou_", "surface_dice_")
POOLED = -1  # replicate and seed of the rows of all models together
_SUM = 1e-3  # tools print probabilities with few digits


def write_csv(path: str | os.PathLike, predictions: Predictions) -> None:
    """Write one row a case and member; floats round-trip exactly; the file appears whole or not at all.

    The columns are `id, group, replicate, seed, fold`, then `target` (a class by its index) or `target_<label>` (of masks the
    true volume of each class), then the outputs: `probability_<class>`, `prediction` and `quantile_<level>`, or of masks
    `dice_<class>` and the other measures of `medjax.metrics.segmentation`, then `attribute_<name>`. Grades have their column
    `grade` before the outputs: the median of that row's probabilities. Times to an event have `time` and `event` (0 for
    censored) in place of `target`, and `risk` and `survival_<time>`, or with competing causes `risk_<cause>` and
    `incidence_<cause>_<time>`. Unknown targets and absent folds are empty cells. Where what all members say together is not
    the mean of what each says (`Predictions.pooled`), it has a row before theirs, with -1 as replicate and seed.
    """
    path = Path(path)
    members, cases, _ = predictions.values.shape
    replicate = np.broadcast_to(
        predictions.replicate if predictions.replicate.ndim == 2 else predictions.replicate[:, None], (members, cases)
    )
    targets = ["target"]
    if predictions.kind in ("labels", "segmentation"):
        targets = [f"target_{name}" for name in predictions.classes]
    elif predictions.kind == "survival":
        targets = ["time", "event"]
    grade = median_grade(predictions.values) if predictions.kind == "grade" else None
    attributes = [f"attribute_{name}" for name in predictions.attributes]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            names = [*_FIXED, *targets, *([] if grade is None else ["grade"]), *outputs(predictions), *attributes]
            writer.writerow(names)
            for case in range(cases):
                target = [_target_cell(one, predictions.kind) for one in np.atleast_1d(predictions.target[case])]
                fold = "" if predictions.fold[case] < 0 else int(predictions.fold[case])
                head = [str(predictions.id[case]), str(predictions.group[case])]
                tail = [str(values[case]) for values in predictions.attributes.values()]
                if predictions.pooled is not None:
                    row = [POOLED, POOLED, fold, *target, *map(repr, predictions.pooled[case].tolist())]
                    writer.writerow(head + row + tail)
                for member in range(members):
                    row = [int(replicate[member, case]), int(predictions.seed[member]), fold, *target]
                    row += [] if grade is None else [int(grade[member, case])]
                    row += [repr(value) for value in predictions.values[member, case].tolist()]
                    writer.writerow(head + row + tail)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes private files; results are to be read by others
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _target_cell(target: Any, kind: str) -> str | int:
    if kind in ("probability", "grade"):
        return int(target) if target >= 0 else ""
    if not np.isfinite(target):
        return ""
    return int(target) if kind == "labels" else repr(float(target))


@dataclass(frozen=True)
class _Columns:
    """Which columns of a file hold what, by position; `own` where a run wrote it."""

    own: bool
    kind: Literal["probability", "grade", "labels", "value", "survival", "segmentation"]
    fixed: dict[str, int]
    targets: list[int]
    outputs: list[int]
    attributes: dict[str, int]
    classes: tuple[str, ...] = ()
    quantiles: tuple[float, ...] = ()
    times: tuple[float, ...] = ()
    measures: tuple[str, ...] = ()


def read_csv(path: str | os.PathLike) -> Predictions:
    """Read a table of predictions, of a run or of any other tool; the columns may stand in any order.

    Needed are `id` (one case: one row, or one row a model with `seed`), `target` or `target_<label>`, and the outputs that
    `write_csv` names. `group` is the patient (each case its own without it), `seed` the model, `fold` the fold that held
    the case out, `attribute_<name>` anything to break results down by. A target of a class is its name or, where a run
    wrote the file (it has `replicate`) or no target is a name, its position among the `probability_` columns. Empty:
    unknown. A table of masks has `target_<class>`, the true volume, and at least `dice_<class>` for every class. A run's rows
    with -1 as replicate and seed are those of all models together.

    Raises:
        InputError: naming file, row and case: a column that is missing, unknown or there twice, a cell that is no number,
            a probability outside 0 to 1, probabilities that do not sum to 1 (within .001), incidences of competing causes that
            sum to more, a target that is no class, ids that repeat, models that lack cases.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable predictions file ({error})") from None
    columns = _columns(path, [name.strip() for name in rows[0]] if rows else [])
    by_case: dict[str, list[tuple[int, list[str]]]] = {}
    for line, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        if len(row) != len(rows[0]):
            raise InputError(f"{path}, row {line}: {len(row)} cells where the header has {len(rows[0])}")
        if not row[columns.fixed["id"]].strip():
            raise InputError(f"{path}, row {line}: the id is empty; give every case its own id")
        by_case.setdefault(row[columns.fixed["id"]], []).append((line, row))
    if not by_case:
        raise InputError(f"{path}: no row of predictions below the header")
    return _predictions(path, columns, by_case)


def _columns(path: Path, header: list[str]) -> _Columns:
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise InputError(f"{path}: the column {', '.join(sorted(twice))} stands in the header more than once")
    place = {name: k for k, name in enumerate(header)}
    names = {
        prefix: [name.removeprefix(prefix) for name in header if name.startswith(prefix)]
        for prefix in ("probability_", "target_", "quantile_", "attribute_", "survival_", "risk_", "incidence_")
    }
    found = {name: place[name] for name in _FIXED if name in place}
    known = {*_FIXED, "target", "grade", "prediction", "time", "event", "risk"}
    own = "replicate" in found
    attributes = {name: place[f"attribute_{name}"] for name in names["attribute_"]}
    masks = _masks(place, tuple(names["target_"]))
    known |= set(masks)
    strange = [name for name in header if name not in known and not any(name.startswith(prefix) for prefix in names)]
    needed = (
        "id, target (of several labels target_<label>) and probability_<class>, or prediction for a value, or id, time, "
        "event, risk and survival_<time>"
    )
    survival = "time" in place and "event" in place
    if "id" not in found or not ("target" in place or names["target_"] or survival):
        raise InputError(
            f"{path}: the header must name {needed}; it has {', '.join(header)[:200] or 'nothing'} (is the first row the header?)"
        )
    if strange:
        raise InputError(
            f"{path}: unknown column '{strange[0]}'; to break results down by it call it 'attribute_{strange[0]}', "
            "otherwise leave it out"
        )
    if masks and not ({"target", "grade", "prediction"} & set(place) or names["probability_"] or names["quantile_"]):
        classes = tuple(names["target_"])
        targets = [place[f"target_{name}"] for name in classes]
        kept = tuple(one for one in MEASURES if f"{one}_{classes[0]}" in masks)
        outputs = [place[name] for name in masks]
        return _Columns(own, "segmentation", found, targets, outputs, attributes, classes, measures=kept)
    classes = tuple(names["probability_"])
    if survival and not ("target" in place or names["target_"] or classes):
        return _survival_columns(path, own, found, place, names, attributes)
    outputs = [place[f"probability_{name}"] for name in classes]
    if "target" in place and not names["target_"] and classes and "prediction" not in place and not names["quantile_"]:
        if len(classes) == 1:
            raise InputError(
                f"{path}: only 'probability_{classes[0]}' is there; add the column of the other class (1 minus it), so "
                "that its name is known"
            )
        kind = "grade" if "grade" in place else "probability"
        return _Columns(own, kind, found, [place["target"]], outputs, attributes, classes)
    if "target" not in place and classes and set(classes) == set(names["target_"]) and "prediction" not in place:
        targets = [place[f"target_{name}"] for name in classes]
        return _Columns(own, "labels", found, targets, outputs, attributes, classes)
    if "target" in place and "prediction" in place and not classes and not names["target_"]:
        try:
            levels = sorted(names["quantile_"], key=float)
        except ValueError:
            levels = None
        if levels is not None:
            outputs = [place["prediction"], *(place[f"quantile_{level}"] for level in levels)]
            quantiles = tuple(float(level) for level in levels)
            return _Columns(own, "value", found, [place["target"]], outputs, attributes, (), quantiles)
    raise InputError(
        f"{path}: the outputs must be probability_<class> (of labels the same as target_<label>), or 'prediction' and "
        "quantile_<level>"
    )


def _masks(place: dict[str, int], classes: tuple[str, ...]) -> list[str]:
    """The columns of a table of masks in the order of its outputs; empty where it is none, or lacks Dice of a class."""
    kept = [one for one in MEASURES if classes and all(f"{one}_{name}" in place for name in classes)]
    return [f"{one}_{name}" for name in classes for one in kept] if "dice" in kept else []


def _survival_columns(
    path: Path,
    own: bool,
    found: dict[str, int],
    place: dict[str, int],
    names: dict[str, list[str]],
    attributes: dict[str, int],
) -> _Columns:
    """Those of times to an event: a risk and survival at times, or of each cause a risk and incidences at times."""
    unread = ["prediction", "grade", *(f"quantile_{level}" for level in names["quantile_"])]
    if stray := [name for name in unread if name in place]:
        raise InputError(
            f"{path}, row 1: the column '{stray[0]}' has no meaning beside time and event, and would not be judged; leave it "
            f"out, or call it 'attribute_{stray[0]}' to break results down by it"
        )
    causes = tuple(names["risk_"])
    incidences = [one.rpartition("_") for one in names["incidence_"]]  # one cause may begin like another
    told = [[time for whose, _, time in incidences if whose == cause] for cause in causes] or [names["survival_"]]
    try:
        times = [sorted(curve, key=float) for curve in told]
        numbers = tuple(float(time) for time in times[0])
    except (ValueError, IndexError):
        times, numbers = [[]], ()
    strange = {cause for cause, _, _ in incidences} - set(causes) or (causes and names["survival_"])
    mixed = ("risk" in place) == bool(causes) or bool(strange)
    if not numbers or any(one != times[0] for one in times) or mixed:
        raise InputError(
            f"{path}: beside time and event there must be 'risk' and survival_<time>, or of every competing cause "
            "risk_<cause> and incidence_<cause>_<time> at the same times"
        )
    if not all(0 < number < np.inf for number in numbers) or len(set(numbers)) < len(numbers):
        shown = ", ".join(times[0])
        raise InputError(f"{path}: curves are given at {shown}; times of curves are different numbers after 0")
    if causes:
        outputs = [place[f"risk_{cause}"] for cause in causes]
        outputs += [place[f"incidence_{cause}_{time}"] for cause in causes for time in times[0]]
    else:
        outputs = [place["risk"], *(place[f"survival_{time}"] for time in times[0])]
    targets = [place["time"], place["event"]]
    return _Columns(own, "survival", found, targets, outputs, attributes, causes, (), numbers)


def _predictions(path: Path, columns: _Columns, by_case: dict[str, list[tuple[int, list[str]]]]) -> Predictions:
    counts = {len(rows) for rows in by_case.values()}
    if len(counts) != 1 or (counts != {1} and "seed" not in columns.fixed):
        name, (first, second, *_) = next((n, rows) for n, rows in by_case.items() if len(rows) == max(counts))
        raise InputError(
            f"{path}: case {name} stands in rows {first[0]} and {second[0]}; every case needs the same number of rows, "
            "one, or one a model with a column 'seed'"
        )
    values, pooled, integers = [], [], {name: [] for name in ("replicate", "seed", "fold")}
    seeds: list[int] | None = None
    for name, rows in by_case.items():
        together = [row for row in rows if _together(path, columns, *row)]
        pooled += [_outputs(path, columns, *row) for row in together]
        rows = [row for row in rows if row not in together]
        if len(together) > 1 or not rows:
            raise InputError(
                f"{path}: case {name} needs one row of all models together (replicate and seed {POOLED}) beside those of each"
            )
        of_case = {key: [_integer(path, columns, key, *row) for row in rows] for key in integers}
        seeds = seeds or of_case["seed"]
        shared = {tuple(row[k] for k in _shared(columns)) for _, row in [*rows, *together]}
        if of_case["seed"] != seeds or len(shared) != 1 or len(set(of_case["fold"])) != 1:
            raise InputError(
                f"{path}: the rows of case {name} (from row {rows[0][0]}) disagree in patient, fold, target, attributes or "
                "seeds"
            )
        for key, found in of_case.items():
            integers[key].append(found)
        values.append([_outputs(path, columns, *row) for row in rows])
    if len(set(seeds or ())) != len(seeds or ()) and not columns.own:
        raise InputError(f"{path}: a seed stands twice in the rows of case {next(iter(by_case))}; number the models")
    first = [rows[0] for rows in by_case.values()]
    replicate = np.array(integers["replicate"]).T
    if np.all(replicate == replicate[:, :1]):
        replicate = replicate[:, 0]
    group = columns.fixed.get("group", columns.fixed["id"])
    return Predictions(
        id=np.array(list(by_case)),
        group=np.array([row[group] or row[columns.fixed["id"]] for _, row in first]),
        target=_targets(path, columns, first),
        values=np.array(values, dtype=np.float64).transpose(1, 0, 2),
        pooled=np.array(pooled, dtype=np.float64) if pooled else None,
        replicate=replicate,
        seed=np.array(seeds),
        fold=np.array([case[0] for case in integers["fold"]]),
        kind=columns.kind,
        classes=columns.classes,
        quantiles=columns.quantiles,
        times=columns.times,
        measures=columns.measures,
        attributes={name: np.array([row[k] for _, row in first]) for name, k in columns.attributes.items()},
    )


def _together(path: Path, columns: _Columns, line: int, row: list[str]) -> bool:
    """Whether a row of a run's own masks is that of all its models together."""
    if columns.kind != "segmentation" or not columns.own:
        return False
    return all(_integer(path, columns, name, line, row) == POOLED for name in ("replicate", "seed"))


def _shared(columns: _Columns) -> list[int]:
    """The columns in which all rows of a case must agree."""
    fixed = [columns.fixed[name] for name in ("group", "fold") if name in columns.fixed]
    return [*fixed, *columns.targets, *columns.attributes.values()]


def _integer(path: Path, columns: _Columns, name: str, line: int, row: list[str]) -> int:
    """A replicate, seed or fold; 0, or -1 for a fold, where there is none."""
    cell = row[columns.fixed[name]].strip() if name in columns.fixed else ""
    if not cell:
        return -1 if name == "fold" else 0
    try:
        return int(cell)
    except ValueError:
        raise InputError(
            f"{path}, row {line} (case {row[columns.fixed['id']]}): {name} '{cell}' is no whole number"
        ) from None


def _number(path: Path, columns: _Columns, line: int, row: list[str], place: int) -> float:
    try:
        return float(row[place])
    except ValueError:
        case, shown = row[columns.fixed["id"]], row[place][:40]
        raise InputError(f"{path}, row {line} (case {case}): '{shown}' is no number; every output needs one") from None


def _outputs(path: Path, columns: _Columns, line: int, row: list[str]) -> list[float]:
    found = [_number(path, columns, line, row, place) for place in columns.outputs]
    where = f"{path}, row {line} (case {row[columns.fixed['id']]})"
    if not np.all(np.isfinite(found)):
        raise InputError(f"{where}: an output is NaN or infinite; leave the case out, and count it")
    if columns.kind == "value":
        return found
    if columns.kind == "segmentation":
        names = [f"{one}_{name}" for name in columns.classes for one in columns.measures]
        for name, one in zip(names, found, strict=True):
            if one < 0 or (one > 1 and name.startswith(_SHARES)):
                raise InputError(f"{where}: {name} is {one:g}; shares lie between 0 and 1, and no measure below 0")
        return found
    if columns.kind == "survival":
        curves = found[max(len(columns.classes), 1) :]
        if min(curves) < 0 or max(curves) > 1:
            raise InputError(f"{where}: a survival or incidence lies outside 0 to 1")
        if columns.classes:
            total = np.reshape(curves, (len(columns.classes), -1)).sum(0)
            most = int(total.argmax())
            if total[most] > 1 + _SUM:
                named = " + ".join(f"incidence_{cause}_{columns.times[most]:g}" for cause in columns.classes)
                raise InputError(
                    f"{where}: {named} is {total[most]:g}; competing causes share one chance, so these sum to 1 at most. Give "
                    "incidences (Aalen-Johansen's kind), not 1 minus a survival curve of each cause"
                )
        return found
    if min(found) < 0 or max(found) > 1:
        raise InputError(f"{where}: a probability lies outside 0 to 1 ({', '.join(f'{one:g}' for one in found)})")
    if columns.kind != "labels" and abs(sum(found) - 1) > _SUM:
        raise InputError(
            f"{where}: the probabilities sum to {sum(found):g}, not to 1; are they scores before a softmax?"
        )
    return found


def _targets(path: Path, columns: _Columns, first: list[tuple[int, list[str]]]) -> np.ndarray:
    cells = [[row[k].strip() for k in columns.targets] for _, row in first]
    if columns.kind in ("probability", "grade"):
        classes = [name.strip() for name in columns.classes]
        named = not columns.own and any(cell in classes for (cell,) in cells)
        place = {name: k for k, name in enumerate(classes)} if named else {str(k): k for k in range(len(classes))}
        for (line, row), (cell,) in zip(first, cells, strict=True):
            if cell and cell not in place:
                raise InputError(
                    f"{path}, row {line} (case {row[columns.fixed['id']]}): target '{cell}' is none of the classes "
                    f"{', '.join(classes)}" + ("" if named else f", nor one of the positions 0 to {len(classes) - 1}")
                )
        return np.array([place[cell] if cell else -1 for (cell,) in cells])
    numbers = np.empty((len(cells), len(columns.targets)))
    for k, ((line, row), own) in enumerate(zip(first, cells, strict=True)):
        try:
            numbers[k] = [float(cell or "nan") for cell in own]
        except ValueError:
            raise InputError(
                f"{path}, row {line} (case {row[columns.fixed['id']]}): a target in '{', '.join(own)}' is no number"
            ) from None
        if columns.kind == "labels" and not np.isin(numbers[k][np.isfinite(numbers[k])], (0.0, 1.0)).all():
            raise InputError(
                f"{path}, row {line} (case {row[columns.fixed['id']]}): a label is 1, 0 or empty (unknown)"
            )
        if columns.kind == "segmentation" and (numbers[k] < 0).any():
            raise InputError(f"{path}, row {line} (case {row[columns.fixed['id']]}): a true volume is below 0")
    if columns.kind == "survival":
        most = max(len(columns.classes), 1)
        for (line, row), (time, event) in zip(first, numbers, strict=True):
            if time < 0 or np.isinf(time) or (np.isfinite(event) and event not in range(most + 1)):
                raise InputError(
                    f"{path}, row {line} (case {row[columns.fixed['id']]}): time {time:g}, event {event:g}; a time is at "
                    f"least 0, an event 0 (censored) or {'1' if most == 1 else f'the number of a cause, 1 to {most}'}"
                )
    return numbers.reshape(-1) if columns.kind == "value" else numbers
