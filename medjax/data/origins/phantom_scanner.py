"""Scanners of the phantom: blur, gain, offset, a bias field, noise and the marker of a site, each exactly as set."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from medjax.data.origins.phantom_anatomy import FIELD, axes
from medjax.errors import InputError

Picture = Float[np.ndarray, "..."]


@dataclass(frozen=True)
class Scanner:
    """One scanner: measured = (blurred anatomy) x gain x (bias field) + offset + noise.

    Attributes:
        name: the attribute `scanner` of its cases.
        site: where it stands, the attribute `site`; all scans of a patient come from one site.
        gain: factor on grey values.
        offset: added to grey values, in shares of the grey scale (500 HU in three dimensions).
        blur: standard deviation in mm of the Gaussian blur, beyond that of the grid (half a pixel).
        bias: the field falls or rises linearly across the picture, in a direction that every scan draws anew, from
            1 - bias to 1 + bias.
        noise: factor on the phantom's noise.
    """

    name: str
    site: str
    gain: float | int = 1.0
    offset: float | int = 0.0
    blur: float | int = 0.0
    bias: float | int = 0.0
    noise: float | int = 1.0

    def __post_init__(self) -> None:
        """Refuse what no scanner does."""
        if not self.name or not self.site:
            raise InputError(f"phantom: scanner {self.name!r} of site {self.site!r}: give both a name")
        if self.gain <= 0 or self.blur < 0 or self.noise < 0 or not 0 <= self.bias < 1:
            raise InputError(
                f"phantom: scanner {self.name!r}: gain must be above 0, blur and noise at least 0, bias in [0, 1)"
            )


def measure(
    picture: Picture, scanner: Scanner, noise: float | int, direction: np.random.Generator, grain: np.random.Generator
) -> Picture:
    """Return what a scanner makes of an anatomy.

    Args:
        picture: grey values on the grid.
        scanner: its settings.
        noise: standard deviation of the noise of a scanner whose factor is 1.
        direction: draws the direction of the bias field.
        grain: draws the noise.
    """
    seen = blur(picture, scanner.blur) * scanner.gain
    towards = direction.standard_normal(picture.ndim)
    if scanner.bias:
        places = [line / (np.abs(line).max() or 1) for line in axes(picture.shape)]
        ramp = sum(weight * line for weight, line in zip(towards / np.abs(towards).sum(), places, strict=True))
        seen = seen * (1 + scanner.bias * ramp)
    return seen + scanner.offset + noise * scanner.noise * grain.standard_normal(picture.shape)


def blur(picture: Picture, deviation: float | int) -> Picture:
    """Blur with a Gaussian of half a pixel and, in quadrature, of `deviation` mm; the edge is continued."""
    for axis, (count, width) in enumerate(zip(picture.shape, FIELD[picture.ndim], strict=True)):
        sigma = np.sqrt(0.25 + (deviation * count / width) ** 2)
        reach = int(np.ceil(4 * sigma))
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        # As a matrix: one product an axis, and what lies beyond the edge falls on the last pixel.
        spread = np.zeros((count, count + 2 * reach))
        for row in range(count):
            spread[row, row : row + 2 * reach + 1] = weights / weights.sum()
        matrix = spread[:, reach : reach + count]
        matrix[:, 0] += spread[:, :reach].sum(axis=1)
        matrix[:, -1] += spread[:, reach + count :].sum(axis=1)
        picture = np.moveaxis(np.moveaxis(picture, axis, -1) @ matrix.T, -1, axis)
    return picture


def mark(picture: Picture, site: int, sites: int) -> Picture:
    """Stick a site's marker on the upper left corner: one white bar for the first site, two for the second, ...

    Args:
        picture: grey values on the grid; in three dimensions every slice is marked.
        site: number of the site, from 0.
        sites: how many sites there are, so that the bars of the last one fit.
    """
    height, width = picture.shape[-2:]
    bar = max(1, width // max(32, 8 * sites))
    marked = picture.copy()
    for number in range(site + 1):
        left = bar * (1 + 2 * number)
        marked[..., bar : bar + max(2, height // 12), left : left + bar] = 1.0
    return marked


def sites(scanners: Sequence[Scanner]) -> tuple[str, ...]:
    """Return the names of the sites in the order in which the scanners name them."""
    return tuple(dict.fromkeys(scanner.site for scanner in scanners))
