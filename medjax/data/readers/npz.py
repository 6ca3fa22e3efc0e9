"""NumPy archives (.npz) to cases: MedMNIST's own layout, or arrays under the names of a case in the plural."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from medjax.data.case import Case, check_case
from medjax.errors import InputError

_ARRAYS = {"images": "image", "volumes": "volume", "table": "table", "labels": "label", "ids": "id", "groups": "group"}
_SPLITS = {"train": "train", "val": "validation", "test": "test"}


def read_npz(path: Path | str) -> list[Case]:
    """Read an archive, one case a row.

    Either `images` (N, H, W) or (N, H, W, C), `volumes` (N, D, H, W) or (N, D, H, W, C) or `table` (N, F), with
    optional `labels` (N,) or (N, 1), `ids` and `groups` (text or whole numbers); or MedMNIST's
    {train,val,test}_{images,labels}, where the id of a case is its split and row. An id that is not given is the row
    number; a group that is not given is the id. Floating-point inputs become float32. Arrays of Python objects are
    refused (they could run code).

    Raises:
        InputError: a missing, truncated or empty file, unknown names, arrays of different lengths, a case that breaks
            the contract.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such file.") from error
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        # NumPy's own words are kept back: for what is no archive they advise to load it unsafely.
        raise InputError(f"{path}: this is no npz archive of plain arrays, or it is cut short.") from error
    if any(f"{split}_images" in arrays for split in _SPLITS):
        cases = [case for split in _SPLITS if f"{split}_images" in arrays for case in _medmnist(arrays, split, path)]
    else:
        cases = _cases(arrays, path)
    if not cases:
        raise InputError(f"{path}: the arrays hold no case.")
    for case in cases:
        check_case(case, where=str(path))
    names = [case["id"] for case in cases]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}, 'ids': {twice!r} occurs more than once.")
    return cases


def _medmnist(arrays: dict[str, np.ndarray], split: str, path: Path) -> list[Case]:
    images = arrays[f"{split}_images"]
    channels_last = images.ndim == 4 and images.shape[-1] in (1, 3)
    plain = {"images" if images.ndim == 3 or channels_last else "volumes": images}
    if f"{split}_labels" in arrays:
        plain["labels"] = arrays[f"{split}_labels"]
    plain["ids"] = np.array([f"{_SPLITS[split]}/{row:05d}" for row in range(len(images))], dtype=str)
    return _cases(plain, path)


def _cases(arrays: dict[str, np.ndarray], path: Path) -> list[Case]:
    inputs = [name for name in ("images", "volumes", "table") if name in arrays]
    unknown = sorted(set(arrays) - set(_ARRAYS))
    if unknown or not inputs:
        raise InputError(
            f"{path} holds {', '.join(sorted(arrays)) or 'nothing'}; expected are images, volumes or table, with "
            "optional labels, ids and groups, or MedMNIST's train_images and so on."
        )
    lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"{path}: the arrays differ in length: {lengths}.")
    columns = {name: _column(name, array, path) for name, array in arrays.items()}
    count = lengths[inputs[0]]
    ids = columns.get("ids", [f"{row:05d}" for row in range(count)])
    columns |= {"ids": ids, "groups": columns.get("groups", ids)}
    return [{_key(name, column): column[row] for name, column in columns.items()} for row in range(count)]


def _key(name: str, column: object) -> str:
    return "labels" if name == "labels" and getattr(column, "ndim", 1) == 2 else _ARRAYS[name]


def _column(name: str, array: np.ndarray, path: Path) -> np.ndarray | list:
    """Bring one array into the form that the cases' rows need."""
    if name in ("ids", "groups"):
        if array.ndim != 1 or array.dtype.kind not in "Uiu":
            raise InputError(f"{path}, {name!r}: one text or whole number a case is expected.")
        return [str(value) for value in array.tolist()]
    if name == "labels":
        if array.ndim == 2 and array.shape[1] > 1:
            return array.astype(np.float32)
        if array.ndim > 2 or array.dtype.kind not in "iu":
            raise InputError(f"{path}, 'labels': one whole number a case is expected.")
        return array.reshape(-1).tolist()
    if array.dtype.kind == "f" or name == "table":
        array = array.astype(np.float32)
    rank = {"images": 3, "volumes": 4, "table": 1}[name] + 1
    return array[..., None] if name != "table" and array.ndim == rank - 1 else array
