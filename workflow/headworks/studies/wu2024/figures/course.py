"""Clusters, accuracy and switches over training: what rises first, saturates, falls again?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import CONTROL, PALETTE, Look, canvas, dot, handle, legend, say, seed_lines
from headworks.studies.wu2024.figures.parts import (
    START,
    labelled,
    networks,
    only,
    reference,
    shares,
    snapshot,
    steps_axis,
)

SERIES = {
    "sep": ("task ARI at SEP", Look(PALETTE[0])),
    "last": ("task ARI given the input, last token", Look(PALETTE[3])),
    "val": ("accuracy, unseen instructions", Look(PALETTE[2], "--")),
    "held_out": ("accuracy, held-out combinations", Look(PALETTE[1], "--")),
    "switch": ("other task's answer after replacement", Look(PALETTE[4], "-.")),
}
POSITIONS = {"sep": ("SEP", "task_ari"), "last": ("LAST", "given_input_ari")}
CLUSTERS = ["split", "position", "layer", "task_ari", "given_input_ari"]
ACCURACY = ["split", "accuracy", "input_only"]
ACROSS = ["switch"]
PANELS = 3
"""Panels side by side."""
LEGEND = 0.7
"""Height of the legend in inches."""


def draw(options, tables):
    """A panel a run, all on one axis from 0 to 1; a dot where the mean has done half of its rise."""
    clusters = networks(tables, options.clusters, CLUSTERS, "clusters")
    accuracy = networks(tables, options.accuracy, ACCURACY, "accuracy")
    labels = labelled(options, clusters, "clusters")
    labelled(options.model_copy(update={"runs": list(labels)}), accuracy, "accuracy")
    curves = pd.concat(
        [
            *(clustered(clusters, name, *where) for name, where in POSITIONS.items()),
            *(answered(accuracy, split) for split in ("val", "held_out")),
            *([switched(options, tables)] if options.across else []),
        ]
    )
    curves = curves[curves["run"].isin(labels)]
    columns = min(PANELS, len(labels))
    rows = -(-len(labels) // columns)
    figure, axes = canvas(rows, columns, height=2.2 + LEGEND / rows, sharey=True)
    for axis, (run, label) in zip(axes.flat, labels.items(), strict=False):
        panel(axis, curves[curves["run"] == run])
        held_out = accuracy[(accuracy["run"] == run) & (accuracy["split"] == "held_out")]
        reference(axis, held_out["input_only"], START)
        axis.set_title(label, loc="left")
        steps_axis(axis, curves.loc[curves["run"] == run, "step"])
    for axis in axes.flat:
        shares(axis)
    for axis in axes[:, 0]:
        axis.set_ylabel("score or share")
    for axis in axes.flat[len(labels) :]:
        axis.set_axis_off()
    handles = [handle(*SERIES[name]) for name in SERIES if name in set(curves["series"])]
    handles += [dot("half of the rise", CONTROL), handle("held-out, from the input alone", START)]
    legend(figure, handles)
    return figure


def clustered(frame: pd.DataFrame, name: str, position: str, score: str) -> pd.DataFrame:
    """Agreement on unseen instructions in each network's layer that ends best on those of training.

    Columns run, seed, step, series, value. Raises HeadworksError if the table has no such position.
    """
    frame = only(frame, "position", position, "clusters", "clusters")
    ends = snapshot(frame[frame["split"] == "train"], "max").dropna(subset=[score])
    best = ends.loc[ends.groupby(["run", "seed"])[score].idxmax(), ["run", "seed", "layer"]]
    rows = frame[frame["split"] == "val"].merge(best, on=["run", "seed", "layer"])
    return _series(rows, name, score)


def answered(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    """Accuracy on a split, in the columns of `clustered`; without rows where there is no such split."""
    return _series(frame[frame["split"] == split], split, "accuracy")


def switched(options, tables) -> pd.DataFrame:
    """Switches, in the columns of `clustered`."""
    return _series(networks(tables, options.across, ACROSS, "across"), "switch", "switch")


def half_risen(values: np.ndarray) -> int | None:
    """Index of the first value in time that is half-way from the first to the highest.

    None for values that never rise above the first.
    """
    if not len(values) or values.max() <= values[0]:
        return None
    return int(np.argmax(values >= (values[0] + values.max()) / 2))


def panel(axis: Axes, curves: pd.DataFrame) -> None:
    """All series of one run."""
    if not curves["value"].notna().any():
        say(axis, "not defined")
        return
    for name, (_, look) in SERIES.items():
        rows = curves[curves["series"] == name]
        seed_lines(axis, rows, "value", look, x="step")
        mean = rows.groupby("step")["value"].mean().replace([np.inf, -np.inf], np.nan).dropna()
        half = half_risen(mean.to_numpy(float))
        if half is not None:
            axis.plot(
                mean.index[half], mean.iloc[half], "o", color=look.colour, markersize=4, linestyle="none"
            )


def _series(rows: pd.DataFrame, name: str, column: str) -> pd.DataFrame:
    return rows[["run", "seed", "step"]].assign(series=name, value=rows[column].astype(float))
