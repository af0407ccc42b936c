"""A grafted first layer, and heads made previous-token heads (Singh 2024, App. D.1; Fig. 7 and 8)."""

from headworks.figures import canvas, handle, legend
from headworks.studies.singh2024.figures.parts import (
    authors,
    chosen,
    looks_of,
    loss_axis,
    named,
    never_mark,
    of_conditions,
    optional,
    rows_axis,
    seed_curves,
    sequences_axis,
    thinned,
    times_panel,
)

ROWS = {"grafts": "all heads of layer 2", "previous": "one head of layer 2"}


def draw(options, tables):
    """A row for grafts, one for clamped previous-token heads: the loss, and when it is below half of ln 2."""
    curves = of_conditions(tables, options.curves, ["sequences", "loss"], "curves")
    timing = of_conditions(tables, options.timing, ["midpoint", "ended"], "timing")
    theirs = optional(tables, options.reference, ["series", "midpoint"], "reference")
    until = float(min(options.until, curves["sequences"].max()))
    figure, axes = canvas(2, 2, height=2.2, width_ratios=[1.25, 1])
    handles, late = {}, False
    for (left, right), (key, title) in zip(axes, ROWS.items(), strict=True):
        names = chosen(getattr(options, key), curves, "curves", key)
        chosen(names, timing, "timing", key)
        look = looks_of(names)
        shown = curves[curves["series"].isin(names) & (curves["sequences"] <= until)]
        for name, rows in thinned(shown, ["series", "run", "seed"]).groupby("series", sort=False):
            seed_curves(left, rows, look[name])
        left.set_title(title, loc="left")
        loss_axis(left)
        sequences_axis(left, "linear", (0, until))
        late |= times_panel(right, timing, look, reference=theirs)
        labels = named(options.labels, names)
        rows_axis(right, look, labels)
        right.set_title("loss below half of ln 2", loc="left")
        handles |= {name: handle(labels[name], look[name]) for name in names}
    extras = [*([never_mark()] if late else []), *([authors()] if len(theirs) else [])]
    legend(figure, [*handles.values(), *extras])
    return figure
