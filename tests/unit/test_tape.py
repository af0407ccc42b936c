"""Recording and overriding, on a bare tape and through a model."""

import pytest
import torch

from headworks.errors import HeadworksError
from headworks.model import Transformer, sites
from headworks.spec import ModelSpec
from headworks.tape import Override, Tape, batch_mean, last_position, last_query

SPEC = ModelSpec(n_layers=2, n_heads=2, d_model=16, d_vocab=7, d_mlp=24)


@pytest.fixture
def model():
    return Transformer.create(SPEC, [0, 1])


@pytest.fixture
def inputs():
    return torch.arange(30).view(2, 3, 5) % 7


def shown(tape: Tape, x: torch.Tensor, site: str = "a") -> torch.Tensor:
    tape.begin([site])
    return tape(site, x)


def test_override_by_value_mask_and_function():
    x = torch.tensor([1.0, 2.0, 3.0])
    mask = torch.tensor([True, False, True])
    assert shown(Tape(overrides=[Override("a", 0.0)]), x).tolist() == [0, 0, 0]
    assert shown(Tape(overrides=[Override("a", 0.0, mask)]), x).tolist() == [0, 2, 0]
    assert shown(Tape(overrides=[Override("a", x * 5, mask)]), x).tolist() == [5, 2, 15]
    assert shown(Tape(overrides=[Override("a", torch.neg, ~mask)]), x).tolist() == [1, -2, 3]


def test_overrides_apply_in_order_and_the_record_sees_the_result():
    x = torch.tensor([1.0, 2.0])
    tape = Tape(["a"], [Override("a", lambda y: y + 1), Override("a", lambda y: y * 10)])
    assert shown(tape, x).tolist() == [20, 30]
    assert tape["a"].tolist() == [20, 30]


def test_masks_differ_by_replica():
    mask = torch.tensor([True, False])[:, None]
    found = shown(Tape(overrides=[Override("a", 0.0, mask)]), torch.ones(2, 3))
    assert found.tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize("detach", [False, True])
def test_gradients_flow_through_a_value_unless_detached(detach):
    x, value = torch.ones(3, requires_grad=True), torch.ones(3, requires_grad=True)
    mask = torch.tensor([True, False, False])
    shown(Tape(overrides=[Override("a", value * 2, mask, detach)]), x).sum().backward()
    assert x.grad.tolist() == [0, 1, 1]
    assert value.grad is None if detach else value.grad.tolist() == [2, 0, 0]


def test_a_function_of_the_site_detached_stops_its_gradient():
    x = torch.ones(3, requires_grad=True)
    (shown(Tape(overrides=[Override("a", lambda y: 2 * y, detach=True)]), x) + x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_recording_keeps_gradients_unless_detached():
    x = torch.ones(2, requires_grad=True)
    kept, loose = Tape(["a"]), Tape(["a"], detach=True)
    assert shown(kept, x).requires_grad
    assert shown(loose, x).requires_grad
    assert kept["a"].requires_grad
    assert not loose["a"].requires_grad


def test_reductions(model, inputs):
    whole = Tape(["blocks.1.resid_post", "blocks.1.attn.pattern", "blocks.0.attn.z"])
    model(inputs, whole)
    some = Tape(
        {
            "blocks.1.resid_post": last_position,
            "blocks.1.attn.pattern": last_query,
            "blocks.0.attn.z": batch_mean,
        }
    )
    model(inputs, some)
    assert torch.equal(some["blocks.1.resid_post"], whole["blocks.1.resid_post"][:, :, -1, :])
    assert torch.equal(some["blocks.1.attn.pattern"], whole["blocks.1.attn.pattern"][:, :, :, -1, :])
    torch.testing.assert_close(some["blocks.0.attn.z"][:, 0], whole["blocks.0.attn.z"].mean(1))


def test_a_run_patched_with_its_own_record_is_itself(model, inputs):
    tape = Tape(sites(SPEC))
    logits = model(inputs, tape)
    for site in sites(SPEC):
        patched = model(inputs, Tape(overrides=[Override(site, tape[site])]))
        torch.testing.assert_close(patched, logits, msg=site)


def test_every_override_changes_the_logits(model, inputs):
    """A site that the model shows but does not use would be a site in name only."""
    logits = model(inputs)
    for site in sites(SPEC):
        changed = model(inputs, Tape(overrides=[Override(site, lambda x: x.flip(1) * 0.5)]))
        assert (changed - logits).abs().max() > 1e-4, site


def test_overrides_train(model, inputs):
    """Zeroed heads learn nothing; the others do."""
    mask = torch.tensor([[True, False], [False, True]])[:, None, :, None, None]
    model(inputs, Tape(overrides=[Override("blocks.1.attn.z", 0.0, mask)])).square().sum().backward()
    grad = model.named()["blocks.1.attn.W_V"].grad.abs().amax((2, 3)) > 0
    assert grad.tolist() == [[False, True], [True, False]]


def test_an_unknown_site_names_the_nearest(model, inputs):
    with pytest.raises(
        HeadworksError, match=r"blocks\.1\.attn\.patern is no site .* blocks\.1\.attn\.pattern"
    ):
        model(inputs, Tape(["blocks.1.attn.patern"]))
    with pytest.raises(HeadworksError, match=r"pos_embed is no site"):
        model(inputs, Tape(overrides=[Override("pos_embed", 0.0)]))


def test_a_site_outside_a_partial_pass_is_an_error(model, inputs):
    resid = model.embed(inputs, Tape(["embed"]))
    with pytest.raises(HeadworksError, match=r"blocks\.0\.resid_pre is no site of this pass"):
        model.run_blocks(resid, 1, Tape(["blocks.0.resid_pre"]))
    patterns = dict.fromkeys(range(2), torch.eye(5).expand(2, 3, 2, 5, 5))
    with pytest.raises(HeadworksError, match=r"attn\.scores is no site of this pass"):
        model.run_blocks(resid, 0, Tape(["blocks.0.attn.scores"]), patterns)


def test_a_promised_site_not_visited_is_an_error():
    tape = Tape(["a", "b"])
    tape.begin(["a", "b"])
    tape("a", torch.ones(1))
    with pytest.raises(HeadworksError, match="did not reach b"):
        tape.finish()


def test_reading_what_was_not_recorded_is_an_error(model, inputs):
    tape = Tape(["embed"])
    model(inputs, tape)
    with pytest.raises(HeadworksError, match="logits was not recorded; recorded are embed"):
        tape["logits"]


KINDS = {
    "learned": {"positions": "learned", "bias": True},
    "rotary": {"positions": "rotary"},
    "sinusoids": {"positions": "sinusoidal_qk"},
    "smeared keys": {"smear": {"of": "keys"}},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "site", [None, "blocks.1.attn.pattern", "blocks.1.attn.qk_in", "blocks.1.attn.head_out"]
)
def test_heads_left_out_are_as_heads_that_write_nothing(kind, site):
    spec = ModelSpec(n_layers=2, n_heads=4, d_model=16, d_vocab=7, n_context=5, d_mlp=24, **KINDS[kind])
    inputs, kept = torch.arange(30).view(2, 3, 5) % 7, [3, 1]
    muted = torch.tensor([True, False, True, False])[:, None, None]
    passes = {
        "left out": Tape([site] if site else [], heads={1: kept}),
        "muted": Tape([site] if site else [], [Override("blocks.1.attn.z", 0.0, muted)]),
    }
    logits, grads = {}, {}
    for name, tape in passes.items():
        model = Transformer.create(spec, [0, 1])
        logits[name] = model(inputs, tape)
        logits[name].square().sum().backward()
        grads[name] = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    torch.testing.assert_close(logits["left out"], logits["muted"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(grads["left out"], grads["muted"], rtol=1e-4, atol=1e-5)
    if site and not site.endswith("qk_in"):
        found, wanted = (passes[name][site] for name in passes)
        torch.testing.assert_close(found, wanted[:, :, kept], rtol=1e-5, atol=1e-6)


def test_heads_left_out_of_a_pass_with_given_patterns(model, inputs):
    seen = Tape(["blocks.1.attn.pattern"], heads={1: [1]})
    wanted = model(inputs, seen)
    resid = model.embed(inputs)
    before = Tape(["blocks.1.resid_pre"])
    model.run_blocks(resid, 0, before)
    found = model.run_blocks(
        before["blocks.1.resid_pre"], 1, Tape(heads={1: [1]}), {1: seen["blocks.1.attn.pattern"]}
    )
    torch.testing.assert_close(model.unembed(found), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("heads", [[2], [-1], []])
def test_heads_that_a_layer_does_not_have_are_refused(model, inputs, heads):
    with pytest.raises(
        HeadworksError, match=r"of layer 1, of a model with n_heads 2 .*one or more of 0 to 1"
    ):
        model(inputs, Tape(heads={1: heads}))


def test_heads_that_share_keys_cannot_be_left_out(inputs):
    spec = SPEC.model_copy(update={"n_heads": 4, "n_kv_heads": 2})
    with pytest.raises(HeadworksError, match="n_kv_heads 2"):
        Transformer.create(spec, [0, 1])(inputs, Tape(heads={0: [0]}))


def test_heads_of_a_layer_that_is_not_there_are_refused(model, inputs):
    with pytest.raises(HeadworksError, match=r"blocks\.2\.attn\.z is no site of this pass"):
        model(inputs, Tape(heads={2: [0]}))
