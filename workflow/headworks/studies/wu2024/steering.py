"""Interventions on the last three states of a context: which prompts, what is written, and what is then answered.

A prompt of task s and input x is given a target task q. States are named by layer: 0 is the embedding, l the
residual stream after block l, which is what enters the next block; the last layer is what the final norm reads.
Nothing before the last three positions is written to, so its keys and values are those of the intact pass and
only the three positions run again.

Letters as in model.py, with p one of the three positions, n one of several choices of them, c a class.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.layers import linear, position_table, unseen_keys
from headworks.measures.clustering import linear_probe
from headworks.model import Transformer
from headworks.tape import Tape

STEERED = 3
AT_ONCE = 8192
"""Sequences times replicas of one pass."""
DIRECTION_ROLE = 32
NEGLIGIBLE = 1e-5
"""Directions along which classes differ by less than this share of what they are do not count."""
OUTCOMES = ("switch", "stay", "other", "changed")


@dataclass(frozen=True)
class Prompts:
    """Contexts to steer, [b, ...] each."""

    contexts: Tensor
    """[b, t] tokens."""
    donors: Tensor
    """[b, t]: contexts of the target task with the same input."""
    task: Tensor
    target: Tensor
    stay: Tensor
    """Token that the prompt's own task answers."""
    switch: Tensor
    """Token that the target task answers."""
    other_regex: Tensor
    """Another regular expression of the own task, -1 if there is none."""
    permuted: Tensor
    """Task of the regular expression after the permutation that breaks tasks."""
    other_permuted: Tensor
    """Another such task."""

    def __len__(self) -> int:
        return len(self.contexts)

    def where(self, chosen: Tensor) -> "Prompts":
        """Those for which chosen, bool [b], is true."""
        return self if chosen.all() else Prompts(*(part[chosen] for part in vars(self).values()))


@dataclass(frozen=True)
class Known:
    """Trained sequences that centroids are taken of, [m, ...] each, and how many classes there are."""

    contexts: Tensor
    task: Tensor
    regex: Tensor
    permuted: Tensor
    n_tasks: int
    n_regexes: int
    """Of all tasks together."""


@dataclass(frozen=True)
class Layer:
    """States of one layer at the three positions, [r, b or m, p, d], and whose they are."""

    own: Tensor
    donors: Tensor
    trained: Tensor
    known: Known
    seed: int

    def tasks(self) -> Tensor:
        """[r, c, p, d]."""
        return centroids(self.trained, self.known.task, self.known.n_tasks)

    def permuted(self) -> Tensor:
        """[r, c, p, d]."""
        return centroids(self.trained, self.known.permuted, self.known.n_tasks)

    def regexes(self) -> Tensor:
        """[r, c, p, d]."""
        return centroids(self.trained, self.known.regex, self.known.n_regexes)


Edit = Callable[[Layer, Prompts], Tensor]
"""What the three states [r, b, p, d] become."""


# Passes


@dataclass(frozen=True)
class Context:
    """What an intact pass leaves: all that a pass over the last three positions needs."""

    states: list[Tensor]
    """By layer, [r, b, p, d]."""
    keys: list[Tensor]
    """By block, of earlier positions, [r, b, g, t - 3, e]."""
    values: list[Tensor]
    answers: Tensor
    """Most likely token, [r, b]."""


def read_context(model: Transformer, contexts: Tensor) -> Context:
    """An intact pass over contexts [b, t]. Raises HeadworksError for smeared keys or values."""
    spec = model.spec
    if spec.smear:
        raise HeadworksError(
            f"steering: the model smears {spec.smear.of}, which the last three positions alone do not give; "
            "allowed: a model without smear"
        )
    sites, blocks = _state_sites(spec.n_layers), range(spec.n_layers)
    record = dict.fromkeys(sites, lambda x: x[:, :, -STEERED:].clone())
    for part in "kv":
        record |= dict.fromkeys(
            (f"blocks.{l}.attn.{part}" for l in blocks), lambda x: x[..., :-STEERED, :].clone()
        )
    tape = Tape(record=record, detach=True)
    logits = model(contexts, tape)[:, :, -1]
    keys, values = ([tape[f"blocks.{l}.attn.{part}"] for l in blocks] for part in "kv")
    return Context([tape[site] for site in sites], keys, values, logits.argmax(-1))


def last_states(model: Transformer, contexts: Tensor) -> list[Tensor]:
    """By layer, the states [r, b, p, d] of contexts [b, t], a few at a time."""
    sites, parts = _state_sites(model.spec.n_layers), []
    for part in contexts.split(max(1, AT_ONCE // model.n_replicas)):
        tape = Tape(record=dict.fromkeys(sites, lambda x: x[:, :, -STEERED:].clone()), detach=True)
        model(part, tape)
        parts.append([tape[site] for site in sites])
    return [torch.cat(states, 1) for states in zip(*parts, strict=True)]


def _state_sites(n_layers: int) -> list[str]:
    return ["blocks.0.resid_pre"] + [f"blocks.{l}.resid_post" for l in range(n_layers)]


def answers(model: Transformer, context: Context, layer: int, written: Tensor) -> Tensor:
    """Most likely token [r, n, b] when the states of `layer` are `written` [r, n, b, p, d] in place of their own.

    Equals a whole pass with an override at blocks.{layer}.resid_pre or, at the top, of what the final norm reads.
    """
    x = written.flatten(1, 2)
    for l in range(layer, model.spec.n_layers):
        x = _block(model, context, l, x)
    return model.unembed(x[:, :, -1:])[:, :, 0].argmax(-1).unflatten(1, written.shape[1:3])


def _block(model: Transformer, context: Context, l: int, x: Tensor) -> Tensor:
    """Block l on the last three positions [r, n b, p, d]; of the last block only the last position."""
    spec, named, name = model.spec, model.named(), f"blocks.{l}.attn"
    table = position_table(spec, context.keys[l].shape[3] + STEERED, x)
    here = None if table is None else table[..., -STEERED:, :]
    q, k, v = model.project(l, model.normalized(x), here)
    if l == spec.n_layers - 1:
        q, x = q[..., -1:, :], x[:, :, -1:]
    z = _attend(q, k, v, context.keys[l], context.values[l], spec.barrier)
    out = linear(z.transpose(2, 3).flatten(3), named[f"{name}.W_O"].flatten(1, 2))
    if spec.bias:
        out = out + named[f"{name}.b_O"][:, None, None]
    if not spec.d_mlp:
        return x + out
    if spec.parallel:
        return x + out + model.mlp(l, x)
    return x + out + model.mlp(l, x + out)


def _attend(
    q: Tensor, k: Tensor, v: Tensor, k_before: Tensor, v_before: Tensor, barrier: int | None
) -> Tensor:
    """z [r, n b, h, q, e] of the last queries, with own keys and values [r, n b, g, p, e] and the earlier ones
    [r, b, g, t - 3, e], which all n share."""
    heads, b = q.shape[2], k_before.shape[1]
    k, v, k_before, v_before = (
        y.repeat_interleave(heads // y.shape[2], 2) for y in (k, v, k_before, v_before)
    )
    before = k_before.shape[3]
    q = q * q.shape[-1] ** -0.5
    early = torch.einsum("rnbhqe,rbhke->rnbhqk", q.unflatten(1, (-1, b)), k_before).flatten(1, 2)
    late = (q.unsqueeze(-2) * k.unsqueeze(-3)).sum(-1)
    scores = torch.cat([early, late], -1)
    unseen = unseen_keys(q.shape[3], before + STEERED, barrier, q.device)
    pattern = scores.masked_fill(unseen, -torch.inf).softmax(-1)
    early, late = pattern[..., :before], pattern[..., before:]
    z = torch.einsum("rnbhqk,rbhke->rnbhqe", early.unflatten(1, (-1, b)), v_before).flatten(1, 2)
    return z + (late.unsqueeze(-1) * v.unsqueeze(-3)).sum(-2)


# Centroids and directions


def centroids(states: Tensor, labels: Tensor, n: int) -> Tensor:
    """Mean state of each of n classes, [r, c, p, d], of states [r, m, p, d] with labels [m]; NaN of no states."""
    total = states.new_zeros(len(states), n, *states.shape[2:]).index_add_(1, labels, states)
    return total / torch.bincount(labels, minlength=n)[:, None, None]


def basis(vectors: Tensor, floor: Tensor) -> Tensor:
    """Orthonormal rows that span vectors [..., k, d], then rows of zeros; what is smaller than floor [...] is zero."""
    _, size, directions = torch.linalg.svd(vectors.double(), full_matrices=False)
    return (directions * (size > floor[..., None])[..., None]).to(vectors)


def task_basis(tasks: Tensor) -> Tensor:
    """[r, p, k, d]: what the centroids [r, c, p, d] of tasks differ along."""
    by_position = tasks.transpose(1, 2)
    differences = by_position - by_position.mean(2, keepdim=True)
    return basis(differences, NEGLIGIBLE * by_position.flatten(2).norm(dim=-1))


def probe_basis(states: Tensor, labels: Tensor) -> Tensor:
    """[r, p, k, d]: span of the weights of a linear probe for labels [m], fitted to states [r, m, p, d]."""
    weights = torch.stack(
        [
            torch.stack([_probe_weights(one, labels) for one in replica.unbind(1)])
            for replica in states.double().unbind(0)
        ]
    )
    return basis(weights, NEGLIGIBLE * weights.flatten(2).norm(dim=-1)).to(states)


def _probe_weights(states: Tensor, labels: Tensor) -> Tensor:
    """What the probe multiplies states [m, d] by, [k, d]: its own weights are for standardised states."""
    scaler, regression = linear_probe(states.numpy(), labels.numpy())
    return torch.from_numpy(regression.coef_ / scaler.scale_)


def random_basis(like: Tensor, seed: int) -> Tensor:
    """As many random orthonormal rows as `like` [r, p, k, d] has; the same in every replica."""
    generator = torch.Generator().manual_seed(DIRECTION_ROLE * 1_000_003 + seed)
    drawn = torch.randn(like.shape[1:], generator=generator, dtype=torch.float64)
    rows = torch.linalg.qr(drawn.transpose(1, 2)).Q.transpose(1, 2).to(like)
    return rows * like.any(-1, keepdim=True)


def component(x: Tensor, rows: Tensor) -> Tensor:
    """The part of x [r, b, p, d] that lies in the span of orthonormal rows [r, p, k, d]."""
    return torch.einsum("rbpk,rpkd->rbpd", torch.einsum("rbpd,rpkd->rbpk", x, rows), rows)


# What is written


def replace(at: Layer, prompts: Prompts) -> Tensor:
    """The target task's centroid."""
    return at.tasks()[:, prompts.target]


def shift(at: Layer, prompts: Prompts) -> Tensor:
    """The own state and the target task's centroid less the own task's."""
    return at.own + _difference(at, prompts)


def interchange(at: Layer, prompts: Prompts) -> Tensor:
    """The state of a sequence of the target task with the same input."""
    return at.donors


def same_task(at: Layer, prompts: Prompts) -> Tensor:
    """The centroid of another regular expression of the own task."""
    return at.regexes()[:, prompts.other_regex]


def random(at: Layer, prompts: Prompts) -> Tensor:
    """A shift of the same length in a random direction, one a prompt and position."""
    generator = torch.Generator().manual_seed(DIRECTION_ROLE * 1_000_003 + at.seed)
    drawn = torch.randn(at.own.shape[1:], generator=generator, dtype=torch.float64)
    length = _difference(at, prompts).norm(dim=-1, keepdim=True)
    return at.own + length * F.normalize(drawn, dim=-1).to(at.own)


def partition(at: Layer, prompts: Prompts) -> Tensor:
    """A shift between the centroids of sets of regular expressions drawn without regard to tasks."""
    means = at.permuted()
    return at.own + means[:, prompts.other_permuted] - means[:, prompts.permuted]


def orthogonal(at: Layer, prompts: Prompts) -> Tensor:
    """A shift without what a linear probe for the task reads."""
    moved = _difference(at, prompts)
    return at.own + moved - component(moved, probe_basis(at.trained, at.known.task))


def erase(at: Layer, prompts: Prompts) -> Tensor:
    """Along what task centroids differ in, their mean; elsewhere the own state."""
    return _erased(at, task_basis(at.tasks()))


def erase_random(at: Layer, prompts: Prompts) -> Tensor:
    """As `erase`, along as many random directions."""
    return _erased(at, random_basis(task_basis(at.tasks()), at.seed))


def interpolate(alpha: float) -> Edit:
    """The point (1 - alpha) mu_s + alpha mu_q between the centroids of own and target task."""

    def between(at: Layer, prompts: Prompts) -> Tensor:
        means = at.tasks()
        return (1 - alpha) * means[:, prompts.task] + alpha * means[:, prompts.target]

    return between


def _difference(at: Layer, prompts: Prompts) -> Tensor:
    means = at.tasks()
    return means[:, prompts.target] - means[:, prompts.task]


def _erased(at: Layer, rows: Tensor) -> Tensor:
    return at.own - component(at.own - at.tasks().mean(1, keepdim=True), rows)


# Outcomes


@torch.inference_mode()
def outcomes(
    model: Transformer,
    prompts: Prompts,
    known: Known,
    edits: Mapping[str | float, Edit],
    layers: Sequence[int],
    masks: Tensor,
    seed: int = 0,
) -> dict[tuple[int, str | float], dict[str, np.ndarray]]:
    """(layer, edit) to switch, stay, other and changed, [r, n] each, for masks bool [n, p] of the positions written to.

    NaN for replicas whose parameters are not finite, and without prompts.
    """
    if not len(prompts):
        nothing = np.full((model.n_replicas, len(masks)), np.nan)
        return {(l, name): dict.fromkeys(OUTCOMES, nothing) for l in layers for name in edits}
    size = max(1, AT_ONCE // (len(prompts) * len(masks)))
    parts = [
        _of_replicas(
            Transformer(model.spec, flat, vectors=model.vectors), prompts, known, edits, layers, masks, seed
        )
        for flat in model.flat.split(size)
    ]
    return {
        key: {name: np.concatenate([part[key][name] for part in parts]) for name in OUTCOMES}
        for key in parts[0]
    }


def _of_replicas(model, prompts, known, edits, layers, masks, seed):
    lost = ~model.flat.isfinite().all(1)
    model = Transformer(model.spec, model.flat.masked_fill(lost[:, None], 0), vectors=model.vectors)
    context, donors = read_context(model, prompts.contexts), last_states(model, prompts.donors)
    trained = last_states(model, known.contexts)
    found = {}
    for l in layers:
        at = Layer(context.states[l], donors[l], trained[l], known, seed)
        for name, edit in edits.items():
            written = torch.where(masks[:, None, :, None], edit(at, prompts)[:, None], at.own[:, None])
            shares = scores(answers(model, context, l, written), context.answers, prompts)
            found[l, name] = {
                key: np.where(lost.numpy()[:, None], np.nan, share) for key, share in shares.items()
            }
    return found


def scores(found: Tensor, intact: Tensor, prompts: Prompts) -> dict[str, np.ndarray]:
    """Shares of prompts, [r, n] each, from most likely tokens [r, n, b], and [r, b] of the intact pass.

    switch: f_q(x); stay: f_s(x); other: neither; changed: not what the intact network answers.
    """
    switch, stay = found == prompts.switch, found == prompts.stay
    each = {"switch": switch, "stay": stay, "other": ~(switch | stay), "changed": found != intact[:, None]}
    return {name: value.double().mean(-1).numpy() for name, value in each.items()}
