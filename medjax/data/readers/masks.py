"""Images and the masks that belong to them, as folders list them; each pair becomes an `Entry` whose target is its masks.

Three layouts are known: the Medical Segmentation Decathlon's `dataset.json`; two folders side by side, `images` and
`masks` (or `labels`, `segmentations`), with files of equal names, or, for several masks an image, a folder that is called
as the image; and a folder an image that holds the two (`<id>/images/<id>.png`, `<id>/masks/*.png`).
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from medjax.data.readers.listing import Entry, leads_out, walk
from medjax.data.readers.manifest import locate
from medjax.errors import InputError

DESCRIPTION = "dataset.json"
_IMAGES, _MASKS = ("images", "image"), ("masks", "mask", "labels", "label", "segmentations", "segmentation")
_SCANS = (".nii.gz", ".nii")


def is_scan(name: str | Path) -> bool:
    """Say whether a name is that of a NIfTI file."""
    return str(name).lower().endswith(_SCANS)


def stem(name: str) -> str:
    """A path without the ending of its file."""
    for ending in _SCANS:
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return str(PurePosixPath(name).with_suffix(""))


def list_decathlon(root: Path) -> tuple[list[Entry], tuple[str, ...], dict[str, str], tuple[str, ...]]:
    """List the labelled cases of a folder in the layout of the Medical Segmentation Decathlon.

    Source: Antonelli et al., Nature Communications 13:4128 (2022); `dataset.json` names `labels` and `training`.

    Returns:
        The cases in the order of the file; the names of the classes by number; what the file says of itself
        (`description`, `licence`, `reference`); notes.

    Raises:
        InputError: dataset.json is no JSON, or its labels are not 0, 1, 2, ... or its training cases cannot be read.
    """
    path = root / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: this is no readable JSON ({error}).") from error
    labels = content.get("labels") if isinstance(content, dict) else None
    training = content.get("training") if isinstance(content, dict) else None
    if not isinstance(labels, dict) or not isinstance(training, list) or not training:
        raise InputError(f"{path}: 'labels' (number to name) and 'training' (a list of image and label) are needed.")
    try:
        names = {int(number): str(name) for number, name in labels.items()}
    except ValueError:
        raise InputError(f'{path}: \'labels\' must lead from numbers to names, as in {{"0": "background"}}.') from None
    if sorted(names) != list(range(len(names))) or len(names) < 2:
        raise InputError(f"{path}: the labels {sorted(names)} are not 0, 1, 2, ... without a gap.")
    if len(set(names.values())) < len(names):
        raise InputError(f"{path}: two labels have one name; give each its own.")
    entries = []
    for number, pair in enumerate(training):
        where = f"{DESCRIPTION}, training case {number}"
        if not isinstance(pair, dict) or not all(isinstance(pair.get(key), str) for key in ("image", "label")):
            raise InputError(f"{path}: training case {number} is no pair of 'image' and 'label'.")
        image, mask = (str(PurePosixPath(pair[key])) for key in ("image", "label"))
        found, problem = locate(image, (root,))
        masks, wrong = locate(mask, (root,))
        name = PurePosixPath(stem(image)).name
        entries.append(Entry(where, image, found or path, name, target=(masks,), problem=problem or wrong))
    listed = {entry.name for entry in entries} | {str(PurePosixPath(pair["label"])) for pair in training}
    others = [file.name for file in walk(root) if is_scan(file.name) and file.name not in listed]
    about = {key: str(content[key]) for key in ("description", "licence", "reference") if content.get(key)}
    names_in_order = tuple(names[number] for number in range(len(names)))
    return entries, names_in_order, about, _note(others, "scans that dataset.json does not list for training")


def list_pairs(root: Path, endings: Sequence[str]) -> tuple[list[Entry], tuple[str, ...]]:
    """List images and masks that lie in two folders side by side, or in a folder an image.

    Args:
        root: the folder.
        endings: of the names of files that are looked at.

    Returns:
        The images sorted by path, one without a mask with its problem; notes.

    Raises:
        InputError: no folder of images with a folder of masks beside it.
    """
    images: dict[tuple[str, str], str] = {}
    masks: list[tuple[str, str, str]] = []
    for file in walk(root):
        if not file.name.lower().endswith(tuple(endings)):
            continue
        parts = file.name.split("/")
        # The last folder of such a name parts what both share (before it) from the name of the image (after it).
        place = next((k for k in range(len(parts) - 2, -1, -1) if parts[k].lower() in (*_IMAGES, *_MASKS)), None)
        if place is None:
            continue
        before, name = "/".join(parts[:place]), stem("/".join(parts[place + 1 :]))
        if parts[place].lower() in _MASKS:
            masks.append((before, name, file.name))
        elif (before, name) in images:
            raise InputError(
                f"{root}: {images[before, name]!r} and {file.name!r} differ in their ending only; keep one."
            )
        else:
            images[before, name] = file.name
    if not images or not masks:
        raise InputError(
            f"{root}: there is no folder 'images' with images and a folder 'masks' (or 'labels') with masks beside it; "
            "arrange them so, or list them in a CSV with the columns image and mask (manifest='cases.csv')."
        )
    befores = {before: (before, name) for before, name in images}
    alone = befores if len(befores) == len(images) and "" not in befores else {}  # a folder an image: all masks are its
    own: dict[tuple[str, str], list[str]] = {key: [] for key in images}
    lost = []
    for before, name, file in masks:
        keys = ((before, name), (before, str(PurePosixPath(name).parent)), alone.get(before, ("", "")))
        key = next((key for key in keys if key in images), None)
        (lost if key is None else own[key]).append(file)
    entries = [
        _entry(root, file, before if before in alone else name, own[before, name])
        for (before, name), file in images.items()
    ]
    return entries, _note(lost, "masks without an image")


def _entry(root: Path, image: str, name: str, masks: list[str]) -> Entry:
    paths = [Path(os.path.realpath(root / file)) for file in (image, *masks)]
    problem = "" if masks else "it has no mask"
    for file, path in zip((image, *masks), paths, strict=True):
        if not path.is_file() or leads_out(path, root):
            problem = f"{file!r} is a link that leads nowhere or out of the folder; put the file itself there"
    return Entry(image, image, paths[0], name, target=tuple(paths[1:]), problem=problem)


def _note(names: Sequence[Any], what: str) -> tuple[str, ...]:
    more = ", ..." if len(names) > 3 else ""
    return (f"{len(names)} {what}: {', '.join(names[:3])}{more}.",) if names else ()
