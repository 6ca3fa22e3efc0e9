"""Images from elsewhere, read as a run's own images were read: to predict them, or to judge the run on them.

A folder to judge on holds a folder for each class; one to predict holds images anywhere below it; a list is a CSV with
the columns of the run's own list. Nothing is left out in silence: what cannot be used ends with its name.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from medjax.data.case import Case
from medjax.data.origins.folder import Folder, columns
from medjax.data.readers import roster
from medjax.data.readers.images import ImageError, read_image
from medjax.data.readers.listing import Entry, list_images, list_tree
from medjax.data.readers.manifest import read_manifest, read_paths
from medjax.errors import InputError


def images_to_judge(origin: Folder, path: Path, classes: Sequence[str], channels: int) -> list[Case]:
    """Read images that carry the target.

    Args:
        origin: how the run's own images were read: target, columns, patients in the names.
        path: a folder with a folder for each class, or a CSV that lists the images (relative to where it lies).
        classes: the classes or labels that the run knows, in its order.
        channels: of the run's images.

    Raises:
        InputError: a folder where the target is none of its classes, an unknown class, an image that cannot be used; each
            by its name.
    """
    if path.is_dir():
        if origin.target != "label":
            raise InputError(f"{path}: folders give classes only; list the images in a CSV with {origin.target!r}.")
        entries = list_tree(path)[0]
    else:
        wanted = replace(columns(origin), attributes=())
        given = classes if origin.target == "label" else ()
        entries = read_manifest(path, path.name, wanted, (path.parent,), given)[0]
    if origin.group_pattern:
        entries = [roster.with_patient(entry, origin.group_pattern) for entry in entries]
    return [_case(origin, entry, path, tuple(classes), channels) for entry in roster.one_file_one_case(entries)]


def images_to_predict(origin: Folder, path: Path, channels: int) -> list[Case]:
    """Read images without a target: all below a folder, or those that a CSV lists; their paths are their ids."""
    if path.is_dir():
        found = list_images(path)
    else:
        listed = read_paths(path, columns(origin), (path.parent,))
        for name, file in listed:
            if file is None:
                raise InputError(
                    f"{path}: {name!r} is no file beside it that may be read; give paths relative to the list."
                )
        found = [(name, file) for name, file in listed if file is not None]
    if not found:
        raise InputError(f"{path}: there is no image in it.")
    return [{"id": name, "group": name, "image": _image(origin, file, name, path, channels)} for name, file in found]


def _case(origin: Folder, entry: Entry, source: Path, classes: tuple[str, ...], channels: int) -> Case:
    if entry.problem:
        raise InputError(f"{source}: {entry.where}: {entry.problem}.")
    if origin.target == "label" and entry.target not in classes:
        raise InputError(f"{source}: {entry.where}: the class {entry.target!r} is none of {', '.join(classes)}.")
    image = _image(origin, entry.path, entry.where, source, channels)
    target = {"label": lambda x: classes.index(x), "labels": lambda x: np.array(x, np.float32), "value": lambda x: x}
    return {
        "id": entry.id,
        "group": entry.group or entry.id,
        "image": image,
        origin.target: target[origin.target](entry.target),
    }


def _image(origin: Folder, file: Path, where: str, source: Path, channels: int) -> np.ndarray:
    try:
        return read_image(file, 3 if channels == 3 else 1, origin.dtype)
    except ImageError as error:
        raise InputError(f"{source}: {where}: {error.what}; this run's images have {channels} channel(s).") from error
