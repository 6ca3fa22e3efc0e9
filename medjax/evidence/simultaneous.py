"""Several intervals that hold together: the level each of them needs (max-T), and differences of two of them (MOVER)."""

import numpy as np
from jaxtyping import Float

DRAWS = 20_000  # Monte Carlo error of a joint coverage of .95: .0015


def level_each(
    covariance: Float[np.ndarray, "estimates estimates"], level: float, *, draws: int = DRAWS, seed: int = 0
) -> float:
    """The level at which each of several intervals must be made so that all hold together with `level`.

    From the largest of correlated standard normal errors, drawn: the law of the Gaussian multiplier bootstrap by patient
    (Chernozhukov, Chetverikov & Kato, Ann. Statist. 41:2786, 2013) when `covariance` is that of influences summed by
    patient. An estimate without variation is taken as independent of the others. One estimate needs `level` itself.
    """
    if len(covariance) < 2:
        return level
    from scipy.special import ndtr

    deviation = np.sqrt(np.diag(covariance))
    scale = np.where(deviation > 0, deviation, 1.0)
    correlation = covariance / scale[:, None] / scale
    correlation[np.diag_indices(len(correlation))] = 1.0
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2)
    kept = values > 1e-10 * values[-1]
    root = vectors[:, kept] * np.sqrt(values[kept])
    if root.shape[1] == 1:  # two groups, each the rest of the other: one error, and nothing to adjust for
        return level
    generator = np.random.Generator(np.random.Philox(key=seed))
    largest = np.empty(draws)
    step = max(1, 2_000_000 // len(correlation))
    for start in range(0, draws, step):
        part = largest[start : start + step]
        part[:] = np.abs(generator.standard_normal((len(part), root.shape[1])) @ root.T).max(-1)
    return float(2 * ndtr(np.quantile(largest, level)) - 1)


Number = float | Float[np.ndarray, "..."]


def difference_ends(
    first: tuple[Number, Number, Number], second: tuple[Number, Number, Number], correlation: Number = 0.0
) -> tuple[Number, Number]:
    """Ends of the interval of first - second, from (estimate, low, high) of both: the method of variance estimates recovery.

    It keeps each interval's asymmetry near a limit. Source: Zou & Donner, Stat. Med. 27:1693 (2008); with `correlation`
    of the two estimates: Zou, Psychol. Methods 12:399 (2007), equation 15.
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    below = (a - a_low) ** 2 - 2 * correlation * (a - a_low) * (b_high - b) + (b_high - b) ** 2
    above = (a_high - a) ** 2 - 2 * correlation * (a_high - a) * (b - b_low) + (b - b_low) ** 2
    return a - b - np.sqrt(np.maximum(below, 0.0)), a - b + np.sqrt(np.maximum(above, 0.0))
