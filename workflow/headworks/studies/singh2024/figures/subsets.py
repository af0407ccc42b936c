"""Heads switched on one by one, and whether they add up over all subsets (Singh 2024, sec. 3.1; Fig. 14)."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from headworks.figures import (
    CONTROL,
    PALETTE,
    Look,
    canvas,
    dot,
    handle,
    legend,
    note,
    say,
    seed_points,
    undefined,
)
from headworks.studies.singh2024.figures.marks import (
    chosen_seed,
    cloud,
    diagonal,
    level,
    of_network,
    seed_series,
)

COLUMNS = [
    "row",
    "mask",
    "loss",
    "log_odds",
    "ordered",
    "ordered_without_best",
    "additive_r2",
    "pairwise_r2",
    "permuted_r2",
]
WITH, WITHOUT = PALETTE[0], PALETTE[1]
SERIES = {"ordered": WITH, "ordered_without_best": WITHOUT}
FITS = {
    "additive_r2": ("heads", PALETTE[2]),
    "pairwise_r2": ("heads,\npairs", PALETTE[4]),
    "permuted_r2": ("control", CONTROL),
}


def draw(options, tables):
    """The loss by heads on; one seed's subsets against a sum over heads; how much sums explain."""
    frame = of_network(options, tables, "subsets", COLUMNS)
    seed = chosen_seed(options, frame)
    subsets, fits = (frame[frame["row"] == row] for row in ("subset", "fit"))
    figure, axes = canvas(1, 3, height=2.8, width_ratios=[1.2, 1.2, 0.9])
    switched_on(axes[0][0], subsets)
    one = subsets[subsets["seed"] == seed]
    added_up(axes[0][1], one)
    axes[0][1].set_title(f"seed {seed}", loc="left")
    explained(axes[0][2], fits)
    legend(
        figure,
        [
            handle("switched on from the strongest head down", Look(WITH)),
            handle("the same without the strongest", Look(WITHOUT)),
            dot("subset with the strongest head", WITH),
            dot("subset without it", WITHOUT),
            dot("permuted subsets (control)", CONTROL),
        ],
    )
    return figure


def switched_on(axis: Axes, subsets: pd.DataFrame) -> None:
    """Loss with 0, 1, ... heads on, with and without the strongest among them."""
    for series, colour in SERIES.items():
        seed_series(axis, subsets[subsets[series] >= 0], series, "loss", colour)
    axis.set_yscale("log")
    level(axis, math.log(2), "ln 2: either label", at=0.99)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("heads of layer 2 on")
    axis.set_ylabel("loss (nats)")


def added_up(axis: Axes, one: pd.DataFrame) -> None:
    """Log-odds of each subset against the best sum over its heads; those with the strongest head apart."""
    axis.set_xlabel("sum over heads on (nats)")
    axis.set_ylabel("log-odds of the right\nlabel to the other (nats)")
    values = one["log_odds"].to_numpy(float)
    if not np.isfinite(values).all():
        say(axis, "not defined")
        return
    sums = additive(one["mask"].to_numpy(int), values)
    strongest = int(one.loc[one["ordered"] == 1, "mask"].iloc[0])
    with_it = (one["mask"].astype(int) & strongest).to_numpy() > 0
    for chosen, colour in ((with_it, WITH), (~with_it, WITHOUT)):
        cloud(axis, sums[chosen], values[chosen], colour, size=8)
    both = np.concatenate([sums, values])
    diagonal(axis, both.min(), both.max())
    note(axis, f"{len(one)} subsets")


def additive(masks: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The least-squares fit [subset] of values by a constant and a summand for each head on in the mask."""
    on = masks[:, None] >> np.arange(int(masks.max()).bit_length()) & 1
    design = np.column_stack([np.ones(len(masks)), on])
    return design @ np.linalg.lstsq(design, values, rcond=None)[0]


def explained(axis: Axes, fits: pd.DataFrame) -> None:
    """Share of the variance of log-odds that sums over heads, and pairs, explain; a control in grey."""
    for place, (column, (_, colour)) in enumerate(FITS.items()):
        seed_points(axis, place, fits[column], colour, spread=0.2)
    for line in (0, 1):
        level(axis, line)
    axis.set_xticks(range(len(FITS)), [label for label, _ in FITS.values()])
    axis.set_xlim(-0.5, len(FITS) - 0.5)
    axis.set_ylim(-0.05, 1.05)
    axis.set_xlabel("what is summed")
    axis.set_ylabel("variance explained (R²)")
    undefined(axis, fits["additive_r2"])
