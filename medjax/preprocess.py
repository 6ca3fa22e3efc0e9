"""Deterministic preprocessing of one case on the host, in NumPy; training and prediction run the very same functions.

A step takes a case and gives a new one (the old one is left alone); a configuration binds its settings by keyword:

    preprocess = (partial(rescale, low=0.0, high=255.0), partial(resize, shape=(28, 28)))

Geometry moves `segmentation` along (nearest neighbour) and keeps `spacing` true. `fit_standardise` is the one function
here that looks at data: give it training cases only.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Num

from medjax.errors import InputError

_SPACE = {"image": 2, "volume": 3}


# ---------------------------------------------------------------------------------------------------------------------
# Fitted on training cases: standardisation
# ---------------------------------------------------------------------------------------------------------------------


def fit_standardise(arrays: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Fit mean and standard deviation for every index of the last axis (table column, image channel).

    One pass in float64 that merges the moments of the arrays (Chan, Golub & LeVeque 1979), so that a large mean does
    not eat the variance and the data need not fit into memory. NaN is left out. The deviation is the population's
    (divided by n, as in scikit-learn's StandardScaler).

    Args:
        arrays: arrays of any rank with the same last axis: rows (F,), a table (N, F), images (H, W, C), ...

    Returns:
        {"mean": (F,), "scale": (F,)} in float32. A column without spread, or without any value (its mean is 0), gets an
        infinite scale: nothing can be learnt of it, so it is 0 for every case. A category, or a missing value, that no
        training case has would otherwise meet weights that nothing was ever fitted to.

    Raises:
        InputError: no array was given, the last axes differ, or a value is infinite.
    """
    count = mean = squares = np.zeros(0)
    number = -1
    for number, array in enumerate(arrays):
        rows = np.asarray(array, np.float64).reshape(-1, np.shape(array)[-1])
        if np.isinf(rows).any():
            column = int(np.flatnonzero(np.isinf(rows).any(axis=0))[0])
            raise InputError(f"standardise: array {number} holds an infinite value in column {column}: mark it as NaN")
        if number == 0:
            count = np.zeros(rows.shape[1])
            mean, squares = np.zeros_like(count), np.zeros_like(count)
        elif rows.shape[1] != len(mean):
            raise InputError(f"standardise: array {number} has {rows.shape[1]} columns, those before {len(mean)}")
        known = ~np.isnan(rows)
        n = known.sum(axis=0)
        new_mean = np.where(known, rows, 0.0).sum(axis=0) / np.maximum(n, 1)
        new_squares = (np.where(known, rows - new_mean, 0.0) ** 2).sum(axis=0)
        total, delta = np.maximum(count + n, 1), np.where(n > 0, new_mean - mean, 0.0)
        mean = mean + delta * n / total
        squares = squares + new_squares + delta**2 * count * n / total
        count = count + n
    if number < 0:
        raise InputError("standardise: no training case to fit on")
    scale = np.sqrt(squares / np.maximum(count, 1))
    # A spread below the resolution of float32 is rounding, not signal: dividing by it would blow the noise up.
    constant = scale <= np.finfo(np.float32).eps * np.abs(mean)
    return {"mean": mean.astype(np.float32), "scale": np.where(constant, np.inf, scale).astype(np.float32)}


def standardise(
    fitted: Mapping[str, Num[np.ndarray, " columns"] | Num[Array, " columns"]],
    array: Num[np.ndarray, "*rows columns"] | Num[Array, "*rows columns"],
) -> Num[np.ndarray, "*rows columns"] | Num[Array, "*rows columns"]:
    """Subtract the fitted mean and divide by the fitted scale along the last axis; NaN becomes 0, the training mean.

    Args:
        fitted: the result of `fit_standardise`, in NumPy or JAX (also as a traced leaf of a replicate's state).
        array: any rank, last axis as fitted; integers become float32.

    Returns:
        An array of the kind (NumPy or JAX) and shape of the input, finite where the input is finite or NaN.
    """
    on_device = isinstance(array, jax.Array) or any(isinstance(leaf, jax.Array) for leaf in fitted.values())
    xp = jnp if on_device else np
    if not jnp.issubdtype(array.dtype, jnp.floating):
        array = array.astype(np.float32)
    shape = (1,) * (array.ndim - 1) + (-1,)
    mean = xp.asarray(fitted["mean"]).reshape(shape).astype(array.dtype)
    scale = xp.asarray(fitted["scale"]).reshape(shape).astype(array.dtype)
    return xp.where(xp.isnan(array), 0, (array - mean) / scale).astype(array.dtype)


# ---------------------------------------------------------------------------------------------------------------------
# Missing values
# ---------------------------------------------------------------------------------------------------------------------


def flag_missing(case: dict) -> dict:
    """Append a column to the table for each of its columns: 1 where the value is missing, else 0.

    The missing values stay NaN; `standardise` turns them into the training mean afterwards, and by these flags the model
    still sees that they were missing. A flag that is the same in all training cases is 0 after standardising.

    Args:
        case: with `table` (F,).

    Returns:
        A case whose `table` is (2 F,): the values, then the flags.

    Raises:
        InputError: the case has no table.
    """
    if "table" not in case:
        raise InputError(f"flag_missing, {_called(case)}: this step needs a table, the case has only {sorted(case)}")
    table = np.asarray(case["table"])
    return {**case, "table": np.concatenate([table, np.isnan(table).astype(table.dtype)], axis=-1)}


# ---------------------------------------------------------------------------------------------------------------------
# Running the steps
# ---------------------------------------------------------------------------------------------------------------------


def apply(steps: Sequence[Callable[[dict], dict]], case: dict) -> dict:
    """Run the steps one after the other on one case; without steps the case comes back as it is."""
    for step in steps:
        case = step(case)
    return case


def check_fixed(case: dict, shapes: Mapping[str, tuple[int, ...]], where: str) -> None:
    """Refuse a case whose arrays do not have the shapes of the reference case: a batch needs one shape.

    Args:
        case: a case after preprocessing.
        shapes: key -> shape, as of the first training case.
        where: the file or split, for the message.

    Raises:
        InputError: a key is missing or its shape differs.
    """
    for key, shape in shapes.items():
        if key not in case:
            raise InputError(
                f"{where}, {_called(case)}: {key} is missing; every case needs the inputs of the first one"
            )
        found = np.shape(case[key])
        if found != tuple(shape):
            raise InputError(
                f"{where}, {_called(case)}: {key} has shape {found} after preprocessing, the first case {tuple(shape)}; "
                "end the preprocessing in a fixed shape (resize, or pad and centre_crop)"
            )


# ---------------------------------------------------------------------------------------------------------------------
# Intensity
# ---------------------------------------------------------------------------------------------------------------------


def rescale(case: dict, *, low: float | int | None = None, high: float | int | None = None, clip: bool = False) -> dict:
    """Map intensities from [low, high] to [0, 1], in float32.

    Args:
        case: with `image` or `volume`.
        low: the intensity that becomes 0; for integer types the default is the type's range (uint8: 0 to 255).
        high: the intensity that becomes 1.
        clip: cut what lies outside (a window of a CT); otherwise such values leave [0, 1].

    Raises:
        InputError: floating intensities without a range, or an empty range.
    """
    result = dict(case)
    for key in _inputs(case):
        array = np.asarray(case[key])
        bottom, top = low, high
        if (low is None or high is None) and np.issubdtype(array.dtype, np.integer):
            bottom = np.iinfo(array.dtype).min if low is None else low
            top = np.iinfo(array.dtype).max if high is None else high
        if bottom is None or top is None or not top > bottom:
            raise InputError(
                f"rescale, {_called(case)}: {key} is {array.dtype} and the range is {bottom} to {top}: give low and high, "
                "with low < high"
            )
        scaled = (array.astype(np.float32) - np.float32(bottom)) / np.float32(top - bottom)
        result[key] = np.clip(scaled, 0.0, 1.0) if clip else scaled
    return result


def normalise(
    case: dict, *, mean: float | int | Sequence[float | int], std: float | int | Sequence[float | int]
) -> dict:
    """Subtract a stated mean and divide by a stated deviation for each channel, in float32.

    For numbers that are known beforehand; what is learnt from the training cases is `fit_standardise`.

    Args:
        case: with `image` or `volume`.
        mean: one number, or one a channel.
        std: likewise, positive.

    Raises:
        InputError: the channels do not fit, or a deviation is not positive.
    """
    result = dict(case)
    for key in _inputs(case):
        array = np.asarray(case[key], np.float32)
        centre, spread = np.asarray(mean, np.float32), np.asarray(std, np.float32)
        for name, values in (("mean", centre), ("std", spread)):
            if values.ndim > 1 or values.size not in (1, array.shape[-1]):
                raise InputError(
                    f"normalise, {_called(case)}: {name} has {values.size} numbers, {key} {array.shape[-1]} channels"
                )
        if not (spread > 0).all():
            raise InputError(f"normalise: std is {std}: every deviation must be above 0")
        result[key] = (array - centre) / spread
    return result


def normalise_case(case: dict) -> dict:
    """Subtract each channel's own mean and divide by its own deviation, in float32; a constant channel becomes 0.

    For intensities whose scale means nothing from one scan to the next, as in MRI. In CT, where it does, `standardise` learns
    one scale from all training cases.

    Args:
        case: with `image` or `volume`.
    """
    result = dict(case)
    for key in _inputs(case):
        array = np.asarray(case[key], np.float64)
        space = tuple(range(array.ndim - 1))
        centred, spread = array - array.mean(axis=space), array.std(axis=space)
        result[key] = (centred / np.where(spread > 1e-8 * np.abs(array).max(initial=0), spread, np.inf)).astype(
            np.float32
        )
    return result


# ---------------------------------------------------------------------------------------------------------------------
# Geometry
# ---------------------------------------------------------------------------------------------------------------------


def resize(case: dict, *, shape: tuple[int, ...], anti_aliasing: bool = True) -> dict:
    """Resample to a shape in space, linearly; `segmentation` by the nearest voxel; `spacing` (mm) is brought along.

    Shrinking smooths first with a Gaussian of (factor - 1) / 2 pixels, so that fine texture does not fold into false
    coarse texture. The type stays: integers are rounded, so `rescale` still knows their range.

    Args:
        case: with an `image` for two numbers, a `volume` for three.
        shape: (H, W) or (D, H, W).
        anti_aliasing: whether to smooth before shrinking.
    """
    from skimage.transform import resize as resample

    def grid(array: np.ndarray) -> np.ndarray:
        if array.shape[: len(shape)] == tuple(shape):
            return array
        shrinks = any(new < old for new, old in zip(shape, array.shape, strict=False))
        settings: dict[str, Any] = {"order": 1, "mode": "reflect", "preserve_range": True}
        wide: Any = array.astype(np.float32)
        new_shape = (*shape, array.shape[-1])
        resampled = np.asarray(resample(wide, new_shape, anti_aliasing=anti_aliasing and shrinks, **settings))
        if np.issubdtype(array.dtype, np.integer):
            limits = np.iinfo(array.dtype)
            resampled = np.clip(np.rint(resampled), limits.min, limits.max)
        return resampled.astype(array.dtype)

    def nearest(labels: np.ndarray) -> np.ndarray:
        for axis, new in enumerate(shape):
            old = labels.shape[axis]
            centres = np.floor((np.arange(new) + 0.5) * (old / new)).astype(int)
            labels = np.take(labels, np.minimum(centres, old - 1), axis=axis)
        return labels

    result = _geometry(case, shape, "resize", grid, nearest)
    if "spacing" in case and len(np.ravel(case["spacing"])) == len(shape):
        old = case[_of_rank(case, shape, "resize")].shape[: len(shape)]
        spacing = np.asarray(case["spacing"])
        result["spacing"] = (spacing * np.divide(old, shape)).astype(spacing.dtype)
    return result


def resample(case: dict, *, spacing: tuple[float | int, ...]) -> dict:
    """Bring a case to a spacing in mm, by `resize` to the shape that covers the same extent.

    Args:
        case: with an `image` for two numbers, a `volume` for three, and its own `spacing` in mm.
        spacing: wanted, one number an axis.

    Raises:
        InputError: the case has no spacing of that many numbers, or one that is not positive.
    """
    own = np.ravel(case.get("spacing", ()))
    if len(own) != len(spacing) or not (own > 0).all():
        raise InputError(
            f"resample, {_called(case)}: spacing {own.tolist()} where {len(spacing)} positive numbers are needed"
        )
    space = np.shape(case[_of_rank(case, spacing, "resample")])[: len(spacing)]
    sides = np.rint(np.array(space) * own / np.array(spacing)).astype(int)
    return resize(case, shape=tuple(int(side) for side in np.maximum(sides, 1)))


def centre_crop(case: dict, *, shape: tuple[int, ...]) -> dict:
    """Cut out the middle: at most `shape` in space. Axes that are shorter stay as they are: `pad` brings those up.

    Where the surplus is odd, the larger part is cut behind.

    Args:
        case: with an `image` for two numbers, a `volume` for three.
        shape: (H, W) or (D, H, W).
    """

    def crop(array: np.ndarray) -> np.ndarray:
        for axis, new in enumerate(shape):
            start = max(array.shape[axis] - new, 0) // 2
            array = np.take(array, np.arange(start, start + min(new, array.shape[axis])), axis=axis)
        return array

    return _geometry(case, shape, "centre_crop", crop, crop)


def pad(case: dict, *, shape: tuple[int, ...], value: float | int = 0.0) -> dict:
    """Surround with a constant: at least `shape` in space. Axes that are longer stay: `centre_crop` brings those down.

    Where the lack is odd, the larger part is added behind. So `centre_crop` to the old shape undoes it.

    Args:
        case: with an `image` for two numbers, a `volume` for three.
        shape: (H, W) or (D, H, W).
        value: the intensity outside; a `segmentation` is padded with 0, the background.
    """

    def surround(array: np.ndarray, value: float | int) -> np.ndarray:
        lacks = [max(new - old, 0) for new, old in zip(shape, array.shape, strict=False)]
        margins = [(lack // 2, lack - lack // 2) for lack in lacks] + [(0, 0)] * (array.ndim - len(shape))
        return np.pad(array, margins, constant_values=np.asarray(value, array.dtype))

    return _geometry(case, shape, "pad", lambda array: surround(array, value), lambda labels: surround(labels, 0))


def _geometry(case: dict, shape: tuple[int, ...], step: str, grid: Callable, labels: Callable) -> dict:
    """Apply `grid` to the input of the shape's rank, and `labels` to the segmentation of the same grid."""
    if any(size < 1 for size in shape):
        raise InputError(f"{step}: shape={shape}: every side must be 1 or more")
    key = _of_rank(case, shape, step)
    result = {**case, key: grid(np.asarray(case[key]))}
    if "segmentation" in case:
        segmentation, space = np.asarray(case["segmentation"]), np.shape(case[key])[: len(shape)]
        if segmentation.shape != space:
            raise InputError(f"{step}, {_called(case)}: segmentation is {segmentation.shape}, but {key} is {space}")
        result["segmentation"] = labels(segmentation)
    return result


def _of_rank(case: dict, shape: tuple[float | int, ...], step: str) -> str:
    """The input that a shape in space speaks of."""
    for key in _inputs(case):
        if _SPACE[key] == len(shape):
            return key
    raise InputError(
        f"{step}, {_called(case)}: shape={shape} has {len(shape)} numbers, but the case has {', '.join(_inputs(case))}: "
        "an image needs (H, W), a volume (D, H, W)"
    )


def _inputs(case: dict) -> list[str]:
    """The inputs with intensities, of the right rank."""
    keys = [key for key in _SPACE if key in case]
    if not keys:
        raise InputError(f"{_called(case)}: this step needs an image or a volume, the case has only {sorted(case)}")
    for key in keys:
        if np.ndim(case[key]) != _SPACE[key] + 1:
            raise InputError(f"{_called(case)}: {key} has shape {np.shape(case[key])}; the last axis must be channels")
    return keys


def _called(case: dict) -> str:
    return f"case {case.get('id', '(without id)')}"
