"""The look of all figures, the parts that studies share, and saving them byte-stably.

A study's figure module is one function `draw(options, tables) -> Figure`; it never opens a model or a run.

SVGs are transparent and meant for white paper and dark pages alike, so no colour may rely on its ground. The
product of a colour's contrasts with white and with #0d1117 is 18.9 whatever the colour, so that 4.5:1 on both is
out of reach. `INK` has 4.6:1 on white (WCAG AA), 4.6:1 on black and 4.1:1 on #0d1117; every line colour has at
least 3:1 on white and on #0d1117, which is what WCAG asks of graphics.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from headworks.errors import HeadworksError
from headworks.job import Job
from headworks.store import replacing

PALETTE = ["#1f7dbd", "#d55e00", "#029e73", "#b86fae", "#9a8a1c", "#6a7fd6"]
"""seaborn's colour-blind palette with the luminances drawn together, for white and dark grounds."""
CONTROL = "#868686"
"""Controls are grey everywhere."""
WINDOW = "#e8a33d"
"""The phase change is shaded in this colour, as in Olsson 2022."""
INK = "#6e7681"
"""Text and axes: a grey that reads on white paper and on a dark page."""
DASHES = ["-", "--", ":", "-."]
WIDTH = 7.0
PNG_DPI = 200
UNITS = ((1e9, "billions"), (1e6, "millions"), (1e3, "thousands"))


def style() -> None:
    """Set the common style, whatever a matplotlibrc says; `canvas` calls it."""
    mpl.rcdefaults()
    sns.set_theme(style="ticks", context="paper")
    inked = (
        "text.color",
        "axes.labelcolor",
        "axes.edgecolor",
        "xtick.color",
        "ytick.color",
        "axes.titlecolor",
    )
    mpl.rcParams.update(
        {
            "svg.hashsalt": "headworks",
            "svg.fonttype": "none",
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.prop_cycle": mpl.cycler(color=PALETTE),
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],
            "font.size": 8,
            "axes.titlesize": 8,
            "axes.labelsize": 8,
            "xtick.labelsize": 7,
            "ytick.labelsize": 7,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "lines.linewidth": 1.4,
            "axes.linewidth": 0.8,
            **{f"{half}tick.major.size": 3 for half in "xy"},
            **{f"{half}tick.minor.size": 1.5 for half in "xy"},
            "axes.spines.top": False,
            "axes.spines.right": False,
            **dict.fromkeys(inked, INK),
        }
    )


def canvas(
    rows: int = 1, columns: int = 1, width: float = WIDTH, height: float = 2.4, **options
) -> tuple[Figure, np.ndarray]:
    """A figure in the common style with a grid of axes [row][column]; `height` is one row's, in inches.

    `options` go to `Figure.subplots`. The figure is not pyplot's, so nothing outlives it.
    """
    style()
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def save(figure: Figure, out: Path, job: Job) -> None:
    """Write `out` (SVG) and the PNG beside it, with the job's key and no date: equal tables give equal bytes."""
    about = {"Title": f"{job.study}: {job.name}", "Description": f"headworks key {job.key}"}
    with replacing(out) as svg:
        figure.savefig(svg, format="svg", metadata=about | {"Date": None, "Creator": "headworks"})
    with replacing(out.with_suffix(".png")) as png:
        figure.savefig(
            png, format="png", dpi=PNG_DPI, facecolor="white", metadata=about | {"Software": "headworks"}
        )


def pretty(name: str) -> str:
    """A run or column name for a label: perm-2l-smear → 'perm 2L smear'."""
    return re.sub(r"\b(\d+)l\b", r"\1L", name.replace("-", " ").replace("_", " "))


def need(
    tables: Mapping[str, pd.DataFrame], names: Sequence[str], columns: Sequence[str], role: str
) -> pd.DataFrame:
    """The tables that play one role in a figure, one below the other, checked for the columns it draws."""
    for name in names:
        if name not in tables:
            raise HeadworksError(
                f"options.{role}: {name!r} is not one of the figure's tables; "
                f"allowed: {', '.join(tables) or 'none'}"
            )
        if missing := [column for column in columns if column not in tables[name]]:
            raise HeadworksError(
                f"options.{role}: the table {name!r} has no column {', '.join(missing)}; "
                f"it has {', '.join(tables[name])}"
            )
    if len(names) == 1:
        return tables[names[0]].reset_index(drop=True)
    # columns without a single value must not decide what a column's type is
    everything = list(dict.fromkeys(column for name in names for column in tables[name]))
    filled = [tables[name].dropna(axis=1, how="all") for name in names]
    return pd.concat(filled, ignore_index=True).reindex(columns=everything)


def runs_of(frame: pd.DataFrame, wanted: Sequence[str], role: str) -> list[str]:
    """The runs to draw: those asked for, or all in the table's order."""
    found = list(dict.fromkeys(frame["run"]))
    if unknown := [run for run in wanted if run not in found]:
        raise HeadworksError(
            f"options.runs: {', '.join(unknown)} is not in the table of the role {role}; "
            f"allowed: {', '.join(found)}"
        )
    return list(wanted) or found


@dataclass(frozen=True)
class Look:
    """How one run is drawn."""

    colour: str
    dash: str = "-"


def looks(runs: Sequence[str], controls: Sequence[str] = ()) -> dict[str, Look]:
    """A colour for each run, and grey with a dash of its own for each control."""
    shown = [run for run in runs if run not in controls]
    grey = [run for run in runs if run in controls]
    found = {
        run: Look(PALETTE[i % len(PALETTE)], DASHES[i // len(PALETTE) % len(DASHES)])
        for i, run in enumerate(shown)
    }
    found |= {run: Look(CONTROL, DASHES[(i + 1) % len(DASHES)]) for i, run in enumerate(grey)}
    return {run: found[run] for run in runs}


def shades(n: int) -> list[str]:
    """Colours of an ordered quantity (layers), of like luminance."""
    return [str(c) for c in sns.blend_palette([PALETTE[0], PALETTE[3], PALETTE[1]], n).as_hex()]


def seed_lines(axis: Axes, frame: pd.DataFrame, y: str, look: Look, x: str = "tokens") -> None:
    """A thin line for each seed and a thick one for their mean."""
    frame = frame[np.isfinite(frame[y].astype(float))]
    if frame.empty:
        return
    common = {
        "data": frame,
        "x": x,
        "y": y,
        "color": look.colour,
        "linestyle": look.dash,
        "legend": False,
        "ax": axis,
    }
    if frame["seed"].nunique() > 1:
        sns.lineplot(**common, units="seed", estimator=None, linewidth=0.5, alpha=0.5)
    sns.lineplot(**common, errorbar=None)


def seed_dots(axis: Axes, x: float, values, colour: str, spread: float = 0.1, marker: str = "o") -> None:
    """One pale dot for each seed, `spread` apart in units of the axis, in the order of `values`; NaN is left out."""
    values = np.asarray(values, dtype=float)
    offsets = np.linspace(-spread, spread, len(values)) if len(values) > 1 else np.zeros(len(values))
    kept = np.isfinite(values)
    how = {"s": 9, "color": colour, "alpha": 0.5, "linewidth": 0, "marker": marker}
    axis.scatter(x + offsets[kept], values[kept], **how)


def seed_points(axis: Axes, x: float, values, colour: str, spread: float = 0.1, marker: str = "o") -> None:
    """`seed_dots`, and a larger marker for their mean with its 95 % bootstrap interval over seeds."""
    seed_dots(axis, x, values, colour, spread, marker)
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if len(values) > 1:
        axis.plot([x, x], interval(values), color=colour, linewidth=1.4, solid_capstyle="butt")
    if len(values):
        axis.plot(x, values.mean(), marker=marker, markersize=4, color=colour, linestyle="none")


def seed_times(axis: Axes, x: float, places, colour: str, spread: float = 0.1, marker: str = "o") -> None:
    """`seed_dots` of times placed by `or_never`, and a larger marker for their median.

    A mean would mix times with the arbitrary place of 'never'; of an even number of seeds the later of the two
    middle times counts.
    """
    seed_dots(axis, x, places, colour, spread, marker)
    places = np.asarray(places, dtype=float)
    places = places[np.isfinite(places)]
    if len(places):
        median = np.quantile(places, 0.5, method="higher")
        axis.plot(x, median, marker=marker, markersize=4, color=colour, linestyle="none")


def interval(values: np.ndarray, level: float = 95, draws: int = 2000) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean, always from the same random numbers."""
    means = np.random.default_rng(0).choice(values, (draws, len(values))).mean(axis=1)
    low, high = np.percentile(means, [50 - level / 2, 50 + level / 2])
    return float(low), float(high)


def shade(axis: Axes, start: float, end: float, colour: str = WINDOW, alpha: float = 0.18) -> None:
    """Shade a phase-change window on an axis of training tokens."""
    axis.axvspan(start, end, color=colour, alpha=alpha, linewidth=0)


def drawable(frame: pd.DataFrame, scale: str) -> pd.DataFrame:
    """The rows that an axis of tokens can show: a logarithm has no place for the start of training."""
    return frame[frame["tokens"] > 0] if scale == "log" else frame


def never_at(longest: float, shortest: float, scale: str) -> float:
    """Where times that never came are drawn, past the end of training."""
    if scale == "log":
        return longest * (longest / shortest) ** 0.12
    return longest + 0.12 * (longest - shortest)


def or_never(times, longest: float, shortest: float, scale: str) -> np.ndarray:
    """Times with the infinite ones moved to where 'never' is drawn; NaN stays."""
    times = np.asarray(times, dtype=float)
    return np.where(np.isposinf(times), never_at(longest, shortest, scale), times)


def tokens_axis(
    axis: Axes,
    scale: str = "linear",
    bounds: tuple[float, float] | None = None,
    along: str = "x",
    name: str = "training tokens",
    with_never: bool = False,
) -> None:
    """Scale, ticks and label of an axis of training tokens, in thousands, millions or billions.

    `bounds` are the shortest and longest training time; the present limits of the axis when left out. With
    `with_never` the axis goes on to a tick of that name for times that never came (`or_never`).
    """
    half = getattr(axis, f"{along}axis")
    getattr(axis, f"set_{along}scale")(scale)
    low, high = bounds or getattr(axis, f"get_{along}lim")()
    unit, word = next(((u, w) for u, w in UNITS if high >= u), (1, ""))
    if scale == "log":
        few = np.log10(high / low) < 2.6
        locator = LogLocator(subs=(1, 2, 5) if few else (1,))
    else:
        locator = MaxNLocator(5)
    ticks = [tick for tick in locator.tick_values(low, high) if low * 0.999 <= tick <= high * 1.001]
    names = [f"{tick / unit:g}" for tick in ticks]
    end = high
    if with_never:
        end = never_at(high, low, scale)
        ticks, names = [*ticks, end], [*names, "never"]
        getattr(axis, "axvline" if along == "x" else "axhline")(
            end, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0
        )
        end = never_at(end, low, scale) if along == "y" else end * (1.02 if scale == "linear" else 1.1)
    half.set_major_locator(FixedLocator(ticks))
    half.set_major_formatter(FixedFormatter(names))
    half.set_minor_locator(NullLocator())
    half.set_minor_formatter(NullFormatter())
    getattr(axis, f"set_{along}lim")(low, end)
    half.set_label_text(f"{name} ({word})" if word else name)


def handle(label: str, look: Look) -> Line2D:
    """A line for the legend."""
    return Line2D([], [], color=look.colour, linestyle=look.dash, label=label)


def dot(label: str, colour: str, marker: str = "o", hollow: bool = False) -> Line2D:
    """A marker for the legend."""
    face = "none" if hollow else colour
    return Line2D(
        [],
        [],
        color=colour,
        marker=marker,
        markersize=4.5,
        linestyle="none",
        markerfacecolor=face,
        label=label,
    )


def patch(label: str, colour: str = WINDOW, alpha: float = 0.35) -> Patch:
    """A shaded area for the legend."""
    return Patch(facecolor=colour, alpha=alpha, linewidth=0, label=label)


def legend(figure: Figure, handles: Sequence) -> None:
    """One legend below all axes, where it covers no data, in as many columns as its longest entry allows."""
    if handles:
        fitting = int(17 * figure.get_size_inches()[0] / (max(len(item.get_label()) for item in handles) + 6))
        rows = -(-len(handles) // max(1, min(fitting, 6)))
        figure.legend(handles=handles, loc="outside lower center", ncols=-(-len(handles) // rows))


def note(axis: Axes, text: str) -> None:
    """A remark above the right end of an axis: how many replicas could not be drawn, a correlation."""
    axis.set_title(text, loc="right", fontsize=6.5)


def undefined(axis: Axes, values) -> None:
    """Say how many of the replicas have no value to draw, if any."""
    values = np.asarray(values, dtype=float)
    if missing := int(np.isnan(values).sum()):
        note(axis, f"{missing} of {len(values)} undefined")


def say(axis: Axes, text: str) -> None:
    """A word in the middle of a panel that has nothing to draw."""
    axis.annotate(text, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", fontsize=7)


def keep_within(axis: Axes, values, low: float, high: float) -> None:
    """Cut an axis of shares where quotients by next to nothing would hide the others, and say how many it cuts."""
    values = np.asarray(values, dtype=float)
    outside = int(((values < low) | (values > high)).sum())
    bottom, top = axis.get_ylim()
    axis.set_ylim(max(bottom, low), min(top, high))
    if outside:
        note(axis, f"{outside} of {len(values)} beyond")
