"""Archives of images (tar, zip) unpacked once into the cache; nothing in an archive decides where a file is written."""

import hashlib
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, Any

from medjax.data.storage import cache_dir, locked
from medjax.errors import InputError

ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".zip")
_MOST_FILES = 1_000_000
_MOST_BYTES = 200 * 2**30
_CHUNK = 2**20


def is_archive(path: Path) -> bool:
    """Say whether a path names a tar or zip archive."""
    return path.is_file() and path.name.lower().endswith(ENDINGS)


def digest(path: Path) -> str:
    """The SHA-256 of a file as hex; one that did not change since is not read again."""
    status = path.stat()
    return _digest(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=8)
def _digest(path: Path, size: int, changed: int) -> str:
    del size, changed  # they tell the cache whether it may answer
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(path: Path) -> Path:
    """Return the folder that holds the files of an archive, unpacked into `cache_dir()/archives` unless they are there.

    Raises:
        InputError: a damaged archive; an entry that leads out of its folder (absolute, `..`), is a link, a device or there
            twice; more than a million files or 200 GiB.
    """
    folder = cache_dir() / "archives" / digest(path)
    with locked(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return folder
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
        part.mkdir(parents=True)
        try:
            _write_all(path, part)
            part.replace(folder)
        except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            told = (
                str(error) if isinstance(error, RuntimeError) else getattr(error, "strerror", None)
            )  # a password, a disk
            reason = told or "it is damaged or cut short"
            raise InputError(f"{path}: this archive cannot be unpacked ({reason}).") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return folder


def _write_all(path: Path, folder: Path) -> None:
    size = 0
    for number, (name, file) in enumerate(_files(path)):
        target = folder / _inside(path, name)
        if number >= _MOST_FILES:
            raise InputError(f"{path}: this archive holds more than {_MOST_FILES:,} files; unpack it yourself.")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as out:
                while chunk := file.read(_CHUNK):
                    size += len(chunk)
                    if size > _MOST_BYTES:
                        raise InputError(f"{path}: this archive unpacks to more than 200 GiB; unpack it yourself.")
                    out.write(chunk)
        except FileExistsError:
            raise InputError(f"{path}: the entry {name!r} is there twice; make the archive again.") from None


def _files(path: Path) -> Iterator[tuple[str, IO[bytes] | Any]]:
    """The name and the open content of every file, in the order of the archive."""
    if path.name.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise InputError(f"{path}: the entry {info.filename!r} is no plain file (a link?); leave it out.")
                if not info.is_dir():
                    with archive.open(info) as file:
                        yield info.filename, file
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isdir():
                continue
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise InputError(f"{path}: the entry {member.name!r} is no plain file (a link?); leave it out.")
            yield member.name, file


def _inside(path: Path, name: str) -> PurePosixPath:
    """The path of an entry below the folder; refuses one that would lie outside."""
    pure = PurePosixPath(name)
    drive = re.match(r"[A-Za-z]:", name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or drive or "\0" in name or not pure.parts:
        raise InputError(f"{path}: the entry {name!r} would be written outside of its folder; nothing was kept.")
    return pure


__all__ = ["digest", "is_archive", "unpack"]
