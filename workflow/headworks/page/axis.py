"""Small horizontal axes as SVG: a claim's interval against its criterion, and rows of readings on one scale.

Colours come from classes, which page.css defines for light and dark; an axis says in words what it draws.
"""

import math
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

from headworks.claim_spec import Bounds

WIDTH, MARGIN = 260, 8
LANES = {"paper": 8, "ours": 19, "control": 30}
"""Heights of the three lanes, so that what agrees does not hide what it agrees with."""
FLOOR, HEIGHT = 38, 52
REACH = 3
"""A control farther from the rest than this many times their span is an arrow at the edge: it would squash them."""
MOST_TICKS, LONG = 6, 5
"""Ticks on an axis; two fewer where one has more characters than this."""
EXPONENTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None) -> str:
    """A number for readers, three digits: 0.863, 183,000, 1.8 × 10⁻⁷; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–" if value is None or math.isnan(value) else ("∞" if value > 0 else "−∞")
    size = abs(value)
    if size >= 1e9 or 0 < size < 1e-3:
        digits, power = f"{value:.2g}".split("e") if "e" in f"{value:.2g}" else f"{value:.1e}".split("e")
        return f"{digits} × 10{str(int(power)).translate(EXPONENTS)}".replace("-", "−")
    if size >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


def with_interval(value: float | None, interval: Sequence[float | None]) -> str:
    """'1.03 [1.00, 1.06]'; without an interval the value alone."""
    if None in interval:
        return number(value)
    return f"{number(value)} [{number(interval[0])}, {number(interval[1])}]"


def ends(criterion: dict) -> tuple[float, float]:
    """The lower and upper end of a criterion as claims store it; infinite where it has none."""
    bounds = Bounds.model_validate({key: criterion.get(key) for key in Bounds.model_fields})
    return bounds.low, bounds.high


def claim_axis(claim: dict, seeds: bool = False) -> Markup:
    """A claim's criterion (shaded), its value and interval, the paper's value and the control's, in three lanes.

    `claim` is the content of a claim file; `seeds` adds a dot for each replica's value.
    """
    low, high = domain(claim, seeds)
    place = _placer(low, high)
    control = claim["control"]
    parts = [
        _band(place, *ends(claim["criterion"])),
        *_scale(place, low, high),
        _interval(place, control["interval"], "control"),
        _square(place, control["value"]),
    ]
    if seeds:
        parts += [_dot(place, item["value"], LANES["ours"], "seed", 2.2) for item in claim["seeds"]]
        parts += [_dot(place, item["value"], LANES["control"], "seed", 2.2) for item in control["seeds"]]
    parts += [
        _interval(place, claim["interval"], "ours"),
        _dot(place, claim["value"], LANES["ours"], "ours", 4),
        _diamond(place, claim["reported_value"]),
    ]
    return _svg(parts, description(claim), "axis")


def domain(claim: dict, seeds: bool = False) -> tuple[float, float]:
    """What the axis of a claim spans: our values, the criterion, the paper's value, and the control if it is near."""
    near = [claim["value"], *claim["interval"], claim["reported_value"], *ends(claim["criterion"])]
    near = _finite(near + ([item["value"] for item in claim["seeds"]] if seeds else []))
    low, high = min(near, default=0.0), max(near, default=1.0)
    span = (high - low) or abs(high) or 1.0
    control = claim["control"]["value"]
    if control is not None and low - REACH * span <= control <= high + REACH * span:
        low, high = min(low, control), max(high, control)
    return _padded(low, high)


def description(claim: dict) -> str:
    """What a claim's axis shows, in words."""
    if claim["value"] is None:
        ours = "no value"
    elif None in claim["interval"]:
        ours = f"ours {number(claim['value'])}, no interval"
    else:
        low, high = map(number, claim["interval"])
        ours = f"ours {number(claim['value'])}, interval {low} to {high}"
    parts = [ours, f"criterion {claim['criterion']['text']}"]
    if claim["reported_value"] is not None:
        parts.append(f"paper {number(claim['reported_value'])}")
    return "; ".join([*parts, f"control {number(claim['control']['value'])}"])


def shared_domain(rows: Iterable[dict]) -> tuple[float, float]:
    """One scale for several readings, from zero where all are positive."""
    found = _finite([x for row in rows for x in (row["value"], *row["interval"], *row["values"])])
    return _padded(min([0.0, *found]), max([0.0, *found]))


def reading_axis(row: dict, span: tuple[float, float], ticks: bool = False) -> Markup:
    """A reading: a dot for each replica, their mean and its interval. `row` has value, interval, values and label.

    `ticks` adds the scale, which the last of several rows carries for all.
    """
    place = _placer(*span)
    lane = 8
    parts = [_line(place(0.0), 0, place(0.0), 16, "axis-zero")] if span[0] <= 0 <= span[1] else []
    parts += [_dot(place, value, lane, "seed", 2.2) for value in row["values"]]
    parts += [_interval(place, row["interval"], "ours", lane), _dot(place, row["value"], lane, "ours", 4)]
    height = 16
    if ticks:
        parts += _scale(place, *span, floor=18)
        height = 33
    said = f"{row['label']}: {with_interval(row['value'], row['interval'])}"
    return _svg(parts, said, "axis one-lane", height)


def _finite(values: Iterable[float | None]) -> list[float]:
    return [float(x) for x in values if x is not None and math.isfinite(x)]


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = 0.06 * ((high - low) or abs(high) or 1.0)
    return low - pad, high + pad


def _placer(low: float, high: float):
    """From a value to its place, at the edge for what lies beyond."""

    def place(value: float) -> float:
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(MARGIN + share * (WIDTH - 2 * MARGIN), 2)

    place.inside = lambda value: low <= value <= high
    return place


def _svg(parts: Iterable[str], said: str, kind: str, height: int = HEIGHT) -> Markup:
    return Markup(
        f'<svg class="{kind}" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(said)}">{"".join(parts)}</svg>'
    )


def _band(place, low: float, high: float) -> str:
    left = MARGIN if math.isinf(low) else place(low)
    right = WIDTH - MARGIN if math.isinf(high) else place(high)
    band = f'<rect class="axis-criterion" x="{left}" y="1" width="{round(right - left, 2)}" height="{FLOOR - 1}"/>'
    edges = [
        _line(place(end), 1, place(end), FLOOR, "axis-edge") for end in (low, high) if math.isfinite(end)
    ]
    return band + "".join(edges)


def _scale(place, low: float, high: float, floor: float = FLOOR) -> list[str]:
    parts = [_line(MARGIN, floor, WIDTH - MARGIN, floor, "axis-line")]
    marks = ticks(low, high)
    if max(len(number(tick)) for tick in marks) > LONG:
        marks = ticks(low, high, MOST_TICKS - 2)
    for tick in marks:
        x = place(tick)
        parts += [
            _line(x, floor, x, floor + 3, "axis-line"),
            f'<text class="axis-tick" x="{x}" y="{floor + 13}" text-anchor="{_anchor(x)}">{number(tick)}</text>',
        ]
    return parts


def _anchor(x: float) -> str:
    if x < MARGIN + 12:
        return "start"
    return "end" if x > WIDTH - MARGIN - 12 else "middle"


def ticks(low: float, high: float, most: int = MOST_TICKS) -> list[float]:
    """Round numbers between two ends: at most `most`, at least one."""
    rough = (high - low) / (most - 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10, 20) if factor * power >= rough)
    first = math.ceil(low / step)
    return [float(f"{i * step:.6g}") for i in range(first, math.floor(high / step) + 1)]


def _interval(place, interval: Sequence[float | None], kind: str, y: float | None = None) -> str:
    y = LANES[kind] if y is None else y
    low, high = interval
    if low is None or high is None:
        return ""
    line = _line(place(low), y, place(high), y, f"axis-interval {kind}")
    caps = [
        _line(place(x), y - 3, place(x), y + 3, f"axis-interval {kind}") for x in interval if place.inside(x)
    ]
    return line + "".join(caps) + "".join(_arrow(place, x, y, kind) for x in interval)


def _arrow(place, value: float, y: float, kind: str) -> str:
    """A head at the edge for what lies beyond it."""
    if place.inside(value):
        return ""
    x = place(value)
    back = 5 if x <= MARGIN else -5
    return f'<path class="axis-arrow {kind}" d="M{x - back} {y}L{x} {y - 4}L{x} {y + 4}Z"/>'


def _dot(place, value: float | None, y: float, kind: str, radius: float) -> str:
    if value is None or not math.isfinite(value) or not place.inside(value):
        return ""
    return f'<circle class="axis-dot {kind}" cx="{place(value)}" cy="{y}" r="{radius}"/>'


def _square(place, value: float | None) -> str:
    if value is None:
        return ""
    y = LANES["control"]
    if not place.inside(value):
        return _arrow(place, value, y, "control")
    return f'<rect class="axis-square" x="{place(value) - 3.5:g}" y="{y - 3.5}" width="7" height="7"/>'


def _diamond(place, value: float | None) -> str:
    if value is None:
        return ""
    x, y = place(value), LANES["paper"]
    return f'<path class="axis-diamond" d="M{x} {y - 5}L{x + 5:g} {y}L{x} {y + 5}L{x - 5:g} {y}Z"/>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'
