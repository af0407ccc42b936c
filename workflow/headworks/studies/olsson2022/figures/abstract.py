"""Do heads that match literal repeats also match hidden categories? (Olsson 2022, Argument 4)."""

from headworks.figures import CONTROL, Look, canvas, dot, handle, legend, need, runs_of, shades
from headworks.studies.olsson2022.figures.parts import labelled

TITLES = {"first": "before training", "last": "trained"}


def draw(options, tables):
    """A row a run, a column a snapshot, a point a head; shuffled categories in grey, chance dotted."""
    columns = ["run", "seed", "snapshot", "layer", "head", "literal", "same_category", "shuffled", "chance"]
    frame = need(tables, options.abstract, columns, "abstract")
    runs = runs_of(frame, options.runs, "abstract")
    names = labelled(options, runs)
    layers = sorted(frame["layer"].unique())
    colours = dict(zip(layers, shades(len(layers)), strict=True))
    figure, axes = canvas(len(runs), len(options.snapshots), height=2.4, sharex=True, sharey=True)
    for row, run in enumerate(runs):
        for axis, snapshot in zip(axes[row], options.snapshots, strict=True):
            heads = frame[(frame["run"] == run) & (frame["snapshot"] == snapshot)]
            axis.scatter(heads["literal"], heads["shuffled"], s=10, color=CONTROL, alpha=0.6, linewidth=0)
            for layer, shown in heads.groupby("layer"):
                axis.scatter(
                    shown["literal"],
                    shown["same_category"],
                    s=16,
                    color=colours[layer],
                    alpha=0.8,
                    linewidth=0,
                )
            axis.axhline(heads["chance"].mean(), color=CONTROL, linewidth=0.8, linestyle=":", zorder=0)
            axis.set_title(f"{names[run]}, {TITLES[snapshot]}", loc="left")
        axes[row][0].set_ylabel("attention to lines of\nthe same category")
    for axis in axes[-1]:
        axis.set_xlabel("attention to the label of a literal copy")
    handles = [dot(f"layer {layer}", colour) for layer, colour in colours.items()]
    legend(figure, [*handles, dot("categories shuffled", CONTROL), handle("chance", Look(CONTROL, ":"))])
    return figure
