"""Figures of Wu & Varshney 2024: equal bytes, hard values, mistakes in options, and what is drawn."""

from importlib import import_module

import drawing
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import wu_tables

from headworks import figures
from headworks.errors import HeadworksError
from headworks.studies.wu2024.figure_options import FIGURES
from headworks.studies.wu2024.figures import course, margins, parts, switch, transfer

OPTIONS = {
    "ari": {"clusters": "clusters", "runs": ["main"]},
    "states": {"projection": "projection", "positions": ["LAST"]},
    "switch": {"steering": "steering"},
    "transfer": {"across": "across"},
    "interpolation": {"interpolation": "interpolation"},
    "confounds": {"clusters": "clusters", "structure": "structure", "runs": ["main"]},
    "margins": {"margins": "margins"},
    "course": {"clusters": "clusters", "accuracy": "accuracy", "across": "across"},
}
PLACES = ("seed", "step", "layer", "alpha", "task", "regex", "input")

drawn = drawing.drawer("wu2024", FIGURES, OPTIONS)


@pytest.fixture(scope="module")
def tables():
    return {build.__name__: build() for build in wu_tables.BUILDERS}


def panels(figure):
    return [axis for axis in figure.axes if axis.axison]


def titles(figure, loc="left"):
    return [axis.get_title(loc=loc) for axis in panels(figure)]


def thick(axis, colour):
    """The lines of one colour that are no seed's."""
    return [line for line in axis.lines if line.get_color() == colour and line.get_linewidth() > 1]


def marked(axis, colour):
    """All points of the scatter plots of one colour, [n, 2]."""
    rgb = mpl.colors.to_rgb(colour)
    return drawing.points(cloud for cloud in axis.collections if tuple(cloud.get_facecolor()[0][:3]) == rgb)


# Every kind


def test_every_kind_is_tested():
    assert set(OPTIONS) == set(FIGURES)


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_same_table_gives_the_same_bytes(kind, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "PNG_DPI", 50)
    first, second = drawing.saved_twice(lambda: drawn(kind, tables), tmp_path, "wu2024")
    assert first == second


@pytest.mark.parametrize("kind", OPTIONS)
def test_axes_are_labelled_and_nothing_is_cut_off(kind, tables):
    figure = drawn(kind, tables)
    figure.draw_without_rendering()
    assert figure.get_size_inches()[0] <= figures.WIDTH
    for axis in panels(figure):
        assert drawing.x_is_labelled(axis)
        assert drawing.y_is_labelled(axis) or drawing.row_names(axis)
        texts = (axis.xaxis.label, axis.yaxis.label, axis.title, *axis.get_yticklabels(), *axis.texts)
        assert not drawing.cut_off(figure, texts)


@pytest.mark.parametrize("kind", OPTIONS)
def test_undefined_and_infinite_values_do_not_stop_a_figure(kind, tables):
    options = {"layer": 2} if kind == "switch" else {}
    for hard, seeds in ((np.nan, wu_tables.SEEDS), (np.inf, [1])):
        drawn(kind, drawing.spoilt(tables, PLACES, seeds, hard), **options).draw_without_rendering()


@pytest.mark.parametrize("kind", OPTIONS)
def test_one_seed_of_one_run_is_enough(kind, tables):
    one = {name: frame[(frame["seed"] == 0) & (frame["run"] == "main")] for name, frame in tables.items()}
    drawn(kind, one, runs=["main"]).draw_without_rendering()


@pytest.mark.parametrize("kind", OPTIONS)
def test_runs_are_drawn_as_asked_and_called_as_asked(kind, tables):
    figure = drawn(kind, tables, runs=["barrier"], labels={"barrier": "all through SEP"})
    words = [*titles(figure), *(axis.get_ylabel() for axis in figure.axes), *drawing.entries(figure)]
    words += [text.get_text() for axis in figure.axes for text in axis.get_yticklabels()]
    assert any("all through SEP" in word for word in words)
    assert not any("main" in word for word in words)


@pytest.mark.parametrize("kind", OPTIONS)
def test_a_run_or_a_column_that_is_not_there_is_named(kind, tables):
    role = next(iter(OPTIONS[kind]))
    with pytest.raises(HeadworksError, match=f"options.runs: third is not in the table of the role {role}; "):
        drawn(kind, tables, runs=["main", "third"])
    name = OPTIONS[kind][role]
    last = import_module(f"headworks.studies.wu2024.figures.{kind}")
    column = (last.CLUSTERS if kind == "course" else last.COLUMNS)[-1]
    without = tables | {name: tables[name].drop(columns=column)}
    with pytest.raises(HeadworksError, match=f"options.{role}: the table '{name}' has no column {column}; "):
        drawn(kind, without)
    with pytest.raises(HeadworksError, match=f"options.{role}: 'nothing' is not one of the figure's tables"):
        drawn(kind, tables, **{role: "nothing"})


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (
            "states",
            {"seed": 7},
            "options.seed: 7 is not a value of seed in .* for the run 'main'; allowed: 0",
        ),
        ("states", {"layer": 9}, "options.layer: 9 is not a value of layer in .* allowed: 0, 1, 2, 3, 4"),
        (
            "states",
            {"split": "held_out"},
            "options.split: 'held_out' is not a value of split in .* allowed: train, val",
        ),
        ("switch", {"layer": 9}, "options.layer: 9 is not a value of layer in"),
        ("interpolation", {"layer": 9}, "options.layer: 9 is not a value of layer in"),
        ("margins", {"layer": 9}, "options.layer: 9 is not a value of layer in"),
        (
            "margins",
            {"splits": ["train"]},
            "options.splits: 'train' is not a value of split in .* allowed: val, held_out",
        ),
        ("confounds", {"split": "held_out"}, "options.split: 'held_out' is not a value of split in"),
        ("confounds", {"structure": "margins"}, "options.structure: the table 'margins' has no column"),
        ("course", {"across": "margins"}, "options.across: the table 'margins' has no column switch"),
    ],
)
def test_mistakes_in_options_name_the_key(kind, options, words, tables):
    with pytest.raises(HeadworksError, match=words):
        drawn(kind, tables, **options)


def test_a_position_that_no_state_was_taken_at_is_named(tables):
    for kind in ("ari", "confounds"):
        few = {"clusters": tables["clusters"].query("position != 'LAST'"), "structure": tables["structure"]}
        with pytest.raises(HeadworksError, match=r"options.positions: 'LAST' is not .* allowed: SEP, INP"):
            drawn(kind, few)
    with pytest.raises(HeadworksError, match=r"options.clusters: 'LAST' is not a value of position in"):
        drawn("course", tables | few)


# Parts


def test_a_run_under_conditions_is_several_networks():
    frame = pd.DataFrame(
        {"run": ["a", "b", "b"], "condition": [parts.UNCLAMPED, "task", "none"], "seed": 0, "step": 0}
    )
    assert parts.networks({"t": frame}, ["t"], [], "any")["run"].tolist() == ["a", "b-task", "b-none"]


def test_the_highest_layer_is_left_out_unless_it_is_the_only_one():
    frame = pd.DataFrame({"layer": [0, 1, 2, 0, 1, 2], "score": [0.1, 0.3, 0.9, 0.1, np.nan, 0.9]})
    assert parts.below_top(frame) == [0, 1]
    assert parts.best_layer(frame, "score") == 1
    assert parts.below_top(frame[frame["layer"] == 2]) == [2]
    assert parts.best_layer(frame.assign(score=np.nan), "score") is None


def test_every_group_has_a_look_of_its_own():
    looks = parts.groups([*range(60), np.nan])
    assert list(looks) == list(range(60))
    assert len(set(looks.values())) == 60
    assert parts.groups([4, 2, 2]) == {2: parts.groups(range(2))[0], 4: parts.groups(range(2))[1]}


def test_early_steps_are_seen():
    axis = figures.canvas()[1][0][0]
    parts.steps_axis(axis, wu_tables.STEPS)
    places = axis.transData.transform([(step, 0) for step in (0, 10, 100, 1000)])[:, 0]
    assert list(axis.get_xticks()) == [0, 10, 100, 1000]
    assert np.diff(places).min() > 0.3 * np.diff(places).max()
    parts.steps_axis(axis, [0])
    parts.steps_axis(axis, [0, 7])
    assert list(axis.get_xticks()) == [0, 7]


# What is drawn


def test_agreement_over_training_is_the_mean_over_seeds_beside_its_references(tables):
    figure = drawn("ari", tables, runs=["main"])
    assert titles(figure)[:5] == ["embedding", "layer 1", "layer 2", "layer 3", "layer 4"]
    rows = tables["clusters"].query("run == 'main' and split == 'val' and layer == 2")
    for number, position, score in ((2, "SEP", "task_ari"), (7, "LAST", "given_input_ari")):
        axis, own = figure.axes[number], rows[rows["position"] == position]
        (line,) = thick(axis, figures.PALETTE[0])
        assert line.get_ydata() == pytest.approx(own.groupby("step")[score].mean().to_numpy())
        levels = [found.get_ydata()[0] for found in axis.lines if found.get_color() == figures.CONTROL]
        start = own.loc[own["step"] == 0, score].mean()
        beside = own.loc[own["step"] == 0, "null_99"].mean() if position == "SEP" else wu_tables.ORACLE
        assert sorted(levels) == pytest.approx(sorted([start, beside]))


def test_states_are_the_same_points_in_every_colouring(tables):
    figure = drawn("states", tables, runs=["barrier"], positions=["LAST"], layer=4)
    shown = [sorted(map(tuple, drawing.points(axis.collections))) for axis in figure.axes]
    assert shown[0] == shown[1] == shown[2]
    assert len(shown[0]) == wu_tables.N_TASKS * wu_tables.N_REGEXES * 10
    assert titles(figure, "right") == ["10 groups", "30 groups", "10 groups"]
    assert "layer 4" in figure.axes[0].get_ylabel()


def test_a_label_that_is_nowhere_defined_colours_nothing(tables):
    frame = tables["projection"].assign(output=np.nan)
    figure = drawn("states", {"projection": frame}, runs=["main"], positions=["SEP"])
    assert drawing.words(figure.axes[2].texts) == ["not defined"]
    assert not figure.axes[2].collections
    assert figure.axes[1].collections


def test_switches_are_of_the_best_layer_below_the_top(tables):
    figure = drawn("switch", tables, runs=["barrier"], positions=["SEP"])
    assert titles(figure)[0] == "barrier, layer 3"
    kinds = drawing.words(figure.axes[0].get_yticklabels())
    place = kinds.index(switch.KINDS["replace"])
    rows = tables["steering"].query(
        "run == 'barrier' and step == 2000 and layer == 3 and kind == 'replace' and positions == 'SEP'"
    )
    points = marked(figure.axes[0], figures.PALETTE[0])
    assert sorted(points[points[:, 1] == place, 0]) == pytest.approx(sorted(rows["switch"]))


def test_controls_of_interventions_are_grey(tables):
    axis = drawn("switch", tables, runs=["main"], positions=["SEP"]).axes[0]
    kinds = drawing.words(axis.get_yticklabels())
    grey = {kinds[int(place)] for place in marked(axis, figures.CONTROL)[:, 1]}
    assert grey == set(switch.CONTROLS.values())


def test_without_a_replacement_the_layer_of_switches_must_be_named(tables):
    few = {"steering": tables["steering"].query("kind != 'replace'")}
    with pytest.raises(HeadworksError, match=r"options.layer: .* no kind replace at SEP of the run 'main'"):
        drawn("switch", few)
    drawn("switch", few, layer=2)


def test_transfer_shows_every_network_at_its_end_and_what_the_input_gives(tables):
    figure = drawn("transfer", tables)
    ends = tables["across"].query("step == 2000")
    axis = figure.axes[0]
    known = ends.set_index("sep_ari")["input_only"].sort_index()
    found = pd.Series(*marked(axis, figures.CONTROL).T[::-1]).sort_index()
    assert found.index.to_numpy() == pytest.approx(known.index.to_numpy())
    assert found.to_numpy() == pytest.approx(known.to_numpy())
    clouds = drawing.points(axis.collections[:-1])
    assert sorted(clouds[:, 1]) == pytest.approx(sorted(ends["held_out_accuracy"]))
    assert titles(figure, "right")[0].startswith("ρ = ")
    assert drawing.entries(figure)[:4] == ["main", "barrier", "aid none", "aid task"]


def test_the_coefficient_is_of_ranks():
    axis = figures.canvas()[1][0][0]
    x = pd.Series([0.1, 0.2, 0.3, 0.4])
    transfer.rank_correlation(axis, x, x**7)
    assert axis.get_title(loc="right") == "ρ = 1.00, 4 networks"
    transfer.rank_correlation(axis, x, pd.Series([0.3, np.nan, 0.2, 0.1]))
    assert axis.get_title(loc="right") == "ρ = -1.00, 3 networks, 1 undefined"
    transfer.rank_correlation(axis, x, x * 0)
    assert axis.get_title(loc="right") == "4 networks"


def test_runs_of_one_colour_differ_in_shape():
    names = [f"r{i}" for i in range(14)]
    colours = {run: look.colour for run, look in figures.looks(names, names[:3]).items()}
    shapes = transfer.markers_of(colours)
    assert len({(colours[run], shapes[run]) for run in names}) == 14


def test_the_way_between_centroids_is_of_the_best_layer_below_the_top(tables):
    figure = drawn("interpolation", tables)
    assert titles(figure, "right") == ["layer 2", "layer 2"]
    (line,) = thick(figure.axes[1], figures.PALETTE[1])
    rows = tables["interpolation"].query("run == 'barrier' and step == 2000 and layer == 2")
    assert line.get_ydata() == pytest.approx(rows.groupby("alpha")["switch"].mean().to_numpy())


def test_confounds_are_after_training_beside_the_start(tables):
    figure = drawn("confounds", tables)
    rows = tables["clusters"].query("run == 'main' and split == 'val' and position == 'LAST'")
    axis = figure.axes[5]
    (line,) = thick(axis, figures.PALETTE[1])
    ends = rows[rows["step"] == 2000].groupby("layer")["regex_ari"].mean()
    assert line.get_ydata() == pytest.approx(ends.to_numpy())
    (start,) = [found for found in axis.lines if found.get_color() == figures.CONTROL]
    assert start.get_ydata() == pytest.approx(rows[rows["step"] == 0].groupby("layer")["regex_ari"].mean())
    assert drawing.words(figure.axes[3].texts) == ["not defined"]


def test_the_number_of_clusters_found_is_optional(tables):
    with_it, without = drawn("confounds", tables), drawn("confounds", tables, structure=[])
    assert len(drawing.entries(with_it)) == len(drawing.entries(without)) + 1
    assert len(thick(with_it.axes[0], figures.PALETTE[5])) == 1
    assert not thick(without.axes[0], figures.PALETTE[5])


def test_margins_are_of_one_layer_and_split(tables):
    figure = drawn("margins", tables, runs=["main"])
    rows = tables["margins"].query("run == 'main' and step == 2000 and layer == 3 and labels == 'task'")
    for number, split in ((0, "val"), (2, "held_out")):
        own = rows[rows["split"] == split]
        for column, (_, colour, _) in margins.SERIES.items():
            points = marked(figure.axes[number], colour)
            assert sorted(points[:, 0]) == pytest.approx(sorted(own[column]))
    assert drawing.words(figure.axes[0].texts) == [f"{rows['wrong'].mean():.3g}"]
    grey = marked(figure.axes[1], figures.CONTROL)
    assert grey[:, 0] == pytest.approx(0.5)


def test_the_course_follows_the_layer_that_is_best_on_training(tables):
    frame = parts.networks(tables, ["clusters"], course.CLUSTERS, "clusters")
    worse = frame["task_ari"].where((frame["split"] == "train") | (frame["layer"] != 2), -1.0)
    found = course.clustered(frame.assign(task_ari=worse), "sep", "SEP", "task_ari")
    assert (found["value"] == -1).all()
    assert len(found) == len(wu_tables.NETWORKS) * len(wu_tables.SEEDS) * len(wu_tables.STEPS)


def test_the_course_marks_half_of_a_rise():
    assert course.half_risen(np.array([0.2, 0.1, 0.3, 0.6, 0.4])) == 3
    assert course.half_risen(np.array([0.0, 0.5, 1.0])) == 1
    assert course.half_risen(np.array([0.5, 0.4])) is None
    assert course.half_risen(np.array([])) is None


def test_the_course_has_a_panel_a_run_and_switches_if_there_are_any(tables):
    figure = drawn("course", tables)
    assert titles(figure) == ["main", "barrier", "aid none", "aid task"]
    assert len(drawing.entries(drawn("course", tables, across=[]))) == len(drawing.entries(figure)) - 1
    grey = [line for line in figure.axes[2].lines if line.get_color() == figures.CONTROL]
    assert grey[0].get_ydata()[0] == wu_tables.INPUT_ONLY["aid"]


def test_a_run_without_accuracy_is_named(tables):
    few = tables | {"accuracy": tables["accuracy"].query("run == 'main'")}
    with pytest.raises(
        HeadworksError, match=r"options.runs: barrier.* is not in the table of the role accuracy"
    ):
        drawn("course", few)
