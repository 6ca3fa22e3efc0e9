"""Near-duplicates: cases closer to each other than their surroundings make likely.

Whitened thumbnails are compared, so that what all chest radiographs have in common counts for nothing. Whether a pair is
too close is judged by the neighbours of each case, ranks `BEYOND` to `FARTHEST`: so many cannot all be copies of it. Seen
from one case, closeness (the negative logarithm of a distance) has an exponential tail whose rate is the local dimension
(Levina & Bickel, NIPS 2004; Facco et al., Sci. Rep. 7:12140, 2017); the spacings of those ranks give its rate (Renyi,
1953), and with it the chance that the nearest of that many unrelated cases would come so close.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from medjax.data import thumbnail
from medjax.errors import InputError

BEYOND, FARTHEST = 8, 64
"""Ranks of neighbours that show what is usual: fewer than the first may be copies of the case itself."""
RATE = 1e-4
"""Share of cases without a copy that may be called suspect."""
DIMENSIONS = 128
SHRINK = 0.1
"""Of the mean variance is added to each direction's before whitening: what is faint is mostly noise."""
KNOTS = 33
"""Quantiles between which the rank of a value is interpolated; a column of no more values has its exact ranks."""
SAME = 0.97
"""Whitened similarity of pictures that are the same to the eye; many copies of one case hide each other's rarity."""
BLOCK = 2**23
"""Products held at once (float32: 32 MiB)."""


@dataclass(frozen=True)
class Neighbours:
    """The nearest references of each query, nearest first.

    Attributes:
        position: of the reference.
        similarity: whitened correlation of the best alignment, or the distance in ranks of the columns.
        closeness: on a scale whose tail is exponential.
        chance: that the nearest of so many unrelated references would come so close.
    """

    position: Int[np.ndarray, "queries ranks"]
    similarity: Float[np.ndarray, "queries ranks"]
    closeness: Float[np.ndarray, "queries ranks"]
    chance: Float[np.ndarray, "queries ranks"]


@dataclass(frozen=True)
class Suspect:
    """A pair that is closer than chance allows: two positions, the first smaller, how alike, and how unlikely."""

    first: int
    second: int
    similarity: float
    chance: float


@dataclass(frozen=True, eq=False)
class Whitening:
    """What takes standardised thumbnails to the space in which they are compared."""

    mean: Float32[np.ndarray, " features"]
    directions: Float32[np.ndarray, "features dimensions"]


def whitening(pictures: Float32[np.ndarray, "cases *grid"], dimensions: int = DIMENSIONS) -> Whitening:
    """Principal directions of standardised thumbnails, scaled to unit variance (with a little added)."""
    flat = thumbnail.standardised(pictures)
    mean = flat.mean(0)
    variance, directions = np.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    kept = max(1, min(dimensions, len(flat) // 4, int((variance > 1e-7 * variance[-1]).sum())))
    scale = np.sqrt(variance[::-1][:kept] + SHRINK * max(float(variance.mean()), 1e-12))
    return Whitening(mean, np.ascontiguousarray(directions[:, ::-1][:, :kept] / scale))


def embedded(pictures: Float32[np.ndarray, "cases *grid"], space: Whitening) -> Float32[np.ndarray, "cases dimensions"]:
    """Whitened thumbnails of length 1."""
    found = (thumbnail.standardised(pictures) - space.mean) @ space.directions
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def alignments(dimensions: int) -> list[tuple[thumbnail.Turn, thumbnail.Crop, thumbnail.Crop]]:
    """How a query is turned, and what is cut from it and from the reference, so that a copy lies on its original.

    Cutting from one alone undoes a crop; cutting as much from both, at other sides, undoes a shift.
    """
    upright, *others = thumbnail.turns(dimensions)
    whole: thumbnail.Crop = ((0, 0),) * dimensions
    few = [((1, 1),) * dimensions, ((2, 2),) * dimensions]
    many = few if dimensions > 2 else thumbnail.crops(dimensions, (1, 2, 3, 4))
    some = few if dimensions > 2 else thumbnail.crops(dimensions, (2, 4))
    found = [(upright, whole, whole)]
    found += [(upright, crop, whole) for crop in many] + [(upright, whole, crop) for crop in many]
    found += [(upright, ours, theirs) for ours, theirs in thumbnail.shifts(dimensions) if dimensions <= 2]
    for turn in others:
        found += [(turn, whole, whole), *((turn, crop, whole) for crop in some)]
        found += [(turn, whole, crop) for crop in some]
    return found


def picture_neighbours(
    queries: Float32[np.ndarray, "queries *grid"],
    references: Float32[np.ndarray, "references *grid"] | None = None,
    patients: tuple[Shaped[np.ndarray, " queries"], Shaped[np.ndarray, " references"]] | None = None,
    dimensions: int = DIMENSIONS,
) -> Neighbours:
    """The references nearest to each query under turns, mirror images, small crops and shifts.

    Args:
        queries: thumbnails.
        references: thumbnails; None: the queries themselves, each without itself.
        patients: of queries and references; pairs of one patient are left out.
        dimensions: principal directions that are compared.
    """
    alone = references is None
    others = queries if references is None else references
    space = whitening(others if alone else np.concatenate([queries, others]), dimensions)
    grid = queries.shape[1:]
    steps = alignments(len(grid))
    views = {crop: embedded(thumbnail.resample(others, grid, crop), space).T for crop in {crop for *_, crop in steps}}

    def similarity(rows: slice) -> np.ndarray:
        best = np.full((len(queries[rows]), len(others)), -1, np.float32)
        product = np.empty_like(best)
        for turn, ours, theirs in steps:
            view = thumbnail.resample(thumbnail.turned(queries[rows], turn), grid, ours)
            np.matmul(embedded(view, space), views[theirs], out=product)
            np.maximum(best, product, out=best)
        return best

    return _nearest(similarity, len(queries), len(others), alone, patients, _cap_closeness)


def row_neighbours(
    queries: Float[np.ndarray, "queries columns"],
    references: Float[np.ndarray, "references columns"] | None = None,
    patients: tuple[Shaped[np.ndarray, " queries"], Shaped[np.ndarray, " references"]] | None = None,
) -> Neighbours:
    """The rows of a table nearest to each query: Euclidean distance of ranks, scaled to a standard deviation of 1.

    Ranks, because the few rows far out would otherwise be each other's neighbours; between `KNOTS` quantiles they are
    interpolated, so that nearly equal values have nearly equal ranks. A missing value stands in the middle, and whether
    it is missing is a column by itself.
    """
    alone = references is None
    both = queries if references is None else np.concatenate([queries, references])
    known = np.isfinite(both)
    scaled = np.concatenate([np.zeros(both.shape), ~known], axis=1)
    for column in range(both.shape[1]):
        values = np.sort(both[known[:, column], column])
        knots = np.unique(values)
        knots = knots if len(knots) <= KNOTS else np.unique(np.quantile(values, np.linspace(0, 1, KNOTS)))
        if len(knots) > 1:
            middle = (np.searchsorted(values, knots, "left") + np.searchsorted(values, knots, "right")) / 2
            rank = np.interp(both[known[:, column], column], knots, middle)
            scaled[known[:, column], column] = (rank - rank.mean()) / rank.std()
    ours = scaled[: len(queries)]
    theirs = ours if alone else scaled[len(queries) :]
    length = (theirs**2).sum(1)

    def similarity(rows: slice) -> np.ndarray:
        squared = (ours[rows] ** 2).sum(1)[:, None] + length - 2 * ours[rows] @ theirs.T
        return -np.sqrt(np.where(squared < 1e-10 * (1 + length), 0.0, squared))

    found = _nearest(similarity, len(queries), len(theirs), alone, patients, lambda x: -np.log(np.maximum(-x, 1e-9)))
    return Neighbours(found.position, -found.similarity, found.closeness, found.chance)


def chance(closeness: Float[np.ndarray, "queries ranks"]) -> Float[np.ndarray, "queries ranks"]:
    """The chance that the nearest of so many unrelated references comes as close as each neighbour does.

    Closeness falls along each row. The k-th normalised spacing k (t_k - t_k+1) of an exponential tail has that tail's mean.
    """
    ranks = closeness.shape[1]
    beyond = min(BEYOND, max(ranks // 4, 1))
    freedom = ranks - beyond
    if freedom < 4:
        return np.ones_like(closeness)
    base, mean = _tail(closeness)
    return _exceeded(closeness, base[:, None], mean[:, None], beyond, freedom)


def _tail(closeness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the tail of each query begins to be in doubt, and its mean excess."""
    ranks = closeness.shape[1]
    beyond = min(BEYOND, max(ranks // 4, 1))
    spacing = np.arange(beyond, ranks) * (closeness[:, beyond - 1 : -1] - closeness[:, beyond:])
    # Many copies of one neighbour stand close together and would make the tail look short, so the longer half counts, and
    # no tail is taken for shorter than that of the median case.
    half = spacing.shape[1] // 2
    mean = np.maximum(spacing[:, :half].mean(1), spacing[:, half:].mean(1))
    return closeness[:, beyond - 1], np.maximum(mean, np.median(mean))


def _exceeded(value: np.ndarray, base: np.ndarray, mean: np.ndarray, beyond: int, freedom: int) -> np.ndarray:
    """P(the largest of `beyond` - 1 exponential excesses > value); its mean is estimated, hence Pareto's tail."""
    excess = np.maximum(value - base, 0) / np.maximum(mean, 1e-12)
    one = np.where(value > base, np.exp(-freedom * np.log1p(excess / freedom)), 1.0)
    return -np.expm1((max(beyond, 2) - 1) * np.log1p(-np.minimum(one, 1 - 1e-16)))


def suspects(found: Neighbours, *, rate: float = RATE, alone: bool = True, same: float | None = SAME) -> list[Suspect]:
    """The pairs that chance would make in less than `rate` of the cases, most alike first.

    Args:
        found: neighbours of every query.
        rate: share of cases without a copy that may be called suspect.
        alone: whether queries and references are the same cases; then a pair is named once.
        same: similarity from which a pair of pictures is suspect also where many copies hide its rarity, judged by the
            median case. None for rows of a table, whose pairs must be rare by the median case as well: two rows far out
            may be each other's neighbours, and still be far from alike.
    """
    if not 0 < rate < 1:
        raise InputError(f"audit: a false-alarm rate of {rate} is no share between 0 and 1; 0.0001 is usual")
    likely, ranks = found.chance, found.closeness.shape[1]
    beyond = min(BEYOND, max(ranks // 4, 1))
    if ranks - beyond >= 4:
        base, mean = (np.median(one, keepdims=True) for one in _tail(found.closeness))
        usual = _exceeded(found.closeness, base, mean, beyond, ranks - beyond)
        likely = np.maximum(likely, usual) if same is None else likely
        likely = likely if same is None else np.where(found.similarity >= same, np.minimum(likely, usual), likely)
    pairs: dict[tuple[int, int], Suspect] = {}
    for query, rank in np.argwhere(likely < rate).tolist():
        reference = int(found.position[query, rank])
        key = (min(query, reference), max(query, reference)) if alone else (query, reference)
        one = Suspect(*key, float(found.similarity[query, rank]), float(likely[query, rank]))
        if key not in pairs or pairs[key].chance > one.chance:
            pairs[key] = one
    return sorted(pairs.values(), key=lambda pair: (-pair.similarity if same else pair.similarity, pair.first))


def _cap_closeness(similarity: np.ndarray) -> np.ndarray:
    """-log(1 - r^2): the share of a sphere that lies within a correlation r falls as a power of 1 - r^2."""
    return -np.log(np.maximum(1 - np.maximum(similarity, 0.0) ** 2, 1e-7))


def _nearest(
    similarity: Callable[[slice], np.ndarray],
    queries: int,
    references: int,
    alone: bool,
    patients: tuple[np.ndarray, np.ndarray] | None,
    closeness: Callable[[np.ndarray], np.ndarray],
) -> Neighbours:
    """Keep the most similar references of each query, block by block."""
    ranks = min(FARTHEST, max(references // 8, 12), references - alone)  # of few references only the nearest are a tail
    if ranks < 1 or not queries:
        empty = np.zeros((queries, 0))
        return Neighbours(empty.astype(np.int64), empty, empty, empty)
    position, value = np.zeros((queries, ranks), np.int64), np.zeros((queries, ranks))
    size = max(1, BLOCK // references)
    for start in range(0, queries, size):
        rows = slice(start, min(start + size, queries))
        block = similarity(rows)
        if patients is not None:
            block[patients[0][rows, None] == patients[1]] = -np.inf
        if alone:
            block[np.arange(len(block)), np.arange(rows.start, rows.stop)] = -np.inf
        near = np.argpartition(-block, ranks - 1, axis=1)[:, :ranks]
        near = np.take_along_axis(near, np.argsort(-np.take_along_axis(block, near, 1), axis=1, kind="stable"), 1)
        position[rows], value[rows] = near, np.take_along_axis(block, near, 1)
    scale = closeness(value)
    return Neighbours(position, value, scale, chance(scale))
