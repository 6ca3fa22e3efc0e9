"""A contact sheet: some images of every class on one page, as PNG."""

import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Num, UInt8

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
            tile = Image.fromarray(picture(array))
            scale = TILE / max(tile.size)
            # Nearest when enlarging: the pixels are shown as they are.
            how = Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS
            tile = tile.resize((max(1, round(tile.width * scale)), max(1, round(tile.height * scale))), how)
            left = MARGIN + column * (TILE + GAP)
            page.paste(tile, (left + (TILE - tile.width) // 2, top + 22 + (TILE - tile.height) // 2))
    buffer = io.BytesIO()
    page.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
