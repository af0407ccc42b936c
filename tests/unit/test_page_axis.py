"""Axes: numbers as people read them, where marks lie, and what is said of them."""

import math
import re

import pytest

from headworks.page import axis


def a_claim(value=1.0, interval=(0.9, 1.1), criterion=None, reported=None, control=0.1, text="≥ 0.5") -> dict:
    return {
        "value": value,
        "interval": list(interval),
        "reported_value": reported,
        "criterion": (criterion or {"at_least": 0.5}) | {"text": text},
        "control": {"value": control, "interval": [control, control], "seeds": []},
        "seeds": [{"seed": 0, "value": 0.95}, {"seed": 1, "value": None}],
    }


def place(value: float, claim: dict) -> float:
    """Where a claim's axis puts a value, told from the rule of three."""
    low, high = axis.domain(claim)
    return axis.MARGIN + (value - low) / (high - low) * (axis.WIDTH - 2 * axis.MARGIN)


def attribute(drawn: str, selector: str, name: str) -> float:
    element = re.search(rf'<[a-z]+ class="{selector}"[^>]*>', drawn)[0]
    return float(re.search(rf' {name}="([^"]+)"', element)[1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (0.0, "0"),
        (0.863456, "0.863"),
        (-1.30123, "−1.3"),
        (1234.5, "1,230"),
        (183000.0, "183,000"),
        (-0.000000182, "−1.8 × 10⁻⁷"),
        (2.5e12, "2.5 × 10¹²"),
        (0.0004, "4.0 × 10⁻⁴"),
    ],
)
def test_numbers(value, text):
    assert axis.number(value) == text


def test_a_value_without_an_interval_stands_alone():
    assert axis.with_interval(2.0, [None, None]) == "2"
    assert axis.with_interval(2.0, [1.5, 2.5]) == "2 [1.5, 2.5]"


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [
        ({"at_least": 0.4}, (0.4, math.inf)),
        ({"above": 1}, (1, math.inf)),
        ({"at_most": 2}, (-math.inf, 2)),
        ({"below": 2, "above": 1}, (1, 2)),
        ({"between": [0, 1]}, (0, 1)),
    ],
)
def test_ends_of_a_criterion(criterion, expected):
    assert axis.ends(criterion) == expected


def test_value_and_control_lie_on_one_linear_scale():
    claim = a_claim(reported=0.7)
    drawn = str(axis.claim_axis(claim))
    assert attribute(drawn, "axis-dot ours", "cx") == pytest.approx(place(1.0, claim), abs=0.01)
    assert attribute(drawn, "axis-square", "x") + 3.5 == pytest.approx(place(0.1, claim), abs=0.01)
    assert f"M{place(0.7, claim):.2f}".rstrip("0") in drawn


@pytest.mark.parametrize(
    ("criterion", "left", "right"),
    [
        ({"at_least": 0.5}, 0.5, None),
        ({"at_most": 0.5}, None, 0.5),
        ({"between": [0.5, 0.8]}, 0.5, 0.8),
    ],
)
def test_the_criterion_is_shaded_to_the_edge_where_it_is_open(criterion, left, right):
    claim = a_claim(criterion=criterion)
    drawn = str(axis.claim_axis(claim))
    x, width = (attribute(drawn, "axis-criterion", name) for name in ("x", "width"))
    edges = (axis.MARGIN, axis.WIDTH - axis.MARGIN)
    wanted = (
        edges[0] if left is None else place(left, claim),
        edges[1] if right is None else place(right, claim),
    )
    assert (x, x + width) == pytest.approx(wanted, abs=0.02)


def test_a_far_control_becomes_an_arrow_and_squashes_nothing():
    near, far = a_claim(control=0.1), a_claim(control=-40.0)
    assert axis.domain(far)[0] > 0
    assert "axis-square" in axis.claim_axis(near)
    drawn = str(axis.claim_axis(far))
    assert "axis-square" not in drawn
    assert 'class="axis-arrow control"' in drawn


def test_a_claim_without_a_value_still_shows_its_criterion():
    claim = a_claim(value=None, interval=(None, None), reported=0.65, control=0.0)
    drawn = str(axis.claim_axis(claim, seeds=True))
    assert "axis-criterion" in drawn
    assert "axis-dot ours" not in drawn
    assert axis.description(claim) == "no value; criterion ≥ 0.5; paper 0.65; control 0"


def test_seeds_are_dots_of_those_that_gave_a_value():
    assert str(axis.claim_axis(a_claim(), seeds=True)).count('class="axis-dot seed"') == 1
    assert "axis-dot seed" not in axis.claim_axis(a_claim())


def test_an_axis_with_seeds_reaches_all_of_ours():
    claim = a_claim()
    claim["seeds"].append({"seed": 2, "value": 7.0})
    assert axis.domain(claim, seeds=True)[1] > 7 > axis.domain(claim)[1]


def test_words_from_a_claim_are_escaped():
    assert "<script" not in axis.claim_axis(a_claim(text='"<script>'))


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((0.01, 1.07), [0.5, 1.0]),
        ((-0.3, 0.3), [-0.2, 0.0, 0.2]),
        ((0, 400000), [0, 100000, 200000, 300000, 400000]),
    ],
)
def test_ticks_are_round_and_within(ends, expected):
    assert axis.ticks(*ends) == expected


@pytest.mark.parametrize("span", [1e-9, 0.07, 1.0, 36.0, 9.9e5])
@pytest.mark.parametrize("start", [-1e5, -0.2, 0.0, 3.3])
def test_ticks_are_few_and_never_none(start, span):
    found = axis.ticks(start, start + span) if start + span > start else [start]
    assert 1 <= len(found) <= axis.MOST_TICKS


def test_readings_share_a_scale_from_zero():
    rows = [
        {"label": "1st", "value": 4.0, "interval": [3.0, 5.0], "values": [4.0]},
        {"label": "2nd", "value": 1.0, "interval": [None, None], "values": [1.0]},
    ]
    low, high = axis.shared_domain(rows)
    assert low < 0 < 5 < high
    first, second = (
        attribute(str(axis.reading_axis(row, (low, high))), "axis-dot ours", "cx") for row in rows
    )
    zero = attribute(str(axis.reading_axis(rows[0], (low, high))), "axis-zero", "x1")
    assert (first - zero) == pytest.approx(4 * (second - zero), abs=0.05)


def test_a_reading_without_a_value_draws_none():
    row = {"label": "1st", "value": None, "interval": [None, None], "values": []}
    drawn = str(axis.reading_axis(row, axis.shared_domain([row]), ticks=True))
    assert "axis-dot" not in drawn
    assert 'aria-label="1st: –"' in drawn
