"""A match clamped at less than full strength, or against the right label (Singh 2024, App. G; Fig. 15)."""

import numpy as np

from headworks.errors import HeadworksError
from headworks.figures import CONTROL, INK, Look, canvas, dot, handle, legend, seed_points, shades
from headworks.studies.singh2024.figures.marks import level
from headworks.studies.singh2024.figures.parts import (
    LN2,
    chosen,
    loss_axis,
    of_conditions,
    plain_ticks,
    seed_curves,
    sequences_axis,
    thinned,
)

SHOWN = {
    "train": ("at the end, training sequences", "o", "-"),
    "held_out_pairs": ("at the end, held-out pairs of labels", "D", "--"),
}
APART = 0.025
"""Half of the distance of the two kinds of sequence, in units of strength."""


def draw(options, tables):
    """Training loss in shades of the strength, and losses at the end against it, a dot a seed."""
    curves = of_conditions(tables, options.curves, ["sequences", "loss"], "curves")
    scores = of_conditions(tables, options.evaluation, ["step", "split", "loss"], "evaluation")
    strength = strengths_of(options, curves)
    chosen(list(strength), scores, "evaluation", "matches")
    colours = dict(zip(strength, shades(max(2, len(strength))), strict=False))
    look = {name: Look(CONTROL if name in options.controls else colour) for name, colour in colours.items()}
    shown = thinned(curves[curves["series"].isin(strength)], ["series", "run", "seed"])
    figure, axes = canvas(1, 2, height=2.8)
    for name, style in look.items():
        seed_curves(axes[0][0], shown[shown["series"] == name], style)
    loss_axis(axes[0][0])
    sequences_axis(axes[0][0], "linear", (0, float(shown["sequences"].max())))
    ends(axes[0][1], scores, strength, look)
    labels = {name: options.labels.get(name, f"strength {signed(value)}") for name, value in strength.items()}
    handles = [handle(labels[name], style) for name, style in look.items()]
    legend(figure, [*handles, *(dot(name, INK, marker) for name, marker, _ in SHOWN.values())])
    return figure


def strengths_of(options, curves) -> dict[str, float]:
    """Condition → strength, ascending, of those asked for or of all that `matches` names."""
    names = chosen(
        options.conditions or list(options.matches),
        curves,
        "curves",
        "conditions" if options.conditions else "matches",
    )
    if unplaced := [name for name in names if name not in options.matches]:
        raise HeadworksError(
            f"options.matches: no attention is given for {', '.join(unplaced)}; "
            f"it has {', '.join(options.matches)}"
        )
    return {name: 2 * options.matches[name] - 1 for name in sorted(names, key=options.matches.get)}


def ends(axis, scores, strength, look) -> None:
    """Losses of the last snapshot: a dot a seed, the mean and its interval; lines join the means."""
    last = scores[scores["step"] == scores.groupby("run")["step"].transform("max")]
    for (split, (_, marker, dash)), shift in zip(SHOWN.items(), (-APART, APART), strict=True):
        rows = last[(last["split"] == split) & np.isfinite(last["loss"].astype(float))]
        means = rows.groupby("series")["loss"].mean()
        places = [(value + shift, means[name]) for name, value in strength.items() if name in means]
        axis.plot(*np.reshape(places, (-1, 2)).T, color=CONTROL, linewidth=0.8, linestyle=dash)
        for name, value in strength.items():
            losses = rows.loc[rows["series"] == name, "loss"]
            seed_points(axis, value + shift, losses, look[name].colour, spread=0.01, marker=marker)
    axis.set_yscale("log")
    plain_ticks(axis)
    level(axis, LN2, "ln 2", at=0.99)
    axis.set_xlim(-1.1, 1.1)
    ticks = (-1, -0.5, 0, 0.5, 1)
    axis.set_xticks(ticks, [signed(tick) for tick in ticks])
    axis.set_xlabel("clamped strength\n(attention to the right label less the wrong one)")
    axis.set_ylabel("loss at the end (nats)")


def signed(value: float) -> str:
    """0.5 → +0.5, with a true minus sign; 0 has none."""
    return f"{value:+.2g}".replace("-", "−") if round(value, 9) else "0"
