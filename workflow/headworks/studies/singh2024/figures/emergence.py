"""Induction heads emerge in a phase change, after previous-token heads (Singh 2024, Fig. 3; App. E)."""

import numpy as np
import pandas as pd

from headworks.figures import CONTROL, PALETTE, Look, canvas, handle, legend, shades
from headworks.studies.singh2024.figures.marks import INDUCTION, PREVIOUS, chosen_seed, level, of_network
from headworks.studies.singh2024.figures.parts import (
    authors,
    hollow_points,
    loss_axis,
    optional,
    seed_curves,
    sequences_axis,
)

SPLITS = {
    "train": ("training sequences", Look(PALETTE[0])),
    "test_class": ("unseen classes", Look(PALETTE[1])),
    "held_out_pairs": ("held-out pairs of labels", Look(PALETTE[2])),
    "drawings": ("unseen drawings", Look(PALETTE[3])),
    "swapped": ("labels swapped (control)", Look(CONTROL, "--")),
}
NUMBERS_APART = 0.055
"""Least distance of the numbers of heads at the ends of their lines, in units of strength."""


def draw(options, tables):
    """Loss and accuracy by kind of sequence; one seed's heads of layer 2; the best heads of every seed."""
    columns = ["sequences", "split", "loss", "context_accuracy"]
    scores = of_network(options, tables, "evaluation", columns)
    columns = ["sequences", "layer", "head", "active", "strength", "previous"]
    heads = of_network(options, tables, "emergence", columns)
    theirs = optional(tables, options.reference, ["sequences", "loss"], "reference")
    seed = chosen_seed(options, heads)
    figure, axes = canvas(2, 2, height=2.2)
    losses(axes[0][0], scores, theirs)
    accuracies(axes[0][1], scores)
    one_by_one(axes[1][0], heads[heads["seed"] == seed], seed)
    best(axes[1][1], heads)
    longest = float(max(scores["sequences"].max(), heads["sequences"].max()))
    for axis in axes.flat:
        sequences_axis(axis, "linear", (0, longest))
    handles = [handle(*SPLITS[split]) for split in SPLITS if split in set(scores["split"])]
    legend(figure, [*handles, *([authors()] if len(theirs) else [])])
    return figure


def losses(axis, scores, theirs) -> None:
    """Loss on every kind of sequence, and where the authors' seeds stand.

    Swapped labels are left out: their loss grows without a bound.
    """
    for split, (_, look) in SPLITS.items():
        if split != "swapped":
            seed_curves(axis, scores[scores["split"] == split], look)
    kinds = theirs["split"].fillna("train") if "split" in theirs else pd.Series("train", theirs.index)
    for split, rows in theirs.groupby(kinds):
        hollow_points(axis, rows["sequences"], rows["loss"], SPLITS[split][1].colour)
    loss_axis(axis)


def accuracies(axis, scores) -> None:
    """How often the right one of the two labels of the context is the likelier."""
    for split, (_, look) in SPLITS.items():
        seed_curves(axis, scores[scores["split"] == split], look, "context_accuracy")
    level(axis, 0.5, "chance", at=0.99)
    axis.set_ylim(-0.03, 1.03)
    axis.set_ylabel("accuracy between\nlabels of the context")


def one_by_one(axis, heads, seed: int) -> None:
    """Strength of each head of layer 2 of one seed."""
    second = heads[heads["layer"] == 2]
    colours = shades(max(2, second["head"].nunique()))
    ends = {}
    for colour, (head, rows) in zip(colours, second.groupby("head"), strict=False):
        rows = rows.sort_values("sequences")
        axis.plot(rows["sequences"], rows["strength"], color=colour)
        if np.isfinite(rows["strength"].iloc[-1]):
            ends[head] = (rows["sequences"].iloc[-1], rows["strength"].iloc[-1], colour)
    height = -np.inf
    for head, (x, y, colour) in sorted(ends.items(), key=lambda item: item[1][1]):
        height = max(y, height + NUMBERS_APART)
        how = {"textcoords": "offset points", "va": "center", "fontsize": 6, "color": colour}
        axis.annotate(f"{head}", (x, height), (2, 0), **how)
    level(axis, 0)
    axis.set_ylim(-0.1, 1.03)
    axis.set_ylabel("induction strength")
    axis.set_title(f"heads of layer 2, seed {seed}", loc="left")


def best(axis, heads) -> None:
    """The head of each layer that scores highest in the end, seed by seed."""
    for layer, score, colour in ((1, "previous", PREVIOUS), (2, "strength", INDUCTION)):
        rows = heads[(heads["layer"] == layer) & (heads["active"] == 1)]
        final = rows[rows["sequences"] == rows["sequences"].max()].dropna(subset=[score])
        winners = final.loc[final.groupby("seed")[score].idxmax(), ["seed", "head"]]
        seed_curves(axis, rows.merge(winners, on=["seed", "head"]), Look(colour), score)
    level(axis, 0)
    axis.set_ylim(-0.1, 1.03)
    axis.set_ylabel("score of the best head")
    axis.set_title("best head of every seed", loc="left")
    lines = [
        handle("layer 1, previous token", Look(PREVIOUS)),
        handle("layer 2, induction strength", Look(INDUCTION)),
    ]
    axis.legend(handles=lines, loc="center right")
