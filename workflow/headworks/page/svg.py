"""A figure's SVG made fit to stand inside the page: unique ids, no style attributes, less text.

The page's content-security-policy refuses style attributes, so they become presentation attributes; and ids that
are unique within a file clash between files.
"""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from headworks.errors import HeadworksError

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
DROPPED = {"metadata", "title", "style", "script", "foreignObject"}
BASE = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
"""What Matplotlib's own style sheet says of every element; here inherited from the outermost."""
REFERENCE = re.compile(r"url\(#([^)]+)\)")
NUMBER = re.compile(r"-?\d+\.\d{3,}")
SAFE = re.compile(r"^(#|data:image/)")
COORDINATES = {"d", "x", "y", "width", "height"}


@dataclass(frozen=True)
class Drawing:
    """A drawing without its outermost element: `viewbox` in points, `content` as markup."""

    viewbox: str
    content: str

    @property
    def width(self) -> float:
        return float(self.viewbox.split()[2])

    @property
    def height(self) -> float:
        return float(self.viewbox.split()[3])


def inlined(path: Path, prefix: str) -> Drawing:
    """The figure of an SVG file, its ids opened by `prefix`. Raises HeadworksError for anything but an SVG."""
    try:
        root = ET.parse(path).getroot()
        viewbox = root.attrib["viewBox"]
    except (ET.ParseError, KeyError, OSError) as error:
        raise HeadworksError(
            f"{path}: not an SVG figure ({error}). To make it anew: rm {path} && snakemake --cores all {path}"
        ) from None
    used = _referenced(root)
    group = ET.Element("g", BASE)
    group.extend(_clean(child, used, prefix) for child in root if _name(child) not in DROPPED)
    return Drawing(viewbox, ET.tostring(group, encoding="unicode"))


def _name(element: ET.Element) -> str:
    return element.tag.removeprefix(SVG)


def _referenced(root: ET.Element) -> set[str]:
    """Ids that something in the figure points to; the others are dropped."""
    found = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name in (LINK, "href"):
                found.add(value.removeprefix("#"))
            found.update(REFERENCE.findall(value))
    return found


def _clean(element: ET.Element, used: set[str], prefix: str) -> ET.Element:
    cleaned = ET.Element(_name(element), _attributes(element, used, prefix))
    if _name(element) in ("text", "tspan"):
        cleaned.text, cleaned.tail = element.text, element.tail
    cleaned.extend(_clean(child, used, prefix) for child in element if _name(child) not in DROPPED)
    return cleaned


def _attributes(element: ET.Element, used: set[str], prefix: str) -> dict[str, str]:
    found = {}
    for name, value in (element.attrib | _styles(element.attrib.get("style", ""))).items():
        if name == "style" or name.startswith("on"):
            continue
        if name == "id":
            if value in used:
                found["id"] = prefix + value
        elif name in (LINK, "href"):
            if SAFE.match(value):
                found["href"] = value if value.startswith("data:") else f"#{prefix}{value[1:]}"
        elif not name.startswith("{"):
            value = _shorter(value) if name in COORDINATES else value
            found[name] = REFERENCE.sub(rf"url(#{prefix}\1)", value)
    return found


def _styles(style: str) -> dict[str, str]:
    pairs = (item.split(":", 1) for item in style.split(";") if ":" in item)
    return {name.strip(): value.strip() for name, value in pairs}


def _shorter(value: str) -> str:
    """Numbers to a hundredth of a point, far below what a screen resolves."""
    return NUMBER.sub(lambda found: f"{float(found[0]):.2f}", " ".join(value.split()))
