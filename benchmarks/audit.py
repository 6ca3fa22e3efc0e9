"""What the leak audit finds: planted leaks by kind, false alarms where nothing is planted, and the traps of public data.

    MEDJAX_DATA=... python benchmarks/audit.py [planted] [traps] [NAME ...]

`planted` puts changed copies of training cases before the audit and counts how many it finds at its false-alarm rate; beside
them two plain rules, an 8 x 8 average hash and the correlation of pixels. `traps` runs the whole audit on data sets that
are known to be leaky. HDF5 files need h5py (`uv run --with h5py benchmarks/audit.py`); without it those data sets are skipped.
"""

import csv
import gzip
import io
import os
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from medjax.data import giveaways, near, twins
from medjax.data.audit import audit
from medjax.data.dataset import Dataset, Index, prepare
from medjax.data.drop import dropped
from medjax.data.origins.folder import Folder
from medjax.data.origins.phantom import Phantom
from medjax.data.origins.table import Table
from medjax.data.thumbnail import GRIDS, thumbnail
from medjax.errors import InputError
from medjax.evidence.intervals import wilson
from medjax.report.audit import in_words
from medjax.report.examination import examination

PLANTED = 200
DATA = Path(os.environ.get("MEDJAX_DATA", ""))
Change = Callable[[np.ndarray], np.ndarray]


def share(hits: np.ndarray) -> str:
    """A share of cases with Wilson's interval."""
    low, high = wilson(int(hits.sum()), len(hits))
    return f"{hits.mean():5.3f} ({low:.3f} to {high:.3f})"


# Images.


def image_changes(random: np.random.Generator, pixel: int) -> dict[str, Change]:
    """Ways to hide a copy; one pixel of a thumbnail of 28 is `pixel` pixels of the image."""

    def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        return np.asarray(Image.open(buffer))

    def cut(image: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
        height, width = image.shape
        part = Image.fromarray(image[top : height - bottom, left : width - right])
        return np.asarray(part.resize((width, height), Image.Resampling.BILINEAR))

    def crop(image: np.ndarray, total: int) -> np.ndarray:
        top, left = random.integers(0, total + 1, 2)
        return cut(image, *(pixel * one for one in (top, total - top, left, total - left)))

    def uneven(image: np.ndarray) -> np.ndarray:
        return cut(image, *(pixel * random.integers(0, 3, 4)))

    def shift(image: np.ndarray, most: int) -> np.ndarray:
        reach = most * pixel
        down, right = random.integers(-most, most + 1, 2) * pixel
        padded = np.pad(image, reach, mode="edge")
        height, width = image.shape
        return padded[reach + down : reach + down + height, reach + right : reach + right + width]

    def flip(image: np.ndarray) -> np.ndarray:
        turn = int(random.integers(1, 8))
        turned = np.rot90(image, turn % 4)
        return np.ascontiguousarray(turned[:, ::-1] if turn >= 4 else turned)

    def brighten(image: np.ndarray) -> np.ndarray:
        values = (image - 127.5) * random.uniform(0.7, 1.3) + 127.5 + random.uniform(-30, 30)
        return np.clip(values, 0, 255).astype(np.uint8)

    return {
        "copy": lambda x: x,
        "flip or turn": flip,
        "crop, 1 pixel": lambda x: crop(x, 1),
        "crop, 2 pixels": lambda x: crop(x, 2),
        "crop, 0 to 2 a side": uneven,
        "crop, 3 pixels": lambda x: crop(x, 3),
        "shift by up to 2": lambda x: shift(x, 2),
        "JPEG, quality 90": lambda x: jpeg(x, 90),
        "JPEG, quality 50": lambda x: jpeg(x, 50),
        "brightness, contrast": brighten,
        "flip, crop 2, JPEG 70, brightness": lambda x: brighten(jpeg(crop(flip(x), 2), 70)),
    }


def small(images: np.ndarray) -> np.ndarray:
    """Thumbnails."""
    return np.stack([thumbnail(image[..., None], GRIDS["image"]) for image in images])


def hashes(pictures: np.ndarray) -> np.ndarray:
    """Average hashes of 8 x 8: 64 bits."""
    boxes = np.stack([np.asarray(Image.fromarray(one).resize((8, 8), Image.Resampling.BOX)) for one in pictures])
    return (boxes > boxes.mean((1, 2), keepdims=True)).reshape(len(boxes), -1)


def plain_rules(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which queries lie within 4 bits of a reference, and which correlate above .99 with one."""
    ours, theirs = (hashes(one).astype(np.float32) for one in (queries, references))
    bits = (ours.sum(1)[:, None] + theirs.sum(1) - 2 * ours @ theirs.T).min(1)

    def unit(pictures: np.ndarray) -> np.ndarray:
        flat = pictures.reshape(len(pictures), -1).astype(np.float32)
        flat = flat - flat.mean(1, keepdims=True)
        return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)

    return bits <= 4, (unit(queries) @ unit(references).T).max(1) > 0.99


def planted_images(name: str, train: np.ndarray, test: np.ndarray, pixel: int, clean: str) -> None:
    """Print recall by kind of leak and what is called suspect among cases that were not planted."""
    random = np.random.Generator(np.random.Philox(key=0))
    references = small(train)
    begin = time.perf_counter()
    found = near.picture_neighbours(small(test), references)
    seconds = time.perf_counter() - begin
    rates = (1e-2, 1e-3, near.RATE)
    bits, correlated = plain_rules(test, train)
    print(f"\n{name}: {len(train)} training cases; {len(test)} others compared in {seconds:.1f} s")
    for rate in rates:
        print(f"  not planted, rate {rate:g}: {share(found.chance[:, 0] < rate)} suspect {clean}")
    print(f"  not planted, 8 x 8 hash within 4 bits: {share(bits)}; pixels correlated above .99: {share(correlated)}")
    print(f"  {'planted':<34}{'found at rate ' + format(near.RATE, 'g'):<26}{'8 x 8 hash':<26}pixels above .99")
    chosen = random.choice(len(train), PLANTED, replace=False)
    for kind, change in image_changes(random, pixel).items():
        leaks = np.stack([change(train[row]) for row in chosen])
        found = near.picture_neighbours(small(leaks), references)
        hit = ((found.position == chosen[:, None]) & (found.chance < near.RATE)).any(1)
        bits, correlated = plain_rules(leaks, train)
        print(f"  {kind:<34}{share(hit):<26}{share(bits):<26}{share(correlated)}")


def medmnist(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Training and test images; no label is read."""
    with np.load(DATA / "image2d" / name / f"{name}.npz") as stored:
        return stored["train_images"], stored["test_images"]


def mednist(folder: Path) -> np.ndarray:
    """All images, in a random order."""
    paths = sorted(folder.glob("*/*.jpeg"))
    images = np.stack([np.asarray(Image.open(path).convert("L")) for path in paths])
    return images[np.random.Generator(np.random.Philox(key=1)).permutation(len(images))]


# Tables and signals.


def planted_rows(name: str, table: np.ndarray) -> None:
    """Print recall on planted rows and false alarms among the rows themselves."""
    random = np.random.Generator(np.random.Philox(key=0))
    table = table[np.sort(np.unique(table, axis=0, return_index=True)[1])]
    spread = np.nanstd(table, axis=0)
    found = near.row_neighbours(table)
    print(f"\n{name}: {table.shape[0]} different rows of {table.shape[1]} columns")
    print(f"  not planted, rate {near.RATE:g}: {share(found.chance[:, 0] < near.RATE)} suspect")
    chosen = random.choice(len(table), min(PLANTED, len(table)), replace=False)

    def one_column(rows: np.ndarray) -> np.ndarray:
        column = random.integers(0, rows.shape[1], len(rows))
        changed = rows.copy()
        changed[np.arange(len(rows)), column] += spread[column] * random.choice((-1.0, 1.0), len(rows))
        return changed

    spread *= [len(np.unique(column)) > 10 for column in table.T]  # codes of classes stay as they are
    kinds: dict[str, Change] = {
        "copy": lambda x: x,
        "noise of .001 standard deviations": lambda x: x + 0.001 * spread * random.standard_normal(x.shape),
        "noise of .01": lambda x: x + 0.01 * spread * random.standard_normal(x.shape),
        "noise of .1": lambda x: x + 0.1 * spread * random.standard_normal(x.shape),
        "one column by 1 standard deviation": one_column,
    }
    for kind, change in kinds.items():
        found = near.row_neighbours(change(table[chosen]), table)
        hit = ((found.position == chosen[:, None]) & (found.chance < near.RATE)).any(1)
        print(f"  {kind:<36}{share(hit)}")


def planted_signals(name: str, signals: np.ndarray) -> None:
    """Print recall on planted signals (cases, time) and what is suspect among the signals themselves."""
    random = np.random.Generator(np.random.Philox(key=0))
    half = len(signals) // 2
    train, test, length = signals[:half], signals[half:], signals.shape[1]

    def thumbnails(arrays: np.ndarray) -> np.ndarray:
        return np.stack([thumbnail(one[:, None], GRIDS["signal"]) for one in arrays])

    references = thumbnails(train)
    found = near.picture_neighbours(thumbnails(test), references)
    print(f"\n{name}: {len(train)} signals of {length} points; {len(test)} others compared")
    print(f"  not planted, rate {near.RATE:g}: {share(found.chance[:, 0] < near.RATE)} suspect")
    chosen = random.choice(len(train), PLANTED, replace=False)

    def cut(one: np.ndarray) -> np.ndarray:
        before, behind = random.integers(0, length // 28 + 1, 2)
        part = one[before : length - behind]
        return np.interp(np.linspace(0, len(part) - 1, length), np.arange(len(part)), part)

    kinds: dict[str, Change] = {
        "copy": lambda x: x,
        "gain and offset": lambda x: x * random.uniform(0.5, 2) + random.uniform(-1, 1),
        "noise of .1 standard deviations": lambda x: x + 0.1 * x.std() * random.standard_normal(len(x)),
        "cropped by up to 1/28 a side": cut,
    }
    for kind, change in kinds.items():
        found = near.picture_neighbours(thumbnails(np.stack([change(train[row]) for row in chosen])), references)
        hit = ((found.position == chosen[:, None]) & (found.chance < near.RATE)).any(1)
        print(f"  {kind:<36}{share(hit)}")


def rows_of(path: Path, target: str) -> np.ndarray:
    """The columns of numbers of a CSV but the target."""
    with path.open() as file:
        rows = list(csv.reader(file))
    keep = [place for place, name in enumerate(rows[0]) if name != target]
    return np.array([[float(row[place]) if row[place] else np.nan for place in keep] for row in rows[1:]])


# Patients.


def planted_patients(each: int = 200) -> None:
    """Print how many of `each` patients that are put into both splits are found, and what is found without any.

    Two phantom data sets of 800 patients with 1 to 3 scans: once the patients' ids are kept, once they are lost, so that
    only the pictures could tell.
    """
    random = np.random.Generator(np.random.Philox(key=0))
    origin = Phantom(size=(32, 32), patients=800, scans_per_patient=(1, 3), segmentation="none")
    cases = [case for case in origin.cases("all") if isinstance(case, dict)]
    group = np.array([case["group"] for case in cases])
    names = np.unique(group)
    index = Index(np.full(len(cases), "all"), np.arange(len(cases)).astype(str), group, np.arange(len(cases)).astype(str),
                  (), "", {})  # fmt: skip
    assignment = np.where(np.isin(group, random.choice(names, len(names) // 2, replace=False)), "train", "test")
    print(f"\npatients: {len(names)} with {len(cases)} scans, half of the patients in test")
    print(f"  not planted: {sum(audit(index, assignment).shared_patients.values())} patients in both splits")
    several = [name for name in names if (group == name).sum() > 1]
    moved = random.choice(several, each, replace=False)
    for name in moved:
        first = np.flatnonzero(group == name)[0]
        assignment[first] = "train" if assignment[first] == "test" else "test"
    found = sum(audit(index, assignment).shared_patients.values())
    print(
        f"  one scan of {each} patients moved to the other split: {share(np.arange(each) < found)} found by their ids"
    )
    pictures = small(np.stack([case["image"][..., 0] for case in cases]))
    rows = {part: np.flatnonzero(assignment == part) for part in ("train", "test")}
    near_ones = near.picture_neighbours(pictures[rows["test"]], pictures[rows["train"]])
    same = group[rows["train"]][near_ones.position] == group[rows["test"]][:, None]
    hit = ((near_ones.chance < near.RATE) & same).any(1)
    print(f"  the same with the ids lost, by the pictures: {share(np.isin(moved, group[rows['test']][hit]))} found")


# Files that medjax does not read, as CSV.


def read_arff(path: Path) -> tuple[list[str], list[list[str]]]:
    """Header and cells of a plain ARFF file."""
    names, rows, inside = [], [], False
    for line in path.read_text().splitlines():
        text = line.strip()
        if text.lower().startswith("@attribute"):
            names.append(text.split()[1].strip("'\""))
        elif text.lower() == "@data":
            inside = True
        elif inside and text and not text.startswith("%"):
            rows.append([cell.strip().strip("'\"") for cell in next(csv.reader([text], quotechar="'"))])
    return names, rows


def read_hdf5(path: Path, names: list[str]) -> tuple[list[str], list[list[str]]]:
    """The two splits of a DeepSurv file as one table with its split."""
    from importlib import import_module

    h5py = import_module("h5py")  # not among medjax's packages
    rows = []
    with h5py.File(path) as file:
        for split in ("train", "test"):
            x, time_, event = (np.asarray(file[split][key]) for key in "xte")
            rows += [
                [*(f"{value:.9g}" for value in one), f"{t:.9g}", str(int(e)), split]
                for one, t, e in zip(x, time_, event, strict=True)
            ]
    return [*names, "time", "event", "split"], rows


def as_table(
    path: Path,
    names: list[str],
    rows: list[list[str]],
    target: str,
    leave: tuple[str, ...] = (),
    on_error: Literal["stop", "skip"] = "stop",
) -> Table:
    """Write a CSV and say how it is read: numbers where all cells are, levels otherwise."""
    rows = [[cell.replace("\t", "").strip() for cell in row] for row in rows]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    numeric, categorical = [], []
    for place, name in enumerate(names):
        cells = {row[place] for row in rows} - {"", "?"}
        if name in (target, "split", *leave):
            continue
        try:
            [float(cell) for cell in cells]
            numeric.append(name)
        except ValueError:
            categorical.append((name, tuple(sorted(cells))))
    split = "split" if "split" in names else None
    return Table(
        str(path), target, numeric=tuple(numeric), categorical=tuple(categorical), split=split, on_error=on_error
    )


WHAS = [f"x{number}" for number in range(6)]
GBSG = ["hormones", "size", "menopause", "age", "nodes", "progesterone", "oestrogen"]


def trap_sets(folder: Path) -> Iterator[tuple[str, Callable[[], Dataset]]]:
    """The data sets with traps, each prepared when asked for."""
    survival, tabular = DATA / "survival", DATA / "tabular"
    yield "pneumoniamnist", lambda: prepare("pneumoniamnist")
    yield "breastmnist", lambda: prepare("breastmnist")
    yield "mednist", lambda: prepare("trap_mednist", None, Folder(str(folder / "mednist")))

    def table(
        name: str,
        content: tuple[list[str], list[list[str]]],
        target: str,
        leave: tuple[str, ...] = (),
        on_error: Literal["stop", "skip"] = "stop",
    ) -> Dataset:
        return prepare(f"trap_{name}", None, as_table(folder / f"{name}.csv", *content, target, leave, on_error))

    whas = survival / "deepsurv_whas" / "whas_train_test.h5"
    yield "whas", lambda: table("whas", read_hdf5(whas, WHAS), "event", leave=("time",))
    arff = survival / "sksurv_arff"
    yield "flchain", lambda: table("flchain", read_arff(arff / "flchain.arff"), "death", leave=("futime",))

    def support2() -> Dataset:
        with gzip.open(tabular / "support2" / "support2.csv.gz", "rt") as file:
            names, *rows = [[cell.strip() for cell in row] for row in csv.reader(file)]
        return table("support2", (names, rows), "hospdead")

    def kidney() -> Dataset:
        with (tabular / "chronic_kidney_disease" / "kidney_disease.csv").open() as file:
            names, *rows = list(csv.reader(file))
        return table("kidney", (names, rows), "classification", on_error="skip")

    yield "support2", support2
    yield "kidney", kidney


def gbsg_against_gbsg2(folder: Path) -> None:
    """Compare the two data sets that share a trial."""
    path = DATA / "survival" / "deepsurv_gbsg" / "gbsg_cancer_train_test.h5"
    ours = read_hdf5(path, GBSG)
    names, rows = read_arff(DATA / "survival" / "sksurv_arff" / "GBSG2.arff")
    place = {name: number for number, name in enumerate(names)}
    levels = {"no": "0", "yes": "1", "Pre": "0", "Post": "1"}
    order = ("horTh", "tsize", "menostat", "age", "pnodes", "progrec", "estrec", "cens")
    theirs = [[levels.get(row[place[name]], row[place[name]]) for name in order] for row in rows]
    for row in theirs:  # the HDF5 file holds the size as 0 to 20, 21 to 50, and more millimetres
        row[1] = str(int(np.searchsorted((20, 50), float(row[1]))))
    first = prepare("trap_gbsg", None, as_table(folder / "gbsg.csv", *ours, "event", leave=("time",)))
    second = prepare("trap_gbsg2", None, as_table(folder / "gbsg2.csv", [*GBSG, "event"], theirs, "event"))
    found = twins.between(first, second)
    split = dict(zip(first.index.id.tolist(), first.index.split.tolist(), strict=True))
    same = {split_name: 0 for split_name in first.splits}
    for one in {pair.ids[0] for pair in found.pairs if pair.identical}:
        same[split[one]] += 1
    close = {pair.ids[0] for pair in found.pairs} - {pair.ids[0] for pair in found.pairs if pair.identical}
    print(f"\ngbsg against gbsg2: {len(first.index)} and {len(second.index)} cases")
    print(f"  cases of gbsg with an identical row in gbsg2: {same}; by chance {found.by_chance:.1f} among all")
    print(f"  further cases of gbsg nearer to one of gbsg2 than chance allows: {len(close)}")


def main() -> None:
    """Run what is asked for."""
    if not DATA.is_dir():
        raise SystemExit("error: MEDJAX_DATA must name the folder of the original files")
    chosen = set(sys.argv[1:]) - {"planted", "traps"}
    kinds = set(sys.argv[1:]) & {"planted", "traps"} or {"planted", "traps"}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["MEDJAX_CACHE"] = str(folder / "cache")
        with tarfile.open(DATA / "image2d" / "mednist" / "mednist_600x6.tar") as archive:
            archive.extractall(folder / "mednist", filter="data")
        if "planted" in kinds:
            planted(chosen, folder)
        if "traps" in kinds:
            traps(chosen, folder)


def planted(chosen: set[str], folder: Path) -> None:
    """All planted leaks."""
    if not chosen or "pneumoniamnist" in chosen:
        planted_images("pneumoniamnist", *medmnist("pneumoniamnist"), 1, "(other patients: false alarms)")
    if not chosen or "breastmnist" in chosen:
        planted_images("breastmnist", *medmnist("breastmnist"), 1, "(known to be near-duplicates)")
    if not chosen or "mednist" in chosen:
        images = mednist(folder / "mednist")
        planted_images("mednist", images[:3000], images[3000:], 2, "(slices of the same patients lie on both sides)")
    if not chosen or "phantom" in chosen:
        origin = Phantom(size=(32, 32), patients=2000, scans_per_patient=(1, 1), segmentation="none")
        images = np.stack([case["image"][..., 0] for case in origin.cases("all") if isinstance(case, dict)])
        planted_images("phantom", images[:1500], images[1500:], 1, "(other patients by construction: false alarms)")
    if not chosen or "patients" in chosen:
        planted_patients()
    if not chosen or "tables" in chosen:
        from sklearn.datasets import load_breast_cancer

        tabular = DATA / "tabular"
        planted_rows("breast_cancer", np.asarray(load_breast_cancer(return_X_y=True)[0]))
        planted_rows("heart", rows_of(tabular / "heart_disease_cleveland" / "heart_cleveland.csv", "num"))
    if not chosen or "signals" in chosen:
        with np.load(DATA / "timeseries" / "ecg5000" / "ecg5000.npz") as stored:
            beats = np.concatenate([stored["train_x"], stored["test_x"]]).astype(np.float64)
            planted_signals("ecg5000 (one patient's beats)", beats)


def traps(chosen: set[str], folder: Path) -> None:
    """The audit of every data set with traps."""
    for name, make in trap_sets(folder):
        if chosen and name not in chosen:
            continue
        print(f"\n{'=' * 30} {name}")
        begin = time.perf_counter()
        try:
            dataset = make()
        except (InputError, ImportError, zipfile.BadZipFile) as error:
            print(f"skipped: {error}")
            continue
        found, development = twins.find(dataset), giveaways.read(dataset)
        print(in_words(examination(dataset, None, found, development)))
        print(f"  left out of training by --drop: {len(dropped(dataset, found))}; {time.perf_counter() - begin:.0f} s")
    if not chosen or "gbsg" in chosen:
        try:
            gbsg_against_gbsg2(folder)
        except ImportError as error:
            print(f"gbsg: skipped: {error}")


if __name__ == "__main__":
    main()
