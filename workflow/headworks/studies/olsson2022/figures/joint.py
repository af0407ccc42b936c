"""What ablating all induction heads at once removes, against random sets (Olsson 2022, Argument 3)."""

from headworks.figures import (
    CONTROL,
    PALETTE,
    canvas,
    dot,
    keep_within,
    legend,
    need,
    note,
    runs_of,
    seed_points,
)
from headworks.studies.olsson2022.figures.parts import labelled

KINDS = {"pattern-preserving": "patterns kept", "full": "recomputed"}
SETS = {"induction": (PALETTE[0], -0.15), "random": (CONTROL, 0.15)}


def draw(options, tables):
    """A panel a run; a dot is a seed (of random sets, the mean over draws), the bar a 95 % interval of the mean."""
    frame = need(tables, options.joint, ["run", "seed", "set", "draw", "kind", "heads", "removed"], "joint")
    runs = runs_of(frame, options.runs, "joint")
    names = labelled(options, runs)
    figure, axes = canvas(1, len(runs), height=2.7, sharey=True)
    for axis, run in zip(axes[0], runs, strict=True):
        rows = frame[frame["run"] == run]
        for place, kind in enumerate(KINDS):
            for name, (colour, offset) in SETS.items():
                shown = rows[(rows["kind"] == kind) & (rows["set"] == name)]
                values = shown.groupby("seed")["removed"].mean()
                seed_points(axis, place + offset, values, colour)
        for line in (0, 1):
            axis.axhline(line, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0)
        axis.set_xticks(range(len(KINDS)), list(KINDS.values()))
        axis.set_xlim(-0.5, len(KINDS) - 0.5)
        axis.set_xlabel("kind of ablation")
        axis.set_title(names[run], loc="left")
        keep_within(axis, rows["removed"], -1, 2)
        note(axis, _count(rows))
    axes[0][0].set_ylabel("share of in-context\nlearning removed")
    legend(
        figure,
        [dot("all induction heads", PALETTE[0]), dot("random heads, as many from the same layers", CONTROL)],
    )
    return figure


def _count(rows) -> str:
    heads = rows.loc[rows["set"] == "induction", "heads"].dropna()
    if not heads.any():
        return "none"
    low, high = int(heads.min()), int(heads.max())
    return f"{low} cut" if low == high else f"{low}–{high} cut"
