"""The truth about a phantom's patients: who they are, what they have, and what becomes of them.

Every number comes from a counter-based generator whose key is (seed, patient) and whose counter names the purpose and
the scan (Philox; Salmon et al., SC 2011). So a patient is the same in a cohort of any size and in any order, and a
setting changes what it is about and nothing else: with more noise the lesions stay where they were.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from medjax.data.origins.phantom_anatomy import FIELD, axes

PURPOSES = ("person", "truth", "lesion", "body", "place", "survival", "scan", "bias", "noise", "label", "unknown")


def stream(seed: int, patient: int, purpose: str, scan: int = 0) -> np.random.Generator:
    """Return the random numbers of one patient for one purpose."""
    counter = np.array([0, 0, scan, PURPOSES.index(purpose)], np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=np.array([seed, patient], np.uint64)))


@dataclass(frozen=True)
class Patient:
    """What is true of a patient.

    Attributes:
        number: from 0.
        site: number of the site.
        age: years.
        sex: "female" or "male".
        findings: whether each finding is present, the lesion first.
        diameters: of the lesion in each scan, in mm; 0 without a lesion.
    """

    number: int
    site: int
    age: float
    sex: str
    findings: tuple[bool, ...]
    diameters: tuple[float, ...]


def patient(
    seed: int,
    number: int,
    *,
    sites: int,
    scans: tuple[int, int],
    prevalence: float | int,
    confounding: float | int,
    findings: int,
    diameter: tuple[float | int, float | int],
    growth: float | int,
) -> Patient:
    """Draw a patient.

    Args:
        seed: of the cohort.
        number: of the patient.
        sites: how many sites there are; each is equally likely.
        scans: fewest and most scans, equally likely between them.
        prevalence: of every finding, on average over the sites.
        confounding: how much the lesion depends on the site, see `site_prevalence`.
        findings: how many findings are drawn, the lesion included.
        diameter: smallest and largest diameter in mm; uniform between them at the first scan.
        growth: largest growth from one scan to the next, as a share of the first diameter; uniform from 0.
    """
    person = stream(seed, number, "person")
    site = int(person.integers(sites))
    age = round(float(person.uniform(40, 80)), 1)
    sex = ("female", "male")[int(person.integers(2))]
    count = int(person.integers(scans[0], scans[1] + 1))
    rates = [site_prevalence(prevalence, confounding, sites)[site]] + [prevalence] * (findings - 1)
    draws = stream(seed, number, "truth").random(findings)
    present = tuple(bool(draw < rate) for draw, rate in zip(draws, rates, strict=True))
    lesion = stream(seed, number, "lesion")
    first = lesion.uniform(*diameter) if diameter[1] > diameter[0] else float(diameter[0])
    rate = growth * lesion.random()
    sizes = [
        round(float(min(first * (1 + rate * scan), diameter[1])), 2) if present[0] else 0.0 for scan in range(count)
    ]
    return Patient(number, site, age, sex, present, tuple(sizes))


def site_prevalence(prevalence: float | int, confounding: float | int, sites: int) -> Float[np.ndarray, " sites"]:
    """Return the lesion's prevalence at each site: evenly spread, with the given mean.

    With `confounding` 1 the spread is the largest that fits into [0, 1] (prevalence .5: no lesion at the first of two
    sites and one in every patient of the second), with -1 it is as large the other way round, with 0 all are equal.
    """
    level = np.linspace(-1, 1, sites) if sites > 1 else np.zeros(1)
    return prevalence + confounding * min(prevalence, 1 - prevalence) * level


def place(
    host: Bool[np.ndarray, "..."], diameter: float | int, draw: np.random.Generator
) -> Float[np.ndarray, " axes"]:
    """Draw the centre of a lesion that lies inside its host as a whole, each such place equally likely.

    Args:
        host: where the lesion may lie, on the grid.
        diameter: in mm.
        draw: the patient's numbers.

    Returns:
        The centre in mm from the centre of the field; where the host is too small for the lesion, its deepest point.
    """
    from scipy import ndimage

    spacing = np.array([width / count for count, width in zip(host.shape, FIELD[host.ndim], strict=True)])
    depth = np.asarray(ndimage.distance_transform_edt(host, sampling=spacing))
    # The depth is measured to the centre of the next pixel outside; the lesion's own pixels and the jitter reach further
    # than its radius.
    fits = np.flatnonzero(depth >= min(diameter / 2 + 0.75 * spacing.max(), depth.max()))
    chosen = np.unravel_index(fits[int(draw.random() * len(fits))], host.shape)
    jitter = draw.uniform(-0.5, 0.5, host.ndim) / 2
    return (np.array(chosen) + 0.5 + jitter) * spacing - np.array(FIELD[host.ndim]) / 2


def lesion(
    size: Sequence[int], centre: Float[np.ndarray, " axes"], diameter: float | int
) -> tuple[Float[np.ndarray, "..."], Bool[np.ndarray, "..."]]:
    """Draw a round lesion.

    Args:
        size: of the grid.
        centre: in mm from the centre of the field.
        diameter: in mm, at half of the lesion's height.

    Returns:
        The profile, 1 in the middle, 1/2 at the radius, 0 outside; and the mask: the pixels nearest to the centre, as
        many as make up the area (volume) of the disc (ball), so that the mask has the stated size on any grid.
    """
    squares = [(line - middle) ** 2 for line, middle in zip(axes(size), centre, strict=True)]
    distance = np.sqrt(sum(squares[1:], start=squares[0]))
    spacing = np.array([width / count for count, width in zip(size, FIELD[len(size)], strict=True)])
    radius = diameter / 2
    full = np.pi * radius**2 if len(size) == 2 else 4 / 3 * np.pi * radius**3
    near = np.flatnonzero(distance <= radius + np.sqrt((spacing**2).sum()))
    nearest = near[np.argsort(distance.ravel()[near], kind="stable")]
    mask = np.zeros(distance.size, bool)
    mask[nearest[: max(1, round(full / float(np.prod(spacing))))]] = True
    return np.clip(0.5 - (distance - radius) / (0.4 * radius), 0, 1), mask.reshape(distance.shape)


def survival(
    draw: np.random.Generator, risk: float | int, hazard: float | int, follow_up: tuple[float | int, float | int]
) -> tuple[float, int]:
    """Draw time and event: exponential with rate hazard x exp(risk), censored at an independent uniform time.

    Args:
        draw: the patient's numbers.
        risk: the logarithm of the hazard ratio.
        hazard: events a year at risk 0.
        follow_up: earliest and latest end of the observation, in years.
    """
    death = -np.log1p(-draw.random()) / (hazard * np.exp(risk))
    end = draw.uniform(*follow_up) if follow_up[1] > follow_up[0] else float(follow_up[0])
    return round(float(min(death, end)), 4), int(death <= end)
