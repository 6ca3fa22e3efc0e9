"""The content as one self-contained HTML page: no network, no font, no script but its own."""

import base64
import hashlib
from importlib import resources
from typing import Any

from medjax.report.page.figures import Drawn
from medjax.report.page.svg import inline


def page(content: dict[str, Any]) -> str:
    """Render the page; every text is escaped, and the browser is told to run no script but the page's own."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup

    def read(name: str) -> str:
        return (resources.files("medjax.report.page") / name).read_text(encoding="utf-8")

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, loader=FunctionLoader(read)
    )

    def drawing(figure: Drawn) -> Markup:
        return Markup(inline(figure.svg, figure.name, figure.alt))  # matplotlib escapes its texts

    script, style = read("page.js"), read("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("template.html").render(
        **content, drawing=drawing, script=Markup(script), style=Markup(style), script_hash=f"sha256-{digest}"
    )
