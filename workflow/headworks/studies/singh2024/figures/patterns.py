"""Attention of the main head of each layer before, during and after the change (Singh 2024, sec. 3)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headworks.figures import CONTROL, PALETTE, WIDTH, Look, dot, handle, legend, say, style
from headworks.studies.singh2024.figures.marks import chosen_seed, heat, level, of_network, thousands

COLUMNS = ["when", "sequences", "strength", "layer", "head", "query", "key", "role", "attention"]
MOMENTS = ("before", "during", "after")
TOKENS = ("A", "0", "B", "1", "A")
SEEDS, ONE = PALETTE[0], PALETTE[1]


def draw(options, tables) -> Figure:
    """Above, the pattern of layer 1's head; below, what the query attends to in layer 2, by role."""
    frame = of_network(options, tables, "patterns", COLUMNS)
    seed = chosen_seed(options, frame)
    n_seeds = frame["seed"].nunique()
    style()
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    early = [f"{kind} {when}" for when in MOMENTS for kind in ("mean", "seed")]
    late = [when for when in MOMENTS for _ in range(2)]
    axes = figure.subplot_mosaic(
        [[*early, "bar"], [*late, "blank"]],
        width_ratios=[1] * len(early) + [0.12],
        height_ratios=[1, 1.35],
    )
    first, second = (frame[frame["layer"] == layer] for layer in (1, 2))
    for when in MOMENTS:
        rows = first[first["when"] == when]
        image = pattern(axes[f"mean {when}"], rows)
        axes[f"mean {when}"].set_title(f"{when} the change\nmean", loc="left")
        pattern(axes[f"seed {when}"], rows[rows["seed"] == seed])
        axes[f"seed {when}"].set_title(f"seed {seed}", loc="left")
        by_role(axes[when], second[second["when"] == when], seed)
    for name, axis in axes.items():
        if name in early[1:]:
            axis.tick_params(labelleft=False)
        if name in MOMENTS[1:]:
            axis.tick_params(labelleft=False)
    axes[early[0]].set_ylabel("layer 1: query")
    axes[MOMENTS[0]].set_ylabel("layer 2: what the\nquery attends to")
    axes["bar"].set_label("colour bar")
    figure.colorbar(image, cax=axes["bar"], label="attention").outline.set_visible(False)
    axes["blank"].set_axis_off()
    legend(
        figure,
        [
            dot("a seed", SEEDS),
            dot(f"mean of {n_seeds} seeds", SEEDS, "s"),
            dot(f"seed {seed}", ONE, "D", hollow=True),
            handle("even attention", Look(CONTROL, ":")),
        ],
    )
    return figure


def pattern(axis: Axes, rows: pd.DataFrame):
    """Mean attention of layer 1's head over the seeds in `rows`; what a query cannot see is blank."""
    grid = np.full((len(TOKENS), len(TOKENS)), np.nan)
    for (query, key), attention in rows.groupby(["query", "key"])["attention"]:
        grid[int(query), int(key)] = attention.mean()
    image = heat(axis, grid, 0, 1, "viridis")
    axis.set_xticks(range(len(TOKENS)), TOKENS)
    axis.set_yticks(range(len(TOKENS)), TOKENS)
    axis.set_xlabel("key")
    return image


def by_role(axis: Axes, rows: pd.DataFrame, seed: int) -> None:
    """The query's attention to each role: a dot a seed, their mean, and one seed hollow."""
    roles = list(dict.fromkeys(rows.sort_values("key")["role"]))
    for place, role in enumerate(roles):
        one = rows[rows["role"] == role].sort_values("seed")
        values = one["attention"].to_numpy(float)
        offsets = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.zeros(1)
        axis.scatter(values, place + offsets, s=9, color=SEEDS, alpha=0.5, linewidth=0)
        axis.plot(
            np.nanmean(values) if np.isfinite(values).any() else np.nan, place, "s", color=SEEDS, ms=4.5
        )
        own = one.loc[one["seed"] == seed, "attention"]
        axis.scatter(
            own, np.full(len(own), place), s=26, marker="D", facecolor="none", edgecolor=ONE, linewidth=1
        )
    if not roles:
        say(axis, "not measured")
        return
    level(axis, 1 / len(roles), along="y")
    axis.set_yticks(range(len(roles)), roles)
    axis.set_ylim(len(roles) - 0.5, -0.5)
    axis.set_xlim(-0.02, 1.02)
    axis.set_xticks([0, 0.5, 1])
    axis.set_xlabel("attention")
    middle = rows.drop_duplicates("seed")[["sequences", "strength"]].median()
    axis.set_title(
        f"at {thousands(middle['sequences'])} sequences,\nstrength {middle['strength']:.2f}", loc="left"
    )
