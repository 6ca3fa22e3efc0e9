"""Drawings: the same bytes each time, no network, and safe inside a page."""

import re
from xml.etree import ElementTree

from medjax.report.page import svg

HARD = '</text><script>alert(1)</script> "$x^2$" <!-- -->'


def drawing():
    def draw(figure):
        axes = figure.add_subplot()
        axes.fill_between([0, 1], [0, 0], [1, 1], color=svg.SERIES[0], alpha=0.2)
        axes.plot([0, 1], [0, 1], "o-", color=svg.SERIES[1], label=HARD)
        axes.set_title(HARD)
        axes.legend()

    return svg.render(draw)


def test_the_same_drawing_has_the_same_bytes_and_no_address():
    first = drawing()
    assert first == drawing()
    assert "date" not in first.lower().replace("update", "")
    addresses = set(re.findall(r"https?://[^\s\"'<]+", first))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink",
                         "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"}  # fmt: skip


def test_texts_stay_texts():
    texts = [one.text for one in ElementTree.fromstring(drawing()).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count(HARD) == 2
    inside = svg.inline(drawing(), "one", HARD)
    assert "<script" not in inside
    root = ElementTree.fromstring(inside)
    assert [one.text for one in root.iter("text")].count(HARD) == 2
    assert root.get("aria-label") == HARD


def test_two_drawings_share_no_identifier_and_every_reference_is_met():
    page = "".join(svg.inline(drawing(), name, "x") for name in ("one", "two"))
    identifiers = re.findall(r'\bid="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', page))
    assert used
    assert used == set(identifiers)


def test_colours_follow_the_page():
    inside = svg.inline(drawing(), "one", "x")
    assert "var(--series-1)" in inside
    assert "var(--paper)" in inside
    assert not re.findall(r"#[0-9a-f]{6}\b", inside)
    assert svg.SERIES[0] in drawing()  # the file by itself keeps its own
