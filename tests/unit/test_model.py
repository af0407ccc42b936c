"""The transformer against a plain one written out here, and its invariances over every kind of model."""

import math

import pytest
import torch
import torch.nn.functional as F

from headworks.errors import HeadworksError
from headworks.layers import NARROW_HEAD, STRETCH, attend, sinusoids, smear
from headworks.model import Transformer, cross_entropy, parameter_count, parameter_shapes, sites
from headworks.spec import ModelSpec, SmearSpec
from headworks.tape import Override, Tape

BASE = {"n_layers": 2, "n_heads": 4, "d_model": 32, "d_vocab": 11, "n_context": 12}
VARIANTS = {
    "attention_only": {},
    "learned": {"positions": "learned"},
    "rotary": {"positions": "rotary"},
    "rotary_partial": {"positions": "rotary", "rotary_dim": 4, "position_base": 100.0},
    "no_positions": {"positions": "none"},
    "mlp": {"d_mlp": 48, "bias": True},
    "gelu_tanh": {"d_mlp": 48, "activation": "gelu_tanh"},
    "relu_no_norm": {"d_mlp": 48, "activation": "relu", "norm": "none", "bias": True},
    "llama": {
        "d_mlp": 48,
        "activation": "swiglu",
        "norm": "rmsnorm",
        "positions": "rotary",
        "n_kv_heads": 2,
    },
    "swiglu_bias": {"d_mlp": 48, "activation": "swiglu", "bias": True},
    "neox": {"d_mlp": 48, "parallel": True, "positions": "rotary", "rotary_dim": 4, "bias": True},
    "tied": {"tied": True, "positions": "learned"},
    "smeared_keys": {"smear": SmearSpec()},
    "smeared_values": {"smear": SmearSpec(of="values", lag=2, alpha=-1.0)},
    "smeared_rotary": {"smear": SmearSpec(lag=3), "positions": "rotary", "n_kv_heads": 1},
    "wide_heads": {"d_head": NARROW_HEAD + 2},
    "few_outputs": {"d_out": 3},
    "barrier": {"barrier": 5},
    "barrier_wide": {"barrier": 5, "d_head": NARROW_HEAD + 2, "n_kv_heads": 1},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def spec_of(variant: str, **changes) -> ModelSpec:
    return ModelSpec(**(BASE | VARIANTS[variant] | changes))


def busy(spec: ModelSpec, seeds=(0, 1)) -> Transformer:
    """A model whose norms and biases are not at their idle initial values."""
    model = Transformer.create(spec, list(seeds))
    noise = torch.randn(model.flat.shape, generator=torch.Generator().manual_seed(9))
    model.flat.add_(0.1 * noise)
    return model


def tokens(*shape: int, seed: int = 3) -> torch.Tensor:
    return torch.randint(0, BASE["d_vocab"], shape, generator=torch.Generator().manual_seed(seed))


def close(a, b, tolerance=1e-6):
    return (a - b).abs().max() <= tolerance * max(1.0, b.abs().max().item())


@every_variant
def test_names_cover_the_flat_vector_in_order(variant):
    spec = spec_of(variant)
    flat = torch.arange(float(parameter_count(spec)))[None]
    model = Transformer(spec, flat)
    assert torch.equal(torch.cat([p.flatten() for p in model.named().values()]), flat[0])
    assert {name: tuple(p.shape[1:]) for name, p in model.named().items()} == parameter_shapes(spec)


@every_variant
def test_tape_changes_nothing(variant):
    """Explicit scores and patterns against the fast path. A listed site not reached would be an error."""
    spec = spec_of(variant)
    model, inputs = busy(spec), tokens(2, 3, 12)
    tape = Tape(record=sites(spec))
    assert close(model(inputs, tape), model(inputs))
    assert torch.equal(tape["logits"], model(inputs, Tape(record=sites(spec))))


@every_variant
def test_a_replica_equals_its_seed_alone(variant):
    spec = spec_of(variant)
    inputs = tokens(3, 2, 12)
    together, alone = Transformer.create(spec, [4, 7, 5]), Transformer.create(spec, [7])
    assert torch.equal(together.flat[1:2], alone.flat)
    assert close(together(inputs)[1:2], alone(inputs[1:2]))
    for model, own in ((together, inputs), (alone, inputs[1:2])):
        cross_entropy(model(own), own % (spec.d_out or spec.d_vocab)).mean((1, 2)).sum().backward()
    for name, parameter in alone.named().items():
        assert close(together.named()[name].grad[1:2], parameter.grad, 1e-5), name


@every_variant
def test_the_past_does_not_see_the_future(variant):
    model, inputs = busy(spec_of(variant)), tokens(2, 3, 12)
    changed = inputs.clone()
    changed[:, :, 7:] = (changed[:, :, 7:] + 1) % 11
    before, after = model(inputs), model(changed)
    assert close(after[:, :, :7], before[:, :, :7])
    assert not close(after[:, :, 7:], before[:, :, 7:], 1e-3)


@every_variant
def test_parts_make_the_whole(variant):
    model, inputs = busy(spec_of(variant)), tokens(2, 3, 12)
    middle = Tape(record=["blocks.1.resid_pre"])
    whole = model(inputs, middle)
    assert close(model.unembed(model.run_blocks(model.embed(inputs))), whole)
    assert close(model.unembed(model.run_blocks(middle["blocks.1.resid_pre"], 1)), whole)


@every_variant
def test_given_patterns_equal_computed_ones(variant):
    spec = spec_of(variant)
    model, inputs = busy(spec), tokens(2, 3, 12)
    tape = Tape(record=[f"blocks.{l}.attn.pattern" for l in range(2)])
    logits = model(inputs, tape)
    patterns = {l: tape[f"blocks.{l}.attn.pattern"] for l in range(2)}
    twice = model.embed(inputs).repeat(1, 2, 1, 1)
    found = model.unembed(model.run_blocks(twice, 0, patterns=patterns))
    assert close(found[:, :3], logits)
    assert close(found[:, 3:], logits)


def reference(p: dict[str, torch.Tensor], inputs: torch.Tensor, n_layers: int) -> torch.Tensor:
    """One replica, attention-only, sinusoids on queries and keys: sequence by sequence, head by head."""
    logits = []
    for sequence in inputs:
        x = p["embed.W_E"][sequence]
        t, d = x.shape
        future = torch.ones(t, t).triu(1).bool()
        for l in range(n_layers):
            b = {name.removeprefix(f"blocks.{l}."): w for name, w in p.items()}
            n = F.layer_norm(x, (d,), b["ln1.w"], b["ln1.b"])
            placed = n + sinusoids(t, d)
            for h in range(b["attn.W_Q"].shape[0]):
                q, k = placed @ b["attn.W_Q"][h], placed @ b["attn.W_K"][h]
                scores = (q @ k.T / math.sqrt(q.shape[1])).masked_fill(future, -torch.inf)
                x = x + scores.softmax(-1) @ (n @ b["attn.W_V"][h]) @ b["attn.W_O"][h]
        logits.append(F.layer_norm(x, (d,), p["ln_final.w"], p["ln_final.b"]) @ p["unembed.W_U"])
    return torch.stack(logits)


def test_agrees_with_a_plain_model():
    spec = spec_of("attention_only")
    model, inputs = busy(spec), tokens(2, 3, 12)
    for r in range(2):
        weights = {name: w[r] for name, w in model.named().items()}
        assert close(model(inputs)[r], reference(weights, inputs[r], 2), 1e-5)


def test_inputs_without_a_replica_axis_are_shared():
    model, inputs = busy(spec_of("learned")), tokens(3, 12)
    assert torch.equal(model(inputs), model(inputs.expand(2, 3, 12)))
    logits = model(inputs)
    assert torch.equal(cross_entropy(logits, inputs), cross_entropy(logits, inputs.expand(2, 3, 12)))


def test_inputs_may_be_vectors():
    spec = ModelSpec(n_layers=1, n_heads=2, d_model=16, d_input=5, d_out=3)
    model = Transformer.create(spec, [0, 1])
    x = torch.randn(2, 4, 6, 5)
    assert model(x).shape == (2, 4, 6, 3)
    assert torch.allclose(model.embed(x)[1], x[1] @ model.named()["embed.W_in"][1], atol=1e-6)


@pytest.mark.filterwarnings("ignore:grad and param do not obey")
def test_gradients_land_in_the_given_matrix():
    spec = spec_of("mlp")
    flat, inputs = busy(spec).flat, tokens(2, 3, 12)
    grad = torch.zeros_like(flat)
    model = Transformer(spec, flat, grad)
    cross_entropy(model(inputs), inputs).mean((1, 2)).sum().backward()
    torch.testing.assert_close(grad, _gradient_of(spec, flat, inputs))
    chunk_grad = torch.zeros_like(flat)
    part = Transformer(spec, flat[1:2], chunk_grad[1:2])
    cross_entropy(part(inputs[1:2]), inputs[1:2]).mean((1, 2)).sum().backward()
    torch.testing.assert_close(chunk_grad[1], grad[1])
    assert not chunk_grad[0].any()


def _gradient_of(spec, flat, inputs):
    model = Transformer(spec, flat)
    cross_entropy(model(inputs), inputs).mean((1, 2)).sum().backward()
    return torch.cat([p.grad.flatten(1) for p in model.named().values()], 1)


def test_parameters_follow_the_flat_matrix():
    model = Transformer.create(spec_of("tied"), [0])
    model.flat.fill_(2.0)
    assert all((p == 2.0).all() for p in model.parameters())


def test_initial_scales():
    spec = spec_of("mlp", d_model=256, n_heads=4, d_mlp=512)
    p = Transformer.create(spec, [0]).named()
    assert p["blocks.0.attn.W_O"].std().item() == pytest.approx(256**-0.5, rel=0.05)
    assert p["blocks.1.mlp.W_out"].std().item() == pytest.approx(512**-0.5, rel=0.05)
    assert (p["blocks.0.ln1.w"] == 1).all()
    assert not p["blocks.0.attn.b_Q"].any()
    small = Transformer.create(spec.model_copy(update={"init_std": 0.02}), [0]).named()
    assert small["blocks.0.mlp.W_in"].std().item() == pytest.approx(0.02, rel=0.05)


def test_smear_by_hand():
    x = torch.tensor([1.0, 2.0, 4.0, 8.0])[None, None, None, :, None]
    quarter = torch.tensor([[math.log(1 / 3)]])  # sigmoid = 1/4
    assert smear(x, quarter, 1).flatten().tolist() == pytest.approx([1, 1.25, 2.5, 5])
    assert smear(x, quarter, 2).flatten().tolist() == pytest.approx([1, 2, 1.75, 3.5])
    assert smear(x, quarter, 4).flatten().tolist() == [1, 2, 4, 8]


def test_a_large_frozen_alpha_is_no_smear():
    spec = spec_of("smeared_keys", smear=SmearSpec(alpha=40.0, frozen=True))
    smeared, inputs = Transformer.create(spec, [0]), tokens(1, 3, 12)
    assert not smeared.named()["blocks.0.attn.alpha"].requires_grad
    plain = Transformer.create(spec_of("attention_only"), [0])
    for name, parameter in plain.named().items():
        parameter.data.copy_(smeared.named()[name])
    assert close(smeared(inputs), plain(inputs))
    halved = Transformer.create(spec_of("smeared_keys"), [0])
    assert not close(halved(inputs), plain(inputs), 1e-3)


def test_grouped_heads_equal_repeated_ones():
    grouped = busy(spec_of("rotary", n_kv_heads=2))
    plain = Transformer.create(spec_of("rotary"), [0, 1])
    for name, parameter in plain.named().items():
        source = grouped.named()[name]
        parameter.data.copy_(source.repeat_interleave(2, 1) if name.endswith(("W_K", "W_V")) else source)
    inputs = tokens(2, 3, 12)
    assert close(grouped(inputs), plain(inputs))
    same = Transformer(spec_of("rotary", n_kv_heads=4), plain.flat)
    assert torch.equal(same(inputs), plain(inputs))


def test_rotary_scores_depend_on_distance_only():
    """A constant input has equal queries and equal keys everywhere: scores are constant along diagonals."""
    model = busy(spec_of("rotary", n_layers=1))
    tape = Tape(record=["blocks.0.attn.scores"])
    model(torch.full((1, 12), 5), tape)
    scores = tape["blocks.0.attn.scores"][0, 0, 0]
    for distance in (1, 3):
        diagonal = scores.diagonal(-distance)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal))
    assert (scores.diagonal(-1)[0] - scores.diagonal(-3)[0]).abs() > 1e-3


@pytest.mark.parametrize("width", [NARROW_HEAD // 2, NARROW_HEAD])
@pytest.mark.parametrize("t", [1, STRETCH, 2 * STRETCH + 5])
def test_attention_by_any_kernel(width, t):
    q, k, v = torch.randn(3, 2, 1, 3, t, width, generator=torch.Generator().manual_seed(0)).unbind()
    scores = (q @ k.mT / math.sqrt(width)).masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf)
    torch.testing.assert_close(attend(q, k, v), scores.softmax(-1) @ v, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("width", [4, NARROW_HEAD])
def test_what_comes_before_a_barrier_passes_through_it_alone(width):
    """Block 0 takes it to the barrier, block 1 on from there; held still there, nothing of it arrives."""
    model = busy(ModelSpec(**BASE | {"n_layers": 2, "barrier": 5, "d_head": width}))
    inputs = tokens(2, 3, 12)
    changed = torch.cat([(inputs[..., :5] + 1) % 11, inputs[..., 5:]], -1)
    before, after = Tape(record=["blocks.0.resid_post"]), Tape(record=["blocks.0.resid_post"])
    logits = model(inputs, before), model(changed, after)
    moved = (before["blocks.0.resid_post"] - after["blocks.0.resid_post"]).abs().amax(-1)
    assert (moved[..., :6] > 1e-3).all()
    assert moved[..., 6:].max() == 0
    assert ((logits[0] - logits[1]).abs().amax(-1)[..., 6:] > 1e-4).all()
    held = Override("blocks.1.resid_pre", before["blocks.0.resid_post"])
    assert close(model(changed, Tape(overrides=[held]))[..., 6:, :], logits[0][..., 6:, :])


def test_loss_of_even_logits_is_log_v():
    loss = cross_entropy(torch.zeros(2, 3, 4, 11), tokens(2, 3, 4))
    torch.testing.assert_close(loss, torch.full((2, 3, 4), math.log(11)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_vocab": None}, "neither d_vocab nor d_input"),
        ({"d_vocab": None, "d_input": 3}, "needs d_out"),
        ({"n_context": None, "positions": "learned"}, "need n_context"),
        ({"tied": True, "d_out": 3}, "d_out must be d_vocab 11; found 3"),
    ],
)
def test_unfinished_specs_are_named(changes, message):
    with pytest.raises(HeadworksError, match=message):
        parameter_shapes(spec_of("attention_only", **changes))


def test_too_long_inputs_and_foreign_vectors_are_errors():
    model = Transformer.create(spec_of("learned"), [0])
    with pytest.raises(HeadworksError, match="13 positions; n_context is 12"):
        model(tokens(1, 13))
    with pytest.raises(HeadworksError, match="the model needs"):
        Transformer(model.spec, model.flat[:, 1:])
