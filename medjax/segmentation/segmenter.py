"""A trained run that segments: label maps on each case's own grid, from the mean of its models' probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, UInt8

from medjax.data.case import Case, check_case, check_shape
from medjax.data.source import Source
from medjax.errors import InputError
from medjax.predictor import Predictor, shapes
from medjax.segmentation import sliding
from medjax.training import processes
from medjax.training.mesh import spread


@dataclass(frozen=True, eq=False)
class Segmenter:
    """A trained run that segments cases of any size.

    Attributes:
        model: the run.
        largest: for each fold (-1 without cross-validation) the numbers of the classes of which only the largest
            connected component is kept.
    """

    model: Predictor
    largest: dict[int, tuple[int, ...]]

    @cached_property
    def window(self) -> sliding.Window:
        """The compiled window."""
        experiment: Any = self.model.experiment
        return sliding.build(experiment, shapes(self.model.record)[experiment.task.target].shape)

    @cached_property
    def placed(self) -> list[tuple[Any, Any]]:
        """Variables and fitted values of every replicate, whole on each of this process's devices, once."""
        own, whole = (self.model.variables, self.model.fitted), spread(sliding.devices())
        return [
            jax.device_put(jax.tree.map(lambda x, k=k: x[k], own), whole)
            for k in range(len(self.model.record["replicates"]))
        ]

    def probabilities(self, case: Case, members: Sequence[int]) -> list[Float[np.ndarray, "*space classes"]]:
        """Return the probabilities that each of some replicates gives every voxel, on the case's own grid.

        Args:
            case: as a reader or a source gives it.
            members: positions of replicates in the record.

        Raises:
            InputError: the case breaks the contract, lacks the input, or has other channels than the training cases.
        """
        (key,) = self.model.experiment.data.inputs
        check_case({"group": case.get("id"), **case}, where="input")
        prepared = self.model.pipeline(case)
        expected = shapes(self.model.record)[key].shape
        check_shape(prepared, key, (*[None] * (len(expected) - 1), expected[-1]), "input")
        array = np.asarray(prepared[key])
        space = np.shape(case[key])[:-1]
        return [onto(sliding.predict(self.window, *self.placed[member], array), space) for member in members]

    def members(self, fold: int) -> list[int]:
        """Return the positions of the replicates that judge a fold: those that held it out; all of them for -1."""
        replicates = self.model.record["replicates"]
        return [k for k, one in enumerate(replicates) if fold in (-1, one["fold"])]

    def labels(self, probabilities: Float[np.ndarray, "*space classes"], fold: int = -1) -> UInt8[np.ndarray, "*space"]:
        """Return the most probable class of every voxel, after the run's choice of components for that fold."""
        found = probabilities.argmax(axis=-1).astype(np.uint8)
        return keep_largest(found, self.largest.get(fold, self._most))

    def segment(self, case: Case) -> UInt8[np.ndarray, "*space"]:
        """Return the label map of a case on its own grid: all models' probabilities averaged."""
        return self.labels(np.mean(self.probabilities(case, self.members(-1)), axis=0))

    @property
    def _most(self) -> tuple[int, ...]:
        """For all folds together: the classes that more than half of the folds chose."""
        chosen = [number for own in self.largest.values() for number in own]
        return tuple(sorted({number for number in chosen if 2 * chosen.count(number) > len(self.largest)}))


def load_largest(plan: dict[str, Any]) -> dict[int, tuple[int, ...]]:
    """Return the choice of components that a run's frozen plan holds."""
    return {int(fold): tuple(numbers) for fold, numbers in plan.get("largest_component", {}).items()}


def onto(
    probabilities: Float[np.ndarray, "*space classes"], space: Sequence[int]
) -> Float[np.ndarray, "*original classes"]:
    """Bring probabilities back to the grid that a case had before it was resampled, linearly; the edges stay the edges."""
    if probabilities.shape[:-1] == tuple(space):
        return probabilities
    from skimage.transform import resize

    classes = probabilities.shape[-1]
    settings: dict[str, Any] = {"order": 1, "mode": "edge", "preserve_range": True, "anti_aliasing": False}
    return np.asarray(resize(probabilities, (*space, classes), **settings), np.float32)


def keep_largest(labels: UInt8[np.ndarray, "*space"], numbers: Sequence[int]) -> UInt8[np.ndarray, "*space"]:
    """Keep only the largest connected component (neighbours share a face) of each of these classes; the rest is background."""
    from scipy import ndimage

    result = labels.copy()
    for number in numbers:
        parts, count = ndimage.label(labels == number)
        if count > 1:
            sizes = np.bincount(parts.ravel())
            sizes[0] = 0
            result[(parts > 0) & (parts != sizes.argmax())] = 0
    return result


def dice(found: UInt8[np.ndarray, "*space"], truth: np.ndarray, number: int) -> float:
    """Return the Dice of one class; 1 where it is neither there nor found."""
    said, true = found == number, truth == number
    total = int(said.sum()) + int(true.sum())
    return 2 * int((said & true).sum()) / total if total else 1.0


def choose_components(
    segmenter: Segmenter, fold: int, members: Sequence[int], cases: Source, target: str
) -> tuple[int, ...]:
    """Choose the classes of which only the largest component is kept: where the mean Dice of these cases is better.

    Several processes choose together, each looking at some of the cases.

    Args:
        segmenter: that keeps all components.
        fold: of the members.
        members: the replicates whose mean is judged.
        cases: validation cases of that fold: never the ones that judge it.
        target: the key of the label map.

    Raises:
        InputError: there is no case to choose on.
    """
    if not len(cases):
        raise InputError(
            "task.components 'choose' needs validation cases; in cross-validation set data.splits.hold_back above 0"
        )
    count = len(segmenter.model.experiment.task.classes)

    def gains(place: int) -> list[float]:
        case = cases[place]
        found = segmenter.labels(np.mean(segmenter.probabilities(case, members), axis=0), fold)
        return [
            dice(keep_largest(found, (number,)), case[target], number) - dice(found, case[target], number)
            for number in range(1, count)
        ]

    mean = np.mean(processes.divided(gains, len(cases)), axis=0)
    return tuple(number for number, gain in enumerate(mean.tolist(), start=1) if gain > 0)
