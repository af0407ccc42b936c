"""Three subcircuits: the loss by clamp, when it has fallen, and whether in a phase change (Singh 2024, Fig. 5)."""

import numpy as np
from matplotlib.ticker import LogLocator

from headworks.figures import canvas, handle, legend
from headworks.studies.singh2024.figures.parts import (
    authors,
    chosen,
    hollow_points,
    limit,
    looks_of,
    loss_axis,
    named,
    never_mark,
    of_conditions,
    optional,
    plain_ticks,
    rows_axis,
    seed_curves,
    sequences_axis,
    thinned,
    time_row,
    times_panel,
)

PHASE_CHANGE = 1.5
"""Ratio of speeds from which a fall counts as a phase change; see `measures.learning.phase_change`."""
LARGEST = 100.0


def draw(options, tables):
    """Above, the loss on a linear and a logarithmic axis; below, a row a clamp: midpoints, and ratios of speeds."""
    curves, timing, names = read(options, tables)
    theirs = optional(tables, options.reference, ["condition", "midpoint"], "reference")
    losses = optional(
        tables, options.reference_curves, ["condition", "sequences", "loss"], "reference_curves"
    )
    look = looks_of(names, options.controls)
    figure, axes = canvas(2, 2, height=2.5, height_ratios=[1.3, 0.35 + 0.14 * len(names)])
    until = float(min(options.until, curves["sequences"].max()))
    for axis, log in zip(axes[0], (False, True), strict=True):
        loss_panel(axis, curves[curves["sequences"] <= until], look)
        for name, style in look.items():
            points = losses[(losses["condition"] == name) & (losses["sequences"] <= until)]
            hollow_points(axis, points["sequences"], points["loss"], style.colour)
        loss_axis(axis, log)
        sequences_axis(axis, "linear", (0, until))
    late = times_panel(axes[1][0], timing, look, reference=theirs.rename(columns={"condition": "series"}))
    axes[1][0].set_title("loss below half of ln 2", loc="left")
    shapes(axes[1][1], timing, look)
    rows_axis(axes[1][0], look, named(options.labels, names))
    extras = [authors()] if len(theirs) + len(losses) else []
    extras += [never_mark()] if late else []
    legend(
        figure,
        [
            *(handle(label, look[name]) for name, label in named(options.labels, names).items()),
            *extras,
        ],
    )
    return figure


def read(options, tables):
    """Curves and times of the conditions asked for, and these conditions."""
    curves = of_conditions(tables, options.curves, ["sequences", "loss"], "curves")
    timing = of_conditions(tables, options.timing, ["midpoint", "shape", "ended"], "timing")
    names = chosen(options.conditions, curves, "curves")
    chosen(names, timing, "timing")
    curves = curves[curves["series"].isin(names)]
    return thinned(curves, ["series", "run", "seed"]), timing[timing["series"].isin(names)], names


def loss_panel(axis, curves, look) -> None:
    """The curves of each condition."""
    for name, style in look.items():
        seed_curves(axis, curves[curves["series"] == name], style)


def shapes(axis, timing, look) -> None:
    """How much faster the loss falls again after it had slowed down; 1 is a smooth fall."""
    for place, (name, style) in enumerate(look.items()):
        values = timing.loc[timing["series"] == name, "shape"].to_numpy(float)
        time_row(axis, place, np.minimum(values, LARGEST), np.full(len(values), LARGEST), style.colour)
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    limit(axis, PHASE_CHANGE, f"{PHASE_CHANGE:g}")
    rows_axis(axis, look)
    axis.set_yticklabels([])
    axis.set_xlim(left=0.9)
    plain_ticks(axis, "x")
    axis.set_xlabel("largest speed of the fall to an earlier one")
    axis.set_title("smooth (1) or a phase change", loc="left")
