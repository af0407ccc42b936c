"""Short episodes of vectors and labels: the model that reads them, its last position alone, batches drawn anew."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from headworks import batches as drawing
from headworks import layers
from headworks import train as training
from headworks.batches import DRAWN_STEPS, Batches
from headworks.errors import HeadworksError
from headworks.model import Transformer, sites
from headworks.parameters import initial_parameters, parameter_count
from headworks.spec import ModelSpec, TrainSpec
from headworks.studies.singh2024.clamps import build
from headworks.tape import Override, Tape
from headworks.train import Ensemble, Task, compiler_found, split, train

CPU = torch.device("cpu")
PAPER = ModelSpec(
    n_layers=2,
    n_heads=8,
    d_model=64,
    positions="rotary",
    end_biases=True,
    init="truncated",
    embed_std=0.0176,
    d_vocab=5,
    d_input=512,
    n_context=5,
)
TINY = PAPER.model_copy(update={"n_heads": 2, "d_model": 8, "d_input": 6, "embed_std": None})
N_VECTORS = 4
VECTORS = torch.randn(N_VECTORS, 6, generator=torch.Generator().manual_seed(0))
CLAMPS = [
    {},
    {"layer1": "ideal", "release": 3},
    {"heads": [1], "copy_heads": [1]},
    {"match": 0.9, "attend": [0]},
]


def network(spec: ModelSpec, *seeds: int, vectors=None, dtype=torch.float64) -> Transformer:
    """In double precision unless said: what should agree then does to many digits."""
    flat = torch.stack([initial_parameters(spec, seed) for seed in seeds]).to(dtype)
    return Transformer(spec, flat, vectors=None if vectors is None else vectors.to(dtype))


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(found: torch.Tensor, wanted: torch.Tensor, atol: float = 1e-12) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


def episodes() -> np.ndarray:
    """Every exemplar, label, exemplar, label, query, target of four vectors and five labels."""
    rows = [
        [5 + a, la, 5 + b, lb, 5 + query, la if query == a else lb]
        for a in range(N_VECTORS)
        for b in range(N_VECTORS)
        for la in range(5)
        for lb in range(5)
        for query in (a, b)
        if a != b and la != lb
    ]
    return np.array(rows, np.uint8)


def settings(**changes) -> TrainSpec:
    return TrainSpec.model_validate(
        {"steps": 6, "batch": 4, "lr": 1e-3, "optimizer": "adam", "betas": [0.9, 0.999], "warmup": 0}
        | {"clip": "none", "snapshots": {"every": 2}}
        | changes
    )


def draws(*seeds: int, batch: int = 4) -> Batches:
    return Batches("draws", episodes(), 5, -1, seeds, batch)


def task(clamps: list[dict] | None = None, model: ModelSpec = TINY) -> Task:
    return Task("last", VECTORS, None if clamps is None else build(clamps, model))


# Parameters


def test_the_papers_network_has_the_papers_parameters():
    assert parameter_count(PAPER) == 66_629


def test_truncated_weights_have_the_variance_of_normal_ones_and_no_tail():
    parts = split(PAPER, initial_parameters(PAPER, 0).numpy())
    fan_in = {"embed.W_in": 512, "embed.W_E": 1 / 0.0176**2}
    for name, part in parts.items():
        if ".W_" in name:
            unit = part * fan_in.get(name, 64) ** 0.5
            assert unit.std() == pytest.approx(1, abs=4 / part.size**0.5), name
            assert abs(unit.mean()) < 4 / part.size**0.5, name
            assert abs(unit).max() <= 2 / 0.87962566 + 1e-5, name
    assert abs(parts["embed.W_in"]).max() * 512**0.5 > 2.2
    assert all((parts[name] == 0).all() for name in ("embed.b_in", "unembed.b_U", "blocks.1.ln1.b"))


def test_normal_weights_do_have_a_tail():
    spec = PAPER.model_copy(update={"init": "normal"})
    drawn = split(spec, initial_parameters(spec, 0).numpy())["embed.W_in"] * 512**0.5
    assert abs(drawn).max() > 3


# Vectors as tokens


def test_vectors_and_labels_are_embedded_each_by_its_own():
    model = network(TINY, 3, 8, vectors=VECTORS)
    with torch.no_grad():
        model.named()["embed.b_in"] += randn(2, 8)
    tokens = torch.tensor([[5, 0, 8, 4, 5], [6, 3, 7, 1, 7]])
    p, found = model.named(), model.embed(tokens)
    assert found.shape == (2, 2, 5, 8)
    for replica in range(2):
        for row in range(2):
            for place, token in enumerate(tokens[row].tolist()):
                if token < 5:
                    wanted = p["embed.W_E"][replica, token]
                else:
                    wanted = VECTORS[token - 5].double() @ p["embed.W_in"][replica] + p["embed.b_in"][replica]
                same(found[replica, row, place], wanted)


def test_gradients_reach_both_embeddings():
    """Each from the tokens that are there: labels 0 and 4 and vectors 0 and 3, not the others."""
    model = network(TINY, 3, vectors=VECTORS)
    model(torch.tensor([[5, 0, 8, 4, 5]])).square().sum().backward()
    p = model.named()
    assert (p["embed.W_E"].grad[0].abs().sum(-1) > 0).tolist() == [True, False, False, False, True]
    assert p["embed.b_in"].grad.abs().sum() > 0
    # the gradient of W_in is made of the two vectors shown
    assert torch.linalg.matrix_rank(p["embed.W_in"].grad[0]) == 2
    shown = VECTORS[[0, 3]].double()
    outside = p["embed.W_in"].grad[0] - torch.linalg.pinv(shown) @ shown @ p["embed.W_in"].grad[0]
    assert outside.abs().max() < 1e-10


def test_floating_inputs_are_vectors_themselves():
    model = network(TINY, 3, 8, vectors=VECTORS)
    tokens = torch.tensor([[5, 8, 7, 6, 5]])
    same(model(VECTORS[tokens - 5].double()), model(tokens))


def test_the_output_has_a_bias():
    model = network(TINY, 3, 8, vectors=VECTORS)
    tokens, bias = torch.tensor([[5, 0, 8, 4, 5]]), randn(2, 5)
    before = model(tokens)
    with torch.no_grad():
        model.named()["unembed.b_U"] += bias
    same(model(tokens), before + bias[:, None, None])


# The last position alone

WORDS = ModelSpec(n_layers=2, n_heads=4, d_model=16, d_vocab=11, d_out=11, n_context=40, positions="rotary")
KINDS = {
    "rotary": {},
    "sinusoidal": {"positions": "sinusoidal_qk"},
    "learned": {"positions": "learned"},
    "grouped": {"n_kv_heads": 2, "smear": {"of": "keys"}, "d_mlp": 12, "bias": True},
    "one layer, parallel": {"n_layers": 1, "smear": {"of": "values"}, "d_mlp": 12, "parallel": True},
}


def words(**changes) -> ModelSpec:
    return ModelSpec.model_validate(WORDS.model_dump() | changes)


@pytest.mark.parametrize("t", [1, 5, 8, 9, 40])
@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("record", [(), ("scores", "pattern", "z")], ids=["without tape", "with tape"])
def test_the_last_position_alone_is_that_of_the_full_pass(changes, t, record):
    spec = words(**changes)
    model = network(spec, 3, 8)
    tokens = torch.randint(0, 11, (2, 3, t), generator=torch.Generator().manual_seed(1))
    block = f"blocks.{spec.n_layers - 1}.attn."
    whole, alone = (Tape(record=[block + site for site in record]) for _ in range(2))
    full, last = model(tokens, whole), model(tokens, alone, last=True)
    assert last.shape == (2, 3, 1, 11)
    same(last, full[:, :, -1:])
    for site in whole.record():
        assert alone[site].shape[3] == 1
        same(alone[site], whole[site][:, :, :, -1:])


@pytest.mark.parametrize("t", [5, 40])
def test_its_gradients_are_those_of_the_full_pass(t):
    tokens = torch.randint(0, 11, (2, 3, t), generator=torch.Generator().manual_seed(1))
    full, last = network(WORDS, 3, 8), network(WORDS, 3, 8)
    full(tokens)[:, :, -1].logsumexp(-1).sum().backward()
    last(tokens, last=True).logsumexp(-1).sum().backward()
    for name, parameter in last.named().items():
        same(parameter.grad, full.named()[name].grad)


@pytest.mark.parametrize("width", [4, 16])
@pytest.mark.parametrize("t", [1, 5, layers.SHORT])
def test_multiplying_and_adding_up_is_the_product(monkeypatch, t, width):
    """With and without a tape, forward and backward, and key-value heads that are shared."""

    def run():
        q, k, v = (randn(2, 3, heads, t, width, seed=i).requires_grad_() for i, heads in enumerate((4, 2, 2)))
        quick, open_ = layers.attend(q, k, v), layers.attend_openly(q, k, v, "a", Tape())
        same(quick, open_)
        return [quick, *torch.autograd.grad(quick.square().sum(), (q, k, v))]

    short = run()
    monkeypatch.setattr(layers, "SHORT", 0)
    for found, wanted in zip(short, run(), strict=True):
        same(found, wanted, atol=1e-11)


@pytest.mark.parametrize("n_queries", [1, 2, 4])
@pytest.mark.parametrize("t", [5, 12, 40])
def test_some_queries_are_the_last_positions(t, n_queries):
    q, k, v = (randn(2, 3, heads, t, 4, seed=i) for i, heads in enumerate((4, 2, 2)))
    last = q[..., -n_queries:, :]
    for barrier in (None, 2):
        wanted = layers.attend(q, k, v, barrier)[..., -n_queries:, :]
        same(layers.attend(last, k, v, barrier), wanted)
        same(layers.attend_openly(last, k, v, "a", Tape(), barrier), wanted)


# What queries and keys read


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_qk_in_changes_queries_and_keys_alone(changes):
    spec = words(**changes)
    model, other = network(spec, 3, 8), randn(2, 3, 7, 16, seed=4)
    tokens = torch.randint(0, 11, (3, 7), generator=torch.Generator().manual_seed(1))
    block = f"blocks.{spec.n_layers - 1}"
    shown = [f"{block}.attn.{part}" for part in "qkv"] + [f"{block}.resid_pre"]
    own, put, theirs = Tape(shown), Tape(shown, [Override(f"{block}.attn.qk_in", other)]), Tape(shown)
    intact, changed = model(tokens, own), model(tokens, put)
    model.run_blocks(other, spec.n_layers - 1, theirs)
    for part in "qk":
        same(put[f"{block}.attn.{part}"], theirs[f"{block}.attn.{part}"])
    for site in (f"{block}.attn.v", f"{block}.resid_pre"):
        same(put[site], own[site])
    assert (changed - intact).abs().max() > 1e-3


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_qk_in_holding_the_residual_stream_changes_nothing(changes, last):
    spec = words(**changes)
    model = network(spec, 3, 8)
    tokens = torch.randint(0, 11, (3, 7), generator=torch.Generator().manual_seed(1))
    block = f"blocks.{spec.n_layers - 1}"
    resid, tapes = f"{block}.resid_pre", []
    tapes.append(Tape([resid], [Override(f"{block}.attn.qk_in", lambda x: tapes[0][resid])]))
    same(model(tokens, tapes[0], last=last), model(tokens, last=last))


def test_qk_in_may_be_recorded_though_nothing_needs_it():
    model, tokens = network(WORDS, 3, 8), torch.arange(6)[None]
    tape = Tape(["blocks.1.attn.qk_in", "blocks.1.resid_pre"])
    same(model(tokens, tape), model(tokens))
    same(tape["blocks.1.attn.qk_in"], tape["blocks.1.resid_pre"])
    everything = Tape(sites(WORDS))
    same(model(tokens, everything, last=True), model(tokens)[:, :, -1:])
    assert set(everything.record()) == set(sites(WORDS))


def test_a_pass_with_given_patterns_has_no_qk_in():
    model = network(WORDS, 3)
    patterns = dict.fromkeys(range(2), torch.eye(6, dtype=torch.float64).expand(1, 1, 4, 6, 6))
    with pytest.raises(HeadworksError, match=r"blocks\.0\.attn\.qk_in is no site of this pass"):
        model.run_blocks(randn(1, 1, 6, 16), 0, Tape(["blocks.0.attn.qk_in"]), patterns)


# Batches drawn with replacement


def numbered(n: int = 10, batch: int = 50, seeds=(0, 1)) -> Batches:
    """Row i holds i everywhere, so that a batch tells which rows it drew."""
    return Batches("draws", np.tile(np.arange(n, dtype=np.uint16)[:, None], (1, 6)), 5, -1, seeds, batch)


def test_draws_are_uniform_and_with_replacement():
    rows = np.stack([numbered().at(step) for step in range(200)])
    assert rows.shape == (200, 2, 50, 6)
    assert rows.dtype == np.int64
    assert (rows == rows[..., :1]).all()
    for replica in range(2):
        counts = np.bincount(rows[:, replica, :, 0].ravel(), minlength=10)
        assert len(counts) == 10
        # chi-square of 10,000 draws, 9 degrees of freedom; 27.9 is the 99.9th percentile
        assert ((counts - 1000) ** 2 / 1000).sum() < 27.9
    # without replacement 5 of 10 would never hold one row twice: 10!/(5! 10^5) = 0.302 of draws do not
    five = [len(set(numbered(batch=5).at(step)[0, :, 0])) for step in range(1000)]
    assert np.mean(np.array(five) == 5) == pytest.approx(0.302, abs=0.06)


def test_draws_are_a_function_of_seed_and_step():
    """Whoever asks, in whatever order, across the stretches that are drawn together."""
    steps = [0, 1, DRAWN_STEPS - 1, DRAWN_STEPS, DRAWN_STEPS + 1, 5 * DRAWN_STEPS]
    first = {step: numbered(seeds=(0, 1)).at(step) for step in steps}
    drawing._drawn.cache_clear()
    again = {step: numbered(seeds=(1, 0, 7)).at(step) for step in reversed(steps)}
    for step in steps:
        assert np.array_equal(first[step], again[step][[1, 0]])
    seen = [tuple(batch[replica, :, 0]) for batch in again.values() for replica in range(3)]
    assert len(set(seen)) == 3 * len(steps)


# Training on the last entry


def test_the_loss_is_that_of_the_last_label():
    trained = train(TINY, settings(), draws(3, 8), CPU, task=task())
    rows = torch.from_numpy(draws(3, 8).at(0))
    model = network(TINY, 3, 8, vectors=VECTORS)
    p = F.softmax(model(rows[..., :-1])[:, :, -1], -1).detach()
    for replica in range(2):
        wanted = np.mean([-math.log(p[replica, b, rows[replica, b, -1]]) for b in range(4)])
        assert trained.loss[0, replica] == pytest.approx(wanted, rel=1e-5)


def test_labels_and_vectors_are_learnt():
    trained = train(TINY, settings(steps=300, lr=1e-2, batch=32), draws(3, batch=32), CPU, task=task())
    assert trained.loss[-20:].mean() < 1.0 < 1.4 < trained.loss[0].mean()


def test_without_a_limit_the_optimiser_sees_the_gradient_as_it_comes():
    """Adam's mean after one update is a tenth of what it was given."""
    rows, norm = torch.from_numpy(draws(3).at(0)), {}
    for limit in ("none", 1e-3):
        ensemble = Ensemble(TINY, settings(clip=limit), (3,), CPU, task=task())
        ensemble.update(rows)
        norm[limit] = ensemble.optimizer.mean.norm().item() * 10
        seen = ensemble.trained.grad_norm[0, 0]
    assert norm["none"] == pytest.approx(seen, rel=1e-5)
    assert seen > 0.1
    assert norm[1e-3] == pytest.approx(1e-3, rel=1e-3)


def test_twenty_updates_are_those_of_torchs_adam():
    steps = 20
    trained = train(TINY, settings(steps=steps, snapshots={"every": steps}), draws(3), CPU, task=task())
    model = network(TINY, 3, vectors=VECTORS, dtype=torch.float32)
    theirs = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    for step in range(steps):
        rows = torch.from_numpy(draws(3).at(step))[0]
        theirs.zero_grad()
        F.cross_entropy(model(rows[:, :-1])[0, :, -1], rows[:, -1]).backward()
        theirs.step()
    np.testing.assert_allclose(trained.snapshots[-1], model.flat.numpy(), rtol=0, atol=1e-6)
    assert np.abs(trained.snapshots[-1] - trained.snapshots[0]).max() > 1e-2


class Killed(Exception):
    """In the place of a kill."""


@pytest.mark.parametrize("at", [2, 3, 4], ids="after update {}".format)
def test_a_resumed_run_with_clamps_equals_an_uninterrupted_one_to_the_bit(tmp_path, at):
    """Clamps of one replica end after update 3."""
    seeds, state = (3, 8, 5, 3), tmp_path / "state"

    def kill(done: int, note: str) -> None:
        if done == at:
            raise Killed

    whole = train(TINY, settings(), draws(*seeds), CPU, task=task(CLAMPS))
    with pytest.raises(Killed):
        train(TINY, settings(), draws(*seeds), CPU, state, save_seconds=0, progress=kill, task=task(CLAMPS))
    resumed = train(TINY, settings(), draws(*seeds), CPU, state, task=task(CLAMPS))
    assert np.array_equal(np.stack(resumed.snapshots), np.stack(whole.snapshots))
    assert np.array_equal(resumed.loss, whole.loss)
    held = train(
        TINY, settings(), draws(*seeds), CPU, task=task([CLAMPS[0], {"layer1": "ideal"}, *CLAMPS[2:]])
    )
    assert np.array_equal(held.loss[:3], whole.loss[:3])
    assert (held.loss[3:] != whole.loss[3:]).any(axis=0).tolist() == [False, True, False, False]


@pytest.mark.parametrize("chunk", [1, 3])
def test_replicas_that_take_turns_learn_the_same(monkeypatch, chunk):
    """Clamps are cut up with the replicas they belong to."""
    seeds = (3, 8, 5, 3)
    together = train(TINY, settings(), draws(*seeds), CPU, task=task(CLAMPS))
    monkeypatch.setattr(training, "CPU_TOKENS_AT_ONCE", chunk * 4 * 5)
    apart = train(TINY, settings(), draws(*seeds), CPU, task=task(CLAMPS))
    assert together.manifest["replicas_at_once"] == 4
    assert apart.manifest["replicas_at_once"] < 4
    np.testing.assert_allclose(apart.loss, together.loss, rtol=0, atol=1e-6)
    np.testing.assert_allclose(apart.snapshots[-1], together.snapshots[-1], rtol=0, atol=1e-6)


def test_hooks_see_the_vectors():
    """A hook evaluates what the run trains on."""
    seen = []

    def look(step: int, model: Transformer) -> None:
        rows = torch.from_numpy(draws(3, 8).at(step))
        logits = model(rows[..., :-1], last=True)[:, :, 0]
        seen.append([F.cross_entropy(*pair).item() for pair in zip(logits, rows[..., -1], strict=True)])

    trained = train(TINY, settings(), draws(3, 8), CPU, hooks={0: look, 4: look}, task=task())
    np.testing.assert_allclose(seen, trained.loss[[0, 4]], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not compiler_found(), reason="torch.compile needs a C++ compiler, and none is found")
def test_compiled_training_is_the_same(monkeypatch):
    """Also when replicas take turns and a clamp ends on the way."""
    monkeypatch.setattr(training, "CPU_TOKENS_AT_ONCE", 2 * 4 * 5)
    clamps = [{}, {"layer1": "ideal", "release": 2}, {"heads": [1], "copy_heads": [1]}, {"match": 0.9}]
    found = {
        how: train(TINY, settings(steps=3, compile=how), draws(3, 8, 5, 3), CPU, task=task(clamps))
        for how in ("never", "auto")
    }
    assert [trained.manifest["compiled"] for trained in found.values()] == [0, 1]
    np.testing.assert_allclose(found["auto"].loss, found["never"].loss, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["auto"].snapshots[-1], found["never"].snapshots[-1], rtol=0, atol=1e-5)
