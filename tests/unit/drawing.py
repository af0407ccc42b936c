"""What the tests of every study's figures share: drawing one kind, spoiling its tables, reading what is drawn."""

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.text import Text

from headworks import figures
from headworks.job import Job
from headworks.spec import Spec


def drawer(study: str, kinds: dict[str, type[Spec]], options: dict[str, dict]) -> Callable[..., Figure]:
    """drawn(kind, tables, **changes): a figure of the study, with the options of its kind but for the changes."""

    def drawn(kind: str, tables: dict[str, pd.DataFrame], **changes) -> Figure:
        parsed = kinds[kind].model_validate(options[kind] | changes)
        return import_module(f"headworks.studies.{study}.figures.{kind}").draw(parsed, tables)

    return drawn


def saved(figure: Figure, folder: Path, study: str) -> tuple[bytes, bytes]:
    """The SVG and the PNG of a figure."""
    job = Job(study, "figures", "one", "any", {}, (), "c0de", "key")
    figures.save(figure, folder / "one.svg", job)
    return (folder / "one.svg").read_bytes(), (folder / "one.png").read_bytes()


def saved_twice(draw: Callable[[], Figure], folder: Path, study: str) -> list[tuple[bytes, bytes]]:
    """`saved` of a figure, and of the same after the reader's own settings of matplotlib were changed."""
    first = saved(draw(), folder, study)
    mpl.rcParams.update({"axes.grid": True, "lines.linewidth": 9, "font.size": 20})
    return [first, saved(draw(), folder, study)]


def spoilt(
    tables: dict[str, pd.DataFrame], places: Sequence[str], seeds: Sequence[int], hard: float
) -> dict[str, pd.DataFrame]:
    """The tables with `hard` in all numbers of these seeds but `places`; in row 1 of a table without seeds."""
    found = {}
    for name, frame in tables.items():
        rows = frame["seed"].isin(seeds) if "seed" in frame else frame.index == 1
        measures = [column for column in frame.select_dtypes("number") if column not in places]
        found[name] = frame.astype(dict.fromkeys(measures, float))
        found[name].loc[rows, measures] = hard
    return found


def cells(figure: Figure) -> list[Axes]:
    """The axes that hold something: neither switched off nor a colour bar."""
    return [axis for axis in figure.axes if axis.axison and axis.get_label() != "colour bar"]


def x_is_labelled(axis: Axes) -> bool:
    """By itself, or above another axis, whose numbers and label are its own too."""
    return bool(axis.get_xlabel()) or not any(label.get_visible() for label in axis.get_xticklabels())


def y_is_labelled(axis: Axes) -> bool:
    """By itself, or right of another axis, whose label is its own too."""
    return bool(axis.get_ylabel()) or axis.get_subplotspec().colspan.start > 0


def row_names(axis: Axes) -> list[Text]:
    """Labels at the vertical axis that are words, which need no label of the axis, and no numbers."""
    return [label for label in axis.get_yticklabels() if not label.get_text().replace(".", "").isdigit()]


def cut_off(figure: Figure, texts: Iterable[Text]) -> list[Text]:
    """Those of the visible texts that reach over the edge of a drawn figure by more than a pixel."""
    width, height = figure.bbox.size

    def inside(text: Text) -> bool:
        box = text.get_window_extent()
        return box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1

    return [text for text in texts if text.get_text() and text.get_visible() and not inside(text)]


def words(texts: Iterable[Text]) -> list[str]:
    return [text.get_text() for text in texts]


def entries(figure: Figure) -> list[str]:
    """What the legend below a figure names; nothing without one."""
    return words(figure.legends[0].get_texts()) if figure.legends else []


def points(clouds: Iterable[Collection]) -> np.ndarray:
    """All points of scatter plots, [n, 2]."""
    found = [np.asarray(cloud.get_offsets()) for cloud in clouds]
    return np.concatenate([cloud for cloud in found if cloud.ndim == 2] or [np.zeros((0, 2))])


def contrast(one: str, other: str) -> float:
    """Contrast of two colours, 1 to 21 (WCAG 2.1, definitions of contrast ratio and relative luminance)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]
