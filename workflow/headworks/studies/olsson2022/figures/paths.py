"""Paths of runs through the plane of per-token losses: deeper ones turn (Olsson 2022, Argument 1)."""

import numpy as np

from headworks.errors import HeadworksError
from headworks.figures import (
    INK,
    WINDOW,
    canvas,
    dot,
    looks,
    need,
    patch,
    runs_of,
    seed_points,
    undefined,
)
from headworks.studies.olsson2022.figures.parts import labelled, runs_legend


def draw(options, tables):
    """A panel a seed, the window's stretch underlaid; the last panel has the angle of every seed."""
    columns = ["run", "seed", "step", "pc1", "pc2", "explained1", "explained2", "inside", "angle"]
    frame = need(tables, options.paths, columns, "paths")
    runs = runs_of(frame, options.runs, "paths")
    found = list(dict.fromkeys(frame["seed"]))
    if unknown := set(options.seeds) - set(found):
        raise HeadworksError(
            f"options.seeds: {min(unknown)} is not in the table of paths; "
            f"allowed: {', '.join(map(str, found))}"
        )
    seeds = options.seeds or found[:2]
    look, names = looks(runs, options.controls), labelled(options, runs)
    figure, axes = canvas(1, len(seeds) + 1, height=2.6, width_ratios=[1] * len(seeds) + [0.7])
    for axis, seed in zip(axes[0], seeds, strict=False):
        rows = frame[frame["seed"] == seed]
        for run in runs:
            path(axis, rows[rows["run"] == run].sort_values("step"), look[run])
        shares = rows[["explained1", "explained2"]].iloc[0]
        axis.set_xlabel(f"first component ({shares.iloc[0]:.0%})")
        axis.set_ylabel(f"second component ({shares.iloc[1]:.0%})")
        axis.set_title(f"seed {seed}", loc="left")
    angles(axes[0][-1], frame, runs, look, names)
    runs_legend(
        figure,
        options,
        look,
        extras=[dot("start", INK, hollow=True), dot("end", INK), patch("phase change", alpha=0.6)],
    )
    return figure


def path(axis, rows, look) -> None:
    """One path: an open dot at its start, a full one at its end, the window underlaid and the angle beside it."""
    if rows.empty:
        return
    x, y = rows["pc1"].to_numpy(), rows["pc2"].to_numpy()
    inside = rows["inside"].to_numpy() == 1
    axis.plot(
        np.where(inside, x, np.nan),
        np.where(inside, y, np.nan),
        color=WINDOW,
        linewidth=6,
        alpha=0.6,
        solid_capstyle="round",
    )
    axis.plot(x, y, color=look.colour, linestyle=look.dash, linewidth=1.2)
    axis.plot(x[0], y[0], marker="o", markersize=4, color=look.colour, markerfacecolor="none")
    axis.plot(x[-1], y[-1], marker="o", markersize=4, color=look.colour)
    angle = rows["angle"].iloc[0]
    if np.isfinite(angle) and inside.any():
        middle = np.flatnonzero(inside)[inside.sum() // 2]
        place = {"xytext": (-7, 0), "textcoords": "offset points", "ha": "right", "va": "center"}
        axis.annotate(f"{angle:.0f}°", (x[middle], y[middle]), fontsize=7, color=look.colour, **place)


def angles(axis, frame, runs, look, names) -> None:
    """The turning angle of every seed, run by run."""
    each = frame.groupby(["run", "seed"], sort=False)["angle"].first()
    for place, run in enumerate(runs):
        seed_points(axis, place, each[run], look[run].colour)
    axis.axhline(90, color=INK, linewidth=0.6, linestyle=":", zorder=0)
    axis.set_ylim(0, 180)
    axis.set_yticks([0, 45, 90, 135, 180])
    axis.set_xticks(range(len(runs)), [names[run].replace(" ", "\n") for run in runs])
    axis.set_xlim(-0.6, len(runs) - 0.4)
    axis.set_ylabel("turn at the window (degrees)")
    axis.set_xlabel("run")
    undefined(axis, each[[key[0] in runs for key in each.index]])
