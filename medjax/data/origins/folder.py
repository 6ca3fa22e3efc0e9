"""One's own images: a folder for each class, or a manifest (CSV) that lists the images and what is known of them."""

import dataclasses
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from medjax.data.case import INPUTS, TARGETS, Case
from medjax.data.origin import Facts, Problem, Shape
from medjax.data.readers import roster
from medjax.data.readers.cells import MISSING, is_number, show
from medjax.data.readers.images import Header, ImageError, read_header, read_image
from medjax.data.readers.listing import Entry, list_tree, walk
from medjax.data.readers.manifest import Columns, read_manifest, read_paths
from medjax.data.readers.table import find_file
from medjax.errors import InputError

_RESERVED = ("id", "group", *INPUTS, *TARGETS, "soft_label", "spacing", "index", "weight")
_WHAT = {"label": "a class", "labels": "several labels", "value": "a value"}


@dataclass(frozen=True)
class Folder:
    """Images in a folder: PNG, JPEG, TIFF, BMP, GIF, WebP or PNM, one image a file, of equal or of different sizes.

    Without a manifest the folders are the classes, `path/<class>/.../image.png`; where all subfolders of `path` are
    called train, validation (val) or test, they are official splits and the classes lie in them. The id of a case is
    the path of its file. Files that are no images are noted and left out, hidden ones without a word. A class needs two
    images at least.

    With a manifest each row is a case, `path` (and the folder of the manifest) is where its images are looked for, and
    nothing outside is read. A patient in two splits ends everything.

    Attributes:
        path: the folder. A relative one that is not there is looked for in MEDJAX_DATA.
        manifest: a CSV with a header; a relative one is looked for in `path`, then from where the command is run.
        classes: names of the classes in the order of their numbers; empty: the folders or labels, sorted (as numbers if
            they are whole numbers).
        target: what is learnt: "label" (one class), "labels" (several findings) or "value" (a number); the last two
            need a manifest.
        channels: 1 for grey (a colour image is taken if its channels are equal), 3 for colour (grey is repeated); None:
            as the images are, if they all agree.
        dtype: "uint8" refuses images of more than eight bits a channel; "float32" keeps all values as they are stored.
        group_pattern: a regular expression with one group that finds the patient in the path relative to `path`, such as
            "(P[0-9]+)_"; empty: the patients are those of the manifest, or unknown, and then every image is a patient.
        path_column: column of the manifest with the path of the image.
        id_column: column with the id of the case; None: "id" if it is there, otherwise the path is the id.
        group_column: column with the patient; None: "group" if it is there; "" for none.
        split_column: column with the official split (train, validation or val, test); None: "split" if it is there; ""
            for none.
        label_column: column with the class, for target="label".
        label_columns: for target="labels" one column a finding: 1, 0, or empty if unknown.
        value_column: column with the number, for target="value".
        attributes: columns that are kept with each case, to break results down by; numbers if all their cells are.
        on_error: "stop" at the first image that cannot be used, or "skip" such images and list them; a class without
            two images is then left out.
    """

    path: str
    manifest: str | None = None
    classes: tuple[str, ...] = ()
    target: Literal["label", "labels", "value"] = "label"
    channels: Literal[1, 3] | None = None
    dtype: Literal["uint8", "float32"] = "uint8"
    group_pattern: str = ""
    path_column: str = "path"
    id_column: str | None = None
    group_column: str | None = None
    split_column: str | None = None
    label_column: str = "label"
    label_columns: tuple[str, ...] = ()
    value_column: str | None = None
    attributes: tuple[str, ...] = ()
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if self.channels not in (None, 1, 3) or self.dtype not in ("uint8", "float32"):
            raise InputError("channels is 1, 3 or None, and dtype 'uint8' or 'float32'")
        if self.target not in ("label", "labels", "value") or self.on_error not in ("stop", "skip"):
            raise InputError("target is 'label', 'labels' or 'value', and on_error 'stop' or 'skip'")
        if self.manifest is None and (self.target != "label" or self.attributes):
            raise InputError("the folders give classes only; other targets and attributes need a manifest")
        if (self.target == "labels") != bool(self.label_columns) or (self.target == "value") != bool(self.value_column):
            raise InputError("target='labels' goes with label_columns, target='value' with value_column, each alone")
        if self.classes and self.target != "label":
            raise InputError("classes are for target='label'; findings are called as their columns")
        if len(set(self.classes)) < len(self.classes) or len(self.classes) == 1:
            raise InputError(f"classes {self.classes}: give two different names at least")
        if taken := [name for name in self.attributes if name in _RESERVED]:
            raise InputError(f"attributes: {taken[0]!r} is a name with a meaning of its own; rename the column")
        if len(set(self.attributes)) < len(self.attributes) or len(set(self.label_columns)) < len(self.label_columns):
            raise InputError("attributes and label_columns: name each column once")
        try:
            groups = re.compile(self.group_pattern).groups
        except re.error as error:
            raise InputError(f"group_pattern {self.group_pattern!r} is no regular expression: {error}") from error
        if self.group_pattern and groups != 1:
            raise InputError(f"group_pattern {self.group_pattern!r}: write one group in parentheses, not {groups}")
        if self.group_pattern and self.group_column:
            raise InputError("give the patients by group_pattern or by group_column, not by both")

    def fingerprint(self) -> str:
        """Hash the settings, the manifest, and path, size and time of change of each file; not where the folder lies."""
        root = _root(self)
        settings = dataclasses.asdict(replace(self, path="", manifest=self.manifest and ""))
        digest = hashlib.sha256(json.dumps(settings).encode())
        if self.manifest is None:
            files = [(file.name, file.size, file.changed) for file in walk(root)]
        else:
            manifest = _manifest(self, root)
            paths = read_paths(manifest, columns(self), (root, manifest.parent))
            files = [
                (name, path.stat().st_size, path.stat().st_mtime_ns) if path else (name, 0, 0) for name, path in paths
            ]
            digest.update(hashlib.sha256(manifest.read_bytes()).digest())
        digest.update(json.dumps(files).encode())
        return digest.hexdigest()

    def facts(self) -> Facts:
        """List the images and look at their heads: sizes, channels, classes, splits.

        Raises:
            InputError: no folder, no images, a column that is missing, fewer than two classes, an empty class folder, a
                patient in two splits, grey beside colour though `channels` is None.
        """
        return _listing(self, _root(self), self.fingerprint()).facts

    def cases(self, split: str) -> Iterator[Case | Problem]:
        """Give the images of one split, sorted by path or in the order of the manifest."""
        listing = _listing(self, _root(self), self.fingerprint())
        for entry in listing.entries:
            if entry.split == split:
                yield _case(self, entry, listing.facts)


@dataclass(frozen=True)
class _Listing:
    entries: tuple[Entry, ...]
    facts: Facts


def _root(origin: Folder) -> Path:
    root = find_file(origin.path)
    if root.is_file():
        raise InputError(
            f"{root}: this is a file; give its folder as path"
            + (f", and manifest={root.name!r}." if root.suffix.lower() in (".csv", ".tsv", ".txt") else ".")
        )
    if not root.is_dir():
        raise InputError(f"{root}: there is no such folder.")
    return root.absolute()


def _manifest(origin: Folder, root: Path) -> Path:
    inside = root / Path(origin.manifest or "").expanduser()
    outside = find_file(origin.manifest or "")
    return outside if outside.is_file() and not inside.exists() else inside


def columns(origin: Folder) -> Columns:
    """Return which columns of a manifest say what."""
    targets = {"label": (origin.label_column,), "labels": origin.label_columns, "value": (origin.value_column or "",)}
    return Columns(
        path=origin.path_column,
        id=origin.id_column,
        group="" if origin.group_pattern else origin.group_column,
        split=origin.split_column,
        target=origin.target,
        targets=targets[origin.target],
        attributes=origin.attributes,
    )


@lru_cache(maxsize=2)
def _listing(origin: Folder, root: Path, fingerprint: str) -> _Listing:
    """List and check everything short of the pixels; kept, since the facts and the cases of each split need it."""
    folders: tuple[str, ...] = ()
    if origin.manifest is None:
        source = root
        entries, folders, notes = list_tree(root)
    else:
        source = _manifest(origin, root)
        places = (root, source.parent)
        entries, notes = read_manifest(source, source.name, columns(origin), places, origin.classes)
    if origin.group_pattern:
        entries = [roster.with_patient(entry, origin.group_pattern) for entry in entries]
    entries, found = roster.parted(roster.one_file_one_case(entries), source)
    roster.check_patients(entries, source)
    entries, headers = _with_headers(origin, entries)
    classes = origin.label_columns
    if origin.target == "label":
        known = roster.known_classes(entries, origin.classes, folders, origin.manifest is not None, source)
        entries, classes, more = roster.learnable(entries, known, origin.on_error == "skip", source)
        notes += more
    usable = [(entry, head) for entry, head in zip(entries, headers, strict=True) if head and not entry.problem]
    if not usable:
        first = entries[0]
        raise InputError(f"{source}: none of {len(entries)} images can be used. {first.where}: {first.problem}.")
    if origin.target != "label":
        varying = origin.label_columns or (origin.value_column or "",)
        roster.check_columns_vary([entry.target for entry, _ in usable], varying, source)
    counts = Counter(entry.split for entry in entries)
    facts = Facts(
        shapes=_shapes(origin, usable, source),
        counts={split: counts[split] for split in roster.ORDER if split in counts},
        classes=classes,
        description=f"{len(entries)} images with {_WHAT[origin.target]}, from {source.name}.",
        notes=(*notes, *found, *_notes(origin, usable)),
    )
    return _Listing(tuple(entries), facts)


def _with_headers(origin: Folder, entries: Sequence[Entry]) -> tuple[list[Entry], list[Header | None]]:
    """Look at the head of every file; one that cannot be used becomes a problem and has None."""
    result = list(entries)
    headers: list[Header | None] = [None] * len(entries)
    for row, entry in enumerate(entries):
        if not entry.problem:
            try:
                headers[row] = read_header(entry.path, origin.dtype)
            except ImageError as error:
                result[row] = replace(entry, problem=_about_file(origin, entry, error))
    return result, headers


def _shapes(origin: Folder, usable: Sequence[tuple[Entry, Header]], source: Path) -> dict[str, tuple[Shape, str]]:
    """Return shape and dtype of image, target and attributes."""
    shapes: dict[str, tuple[Shape, str]] = {"image": (_shape(origin, usable, source), origin.dtype)}
    if origin.target != "label":
        shapes[origin.target] = ((len(origin.label_columns),) if origin.target == "labels" else (), "float32")
    for name in origin.attributes:
        texts = [text for entry, _ in usable if (text := entry.attributes[name]).casefold() not in MISSING]
        shapes[name] = ((), "float32" if texts and all(map(_is_finite, texts)) else "str")
    return shapes


def _case(origin: Folder, entry: Entry, facts: Facts) -> Case | Problem:
    """Read one image."""
    if entry.problem:
        return Problem(entry.where, entry.problem)
    shape = facts.shapes["image"][0]
    try:
        image = read_image(entry.path, 3 if shape[-1] == 3 else 1, origin.dtype)
    except ImageError as error:
        return Problem(entry.where, _about_file(origin, entry, error))
    if any(want not in (None, got) for got, want in zip(image.shape, shape, strict=True)):
        return Problem(entry.where, f"decoded, it measures {image.shape}, where its head and the others say {shape}")
    case: Case = {"id": entry.id, "group": entry.group or entry.id, "image": image}
    if origin.target == "label":
        case["label"] = facts.classes.index(entry.target)
    else:
        case[origin.target] = np.array(entry.target, np.float32) if origin.target == "labels" else entry.target
    for name in origin.attributes:
        text = entry.attributes[name]
        missing = text.casefold() in MISSING
        if facts.shapes[name][1] == "float32":
            case[name] = math.nan if missing else float(text)
        else:
            case[name] = text
    return case


def _is_finite(text: str) -> bool:
    return is_number(text) and abs(float(text)) <= float(np.finfo(np.float32).max)


def _about_file(origin: Folder, entry: Entry, error: ImageError) -> str:
    return error.what if origin.manifest is None else f"{entry.name}: {error.what}"


def _shape(origin: Folder, usable: Sequence[tuple[Entry, Header]], source: Path) -> Shape:
    heights, widths = {head.height for _, head in usable}, {head.width for _, head in usable}
    channels = {head.channels: entry for entry, head in reversed(usable)}
    if origin.channels is None and len(channels) > 1:
        grey = sum(head.channels == 1 for _, head in usable)
        raise InputError(
            f"{source}: {grey} images are grey, such as {channels[1].name!r}, and {len(usable) - grey} are in colour, such as "
            f"{channels[3].name!r}; set channels=3 to repeat grey, or channels=1 if the colour ones are grey in truth."
        )
    one_size = len(heights) == len(widths) == 1
    size = (min(heights), min(widths)) if one_size else (None, None)
    return (*size, origin.channels or next(iter(channels)))


def _notes(origin: Folder, usable: Sequence[tuple[Entry, Header]]) -> tuple[str, ...]:
    """Say what differs between images, and which attributes only look like numbers."""
    heads = [head for _, head in usable]
    sizes, bits = Counter((head.height, head.width) for head in heads), Counter(head.bits for head in heads)
    notes = []
    if len(sizes) > 1:
        low, high = min(sizes, key=math.prod), max(sizes, key=math.prod)
        notes.append(f"{len(sizes)} sizes, from {low[0]} x {low[1]} to {high[0]} x {high[1]} (height x width).")
    if len(bits) > 1:
        depths = ", ".join(f"{count} of {depth}" for depth, count in sorted(bits.items()))
        notes.append(
            f"Images of different depth, all kept as stored: {depths} bits. Their values may not be comparable."
        )
    if turned := sum(head.turned for head in heads):
        notes.append(f"{turned} images were turned or mirrored as their files ask for.")
    for name in origin.attributes:
        known = [entry for entry, _ in usable if entry.attributes[name].casefold() not in MISSING]
        text = [entry for entry in known if not _is_finite(entry.attributes[name])]
        if text and len(text) < len(known):
            what = f"{text[0].where} says {show(text[0].attributes[name])}"
            notes.append(f"{name!r} is kept as text: {len(known) - len(text)} of its cells are numbers, but {what}.")
    return tuple(notes)
