"""A contact sheet: some images of every class on one page, as PNG."""

import io
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from jaxtyping import Num, UInt8

from medjax.data.dataset import Dataset, open_split

PICTURES = ("image", "volume")
TILE, GAP, MARGIN, TITLE = 96, 4, 12, 30
INK, FAINT, PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)


def picture(array: Num[np.ndarray, "*space channels"]) -> UInt8[np.ndarray, "height width 3"]:
    """Turn an image, or the middle slice of a volume, into eight bits a channel.

    Eight-bit images keep their values; others are stretched from their smallest to their largest value.
    """
    array = array[len(array) // 2] if array.ndim == 4 else array
    if array.dtype != np.uint8:
        low, high = float(array.min()), float(array.max())
        array = ((array - low) / (high - low or 1) * 255).round().astype(np.uint8)
    channels = array.shape[-1]
    return array[..., :3] if channels >= 3 else np.repeat(array[..., :1], 3, axis=-1)


def tile(array: Num[np.ndarray, "*space channels"], side: int = TILE) -> Any:
    """The picture as a PIL image whose longer side is `side`; enlarged ones show their pixels as they are."""
    from PIL import Image

    image = Image.fromarray(picture(array))
    scale = side / max(image.size)
    how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), how)


def png(image: Any) -> bytes:
    """A PIL image as the bytes of a PNG."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def read_pictures(dataset: Dataset, key: str, names: Collection[str]) -> dict[str, np.ndarray]:
    """Read one input of the cases of these ids, and of no others."""
    found, start = {}, 0
    for split, count in dataset.splits.items():
        rows = np.flatnonzero(np.isin(dataset.index.id[start : start + count], list(names)))
        source = open_split(dataset, split) if len(rows) else None
        for row in rows.tolist():
            found[str(dataset.index.id[start + row])] = np.asarray(source[row][key])  # pyrefly: ignore
        start += count
    return found


def contact_sheet(title: str, rows: Sequence[tuple[str, Sequence[Num[np.ndarray, "..."]]]]) -> bytes:
    """Lay out one row of images a class and return the page as PNG.

    Args:
        title: the line on top.
        rows: name of the row, and its images (H, W, C) or volumes (D, H, W, C); sizes may differ.
    """
    from PIL import Image, ImageDraw, ImageFont

    columns = max(len(images) for _, images in rows)
    font, small = ImageFont.load_default(16), ImageFont.load_default(13)
    width = max(2 * MARGIN + columns * (TILE + GAP), round(font.getlength(title)) + 2 * MARGIN)
    page = Image.new("RGB", (width, MARGIN + TITLE + len(rows) * (TILE + 24 + GAP) + MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((MARGIN, MARGIN), title, INK, font)
    for number, (name, images) in enumerate(rows):
        top = MARGIN + TITLE + number * (TILE + 24 + GAP)
        draw.text((MARGIN, top + 3), name, FAINT, small)
        for column, array in enumerate(images):
            one, left = tile(array), MARGIN + column * (TILE + GAP)
            page.paste(one, (left + (TILE - one.width) // 2, top + 22 + (TILE - one.height) // 2))
    return png(page)
