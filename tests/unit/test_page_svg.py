"""Figures made fit for the page: their ids, their styles, and nothing that could run."""

import pytest

from headworks.errors import HeadworksError
from headworks.page.svg import inlined

FILE = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 504 208.8"
  onload="alert(1)">
 <title>a figure</title>
 <metadata><x>y</x></metadata>
 <script>alert(2)</script>
 <defs><style type="text/css">*{stroke-linejoin: round}</style><clipPath id="clip"><rect width="5" height="5"/></clipPath></defs>
 <g id="unused"><path id="mark" d="M 1.234567 2
  L 3 4" style="fill: none; stroke: #6e7681"/>
  <use xlink:href="#mark" x="57.302217" clip-path="url(#clip)" transform="scale(0.001234)"/>
  <image xlink:href="data:image/png;base64,AAAA" width="3"/><use xlink:href="https://example.org/x.svg#y"/>
  <text style="font-size: 7px; text-anchor: end" onclick="alert(3)">a &lt; b</text></g>
</svg>"""


@pytest.fixture
def drawn(tmp_path):
    (tmp_path / "figure.svg").write_text(FILE)
    return inlined(tmp_path / "figure.svg", "study.figure.")


def test_the_size_is_kept(drawn):
    assert (drawn.width, drawn.height) == (504, 208.8)


def test_styles_become_attributes(drawn):
    assert "style=" not in drawn.content
    assert 'fill="none" stroke="#6e7681"' in drawn.content
    assert 'font-size="7px" text-anchor="end"' in drawn.content


def test_ids_that_something_uses_are_made_unique_and_others_dropped(drawn):
    assert 'id="study.figure.mark"' in drawn.content
    assert 'href="#study.figure.mark"' in drawn.content
    assert 'clip-path="url(#study.figure.clip)"' in drawn.content
    assert "unused" not in drawn.content


def test_coordinates_are_short_and_scales_exact(drawn):
    assert 'd="M 1.23 2 L 3 4"' in drawn.content
    assert 'x="57.30"' in drawn.content
    assert "scale(0.001234)" in drawn.content


def test_nothing_runs_and_nothing_is_fetched(drawn):
    for word in ("script", "alert", "onload", "onclick", "https:", "metadata", "title"):
        assert word not in drawn.content
    assert 'href="data:image/png;base64,AAAA"' in drawn.content


def test_text_stays_escaped(drawn):
    assert "a &lt; b</text>" in drawn.content


@pytest.mark.parametrize("text", ["not xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_another_file_is_refused_by_name(tmp_path, text):
    (tmp_path / "figure.svg").write_text(text)
    with pytest.raises(HeadworksError, match=r"figure\.svg: not an SVG figure"):
        inlined(tmp_path / "figure.svg", "")
