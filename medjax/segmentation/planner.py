"""From what the data look like to the settings of a segmentation: no number is tuned by hand, and each has its reason.

The rules are those of nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z, supplementary note 2) where no other
is named. Everything here is a pure function of a `Fingerprint`, a memory and a platform.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medjax.data.case import Case
from medjax.data.source import Source
from medjax.errors import InputError

ANISOTROPIC = 3.0  # an axis whose voxels are this much longer, and which has this much fewer of them, is thick
LEAST_SIDE = 4  # voxels a side that the coarsest level keeps
MOST_CHANNELS = {2: 512, 3: 320}
SHARE = 0.05  # of all voxels, the most that one batch may hold
# Arrays of the size of each level that a step holds at once. XLA's own estimate on a CPU, two patches of configs/hippocampus.py:
# 140 MiB, which is 52 of them a patch. An accelerator, whose convolutions need no copies, holds fewer.
TENSORS = 52
MOST_BATCH = 32


@dataclass(frozen=True)
class Fingerprint:
    """What is known of the cases that training may see.

    In cross-validation these are all cases, as in nnU-Net: of those that a fold judges the sizes, spacings and percentiles of
    intensity enter. A sealed test set is not read.

    Attributes:
        key: "image" or "volume".
        cases: how many.
        channels: of the input.
        shapes: of every case in space.
        spacings: of every case in mm; () where unknown.
        classes: names by number.
        smallest: the smallest intensity of all.
        integer: whether intensities are stored as uint8.
        foreground: .5th and 99.5th percentile of the intensities in the foreground.
    """

    key: str
    cases: int
    channels: int
    shapes: tuple[tuple[int, ...], ...]
    spacings: tuple[tuple[float, ...], ...]
    classes: tuple[str, ...]
    smallest: float
    integer: bool
    foreground: tuple[float, float]


@dataclass(frozen=True)
class Proposal:
    """Settings of a segmentation.

    Attributes:
        spacing: that every case is resampled to, in mm; (): cases stay as they are.
        patch: what the model sees at once.
        batch_size: patches a step.
        widths: channels of each level.
        strides: of each level but the first.
        kernels: of each level.
        packing: voxels along each axis that are packed into channels.
        intensities: "case" (each by its own mean and deviation), "range" (uint8 to [0, 1], then standardised) or "window" (cut to
            percentiles of the foreground, then standardised).
        window: those percentiles.
        reasons: setting -> why.
    """

    spacing: tuple[float, ...]
    patch: tuple[int, ...]
    batch_size: int
    widths: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    packing: int
    intensities: str
    window: tuple[float, float]
    reasons: dict[str, str]


def fingerprint(cases: Source | Sequence[Case], classes: Sequence[str], target: str = "segmentation") -> Fingerprint:
    """Look at cases that training may see, each on its own grid.

    Raises:
        InputError: no case, or one without an image or volume.
    """
    if not len(cases):
        raise InputError("there is no case to plan for")
    shapes, spacings, samples, smallest, integer, channels = [], [], [], math.inf, True, 1
    key = "volume" if "volume" in cases[0] else "image"
    for number in range(len(cases)):
        case = cases[number]
        if key not in case or target not in case:
            raise InputError(f"case '{case.get('id')}' has no {key} or no {target}, so nothing can be planned for it")
        array, labels = np.asarray(case[key]), np.asarray(case[target])
        shapes.append(tuple(int(side) for side in labels.shape))
        if "spacing" in case:
            spacings.append(tuple(round(float(step), 4) for step in case["spacing"]))
        smallest, channels = min(smallest, float(array.min())), array.shape[-1]
        integer = integer and array.dtype == np.uint8
        inside = array[labels > 0].ravel()
        # A thousand voxels a case, evenly taken: every case counts alike, and nothing is drawn.
        samples.append(inside[:: max(1, len(inside) // 1000)].astype(np.float64))
    whole = np.concatenate(samples)
    low, high = np.percentile(whole, [0.5, 99.5]).tolist() if len(whole) else (0.0, 1.0)
    told = tuple(spacings) if len(spacings) == len(shapes) else ()
    return Fingerprint(key, len(shapes), channels, tuple(shapes), told, tuple(classes), smallest, integer, (low, high))


def propose(found: Fingerprint, memory: float = 4.0, platform: str = "cpu") -> Proposal:
    """Choose every setting.

    Args:
        found: what the data look like.
        memory: GiB that a training step may take.
        platform: "cpu", "gpu" or "tpu".
    """
    reasons: dict[str, str] = {}
    spacing, resampled = _spacing(found, reasons)
    middle = np.median(resampled, axis=0)
    packing = 2 if platform == "cpu" and min(middle) >= 16 else 1
    reasons["packing"] = (
        "on a CPU the finest level is the dearest: two voxels a side go into channels (a fifth of the time, measured)"
        if packing > 1
        else "1: every voxel is a place of its own"
    )
    dimensions = len(middle)
    base = 32 if platform != "cpu" or packing > 1 else 16
    steps = spacing or (1.0,) * dimensions
    patch = [max(round(float(side)), 1) for side in middle]
    while True:
        sides = tuple(-(-side // packing) for side in patch)
        strides, kernels = topology(sides, steps)
        widths = tuple(min(base * 2**level, MOST_CHANNELS[dimensions]) for level in range(len(strides) + 1))
        whole = [packing * int(np.prod([step[axis] for step in strides])) for axis in range(dimensions)]
        rounded = tuple(-(-side // block) * block for side, block in zip(patch, whole, strict=True))
        need = _gigabytes(rounded, packing, widths, strides)
        if 2 * need <= memory or max(patch) <= LEAST_SIDE * 2:
            break
        shrink = int(np.argmax(np.array(patch) / middle))  # the axis that still covers most of the case
        patch[shrink] = max(int(patch[shrink] * 0.9), LEAST_SIDE)
    covered = float(np.prod(np.minimum(rounded, middle) / middle))
    reasons["patch"] = (
        f"the median case measures {_show(middle)}; the patch covers {covered:.0%} of it"
        + ("" if covered > 0.99 else f", as much as two of them fit into {memory:g} GiB")
        + f"; sides are multiples of {_show(whole)}"
    )
    reasons["strides"] = (
        f"an axis is halved while it keeps {LEAST_SIDE} voxels and its voxels are at most twice as long as the shortest"
    )
    reasons["kernels"] = "3 along an axis once its voxels are at most twice as long as the shortest, 1 before"
    reasons["widths"] = f"{base} at first, doubled a level, at most {MOST_CHANNELS[dimensions]}"
    fits = max(int(memory / need), 2)
    share = max(int(SHARE * found.cases * float(np.prod(middle)) / float(np.prod(rounded))), 2)
    batch = min(fits, share, MOST_BATCH, max(found.cases // 2, 1))
    reasons["batch_size"] = (
        f"{need:.2f} GiB a patch: {fits} fit into {memory:g} GiB; {share} hold {SHARE:.0%} of all voxels; at most {MOST_BATCH}"
    )
    intensities = _intensities(found, reasons)
    return Proposal(spacing, rounded, batch, widths, strides, kernels, packing, intensities, found.foreground, reasons)


def topology(
    sides: Sequence[int], spacing: Sequence[float]
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, ...], ...]]:
    """Choose strides of each level but the first, and kernels of each level, from the sides of a patch and the spacing.

    An axis is halved while its half keeps `LEAST_SIDE` voxels, and its voxels are not more than twice as long as the shortest
    among the axes that can still be halved; its kernel is 1 until its voxels are within twice the shortest.
    """
    sides_now, steps = np.array(sides, float), np.array(spacing, float)
    wide = np.zeros(len(sides), bool)
    strides, kernels = [], []
    while True:
        wide = wide | (steps <= 2 * steps.min())
        kernels.append(tuple(3 if one else 1 for one in wide))
        room = sides_now >= 2 * LEAST_SIDE
        if not room.any() or len(strides) == 5:
            break
        halved = room & (steps <= 2 * steps[room].min())
        strides.append(tuple(2 if one else 1 for one in halved))
        sides_now = np.where(halved, np.ceil(sides_now / 2), sides_now)
        steps = np.where(halved, steps * 2, steps)
    if not strides:  # a network of one level is none
        strides.append((2,) * len(sides))
        kernels.append(kernels[-1])
    return tuple(strides), tuple(kernels)


def _spacing(found: Fingerprint, reasons: dict[str, str]) -> tuple[tuple[float, ...], np.ndarray]:
    """The spacing to resample to, () for none, and the shapes that cases then have."""
    shapes = np.array(found.shapes, float)
    if not found.spacings:
        reasons["spacing"] = "unknown, so cases stay on their own grid"
        return (), shapes
    steps = np.array(found.spacings)
    if np.ptp(steps, axis=0).max() <= 0.01 * steps.min():
        shown = _show(steps[0])
        reasons["spacing"] = f"every case has {shown} mm, so nothing is resampled"
        return (), shapes
    chosen, middle = np.median(steps, axis=0), np.median(shapes, axis=0)
    thick = int(np.argmax(chosen))
    reasons["spacing"] = "the median of each axis"
    others = np.delete(middle, thick)
    if chosen[thick] >= ANISOTROPIC * chosen.min() and middle[thick] * ANISOTROPIC <= others.max():
        chosen[thick] = np.percentile(steps[:, thick], 10)
        reasons["spacing"] += f"; along axis {thick}, which is thick, the 10th percentile, so that little is lost"
    return tuple(float(round(step, 4)) for step in chosen), np.maximum(np.rint(shapes * steps / chosen), 1)


def _intensities(found: Fingerprint, reasons: dict[str, str]) -> str:
    if found.integer:
        reasons["intensities"] = (
            "stored in 8 bits, so their range is known; one mean and deviation from the training cases"
        )
        return "range"
    if found.smallest < -200:
        low, high = found.foreground
        reasons["intensities"] = (
            f"the smallest is {found.smallest:g}, so they look like Hounsfield units, which mean the same in every case: cut to "
            f"the .5th and 99.5th percentile of the foreground ({low:.4g} to {high:.4g}), then one mean and deviation"
        )
        return "window"
    reasons["intensities"] = (
        "their scale means nothing from one scan to the next: each case by its own mean and deviation"
    )
    return "case"


def _gigabytes(patch: Sequence[int], packing: int, widths: Sequence[int], strides: Sequence[Sequence[int]]) -> float:
    """Estimate the memory of one patch in a training step, in GiB, float32."""
    sides, total = np.array([-(-side // packing) for side in patch], float), 0.0
    for width, stride in zip(widths, [(1,) * len(patch), *strides], strict=True):
        sides = np.ceil(sides / np.array(stride))
        total += float(np.prod(sides)) * width * TENSORS
    return max(total * 4 / 2**30, 1e-6)


def described(found: Fingerprint, proposal: Proposal) -> str:
    """Return the fingerprint, every setting with its reason, and the lines of an experiment file that hold them."""
    low, middle, high = (_show(edge(found.shapes)) for edge in (_least, _middle, _most))
    lines = [
        f"{found.cases} cases, {found.key} with {found.channels} channel{'s' * (found.channels != 1)}, from {low} over {middle} "
        f"(median) to {high}",
        f"classes: {', '.join(found.classes)}",
        "",
    ]
    shown = {
        "spacing": _show(proposal.spacing) + " mm" if proposal.spacing else "as it is",
        "patch": _show(proposal.patch),
        "batch_size": str(proposal.batch_size),
        "widths": ", ".join(map(str, proposal.widths)),
        "strides": "; ".join(_show(step) for step in proposal.strides),
        "kernels": "; ".join(_show(size) for size in proposal.kernels),
        "packing": str(proposal.packing),
        "intensities": proposal.intensities,
    }
    for name, value in shown.items():
        lines += [f"{name:<12} {value}", f"             because: {proposal.reasons[name]}"]
    return "\n".join([*lines, "", "in an experiment file, each of which may be changed:", "", snippet(found, proposal)])


def snippet(found: Fingerprint, proposal: Proposal) -> str:
    """Return the lines of an experiment file that hold a proposal."""
    steps = [f"partial(resample, spacing={proposal.spacing})"] if proposal.spacing else []
    if proposal.intensities == "case":
        steps.append("normalise_case")
    elif proposal.intensities == "range":
        steps.append("partial(rescale, low=0.0, high=255.0)")
    else:
        low, high = (round(value, 4) for value in proposal.window)
        steps.append(f"partial(rescale, low={low}, high={high}, clip=True)")
    fitted = "" if proposal.intensities == "case" else f'    standardise=("{found.key}",),\n'
    return (
        f"    task=Segmentation(patch={proposal.patch}),\n"
        f"    model=UNet(\n        dimensions={len(proposal.patch)},\n        widths={proposal.widths},\n"
        f"        strides={proposal.strides},\n        kernels={proposal.kernels},\n        packing={proposal.packing},\n    ),\n"
        f"    preprocess=({', '.join(steps)},),\n{fitted}"
        f"    training=Training(batch_size={proposal.batch_size}, ...),"
    )


def _least(shapes: Sequence[Sequence[int]]) -> np.ndarray:
    return np.min(shapes, axis=0)


def _middle(shapes: Sequence[Sequence[int]]) -> np.ndarray:
    return np.median(shapes, axis=0)


def _most(shapes: Sequence[Sequence[int]]) -> np.ndarray:
    return np.max(shapes, axis=0)


def _show(values: Sequence[float | int] | np.ndarray) -> str:
    return " x ".join(f"{float(value):g}" for value in values)
