"""How the cost of things grows with their size: time against cases, image size, width, replicates, resamples.

    python -m benchmarks.growth [--only NAME ...] [--quick] [--out FOLDER]

Writes GROWTH.md, growth.json and growth.png into `--out` (benchmarks/); `--only` leaves the other curves in the files as
they are. `--quick` has three short rounds, and writes only where `--out` is given.
"""

import argparse
import json
from pathlib import Path

from benchmarks.growth import page
from benchmarks.growth.curve import measure
from benchmarks.growth.curves import CURVES
from benchmarks.speed import machine
from benchmarks.speed.harness import Failed


def main() -> None:
    """Measure what the command line asks for, one curve after the other, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", choices=[one.name for one in CURVES])
    parser.add_argument("--quick", action="store_true", help="three short rounds: whether it works, not how it grows")
    parser.add_argument("--out", type=Path, help="folder of GROWTH.md, growth.json and growth.png (benchmarks/)")
    arguments = parser.parse_args()
    folder = arguments.out or (None if arguments.quick else Path(__file__).parents[1])
    for curve in CURVES:
        if arguments.only and curve.name not in arguments.only:
            continue
        try:
            found = measure(curve, arguments.quick)
        except Failed as error:
            parser.exit(1, f"{curve.name}: {error}\n")
        print(page.line(curve.name, found), flush=True)
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            kept = folder / "growth.json"
            curves = json.loads(kept.read_text())["curves"] if kept.exists() else {}
            curves |= {curve.name: found}
            # Curves that are no longer known are dropped.
            content = {
                "machine": machine.describe(),
                "curves": {one.name: curves[one.name] for one in CURVES if one.name in curves},
            }
            kept.write_text(json.dumps(content, indent=1) + "\n")
            (folder / "GROWTH.md").write_text(page.page(content))
            page.picture(content, folder / "growth.png")


if __name__ == "__main__":
    main()
