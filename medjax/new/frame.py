"""What experiments on a table have in common, as the lines of an experiment file: imports, data, preprocessing, optimizer."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from medjax.data.dataset import Dataset
from medjax.data.origins.table import Table
from medjax.data.split import Folds, HashedSplit
from medjax.new import choices
from medjax.new.draft import Choice, changed, comment

Dropped = Sequence[tuple[str, str]]  # (column, why it is no input)


def imports(
    reference: str, task: str, spec: HashedSplit | Folds | None, table: Float[np.ndarray, "rows columns"]
) -> tuple[str, ...]:
    """The import lines.

    Args:
        reference: name of the reference model.
        task: name of the task's class.
        spec: how the rows are split.
        table: the inputs, NaN where a value is missing.
    """
    return (
        "from functools import partial",
        "import optax",
        f"from medjax.baselines import {reference}",
        "from medjax.data.origins import Table",
        *choices.splits_code(spec)[1],
        "from medjax.experiment import Data, Duration, Evaluation, Experiment, Optimizer, Replicates, Training",
        "from medjax.models import Perceptron",
        *(("from medjax.preprocess import flag_missing",) if np.isnan(table).any() else ()),
        f"from medjax.tasks import {task}",
        "from medjax.training.schedule import cosine",
    )


def data(
    name: str, origin: Table, dropped: Dropped, spec: HashedSplit | Folds | None, why: str, reasons: dict[str, str]
) -> tuple[Choice, Choice]:
    """The name of the experiment, and the block of its data.

    Args:
        name: of both.
        origin: how the table is read.
        dropped: columns that are no inputs; each becomes a comment.
        spec: how the rows are split.
        why: the reason for that.
        reasons: for settings of the origin, by key, beyond those that every table has.
    """
    reasons = {
        **reasons,
        "header": "The file has no header; give the columns their names here.",
        "group": "Rows of one patient stay together.",
    }
    settings = changed(origin, {key: reason for key, reason in reasons.items() if getattr(origin, key)})
    lines = [
        "Data(",
        f'    name="{name}",',
        *(f"    # left out: {column}: {reason}" for column, reason in dropped),
        "    origin=" + settings.replace("\n", "\n    ") + ",",
        '    inputs=("table",),',
        *comment(why),
        f"    splits={choices.splits_code(spec)[0]},",
        ")",
    ]
    return Choice("name", f'"{name}"'), Choice("data", "\n".join(lines))


def inputs(table: Float[np.ndarray, "rows columns"]) -> tuple[Choice, ...]:
    """What is done to the inputs: missing values flagged where there are any, and everything standardised."""
    found = [Choice("standardise", '("table",)', "With the mean and deviation of the training cases of each model.")]
    lacking = int(np.isnan(table).any(1).sum())
    if lacking:
        why = f"{lacking} rows lack a value: it becomes the training mean, and a flag tells the model."
        found.insert(0, Choice("preprocess", "(flag_missing,)", why))
    return tuple(found)


def optimizer(decay: float, rate: str, *more: str) -> Choice:
    """AdamW with a cosine schedule; `rate` and `more` settings as they are to be written."""
    lines = [
        f"    transform=partial(optax.adamw, weight_decay={decay:g}),",
        f"    learning_rate={rate},",
        "    schedule=partial(cosine, warmup=0.1),",
        *(f"    {one}," for one in more),
    ]
    return Choice("optimizer", "\n".join(["Optimizer(", *lines, ")"]))


def notes(dropped: Dropped, dataset: Dataset, *more: str) -> tuple[str, ...]:
    """What to tell the person on the screen: columns and rows that are left out, what the data set says, and `more`."""
    return (
        *(f"left out: column {column!r}: {why}" for column, why in dropped),
        *dataset.notes,
        *more,
        *(f"left out: {where}: {what}" for where, what in dataset.skipped[:20]),
    )
