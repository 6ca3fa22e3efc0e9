"""A common canvas for cases of different sizes: each lies centred on it, and around it voxels are unknown."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from medjax.data.case import Case
from medjax.data.source import Source
from medjax.errors import InputError
from medjax.segmentation_losses import UNKNOWN


def survey(
    source: Source, key: str, target: str, classes: Sequence[str], least: Sequence[int], where: str
) -> tuple[tuple[int, ...], Int[np.ndarray, "cases classes"]]:
    """Look at every case once: the canvas that all of them fit on, and the voxels of every case and class.

    Args:
        source: cases, preprocessed.
        key: the input with the grid, "image" or "volume".
        target: the key of the label map.
        classes: names by number.
        least: sides that the canvas has at least (a patch must fit on it); empty: none.
        where: the data set, for messages.

    Raises:
        InputError: a label that no class has, or a grid of another rank, by the case's id.
    """
    shape, counts = np.array(least, int), []
    for number in range(len(source)):
        case = source[number]
        labels, space = np.asarray(case[target]), np.array(np.shape(case[key])[:-1])
        if labels.shape != tuple(space):
            raise InputError(
                f"{where}, case '{case['id']}': {target} {labels.shape} is on another grid than {key} {space}"
            )
        if len(shape) not in (0, len(space)):
            raise InputError(
                f"task.patch has {len(shape)} numbers, but {key} of case '{case['id']}' has {len(space)} axes of space"
            )
        shape = np.maximum(shape, space) if len(shape) else space
        known = labels[labels != UNKNOWN].ravel()
        if known.size and (known.min() < 0 or known.max() >= len(classes)):
            raise InputError(
                f"{where}, case '{case['id']}': {target} holds the label {known.max()}, but the classes are 0 to "
                f"{len(classes) - 1} ({', '.join(classes)}); name them all in task.classes"
            )
        counts.append(np.bincount(known, minlength=len(classes)))
    if not counts:
        raise InputError(f"{where}: it holds no case")
    return tuple(int(side) for side in shape), np.stack(counts)


def on_canvas(case: Case, key: str, target: str, shape: Sequence[int]) -> Case:
    """Lay a case onto the middle of the canvas: intensities 0 and labels 255 around it."""
    lacks = [want - has for want, has in zip(shape, np.shape(case[target]), strict=True)]
    margins = [(lack // 2, lack - lack // 2) for lack in lacks]
    labels = np.pad(np.asarray(case[target]).astype(np.uint8), margins, constant_values=UNKNOWN)
    return {**case, key: np.pad(case[key], [*margins, (0, 0)]), target: labels}
