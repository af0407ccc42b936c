"""Figures of heads and patterns of Singh 2024: equal bytes, hard values, optional tables, what is drawn."""

import drawing
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import singh_tables

from headworks import figures
from headworks.errors import HeadworksError
from headworks.studies.singh2024.circuit import Clamp
from headworks.studies.singh2024.figure_options import FIGURES
from headworks.studies.singh2024.figures import circuit, marks, subsets

OPTIONS = {
    "circuit": {"timing": "timing"},
    "patterns": {"patterns": "patterns"},
    "heads": {"heads": "heads"},
    "subsets": {"subsets": "subsets"},
    "routes": {"routes": "routes"},
    "wiring": {"wiring": "wiring"},
    "copying": {"heads": "heads"},
}
PLACES = ("seed", "step", "sequences", "layer", "head", "query", "key", "mask", "size", "ordered", "rank")
PLACES += ("ordered_without_best", "n_heads", "layer1_head", "layer2_head", "ended", "n_classes", "n_labels")

drawn = drawing.drawer("singh2024", FIGURES, OPTIONS)


@pytest.fixture(scope="module")
def tables():
    names = ("timing", "patterns", "heads", "subsets", "routes", "wiring")
    found = {name: getattr(singh_tables, name)() for name in names}
    found["strengths"] = pd.DataFrame(
        {"seed": 5, "head": [0, 3], "strength": [0.0, 0.89], "solo_accuracy": [0.4, 0.98]}
    )
    found["midpoints"] = pd.DataFrame({"condition": ["match", "none"], "midpoint": [29000.0, np.inf]})
    found["published"] = pd.DataFrame(
        {"ablated": ["previous", "others"], "preserved": "patterns", "accuracy": [0.9985, 0.3427]}
    )
    return found


def written(axis):
    return drawing.words(axis.texts)


@pytest.mark.parametrize("kind", OPTIONS)
def test_the_same_table_gives_the_same_bytes(kind, tables, tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "PNG_DPI", 50)
    first, second = drawing.saved_twice(lambda: drawn(kind, tables), tmp_path, "singh2024")
    assert first == second


@pytest.mark.parametrize("kind", OPTIONS)
def test_axes_are_labelled_and_figures_equally_wide(kind, tables):
    figure = drawn(kind, tables)
    assert figure.get_size_inches()[0] <= figures.WIDTH
    for axis in drawing.cells(figure):
        assert axis.get_xlabel()
        assert drawing.y_is_labelled(axis)


@pytest.mark.parametrize("kind", OPTIONS)
def test_undefined_and_infinite_values_do_not_stop_a_figure(kind, tables):
    own = {name: tables[name] for name in OPTIONS[kind].values()}
    for hard, seeds in ((np.nan, singh_tables.SEEDS), (np.inf, [1])):
        drawn(kind, drawing.spoilt(own, PLACES, seeds, hard)).draw_without_rendering()


@pytest.mark.parametrize("kind", OPTIONS)
def test_one_seed_is_enough(kind, tables):
    one = {name: tables[name][tables[name]["seed"] == 1] for name in OPTIONS[kind].values()}
    drawn(kind, one).draw_without_rendering()


def test_a_figure_of_heads_shows_one_condition(tables):
    other = tables["heads"].assign(condition="other", strength=-0.7)
    both = {"heads": pd.concat([tables["heads"], other], ignore_index=True)}
    assert drawing.points(drawn("heads", both).axes[0].collections)[:, 0].min() > -0.1
    assert drawing.points(drawn("heads", both, condition="other").axes[0].collections)[:, 0].max() == -0.7


def test_the_authors_numbers_are_hollow_and_optional(tables):
    for kind, reference, panel, point in (
        ("heads", "strengths", 0, [0.89, 0.98]),
        ("routes", "published", 1, [-0.3, 0.9985]),
        ("circuit", "midpoints", 2, [29000, 2.68]),
    ):
        bare = drawn(kind, tables)
        figure = drawn(kind, tables, reference=reference)
        assert len(drawing.entries(figure)) == len(drawing.entries(bare)) + 1
        assert "authors" in drawing.entries(figure)[-1]
        theirs = [cloud for cloud in figure.axes[panel].collections if not len(cloud.get_facecolor())]
        assert np.isclose(drawing.points(theirs), point).all(1).any()


def test_every_clamp_hands_over_what_it_clamps():
    """The drawing against the clamps' keys: a step is handed over if the clamp of that name sets its part."""
    clamps = {
        "none": {},
        "attend": {"attend": [0]},
        "layer1": {"layer1": "ideal"},
        "match": {"match": 1.0},
        "copy": {"copy_heads": [0]},
        "layer1-copy": {"layer1": "ideal", "copy_heads": [0]},
        "readout": {"readout": "ideal"},
        "readout-copy": {"readout": "ideal", "copy_heads": [0]},
    }
    assert set(clamps) == set(circuit.HANDED_OVER)
    for name, options in clamps.items():
        clamp = Clamp.model_validate(options)
        given = set(circuit.HANDED_OVER[name])
        matched = clamp.match is not None
        assert ("1" in given) == (bool(clamp.attend) or clamp.layer1 == "ideal" or matched)
        assert ("2" in given) == (clamp.layer1 == "ideal" or matched)
        assert ({"3q", "3k", "4"} <= given) == (matched or clamp.readout == "ideal")
        assert ({"3v", "5"} <= given) == bool(clamp.copy_heads)


def test_the_circuit_carries_median_times_and_never(tables):
    timing = tables["timing"]
    axis = drawn("circuit", tables).axes[2]
    middle = timing.loc[timing["condition"] == "match", "midpoint"].median()
    assert marks.thousands(middle) in written(axis)
    late = timing.assign(midpoint=timing["midpoint"].where(timing["condition"] != "none", np.inf))
    assert written(drawn("circuit", {"timing": late}).axes[2])[0] == "never"


def test_a_clamp_may_have_a_condition_of_another_name_or_none(tables):
    assert written(drawn("circuit", tables, runs=["quick"]).axes[2]).count("not trained") == 4
    axis = drawn("circuit", tables, runs=["quick"], conditions={"none": "match-random"}).axes[2]
    assert written(axis).count("not trained") == 3


def test_the_additive_fit_finds_what_was_planted():
    masks = np.arange(16)
    effects = np.array([3.0, -1.0, 0.5, 2.0])
    values = 0.7 + (masks[:, None] >> np.arange(4) & 1) @ effects
    assert np.allclose(subsets.additive(masks, values), values)
    both = (masks & 1) * (masks >> 1 & 1)
    assert not np.allclose(subsets.additive(masks, values + both), values + both)


def test_heads_that_are_no_ones_are_not_drawn_as_ablated(tables):
    frame = tables["routes"]
    few = frame.assign(n_heads=frame["n_heads"].where(frame["ablated"] != "previous", 0))
    colour = mpl.colors.to_rgba(marks.PREVIOUS)[:3]

    def ablated(found):
        clouds = drawn("routes", {"routes": found}).axes[1].collections
        shown = [len(c.get_offsets()) for c in clouds if tuple(c.get_facecolor()[0][:3]) == colour]
        return sum(shown)

    assert ablated(frame) == 4 * len(singh_tables.SEEDS)
    assert ablated(few) == 0


def test_both_scales_of_training_time(tables):
    for scale in ("linear", "log"):
        figure = drawn("routes", tables, scale=scale)
        figure.draw_without_rendering()
        assert figure.axes[0].get_xscale() == scale


def test_wiring_shows_the_cells_of_the_seed_asked_for(tables):
    frame = tables["wiring"]
    rows = frame[(frame["seed"] == 2) & (frame["snapshot"] == "last") & (frame["preserved"] == "values")]
    grid = rows.pivot(index="layer2_head", columns="layer1_head", values="accuracy").to_numpy()
    shown = drawn("wiring", tables, seed=2).axes[0].images[0].get_array()
    assert np.allclose(shown, grid)
    assert not np.allclose(drawn("wiring", tables, seed=0).axes[0].images[0].get_array(), grid)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("heads", {"heads": ["head"]}, "options.heads: 'head' is not one of"),
        ("heads", {"heads": ["wiring"]}, "options.heads: the table 'wiring' has no column"),
        ("heads", {"reference": ["routes"]}, "options.reference: the table 'routes' has no column"),
        (
            "copying",
            {"run": "half"},
            "options.run: 'half' is not in the table of the role heads; allowed: full",
        ),
        ("subsets", {"condition": "some"}, "options.condition: 'some' is not in the table"),
        ("patterns", {"seed": 9}, "options.seed: 9 is not a seed of the table; allowed: 0, 1, 2"),
        (
            "circuit",
            {"conditions": {"match": "some"}},
            "options.conditions.match: 'some' is not in the table",
        ),
        ("circuit", {"runs": ["some"]}, "options.runs: some is not in the table"),
    ],
)
def test_mistakes_in_options_name_the_key(kind, options, words, tables):
    with pytest.raises(HeadworksError, match=words):
        drawn(kind, tables, **options)
