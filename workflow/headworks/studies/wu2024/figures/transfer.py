"""Do networks whose instructions cluster by task combine better, and can they be steered?"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from headworks.figures import CONTROL, canvas, dot, legend, looks, note
from headworks.studies.wu2024.figures.parts import MARKERS, labelled, networks, shares, snapshot

COLUMNS = ["sep_ari", "held_out_accuracy", "input_only", "switch"]
PANELS = {
    "held_out_accuracy": "accuracy on held-out\ncombinations",
    "switch": "other task's answer after\nreplacement (share of prompts)",
}


def draw(options, tables):
    """Accuracy on held-out combinations, and switches, against agreement at SEP; a mark a network."""
    frame = networks(tables, options.across, COLUMNS, "across")
    labels = labelled(options, frame, "across")
    frame = snapshot(frame[frame["run"].isin(labels)], "max")
    colours = {run: look.colour for run, look in looks(list(labels), options.controls).items()}
    markers = markers_of(colours)
    figure, axes = canvas(1, len(PANELS), height=2.9)
    for axis, (column, name) in zip(axes[0], PANELS.items(), strict=True):
        for run in labels:
            own = frame[frame["run"] == run]
            axis.scatter(
                own["sep_ari"],
                own[column],
                s=18,
                color=colours[run],
                marker=markers[run],
                alpha=0.75,
                linewidth=0,
            )
        shares(axis)
        shares(axis, "x")
        axis.set_xlabel("task ARI at SEP, unseen instructions")
        axis.set_ylabel(name)
        rank_correlation(axis, frame["sep_ari"], frame[column])
    axes[0][0].scatter(
        frame["sep_ari"], frame["input_only"], s=30, color=CONTROL, marker="_", linewidth=0.8, zorder=0
    )
    handles = [dot(label, colours[run], markers[run]) for run, label in labels.items()]
    legend(figure, [*handles, dot("what the input alone gives", CONTROL, "_")])
    return figure


def markers_of(colours: dict[str, str]) -> dict[str, str]:
    """A shape for each run, another one for every run of the same colour."""
    seen: dict[str, int] = {}
    found = {}
    for run, colour in colours.items():
        seen[colour] = seen.get(colour, -1) + 1
        found[run] = MARKERS[seen[colour] % len(MARKERS)]
    return found


def rank_correlation(axis: Axes, x: pd.Series, y: pd.Series) -> None:
    """Spearman's coefficient over all marks, and how many networks have no value to draw."""
    both = np.isfinite(x.astype(float)) & np.isfinite(y.astype(float))
    missing = f", {(~both).sum()} undefined" if not both.all() else ""
    if both.sum() > 2 and x[both].nunique() > 1 and y[both].nunique() > 1:
        note(axis, f"ρ = {x[both].rank().corr(y[both].rank()):.2f}, {both.sum()} networks{missing}")
    else:
        note(axis, f"{both.sum()} networks{missing}")
