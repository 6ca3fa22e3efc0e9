"""Cases to look at: one slice of the image with the true and the predicted mask, as a run keeps it for its report.

The file is `predictions/<split>_overlays.npz`, beside the table of the same split. `ranks`, `ids` and `names` are texts: of
each case why it was chosen, its id, and the names of the classes but the background. For case number k there are `image_k`
(H, W) or (H, W, 3) uint8, `truth_k` and `prediction_k` (H, W) uint8, and `spacing_k` (2,) mm; `place_k` (2,) says which slice
of how many it is (0 of 0 for an image). A few hundred kilobytes; nothing in it names a patient.
"""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from medjax.data.storage import write_atomically
from medjax.errors import InputError
from medjax.evidence.predictions import Predictions, ensemble

RANKS = ("worst", "median", "best")
EACH = 2  # cases of a rank
_MARGIN = 12  # pixels around the masks
_LARGEST = 320  # pixels; larger pictures are thinned out


@dataclass(frozen=True, eq=False)
class Overlay:
    """One slice of a case.

    Attributes:
        rank: why it was chosen, one of `RANKS`.
        id: of the case.
        image: uint8.
        truth: the number of a class for each pixel.
        prediction: likewise.
        spacing: mm a pixel (height, width).
        slice: the number of the slice, from 0.
        slices: how many there are; 0 for an image.
    """

    rank: str
    id: str
    image: UInt8[np.ndarray, "height width *channels"]
    truth: UInt8[np.ndarray, "height width"]
    prediction: UInt8[np.ndarray, "height width"]
    spacing: tuple[float, float]
    slice: int = 0
    slices: int = 0


def chosen(predictions: Predictions) -> list[tuple[str, str]]:
    """(rank, id) of the cases whose pictures a report shows: those with the lowest, a middle and the highest Dice.

    Dice is the mean over the classes, and over the seeds; equal ones go by the order of the cases. No case comes twice. The
    median and the best are of the cases in which there is something to find, where there are any: two empty masks agree
    wholly and show nothing.
    """
    dice = mean_dice(predictions)
    order = np.argsort(dice, kind="stable")
    there = order[(predictions.target[order] > 0).any(-1)]
    there = there if len(there) else order
    count = len(there)
    middle = [*range(count // 2, count), *reversed(range(count // 2))]
    ranked = {"worst": order, "median": there[middle], "best": there[::-1]}
    found: dict[str, str] = {}
    for rank in RANKS:
        fresh = [name for place in ranked[rank] if (name := str(predictions.id[place])) not in found]
        found |= dict.fromkeys(fresh[:EACH], rank)
    return [(rank, name) for name, rank in found.items()]


def mean_dice(predictions: Predictions) -> Float[np.ndarray, " cases"]:
    """Dice of each case, over its classes and the seeds."""
    table = ensemble(predictions).reshape(len(predictions.id), len(predictions.classes), -1)
    return table[:, :, predictions.measures.index("dice")].mean(-1)


def overlay(
    rank: str,
    name: str,
    image: Shaped[np.ndarray, "*grid channels"],
    truth: Shaped[np.ndarray, "*grid"],
    prediction: Shaped[np.ndarray, "*grid"],
    spacing: Sequence[float | int] | Float[np.ndarray, " axes"],
) -> Overlay:
    """Cut the picture of a case: of a volume the slice with most of the truth, then the surroundings of both masks.

    Args:
        rank: one of `RANKS`.
        name: the id of the case.
        image: (H, W, C), or (D, H, W, C), whose slices are taken across the axis of the widest spacing.
        truth: the number of a class for each pixel or voxel.
        prediction: likewise.
        spacing: mm, one number an axis.
    """
    steps = [float(step) for step in spacing]
    place = slices = 0
    if truth.ndim == 3:
        axis = int(np.argmax(steps))
        others = tuple(k for k in range(3) if k != axis)
        areas = ((mask > 0).sum(others) for mask in (truth, prediction))
        place = next((int(np.argmax(area)) for area in areas if area.any()), truth.shape[axis] // 2)
        slices = truth.shape[axis]
        image, truth, prediction = (np.take(array, place, axis) for array in (image, truth, prediction))
        steps = [steps[k] for k in others]
    rows, columns = (_around((truth > 0) | (prediction > 0), axis) for axis in (0, 1))
    stride = -(-max(rows.stop - rows.start, columns.stop - columns.start) // _LARGEST)
    cut = (slice(rows.start, rows.stop, stride), slice(columns.start, columns.stop, stride))
    return Overlay(
        rank=rank,
        id=name,
        image=_picture(image)[cut],
        truth=truth[cut].astype(np.uint8),
        prediction=prediction[cut].astype(np.uint8),
        spacing=(steps[0] * stride, steps[1] * stride),
        slice=place,
        slices=slices,
    )


def _around(mask: Shaped[np.ndarray, "height width"], axis: int) -> slice:
    """The part of an axis that holds a mask, and some of what lies beside it; all of it where there is no mask."""
    places, size = np.flatnonzero(mask.any(1 - axis)), mask.shape[axis]
    if not len(places):
        return slice(0, size)
    margin = max(_MARGIN, (places[-1] - places[0] + 1) // 2)
    return slice(int(max(places[0] - margin, 0)), int(min(places[-1] + margin + 1, size)))


def _picture(image: Shaped[np.ndarray, "height width channels"]) -> UInt8[np.ndarray, "height width *channels"]:
    """The image in eight bits: as it is, or between its 1st and 99th percentile; channels beyond colour are left out."""
    if image.dtype != np.uint8:
        low, high = np.percentile(image, [1, 99])
        image = (255 * np.clip((image - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    return image if image.shape[-1] == 3 else image[..., 0]


def path_of(split: str) -> str:
    """The name of a split's file in the run folder."""
    return f"predictions/{split}_overlays.npz"


def write(path: Path, names: Sequence[str], overlays: Sequence[Overlay]) -> None:
    """Write the file whole or not at all; `names` are those of the classes but the background."""
    arrays: dict[str, Any] = {
        "ranks": np.array([one.rank for one in overlays]),
        "ids": np.array([one.id for one in overlays]),
        "names": np.array(list(names)),
    }
    for k, one in enumerate(overlays):
        arrays |= {f"image_{k}": one.image, f"truth_{k}": one.truth, f"prediction_{k}": one.prediction}
        arrays |= {f"spacing_{k}": np.array(one.spacing), f"place_{k}": np.array([one.slice, one.slices])}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    write_atomically(path, content.getvalue())


def read(path: Path) -> tuple[tuple[str, ...], list[Overlay]]:
    """Read the file: the names of the classes but the background, and the cases.

    Raises:
        InputError: it is damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            found = [
                Overlay(
                    rank=str(rank),
                    id=str(name),
                    image=stored[f"image_{k}"],
                    truth=stored[f"truth_{k}"],
                    prediction=stored[f"prediction_{k}"],
                    spacing=(float(stored[f"spacing_{k}"][0]), float(stored[f"spacing_{k}"][1])),
                    slice=int(stored[f"place_{k}"][0]),
                    slices=int(stored[f"place_{k}"][1]),
                )
                for k, (rank, name) in enumerate(zip(stored["ranks"], stored["ids"], strict=True))
            ]
            return tuple(map(str, stored["names"])), found
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise InputError(f"{path}: this file of overlays is damaged; evaluate the split again") from error
