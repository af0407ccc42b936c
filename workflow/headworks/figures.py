"""The look of all figures, and saving them so that the same table gives the same bytes.

A study's figure module is one function `draw(options, tables) -> Figure`; it never opens a model or a run.
"""

import re
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from headworks.job import Job
from headworks.store import replacing

PALETTE = sns.color_palette("colorblind").as_hex()
CONTROL = "#8c8c8c"
"""Controls are grey everywhere."""
WINDOW = "#e8a33d"
"""The phase change is shaded in this colour, as in Olsson 2022."""
INK = "#6e7681"
"""Text and axes: a grey that reads on white paper and on a dark page alike."""
PNG_DPI = 200


def style() -> None:
    """Set the common style; called by `save`'s users through `canvas`."""
    mpl.use("Agg")
    sns.set_theme(style="ticks", context="paper", palette="colorblind")
    mpl.rcParams.update(
        {
            "svg.hashsalt": "headworks",
            "svg.fonttype": "none",
            "figure.constrained_layout.use": True,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
            "savefig.facecolor": "none",
            "font.family": "DejaVu Sans",
            "font.size": 8,
            "axes.titlesize": 9,
            "axes.labelsize": 8,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "lines.linewidth": 1.4,
            "axes.spines.top": False,
            "axes.spines.right": False,
            **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color", "axes.titlecolor"), INK),
        }
    )


def canvas(rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 2.4, **options) -> tuple[Figure, "list[list[Axes]]"]:
    """A figure in the common style with a grid of axes [row][column]; `height` is one row's, in inches."""
    style()
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(width, height * rows), squeeze=False, **options)
    return figure, axes


def shade(axis: Axes, start: float, end: float, label: str | None = None) -> None:
    """Shade a phase-change window on an axis of training tokens."""
    axis.axvspan(start, end, color=WINDOW, alpha=0.18, linewidth=0, label=label)


def tokens_axis(axis: Axes) -> None:
    """Label an x axis of training tokens in millions."""
    axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g}")
    axis.set_xlabel("training tokens per replica (millions)")


def save(figure: Figure, out: Path, job: Job) -> None:
    """Write `out` (SVG) and the PNG beside it; both carry the job's key and no date, so equal tables give equal bytes."""
    about = {"Title": f"{job.study}: {job.name}", "Description": f"headworks key {job.key}"}
    with replacing(out) as svg:
        figure.savefig(svg, format="svg", metadata=about | {"Date": None, "Creator": "headworks"})
    with replacing(out.with_suffix(".png")) as png:
        figure.savefig(png, format="png", dpi=PNG_DPI, facecolor="white", metadata=about | {"Software": "headworks"})


def pretty(name: str) -> str:
    """A run or column name for a label: perm-2l-smear → 'perm 2L smear'."""
    return re.sub(r"\b(\d+)l\b", r"\1L", name.replace("-", " ").replace("_", " "))
