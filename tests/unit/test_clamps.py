"""Clamps of the induction circuit: what each hands over, what it keeps from the gradient, and what it leaves alone."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from headworks.model import Transformer, cross_entropy
from headworks.parameters import initial_parameters, parameter_shapes
from headworks.spec import ModelSpec, TrainSpec
from headworks.studies.singh2024.clamps import LABELS, RULED_OUT, build, drawn_label
from headworks.studies.singh2024.datasets import every_sequence
from headworks.studies.singh2024.spec import EpisodesSpec
from headworks.tape import Tape
from headworks.train import Ensemble, Task

MODEL = ModelSpec(
    n_layers=2,
    n_heads=4,
    d_model=16,
    positions="rotary",
    end_biases=True,
    init="truncated",
    d_vocab=5,
    d_input=6,
    d_out=5,
    n_context=5,
)
PAPER = MODEL.model_copy(update={"n_heads": 8, "d_model": 64, "embed_std": 0.0176, "d_input": 512})
SEEDS = (3, 8)
EPISODES = EpisodesSpec(source="gaussian", n_classes=4, n_test_classes=2)
ROWS = torch.from_numpy(every_sequence(EPISODES).astype(np.int64))
SHIFTED = [0, 0, 1, 2, 4]
"""A 0 B 1 A to A A 0 B A."""


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


VECTORS = randn(4, 6)


def network(seeds=SEEDS, dtype=torch.float64) -> Transformer:
    """Random networks, each parameter at a random place: no norm or bias rests at its initial 1 or 0."""
    flat = torch.stack([initial_parameters(MODEL, seed) for seed in seeds]).double()
    flat += 0.1 * torch.stack([randn(flat.shape[1], seed=seed) for seed in seeds])
    return Transformer(MODEL, flat.to(dtype), vectors=VECTORS.to(dtype))


def clamped(model: Transformer, clamps: dict | list[dict], rows=ROWS, record=(), step=0):
    """Losses [r, b] and the tape; one clamp is put on every replica."""
    if isinstance(clamps, dict):
        clamps = [clamps] * model.n_replicas
    made = build(clamps, model.spec)
    tape = made.tape(rows, made.settings(step), record)
    logits = model(rows[..., :-1], tape, last=True)
    return cross_entropy(logits, rows[..., -1:])[..., 0], tape


def gradients(clamps: dict | list[dict], seeds=SEEDS, rows=ROWS) -> dict[str, torch.Tensor]:
    """Gradient of the mean loss, by parameter."""
    model = network(seeds)
    clamped(model, clamps, rows)[0].mean(1).sum().backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named().items()
    }


def moved(grads: dict[str, torch.Tensor], prefix: str) -> list[bool]:
    """Whether each parameter of a prefix gets gradient in any replica."""
    return [bool((grad != 0).any()) for name, grad in grads.items() if name.startswith(prefix)]


def same(found: torch.Tensor, wanted: torch.Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


# Heads that stay active


def test_an_inactive_head_gets_no_gradient():
    grads = gradients({"heads": [1, 3]})
    for part in ("W_Q", "W_K", "W_V", "W_O"):
        by_head = grads[f"blocks.1.attn.{part}"].abs().sum((2, 3)) > 0
        assert by_head.tolist() == [[False, True, False, True]] * 2, part
        assert (grads[f"blocks.0.attn.{part}"].abs().sum((2, 3)) > 0).all()


def test_an_inactive_head_adds_nothing():
    """As if its output weights were zero."""
    model, without = network(), network()
    with torch.no_grad():
        without.named()["blocks.1.attn.W_O"][:, [0, 2]] = 0
    same(clamped(model, {"heads": [1, 3]})[0], clamped(without, {})[0])
    assert (clamped(model, {})[0] - clamped(without, {})[0]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("clamps", "kept"),
    [
        ([{"heads": [3]}, {"heads": [1], "match": 1.0}], (1, 3)),
        ([{"heads": [2, 3], "copy_heads": [2]}, {"heads": [3], "attend": [0]}], (2, 3)),
        ([{"heads": [2], "match": 0.7, "match_heads": [2]}, {"heads": [2], "readout": "ideal"}], (2,)),
        ([{"heads": [2]}, {}], None),
    ],
)
def test_heads_that_no_replica_keeps_are_not_computed(clamps, kept):
    """Loss and gradient are those of the pass that computes and mutes them, as one does that records."""
    model, whole = network(), network()
    (found, tape), (wanted, _) = clamped(model, clamps), clamped(whole, clamps, record=["blocks.1.attn.z"])
    assert tape.heads == ({} if kept is None else {1: kept})
    same(found, wanted)
    for losses in (found, wanted):
        losses.mean(1).sum().backward()
    for name, parameter in model.named().items():
        same(parameter.grad, whole.named()[name].grad)


def test_a_clamp_of_nothing_is_the_intact_network():
    model = network()
    wanted = cross_entropy(model(ROWS[:, :-1])[:, :, -1:], ROWS[:, -1:])[..., 0]
    same(clamped(model, {})[0], wanted)


# Step 1: attend to the previous token


def test_attending_heads_look_at_the_token_before():
    _, tape = clamped(network(), {"attend": [2]}, record=["blocks.0.attn.pattern"])
    pattern = tape["blocks.0.attn.pattern"]
    wanted = torch.tensor(
        [[1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0]]
    )
    assert (pattern[:, :, 2] == wanted).all()
    assert ((pattern[:, :, [0, 1, 3]] > 0) & (pattern[:, :, [0, 1, 3]] < 1)).any()
    grads = gradients({"attend": [2]})
    for part, reached in {"W_Q": False, "W_K": False, "W_V": True, "W_O": True}.items():
        by_head = grads[f"blocks.0.attn.{part}"].abs().sum((2, 3)) > 0
        assert by_head.tolist() == [[True, True, reached, True]] * 2, part


# Steps 1 and 2: layer 1


def test_an_ideal_layer_1_shifts_what_is_matched_and_leaves_what_is_copied():
    """Queries and keys are those of A A 0 B A, values those of A 0 B 1 A, and so is what the query adds to."""
    model, shown = network(), [f"blocks.1.attn.{part}" for part in "qkv"]
    _, tape = clamped(model, {"layer1": "ideal"}, record=[*shown, "blocks.1.resid_pre"])
    embed, keys, values = model.embed(ROWS[:, :-1]), Tape(shown), Tape(shown)
    model.run_blocks(embed[:, :, SHIFTED], 1, keys)
    model.run_blocks(embed, 1, values)
    same(tape["blocks.1.attn.q"], keys["blocks.1.attn.q"][..., -1:, :])
    same(tape["blocks.1.attn.k"], keys["blocks.1.attn.k"])
    same(tape["blocks.1.attn.v"], values["blocks.1.attn.v"])
    same(tape["blocks.1.resid_pre"], embed)


def test_keys_may_hold_their_own_label_besides():
    model = network()
    _, tape = clamped(model, {"layer1": "ideal_with_labels"}, record=["blocks.1.attn.k", "blocks.1.attn.v"])
    embed, keys, values = model.embed(ROWS[:, :-1]), Tape(["blocks.1.attn.k"]), Tape(["blocks.1.attn.v"])
    both = embed[:, :, SHIFTED].clone()
    both[:, :, [1, 3]] += embed[:, :, [1, 3]]
    model.run_blocks(both, 1, keys)
    model.run_blocks(embed, 1, values)
    same(tape["blocks.1.attn.k"], keys["blocks.1.attn.k"])
    same(tape["blocks.1.attn.v"], values["blocks.1.attn.v"])


@pytest.mark.parametrize("layer1", ["ideal", "ideal_with_labels"])
def test_an_ideal_layer_1_gives_layer_1_no_gradient(layer1):
    grads = gradients({"layer1": layer1})
    assert not any(moved(grads, "blocks.0."))
    assert all(moved(grads, "blocks.1."))
    assert all(moved(grads, "embed."))


def renamed(rows: torch.Tensor, order: list[int]) -> torch.Tensor:
    """The same sequences with other labels: label i becomes order[i]."""
    rows, labels = rows.clone(), torch.tensor(order)
    for place in (*LABELS, 5):
        rows[:, place] = labels[rows[:, place]]
    return rows


def wider(model: Transformer, width: int) -> Transformer:
    """The same network with more labels, whose embeddings and outputs are all drawn anew."""
    spec = model.spec.model_copy(update={"d_vocab": width, "d_out": width})
    parts = [
        randn(model.n_replicas, *shape, seed=7).float()
        if name in ("embed.W_E", "unembed.W_U", "unembed.b_U")
        else model.named()[name].detach()
        for name, shape in parameter_shapes(spec).items()
    ]
    return Transformer(spec, torch.cat([part.flatten(1) for part in parts], 1), vectors=model.vectors)


RENAMED = [12, 7, 5, 14, 0]


def wide_rows() -> torch.Tensor:
    rows = renamed(ROWS, RENAMED)
    rows[:, [0, 2, 4]] += 10
    return rows


@pytest.mark.parametrize("copies", [[1], [0, 2]])
def test_labels_do_not_enter_where_layer_1_is_ideal_and_copying_too(copies):
    """The tautology of figure 6: to the bit, with labels renamed, and with 15 of them instead of 5."""
    clamp, model = {"layer1": "ideal", "copy_heads": copies}, network(dtype=torch.float32)
    losses = clamped(model, clamp)[0]
    assert torch.equal(clamped(model, clamp, renamed(ROWS, [3, 4, 0, 2, 1]))[0], losses)
    assert torch.equal(clamped(wider(model, 15), clamp, wide_rows())[0], losses)
    assert torch.equal(clamped(model, clamp | {"outputs": 5})[0], losses)


def test_keys_that_hold_their_label_end_the_tautology():
    clamp = {"layer1": "ideal_with_labels", "copy_heads": [1]}
    model = network(dtype=torch.float32)
    losses = clamped(model, clamp)[0]
    assert (clamped(model, clamp, renamed(ROWS, [3, 4, 0, 2, 1]))[0] - losses).abs().max() > 0.01
    assert (clamped(wider(model, 15), clamp, wide_rows())[0] - losses).abs().max() > 0.01


# Steps 1, 2, 3qk, 4: match


@pytest.mark.parametrize("strength", [1.0, 0.8, 0.0])
def test_a_clamped_match_looks_at_the_correct_label(strength):
    _, tape = clamped(network(), {"match": strength, "match_heads": [1, 2]}, record=["blocks.1.attn.pattern"])
    query = tape["blocks.1.attn.pattern"][:, :, :, -1]
    right = torch.where(ROWS[:, 1] == ROWS[:, 5], 1, 3)
    for b in range(len(ROWS)):
        wanted = torch.zeros(5, dtype=torch.float64)
        wanted[right[b]] = strength
        wanted[4 - right[b]] = 1 - strength
        same(query[:, b, [1, 2]], wanted.expand(2, 2, 5), atol=1e-7)
    same(query.sum(-1), torch.ones(2, len(ROWS), 4, dtype=torch.float64), atol=1e-7)
    assert (query[:, :, [0, 3]] > 0).all()


def test_a_clamped_match_is_learnt_by_no_query_and_no_key():
    grads = gradients({"match": 0.8, "match_heads": [1, 2]})
    for part, reached in {"W_Q": False, "W_K": False, "W_V": True, "W_O": True}.items():
        by_head = grads[f"blocks.1.attn.{part}"].abs().sum((2, 3)) > 0
        assert by_head.tolist() == [[True, reached, reached, True]] * 2, part


def test_all_active_heads_match_unless_some_are_named():
    _, tape = clamped(network(), {"match": 1.0, "heads": [0, 3]}, record=["blocks.1.attn.pattern"])
    sure = (tape["blocks.1.attn.pattern"] == 1).any(-1).all(1)[..., 0]
    assert sure.tolist() == [[True, False, False, True]] * 2


def test_layer_1_does_not_change_a_clamped_match():
    """What it writes may still be copied; which label is copied it has no say in."""
    model, other, site = network(), network(), "blocks.1.attn.pattern"
    with torch.no_grad():
        for name, parameter in other.named().items():
            if name.startswith("blocks.0."):
                parameter += randn(*parameter.shape, seed=5)
    patterns = [clamped(m, {"match": 1.0}, record=[site])[1][site] for m in (model, other)]
    assert torch.equal(*patterns)
    losses = [clamped(m, {"match": 1.0})[0] for m in (model, other)]
    assert (losses[0] - losses[1]).abs().max() > 0.01
    losses = [clamped(m, {"match": 1.0, "layer1": "ideal"})[0] for m in (model, other)]
    assert torch.equal(*losses)
    patterns = [clamped(m, {}, record=[site])[1][site] for m in (model, other)]
    assert (patterns[0] - patterns[1]).abs().max() > 0.01


def test_a_random_match_looks_at_the_drawn_label():
    _, tape = clamped(network(), {"match": 1.0, "match_random": True}, record=["blocks.1.attn.pattern"])
    query = tape["blocks.1.attn.pattern"][:, :, :, -1]
    assert (query == drawn_label(ROWS)[None, :, None]).all()


def test_the_drawn_label_is_right_half_of_the_time_whatever_the_query():
    rows = torch.from_numpy(every_sequence(EpisodesSpec(source="gaussian")).astype(np.int64))
    assert len(rows) == 78_400
    drawn = drawn_label(rows)
    assert (drawn.sum(-1) == 1).all()
    assert not drawn[:, [0, 2, 4]].any()
    first = drawn[:, 1]
    right = first == (rows[:, 1] == rows[:, 5])
    assert right.sum() == len(rows) / 2
    # neither label has the better chance, for any query and any pair of labels
    for column in (rows[:, 4], rows[:, 5], rows[:, 1], rows[:, 3]):
        for value in column.unique():
            chosen = column == value
            spread = 4 * math.sqrt(0.25 / chosen.sum())
            assert right[chosen].float().mean() == pytest.approx(0.5, abs=spread)
            assert first[chosen].float().mean() == pytest.approx(0.5, abs=spread)


def test_the_drawn_label_does_not_see_the_query():
    other = ROWS.clone()
    other[:, 4] = torch.where(ROWS[:, 4] == ROWS[:, 0], ROWS[:, 2], ROWS[:, 0])
    other[:, 5] = torch.where(ROWS[:, 5] == ROWS[:, 1], ROWS[:, 3], ROWS[:, 1])
    assert torch.equal(drawn_label(other), drawn_label(ROWS))


# Steps 3v, 5: copy


@pytest.mark.parametrize("copies", [[2], [0, 1, 3]])
def test_copied_logits_are_the_scores_of_the_labels(copies):
    shown = ["blocks.1.attn.q", "blocks.1.attn.k", "logits"]
    losses, tape = clamped(network(), {"copy_heads": copies}, record=shown)
    q, k = tape["blocks.1.attn.q"], tape["blocks.1.attn.k"]
    scores = torch.einsum("rbhe,rbhke->rbhk", q[:, :, :, -1], k)[:, :, copies].mean(2) / 4**0.5
    logits = tape["logits"][:, :, 0]
    for b, row in enumerate(ROWS):
        for place in LABELS:
            same(logits[:, b, row[place]], scores[:, b, place], atol=1e-7)
        others = sorted(set(range(5)) - {int(row[place]) for place in LABELS})
        assert (logits[:, b, others] == RULED_OUT).all()
    right = torch.where(ROWS[:, 1] == ROWS[:, 5], 1, 3).expand(2, -1)[..., None]
    gap = (scores.gather(-1, 4 - right) - scores.gather(-1, right))[..., 0]
    same(losses, F.softplus(gap), atol=1e-7)


def test_a_copying_head_learns_nothing_of_values():
    grads = gradients({"copy_heads": [2]})
    for part, reached in {"W_Q": True, "W_K": True, "W_V": False, "W_O": False}.items():
        by_head = grads[f"blocks.1.attn.{part}"].abs().sum((2, 3)) > 0
        assert by_head.tolist() == [[False, False, reached, False]] * 2, part
    assert not any(moved(grads, "unembed.") + moved(grads, "ln_final."))
    assert all(moved(grads, "blocks.0.") + moved(grads, "embed."))


def test_copying_starts_near_a_guess_between_the_two_labels():
    """Singh 2024, figure 5b: between ln 2, .69, and 1.0, with the paper's network, 50 vectors of norm 28."""
    vectors = torch.randn(50, 512, generator=torch.Generator().manual_seed(0)) * 28 / 512**0.5
    rows = torch.from_numpy(every_sequence(EpisodesSpec(source="gaussian"))[::97].astype(np.int64))
    clamps = [{"heads": [h], "copy_heads": [h]} for h in range(8)]
    losses = torch.cat(
        [
            clamped(Transformer.create(PAPER, [seed] * 8, vectors=vectors), clamps, rows)[0].mean(1)
            for seed in SEEDS
        ]
    )
    assert losses.min() > 0.69
    assert losses.max() < 1.0


# A perfect read-out


def test_a_perfect_readout_finds_what_layer_1_delivers():
    """Layer 1 is wired to write the token before: its eight heads hold the whole of the residual stream."""
    model = network()
    parts = {name: parameter.detach() for name, parameter in model.named().items()}
    parts["blocks.0.ln1.w"].fill_(1)
    parts["blocks.0.ln1.b"].zero_()
    parts["blocks.0.attn.W_V"].copy_(torch.eye(16).view(16, 4, 4).transpose(0, 1))
    parts["blocks.0.attn.W_O"].copy_(torch.eye(16).view(4, 4, 16))
    site = "blocks.1.attn.pattern"
    _, tape = clamped(model, {"attend": [0, 1, 2, 3], "readout": "ideal"}, record=[site])
    query = tape[site][:, :, :, -1]
    right = torch.where(ROWS[:, 1] == ROWS[:, 5], 1, 3)
    for b in range(len(ROWS)):
        assert (query[:, b, :, right[b]] > query[:, b, :, 4 - right[b]]).all()
    same(query[..., LABELS].sum(-1), torch.ones(2, len(ROWS), 4, dtype=torch.float64))
    # what is delivered is the embedding up to its norm, so the score of the match is that of cosine 1
    _, ideal = clamped(model, {"layer1": "ideal", "readout": "ideal"}, record=[site])
    same(ideal[site][:, :, :, -1], query, atol=1e-4)


def test_a_perfect_readout_is_learnt_by_layer_1_alone():
    grads = gradients({"readout": "ideal"})
    for part in ("W_Q", "W_K"):
        assert not grads[f"blocks.1.attn.{part}"].any()
        assert grads[f"blocks.0.attn.{part}"].any()


# Without gradient, for a while, with fewer outputs

DETACHED = {
    "layer 1": ({"layer1": "ideal"}, ["blocks.0.", "embed."]),
    "copy": ({"copy_heads": [1]}, ["blocks.", "embed.", "unembed.", "ln_final."]),
    "readout": (
        {"readout": "ideal", "attend": [0, 1, 2, 3]},
        ["blocks.1.attn.W_Q", "blocks.1.attn.W_K", "blocks.0.attn.W_Q"],
    ),
}


@pytest.mark.parametrize(("clamp", "stopped"), DETACHED.values(), ids=DETACHED)
def test_detached_clamps_have_the_same_value_and_no_gradient(clamp, stopped):
    """In one replica of two: the other learns as ever."""
    pair = [clamp | {"detach": True}, clamp]
    model = network((3, 3))
    losses = clamped(model, pair)[0]
    assert torch.equal(losses[0], losses[1])
    grads, whole = gradients(pair, (3, 3)), gradients([clamp], (3,))
    for name, grad in grads.items():
        same(grad[1], whole[name][0])
        if name.startswith(tuple(stopped)):
            assert not grad[0].any(), name
    assert any((grad[0] != grad[1]).any() for grad in grads.values())


def test_a_readout_without_gradient_gives_layer_1_only_that_of_the_values():
    pair = [{"readout": "ideal", "detach": True}, {"readout": "ideal"}]
    grads = gradients(pair, (3, 3))["blocks.0.attn.W_O"]
    assert grads[0].any()
    assert (grads[0] - grads[1]).abs().max() > 1e-6


FULL = {"heads": [1, 2], "attend": [0], "layer1": "ideal", "match": 0.9, "copy_heads": [2], "outputs": 5}


def test_a_release_ends_everything_but_active_heads_at_its_step():
    model = network((3, 3, 3))
    clamps = [FULL | {"release": 7}, FULL, {"heads": [1, 2]}]
    before, after = (clamped(model, clamps, step=step)[0] for step in (6, 7))
    assert torch.equal(before[0], before[1])
    assert (before[0] - before[2]).abs().max() > 0.01
    assert torch.equal(after[0], after[2])
    assert torch.equal(after[1:], before[1:])


def test_a_release_switches_back_and_forth_with_the_step():
    """Settings are a function of the step, not of what was asked before."""
    made = build([FULL | {"release": 7}, FULL | {"release": 9}], MODEL)
    held = [made.settings(step)["layer1"].tolist() for step in (0, 8, 6, 10, 0)]
    assert held == [[True, True], [False, True], [True, True], [False, False], [True, True]]
    assert made.settings(10)["active"].tolist() == [[False, True, True, False]] * 2


def test_some_outputs_are_ruled_out():
    losses, tape = clamped(network(), [{"outputs": 3}, {}], record=["logits"])
    free, _ = clamped(network(), {})
    assert (tape["logits"][0, :, 0, 3:] == RULED_OUT).all()
    assert (tape["logits"][1] > RULED_OUT).all()
    same(losses[1], free[1])
    kept = ROWS[:, 5] < 3
    logits = tape["logits"][0, kept, 0, :3]
    same(losses[0, kept], cross_entropy(logits[None], ROWS[kept, 5][None])[0])
    grads = gradients([{"outputs": 3}, {}], rows=ROWS[kept])
    assert (grads["unembed.b_U"] != 0).tolist() == [[True] * 3 + [False] * 2, [True] * 5]


def test_outputs_are_ruled_out_of_copied_logits_too():
    logits = clamped(network(), {"copy_heads": [1], "outputs": 3}, record=["logits"])[1]["logits"][:, :, 0]
    assert (logits[..., 3:] == RULED_OUT).all()
    for b, row in enumerate(ROWS):
        assert (logits[0, b, :3] > RULED_OUT).sum() == sum(int(row[place] < 3) for place in LABELS)


# Conditions of one ensemble

CONDITIONS = {
    "none": {},
    "one head": {"heads": [2]},
    "attend": {"heads": [2], "attend": [1, 3]},
    "layer 1": {"layer1": "ideal"},
    "labels": {"layer1": "ideal_with_labels", "heads": [0, 1]},
    "match": {"match": 1.0, "heads": [1]},
    "weak match of one": {"match": 0.3, "match_heads": [3]},
    "random match": {"match": 1.0, "match_random": True},
    "copy": {"copy_heads": [1], "heads": [1]},
    "layer 1 and copy": {"layer1": "ideal", "copy_heads": [0, 2]},
    "readout": {"readout": "ideal"},
    "layer 1 and readout": {"readout": "ideal", "layer1": "ideal"},
    "detached": {"layer1": "ideal", "copy_heads": [1], "detach": True},
    "outputs": {"outputs": 4},
    "released": FULL | {"release": 1},
}


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize("batch", ["shared", "own"])
def test_each_condition_of_an_ensemble_is_as_it_is_alone(step, batch):
    """Loss and gradient, in the precision of training; rows may be everyone's or each replica's own."""
    clamps = list(CONDITIONS.values())
    seeds = tuple(range(len(clamps)))
    rows = ROWS
    if batch == "own":
        order = torch.Generator().manual_seed(0)
        rows = torch.stack([ROWS[torch.randperm(len(ROWS), generator=order)[:64]] for _ in seeds])
    ensemble = network(seeds, torch.float32)
    losses, _ = clamped(ensemble, clamps, rows, step=step)
    losses.mean(1).sum().backward()
    for i, (name, clamp) in enumerate(CONDITIONS.items()):
        alone = network((i,), torch.float32)
        loss, _ = clamped(alone, [clamp], rows[i : i + 1] if batch == "own" else rows, step=step)
        loss.mean(1).sum().backward()
        torch.testing.assert_close(
            losses[i], loss[0], rtol=1e-6, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )
        for parameter, value in alone.named().items():
            wanted = torch.zeros_like(value[0]) if value.grad is None else value.grad[0]
            torch.testing.assert_close(
                ensemble.named()[parameter].grad[i],
                wanted,
                rtol=1e-5,
                atol=1e-5,
                msg=lambda m, n=name, p=parameter: f"{n}, {p}: {m}",
            )


def test_no_condition_equals_another():
    """Or the test above could pass with clamps that do nothing."""
    clamps = [clamp for name, clamp in CONDITIONS.items() if name not in ("detached", "released")]
    losses = clamped(network((3,) * len(clamps)), clamps)[0]
    assert len({tuple(row.round(decimals=9).tolist()) for row in losses}) == len(clamps)


def test_what_nobody_clamps_is_left_out():
    assert not build([{}, {}], MODEL).settings()
    assert set(build([{}, {"match": 1.0}], MODEL).settings()) == {"match", "strength"}
    assert set(build([{"attend": [1]}, {"heads": [2]}], MODEL).settings()) == {"attend", "active"}


def test_conditions_train_as_they_would_alone():
    """Three updates, each replica with its own clamps: part by part, so none can be off by a place."""
    spec = TrainSpec(
        steps=3, batch=4, lr=1e-3, optimizer="adam", warmup=0, clip="none", snapshots={"every": 3}
    )

    def learnt(seeds: tuple[int, ...], clamps: list[dict]) -> np.ndarray:
        task = Task("last", VECTORS.float(), build(clamps, MODEL))
        ensemble = Ensemble(MODEL, spec, seeds, torch.device("cpu"), task=task)
        for step in range(3):
            ensemble.update(ROWS[step * 16 : step * 16 + 16].expand(len(seeds), -1, -1))
        return ensemble.flat.numpy()

    clamps = [CONDITIONS[name] for name in ("copy", "none", "match", "released")]
    together = learnt((3, 8, 3, 8), clamps)
    for i, (seed, clamp) in enumerate(zip((3, 8, 3, 8), clamps, strict=True)):
        np.testing.assert_allclose(together[i], learnt((seed,), [clamp])[0], rtol=0, atol=2e-6)
