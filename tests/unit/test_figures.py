"""Every kind of figure on small tables of the shapes that the experiments write: equal bytes, labels, hard values."""

import drawing
import numpy as np
import pytest
from figure_tables import BUILDERS, RUNS

from headworks import figures
from headworks.errors import HeadworksError
from headworks.studies.olsson2022.figure_options import FIGURES

OPTIONS = {
    "analysis": {role: role for role in ("curves", "paths", "positions", "heads", "ablation", "phases")},
    "coperturbation": {"curves": "curves", "phases": "phases", "controls": ["perm-1l"]},
    "smears": {
        "curves": "curves",
        "phases": "phases",
        "alphas": {"perm-1l-smear": 0.0, "perm-2l": 2.0},
        "unsmeared": ["perm-1l"],
        "controls": ["perm-1l"],
    },
    "ablation": {"ablation": "ablation"},
    "joint": {"joint": "joint"},
    "rescue": {"rescue": "rescue", "mechanism": "mechanism"},
    "paths": {"paths": "paths", "controls": ["perm-1l"]},
    "fingerprint": {"fingerprint": "fingerprint"},
    "composition": {"composition": "composition", "heads": "heads", "run": "perm-2l"},
    "ladder": {"phases": "phases", "series": {"perm-1l-smear": "smeared"}, "controls": ["perm-1l"]},
    "order": {"phases": "phases"},
    "abstract": {"abstract": "abstract"},
    "corpus": {"corpus": "corpus", "positions": "positions", "floor": "floor"},
    "curves": {"curves": "curves", "phases": "phases", "floor": "floor"},
}
PLACES = ("seed", "step", "tokens", "layer", "layers", "head", "index", "draw", "pair", "inside", "chance")
PLACES += ("induction", "previous_head", "window", "heads", "diverged", "explained1", "explained2")

drawn = drawing.drawer("olsson2022", FIGURES, OPTIONS)


@pytest.fixture(scope="module")
def tables():
    return {build.__name__: build() for build in BUILDERS}


def test_every_kind_is_tested():
    assert set(OPTIONS) == set(FIGURES)


@pytest.mark.parametrize("kind", FIGURES)
def test_the_same_table_gives_the_same_bytes(kind, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "PNG_DPI", 50)
    first, second = drawing.saved_twice(lambda: drawn(kind, tables), tmp_path, "olsson2022")
    assert first == second
    assert b"<dc:date>" not in first[0]


@pytest.mark.parametrize("kind", FIGURES)
def test_axes_are_labelled_and_figures_equally_wide(kind, tables):
    figure = drawn(kind, tables)
    assert figure.get_size_inches()[0] <= figures.WIDTH
    for axis in drawing.cells(figure):
        assert drawing.x_is_labelled(axis)
        assert drawing.y_is_labelled(axis)


@pytest.mark.parametrize("kind", FIGURES)
def test_undefined_and_infinite_values_do_not_stop_a_figure(kind, tables):
    for hard in (np.nan, np.inf):
        drawn(kind, drawing.spoilt(tables, PLACES, [1], hard)).draw_without_rendering()


def test_a_row_without_its_table_is_left_out(tables):
    whole = drawn("analysis", tables)
    assert len(drawing.cells(whole)) == 9 * len(RUNS)
    assert len(drawing.cells(drawn("analysis", tables, positions=[]))) == 7 * len(RUNS)
    assert len(drawing.cells(drawn("analysis", tables, paths=[], ablation=[], heads=[]))) == 4 * len(RUNS)
    assert len(drawing.cells(drawn("rescue", tables, mechanism=[]))) == 2
    assert len(drawing.cells(drawn("smears", tables, phases=[]))) == 1
    assert len(drawing.cells(drawn("corpus", tables, positions=[], floor=[]))) == 2
    assert len(drawing.cells(drawn("composition", tables, heads=[]))) == 1


def test_times_that_never_came_have_a_tick_of_their_own(tables):
    for kind, axis in (("order", 0), ("ladder", 1), ("smears", 1)):
        figure = drawn(kind, tables)
        half = figure.axes[axis].xaxis if kind == "order" else figure.axes[axis].yaxis
        assert "never" in [
            half.get_major_formatter()(tick, i) for i, tick in enumerate(half.get_majorticklocs())
        ]
    came = tables["phases"].query("run == 'perm-2l'")
    axis = drawn("order", {"phases": came}).axes[0]
    names = [axis.xaxis.get_major_formatter()(tick, i) for i, tick in enumerate(axis.get_xticks())]
    assert names
    assert "never" not in names


def test_phases_of_runs_without_a_window_lack_its_columns(tables):
    bare = tables["phases"].query("run == 'perm-1l'").drop(columns=["start", "end", "midpoint"])
    few = tables | {"phases": bare}
    drawn("coperturbation", few).draw_without_rendering()
    drawn("ladder", few, runs=["perm-1l"], series={}).draw_without_rendering()


@pytest.mark.parametrize("kind", [kind for kind in FIGURES if "scale" in FIGURES[kind].model_fields])
def test_both_scales_of_training_time(kind, tables):
    for scale in ("linear", "log"):
        figure = drawn(kind, tables, scale=scale)
        figure.draw_without_rendering()
        assert scale in {axis.get_xscale() for axis in drawing.cells(figure)}


def test_a_mean_of_times_is_never_mixed_with_never():
    _, axes = figures.canvas()
    places = figures.or_never([1e5, 2e5, np.inf, np.inf], 1e6, 1e4, "log")
    figures.seed_times(axes[0][0], 0, places, figures.INK)
    assert axes[0][0].lines[-1].get_ydata()[0] == figures.never_at(1e6, 1e4, "log")


def test_quotients_by_next_to_nothing_are_cut_and_counted():
    _, axes = figures.canvas()
    figures.seed_points(axes[0][0], 0, [0.5, 0.7, -200], figures.INK)
    figures.keep_within(axes[0][0], [0.5, 0.7, -200], -1, 2)
    assert axes[0][0].get_ylim()[0] == -1
    assert axes[0][0].get_title(loc="right") == "1 of 3 beyond"


def test_a_role_may_be_written_as_one_name():
    assert FIGURES["joint"].model_validate({"joint": "a"}) == FIGURES["joint"].model_validate(
        {"joint": ["a"]}
    )


def test_several_tables_can_play_one_role(tables):
    frame = tables["curves"]
    parts = {"a": frame[frame["run"] == "perm-1l"], "b": frame[frame["run"] == "perm-2l"]}
    figure = drawn(
        "curves", parts | {"phases": tables["phases"], "floor": tables["floor"]}, curves=["a", "b"]
    )
    assert drawing.entries(figure)[:2] == ["perm 1L", "perm 2L"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"curves": ["curve"]}, "options.curves: 'curve' is not one of"),
        ({"curves": ["phases"]}, "options.curves: the table 'phases' has no column"),
        ({"runs": ["perm-3l"]}, "options.runs: perm-3l is not in"),
        ({"seed": 9}, "options.seed: 9 is not a seed of the run 'perm-1l'"),
    ],
)
def test_mistakes_in_options_name_the_key(options, words, tables):
    with pytest.raises(HeadworksError, match=words):
        drawn("analysis", tables, **options)


def test_text_and_lines_are_readable_on_white_and_on_dark():
    assert drawing.contrast(figures.INK, "#ffffff") >= 4.5
    assert drawing.contrast(figures.INK, "#000000") >= 4.5
    assert drawing.contrast(figures.INK, "#0d1117") >= 4.1
    for colour in [*figures.PALETTE, figures.CONTROL, *figures.shades(6)]:
        assert drawing.contrast(colour, "#ffffff") >= 3
        assert drawing.contrast(colour, "#0d1117") >= 3


def test_never_lies_past_the_end_of_training_on_both_scales():
    for scale, shortest in (("linear", 0.0), ("log", 1e4)):
        times = figures.or_never([1e5, np.inf, np.nan], 1e6, shortest, scale)
        assert times[0] == 1e5
        assert times[1] > 1e6
        assert np.isnan(times[2])


def test_intervals_are_repeatable_and_hold_the_mean():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    low, high = figures.interval(values)
    assert (low, high) == figures.interval(values)
    assert 1 < low < 2.5 < high < 4
