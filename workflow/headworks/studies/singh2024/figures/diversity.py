"""Classes delay the match, labels the copy (Singh 2024, section 5; Fig. 6)."""

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.figures import INK, canvas, dot, handle, legend, need
from headworks.studies.singh2024.figures.parts import (
    authors,
    chosen,
    looks_of,
    named,
    never_mark,
    optional,
    sequences_axis,
    time_bounds,
    with_series,
)

VARIED = {"classes": ("n_classes", "n_labels"), "labels": ("n_labels", "n_classes")}
"""What a panel varies → its column, and the one that stays as in the table's first row."""
EVENTS = {
    "midpoint": "loss below half of ln 2",
    "learned": "loss below 0.4 ln 2",
    "finished": "loss below 0.1 nats",
}
MARKERS = "DsP^"


def draw(options, tables):
    """A column for classes and one for labels, a row a time: thin lines are seeds, thick ones their median."""
    columns = ["run", "condition", "seed", "n_classes", "n_labels", "ended", *options.times]
    timing = with_series(need(tables, options.timing, columns, "timing"))
    columns = ["condition", "seed", "head", "varied", "n_classes", "n_labels", *options.times]
    theirs = optional(tables, options.reference, columns, "reference")
    names = chosen(options.conditions, timing, "timing")
    if unknown := [run for run in options.fixed if run not in set(timing["run"])]:
        raise HeadworksError(
            f"options.fixed: {', '.join(unknown)} is not in the table of the role timing; "
            f"allowed: {', '.join(dict.fromkeys(timing['run']))}"
        )
    look = looks_of(names, options.controls)
    theirs = theirs[theirs["condition"].isin(names)]
    base, timing = timing.iloc[0], timing[timing["series"].isin(names)]
    _once(timing[~timing["run"].isin(options.fixed)])
    figure, axes = canvas(len(options.times), 2, height=2.5, sharey="row")
    for row, time in zip(axes, options.times, strict=True):
        bounds = time_bounds([timing[time], timing["ended"], theirs[time]])
        for axis, varied in zip(row, VARIED, strict=True):
            panel(axis, varied, time, timing, base, look, options.fixed)
            hollow_lines(axis, varied, time, theirs[theirs["varied"] == varied], look)
            sequences_axis(axis, "log", bounds, along="y")
            axis.set_ylim(bounds[0], bounds[1] * 1.15)
            axis.set_ylabel(f"{EVENTS[time]},\ntraining sequences (thousands)")
            axis.label_outer()
    labels = named(options.labels, names)
    handles = [handle(labels[name], style) for name, style in look.items()]
    handles += [dot(label, INK, MARKERS[i % len(MARKERS)]) for i, label in enumerate(options.fixed.values())]
    late = np.isinf(timing[options.times].astype(float)).any(axis=None)
    extras = [*([never_mark("^")] if late else []), *([authors()] if len(theirs) else [])]
    legend(figure, [*handles, *extras])
    return figure


def panel(axis, varied: str, time: str, timing, base, look, fixed) -> None:
    """Times against the number varied, the other number as in `base`; runs with something fixed apart."""
    number, other = VARIED[varied]
    rows = timing[timing[other] == base[other]]
    rows = rows.assign(at=np.minimum(rows[time].astype(float), rows["ended"]), x=rows[number].astype(float))
    for name, style in look.items():
        own = rows[(rows["series"] == name) & rows["at"].notna()]
        lines(axis, own[~own["run"].isin(fixed)], time, style)
        for i, run in enumerate(fixed):
            aside = own[own["run"] == run]
            # a control of classes says nothing about labels: it is drawn where its own number differs or is varied
            if varied == "labels" and len(aside):
                middle = aside["at"].quantile(0.5, interpolation="higher")
                how = {"color": style.colour, "marker": MARKERS[i % len(MARKERS)], "linewidth": 0}
                axis.scatter(aside["x"] * 1.04, aside["at"], s=8, alpha=0.4, **how)
                axis.scatter(aside["x"].iloc[:1] * 1.04, [middle], s=22, zorder=3, **how)
    ticks = sorted(set(rows["x"]))
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
    axis.set_xticks([], minor=True)
    axis.set_xlabel(f"{varied} in training")


def lines(axis, own, time: str, style) -> None:
    """A thin line a seed, a thick one for the median, arrows where training ended before."""
    for _, one in own.sort_values("x").groupby("seed"):
        axis.plot(one["x"], one["at"], color=style.colour, linestyle=style.dash, linewidth=0.5, alpha=0.5)
        late = one[np.isinf(one[time].astype(float))]
        axis.scatter(late["x"], late["at"], s=14, marker="^", color=style.colour, linewidth=0)
    median = own.groupby("x")["at"].quantile(0.5, interpolation="higher")
    axis.plot(median.index, median, color=style.colour, linestyle=style.dash, marker="o", markersize=3.5)


def hollow_lines(axis, varied: str, time: str, theirs: pd.DataFrame, look) -> None:
    """The authors' seeds and heads."""
    number = VARIED[varied][0]
    rows = theirs[theirs[time].notna()]
    for (condition, _, _), one in rows.groupby(["condition", "seed", "head"]):
        how = {"color": look[condition].colour, "linewidth": 0.4, "linestyle": ":", "alpha": 0.8}
        axis.plot(
            one[number] / 1.04,
            one[time],
            marker="o",
            markersize=3.2,
            markerfacecolor="none",
            markeredgewidth=0.6,
            **how,
        )


def _once(timing: pd.DataFrame) -> None:
    """A line needs one time for each number: runs that differ in something else belong in `fixed`."""
    twice = timing[timing.duplicated(["series", "seed", "n_classes", "n_labels"], keep=False)]
    if len(twice):
        raise HeadworksError(
            f"options.fixed: the runs {', '.join(dict.fromkeys(twice['run']))} have the same classes, labels and "
            "conditions; name in fixed those that are controls, with what they keep fixed"
        )
