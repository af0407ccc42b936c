"""Every combination of parts given and learned: the fewer are left, the smoother and sooner (Singh 2024, sec. 4)."""

import numpy as np
from matplotlib.figure import Figure

from headworks.errors import HeadworksError
from headworks.figures import WIDTH, handle, legend, style
from headworks.studies.singh2024.figures.parts import (
    LN2,
    chosen,
    looks_of,
    loss_axis,
    named,
    never_mark,
    of_conditions,
    rows_axis,
    seed_curves,
    sequences_axis,
    thinned,
    times_panel,
)

PARTS = "ABC"
ROOM = 1.4
"""Of the highest loss: the names of the lines stand above them."""
TITLES = (
    "nothing left to learn",
    "one part left to learn",
    "two parts left to learn",
    "three parts left to learn",
)


def draw(options, tables):
    """Above, the loss in a panel for each number of parts left; below, times in a row for each combination."""
    curves = of_conditions(tables, options.curves, ["sequences", "loss"], "curves")
    timing = of_conditions(tables, options.timing, ["midpoint", "ended"], "timing")
    left = left_of(options, curves)
    chosen(list(left), timing, "timing", "given")
    look = looks_of(list(left), options.controls)
    labels = {
        name: f"{word} ({left[name] or 'none'} left)" for name, word in named(options.labels, left).items()
    }
    curves = thinned(curves[curves["series"].isin(left)], ["series", "run", "seed"])
    highest = max([LN2, *curves.loc[np.isfinite(curves["loss"]), "loss"]])
    groups: dict[int, list[str]] = {}
    for name, parts in left.items():
        groups.setdefault(len(parts), []).append(name)
    figure, panels, below = _layout(len(groups), len(left))
    for axis, (number, names) in zip(panels, groups.items(), strict=True):
        shown = curves[curves["series"].isin(names)]
        for name in names:
            seed_curves(axis, shown[shown["series"] == name], look[name])
        loss_axis(axis)
        axis.set_ylim(0, ROOM * highest)
        sequences_axis(axis, "linear", (0, float(shown["sequences"].max())))
        axis.set_title(TITLES[number], loc="left")
        if axis is not panels[0]:
            axis.set_ylabel("")
            axis.tick_params(labelleft=False)
        axis.legend(
            handles=[handle(labels[name], look[name]) for name in names], loc="upper right", fontsize=6
        )
    late = times_panel(below, timing, look)
    rows_axis(below, look, labels)
    below.set_title("loss below half of ln 2", loc="left")
    legend(figure, [never_mark()] if late else [])
    return figure


def left_of(options, curves) -> dict[str, str]:
    """Condition → the parts left to learn, most first. Raises HeadworksError for a condition not in `given`."""
    if unknown := [name for name in options.conditions if name not in options.given]:
        raise HeadworksError(
            f"options.conditions: {', '.join(unknown)} is not in options.given; allowed: {', '.join(options.given)}"
        )
    names = chosen(options.conditions or list(options.given), curves, "curves", "given")
    left = {name: "".join(part for part in PARTS if part not in options.given[name]) for name in names}
    return dict(sorted(left.items(), key=lambda item: -len(item[1])))


def _layout(columns: int, rows: int):
    """The figure, its panels of curves side by side, and the panel of times below them."""
    style()
    lower = 0.7 + 0.19 * rows
    figure = Figure(figsize=(WIDTH, 2.3 + lower), layout="constrained")
    names = [f"curves {i}" for i in range(columns)]
    axes = figure.subplot_mosaic([names, ["times"] * columns], height_ratios=[2.1, lower])
    return figure, [axes[name] for name in names], axes["times"]
