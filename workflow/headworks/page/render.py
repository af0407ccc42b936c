"""The page: one HTML file from the gathered studies and the head viewer's data, everything inlined."""

import base64
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from headworks.monitor_spec import QUESTIONS
from headworks.page import axis
from headworks.page.gather import load
from headworks.store import write_text
from headworks.verdicts import SHAPES

HERE = Path(__file__).parent
VERDICTS = {
    "reproduced": "The whole interval meets the criterion, and the control fails it.",
    "not reproduced": "The whole interval lies outside the criterion.",
    "inconclusive": "The interval straddles the criterion's end, or the control's does.",
    "underpowered": "Too few seeds gave a value to decide.",
    "unsound": "The control meets the criterion too, so this check cannot tell.",
}
STATES = {
    "failed": "failed the criterion, as it should",
    "passed": "met the criterion too",
    "unclear": "came too near the criterion to tell",
    "undefined": "gave no value, so it did not meet the criterion",
}
VIEWER_STYLES, VIEWER_SCRIPTS = ("viewer.css",), ("viewer_parts.js", "viewer.js")


def write(studies: list[Path], views: list[Path], out: Path) -> None:
    """Write the page of these gathered studies; `views` are results/{study}/views/{name}.json."""
    write_text(out, render([load(path) for path in studies], [_view(path) for path in views]))


def render(studies: list[dict], views: list[dict]) -> str:
    """The page's HTML. `studies` as gathered; `views`: study, name and data, what the head viewer shows."""
    styles = [Inlined.of(name) for name in ("page.css", *(VIEWER_STYLES if views else ()))]
    scripts = [Inlined.of(name) for name in ("page.js", *(VIEWER_SCRIPTS if views else ()))]
    claims = [claim for study in studies for claim in study["claims"]]
    return (
        _environment()
        .get_template("page.html.j2")
        .render(
            studies=studies,
            views=views,
            styles=styles,
            scripts=scripts,
            policy=_policy(styles, scripts),
            claims=claims,
            counts=Counter(claim["verdict"] for claim in claims),
            scales=sorted({claim["scale"] for claim in claims}),
            seeds=sorted({len(claim["seeds"]) for claim in claims}),
            seconds=sum(job["seconds"] or 0 for study in studies for job in study["jobs"].values()),
        )
    )


@dataclass(frozen=True)
class Inlined:
    """A style sheet or script as it stands in the page, with the source that the policy admits it by."""

    text: Markup
    source: str

    @classmethod
    def of(cls, name: str) -> "Inlined":
        text = (HERE / "static" / name).read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return cls(Markup(text), f"'sha256-{digest}'")


def _policy(styles: list[Inlined], scripts: list[Inlined]) -> str:
    """Nothing but what the page itself brings: no network, no other script or style, not even a style attribute."""
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(script.source for script in scripts),
        "style-src": " ".join(style.source for style in styles),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _view(path: Path) -> dict:
    path = Path(path)
    return {"study": path.parents[1].name, "name": path.stem, "data": load(path)}


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": axis.number,
        "minus": minus,
        "duration": duration,
        "megabytes": megabytes,
        "slug": slug,
        "from_page": from_page,
        "embedded": embedded,
    }
    environment.globals |= {
        "claim_axis": axis.claim_axis,
        "reading_axis": axis.reading_axis,
        "shared_domain": axis.shared_domain,
        "with_interval": axis.with_interval,
        "per_seed": per_seed,
        "VERDICTS": VERDICTS,
        "SHAPES": list(SHAPES),
        "STATES": STATES,
        "QUESTIONS": QUESTIONS,
    }
    return environment


def minus(text: str) -> str:
    """Minus signs in place of the hyphens before numbers."""
    return re.sub(r"-(?=\d)", "−", text)


def slug(verdict: str) -> str:
    return verdict.replace(" ", "-")


def from_page(path: str) -> str:
    """A path of the repository as the page, which lies in results/, links to it."""
    return path.removeprefix("results/") if path.startswith("results/") else f"../{path}"


def embedded(value) -> Markup:
    """JSON that can stand in a script element whatever it holds."""
    return Markup(json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"))


def per_seed(claim: dict) -> list[tuple]:
    """Seed, our value and the control's, for the seeds of either."""
    ours = {item["seed"]: item["value"] for item in claim["seeds"]}
    control = {item["seed"]: item["value"] for item in claim["control"]["seeds"]}
    return [(seed, ours.get(seed), control.get(seed)) for seed in dict.fromkeys([*ours, *control])]


def duration(seconds: float | None) -> str:
    """Wall time for people: 42 s, 14 min, 2 h 5 min."""
    if seconds is None:
        return "not measured"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def megabytes(memory: float | None) -> str:
    if memory is None:
        return "not measured"
    return f"{memory:.0f} MB" if memory < 1000 else f"{memory / 1000:.1f} GB"
