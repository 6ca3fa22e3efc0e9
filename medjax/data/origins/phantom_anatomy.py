"""Synthetic anatomy: a chest in projection (2-D) and an abdomen in slices (3-D), drawn from a patient's random numbers.

Every organ is a smooth analytic shape in millimetres on a fixed field of view, so that any grid shows the same patient.
Nothing here is measured on people: sizes and brightness are plausible round numbers, and no more than that. Grey values
are shares of the grey scale: 0 black to 1 white for the chest, and units of 500 HU about water for the abdomen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

FIELD: dict[int, tuple[float, ...]] = {2: (320.0, 320.0), 3: (240.0, 360.0, 360.0)}
"""The field of view in mm by the number of dimensions: (height, width), and (head to foot, front to back, width)."""

ORGANS: dict[int, tuple[str, ...]] = {
    2: ("background", "body", "right_lung", "left_lung", "heart", "lesion"),
    3: ("background", "body", "liver", "spleen", "right_kidney", "left_kidney", "spine", "aorta", "lesion"),
}
"""What the numbers of an organ map mean, by the number of dimensions. The patient's right side lies on the left."""

FINDINGS: dict[int, tuple[str, ...]] = {
    2: ("nodule", "effusion", "cardiomegaly", "fibrosis"),
    3: ("mass", "cyst", "calcification", "splenomegaly"),
}
"""What may be found beside the lesion (the first one), by the number of dimensions."""

Picture = Float[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A patient without a lesion.

    Attributes:
        picture: grey values on the grid.
        organs: number of the organ at each point of the grid, see `ORGANS`.
        host: where a lesion may lie: the lungs beside the heart, or the liver.
    """

    picture: Picture
    organs: UInt8[np.ndarray, "..."]
    host: Bool[np.ndarray, "..."]


def axes(size: Sequence[int]) -> list[Picture]:
    """Return the millimetres of the grid points from the centre of the field, one broadcastable array an axis."""
    field = FIELD[len(size)]
    lines = [(np.arange(count) + 0.5) * (width / count) - width / 2 for count, width in zip(size, field, strict=True)]
    return [line.reshape([-1 if place == axis else 1 for place in range(len(size))]) for axis, line in enumerate(lines)]


def chest(size: Sequence[int], draw: np.random.Generator, findings: Sequence[bool]) -> Anatomy:
    """Draw a frontal chest: outline, lungs with vessels, heart, ribs, collar bones, spine and diaphragm.

    Args:
        size: (height, width) of the grid.
        draw: the patient's numbers; the findings change none of them.
        findings: whether effusion, cardiomegaly and fibrosis are to be seen.
    """
    y, x = axes(size)
    edge = max(FIELD[2][0] / size[0], FIELD[2][1] / size[1], 3.0)
    effusion, large_heart, fibrosis = findings
    wide, tall, heart_size, turn, thick, rib_start, side = draw.uniform(-1, 1, 7)
    width, top = 1 + 0.06 * wide, -118 - 6 * tall

    # The outline: a neck that widens into shoulders; the body is thickest, and so brightest, in the middle.
    shoulder = np.clip((y + 156) / 44, 0, 1)
    half = width * (48 + 104 * shoulder * shoulder * (3 - 2 * shoulder))
    body = _soft(np.abs(x) - half, edge)
    depth = np.sqrt(np.clip(1 - (x / (width * 165)) ** 2, 0, 1))
    picture = body * ((0.34 + 0.03 * thick) + 0.22 * depth)

    # The lungs stand on the domes of the diaphragm, the right one higher, for the liver lies below it.
    lungs = np.zeros(size)
    inside = []
    for sign, base in ((-1, 66 + 5 * tall), (1, 76 + 5 * tall)):
        centre = sign * width * (64 + 0.09 * y)
        across = (x - centre) / (width * (47 + 0.08 * y))
        along = ((y - (top + 118)) / 118) ** 2
        dome = base + 26 * ((x - sign * width * 58) / (width * 48)) ** 2
        outside = np.maximum((np.sqrt(across**2 + along**2) - 1) * 45, y - dome)
        inside.append(outside < 0)
        lungs = np.maximum(lungs, _soft(outside, 1.6 * edge) * (0.75 + 0.25 * np.sqrt(np.clip(1 - across**2, 0, 1))))
    picture = picture * (1 - 0.72 * lungs)
    picture = picture + 0.09 * body * _soft(66 - y, 30) * (1 - lungs)  # the liver and the stomach below

    # Vessels leave both roots of the lungs and fade on their way out.
    vessels = np.zeros(size)
    for sign in (-1, 1):
        root_y, root_x = -12 + 6 * tall, sign * 26
        far = np.sqrt((y - root_y) ** 2 + (x - root_x) ** 2)
        fade = np.clip(1 - far / 95, 0, 1)
        for angle in (np.arange(9) + 0.5 * draw.uniform(-1, 1, 9)) * (2.6 / 9) - 1.25:
            off = (y - root_y) * np.cos(angle) - sign * (x - root_x) * np.sin(angle)
            ahead = sign * (x - root_x) * np.cos(angle) + (y - root_y) * np.sin(angle) > 0
            vessels = np.maximum(vessels, ahead * fade * _bump(off, 3.2))
        vessels = np.maximum(vessels, 0.9 * _bump(far, 16))
    picture = picture + 0.13 * lungs * vessels + 0.012 * body * _clouds(size, draw, 9.0)

    # Spine and mediastinum in the middle, the heart and the arch of the aorta towards the patient's left.
    middle = _soft(np.abs(x + 2) - (21 + 5 * _bump(y + 95, 45)), 1.5 * edge) * body
    picture = _over(picture, middle, 0.60 + 0.035 * _wave((y + 160) / 25) * _soft(np.abs(x) - 12, edge))
    size_of_heart = (1 + 0.08 * heart_size) * (1.42 if large_heart else 1.0)
    lean = 0.45 + 0.1 * turn
    down, out = y - (48 + 6 * tall), x - (20 + 7 * large_heart)
    along, across = out + lean * down, down - lean * out
    heart_edge = (np.sqrt((along / (55 * size_of_heart)) ** 2 + (across / (42 * size_of_heart)) ** 2) - 1) * 45
    heart = _soft(heart_edge, 2.5 * edge) * _soft(y - 95, 20)
    picture = _over(picture, heart, 0.64)
    knob = _soft(np.sqrt((y + 52) ** 2 + (x - 22) ** 2) - 15, 1.5 * edge)
    picture = _over(picture, knob, 0.62)
    picture = picture * (1 - 0.25 * _soft(np.abs(x) - 7, 6) * _soft(y + 60, 30) * body)  # air in the windpipe

    # Ribs fall from the spine to the side; their front ends are fainter and rise again. Collar bones cross the top.
    cage = (
        (1 - 0.6 * heart)
        * _soft(np.abs(x) - width * (128 + 0.06 * y), 2 * edge)
        * _soft(y - 95, 30)
        * _soft(-112 - y, 14)
    )
    way = np.abs(x) / (width * 130)
    back, front = 46 * way * way - 10 * way, 88 * (1 - way) - 30
    start = 8 * rib_start
    picture = picture + 0.060 * cage * _band((y - back + start) / 27, 0.33) * _soft(14 - np.abs(x), 8)
    picture = picture + 0.030 * cage * _band((y - front + start) / 31, 0.30) * _soft(58 - np.abs(x), 20)
    collar = y + 98 - 0.20 * np.abs(x) + 12 * _bump(np.abs(x) - 100, 40)
    picture = picture + 0.085 * _bump(collar, 5.5) * _soft(np.abs(x) - 132, 8) * _soft(18 - np.abs(x), 6) * body

    if fibrosis:  # a net of fine lines, denser towards the bases
        net = np.maximum(_bump(_clouds(size, draw, 6.0), 0.35), _bump(_clouds(size, draw, 6.0), 0.35))
        picture = picture + 0.16 * net * lungs * (1 - heart) * np.clip((y + 60) / 90, 0, 1)
    if effusion:  # fluid that has sunk to the base of one lung and climbs along its side
        sign = 1 if side > 0 else -1
        level = 52 - 45 * np.clip((sign * x - 60) / 60, 0, 1) ** 2
        fluid = _soft(level - y, 10) * _soft(10 - sign * x, 10) * (lungs > 0.05)
        picture = _over(picture, fluid, 0.66)

    organs = np.zeros(size, np.uint8)
    beats = heart_edge + 0 * x < 0
    parts = [body > 0.5, inside[0], inside[1], beats & (y < 92)]
    for number, part in enumerate(parts, start=1):
        organs[part] = number
    clear = (heart < 0.01) & (knob < 0.01) & (middle < 0.01)
    return Anatomy(picture, organs, ((organs == 2) | (organs == 3)) & clear)


def abdomen(size: Sequence[int], draw: np.random.Generator, findings: Sequence[bool]) -> Anatomy:
    """Draw an upper abdomen as computed tomography with contrast medium shows it, head first and front on top.

    Args:
        size: (depth, height, width) of the grid.
        draw: the patient's numbers; the findings change none of them.
        findings: whether a cyst in a kidney, calcification of the aorta and splenomegaly are to be seen.
    """
    z, y, x = axes(size)
    cyst, calcification, large_spleen = findings
    wide, deep, fat, liver_size, spleen_size, kidney_size, low, bend = draw.uniform(-1, 1, 8)
    clouds = _clouds(size, draw, 13.0)
    loops = _clouds(size, draw, 22.0)
    cyst_place = draw.uniform(-1, 1, 2)
    picture = np.full(size, -2.0)
    organs = np.zeros(size, np.uint8)

    def paint(inside: np.ndarray, value: float | int | np.ndarray, organ: int = 1) -> np.ndarray:
        inside = np.broadcast_to(inside, size)
        np.copyto(picture, value, where=inside)
        np.copyto(organs, np.uint8(organ), where=inside)
        return inside

    def ball(centre: Sequence[float | int], half: Sequence[float | int], lean: float | int = 0.0) -> np.ndarray:
        cz, cy, cx = centre
        return ((z - cz) / half[0]) ** 2 + (((y - cy) / half[1]) ** 2 + ((x - cx - lean * (z - cz)) / half[2]) ** 2)

    half_x, half_y = 158 * (1 + 0.06 * wide), 125 * (1 + 0.06 * deep)
    waist = 1 + 0.05 * np.clip(-z / 120, -1, 1)
    flat = np.where(y > 0, 1.06, 1.0)  # the back is flatter than the front
    skin = 16 + 7 * fat

    def shell(inset: float | int) -> np.ndarray:
        return (x / (waist * (half_x - inset))) ** 2 + (flat * y / (half_y - inset)) ** 2

    paint(shell(0) < 1, -0.20)
    wall = paint(shell(skin) < 1, 0.11)
    cavity = paint(shell(skin + 11) < 1, -0.20)
    ring = shell(skin + 5.5)
    rib = (np.abs(ring - 1) < 0.10) & (_band((z + 0.8 * y) / 30 + 0.1, 0.45) > 0.3) & (z < 40) & (y > -0.75 * half_y)
    paint(rib, 0.75)

    # Bowel loops fill what the organs leave, with gas in some of them.
    gut = cavity & (z > -35) & (y < 30)
    paint(gut & (loops > -0.15), 0.08)
    paint(gut & (loops > 0.75), 0.02)
    paint(gut & (loops > 1.2) & (y < -30), -1.6)

    # Back muscles, the muscles beside the spine, and the spine: bone with a harder rim, discs, and the canal.
    for sign in (-1, 1):
        paint((((y - 0.70 * half_y) / 24) ** 2 + ((x - sign * 36) / 32) ** 2 < 1) & wall, 0.12)
        paint(((y - 54) / 19) ** 2 + ((x - sign * 40) / (8 + 12 * np.clip((z + 20) / 80, 0, 1))) ** 2 < 1, 0.12)
    spine_y = 52 + 3 * bend + 6 * (z / 120) ** 2
    from_spine = ((y - spine_y) / 19) ** 2 + (x / 24) ** 2
    disc = _band(z / 34 + 0.3 * low, 0.22)
    paint(from_spine < 1, np.where(disc > 0.5, 0.2, np.where(from_spine > 0.62, 0.9, 0.42)), 6)
    arch = ((y - spine_y - 30) / 15) ** 2 + (x / 17) ** 2
    paint((arch < 1) | ((np.abs(x) < 4.5) & (y > spine_y + 30) & (y < spine_y + 46)), 0.75, 6)
    paint((np.abs(y - spine_y - 17) < 7) & (np.abs(x) > 20) & (np.abs(x) < 46) & (disc < 0.5), 0.6, 6)
    paint(((y - spine_y - 28) / 8) ** 2 + (x / 10) ** 2 < 1, 0.05)

    # The organs. The lower cavity stays free of the liver, whose left lobe crosses the middle in front.
    grow = 1 + 0.08 * liver_size
    inner = shell(skin + 15) < 1
    right = ball((-42, -2, -74), (78 * grow, 74 * grow, 68 * grow))
    left = ball((-70, -46, -8), (46 * grow, 36 * grow, 74 * grow), 0.2)
    free = (organs == 1) & inner & (from_spine > 2.2)
    liver = paint((np.minimum(right, left) < 1) & free, 0.21 + 0.006 * clouds, 2)
    veins = np.zeros(size, bool)
    for angle in (-0.9, -0.1, 0.8):
        off = (y - 8) * np.cos(angle) + (x + 30) * np.sin(angle)
        veins = veins | ((off**2 + (z + 52 + 25 * angle + 0.2 * (x + 30)) ** 2 < 36) & (x < -20))
    paint(veins & liver, 0.30, 2)
    paint(ball((-10, -48, -62), (24, 15, 15), 0.3) < 1, 0.02)  # the gall bladder
    pouch = ball((-58, -30, 68), (48, 46, 40), 0.1)
    paint((pouch < 1) & inner & (organs == 1), np.where(y < -46, -1.7, 0.06 + 0 * pouch))
    grow = (1 + 0.1 * spleen_size) * (1.45 if large_spleen else 1.0)
    spleen = ball((-52 + 18 * large_spleen, 38, 100 * (1 + 0.07 * wide)), (50 * grow, 44 * grow, 25 * grow), -0.1)
    paint((spleen < 1) & inner & (organs != 6), 0.24 + 0.006 * clouds, 3)
    grow = 1 + 0.08 * kidney_size
    for organ, sign, level in ((4, -1, 44 + 6 * low), (5, 1, 26 + 6 * low)):
        centre = (level, 38, sign * 66)
        paint((ball(centre, (50 * grow, 27 * grow, 26 * grow), sign * 0.15) < 1) & inner, 0.36, organ)
        paint(ball((level, 36, sign * 54), (26, 10, 15), sign * 0.15) < 1, -0.12, organ)
    if cyst:
        spot = (44 + 6 * low + 22 * cyst_place[0], 44 + 6 * cyst_place[1], -78)
        paint((ball(spot, (19, 19, 19)) < 1) & inner, 0.01, 4)
    paint(((y - 26) / 13) ** 2 + ((x + 18) / 12) ** 2 < 1, 0.27)  # the inferior vena cava
    vessel = ((y - 23 - 2 * bend) / 12) ** 2 + ((x - 13) / 12) ** 2
    paint(vessel < 1, 0.36, 7)
    if calcification:
        paint((np.abs(vessel - 0.95) < 0.5) & (x > 8) & (_band(z / 38 + 0.4, 0.6) > 0.3), 1.3, 7)
    return Anatomy(picture, organs, organs == 2)


def _soft(distance: np.ndarray, width: float | int) -> np.ndarray:
    """Return 1 inside (negative distance), 0 outside, and a ramp of that width across the edge."""
    return np.clip(0.5 - distance / width, 0, 1)


def _bump(distance: np.ndarray, half: float | int) -> np.ndarray:
    """Return a smooth hill: 1 in the middle, 1/2 at `half`, towards 0 beyond."""
    square = (distance / half) ** 2
    return 1 / (1 + square * square)


def _wave(turns: np.ndarray) -> np.ndarray:
    """Return a triangle wave between -1 and 1, one period a turn."""
    return 4 * np.abs(turns - np.floor(turns) - 0.5) - 1


def _band(turns: np.ndarray, share: float | int) -> np.ndarray:
    """Return soft bands, one a turn, that take that share of it."""
    return np.clip(0.5 + (np.abs(turns - np.floor(turns) - 0.5) - 0.5 + share / 2) * 6, 0, 1)


def _over(picture: np.ndarray, cover: np.ndarray, value: float | int | np.ndarray) -> np.ndarray:
    """Lay a structure over a picture: it hides what lies below only where that is darker."""
    return picture + cover * np.maximum(value - picture, 0)


def _clouds(size: Sequence[int], draw: np.random.Generator, grain: float | int) -> np.ndarray:
    """Return a smooth random field of about unit variance: numbers on a grid of `grain` mm, interpolated."""
    field = FIELD[len(size)]
    coarse = [int(width / grain) + 4 for width in field]
    values = draw.standard_normal(coarse)
    for axis, (count, width) in enumerate(zip(size, field, strict=True)):
        place = (np.arange(count) + 0.5) * (width / count) / grain + 1
        left = np.floor(place).astype(int)
        part = (place - left).reshape([-1 if other == axis else 1 for other in range(len(size))])
        part = part * part * (3 - 2 * part)
        values = (1 - part) * np.take(values, left, axis) + part * np.take(values, left + 1, axis)
    return values * 1.45 ** (len(size) / 2)
