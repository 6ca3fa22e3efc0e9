"""Draw the pictures of docs/augmentation.md: every augmentation on a synthetic scan, the original and four draws.

    uv run python docs/augmentation.py [OUT]

The scan is made of ellipses here, and is no one's: a body with two lungs, a heart, a spine and a lesion in 2-D, and the
same drawn out in depth for the rows that say 3-D (the middle slice is shown). The outline of the lesion's segmentation
is drawn in orange where a function moves it, in blue where it stays. The same command gives the same pictures.
"""

import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw

from medjax import augment

SIDE, DEPTH, DRAWS = 80, 24, 4
MOVED, STAYS = (235, 120, 0), (60, 140, 255)
# Centre (height, width), half axes, tilt in degrees and intensity; later ones cover earlier ones.
ORGANS = (
    ((0.52, 0.50), (0.40, 0.44), 0, 0.55),
    ((0.48, 0.30), (0.27, 0.15), 6, 0.15),
    ((0.48, 0.70), (0.27, 0.15), -6, 0.15),
    ((0.55, 0.56), (0.17, 0.13), 30, 0.70),
    ((0.78, 0.50), (0.07, 0.07), 0, 0.95),
)
LESION = ((0.36, 0.30), (0.07, 0.06), 20, 0.45)
SPATIAL = {
    "random_crop": {"padding": 10},
    "random_flip": {"axes": (0, 1)},
    "random_rotation": {"degrees": 25},
    "random_affine": {"rotation": 15, "scale": 0.2, "shear": 10, "translation": 0.1},
    "random_elastic": {"displacement": 5, "cells": 4},
}
INTENSITY = {
    "random_gamma": {"strength": 1.0},
    "random_brightness_contrast": {"brightness": 0.2, "contrast": 0.6},
    "random_noise": {"deviation": 0.15},
    "random_window": {"level": 0.25, "width": 1.0},
    "random_blur": {"deviation": 2.0},
    "random_sharpen": {"strength": 2.0},
    "random_low_resolution": {"factor": 5.0},
    "random_cutout": {"size": 20, "count": 2, "fill": "mean"},
    "random_erasing": {"area": (0.05, 0.2), "probability": 1.0},
    "random_bias_field": {"strength": 2.0},
    "random_ghosting": {"strength": 1.0, "ghosts": (2, 4)},
    "random_motion": {"rotation": 8, "translation": 0.05, "moves": 3},
}
THREE = {  # rows in 3-D; voxels of 3 x 1 x 1 mm
    "random_affine": {"rotation": (15, 15, 15), "scale": 0.2},
    "random_elastic": {"displacement": 5, "cells": (2, 4, 4)},
    "random_low_resolution": {"factor": 6.0, "axes": 0},
    "random_erasing": {"area": (0.05, 0.2), "probability": 1.0},
    "random_bias_field": {"strength": 2.0},
    "random_motion": {"rotation": 8, "translation": 0.05, "moves": 3, "axis": 1},
}


def scan(depth: int = 0, lesion: bool = True, mirrored: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A synthetic scan with the segmentation of its lesion: (80, 80) or (depth, 80, 80), intensities in [0, 1]."""
    space = (depth, SIDE, SIDE) if depth else (SIDE, SIDE)
    grid = np.meshgrid(*((np.arange(side) + 0.5) / side for side in space), indexing="ij")
    y, x = grid[-2:]
    away = ((grid[0] - 0.5) / 0.62) ** 2 if depth else 0.0
    picture, mask = np.zeros(space), np.zeros(space, np.int32)
    for shape in (*ORGANS, LESION) if lesion else ORGANS:
        (cy, cx), (a, b), tilt, value = shape
        cosine, sine = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
        u, v = cosine * (y - cy) + sine * (x - cx), cosine * (x - cx) - sine * (y - cy)
        inside = (u / a) ** 2 + (v / b) ** 2 + (away * 6 if shape is LESION else away) < 1
        picture[inside] = value
        mask[inside & (shape is LESION)] = 1
    texture = np.random.Generator(np.random.Philox(key=3)).normal(size=space)
    picture = np.clip(picture + 0.02 * texture * (picture > 0), 0, 1).astype(np.float32)
    return (picture[..., ::-1].copy(), mask[..., ::-1].copy()) if mirrored else (picture, mask)


def tile(picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], cut: bool = False) -> Image.Image:
    """A grey picture with the outline of the mask, twice as large."""
    if picture.ndim == 3 and cut:
        # Along the body, three pixels for each slice of 3 mm.
        picture, mask = (np.pad(np.repeat(a[:, 29], 3, 0), ((4, 4), (0, 0))) for a in (picture, mask))
    elif picture.ndim == 3:
        picture, mask = picture[len(picture) // 2], mask[len(mask) // 2]
    wide = np.kron(np.clip(picture, 0, 1), np.ones((2, 2)))
    rgb = np.repeat((wide * 255).astype(np.uint8)[..., None], 3, -1)
    inside = np.kron(mask > 0, np.ones((2, 2), bool))
    core = inside.copy()
    for shift in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        core &= np.roll(inside, shift, (0, 1))
    rgb[inside & ~core] = colour
    return Image.fromarray(rgb)


def sheet(rows: list[tuple[str, list[Image.Image]]], path: Path) -> None:
    """Rows of tiles under their names, as one small PNG."""
    side, gap, label = 2 * SIDE, 4, 15
    width = (DRAWS + 1) * (side + gap) - gap
    page = Image.new("RGB", (width, len(rows) * (side + label + gap)), "white")
    pen = ImageDraw.Draw(page)
    for number, (name, tiles) in enumerate(rows):
        top = number * (side + label + gap)
        pen.text((2, top + 1), name, fill="black")
        for column, one in enumerate(tiles):
            page.paste(one, (column * (side + gap), top + label))
    palette = Image.new("P", (1, 1))
    palette.putpalette([value for k in range(46) for value in (round(k * 255 / 45),) * 3] + [*MOVED, *STAYS])
    page.quantize(palette=palette, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"wrote {path} ({path.stat().st_size // 1000} kB)")


def row(name: str, settings: dict, depth: int = 0) -> tuple[str, list[Image.Image]]:
    """The original and four draws of one function."""
    picture, mask = scan(depth)
    case = {"volume" if depth else "image": jnp.asarray(picture)[..., None], "segmentation": jnp.asarray(mask)}
    if depth:
        case["spacing"] = jnp.array([3.0, 1.0, 1.0])
    function = jax.jit(partial(getattr(augment, name), **settings))
    colour, cut = MOVED if name in SPATIAL else STAYS, settings.get("axes") == 0
    tiles = [tile(picture, mask, colour, cut)]
    for number in range(DRAWS):
        found = function(jax.random.fold_in(jax.random.key(8), number), case)
        grid = np.asarray(found["volume" if depth else "image"])[..., 0]
        tiles.append(tile(grid, np.asarray(found["segmentation"]), colour, cut))
    written = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{name}({written})" + (
        "" if not depth else "  3-D, coronal" if cut else "  3-D, middle slice"
    ) + "  [synthetic]", tiles


def mixed(name: str, settings: dict) -> tuple[str, list[Image.Image]]:
    """A case with a lesion, and what becomes of it beside partners: the share that is its own is written on it."""
    rows = [scan(), scan(lesion=False, mirrored=True)] * 16
    batch = {
        "image": jnp.asarray(np.stack([picture for picture, _ in rows]))[..., None],
        "label": jnp.arange(32) % 2,
        "weight": jnp.ones(32),
    }
    found, other, share = jax.jit(partial(getattr(augment, name), inputs=("image",), **settings))(
        jax.random.key(4), batch
    )
    empty = np.zeros((SIDE, SIDE))
    tiles = [tile(rows[0][0], empty, STAYS)]
    for k in [k for k in range(32) if other["label"][k] != batch["label"][k] and 0.2 < share[k] < 0.9][:DRAWS]:
        one = tile(np.asarray(found["image"])[k, ..., 0], empty, STAYS)
        own = float(share[k]) if batch["label"][k] == 0 else 1 - float(share[k])
        ImageDraw.Draw(one).text((3, 3), f"lesion {own:.2f}, none {1 - own:.2f}", fill="white")
        tiles.append(one)
    written = ", ".join(f"{key}={value}" for key, value in settings.items())
    return f"{name}({written})  [synthetic]", tiles


def main() -> None:
    """Draw the four sheets."""
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    sheet([row(name, settings) for name, settings in SPATIAL.items()], out / "augmentation_spatial.png")
    sheet([row(name, settings) for name, settings in INTENSITY.items()], out / "augmentation_intensity.png")
    sheet([row(name, settings, DEPTH) for name, settings in THREE.items()], out / "augmentation_volume.png")
    mixes = {"mixup": {"alpha": 2.0}, "cutmix": {"alpha": 1.0}}
    sheet([mixed(name, settings) for name, settings in mixes.items()], out / "augmentation_mixing.png")


if __name__ == "__main__":
    main()
