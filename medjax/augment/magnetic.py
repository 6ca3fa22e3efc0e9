"""What goes wrong in magnetic resonance, at random for ONE case: bias field, ghosts, motion.

Every function is `f(key, case, *, settings) -> case`, changes `image` and `volume` alone, keeps shape and type, and
gives the case back bit for bit at strength 0. A scanner records lines of the Fourier transform (k-space) one after the
other along the phase-encoding axis; both artefacts change some of these lines, so that one transform along that axis is
all it takes. Only the real part is kept, and signed (standardised) intensities work.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Int, Key

from medjax.augment.grids import change, chosen, coin, draw, within
from medjax.augment.resample import resample_affine
from medjax.augment.spatial import draw_affine
from medjax.errors import InputError


def random_bias_field(
    key: Key[Array, ""], case: dict, *, strength: float | int, degree: int = 3, probability: float | int = 1.0
) -> dict:
    """Multiply with a smooth field, as an uneven receiver coil does: exp of a polynomial (Van Leemput et al. 1999).

    The polynomial's coefficients are drawn evenly; then it is scaled so that its largest value, each way, is drawn
    evenly below log(1 + strength). It has no constant part: overall brightness has functions of its own.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume` in which 0 means no signal (not yet standardised).
        strength: the field lies within [1 / (1 + strength), 1 + strength].
        degree: of the polynomial, at least 1.
        probability: how often there is a field at all.
    """
    within(strength, 0, math.inf, "strength")
    within(degree, 1, 9, "degree")

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        shape, amount = jax.random.split(key)
        terms = [powers for powers in itertools.product(range(degree + 1), repeat=x.ndim - 1) if sum(powers)]
        terms = [powers for powers in terms if sum(powers) <= degree]
        weights = jax.random.uniform(shape, (len(terms),), jnp.float32, -1.0, 1.0)
        lines = [np.linspace(-1, 1, size, dtype=np.float32) for size in x.shape[:-1]]
        field = jnp.zeros(x.shape[:-1])
        for weight, powers in zip(weights, terms, strict=True):
            term = weight
            for k, (line, power) in enumerate(zip(lines, powers, strict=True)):
                # No power: no axis. A line of ones would cost as much as the picture.
                if power:
                    term = term * (line**power).reshape([-1 if j == k else 1 for j in range(len(lines))])
            field = field + term
        top = jnp.max(jnp.abs(field))
        field = field / jnp.where(top > 0, top, 1) * (draw(amount, probability) * math.log1p(strength))
        return x * jnp.exp(field)[..., None].astype(x.dtype)

    return change(key, case, altered)


def random_ghosting(
    key: Key[Array, ""],
    case: dict,
    *,
    strength: float | int,
    ghosts: tuple[int, int] = (4, 10),
    axis: int = 0,
    probability: float | int = 1.0,
) -> dict:
    """Repeat the picture faintly along one axis, as pulsation and breathing do.

    Every n-th line of k-space loses a part of its strength, the lines around its centre (4 %) excepted; n faint copies
    appear along the axis.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`.
        strength: the largest part lost, from 0 to 1; drawn evenly from 0 to this.
        ghosts: smallest and largest number of ghosts, drawn evenly.
        axis: the phase-encoding axis: 0 is height and 1 width of an image; 0 is depth, 1 height, 2 width of a volume.
        probability: how often there are ghosts at all.
    """
    within(strength, 0, 1, "strength")
    if not 2 <= ghosts[0] <= ghosts[1]:
        raise InputError(f"random_ghosting: ghosts={ghosts} must be two numbers from 2 up, the smaller one first")

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        (along,) = chosen(axis, x.ndim - 1, "random_ghosting")
        amount, number = jax.random.split(key)
        lines = _lines(x.shape[along])
        every = jax.random.randint(number, (), ghosts[0], ghosts[1] + 1)
        lost = (jnp.abs(lines) % every == 0) & (jnp.abs(lines) > 0.02 * len(lines))
        part = _real(_transform(x, along) * _column(lost, along, x.ndim), along)
        return x - (jnp.abs(draw(amount, probability)) * strength * part).astype(x.dtype)

    return change(key, case, altered)


def random_motion(
    key: Key[Array, ""],
    case: dict,
    *,
    rotation: float | int = 5.0,
    translation: float | int = 0.03,
    moves: int = 2,
    axis: int = 0,
    probability: float | int = 1.0,
) -> dict:
    """Let the patient move while the lines of k-space are recorded (Shaw et al. 2019, arXiv:1810.11473).

    At `moves` random moments the body jumps to another pose; every line is taken from the pose that it found. The lines
    from around the centre, which make the picture's place, keep the pose of the case, so that the segmentation fits.

    Args:
        key: the random key of this case.
        case: with a floating `image` or `volume`; with `spacing` poses are rigid in millimetres.
        rotation: largest angle of a pose in degrees, each way.
        translation: largest shift of a pose as a fraction of the side, each way.
        moves: how often the body moves.
        axis: the phase-encoding axis, see `random_ghosting`.
        probability: how often the patient moves at all.
    """
    within(moves, 1, 20, "moves")

    def altered(key: Key[Array, ""], x: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        (along,) = chosen(axis, x.ndim - 1, "random_motion")
        toss, times, poses = jax.random.split(key, 3)
        on = coin(toss, probability)
        lines = _lines(x.shape[along])
        moments = jnp.sort(jax.random.uniform(times, (moves,))) * len(lines) - len(lines) // 2
        epoch = (lines[:, None] >= moments[None]).sum(1)  # how often the body had moved when the line was recorded
        calm = (moments <= 0).sum()
        still = _transform(x, along)

        def record(lines_so_far: Complex[Array, "*grid"], number: Int[Array, ""]) -> tuple:
            pose = jax.random.fold_in(poses, number)
            matrix, offset = draw_affine(
                pose, x.shape[:-1], rotation=rotation, translation=translation, spacing=case.get("spacing")
            )
            moved = _transform(resample_affine(x, matrix, offset, edge="nearest"), along)
            # A difference, which is exactly 0 where nothing moved.
            taken = _column((epoch == number) & (number != calm) & on, along, x.ndim)
            return lines_so_far + jnp.where(taken, moved - still, 0), None

        # A loop, since written out every pose would be compiled by itself.
        change_of_lines, _ = jax.lax.scan(record, jnp.zeros_like(still), jnp.arange(moves + 1))
        return x + _real(change_of_lines, along).astype(x.dtype)

    return change(key, case, altered)


def _lines(size: int) -> Array:
    """The frequencies of the lines in the order of the transform: 0 is the centre, halves negative."""
    return jnp.asarray(np.round(np.fft.fftfreq(size) * size).astype(np.int32))


def _column(values: Array, axis: int, rank: int) -> Array:
    return values.reshape([-1 if axis == k else 1 for k in range(rank)])


def _transform(x: Float[Array, "*grid"], axis: int) -> Complex[Array, "*grid"]:
    return jnp.fft.fft(x.astype(jnp.float32), axis=axis)


def _real(lines: Complex[Array, "*grid"], axis: int) -> Float[Array, "*grid"]:
    return jnp.real(jnp.fft.ifft(lines, axis=axis))
