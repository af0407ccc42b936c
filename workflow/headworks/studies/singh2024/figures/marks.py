"""What this study's figures of heads and patterns share: colours of the circuit's parts, rows, marks."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from headworks.errors import HeadworksError
from headworks.figures import CONTROL, PALETTE, need

PARTS = {"A": PALETTE[1], "B": PALETTE[2], "C": PALETTE[0]}
"""Layer 1, the match and the copy, as in Singh 2024, sec. 4.1."""
PREVIOUS, INDUCTION = PALETTE[1], PALETTE[0]
"""Previous-token heads and induction heads."""


def of_network(
    options, tables: Mapping[str, pd.DataFrame], role: str, columns: Sequence[str]
) -> pd.DataFrame:
    """The rows of the one run and condition that a figure shows.

    Raises HeadworksError for a column, run or condition that is not there.
    """
    frame = need(tables, getattr(options, role), ["run", "condition", "seed", *columns], role)
    for key in ("run", "condition"):
        wanted = getattr(options, key)
        found = list(dict.fromkeys(frame[key]))
        if wanted and wanted not in found:
            raise HeadworksError(
                f"options.{key}: {wanted!r} is not in the table of the role {role}; "
                f"allowed: {', '.join(found) or 'none'}"
            )
        frame = frame[frame[key] == (wanted or next(iter(found), None))]
    return frame.reset_index(drop=True)


def chosen_seed(options, frame: pd.DataFrame) -> int:
    """The seed that a figure shows by itself: the one asked for, or the first. Raises HeadworksError."""
    found = list(dict.fromkeys(frame["seed"]))
    if options.seed is not None and options.seed not in found:
        raise HeadworksError(
            f"options.seed: {options.seed} is not a seed of the table; allowed: {', '.join(map(str, found))}"
        )
    return int(found[0] if options.seed is None else options.seed)


def level(axis: Axes, value: float, word: str = "", along: str = "x", at: float = 0.01) -> None:
    """A dotted grey line across the axis, with a word at the fraction `at` of its length."""
    (axis.axhline if along == "x" else axis.axvline)(
        value, color=CONTROL, linewidth=0.7, linestyle=":", zorder=0
    )
    if not word:
        return
    if along == "x":
        side = "left" if at < 0.5 else "right"
        axis.text(at, value, word, transform=axis.get_yaxis_transform(), fontsize=6, va="bottom", ha=side)
    else:
        axis.text(value, at, f" {word}", transform=axis.get_xaxis_transform(), fontsize=6, va="center")


def diagonal(axis: Axes, low: float = 0, high: float = 1) -> None:
    """Where both axes are equal."""
    axis.plot([low, high], [low, high], color=CONTROL, linewidth=0.7, linestyle=":", zorder=0)


def cloud(axis: Axes, x, y, colour: str, marker: str = "o", hollow: bool = False, size: float = 13) -> None:
    """A mark for each head: pale and full, or hollow for numbers that are not ours."""
    face, alpha = ("none", 0.9) if hollow else (colour, 0.6)
    edge = {"edgecolor": colour, "linewidth": 0.8} if hollow else {"linewidth": 0}
    axis.scatter(x, y, s=size, marker=marker, facecolor=face, alpha=alpha, **edge)


def seed_series(axis: Axes, frame: pd.DataFrame, x: str, y: str, colour: str, dash: str = "-") -> None:
    """A thin line for each seed and a thick one for their median, which suits a logarithmic axis."""
    frame = frame[np.isfinite(frame[y].astype(float))]
    if frame["seed"].nunique() > 1:
        for _, one in frame.sort_values(x).groupby("seed"):
            axis.plot(one[x], one[y], color=colour, linestyle=dash, linewidth=0.5, alpha=0.5)
    median = frame.groupby(x)[y].median()
    axis.plot(median.index, median, color=colour, linestyle=dash)


def heat(axis: Axes, grid: np.ndarray, low: float, high: float, colours: str) -> AxesImage:
    """A matrix [row, column] as squares, the first row on top."""
    image = axis.imshow(
        grid, vmin=low, vmax=high, cmap=colours, aspect="equal", interpolation="nearest", rasterized=True
    )
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0, pad=2)
    return image


def thousands(sequences: float) -> str:
    """A time in training sequences, short: 257000 → 257k."""
    return f"{sequences / 1000:.3g}k" if sequences < 1e6 else f"{sequences / 1e6:.3g}M"
