"""What brings an ablated head's in-context learning back, and what ideal patterns do (Olsson 2022, Argument 5)."""

from headworks.errors import HeadworksError
from headworks.figures import (
    CONTROL,
    PALETTE,
    canvas,
    dot,
    legend,
    looks,
    need,
    runs_of,
    seed_points,
    undefined,
)
from headworks.studies.olsson2022.figures.parts import labelled

RESTORED = ["nothing", "pattern", "value", "both"]
HEADS = {"induction": ("induction heads", PALETTE[0]), "previous": ("previous-token heads", PALETTE[1])}
REPLACED = {
    "previous: shift": "previous-token:\nexact shift",
    "induction: matches": "induction:\nexact matches",
    "induction: random": "induction:\nrandom",
}


def draw(options, tables):
    """Panels of the rescue by role of the head, then one of the idealised patterns; dots are seeds."""
    if not options.rescue and not options.mechanism:
        raise HeadworksError(
            "options: a figure of kind rescue needs a table for the role rescue, for mechanism or for both; "
            "found none"
        )
    panels = [*(HEADS if options.rescue else ()), *(["mechanism"] if options.mechanism else ())]
    widths = [1.5 if panel == "mechanism" else 1 for panel in panels]
    figure, axes = canvas(1, len(panels), height=2.8, sharey=True, width_ratios=widths)
    frames = {
        "rescue": need(tables, options.rescue, ["run", "seed", "role", "restored", "recovered"], "rescue")
        if options.rescue
        else None,
        "mechanism": need(tables, options.mechanism, ["run", "seed", "replaced", "recovered"], "mechanism")
        if options.mechanism
        else None,
    }
    role, frame = next((name, frame) for name, frame in frames.items() if frame is not None)
    runs = runs_of(frame, options.runs, role)
    look, names = looks(runs, options.controls), labelled(options, runs)
    for axis, panel in zip(axes[0], panels, strict=True):
        if panel == "mechanism":
            rows, key, order = frames["mechanism"], "replaced", REPLACED
            axis.set_title("pattern replaced", loc="left")
            axis.set_xlabel("pattern put in its place")
        else:
            rows = frames["rescue"][frames["rescue"]["role"] == panel]
            key, order = "restored", dict(zip(RESTORED, RESTORED, strict=True))
            axis.set_title(f"{HEADS[panel][0]} ablated", loc="left")
            axis.set_xlabel("restored from the intact model")
        recovered(axis, rows[rows["run"].isin(runs)], key, order, look)
    axes[0][0].set_ylabel("share of the loss\nfrom ablation recovered")
    legend(figure, [dot(names[run], look[run].colour) for run in runs])
    return figure


def recovered(axis, rows, key: str, order: dict[str, str], look) -> None:
    """The share recovered, a place for each value of `key`, runs side by side."""
    width = 0.7 / len(look)
    for place, value in enumerate(order):
        for i, run in enumerate(look):
            values = rows.loc[(rows["run"] == run) & (rows[key] == value), "recovered"]
            colour = CONTROL if value.endswith("random") and len(look) == 1 else look[run].colour
            seed_points(axis, place + (i - (len(look) - 1) / 2) * width, values, colour, spread=width / 4)
    for line in (0, 1):
        axis.axhline(line, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0)
    axis.set_xticks(range(len(order)), list(order.values()))
    axis.set_xlim(-0.5, len(order) - 0.5)
    undefined(axis, rows["recovered"])
