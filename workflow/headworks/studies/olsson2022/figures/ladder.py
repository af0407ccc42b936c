"""Is it the same change at every size? Final in-context learning and its time (Olsson 2022, Argument 6)."""

import numpy as np

from headworks.figures import (
    CONTROL,
    PALETTE,
    Look,
    canvas,
    dot,
    legend,
    looks,
    or_never,
    patch,
    pretty,
    runs_of,
    seed_points,
    seed_times,
    tokens_axis,
    undefined,
)
from headworks.studies.olsson2022.figures.parts import of_phases


def draw(options, tables):
    """Dots are seeds; the bands say how much sizes may differ, around the median over all but controls."""
    frame = of_phases(tables, options.phases)
    runs = runs_of(frame, options.runs, "phases")
    places = _places(frame, runs, options)
    series = {
        run: options.labels.get(options.series[run], pretty(options.series[run]))
        if run in options.series
        else ""
        for run in runs
    }
    look = dict(
        zip(dict.fromkeys(series.values()), looks(dict.fromkeys(series.values())).values(), strict=True)
    )
    shown = {run: Look(CONTROL) if run in options.controls else look[series[run]] for run in runs}
    figure, axes = canvas(1, 2, height=2.8)
    typical = frame[frame["run"].isin([run for run in runs if run not in options.controls])]
    final(axes[0][0], frame, places, shown, typical["icl_end"].median(), options.within)
    midpoints(axes[0][1], frame, places, shown, typical["midpoint"].median(), options.factor)
    for axis in axes[0]:
        _size_axis(axis, places, options.size_label)
    handles = [dot(name, found.colour) for name, found in look.items() if name]
    handles += [dot("control", CONTROL)] if set(options.controls) & set(runs) else []
    legend(
        figure,
        [
            *handles,
            patch(
                f"within ±{options.within:.0%} of the median, or a factor {options.factor:g}", PALETTE[2], 0.2
            ),
        ],
    )
    return figure


def final(axis, frame, places, shown, median: float, within: float) -> None:
    """In-context learning at the end of training."""
    for run, place in places.items():
        seed_points(axis, place, frame.loc[frame["run"] == run, "icl_end"], shown[run].colour, spread=0)
    if np.isfinite(median):
        axis.axhspan(
            median * (1 - within), median * (1 + within), color=PALETTE[2], alpha=0.12, linewidth=0, zorder=0
        )
    axis.axhline(0, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0)
    axis.set_ylabel("in-context learning at the end\n(nats per token)")
    undefined(axis, frame.loc[frame["run"].isin(places), "icl_end"])


def midpoints(axis, frame, places, shown, median: float, factor: float) -> None:
    """The middle of the window; runs without one changed never."""
    rows = frame[frame["run"].isin(places)]
    times = rows["midpoint"].where(rows["midpoint"].notna() | rows["icl_end"].isna(), np.inf)
    finite = times[np.isfinite(times)]
    longest = float(max(rows["tokens"].max(), finite.max() if len(finite) else 0))
    bounds = (0.7 * float(finite.min()) if len(finite) else longest / 10, longest)
    for run, place in places.items():
        seed_times(
            axis,
            place,
            or_never(times[rows["run"] == run], longest, bounds[0], "log"),
            shown[run].colour,
            spread=0,
        )
    if np.isfinite(median):
        axis.axhspan(
            median / factor**0.5, median * factor**0.5, color=PALETTE[2], alpha=0.12, linewidth=0, zorder=0
        )
    tokens_axis(
        axis,
        "log",
        bounds,
        along="y",
        name="middle of the window,\ntraining tokens",
        with_never=bool(np.isinf(times).any()),
    )
    undefined(axis, times)


def _places(frame, runs, options) -> dict[str, float]:
    if options.sizes:
        return {run: options.sizes[run] for run in runs if run in options.sizes}
    return {run: float(frame.loc[frame["run"] == run, "layers"].iloc[0]) for run in runs}


def _size_axis(axis, places, label: str) -> None:
    values = sorted(set(places.values()))
    if values[-1] / values[0] > 20:
        axis.set_xscale("log")
    else:
        axis.set_xticks(values, [f"{value:g}" for value in values])
        axis.set_xlim(values[0] - 0.5, values[-1] + 0.5)
    axis.set_xlabel(label)
