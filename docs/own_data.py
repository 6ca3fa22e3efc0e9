"""Write docs/own_data.md: four public data sets from `medjax new` to a table of results, as a newcomer would do it.

    MEDJAX_DATA=... uv run python docs/own_data.py [NAME ...]

Everything happens in an empty folder that is removed afterwards; the page holds the commands, what they printed, and how
long they took. With names (mednist, heart, pima, kidney) only these are made, and printed instead of written.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIMA = "pregnancies,glucose,blood_pressure,skin,insulin,bmi,pedigree,age,diabetes\n"


@dataclass(frozen=True)
class Example:
    """One data set: what to know about it, how its files come into the empty folder, and what a newcomer types."""

    name: str
    text: str
    fetch: Callable[[Path, Path], None]
    arguments: str


def _images(data: Path, here: Path) -> None:
    with tarfile.open(data / "image2d" / "mednist" / "mednist_600x6.tar") as archive:
        archive.extractall(here / "mednist", filter="data")


def _table(folder: str, file: str, name: str, header: str = "") -> Callable[[Path, Path], None]:
    def fetch(data: Path, here: Path) -> None:
        (here / name).write_text(header + (data / "tabular" / folder / file).read_text())

    return fetch


EXAMPLES = (
    Example(
        "mednist",
        "Six kinds of radiograph and scan, 600 JPEG files in a folder for each. Every image is taken for a patient of its "
        "own, because nothing says otherwise.",
        _images,
        "--images mednist",
    ),
    Example(
        "heart",
        "Heart disease, Cleveland. One row holds grade 2 where all others hold 0 or 1; it is left out, and counted.",
        _table("heart_disease_cleveland", "heart_cleveland.csv", "heart.csv"),
        "--table heart.csv --target num --positive 1 --on-error skip",
    ),
    Example(
        "pima",
        "Pima diabetes. The published file has no header, so one was put above it. More than 600 patients: a test set is "
        "sealed, and not opened here.",
        _table("pima_diabetes", "pima-indians-diabetes.csv", "pima.csv", PIMA),
        "--table pima.csv --target diabetes --positive 1",
    ),
    Example(
        "kidney",
        "Chronic kidney disease, with dirty cells; `id` alone gives the target away, since the file is sorted.",
        _table("chronic_kidney_disease", "kidney_disease.csv", "kidney.csv"),
        "--table kidney.csv --target classification --positive ckd",
    ),
)


def run(shown: str, command: list[str], here: Path) -> tuple[str, float]:
    """Return what a command printed, under the words that a newcomer types, and its seconds."""
    environment = {key: value for key, value in os.environ.items() if key != "MEDJAX_DATA"}
    begin = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=here,
        env={**environment, "MEDJAX_CACHE": str(here / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{shown}: exit code {done.returncode}\n{done.stdout}")
    return f"    $ {shown}\n" + "".join(f"    {line}".rstrip() + "\n" for line in done.stdout.splitlines()), (
        time.perf_counter() - begin
    )


def transcript(example: Example, data: Path) -> str:
    """Return one section of the page."""
    here = Path(tempfile.mkdtemp())
    try:
        example.fetch(data, here)
        draft, drafting = run(
            f"uv run medjax new {example.name} {example.arguments}",
            [sys.executable, "-m", "medjax", "new", example.name, *example.arguments.split()],
            here,
        )
        trained, training = run(
            f"uv run train.py --config configs/{example.name}.py",
            [sys.executable, str(ROOT / "train.py"), "--config", f"configs/{example.name}.py"],
            here,
        )
    finally:
        shutil.rmtree(here)
    times = f"`medjax new` took {drafting:.0f} s, training and judging {training:.0f} s, on {os.cpu_count()} processor cores."
    return f"## {example.name}\n\n{example.text} {times}\n\n{draft}\n{trained}"


def main() -> None:
    """Write the page, or print the sections that are named."""
    data, chosen = os.environ.get("MEDJAX_DATA"), sys.argv[1:]
    if not data:
        raise SystemExit("error: MEDJAX_DATA must name the folder of the original files")
    unknown = set(chosen) - {one.name for one in EXAMPLES}
    if unknown:
        raise SystemExit(f"error: unknown: {', '.join(sorted(unknown))}; there are {[one.name for one in EXAMPLES]}")
    sections = [transcript(one, Path(data)) for one in EXAMPLES if not chosen or one.name in chosen]
    if chosen:
        print("\n".join(sections))
        return
    head = (
        "# Your own data: four examples from `medjax new` to a table\n\n"
        "Made by `uv run python docs/own_data.py`, in an empty folder for each. Nothing was edited between the two\n"
        "commands: these are first guesses of `medjax new`, whose reasons stand in the file that it writes.\n\n"
    )
    (ROOT / "docs" / "own_data.md").write_text(head + "\n".join(sections))


if __name__ == "__main__":
    main()
