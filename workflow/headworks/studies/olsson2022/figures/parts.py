"""What several figures of this study share: windows, roles of heads, labels."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from headworks.errors import HeadworksError
from headworks.figures import CONTROL, PALETTE, Look, drawable, handle, legend, need, patch, pretty, shade

MEASURES = {
    "loss": "loss (nats per token)",
    "icl": "in-context learning\n(nats per token)",
    "prefix": "prefix matching,\nbest head",
    "previous": "previous token,\nbest head",
    "copy_gain": "gain on repeats\n(nats per token)",
}
TIMES = (
    "start",
    "end",
    "midpoint",
    "icl_onset",
    "previous_time",
    "prefix_time",
    "icl_time",
    "icl_end",
    "tokens",
    "layers",
)
ROLES = {"induction": PALETTE[0], "previous-token": PALETTE[1], "other": CONTROL}


def labelled(options, runs: Sequence[str]) -> dict[str, str]:
    """What the figure calls each run."""
    return {run: options.labels.get(run, pretty(run)) for run in runs}


def of_phases(
    tables: Mapping[str, pd.DataFrame], names: Sequence[str], without: Sequence[str] = ()
) -> pd.DataFrame:
    """A table of phases with all the columns drawn: one of runs without a window lacks the window's.

    Runs in `without` are left out: a control's slow drift is no phase change to shade.
    """
    frame = need(tables, names, ["run", "seed"], "phases") if names else pd.DataFrame(columns=["run", "seed"])
    frame = frame[~frame["run"].isin(list(without))]
    return frame.reindex(columns=list(dict.fromkeys([*frame, *TIMES])))


def windows(phases: pd.DataFrame, run: str, seed: int | None = None) -> np.ndarray:
    """Starts and ends of a run's windows, [seed, 2]; replicas without one are left out."""
    rows = phases[(phases["run"] == run) & (True if seed is None else phases["seed"] == seed)]
    return rows[["start", "end"]].dropna().to_numpy(float)


def shade_typical(axis: Axes, phases: pd.DataFrame, run: str, **how) -> bool:
    """Shade from the median start to the median end over a run's replicas; whether most have a window."""
    found = windows(phases, run)
    typical = len(found) > 0 and 2 * len(found) >= (phases["run"] == run).sum()
    if typical:
        shade(axis, *np.median(found, axis=0), **how)
    return typical


def chance_line(axis: Axes, frame: pd.DataFrame) -> None:
    """Where a head without preference scores."""
    axis.axhline(frame["chance"].median(), color=CONTROL, linewidth=0.7, linestyle=":", zorder=0)


def role_of(heads: pd.DataFrame) -> pd.Series:
    """The role of each row of a table of ablations, a key of `ROLES`."""
    roles = np.select([heads["induction"] == 1, heads["previous_head"] == 1], list(ROLES)[:2], "other")
    return pd.Series(roles, index=heads.index)


def last_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of each run's last snapshot."""
    return frame[frame["step"] == frame.groupby("run")["step"].transform("max")]


def one_dataset(frame: pd.DataFrame, wanted: str | None) -> pd.DataFrame:
    """The rows of the dataset asked for, or of the first."""
    found = list(dict.fromkeys(frame["dataset"]))
    if wanted and wanted not in found:
        raise HeadworksError(
            f"options.dataset: {wanted!r} is not in the table of the floor; allowed: {', '.join(found)}"
        )
    return frame[frame["dataset"] == (wanted or found[0])]


def edges(centres: np.ndarray, log: bool) -> np.ndarray:
    """Borders of the cells of a heat map around ascending centres."""
    x = np.log(centres) if log else np.asarray(centres, dtype=float)
    if len(x) == 1:
        x = np.array([x[0] - 0.5, x[0] + 0.5])
        return np.exp(x) if log else x
    inner = (x[1:] + x[:-1]) / 2
    borders = np.concatenate([[x[0] - (inner[0] - x[0])], inner, [x[-1] + (x[-1] - inner[-1])]])
    return np.exp(borders) if log else borders


def runs_legend(
    figure: Figure, options, look: Mapping[str, Look], window: bool = False, extras: Sequence = ()
) -> None:
    """The runs, and the shading if there is any."""
    names = labelled(options, look)
    handles = [handle(names[run], look[run]) for run in look]
    legend(figure, [*handles, *extras, *([patch("phase change")] if window else [])])


def token_bounds(frame: pd.DataFrame, scale: str) -> tuple[float, float]:
    """The shortest and longest training time of a table that the axis can show."""
    tokens = drawable(frame, scale)["tokens"]
    return (0.0 if scale == "linear" else float(tokens.min())), float(tokens.max())


def position_axis(axis: Axes, along: str = "x") -> None:
    """Make one axis logarithmic in the position in the context, with plain numbers."""
    getattr(axis, f"set_{along}scale")("log")
    half = getattr(axis, f"{along}axis")
    half.set_major_locator(LogLocator(subs=(1, 2, 5)))
    half.set_major_formatter(lambda value, _: f"{value:g}")
    half.set_minor_locator(NullLocator())
