"""Clamps reveal what progress measures hide (Singh 2024, App. D.2; Fig. 10)."""

from headworks.errors import HeadworksError
from headworks.figures import Look, canvas, handle, legend, need
from headworks.studies.singh2024.figures.parts import (
    LOOKS,
    authors,
    chosen,
    hollow_points,
    looks_of,
    loss_axis,
    named,
    of_conditions,
    optional,
    seed_curves,
    sequences_axis,
    thinned,
)

OWN = "none"


def draw(options, tables):
    """A column a measure: trained with the clamp, and clamped in evaluation alone; above linear, below log."""
    columns = ["run", "condition", "seed", "measure", "sequences", "loss"]
    progress = need(tables, options.progress, columns, "progress")
    curves = of_conditions(tables, options.curves, ["sequences", "loss"], "curves")
    theirs = optional(tables, options.reference, ["condition", "clamped", "sequences", "loss"], "reference")
    measures = measures_of(options, progress)
    chosen(measures, curves, "curves", "measures")
    look, names = looks_of(measures), named(options.labels, measures)
    until = float(min(options.until, progress["sequences"].max()))
    progress = progress[progress["sequences"] <= until]
    curves = curves[curves["series"].isin(measures) & (curves["sequences"] <= until)]
    curves = thinned(curves, ["series", "run", "seed"])
    figure, axes = canvas(2, len(measures), height=2.0, sharey="row", sharex=True)
    for row, log in zip(axes, (False, True), strict=True):
        for axis, measure in zip(row, measures, strict=True):
            colour = look[measure].colour
            seed_curves(axis, progress[progress["measure"] == OWN], LOOKS["none"])
            seed_curves(axis, progress[progress["measure"] == measure], Look(colour, "--"))
            seed_curves(axis, curves[curves["series"] == measure], Look(colour))
            points = theirs[(theirs["condition"] == measure) & (theirs["sequences"] <= until)]
            hollow_points(axis, points["sequences"], points["loss"], colour)
            loss_axis(axis, log, floor=1e-3)
            sequences_axis(axis, "linear", (0, until))
            axis.label_outer()
    for axis, measure in zip(axes[0], measures, strict=True):
        axis.set_title(names[measure], loc="left")
    handles = [handle(f"clamped in training: {names[measure]}", look[measure]) for measure in measures]
    handles += [
        handle(f"clamped in evaluation alone: {names[measure]}", Look(look[measure].colour, "--"))
        for measure in measures
    ]
    handles.append(handle("nothing clamped", LOOKS["none"]))
    legend(figure, [*handles, *([authors()] if len(theirs) else [])])
    return figure


def measures_of(options, progress) -> list[str]:
    """The measures to draw: those asked for, or all but the network's own loss."""
    found = [name for name in dict.fromkeys(progress["measure"]) if name != OWN]
    if unknown := [name for name in options.measures if name not in found]:
        raise HeadworksError(
            f"options.measures: {', '.join(unknown)} is not in the table of the role progress; "
            f"allowed: {', '.join(found) or 'none'}"
        )
    return list(options.measures) or found
