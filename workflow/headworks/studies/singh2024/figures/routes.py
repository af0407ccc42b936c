"""What direct paths are for, and which route heads of layer 1 serve (Singh 2024, Table 1, Fig. 12)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import (
    CONTROL,
    INK,
    PALETTE,
    Look,
    canvas,
    dot,
    handle,
    legend,
    need,
    note,
    seed_points,
    tokens_axis,
)
from headworks.studies.singh2024.figures.marks import PREVIOUS, level, of_network, seed_series

COLUMNS = ["sequences", "ablated", "preserved", "n_heads", "accuracy", "loss_increase"]
PATHS = {
    ("layer1", "both"): ("layer 1 to the output", PALETTE[3]),
    ("layer2", "none"): ("layer 2 to the output", PALETTE[0]),
}
SETS = {
    "previous": ("previous-token heads", PREVIOUS, "o"),
    "others": ("the other heads of layer 1", PALETTE[2], "s"),
    "random_previous": ("as many heads at random", CONTROL, "D"),
    "layer1": ("all heads of layer 1", PALETTE[3], "^"),
}
PRESERVED = {
    "patterns": "patterns kept\n(values cut)",
    "values": "values kept\n(patterns cut)",
    "none": "nothing\nkept",
    "both": "both kept",
}


def draw(options, tables):
    """The loss that direct paths save over training; accuracy after ablation in layer 1, a dot a seed."""
    frame = of_network(options, tables, "routes", COLUMNS)
    figure, axes = canvas(1, 2, height=3.0, width_ratios=[1, 1.7])
    over_training(axes[0][0], frame, options.scale)
    last = frame[frame["sequences"] == frame["sequences"].max()]
    dissociation(axes[0][1], last)
    handles = [handle(label, Look(colour)) for label, colour in PATHS.values()]
    handles += [dot(label, colour, marker) for label, colour, marker in SETS.values()]
    if options.reference:
        theirs = need(tables, options.reference, ["ablated", "preserved", "accuracy"], "reference")
        published(axes[0][1], theirs)
        handles.append(dot("the authors' (one seed)", INK, hollow=True))
    legend(figure, handles)
    return figure


def over_training(axis: Axes, frame: pd.DataFrame, scale: str) -> None:
    """Increase of the loss when the direct path of a layer is cut, by training time."""
    shown = frame[frame["sequences"] > 0] if scale == "log" else frame
    for (ablated, preserved), (_, colour) in PATHS.items():
        rows = shown[(shown["ablated"] == ablated) & (shown["preserved"] == preserved)]
        seed_series(axis, rows, "sequences", "loss_increase", colour)
    level(axis, 0)
    start = shown["sequences"].min() if scale == "log" else 0
    tokens_axis(axis, scale, (float(start), float(shown["sequences"].max())), name="training sequences")
    axis.set_ylabel("loss added by cutting\nthe direct path (nats)")


def dissociation(axis: Axes, last: pd.DataFrame) -> None:
    """Accuracy by what is preserved, the sets of heads side by side."""
    sets = list(SETS)
    for place, preserved in enumerate(PRESERVED):
        for i, ablated in enumerate(sets):
            rows = last[(last["ablated"] == ablated) & (last["preserved"] == preserved)]
            # an empty set leaves the network intact, which says nothing about its heads
            values = rows["accuracy"].where(rows["n_heads"] > 0)
            seed_points(
                axis, place + offset(i), values, SETS[ablated][1], spread=0.05, marker=SETS[ablated][2]
            )
    level(axis, 0.5, "either label", at=0.99)
    axis.set_xticks(range(len(PRESERVED)), list(PRESERVED.values()))
    axis.set_xlim(-0.5, len(PRESERVED) - 0.5)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("what layer 2 keeps of the intact network")
    axis.set_ylabel("accuracy with heads\nof layer 1 ablated")
    previous = last[(last["ablated"] == "previous") & (last["preserved"] == "patterns")]
    counts = previous["n_heads"]
    if len(counts):
        low, high = int(counts.min()), int(counts.max())
        note(axis, f"{low if low == high else f'{low} to {high}'} previous-token heads a seed")


def offset(i: int) -> float:
    """Where the i-th set of heads stands beside the middle of its place."""
    return (i - (len(SETS) - 1) / 2) * 0.2


def published(axis: Axes, theirs: pd.DataFrame) -> None:
    """The authors' accuracies, hollow, where ours of the same set stand."""
    for i, (ablated, (_, colour, marker)) in enumerate(SETS.items()):
        for place, preserved in enumerate(PRESERVED):
            rows = theirs[(theirs["ablated"] == ablated) & (theirs["preserved"] == preserved)]
            how = {"marker": marker, "s": 34, "facecolor": "none", "edgecolor": colour, "linewidth": 0.9}
            axis.scatter(np.full(len(rows), place + offset(i)), rows["accuracy"], **how)
