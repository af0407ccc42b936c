"""The experiments of Olsson 2022 on planted truth: heads that are wired by hand, and patterns drawn by hand."""

import math
from contextlib import ExitStack

import numpy as np
import pandas as pd
import pytest
import torch
from olsson_inputs import (
    CHANCE,
    CHANGE,
    COMMON,
    CONTEXT,
    HEAD,
    PERM,
    PREVIOUS,
    SEEDS,
    VOCAB,
    Bench,
    induction_pair,
    of,
    only_tables,
    opened,
    planted,
    table,
    wired_spec,
)

from headworks.model import Transformer
from headworks.spec import ModelSpec
from headworks.studies.olsson2022.experiments import composition, heads
from headworks.tape import Tape

# ---------------------------------------------------------------- curves, heads


def test_curves_show_when_the_heads_are_there(bench):
    curves = bench.tables["curves"]
    for run in ("wired", "smeared"):
        before, after = (
            of(
                curves[curves["step"] // 5 >= CHANGE] if late else curves[curves["step"] // 5 < CHANGE],
                run=run,
            )
            for late in (0, 1)
        )
        assert np.allclose(before[["prefix", "chance"]], CHANCE, atol=1e-3)
        assert np.allclose(before["loss"], math.log(VOCAB), atol=1e-5)
        assert np.allclose(before[["icl", "copy_gain"]], 0, atol=1e-5)
        assert np.allclose(after["prefix"], 1, atol=1e-3)
        assert (after["icl"] < -1).all()
        assert (after["copy_gain"] > math.log(VOCAB) - 0.01).all()
        assert len(before) == len(after) == CHANGE * 2
    last = curves[curves["step"] == curves["step"].max()]
    # nothing is known in the first repeat, everything after it
    assert np.allclose(of(last, run="wired")["copy_gain"], math.log(VOCAB), atol=1e-3)
    assert np.allclose(of(last, run="wired")["previous"], 1, atol=1e-3)
    assert (of(last, run="smeared")["previous"] < 0.2).all()
    assert np.allclose(of(curves, run="even")["prefix"], CHANCE, atol=1e-3)
    assert of(curves, run="smeared")["alpha"].eq(0).all()
    assert of(curves, run="wired")["alpha"].isna().all()
    assert (of(curves, run="wired")["tokens"] == 10 * of(curves, run="wired")["step"]).all()


def test_a_diverged_replica_is_nan_and_its_neighbour_is_not(tmp_path):
    bench = Bench(tmp_path)
    spec = wired_spec(VOCAB, 64)
    first, second = induction_pair(spec)
    lost = {name: torch.full_like(weight, torch.nan) for name, weight in first.items()}
    bench.dataset("perm", "perm", PERM | {"n_evaluation": 40})
    bench.run("broken", "perm", spec, [[first, second], [lost, second]], diverged=[5, -1])
    bench.cache("broken", "perm")
    with ExitStack() as stack:
        inputs = opened(bench, stack, ["broken"])
        curves = table("curves", inputs, width=1)
        columns = ["loss", "icl", "prefix", "previous", "copy_gain"]
        assert of(curves, seed=SEEDS[0], step=5)[columns].isna().all(axis=None)
        assert of(curves, seed=SEEDS[0], step=0)[columns].notna().all(axis=None)
        assert of(curves, seed=SEEDS[1])[columns].notna().all(axis=None)
        phases = table("phases", only_tables(curves=curves))
        assert phases.set_index("seed")["diverged"].to_dict() == {SEEDS[0]: 1, SEEDS[1]: 0}
        assert of(phases, seed=SEEDS[0])[["icl_gain", "prefix_end", "icl_time"]].isna().all(axis=None)
        removed = of(table("joint", inputs, **COMMON), set="induction", kind="full").set_index("seed")[
            "removed"
        ]
        assert math.isnan(removed[SEEDS[0]])
        assert removed[SEEDS[1]] == pytest.approx(1, abs=0.01)


def test_heads_are_told_apart_by_replica(inputs):
    frame = table("heads", inputs("wired", "smeared"), copying_tokens=11)
    assert sorted(frame["step"].unique()) == [0, 5 * (2 * CHANGE - 1)]
    last = of(frame, run="wired", step=frame["step"].max())
    for seed, wired in HEAD.items():
        rows = of(last, seed=seed).set_index(["layer", "head"])
        assert rows.loc[(1, wired), "prefix"] == pytest.approx(1, abs=1e-3)
        assert rows.loc[(1, wired), "prefix_over_chance"] == pytest.approx(1 / CHANCE, rel=1e-3)
        assert rows.loc[(0, PREVIOUS[seed]), "previous"] == pytest.approx(1, abs=1e-3)
        others = rows.drop([(0, PREVIOUS[seed]), (1, wired)])
        assert np.allclose(others["prefix"], CHANCE, atol=1e-3)
        assert (others["previous"] < 0.2).all()
        assert rows.loc[(1, wired), "copying"] > 0.5
        assert rows.loc[(1, wired), "ov_copying"] == pytest.approx(1, abs=1e-4)
        assert rows["copying"].notna().sum() == rows["ov_copying"].notna().sum() == 1
        assert rows.loc[(1, wired), "qk_trace"] > 0
        assert rows.loc[(1, wired), "qk_trace_rank"] == 1
        # the induction head reads the previous-token head; with a head that writes nothing there is no score
        assert rows.loc[(1, wired), "k_composition"] > 0
        assert rows.loc[0, ["qk_trace", "k_composition"]].isna().all(axis=None)
    assert last["smear"].isna().all()


def test_the_smear_of_each_head(inputs):
    frame = table("heads", inputs("smeared"), copying_tokens=11)
    first, last = (of(frame, step=step) for step in (0, frame["step"].max()))
    assert first["smear"].eq(0.5).all()
    expected = [0, 0.5, 1 / (1 + math.exp(-1))]
    assert np.allclose(of(last, seed=SEEDS[0])["smear"], expected, atol=1e-6)
    assert np.allclose(of(last, seed=SEEDS[1])["smear"], np.roll(expected, 2), atol=1e-6)
    assert np.allclose(last["prefix"].to_numpy()[[0, 5]], 1, atol=1e-3)


def test_copying_of_a_head_that_removes_what_it_attends_to(bench, tmp_path):
    """Turn the sign of the OV circuit: copying falls to -1 or below its sign, and eigenvalues are negative."""
    spec = wired_spec(VOCAB, 64)
    pair = [{name: w.clone() for name, w in weights.items()} for weights in induction_pair(spec)]
    for weights in pair:
        weights["blocks.1.attn.W_O"] *= -1
    turned = Bench(tmp_path, dict(bench.jobs))
    turned.path = lambda room, name: (
        (tmp_path if name.endswith("turned") else bench.folder) / room / f"{name}.h5"
    )
    with ExitStack() as stack:
        turned.run("turned", "perm", spec, [pair])
        turned.cache("turned", "perm")
        frame = table("heads", opened(turned, stack, ["turned"]), copying_tokens=11)
    for seed, wired in HEAD.items():
        row = of(frame, seed=seed, layer=1, head=wired).iloc[0]
        assert row["ov_copying"] == pytest.approx(-1, abs=1e-4)
        assert row["copying"] < -0.5


@torch.no_grad()
def test_copying_is_of_what_the_head_really_adds_to_the_logits():
    """By loops, from the heads' results as the model shows them, through both norms with weights and biases."""
    model = Transformer.create(ModelSpec(n_layers=2, n_heads=3, d_model=12, d_vocab=9, bias=False), [0, 1])
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named().items():
        if ".ln" in name or name.startswith("ln"):
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    tokens = torch.stack([torch.randperm(9, generator=generator)[:4].repeat(2) for _ in range(3)])
    found = heads.weight_scores(model, tokens, np.zeros((2, 2, 3), np.float32))["copying"]
    tape = Tape(record=[f"blocks.{l}.attn.{site}" for l in (0, 1) for site in ("pattern", "head_out")])
    model(tokens, tape)
    for l, r, h in np.ndindex(2, 2, 3):
        out = tape[f"blocks.{l}.attn.head_out"][r, :, h]
        centred = (out - out.mean(-1, keepdim=True)) * model.named()["ln_final.w"][r]
        logits = centred @ model.named()["unembed.W_U"][r]
        raised = (logits - logits.mean(-1, keepdim=True)).relu()
        examples = []
        for b, line in enumerate(tokens):
            scores = []
            for t in range(8):
                total = sum(raised[b, t, token] for token in set(line.tolist()))
                pattern = tape[f"blocks.{l}.attn.pattern"][r, b, h, t]
                attended = sum(pattern[k] * raised[b, t, line[k]] for k in range(8))
                if total > 0:
                    scores.append(4 * attended / (attended + total) - 1)
            examples.append(np.mean(scores))
        assert found[l, r, h] == pytest.approx(np.mean(examples), abs=1e-4)


# ---------------------------------------------------------------- composition


def test_the_wired_pair_composes_through_keys(inputs):
    frame = table("composition", inputs("wired"), samples=64)
    assert len(frame) == 2 * 2 * 3 * 9
    assert (frame.groupby(["run", "seed", "snapshot", "kind"])["pair"].sum() == 1).all()
    for seed, wired in HEAD.items():
        rows = of(frame, seed=seed, snapshot="last", kind="k")
        best = rows.loc[rows["z"].idxmax()]
        assert (best["layer"], best["head"]) == (1, wired)
        assert (best["earlier_layer"], best["earlier_head"]) == (0, PREVIOUS[seed])
        assert best["z"] > 10
        assert best["pair"]
        assert best[["prefix", "previous"]].tolist() == pytest.approx([1, 1], abs=1e-3)
        for kind in ("q", "v"):
            row = of(frame, seed=seed, snapshot="last", kind=kind, pair=True).iloc[0]
            assert row["score"] == 0
            assert row["z"] < 0


def test_the_pair_is_that_of_the_best_prefix_head_with_earlier_heads_only():
    """The best previous-token head may lie in the same layer as the best prefix head: it is none of its pairs."""
    about = {"run": "a", "seed": 0, "snapshot": "last", "kind": "k"}
    rows = [(1, 0, 0.9, 0.3), (1, 0, 0.9, 0.4), (2, 0, 0.2, 0.4), (2, 1, 0.2, 0.8), (1, 1, 0.1, 0.4)]
    frame = pd.DataFrame(rows, columns=["layer", "earlier_layer", "prefix", "previous"]).assign(**about)
    frame.index = [7, 3, 5, 4, 9]
    assert composition._best_pair(frame).to_dict() == {7: False, 3: True, 5: False, 4: False, 9: False}


# ---------------------------------------------------------------- corpus, floor, gaps


def test_a_loss_above_the_floor_by_a_known_amount(inputs, tmp_path):
    found = inputs("wired")
    bayes, bigram = (found.runs["wired"].dataset[f"{key}_loss"][:40] for key in ("bayes", "bigram"))
    loss = np.stack([np.zeros_like(bayes), bayes + 0.1])[:, None].repeat(2, axis=1)
    loss[1, 1] += 0.2
    found.activations["probes"]["wired"] = planted(tmp_path / "planted.h5", {"corpus/loss": loss})
    frame = table("gaps", found)
    assert frame["seed"].tolist() == list(SEEDS)
    assert frame["bayes_gap"].tolist() == pytest.approx([0.1, 0.3], abs=1e-5)
    assert frame["bigram_gap"].tolist() == pytest.approx(
        [bayes.mean() + x - bigram.mean() for x in (0.1, 0.3)], abs=1e-5
    )


def test_the_wired_model_does_not_beat_the_floor(inputs):
    frame = table("gaps", inputs("wired"))
    assert (frame["bayes_gap"] > 0).all()
    assert (frame["bigram_gap"] < -0.5).all()


def test_floor_and_corpus(inputs, tmp_path):
    found = inputs("wired")
    frame = table("floor", found)
    bayes, bigram = (of(frame, reference=key).set_index("index")["loss"] for key in ("bayes", "bigram"))
    assert bayes.index.tolist() == list(range(1, CONTEXT + 1))
    assert bayes[5] == pytest.approx(found.runs["wired"].dataset["bayes_loss"][:, 4].mean(), abs=1e-6)
    assert bayes.tail(10).mean() < 1 < bigram.tail(10).mean()
    frame = table("corpus", found).set_index(["dataset", "split", "statistic"])["value"]
    for split in ("train", "evaluation"):
        # 0.95 of the images and some chance hits repeat
        assert frame["perm", split, "reliable_share"] == pytest.approx(0.93, abs=0.05)
        assert 0.5 < frame["perm", split, "repeat_share"] < 1
    assert frame["perm", "train", "documents"] == 300
    assert frame["perm", "evaluation", "tokens"] == 48 * CONTEXT
