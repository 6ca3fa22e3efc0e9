"""MedMNIST: 18 sets of small medical images and volumes with official splits, in up to four sizes.

Yang et al., MedMNIST v2, Scientific Data 10:41 (2023), doi:10.1038/s41597-022-01721-8. The facts about each set
(labels, counts, checksums) stand in medmnist.json beside this file. Patient numbers were not published: every case
counts as a patient of its own.
"""

import contextlib
import hashlib
import http.client
import io
import json
import os
import secrets
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from medjax.data.case import Case
from medjax.errors import InputError

_FACTS: dict[str, dict[str, Any]] = json.loads(files("medjax.data.builders").joinpath("medmnist.json").read_text())
_SHARD_BYTES = 2**28
"""TFDS holds one shard in memory while it writes it."""


@dataclass(kw_only=True)
class MedmnistConfig(tfds.core.BuilderConfig):
    """One original file: a set in one size. The name is the file's: `pneumoniamnist`, `pneumoniamnist_64`."""

    name: str
    flag: str
    size: int

    @property
    def facts(self) -> dict[str, Any]:
        """The facts about the set: content, dimensions, channels, task, cases, labels, md5 by size, licence."""
        return _FACTS[self.flag]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one case, channels last."""
        return (self.size,) * self.facts["dimensions"] + (self.facts["channels"],)

    @property
    def md5(self) -> str:
        """The official checksum of the file."""
        return self.facts["md5"][str(self.size)]

    @property
    def url(self) -> str:
        """The official address of the file."""
        return f"https://zenodo.org/records/10519652/files/{self.name}.npz?download=1"

    @property
    def key(self) -> str:
        """The input's name in a case."""
        return "image" if self.facts["dimensions"] == 2 else "volume"


def _configs() -> list[MedmnistConfig]:
    return [
        MedmnistConfig(name=flag if size == "28" else f"{flag}_{size}", flag=flag, size=int(size))
        for flag, facts in _FACTS.items()
        for size in facts["md5"]
    ]


class Medmnist(tfds.core.ShardBasedBuilder):
    """Cases in the order of the original file, in its splits; `labels` (one column a finding) for ChestMNIST.

    The original npz is looked for in `manual_dir` of the download configuration and in the folder that MEDJAX_DATA
    names; otherwise it is downloaded. Its official MD5 is verified in every case.
    """

    # ShardBasedBuilder, since GeneratorBasedBuilder needs TensorFlow for a split that is larger than a gigabyte.
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = _configs()
    DEFAULT_BUILDER_CONFIG_NAME = "pneumoniamnist"
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Optional: a folder that holds the original npz file."
    code_path = None  # no checksum file lies beside this one; looking for it needs a package that TFDS does not install

    def __init__(self, *, file_format: Any = "array_record", **kwargs: Any) -> None:
        super().__init__(file_format=file_format, **kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        facts = config.facts
        labels = facts["labels"]
        if facts["task"] == "multi-label":
            target = {"labels": tfds.features.Tensor(shape=(len(labels),), dtype=np.float32)}
        else:
            target = {"label": tfds.features.ClassLabel(names=labels)}
        # Bytes, not zlib: the record file compresses as well, and reading is twice as fast.
        array = tfds.features.Tensor(shape=config.shape, dtype=np.uint8, encoding="bytes")
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{config.flag}, {config.size} pixels: {facts['content']} ({facts['task']}). "
            "Patients are unknown.",
            features=tfds.features.FeaturesDict(
                {
                    "id": tfds.features.Text(),
                    "group": tfds.features.Text(),
                    config.key: array,
                    **target,
                }
            ),
            homepage="https://medmnist.com",
            citation="Yang J. et al. MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D biomedical image "
            "classification. Scientific Data 10:41 (2023), doi:10.1038/s41597-022-01721-8",
            license=facts["licence"],
            disable_shuffling=True,
            metadata=tfds.core.MetadataDict(classes=labels, task=facts["task"], official_splits=True),
        )

    def _shard_iterators_per_split(
        self, dl_manager: tfds.download.DownloadManager
    ) -> Mapping[str, Sequence[Callable[[], Iterator[tuple[int, Case]]]]]:
        config = self.builder_config
        path = _find(dl_manager, config) or _download(Path(self.data_dir_root) / "downloads", config)
        shards = {}
        for split, count in config.facts["cases"].items():
            cases = _cases(path, split, config)
            size = max(1, _SHARD_BYTES // int(np.prod(config.shape)))
            # TFDS writes the shards in this order, one after the other: each takes its share of the one stream.
            shards[split] = [partial(islice, cases, size) for _ in range(0, count, size)]
        return shards


def _cases(path: Path, split: str, config: MedmnistConfig) -> Iterator[tuple[int, Case]]:
    """Read the cases of a split one by one, so that a file larger than memory can be prepared."""
    stem = {"validation": "val"}.get(split, split)
    with zipfile.ZipFile(path) as archive:
        with archive.open(f"{stem}_labels.npy") as file:
            labels = np.lib.format.read_array(file, allow_pickle=False)
        with archive.open(f"{stem}_images.npy") as file:
            for row, array in enumerate(_rows(file)):
                name = f"{split}/{row:05d}"
                case: Case = {"id": name, "group": name, config.key: array.reshape(config.shape)}
                if config.facts["task"] == "multi-label":
                    case["labels"] = labels[row].astype(np.float32)
                else:
                    case["label"] = int(labels[row].item())
                yield row, case


def _rows(file: Any) -> Iterator[np.ndarray]:
    """Read a stored array row by row (its first axis)."""
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    (count, *shape), fortran, dtype = read_header(file)
    if fortran or dtype != np.uint8:
        raise InputError(f"{file.name}: an array of {dtype} where bytes, row by row, are expected.")
    for _ in range(count):
        yield np.frombuffer(file.read(int(np.prod(shape))), dtype).reshape(shape)


def _find(dl_manager: tfds.download.DownloadManager, config: MedmnistConfig) -> Path | None:
    """Look for the original file in the given folders and two levels below, and verify it."""
    folders = [Path(given)] if (given := os.environ.get("MEDJAX_DATA")) else []
    with contextlib.suppress(AssertionError):  # TFDS's way to say that no folder was given
        folders.insert(0, Path(dl_manager.manual_dir))
    for folder in folders:
        for pattern in ("", "*/", "*/*/"):
            for path in sorted(folder.glob(f"{pattern}{config.name}.npz")):
                return _verified(path, config)
    return None


def _verified(path: Path, config: MedmnistConfig) -> Path:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != config.md5:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) is not the original {config.name}.npz, or only a part of it: its "
            f"MD5 is {found}, the official one {config.md5}. Replace it by {config.url}, or remove it."
        )
    return path


def _download(folder: Path, config: MedmnistConfig) -> Path:
    """Download the original file into the cache unless it is there; it gets its name once its MD5 was verified."""
    path = folder / f"{config.name}.npz"
    if path.exists():
        return _verified(path, config)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f".{path.name}.{secrets.token_hex(8)}"
    remedy = f"download {config.url} by hand into the folder that MEDJAX_DATA names, or give its folder as --data-dir."
    try:
        with part.open("xb") as file:
            found = _fetch(config, file)
        if found != config.md5:
            size = part.stat().st_size
            raise InputError(
                f"{config.url} gave {size} bytes with the MD5 {found}; the official {config.name}.npz has "
                f"{config.md5}. Try again, or {remedy}"
            )
        return part.replace(path)
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise InputError(f"{config.name}.npz could not be downloaded ({error}). Try again, or {remedy}") from error
    finally:
        part.unlink(missing_ok=True)


def _fetch(config: MedmnistConfig, file: io.BufferedIOBase) -> str:
    """Copy the address's content into the file under a progress bar, and give its MD5."""
    from rich.console import Console
    from rich.progress import wrap_file

    console = Console(stderr=True)
    digest = hashlib.md5(usedforsecurity=False)
    with urllib.request.urlopen(config.url, timeout=60) as response:
        total = int(response.headers.get("Content-Length") or 0)
        name = f"{config.name}.npz"
        with wrap_file(response, total, description=name, console=console, disable=not console.is_terminal) as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
                file.write(chunk)
    return digest.hexdigest()
