"""Answers on the way from one task's centroid to another's: a sudden flip or a gradual one?"""

from headworks.figures import PALETTE, WIDTH, Look, canvas, handle, legend, note, say, seed_lines
from headworks.studies.wu2024.figures.parts import (
    below_top,
    best_layer,
    labelled,
    layer_name,
    networks,
    only,
    shares,
    snapshot,
)

OUTCOMES = {
    "switch": ("the other task's answer", Look(PALETTE[1])),
    "stay": ("the own task's answer", Look(PALETTE[0])),
    "other": ("neither", Look(PALETTE[4], "--")),
}
COLUMNS = ["layer", "alpha", *OUTCOMES]
ACROSS = 3
"""Panels side by side."""


def draw(options, tables):
    """A panel a run: shares of prompts by how far the state at SEP is moved."""
    frame = networks(tables, options.interpolation, COLUMNS, "interpolation")
    labels = labelled(options, frame, "interpolation")
    frame = snapshot(frame[frame["run"].isin(labels)], "max")
    columns = min(ACROSS, len(labels))
    figure, axes = canvas(
        -(-len(labels) // columns), columns, width=min(WIDTH, 3.5 * columns), height=2.2, sharey=True
    )
    for axis, (run, label) in zip(axes.flat, labels.items(), strict=False):
        own = frame[frame["run"] == run]
        layer = layer_of(options, own)
        rows = only(own, "layer", layer, "layer", "interpolation")
        if not rows[list(OUTCOMES)].notna().any(axis=None):
            say(axis, "not defined")
        for outcome, (_, look) in OUTCOMES.items():
            seed_lines(axis, rows, outcome, look, x="alpha")
        axis.set_title(label, loc="left")
        note(axis, layer_name(layer))
    for axis in axes.flat:
        shares(axis)
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 0.5, 1])
        axis.set_xlabel("share of the other task's\ncentroid at SEP")
        axis.set_ylabel("share of prompts")
    for axis in axes.flat[len(labels) :]:
        axis.set_axis_off()
    for axis in axes[:, 1:].flat:
        axis.set_ylabel("")
    legend(figure, [handle(word, look) for word, look in OUTCOMES.values()])
    return figure


def layer_of(options, frame) -> int:
    """The layer shown of one run: the one asked for, or the best at the end of the way."""
    if options.layer is not None:
        return options.layer
    found = best_layer(frame[frame["alpha"] == frame["alpha"].max()], "switch")
    return below_top(frame)[-1] if found is None else found
