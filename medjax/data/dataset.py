"""Data sets by name: prepare once, then open splits; the index lets training plan without reading the test set."""

import contextlib
import difflib
import errno
import hashlib
import io
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from medjax.data.case import INPUTS, TARGETS, attributes, check_case, check_label
from medjax.data.case import fingerprint as case_fingerprint
from medjax.data.origin import Origin
from medjax.data.source import Source, TfdsSource
from medjax.data.storage import cache_dir, locked, write_atomically
from medjax.errors import InputError

__all__ = ["Dataset", "Index", "cache_dir", "fingerprint", "names", "open_split", "prepare"]

_INFO = "dataset_info.json"  # TFDS's own
_FILE = "medjax_index.npz"
_FORMAT = 3
"""Raised when the content of the index changes, so that an index of an older version is made again."""


@dataclass(frozen=True, eq=False)
class Index:
    """What may be known about every case without opening a split: no input and no label.

    Rows stand split by split, in the order of the sources.

    Attributes:
        split: the official split, or "all" where there is none.
        id: the case.
        group: the patient.
        fingerprint: hash of the inputs; equal inputs have equal fingerprints.
        conflicts: ids of identical inputs that carry different targets, one tuple an input; found when prepared.
        targets: hash of all targets, so that a corrected label gives another data fingerprint.
        attributes: sex, site, ... of every case as text, by name, "" where unknown; what results are broken down by.
    """

    split: Shaped[np.ndarray, " cases"]
    id: Shaped[np.ndarray, " cases"]
    group: Shaped[np.ndarray, " cases"]
    fingerprint: Shaped[np.ndarray, " cases"]
    conflicts: tuple[tuple[str, ...], ...]
    targets: str
    attributes: dict[str, Shaped[np.ndarray, " cases"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.id)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A prepared data set: what it is, where it lies, and its index.

    Attributes:
        classes: names of the classes (or of the labels), in order; empty where the target is none of these.
        columns: names of the table's columns; empty where there is no table.
        codes: what the numbers of `code` mean, from 2 on; empty where there are no events.
        inputs: keys of the inputs.
        targets: keys of the targets.
        official: whether the splits were made by those who published the data.
        splits: number of cases in each split; the one split "all" where there are no official ones.
        skipped: cases of one's own data that could not be used: where they stand, and what is wrong.
        synthetic: whether no patient stands behind the cases.
        notes: what a person should know about how the data was read.
        directory: the folder of the prepared data, readable with `tfds.builder_from_directory`.
    """

    name: str
    version: str
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    official: bool
    splits: dict[str, int]
    index: Index
    directory: Path
    citation: str
    licence: str
    description: str
    skipped: tuple[tuple[str, str], ...] = ()
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


def names() -> list[str]:
    """List the data sets that `prepare` knows."""
    return sorted(_builders())


def prepare(name: str, data_dir: Path | str | None = None, origin: Origin | None = None) -> Dataset:
    """Prepare a data set unless it is, and describe it.

    It is built through TFDS into `cache_dir()/datasets`; every case is then read once, checked and fingerprinted, and
    the index is written beside the data, last and atomically: a folder without an index counts as unfinished. Several
    processes may prepare at once; the first does the work.

    Args:
        name: one of `names()`; with an origin any name, under which the data is kept.
        data_dir: folder of original files, searched before the one that MEDJAX_DATA names; None for that one only.
        origin: where the cases come from when they are one's own.

    Raises:
        InputError: an unknown name, a missing, wrong or truncated file, a case that breaks the contract, a full disk.
    """
    if data_dir is not None and not Path(data_dir).is_dir():
        raise InputError(f"The data folder {str(data_dir)!r} does not exist.")
    name = name.removeprefix("medmnist/")
    root = cache_dir() / "datasets"
    builder = _builder(name, origin)
    make_builder = partial(builder, data_dir=root)
    with _disk_named():
        directory = _known_directory(root, builder) if origin is None else _own_directory(root, name, origin)
        return _load(directory, name) or _make(directory, name, make_builder, data_dir)


def open_split(dataset: Dataset, split: str) -> Source:
    """Open one split as a source of cases; nothing is read before a case is asked for."""
    if split not in dataset.splits:
        raise InputError(f"{dataset.name} has no split {split!r}; it has {', '.join(dataset.splits)}.")
    return TfdsSource(dataset.directory, split, dataset.splits[split])


def fingerprint(dataset: Dataset) -> str:
    """Hash the whole data set, inputs and targets, with its splits and patients (SHA-256 as hex)."""
    index = dataset.index
    rows = [index.split.tolist(), index.id.tolist(), index.group.tolist(), index.fingerprint.tolist(), index.targets]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _builder(name: str, origin: Origin | None) -> Any:
    """Return what makes the TFDS builder of a data set."""
    known = _builders()
    if origin is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
            raise InputError(f"data.name {name!r}: use letters, digits, '-' and '_'; it names a folder.")
        if name in known:
            raise InputError(f"data.name {name!r} is the name of a known data set; give your own data another one.")
        from medjax.data.builders.own import Own

        return partial(Own, name=name, origin=origin)
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"There is no data set {name!r}.{hint} `medjax data list` shows all of them; data.origin reads your own."
        )
    return known[name]


def _known_directory(root: Path, builder: partial) -> Path:
    """Where TFDS keeps a known data set. Asking a builder would take a second, to load the library that has the data."""
    kind: Any = builder.func
    config = builder.keywords.get("config")
    version = next((str(one.version) for one in kind.BUILDER_CONFIGS if one.name == config and one.version), None)
    return Path(root, kind.name, *([config] if config else []), version or str(kind.VERSION))


def _own_directory(root: Path, name: str, origin: Origin) -> Path:
    """Where an origin's data lies; asking TFDS would look at all the files again."""
    from medjax.data.builders.own import directory

    return directory(root, name, origin)


def _builders() -> dict[str, Any]:
    """Map each name to a function that makes its TFDS builder; the import is here because it takes most of a second."""
    from medjax.data.builders import BUILDERS

    known: dict[str, Any] = {}
    for builder in BUILDERS:
        for config in builder.BUILDER_CONFIGS:
            known[config.name] = partial(builder, config=config.name)
        if not builder.BUILDER_CONFIGS:
            known[builder.name] = partial(builder)
    return known


def _make(directory: Path, name: str, make_builder: Callable[[], Any], data_dir: Path | str | None) -> Dataset:
    import tensorflow_datasets as tfds

    with locked(directory.with_name(f".{directory.name}.lock")):
        if made := _load(directory, name):  # another process was first
            return made
        for unfinished in directory.parent.glob("*incomplete*"):  # left by a process that was killed
            shutil.rmtree(unfinished, ignore_errors=True)
        if not (directory / _INFO).exists():
            shutil.rmtree(directory, ignore_errors=True)
        with _quiet():
            builder = make_builder()  # only now, so that it sees what another process has left
            builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=data_dir))
        info = builder.info
        official = bool((info.metadata or {}).get("official_splits", True))
        classes, columns = _classes(info), tuple((info.metadata or {}).get("columns", ()))
        about = {
            "format": _FORMAT,
            "name": name,
            "version": str(builder.version),
            "classes": classes,
            "columns": columns,
            "codes": tuple((info.metadata or {}).get("codes", ())),
            "inputs": tuple(key for key in INPUTS if key in info.features),
            "targets": tuple(key for key in TARGETS if key in info.features),
            "official": official,
            "splits": {
                split: info.splits[split].num_examples for split in (list(info.splits) if official else ["all"])
            },
            "citation": info.citation,
            "licence": info.redistribution_info.license if info.redistribution_info else "",
            "description": info.description,
            "skipped": [(problem.where, problem.what) for problem in getattr(builder, "skipped", ())],
            "synthetic": bool((info.metadata or {}).get("synthetic", False)),
            "notes": tuple((info.metadata or {}).get("notes", ())),
        }
        index = _read_index(directory, about)
        _store(directory / _FILE, index, about)
        return _dataset(directory, index, about)


def _classes(info: Any) -> tuple[str, ...]:
    if "label" in info.features:
        return tuple(info.features["label"].names)
    return tuple((info.metadata or {}).get("classes", ()))


def _read_index(directory: Path, about: dict[str, Any]) -> Index:
    """Read every case once: check it, fingerprint it, and look for identical inputs with different targets."""
    rows: list[tuple[str, str, str, str]] = []
    targets: list[str] = []
    told: list[dict[str, str]] = []
    for split, count in about["splits"].items():
        source = TfdsSource(directory, split, count)
        where = f"{about['name']} {split}"
        for position in range(count):
            case = source[position]
            check_case(case, where=where)
            if about["classes"]:
                check_label(case, len(about["classes"]), where)
            rows.append((split, case["id"], case["group"], case_fingerprint(case, about["inputs"])))
            targets.append(case_fingerprint(case, about["targets"]))
            told.append(attributes(case))
    split, name, group, inputs = (np.array(column) for column in zip(*rows, strict=True))
    unique, counts = np.unique(name, return_counts=True)
    if (counts > 1).any():
        raise InputError(f"{about['name']}: the case id {str(unique[counts > 1][0])!r} occurs more than once.")
    kept = {
        key: np.array([row.get(key, "") for row in told]) for key in dict.fromkeys(key for row in told for key in row)
    }
    return Index(split, name, group, inputs, _conflicts(name, inputs, targets), _digest(targets), kept)


def _conflicts(ids: np.ndarray, inputs: np.ndarray, targets: list[str]) -> tuple[tuple[str, ...], ...]:
    seen: dict[str, list[int]] = {}
    for row, digest in enumerate(inputs.tolist()):
        seen.setdefault(digest, []).append(row)
    return tuple(
        tuple(str(ids[row]) for row in same) for same in seen.values() if len({targets[row] for row in same}) > 1
    )


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("".join(parts).encode()).hexdigest()


def _store(path: Path, index: Index, about: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    more = {"conflicts": index.conflicts, "targets_digest": index.targets, "attributes": list(index.attributes)}
    told: dict[str, Any] = {f"attribute_{number}": values for number, values in enumerate(index.attributes.values())}
    np.savez_compressed(
        buffer,
        about=np.array(json.dumps(about | more)),
        split=index.split,
        id=index.id,
        group=index.group,
        fingerprint=index.fingerprint,
        **told,
    )
    write_atomically(path, buffer.getvalue())


def _load(directory: Path, name: str) -> Dataset | None:
    """Load the index of a prepared data set; None where there is none, or none of this version of it."""
    if not (directory / _INFO).exists():
        return None
    try:
        with (directory / _FILE).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            if about["format"] != _FORMAT or about["name"] != name:
                return None
            arrays = {key: stored[key] for key in ("split", "id", "group", "fingerprint")}
            told = {key: stored[f"attribute_{number}"] for number, key in enumerate(about["attributes"])}
    except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
        return None
    conflicts = tuple(tuple(ids) for ids in about["conflicts"])
    return _dataset(
        directory, Index(**arrays, conflicts=conflicts, targets=about["targets_digest"], attributes=told), about
    )


def _dataset(directory: Path, index: Index, about: dict[str, Any]) -> Dataset:
    return Dataset(
        name=about["name"],
        version=about["version"],
        classes=tuple(about["classes"]),
        columns=tuple(about["columns"]),
        inputs=tuple(about["inputs"]),
        targets=tuple(about["targets"]),
        official=about["official"],
        splits=dict(about["splits"]),
        index=index,
        directory=directory,
        citation=about["citation"],
        licence=about["licence"],
        description=about["description"],
        skipped=tuple((where, what) for where, what in about["skipped"]),
        synthetic=about["synthetic"],
        notes=tuple(about["notes"]),
        codes=tuple(about.get("codes", ())),
    )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what TFDS prints and logs while it builds; progress of a download goes to stderr and stays."""
    from absl import logging

    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(level)


@contextlib.contextmanager
def _disk_named() -> Iterator[None]:
    """Turn a disk that takes no more into a message; the record writer gives the cause only in its text."""
    causes = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)]
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = next((cause for cause in causes if cause in str(error)), None)
        if cause is None:
            raise
        advice = "mend that, or let MEDJAX_CACHE name another folder"
        raise InputError(f"{cache_dir()} cannot be written ({cause}); {advice}.") from error
