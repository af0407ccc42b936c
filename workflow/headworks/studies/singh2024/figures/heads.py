"""Heads alone, and all but one, against their strength (Singh 2024, sec. 3.1; Fig. 4a, 18)."""

import pandas as pd
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from headworks.figures import CONTROL, INK, PALETTE, canvas, dot, legend, need, note, seed_points
from headworks.studies.singh2024.figures.marks import cloud, level, of_network

ALONE, WITHOUT, WHOLE = PALETTE[0], PALETTE[1], PALETTE[2]
COLUMNS = [
    "snapshot",
    "strength",
    "rank",
    "intact_accuracy",
    "solo_accuracy",
    "without_accuracy",
    "shuffled_accuracy",
]


def draw(options, tables):
    """All heads by strength; then, a dot a seed, the strongest head alone against all the others."""
    frame = of_network(options, tables, "heads", COLUMNS)
    trained, before = (frame[frame["snapshot"] == snapshot] for snapshot in ("last", "first"))
    figure, axes = canvas(1, 2, height=3.1, width_ratios=[1.7, 1])
    by_strength(axes[0][0], trained, before, options.chance)
    strongest(axes[0][1], trained[trained["rank"] == 1], options.chance)
    handles = [
        dot("head alone", ALONE),
        dot("all but the head", WITHOUT, "^"),
        dot("alone, before training", CONTROL),
        dot("alone, against the other label", CONTROL, "v"),
    ]
    if options.reference:
        columns = ["seed", "head", "strength", "solo_accuracy"]
        theirs = need(tables, options.reference, columns, "reference")
        cloud(axes[0][0], theirs["strength"], theirs["solo_accuracy"], INK, hollow=True)
        handles.append(dot("the authors' heads alone", INK, hollow=True))
    legend(figure, handles)
    return figure


def by_strength(axis: Axes, trained: pd.DataFrame, before: pd.DataFrame, chance: float) -> None:
    """Accuracy alone and of all the others, a mark a head; untrained heads in grey."""
    cloud(axis, before["strength"], before["solo_accuracy"], CONTROL, size=7)
    cloud(axis, trained["strength"], trained["without_accuracy"], WITHOUT, "^")
    cloud(axis, trained["strength"], trained["solo_accuracy"], ALONE)
    level(axis, chance, "chance", at=0.99)
    level(axis, 0.5, "either label of the context", at=0.99)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("strength (attention to the right label − to the wrong one)")
    axis.set_ylabel("accuracy")
    both = trained[["seed", "strength", "solo_accuracy"]].dropna()
    ranked = [
        spearmanr(one["strength"], one["solo_accuracy"]).statistic
        for _, one in both.groupby("seed")
        if min(one["strength"].nunique(), one["solo_accuracy"].nunique()) > 1
    ]
    if ranked:
        mean = sum(ranked) / len(ranked)
        note(axis, f"Spearman {mean:.2f}, mean of {len(ranked)} seeds, {len(both)} heads")


def strongest(axis: Axes, best: pd.DataFrame, chance: float) -> None:
    """What the strongest head does alone, what the network does without it, and the whole."""
    places = {
        "the\nstrongest\nalone": ("solo_accuracy", ALONE, "o"),
        "all but the\nstrongest": ("without_accuracy", WITHOUT, "^"),
        "all heads": ("intact_accuracy", WHOLE, "s"),
        "alone,\nother label": ("shuffled_accuracy", CONTROL, "v"),
    }
    for place, (column, colour, marker) in enumerate(places.values()):
        seed_points(axis, place, best[column], colour, spread=0.2, marker=marker)
    level(axis, chance)
    level(axis, 0.5)
    axis.set_xticks(range(len(places)), list(places), fontsize=6)
    axis.set_xlim(-0.5, len(places) - 0.5)
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("what is left of layer 2")
    axis.set_ylabel("accuracy")
