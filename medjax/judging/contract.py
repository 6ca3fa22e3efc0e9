"""What judging a run is made of, whatever its task: the three things in which kinds of tasks differ.

The processes of a run call each of them together, and each gets the whole of what was found.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medjax.data.source import Source
from medjax.evidence.predictions import Predictions
from medjax.job import Job
from medjax.predictor import Predictor
from medjax.results import Plan


@dataclass(frozen=True)
class Found:
    """What a run says of some cases.

    Attributes:
        predictions: what is judged, with the targets of the cases.
        about: what belongs into the head of the table.
        keep: (run folder, name of the split) writes what is kept beside the table of predictions.
    """

    predictions: Predictions
    about: dict[str, Any] = field(default_factory=dict)
    keep: Callable[[Path, str], None] = lambda run, name: None


@dataclass(frozen=True)
class Judging:
    """How a kind of task is judged.

    Attributes:
        freeze: (job, model, plan) -> the plan with whatever else this kind fixes before a test set is opened.
        development: (job, model, plan, split) -> what the models say of a split of the development cases.
        elsewhere: (model, plan, cases) -> what they say of cases that had no part in the development: test, external.
    """

    freeze: Callable[[Job, Predictor, Plan], Plan]
    development: Callable[[Job, Predictor, Plan, str], Found]
    elsewhere: Callable[[Predictor, Plan, Source], Found]
