"""Suspect pairs of images side by side on one page, as PNG."""

from medjax.data.dataset import Dataset
from medjax.data.twins import Twins
from medjax.report.contact_sheet import FAINT, GAP, INK, MARGIN, PAPER, PICTURES, TILE, TITLE, png, read_pictures, tile

SHOWN = 12


def pair_sheet(dataset: Dataset, found: Twins, other: Dataset | None = None) -> bytes | None:
    """Lay out the most suspicious pairs side by side, those across splits first, and return the page as PNG.

    Of pairs between two data sets the second case lies in `other`.
    """
    key = next((name for name in PICTURES if name == found.compared), None)
    pairs = sorted(found.pairs, key=lambda one: (one.parts[0] == one.parts[1], one.chance, -one.similarity))[:SHOWN]
    if key is None or not pairs:
        return None
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(16), ImageFont.load_default(12)
    columns, step = 3, 2 * TILE + 3 * GAP + MARGIN
    rows = -(-len(pairs) // columns)
    page = Image.new("RGB", (2 * MARGIN + columns * step, MARGIN + TITLE + rows * (TILE + 44) + MARGIN), PAPER)
    draw = ImageDraw.Draw(page)
    draw.text(
        (MARGIN, MARGIN), f"{dataset.name}{f' and {other.name}' if other else ''}: most suspicious pairs", INK, font
    )
    sides = [
        read_pictures(owner, key, {pair.ids[side] for pair in pairs})
        for side, owner in enumerate((dataset, other or dataset))
    ]
    for number, pair in enumerate(pairs):
        left, top = MARGIN + number % columns * step, MARGIN + TITLE + number // columns * (TILE + 44)
        for side, name in enumerate(pair.ids):
            page.paste(tile(sides[side][name]), (left + side * (TILE + GAP), top))
            draw.text((left + side * (TILE + GAP), top + TILE + 1), short(name, 15), FAINT, small)
        said = "identical" if pair.identical else f"alike {pair.similarity:.3f}"
        draw.text((left, top + TILE + 15), f"{said}; {' + '.join(dict.fromkeys(pair.parts))}", INK, small)
    return png(page)


def short(text: str, most: int) -> str:
    """The end of a long text, which tells cases apart."""
    return text if len(text) <= most else "..." + text[3 - most :]
