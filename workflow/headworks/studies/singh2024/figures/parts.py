"""What this study's figures of curves and times share: colours and names of conditions, lines, times, marks."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, NullFormatter

from headworks.errors import HeadworksError
from headworks.figures import CONTROL, DASHES, INK, PALETTE, Look, dot, need, pretty, tokens_axis
from headworks.studies.singh2024.figures.marks import level

LN2 = math.log(2)
UNCLAMPED = "unclamped"
NEUTRAL, ORANGE, RED, GREEN, BLUE, PURPLE = "#62666d", "#cf8000", "#c8323c", "#029e73", "#1f7dbd", "#b86fae"
"""The paper's colours of Fig. 5, its black lightened to read on a dark page."""
LOOKS = {
    "full": Look("#8f6b4d"),
    "none": Look(NEUTRAL),
    "attend": Look(ORANGE),
    "attend-three": Look(ORANGE, "--"),
    "attend-all": Look(ORANGE, ":"),
    "layer1": Look(RED),
    "labelled": Look(RED, "--"),
    "layer1-released": Look(RED, ":"),
    "match": Look(GREEN),
    "match-released": Look(GREEN, ":"),
    "match-random": Look(CONTROL, "--"),
    "copy": Look(BLUE),
    "layer1-copy": Look(PURPLE),
    "labelled-copy": Look(PURPLE, "--"),
    "layer1-copy-detached": Look(PURPLE, ":"),
    "readout": Look("#8a7a12"),
    "readout-copy": Look("#6a7fd6"),
    "graft-own": Look("#0f909c"),
    "graft-other": Look("#b5568d"),
}
"""Condition → how it is drawn, the same in every figure."""
NAMES = {
    "full": "all heads",
    "none": "none clamped",
    "attend": "1: one head attends",
    "attend-three": "1: three heads attend",
    "attend-all": "1: all heads attend",
    "layer1": "1,2: layer 1",
    "labelled": "1,2, labels in keys",
    "layer1-released": "1,2, then released",
    "match": "match",
    "match-released": "match, then released",
    "match-random": "random match",
    "copy": "copy",
    "layer1-copy": "1,2 + copy",
    "labelled-copy": "1,2, labels in keys + copy",
    "layer1-copy-detached": "1,2 + copy, detached",
    "readout": "readout",
    "readout-copy": "readout + copy",
    "graft-own": "own layer 1 grafted",
    "graft-other": "another's layer 1 grafted",
}
"""Condition → its name, after the paper's steps."""
MOST_POINTS = 160
"""Points of one line; more are not seen and make heavy files."""


# Conditions


def with_series(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with a column `series`: the condition, or of a run without clamps the run's own name."""
    return frame.assign(series=frame["condition"].where(frame["condition"] != UNCLAMPED, frame["run"]))


def of_conditions(
    tables: Mapping[str, pd.DataFrame], names: Sequence[str], columns: Sequence[str], role: str
) -> pd.DataFrame:
    """Tables of replicas with their `series`, each of which must be of one run; raises HeadworksError if not."""
    frame = with_series(need(tables, names, ["run", "condition", "seed", *columns], role))
    for series, rows in frame.groupby("series", sort=False):
        if rows["run"].nunique() > 1:
            raise HeadworksError(
                f"options.{role}: the condition {series!r} is in the runs {', '.join(rows['run'].unique())}; "
                "which to draw is not clear, so give tables with one of them"
            )
    return frame


def chosen(wanted: Sequence[str], frame: pd.DataFrame, role: str, key: str = "conditions") -> list[str]:
    """The conditions to draw: those asked for, or all in the table's order. Raises HeadworksError."""
    found = list(dict.fromkeys(frame["series"]))
    if unknown := [name for name in wanted if name not in found]:
        raise HeadworksError(
            f"options.{key}: {', '.join(unknown)} is not in the table of the role {role}; "
            f"allowed: {', '.join(found) or 'none'}"
        )
    return list(wanted) or found


def looks_of(names: Sequence[str], controls: Sequence[str] = ()) -> dict[str, Look]:
    """How each condition is drawn: always alike if it has a colour of its own, controls in grey."""
    found, others = {}, 0
    for name in names:
        if name in controls:
            dash = DASHES[1 + sum(look.colour == CONTROL for look in found.values()) % (len(DASHES) - 1)]
            found[name] = Look(CONTROL, dash)
        elif name in LOOKS:
            found[name] = LOOKS[name]
        else:
            found[name] = Look(PALETTE[others % len(PALETTE)], "-.")
            others += 1
    return found


def named(labels: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """What the figure calls each condition."""
    return {name: labels.get(name, NAMES.get(name, pretty(name))) for name in names}


def optional(
    tables: Mapping[str, pd.DataFrame], names: Sequence[str], columns: Sequence[str], role: str
) -> pd.DataFrame:
    """The tables of a role that may be left out; without rows then."""
    return need(tables, names, columns, role) if names else pd.DataFrame(columns=list(columns))


# Curves over training sequences


def thinned(frame: pd.DataFrame, by: Sequence[str], y: str = "loss") -> pd.DataFrame:
    """Curves averaged over neighbours to at most `MOST_POINTS` points each; `by` tells the curves apart."""
    place = frame.groupby(list(by), sort=False).cumcount()
    longest = int(place.max()) + 1 if len(place) else 0
    stretch = place // max(1, -(-longest // MOST_POINTS))
    keys = [*(frame[name] for name in by), stretch.rename("stretch")]
    return frame[["sequences", y]].groupby(keys, sort=False).mean().reset_index()


def seed_curves(axis: Axes, frame: pd.DataFrame, look: Look, y: str = "loss", x: str = "sequences") -> None:
    """A thin line for each seed and a thick one for their median; rows without a finite value are left out.

    The median ends where the first seed does: what some seeds lack is no median of all.
    """
    frame = frame[np.isfinite(frame[y].astype(float))].sort_values(x)
    if frame.empty:
        return
    common = {"color": look.colour, "linestyle": look.dash}
    seeds = frame["seed"].nunique()
    if seeds > 1:
        for _, one in frame.groupby("seed"):
            axis.plot(one[x], one[y], linewidth=0.45, alpha=0.45, **common)
    at_each = frame.groupby(x)[y]
    median = at_each.median()[at_each.count() == seeds]
    axis.plot(median.index, median, **common)


def ln2_line(axis: Axes, word: bool = True) -> None:
    """The loss of a random one of the two labels of the context."""
    axis.axhline(LN2, color=INK, linewidth=0.6, zorder=0)
    if word:
        where = axis.get_yaxis_transform()
        axis.text(0.995, LN2, "ln 2", transform=where, ha="right", va="bottom", fontsize=6)


def loss_axis(axis: Axes, log: bool = False, floor: float = 2e-3) -> None:
    """Label and scale of an axis of losses, and the line at ln 2."""
    if log:
        axis.set_yscale("log")
        axis.set_ylim(bottom=max(floor, axis.get_ylim()[0]))
        plain_ticks(axis)
    else:
        axis.set_ylim(bottom=0)
    axis.set_ylabel("loss (nats)")
    ln2_line(axis)


def plain_ticks(axis: Axes, along: str = "y") -> None:
    """Plain numbers on a logarithmic axis."""
    half = getattr(axis, f"{along}axis")
    half.set_major_formatter(lambda value, _: f"{value:g}")
    half.set_minor_formatter(NullFormatter())


def sequences_axis(
    axis: Axes, scale: str, bounds: tuple[float, float], along: str = "x", with_never: bool = False
) -> None:
    """An axis of training sequences: linear as elsewhere, logarithmic in thousands."""
    tokens_axis(axis, scale, bounds, along, name="training sequences", with_never=with_never)
    if scale == "linear":
        return
    half = getattr(axis, f"{along}axis")
    names = [f"{tick / 1e3:g}" for tick in half.get_majorticklocs()]
    if with_never:
        names[-1] = "never"
    half.set_major_formatter(FixedFormatter(names))
    half.set_label_text("training sequences (thousands)")


# Times


def times_panel(
    axis: Axes,
    frame: pd.DataFrame,
    look: Mapping[str, Look],
    column: str = "midpoint",
    reference: pd.DataFrame | None = None,
) -> bool:
    """A row a condition: a pale dot a seed, their median, and hollow dots for the authors' numbers below.

    What did not come is an arrow at the end of its training; a median of such is one too. `frame` and `reference`
    have series, `column` and ended; a reference in which all came may lack ended. Returns whether there are arrows.
    """
    rows = frame[frame["series"].isin(look)]
    theirs = reference if reference is not None else pd.DataFrame(columns=["series", column])
    theirs = theirs[theirs["series"].isin(look) & theirs[column].notna()]
    bounds = time_bounds([rows[column], rows["ended"], theirs[column]])
    for place, (name, style) in enumerate(look.items()):
        own = rows[rows["series"] == name]
        time_row(axis, place - 0.1, own[column], own["ended"], style.colour)
        hollow = theirs[theirs["series"] == name]
        spread = place + 0.3 + (np.linspace(-0.08, 0.08, len(hollow)) if len(hollow) > 1 else np.zeros(1))
        ends = hollow["ended"] if "ended" in hollow else hollow[column]
        never = np.isinf(hollow[column].to_numpy(float))
        arrows(
            axis, np.minimum(hollow[column], ends), spread[: len(hollow)], never, style.colour, hollow=True
        )
    sequences_axis(axis, "log", bounds)
    axis.set_xlim(bounds[0], bounds[1] * 1.12)
    rows_axis(axis, look)
    return bool(np.isinf(np.concatenate([rows[column], theirs[column]]).astype(float)).any())


def time_bounds(columns: Sequence) -> tuple[float, float]:
    """Shortest and longest of several columns of times, with some room; infinite ones do not count."""
    values = np.concatenate([np.asarray(column, dtype=float) for column in columns])
    values = values[np.isfinite(values) & (values > 0)]
    return (values.min() * 0.8, values.max()) if len(values) else (1e3, 1e6)


def time_row(axis: Axes, place: float, times, ends, colour: str) -> None:
    """One condition's seeds and their median on a horizontal axis; of an even number the later middle one."""
    times, ends = np.asarray(times, dtype=float), np.asarray(ends, dtype=float)
    times, ends = times[~np.isnan(times)], ends[~np.isnan(times)]
    if not len(times):
        axis.text(0.5, place, "not defined", transform=axis.get_yaxis_transform(), va="center", fontsize=6)
        return
    at, never = np.minimum(times, ends), np.isinf(times)
    spread = place + (np.linspace(-0.15, 0.15, len(at)) if len(at) > 1 else np.zeros(1))
    arrows(axis, at, spread, never, colour, alpha=0.5)
    middle = np.argsort(times, kind="stable")[len(times) // 2]
    axis.plot(
        at[middle],
        place,
        marker=">" if never[middle] else "o",
        markersize=4.5,
        color=colour,
        linestyle="none",
    )


def arrows(axis: Axes, x, y, never, colour: str, alpha: float = 1, hollow: bool = False) -> None:
    """Small marks: dots, and arrows to the right where `never`."""
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    never = np.broadcast_to(never, x.shape)
    face = {"facecolor": "none" if hollow else colour, "edgecolor": colour, "linewidth": 0.7 * hollow}
    for marker, kept in (("o", ~never), (">", never)):
        if kept.any():
            axis.scatter(
                x[kept], y[kept], s=13 if hollow else 10, marker=marker, alpha=alpha, zorder=2, **face
            )


def rows_axis(axis: Axes, look: Mapping[str, Look], names: Mapping[str, str] | None = None) -> None:
    """Conditions from top to bottom on the vertical axis."""
    axis.set_ylim(len(look) - 0.4, -0.6)
    axis.set_yticks(range(len(look)), list((names or named({}, look)).values()))
    axis.tick_params(axis="y", length=0)
    for place in range(len(look) - 1):
        axis.axhline(place + 0.5, color=CONTROL, linewidth=0.3, alpha=0.5, zorder=0)


def hollow_points(axis: Axes, x, y, colour: str) -> None:
    """The authors' numbers on curves."""
    axis.scatter(x, y, s=12, facecolor="none", edgecolor=colour, linewidth=0.7, zorder=3)


def authors():
    """Legend entry of hollow marks."""
    return dot("the authors' runs", INK, hollow=True)


def never_mark(marker: str = ">"):
    """Legend entry of arrows."""
    return dot("not before the end of training", INK, marker)


def limit(axis: Axes, value: float, word: str) -> None:
    """A dotted vertical line at a threshold."""
    level(axis, value, word, along="y", at=0.99)
