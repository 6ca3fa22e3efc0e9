"""A manifest: a CSV with one row an image, which says whose it is and what is to be learnt from it."""

import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from medjax.data.readers.cells import MISSING, clean, is_number, level_reader, number, show, unify
from medjax.data.readers.listing import SPLITS, Entry, leads_out
from medjax.data.readers.table import check_columns, read_rows
from medjax.errors import InputError

_UNUSUAL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Columns:
    """Which columns of a manifest say what.

    Attributes:
        path: the image, relative to the folder of images or to that of the manifest.
        id: the case; None: "id" where there is such a column, otherwise the path is the id.
        group: the patient; None: "group" where there is such a column; "" for none.
        split: the official split; None: "split" where there is such a column; "" for none.
        target: which kind of target the columns `targets` hold: a class, several labels of 0 and 1, a number, or the mask
            (several with ; between them).
        targets: its columns, one unless there are several labels.
        attributes: columns that are kept with the case.
    """

    path: str
    id: str | None
    group: str | None
    split: str | None
    target: Literal["label", "labels", "value", "masks"]
    targets: tuple[str, ...]
    attributes: tuple[str, ...]


def read_paths(manifest: Path, columns: Columns, folders: Sequence[Path]) -> list[tuple[str, Path | None]]:
    """Return what the manifest calls each image, and its file; None where it has none that may be read.

    Raises:
        InputError: see `read_rows`, and where the column of the paths is missing.
    """
    header, rows = read_rows(manifest, ragged=True)
    check_columns(manifest, [columns.path], header)
    place = header.index(columns.path)
    names = [row[place].strip() if place < len(row) else "" for _, row in rows]
    return [(name, locate(name, folders)[0]) for name in names]


def read_manifest(
    manifest: Path, shown: str, columns: Columns, folders: Sequence[Path], classes: Sequence[str]
) -> tuple[list[Entry], tuple[str, ...]]:
    """Read a manifest row by row; what is wrong with a row stands in its entry.

    Args:
        manifest: the file.
        shown: its name in messages.
        columns: the columns that are read.
        folders: where the images are looked for; a path that leads out of them is a problem of its row.
        classes: names of the classes; empty for those that the column names, spellings that differ by case only united.

    Returns:
        One entry a row, in the order of the rows; notes.

    Raises:
        InputError: the file is no table, or a column is missing.
    """
    header, rows = read_rows(manifest, ragged=True)
    optional = {"id": columns.id, "group": columns.group, "split": columns.split}
    used = {key: (key if key in header else "") if name is None else name for key, name in optional.items()}
    needed = [columns.path, *columns.targets, *columns.attributes, *(name for name in used.values() if name)]
    check_columns(manifest, list(dict.fromkeys(needed)), header)
    split_column = used["split"]
    if split_column and all(len(row) <= (at := header.index(split_column)) or not row[at].strip() for _, row in rows):
        raise InputError(f"{manifest}, column {split_column!r}: it is empty; fill it, or set split_column=''.")
    whole = [dict(zip(header, row, strict=True)) if len(row) == len(header) else None for _, row in rows]
    read, notes = _target_reader(columns, [cells for cells in whole if cells], classes, folders)
    entries = []
    for (line, row), cells in zip(rows, whole, strict=True):
        where = f"{shown}, line {line}"
        if cells is None:
            what = f"{len(row)} cells where the header has {len(header)}"
            entries.append(Entry(where, where, manifest, where, split="" if split_column else "all", problem=what))
            continue
        name = cells[columns.path].strip()
        path, problem = locate(name, folders)
        target = None
        if not problem:
            try:
                target = read(cells)
            except ValueError as error:
                problem = str(error)
        split = SPLITS.get(clean(cells[split_column]).lower(), "") if split_column else "all"
        problem = problem or _bookkeeping(used, cells, split)
        entries.append(
            Entry(
                where=where,
                name=name,
                path=path or manifest,
                id=clean(cells[used["id"]]) if used["id"] else str(PurePosixPath(name)),
                group=clean(cells[used["group"]]) if used["group"] else "",
                split=split,
                target=target,
                attributes={key: clean(cells[key]) for key in columns.attributes},
                problem=problem,
            )
        )
    return entries, notes


def _bookkeeping(used: dict[str, str], cells: dict[str, str], split: str) -> str:
    """Say what is wrong with the id, the patient or the split, or nothing; the patient is not named."""
    for key in ("id", "group"):
        if used[key] and clean(cells[used[key]]).casefold() in MISSING:
            what = "the case" if key == "id" else "the patient"
            return f"column {used[key]!r}, which names {what}, is empty"
    if not split:
        known = "train, validation (val, valid, dev) or test, or leave the column out by split_column=''"
        return f"column {used['split']!r}: {show(cells[used['split']])} is no split; write {known}"
    return ""


def locate(name: str, folders: Sequence[Path]) -> tuple[Path | None, str]:
    """Find the file that a row names in one of the folders, or say why there is none that may be read."""
    if not name:
        return None, "the path is empty"
    if _UNUSUAL.search(name):
        return None, f"the path {show(name)} holds a control character"
    pure = PurePosixPath(name)
    if pure.is_absolute() or name.startswith("~") or re.match(r"[A-Za-z]:[\\/]", name):
        return None, f"the path {show(name)} is absolute; write it relative to the folder of the images"
    if ".." in pure.parts or ".." in name.split("\\"):
        return None, f"the path {show(name)} leaves the folder ('..'); only files in it are read"
    found = {os.path.realpath(folder / pure): folder for folder in reversed(folders) if os.path.isfile(folder / pure)}
    if not found:
        if os.path.isdir(folders[0] / pure):
            return None, f"{show(name)} is a folder and no image"
        hint = "; write / between folders" if "\\" in name else ""
        return None, f"there is no file {show(name)} in the folder of the images{hint}"
    if len(found) > 1:
        return None, f"{show(name)} is found both in the folder of the images and in that of the manifest"
    ((real, folder),) = found.items()
    if leads_out(Path(real), folder):
        return None, f"{show(name)} is a link that leads out of the folder; put the file itself there"
    return Path(real), ""


def _target_reader(
    columns: Columns, rows: Sequence[dict[str, str]], classes: Sequence[str], folders: Sequence[Path]
) -> tuple[Callable[[dict[str, str]], Any], tuple[str, ...]]:
    """Return what reads the target of a row (ValueError with what is wrong with it), and notes."""
    if columns.target == "labels":
        return lambda cells: _labels(columns.targets, cells), ()
    column = columns.targets[0]
    if columns.target == "value":
        return lambda cells: _value(column, cells), ()
    if columns.target == "masks":
        return lambda cells: _masks(column, cells, folders), ()
    texts = [clean(cells[column]) for cells in rows]
    if classes:
        find, notes = level_reader(classes, "classes"), ()
    else:
        present = [text for text in texts if text.casefold() not in MISSING]
        known = {text: _whole(text) for text in present} if all(map(_whole, present)) else unify(present)
        changed = sorted({f"{show(old)} as {show(new)}" for old, new in known.items() if old != new})
        notes = (f"Column {column!r}: {', '.join(changed[:5])}.",) if changed else ()
        find = known.__getitem__

    def read(cells: dict[str, str]) -> str:
        text = clean(cells[column])
        if text.casefold() in MISSING and text not in classes:
            raise ValueError(f"column {column!r}: the label is missing")
        try:
            return find(text)
        except ValueError as error:
            raise ValueError(f"column {column!r}: {error}") from error

    return read, notes


def _whole(text: str) -> str:
    """Return a whole number as it is written without a fraction (1 for 1.0), and nothing for any other text."""
    if not is_number(text) or not float(text).is_integer():
        return ""
    return str(int(float(text)))


def _labels(names: Sequence[str], cells: dict[str, str]) -> tuple[float, ...]:
    values = []
    for name in names:
        text = clean(cells[name])
        value = math.nan if text.casefold() in MISSING else (float(text) if is_number(text) else -1.0)
        if value not in (0, 1) and not math.isnan(value):
            raise ValueError(f"column {name!r}: {show(text)} where 0 or 1 is expected; leave it empty if unknown")
        values.append(value)
    if all(map(math.isnan, values)):
        raise ValueError("none of its labels is known")
    return tuple(values)


def _value(name: str, cells: dict[str, str]) -> float:
    text = clean(cells[name])
    if text.casefold() in MISSING:
        raise ValueError(f"column {name!r}: the value is missing")
    try:
        return number(text)
    except ValueError as error:
        raise ValueError(f"column {name!r}: {error}") from error


def _masks(name: str, cells: dict[str, str], folders: Sequence[Path]) -> tuple[Path, ...]:
    found = [locate(part.strip(), folders) for part in cells[name].split(";")]
    for path, problem in found:
        if path is None:
            raise ValueError(f"column {name!r}: {problem}")
    return tuple(path for path, _ in found if path is not None)
