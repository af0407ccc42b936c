"""Config mistakes: one paragraph that names file and key, what was found and what is allowed; and overlays."""

import copy
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headworks.config import load, merge
from headworks.errors import HeadworksError


@pytest.fixture
def folder(tmp_path):
    """config/studies with whatever bodies a test puts there."""

    def put(*bodies: dict):
        for index, body in enumerate(bodies):
            (tmp_path / f"{index}.yaml").write_text(yaml.safe_dump(body, sort_keys=False))
        return tmp_path

    return put


def changed(body: dict, path: str, value) -> dict:
    """A copy of a study with one value put at a dotted path."""
    body = copy.deepcopy(body)
    *parents, last = path.split(".")
    place = body
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    return body


def test_the_toy_study_is_valid(toy_study, folder):
    study = load({}, folder(toy_study)).studies["toy"]
    assert study.runs["still"].train.lr == 1e-6
    assert study.runs["still"].train.steps == study.runs["learner"].train.steps == 40
    assert study.datasets["ring"].options["size"] == 8


MISTAKES = {
    "unknown key": ("runs.learner.trian", {}, "runs.learner.trian: unknown key"),
    "unknown key deep down": ("runs.learner.train", {"stpes": 3}, "runs.learner.train.stpes: unknown key"),
    "unknown option": ("datasets.ring.options", {"sise": 3}, "datasets.ring.options.sise: unknown key"),
    "too small": ("runs.learner.train", {"steps": 0}, "runs.learner.train.steps: .*greater than 0, found 0"),
    "not a number": ("runs.learner.train", {"lr": "fast"}, "runs.learner.train.lr: .*number.*found 'fast'"),
    "not a choice": (
        "runs.learner.train",
        {"optimizer": "sgd"},
        "optimizer: .*'adam' or 'adamw', found 'sgd'",
    ),
    "option out of bounds": (
        "figures.curve.options",
        {"title": 3},
        "figures.curve.options.title: .*string, found 3",
    ),
    "heads do not divide": (
        "runs.learner.model",
        {"n_heads": 3},
        "d_model 16 is not a multiple of n_heads 3",
    ),
    "one seed twice": ("runs.learner.seeds", [1, 1], r"seeds: \[1, 1\] holds one seed twice"),
    "no seeds": ("runs.learner.seeds", [], "runs.learner.seeds: .*at least 1"),
    "no such settings": ("runs.learner.like", "bsae", "runs.learner.like: 'bsae' is not .*allowed: base"),
    "no such dataset": ("runs.learner.dataset", "rnig", "runs.learner.dataset: 'rnig' .*allowed: ring"),
    "no such run": (
        "experiments.curve.runs",
        ["lerner"],
        "experiments.curve.runs: 'lerner' .*allowed: learner, still",
    ),
    "no such run to cache": ("activations.probes.runs", ["x"], "activations.probes.runs: 'x' does not exist"),
    "run that is not cached": (
        "experiments.probe.runs",
        ["still"],
        "experiments.probe.runs .*'still'.*allowed: learner",
    ),
    "no such table": (
        "figures.curve.tables",
        ["crave"],
        "figures.curve.tables: 'crave' .*allowed: curve, probe",
    ),
    "claim on no table": (
        "claims.learns.table",
        "crave",
        "claims.learns.table: 'crave' .*allowed: curve, probe",
    ),
    "control on no table": ("claims.learns.control.table", "x", "claims.learns.table: 'x' does not exist"),
    "claim on no figure": ("claims.learns.figure", "x", "claims.learns.figure: 'x' .*allowed: curve"),
    "no such statistic": (
        "claims.learns.statistic.name",
        "maen",
        "claims.learns.statistic: .*'maen'.*'mean'",
    ),
    "no such kind": (
        "experiments.curve.kind",
        "crave",
        "experiments.curve.kind: 'crave' .*allowed: curve, probe",
    ),
    "slash in a name": (
        "runs.a/b",
        {"like": "base"},
        r"runs.a/b: 'a/b' is not a name; allowed: \^\[a-z0-9\]",
    ),
    "capital in a name": (
        "figures.Curve",
        {"kind": "curve", "tables": ["curve"], "caption": ""},
        "'Curve' is not a name",
    ),
    "slash in a study's name": ("study", "a/b", "study: 'a/b' is not a name"),
    "no caption": ("figures.curve", {"kind": "curve", "tables": ["curve"]}, "figures.curve.caption: missing"),
    "study without a folder": ("study", "nowhere", "study: 'nowhere'.*workflow/headworks/studies/nowhere"),
}


@pytest.mark.parametrize(("path", "value", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_file_and_key(toy_study, folder, path, value, expected):
    if isinstance(value, dict) and path.startswith("runs.learner."):
        value = {"like": "base", path.rsplit(".", 1)[1]: value}
        path = "runs.learner"
    place = folder(changed(toy_study, path, value))
    with pytest.raises(HeadworksError) as error:
        load({}, place)
    text = str(error.value)
    assert re.search(expected, text), text
    assert text.startswith(str(place / "0.yaml"))
    assert len(text) < 600


def test_every_problem_of_a_file_is_told_at_once(toy_study, folder):
    body = changed(changed(toy_study, "runs.learner.seeds", []), "paper.pages", 3)
    with pytest.raises(HeadworksError) as error:
        load({}, folder(body))
    assert len(str(error.value).splitlines()) == 2


def test_two_studies_of_one_name(toy_study, folder):
    with pytest.raises(HeadworksError, match=r"1\.yaml: study: 'toy' is already the name of .*0\.yaml"):
        load({}, folder(toy_study, toy_study))


def test_files_that_are_no_studies(tmp_path):
    with pytest.raises(HeadworksError, match="no study files"):
        load({}, tmp_path)
    (tmp_path / "x.yaml").write_text("a: [1")
    with pytest.raises(HeadworksError, match=r"x\.yaml: not valid YAML: while parsing"):
        load({}, tmp_path)
    (tmp_path / "x.yaml").write_text("[1, 2]")
    with pytest.raises(HeadworksError, match=r"x\.yaml: needs a key 'study'"):
        load({}, tmp_path)


def test_mistakes_in_the_common_config(toy_study, folder):
    place = folder(toy_study)
    with pytest.raises(HeadworksError, match=r"config/config\.yaml: scael: unknown key"):
        load({"scael": "test"}, place)
    with pytest.raises(HeadworksError, match=r"scale: .*'laptop', 'test' or 'paper', found 'huge'"):
        load({"scale": "huge"}, place)
    with pytest.raises(HeadworksError, match="only: 'toi' is not a study; allowed: toy"):
        load({"only": ["toi"]}, place)
    with pytest.raises(HeadworksError, match=r"studies\.toi: no such study; allowed: toy"):
        load({"studies": {"toi": {}}}, place)


def test_an_overlay_reaches_runs_through_their_settings(toy_study, folder):
    overlay = {"studies": {"toy": {"settings": {"base": {"train": {"steps": 7, "lr": 0.5}}}}}}
    runs = load(overlay, folder(toy_study)).studies["toy"].runs
    assert [run.train.steps for run in runs.values()] == [7, 7]
    assert [run.train.lr for run in runs.values()] == [0.5, 1e-6]


def test_an_overlay_takes_away_what_it_sets_to_null(toy_study, folder):
    overlay = {"studies": {"toy": {"claims": {"learns": None}}}}
    assert list(load(overlay, folder(toy_study)).studies["toy"].claims) == ["generalises"]


def test_loading_changes_neither_the_overlay_nor_a_second_loading(toy_study, folder):
    overlay = {"studies": {"toy": {"settings": {"base": {"train": {"steps": 7}}}}}}
    before, place = copy.deepcopy(overlay), folder(toy_study)
    assert load(overlay, place) == load(overlay, place)
    assert overlay == before


# Overlays as such

KEYS = st.sampled_from("abc")
LEAVES = st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2)
CONFIGS = st.recursive(LEAVES, lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8)
BASES = st.dictionaries(KEYS, CONFIGS, max_size=3)
OVERLAYS = st.dictionaries(
    KEYS,
    st.recursive(LEAVES | st.none(), lambda inner: st.dictionaries(KEYS, inner, max_size=3), max_leaves=8),
    max_size=3,
)


@given(BASES)
def test_an_empty_overlay_changes_nothing(base):
    assert merge(base, {}) == base


@given(BASES)
def test_a_config_laid_over_nothing_or_itself_is_itself(base):
    assert merge({}, base) == base
    assert merge(base, base) == base


@given(BASES, OVERLAYS)
def test_an_overlay_laid_twice_changes_nothing_more(base, over):
    once = merge(base, over)
    assert merge(once, over) == once


@given(BASES, OVERLAYS)
def test_nulls_take_keys_away_and_stay_in_no_config(base, over):
    def nulls(value) -> bool:
        return value is None or (isinstance(value, dict) and any(nulls(item) for item in value.values()))

    merged = merge(base, over)
    assert not nulls(merged)
    assert not {key for key, value in over.items() if value is None} & set(merged)


@given(BASES, OVERLAYS)
def test_an_overlay_wins_where_it_speaks_and_the_base_where_it_is_silent(base, over):
    merged = merge(base, over)
    for key in set(base) - set(over):
        assert merged[key] == base[key]
    for key, value in over.items():
        if not isinstance(value, dict) and value is not None:
            assert merged[key] == value


@given(BASES, OVERLAYS)
def test_merging_leaves_its_arguments_alone(base, over):
    before = copy.deepcopy((base, over))
    merge(base, over)
    assert (base, over) == before
