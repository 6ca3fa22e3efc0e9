"""What happens to malformed tables: each is made from a valid one and goes through the same code as a person's own.

    python benchmarks/malformed_tables.py [--repeats 10] [--seed 0] [--messages]

A malformed table must be refused (one `InputError` for the file) or give a `Problem` for the rows that cannot be used,
by file and line or column; never another exception, never a warning, never the patient. "the same" are harmless
changes (another delimiter, a byte order mark), which must give the same cases. "either" are random changes, of which
some leave a valid table: a digit that becomes another digit cannot be seen. How many did is printed, not hidden.
"""

import argparse
import dataclasses
import gzip
import io
import re
import sys
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from medjax.data.case import Case
from medjax.data.origin import Problem
from medjax.data.origins import Table
from medjax.errors import InputError

Grid = list[list[str]]  # the header and the rows
Change = Callable[[Grid, np.random.Generator], Grid | str | bytes]

HEADER = ["case", "patient", "age", "crp", "sex", "stage", "größe", "remark", "outcome", "part"]
SPEC = Table(
    path="",
    target="outcome",
    classes=("well", "ill"),
    numeric=("age", "crp", "größe"),
    categorical=(("sex", ("female", "male")), ("stage", ("I", "II", "III"))),
    id="case",
    group="patient",
    split="part",
)


@dataclass(frozen=True)
class Kind:
    """A way to break a table.

    Attributes:
        name: for the summary.
        change: header and rows -> changed ones, or a text, or bytes.
        must: "refuse" the table or name its rows; give "the same" cases; or "either".
    """

    name: str
    change: Change
    must: Literal["refuse", "the same", "either"] = "refuse"


def valid(rng: np.random.Generator, rows: int = 40) -> Grid:
    """A valid table of patients with two rows each, parted by patient."""
    grid = [HEADER]
    for row in range(rows):
        patient = row // 2
        part = ("train", "train", "train", "validation", "test")[patient % 5]
        crp = "" if rng.random() < 0.1 else f"{rng.exponential(4):.2f}"
        grid.append([
            f"c{row:03d}", f"secret-{patient:03d}", str(rng.integers(20, 90)), crp, str(rng.choice(["female", "male"])),
            str(rng.choice(["I", "II", "III", "?"])), f"{rng.normal(170, 9):.1f}", f"seen, ward {rng.integers(9)}",
            ("well", "ill")[(row + patient) % 2], part,
        ])  # fmt: skip
    return grid


def written(grid: Grid, delimiter: str = ",", end: str = "\n") -> str:
    """The text of a table; a cell with a delimiter, a quote or a line break is quoted."""
    special = re.compile(rf'[{re.escape(delimiter)}"\r\n]')
    lines = [delimiter.join('"' + cell.replace('"', '""') + '"' if special.search(cell) else cell for cell in row) for row in grid]  # fmt: skip
    return end.join(lines) + end


# ---------------------------------------------------------------------------------------------------------------------
# Ways to break a table
# ---------------------------------------------------------------------------------------------------------------------


def cell(column: str, *texts: str) -> Change:
    """Put one of the texts into one cell of a column."""

    def change(grid: Grid, rng: np.random.Generator) -> Grid:
        row = int(rng.integers(1, len(grid)))
        grid[row][HEADER.index(column)] = str(rng.choice(list(texts)))
        return grid

    return change


def whole(column: str, text: str) -> Change:
    """Put the same text into every cell of a column."""

    def change(grid: Grid, rng: np.random.Generator) -> Grid:
        for row in grid[1:]:
            row[HEADER.index(column)] = text
        return grid

    return change


def header(edit: Callable[[list[str], int], list[str]], columns: tuple[str, ...] = ("age", "sex", "outcome")) -> Change:
    """Change the header at one of the columns."""

    def change(grid: Grid, rng: np.random.Generator) -> Grid:
        return [edit(list(grid[0]), HEADER.index(str(rng.choice(columns)))), *grid[1:]]

    return change


def row(edit: Callable[[list[str], int], list[str]]) -> Change:
    """Change one row at one place."""

    def change(grid: Grid, rng: np.random.Generator) -> Grid:
        number, place = int(rng.integers(1, len(grid))), int(rng.integers(len(HEADER)))
        return [edit(list(cells), place) if row == number else cells for row, cells in enumerate(grid)]

    return change


def text(edit: Callable[[str, np.random.Generator], str | bytes]) -> Change:
    """Change the written text."""
    return lambda grid, rng: edit(written(grid), rng)


def data(edit: Callable[[bytearray, np.random.Generator], bytes | bytearray]) -> Change:
    """Change the written bytes."""
    return lambda grid, rng: bytes(edit(bytearray(written(grid).encode()), rng))


def flip(count: int) -> Change:
    """Flip some bits, anywhere."""

    def change(content: bytearray, rng: np.random.Generator) -> bytearray:
        for place in rng.integers(len(content), size=count):
            content[place] ^= 1 << int(rng.integers(8))
        return content

    return data(change)


def workbook(content: str, rng: np.random.Generator) -> bytes:
    """A zip with the table in it, as a workbook is one."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", content)
    return buffer.getvalue()


def second_split(grid: Grid, rng: np.random.Generator) -> Grid:
    """Give one of a patient's two rows another split."""
    place = HEADER.index("part")
    cells = grid[int(rng.integers(1, len(grid)))]
    cells[place] = "test" if cells[place] != "test" else "train"
    return grid


def shuffled(grid: Grid, rng: np.random.Generator) -> Grid:
    """The columns in another order."""
    order = rng.permutation(len(HEADER))
    return [[cells[place] for place in order] for cells in grid]


def full_width(grid: Grid, rng: np.random.Generator) -> Grid:
    """Numbers in full-width digits, levels in capitals behind a tab."""
    wide = str.maketrans("0123456789.", "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff0e")
    for cells in grid[1:]:
        cells[2] = cells[2].translate(wide)
        cells[4] = "\t" + cells[4].upper() + "\u00a0"
    return grid


def one_row(edit: Callable[[str], str]) -> Change:
    """Change the text of one line."""

    def change(content: str, rng: np.random.Generator) -> str:
        lines = content.splitlines(keepends=True)
        number = int(rng.integers(1, len(lines)))
        return "".join([*lines[:number], edit(lines[number]), *lines[number + 1 :]])

    return text(change)


def at(insert: bytes, lost: int = 0) -> Change:
    """Insert bytes anywhere, in the place of some that are lost."""

    def change(content: bytearray, rng: np.random.Generator) -> bytes:
        place = int(rng.integers(1, len(content)))
        return bytes(content[:place] + insert + content[place + lost :])

    return data(change)


def body(edit: Callable[[str], str]) -> Change:
    """Change everything behind the header."""
    return text(lambda content, rng: content.partition("\n")[0] + "\n" + edit(content.partition("\n")[2]))


KINDS = (
    # The file
    Kind("empty file", text(lambda content, rng: "")),
    Kind("white space only", text(lambda content, rng: " \n\t\n\n")),
    Kind("header only", text(lambda content, rng: content.partition("\n")[0])),
    Kind("header lost", text(lambda content, rng: content.partition("\n")[2])),
    Kind("UTF-16 with mark", text(lambda content, rng: content.encode("utf-16"))),
    Kind("UTF-16 without mark", text(lambda content, rng: content.encode("utf-16-le"))),
    Kind("UTF-32", text(lambda content, rng: content.encode("utf-32"))),
    Kind("Latin-1", text(lambda content, rng: content.encode("latin-1"))),
    Kind("gzip, truncated", text(lambda content, rng: gzip.compress(content.encode())[: -int(rng.integers(1, 200))])),
    Kind("workbook", text(workbook)),
    Kind("web page", text(lambda content, rng: "<!DOCTYPE html>\n<html><body>404, not found</body></html>\n")),
    Kind("JSON", text(lambda content, rng: '{"age": 3,\n "sex": "male"}\n')),
    Kind("random bytes", data(lambda content, rng: rng.bytes(500))),
    Kind("byte 0", at(b"\0")),
    Kind("invalid UTF-8", at(b"\xff")),
    # Delimiters, quotes and lines
    Kind("delimiter nobody knows", text(lambda content, rng: content.replace(",", ":"))),
    Kind("another delimiter below the header", body(lambda content: content.replace(",", ";"))),
    Kind("another delimiter in one row", one_row(lambda line: line.replace(",", ";"))),
    Kind("quote never closed", one_row(lambda line: '"' + line)),
    Kind("quotes lost", text(lambda content, rng: content.replace('"', ""))),
    Kind("line break lost", one_row(lambda line: line.rstrip("\n"))),
    Kind("row cut", one_row(lambda line: ",".join(line.split(",")[:4]) + "\n")),
    Kind("line broken", one_row(lambda line: line.replace(",", ",\n", 1))),
    Kind("a cell too many", row(lambda cells, place: [*cells[:place], "7", *cells[place:]])),
    Kind("a cell too few", row(lambda cells, place: [*cells[:place], *cells[place + 1 :]])),
    Kind("a cell too many in all rows", body(lambda content: content.replace("\n", ",1\n"))),
    Kind("cells of a row rotated", row(lambda cells, place: [*cells[3:], *cells[:3]])),
    Kind("huge cell", cell("remark", "x" * 200_000)),
    Kind("huge number", cell("age", "9" * 5_000)),
    # The header
    Kind("column named twice", header(lambda names, place: [*names[:place], names[place - 1], *names[place + 1 :]])),
    Kind("column renamed", header(lambda names, place: [*names[:place], names[place] + "s", *names[place + 1 :]])),
    Kind("column unnamed", header(lambda names, place: [*names[:place], "", *names[place + 1 :]])),
    Kind("name missing in the header", header(lambda names, place: [*names[:place], *names[place + 1 :]])),
    Kind("column removed", lambda grid, rng: [cells[:2] + cells[3:] for cells in grid]),
    # Cells
    Kind("text in a number", cell("age", "high", "forty", "n.d.", "-", "x12", "1O", "4l", "0x1F", "1_0", "--3", "\u0663")),
    Kind("date in a number", cell("crp", "2020-01-31", "31.1.2020", "1/31/20", "31-Jan-2020", "2020-01-31 12:00")),
    Kind("limit", cell("crp", "<5", ">90", "\u2264 3", "~4")),
    Kind("percentage", cell("crp", "5%", "12.5 %")),
    Kind("decimal comma", cell("größe", "170,5", "1,0")),
    Kind("separator of thousands", cell("crp", "1,234", "1 234", "1'234", "1.234.567", "12\u00a0345")),
    Kind("unit", cell("crp", "5 mg/l", "5mg", "180cm")),
    Kind("infinite", cell("crp", "inf", "-Infinity", "\u221e")),
    Kind("too large", cell("crp", "1e39", "-4e38")),
    Kind("unknown level", cell("sex", "m", "men", "1", "femal", "male/female")),
    Kind("unknown class", cell("outcome", "dead", "0", "wel")),
    Kind("unknown split", cell("part", "holdout", "1")),
    Kind("no target", cell("outcome", "", "?", "NA")),
    Kind("no id", cell("case", "", " ")),
    Kind("no patient", cell("patient", "", "NA")),
    Kind("no split", cell("part", "")),
    Kind("id twice", lambda grid, rng: [*grid[:-1], [grid[int(rng.integers(1, len(grid) - 1))][0], *grid[-1][1:]]]),
    Kind("row twice", lambda grid, rng: [*grid, grid[int(rng.integers(1, len(grid)))]]),
    Kind("patient in two splits", second_split),
    # Columns
    Kind("column without a value", whole("crp", "NA")),
    Kind("levels without a value", whole("stage", "")),
    Kind("dates in a column of numbers", whole("age", "2020-01-31")),
    Kind("text in a column of numbers", whole("age", "old")),
    Kind("one class", whole("outcome", "ill")),
    Kind("no class at all", whole("outcome", "")),
    Kind("no training case", whole("part", "test")),
    # Harmless
    Kind("semicolons", lambda grid, rng: written(grid, ";"), "the same"),
    Kind("tabs", lambda grid, rng: written(grid, "\t"), "the same"),
    Kind("byte order mark", lambda grid, rng: written(grid).encode("utf-8-sig"), "the same"),
    Kind("line ends of Windows", lambda grid, rng: written(grid, end="\r\n").encode(), "the same"),
    Kind("empty lines", lambda grid, rng: written(grid, end="\n\n") + "\n,,,\n\n", "the same"),
    Kind("gzip", text(lambda content, rng: gzip.compress(content.encode())), "the same"),
    Kind("columns shuffled", shuffled, "the same"),
    Kind("full-width digits, tabs, capitals", full_width, "the same"),
    # Anything
    Kind("truncated", data(lambda content, rng: content[: int(rng.integers(len(content)))]), "either"),
    Kind("1 bit flipped", flip(1), "either"),
    Kind("5 bits flipped", flip(5), "either"),
    Kind("100 bits flipped", flip(100), "either"),
    Kind("byte lost", at(b"", lost=1), "either"),
    Kind("quote anywhere", at(b'"'), "either"),
    Kind("line break anywhere", at(b"\n"), "either"),
    Kind("control character anywhere", at(b"\x07"), "either"),
    Kind("block of zeros", data(lambda content, rng: content[:600] + b"0" * 200 + content[800:]), "either"),
    Kind("block repeated", data(lambda content, rng: content[:900] + content[300:]), "either"),
)  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# What becomes of it
# ---------------------------------------------------------------------------------------------------------------------


def judged(path: Path, must: str, expected: list[Case | Problem]) -> tuple[str, str]:
    """Read a table with both settings of `on_error`; returns the outcome ("BAD: ..." where it must not be) and a message."""
    outcome, message = "", ""
    for on_error in ("stop", "skip"):
        spec = dataclasses.replace(SPEC, path=str(path), on_error=on_error)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                spec.fingerprint()
                found = _cases(spec)
        except InputError as error:
            outcome, message = "refused", str(error)
        except Exception as error:  # whatever it is, it is what this script looks for
            return f"BAD: {type(error).__name__}", str(error)
        else:
            problems = [case for case in found if isinstance(case, Problem)]
            same = not problems and _equal(found, expected)
            if problems:
                outcome, message = "rows named", str(problems[0])
            elif must == "refuse":
                return "BAD: accepted", ""
            else:
                outcome = "the same cases" if same else "valid, but other cases"
        if must == "the same" and outcome != "the same cases":
            return f"BAD: {outcome}", message
        if message and (path.name not in message or not re.search(r"line|column|file|UTF-8|empty|header", message)):
            return "BAD: says not where", message
        if "secret-" in message:
            return "BAD: names the patient", message
        if len(message) > 800 + len(str(path)):
            return "BAD: a message too long", message
    return outcome, message


def _cases(spec: Table) -> list[Case | Problem]:
    return [case for split in spec.facts().counts for case in spec.cases(split)]


def _equal(found: list[Case | Problem], expected: list[Case | Problem]) -> bool:
    def facts(case: Case | Problem) -> tuple:
        return (case,) if isinstance(case, Problem) else (*(case[key] for key in ("id", "group", "label")), case["table"].tobytes())  # fmt: skip

    return [facts(case) for case in found] == [facts(case) for case in expected]


def run(folder: Path, repeats: int, seed: int = 0, rows: int = 40) -> list[tuple[Kind, str, str]]:
    """Make and judge `repeats` tables of every kind: kind, outcome, message."""
    results = []
    for number, kind in enumerate(KINDS):
        for repeat in range(repeats):
            rng = np.random.Generator(np.random.Philox(key=[seed, 1000 * number + repeat]))
            grid = valid(rng, rows)
            path = folder / "t.csv"
            path.write_text(written(grid), encoding="utf-8")
            spec = dataclasses.replace(SPEC, path=str(path))
            expected = _cases(spec)
            changed = kind.change([list(cells) for cells in grid], rng)
            content = written(changed) if isinstance(changed, list) else changed
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
            results.append((kind, *judged(path, kind.must, expected)))
    return results


def main() -> int:
    """Print the summary; 1 if anything was accepted or raised that must not be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10, help="tables of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--messages", action="store_true", help="print one message of each kind")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = run(Path(folder), arguments.repeats, arguments.seed)
    outcomes = ["refused", "rows named", "the same cases", "valid, but other cases"]
    outcomes += sorted({outcome for _, outcome, _ in results} - set(outcomes))
    print(f"{'kind':38}{'must':10}" + "".join(f"{outcome:>24}" for outcome in outcomes))
    for kind in KINDS:
        own = [(outcome, message) for other, outcome, message in results if other is kind]
        counts = Counter(outcome for outcome, _ in own)
        print(f"{kind.name:38}{kind.must:10}" + "".join(f"{counts[outcome] or '':>24}" for outcome in outcomes))
        shown = next((message for outcome, message in own if outcome.startswith("BAD")), own[0][1])
        if shown and (arguments.messages or any(outcome.startswith("BAD") for outcome, _ in own)):
            print(f"    {shown}")
    counts = Counter(outcome for _, outcome, _ in results)
    print(f"{'all':48}" + "".join(f"{counts[outcome]:>24}" for outcome in outcomes))
    bad = sum(outcome.startswith("BAD") for _, outcome, _ in results)
    print(f"{len(results)} tables of {len(KINDS)} kinds; {bad} treated as they must not be")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
