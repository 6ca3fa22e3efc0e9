"""Sliding windows: a case of any size predicted through one compiled window, overlapping ones averaged with a Gaussian.

Each call lays its windows over the devices of this process; several processes divide the cases (`processes.divided`).
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from medjax.experiment import Experiment, Mesh
from medjax.models.convolution import compiler_options
from medjax.training import mesh as meshes
from medjax.training.step import model_inputs


@dataclass(frozen=True, eq=False)
class Window:
    """The compiled window of a run.

    Attributes:
        key: the input, "image" or "volume".
        shape: of the window in space.
        overlap: of neighbouring windows, as a share of their side.
        flips: axes along which everything is also predicted mirrored.
        batch: windows in one call, on all devices together.
        predict: (variables, fitted, {key: windows}) -> probabilities (batch, space, classes).
    """

    key: str
    shape: tuple[int, ...]
    overlap: float
    flips: tuple[int, ...]
    batch: int
    predict: Callable


def devices() -> jax.sharding.Mesh:
    """Return the mesh of the windows: all devices of this process, along `data`."""
    return meshes.make(Mesh(), 1, None, jax.local_devices())


def build(experiment: Experiment, canvas: Sequence[int]) -> Window:
    """Compile the window of a run once, for all replicates and for cases of any size.

    Args:
        experiment: resolved, with the task `Segmentation`.
        canvas: the shape in space that training saw where no patch is drawn.
    """
    task: Any = experiment.task
    (key,) = experiment.data.inputs

    def predict(variables: Any, fitted: Any, batch: dict[str, Any]) -> Any:
        outputs: Any = experiment.model.apply(variables, *model_inputs(experiment, fitted, batch), train=False)
        return task.predict(outputs, fitted)

    # A CPU gains nothing from several windows on a device at once, and the last batch would be padded.
    size = experiment.training.batch_size
    alone = jax.default_backend() == "cpu" or isinstance(size, str)
    each = 1 if alone else int(size) // experiment.training.accumulate
    mesh = devices()
    whole, cases = meshes.spread(mesh), meshes.spread(mesh, meshes.CASES)
    compiled = jax.jit(predict, in_shardings=(whole, whole, cases), compiler_options=compiler_options())
    batch = each * meshes.rows(mesh)
    return Window(key, tuple(task.patch or canvas), float(task.overlap), tuple(task.flips), batch, compiled)


def starts(size: int, window: int, overlap: float) -> list[int]:
    """Return where windows begin along an axis: evenly spaced, from the first voxel to the last, no gap wider than asked.

    An axis no longer than the window has one, at 0.
    """
    if size <= window:
        return [0]
    step = max(int(window * (1 - overlap)), 1)
    count = -(-(size - window) // step) + 1
    return [round(place) for place in np.linspace(0, size - window, count)]


def gaussian(shape: Sequence[int]) -> Float[np.ndarray, "*space"]:
    """Return the weight of every voxel of a window: a Gaussian about its middle with an eighth of each side as deviation.

    Source: Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 2. The largest weight is 1; the
    smallest stays above 0, so that the corner of a case, which one window alone sees, is divided by something.
    """
    weights = np.ones(())
    for side in shape:
        distance = (np.arange(side) - (side - 1) / 2) / (side / 8)
        weights = weights[..., None] * np.exp(-(distance**2) / 2)
    return np.maximum(weights / weights.max(), 1e-4).astype(np.float32)


def predict(
    window: Window, variables: Any, fitted: Any, array: Float[np.ndarray, "*space channels"]
) -> Float[np.ndarray, "*space classes"]:
    """Return the probabilities of the classes of every voxel of a case of any size.

    Args:
        window: compiled.
        variables: of one replicate.
        fitted: likewise.
        array: the case behind the run's preprocessing; where it is shorter than the window, it stands in its middle
            with 0 around, as in training.
    """
    space = array.shape[:-1]
    lacks = [max(want - has, 0) for want, has in zip(window.shape, space, strict=True)]
    margins = [(lack // 2, lack - lack // 2) for lack in lacks]
    array = np.pad(array, [*margins, (0, 0)])
    places = list(
        itertools.product(*[starts(*sides, window.overlap) for sides in zip(array.shape, window.shape, strict=False)])
    )
    mirrored = [axes for count in range(len(window.flips) + 1) for axes in itertools.combinations(window.flips, count)]
    weights, total, norm = gaussian(window.shape)[..., None], None, np.zeros((*array.shape[:-1], 1), np.float32)
    jobs = [(place, axes) for place in places for axes in mirrored]
    for first in range(0, len(jobs), window.batch):
        own = jobs[first : first + window.batch]
        cut = [np.flip(array[_box(place, window.shape)], axes) for place, axes in own]
        cut += [np.zeros_like(cut[0])] * (window.batch - len(cut))  # one shape, one compiled program
        found = np.asarray(window.predict(variables, fitted, {window.key: np.stack(cut)}))
        if total is None:
            total = np.zeros((*array.shape[:-1], found.shape[-1]), np.float32)
        for (place, axes), probabilities in zip(own, found, strict=False):
            box = _box(place, window.shape)
            total[box] += weights * np.flip(probabilities, axes)
            norm[box] += weights
    assert total is not None  # there is always a place
    inside = tuple(slice(low, low + size) for (low, _), size in zip(margins, space, strict=True))
    return (total / norm)[inside]


def _box(place: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(start, start + side) for start, side in zip(place, shape, strict=True))
