"""Are unseen instructions answered better where the nearest centroid is the right task's?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import CONTROL, PALETTE, canvas, dot, legend
from headworks.studies.wu2024.figures.parts import (
    below_top,
    labelled,
    layer_name,
    name_rows,
    networks,
    only,
    seed_row,
    shares,
    snapshot,
)

SERIES = {
    "right_accuracy": ("nearest centroid right", PALETTE[0], "o"),
    "wrong_accuracy": ("nearest centroid wrong, their number beside", PALETTE[1], "s"),
}
LABELS = {
    "task": ("margin between tasks", PALETTE[2], "D"),
    "permuted": ("margin between permuted tasks (control)", CONTROL, "^"),
}
COLUMNS = ["split", "layer", "labels", "auc", "wrong", *SERIES]
SPLITS = {
    "train": "instructions of training",
    "val": "unseen instructions",
    "held_out": "unseen instructions, held-out inputs",
}
CHANCE = 0.5
APART = 0.18
"""Rows apart of the two marks of one run."""


def draw(options, tables):
    """A row of panels a split, in it a row a run: accuracies, and how well the margin tells."""
    frame = networks(tables, options.margins, COLUMNS, "margins")
    labels = labelled(options, frame, "margins")
    frame = snapshot(frame[frame["run"].isin(labels)], "max")
    frame = pd.concat([of_layer(options, frame[frame["run"] == run]) for run in labels])
    height = 0.85 + 0.3 * len(labels)
    figure, axes = canvas(len(options.splits), 2, height=height, sharey=True)
    for (left, right), split in zip(axes, options.splits, strict=True):
        rows = only(frame, "split", split, "splits", "margins")
        accuracies(left, rows[rows["labels"] == "task"], labels)
        separations(right, rows, labels)
        layers = ", ".join(layer_name(layer) for layer in sorted(rows["layer"].unique()))
        left.set_title(f"{SPLITS[split]}; {layers}", loc="left")
    entries = [*SERIES.values(), *LABELS.values()]
    legend(figure, [dot(word, colour, marker) for word, colour, marker in entries])
    return figure


def of_layer(options, frame: pd.DataFrame) -> pd.DataFrame:
    """One run's rows of the layer shown: a fixed one, so that nothing is chosen by its outcome."""
    layer = below_top(frame)[-1] if options.layer is None else options.layer
    return only(frame, "layer", layer, "layer", "margins")


def accuracies(axis: Axes, rows: pd.DataFrame, labels: dict[str, str]) -> None:
    """Accuracy by whether the nearest centroid is right, and of how many it is not, seeds averaged."""
    for place, run in enumerate(labels):
        own = rows[rows["run"] == run]
        for offset, (column, (_, colour, marker)) in zip((-APART, APART), SERIES.items(), strict=True):
            seed_row(axis, place + offset, own[column], colour, marker)
        if own["wrong"].notna().any():
            _beside(axis, place, f"{own['wrong'].mean():.3g}")
    name_rows(axis, list(labels.values()))
    shares(axis, "x")
    axis.set_xlabel("accuracy")


def separations(axis: Axes, rows: pd.DataFrame, labels: dict[str, str]) -> None:
    """How well the margin tells right answers from wrong ones; tasks permuted among expressions in grey."""
    for place, run in enumerate(labels):
        own = rows[rows["run"] == run]
        for offset, (kind, (_, colour, marker)) in zip((-APART, APART), LABELS.items(), strict=True):
            seed_row(axis, place + offset, own.loc[own["labels"] == kind, "auc"], colour, marker)
        if not np.isfinite(own["auc"].astype(float)).any():
            axis.text(0.5, place, "not defined", ha="center", va="center", fontsize=6)
    axis.axvline(CHANCE, color=CONTROL, linewidth=0.7, linestyle=":", zorder=0)
    name_rows(axis, list(labels.values()))
    shares(axis, "x")
    axis.set_xlabel("AUC of the margin for a right answer")


def _beside(axis: Axes, place: float, text: str) -> None:
    where = axis.get_yaxis_transform()
    axis.text(1.01, place, text, transform=where, ha="left", va="center", fontsize=6)
