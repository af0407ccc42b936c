"""Does the induction head read the previous-token head? Do weights and behaviour agree? (Olsson 2022, Argument 5)."""

import numpy as np

from headworks.figures import CONTROL, PALETTE, canvas, dot, legend, looks, need, note, runs_of, seed_points
from headworks.studies.olsson2022.figures.parts import labelled, last_rows

KINDS = {"k": "K", "q": "Q", "v": "V"}
PAIRS = {
    "qk_trace": ("prefix", "QK trace through\nprevious-token heads", "prefix-matching score"),
    "ov_copying": ("copying", "OV copying\n(eigenvalue ratio)", "copying score"),
}


def draw(options, tables):
    """Composition of the pair and of all others, trained and not; then both correlations, if given."""
    columns = ["run", "seed", "snapshot", "kind", "z", "pair"]
    frame = need(tables, options.composition, columns, "composition")
    (run,) = runs_of(frame, [options.run] if options.run else [frame["run"].iloc[0]], "composition")
    figure, axes = canvas(1, 3 if options.heads else 1, width=7.0 if options.heads else 3.5, height=2.9)
    strips(axes[0][0], frame[frame["run"] == run])
    axes[0][0].set_title(labelled(options, [run])[run], loc="left")
    handles = [
        dot("induction with previous-token head", PALETTE[0]),
        dot("all other pairs", CONTROL),
        dot("the pair before training", PALETTE[0], "D", hollow=True),
    ]
    if options.heads:
        heads = last_rows(
            need(
                tables,
                options.heads,
                ["run", "seed", "step", "prefix", "qk_trace", "copying", "ov_copying"],
                "heads",
            )
        )
        runs = runs_of(heads, options.runs, "heads")
        look, names = looks(runs), labelled(options, runs)
        for axis, (x, (y, x_label, y_label)) in zip(axes[0][1:], PAIRS.items(), strict=True):
            correlation(axis, heads[heads["run"].isin(runs)], x, y, look)
            axis.set_xlabel(x_label)
            axis.set_ylabel(y_label)
        handles += [dot(f"heads of {names[name]}", look[name].colour, "s") for name in runs]
    legend(figure, handles)
    return figure


def strips(axis, frame) -> None:
    """z of each kind of composition: other pairs as a grey strip, the pair's seeds as points."""
    for place, kind in enumerate(KINDS):
        rows = frame[frame["kind"] == kind]
        trained = rows[rows["snapshot"] == "last"]
        others = np.sort(trained.loc[trained["pair"] == 0, "z"].dropna())
        # a fixed low-discrepancy sequence in place of random jitter
        spread = ((np.arange(len(others)) * 0.618034) % 1 - 0.5) * 0.3
        axis.scatter(place + spread, others, s=4, color=CONTROL, alpha=0.5, linewidth=0)
        pair = rows[rows["pair"] == 1]
        seed_points(axis, place + 0.28, pair.loc[pair["snapshot"] == "last", "z"], PALETTE[0], spread=0.05)
        before = pair.loc[pair["snapshot"] == "first", "z"].dropna()
        axis.scatter(
            np.full(len(before), place - 0.28),
            before,
            s=9,
            marker="D",
            facecolor="none",
            edgecolor=PALETTE[0],
            linewidth=0.8,
        )
    axis.axhline(0, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0)
    axis.set_xticks(range(len(KINDS)), list(KINDS.values()))
    axis.set_xlim(-0.5, len(KINDS) - 0.5)
    axis.set_xlabel("kind of composition")
    axis.set_ylabel("composition (standard deviations\nabove random matrices)")


def correlation(axis, heads, x: str, y: str, look) -> None:
    """A point a head, and the correlation over all that have both."""
    both = heads[np.isfinite(heads[x].astype(float)) & np.isfinite(heads[y].astype(float))]
    for run in look:
        shown = both[both["run"] == run]
        axis.scatter(shown[x], shown[y], s=12, marker="s", color=look[run].colour, alpha=0.7, linewidth=0)
    for line in (axis.axhline, axis.axvline):
        line(0, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0)
    if len(both) > 2:
        note(axis, f"r = {both[x].corr(both[y]):.2f}, {len(both)} heads")
