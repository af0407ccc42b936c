"""What this study's figures share: networks and their names, layers, axes, marks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from headworks.errors import HeadworksError
from headworks.figures import CONTROL, PALETTE, Look, need, pretty, runs_of

UNCLAMPED = "unclamped"
START, NULL, ORACLE = Look(CONTROL, ":"), Look(CONTROL, "-."), Look(CONTROL, "--")
"""The three references that an agreement of clusters is read against."""
GIVEN_INPUT = ("given_input_ari", "task ARI\ngiven the input")
SCORES = {"SEP": ("task_ari", "task ARI"), "INP": GIVEN_INPUT, "LAST": GIVEN_INPUT, "WORD": GIVEN_INPUT}
"""Position → the agreement of clusters with tasks that is meaningful there: column and name."""
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "<", ">", "p"]


# Networks


def networks(
    tables: Mapping[str, pd.DataFrame], names: Sequence[str], columns: Sequence[str], role: str
) -> pd.DataFrame:
    """The tables of a role; `run` is the run's name, of one with conditions followed by the condition's.

    Raises HeadworksError for a table or column that is not there.
    """
    frame = need(tables, names, ["run", "condition", "seed", "step", *columns], role)
    clamped = frame["run"] + "-" + frame["condition"]
    return frame.assign(run=frame["run"].where(frame["condition"] == UNCLAMPED, clamped))


def labelled(options, frame: pd.DataFrame, role: str) -> dict[str, str]:
    """Run → what the figure calls it, in the order drawn. Raises HeadworksError for one not there."""
    return {run: options.labels.get(run, pretty(run)) for run in runs_of(frame, options.runs, role)}


def only(frame: pd.DataFrame, column: str, value, key: str, role: str) -> pd.DataFrame:
    """The rows with one value. Raises HeadworksError if there are none, naming the option."""
    rows = frame[frame[column] == value]
    if rows.empty:
        found = ", ".join(str(one) for one in dict.fromkeys(frame[column]))
        whose = f" for the run {frame['run'].iloc[0]!r}" if frame["run"].nunique() == 1 else ""
        raise HeadworksError(
            f"options.{key}: {value!r} is not a value of {column} in the table of the role {role}{whose}; "
            f"allowed: {found or 'none'}"
        )
    return rows


def snapshot(frame: pd.DataFrame, which: str) -> pd.DataFrame:
    """The rows of each run's first ("min") or last ("max") snapshot."""
    return frame[frame["step"] == frame.groupby("run")["step"].transform(which)]


# Layers


def below_top(frame: pd.DataFrame) -> list[int]:
    """The layers of a table but the highest, which holds the answer; the only one if there is no other."""
    layers = sorted(int(layer) for layer in frame["layer"].unique())
    return layers[:-1] or layers


def best_layer(frame: pd.DataFrame, score: str) -> int | None:
    """The layer below the highest with the largest mean over seeds; None if none has a value."""
    means = frame[frame["layer"].isin(below_top(frame))].groupby("layer")[score].mean().dropna()
    return int(means.idxmax()) if len(means) else None


def layer_name(layer: int) -> str:
    """What a panel calls a layer: layer 0 is the embedding."""
    return "embedding" if layer == 0 else f"layer {layer}"


# Axes


def steps_axis(axis: Axes, steps) -> None:
    """Training steps, linear up to the first snapshot after the start and logarithmic from there."""
    steps = np.unique(np.asarray(steps, dtype=float))
    later = steps[steps > 0]
    if len(later):
        axis.set_xscale("symlog", linthresh=later[0], linscale=0.6)
        powers = 10.0 ** np.arange(np.ceil(np.log10(later[0])), np.floor(np.log10(later[-1])) + 1)
        axis.set_xlim(min(0.0, steps[0]), later[-1])
        axis.xaxis.set_major_locator(FixedLocator([0, *(powers if len(powers) else later[-1:])]))
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda step, _: f"{step / 1000:g}k" if step >= 1000 else f"{step:g}")
    )
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlabel("training step")


def shares(axis: Axes, along: str = "y") -> None:
    """An axis from 0 to 1, with room for marks at its ends and for agreements a little worse than chance."""
    getattr(axis, f"set_{along}lim")(-0.06, 1.05)
    getattr(axis, f"{along}axis").set_major_locator(FixedLocator([0, 0.5, 1]))


def name_rows(axis: Axes, labels: Sequence[str]) -> None:
    """Names from top to bottom on the vertical axis, and hairlines between the rows."""
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_yticks(range(len(labels)), list(labels))
    axis.tick_params(axis="y", length=0)
    for place in range(len(labels) - 1):
        axis.axhline(place + 0.5, color=CONTROL, linewidth=0.3, alpha=0.5, zorder=0)


# Marks


def reference(axis: Axes, values, look: Look) -> None:
    """A grey line across the axis at the mean of what is defined of `values`; none if nothing is."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if len(values):
        axis.axhline(values.mean(), color=look.colour, linestyle=look.dash, linewidth=0.8, zorder=0)


def seed_row(axis: Axes, place: float, values, colour: str, marker: str = "o") -> None:
    """A pale mark a seed along a horizontal row, and a larger one for their mean; NaN is left out."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    if len(values):
        axis.scatter(
            values, np.full(len(values), place), s=9, color=colour, alpha=0.45, linewidth=0, marker=marker
        )
        axis.plot(values.mean(), place, marker=marker, markersize=4.2, color=colour, linestyle="none")


def groups(values) -> dict:
    """Value → colour and shape of its marks: six colours, another shape for every six values more."""
    found = sorted(pd.unique(pd.Series(values).dropna()))
    turns = [divmod(i, len(PALETTE)) for i in range(len(found))]
    return {
        value: (PALETTE[colour], MARKERS[turn % len(MARKERS)])
        for value, (turn, colour) in zip(found, turns, strict=True)
    }
