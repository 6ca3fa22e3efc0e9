"""Judging a run by the kind of its task: the one place that knows which kind is judged how."""

from medjax.judging import masks, outputs
from medjax.judging.contract import Found, Judging
from medjax.tasks import Task


def of(task: Task) -> Judging:
    """Return how a task's kind is judged."""
    return masks.JUDGING if task.kind == "segmentation" else outputs.JUDGING


__all__ = ["Found", "Judging", "of"]
