"""How well heads copy: with a perfect match, where the strongest fails, by label (Singh 2024, Fig. 16)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import CONTROL, PALETTE, canvas, dot, legend, note, say
from headworks.studies.singh2024.figures.marks import cloud, diagonal, level, of_network

COLUMNS = [
    "snapshot",
    "rank",
    "solo_accuracy",
    "matched_accuracy",
    "matched_errors",
    "label_chi2_p",
    "worst_label_share",
    "on_best_errors",
]
STRONGEST, OTHER = PALETTE[1], PALETTE[0]
SIGNIFICANT = 1e-3


def draw(options, tables):
    """A mark a head of every seed: a perfect match against its own; alone on the strongest head's errors
    against alone on everything; the share of its copying errors on its worst label."""
    frame = of_network(options, tables, "heads", COLUMNS)
    trained, before = (frame[frame["snapshot"] == snapshot] for snapshot in ("last", "first"))
    figure, axes = canvas(1, 3, height=2.6)
    against(axes[0][0], trained, before, "solo_accuracy", "matched_accuracy")
    axes[0][0].set_xlabel("accuracy alone, its own match")
    axes[0][0].set_ylabel("accuracy alone, perfect match")
    level(axes[0][0], options.chance, "chance", at=0.99)
    against(axes[0][1], trained, before, "solo_accuracy", "on_best_errors")
    axes[0][1].set_xlabel("accuracy alone, all sequences")
    axes[0][1].set_ylabel("accuracy alone where\nthe strongest head errs")
    worst_label(axes[0][2], trained, before, options.chance)
    legend(
        figure,
        [
            dot("strongest head of a seed", STRONGEST, "D"),
            dot("other heads", OTHER),
            dot("untrained heads", CONTROL),
        ],
    )
    return figure


def by_rank(axis: Axes, trained: pd.DataFrame, before: pd.DataFrame, x: str, y: str) -> None:
    """A mark a head: untrained ones in grey, the strongest of each seed apart."""
    cloud(axis, before[x], before[y], CONTROL, size=7)
    best = trained["rank"] == 1
    cloud(axis, trained.loc[~best, x], trained.loc[~best, y], OTHER)
    cloud(axis, trained.loc[best, x], trained.loc[best, y], STRONGEST, "D")


def against(axis: Axes, trained: pd.DataFrame, before: pd.DataFrame, x: str, y: str) -> None:
    """One accuracy against another, and how many heads have the second higher."""
    by_rank(axis, trained, before, x, y)
    diagonal(axis)
    axis.set_xlim(0, 1.03)
    axis.set_ylim(0, 1.03)
    both = trained[[x, y]].dropna()
    note(axis, f"{int((both[y] > both[x]).sum())} of {len(both)} above")


def worst_label(axis: Axes, trained: pd.DataFrame, before: pd.DataFrame, chance: float) -> None:
    """Errors of a head with a perfect match: how many, and how many of them on one label."""
    by_rank(
        axis,
        *(rows[rows["matched_errors"] > 0] for rows in (trained, before)),
        "matched_errors",
        "worst_label_share",
    )
    level(axis, chance, "even over labels", at=0.99)
    errors = pd.concat([trained["matched_errors"], before["matched_errors"]])
    if (np.isfinite(errors) & (errors > 0)).any():
        axis.set_xscale("log")
    else:
        say(axis, "no errors")
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("errors with a perfect match")
    axis.set_ylabel("share of them on\nthe worst label")
    tested = trained["label_chi2_p"].dropna()
    note(axis, f"p < {SIGNIFICANT:g}: {int((tested < SIGNIFICANT).sum())} of {len(tested)}")
