"""Clamps as a study's file gives them: what is refused, and what a loaded clamp holds."""

import copy

import pytest
import yaml

from headworks.config import load
from headworks.errors import HeadworksError
from headworks.studies.singh2024.circuit import Clamp

STUDY = {
    "study": "singh2024",
    "paper": {"title": "t", "authors": "a", "year": 2024, "url": "u"},
    "datasets": {"episodes": {"kind": "episodes", "options": {"source": "gaussian"}}},
    "runs": {
        "clamped": {
            "dataset": "episodes",
            "model": {"n_layers": 2, "n_heads": 8, "d_model": 64, "positions": "rotary"},
            "train": {"steps": 2, "batch": 2, "lr": 1e-5, "snapshots": {"every": 1}},
            "seeds": [5],
            "clamps": {"fine": {"heads": [3], "layer1": "ideal"}},
        }
    },
    "experiments": {},
    "figures": {},
}
MISTAKES = {
    "unknown key": ({"layer_1": "ideal"}, "layer_1: unknown key"),
    "unknown choice": ({"layer1": "perfect"}, "layer1: .*'ideal'.*found 'perfect'"),
    "active head": ({"heads": [0, 8]}, "heads: 8 is not a head of the model; allowed: 0 to 7"),
    "attending head": ({"attend": [9]}, "attend: 9 is not a head of the model; allowed: 0 to 7"),
    "matching head": ({"match": 1, "match_heads": [8]}, "match_heads: 8 is not a head of the model"),
    "copying head": ({"copy_heads": [8]}, "copy_heads: 8 is not a head of the model"),
    "negative head": ({"heads": [-1]}, "heads.0: .*greater than or equal to 0, found -1"),
    "inactive match": (
        {"heads": [3], "match": 1, "match_heads": [3, 4]},
        r"match_heads: 4 is not among the active heads \[3\]",
    ),
    "inactive copy": (
        {"heads": [3], "copy_heads": [2]},
        r"copy_heads: 2 is not among the active heads \[3\]",
    ),
    "nothing to read": (
        {"match": 1, "readout": "ideal"},
        "readout: a clamped match leaves nothing to read out; give match or readout, not both",
    ),
    "match and copy": (
        {"match": 1, "copy_heads": [1]},
        "copy_heads: copied are the scores of the heads, which a clamped match leaves unread",
    ),
    "unread layer 1": (
        {"layer1": "ideal", "attend": [1]},
        r"attend: \[1\], but with layer1: ideal nothing reads layer 1",
    ),
    "nothing to learn from a copy": (
        {"copy_heads": [1], "detach": True},
        "detach: gradients reach the network through copy_heads and an ideal readout alone",
    ),
    "nothing to learn from a readout": ({"readout": "ideal", "detach": True}, "detach: gradients reach"),
    "no match to draw": (
        {"match_random": True},
        "match: left out, although match_random or match_heads is given; allowed: 0 to 1",
    ),
    "no match for heads": ({"match_heads": [1]}, "match: left out, although match_random or match_heads"),
    "too strong": ({"match": 1.5}, "match: .*less than or equal to 1, found 1.5"),
    "release at once": ({"release": 0}, "release: .*greater than or equal to 1, found 0"),
    "one output": ({"outputs": 1}, "outputs: .*greater than or equal to 2, found 1"),
}


def loaded(tmp_path, change):
    study = copy.deepcopy(STUDY)
    change(study["runs"]["clamped"])
    (tmp_path / "singh.yaml").write_text(yaml.safe_dump(study))
    return load({}, tmp_path).studies["singh2024"].runs["clamped"]


@pytest.mark.parametrize(("clamp", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_name_file_run_condition_and_key(tmp_path, clamp, message):
    with pytest.raises(HeadworksError, match=rf"singh\.yaml: runs\.clamped\.clamps\.wrong\.{message}"):
        loaded(tmp_path, lambda run: run["clamps"].update(wrong=clamp))


@pytest.mark.parametrize("n_layers", [1, 3])
def test_clamps_are_for_two_layers(tmp_path, n_layers):
    with pytest.raises(HeadworksError, match=rf"clamps\.fine\.heads: .*models of 2 layers; found {n_layers}"):
        loaded(tmp_path, lambda run: run["model"].update(n_layers=n_layers))


def test_a_loaded_clamp_has_every_key(tmp_path):
    """So that a default that changes is a change of the run."""
    run = loaded(tmp_path, lambda run: None)
    assert run.clamps["fine"] == Clamp(heads=[3], layer1="ideal").model_dump()
    assert run.clamps["fine"] == run.clamps["fine"] | {"match": None, "detach": False, "release": None}
