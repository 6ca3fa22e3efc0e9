"""The speed table: medjax and its peers side by side in one run, on the same work.

    python -m benchmarks.run [--only NAME ...] [--peer PYTHON] [--quick]

PYTHON is an interpreter of its own environment with torch and monai (`pip install torch==2.13.0 monai`); without it only our
columns are measured. `--only` takes rows or families of rows and leaves the others in the files as they are. Writes
RESULTS.md and results.json into `--out` (benchmarks/); `--quick` has three short rounds, and writes only where `--out` is given.
"""

import argparse
import shutil
from pathlib import Path

from benchmarks.speed import harness, machine, results, table


def main() -> None:
    """Measure what the command line asks for, one row after the other, and write after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="rows, or families of rows")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter with torch and monai")
    parser.add_argument("--quick", action="store_true", help="three short rounds: whether it works, not how fast it is")
    parser.add_argument("--out", type=Path, help="folder of RESULTS.md and results.json (benchmarks/)")
    arguments = parser.parse_args()
    try:
        rows = table.chosen(arguments.only)
    except ValueError as error:
        parser.error(str(error))  # exit code 2
    if arguments.peer and shutil.which(arguments.peer) is None:
        parser.error(f"--peer {arguments.peer}: there is no such interpreter")
    folder = arguments.out or (None if arguments.quick else Path(__file__).parent)
    order = [row.name for row in table.ROWS]
    for row in rows:
        found = results.judge(row, harness.measure(row, arguments.peer, arguments.quick))
        print(results.line(found) if "error" not in found else f"{row.name}: {found['error']}", flush=True)
        for text in found.get("missing", []):
            print(f"    not measured, {text}", flush=True)
        if folder:
            old = results.read(folder / "results.json")
            results.write(results.merge(old, machine.describe(), [found], order), folder)


if __name__ == "__main__":
    main()
