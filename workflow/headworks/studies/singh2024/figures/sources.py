"""How alike drawings are within and between classes, beside Omniglot's."""

import numpy as np
from matplotlib.patches import Patch

from headworks.figures import INK, PALETTE, canvas, legend, need, patch, pretty
from headworks.studies.singh2024.figures.marks import level

LIKENESS = {"within": ("of one class", PALETTE[0]), "between": ("of different classes", PALETTE[1])}
REFERENCE = "reference"
WIDTH = 0.36


def draw(options, tables):
    """Two bars a dataset, hollow for the reference."""
    columns = ["dataset", "source", "encoder", *LIKENESS, "ratio"]
    frame = need(tables, options.sources, columns, "sources")
    figure, axes = canvas(1, 1, width=min(7.0, 2.2 + 1.1 * len(frame)), height=2.6)
    axis = axes[0][0]
    hollow = (frame["dataset"] == REFERENCE).to_numpy()
    for i, (likeness, (_, colour)) in enumerate(LIKENESS.items()):
        x, values = np.arange(len(frame)) + (i - 0.5) * WIDTH, frame[likeness].to_numpy(float)
        heights = np.where(np.isfinite(values), values, 0)
        axis.bar(x[~hollow], heights[~hollow], WIDTH * 0.92, color=colour, linewidth=0)
        axis.bar(x[hollow], heights[hollow], WIDTH * 0.92, facecolor="none", edgecolor=colour, linewidth=1)
        for at, value, height in zip(x, values, heights, strict=True):
            word = f"{value:.2f}" if np.isfinite(value) else "not defined"
            how = {"textcoords": "offset points", "ha": "center", "fontsize": 6}
            axis.annotate(word, (at, max(height, 0)), (0, 1.5), **how)
    axis.set_xticks(range(len(frame)), [_name(options, row) for row in frame.itertuples()])
    axis.set_xlim(-0.6, len(frame) - 0.4)
    level(axis, 0)
    axis.set_xlabel("drawings and encoder")
    axis.set_ylabel("mean cosine of two drawings")
    handles = [patch(name, colour, alpha=1) for name, colour in LIKENESS.values()]
    measured = Patch(facecolor="none", edgecolor=INK, label="measured beforehand")
    legend(figure, [*handles, *([measured] if hollow.any() else [])])
    return figure


def _name(options, row) -> str:
    words = "Omniglot" if row.dataset == REFERENCE else pretty(row.dataset)
    encoder = "as they are" if row.encoder == "none" else pretty(row.encoder)
    return f"{options.labels.get(row.dataset, words)}\n{encoder}"
