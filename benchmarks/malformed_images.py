"""What malformed images and manifests do: each is made from a valid one and read as a person's own data would be.

    python benchmarks/malformed_images.py [--seed 0]

Images are cut, have bits flipped, are renamed, encoded anew (CMYK, 16 bits, animated, alpha, palette, 1 bit) or are none
at all; manifests lose columns, quotes and files, repeat ids, or name paths outside. Each lies in a folder among valid
images that goes through `Folder.facts` and `Folder.cases`. What may come of it:

- refused: a `Problem` or an InputError that names the file;
- the same: accepted with the very pixels (or cases) of the valid one, as after a new name or an opaque alpha channel;
- noted: left out as no image, by name, in the notes;
- unseen: accepted with other content, where the format has no checksums and the damage decodes to something valid. This
  is counted, since no reader can know; a flipped bit in a PNG never counts as unseen, nor does a file that was cut.

Anything else (another exception, a warning, text on standard error, acceptance with other content) is a failure, and the
script exits with 1.
"""

import argparse
import io
import os
import struct
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from medjax.data.origin import Problem
from medjax.data.origins import Folder
from medjax.errors import InputError

SIZE = (24, 40)  # not square, so that a wrong rotation shows
CHECKSUMS = ("PNG",)
ENCODINGS: dict[str, tuple[str, dict]] = {
    "PNG": (".png", {}),
    "JPEG": (".jpg", {"quality": 90}),
    "TIFF": (".tif", {}),
    "TIFF deflate": (".tiff", {"compression": "tiff_adobe_deflate"}),
    "BMP": (".bmp", {}),
    "GIF": (".gif", {}),
    "PPM": (".pgm", {}),
}


@dataclass(frozen=True)
class Malformed:
    """A file that is not as it should be.

    Attributes:
        path: the file.
        kind: what was done to it.
        valid: the pixels (or the manifest's cases) that may come of it; None: it has to be refused, or noted.
        unseen: whether other content may come of it, since the format has no checksums.
    """

    path: Path
    kind: str
    valid: Any
    unseen: bool = False


# ---------------------------------------------------------------------------------------------------------------------
# Images
# ---------------------------------------------------------------------------------------------------------------------


def picture(rng: np.random.Generator) -> np.ndarray:
    """Return a grey picture: a ramp, a bright ellipse, noise."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    ellipse = 90.0 * (((y - rng.uniform(8, 16)) / 6) ** 2 + ((x - rng.uniform(10, 30)) / 9) ** 2 < 1)
    return np.clip(60 + x + ellipse + rng.normal(0, 8, SIZE), 0, 255).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """Return an image as the bytes of a file."""
    out = io.BytesIO()
    image.save(out, kind.split()[0], **{**ENCODINGS.get(kind, ("", {}))[1], **options})
    return out.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """Return grey pixels (H, W, 1)."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))[..., None]


def png_of_16_bits(colour: np.ndarray) -> bytes:
    """Encode (H, W, 3) uint16 as PNG, which Pillow reads, but does not write."""
    height, width, _ = colour.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in colour)
    return png(width, height, 16, 2, rows)


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """Put filtered rows into a PNG."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def malformed_images(folder: Path, seed: int, share: float = 1.0) -> list[Malformed]:
    """Write malformed images into a folder.

    Args:
        folder: an empty one.
        seed: everything random follows from it.
        share: of the random damage that is made; 1 gives about 250 files.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    made: list[Malformed] = []

    def write(kind: str, ending: str, data: bytes, valid: object = None, unseen: bool = False) -> None:
        path = folder / f"bad{len(made):03d}{ending}"
        path.write_bytes(data)
        made.append(Malformed(path, kind, valid, unseen))

    def times(count: int) -> range:
        return range(max(1, round(share * count)))

    for kind, (ending, _) in ENCODINGS.items():
        for _ in times(8):
            data = encoded(Image.fromarray(picture(rng)), kind)
            write(f"{kind} cut", ending, data[: rng.integers(1, len(data))], decoded(data))
        for _ in times(24 if kind == "PNG" else 12):
            data = bytearray(encoded(Image.fromarray(picture(rng)), kind))
            valid = decoded(bytes(data))
            for place in rng.integers(0, len(data), rng.integers(1, 4)):
                data[place] ^= 1 << rng.integers(8)
            write(f"{kind} bits flipped", ending, bytes(data), valid, unseen=kind not in CHECKSUMS)
        data = encoded(Image.fromarray(picture(rng)), kind)
        write("header only", ending, data[: rng.integers(2, 40)])
        write("zero bytes", ending, b"")
        write("random bytes", ending, rng.bytes(500))
        write("random bytes after a signature", ending, data[:8] + rng.bytes(500))
        write("text", ending, b"This is no image at all.\n" * 20)
        for foreign, _ in ENCODINGS.values():
            if foreign != ending and rng.random() < share:
                write(f"{kind} under another name", foreign, data, decoded(data))
        recognised = kind not in ("BMP", "PPM")  # their signatures are two letters, with which a text may begin
        write(f"{kind} named as text", ".txt", data, decoded(data) if recognised else None)
    for _ in times(2):
        for name, ending, data, valid in encoded_anew(picture(rng)):
            write(name, ending, data, valid)
    return made


def encoded_anew(grey: np.ndarray) -> list[tuple[str, str, bytes, object]]:
    """Encode a picture in ways that a reader has to refuse, or to undo: (kind, ending, bytes, pixels or None)."""
    image, plain = Image.fromarray(grey), grey[..., None]
    other = Image.fromarray(grey[::-1].copy())
    colour = Image.fromarray(np.dstack([grey, 255 - grey, grey // 2]))
    opaque, clear = Image.new("L", image.size, 255), other
    deep, exif = grey.astype(np.uint16) * 257, Image.Exif()
    exif[0x0112] = 6
    one_bit = image.convert("1", dither=Image.Dither.NONE)
    return [
        ("CMYK", ".jpg", encoded(colour.convert("CMYK"), "JPEG"), None),
        ("CMYK", ".tif", encoded(colour.convert("CMYK"), "TIFF"), None),
        ("LAB", ".tif", encoded(colour.convert("LAB"), "TIFF"), None),
        ("16 bits", ".png", encoded(Image.fromarray(deep), "PNG"), None),
        ("16 bits", ".tif", encoded(Image.fromarray(deep), "TIFF"), None),
        ("16 bits in colour", ".png", png_of_16_bits(np.dstack([deep] * 3)), None),
        ("16 bits", ".pgm", b"P5 40 24 65535\n" + deep.astype(">u2").tobytes(), None),
        ("16 bits in colour", ".ppm", b"P6 40 24 65535\n" + np.dstack([deep] * 3).astype(">u2").tobytes(), None),
        ("32-bit floats", ".tif", encoded(Image.fromarray(grey.astype(np.float32)), "TIFF"), None),
        ("32-bit integers", ".tif", encoded(Image.fromarray(grey.astype(np.int32)), "TIFF"), None),
        ("animated", ".gif", encoded(image, "GIF", save_all=True, append_images=[other]), None),
        ("animated", ".png", encoded(image, "PNG", save_all=True, append_images=[other]), None),
        ("animated", ".webp", encoded(image, "WEBP", save_all=True, append_images=[other]), None),
        ("pages", ".tif", encoded(image, "TIFF", save_all=True, append_images=[other]), None),
        ("pages", ".jpg", encoded(image, "MPO", save_all=True, append_images=[other]), None),
        ("opaque alpha", ".png", encoded(Image.merge("LA", (image, opaque)), "PNG"), plain),
        ("transparent", ".png", encoded(Image.merge("LA", (image, clear)), "PNG"), None),
        ("transparent", ".png", encoded(Image.merge("RGBA", (image, image, image, clear)), "PNG"), None),
        ("transparent colour", ".png", encoded(image, "PNG", transparency=int(grey[0, 0])), None),
        ("transparent colour", ".gif", encoded(image, "GIF", transparency=int(grey[0, 0])), None),
        ("grey palette", ".png", encoded(image.convert("P"), "PNG"), plain),
        ("palette in colour", ".png", encoded(colour.quantize(16), "PNG"), None),
        ("1 bit", ".png", encoded(one_bit, "PNG"), np.asarray(one_bit.convert("L"))[..., None]),
        ("1 bit", ".tif", encoded(one_bit, "TIFF"), np.asarray(one_bit.convert("L"))[..., None]),
        ("colour among grey", ".jpg", encoded(colour, "JPEG"), None),
        ("turned by EXIF", ".png", encoded(image, "PNG", exif=exif), np.rot90(grey, -1)[..., None]),
        ("turned by EXIF", ".jpg", encoded(image, "JPEG", exif=exif), np.rot90(decoded(encoded(image, "JPEG")), -1)),
        ("damaged EXIF", ".jpg", encoded(image, "JPEG", exif=exif.tobytes()[:-7]), decoded(encoded(image, "JPEG"))),
        ("too many pixels", ".png", png(50_000, 50_000, 8, 0, b"\0"), None),
        ("many more pixels than bytes", ".png", png(5_000, 5_000, 8, 0, b"\0" * 99), None),
        ("no pixels", ".pgm", b"P5 0 0 255\n", None),
        ("not a number", ".tif", encoded(Image.fromarray(np.full(SIZE, np.nan, np.float32)), "TIFF"), None),
    ]


def judge_image(sample: Malformed, tree: Path) -> tuple[str, str]:
    """Put one image among the valid ones of a tree, read the tree, and say what came of it, with the message."""
    victim = tree / "a" / f"victim{sample.path.suffix}"
    victim.write_bytes(sample.path.read_bytes())
    try:
        return judge(lambda: Folder(path=str(tree), on_error="skip"), sample, victim.name)
    finally:
        victim.unlink()


# ---------------------------------------------------------------------------------------------------------------------
# Manifests
# ---------------------------------------------------------------------------------------------------------------------

HEADER = ["id", "path", "group", "split", "label", "age"]


def valid_rows() -> list[list[str]]:
    """Return the rows of a valid manifest: three patients of two classes, two scans each, parted."""
    rows = []
    for number in range(12):
        split = "train" if number < 8 else "test"
        label = "ab"[number % 2]
        rows.append([f"scan{number}", f"{label}/{number // 2}.png", f"p{number // 2}", split, label, str(40 + number)])
    return rows


def text_of(rows: list[list[str]], header: list[str] | None = None, separator: str = ",") -> str:
    """Return rows as the text of a CSV."""
    return "".join(separator.join(row) + "\n" for row in [header or HEADER, *rows])


def malformed_manifests(folder: Path, seed: int) -> list[Malformed]:
    """Write about 100 malformed manifests into a folder, for the images that `make_tree` writes."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    made: list[Malformed] = []
    rows, whole = valid_rows(), text_of(valid_rows())
    valid = "cases"

    def write(kind: str, content: str | bytes, same: object = None, unseen: bool = False) -> None:
        path = folder / f"bad{len(made):03d}.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        made.append(Malformed(path, kind, same, unseen))

    def with_cell(column: str, value: str, row: int) -> str:
        changed = [list(cells) for cells in rows]
        changed[row][HEADER.index(column)] = value
        return text_of(changed)

    cells: dict[str, tuple[tuple[str, str], ...]] = {
        "path outside": (
            ("path", "../outside.png"), ("path", "a/../../outside.png"), ("path", "{root}/a/0.png"),
            ("path", "a/link_out.png"), ("path", "C:\\scans\\0.png"), ("path", "~/0.png"), ("path", "..\\outside.png"),
        ),
        "missing file": (
            ("path", "a/99.png"), ("path", "a\\0.png"), ("path", "a"), ("path", "https://example.org/0.png"), ("path", ""),
            ("path", "a/link_broken.png"), ("path", "x" * 5000), ("path", "a/0.png\t"), ("path", "a/0.PNG"), ("path", "."),
        ),
        "repeated": (("id", "scan3"), ("path", "b/0.png"), ("path", "./b/0.png"), ("path", "b//0.png")),
        "empty cell": (("id", ""), ("group", ""), ("split", ""), ("label", "")),
        "wrong split": (("split", "trian"), ("split", "holdout"), ("split", "1"), ("split", "train,test")),
        "missing label": (("label", "NA"), ("label", "?"), ("label", "nan")),
        "label alone": (("label", "c"), ("label", "a b"), ("label", "1")),
        "no image": (("path", "notes.txt"), ("path", "a/cut.png"), ("path", "labels.csv"), ("path", "a/empty.png")),
    }  # fmt: skip
    for kind, changes in cells.items():
        for column, value in changes:
            row = int(rng.integers(4, 7))
            write(kind, with_cell(column, value, row), valid if value == "a/0.png\t" else None)
    for row, split in ((0, "test"), (7, "test"), (8, "train"), (11, "validation")):
        write("patient in two splits", with_cell("split", split, row))
    for name in ("path", "label"):
        at = HEADER.index(name)
        write("missing column", text_of([row[:at] + row[at + 1 :] for row in rows], HEADER[:at] + HEADER[at + 1 :]))
        write("misspelt column", whole.replace(name, name.upper(), 1))
        write("repeated header", text_of([[*row, row[at]] for row in rows], [*HEADER, name]))
    write("one class", text_of([row for row in rows if row[4] == "a"]))
    write("a label for each row", text_of([[*row[:4], str(0.5 + k), row[5]] for k, row in enumerate(rows)]))
    write("empty splits", text_of([[*row[:3], "", *row[4:]] for row in rows]))
    write("no training", text_of([[*row[:3], "validation" if row[3] == "train" else "test", *row[4:]] for row in rows]))
    write("empty", b"")
    write("header only", text_of([]))
    write("blank lines only", b"\n\n  \n")
    write("no header", text_of(rows[1:], rows[0]))
    write("UTF-16", whole.encode("utf-16"))
    write("UTF-16 without mark", whole.encode("utf-16-le"))
    write("Latin-1", whole.replace("scan3", "sc\xe4n3").encode("latin-1"))
    write("byte 0", whole.replace("scan3", "sc\0n3"))
    write("byte 0 at the end", whole.encode() + b"\0" * 100)
    write("open quote", whole.replace("scan3", '"scan3'))
    write("stray quote", whole.replace("scan3,", '"scan3"x,'))
    write("quote over lines", whole.replace("b/1.png", '"b/1.png').replace("b/3.png", 'b/3.png"'))
    write("too few cells", whole.replace(",44\n", "\n"))
    write("too many cells", whole.replace(",44\n", ",44,1\n"))
    write("an image", encoded(Image.fromarray(picture(rng)), "PNG"))
    write("a workbook", b"PK\x03\x04" + rng.bytes(300))
    write("random bytes", rng.bytes(300))
    write("separated by blanks", whole.replace(",", " "))
    write("byte order mark", whole.encode("utf-8-sig"), valid)
    for separator in ";\t|":
        write("other separator", text_of(rows, separator=separator), valid)
    write("line ends of Windows", whole.replace("\n", "\r\n"), valid)
    write("blank lines", whole.replace("\n", "\n\n"), valid)
    write("white space", whole.replace(",", " , "), valid)
    for _ in range(8):
        write("cut", whole.encode()[: rng.integers(40, len(whole) - 3)], valid, unseen=True)  # between two rows
    for _ in range(12):
        data = bytearray(whole.encode())
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        write("a bit flipped", bytes(data), valid, unseen=True)
    return made


def judge_manifest(sample: Malformed, tree: Path) -> tuple[str, str]:
    """Read the tree by one manifest, and say what came of it, with the message."""
    manifest = tree / "labels.csv"
    manifest.write_bytes(sample.path.read_bytes().replace(b"{root}", str(tree).encode()))
    origin = Folder(path=str(tree), manifest=manifest.name, attributes=("age",), on_error="skip")
    try:
        return judge(lambda: origin, sample, manifest.name)
    finally:
        manifest.unlink()


# ---------------------------------------------------------------------------------------------------------------------
# What comes of it
# ---------------------------------------------------------------------------------------------------------------------


def make_tree(folder: Path, count: int) -> None:
    """Write valid images a/0.png, b/0.png, ..., `count` of each class."""
    rng = np.random.Generator(np.random.Philox(key=1))
    for name in "ab":
        (folder / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(picture(rng)).save(folder / name / f"{number}.png")


def spoil_tree(folder: Path) -> None:
    """Add what only a manifest may name: links, a text, damaged files."""
    good = (folder / "a" / "0.png").read_bytes()
    (folder.parent / "outside.png").write_bytes(good)
    (folder / "a" / "link_out.png").symlink_to(folder.parent / "outside.png")
    (folder / "a" / "link_broken.png").symlink_to(folder / "nowhere.png")
    (folder / "a" / "cut.png").write_bytes(good[:300])
    (folder / "a" / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("notes")


@contextmanager
def standard_error() -> Iterator[list[str]]:
    """Catch what is written to standard error, by libraries in C as well; the text is in the list afterwards."""
    written: list[str] = []
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            yield written
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)
            file.seek(0)
            if text := file.read().decode(errors="replace"):
                written.append(text)


def judge(make: Callable[[], Folder], sample: Malformed, name: str) -> tuple[str, str]:
    """Read everything, and return "refused", "the same", "noted", "unseen" or "FAILURE", with the message."""
    cases: list[Any] = []
    facts: Any = None
    error: BaseException | None = None
    with standard_error() as written, warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            origin = make()
            facts = origin.facts()
            cases = [case for split in facts.counts for case in origin.cases(split)]
        except (Exception, Warning) as raised:
            error = raised
    if written:
        return "FAILURE", f"on standard error: {written[0]}"
    if isinstance(error, InputError):
        return ("refused" if name in str(error) else "FAILURE"), str(error)
    if error is not None:
        return "FAILURE", f"{type(error).__name__}: {error}"
    if problems := [str(case) for case in cases if isinstance(case, Problem)]:
        return ("refused" if all(name in text for text in problems) else "FAILURE"), problems[0]
    if noted := [note for note in facts.notes if name in note and "left out" in note]:
        return ("noted" if sample.valid is None else "FAILURE"), noted[0]
    if isinstance(sample.valid, str):
        rows = [[case["id"], case["group"], facts.classes[case["label"]], str(case["age"])] for case in cases]
        same = rows == [[row[0], row[2], row[4], str(float(row[5]))] for row in valid_rows()]
    else:
        (case,) = [case for case in cases if case["id"].endswith(name)] or [None]
        same = case is not None and sample.valid is not None and np.array_equal(case["image"], sample.valid)
    outcome = "the same" if same else "unseen" if sample.unseen else "FAILURE"
    return outcome, "" if same else "accepted with other content"


def run(seed: int, share: float = 1.0) -> list[tuple[str, Malformed, str, str]]:
    """Make and judge everything; returns (images or manifests, sample, outcome, message)."""
    found = []
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        for part in ("tree", "images", "manifests"):
            (base / part).mkdir()
        small, tree = base / "tree" / "small", base / "tree" / "scans"
        make_tree(small, 2)
        make_tree(tree, 6)
        for sample in malformed_images(base / "images", seed, share):
            found.append(("images", sample, *judge_image(sample, small)))
        spoil_tree(tree)
        for sample in malformed_manifests(base / "manifests", seed):
            found.append(("manifests", sample, *judge_manifest(sample, tree)))
    return found


def main() -> None:
    """Print what came of everything, by kind."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--messages", action="store_true", help="print one message of each kind")
    arguments = parser.parse_args()
    found, outcomes = run(arguments.seed), ("refused", "the same", "noted", "unseen", "FAILURE")
    print(f"{'':44s}" + "".join(f"{name:>10s}" for name in outcomes))
    for part in ("images", "manifests"):
        kinds = dict.fromkeys(sample.kind for where, sample, _, _ in found if where == part)
        for kind in [*kinds, f"all {part}"]:
            chosen = [entry for entry in found if entry[0] == part and kind in (entry[1].kind, f"all {part}")]
            counts = Counter(outcome for *_, outcome, _ in chosen)
            print(f"{kind:44s}" + "".join(f"{counts[name] or '.':>10}" for name in outcomes))
            if arguments.messages:
                for text in sorted({text for *_, text in chosen if text})[:2] * (not kind.startswith("all")):
                    print(f"    {text}")
        print()
    failures = [(sample, text) for _, sample, outcome, text in found if outcome == "FAILURE"]
    for sample, text in failures:
        print(f"FAILURE {sample.kind} ({sample.path.name}): {text}")
    sys.stdout.flush()
    sys.exit(1 if failures else os.EX_OK)


if __name__ == "__main__":
    main()
