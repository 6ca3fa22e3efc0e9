"""Random changes of geometry for ONE case on the device: crop, flip, rotation, affine map.

Every function is `f(key, case, *, settings) -> case` with static shapes, so it compiles and vmaps. `image` (H, W, C) or
`volume` (D, H, W, C) and `segmentation` (the same grid) move together: intensities linearly, labels by the nearest
neighbour. Other keys stay. `edge` says what lies outside of the grid: "reflect" mirrors about the centre of the last
voxel (NumPy's "reflect", SciPy's "mirror"), "nearest" repeats the last voxel, "constant" is `fill` (and 0, the
background, in a segmentation).
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from medjax.augment.grids import SPACE, chosen, coin, each, grids
from medjax.augment.resample import Edge, fold, resample_affine


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
    for names, space in grids(case):
        toss, draw = jax.random.split(key)
        reach = jnp.asarray(each(padding, len(space), "padding"))
        shift = jax.random.randint(draw, (len(space),), -reach, reach + 1)
        shift = jnp.where(coin(toss, probability), shift, 0)
        for name in names:
            array, outside = case[name], fill if name in SPACE else 0
            for axis, size in enumerate(space):
                positions, inside = fold((jnp.arange(size) + shift[axis]).astype(jnp.float32), size, edge)
                array = jnp.take(array, positions.astype(jnp.int32), axis=axis, mode="clip")
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
    result = dict(case)
    for names, space in grids(case):
        turned = [
            coin(jax.random.fold_in(key, axis), probability)
            if axis in chosen(axes, len(space), "random_flip")
            else jnp.zeros((), bool)
            for axis in range(len(space))
        ]
        # Whole lines are read at mirrored places; along a line the choice is between it and its mirror image.
        where = jnp.zeros((1,) * (len(space) - 1), jnp.int32)
        for axis, size in enumerate(space[:-1]):
            line = jnp.where(turned[axis], jnp.arange(size)[::-1], jnp.arange(size))
            where = where * size + line.reshape([-1 if axis == k else 1 for k in range(len(space) - 1)])
        for name in names:
            array = case[name]
            lines = array.reshape(math.prod(space[:-1]), *array.shape[len(space) - 1 :])
            lines = lines.at[where.astype(jnp.uint32)].get(mode="promise_in_bounds")
            result[name] = jnp.where(turned[-1], jnp.flip(lines, len(space) - 1), lines)
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
    for names, space in grids(case):
        matrix, offset = draw_affine(
            key, space, rotation=rotation, scale=scale, shear=shear, translation=translation, probability=probability,
            spacing=case.get("spacing"),
        )  # fmt: skip
        for name in names:
            if name in SPACE:
                result[name] = resample_affine(case[name], matrix, offset, edge=edge, fill=fill)
            else:
                result[name] = resample_affine(case[name][..., None], matrix, offset, order=0, edge=edge)[..., 0]
    return result


def draw_affine(
    key: Key[Array, ""],
    space: tuple[int, ...],
    *,
    rotation: float | int | tuple[float | int, ...] = 0.0,
    scale: float | int = 0.0,
    shear: float | int = 0.0,
    translation: float | int | tuple[float | int, ...] = 0.0,
    probability: float | int = 1.0,
    spacing: Float[Array, " axes"] | None = None,
) -> tuple[Float[Array, "axes axes"], Float[Array, " axes"]]:
    """Draw matrix and offset of a map from positions in the result to positions in the input, about the centre.

    Args:
        key: the random key of this case.
        space: the shape of the grid.
        rotation: this and the rest as for `random_affine`.
        scale: relative change of size.
        shear: degrees.
        translation: fraction of the side.
        probability: how often anything is drawn at all.
        spacing: mm an axis; None: voxels are cubes.
    """
    n = len(space)
    planes = list(itertools.combinations(range(n), 2))[::-1]  # of a volume: (H, W), (D, W), (D, H): about D, H, W
    toss, turn, grow, slant, move = jax.random.split(key, 5)
    on = coin(toss, probability)

    def evenly(key: Key[Array, ""], count: int) -> Float[Array, " count"]:
        return jnp.where(on, jax.random.uniform(key, (count,), jnp.float32, -1.0, 1.0), 0.0)

    angles = evenly(turn, len(planes)) * jnp.asarray([math.radians(a) for a in each(rotation, len(planes), "rotation")])
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
    reach = jnp.asarray(each(translation, n, "translation"), jnp.float32) * jnp.asarray(space, jnp.float32)
    return matrix, centre - (matrix * centre.reshape(1, n)).sum(axis=1) + evenly(move, n) * reach


def _product(a: Float[Array, "n n"], b: Float[Array, "n n"]) -> Float[Array, "n n"]:
    """A matrix product in full precision on every device."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
