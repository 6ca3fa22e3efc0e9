"""One's own images or scans with masks: NIfTI volumes, or PNG and TIFF images, to be segmented."""

import dataclasses
import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from medjax.data.case import INPUTS, TARGETS, Case
from medjax.data.origin import Facts, Problem, Shape
from medjax.data.readers import masks, nifti, roster
from medjax.data.readers.archive import digest, is_archive, unpack
from medjax.data.readers.cells import MISSING, is_number, show
from medjax.data.readers.images import FORMATS, ImageError, read_header, read_image
from medjax.data.readers.listing import Entry, walk
from medjax.data.readers.manifest import Columns, read_manifest
from medjax.data.readers.table import find_file, read_first
from medjax.errors import InputError

_ENDINGS = (".nii.gz", ".nii", *(ending for endings in FORMATS.values() for ending in endings))
_OBJECTS = ("background", "object")
_AGREE = 0.01  # share by which the spacing in a manifest may differ from that of the scan
_FORMAT = 1


@dataclass(frozen=True)
class Masks:
    """Images or scans with masks; every case has a `segmentation`, the number of a class for each pixel or voxel.

    NIfTI scans become `volume` (D, H, W, C), turned into one orientation (`medjax.data.readers.nifti`) and never
    resampled; other images become `image` (H, W, C). Their sizes may differ. `spacing` is in mm, in the order of the axes.

    Without a manifest the layout is found out: `dataset.json` is that of the Medical Segmentation Decathlon, else two
    folders `images` and `masks`, or a folder an image that holds the two (`medjax.data.readers.masks`). With a manifest
    each row is a case. A tar or zip archive is unpacked into the cache first.

    Attributes:
        path: the folder, or the archive. A relative one that is not there is looked for in MEDJAX_DATA.
        manifest: a CSV with a header, in the folder or, relative, from where the command is run.
        classes: names of the classes by the numbers in the masks, the background (0) first; (): those of dataset.json, or
            background and object where `values` is "instances".
        values: "classes": a mask holds the number of a class; "instances": it holds the number of an object, or there are
            several masks, one an object, and whatever is not 0 is the one class.
        channels: of an image, 1 for grey and 3 for colour; of a scan, values a voxel; None: as they are, if all agree.
        dtype: of images, "uint8" refuses more than eight bits a channel, "float32" keeps what is stored; scans are float32.
        spacing: mm a pixel (height, width) of images whose manifest tells none; None: unknown, and 1 stands for it.
        group_pattern: a regular expression with one group that finds the patient in the path of the image.
        image_column: column of the manifest with the path of the image.
        mask_column: column with the path of the mask; several with ; between them.
        id_column: column with the id; None: "id" if it is there, otherwise the path is the id.
        group_column: column with the patient; None: "group" if it is there; "" for none.
        split_column: column with the official split; None: "split" if it is there; "" for none.
        spacing_column: column with mm a pixel, one number or one an axis; None: "spacing" if it is there; "" for none.
        attributes: columns that are kept with each case, to break results down by; numbers if all their cells are.
        on_error: "stop" at the first case that cannot be used, or "skip" such cases and list them.
    """

    path: str
    manifest: str | None = None
    classes: tuple[str, ...] = ()
    values: Literal["classes", "instances"] = "classes"
    channels: int | None = None
    dtype: Literal["uint8", "float32"] = "uint8"
    spacing: tuple[float, ...] | None = None
    group_pattern: str = ""
    image_column: str = "image"
    mask_column: str = "mask"
    id_column: str | None = None
    group_column: str | None = None
    split_column: str | None = None
    spacing_column: str | None = None
    attributes: tuple[str, ...] = ()
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        """Refuse settings that contradict each other, before any file is opened."""
        if self.values not in ("classes", "instances") or self.on_error not in ("stop", "skip"):
            raise InputError("values is 'classes' or 'instances', and on_error 'stop' or 'skip'")
        if self.dtype not in ("uint8", "float32") or (self.channels is not None and self.channels < 1):
            raise InputError("dtype is 'uint8' or 'float32', and channels a number from 1, or None")
        if self.classes and len(set(self.classes)) < max(2, len(self.classes)):
            raise InputError(f"classes {self.classes}: give different names, the background first")
        if self.values == "instances" and len(self.classes) not in (0, 2):
            raise InputError("values='instances' has two classes, the background and the objects")
        if self.spacing is not None and not (
            len(self.spacing) == 2 and all(0 < one < math.inf for one in self.spacing)
        ):
            raise InputError(f"spacing {self.spacing}: give two positive numbers, mm a pixel (height, width)")
        if self.attributes and self.manifest is None:
            raise InputError("attributes are columns of a manifest; name it")
        taken = ("id", "group", *INPUTS, *TARGETS, "spacing", "index", "weight")
        if wrong := [name for name in self.attributes if name in taken]:
            raise InputError(f"attributes: {wrong[0]!r} is a name with a meaning of its own; rename the column")
        try:
            groups = re.compile(self.group_pattern).groups
        except re.error as error:
            raise InputError(f"group_pattern {self.group_pattern!r} is no regular expression: {error}") from error
        if self.group_pattern and (groups != 1 or self.group_column):
            raise InputError("group_pattern: write one group in parentheses, and no group_column beside it")

    def fingerprint(self) -> str:
        """Hash the settings and path, size and time of change of each file, or the content of an archive."""
        place = _place(self)
        settings = dataclasses.asdict(replace(self, path="", manifest=self.manifest and ""))
        found = hashlib.sha256(json.dumps([_FORMAT, settings]).encode())
        if place.is_file():
            found.update(digest(place).encode())
        else:
            found.update(json.dumps([(file.name, file.size, file.changed) for file in walk(place)]).encode())
        if self.manifest is not None:
            found.update(_manifest(self, _root(self)).read_bytes())
        return found.hexdigest()

    def facts(self) -> Facts:
        """List the pairs and look at the heads of the images: sizes, channels, classes, splits.

        Raises:
            InputError: no folder or a damaged archive, no pairs, a column that is missing, unknown classes, a patient in
                two splits, scans beside images.
        """
        return _listing(self, _root(self), self.fingerprint()).facts

    def told_classes(self) -> tuple[str, ...]:
        """Read the names of the classes by number where a dataset.json tells them; else none."""
        root = _root(self)
        told = self.manifest is None and (root / masks.DESCRIPTION).is_file()
        return masks.list_decathlon(root)[1] if told else ()

    def cases(self, split: str) -> Iterator[Case | Problem]:
        """Give the cases of one split in the order of dataset.json or of the manifest, or sorted by path."""
        listing = _listing(self, _root(self), self.fingerprint())
        for entry in listing.entries:
            if entry.split == split:
                yield _case(self, entry, listing.facts)


@dataclass(frozen=True)
class _Listing:
    entries: tuple[Entry, ...]
    facts: Facts


def _place(origin: Masks) -> Path:
    place = find_file(origin.path)
    if place.is_dir() or is_archive(place):
        return place.absolute()
    raise InputError(f"{place}: there is no such folder or archive (.tar, .tar.gz, .zip).")


def _root(origin: Masks) -> Path:
    place = _place(origin)
    return unpack(place) if place.is_file() else place


def _manifest(origin: Masks, root: Path) -> Path:
    inside, outside = root / Path(origin.manifest or "").expanduser(), find_file(origin.manifest or "")
    return outside if outside.is_file() and not inside.exists() else inside


@lru_cache(maxsize=2)
def _listing(origin: Masks, root: Path, fingerprint: str) -> _Listing:
    """List and check everything short of the pixels; kept, since the facts and the cases of each split need it."""
    about: dict[str, str] = {}
    classes: tuple[str, ...] = ()
    source = _place(origin)  # what messages name, also where the files lie in the cache
    if origin.manifest is not None:
        source = _manifest(origin, root)
        entries, notes = read_manifest(source, source.name, _columns(origin, source), (root, source.parent), ())
    elif (root / masks.DESCRIPTION).is_file():
        source = root / masks.DESCRIPTION
        entries, classes, about, notes = masks.list_decathlon(root)
    else:
        entries, notes = masks.list_pairs(root, _ENDINGS)
    if origin.group_pattern:
        entries = [roster.with_patient(entry, origin.group_pattern) for entry in entries]
    entries, found = roster.parted(roster.one_file_one_case(entries), source)
    roster.check_patients(entries, source)
    heads = [_head(origin, entry) for entry in entries]
    entries = [
        replace(entry, problem=head) if isinstance(head, str) else entry
        for entry, head in zip(entries, heads, strict=True)
    ]
    usable = {entry: head for entry, head in zip(map(id, entries), heads, strict=True) if not isinstance(head, str)}
    if not usable:
        raise InputError(
            f"{source}: none of {len(entries)} cases can be used. {entries[0].where}: {entries[0].problem}."
        )
    kinds = Counter(len(head) for head in usable.values())
    if len(kinds) > 1:
        raise InputError(f"{source}: {kinds[4]} scans stand beside {kinds[3]} images; make them two data sets.")
    classes = origin.classes or classes or (_OBJECTS if origin.values == "instances" else ())
    if not classes:
        advice = "classes=('background', ...) by their numbers, or values='instances' if whatever is not 0 is one class"
        raise InputError(f"{source}: the names of the classes are not known; give {advice}.")
    counts = Counter(entry.split for entry in entries)
    chosen = [entry for entry in entries if id(entry) in usable]
    facts = Facts(
        shapes=_shapes(origin, chosen, list(usable.values()), source),
        counts={split: counts[split] for split in roster.ORDER if split in counts},
        classes=classes,
        segmented=True,
        description=about.get("description") or f"{len(entries)} cases with masks, from {source.name}.",
        licence=about.get("licence", ""),
        citation=about.get("reference", ""),
        notes=(*notes, *found, *_notes(origin, chosen, list(usable.values()))),
    )
    return _Listing(tuple(entries), facts)


def _columns(origin: Masks, manifest: Path) -> Columns:
    spacing = origin.spacing_column
    if spacing is None:
        spacing = "spacing" if "spacing" in read_first(manifest) else ""
    return Columns(
        path=origin.image_column,
        id=origin.id_column,
        group="" if origin.group_pattern else origin.group_column,
        split=origin.split_column,
        target="masks",
        targets=(origin.mask_column,),
        attributes=(*origin.attributes, *([spacing] if spacing else [])),
    )


def _head(origin: Masks, entry: Entry) -> tuple[int, ...] | str:
    """The shape of the image or volume, or why the case cannot be used."""
    if entry.problem:
        return entry.problem
    if origin.values == "classes" and len(entry.target) > 1:
        return f"it has {len(entry.target)} masks; set values='instances' if each shows an object of one class"
    try:
        if masks.is_scan(entry.path):
            head = _read(nifti.read_head, entry.path)
            return (*head.grid.turned, head.channels)
        picture = _read(read_header, entry.path, origin.dtype)
        for path in entry.target:
            if (kind := _read(read_header, path).format) in ("JPEG", "WEBP"):
                return f"{path.name}: {kind} changes the values of a mask; save masks as PNG or TIFF"
    except ValueError as error:
        return str(error)
    return picture.height, picture.width, picture.channels


def _read(read: Callable[..., Any], path: Path, *settings: Any) -> Any:
    """Read a file; ValueError names it and says what is wrong."""
    try:
        return read(path, *settings)
    except (ImageError, nifti.ScanError) as error:
        raise ValueError(f"{path.name}: {error.what}") from error


def _shapes(
    origin: Masks, entries: Sequence[Entry], heads: Sequence[tuple[int, ...]], source: Path
) -> dict[str, tuple[Shape, str]]:
    """Shape and dtype of the input, of the segmentation, of the spacing and of attributes; None where sizes differ."""
    channels = {head[-1]: entry for entry, head in zip(entries, heads, strict=True)}
    if origin.channels is None and len(channels) > 1:
        told = ", ".join(
            f"{count} in {entry.name!r}" for count, entry in sorted(channels.items(), key=lambda one: one[0])
        )
        raise InputError(f"{source}: the number of channels differs ({told}); set channels (3 repeats grey).")
    size: Shape = heads[0][:-1] if len({head[:-1] for head in heads}) == 1 else (None,) * (len(heads[0]) - 1)
    key, dtype = ("volume", "float32") if len(size) == 3 else ("image", origin.dtype)
    shapes: dict[str, tuple[Shape, str]] = {
        key: ((*size, origin.channels or next(iter(channels))), dtype),
        "segmentation": (size, "uint8"),
        "spacing": ((len(size),), "float32"),
    }
    for name in origin.attributes:
        texts = [text for entry in entries if (text := entry.attributes[name]).casefold() not in MISSING]
        shapes[name] = ((), "float32" if texts and all(map(is_number, texts)) else "str")
    return shapes


def _notes(origin: Masks, entries: Sequence[Entry], heads: Sequence[tuple[int, ...]]) -> tuple[str, ...]:
    notes = []
    sizes = {head[:-1] for head in heads}
    if len(sizes) > 1:
        low, high = (" x ".join(map(str, end(sizes, key=math.prod))) for end in (min, max))
        notes.append(f"{len(sizes)} sizes, from {low} to {high}.")
    unknown = sum(not _told_spacing(origin, entry) for entry in entries)
    if len(heads[0]) == 3 and origin.spacing is None and unknown:
        notes.append(f"The size of a pixel is unknown for {unknown} images: distances and areas are in pixels.")
    return tuple(notes)


def _told_spacing(origin: Masks, entry: Entry) -> str:
    """What the manifest says of the spacing of a case; empty where it says nothing."""
    name = "spacing" if origin.spacing_column is None else origin.spacing_column
    text = entry.attributes.get(name, "")
    return "" if text.casefold() in MISSING else text


def _spacing(text: str, axes: int) -> tuple[float, ...]:
    """Read one number or one an axis; ValueError says what is wrong."""
    parts = [part for part in re.split(r"[\s;x]+", text) if part]
    if len(parts) not in (1, axes) or not all(is_number(part) and 0 < float(part) < math.inf for part in parts):
        raise ValueError(f"the spacing {show(text)} is not one positive number in mm, nor {axes} of them")
    return tuple(map(float, parts)) if len(parts) == axes else (float(parts[0]),) * axes


def _case(origin: Masks, entry: Entry, facts: Facts) -> Case | Problem:
    """Read one image or scan and its masks."""
    if entry.problem:
        return Problem(entry.where, entry.problem)
    key = "volume" if "volume" in facts.shapes else "image"
    shape = facts.shapes[key][0]
    try:
        case = (_volume if key == "volume" else _image)(origin, entry, shape[-1] or 1)
        case["segmentation"] = _segmentation(origin, entry, case["segmentation"], len(facts.classes))
    except ValueError as error:
        return Problem(entry.where, *error.args)  # what is wrong, and perhaps which settings would help
    if any(want not in (None, got) for got, want in zip(case[key].shape, shape, strict=True)):
        return Problem(entry.where, f"it measures {case[key].shape}, where its head and the others say {shape}")
    for name in origin.attributes:
        text = entry.attributes[name]
        number = facts.shapes[name][1] == "float32"
        case[name] = (math.nan if text.casefold() in MISSING else float(text)) if number else text
    return {"id": entry.id, "group": entry.group or entry.id, **case}


def _volume(origin: Masks, entry: Entry, channels: int) -> Case:
    volume, grid = _read(nifti.read_scan, entry.path, channels)
    if text := _told_spacing(origin, entry):
        own = " x ".join(f"{one:g}" for one in grid.spacing)
        if not np.allclose(sorted(_spacing(text, 3)), sorted(grid.spacing), rtol=_AGREE):
            raise ValueError(f"the manifest tells a spacing of {text} mm, but the scan {own} mm; mend the wrong one")
    labels = (_read(nifti.read_labels, path, grid)[0] for path in entry.target)
    return {"volume": volume, "segmentation": labels, "spacing": np.array(grid.spacing, np.float32)}


def _image(origin: Masks, entry: Entry, channels: int) -> Case:
    image = _read(read_image, entry.path, 3 if channels == 3 else 1, origin.dtype)
    text = _told_spacing(origin, entry)
    spacing = _spacing(text, 2) if text else origin.spacing or (1.0, 1.0)

    def masks_of() -> Iterator[np.ndarray]:
        for path in entry.target:
            mask = _read(read_image, path, 1)[..., 0]
            if mask.shape != image.shape[:2]:
                raise ValueError(f"mask {path.name}: it measures {mask.shape}, but its image {image.shape[:2]}")
            yield mask

    return {"image": image, "segmentation": masks_of(), "spacing": np.array(spacing, np.float32)}


def _segmentation(origin: Masks, entry: Entry, labels: Iterator[np.ndarray], classes: int) -> np.ndarray:
    """One mask of class numbers from the masks of a case, of which there may be hundreds: read one after the other."""
    first = next(labels)
    if origin.values == "instances":
        either = first != 0
        for mask in labels:
            either |= mask != 0
        return either.astype(np.uint8)
    if (wrong := (first < 0) | (first >= classes) | (first != np.round(first))).any():
        advice = "name all classes, or set values='instances' if whatever is not 0 is one class"
        raise ValueError(
            f"mask {entry.target[0].name}: the value {first[wrong][0]:g} is none of {classes} classes", advice
        )
    return first.astype(np.uint8)
