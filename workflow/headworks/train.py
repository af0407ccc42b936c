"""The training loop: any number of replicas, resumable to the bit, plain enough to read in one sitting.

All parameters of an ensemble lie in one matrix [replica, parameter], and so do their gradients: clipping, Adam
and the learning rate are row operations, so replicas never touch each other. On a CPU the replicas go through
forward and backward a few at a time, as many as fit a core's cache; on a GPU all at once.
"""

import math
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch

from headworks.batches import Batches
from headworks.errors import HeadworksError
from headworks.model import Transformer, cross_entropy, parameter_shapes
from headworks.spec import ModelSpec, TrainSpec
from headworks.tape import Tape

CPU_TOKENS_AT_ONCE = 5120
"""Tokens of one forward pass on a CPU; more replicas than this holds take turns."""

Hook = Callable[[int, Transformer], None]
Settings = Mapping[str, torch.Tensor]


class Clamps(Protocol):
    """What is done to the forward pass and to the loss of every update; gradients flow through it (Singh 2024, sec. 2.2)."""

    def settings(self, step: int) -> Settings:
        """What tells replicas apart at update `step`: tensors by name, each with a leading replica axis."""

    def tape(self, rows: torch.Tensor, settings: Settings) -> Tape:
        """The overrides for `rows` [r, b, entry], the last token and any marks included."""

    def penalty(self, rows: torch.Tensor, settings: Settings, tape: Tape) -> torch.Tensor | None:
        """What is minimised beside the loss, [r] nats, after a pass with `tape`; None: nothing."""


@dataclass(frozen=True)
class Task:
    """What an ensemble is trained on and how, beside its batches."""

    predicts: Literal["every", "last"] = "every"
    """Which entries of a row count: each but the first, or the last alone."""
    vectors: torch.Tensor | None = None
    """What tokens from d_vocab on stand for, [n, i]."""
    clamps: Clamps | None = None
    start: torch.Tensor | None = None
    """Initial parameters [replica, parameter] in place of those drawn from the seeds."""
    frozen: torch.Tensor | None = None
    """bool [parameter]: keeps its initial value."""


@dataclass
class Trained:
    """What a run yields. Arrays are numpy, float32 unless said."""

    steps: list[int]
    """Snapshot steps: snapshot i was taken after steps[i] updates."""
    snapshots: list[np.ndarray]
    """One [replica, parameter] matrix per snapshot; `split` names its parts."""
    loss: np.ndarray
    """Training loss of each update in nats per token, [step, replica]; NaN where a replica had diverged."""
    grad_norm: np.ndarray
    """Gradient norm before clipping, [step, replica]."""
    diverged: np.ndarray
    """int64 [replica]: the update at which the loss ceased to be finite, -1 if it never did."""
    manifest: dict[str, str | int] = field(default_factory=dict)
    """What the numbers depend on beside the spec: device, threads, replicas at once, compiled."""


def split(spec: ModelSpec, flat: np.ndarray) -> dict[str, np.ndarray]:
    """The parts of [..., parameter] matrices by parameter name, each [..., *shape]."""
    parts, start = {}, 0
    for name, shape in parameter_shapes(spec).items():
        size = math.prod(shape)
        parts[name] = flat[..., start : start + size].reshape(*flat.shape[:-1], *shape)
        start += size
    return parts


def join(spec: ModelSpec, parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """The inverse of `split` for parts with one leading axis: [replica, parameter]."""
    return np.concatenate(
        [np.asarray(parts[name]).reshape(len(parts[name]), -1) for name in parameter_shapes(spec)], axis=1
    )


def learning_rate(spec: TrainSpec, step: int) -> float:
    """Learning rate of update `step` (from 0): linear warm-up, then constant or cosine to a tenth."""
    if step < spec.warmup:
        return spec.lr * (step + 1) / spec.warmup
    if spec.schedule == "constant":
        return spec.lr
    share = (step - spec.warmup) / max(spec.steps - spec.warmup, 1)
    return spec.lr * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * share)))


class Adam:
    """Adam, or AdamW with decay on matrices only, on a [replica, parameter] matrix (Kingma & Ba 2015, Algorithm 1).

    Written out because torch.optim has one learning rate a tensor, and a replica axis needs one a row.
    """

    def __init__(self, spec: TrainSpec, flat: torch.Tensor, decayed: torch.Tensor, scale: torch.Tensor):
        self.spec, self.flat = spec, flat
        self.mean, self.square = torch.zeros_like(flat), torch.zeros_like(flat)
        self.decay = spec.weight_decay * decayed if spec.optimizer == "adamw" else None
        self.scale = scale[:, None]
        """Learning-rate multiplier of each replica, [replica, 1]."""
        self.update = _adam_update

    def step(self, grad: torch.Tensor, step: int) -> None:
        """One update from `grad` [replica, parameter]; `step` counts from 0."""
        rate = learning_rate(self.spec, step) * self.scale
        # tensors, not numbers: a compiled update would be built anew for every number
        unbias = [self.flat.new_tensor(1 - beta ** (step + 1)) for beta in self.spec.betas]
        self.update(
            self.flat,
            grad,
            self.mean,
            self.square,
            rate,
            self.decay,
            *unbias,
            betas=self.spec.betas,
            eps=self.spec.eps,
        )

    def state(self) -> dict[str, torch.Tensor]:
        return {"mean": self.mean, "square": self.square}

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        self.mean.copy_(state["mean"])
        self.square.copy_(state["square"])


def _adam_update(flat, grad, mean, square, rate, decay, mean_unbias, square_unbias, betas, eps) -> None:
    """Matrices [replica, parameter] but for rate [replica, 1], decay [parameter] or None, and two scalars."""
    first, second = betas
    if decay is not None:
        flat.mul_(1 - rate * decay)
    mean.lerp_(grad, 1 - first)
    square.mul_(second).addcmul_(grad, grad, value=1 - second)
    root = (square / square_unbias).sqrt_().add_(eps)
    flat.sub_(rate * (mean / mean_unbias).div_(root))


def clip(grad: torch.Tensor, limit: float | str) -> torch.Tensor:
    """Scale each replica's gradient to norm `limit` at most, in place; returns the norms before, [replica].

    A limit of "none" leaves it as it is.
    """
    norm = grad.norm(dim=1)
    if limit != "none":
        grad.mul_((limit / (norm + 1e-6)).clamp(max=1.0)[:, None])
    return norm


def decayed(spec: ModelSpec, device: torch.device) -> torch.Tensor:
    """1 for the entries of weight matrices, 0 for norms, biases and smear scalars: [parameter]."""
    return torch.cat(
        [
            torch.full((math.prod(shape),), float(".W_" in name), device=device)
            for name, shape in parameter_shapes(spec).items()
        ]
    )


class Ensemble:
    """Replicas of one model being trained: parameters, gradients, optimiser, and what has happened so far."""

    def __init__(
        self,
        model: ModelSpec,
        spec: TrainSpec,
        seeds: tuple[int, ...],
        device: torch.device,
        rates: tuple[float, ...] | None = None,
        task: Task | None = None,
    ):
        self.model, self.spec, self.seeds, self.device = model, spec, seeds, device
        self.task = task or Task()
        start = self.task.start
        self.flat = (Transformer.create(model, seeds).flat if start is None else start.clone()).to(device)
        self.grad = torch.zeros_like(self.flat)
        self.free = None if self.task.frozen is None else (~self.task.frozen).float().to(device)
        weights = decayed(model, device) if self.free is None else decayed(model, device) * self.free
        self.optimizer = Adam(
            spec, self.flat, weights, torch.tensor(rates or [1.0] * len(seeds), device=device)
        )
        self.compiled = spec.compile == "auto" and compiler_found()
        self.at_once = self._at_once()
        self.vectors = None if self.task.vectors is None else self.task.vectors.to(device)
        self.parts = [
            (part, Transformer(model, self.flat[part], self.grad[part], self.vectors))
            for part in (slice(i, i + self.at_once) for i in range(0, len(seeds), self.at_once))
        ]
        self.losses = self._losses
        if self.compiled:
            self.losses = torch.compile(self._losses, dynamic=False)
            self.optimizer.update = torch.compile(self.optimizer.update, dynamic=False)
        self.done = 0
        self.trained = Trained(
            [],
            [],
            *(np.full((spec.steps, len(seeds)), np.nan, np.float32) for _ in range(2)),
            np.full(len(seeds), -1),
        )

    def _at_once(self) -> int:
        if self.device.type != "cpu":
            return len(self.seeds)
        limit = max(1, min(len(self.seeds), CPU_TOKENS_AT_ONCE // (self.spec.batch * self.model.n_context)))
        if not self.compiled:
            return limit
        # equal parts: a compiled update is built for one size
        return max(n for n in range(1, limit + 1) if len(self.seeds) % n == 0)

    def _losses(
        self, part: Transformer, rows: torch.Tensor, settings: Settings
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Loss of each replica and what is minimised, [r] each, on rows [r, b, entry]."""
        tape = self.task.clamps.tape(rows, settings) if self.task.clamps else None
        last, tokens = self.task.predicts == "last", rows[..., : self.model.n_context + 1]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.precision == "bf16"):
            logits = part(tokens[..., :-1], tape, last=last)
        loss = cross_entropy(logits.float(), tokens[..., -1:] if last else tokens[..., 1:]).mean(dim=(1, 2))
        penalty = self.task.clamps.penalty(rows, settings, tape) if self.task.clamps else None
        return loss, loss if penalty is None else loss + penalty

    def update(self, rows: torch.Tensor) -> None:
        """One update of every replica from `rows` [replica, batch, entry]."""
        self.grad.zero_()
        losses = []
        settings = self.task.clamps.settings(self.done) if self.task.clamps else {}
        for part, model in self.parts:
            here = {key: value[part] for key, value in settings.items()}
            loss, minimised = self.losses(model, rows[part], here)
            minimised.sum().backward()
            losses.append(loss.detach())
        if self.free is not None:
            self.grad.mul_(self.free)
        loss, norm = torch.cat(losses), clip(self.grad, self.spec.clip)
        self.optimizer.step(self.grad, self.done)
        self.trained.loss[self.done] = loss.cpu()
        self.trained.grad_norm[self.done] = norm.cpu()
        self._guard(self.trained.loss[self.done])
        self.done += 1

    def _guard(self, loss: np.ndarray) -> None:
        """Mark replicas whose loss is no longer finite, and let nothing of them pass for a number."""
        lost = ~np.isfinite(loss)
        new = lost & (self.trained.diverged < 0)
        for replica in np.flatnonzero(new):
            print(
                f"seed {self.seeds[replica]}: the loss is {loss[replica]} at step {self.done}; this replica is marked as diverged",
                flush=True,
            )
        self.trained.diverged[new] = self.done
        if lost.any():
            self.flat[torch.from_numpy(lost).to(self.device)] = math.nan

    def snapshot(self) -> None:
        self.trained.steps.append(self.done)
        self.trained.snapshots.append(self.flat.cpu().numpy().copy())

    def save(self, path: Path) -> None:
        """Everything needed to go on, written beside and renamed."""
        beside = path.with_name(path.name + ".part")
        state = {
            "flat": self.flat,
            "optimizer": self.optimizer.state(),
            "done": self.done,
            "trained": vars(self.trained),
        }
        torch.save(state, beside)
        os.replace(beside, path)

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=False)
        with torch.no_grad():
            self.flat.copy_(state["flat"])
        self.optimizer.load(state["optimizer"])
        self.done, self.trained = state["done"], Trained(**state["trained"])


def compiler_found() -> bool:
    """Whether torch.compile can build for the CPU here: it needs a C++ compiler."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))


def train(
    model: ModelSpec,
    spec: TrainSpec,
    batches: Batches,
    device: torch.device,
    state: Path | None = None,
    save_seconds: float = 30.0,
    hooks: Mapping[int, Hook] | None = None,
    progress: Callable[[int, str], None] = lambda step, note: None,
    task: Task | None = None,
) -> Trained:
    """Train one ensemble and return its snapshots and traces.

    `model` must be complete (vocabulary and context filled in). With `state`, progress is kept in that file
    every `save_seconds`, and an existing file is continued from, to the same bits as an uninterrupted run on the
    same device, threads and chunking. `hooks[step]` is called with (step, whole ensemble) after that many updates.

    Raises HeadworksError if memory runs out, naming the keys to lower.
    """
    if spec.precision == "bf16" and device.type != "cuda":
        raise HeadworksError(
            "train.precision: 'bf16' needs CUDA, but this run is on the CPU; allowed here: float32"
        )
    ensemble = Ensemble(model, spec, batches.seeds, device, task=task)
    if spec.compile == "auto" and not ensemble.compiled:
        print(
            "train.compile: no C++ compiler found; going on without torch.compile, about a sixth slower",
            flush=True,
        )
    if state and state.exists():
        ensemble.load(state)
        print(f"continuing from step {ensemble.done} of {spec.steps}", flush=True)
    try:
        _loop(ensemble, batches, state, save_seconds, hooks or {}, progress)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise HeadworksError(
            f"out of memory while training ({error}). Lower train.batch ({spec.batch}), the number of seeds "
            f"({len(batches.seeds)}) or the dataset's n_context ({model.n_context}); progress up to the last save is kept."
        ) from error
    ensemble.trained.manifest = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "replicas_at_once": ensemble.at_once,
        "compiled": int(ensemble.compiled),
    }
    return ensemble.trained


def out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out: torch has a class for it on CUDA only."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


def _loop(ensemble: Ensemble, batches: Batches, state, save_seconds, hooks, progress) -> None:
    spec, saved = ensemble.spec, time.monotonic()
    snapshots = set(spec.snapshots.steps(spec.steps))
    whole = Transformer(ensemble.model, ensemble.flat, vectors=ensemble.vectors)
    while True:
        step = ensemble.done
        if step in snapshots and step not in ensemble.trained.steps:
            ensemble.snapshot()
        if step in hooks:
            hooks[step](step, whole)
        if step == spec.steps:
            return
        ensemble.update(torch.from_numpy(batches.at(step)).to(ensemble.device, non_blocking=True))
        if state and time.monotonic() - saved > save_seconds:
            ensemble.save(state)
            saved = time.monotonic()
        progress(ensemble.done, f"loss {np.nanmean(ensemble.trained.loss[step]):.3f}")
