"""Thousands of damaged NIfTI files: each is refused by a message, or read; none ends in a traceback.

    python benchmarks/malformed_scans.py [--files 4000] [--seed 0]

Three quarters have one to four bytes of their head changed, one quarter is compressed and then cut short or has a bit
flipped. What is read is also written back as a label map and read again. A compressed file has a checksum: were one read with other
voxels, that would be a silent error. A head has none: a changed scale or type gives other voxels, which nobody can know. Exit
code 1 after a traceback or a silent error.
"""

import argparse
import gzip
import random
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import nibabel
import numpy as np

from medjax.data.readers.nifti import read_labels, read_scan, write_labels
from medjax.errors import InputError

HEAD = 348


def damaged(plain: bytes, draw: random.Random) -> tuple[bytes, bool]:
    """A damaged copy of a file, and whether its checksum can tell."""
    content = bytearray(plain)
    if draw.random() < 0.75:
        for _ in range(draw.choice([1, 1, 2, 4])):
            content[draw.randrange(HEAD)] = draw.randrange(256)
        return bytes(content), False
    content = bytearray(gzip.compress(plain, mtime=0))
    if draw.random() < 0.5:
        return bytes(content[: draw.randrange(len(content))]), True
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content), True


def main() -> int:
    """Try them all and print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("error")
    draw, found, wrong = random.Random(arguments.seed), Counter(), []
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "scan.nii", Path(folder) / "labels.nii"
        affine = np.diag([1.0, 2.0, 3.0, 1.0])
        image = nibabel.Nifti1Image(np.random.default_rng(0).normal(size=(5, 6, 7)).astype(np.float32), affine)
        image.set_qform(affine, 1)
        nibabel.save(image, path)
        plain, (whole, _) = path.read_bytes(), read_scan(path)
        for number in range(arguments.files):
            content, checked = damaged(plain, draw)
            path.write_bytes(content)
            try:
                volume, grid = read_scan(path)
                write_labels(out, np.zeros(grid.turned, np.uint8), grid)
                read_labels(out, grid)
            except InputError:
                found["refused"] += 1
                continue
            except Exception as error:  # what this file looks for
                wrong.append(f"file {number}: {type(error).__name__}: {error}")
                continue
            same = np.array_equal(volume, whole)
            found["read, the same voxels" if same else "read, other voxels"] += 1
            if checked and not same:
                wrong.append(f"file {number}: read in spite of its checksum")
    print(", ".join(f"{count} {what}" for what, count in found.items()))
    print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
