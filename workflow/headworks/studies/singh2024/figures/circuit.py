"""The induction circuit in steps and parts, what each clamp hands over, and when the rest is learned.

Singh 2024, sec. 4.1 and 4.2; Fig. 1 and 5b. Step 1 attends to the previous token, 2 copies it; 3q, 3k and 3v
route what layer 2 reads; 4 matches the query, 5 copies the label of the match.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from headworks.errors import HeadworksError
from headworks.figures import (
    CONTROL,
    INK,
    PALETTE,
    WIDTH,
    dot,
    legend,
    need,
    or_never,
    patch,
    runs_of,
    style,
    tokens_axis,
)
from headworks.studies.singh2024.figures.marks import PARTS, thousands

STEPS = {"1": "A", "2": "A", "3q": "B", "3k": "B", "4": "B", "3v": "C", "5": "C"}
PART_NAMES = {"A": "A: layer 1", "B": "B: match", "C": "C: copy"}
HANDED_OVER = {
    "none": (),
    "attend": ("1",),
    "layer1": ("1", "2"),
    "match": ("1", "2", "3q", "3k", "4"),
    "copy": ("3v", "5"),
    "layer1-copy": ("1", "2", "3v", "5"),
    "readout": ("3q", "3k", "4"),
    "readout-copy": ("3q", "3k", "4", "3v", "5"),
}
SEVERAL = PALETTE[5]
TOKENS = {"A": "exemplar", "0": "its label", "B": "exemplar", "1": "its label", "A?": "query"}
PLACES = (1.0, 2.9, 4.8, 6.7, 9.0)
"""Of the tokens, from left to right."""
EMBEDDED, DELIVERED, ROUTED, OUTPUT = 0.0, 1.45, 2.75, 4.1
"""Heights of the rows: tokens, after layer 1, queries, keys and values, output."""
COPIED = 0.56
"""How far to the right of a label what was copied to it is drawn."""


def draw(options, tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Above, the circuit; below, a row a clamp: the steps left to learn, a dot a seed for when they are."""
    columns = ["run", "condition", "seed", "midpoint", "ended"]
    frame = need(tables, options.timing, columns, "timing")
    frame = frame[frame["run"].isin(runs_of(frame, options.runs, "timing"))]
    conditions = _conditions(options, frame)
    style()
    figure = Figure(figsize=(WIDTH, 5.6), layout="constrained")
    axes = figure.subplot_mosaic(
        [["circuit", "circuit"], ["strip", "times"]], height_ratios=[1.25, 1], width_ratios=[1, 1.25]
    )
    schematic(axes["circuit"])
    strip(axes["strip"])
    theirs = pd.DataFrame(columns=["condition", "midpoint"])
    if options.reference:
        theirs = need(tables, options.reference, list(theirs), "reference")
    times(axes["times"], frame, conditions, theirs)
    handles = [patch(name, PARTS[part], alpha=1) for part, name in PART_NAMES.items()]
    given = Rectangle((0, 0), 1, 1, facecolor="none", edgecolor=CONTROL, linewidth=0.8, label="handed over")
    authors = [dot("the authors' seeds", INK, hollow=True)] if options.reference else []
    legend(figure, [*handles, given, patch("several parts to learn", SEVERAL, alpha=1), *authors])
    return figure


def _conditions(options, frame: pd.DataFrame) -> dict[str, str]:
    """The condition of each clamp. Raises HeadworksError for one asked for that is not in the table."""
    found = list(dict.fromkeys(frame["condition"]))
    for clamp, condition in options.conditions.items():
        if condition not in found:
            raise HeadworksError(
                f"options.conditions.{clamp}: {condition!r} is not in the table of the role timing; "
                f"allowed: {', '.join(found)}"
            )
    return {clamp: options.conditions.get(clamp, clamp) for clamp in HANDED_OVER}


# The circuit


def schematic(axis: Axes) -> None:
    """Five tokens, two layers, and the steps by which the label of the match reaches the output."""
    axis.set_axis_off()
    axis.set_xlim(-1.3, 10.7)
    axis.set_ylim(-0.85, 4.65)
    rows = {"tokens": EMBEDDED, "after layer 1": DELIVERED, "layer 2": ROUTED, "output": OUTPUT}
    for name, height in rows.items():
        axis.text(-1.3, height, name, va="center", fontsize=7)
    for x, (token, word) in zip(PLACES, TOKENS.items(), strict=True):
        _box(axis, x, EMBEDDED, token[0])
        axis.text(x, EMBEDDED - 0.38, word, ha="center", va="top", fontsize=6.5)
        _arrow(axis, (x, EMBEDDED + 0.27), (x, DELIVERED - 0.27), CONTROL, width=0.7)
    _layer1(axis)
    _layer2(axis)


def _layer1(axis: Axes) -> None:
    """Each label takes up the exemplar before it."""
    for x, token in zip(PLACES, TOKENS, strict=True):
        if token in "01":
            before = "A" if token == "0" else "B"
            _box(axis, x, DELIVERED, token)
            _box(axis, x + COPIED, DELIVERED, before, PARTS["A"])
        else:
            _box(axis, x, DELIVERED, token[0])
    for left, right in ((PLACES[0], PLACES[1]), (PLACES[2], PLACES[3])):
        start, end = (left + 0.28, EMBEDDED + 0.15), (right + COPIED, DELIVERED - 0.27)
        _arrow(axis, start, end, PARTS["A"], bend="angle3,angleA=0,angleB=90", width=1.6)
    _step(
        axis, PLACES[0] + 0.85, EMBEDDED + 0.18, "1", "attend to the\nprevious token", (0.05, 0.47), "center"
    )
    _step(axis, PLACES[1] + COPIED - 0.11, EMBEDDED + 0.74, "2", "copy it", (0.25, 0), "left")


def _layer2(axis: Axes) -> None:
    """The query finds the label that holds its exemplar, and the output takes the label."""
    right, wrong, query = PLACES[1], PLACES[3], PLACES[4]
    for x in (right, wrong):
        _arrow(axis, (x + COPIED, DELIVERED + 0.27), (x + COPIED, ROUTED - 0.25), PARTS["B"])
        _arrow(axis, (x, DELIVERED + 0.27), (x, ROUTED - 0.25), PARTS["C"])
        _box(axis, x + COPIED, ROUTED, "k", PARTS["B"])
        _box(axis, x, ROUTED, "v", PARTS["C"])
    _arrow(axis, (query, DELIVERED + 0.27), (query, ROUTED - 0.25), PARTS["B"])
    _box(axis, query, ROUTED, "q", PARTS["B"])
    middle = (DELIVERED + ROUTED) / 2
    _step(axis, query, middle, "3q", "route the query", (0.25, 0), "left")
    _step(axis, right + COPIED, middle, "3k", "route the key", (0.25, 0), "left")
    _step(axis, right, middle, "3v", "route the value", (-0.25, 0), "right")
    start, end = (query - 0.26, ROUTED + 0.12), (right + COPIED + 0.05, ROUTED + 0.27)
    _arrow(axis, start, end, PARTS["B"], "arc3,rad=0.17", 1.6)
    _arrow(axis, (query - 0.26, ROUTED), (wrong + COPIED + 0.27, ROUTED), CONTROL, dash=":", width=0.9)
    axis.text((query + wrong + COPIED) / 2, ROUTED - 0.08, "no match", ha="center", va="top", fontsize=6)
    over = (start[0] + end[0]) / 2
    _step(axis, over, ROUTED + 0.66, "4", "match", (0, 0.33), "center")
    _arrow(
        axis,
        (right, ROUTED + 0.27),
        (query - 0.26, OUTPUT),
        PARTS["C"],
        "angle,angleA=90,angleB=0,rad=8",
        1.6,
    )
    _step(axis, over, OUTPUT, "5", "copy the label of the match", (0, 0.33), "center")
    _box(axis, query, OUTPUT, "0", PARTS["C"])


def _box(axis: Axes, x: float, y: float, text: str, colour: str = INK) -> None:
    style_of_box = "round,pad=0,rounding_size=0.08"
    box = FancyBboxPatch((x - 0.24, y - 0.25), 0.48, 0.5, boxstyle=style_of_box)
    box.set(facecolor="none", edgecolor=colour, linewidth=1)
    axis.add_patch(box)
    axis.text(x, y, text, ha="center", va="center", fontsize=8)


def _arrow(axis: Axes, start, end, colour, bend: str = "arc3", width: float = 1.1, dash: str = "-") -> None:
    how = {"arrowstyle": "-|>", "mutation_scale": 7, "shrinkA": 0, "shrinkB": 0, "color": colour}
    axis.add_patch(FancyArrowPatch(start, end, connectionstyle=bend, linewidth=width, linestyle=dash, **how))


def _step(axis: Axes, x: float, y: float, step: str, words: str, shift: Sequence[float], side: str) -> None:
    """A numbered disc in the colour of the step's part, with words beside it that end or start there."""
    axis.scatter(x, y, s=95, color=PARTS[STEPS[step]], linewidth=0, zorder=3)
    axis.text(x, y, step, ha="center", va="center_baseline", fontsize=6.5, color="white", zorder=4)
    axis.text(x + shift[0], y + shift[1], words, ha=side, va="center", fontsize=6.5)


# The clamps


def strip(axis: Axes) -> None:
    """A row a clamp, a column a step: filled where it must be learned, hollow where it is handed over."""
    for row, given in enumerate(HANDED_OVER.values()):
        for column, (step, part) in enumerate(STEPS.items()):
            cell = Rectangle((column - 0.4, row - 0.32), 0.8, 0.64, linewidth=0.8)
            if step in given:
                cell.set(facecolor="none", edgecolor=CONTROL)
            else:
                cell.set(facecolor=PARTS[part], edgecolor=PARTS[part])
            axis.add_patch(cell)
    axis.set_xlim(-0.6, len(STEPS) - 0.4)
    axis.set_ylim(len(HANDED_OVER) - 0.4, -0.6)
    axis.set_xticks(range(len(STEPS)), list(STEPS))
    axis.set_yticks(range(len(HANDED_OVER)), list(HANDED_OVER))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.set_xlabel("step of the circuit")
    axis.set_ylabel("clamp")
    axis.set_title("what is left to learn (filled)", loc="left")


def times(axis: Axes, frame: pd.DataFrame, conditions: Mapping[str, str], theirs: pd.DataFrame) -> None:
    """Midpoints of each clamp's seeds, and their median, on the rows of the strip; the authors' are hollow."""
    shown = frame[frame["condition"].isin(conditions.values())]
    found = np.concatenate([part["midpoint"].to_numpy(float) for part in (shown, theirs)])
    found = found[np.isfinite(found)]
    longest = max([float(frame["ended"].max()), *found])
    shortest = found.min() * 0.8 if len(found) else longest / 100
    for row, (clamp, condition) in enumerate(conditions.items()):
        _published(
            axis,
            row,
            or_never(theirs.loc[theirs["condition"] == clamp, "midpoint"], longest, shortest, "log"),
        )
        values = shown.loc[shown["condition"] == condition, "midpoint"].dropna().to_numpy(float)
        if not len(values):
            axis.text(
                0.02, row, "not trained", transform=axis.get_yaxis_transform(), va="center", fontsize=6.5
            )
            continue
        _row(axis, row, or_never(values, longest, shortest, "log"), _colour(clamp))
        median = float(np.quantile(values, 0.5, method="higher"))
        word = "never" if math.isinf(median) else thousands(median)
        axis.text(1.01, row, word, transform=axis.get_yaxis_transform(), va="center", fontsize=6.5)
    tokens_axis(axis, "log", (shortest, longest), name="training sequences", with_never=True)
    axis.set_ylim(len(conditions) - 0.4, -0.6)
    axis.set_yticks([])
    axis.set_title("loss below half of ln 2 (median at the right)", loc="left")


def _row(axis: Axes, row: int, places: np.ndarray, colour: str) -> None:
    """A pale dot a seed and their median; of an even number of seeds the later of the two middle ones."""
    offsets = np.linspace(-0.2, 0.2, len(places)) if len(places) > 1 else np.zeros(1)
    axis.scatter(places, row + offsets, s=9, color=colour, alpha=0.5, linewidth=0)
    axis.plot(np.quantile(places, 0.5, method="higher"), row, "o", markersize=4.5, color=colour)


def _published(axis: Axes, row: int, places: np.ndarray) -> None:
    """The authors' seeds, hollow, above the row's own."""
    how = {"s": 12, "facecolor": "none", "edgecolor": INK, "linewidth": 0.7}
    axis.scatter(places, np.full(len(places), row - 0.32), **how)


def _colour(clamp: str) -> str:
    """That of the one part left to learn, if it is one."""
    left = {part for step, part in STEPS.items() if step not in HANDED_OVER[clamp]}
    return PARTS[left.pop()] if len(left) == 1 else SEVERAL
