"""Controls of the smeared keys, and whether more smearing brings an earlier onset (Olsson 2022, Argument 2)."""

import math

import numpy as np

from headworks.figures import (
    CONTROL,
    PALETTE,
    canvas,
    drawable,
    looks,
    need,
    or_never,
    runs_of,
    seed_lines,
    seed_times,
    tokens_axis,
    undefined,
)
from headworks.studies.olsson2022.figures.parts import MEASURES, of_phases, runs_legend, token_bounds


def draw(options, tables):
    """In-context learning of each control on the left; onset against initial alpha on the right, if given."""
    frame = need(tables, options.curves, ["run", "seed", "tokens", "icl"], "curves")
    runs = runs_of(frame, options.runs, "curves")
    look = looks(runs, options.controls)
    drawn = drawable(frame[frame["run"].isin(runs)], options.scale)
    dose = bool(options.phases and options.alphas)
    figure, axes = canvas(1, 2 if dose else 1, height=2.9)
    for run in runs:
        seed_lines(axes[0][0], drawn[drawn["run"] == run], "icl", look[run])
    axes[0][0].axhline(0, color=CONTROL, linewidth=0.5, zorder=0)
    axes[0][0].set_ylabel(MEASURES["icl"])
    tokens_axis(axes[0][0], options.scale, token_bounds(drawn, options.scale))
    if dose:
        dose_response(axes[0][1], options, of_phases(tables, options.phases), look)
    runs_legend(figure, options, look)
    return figure


def dose_response(axis, options, phases, look) -> None:
    """Onset of every seed against the initial alpha; runs without smearing at the right end."""
    runs_of(phases, [*options.alphas, *options.unsmeared], "phases")
    alphas = sorted(set(options.alphas.values()))
    step = (alphas[-1] - alphas[0]) / max(len(alphas) - 1, 1) or 1.0
    places = dict(options.alphas) | dict.fromkeys(options.unsmeared, alphas[-1] + step)
    rows = phases[phases["run"].isin(places)]
    times = rows["icl_onset"].to_numpy(float)
    finite = times[np.isfinite(times) & (times > 0)]
    longest = float(rows["tokens"].max()) if rows["tokens"].notna().any() else float(finite.max(initial=1e6))
    bounds = (float(finite.min(initial=longest / 10)) * 0.8, longest)
    for run, place in places.items():
        values = or_never(phases.loc[phases["run"] == run, "icl_onset"], longest, bounds[0], "log")
        colour = CONTROL if run in options.unsmeared else look[run].colour if run in look else PALETTE[3]
        seed_times(axis, place, values, colour, spread=0.12 * step)
    tokens_axis(
        axis,
        "log",
        bounds,
        along="y",
        name="onset of in-context learning,\ntraining tokens",
        with_never=bool(np.isinf(times).any()),
    )
    ticks = {alpha: f"{alpha:g}\n({1 / (1 + math.exp(-alpha)):.2f})" for alpha in alphas}
    if options.unsmeared:
        ticks[alphas[-1] + step] = "not\nsmeared"
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set_xlim(alphas[0] - step / 2, max(ticks) + step / 2)
    axis.set_xlabel("initial α (share of a key's own position)")
    undefined(axis, times)
