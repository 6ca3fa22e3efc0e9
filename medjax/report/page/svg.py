"""An SVG drawn by matplotlib: the same bytes for the same drawing, as a file by itself or as a part of the page."""

import io
import re
from collections.abc import Callable
from typing import Any

INK, MUTED, LINE, PAPER = "#1b1f24", "#5c6570", "#d5dae0", "#ffffff"
# Colours that can be told apart by the colour-blind (after Okabe & Ito), dark enough for text on white.
SERIES = ("#0b5394", "#b45f06", "#1e7a4c", "#8e3a9d", "#b3134d", "#00707d", "#6d4c41", "#505a66")
# In the page colours are variables, so that they follow light and dark.
_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line", PAPER: "paper"} | {
    colour: f"series-{k}" for k, colour in enumerate(SERIES, start=1)
}
_FONT = "'DejaVu Sans', Verdana, Arial, sans-serif"
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "medjax",
    "text.parse_math": False,  # a dollar sign in a class name is a dollar sign
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}


def render(draw: Callable[[Any], None], width: float | int = 4.6, height: float | int = 4.2) -> str:
    """Draw on a matplotlib figure of so many inches, and return a file's content that depends on the drawing alone."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(width, height), layout="constrained")
        canvas, content = FigureCanvasSVG(figure), io.StringIO()
        draw(figure)
        canvas.print_svg(content, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = content.getvalue()
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.S)
    return re.sub(r"'DejaVu Sans'(, [^;\"]*)?", _FONT, text)


def inline(text: str, name: str, alt: str) -> str:
    """The same drawing as a part of an HTML page: no prologue, own ids, colours that follow the page, a description."""
    from markupsafe import escape

    text = text[text.index("<svg") :]
    identifiers: set[str] = set(re.findall(r'\bid="([^"]+)"', text))
    used = {one for one in identifiers if f"#{one}" in text}
    for one in identifiers - used:
        text = text.replace(f' id="{one}"', "")
    for one in sorted(used, key=lambda name: (-len(name), name)):
        text = re.sub(rf'(id="|#){re.escape(one)}(?=["\)])', rf"\g<1>{name}-{one}", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    text = text.replace(' xmlns="http://www.w3.org/2000/svg"', "").replace(' version="1.1"', "")
    text = text.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:href", "href")
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1)
