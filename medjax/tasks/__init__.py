"""What is learnt. A task gives a loss a case, predictions from outputs, and the metrics that judge them."""

from collections.abc import Sequence

import numpy as np

from medjax.tasks.classification import Classification
from medjax.tasks.multi_label import MultiLabel
from medjax.tasks.ordinal import Ordinal
from medjax.tasks.regression import Regression
from medjax.tasks.segmentation import Segmentation
from medjax.tasks.survival import Survival

Task = Classification | MultiLabel | Ordinal | Regression | Segmentation | Survival


def truth(task: Task, columns: Sequence[np.ndarray]) -> np.ndarray:
    """Return what predictions are judged by, from the columns of the task's targets: (cases, ...)."""
    return task.truth(columns) if isinstance(task, Survival) else columns[0]


def judged(task: Task, targets: np.ndarray) -> np.ndarray:
    """Return the part of `truth` that stands beside predictions: of survival time and event, without entry and stratum."""
    return targets[:, :2] if isinstance(task, Survival) else targets


__all__ = [
    "Classification",
    "MultiLabel",
    "Ordinal",
    "Regression",
    "Segmentation",
    "Survival",
    "Task",
    "judged",
    "truth",
]
