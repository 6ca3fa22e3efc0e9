"""How well a mask agrees with the truth: one case and one class at a time, in 2-D and 3-D, with distances in mm.

The rule for empty masks, the same for every metric. Both masks empty: the class is rightly found to be absent, so Dice, IoU
and surface Dice are 1 and distances 0. One mask empty: Dice, IoU and surface Dice are 0, and distances, which do not exist,
are the diagonal of the image, the largest error there can be. So every case enters every mean; how many cases are of
either kind stands beside the means (`medjax.evidence.segmentation`). Sensitivity to lesions exists where there are lesions.

A surface is made of the voxels of a mask that touch the outside by a face; beyond the edge of the image is outside.
Distances run between centres of voxels. Definitions follow Maier-Hein, Reinke et al., Nature Methods 21:195 (2024), their
supplement: Hausdorff 95 is the larger of the two directed 95th percentiles, the mean surface distance the average over the
voxels of both surfaces (ASSD), the normalised surface Dice (Nikolov et al., JMIR 23:e26151, 2021) counts voxels.
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

Mask = Bool[np.ndarray, "*grid"]
Labels = Integer[np.ndarray, "*grid"]
Spacing = Shaped[np.ndarray, " axes"] | Sequence[float | int]

_ROUNDING = 1e-6  # a spacing of .7 mm kept in float32: a distance that equals the tolerance lies within it

MEASURES = (
    "dice",
    "iou",
    "surface_dice",
    "hausdorff_95",
    "mean_surface_distance",
    "volume",
    "volume_error",
    "lesions",
    "lesions_found",
    "lesions_false",
)
"""What is kept of each case and class: `measures` returns them in this order. Distances are in mm; `volume`, that of the
prediction, and `volume_error`, its absolute difference to the truth, in ml (of images: area in mm2); lesions are counted."""


def measures(
    prediction: Labels,
    truth: Labels,
    spacing: Spacing,
    classes: int,
    *,
    tolerance: float | int = 1.0,
    lesion_overlap: float = 0.1,
) -> Float[np.ndarray, "foreground measures"]:
    """All of `MEASURES` for every class but the background; always finite.

    Args:
        prediction: the number of a class for each voxel.
        truth: likewise.
        spacing: mm, one number an axis.
        classes: how many, with the background.
        tolerance: mm, of the surface Dice.
        lesion_overlap: see `lesions`.
    """
    largest = math.hypot(*(size * step for size, step in zip(truth.shape, spacing, strict=True)))
    rows = []
    for number in range(1, classes):
        said, own = cropped(prediction == number, truth == number)
        distances = surface_distances(said, own, spacing)
        volumes = [volume(one, spacing) for one in (said, own)]
        rows.append(
            [
                dice(said, own),
                iou(said, own),
                surface_dice(*distances, tolerance),
                hausdorff_95(*distances, largest),
                mean_surface_distance(*distances, largest),
                volumes[0],
                abs(volumes[0] - volumes[1]),
                *lesions(said, own, lesion_overlap),
            ]
        )
    return np.array(rows, np.float64).reshape(classes - 1, len(MEASURES))


def cropped(prediction: Mask, truth: Mask) -> tuple[Bool[np.ndarray, "*box"], Bool[np.ndarray, "*box"]]:
    """Both masks cut to the box that holds them, with an empty margin of one voxel; no metric changes by it."""
    either = prediction | truth
    box = []
    for axis in range(either.ndim):
        places = np.flatnonzero(either.any(tuple(k for k in range(either.ndim) if k != axis)))
        box.append(slice(places[0], places[-1] + 1) if len(places) else slice(0, 1))
    said, own = (np.pad(mask[tuple(box)], 1) for mask in (prediction, truth))
    return said, own


def dice(prediction: Mask, truth: Mask) -> float:
    """2 |A and B| / (|A| + |B|); 1 where both are empty. Source: Dice, Ecology 26:297 (1945)."""
    total = int(prediction.sum()) + int(truth.sum())
    return 2 * int((prediction & truth).sum()) / total if total else 1.0


def iou(prediction: Mask, truth: Mask) -> float:
    """|A and B| / |A or B|; 1 where both are empty. Source: Jaccard (1901)."""
    either = int((prediction | truth).sum())
    return int((prediction & truth).sum()) / either if either else 1.0


def volume(mask: Mask, spacing: Spacing) -> float:
    """Volume in ml; of an image, area in mm2."""
    return int(mask.sum()) * float(np.prod(np.asarray(spacing, np.float64))) / (1000.0 if mask.ndim == 3 else 1.0)


def surface(mask: Mask) -> Mask:
    """The voxels of a mask that touch the outside by a face."""
    from scipy.ndimage import binary_erosion

    return mask & ~binary_erosion(mask)


def surface_distances(
    prediction: Mask, truth: Mask, spacing: Spacing
) -> tuple[Float[np.ndarray, " ours"], Float[np.ndarray, " theirs"]]:
    """The distance in mm of each voxel of the prediction's surface to that of the truth, and the other way round.

    Where the other mask is empty the distances are infinite; an empty mask has none.
    """
    from scipy.ndimage import distance_transform_edt

    surfaces = surface(prediction), surface(truth)
    found = []
    for own, other in (surfaces, surfaces[::-1]):
        if other.any():
            away = np.asarray(distance_transform_edt(~other, sampling=list(map(float, spacing))))
            found.append(away[own])
        else:
            found.append(np.full(int(own.sum()), np.inf))
    return found[0].astype(np.float64), found[1].astype(np.float64)


def hausdorff_95(
    ours: Float[np.ndarray, " ours"], theirs: Float[np.ndarray, " theirs"], largest: float | int = math.inf
) -> float:
    """The larger of the 95th percentiles of `surface_distances`; 0 where both are empty, `largest` where one is."""
    if not len(ours) or not len(theirs):
        return float(largest) if len(ours) or len(theirs) else 0.0
    return float(max(np.percentile(ours, 95), np.percentile(theirs, 95)))


def mean_surface_distance(
    ours: Float[np.ndarray, " ours"], theirs: Float[np.ndarray, " theirs"], largest: float | int = math.inf
) -> float:
    """The mean of all `surface_distances`, both ways; 0 where both are empty, `largest` where one is."""
    if not len(ours) or not len(theirs):
        return float(largest) if len(ours) or len(theirs) else 0.0
    return float((ours.sum() + theirs.sum()) / (len(ours) + len(theirs)))


def surface_dice(
    ours: Float[np.ndarray, " ours"], theirs: Float[np.ndarray, " theirs"], tolerance: float | int
) -> float:
    """The share of both surfaces that lies within `tolerance` mm of the other; 1 where both are empty."""
    total = len(ours) + len(theirs)
    within = tolerance * (1 + _ROUNDING)
    return float(((ours <= within).sum() + (theirs <= within).sum()) / total) if total else 1.0


def lesions(prediction: Mask, truth: Mask, overlap: float = 0.1) -> tuple[int, int, int]:
    """Lesions in truth, how many of them are found, and how many are predicted where there is none.

    A lesion is a connected part, voxels that touch by a corner included. A true one is found if at least the share
    `overlap` of its voxels is predicted; a predicted one is false if less than that share of its voxels is true.
    """
    from scipy.ndimage import label

    structure = np.ones((3,) * truth.ndim, bool)
    covered = []
    for own, other in ((truth, prediction), (prediction, truth)):
        parts, count = label(own, structure)
        size = np.bincount(parts.ravel(), minlength=count + 1)[1:]
        hit = np.bincount(parts[other], minlength=count + 1)[1:]
        covered.append(hit >= np.maximum(overlap * size, 1e-9))
    return len(covered[0]), int(covered[0].sum()), int((~covered[1]).sum())
