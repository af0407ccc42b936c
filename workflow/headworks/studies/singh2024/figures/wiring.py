"""Which head of layer 1 feeds which of layer 2, and do their weights tell (Singh 2024, App. E; Fig. 11)?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import CONTROL, PALETTE, canvas, dot, legend, note
from headworks.studies.singh2024.figures.marks import (
    INDUCTION,
    PREVIOUS,
    chosen_seed,
    cloud,
    heat,
    level,
    of_network,
)

COLUMNS = [
    "snapshot",
    "layer1_head",
    "layer2_head",
    "preserved",
    "accuracy",
    "is_previous",
    "is_induction",
    "k_composition",
    "v_composition",
    "composition_baseline",
]
ROUTES = {
    "values": ("values kept: who feeds its patterns", "k_composition", "K-composition"),
    "patterns": ("patterns kept: who feeds its values", "v_composition", "V-composition"),
}
CONTEXT_COPY = 0.5


def draw(options, tables):
    """Above, one seed's accuracy with pairs of heads alone; below, all seeds' pairs by their weights."""
    frame = of_network(options, tables, "wiring", COLUMNS)
    trained, before = (frame[frame["snapshot"] == snapshot] for snapshot in ("last", "first"))
    seed = chosen_seed(options, trained)
    figure, axes = canvas(2, 3, height=2.75, width_ratios=[1, 1, 0.05], height_ratios=[1.15, 1])
    for above, below, (preserved, (title, column, label)) in zip(
        axes[0], axes[1], ROUTES.items(), strict=False
    ):
        rows = trained[trained["preserved"] == preserved]
        image = pairs(above, rows[rows["seed"] == seed])
        above.set_title(f"{title} (seed {seed})", loc="left", pad=12)
        by_weights(below, rows, before[before["preserved"] == preserved], column, f"{label} of the weights")
    bar = axes[0][2]
    bar.set_label("colour bar")
    figure.colorbar(image, cax=bar, label="accuracy").outline.set_visible(False)
    axes[1][2].set_axis_off()
    legend(
        figure,
        [
            dot("previous-token head", PREVIOUS, "v"),
            dot("induction head", INDUCTION, "<"),
            dot("pair of the two", PALETTE[2]),
            dot("other pair", PALETTE[5]),
            dot("untrained", CONTROL),
        ],
    )
    return figure


def pairs(axis: Axes, rows: pd.DataFrame):
    """Accuracy with one head of each layer alone, in numbers and colours; the heads' roles at the edges."""
    grid = rows.pivot_table(index="layer2_head", columns="layer1_head", values="accuracy", dropna=False)
    image = heat(axis, grid.to_numpy(float), 0, 1, "vlag")
    for (row, column), value in np.ndenumerate(grid.to_numpy(float)):
        if np.isfinite(value):
            # cells have grounds of their own, whatever the page
            colour = "white" if abs(value - 0.5) > 0.3 else "#333333"
            number = f"{value:.2f}".lstrip("0")
            axis.text(column, row, number, ha="center", va="center", fontsize=5.5, color=colour)
    axis.set_xticks(range(grid.shape[1]), [str(head) for head in grid.columns])
    axis.set_yticks(range(grid.shape[0]), [str(head) for head in grid.index])
    previous = rows.groupby("layer1_head")["is_previous"].first().astype(bool).to_numpy()
    induction = rows.groupby("layer2_head")["is_induction"].first().astype(bool).to_numpy()
    how = {"s": 16, "linewidth": 0, "clip_on": False}
    axis.scatter(np.flatnonzero(previous), np.full(previous.sum(), -0.85), marker="v", color=PREVIOUS, **how)
    edge = np.full(induction.sum(), grid.shape[1] - 0.15)
    axis.scatter(edge, np.flatnonzero(induction), marker="<", color=INDUCTION, **how)
    axis.set_xlim(-0.5, grid.shape[1] - 0.5)
    axis.set_ylim(grid.shape[0] - 0.5, -0.5)
    axis.set_xlabel("head of layer 1 left alone")
    axis.set_ylabel("head of layer 2 left alone")
    return image


def by_weights(axis: Axes, rows: pd.DataFrame, before: pd.DataFrame, column: str, label: str) -> None:
    """Accuracy of every pair against the composition of its weights; untrained pairs in grey."""
    both = (rows["is_previous"].astype(bool) & rows["is_induction"].astype(bool)).to_numpy()
    cloud(axis, before[column], before["accuracy"], CONTROL, size=5)
    cloud(axis, rows.loc[~both, column], rows.loc[~both, "accuracy"], PALETTE[5], size=8)
    cloud(axis, rows.loc[both, column], rows.loc[both, "accuracy"], PALETTE[2], size=12)
    level(axis, CONTEXT_COPY, "either label")
    if len(rows):
        level(axis, float(rows["composition_baseline"].iloc[0]), "random matrices", along="y", at=0.95)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel(label)
    axis.set_ylabel("accuracy of the pair")
    defined = rows[[column, "accuracy"]].astype(float)
    defined = defined[np.isfinite(defined).all(axis=1)]
    if len(defined) > 2:
        note(axis, f"r = {defined[column].corr(defined['accuracy']):.2f}, {len(defined)} pairs")
