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
