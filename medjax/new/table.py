"""An experiment for one's own table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from medjax.config import nearest
from medjax.data import dataset as datasets
from medjax.data.dataset import Dataset, open_split
from medjax.data.origin import OnError
from medjax.data.origins.table import Table
from medjax.data.readers.columns import Column, inspect, unnamed
from medjax.data.split import Folds, HashedSplit, assign_splits
from medjax.errors import InputError
from medjax.metrics import classification
from medjax.new import choices, frame
from medjax.new.draft import Choice, Draft

CODES = 6  # whole numbers of so few different values are taken for codes, and get a number of their own each
GRADES = 10  # a target of so few whole numbers is a class, and of three or more in a row a grade
FEWEST = 5  # rows of a class, below which nothing can be learnt or said about it
TELLS = 0.99  # AUROC of one column alone from which it is left out
SEEN = 15_000  # rows that training sees
MOST_EPOCHS = 25  # 60 learnt 300 rows by heart: calibration slope .59 on Cleveland, .87 with 25
_LEFT_OUT = {
    "identifier": "it numbers or names the rows",
    "constant": "it holds one value only",
    "empty": "it holds no value",
    "date": "it holds dates; give the days since a fixed event instead",
    "text": "it holds free text",
}
_UNLEARNT = ("constant", "empty", "identifier", "date")


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for.

    Attributes:
        target: what is to be learnt.
        group: the patient, where one column names it.
        numeric: inputs that are numbers.
        categorical: inputs with their levels.
        dropped: (column, reason) of those that are no inputs.
    """

    target: Column
    group: str | None
    numeric: tuple[str, ...]
    categorical: tuple[tuple[str, tuple[str, ...]], ...]
    dropped: tuple[tuple[str, str], ...]


def draft(
    name: str, path: Path, target: str | None, group: str | None, positive: str | None, on_error: OnError
) -> Draft:
    """Look at a table and draft an experiment.

    Raises:
        InputError: whatever makes the table unusable.
    """
    header = unnamed(path)
    columns = inspect(path, header)
    roles = roles_of(path, columns, target, group)
    if roles.target.kind in _UNLEARNT:
        raise InputError(f"{path}: the target {target!r} cannot be learnt: {_LEFT_OUT[roles.target.kind]}")
    kind, ordered = kind_of(roles.target)
    lonely = _lonely(path, roles.target, on_error) if kind == "label" else ()
    origin = Table(
        path=path.as_posix(),
        target=roles.target.name,
        kind=kind,
        numeric=roles.numeric,
        categorical=roles.categorical,
        group=roles.group,
        codes=((roles.target.name, tuple((level, "") for level in lonely)),) if lonely else (),
        header=header,
        on_error=on_error,
    )
    dataset = datasets.prepare(name, origin=origin)
    table, targets = _content(dataset, kind)
    spec, splits_why = choices.splits(dataset, choices.strata_of(targets))
    telling = _telling(dataset, table, targets, spec) if kind == "label" else {}
    dropped = list(roles.dropped)
    if telling:
        numeric = tuple(one for one in origin.numeric if one not in telling)
        categorical = tuple(entry for entry in origin.categorical if entry[0] not in telling)
        if not numeric and not categorical:
            raise InputError(f"{path}: every column tells the target alone; give inputs that are known beforehand")
        dropped += telling.items()
        origin = replace(origin, numeric=numeric, categorical=categorical)
        dataset = datasets.prepare(name, origin=origin)
        table, targets = _content(dataset, kind)
    origin = replace(origin, classes=dataset.classes)
    cases, chooses = choices.training_cases(dataset, spec), choices.chooses(dataset, spec)
    batch, epochs = choices.batch(cases, 128), choices.epochs(cases, SEEN, 10, MOST_EPOCHS)
    counts = np.bincount(targets, minlength=len(dataset.classes)) if kind == "label" else np.zeros(0, int)
    task, task_why, task_name = _task(dataset, kind, ordered, counts, positive)
    primary = {"Ordinal": "quadratic_weighted_kappa", "Regression": "mean_absolute_error"}.get(task_name, "auroc")
    reference = "ridge_regression" if kind == "value" else "logistic_regression"
    training = [f"duration=Duration(epochs={epochs}.0)", f"batch_size={batch}"]
    if chooses:
        training += [f"evaluate_every=Duration(epochs={max(1, epochs // 20)}.0)", f'select="{primary}"']
    reasons = {
        "categorical": f"Words, and whole numbers of at most {CODES} different values, which may be codes; "
        "numbers by size, words by the alphabet.",
        "classes": "In the order of their labels, 0 first.",
        "codes": f"In fewer than {FEWEST} rows: too few to learn or to judge such a class, so they count as missing.",
    }
    seeds = f"Five models of {'every fold' if isinstance(spec, Folds) else 'the same data'}, trained as one program."
    return Draft(
        name=name,
        title=f"{name}: {origin.target} from {len(dataset.columns)} numbers a row, {len(dataset.index)} rows.",
        book=(
            f"data      {len(dataset.index)} rows" + (f", {len(dataset.skipped)} left out" if dataset.skipped else ""),
            *(f"          {class_name} {count}" for class_name, count in zip(dataset.classes, counts, strict=False)),
            "score     (write here what the run printed, and the commit)",
        ),
        imports=frame.imports(reference, task_name, spec, table),
        choices=(
            *frame.data(name, origin, dropped, spec, splits_why, reasons),
            Choice("task", task, task_why),
            Choice("model", "Perceptron(hidden=(32, 32), dropout=0.2)", "Small, since the table is small."),
            *frame.inputs(table),
            frame.optimizer(0.01, "1e-3", "clip=1.0"),
            Choice(
                "training",
                f"Training({', '.join(training)})",
                f"About {cases} cases to learn from."
                + ("" if chooses else " Nothing is selected: the held-out fold chooses nothing."),
            ),
            choices.seeds(5, seeds),
            Choice(
                "evaluation",
                f'Evaluation(primary="{primary}", reference={reference})',
                "Compared with a classical model on the same cases. State margin= beforehand to ask for non-inferiority.",
            ),
        ),
        notes=(
            *frame.notes(dropped, dataset, *_zeros(dataset, table)),
            *(
                choices.rare_note(dataset.classes, counts)
                if kind == "label"
                else choices.censored_note(roles.target, columns)
            ),
        ),
    )


def roles_of(
    path: Path, columns: Sequence[Column], target: str | None, group: str | None, apart: Sequence[str] = ()
) -> Roles:
    """Decide what every column is for; those `apart` are no inputs."""
    names = [column.name for column in columns]
    if target is None:
        raise InputError(f"--table needs --target, the column to be learnt; the columns are {', '.join(names)}")
    for option, given in (("--target", target), ("--group", group)):
        if given is not None and given not in names:
            raise InputError(f"{path}: {option} {given!r}: there is no such column; {nearest(given, names)}")
    learnt = columns[names.index(target)]
    numeric, categorical, dropped = [], [], []
    for column in columns:
        if column.name in (target, group, *apart):
            continue
        if column.kind == "identifier" and group is None and column.distinct < column.count - column.missing:
            group = column.name  # a name of patients that repeats: their rows stay together
        elif column.kind in _LEFT_OUT:
            dropped.append((column.name, column.refusal or _LEFT_OUT[column.kind]))
        elif column.kind == "categorical" or _codes(column):
            categorical.append((column.name, _levels(column)))
        else:
            numeric.append(column.name)
    if not numeric and not categorical:
        raise InputError(f"{path}: no column is left as an input: " + "; ".join(f"{n}: {why}" for n, why in dropped))
    return Roles(learnt, group, tuple(numeric), tuple(categorical), tuple(dropped))


def _codes(column: Column) -> bool:
    """Whether numbers may be codes: few different whole ones, and more than a yes and a no."""
    if column.kind != "numeric" or column.unfit or not 2 < column.distinct <= CODES:
        return False
    return all(float(level).is_integer() for level, _ in column.levels)


def _levels(column: Column) -> tuple[str, ...]:
    """The levels in their natural order: numbers by size, words by the alphabet."""
    levels = [level for level, _ in column.levels]
    try:
        return tuple(f"{number:.15g}" for number in sorted({float(level) for level in levels}))
    except ValueError:
        return tuple(sorted(levels))


def kind_of(target: Column) -> tuple[Literal["label", "value"], bool]:
    """Return whether the target is a class or a value, and whether its classes are grades in a row."""
    if target.kind != "numeric":
        if target.kind == "text":
            raise InputError(f"the target {target.name!r} has {target.distinct} different texts; that is no class")
        return "label", False
    if target.distinct > GRADES or not all(_whole(level) for level, _ in target.levels):
        return "value", False
    numbers = sorted({int(float(level)) for level, count in target.levels if count >= FEWEST})
    return "label", len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def _lonely(path: Path, target: Column, on_error: OnError) -> tuple[str, ...]:
    """Return the classes of so few rows that nothing can be said about them; with "stop" they end everything."""
    few = tuple(level for level, count in target.levels if count < FEWEST)
    if few and on_error != "skip":
        counts = dict(target.levels)
        raise InputError(
            f"{path}, column {target.name!r}: {', '.join(f'{level!r} stands in {counts[level]}' for level in few[:5])} "
            f"of {target.count} rows, too few for a class. Mend the table, or leave such rows out and list them with "
            "--on-error skip."
        )
    return few


def _whole(text: str) -> bool:
    try:
        return float(text).is_integer()
    except ValueError:
        return False


def _content(dataset: Dataset, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The table and the targets of every case."""
    (split,) = dataset.splits
    source = open_split(dataset, split)
    cases = [source[row] for row in range(len(source))]
    return np.stack([case["table"] for case in cases]), np.array([case[kind] for case in cases])


def _telling(
    dataset: Dataset, table: np.ndarray, targets: np.ndarray, spec: HashedSplit | Folds | None
) -> dict[str, str]:
    """Find columns that alone separate a class from the rest, on cases that are not going to be the test set."""
    seen = np.ones(len(targets), bool)
    if isinstance(spec, HashedSplit):
        seen = assign_splits(np.asarray(dataset.index.group), spec) != "test"
    found: dict[str, str] = {}
    for k in range(len(dataset.classes) if len(dataset.classes) > 2 else 1):
        own = targets[seen] == k
        for place, name in enumerate(dataset.columns):
            values = table[seen, place].astype(np.float64)
            known = ~np.isnan(values)
            if known.sum() < 20 or own[known].all() or not own[known].any():
                continue
            area = float(classification.auroc(values[known], own[known]))
            if max(area, 1 - area) >= TELLS:
                column = name if name in dataset.columns and "=" not in name else name.partition("=")[0]
                found[column] = (
                    f"it alone separates the classes (AUROC {max(area, 1 - area):.3f}), as identifiers and what is known "
                    "only afterwards do; put it back if it is known at prediction time"
                )
    return found


def _zeros(dataset: Dataset, table: np.ndarray) -> list[str]:
    """Note columns in which 0 stands far from every other value, as it does where it means "not measured"."""
    found = []
    for place, name in enumerate(dataset.columns):
        values = table[:, place].astype(np.float64)
        zeros, others = int((values == 0).sum()), np.unique(values[values > 0])
        if not zeros or len(others) < 10 or (values < 0).any():
            continue
        usual = float(np.median(np.diff(others[: len(others) // 2 + 2])))
        if others[0] >= 5 * usual:
            found.append(
                f"column {name!r}: {zeros} zeros, though every other value is {others[0]:g} or more; if they mean missing, "
                f'add codes=(("{name}", (("0", ""),)),)'
            )
    return found


def _task(dataset: Dataset, kind: str, ordered: bool, counts: np.ndarray, positive: str | None) -> tuple[str, str, str]:
    """Return the task as Python, the reason, and its name."""
    if kind == "value":
        return "Regression()", "The target is a number.", "Regression"
    if len(dataset.classes) == 2:
        chosen, why = choices.positive(dataset.classes, counts.tolist(), positive)
        return f"Classification(positive={chosen!r})".replace("'", '"'), why, "Classification"
    if positive is not None:
        raise InputError(f"--positive is for two classes; there are {len(dataset.classes)}")
    if ordered:
        why = f"{dataset.classes[0]} to {dataset.classes[-1]} are taken for ordered grades; if they are mere names, "
        return "Ordinal()", why + "use Classification().", "Ordinal"
    return "Classification()", "", "Classification"
