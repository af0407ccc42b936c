"""Smeared keys bring the change to one layer and bring it forward in two (Olsson 2022, Argument 2)."""

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
    runs_legend,
    shade_typical,
    token_bounds,
)


def draw(options, tables):
    """In-context learning on the left, prefix matching on the right; windows in the colours of their arms."""
    frame = need(tables, options.curves, ["run", "seed", "tokens", "icl", "prefix", "chance"], "curves")
    phases = of_phases(tables, options.phases, without=options.controls)
    runs = runs_of(frame, options.runs, "curves")
    look, frame = looks(runs, options.controls), drawable(frame[frame["run"].isin(runs)], options.scale)
    figure, axes = canvas(1, 2, height=2.9)
    shaded = False
    for axis, quantity in zip(axes[0], ("icl", "prefix"), strict=True):
        for run in runs:
            shaded |= shade_typical(axis, phases, run, colour=look[run].colour, alpha=0.13)
            seed_lines(axis, frame[frame["run"] == run], quantity, look[run])
        axis.set_ylabel(MEASURES[quantity])
        tokens_axis(axis, options.scale, token_bounds(frame, options.scale))
    axes[0][0].axhline(0, color=CONTROL, linewidth=0.5, zorder=0)
    chance_line(axes[0][1], frame)
    axes[0][1].set_ylim(bottom=0)
    extras = [handle("chance", Look(CONTROL, ":"))]
    runs_legend(
        figure,
        options,
        look,
        extras=[*extras, *([patch("phase change, in its arm's colour", CONTROL)] if shaded else [])],
    )
    return figure
