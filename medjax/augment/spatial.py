"""Random changes of geometry for ONE case on the device: crop, flip, rotation, affine map.

Every function is `f(key, case, *, settings) -> case` with static shapes, so it compiles and vmaps. `image` (H, W, C) or
`volume` (D, H, W, C) and `segmentation` (the same grid) move together: intensities linearly, labels by the nearest
neighbour. Other keys stay. `edge` says what lies outside of the grid: "reflect" mirrors about the centre of the last
voxel (NumPy's "reflect", SciPy's "mirror"), "nearest" repeats the last voxel, "constant" is `fill` (and 0, the
background, in a segmentation).
"""

import functools
import itertools
import math
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, Num

from medjax.errors import InputError

Edge = Literal["reflect", "nearest", "constant"]
_SPACE = {"image": 2, "volume": 3}


def random_crop(
    key: Key[Array, ""],
    case: dict,
    *,
    padding: int | tuple[int, ...],
    probability: float | int = 1.0,
    edge: Edge = "reflect",
    fill: float | int = 0.0,
) -> dict:
    """Move the picture by whole pixels, up to `padding` each way: what padding and cropping back to the shape gives.

    Args:
        key: the random key of this case.
        case: see the module.
        padding: largest shift in pixels, for all axes or for each.
        probability: how often the shift is drawn at all.
        edge: what comes in from outside.
        fill: the intensity outside for edge="constant".
    """
    result = dict(case)
    for names, space in _grids(case):
        coin, draw = jax.random.split(key)
        reach = jnp.asarray(_each(padding, len(space), "padding"))
        shift = jax.random.randint(draw, (len(space),), -reach, reach + 1)
        shift = jnp.where(_coin(coin, probability), shift, 0)
        for name in names:
            array, outside = case[name], fill if name in _SPACE else 0
            for axis, size in enumerate(space):
                positions, inside = _edge(jnp.arange(size) + shift[axis], size, edge)
                array = jnp.take(array, positions, axis=axis, mode="clip")
                if edge == "constant":
                    inside = jnp.expand_dims(inside, [other for other in range(array.ndim) if other != axis])
                    array = jnp.where(inside, array, jnp.asarray(outside, array.dtype))
            result[name] = array
    return result


def random_flip(
    key: Key[Array, ""], case: dict, *, axes: int | tuple[int, ...], probability: float | int = 0.5
) -> dict:
    """Mirror along each of the axes, each with its own coin. The same key twice gives the case back.

    Args:
        key: the random key of this case.
        case: see the module.
        axes: axes of space: 0 is height and 1 width of an image; 0 is depth, 1 height, 2 width of a volume. Left and
            right mean something in most of medicine: think before flipping a chest or an abdomen.
        probability: of each flip.
    """
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    result = dict(case)
    for names, space in _grids(case):
        if not all(0 <= axis < len(space) for axis in axes):
            raise InputError(f"random_flip: axes={axes}, but {names[0]} has the axes 0 to {len(space) - 1}")
        for axis in axes:
            coin = _coin(jax.random.fold_in(key, axis), probability)
            for name in names:
                result[name] = jnp.where(coin, jnp.flip(result[name], axis), result[name])
    return result


def random_rotation(
    key: Key[Array, ""],
    case: dict,
    *,
    degrees: float | int | tuple[float | int, ...],
    probability: float | int = 1.0,
    edge: Edge = "reflect",
    fill: float | int = 0.0,
) -> dict:
    """Turn about the centre by an angle drawn evenly from -degrees to degrees; see `random_affine` (rotation)."""
    return random_affine(key, case, rotation=degrees, probability=probability, edge=edge, fill=fill)


def random_affine(
    key: Key[Array, ""],
    case: dict,
    *,
    rotation: float | int | tuple[float | int, ...] = 0.0,
    scale: float | int = 0.0,
    shear: float | int = 0.0,
    translation: float | int | tuple[float | int, ...] = 0.0,
    probability: float | int = 1.0,
    edge: Edge = "reflect",
    fill: float | int = 0.0,
) -> dict:
    """Rotate, scale, shear and move about the centre in one linear resampling.

    With `spacing` in the case (mm, one number an axis) the map acts in millimetres, so that anisotropic voxels
    are turned as the body would turn. All strengths 0 give the case back bit for bit.

    Args:
        key: the random key of this case.
        case: see the module.
        rotation: largest angle in degrees, each way; for a volume of the turns about depth, height and width (one
            number for all or three).
        scale: largest relative change of size; the factor lies log-evenly in [1 / (1 + scale), 1 + scale].
        shear: largest shear angle in degrees, each way, of every pair of axes.
        translation: largest shift as a fraction of the side, each way, for all axes or for each.
        probability: how often anything is drawn at all.
        edge: what lies outside.
        fill: the intensity outside for edge="constant".
    """
    result = dict(case)
    for names, space in _grids(case):
        matrix, offset = _draw_affine(key, space, rotation, scale, shear, translation, probability, case.get("spacing"))
        for name in names:
            if name in _SPACE:
                result[name] = resample_affine(case[name], matrix, offset, edge=edge, fill=fill)
            else:
                result[name] = resample_affine(case[name][..., None], matrix, offset, order=0, edge=edge)[..., 0]
    return result


def resample_affine(
    array: Num[Array, "*space channels"],
    matrix: Float[Array, "axes axes"],
    offset: Float[Array, " axes"],
    *,
    order: Literal[0, 1] = 1,
    edge: Edge = "reflect",
    fill: float | int = 0.0,
) -> Num[Array, "*space channels"]:
    """Resample a grid: the result at voxel `o` is the input at `matrix @ o + offset`, as in `scipy.ndimage`.

    Args:
        array: the grid, channels last; floating for order 1.
        matrix: from positions in the result to positions in the input, in voxels.
        offset: in voxels.
        order: 1 interpolates linearly, 0 takes the nearest voxel.
        edge: what lies outside (SciPy's "mirror", "nearest", "grid-constant").
        fill: the value outside for edge="constant".

    Raises:
        InputError: integers are to be interpolated.
    """
    space, channels = array.shape[:-1], array.shape[-1]
    if order == 1 and not jnp.issubdtype(array.dtype, jnp.floating):
        raise InputError(f"resampling {array.dtype} intensities would round them: put `rescale` into the preprocessing")
    axes = range(len(space))
    grid = [o.reshape(-1).astype(matrix.dtype) for o in jnp.meshgrid(*map(jnp.arange, space), indexing="ij")]
    # Sums of products, not a matrix product: accelerators round those to few digits, and positions need all of theirs.
    where = [sum(matrix[k, j] * grid[j] for j in axes) + offset[k] for k in axes]
    first = [jnp.floor(w if order else w + 0.5) for w in where]
    corners = []  # per axis and side of the cell: position in the flat grid, weight
    for k in axes:
        stride, part, sides = math.prod(space[k + 1 :]), where[k] - first[k], []
        for side in range(order + 1):
            position, inside = _edge(first[k].astype(jnp.int32) + side, space[k], edge)
            weight = (part if side else 1 - part) if order else jnp.ones_like(part)
            sides.append((position * stride, jnp.where(inside, weight, 0) if edge == "constant" else weight))
        corners.append(sides)
    flat, parts, covered = array.reshape(-1, channels), [], []
    for corner in itertools.product(*corners):
        value = flat.at[sum(position for position, _ in corner)].get(mode="promise_in_bounds")
        weight = functools.reduce(jnp.multiply, [weight for _, weight in corner])[:, None]
        parts.append(value * weight if order else jnp.where(weight > 0, value, 0))
        covered.append(weight)
    result = functools.reduce(jnp.add, parts)
    if edge == "constant":
        result = result + (1 - functools.reduce(jnp.add, covered)) * fill
    return result.astype(array.dtype).reshape(array.shape)


def _draw_affine(
    key: Key[Array, ""],
    space: tuple[int, ...],
    rotation: float | int | tuple[float | int, ...],
    scale: float | int,
    shear: float | int,
    translation: float | int | tuple[float | int, ...],
    probability: float | int,
    spacing: Float[Array, " axes"] | None,
) -> tuple[Float[Array, "axes axes"], Float[Array, " axes"]]:
    """Draw the map from positions in the result to positions in the input, about the centre of the grid."""
    n = len(space)
    planes = list(itertools.combinations(range(n), 2))[::-1]  # of a volume: (H, W), (D, W), (D, H): about D, H, W
    coin, turn, grow, slant, move = jax.random.split(key, 5)
    on = _coin(coin, probability)

    def evenly(key: Key[Array, ""], count: int) -> Float[Array, " count"]:
        return jnp.where(on, jax.random.uniform(key, (count,), jnp.float32, -1.0, 1.0), 0.0)

    angles = evenly(turn, len(planes)) * jnp.asarray(
        [math.radians(a) for a in _each(rotation, len(planes), "rotation")]
    )
    matrix = jnp.eye(n, dtype=jnp.float32) * jnp.exp(evenly(grow, 1)[0] * math.log1p(scale))
    slants = jnp.tan(evenly(slant, len(planes)) * math.radians(shear))
    for (i, j), angle, tangent in zip(planes, angles, slants, strict=True):
        cosine, sine = jnp.cos(angle), jnp.sin(angle)
        turned = jnp.eye(n, dtype=jnp.float32).at[i, i].set(cosine).at[j, j].set(cosine)
        turned = turned.at[i, j].set(-sine).at[j, i].set(sine)
        slanted = jnp.eye(n, dtype=jnp.float32).at[i, j].set(tangent)
        matrix = _product(_product(matrix, turned), slanted)
    if spacing is not None:
        matrix = matrix * spacing.reshape(1, n) / spacing.reshape(n, 1)
    centre = (jnp.asarray(space, jnp.float32) - 1) / 2
    reach = jnp.asarray(_each(translation, n, "translation"), jnp.float32) * jnp.asarray(space, jnp.float32)
    return matrix, centre - (matrix * centre.reshape(1, n)).sum(axis=1) + evenly(move, n) * reach


def _product(a: Float[Array, "n n"], b: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """A matrix product in full precision on every device."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def _edge(position: Int[Array, " p"], size: int, edge: Edge) -> tuple[Int[Array, " p"], Bool[Array, " p"]]:
    """Bring positions into the grid, and say which of them lay inside."""
    inside = (position >= 0) & (position < size)
    if edge == "reflect" and size > 1:
        position = size - 1 - jnp.abs(position % (2 * size - 2) - (size - 1))
    elif edge not in ("reflect", "nearest", "constant"):
        raise InputError(f"edge={edge!r}: use 'reflect', 'nearest' or 'constant'")
    return jnp.clip(position, 0, size - 1), inside


def _grids(case: dict) -> list[tuple[list[str], tuple[int, ...]]]:
    """The inputs with a grid, each with the segmentation of the same grid behind it, and the grid's shape."""
    grids = []
    for name in _SPACE:
        if name in case:
            space = case[name].shape[:-1]
            if len(space) != _SPACE[name]:
                raise InputError(f"augment: {name} of ONE case has rank {_SPACE[name] + 1}, this one {len(space) + 1}")
            moved = "segmentation" in case and case["segmentation"].shape == space
            grids.append(([name, "segmentation"] if moved else [name], space))
    if not grids:
        raise InputError(f"augment: the case has neither image nor volume, only {sorted(case)}")
    if "segmentation" in case and not any(len(names) == 2 for names, _ in grids):
        raise InputError(f"augment: segmentation {case['segmentation'].shape} fits no grid of {[g[1] for g in grids]}")
    return grids


def _each(value: float | int | tuple, count: int, name: str) -> tuple:
    """One setting for each axis, from one for all or from one each."""
    values = (value,) * count if isinstance(value, (int, float)) else tuple(value)
    if len(values) != count:
        raise InputError(f"augment: {name}={value} has {len(values)} entries, this grid needs {count} (or one number)")
    return values


def _coin(key: Key[Array, ""], probability: float | int) -> Bool[Array, ""]:
    return jax.random.uniform(key) < probability
