"""How the cases of a kind of task lie before a model: as the pipeline gives them, or all on one canvas with their labels."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Num

from medjax.data.canvas import on_canvas, survey
from medjax.data.case import Case
from medjax.data.source import Source
from medjax.errors import InputError
from medjax.experiment import Experiment
from medjax.segmentation_losses import UNKNOWN
from medjax.tasks import Task


@dataclass(frozen=True)
class Prepared:
    """A source behind the case pipeline: what is read is what the model is fed."""

    source: Source
    pipeline: Any

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Case:
        return self.pipeline(self.source[index])


@dataclass(frozen=True)
class Laid:
    """Cases as they lie.

    Attributes:
        source: the cases.
        keys: what a batch holds beside inputs and targets.
        columns: what the task is judged and fitted by, where it is not the targets themselves.
    """

    source: Prepared
    keys: tuple[str, ...] = ()
    columns: list[np.ndarray] | None = None


@dataclass(frozen=True)
class Layout:
    """What differs between kinds of tasks before training.

    Attributes:
        lay: (source, experiment, name of the data) -> the cases as they lie.
        own: (experiment, case, input) -> those of its numbers that belong to the case.
        example: (experiment, one case of zeros) -> the columns that `Laid` would have of it.
    """

    lay: Callable[[Prepared, Experiment, str], Laid]
    own: Callable[[Experiment, Case, str], Num[np.ndarray, "..."]]
    example: Callable[[Experiment, Case], list[np.ndarray]]


def layout(task: Task) -> Layout:
    """Return the layout of a task's kind."""
    return _CANVAS if task.kind == "segmentation" else _AS_GIVEN


def _lay_on_canvas(source: Prepared, experiment: Experiment, where: str) -> Laid:
    """Lay all cases onto one canvas behind the pipeline; and count the voxels of every case and class."""
    task: Any = experiment.task
    if len(experiment.data.inputs) != 1 or experiment.data.inputs[0] not in ("image", "volume"):
        raise InputError(f"data.inputs {experiment.data.inputs}: a segmentation takes one input, an image or a volume")
    (key,) = experiment.data.inputs
    shape, counts = survey(source, key, task.target, task.classes, task.patch, where)

    def pipeline(case: Case) -> Case:
        return on_canvas(source.pipeline(case), key, task.target, shape)

    laid = Prepared(source.source, pipeline)
    # Augmentations turn and bend in mm.
    return Laid(laid, ("spacing",) if "spacing" in laid[0] else (), [counts])


def _on_case(experiment: Experiment, case: Case, key: str) -> Num[np.ndarray, "..."]:
    """The numbers of an input that stand on the case itself, not on the canvas around it."""
    return case[key][case[experiment.task.target] != UNKNOWN]


def _no_voxels(experiment: Experiment, case: Case) -> list[Int[np.ndarray, "one classes"]]:
    """How many voxels of every class there are, of a case of zeros."""
    del case
    return [np.zeros((1, len(experiment.task.classes)), np.int64)]


_CANVAS = Layout(_lay_on_canvas, _on_case, _no_voxels)
_AS_GIVEN = Layout(
    lay=lambda source, experiment, where: Laid(source),
    own=lambda experiment, case, key: case[key],
    example=lambda experiment, case: [case[key][None] for key in experiment.task.targets],
)
