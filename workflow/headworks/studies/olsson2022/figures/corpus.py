"""Whether induction pays on a dataset, and how close the trained models come to what is possible there."""

import numpy as np

from headworks.figures import (
    CONTROL,
    PALETTE,
    Look,
    canvas,
    handle,
    legend,
    looks,
    need,
    patch,
    pretty,
    runs_of,
    seed_lines,
)
from headworks.studies.olsson2022.figures.curves import REFERENCES
from headworks.studies.olsson2022.figures.parts import labelled, last_rows, one_dataset, position_axis

SHARES = {"repeat_share": "current token\nseen before", "reliable_share": "of those, same\ncontinuation"}
ENTROPIES = {"unigram_entropy": "token", "bigram_entropy": "token, given the\none before"}


def draw(options, tables):
    """Bars of the datasets' statistics; then, if given, loss by position of trained models over the floor."""
    stats = need(tables, options.corpus, ["dataset", "split", "statistic", "value"], "corpus")
    stats = stats[stats["split"] == options.split]
    datasets = list(dict.fromkeys(stats["dataset"]))
    by_position = bool(options.positions or options.floor)
    figure, axes = canvas(
        1, 3 if by_position else 2, height=2.8, width_ratios=[1, 1, 1.4] if by_position else [1, 1]
    )
    colours = dict(zip(datasets, (PALETTE[::-1] * len(datasets))[: len(datasets)], strict=True))
    bars(axes[0][0], stats, SHARES, colours)
    axes[0][0].set_ylabel("share of positions")
    axes[0][0].set_ylim(0, 1)
    bars(axes[0][1], stats, ENTROPIES, colours)
    axes[0][1].set_ylabel("entropy (nats)")
    handles = [patch(pretty(name), colour, 1) for name, colour in colours.items()]
    if by_position:
        handles += loss_by_position(axes[0][2], options, tables)
    legend(figure, handles)
    return figure


def bars(axis, stats, names: dict[str, str], colours: dict[str, str]) -> None:
    """One group of bars a statistic, one bar a dataset."""
    width = 0.8 / len(colours)
    for i, (dataset, colour) in enumerate(colours.items()):
        found = stats[stats["dataset"] == dataset].set_index("statistic")["value"]
        values = found.reindex(list(names)).to_numpy(float)
        places = np.arange(len(names)) + (i - (len(colours) - 1) / 2) * width
        axis.bar(places, values, width * 0.92, color=colour, linewidth=0)
        for place, value in zip(places, values, strict=True):
            label = f"{value:.2f}" if np.isfinite(value) else "none"
            axis.annotate(
                label,
                (place, np.nan_to_num(value)),
                (0, 1),
                textcoords="offset points",
                ha="center",
                fontsize=6,
            )
    axis.set_xticks(range(len(names)), list(names.values()))
    axis.set_xlabel("statistic")


def loss_by_position(axis, options, tables) -> list:
    """Loss against position of each run's last snapshot, with the reference predictors; legend entries."""
    handles = []
    if options.positions:
        frame = last_rows(
            need(tables, options.positions, ["run", "seed", "step", "index", "loss"], "positions")
        )
        runs = runs_of(frame, options.runs, "positions")
        look, names = looks(runs, options.controls), labelled(options, runs)
        for run in runs:
            seed_lines(axis, frame[frame["run"] == run], "loss", look[run], x="index")
            handles.append(handle(names[run], look[run]))
    if options.floor:
        floor = one_dataset(
            need(tables, options.floor, ["dataset", "reference", "index", "loss"], "floor"), options.dataset
        )
        for reference, rows in floor.groupby("reference"):
            name, dash = REFERENCES[reference]
            rows = binned(rows)
            axis.plot(rows["index"], rows["loss"], color=CONTROL, linestyle=dash, linewidth=1)
            handles.append(handle(name, Look(CONTROL, dash)))
    position_axis(axis)
    axis.set_xlabel("position in the context")
    axis.set_ylabel("loss (nats per token)")
    return handles


def binned(rows, bins: int = 24):
    """Means over log-spaced bins of the position: single positions are noisy."""
    borders = np.geomspace(1, rows["index"].max() + 1, bins + 1)
    return rows.groupby(np.digitize(rows["index"], borders))[["index", "loss"]].mean()
