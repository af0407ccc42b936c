"""The head viewer's data: what is drawn is what the files hold, and a view of nothing says so."""

import base64
import copy
import io
import json

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from headworks import rooms, store
from headworks.config import load
from headworks.errors import HeadworksError
from headworks.job import Input, Job
from headworks.page import views
from headworks.plan import Plan
from headworks.spec import ModelSpec

SNAPSHOTS, SEEDS, SEQUENCES, LAYERS, HEADS, POSITIONS = 5, (7, 3), 3, 2, 3, 6
STEPS = [0, 10, 20, 40, 80]
BATCH = 4
TOKENS = np.array([[0, 1, 2, 4, 6, 4, 1], [0, 2, 2, 1, 5, 6, 5], [0, 1, 1, 1, 1, 1, 1]])
VOCABULARY = ["<s>", "a", "b", "\n"]
"""Tokens 4 to 6 are vectors."""
WHERE = "config/studies/olsson2022.yaml: views.heads"


def pixels(png: str) -> np.ndarray:
    """A sheet as [snapshot, query, head, key] of one tile size."""
    image = np.array(Image.open(io.BytesIO(base64.b64decode(png))))
    side = image.shape[1] // (LAYERS * HEADS)
    return image.reshape(-1, side, LAYERS * HEADS, side)


def write(job: Job, arrays: dict, **attributes) -> None:
    with store.writing(job.path, job.job) as file:
        file.attrs.update(attributes)
        for name, array in arrays.items():
            file[name] = array


class Artefact:
    """A job of the study, its file in `folder`, and how another job names it."""

    def __init__(self, folder, room: str, name: str, spec: dict | None = None, reads=()):
        suffix = {"tables": "csv", "views": "json"}.get(room, "h5")
        self.path = folder / room / f"{name}.{suffix}"
        inputs = tuple(item.as_input for item in reads)
        self.job = Job("olsson2022", room, name, "", spec or {}, inputs, "code", f"key-{name}")
        self.as_input = Input(room, name, str(self.path), self.job.key)


@pytest.fixture
def patterns() -> np.ndarray:
    """[snapshot, replica, sequence, layer, head, query, key], half precision, all different."""
    shape = (SNAPSHOTS, len(SEEDS), SEQUENCES, LAYERS, HEADS, POSITIONS, POSITIONS)
    return np.random.default_rng(0).random(shape).astype(np.float16)


@pytest.fixture
def spec() -> dict:
    """A view as its job carries it."""
    return {
        "title": "Heads",
        "about": "",
        "activations": "viewer",
        "runs": ["tiny"],
        "labels": {"tiny": "a tiny model"},
        "probes": [("corpus", "a text")],
        "sequences": 2,
        "positions": None,
        "seeds": [],
        "snapshots": 10,
        "clock": "tokens",
        "first_layer": 0,
        "scores": {"table": "heads", "columns": [("prefix", "prefix matching"), ("copying", "copying")]},
        "phases": {"table": "phases", "start": "start", "end": "end"},
    }


@pytest.fixture
def heads() -> pd.DataFrame:
    """prefix = layer + head / 10 + step / 1000 for seed 7, ten more for seed 3; copying is of layer 1 only."""
    rows = [
        {"run": "tiny", "seed": seed, "step": step, "layer": layer, "head": head}
        for seed in SEEDS
        for step in (0, 80)
        for layer in range(LAYERS)
        for head in range(HEADS)
    ]
    frame = pd.DataFrame(rows)
    frame["prefix"] = frame["layer"] + frame["head"] / 10 + frame["step"] / 1000 + 10 * (frame["seed"] == 3)
    frame["copying"] = np.where(frame["layer"] == 1, 0.5, np.nan)
    return frame


@pytest.fixture
def phases() -> pd.DataFrame:
    return pd.DataFrame(
        {"run": "tiny", "seed": SEEDS, "start": [240.0, np.inf], "end": [480.0, np.inf], "shape": 1.0}
    )


@pytest.fixture
def shown(tmp_path, patterns, heads, phases):
    """The view of a spec, as its room writes it: shown(spec), shown(spec, phases=another table)."""

    def make(spec: dict, **tables: pd.DataFrame) -> dict:
        data, run = Artefact(tmp_path, "data", "ring"), Artefact(tmp_path, "runs", "tiny", RUN)
        cached = Artefact(tmp_path, "activations", "viewer-tiny", {"probes": {}})
        write(data, DATA, layout="draws", d_vocab=4, n_context=6, bos=-1, predicts="last", facts="{}")
        write(run, RECORDED, model=MODEL.model_dump_json(), dataset="ring")
        sites = {f"corpus/blocks.{layer}.attn.pattern": patterns[:, :, :, layer] for layer in range(LAYERS)}
        kept = sites | {"corpus/tokens": TOKENS, "snapshots": np.arange(SNAPSHOTS)}
        write(cached, kept, run="tiny", n_layers=LAYERS)
        read = [data, run, cached]
        for name, frame in ({"heads": heads, "phases": phases} | tables).items():
            table = Artefact(tmp_path, "tables", name)
            store.write_table(table.path, frame, table.job)
            read.append(table)
        view = Artefact(tmp_path, "views", "heads", spec, read)
        # as the command line hands it over
        rooms.views(Job.load(view.job.dump()), view.path)
        return json.loads(view.path.read_text())

    return make


MODEL = ModelSpec(n_layers=LAYERS, n_heads=HEADS, d_model=12)
RUN = {"train": {"steps": 80, "batch": BATCH, "lr": 1, "snapshots": {"every": 10}}, "clamps": {}}
DATA = {"vocabulary": VOCABULARY, "train": TOKENS, "evaluation": TOKENS}
LOSSES = np.stack([np.linspace(3, 1, 80), np.full(80, 2.0)], axis=1)
RECORDED = {
    "seeds": SEEDS,
    "conditions": ["unclamped", "unclamped"],
    "steps": STEPS,
    "tokens": np.array(STEPS) * BATCH * POSITIONS,
    "diverged": [-1, 55],
    "trace/loss": LOSSES,
}


# Patterns


def test_a_pixel_is_the_weight_of_its_run_seed_snapshot_head_query_and_key(shown, spec, patterns):
    (run,) = shown(spec | {"seeds": [3, 7]})["runs"]
    assert (run["layers"], run["heads"], run["steps"]) == (LAYERS, HEADS, STEPS)
    for seed in run["seeds"]:
        replica = SEEDS.index(seed["seed"])
        for number, png in enumerate(seed["sheets"][0]):
            held = patterns[:, replica, number].astype(float)
            flat = held.reshape(SNAPSHOTS, LAYERS * HEADS, POSITIONS, POSITIONS)
            drawn = pixels(png).transpose(0, 2, 1, 3) / 255
            assert np.abs(drawn - flat).max() <= 0.5 / 255


def test_the_first_seed_and_all_that_fits_are_the_default(shown, spec):
    (run,) = shown(spec)["runs"]
    assert [seed["seed"] for seed in run["seeds"]] == [7]
    assert run["label"] == "a tiny model"
    assert len(run["seeds"][0]["sheets"][0]) == len(run["probes"][0]["sequences"]) == 2


def test_fewer_snapshots_keep_the_first_and_the_last(shown, spec, patterns):
    (run,) = shown(spec | {"snapshots": 3})["runs"]
    assert run["steps"] == [0, 20, 80]
    drawn = pixels(run["seeds"][0]["sheets"][0][0])
    expected = (patterns[[0, 2, 4], 0, 0, 1, 2, 5, 4].astype(float) * 255).round()
    assert drawn[:, 5, 5, 4].tolist() == expected.tolist()


def test_fewer_positions_are_the_first_ones(shown, spec, patterns):
    (run,) = shown(spec | {"positions": 4})["runs"]
    drawn = pixels(run["seeds"][0]["sheets"][0][1])
    assert drawn.shape == (SNAPSHOTS, 4, LAYERS * HEADS, 4)
    assert drawn[4, 3, 0, 2] == round(float(patterns[4, 0, 1, 0, 0, 3, 2]) * 255)
    assert run["probes"][0]["sequences"][0] == {"tokens": ["<s>", "a", "b", "A"], "next": "B"}


def test_what_lies_outside_attention_is_cut_and_nothing_is_drawn_of_a_diverged_replica():
    drawn = pixels(views.sheet(np.array([1.001, -0.001, np.nan] * 2).reshape(1, 6, 1, 1)))
    assert drawn.ravel().tolist() == [255, 0, 0] * 2


@pytest.mark.parametrize(
    ("count", "most", "kept"),
    [(5, 10, [0, 1, 2, 3, 4]), (5, 2, [0, 4]), (101, 5, [0, 25, 50, 75, 100]), (1, 9, [0])],
)
def test_thinning_is_even(count, most, kept):
    assert views.thinned(count, most) == kept


# Texts


def test_vectors_are_letters_by_appearance_and_equal_ones_equal_letters(shown, spec):
    sequences = shown(spec)["runs"][0]["probes"][0]["sequences"]
    assert sequences[0] == {"tokens": ["<s>", "a", "b", "A", "B", "A"], "next": "a"}
    assert sequences[1] == {"tokens": ["<s>", "b", "b", "a", "A", "B"], "next": "A"}


# Scores, phases and losses


def test_scores_are_those_of_the_seed_head_and_step(shown, spec):
    found = shown(spec | {"seeds": [7, 3]})
    assert found["scores"] == ["prefix matching", "copying"]
    first, second = (seed["scores"] for seed in found["runs"][0]["seeds"])
    assert first["steps"] == [0, 80]
    assert first["values"][0] == [[0, 0.08], [0.1, 0.18], [0.2, 0.28], [1, 1.08], [1.1, 1.18], [1.2, 1.28]]
    assert second["values"][0][4] == [11.1, 11.18]
    assert first["values"][1] == [[None, None]] * 3 + [[0.5, 0.5]] * 3


def test_layers_may_be_counted_from_one_beside_rows_of_whole_replicas(shown, spec, heads):
    whole = pd.DataFrame({"run": "tiny", "seed": SEEDS, "step": 80, "layer": 0, "head": -1, "prefix": 9.0})
    frame = pd.concat([heads.assign(layer=heads["layer"] + 1), whole])
    again = shown(spec | {"first_layer": 1}, heads=frame)["runs"][0]["seeds"][0]["scores"]
    assert again == shown(spec)["runs"][0]["seeds"][0]["scores"]


def test_of_a_table_with_conditions_the_first_is_taken(shown, spec, heads):
    two = pd.concat([heads.assign(condition="unclamped"), heads.assign(condition="other", prefix=0.0)])
    again = shown(spec, heads=two)["runs"][0]["seeds"][0]["scores"]
    assert again == shown(spec)["runs"][0]["seeds"][0]["scores"]


def test_the_phase_change_is_in_steps_and_none_where_there_was_none(shown, spec):
    found, never = shown(spec | {"seeds": [7, 3]})["runs"][0]["seeds"]
    assert found["window"] == [240 / (BATCH * POSITIONS), 480 / (BATCH * POSITIONS)]
    assert never["window"] is None


def test_a_clock_of_sequences_counts_sequences(shown, spec):
    (run,) = shown(spec | {"clock": "sequences"})["runs"]
    assert run["clock_per_step"] == BATCH
    assert run["seeds"][0]["window"] == [60, 120]


def test_losses_are_means_of_stretches(monkeypatch):
    monkeypatch.setattr(views, "LOSSES", 2)
    found = views.loss_curve(np.array([4.0, 2.0, 1.0, 1.0]))
    assert found == {"steps": [1.5, 3.5], "values": [3, 1]}
    assert views.loss_curve(np.array([np.nan])) == {"steps": [1], "values": [None]}


def test_a_replica_that_diverged_says_when(shown, spec):
    assert [seed["diverged"] for seed in shown(spec | {"seeds": [7, 3]})["runs"][0]["seeds"]] == [None, 55]


def test_a_view_without_scores_and_phases_has_none(shown, spec):
    found = shown(spec | {"scores": None, "phases": None})
    assert found["scores"] == []
    assert found["runs"][0]["seeds"][0]["scores"] is found["runs"][0]["seeds"][0]["window"] is None


def test_a_view_says_what_made_it(shown, spec):
    found = shown(spec)
    assert found["key"] == "key-heads"
    assert found["full"] == 255
    assert len(json.loads(found["inputs"])) == 5


# Mistakes


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"scores": {"table": "heads", "columns": [("prefxi", "x")]}},
            f"{WHERE}.scores: 'prefxi' is not a column of the table 'heads'; allowed: run, seed, step, layer, head",
        ),
        (
            {"phases": {"table": "phases", "start": "begin", "end": "end"}},
            f"{WHERE}.phases: 'begin' is not a column of the table 'phases'; allowed: run, seed, start, end",
        ),
        (
            {"scores": {"table": "phases", "columns": [("start", "x")]}},
            f"{WHERE}.scores: 'step' is not a column of the table 'phases'",
        ),
    ],
)
def test_a_table_without_the_column_is_named_with_the_key(shown, spec, change, expected):
    with pytest.raises(HeadworksError) as error:
        shown(spec | change)
    assert str(error.value).startswith(expected)


def test_tables_with_several_rows_for_one_thing_are_refused(shown, spec, heads, phases):
    with pytest.raises(HeadworksError, match=r"scores: 'heads' has several rows a head and step of tiny"):
        shown(spec, heads=pd.concat([heads, heads]))
    with pytest.raises(HeadworksError, match=r"phases: 'phases' has 2 rows a seed of tiny"):
        shown(spec, phases=pd.concat([phases, phases]))


VIEW = {
    "title": "Rings",
    "activations": "probes",
    "probes": {"whole": "rings"},
    "scores": {"table": "probe", "columns": {"z": "last in the alphabet", "a": "first"}},
}


@pytest.fixture
def plan(toy_study, tmp_path):
    """A plan of the toy study with a view in it, some keys of which are changed."""

    def make(**changes) -> Plan:
        study = copy.deepcopy(toy_study)
        sites = {"kind": "evaluation", "examples": 2, "sites": {"pattern": "all"}}
        study["activations"]["probes"]["probes"]["whole"] = sites
        study["views"] = {"rings": VIEW | changes}
        (tmp_path / "toy.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
        return Plan(load({}, tmp_path))

    return make


MISTAKES = {
    "activations": ({"activations": "prubes"}, "activations: 'prubes' does not exist; allowed: probes"),
    "run": ({"runs": ["still"]}, r"runs \(kept by activations.probes\): 'still' .*allowed: learner"),
    "label": ({"labels": {"lerner": "x"}}, "labels: 'lerner' does not exist; allowed: learner, still"),
    "probe": ({"probes": {"hole": "x"}}, r"probes .*: 'hole' does not exist; allowed: whole"),
    "no pattern": ({"probes": {"rings": "x"}}, r"probes \(of activations.probes, with sites.pattern: all\)"),
    "seed": ({"seeds": [0, 5]}, r"seeds \(of runs.learner\): 5 does not exist; allowed: 0, 1, 2"),
    "sequences": ({"sequences": 3}, r"sequences: 3, but activations.probes.probes.whole keeps 2"),
    "scores": (
        {"scores": {"table": "x", "columns": {"a": "b"}}},
        "scores.table: 'x' .*allowed: curve, probe",
    ),
    "phases": ({"phases": {"table": "x"}}, "phases.table: 'x' does not exist; allowed: curve, probe"),
    "unknown": ({"speed": 3}, "speed: unknown key"),
}


@pytest.mark.parametrize(("changes", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_with_file_and_key(plan, tmp_path, changes, expected):
    with pytest.raises(HeadworksError, match=rf"toy\.yaml: views\.rings\.{expected}") as error:
        plan(**changes)
    assert str(error.value).startswith(str(tmp_path))


# The room


def test_a_view_needs_its_activations_their_runs_and_datasets_and_its_tables(plan):
    job = plan(phases={"table": "curve"}).job("toy", "views", "rings")
    assert [(item.room, item.name) for item in job.inputs] == [
        ("data", "ring"),
        ("runs", "learner"),
        ("activations", "probes-learner"),
        ("tables", "probe"),
        ("tables", "curve"),
    ]


def test_what_a_reader_sees_in_order_survives_the_command_line(plan):
    job = Job.load(plan().job("toy", "views", "rings").dump())
    assert job.spec["scores"]["columns"] == [["z", "last in the alphabet"], ["a", "first"]]
    assert job.spec["runs"] == ["learner"]
    assert job.spec["labels"] == {"learner": "learner"}


def test_a_view_is_made_anew_when_its_words_change_and_nothing_else_is(plan):
    before, after = plan(), plan(title="Another")
    assert before.job("toy", "views", "rings").key != after.job("toy", "views", "rings").key
    assert (
        before.job("toy", "activations", "probes-learner").key
        == after.job("toy", "activations", "probes-learner").key
    )
