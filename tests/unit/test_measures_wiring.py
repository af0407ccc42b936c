"""The measures on models wired by hand: an induction head scores 1, an even head scores chance."""

import math

import pytest
import torch

from headworks.measures import attention, circuits, losses, wiring
from headworks.model import cross_entropy
from headworks.tape import Override, Tape

VOCAB, PERIOD, REPEATS = 32, 25, 4
LENGTH = 1 + PERIOD * REPEATS


@pytest.fixture(scope="module")
def probe():
    return attention.repeated_tokens(
        10, PERIOD, REPEATS, torch.arange(1, VOCAB), 0, torch.Generator().manual_seed(0)
    )


@pytest.fixture(scope="module")
def model():
    return wiring.induction_model(VOCAB, LENGTH)


@torch.no_grad()
def run(model, probe, overrides=(), record=()):
    tape = Tape(record=record, overrides=overrides)
    logits = model(probe, tape)
    loss = cross_entropy(logits[:, :, :-1], probe[:, 1:])
    return losses.copy_gain(loss, PERIOD, REPEATS, 1).mean().item(), loss, tape


def silenced(layer, head):
    mask = torch.zeros(1, 1, 2, 1, 1, dtype=torch.bool)
    mask[:, :, head] = True
    return Override(f"blocks.{layer}.attn.z", 0.0, mask)


def test_attention_scores_of_the_wired_heads(model, probe):
    _, _, tape = run(model, probe, record=["blocks.0.attn.pattern", "blocks.1.attn.pattern"])
    first, second = (tape[f"blocks.{l}.attn.pattern"] for l in (0, 1))
    chance = attention.prefix_matching_chance(PERIOD, REPEATS, 1)
    prefix = attention.prefix_matching(second, PERIOD, REPEATS, 1).mean((0, 1))
    assert prefix.tolist() == pytest.approx([1.0, chance], abs=1e-5)
    assert torch.allclose(
        attention.prefix_matching_tokens(second, probe), attention.prefix_matching(second, PERIOD, REPEATS, 1)
    )
    assert attention.previous_token(first).mean((0, 1))[0] == pytest.approx(1.0)
    assert attention.previous_token(second).mean((0, 1))[0] < 0.1


@torch.no_grad()
def test_copying_of_the_wired_head(model, probe):
    _, _, tape = run(model, probe, record=["blocks.1.attn.pattern", "blocks.1.resid_pre"])
    p = model.named()
    weights = p["blocks.1.attn.W_V"], p["blocks.1.attn.W_O"], p["unembed.W_U"]
    tokens = probe.expand(1, -1, -1)
    score = circuits.copying(tape["blocks.1.attn.pattern"], tape["blocks.1.resid_pre"], tokens, *weights)
    assert score[..., 0].mean() > 0.5
    assert score[..., 1].isnan().all()
    # from the second repeat on, every query has a match
    later = tape["blocks.1.attn.pattern"][..., 1 + PERIOD :, :]
    assert (circuits.copying(later, tape["blocks.1.resid_pre"], tokens, *weights)[..., 0] > 0.99).all()


@torch.no_grad()
def test_weight_measures_of_the_wired_heads(model):
    p = model.named()
    first, second = (
        {part: p[f"blocks.{l}.attn.{part}"] for part in ("W_Q", "W_K", "W_V", "W_O")} for l in (0, 1)
    )
    earlier = first["W_V"], first["W_O"]
    assert circuits.ov_copying(p["embed.W_E"], second["W_V"], second["W_O"], p["unembed.W_U"])[
        0, 0
    ] == pytest.approx(1)
    trace = circuits.qk_trace(
        second["W_Q"], second["W_K"], *earlier, torch.tensor([[1.0, 0.0]]), p["embed.W_E"]
    )
    assert trace[0, 0] > 0
    assert trace[0, 1] == 0
    mean, sd = circuits.composition_baseline(
        model.spec.d_model, model.spec.head_width, torch.Generator().manual_seed(0), n_samples=32
    )
    assert circuits.k_composition(second["W_Q"], second["W_K"], *earlier)[0, 0, 0] > mean + 3 * sd
    assert circuits.q_composition(second["W_Q"], second["W_K"], *earlier)[0, 0, 0] == 0
    assert circuits.v_composition(second["W_V"], second["W_O"], *earlier)[0, 0, 0] == 0


def test_the_wired_model_copies_and_its_loss_shows_the_fingerprint(model, probe):
    gain, loss, _ = run(model, probe)
    assert gain > math.log(VOCAB) - 1
    assert loss[..., 1 + PERIOD :].max() < 0.01
    _, untrained, _ = run(wiring.uniform_model(VOCAB, LENGTH), probe)
    broken = probe.clone()
    broken[:, 60] = broken[:, 70]
    logits = [m(broken).detach() for m in (wiring.uniform_model(VOCAB, LENGTH), model)]
    before, after = (cross_entropy(x[:, :, :-1], broken[:, 1:]) for x in logits)
    change = losses.fingerprint(before, after, losses.token_classes(broken))[0]
    assert change[losses.REPEATED] < -3
    assert change[losses.BROKEN] > 3
    assert torch.allclose(untrained, torch.full_like(untrained, math.log(VOCAB)))


def test_silencing_a_wired_head_removes_the_copy_gain_and_no_other_does(model, probe):
    intact, _, _ = run(model, probe)
    gain = {(l, h): run(model, probe, [silenced(l, h)])[0] for l in (0, 1) for h in (0, 1)}
    assert gain[1, 0] == pytest.approx(0, abs=1e-5)
    # without matches the induction head spreads over the context, which costs less once all tokens are in it
    assert gain[0, 0] < 0.2 * intact
    assert gain[0, 1] == pytest.approx(intact)
    assert gain[1, 1] == pytest.approx(intact)


def test_uniform_model_scores_chance_everywhere(probe):
    gain, _, tape = run(wiring.uniform_model(VOCAB, LENGTH), probe, record=["blocks.1.attn.pattern"])
    chance = attention.prefix_matching_chance(PERIOD, REPEATS, 1)
    prefix = attention.prefix_matching(tape["blocks.1.attn.pattern"], PERIOD, REPEATS, 1)
    assert torch.allclose(prefix, torch.full_like(prefix, chance))
    assert gain == pytest.approx(0.0, abs=1e-6)
