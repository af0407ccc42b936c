"""The training loop: replicas that never touch each other, bits that survive a kill, optimisers that are torch's."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from headworks import train as training
from headworks.batches import Batches
from headworks.errors import HeadworksError
from headworks.spec import ModelSpec, SnapshotSpec, TrainSpec
from headworks.tape import Tape
from headworks.train import Adam, Ensemble, Task, clip, decayed, join, learning_rate, split, train

CPU = torch.device("cpu")
MODEL = ModelSpec(n_layers=1, n_heads=2, d_model=16, d_mlp=8, d_vocab=9, d_out=9, n_context=8)


def spec(**changes) -> TrainSpec:
    return TrainSpec.model_validate(
        {"steps": 12, "batch": 4, "lr": 0.01, "warmup": 3, "snapshots": {"every": 5}} | changes
    )


def batches(*seeds: int) -> Batches:
    """Random tokens: what they say does not matter here, that they are the same does."""
    rows = np.random.default_rng(0).integers(1, 9, (32, 9)).astype(np.uint8)
    return Batches("sequences", rows, 8, 0, seeds, 4)


# Replicas


@pytest.mark.parametrize("chunk", [1, 3], ids=["one after the other", "together"])
def test_a_replica_of_an_ensemble_equals_its_seed_alone(monkeypatch, chunk):
    monkeypatch.setattr(training, "CPU_TOKENS_AT_ONCE", chunk * 4 * 8)
    together = train(MODEL, spec(), batches(0, 5, 9), CPU)
    assert together.manifest["replicas_at_once"] == chunk
    for replica, seed in enumerate([0, 5, 9]):
        alone = train(MODEL, spec(), batches(seed), CPU)
        np.testing.assert_allclose(together.snapshots[-1][replica], alone.snapshots[-1][0], rtol=0, atol=2e-5)
        np.testing.assert_allclose(together.loss[:, replica], alone.loss[:, 0], rtol=1e-5)
        np.testing.assert_allclose(together.grad_norm[:, replica], alone.grad_norm[:, 0], rtol=1e-3)


def test_seeds_differ_from_the_first_snapshot_on():
    trained = train(MODEL, spec(), batches(0, 5), CPU)
    assert np.abs(trained.snapshots[0][0] - trained.snapshots[0][1]).max() > 0.01


def test_training_lowers_the_loss():
    """A single batch again and again is learnt by heart."""
    one = Batches("sequences", batches(0).train[:4], 8, 0, (0,), 4)
    trained = train(MODEL, spec(steps=150), one, CPU)
    assert trained.loss[-1, 0] < 0.5 * trained.loss[0, 0]


class Pull:
    """Adds to each replica's loss its weight times the mean of the marks of its batch times one parameter."""

    def settings(self, step):
        return {"weight": torch.tensor([0.0, 1.0])}

    def tape(self, rows, settings):
        assert rows.shape[-1] == 10
        return Tape(record={"embed": lambda x: x.mean(dim=(1, 2, 3))})

    def penalty(self, rows, settings, tape):
        return settings["weight"] * rows[..., -1].float().mean(1) * tape["embed"]


def test_clamps_may_add_to_the_loss_by_marks_that_the_model_never_sees():
    plain = batches(0, 0)
    marked = replace(plain, train=np.concatenate([plain.train, np.full((32, 1), 7, np.uint8)], axis=1))
    alone = train(MODEL, spec(), plain, CPU)
    pulled = train(MODEL, spec(), marked, CPU, task=Task(clamps=Pull()))
    np.testing.assert_array_equal(pulled.snapshots[-1][0], alone.snapshots[-1][0])
    np.testing.assert_array_equal(pulled.loss[0], alone.loss[0])  # the trace holds the loss alone
    mean = [split(MODEL, end.snapshots[-1])["embed.W_E"][1].mean() for end in (pulled, alone)]
    assert mean[0] < mean[1] - 0.01


def test_a_diverged_replica_is_marked_and_the_others_go_on_unharmed(capsys):
    """Its parameters become infinite before update 4; only its own numbers may show it."""
    ensemble, healthy = Ensemble(MODEL, spec(), (0, 5, 9), CPU), Ensemble(MODEL, spec(), (0, 5, 9), CPU)
    data = batches(0, 5, 9)
    for step in range(12):
        if step == 4:
            with torch.no_grad():
                ensemble.flat[1] = math.inf
        ensemble.update(torch.from_numpy(data.at(step)))
        healthy.update(torch.from_numpy(data.at(step)))
    ensemble.snapshot()
    healthy.snapshot()
    assert ensemble.trained.diverged.tolist() == [-1, 4, -1]
    assert np.isnan(ensemble.trained.loss[4:, 1]).all()
    assert np.isnan(ensemble.trained.snapshots[0][1]).all()
    others = [0, 2]
    assert np.array_equal(ensemble.trained.loss[:, others], healthy.trained.loss[:, others])
    assert np.array_equal(ensemble.trained.snapshots[0][others], healthy.trained.snapshots[0][others])
    assert "seed 5" in capsys.readouterr().out


def test_clipping_is_per_replica():
    grad = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    norm = clip(grad, 1.0)
    torch.testing.assert_close(norm, torch.tensor([5.0, 0.5]))
    torch.testing.assert_close(grad, torch.tensor([[0.6, 0.8], [0.3, 0.4]]), rtol=1e-5, atol=0)


def test_no_limit_leaves_gradients_alone():
    grad = torch.tensor([[3.0, 4.0]])
    assert clip(grad, "none").tolist() == [5.0]
    assert grad.tolist() == [[3.0, 4.0]]


def test_each_replica_has_its_own_learning_rate():
    """A multiplier of 0 keeps a replica where it was; 2 is the same seed trained at twice the rate."""
    data, seeds = batches(0, 0, 0), (0, 0, 0)
    ensemble = Ensemble(MODEL, spec(), seeds, CPU, rates=(0.0, 1.0, 2.0))
    twice = Ensemble(MODEL, spec(lr=0.02), (0,), CPU)
    start = ensemble.flat[0].clone()
    for step in range(6):
        ensemble.update(torch.from_numpy(data.at(step)))
        twice.update(torch.from_numpy(data.at(step)[:1]))
    assert torch.equal(ensemble.flat[0], start)
    torch.testing.assert_close(ensemble.flat[2], twice.flat[0], rtol=0, atol=2e-5)
    assert (ensemble.flat[1] - ensemble.flat[2]).abs().max() > 1e-3


# Resuming


class Killed(Exception):
    """In the place of a kill."""


@pytest.mark.parametrize("at", [1, 5, 6, 11], ids="after update {}".format)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_bit(tmp_path, at):
    """Also when it is killed at a snapshot (5), with cosine decay, AdamW and a dense stretch of snapshots."""
    settings = spec(schedule="cosine", snapshots={"every": 5, "dense": [5, 8], "dense_every": 1})
    whole = train(MODEL, settings, batches(0, 5), CPU)

    def kill(done: int, note: str) -> None:
        if done == at:
            raise Killed

    state = tmp_path / "state"
    with pytest.raises(Killed):
        train(MODEL, settings, batches(0, 5), CPU, state, save_seconds=0, progress=kill)
    begun = []
    resumed = train(
        MODEL, settings, batches(0, 5), CPU, state, progress=lambda done, note: begun.append(done)
    )
    assert begun[0] == at + 1
    assert resumed.steps == whole.steps == [0, 5, 6, 7, 8, 10, 12]
    assert np.array_equal(np.stack(resumed.snapshots), np.stack(whole.snapshots))
    assert np.array_equal(resumed.loss, whole.loss)
    assert np.array_equal(resumed.grad_norm, whole.grad_norm)


def test_hooks_are_called_once_with_the_whole_ensemble(tmp_path):
    """Also across a kill: what a hook did before the last save is not done again."""
    calls = []

    def hook(step: int, model) -> None:
        calls.append((step, len(model.flat)))

    def kill(done: int, note: str) -> None:
        if done == 5:
            raise Killed

    hooks = dict.fromkeys([0, 3, 12], hook)
    state = tmp_path / "state"
    with pytest.raises(Killed):
        train(MODEL, spec(), batches(0, 5), CPU, state, save_seconds=0, hooks=hooks, progress=kill)
    train(MODEL, spec(), batches(0, 5), CPU, state, hooks=hooks)
    assert calls == [(0, 2), (3, 2), (12, 2)]


# The optimiser


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_adam_equals_torchs(optimizer):
    settings = spec(optimizer=optimizer, weight_decay=0.1, warmup=0, lr=0.05, betas=[0.8, 0.95], eps=1e-3)
    generator = torch.Generator().manual_seed(0)
    flat = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    parameter = torch.nn.Parameter(flat.clone())
    options = {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3}
    theirs = {
        "adam": lambda: torch.optim.Adam([parameter], **options),
        "adamw": lambda: torch.optim.AdamW([parameter], weight_decay=0.1, **options),
    }[optimizer]()
    ours = Adam(settings, flat, torch.ones(6, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    for step in range(20):
        grad = torch.randn(2, 6, generator=generator, dtype=torch.float64)
        parameter.grad = grad.clone()
        theirs.step()
        ours.step(grad, step)
    torch.testing.assert_close(flat, parameter.detach(), rtol=1e-9, atol=1e-12)


def test_only_matrices_are_decayed():
    model = MODEL.model_copy(update={"bias": True})
    parts = split(model, decayed(model, CPU)[None].numpy())
    kept = {name for name, part in parts.items() if (part == 0).all()}
    assert kept == {name for name in parts if ".W_" not in name}
    assert {"blocks.0.ln1.w", "blocks.0.attn.b_Q", "ln_final.b"} <= kept
    assert all((part == 1).all() for name, part in parts.items() if name not in kept)


def test_parts_join_to_what_was_split():
    flat = Ensemble(MODEL, spec(), (0, 5), CPU).flat.numpy()
    assert np.array_equal(join(MODEL, split(MODEL, flat)), flat)


# Schedules


def test_the_learning_rate_warms_up_and_stays():
    rates = [learning_rate(spec(lr=0.3), step) for step in range(6)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.3, 0.3])


def test_the_cosine_ends_at_a_tenth():
    settings = spec(steps=103, lr=1.0, schedule="cosine")
    assert learning_rate(settings, 2) == pytest.approx(1.0)
    assert learning_rate(settings, 3) == pytest.approx(1.0)
    assert learning_rate(settings, 53) == pytest.approx(0.55)
    assert learning_rate(settings, 103) == pytest.approx(0.1)


def test_snapshots_are_dense_where_asked_and_hold_the_ends():
    assert SnapshotSpec(every=10).steps(25) == [0, 10, 20, 25]
    assert SnapshotSpec(every=10, dense=(12, 18), dense_every=3).steps(25) == [0, 10, 12, 15, 18, 20, 25]
    assert SnapshotSpec(every=10, dense=(18, 99), dense_every=3).steps(25) == [0, 10, 18, 20, 21, 24, 25]


def test_snapshots_come_at_listed_steps_too():
    assert SnapshotSpec(every=500, at=(10, 30, 10, 2000)).steps(1000) == [0, 10, 30, 500, 1000]


def test_a_snapshot_of_step_0_is_before_training():
    trained = train(MODEL, spec(), batches(0, 5), CPU)
    assert trained.steps == [0, 5, 10, 12]
    assert np.array_equal(trained.snapshots[0], Ensemble(MODEL, spec(), (0, 5), CPU).flat.numpy())


# What a machine cannot do


def test_bf16_is_refused_on_a_cpu():
    with pytest.raises(HeadworksError, match=r"train\.precision: 'bf16' needs CUDA.*allowed here: float32"):
        train(MODEL, spec(precision="bf16"), batches(0), CPU)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_out_of_memory_says_what_to_lower(monkeypatch, error):
    def fail(self, tokens):
        raise error

    monkeypatch.setattr(Ensemble, "update", fail)
    with pytest.raises(
        HeadworksError, match=r"Lower train\.batch \(4\), the number of seeds \(2\).*n_context \(8\)"
    ):
        train(MODEL, spec(), batches(0, 5), CPU)


def test_other_errors_are_not_taken_for_it(monkeypatch):
    def fail(self, tokens):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(Ensemble, "update", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        train(MODEL, spec(), batches(0), CPU)
