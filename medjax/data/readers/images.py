"""Image files (PNG, JPEG, TIFF, BMP, ...) to cases."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medjax.data.case import Case, check_case
from medjax.errors import InputError


def read_images(paths: Sequence[Path | str]) -> list[Case]:
    """Read image files, one case a file; its name is the id, and the group, since nothing is known of the patient.

    Grey stays one channel, colour becomes RGB (H, W, 3). Eight bits a channel come as uint8 from 0 to 255; deeper
    images come as float32 with their own values. The rotation that a camera wrote into the file is applied.

    Raises:
        InputError: no file, a missing file, one that is no image or is cut short, transparency or several pages.
    """
    if not paths:
        raise InputError("No image file was given.")
    cases = [_read(Path(path)) for path in paths]
    names = [case["id"] for case in cases]
    if len(set(names)) < len(names):  # two folders with equal names: tell them apart by the whole path
        for case, path in zip(cases, paths, strict=True):
            case["id"] = case["group"] = Path(path).as_posix()
    if len({case["id"] for case in cases}) < len(cases):
        raise InputError("An image file was given twice; give every file once.")
    return cases


def _read(path: Path) -> Case:
    from PIL import Image, ImageOps

    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                if (frames := getattr(file, "n_frames", 1)) > 1:
                    raise InputError(f"{path}: {frames} pages or frames; give one image a file.")
                array = _array(ImageOps.exif_transpose(file), path)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: this is no image that can be read, or it is cut short ({error}).") from error
    case: Case = {"id": path.name, "group": path.name, "image": array}
    check_case(case, where=str(path))
    return case


def _array(image: Any, path: Path) -> np.ndarray:
    """Give the pixels as (H, W, C)."""
    if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
        raise InputError(f"{path}: parts are transparent; save the image without transparency.")
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        return np.asarray(image, dtype=np.float32)[..., None]
    grey = image.mode in ("1", "L", "LA", "La") or (image.mode == "P" and _grey_palette(image))
    array = np.asarray(image.convert("L" if grey else "RGB"))
    return array[..., None] if grey else array


def _grey_palette(image: Any) -> bool:
    colours = np.asarray(image.convert("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())
