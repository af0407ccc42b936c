"""What comes first: previous-token heads, prefix matching or in-context learning (Olsson 2022, Argument 1)."""

import numpy as np

from headworks.figures import (
    CONTROL,
    PALETTE,
    canvas,
    dot,
    legend,
    need,
    or_never,
    runs_of,
    tokens_axis,
)
from headworks.studies.olsson2022.figures.parts import labelled, of_phases, shade_typical

EVENTS = {
    "previous_time": ("previous-token score", PALETTE[1], "s"),
    "prefix_time": ("prefix-matching score", PALETTE[0], "o"),
    "icl_time": ("in-context learning", PALETTE[2], "D"),
}


def draw(options, tables):
    """A row a seed, grouped by run; a marker where a score has made half of its change, or at 'never'."""
    need(tables, options.phases, ["run", "seed", "tokens"], "phases")
    frame = of_phases(tables, options.phases)
    runs = runs_of(frame, options.runs, "phases")
    names = labelled(options, runs)
    counts = [int((frame["run"] == run).sum()) for run in runs]
    figure, axes = canvas(len(runs), 1, height=0.55 + 0.2 * max(counts), height_ratios=counts, sharex=True)
    times = frame.loc[frame["run"].isin(runs), list(EVENTS)].to_numpy(float)
    finite = times[np.isfinite(times) & (times > 0)]
    longest = float(frame["tokens"].max())
    shortest = 0.0 if options.scale == "linear" else float(finite.min(initial=longest / 10)) * 0.7
    for axis, run in zip(axes[:, 0], runs, strict=True):
        rows = frame[frame["run"] == run]
        seed_rows(axis, rows, (longest, shortest, options.scale))
        shade_typical(axis, frame, run)
        axis.set_title(names[run], loc="left")
        axis.set_ylabel("seed")
        tokens_axis(axis, options.scale, (shortest, longest), with_never=bool(np.isinf(times).any()))
        axis.label_outer()
    legend(figure, [dot(name, colour, marker) for name, colour, marker in EVENTS.values()])
    return figure


def seed_rows(axis, rows, limits) -> None:
    """The times of each seed on a line of its own, joined in the order expected."""
    for place, (_, row) in enumerate(rows.iterrows()):
        times = row[list(EVENTS)].to_numpy(float)
        came = times[np.isfinite(times)]
        axis.plot(came, np.full(len(came), place), color=CONTROL, linewidth=0.6, zorder=1)
        # side by side at 'never', where they would cover each other
        heights = place + np.where(np.isposinf(times), [-0.25, 0, 0.25], 0)
        for x, y, (_, colour, marker) in zip(or_never(times, *limits), heights, EVENTS.values(), strict=True):
            axis.scatter(x, y, s=18, color=colour, marker=marker, linewidth=0, zorder=2)
        if np.isnan(times).all():
            axis.annotate(
                "diverged",
                (0.5, place),
                xycoords=("axes fraction", "data"),
                fontsize=6.5,
                va="center",
                ha="center",
            )
    axis.set_yticks(range(len(rows)), [str(seed) for seed in rows["seed"]])
    axis.set_ylim(len(rows) - 0.5, -0.5)
