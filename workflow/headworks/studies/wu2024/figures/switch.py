"""What a network answers after interventions on its states: the other task's answer, its own, or neither."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from headworks.errors import HeadworksError
from headworks.figures import CONTROL, INK, PALETTE, canvas, dot, legend
from headworks.studies.wu2024.figures.parts import (
    best_layer,
    labelled,
    layer_name,
    name_rows,
    networks,
    only,
    seed_row,
    shares,
    snapshot,
)

OUTCOMES = {"switch": "the other task's answer", "stay": "the own task's answer", "other": "neither"}
COLUMNS = ["layer", "kind", "positions", *OUTCOMES]
KINDS = {
    "replace": "other task's centroid",
    "shift": "shifted to the other task",
    "interchange": "other task's instruction",
    "erase": "task directions erased",
}
CONTROLS = {
    "same_task": "own task's other centroid",
    "agreeing": "other task, same answer",
    "partition": "shifted by permuted tasks",
    "orthogonal": "shifted outside the probe",
    "random": "shifted at random",
    "erase_random": "random directions erased",
}
PLACES = {
    "SEP": ("at SEP", "o"),
    "INP": ("at the input", "s"),
    "WORD": ("at the last word", "v"),
    "LAST": ("at the last token", "D"),
    "all": ("at all three", "^"),
}
STEP = 0.36
"""Rows apart of two positions of one kind."""
CHOSEN_BY = "replace"


def draw(options, tables):
    """A row of panels a run, a panel an outcome, in it a row a kind; a mark a position, seeds pale."""
    frame = networks(tables, options.steering, COLUMNS, "steering")
    labels = labelled(options, frame, "steering")
    frame = snapshot(frame[frame["run"].isin(labels)], "max")
    for position in options.positions:
        only(frame, "positions", position, "positions", "steering")
    kinds = [kind for kind in (KINDS | CONTROLS) if kind in set(frame["kind"])]
    height = 0.75 + 0.19 * len(kinds)
    figure, axes = canvas(len(labels), len(OUTCOMES), height=height, sharey=True)
    for line, (run, label) in zip(axes, labels.items(), strict=True):
        own = frame[frame["run"] == run]
        layer = layer_of(options, own)
        rows = only(own, "layer", layer, "layer", "steering")
        for axis, (outcome, word) in zip(line, OUTCOMES.items(), strict=True):
            panel(axis, rows, kinds, options.positions, outcome)
            axis.set_xlabel(f"{word}\n(share of prompts)")
        line[0].set_title(f"{label}, {layer_name(layer)}", loc="left")
    handles = [dot(PLACES[p][0], PALETTE[0], PLACES[p][1]) for p in options.positions]
    legend(figure, [*handles, dot("control", CONTROL)])
    return figure


def layer_of(options, frame: pd.DataFrame) -> int:
    """The layer shown of one run: the one asked for, or the best. Raises HeadworksError without any."""
    if options.layer is not None:
        return options.layer
    first = options.positions[0]
    found = best_layer(frame[(frame["kind"] == CHOSEN_BY) & (frame["positions"] == first)], "switch")
    if found is None:
        raise HeadworksError(
            f"options.layer: the table of the role steering has no kind {CHOSEN_BY} at {first} of the run "
            f"{frame['run'].iloc[0]!r} to choose the layer by; allowed: a layer of the table, "
            f"{', '.join(str(layer) for layer in sorted(frame['layer'].unique()))}"
        )
    return found


def panel(axis: Axes, rows: pd.DataFrame, kinds: list[str], positions: list[str], outcome: str) -> None:
    """One outcome's share of prompts by kind; kinds that the table lacks at a position stay empty."""
    offsets = STEP * (np.arange(len(positions)) - (len(positions) - 1) / 2)
    for place, kind in enumerate(kinds):
        colour = PALETTE[0] if kind in KINDS else CONTROL
        for offset, position in zip(offsets, positions, strict=True):
            own = rows[(rows["kind"] == kind) & (rows["positions"] == position)]
            seed_row(axis, place + offset, own[outcome], colour, PLACES[position][1])
    name_rows(axis, [(KINDS | CONTROLS)[kind] for kind in kinds])
    shares(axis, "x")
    axis.tick_params(axis="y", labelcolor=INK)
