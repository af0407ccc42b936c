"""The toy model: fewer factors to learn, a shorter wait at the saddle (Singh 2024, Fig. 5a and 9)."""

import numpy as np

from headworks.figures import INK, Look, canvas, dot, handle, legend, need
from headworks.studies.singh2024.figures.marks import level
from headworks.studies.singh2024.figures.parts import (
    LOOKS,
    hollow_points,
    optional,
    plain_ticks,
    rows_axis,
    time_row,
)

CLAMPED = {
    "none": ("none given", LOOKS["none"]),
    "c": ("c given", LOOKS["copy"]),
    "bc": ("b and c given", LOOKS["readout-copy"]),
}
MEASURES = {
    "progress": ("1 − cos² of a and its truth", "-"),
    "progress_loss": ("loss with b and c true", "--"),
}
BAND = (0.1, 0.5, 0.9)


def draw(options, tables):
    """Loss by factors given, the times of half of the saddle's loss, and measures of progress without clamps."""
    columns = ["row", "seed", "clamped", "saddle_loss", "iteration", "loss", "half_time", *MEASURES]
    frame = need(tables, options.toy, columns, "toy")
    theirs = optional(
        tables,
        options.reference,
        ["clamped", "quantity", "source", "percentile", "iterations"],
        "reference",
    )
    curves = frame[(frame["row"] == "curve") & (frame["iteration"] > 0)]
    share = curves.assign(
        loss=curves["loss"] / curves["saddle_loss"],
        progress_loss=curves["progress_loss"] / curves["saddle_loss"],
    )
    figure, axes = canvas(1, 3, height=2.5)
    for clamped, (_, look) in CLAMPED.items():
        banded(axes[0][0], share[share["clamped"] == clamped], "loss", look)
    axes[0][0].set_ylabel("loss / loss at the saddle")
    half_times(axes[0][1], frame[frame["row"] == "summary"], theirs, int(curves["iteration"].max()))
    alone = share[share["clamped"] == "none"]
    banded(axes[0][2], alone, "loss", CLAMPED["none"][1])
    for measure, (_, dash) in MEASURES.items():
        banded(axes[0][2], alone, measure, Look(LOOKS["attend"].colour, dash))
    axes[0][2].set_ylabel("progress measure of a")
    for axis in (axes[0][0], axes[0][2]):
        level(axis, 1)
        axis.set_ylim(0, 2)
        axis.set_xscale("log")
        plain_ticks(axis, "x")
        axis.set_xlim(curves["iteration"].min(), curves["iteration"].max())
        axis.set_xlabel("iterations")
    handles = [handle(name, look) for name, look in CLAMPED.values()]
    handles += [handle(name, Look(LOOKS["attend"].colour, dash)) for name, dash in MEASURES.values()]
    legend(figure, [*handles, *(_reference_handles(theirs) if len(theirs) else [])])
    return figure


def banded(axis, curves, y: str, look: Look) -> None:
    """The median over draws and a band from the 10th to the 90th percentile."""
    low, middle, high = (curves.groupby("iteration")[y].quantile(share) for share in BAND)
    axis.fill_between(low.index, low, high, color=look.colour, alpha=0.15, linewidth=0)
    axis.plot(middle.index, middle, color=look.colour, linestyle=look.dash)


def half_times(axis, summaries, theirs, longest: int) -> None:
    """A dot a draw; above the row percentiles of other draws, and the authors' single one."""
    for place, (clamped, (_, look)) in enumerate(CLAMPED.items()):
        times = summaries.loc[summaries["clamped"] == clamped, "half_time"]
        time_row(axis, place, times, np.full(len(times), longest), look.colour)
        rows = theirs[(theirs["clamped"] == clamped) & (theirs["quantity"] == "half_time")]
        others, figure = (rows[rows["source"] == source] for source in ("rerun", "figure"))
        axis.plot(
            others["iterations"],
            np.full(len(others), place + 0.3),
            marker="|",
            color=look.colour,
            linewidth=0.6,
        )
        hollow_points(axis, figure["iterations"], np.full(len(figure), place + 0.3), look.colour)
    rows_axis(axis, dict.fromkeys(CLAMPED), {name: label for name, (label, _) in CLAMPED.items()})
    axis.set_xscale("log")
    plain_ticks(axis, "x")
    axis.set_xlabel("iterations to half\nof the saddle's loss")


def _reference_handles(theirs) -> list:
    found = [dot("the authors' draw", INK, hollow=True)] if "figure" in set(theirs["source"]) else []
    if "rerun" in set(theirs["source"]):
        found.append(dot("10, 50, 90 % of 60 other draws", INK, "|"))
    return found
