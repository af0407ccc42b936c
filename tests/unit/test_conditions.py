"""Runs of several conditions, and runs that start from another: from the config to what a reader finds."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml

from headworks import digest as digests
from headworks import rooms
from headworks.config import load
from headworks.errors import HeadworksError
from headworks.parameters import initial_parameters
from headworks.plan import Plan
from headworks.readers import reading
from headworks.starts import borrowed
from headworks.studies.singh2024.circuit import Clamp
from headworks.studies.singh2024.clamps import build
from headworks.train import split

SEEDS = [3, 8, 5]
STUDY = {
    "study": "singh2024",
    "paper": {"title": "t", "authors": "a", "year": 2024, "url": "u"},
    "settings": {
        "base": {
            "dataset": "episodes",
            "model": {
                "n_layers": 2,
                "n_heads": 2,
                "d_model": 8,
                "positions": "rotary",
                "end_biases": True,
                "init": "truncated",
                "embed_std": 0.02,
            },
            "train": {
                "steps": 4,
                "batch": 3,
                "lr": 0.001,
                "optimizer": "adam",
                "warmup": 0,
                "clip": "none",
                "snapshots": {"every": 2},
            },
            "seeds": SEEDS,
        }
    },
    "datasets": {
        "episodes": {
            "kind": "episodes",
            "options": {
                "source": "gaussian",
                "n_classes": 4,
                "n_test_classes": 2,
                "n_drawings": 2,
                "n_evaluation": 5,
            },
        }
    },
    "runs": {
        "plain": {"like": "base"},
        "clamped": {"like": "base", "clamps": {"none": {}, "copy": {"layer1": "ideal", "copy_heads": [1]}}},
        "graft": {
            "like": "base",
            "seeds": [5, 3],
            "start": {"run": "plain", "parameters": ["embed", "blocks.0"], "roll": 1},
        },
        "clamped-graft": {
            "like": "base",
            "clamps": {"none": {}, "match": {"match": 1.0}},
            "start": {"run": "clamped", "parameters": ["blocks.0"], "frozen": False},
        },
    },
    "activations": {
        "probes": {
            "runs": ["plain"],
            "probes": {
                "episodes": {
                    "kind": "evaluation",
                    "examples": 20,
                    "sites": {"loss": "all", "pattern": "batch_mean"},
                },
                "means": {"kind": "evaluation", "examples": 20, "sites": {"loss": "batch_mean"}},
            },
        }
    },
    "experiments": {},
    "figures": {},
}


def planned(folder: Path, change=lambda study: None, study: dict = STUDY) -> Plan:
    study = copy.deepcopy(study)
    change(study)
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    return Plan(load({}, folder))


# The config


def test_clamps_of_a_study_without_any_are_refused(toy_study, tmp_path):
    def clamp(study: dict) -> None:
        study["runs"]["still"]["clamps"] = {"none": {}}

    with pytest.raises(
        HeadworksError, match=r"study\.yaml: runs\.still\.clamps: this study has no clamps; leave the key out"
    ):
        planned(tmp_path, clamp, toy_study)


WRONG = {
    "unknown key of a clamp": (
        {"clamps": {"none": {}, "more": {"head": [1]}}},
        r"study\.yaml: runs\.plain\.clamps\.more\.head: unknown key",
    ),
    "head out of range": (
        {"clamps": {"more": {"heads": [2]}}},
        r"study\.yaml: runs\.plain\.clamps\.more\.heads: 2 is not a head of the model; allowed: 0 to 1",
    ),
    "no name": ({"clamps": {"More!": {}}}, r"study\.yaml: runs\.plain\.clamps.*'More!' is not a name"),
    "start of itself": (
        {"start": {"run": "plain", "parameters": ["embed"]}},
        r"study\.yaml: runs\.plain\.start: a run that needs itself cannot be made: plain → plain",
    ),
    "a circle": (
        {"start": {"run": "graft", "parameters": ["embed"]}},
        r"study\.yaml: runs\.(plain|graft)\.start: a run that needs itself .*: (plain → graft|graft → plain)",
    ),
    "no such run": (
        {"start": {"run": "plane", "parameters": ["embed"]}},
        r"study\.yaml: runs\.plain\.start\.run: 'plane' does not exist; allowed: .*graft, plain",
    ),
    "no parameters": (
        {"start": {"run": "clamped", "parameters": []}},
        r"study\.yaml: runs\.plain\.start\.parameters: .*at least 1",
    ),
    "unknown key of a start": (
        {"start": {"run": "clamped", "parameters": ["embed"], "freeze": True}},
        r"study\.yaml: runs\.plain\.start\.freeze: unknown key",
    ),
    "backwards": (
        {"start": {"run": "clamped", "parameters": ["embed"], "roll": -1}},
        r"study\.yaml: runs\.plain\.start\.roll: .*greater than or equal to 0, found -1",
    ),
}


@pytest.mark.parametrize(("keys", "message"), WRONG.values(), ids=WRONG)
def test_mistakes_name_file_and_key(tmp_path, keys, message):
    with pytest.raises(HeadworksError, match=message):
        planned(tmp_path, lambda study: study["runs"]["plain"].update(keys))


# The plan


@pytest.fixture
def edited(monkeypatch, tmp_path):
    """edited("starts") has one line more in that module for whoever digests it."""
    inside = digests.source_of

    def clear() -> None:
        digests._tree.cache_clear()
        digests._statements.cache_clear()

    def edit(module: str) -> None:
        changed = tmp_path / "changed.py"
        changed.write_text(inside(f"headworks.{module}").read_text(encoding="utf-8") + "\n\nEDITED = 1\n")
        monkeypatch.setattr(
            digests, "source_of", lambda name: changed if name == f"headworks.{module}" else inside(name)
        )
        clear()

    clear()
    yield edit
    monkeypatch.undo()
    clear()


def keys(folder: Path) -> dict[str, str]:
    plan = planned(folder)
    return {name: plan.job("singh2024", "runs", name).key for name in plan.names("singh2024", "runs")}


def test_clamps_are_part_of_the_code_of_runs_that_have_them(tmp_path):
    plan = planned(tmp_path)
    code = {name: plan.job("singh2024", "runs", name).code for name in STUDY["runs"]}
    assert code["clamped"] != code["plain"]
    assert code["clamped-graft"] != code["graft"]


RERUN = {
    "train": {"plain", "clamped", "graft", "clamped-graft"},
    "studies.singh2024.clamps": {"clamped", "clamped-graft"},
    "studies.singh2024.circuit": {"clamped", "clamped-graft"},
    "starts": {"graft", "clamped-graft"},
    "rooms": set(),
}


@pytest.mark.parametrize("module", RERUN)
def test_an_edit_reruns_what_it_concerns(tmp_path, edited, module):
    """And what starts from that."""
    before = keys(tmp_path)
    edited(module)
    after = keys(tmp_path)
    assert {name for name in before if before[name] != after[name]} == RERUN[module]


def test_conditions_and_starts_are_part_of_the_key(tmp_path):
    before = keys(tmp_path)

    def after(change) -> set[str]:
        plan = planned(tmp_path, change)
        return {name for name in before if plan.job("singh2024", "runs", name).key != before[name]}

    assert after(lambda study: study["runs"]["clamped"]["clamps"]["copy"].update(copy_heads=[0])) == {
        "clamped",
        "clamped-graft",
    }
    assert after(lambda study: study["runs"]["clamped"]["clamps"].pop("none")) == {"clamped", "clamped-graft"}
    assert after(lambda study: study["runs"]["graft"]["start"].update(roll=2)) == {"graft"}
    # what a clamp leaves out is its default
    assert after(lambda study: study["runs"]["clamped"]["clamps"]["none"].update(attend=[])) == set()


def test_a_run_needs_the_run_it_starts_from(tmp_path):
    plan = planned(tmp_path)
    needs = {
        name: [item.path for item in plan.job("singh2024", "runs", name).inputs] for name in STUDY["runs"]
    }
    data, run = "results/singh2024/data/episodes.h5", "results/singh2024/runs/{}.h5"
    assert needs == {
        "plain": [data],
        "clamped": [data],
        "graft": [data, run.format("plain")],
        "clamped-graft": [data, run.format("clamped")],
    }


def test_a_run_comes_after_its_own_dataset_and_that_of_the_other(tmp_path):
    """The first dataset is the one it learns from."""

    def move(study: dict) -> None:
        study["datasets"]["other"] = copy.deepcopy(study["datasets"]["episodes"])
        study["runs"]["graft"]["dataset"] = "other"

    job = planned(tmp_path, move).job("singh2024", "runs", "graft")
    assert [(item.room, item.name) for item in job.inputs] == [
        ("data", "other"),
        ("data", "episodes"),
        ("runs", "plain"),
    ]


# From end to end


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Everything of the study above, in a folder of its own: made(run) opens a job's artefacts."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HEADWORKS_DEVICE", "cpu")
        plan = planned(folder)
        for room in ("data", "runs", "activations"):
            for name in plan.names("singh2024", room):
                job = plan.job("singh2024", room, name)
                rooms.ROOMS[room](job, Path(plan.path("singh2024", room, name)))
        job = plan.job("singh2024", "activations", "probes-plain")
        needs = tuple(
            item
            for name in plan.names("singh2024", "runs")
            for item in (*plan.job("singh2024", "runs", name).inputs, plan._input("singh2024", "runs", name))
        )
        needs += (plan._input("singh2024", "activations", "probes-plain"),)
        job = copy.copy(job)
        object.__setattr__(job, "inputs", tuple(dict.fromkeys(needs)))
        with reading(job) as inputs:
            yield inputs


def batch(inputs, seeds: list[int], step: int, size: int = 3) -> torch.Tensor:
    return torch.from_numpy(inputs.datasets["episodes"].batches(tuple(seeds), size).at(step))


def test_every_condition_has_every_seed(made):
    run = made.runs["clamped"]
    assert run.seeds == [3, 8, 5, 3, 8, 5]
    assert run.conditions == ["none"] * 3 + ["copy"] * 3
    assert run.clamps["copy"]["copy_heads"] == [1]
    assert run.clamps["none"] == Clamp().model_dump()
    assert made.runs["plain"].seeds == SEEDS
    assert made.runs["plain"].conditions == ["unclamped"] * 3
    assert made.runs["plain"].clamps == {}


def test_a_reader_tells_steps_sequences_and_tokens(made):
    run = made.runs["clamped"]
    assert run.steps == [0, 2, 4]
    assert run.tokens == [0, 2 * 3 * 5, 4 * 3 * 5]
    assert run.loss().shape == (4, 6)
    assert run.parameter("blocks.1.attn.W_Q", 1).shape == (6, 2, 8, 4)
    assert run.n_parameters == run.model().flat.shape[1]
    assert (run.diverged == -1).all()


def test_the_condition_of_nothing_is_the_run_without_clamps(made):
    np.testing.assert_allclose(
        made.runs["clamped"].loss()[:, :3], made.runs["plain"].loss(), rtol=0, atol=1e-6
    )


def test_the_models_of_some_replicas_are_theirs(made):
    run = made.runs["clamped"]
    for snapshot in (0, 2, -1):
        whole = run.model(snapshot).flat
        assert torch.equal(run.model(snapshot, replicas=[4, 1]).flat, whole[[4, 1]])
    start = torch.stack([initial_parameters(run.model_spec, seed) for seed in run.seeds])
    assert torch.equal(run.model(0).flat, start)


@pytest.mark.parametrize(("step", "snapshot"), [(0, 0), (2, 1)])
def test_losses_are_those_of_the_clamped_network(made, step, snapshot):
    """Recomputed from a snapshot and the batch that followed it, condition by condition."""
    run = made.runs["clamped"]
    for condition in ("none", "copy"):
        replicas = [i for i, name in enumerate(run.conditions) if name == condition]
        model, rows = run.model(snapshot, replicas=replicas), batch(made, SEEDS, step)
        tape = build([run.clamps[condition]] * 3, model.spec).tape(rows)
        logits = model(rows[..., :-1], tape, last=True)[:, :, 0]
        wanted = [F.cross_entropy(*pair).item() for pair in zip(logits, rows[..., -1], strict=True)]
        np.testing.assert_allclose(run.loss()[step, replicas], wanted, rtol=1e-5)


def test_a_graft_starts_from_the_other_runs_end_and_keeps_it(made):
    """Seeds 5 and 3, one on from 3, 8, 5: those of 3 and 8."""
    graft, plain = made.runs["graft"], made.runs["plain"]
    givers = [plain.seeds.index(seed) for seed in (3, 8)]
    fresh = split(
        graft.model_spec, np.stack([initial_parameters(graft.model_spec, s).numpy() for s in (5, 3)])
    )
    for name in fresh:
        first, last = (graft.parameter(name, snapshot) for snapshot in (0, 2))
        if name.startswith(("embed.", "blocks.0.")):
            assert np.array_equal(first, plain.parameter(name, 2)[givers]), name
            assert np.array_equal(last, first), name
        else:
            assert np.array_equal(first, fresh[name]), name
            assert not np.array_equal(last, first), name


def test_a_graft_learns_from_the_batches_of_its_own_seeds(made):
    graft = made.runs["graft"]
    model, rows = graft.model(0), batch(made, [5, 3], 0)
    logits = model(rows[..., :-1])[:, :, -1]
    wanted = [F.cross_entropy(*pair).item() for pair in zip(logits, rows[..., -1], strict=True)]
    np.testing.assert_allclose(graft.loss()[0], wanted, rtol=1e-5)


def test_conditions_of_a_graft_start_alike_and_may_move(made):
    graft, donor = made.runs["clamped-graft"], made.runs["clamped"]
    taken = donor.parameter("blocks.0.attn.W_V", 2)[:3]
    assert np.array_equal(graft.parameter("blocks.0.attn.W_V", 0), np.concatenate([taken, taken]))
    assert not np.array_equal(graft.parameter("blocks.0.attn.W_V", 2)[:3], taken)


def test_cached_losses_are_of_the_last_entry_alone(made):
    """Of sequences of every kind: test classes and other drawings are vectors that training never shows."""
    cached, run = made.activations["probes"]["plain"], made.runs["plain"]
    rows = torch.from_numpy(made.datasets["episodes"].evaluation)
    assert rows.max() > made.datasets["episodes"].train.max()
    assert np.array_equal(cached.tokens("episodes"), rows)
    for i, snapshot in enumerate(cached.snapshots):
        loss = cached.get("episodes", "loss", i)
        assert loss.shape == (3, 20, 1)
        logits = run.model(snapshot)(rows[:, :-1])[:, :, -1]
        for replica in range(3):
            wanted = F.cross_entropy(logits[replica], rows[:, -1], reduction="none")
            np.testing.assert_allclose(loss[replica, :, 0], wanted, rtol=1e-4)
        assert cached.get("means", "loss", i).shape == (3, 1)
        np.testing.assert_allclose(cached.get("means", "loss", i), loss.mean(1), rtol=1e-5)
        assert cached.get("episodes", "blocks.1.attn.pattern", i).shape == (3, 2, 5, 5)


def test_datasets_of_drawn_episodes_say_so(made):
    dataset = made.datasets["episodes"]
    assert (dataset.layout, dataset.predicts, dataset.bos) == ("draws", "last", -1)
    # 4 classes, 2 drawings of each; 2 test classes, one of each
    assert dataset.vectors.shape == (4 * 2 + 2, dataset.complete(made.runs["plain"].model_spec).d_input)


def test_a_vocabulary_that_would_take_vectors_for_labels_is_refused(made):
    dataset, model = made.datasets["episodes"], made.runs["plain"].model_spec
    assert dataset.complete(model.model_copy(update={"d_vocab": 5})) == model
    with pytest.raises(
        HeadworksError, match=r"model\.d_vocab: 7, .* tokens from 5 on are vectors; allowed: 5"
    ):
        dataset.complete(model.model_copy(update={"d_vocab": 7}))


def test_a_donor_without_the_seed_stops_the_run(made, tmp_path):
    """The message says which key is wrong."""
    graft = made.runs["graft"]
    with pytest.raises(HeadworksError, match=r"start\.run: graft has no seed 8; it has \[3, 5\]"):
        borrowed(
            {"run": "graft", "parameters": ["embed"], "roll": 0, "frozen": True},
            graft,
            graft.model_spec,
            (3, 8),
        )
