"""What removing a head does to in-context learning, against what the head does (Olsson 2022, Argument 3)."""

import numpy as np

from headworks.figures import CONTROL, canvas, dot, legend, need, runs_of
from headworks.studies.olsson2022.figures.parts import ROLES, labelled, last_rows, role_of

KINDS = {"pattern-preserving": "patterns kept", "full": "all downstream recomputed"}
SCORES = {
    "prefix": "prefix-matching score",
    "previous": "previous-token score",
    "prefix_over_chance": "prefix-matching score (multiples of chance)",
}


def draw(options, tables):
    """A row a run, a column a kind of ablation, a point a head; seeds differ in opacity."""
    columns = ["run", "seed", "step", "kind", "icl_change", "induction", "previous_head", options.score]
    frame = last_rows(need(tables, options.ablation, columns, "ablation"))
    runs = runs_of(frame, options.runs, "ablation")
    names = labelled(options, runs)
    figure, axes = canvas(len(runs), 2, height=2.2, sharex=True, sharey=True)
    for row, run in enumerate(runs):
        for axis, (kind, title) in zip(axes[row], KINDS.items(), strict=True):
            heads = frame[(frame["run"] == run) & (frame["kind"] == kind)]
            scatter(axis, heads, options.score)
            axis.axhline(0, color=CONTROL, linewidth=0.6, zorder=0)
            axis.set_title(f"{names[run]}: {title}" if len(runs) > 1 else title, loc="left")
        axes[row][0].set_ylabel("change of in-context\nlearning (nats)")
    for axis in axes[-1]:
        axis.set_xlabel(SCORES[options.score])
    legend(
        figure, [dot(f"{role} head" if role != "other" else role, colour) for role, colour in ROLES.items()]
    )
    return figure


def scatter(axis, heads, score: str) -> None:
    """Heads as points, coloured by role."""
    seeds = sorted(heads["seed"].unique())
    alphas = dict(zip(seeds, np.linspace(0.95, 0.4, len(seeds)), strict=True))
    roles = role_of(heads)
    for role in reversed(ROLES):
        for seed in seeds:
            shown = heads[(roles == role) & (heads["seed"] == seed)]
            axis.scatter(
                shown[score], shown["icl_change"], s=16, color=ROLES[role], alpha=alphas[seed], linewidth=0
            )
