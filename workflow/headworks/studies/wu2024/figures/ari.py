"""Agreement of clusters with tasks over training, layer by layer (after Wu & Varshney 2024)."""

from itertools import product

import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import PALETTE, Look, canvas, handle, legend, say, seed_lines
from headworks.studies.wu2024.figures.parts import (
    NULL,
    ORACLE,
    SCORES,
    START,
    labelled,
    layer_name,
    networks,
    only,
    reference,
    shares,
    steps_axis,
)

COLUMNS = ["split", "position", "layer", "task_ari", "given_input_ari", "null_99", "oracle_given_input"]
SPLITS = {
    "train": ("instructions of training", Look(PALETTE[1], "--")),
    "val": ("unseen instructions", Look(PALETTE[0])),
}
REFERENCED = "val"
"""The split whose references are drawn: those of the other differ by less than a line's width."""


def draw(options, tables):
    """A row a run and position, a column a layer; grey: the start, a null without tasks, outputs."""
    frame = networks(tables, options.clusters, COLUMNS, "clusters")
    labels = labelled(options, frame, "clusters")
    frame = frame[frame["run"].isin(labels)]
    layers = sorted(int(layer) for layer in frame["layer"].unique())
    rows = list(product(labels, options.positions))
    figure, axes = canvas(len(rows), len(layers), height=1.35, sharex=True, sharey=True)
    for line, (run, position) in zip(axes, rows, strict=True):
        own = only(frame[frame["run"] == run], "position", position, "positions", "clusters")
        for axis, layer in zip(line, layers, strict=True):
            panel(axis, own[own["layer"] == layer], position)
        line[0].set_ylabel(f"{labels[run]}, {position}\n{SCORES[position][1]}")
    for axis, layer in zip(axes[0], layers, strict=True):
        axis.set_title(layer_name(layer), loc="left")
    for axis in axes.flat:
        shares(axis)
        steps_axis(axis, frame["step"])
        axis.label_outer()
    legend(figure, _handles(options, frame))
    return figure


def panel(axis: Axes, rows: pd.DataFrame, position: str) -> None:
    """One layer's scores over training on both splits, above grey lines."""
    score = SCORES[position][0]
    if not rows[score].notna().any():
        say(axis, "not defined")
        return
    known = rows[rows["split"] == REFERENCED]
    reference(axis, known.loc[known["step"] == known["step"].min(), score], START)
    if score == "task_ari":
        null = known.groupby("step")["null_99"].mean()
        axis.plot(null.index, null, color=NULL.colour, linestyle=NULL.dash, linewidth=0.8, zorder=0)
    else:
        reference(axis, known["oracle_given_input"], ORACLE)
    for split, (_, look) in SPLITS.items():
        seed_lines(axis, rows[rows["split"] == split], score, look, x="step")


def _handles(options, frame: pd.DataFrame) -> list:
    found = [handle(*SPLITS[split]) for split in SPLITS if split in set(frame["split"])]
    found.append(handle("at the first snapshot", START))
    scores = {SCORES[position][0] for position in options.positions}
    if "task_ari" in scores:
        found.append(handle("tasks permuted among regular expressions, 99 %", NULL))
    if "given_input_ari" in scores:
        found.append(handle("clusters of the right outputs alone", ORACLE))
    return found
