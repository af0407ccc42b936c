"""Ablations and patches: against loops, against each other, and on effects known beforehand."""

import pytest
import torch

from headworks.errors import HeadworksError
from headworks.interventions import (
    ablation_sweep,
    even_pattern,
    freeze_patterns,
    full_ablation,
    head_masks,
    mean_ablate,
    over_heads,
    patch,
    pattern_preserving,
    recorded,
    replace_pattern,
    resample,
    rescue,
    value_preserving,
    zero_heads,
)
from headworks.model import Transformer, sites
from headworks.spec import ModelSpec, SmearSpec
from headworks.tape import Override, Tape

BASE = {"n_layers": 3, "n_heads": 4, "d_model": 32, "d_vocab": 11, "n_context": 9}
VARIANTS = {
    "attention_only": {},
    "mlp": {"d_mlp": 40, "bias": True, "positions": "learned"},
    "parallel": {"d_mlp": 40, "parallel": True, "positions": "rotary", "n_kv_heads": 2},
    "smeared": {"smear": SmearSpec(of="values"), "norm": "none"},
}


def model_of(variant: str = "attention_only") -> Transformer:
    model = Transformer.create(ModelSpec(**(BASE | VARIANTS[variant])), [0, 1])
    model.flat.add_(0.1 * torch.randn(model.flat.shape, generator=torch.Generator().manual_seed(1)))
    return model.requires_grad_(False)


@pytest.fixture
def inputs():
    return torch.randint(0, 11, (2, 3, 9), generator=torch.Generator().manual_seed(2))


def masks(model, *replicas):
    return head_masks(model.spec, replicas)


def test_masks_differ_by_replica():
    found = masks(model_of(), {0: [1], 2: [0, 3]}, {0: [2]})
    assert found[0].tolist() == [[False, True, False, False], [False, False, True, False]]
    assert found[2].tolist() == [[True, False, False, True], [False] * 4]
    assert sorted(found) == [0, 2]


@pytest.mark.parametrize(
    ("heads", "message"), [({3: [0]}, "3 is not a layer"), ({1: [4]}, "4 is not a head")]
)
def test_heads_the_model_lacks_are_named(heads, message):
    with pytest.raises(HeadworksError, match=message):
        masks(model_of(), heads, {})


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", [full_ablation, pattern_preserving])
@pytest.mark.parametrize("at_once", [None, 3])
def test_sweep_equals_the_loop(variant, kind, at_once, inputs):
    model = model_of(variant)
    found = ablation_sweep(model, inputs, lambda logits: logits.clone(), kind.__name__, at_once)
    assert sorted(found) == [(l, h) for l in range(3) for h in range(4)]
    for (l, h), logits in found.items():
        expected = kind(model, inputs, masks(model, {l: [h]}, {l: [h]}))
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


def test_full_ablation_is_a_head_without_output_weights(inputs):
    """Another replica ablates another head: each equals a model whose W_O is zero there."""
    model = model_of("mlp")
    expected = model_of("mlp")
    expected.named()["blocks.1.attn.W_O"][0, 2] = 0
    expected.named()["blocks.0.attn.W_O"][1, 3] = 0
    found = full_ablation(model, inputs, masks(model, {1: [2]}, {0: [3]}))
    torch.testing.assert_close(found, expected(inputs))


def test_pattern_preserving_by_two_ways(inputs):
    """Given patterns against patterns forced by overrides."""
    model = model_of("mlp")
    heads = masks(model, {0: [1, 2]}, {0: [0], 1: [3]})
    record = recorded(model, inputs, [f"blocks.{l}.attn.pattern" for l in range(3)])
    overridden = model(inputs, Tape(overrides=zero_heads(heads) + freeze_patterns(record)))
    torch.testing.assert_close(pattern_preserving(model, inputs, heads), overridden)


def test_pattern_preserving_removes_exactly_the_paths_through_the_head(inputs):
    """Without norms, a head of the last layer is gone by its direct output, no more."""
    model = model_of("smeared")
    heads = masks(model, {2: [1]}, {2: [1]})
    record = recorded(model, inputs, ["blocks.2.attn.head_out"])
    lost = torch.einsum(
        "rbtd,rdv->rbtv", record["blocks.2.attn.head_out"][:, :, 1], model.named()["unembed.W_U"]
    )
    torch.testing.assert_close(
        pattern_preserving(model, inputs, heads), model(inputs) - lost, atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("kept", "pattern_moves", "values_move"), [("", True, True), ("pattern", False, True), ("v", True, False)]
)
def test_what_each_ablation_cuts(kept, pattern_moves, values_move, inputs):
    """Of layer 1, downstream of an ablated head of layer 0."""
    model = model_of()
    intact = recorded(model, inputs, sites(model.spec))
    overrides = zero_heads(masks(model, {0: [1]}, {0: [1]}))
    overrides += [patch(f"blocks.{l}.attn.{part}", intact) for l in range(3) for part in [kept] if part]
    tape = Tape(["blocks.1.attn.pattern", "blocks.1.attn.v"], overrides)
    model(inputs, tape)
    moved = [not torch.allclose(tape[site], intact[site], atol=1e-6) for site in tape.record()]
    assert dict(zip(tape.record(), moved, strict=True)) == {
        "blocks.1.attn.pattern": pattern_moves,
        "blocks.1.attn.v": values_move,
    }


def test_value_preserving_by_overrides(inputs):
    model = model_of("parallel")
    heads = masks(model, {0: [1]}, {1: [2]})
    record = recorded(model, inputs, [f"blocks.{l}.attn.v" for l in range(3)])
    expected = model(inputs, Tape(overrides=zero_heads(heads) + [patch(s, record) for s in record]))
    torch.testing.assert_close(value_preserving(model, inputs, heads), expected)
    assert not torch.allclose(expected, full_ablation(model, inputs, heads), atol=1e-3)


def test_mean_and_resample(inputs):
    """On a batch of equal sequences both are the identity; so is resampling in the same order."""
    model = model_of()
    heads = masks(model, {0: [1], 1: [0]}, {1: [3]})
    same = inputs[:, :1].expand(2, 3, 9)
    record = recorded(model, same, ["blocks.0.attn.z", "blocks.1.attn.z"])
    turned = torch.tensor([1, 2, 0])
    for overrides in (mean_ablate(heads, record), resample(heads, record, turned)):
        torch.testing.assert_close(model(same, Tape(overrides=overrides)), model(same))
    record = recorded(model, inputs, ["blocks.0.attn.z", "blocks.1.attn.z"])
    kept = model(inputs, Tape(overrides=resample(heads, record, torch.arange(3))))
    torch.testing.assert_close(kept, model(inputs))
    tape = Tape(["blocks.0.attn.z"], resample(heads, record, turned))
    model(inputs, tape)
    z = record["blocks.0.attn.z"]
    torch.testing.assert_close(tape["blocks.0.attn.z"][0, :, 1], z[0, turned, 1])
    torch.testing.assert_close(tape["blocks.0.attn.z"][1], z[1])


def test_patch_of_some_positions(inputs):
    model = model_of()
    record = recorded(model, inputs.flip(1), ["blocks.1.resid_pre"])
    early = (torch.arange(9) < 4)[:, None]
    tape = Tape(["blocks.1.resid_pre"], [patch("blocks.1.resid_pre", record, early)])
    model(inputs, tape)
    own = recorded(model, inputs, ["blocks.1.resid_pre"])["blocks.1.resid_pre"]
    assert torch.equal(tape["blocks.1.resid_pre"][:, :, :4], record["blocks.1.resid_pre"][:, :, :4])
    assert torch.equal(tape["blocks.1.resid_pre"][:, :, 4:], own[:, :, 4:])


def test_replaced_pattern_moves_the_values_it_says(inputs):
    """Attention to the token itself turns z into v."""
    model = model_of()
    heads = masks(model, {1: [2]}, {1: [2]})
    z = Override("blocks.1.attn.z", recorded(model, inputs, ["blocks.1.attn.v"])["blocks.1.attn.v"])
    mask = over_heads(heads[1])
    expected = model(inputs, Tape(overrides=[Override(z.site, z.value, mask)]))
    torch.testing.assert_close(replace_pattern(model, inputs, heads, torch.eye(9)), expected)


def test_even_pattern():
    torch.testing.assert_close(
        even_pattern(3), torch.tensor([[1, 0, 0], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]])
    )


def test_rescue_of_a_head_that_is_all_pattern_or_all_value(inputs):
    """Queries of zero make the pattern even: values alone rescue. One sequence repeated: patterns do."""
    model = model_of()
    heads = masks(model, {1: [2]}, {1: [2]})
    model.named()["blocks.1.attn.W_Q"][:, 2] = 0
    logits = model(inputs)
    torch.testing.assert_close(rescue(model, inputs, heads, "value"), logits)
    assert not torch.allclose(rescue(model, inputs, heads, "nothing"), logits, atol=1e-3)
    same = inputs[:, :1].expand(2, 3, 9)
    torch.testing.assert_close(rescue(model, same, heads, "pattern"), model(same))


def test_rescue_touches_the_named_heads_only(inputs):
    """With both parts blind, z is the mean of the mean values; other heads and replicas keep theirs."""
    model = model_of("parallel")
    heads = masks(model, {1: [3]}, {})
    record = recorded(model, inputs, ["blocks.1.attn.v", "blocks.1.attn.z"])
    blind = even_pattern(9) @ record["blocks.1.attn.v"].mean(1, keepdim=True)[0, :, 1]
    expected = record["blocks.1.attn.z"].clone()
    expected[0, :, 3] = blind
    logits = model(inputs, Tape(overrides=[Override("blocks.1.attn.z", expected)]))
    torch.testing.assert_close(rescue(model, inputs, heads, "nothing"), logits)
