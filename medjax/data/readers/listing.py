"""The files of a folder of images: one folder a class, with or without official splits above the classes."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from medjax.data.readers.images import FORMATS
from medjax.errors import InputError

SPLITS: dict[str, str] = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
"""Names of official splits, in lower case."""

_LITTER = ("thumbs.db", "desktop.ini", "__macosx", "__pycache__", "@eadir")
_ENDINGS = tuple(ending for endings in FORMATS.values() for ending in endings)
# Only signatures that no text begins with: a CSV may well begin with BM, as in BMI, the signature of a BMP.
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF8")


@dataclass(frozen=True)
class Entry:
    """One image that a folder or a manifest lists.

    Attributes:
        where: the file, or the line of the manifest, for messages.
        name: the path of the image relative to its folder, with `/` between folders.
        path: the file, all links followed.
        id: the case.
        group: the patient; empty where nothing is known.
        split: train, validation, test, or "all"; empty where what the manifest says is none of these.
        target: the class by name, the labels as numbers with NaN for unknown, or the value.
        attributes: other columns of the manifest, as cleaned text.
        problem: why the image cannot be used, without a full stop; empty if nothing is known against it.
    """

    where: str
    name: str
    path: Path
    id: str
    group: str = ""
    split: str = "all"
    target: Any = None
    attributes: dict[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True)
class File:
    """A file below a folder, its size in bytes and the time of its last change in ns (0 for a link that leads nowhere)."""

    name: str
    size: int
    changed: int
    link: bool


def walk(root: Path) -> list[File]:
    """List the files below a folder, sorted by path; hidden ones and what operating systems leave behind are passed over.

    A link to a folder is listed as a link and not followed.

    Raises:
        InputError: a folder that cannot be opened.
    """
    files, folders = [], [("", str(root))]
    while folders:
        prefix, folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append((f"{prefix}{entry.name}/", entry.path))
                    else:
                        files.append(_file(f"{prefix}{entry.name}", entry))
        except OSError as error:
            raise InputError(f"{folder}: this folder cannot be opened ({error.strerror}).") from error
    return sorted(files, key=lambda file: file.name)


def list_tree(root: Path) -> tuple[list[Entry], tuple[str, ...], tuple[str, ...]]:
    """List the images of a folder whose subfolders are the classes, or splits with the classes in them.

    Official splits are recognised by their names, `SPLITS`, when all subfolders have such names; one alone parts nothing.
    The id of an image is its path.

    Returns:
        The images sorted by path; the names of the class folders, sorted, also of those without an image; notes.

    Raises:
        InputError: no class folder, no image, or some subfolders named like splits among others that are not.
    """
    tops = _subfolders(root)
    parts = {top: SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
    if len(parts) > 1 and len(parts) < len(tops):
        odd = next(top for top in tops if top not in parts)
        raise InputError(
            f"{root}: {', '.join(map(repr, parts))} look like splits, but {odd!r} beside them does not; "
            "move it away, or list the images in a manifest."
        )
    nested = bool(tops) and len(parts) == len(tops)
    several = nested and len(set(parts.values())) > 1
    entries, others, renamed, real = [], [], [], Path(os.path.realpath(root))
    for file in walk(root):
        names = file.name.split("/")
        known = file.name.lower().endswith(_ENDINGS)
        folder = file.link and (root / file.name).is_dir()
        if not known and not folder and not _is_image(root / file.name):
            others.append(_shown(file.name))
            continue
        if not known and not folder:
            renamed.append(_shown(file.name))
        problem = _problem(root, file, len(names) - nested, folder)
        split = parts[names[0]] if several and len(names) > 1 else ("" if several else "all")
        label = names[int(nested)] if len(names) - nested > 1 else None
        shown = _shown(file.name)
        path = Path(os.path.realpath(root / file.name)) if file.link else real / file.name
        entries.append(Entry(shown, shown, path, shown, split=split, target=label, problem=problem))
    classes = sorted({name for top in tops for name in _subfolders(root / top)}) if nested else tops
    if not entries:
        endings = sorted({PurePosixPath(name).suffix or "none" for name in others})[:5]
        found = f"; the files there end in {', '.join(endings)}" if others else ""
        raise InputError(f"{root}: there is no image ({', '.join(FORMATS)}) in this folder{found}.")
    if not classes:
        links = next((f" {entry.where}: {entry.problem}." for entry in entries if "link" in entry.problem), "")
        raise InputError(
            f"{root}: the images lie in no class folder; make one folder a class, or list them in a manifest "
            f"(manifest='labels.csv', with the columns path and label).{links}"
        )
    notes = [_note(others, "left out, being no images"), _note(renamed, "read as images in spite of their names")]
    if nested and not several:
        notes.append(f"The folder {tops[0]!r} is the only split; the cases are not parted.")
    return entries, tuple(classes), tuple(note for note in notes if note)


def list_images(root: Path) -> list[tuple[str, Path]]:
    """List the images anywhere below a folder, sorted: the path relative to it, and the file.

    Raises:
        InputError: a link that leads nowhere or out of the folder.
    """
    found = []
    for file in walk(root):
        path = root / file.name
        if file.name.lower().endswith(_ENDINGS) or _is_image(path):
            if problem := _problem(root, file, 2, file.link and path.is_dir()):
                raise InputError(f"{root}: {_shown(file.name)}: {problem}.")
            found.append((_shown(file.name), path))
    return found


def leads_out(path: Path, root: Path) -> bool:
    """Say whether a file lies outside a folder once all links are followed."""
    return not os.path.realpath(path).startswith(os.path.join(os.path.realpath(root), ""))


def _file(name: str, entry: os.DirEntry[str]) -> File:
    try:
        status = entry.stat()
    except OSError:  # a link that leads nowhere, or in a circle
        return File(name, 0, 0, True)
    return File(name, status.st_size, status.st_mtime_ns, entry.is_symlink())


def _problem(root: Path, file: File, depth: int, folder: bool) -> str:
    """Say what is wrong with where an image lies, or nothing."""
    if file.link and not os.path.exists(root / file.name):
        return "a link that leads nowhere"
    if folder:
        return "links to folders are not followed; put the folder itself there"
    if file.link and leads_out(root / file.name, root):
        return "a link that leads out of the folder; put the file itself there"
    if not _encodable(file.name):
        return "its name is no text in UTF-8; give it another one"
    return "" if depth > 1 else "it lies in no class folder"


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return sorted(name for name in names if not name.startswith(".") and name.lower() not in _LITTER)


def _is_image(path: Path) -> bool:
    """Look at the first bytes of a file whose name does not end as that of an image."""
    if not os.path.isfile(path):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start.startswith(_SIGNATURES) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def _encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    """Return a name that can be printed; one that is no UTF-8 is escaped."""
    return name if _encodable(name) else name.encode("utf-8", "backslashreplace").decode()


def _note(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} file{'s' * (len(names) > 1)} {what}: {', '.join(names[:3])}{more}."
