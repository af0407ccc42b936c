"""Training curves of any runs: loss, in-context learning and best head scores against tokens."""

from headworks.figures import (
    CONTROL,
    Look,
    canvas,
    drawable,
    handle,
    looks,
    need,
    patch,
    runs_of,
    seed_lines,
    tokens_axis,
)
from headworks.studies.olsson2022.figures.parts import (
    MEASURES,
    chance_line,
    of_phases,
    one_dataset,
    runs_legend,
    shade_typical,
    token_bounds,
)

REFERENCES = {"bayes": ("Bayes-optimal", "--"), "bigram": ("bigram table alone", "-.")}


def draw(options, tables):
    """One panel a measure, two in a row; thin lines are seeds, thick ones their mean."""
    frame = need(tables, options.curves, ["run", "seed", "tokens", "chance", *options.quantities], "curves")
    phases = of_phases(tables, options.phases, without=options.controls)
    runs = runs_of(frame, options.runs, "curves")
    look, frame = looks(runs, options.controls), drawable(frame[frame["run"].isin(runs)], options.scale)
    columns = min(len(options.quantities), 2)
    rows = -(-len(options.quantities) // columns)
    figure, axes = canvas(rows, columns, height=2.1)
    shaded = False
    for axis, quantity in zip(axes.flat, options.quantities, strict=False):
        for run in runs:
            shaded |= shade_typical(axis, phases, run, colour=look[run].colour, alpha=0.12)
            seed_lines(axis, frame[frame["run"] == run], quantity, look[run])
        if quantity == "prefix":
            chance_line(axis, frame)
        axis.set_ylabel(MEASURES[quantity])
        tokens_axis(axis, options.scale, token_bounds(frame, options.scale))
    for axis in axes.flat[len(options.quantities) :]:
        axis.set_axis_off()
    extras = (
        floor_lines(axes.flat[options.quantities.index("loss")], options, tables)
        if "loss" in options.quantities
        else []
    )
    if "prefix" in options.quantities:
        extras.append(handle("chance", Look(CONTROL, ":")))
    if shaded:
        extras.append(patch("phase change, in its run's colour", CONTROL))
    runs_legend(figure, options, look, extras=extras)
    return figure


def floor_lines(axis, options, tables) -> list:
    """Mean losses of the reference predictors as lines; their legend entries."""
    if not options.floor:
        return []
    floor = one_dataset(
        need(tables, options.floor, ["dataset", "reference", "loss"], "floor"), options.dataset
    )
    handles = []
    for reference, rows in floor.groupby("reference"):
        name, dash = REFERENCES[reference]
        axis.axhline(rows["loss"].mean(), color=CONTROL, linestyle=dash, linewidth=1)
        handles.append(handle(name, Look(CONTROL, dash)))
    return handles
