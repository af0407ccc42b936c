"""The model analysis table (Olsson 2022, appendix): a column a run, a row a measure over training."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headworks.errors import HeadworksError
from headworks.figures import (
    CONTROL,
    PALETTE,
    Look,
    canvas,
    drawable,
    handle,
    legend,
    need,
    patch,
    runs_of,
    say,
    shade,
    shades,
    tokens_axis,
)
from headworks.studies.olsson2022.figures.parts import (
    edges,
    labelled,
    of_phases,
    position_axis,
    token_bounds,
    windows,
)
from headworks.studies.olsson2022.figures.paths import path

COLUMNS = {
    "curves": ["run", "seed", "tokens", "loss", "icl"],
    "paths": ["run", "seed", "step", "tokens", "pc1", "pc2", "inside", "angle"],
    "positions": ["run", "seed", "tokens", "index", "loss", "slope"],
    "heads": ["run", "seed", "tokens", "layer", "head", "prefix", "qk_trace"],
    "ablation": ["run", "seed", "tokens", "layer", "head", "kind", "icl_change", "projection"],
}
FEW = 10
"""Snapshots below which the lines of heads get markers."""


@dataclass(frozen=True)
class Scene:
    """What all cells of the table share."""

    look: dict[str, Look]
    layers: dict[int, str]
    seeds: dict[str, int]
    scale: str


def curve(axis: Axes, rows: pd.DataFrame, column: str, run: str, scene: Scene, limits) -> None:
    """The chosen seed as a thick line over the others as thin ones."""
    for seed, one in rows.groupby("seed"):
        how = (1.4, 1.0) if seed == scene.seeds[run] else (0.5, 0.5)
        axis.plot(one["tokens"], one[column], color=scene.look[run].colour, linewidth=how[0], alpha=how[1])


def heads(axis: Axes, rows: pd.DataFrame, column: str, run: str, scene: Scene, limits) -> None:
    """A line for each head of the chosen seed, coloured by layer."""
    rows = rows[rows["seed"] == scene.seeds[run]]
    marker = "o" if rows["tokens"].nunique() < FEW else None
    for (layer, _), head in rows.groupby(["layer", "head"]):
        how = {
            "color": scene.layers[layer],
            "linewidth": 0.9,
            "marker": marker,
            "markersize": 2,
            "clip_on": False,
        }
        axis.plot(head["tokens"], head[column], **how)
    if rows[column].isna().all():
        say(axis, "not defined")


def heat_map(axis: Axes, rows: pd.DataFrame, column: str, run: str, scene: Scene, limits):
    """The chosen seed's measure by training time and position; the mesh, for its colour bar."""
    rows = rows[rows["seed"] == scene.seeds[run]]
    grid = rows.pivot_table(index="index", columns="tokens", values=column, dropna=False)
    borders = (
        edges(grid.columns.to_numpy(float), scene.scale == "log"),
        edges(grid.index.to_numpy(float), True),
    )
    name = "vlag" if column == "slope" else "viridis"
    mesh = axis.pcolormesh(
        *borders, grid.to_numpy(), cmap=name, vmin=limits[0], vmax=limits[1], rasterized=True
    )
    position_axis(axis, "y")
    return mesh


def pca(axis: Axes, rows: pd.DataFrame, column: str, run: str, scene: Scene, limits) -> None:
    """The chosen seed's path through the plane of per-token losses."""
    path(axis, rows[rows["seed"] == scene.seeds[run]].sort_values("step"), scene.look[run])


@dataclass(frozen=True)
class Row:
    """A row of the table: its label, the role it needs, the column it draws and how."""

    label: str
    role: str
    column: str
    draw: Callable


ROWS = (
    Row("second PCA\ncomponent", "paths", "pc2", pca),
    Row("loss\n(nats)", "curves", "loss", curve),
    Row("loss by\nposition", "positions", "loss", heat_map),
    Row("d loss / d ln i\nby position i", "positions", "slope", heat_map),
    Row("in-context\nlearning (nats)", "curves", "icl", curve),
    Row("prefix\nmatching", "heads", "prefix", heads),
    Row("QK trace", "heads", "qk_trace", heads),
    Row("ablation:\nprojection (nats)", "ablation", "projection", heads),
    Row("ablation: ICL\nchange (nats)", "ablation", "icl_change", heads),
)


def draw(options, tables) -> Figure:
    """Rows in the paper's order; those without a table are left out. Ablations keep patterns, as there."""
    frames = {
        role: need(tables, getattr(options, role), columns, role)
        for role, columns in COLUMNS.items()
        if getattr(options, role)
    }
    frames = {role: drawable(frame, options.scale) for role, frame in frames.items()}
    if "ablation" in frames:
        frames["ablation"] = frames["ablation"][frames["ablation"]["kind"] == "pattern-preserving"]
    runs = runs_of(frames["curves"], options.runs, "curves")
    scene = _scene(options, frames, runs)
    phases = of_phases(tables, options.phases, without=options.controls)
    rows = [row for row in ROWS if row.role in frames]
    figure, axes = canvas(len(rows), len(runs) + 1, height=1.05, width_ratios=[1] * len(runs) + [0.05])
    for row, line in zip(rows, axes, strict=True):
        _draw_row(figure, row, line, frames[row.role], phases, runs, scene)
    names = labelled(options, runs)
    for run, axis in zip(runs, axes[0], strict=False):
        axis.set_title(f"{names[run]} (seed {scene.seeds[run]})", loc="left")
    _tokens(axes, rows, len(runs), options.scale, token_bounds(frames["curves"], options.scale))
    handles = [handle(f"heads of layer {layer}", Look(colour)) for layer, colour in scene.layers.items()]
    legend(figure, [*handles, *([patch("phase change")] if len(phases) else [])])
    return figure


def _scene(options, frames, runs) -> Scene:
    curves = frames["curves"]
    layers = sorted(
        {int(l) for role in ("heads", "ablation") if role in frames for l in frames[role]["layer"]}
    )
    first = {run: int(curves.loc[curves["run"] == run, "seed"].iloc[0]) for run in runs}
    seeds = first if options.seed is None else dict.fromkeys(runs, options.seed)
    for run, seed in seeds.items():
        found = sorted(set(curves.loc[curves["run"] == run, "seed"]))
        if seed not in found:
            raise HeadworksError(
                f"options.seed: {seed} is not a seed of the run {run!r}; allowed: {', '.join(map(str, found))}"
            )
    return Scene(
        {run: Look(CONTROL if run in options.controls else PALETTE[2]) for run in runs},
        dict(zip(layers, shades(len(layers)), strict=True)),
        seeds,
        options.scale,
    )


def _draw_row(figure, row: Row, line, frame, phases, runs, scene: Scene) -> None:
    """One row: a cell a run on a common vertical axis, and the colour bar of a heat map at the end."""
    chosen = frame[frame["seed"] == frame["run"].map(scene.seeds)]
    limits = _limits(chosen[row.column], row.column)
    meshes = []
    for run, axis in zip(runs, line, strict=False):
        rows = frame[frame["run"] == run]
        if axis is not line[0]:
            axis.sharey(line[0])
            axis.tick_params(labelleft=False)
        if not (rows["seed"] == scene.seeds[run]).any():
            say(axis, "not measured")
            axis.set_xticks([])
            continue
        meshes.append(row.draw(axis, rows, row.column, run, scene, limits))
        if row.draw is not pca:
            _window(axis, windows(phases, run, scene.seeds[run]), row.draw is heat_map)
    line[0].set_ylabel(row.label, fontsize=7)
    if meshes and row.draw is heat_map:
        line[-1].set_label("colour bar")
        figure.colorbar(meshes[-1], cax=line[-1], label="nats").outline.set_visible(False)
    else:
        line[-1].set_axis_off()


def _window(axis: Axes, found: np.ndarray, over_image: bool) -> None:
    """The phase change, shaded; its borders only, where shading would hide colours."""
    for start, end in found:
        if over_image:
            for border in (start, end):
                axis.axvline(border, color=CONTROL, linewidth=0.8, linestyle="--")
        else:
            shade(axis, start, end)


def _limits(values: pd.Series, column: str) -> tuple[float, float] | None:
    """Colour limits common to a row: without the outer 2 %, and symmetric for slopes."""
    values = values[np.isfinite(values)]
    if values.empty:
        return (0.0, 1.0)
    if column == "slope":
        most = float(np.percentile(values.abs(), 98))
        return -most, most
    low, high = np.percentile(values, [2, 98])
    return float(low), float(high)


def _tokens(axes, rows, n: int, scale: str, bounds) -> None:
    """Axes of training tokens for all rows but the PCA's; only the last is labelled."""
    for row, line in zip(rows, axes, strict=True):
        for axis in line[:n]:
            if row.draw is pca:
                axis.set_xlabel("first PCA component", fontsize=7, labelpad=1)
                continue
            tokens_axis(axis, scale, bounds)
            if row is not rows[-1]:
                axis.tick_params(labelbottom=False)
                axis.set_xlabel("")
