"""Draw the contact sheet of the phantom: what the settings of `medjax.data.origins.phantom.Phantom` do to a scan.

    uv run --with matplotlib python docs/phantom.py docs/phantom.png

Every picture is SYNTHETIC. matplotlib is needed here only, so medjax does not depend on it.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from medjax.data.case import Case
from medjax.data.origins.phantom import Phantom, Scanner
from medjax.data.origins.phantom_anatomy import FIELD, FINDINGS, ORGANS

CLEAN = (Scanner("A1", "A", noise=0.7),)
CHEST = Phantom(size=(160, 160), scanners=CLEAN, contrast=6, scans_per_patient=(3, 3), prevalence=1, growth=0.5)
ABDOMEN = Phantom(dimensions=3, size=(48, 128, 128), scanners=CLEAN, contrast=5, prevalence=1, segmentation="organs")


def first(phantom: Phantom, number: int = 3, scan: int = 0) -> Case:
    """Return one case of one patient."""
    return phantom.scans(number)[scan]


def show(axes: Any, case: Case, title: str, depth: int | None = None, outline: bool = False) -> None:
    """Draw one picture or one slice in millimetres, with the lesion's outline if asked for."""
    grey = case["image"][..., 0] if depth is None else case["volume"][depth, ..., 0]
    low, high = (0, 255) if depth is None else (-160, 240)
    height, width = FIELD[2] if depth is None else FIELD[3][1:]
    axes.imshow(grey, cmap="gray", vmin=low, vmax=high, extent=(0, width, height, 0), interpolation="nearest")
    mask = case["segmentation"] if depth is None else case["segmentation"][depth]
    if outline and (lesion := mask == mask.max() if depth is None else mask == len(ORGANS[3]) - 1).any():
        rows, columns = (
            (np.arange(count) + 0.5) * side / count for count, side in zip(mask.shape, (height, width), strict=True)
        )
        axes.contour(columns, rows, lesion, levels=[0.5], colors="#ffb000", linewidths=1)
    axes.set_title(title, fontsize=9)


def findings(dimensions: int, wanted: str, base: Phantom) -> Phantom:
    """Return the same phantom with one finding in every patient, by choosing a seed that has it and no other."""
    for seed in range(10_000):
        phantom = replace(base, label="findings", prevalence=0.4, seed=seed)
        if phantom.truth(3).findings == tuple(name == wanted for name in FINDINGS[dimensions]):
            return phantom
    raise SystemExit(f"no seed shows {wanted} alone")


def main() -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description="Draw the contact sheet of the phantom.")
    parser.add_argument("out", type=Path, help="picture to write (.png)")
    arguments = parser.parse_args()
    figure, rows = plt.subplots(5, 6, figsize=(13.2, 11.6), layout="constrained")

    cases = CHEST.scans(3)
    show(rows[0, 0], first(replace(CHEST, prevalence=0)), "normal")
    for scan in range(3):
        show(
            rows[0, scan + 1],
            cases[scan],
            f"scan {scan}: lesion of {cases[scan]['lesion_diameter']:.0f} mm",
            outline=True,
        )
    for column, name in enumerate(("effusion", "cardiomegaly"), start=4):
        show(rows[0, column], first(findings(2, name, CHEST)), name)

    show(rows[1, 0], first(findings(2, "fibrosis", CHEST)), "fibrosis")
    for column, contrast in enumerate((0, 2, 4, 8), start=1):
        show(
            rows[1, column],
            first(replace(CHEST, contrast=contrast, scanners=(Scanner("A1", "A"),)), 5),
            f"contrast {contrast}",
        )
    show(rows[1, 5], first(replace(CHEST, size=None, scanners=(Scanner("A1", "A"),)), 5), "64 x 64 pixels")

    effects: tuple[tuple[str, dict[str, Any]], ...] = (
        ("gain 1.3", {"gain": 1.3}), ("offset 0.2", {"offset": 0.2}), ("blur 4 mm", {"blur": 4}), ("bias 0.5", {"bias": 0.5}),
        ("noise x 3", {"noise": 3}),
    )  # fmt: skip
    for column, (title, settings) in enumerate(effects):
        show(rows[2, column], first(replace(CHEST, scanners=(Scanner("A1", "A", **settings),)), 5), f"scanner: {title}")
    both = replace(CHEST, marker=True, scanners=(Scanner("A1", "A"), Scanner("B1", "B")))
    second = next(number for number in range(100) if both.truth(number).site == 1)
    show(rows[2, 5], first(both, second), "marker of the second site")

    volume = first(ABDOMEN)
    middle = round(volume["lesion_z"])
    for column, depth in enumerate((6, middle, 21, 27, 33, 42)):
        title = f"slice {depth}" + (f": lesion of {volume['lesion_diameter']:.0f} mm" if depth == middle else "")
        show(rows[3, column], volume, title, depth, outline=True)

    rows[4, 0].imshow(volume["segmentation"][27], cmap="tab10", vmin=0, vmax=9, interpolation="nearest")
    rows[4, 0].set_title("organ map, slice 27", fontsize=9)
    front = volume["volume"][:, 52, :, 0]
    rows[4, 1].imshow(front, cmap="gray", vmin=-160, vmax=240, extent=(0, FIELD[3][2], FIELD[3][0], 0))
    rows[4, 1].set_title("from the front", fontsize=9)
    for column, (name, depth) in enumerate((("cyst", 33), ("calcification", 27), ("splenomegaly", 21)), start=2):
        show(rows[4, column], first(findings(3, name, ABDOMEN)), name, depth)
    show(rows[4, 5], first(replace(ABDOMEN, size=None)), "24 x 48 x 48 voxels", 10)

    for axes in rows.flat:
        axes.set_axis_off()
    figure.suptitle(
        "SYNTHETIC phantoms: chest-like pictures and abdomen-like volumes; lesions outlined where it says so",
        fontsize=12,
    )
    figure.savefig(arguments.out, dpi=76)
    with Image.open(arguments.out) as drawn:  # few greys show what there is to see, in a fraction of the bytes
        small = drawn.convert("RGB").quantize(96, method=Image.Quantize.MAXCOVERAGE)
    small.save(arguments.out, optimize=True)
    print(f"wrote {arguments.out}")


if __name__ == "__main__":
    main()
