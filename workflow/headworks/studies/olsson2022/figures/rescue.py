"""What brings an ablated head's in-context learning back, and what ideal patterns do (Olsson 2022, Argument 5)."""

from headworks.errors import HeadworksError
from headworks.figures import (
    CONTROL,
    canvas,
    dot,
    keep_within,
    legend,
    looks,
    need,
    runs_of,
    seed_points,
    undefined,
)
from headworks.studies.olsson2022.figures.parts import labelled

HEADS = {"induction": "induction head", "previous": "previous-token head"}
LABELS = {
    "restored": {"nothing": "nothing", "pattern": "pattern", "value": "values", "both": "both"},
    "replaced": {
        "previous: shift": "previous-\ntoken:\nshift",
        "previous: shift by two": "previous-\ntoken:\nby two",
        "induction: matches": "induction:\nmatches",
        "induction: shuffled": "induction:\nshuffled",
    },
}
CONTROLS = ("previous: shift by two", "induction: shuffled")
MARKERS = "osD^vP"
COLUMNS = {
    "rescue": ["run", "seed", "role", "restored", "recovered"],
    "mechanism": ["run", "seed", "replaced", "recovered"],
}
LIMITS = (-1, 2)


def draw(options, tables):
    """Panels of the rescue by role of the head, then one of the ideal patterns; dots are seeds."""
    frames = {
        role: need(tables, getattr(options, role), columns, role)
        for role, columns in COLUMNS.items()
        if getattr(options, role)
    }
    if not frames:
        raise HeadworksError(
            "options: a figure of kind rescue needs a table for the role rescue, for mechanism or for both; "
            "found none"
        )
    role, frame = next(iter(frames.items()))
    runs = runs_of(frame, options.runs, role)
    look, names = looks(runs, options.controls), labelled(options, runs)
    styles = {run: (look[run].colour, MARKERS[i % len(MARKERS)]) for i, run in enumerate(runs)}
    panels = _panels({role: frame[frame["run"].isin(runs)] for role, frame in frames.items()})
    widths = [1.6 if key == "replaced" else 1 for _, _, key in panels]
    figure, axes = canvas(1, len(panels), height=2.9, sharey=True, width_ratios=widths)
    for axis, (label, rows, key) in zip(axes[0], panels, strict=True):
        recovered(axis, rows, key, styles)
        axis.set_xlabel(label)
    for axis, (_, rows, _) in zip(axes[0], panels, strict=True):
        keep_within(axis, rows["recovered"], *LIMITS)
    axes[0][0].set_ylabel("share recovered\nof the loss")
    controls = [dot("control", CONTROL)] if "mechanism" in frames else []
    legend(figure, [*(dot(names[run], *styles[run]) for run in runs), *controls])
    return figure


def _panels(frames) -> list[tuple]:
    """Label, rows and the column that says what was done, of each panel."""
    panels = []
    if "rescue" in frames:
        rescue = frames["rescue"]
        for role, head in HEADS.items():
            panels.append((f"restored to a blinded\n{head}", rescue[rescue["role"] == role], "restored"))
    if "mechanism" in frames:
        panels.append(("pattern put in place of the heads' own", frames["mechanism"], "replaced"))
    return panels


def recovered(axis, rows, key: str, styles) -> None:
    """The share recovered, a place for each value of `key`, runs side by side; control patterns in grey."""
    found = set(rows[key])
    order = {value: label for value, label in LABELS[key].items() if value in found}
    width = 0.7 / len(styles)
    for place, value in enumerate(order):
        for i, (run, (colour, marker)) in enumerate(styles.items()):
            values = rows.loc[(rows["run"] == run) & (rows[key] == value), "recovered"]
            x = place + (i - (len(styles) - 1) / 2) * width
            seed_points(
                axis, x, values, CONTROL if value in CONTROLS else colour, spread=width / 4, marker=marker
            )
    for line in (0, 1):
        axis.axhline(line, color=CONTROL, linewidth=0.6, linestyle=":", zorder=0)
    axis.set_xticks(range(len(order)), list(order.values()))
    axis.set_xlim(-0.5, len(order) - 0.5)
    undefined(axis, rows["recovered"])
