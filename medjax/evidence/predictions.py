"""The predictions of a run: one row a case and replicate, in memory and as CSV."""

import csv
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from medjax.errors import InputError
from medjax.metrics.ordinal import median_grade


@dataclass(frozen=True)
class Predictions:
    """What the members (seeds) of a run predict for its cases.

    In cross-validation each case is predicted by the members of its own fold, so that members are seeds and `fold` says
    which fold a case lies in (-1 without folds). `group` is the patient. `replicate` numbers the member, or, with folds,
    the replicate that predicted this case.

    `kind` says what the outputs are, and how an unknown target is marked: "probability" of classes and "grade", the same
    of ordered classes (-1); "labels", a probability for each of several labels, targets (cases, labels) (NaN); "value", a
    number, and where `quantiles` are named these after it (NaN).
    """

    id: Shaped[np.ndarray, " cases"]
    group: Shaped[np.ndarray, " cases"]
    target: Shaped[np.ndarray, "cases *labels"]
    values: Float[np.ndarray, "members cases outputs"]
    replicate: Int[np.ndarray, " members"] | Int[np.ndarray, "members cases"]
    seed: Int[np.ndarray, " members"]
    fold: Int[np.ndarray, " cases"]
    kind: Literal["probability", "grade", "labels", "value"]
    classes: tuple[str, ...] = ()
    quantiles: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no later step could give a meaning."""
        cases = len(self.id)
        if not self.values.shape[0] or not cases:
            raise InputError("predictions: no case or no member; check the split")
        if len(self.group) != cases or len(self.target) != cases or len(self.fold) != cases:
            raise InputError("predictions: id, group, target and fold must have one entry a case")
        if len(np.unique(self.id)) != cases:
            raise InputError("predictions: case ids repeat; give every case its own id")
        if self.values.shape[2] != len(outputs(self)):
            raise InputError(f"predictions: {self.values.shape[2]} outputs where {', '.join(outputs(self))} are named")
        if self.target.shape[1:] != ((len(self.classes),) if self.kind == "labels" else ()):
            raise InputError(f"predictions: targets of shape {self.target.shape} do not fit the kind '{self.kind}'")
        if not np.all(np.isfinite(self.values)):
            member, case, _ = np.argwhere(~np.isfinite(self.values))[0]
            raise InputError(f"predictions: case {self.id[case]}, seed {self.seed[member]} is NaN or infinite")


def ensemble(predictions: Predictions) -> Float[np.ndarray, "cases outputs"]:
    """The mean over members: the predictor that is reported."""
    return predictions.values.mean(axis=0)


def outputs(predictions: Predictions) -> list[str]:
    """The names of the outputs, which are the columns of the file."""
    if predictions.kind == "value":
        return ["prediction", *(f"quantile_{level!r}" for level in predictions.quantiles)]
    return [f"probability_{name}" for name in predictions.classes]


def select(predictions: Predictions, cases: Shaped[np.ndarray, " chosen"]) -> Predictions:
    """The predictions of some cases, by index or mask."""
    replicate = predictions.replicate if predictions.replicate.ndim == 1 else predictions.replicate[:, cases]
    return replace(
        predictions,
        id=predictions.id[cases],
        group=predictions.group[cases],
        target=predictions.target[cases],
        values=predictions.values[:, cases],
        replicate=replicate,
        fold=predictions.fold[cases],
    )


def known(predictions: Predictions) -> Shaped[np.ndarray, " cases"]:
    """Which cases have a target (of several labels: at least one)."""
    if predictions.kind in ("probability", "grade"):
        return predictions.target >= 0
    found = np.isfinite(predictions.target)
    return np.any(found, axis=-1) if found.ndim > 1 else found


_FIXED = ["id", "group", "replicate", "seed", "fold"]


def write_csv(path: str | os.PathLike, predictions: Predictions) -> None:
    """Write one row a case and member; floats round-trip exactly; the file appears whole or not at all.

    The columns are `id, group, replicate, seed, fold`, then `target` (a class by its index) or `target_<label>`, then the
    outputs: `probability_<class>` or `prediction` and `quantile_<level>`. Grades have their column `grade` between: the
    median of that row's probabilities. Unknown targets and absent folds are empty cells.
    """
    path = Path(path)
    members, cases, _ = predictions.values.shape
    replicate = np.broadcast_to(
        predictions.replicate if predictions.replicate.ndim == 2 else predictions.replicate[:, None], (members, cases)
    )
    several = predictions.kind == "labels"
    targets = [f"target_{name}" for name in predictions.classes] if several else ["target"]
    grade = median_grade(predictions.values) if predictions.kind == "grade" else None
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*_FIXED, *targets, *([] if grade is None else ["grade"]), *outputs(predictions)])
            for case in range(cases):
                target = [_target_cell(one, predictions.kind) for one in np.atleast_1d(predictions.target[case])]
                fold = "" if predictions.fold[case] < 0 else int(predictions.fold[case])
                head = [str(predictions.id[case]), str(predictions.group[case])]
                for member in range(members):
                    row = [int(replicate[member, case]), int(predictions.seed[member]), fold, *target]
                    row += [] if grade is None else [int(grade[member, case])]
                    writer.writerow(head + row + [repr(value) for value in predictions.values[member, case].tolist()])
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


def _header(
    path: Path, header: list[str]
) -> tuple[Literal["probability", "grade", "labels", "value"], int, int, tuple[str, ...], tuple[float, ...]]:
    """What a header says: kind, where the outputs begin, how many targets there are, classes, quantiles."""
    body = header[len(_FIXED) :]
    if header[: len(_FIXED)] != _FIXED or not body or not body[0].startswith("target"):
        raise InputError(f"{path}: the header must begin with {', '.join([*_FIXED, 'target'])} and name the outputs")
    count = sum(name.startswith("target_") for name in body) or 1
    grade = body[count : count + 1] == ["grade"]
    start = len(_FIXED) + count + grade
    names = header[start:]
    if names and all(name.startswith("probability_") for name in names):
        classes = tuple(name.removeprefix("probability_") for name in names)
        if body[0] == "target":
            return "grade" if grade else "probability", start, 1, classes, ()
        if classes == tuple(name.removeprefix("target_") for name in body[:count]):
            return "labels", start, count, classes, ()
    if body[0] == "target" and names[:1] == ["prediction"] and not grade:
        try:
            return "value", start, 1, (), tuple(float(name.removeprefix("quantile_")) for name in names[1:])
        except ValueError:
            pass
    raise InputError(
        f"{path}: the outputs must be probability_<class> (of labels the same as target_<label>), or 'prediction' and "
        "quantile_<level>"
    )


def read_csv(path: str | os.PathLike) -> Predictions:
    """Read what `write_csv` wrote; the k-th row of a case is member k.

    Raises InputError, naming file and row, for anything else.
    """
    path = Path(path)
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a readable predictions file ({error})") from None
    kind, start, count, classes, quantiles = _header(path, rows[0] if rows else [])
    of_target, body = slice(len(_FIXED), len(_FIXED) + count), rows[1:]
    by_case: dict[str, list[list[str]]] = {}
    numbers: dict[str, list[list[float]]] = {}
    for line, row in enumerate(body, start=2):
        if len(row) != len(rows[0]):
            raise InputError(f"{path}, row {line}: {len(row)} cells where the header has {len(rows[0])}")
        try:
            parsed = [float(cell) for cell in row[start:]]
            int(row[2]), int(row[3]), int(row[4] or -1), [float(cell or "nan") for cell in row[of_target]]
        except ValueError as error:
            raise InputError(f"{path}, row {line} (case {row[0]}): {error}") from None
        by_case.setdefault(row[0], []).append(row)
        numbers.setdefault(row[0], []).append(parsed)
    counts = {len(case) for case in by_case.values()}
    if len(counts) != 1:
        raise InputError(f"{path}: every case needs the same number of rows (one a replicate), found {sorted(counts)}")
    cases = list(by_case.values())
    seeds = [int(row[3]) for row in cases[0]]
    for case in cases:
        shared = {(row[1], row[4], *row[of_target]) for row in case}
        if [int(row[3]) for row in case] != seeds or len(shared) != 1:
            raise InputError(f"{path}: the rows of case {case[0][0]} disagree in patient, fold, target or seeds")
    replicate = np.array([[int(row[2]) for row in case] for case in cases]).T
    if np.all(replicate == replicate[:, :1]):
        replicate = replicate[:, 0]
    text = [case[0][of_target] for case in cases]
    if kind in ("probability", "grade"):
        targets = np.array([int(cell or -1) for (cell,) in text])
    else:
        targets = np.array([[float(cell or "nan") for cell in cells] for cells in text])
    return Predictions(
        id=np.array([case[0][0] for case in cases]),
        group=np.array([case[0][1] for case in cases]),
        target=targets if kind == "labels" else targets.reshape(-1),
        values=np.array([numbers[name] for name in by_case], dtype=np.float64).transpose(1, 0, 2),
        replicate=replicate,
        seed=np.array(seeds),
        fold=np.array([int(case[0][4] or -1) for case in cases]),
        kind=kind,
        classes=classes,
        quantiles=quantiles,
    )
