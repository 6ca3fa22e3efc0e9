"""The predictions of a run: one row a case and replicate, in memory and as CSV."""

import csv
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from medjax.errors import InputError


@dataclass(frozen=True)
class Predictions:
    """What the members (seeds) of a run predict for its cases.

    In cross-validation each case is predicted by the members of its own fold, so that members are seeds and `fold` says
    which fold a case lies in (-1 without folds). `group` is the patient. A target that is unknown is -1 (class) or NaN
    (value). `replicate` numbers the member, or, with folds, the replicate that predicted this case.
    """

    id: Shaped[np.ndarray, " cases"]
    group: Shaped[np.ndarray, " cases"]
    target: Shaped[np.ndarray, " cases"]
    values: Float[np.ndarray, "members cases outputs"]
    replicate: Int[np.ndarray, " members"] | Int[np.ndarray, "members cases"]
    seed: Int[np.ndarray, " members"]
    fold: Int[np.ndarray, " cases"]
    kind: Literal["probability", "value"]
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no later step could give a meaning."""
        cases = len(self.id)
        if not self.values.shape[0] or not cases:
            raise InputError("predictions: no case or no member; check the split")
        if len(self.group) != cases or len(self.target) != cases or len(self.fold) != cases:
            raise InputError("predictions: id, group, target and fold must have one entry a case")
        if len(np.unique(self.id)) != cases:
            raise InputError("predictions: case ids repeat; give every case its own id")
        if self.values.shape[2] != (len(self.classes) if self.kind == "probability" else 1):
            raise InputError(
                f"predictions: {self.values.shape[2]} outputs for {len(self.classes)} classes ({self.kind})"
            )
        if not np.all(np.isfinite(self.values)):
            member, case, _ = np.argwhere(~np.isfinite(self.values))[0]
            raise InputError(f"predictions: case {self.id[case]}, seed {self.seed[member]} is NaN or infinite")


def ensemble(predictions: Predictions) -> Float[np.ndarray, "cases outputs"]:
    """The mean over members: the predictor that is reported."""
    return predictions.values.mean(axis=0)


def select(predictions: Predictions, cases: Shaped[np.ndarray, " chosen"]) -> Predictions:
    """The predictions of some cases, by index or mask."""
    replicate = predictions.replicate if predictions.replicate.ndim == 1 else predictions.replicate[:, cases]
    return Predictions(
        id=predictions.id[cases],
        group=predictions.group[cases],
        target=predictions.target[cases],
        values=predictions.values[:, cases],
        replicate=replicate,
        seed=predictions.seed,
        fold=predictions.fold[cases],
        kind=predictions.kind,
        classes=predictions.classes,
    )


def known(predictions: Predictions) -> Shaped[np.ndarray, " cases"]:
    """Which cases have a target."""
    if predictions.kind == "probability":
        return predictions.target >= 0
    return np.isfinite(predictions.target)


_FIXED = ["id", "group", "replicate", "seed", "fold", "target"]


def write_csv(path: str | os.PathLike, predictions: Predictions) -> None:
    """Write one row a case and member; floats round-trip exactly; the file appears whole or not at all.

    The target of a class is its index; unknown targets and absent folds are empty cells.
    """
    path = Path(path)
    members, cases, _ = predictions.values.shape
    replicate = np.broadcast_to(
        predictions.replicate if predictions.replicate.ndim == 2 else predictions.replicate[:, None], (members, cases)
    )
    probability = predictions.kind == "probability"
    outputs = [f"probability_{name}" for name in predictions.classes] if probability else ["prediction"]
    has_target = known(predictions)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=path.name, suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_FIXED + outputs)
            for case in range(cases):
                target = predictions.target[case]
                target = "" if not has_target[case] else int(target) if probability else repr(float(target))
                fold = "" if predictions.fold[case] < 0 else int(predictions.fold[case])
                head = [str(predictions.id[case]), str(predictions.group[case])]
                for member in range(members):
                    row = [int(replicate[member, case]), int(predictions.seed[member]), fold, target]
                    writer.writerow(head + row + [repr(value) for value in predictions.values[member, case].tolist()])
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)  # mkstemp makes private files; results are to be read by others
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
    if not rows or rows[0][: len(_FIXED)] != _FIXED or len(rows[0]) == len(_FIXED):
        raise InputError(f"{path}: the header must begin with {', '.join(_FIXED)} and name the outputs")
    outputs, body = rows[0][len(_FIXED) :], rows[1:]
    probability = outputs != ["prediction"]
    if probability and not all(name.startswith("probability_") for name in outputs):
        raise InputError(f"{path}: output columns must be probability_<class> or one column 'prediction'")
    by_case: dict[str, list[list[str]]] = {}
    numbers: dict[str, list[list[float]]] = {}
    for line, row in enumerate(body, start=2):
        if len(row) != len(rows[0]):
            raise InputError(f"{path}, row {line}: {len(row)} cells where the header has {len(rows[0])}")
        try:
            parsed = [float(cell) for cell in row[len(_FIXED) :]]
            int(row[2]), int(row[3]), int(row[4] or -1), float(row[5] or "nan")
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
        if [int(row[3]) for row in case] != seeds or len({(row[1], row[4], row[5]) for row in case}) != 1:
            raise InputError(f"{path}: the rows of case {case[0][0]} disagree in patient, fold, target or seeds")
    replicate = np.array([[int(row[2]) for row in case] for case in cases]).T
    if np.all(replicate == replicate[:, :1]):
        replicate = replicate[:, 0]
    text = [case[0][5] for case in cases]
    targets = [int(cell or -1) for cell in text] if probability else [float(cell or "nan") for cell in text]
    return Predictions(
        id=np.array([case[0][0] for case in cases]),
        group=np.array([case[0][1] for case in cases]),
        target=np.array(targets),
        values=np.array([numbers[name] for name in by_case], dtype=np.float64).transpose(1, 0, 2),
        replicate=replicate,
        seed=np.array(seeds),
        fold=np.array([int(case[0][4] or -1) for case in cases]),
        kind="probability" if probability else "value",
        classes=tuple(name.removeprefix("probability_") for name in outputs) if probability else (),
    )
