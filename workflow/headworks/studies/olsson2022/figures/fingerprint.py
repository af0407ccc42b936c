"""Which tokens the phase change makes better and which worse (Olsson 2022, Argument 1, per-token narrative)."""

from headworks.figures import CONTROL, PALETTE, canvas, dot, legend, need, runs_of, seed_points, undefined
from headworks.studies.olsson2022.figures.parts import labelled

CLASSES = {"repeated": PALETTE[0], "broken": PALETTE[1], "new": PALETTE[2]}
VALUES = {
    "change": "change of loss over\nthe window (nats per token)",
    "excess": "change of loss, less that of\nnew tokens (nats per token)",
}


def draw(options, tables):
    """A panel a run: classes of tokens in colour, random classes of the same sizes in grey."""
    frame = need(tables, options.fingerprint, ["run", "seed", "kind", "share", options.value], "fingerprint")
    runs = runs_of(frame, options.runs, "fingerprint")
    names = labelled(options, runs)
    figure, axes = canvas(1, len(runs), height=2.7, sharey=True)
    for axis, run in zip(axes[0], runs, strict=True):
        rows = frame[frame["run"] == run]
        ticks = []
        for place, (kind, colour) in enumerate(CLASSES.items()):
            real = rows[rows["kind"] == kind]
            seed_points(axis, place - 0.15, real[options.value], colour)
            seed_points(
                axis, place + 0.15, rows.loc[rows["kind"] == f"shuffled-{kind}", options.value], CONTROL
            )
            ticks.append(f"{kind}\n{real['share'].mean():.0%}" if len(real) else kind)
        axis.axhline(0, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0)
        axis.set_xticks(range(len(CLASSES)), ticks)
        axis.set_xlim(-0.5, len(CLASSES) - 0.5)
        axis.set_xlabel("class and share of tokens")
        axis.set_title(names[run], loc="left")
        undefined(axis, rows[options.value])
    axes[0][0].set_ylabel(VALUES[options.value])
    legend(
        figure, [*(dot(kind, colour) for kind, colour in CLASSES.items()), dot("shuffled classes", CONTROL)]
    )
    return figure
