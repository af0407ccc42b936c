"""What else clusters may follow: surface form, outputs, the input, and that the number of tasks was given.

Layer by layer after training, beside the first snapshot, a null without tasks and clusters of outputs alone.
"""

from itertools import product

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from headworks.figures import PALETTE, Look, canvas, handle, legend, say, seed_lines
from headworks.studies.wu2024.figures.parts import (
    NULL,
    ORACLE,
    START,
    labelled,
    networks,
    only,
    shares,
    snapshot,
)

SCORES = {
    "task_ari": ("tasks", Look(PALETTE[0])),
    "regex_ari": ("regular expressions", Look(PALETTE[1])),
    "output_ari": ("outputs", Look(PALETTE[2])),
    "given_input_ari": ("tasks given the input", Look(PALETTE[3])),
}
REFERENCES = {
    "task_ari": {"null_99": NULL, "oracle_ari": ORACLE},
    "given_input_ari": {"oracle_given_input": ORACLE},
}
COLUMNS = ["split", "position", "layer", *SCORES, "null_99", "oracle_ari", "oracle_given_input"]
FOUND = Look(PALETTE[5], "--")
"""Clusters whose number was found, not given."""
STRUCTURE = ["split", "position", "layer", "ari_k_found"]


def draw(options, tables):
    """A row a run and position, a column a labelling that clusters may agree with; layers along the axis."""
    frame = networks(tables, options.clusters, COLUMNS, "clusters")
    labels = labelled(options, frame, "clusters")
    frame = only(frame[frame["run"].isin(labels)], "split", options.split, "split", "clusters")
    structure = found_of(options, tables, labels)
    rows = list(product(labels, options.positions))
    figure, axes = canvas(len(rows), len(SCORES), height=1.6, sharex=True, sharey=True)
    for line, (run, position) in zip(axes, rows, strict=True):
        own = only(frame[frame["run"] == run], "position", position, "positions", "clusters")
        first, last = snapshot(own, "min"), snapshot(own, "max")
        for axis, score in zip(line, SCORES, strict=True):
            panel(axis, first, last, score)
        here = structure[(structure["run"] == run) & (structure["position"] == position)]
        seed_lines(line[0], here, "ari_k_found", FOUND, x="layer")
        line[0].set_ylabel(f"{labels[run]}, {position}\nARI of clusters")
    for axis, (name, _) in zip(axes[0], SCORES.values(), strict=True):
        axis.set_title(f"with {name}", loc="left")
    for axis in axes.flat:
        shares(axis)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("layer")
        axis.label_outer()
    legend(figure, _handles(len(structure) > 0))
    return figure


def found_of(options, tables, labels: dict[str, str]) -> pd.DataFrame:
    """The last snapshot of the tables of kind structure on the split shown; no rows without."""
    if not options.structure:
        return pd.DataFrame(columns=["run", "seed", *STRUCTURE])
    frame = networks(tables, options.structure, STRUCTURE, "structure")
    return snapshot(frame[frame["run"].isin(labels) & (frame["split"] == options.split)], "max")


def panel(axis: Axes, first: pd.DataFrame, last: pd.DataFrame, score: str) -> None:
    """One agreement by layer, in colour after training; its references in grey."""
    if not last[score].notna().any():
        say(axis, "not defined")
        return
    for column, look in REFERENCES.get(score, {}).items():
        level = last.groupby("layer")[column].mean()
        axis.plot(level.index, level, color=look.colour, linestyle=look.dash, linewidth=0.8, zorder=0)
    start = first.groupby("layer")[score].mean()
    axis.plot(start.index, start, color=START.colour, linestyle=START.dash, linewidth=0.9, zorder=0)
    seed_lines(axis, last, score, SCORES[score][1], x="layer")


def _handles(with_found: bool) -> list:
    found = [
        handle("at the first snapshot", START),
        handle("tasks permuted among regular expressions, 99 %", NULL),
        handle("clusters of the right outputs alone", ORACLE),
    ]
    return [*found, *([handle("with tasks, number of clusters found", FOUND)] if with_found else [])]
