"""Image files (PNG, JPEG, TIFF, BMP, GIF, WebP, PNM) to arrays and cases, in one way for training and prediction.

The content decides what a file is, not its name. Grey stays one channel, colour becomes RGB. The rotation that a camera
wrote into the file is applied. Whatever would have to be guessed or thrown away is refused by name: transparency,
several pages, printing colours (CMYK), more than eight bits a channel where eight are asked for.
"""

import io
import logging
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, UInt8

from medjax.data.case import Case, check_case
from medjax.errors import InputError

FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp", ".dib"),
    "GIF": (".gif",),
    "WEBP": (".webp",),
    "PPM": (".pgm", ".ppm", ".pnm", ".pbm"),
}
"""The formats that are read, as Pillow names them, and the endings of their names. Others that Pillow knows are not
read: some have no signature, so that any bytes pass for them, some call other programs, some lose bits unseen."""

_GREY, _COLOUR, _DEEP = ("1", "L", "LA", "La"), ("RGB", "RGBA", "RGBa"), ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
_PALETTE = ("P", "PA")
_BITS_PER_SAMPLE, _SAMPLE_FORMAT, _ORIENTATION = 258, 339, 274  # TIFF and EXIF tags

Pixels = UInt8[np.ndarray, "height width channel"] | Float32[np.ndarray, "height width channel"]


class ImageError(InputError):
    """An image file that cannot be used.

    Attributes:
        what: what is wrong with it, without the file and without a full stop.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path}: {what}.")
        self.what = what


@dataclass(frozen=True)
class Header:
    """What the head of an image file says, the pixels unread.

    Attributes:
        height: in pixels, as the image is shown.
        width: likewise.
        channels: 1 for grey, 3 for colour.
        bits: of one channel of a pixel, 8 where there are fewer.
        format: one of `FORMATS`.
        turned: whether the file says that it is to be rotated or mirrored.
    """

    height: int
    width: int
    channels: int
    bits: int
    format: str
    turned: bool


def read_images(
    paths: Sequence[Path | str],
    channels: Literal[1, 3] | None = None,
    dtype: Literal["uint8", "float32"] | None = None,
) -> list[Case]:
    """Read image files, one case a file; its name is the id, and the group, since nothing is known of the patient.

    Args:
        paths: the files.
        channels: see `read_image`.
        dtype: see `read_image`.

    Raises:
        InputError: no file, a missing file, one given twice, one that `read_image` refuses.
    """
    if not paths:
        raise InputError("No image file was given.")
    cases = []
    for path in map(Path, paths):
        cases.append({"id": path.name, "group": path.name, "image": read_image(path, channels, dtype)})
        check_case(cases[-1], where=str(path))
    names = [case["id"] for case in cases]
    if len(set(names)) < len(names):  # two folders with equal names: tell them apart by the whole path
        for case, path in zip(cases, paths, strict=True):
            case["id"] = case["group"] = Path(path).as_posix()
    if len({case["id"] for case in cases}) < len(cases):
        raise InputError("An image file was given twice; give every file once.")
    return cases


def read_image(
    path: Path | str, channels: Literal[1, 3] | None = None, dtype: Literal["uint8", "float32"] | None = None
) -> Pixels:
    """Read one image file as (H, W, C), checksums and all.

    A flipped bit inside the pixels of a JPEG (or of another format without checksums) can go unseen: it decodes to
    other pixels. PNG has checksums; they are verified.

    Args:
        path: the file.
        channels: 3 repeats grey three times; 1 takes a colour image only if its three channels are equal; None: as it
            comes, 1 or 3.
        dtype: "uint8" refuses more than eight bits a channel; "float32" keeps the values as they are stored; None:
            uint8 for eight bits and float32 for more.

    Raises:
        ImageError: a missing file, one that is no image, damaged or cut short, partly transparent, of several pages,
            with colours that are not RGB, with values that are not finite or not exact in float32.
    """
    path = Path(path)
    data = _bytes(path)
    if data.startswith(b"\x89PNG"):
        with _opened(path, io.BytesIO(data)) as image:
            image.verify()  # decoding alone passes over the checksums of the pixels and over a missing end
    with _opened(path, io.BytesIO(data)) as image:
        head = _header(path, image, dtype)
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise ImageError(path, f"it has {frames} pages or frames; give one image a file")
        with _silent() if head.format == "TIFF" else nullcontext():
            array = _pixels(path, image, head)
    if channels == 3 and head.channels == 1:
        array = np.repeat(array, 3, axis=-1)
    if channels == 1 and head.channels == 3:
        if (array != array[..., :1]).any():
            raise ImageError(path, "it is in colour where channels=1 asks for grey; set channels=3 to keep colours")
        array = array[..., :1]
    return array.astype(dtype) if dtype else array


def read_header(path: Path | str, dtype: Literal["uint8", "float32"] | None = None) -> Header:
    """Read the head of an image file, a few kilobytes: size, channels and depth.

    Raises:
        ImageError: what the head shows of that which `read_image` refuses.
    """
    path = Path(path)
    if not os.path.isfile(path) or not os.path.getsize(path):  # unlike Path.is_file, these never raise
        _bytes(path)  # says what is wrong
    with _opened(path, path) as image:
        return _header(path, image, dtype)


def _bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes() if os.path.isfile(path) else None
    except OSError as error:
        raise ImageError(path, f"it cannot be opened ({error.strerror})") from error
    if data is None:
        raise ImageError(
            path, "there is no such file, but a folder" if os.path.isdir(path) else "there is no such file"
        )
    if not data:
        raise ImageError(path, "the file is empty (0 bytes)")
    return data


@contextmanager
def _opened(path: Path, file: Any) -> Iterator[Any]:
    """Open an image so that whatever Pillow raises or warns about becomes one message, and nothing half-read passes."""
    from PIL import Image, ImageFile, UnidentifiedImageError

    logger = logging.getLogger("PIL.TiffImagePlugin")
    before = ImageFile.LOAD_TRUNCATED_IMAGES, logger.disabled
    ImageFile.LOAD_TRUNCATED_IMAGES, logger.disabled = False, True  # a notebook may have switched the first on
    unknown = f"this is no image that can be read ({', '.join(FORMATS)}), or its first bytes are damaged"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for category in (UserWarning, RuntimeWarning):  # damaged EXIF or directories; a decompression bomb
                warnings.simplefilter("error", category)
            warnings.filterwarnings("ignore", message="Metadata Warning")  # too many entries of a tag: harmless
            with Image.open(file, formats=list(FORMATS)) as image:
                yield image
    except ImageError:
        raise
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        bomb = not isinstance(error, UnidentifiedImageError)
        what = "it has far more pixels than an image of its kind: make it smaller or cut it into tiles"
        raise ImageError(path, f"{what} ({_text(error, path)})" if bomb else unknown) from error
    except (
        Exception
    ) as error:  # damaged bytes make a decoder fall over whatever comes first: KeyError, struct.error, ...
        raise ImageError(path, f"it is damaged or cut short ({_text(error, path)})") from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, logger.disabled = before


@contextmanager
def _silent() -> Iterator[None]:
    """Turn away what the TIFF library itself writes to standard error; Pillow raises what matters."""
    sys.stderr.flush()
    try:
        before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # there is no standard error to write to
        yield
        return
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def _text(error: Exception, path: Path) -> str:
    """Return the text of an error on one line, without the path, which the message begins with."""
    text = " ".join(str(error).replace(str(path), "the file").split()).rstrip(".")
    return text[:120] or type(error).__name__


def _header(path: Path, image: Any, dtype: str | None) -> Header:
    """Read what is known before the pixels are decoded, and refuse what is refused for it."""
    mode, bits = image.mode, _bits(image)
    if mode == "CMYK":
        raise ImageError(
            path, "it has printing colours (CMYK), which are no RGB without a profile; save it as RGB or grey"
        )
    if mode not in (*_GREY, *_COLOUR, *_DEEP, *_PALETTE):
        raise ImageError(path, f"its pixels are stored as {mode}; save it as grey or RGB")
    if bits > 8 and mode not in _DEEP:
        raise ImageError(
            path, f"{bits} bits a channel with several channels would be cut to 8; save it as grey, or with 8 bits"
        )
    if bits > 8 and dtype == "uint8":
        raise ImageError(
            path,
            f"{bits} bits a pixel where 8 are expected; set dtype='float32' to keep the values of all images as stored",
        )
    if mode == "L" and image.format == "TIFF" and 2 in _tag(image, _SAMPLE_FORMAT):
        raise ImageError(path, "its 8 bits a pixel have a sign; save it as 16 bits or as floats")
    width, height = image.size
    if not width or not height:
        raise ImageError(path, f"it has no pixels ({height} x {width})")
    orientation = _orientation(image)
    if orientation >= 5 and image.format != "TIFF":  # Pillow gives the size of a TIFF as it is shown
        width, height = height, width
    colour = mode in _COLOUR or (mode in _PALETTE and not _grey_palette(path, image))
    name = "JPEG" if image.format == "MPO" else image.format
    return Header(height, width, 3 if colour else 1, bits, name, orientation > 1)


def _bits(image: Any) -> int:
    """Return the bits a channel in the file; Pillow cuts colour of 16 bits to 8 without a word."""
    if image.mode in _DEEP:
        wide = image.mode == "F" or (image.format == "TIFF" and max(_tag(image, _BITS_PER_SAMPLE)) > 16)
        return 32 if wide else 16
    arguments = image.tile[0][3] if image.tile else ""
    if image.format == "PNG":
        return 16 if "16" in str(arguments) else 8
    if image.format == "PPM":
        return 16 if isinstance(arguments, tuple) and isinstance(arguments[1], int) and arguments[1] > 255 else 8
    return max(8, *_tag(image, _BITS_PER_SAMPLE)) if image.format == "TIFF" else 8


def _tag(image: Any, number: int) -> tuple[int, ...]:
    """Return the entries of a TIFF's tag; 1 where it is not there, which is the default of those asked for here."""
    return tuple(int(entry) for entry in image.tag_v2.get(number, (1,)))


def _orientation(image: Any) -> int:
    """Return the EXIF orientation, 1 to 8; only a head that has one is asked, since a PNG would be decoded for it."""
    keys = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
    if image.format != "TIFF" and not any(key in image.info for key in keys):
        return 1
    orientation = image.getexif().get(_ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _grey_palette(path: Path, image: Any) -> bool:
    """Say whether all colours of a palette are grey, used or not: the head alone decides."""
    if image.palette is None:
        raise ImageError(path, "it needs a palette and has none")
    mode, data = image.palette.getdata()
    colours = np.frombuffer(bytes(data), np.uint8)
    if not colours.size or colours.size % len(mode.partition(";")[0]):
        raise ImageError(path, "it is damaged or cut short (in its palette)")
    colours = colours.reshape(3, -1).T if mode == "RGB;L" else colours.reshape(-1, len(mode))[:, :3]
    return bool((colours == colours[:, :1]).all())


def _pixels(path: Path, image: Any, head: Header) -> np.ndarray:
    """Decode an opened image as (H, W, C), uint8 or float32."""
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode in _DEEP:
        return _deep(path, image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise ImageError(path, "parts are transparent; save the image without transparency")
    array = np.asarray(image.convert("L" if head.channels == 1 else "RGB"))
    return array[..., None] if head.channels == 1 else array


def _deep(path: Path, image: Any) -> np.ndarray:
    stored = np.asarray(image)
    if "transparency" in image.info and (stored == image.info["transparency"]).any():
        raise ImageError(path, "parts are transparent; save the image without transparency")
    array = stored.astype(np.float32)
    if not np.isfinite(array).all():
        raise ImageError(path, f"{int((~np.isfinite(array)).sum())} of its {array.size} values are NaN or infinite")
    if (array.astype(np.float64) != stored).any():
        raise ImageError(
            path, f"its values reach {stored.max()}: whole numbers above 16777216 are not exact in float32"
        )
    return array[..., None]
