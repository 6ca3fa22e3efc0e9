"""The contract of a case: a dict of arrays with fixed names, checked at the door.

Every case has an `id` (one scan, one recording, one visit) and a `group` (the patient), at least one input, and any
targets and attributes. Messages name the file, the case and the key; they never name the patient.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from medjax.errors import InputError

Case = dict[str, Any]

INPUTS: dict[str, int] = {"image": 3, "volume": 4, "signal": 2, "table": 1, "tokens": 1, "sequence": 1,
    "code": 1, "number": 1, "hours": 1,
}  # fmt: skip
"""Inputs and their ranks: image (H, W, C), volume (D, H, W, C), signal (T, C), table (F,), tokens and sequence (L,);
of events the code, the number that belongs to it and the hours before the prediction (L,)."""

TARGETS: tuple[str, ...] = (
    "label",
    "labels",
    "soft_label",
    "value",
    "segmentation",
    "time",
    "event",
    "entry",
    "stratum",
)

_DTYPES: dict[str, tuple[str, ...]] = {
    "image": ("uint8", "float32"),
    "volume": ("uint8", "float32"),
    "signal": ("float32",),
    "table": ("float32",),
    "tokens": ("int32",),
    "sequence": ("uint8", "int32"),
    "code": ("int32",),
    "number": ("float32",),
    "hours": ("float32",),
}


def attributes(case: Mapping[str, Any]) -> dict[str, str]:
    """Return what else a case tells of itself (sex, site, age, ...), as text: single values that are no target.

    Numbers without a fraction are written without it; NaN is unknown, the empty text.
    """
    known = {"id", "group", "spacing", *INPUTS, *TARGETS}
    found = {}
    for key, value in case.items():
        if key in known or np.ndim(value):
            continue
        if isinstance(value, str):
            found[key] = value
        else:
            number = np.asarray(value)
            whole = np.issubdtype(number.dtype, np.integer) or number.dtype == bool
            # Written with the digits of its own precision: 49.7 stays 49.7 in float32.
            text = str(int(number)) if whole else np.format_float_positional(value, trim="-")
            found[key] = "" if text == "nan" else text
    return found


def check_case(case: Mapping[str, Any], *, where: str) -> None:
    """Check one case against the contract.

    Args:
        case: the case, as a reader or a source gives it.
        where: the file or data set that the case comes from, for the message.

    Raises:
        InputError: a key is missing, or has the wrong type, rank, dtype or values; NaN is allowed in `table`,
            `number` and `labels` only, infinity nowhere.
    """
    for key in ("id", "group"):
        if not isinstance(case.get(key), str) or not case[key]:
            name = f"case {case['id']!r}" if isinstance(case.get("id"), str) else "a case"
            raise InputError(
                f"{where}: {name} has no {key!r}; every case needs an id and a group (the patient), as text."
            )
    inputs = [key for key in INPUTS if key in case]
    if not inputs:
        raise _wrong(case, where, "", f"it has no input; give at least one of {', '.join(INPUTS)}")
    for key in inputs:
        _check_input(case, key, where)
    for key in TARGETS:
        if key in case:
            _check_target(case, key, where)


def check_label(case: Mapping[str, Any], classes: int, where: str) -> None:
    """Check that labels name one of the classes, or that there is one entry of `labels` or `soft_label` for each.

    Raises:
        InputError: the label, or one in `segmentation`, is out of range; `labels` or `soft_label` has another length.
    """
    named = {"label", "labels"} & set(case)  # then the classes are theirs
    if "segmentation" in case and not named and (highest := int(case["segmentation"].max())) >= classes:
        what = f"{highest} is out of range; {classes} classes with the background are 0 to {classes - 1}"
        raise _wrong(case, where, "segmentation", what)
    if "label" in case and not 0 <= case["label"] < classes:
        raise _wrong(
            case,
            where,
            "label",
            f"{case['label']} is out of range; the labels of {classes} classes are 0 to {classes - 1}",
        )
    if "labels" in case and len(case["labels"]) != classes:
        raise _wrong(case, where, "labels", f"{len(case['labels'])} entries for {classes} classes")
    if "soft_label" in case and len(case["soft_label"]) != classes:
        raise _wrong(case, where, "soft_label", f"{len(case['soft_label'])} probabilities for {classes} classes")


def check_shape(case: Mapping[str, Any], key: str, shape: Sequence[int | None], where: str) -> None:
    """Check the shape of one input; None leaves a dimension free.

    Raises:
        InputError: the input is missing, or has another rank, another size or another number of channels.
    """
    if key not in case:
        raise _wrong(case, where, key, "it is missing")
    found = np.shape(case[key])
    if len(found) != len(shape) or any(
        want is not None and got != want for got, want in zip(found, shape, strict=True)
    ):
        if len(found) == len(shape) and all(
            want in (None, got) for got, want in zip(found[:-1], shape[:-1], strict=True)
        ):
            what = {"table": "columns"}.get(key, "channels")
            raise _wrong(case, where, key, f"{found[-1]} {what} where {shape[-1]} are expected")
        raise _wrong(case, where, key, f"shape {_show(found)} where {_show(shape)} is expected")


def fingerprint(case: Mapping[str, Any], keys: Iterable[str]) -> str:
    """Hash the arrays under `keys` (name, dtype, shape, bytes) with SHA-256: equal inputs have equal fingerprints.

    The id, the patient and the targets do not enter, so that identical inputs with different labels are found.
    """
    digest = hashlib.sha256()
    for key in sorted(keys):
        array = np.asarray(case[key])
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).reshape(array.shape)
        digest.update(f"{key} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _check_input(case: Mapping[str, Any], key: str, where: str) -> None:
    array = case[key]
    if not isinstance(array, np.ndarray):
        raise _wrong(case, where, key, f"a {type(array).__name__} where a NumPy array is expected")
    if array.ndim != INPUTS[key]:
        raise _wrong(case, where, key, f"shape {_show(array.shape)} where {INPUTS[key]} dimensions are expected")
    if array.dtype.name not in _DTYPES[key]:
        raise _wrong(case, where, key, f"dtype {array.dtype.name} where {' or '.join(_DTYPES[key])} is expected")
    if array.size == 0:
        raise _wrong(case, where, key, f"shape {_show(array.shape)} holds no values")
    _check_finite(case, key, array, where, missing=key in ("table", "number"))


def _check_target(case: Mapping[str, Any], key: str, where: str) -> None:
    target = case[key]
    if key == "label":
        if isinstance(target, bool | np.bool_) or not isinstance(target, int | np.integer):
            raise _wrong(case, where, key, f"{target!r} where a class number is expected")
        if target < 0:
            raise _wrong(case, where, key, f"{target} is negative; classes are numbered from 0")
    elif key == "segmentation":
        grids = [np.shape(case[name])[:-1] for name in ("image", "volume") if name in case]
        if not isinstance(target, np.ndarray) or not np.issubdtype(target.dtype, np.integer):
            raise _wrong(case, where, key, "an array of integers is expected")
        if target.shape not in grids:
            raise _wrong(case, where, key, f"shape {_show(target.shape)} differs from the grid of the image or volume")
        if target.min() < 0:
            raise _wrong(case, where, key, f"{target.min()} is negative; classes are numbered from 0")
    else:
        array = np.asarray(target)
        vector = key in ("labels", "soft_label")
        if array.ndim != vector or array.dtype.kind not in "biuf":
            raise _wrong(case, where, key, f"{'a vector' if vector else 'a number'} is expected")
        _check_finite(case, key, array, where, missing=key == "labels")
        if key == "soft_label" and (array.min(initial=0) < 0 or abs(array.sum() - 1) > 1e-3):
            raise _wrong(case, where, key, f"{array.tolist()} are no class probabilities, which sum to 1")
        if key == "labels" and not np.isin(array[~np.isnan(array)], (0, 1)).all():
            raise _wrong(case, where, key, "only 0 and 1 are expected (NaN for unknown)")
        if key in ("event", "stratum") and (array < 0 or array % 1):
            meant = "0 (censored), 1 (the event) or the number of a cause" if key == "event" else "0, 1, 2, ..."
            raise _wrong(case, where, key, f"{array} where {meant} is expected")
        if key in ("time", "entry") and array < 0:
            raise _wrong(case, where, key, f"{array} is negative; times count from 0")


def _check_finite(case: Mapping[str, Any], key: str, array: np.ndarray, where: str, *, missing: bool) -> None:
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return
    if infinite := int(np.isinf(array).sum()):
        raise _wrong(case, where, key, f"{infinite} of {array.size} values are infinite")
    if not missing:
        raise _wrong(case, where, key, f"{int(np.isnan(array).sum())} of {array.size} values are NaN")


def _show(shape: Sequence[int | None]) -> str:
    return (
        "(" + ", ".join("any" if size is None else str(size) for size in shape) + ("," if len(shape) == 1 else "") + ")"
    )


def _wrong(case: Mapping[str, Any], where: str, key: str, what: str) -> InputError:
    return InputError(f"{where}, case {case.get('id')!r}" + (f", key {key!r}" if key else "") + f": {what}.")
