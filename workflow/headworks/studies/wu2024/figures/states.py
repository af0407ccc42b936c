"""The same states coloured by task, by regular expression and by output: one colouring alone misleads."""

from itertools import product

import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import canvas, note, say
from headworks.studies.wu2024.figures.parts import (
    below_top,
    groups,
    labelled,
    layer_name,
    networks,
    only,
    snapshot,
)

COLUMNS = ["position", "layer", "split", "x", "y", "task", "regex", "output"]
COLOURINGS = {"task": "task", "regex": "regular expression", "output": "right output"}


def draw(options, tables):
    """A row a run and position, a column a colouring; colours and shapes tell groups apart within a panel."""
    frame = networks(tables, options.projection, COLUMNS, "projection")
    labels = labelled(options, frame, "projection")
    frame = snapshot(frame[frame["run"].isin(labels)], "max")
    rows = list(product(labels, options.positions))
    figure, axes = canvas(len(rows), len(COLOURINGS), height=2.15, sharex="row", sharey="row")
    for line, (run, position) in zip(axes, rows, strict=True):
        points = chosen(options, frame[frame["run"] == run], position)
        for axis, (column, name) in zip(line, COLOURINGS.items(), strict=True):
            coloured(axis, points, column)
            axis.set_title(f"by {name}", loc="left")
            axis.set_xlabel("first component")
        where = layer_name(int(points["layer"].iloc[0]))
        line[0].set_ylabel(f"{labels[run]}, {position}, {where}\nsecond component")
    return figure


def chosen(options, frame: pd.DataFrame, position: str) -> pd.DataFrame:
    """The states of one run that its row shows. Raises HeadworksError for what the table lacks."""
    seed = frame["seed"].iloc[0] if options.seed is None else options.seed
    layer = below_top(frame)[-1] if options.layer is None else options.layer
    for key, column, value in (
        ("positions", "position", position),
        ("seed", "seed", int(seed)),
        ("layer", "layer", layer),
        ("split", "split", options.split),
    ):
        frame = only(frame, column, value, key, "projection")
    return frame


def coloured(axis: Axes, points: pd.DataFrame, column: str) -> None:
    """One mark a state; groups in the order of their numbers, so that a group looks alike in every row."""
    looks = groups(points[column])
    axis.margins(0.06)
    if not looks:
        say(axis, "not defined")
        return
    known = points.dropna(subset=[column])
    colours, markers = zip(*known[column].map(looks), strict=True)
    for marker, own in known.assign(colour=colours).groupby(list(markers)):
        how = {"s": 8, "alpha": 0.75, "linewidth": 0, "rasterized": True}
        axis.scatter(own["x"], own["y"], color=own["colour"], marker=marker, **how)
    note(axis, f"{len(looks)} groups")
