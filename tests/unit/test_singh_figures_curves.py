"""Figures of curves and times of Singh 2024: equal bytes, hard values, optional tables, what is drawn."""

from types import SimpleNamespace

import drawing
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import singh_tables

from headworks import figures
from headworks.errors import HeadworksError
from headworks.studies.singh2024.experiments import reference
from headworks.studies.singh2024.figure_options import FIGURES
from headworks.studies.singh2024.figures import emergence, factorial, parts, prediction, strengths

MATCHES = {"match-10": 0.1, "match-50": 0.5, "match-75": 0.75, "match-100": 1}
FIXED = {"labels-5-wide": "softmax of 15", "labels-15-pairs": "8 pairs of labels"}
OPTIONS = {
    "emergence": {"evaluation": "evaluation", "emergence": "emergence", "reference": "learning-times"},
    "subcircuits": {
        "curves": "curves",
        "timing": "timing",
        "reference": "midpoints",
        "reference_curves": "authors-curves",
        "controls": ["match-random"],
    },
    "toy": {"toy": "toy", "reference": "authors-toy"},
    "progress": {"progress": "progress", "curves": "curves", "reference": "authors-progress"},
    "grafts": {"curves": "grafts-curves", "timing": "grafts", "reference": "authors-grafts"},
    "strengths": {"curves": "strengths-curves", "evaluation": "strengths", "matches": MATCHES},
    "diversity": {"timing": "diversity", "reference": "authors-diversity", "fixed": FIXED},
    "factorial": {"curves": "curves", "timing": "timing"},
    "prediction": {"prediction": "prediction"},
    "sources": {"sources": "sources"},
}
AUTHORS = {"learning-times": "learning_times", "midpoints": "midpoints"}
AUTHORS |= {f"authors-{name}": name for name in ("curves", "toy", "progress", "grafts", "diversity")}
PLACES = (
    "seed",
    "step",
    "sequences",
    "iteration",
    "layer",
    "head",
    "active",
    "n_classes",
    "n_labels",
    "fold",
)
PLACES += ("ended", "donor", "percentile")

drawn = drawing.drawer("singh2024", FIGURES, OPTIONS)


def authors(name):
    return reference.table(SimpleNamespace(name=name), None)


@pytest.fixture(scope="module")
def tables():
    own = {build.__name__.replace("_", "-"): build() for build in singh_tables.BUILDERS}
    return own | {role: authors(name) for role, name in AUTHORS.items()}


def ticks(axis, along="y"):
    return drawing.words(getattr(axis, f"get_{along}ticklabels")())


# Every kind


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_same_table_gives_the_same_bytes(kind, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "PNG_DPI", 50)
    first, second = drawing.saved_twice(lambda: drawn(kind, tables), tmp_path, "singh2024")
    assert first == second


@pytest.mark.parametrize("kind", OPTIONS)
def test_axes_are_labelled_and_figures_equally_wide(kind, tables):
    figure = drawn(kind, tables)
    assert figure.get_size_inches()[0] <= figures.WIDTH
    for axis in figure.axes:
        assert drawing.x_is_labelled(axis)
        assert drawing.y_is_labelled(axis) or drawing.row_names(axis)


@pytest.mark.parametrize("kind", OPTIONS)
def test_nothing_is_cut_off(kind, tables):
    figure = drawn(kind, tables)
    figure.draw_without_rendering()
    for axis in figure.axes:
        texts = (axis.xaxis.label, axis.yaxis.label, axis.title, *drawing.row_names(axis))
        assert not drawing.cut_off(figure, texts)


@pytest.mark.parametrize("kind", OPTIONS)
def test_undefined_and_infinite_values_do_not_stop_a_figure(kind, tables):
    for hard, seeds in ((np.nan, singh_tables.SEEDS), (np.inf, [1])):
        drawn(kind, drawing.spoilt(tables, PLACES, seeds, hard)).draw_without_rendering()


@pytest.mark.parametrize("kind", [kind for kind in OPTIONS if "reference" in OPTIONS[kind]])
def test_the_authors_numbers_may_be_left_out(kind, tables):
    without = {role: [] for role in ("reference", "reference_curves") if role in OPTIONS[kind]}
    figure = drawn(kind, tables, **without)
    assert any("authors" in entry for entry in drawing.entries(drawn(kind, tables)))
    assert not any("authors" in entry for entry in drawing.entries(figure))


def test_a_run_of_a_few_steps_can_be_drawn(tables):
    few = tables["curves"].groupby(["run", "condition", "seed"]).head(2).assign(sequences=[50, 100] * 45)
    times = ["midpoint", "learned", "finished"]
    late = tables["timing"].assign(ended=100, shape=np.nan, **dict.fromkeys(times, np.inf))
    short = tables | {"curves": few, "timing": late}
    for kind in ("subcircuits", "factorial"):
        drawn(kind, short, **({"reference": [], "reference_curves": []} if kind == "subcircuits" else {}))
    drawn("diversity", {"diversity": late}, reference=[], fixed={}).draw_without_rendering()


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (
            "subcircuits",
            {"conditions": ["none", "matched"]},
            "options.conditions: matched is not in .* allowed: full",
        ),
        ("factorial", {"given": {"nothing": ""}}, "options.given: nothing is not in"),
        ("factorial", {"conditions": ["labelled"]}, "options.conditions: labelled is not in options.given"),
        ("grafts", {"grafts": ["graft-mine"]}, "options.grafts: graft-mine is not in"),
        ("strengths", {"matches": {"match-20": 0.2}}, "options.matches: match-20 is not in"),
        (
            "strengths",
            {"conditions": ["match-10"], "matches": {"match-50": 0.5}},
            "no attention is given for match-10",
        ),
        ("diversity", {"conditions": ["copy"]}, "options.conditions: copy is not in"),
        ("diversity", {"fixed": {"labels-9": "9"}}, "options.fixed: labels-9 is not in"),
        (
            "diversity",
            {"fixed": {}},
            "options.fixed: the runs quick, labels-15, labels-5-wide, labels-15-pairs have",
        ),
        ("progress", {"measures": ["copy"]}, "options.measures: copy is not in"),
        ("emergence", {"run": "half"}, "options.run: 'half' is not in"),
        ("emergence", {"seed": 9}, "options.seed: 9 is not"),
        ("toy", {"toy": "timing"}, "options.toy: the table 'timing' has no column"),
        ("sources", {"sources": "source"}, "options.sources: 'source' is not one of"),
    ],
)
def test_mistakes_in_options_name_the_key(kind, options, words, tables):
    with pytest.raises(HeadworksError, match=words):
        drawn(kind, tables, **options)


def test_a_condition_of_two_runs_is_a_mistake(tables):
    with pytest.raises(HeadworksError, match="'match' is in the runs quick, classes-100"):
        drawn("subcircuits", tables, curves="diversity-curves")


# Parts


def test_colours_of_clamps_are_theirs_alone_and_readable():
    found = [(look.colour, look.dash) for look in parts.LOOKS.values()]
    assert len(set(found)) == len(found)
    assert set(parts.LOOKS) == set(parts.NAMES)
    for colour, _ in found:
        assert drawing.contrast(colour, "#ffffff") >= 3
        assert drawing.contrast(colour, "#0d1117") >= 3


def test_a_clamp_is_drawn_alike_in_any_company_and_a_control_in_grey():
    alone, among = parts.looks_of(["match"]), parts.looks_of(["copy", "new", "match"], ["copy"])
    assert alone["match"] == among["match"] == parts.LOOKS["match"]
    assert among["copy"].colour == figures.CONTROL
    assert among["new"].colour in figures.PALETTE


def test_a_run_without_clamps_goes_by_its_own_name():
    frame = pd.DataFrame({"run": ["a", "b"], "condition": [parts.UNCLAMPED, "match"]})
    assert parts.with_series(frame)["series"].tolist() == ["a", "match"]


def test_thinning_keeps_means_and_short_curves():
    long = pd.DataFrame({"seed": 0, "sequences": np.arange(1000.0), "loss": np.arange(1000.0) ** 2})
    short = pd.DataFrame({"seed": 1, "sequences": [1.0, 2.0], "loss": [5.0, 7.0]})
    found = parts.thinned(pd.concat([long, short]), ["seed"])
    thin = found[found["seed"] == 0]
    assert 100 < len(thin) <= parts.MOST_POINTS
    assert thin["loss"].iloc[0] == np.mean(np.arange(7.0) ** 2)
    assert thin["sequences"].iloc[0] == 3
    assert parts.thinned(short, ["seed"])["loss"].tolist() == [5, 7]


def test_the_thick_line_is_the_median_of_all_seeds():
    frame = pd.DataFrame({"seed": [0, 1, 2, 0, 1], "sequences": [1, 1, 1, 2, 2], "loss": [1.0, 2, 9, 1, 2]})
    _, axes = figures.canvas()
    parts.seed_curves(axes[0][0], frame, parts.LOOKS["match"])
    thick = axes[0][0].lines[-1]
    assert (list(thick.get_xdata()), list(thick.get_ydata())) == ([1], [2])


def test_times_that_never_came_are_arrows_at_the_end_of_training():
    frame = pd.DataFrame({"series": "match", "midpoint": [1e5, np.inf, np.inf, 2e5], "ended": 4e5})
    theirs = pd.DataFrame({"series": "match", "midpoint": [np.inf, 5e4], "ended": [3e5, 3e5]})
    _, axes = figures.canvas()
    assert parts.times_panel(axes[0][0], frame, {"match": parts.LOOKS["match"]}, reference=theirs)
    assert sorted(drawing.points(axes[0][0].collections)[:, 0]) == [5e4, 1e5, 2e5, 3e5, 4e5, 4e5]
    median = axes[0][0].lines[0]
    assert (median.get_marker(), median.get_xdata()[0]) == (">", 4e5)
    came = frame[np.isfinite(frame["midpoint"])]
    assert not parts.times_panel(figures.canvas()[1][0][0], came, {"match": parts.LOOKS["match"]})


def test_logarithmic_axes_count_in_thousands():
    _, axes = figures.canvas()
    parts.sequences_axis(axes[0][0], "log", (1e4, 2e6))
    assert ticks(axes[0][0], "x") == ["10", "20", "50", "100", "200", "500", "1000", "2000"]
    assert axes[0][0].get_xlabel() == "training sequences (thousands)"


# What is drawn


def test_emergence_follows_the_head_that_wins(tables):
    axis = drawn("emergence", tables).axes[3]
    summary = tables["emergence"].query("layer == 0")
    ends = [line.get_ydata()[-1] for line in axis.lines if line.get_color() == emergence.INDUCTION]
    assert ends == pytest.approx([summary["max_strength"].iloc[0]] * len(ends), abs=0.02)


def test_emergence_places_the_authors_losses_by_kind_of_sequence(tables):
    both = tables | {"ends": authors("ends")}
    axis = drawn("emergence", both, reference=["learning-times", "ends"]).axes[0]
    train, unseen = (emergence.SPLITS[split][1].colour for split in ("train", "test_class"))
    found = {mpl.colors.to_hex(c.get_edgecolor()[0]): np.asarray(c.get_offsets()) for c in axis.collections}
    assert len(found[train]) == 30 + 5
    assert [3e5, 0.36] in found[unseen].tolist()


def test_emergence_shows_one_seed_head_by_head(tables):
    axis = drawn("emergence", tables, seed=2).axes[2]
    assert axis.get_title(loc="left") == "heads of layer 2, seed 2"
    assert set(drawing.words(axis.texts)) == set("0123")


def test_subcircuits_draw_the_conditions_asked_for_in_their_order(tables):
    figure = drawn("subcircuits", tables, conditions=["match", "none"], labels={"none": "all to learn"})
    assert ticks(figure.axes[2]) == ["match", "all to learn"]
    assert drawing.entries(figure)[:2] == ["match", "all to learn"]
    times = tables["timing"].query("condition == 'match'")["midpoint"]
    assert set(times) <= set(drawing.points(figure.axes[2].collections)[:, 0])


def test_every_loss_panel_has_a_line_at_ln_2(tables):
    for kind, numbers in {
        "subcircuits": (0, 1),
        "grafts": (0, 2),
        "factorial": (0, 1, 2),
        "emergence": (0,),
    }.items():
        figure = drawn(kind, tables)
        for number in numbers:
            assert [parts.LN2, parts.LN2] in [list(line.get_ydata()) for line in figure.axes[number].lines]


def test_progress_measures_are_dashed_and_clamps_solid(tables):
    figure = drawn("progress", tables, measures=["match"], reference=[])
    styles = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert styles >= {(parts.GREEN, "-"), (parts.GREEN, "--"), (parts.NEUTRAL, "-")}


def test_strengths_are_ordered_by_what_is_clamped(tables):
    options = FIGURES["strengths"].model_validate(OPTIONS["strengths"])
    curves = parts.with_series(tables["strengths-curves"])
    found = strengths.strengths_of(options, curves)
    assert list(found.values()) == pytest.approx([-0.8, 0, 0.5, 1])
    assert [strengths.signed(value) for value in found.values()] == ["−0.8", "0", "+0.5", "+1"]


def test_diversity_keeps_controls_off_the_lines(tables):
    axis = drawn("diversity", tables, conditions=["match"], times=["midpoint"], reference=[]).axes[1]
    thick = next(line for line in axis.lines if line.get_marker() == "o")
    rows = tables["diversity"].query("condition == 'match' and n_classes == 50")
    rows = rows[~rows["run"].isin(FIXED)]
    assert list(thick.get_xdata()) == [5, 10, 15]
    assert list(thick.get_ydata()) == rows.groupby("n_labels")["midpoint"].median().tolist()


def test_factorial_groups_conditions_by_what_is_left(tables):
    figure = drawn("factorial", tables)
    inside = [drawing.words(axis.get_legend().get_texts()) for axis in figure.axes[:3]]
    assert [len(names) for names in inside] == [1, 3, 3]
    assert inside[2] == ["match (C left)", "1,2 + copy (B left)", "readout + copy (A left)"]
    options = FIGURES["factorial"].model_validate(
        OPTIONS["factorial"] | {"given": {"match": "AB", "none": ""}}
    )
    assert factorial.left_of(options, parts.with_series(tables["curves"])) == {"none": "ABC", "match": "C"}


def test_predictions_that_are_right_lie_on_the_diagonal(tables):
    frame = tables["prediction"].assign(predicted=lambda rows: rows["observed"])
    axis = drawn("prediction", {"prediction": frame}).axes[0]
    shown = drawing.points(axis.collections)
    assert len(shown) == len(frame)
    assert shown[:, 0] == pytest.approx(shown[:, 1])
    assert "never" in ticks(axis, "x")


def test_errors_of_predictions_are_factors(tables):
    frame = tables["prediction"].assign(censored=0, **dict.fromkeys(prediction.ERRORS, np.log(2)))
    axis = drawn("prediction", {"prediction": frame}).axes[1]
    assert set(drawing.points(axis.collections)[:, 1].round(9)) == {2.0}


def test_the_reference_of_sources_is_hollow(tables):
    bars = drawn("sources", tables).axes[0].patches
    hollow = [bar.get_height() for bar in bars if bar.get_facecolor()[-1] == 0]
    assert hollow == [0.62, 0.56]
    assert len(bars) == 6
