"""Do the times of isolated parts foretell the whole? Predicted against observed times (Singh 2024, section 5)."""

import numpy as np

from headworks.figures import (
    CONTROL,
    PALETTE,
    canvas,
    dot,
    legend,
    need,
    note,
    or_never,
    say,
    seed_points,
)
from headworks.studies.singh2024.figures.marks import level
from headworks.studies.singh2024.figures.parts import sequences_axis, time_bounds

HELD_OUT = {
    "seeds": ("other seeds", PALETTE[0], "o"),
    "classes": ("other numbers of classes", PALETTE[1], "D"),
    "labels": ("other numbers of labels", PALETTE[2], "s"),
    "both": ("both", PALETTE[3], "^"),
}
ERRORS = {
    "log_error": "product\nmodel",
    "baseline_log_error": "mean of\nother seeds",
    "shuffled_log_error": "another\nseed's parts",
}


def draw(options, tables):
    """Times on the left, equal on the diagonal; on the right by what factor predictions are off."""
    columns = ["seed", "held_out", "predicted", "observed", "censored", *ERRORS]
    frame = need(tables, options.prediction, columns, "prediction")
    figure, axes = canvas(1, 2, height=2.9, width_ratios=[1, 1.1])
    shown = {kind: look for kind, look in HELD_OUT.items() if kind in set(frame["held_out"])}
    times(axes[0][0], frame, shown)
    errors(axes[0][1], frame, shown)
    legend(figure, [dot(f"held out: {name}", colour, marker) for name, colour, marker in shown.values()])
    return figure


def times(axis, frame, shown) -> None:
    """A mark for each seed and data; times that never came, or are not foretold to come, at the ends."""
    low, high = time_bounds([frame["observed"], frame["predicted"]])
    bounds = (low, high * 1.1)
    never = {way: bool(np.isposinf(frame[way].astype(float)).any()) for way in ("observed", "predicted")}
    axis.plot(bounds, bounds, color=CONTROL, linewidth=0.8, zorder=0)
    for kind, (_, colour, marker) in shown.items():
        rows = frame[frame["held_out"] == kind]
        x, y = (or_never(rows[way], bounds[1], bounds[0], "log") for way in ("observed", "predicted"))
        axis.scatter(x, y, s=16, color=colour, marker=marker, alpha=0.7, linewidth=0)
    for along, way in (("x", "observed"), ("y", "predicted")):
        sequences_axis(axis, "log", bounds, along, with_never=never[way])
        getattr(axis, f"set_{along}label")(f"{way} time,\ntraining sequences (thousands)")
    if missing := int(frame["predicted"].isna().sum()):
        note(axis, f"{missing} of {len(frame)} not predicted")


def errors(axis, frame, shown) -> None:
    """By what factor times are off: of the model, of the two controls; a dot a seed, the mean and its interval."""
    width = 0.8 / max(1, len(shown))
    for place, error in enumerate(ERRORS):
        for i, (kind, (_, colour, marker)) in enumerate(shown.items()):
            logs = frame.loc[frame["held_out"] == kind, error].to_numpy(float)
            factors = np.exp(logs[np.isfinite(logs)])
            at = place + (i - (len(shown) - 1) / 2) * width
            seed_points(axis, at, factors, colour, spread=width / 4, marker=marker)
    axis.set_yscale("log")
    level(axis, 1)
    axis.set_ylim(bottom=0.95)
    top = max(2.2, axis.get_ylim()[1])
    ticks = [tick for tick in (1, 1.2, 1.5, 2, 3, 5, 10, 20, 50, 100) if tick <= top]
    axis.set_yticks(ticks, [f"×{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    axis.set_ylim(top=top)
    axis.set_xticks(range(len(ERRORS)), list(ERRORS.values()))
    axis.set_xlim(-0.5, len(ERRORS) - 0.5)
    axis.set_xlabel("predicted from")
    axis.set_ylabel("off by a factor of")
    if frame["censored"].all():
        say(axis, "nothing observed")
