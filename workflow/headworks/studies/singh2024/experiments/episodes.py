"""What the experiments on trained networks share: the training sequences in pieces, scores, and passes in
parts.

Only the query, the last position, is scored, and layer 2 is the last: there the residual stream is a sum of
what its heads write and the rest, so that one pass serves every choice of heads. Sequences that begin alike
share what the network makes of their beginnings. Networks are taken as they are: nothing that was clamped
in training is.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.layers import position_table
from headworks.model import Transformer
from headworks.studies.singh2024.clamps import LABELS, correct_label
from headworks.studies.singh2024.datasets import N_CONTEXT

AT_ONCE = 2048
"""Sequences times replicas of one pass."""
GOLDEN = (math.sqrt(5) - 1) / 2
ENDS = {"first": 0, "last": -1}
"""Snapshots by name: the untrained network is the control of the trained."""


def require_two_layers(kind: str, run) -> None:
    """Raises HeadworksError unless the run's model has two layers of attention and nothing else."""
    spec = run.model_spec
    if spec.n_layers != 2 or spec.d_mlp or spec.smear:
        raise HeadworksError(
            f"experiment {kind}: run {run.name} has n_layers {spec.n_layers}, d_mlp {spec.d_mlp} and smear "
            f"{spec.smear}; allowed: 2 layers of attention without MLP or smear, whose heads add up."
        )


def identified(frame: pd.DataFrame, run, **about) -> pd.DataFrame:
    """The frame with run, condition, seed and what else is given as its first columns, in place of
    `replica`."""
    who = frame["replica"].to_numpy()
    first = {"run": run.name, "condition": np.array(run.conditions)[who], "seed": np.array(run.seeds)[who]}
    return pd.concat([pd.DataFrame(first | about, index=frame.index), frame.drop(columns="replica")], axis=1)


def training_rows(dataset, examples: int | None) -> Tensor:
    """All training sequences, [n, 6], or `examples` of them, evenly spread; in lexicographic order.

    Even strides would favour what shares a divisor with them, such as one side for the match. A stride next
    to the golden section and coprime to n spreads over every index of the enumeration, however many rows
    are taken.
    """
    rows = dataset.train
    n = len(rows)
    if examples is not None and examples < n:
        stride = next(s for s in range(round(GOLDEN * n), 2 * n) if math.gcd(s, n) == 1)
        rows = rows[np.arange(examples) * stride % n]
    return torch.from_numpy(rows[np.lexsort(rows.T[::-1])].astype(np.int64))


def pieces(rows: Tensor, n_replicas: int) -> Iterator[Tensor]:
    """Rows [n, 6] a few at a time, fewer the more replicas there are."""
    yield from rows.split(max(1, AT_ONCE // n_replicas))


def means(rows: Tensor, n_replicas: int, measure: Callable[[Tensor], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Means over rows [n, 6] of what `measure` sums over a piece: name to [r, ...]."""
    totals: dict[str, Tensor] = {}
    for piece in pieces(rows, n_replicas):
        for name, value in measure(piece).items():
            totals[name] = totals.get(name, 0) + value.double()
    return {name: total / len(rows) for name, total in totals.items()}


# Scores


def label_order(rows: Tensor, model: Transformer) -> Tensor:
    """Outputs [b, v] for rows [b, 6]: the target, the other label of the context, then those not in the
    context."""
    target = rows[:, -1:]
    other = rows[:, list(LABELS)].sum(1, keepdim=True) - target
    outputs = torch.arange(model.spec.d_out or model.spec.d_vocab, device=rows.device).expand(len(rows), -1)
    return torch.where(outputs == target, -2, torch.where(outputs == other, -1, outputs)).argsort(-1)


def in_order(logits: Tensor, order: Tensor) -> Tensor:
    """Logits [r, b, n, v] as [v, r, b, n], in the order [b, v] of `label_order`."""
    return logits.gather(-1, order[None, :, None].expand_as(logits)).movedim(-1, 0)


def scores(logits: Tensor) -> dict[str, Tensor]:
    """Of logits [v, ...] in the order of `label_order`, each [...]: loss (nats), accuracy (1 or 0; a tie is
    an error), context_accuracy (among the two labels of the context; a tie is half) and log_odds of the
    target to the other label of the context (nats). NaN where a logit is: a diverged replica is not wrong, it
    has no score."""
    target, other, rival = logits[0], logits[1], logits[1:].amax(0)
    highest = torch.maximum(target, rival)
    loss = (logits - highest).exp().sum(0).log() + highest - target
    undefined = loss.isnan()
    return {
        "loss": loss,
        "accuracy": (target > rival).float().masked_fill_(undefined, torch.nan),
        "context_accuracy": ((target - other).sign_() + 1).div_(2).masked_fill_(undefined, torch.nan),
        "log_odds": target - other,
    }


def other_label_chosen(logits: Tensor) -> Tensor:
    """Whether the context's other label has the highest of logits [v, ...] in the order of `label_order`."""
    return logits[1] > torch.maximum(logits[0], logits[2:].amax(0))


def strength(pattern: Tensor, rows: Tensor) -> Tensor:
    """Attention of the query to the correct label less that to the wrong one (Singh 2024, sec. 3): [r, b, h].

    pattern [r, b, k, h] is the query's.
    """
    right = correct_label(rows)
    labels = torch.zeros_like(right)
    labels[:, list(LABELS)] = True
    return torch.einsum("rbkh,bk->rbh", pattern, right.float() - (labels & ~right).float())


# The network over distinct prefixes


@dataclass(frozen=True)
class Prefixes:
    """The distinct beginnings of rows: what a causal network does at a position depends on nothing else.

    Numbered by length, then as they come in the rows, N in all; the last b are the rows' own.
    """

    tokens: Tensor
    """[N]: the last token of each."""
    positions: Tensor
    """[N]: the position of that token."""
    beginnings: list[Tensor]
    """By position, [prefix, position + 1]: the numbers of the beginnings of each prefix, itself the last."""

    @property
    def starts(self) -> list[int]:
        """By position, the number of the first prefix."""
        return [int(beginnings[0, -1]) for beginnings in self.beginnings]

    @property
    def of_rows(self) -> Tensor:
        """[b, t]: the numbers of the beginnings of each row."""
        return self.beginnings[-1]


def prefixes(rows: Tensor) -> Prefixes:
    """Of rows [b, 6] in lexicographic order, without the targets."""
    context = rows[:, :-1]
    n, t = context.shape
    new = torch.ones(n, t, dtype=torch.bool, device=rows.device)
    new[1:] = (context[1:] != context[:-1]).cumsum(1) > 0
    new[:, -1] = True
    counts = new.sum(0)
    numbers = new.cumsum(0) - 1 + counts.cumsum(0) - counts
    return Prefixes(
        tokens=torch.cat([context[new[:, i], i] for i in range(t)]),
        positions=torch.arange(t, device=rows.device).repeat_interleave(counts),
        beginnings=[numbers[new[:, i], : i + 1] for i in range(t)],
    )


@dataclass(frozen=True)
class Read:
    """What a layer makes of the normalised residual stream at one position, as affine maps: weights [r, d,
    n] and constants [r, 1, n]. Rotation is linear, so it is in them."""

    queries: tuple[Tensor, Tensor]
    """Constant and weight to all heads' queries, n = h e."""
    keys_values: tuple[Tensor, Tensor]
    """To all heads' keys, then their values, n = 2 h e."""


@dataclass(frozen=True)
class Network:
    """A model, and what of it no sequence changes."""

    model: Transformer
    embeddings: Tensor
    """[r, token, d]"""
    reads: list[list[Read]]
    """By layer and position."""


def network(model: Transformer) -> Network:
    """Of a model of two layers without smear."""
    return Network(model, model.embedding_table(), [_reads(model, l) for l in range(model.spec.n_layers)])


def _reads(model: Transformer, l: int) -> list[Read]:
    """Found by showing the layer each direction of the residual stream, and none, at every position."""
    spec, t = model.spec, N_CONTEXT
    shown = torch.cat([torch.eye(spec.d_model), torch.zeros(1, spec.d_model)]).to(model.flat)
    shown = shown[:, None].expand(model.n_replicas, -1, t, -1)
    q, k, v = model.project(l, shown, position_table(spec, t, shown))
    k, v = (x.repeat_interleave(spec.n_heads // spec.kv_heads, 2) for x in (k, v))

    def affine(found: Tensor, position: int) -> tuple[Tensor, Tensor]:
        at = found[:, :, :, position].flatten(2)
        return at[:, -1:], at[:, :-1] - at[:, -1:]

    return [Read(affine(q, i), affine(torch.cat([k, v], 2), i)) for i in range(t)]


@dataclass(frozen=True)
class FirstLayer:
    """Layer 1 of an intact network."""

    embed: Tensor
    """[r, N, d]: the residual stream without what the heads write."""
    z: Tensor
    """[r, N, h, e]: the values that each head mixes, by its pattern."""
    previous: Tensor
    """[r, b, 2, h]: attention from each label to the token before it."""


def first_layer(net: Network, of: Prefixes) -> FirstLayer:
    """One pass over the prefixes."""
    named, spec = net.model.named(), net.model.spec
    embed = net.embeddings[:, of.tokens]
    if spec.positions == "learned":
        embed = embed + named["pos_embed.W_pos"][:, of.positions]
    normed = _by_position(net, embed, of)
    keys_values = _keys_values(net, 0, normed)
    mixed, previous = [], []
    for position, beginnings in enumerate(of.beginnings):
        k, v = _at(keys_values, beginnings)
        pattern = _pattern(_queries(net, 0, normed, position), k)
        mixed.append(mix(pattern, v))
        if position in LABELS:
            own = of.of_rows[:, position] - of.starts[position]
            previous.append(pattern[:, own, position - 1])
    bias = named["blocks.0.attn.b_O"][:, None] if spec.bias else 0.0
    return FirstLayer(embed + bias, torch.cat(mixed, 1), torch.stack(previous, 2))


def stream(net: Network, first: FirstLayer, heads: Tensor | None = None) -> Tensor:
    """The residual stream between the layers, [r, N, d]: all heads of layer 1, or those of a mask [r, h]."""
    z = first.z if heads is None else first.z * heads[:, None, :, None]
    return torch.baddbmm(first.embed, z.flatten(2), net.model.named()["blocks.0.attn.W_O"].flatten(1, 2))


def second_layer(net: Network, resid: Tensor, of: Prefixes) -> tuple[Tensor, Tensor]:
    """What layer 2 makes of a residual stream [r, N, d]: the pattern of each row's query, [r, b, k, h], and
    the values it finds, [r, b, k, h, e]."""
    normed = _by_position(net, resid, of)
    k, v = _at(_keys_values(net, 1, normed), of.of_rows)
    return _pattern(_queries(net, 1, normed, -1), k), v


def without_heads(net: Network, resid: Tensor, of: Prefixes) -> Tensor:
    """The query at the end if no head of layer 2 writes, from what enters the layer: [r, N, d] to [r, b,
    d]."""
    last = resid[:, of.starts[-1] :]
    return last + net.model.named()["blocks.1.attn.b_O"][:, None] if net.model.spec.bias else last


def mix(pattern: Tensor, values: Tensor) -> Tensor:
    """Values [r, b, k, h, e] weighted by a pattern [r, b, k, h]: [r, b, h, e]."""
    return (pattern[..., None] * values).sum(2)


def written(net: Network, z: Tensor) -> Tensor:
    """What each head of layer 2 writes of mixed values [r, b, h, e]: [r, b, h, d]."""
    return torch.einsum("rbhe,rhed->rbhd", z, net.model.named()["blocks.1.attn.W_O"])


def written_together(net: Network, z: Tensor) -> Tensor:
    """What all heads of layer 2 write: [r, b, h, e] to [r, b, d]."""
    return z.flatten(2) @ net.model.named()["blocks.1.attn.W_O"].flatten(1, 2)


def _by_position(net: Network, resid: Tensor, of: Prefixes) -> tuple[Tensor, ...]:
    """The normalised residual stream [r, N, d] at the prefixes of each length."""
    return net.model.normalized(resid).split([len(beginnings) for beginnings in of.beginnings], 1)


def _queries(net: Network, l: int, normed: Sequence[Tensor], position: int) -> Tensor:
    """[r, b, h, e]."""
    constant, weight = net.reads[l][position].queries
    return torch.baddbmm(constant, normed[position], weight).unflatten(2, (net.model.spec.n_heads, -1))


def _keys_values(net: Network, l: int, normed: Sequence[Tensor]) -> Tensor:
    """[r, N, 2, h, e]."""
    parts = [
        torch.baddbmm(read.keys_values[0], x, read.keys_values[1])
        for read, x in zip(net.reads[l], normed, strict=True)
    ]
    return torch.cat(parts, 1).unflatten(2, (2, net.model.spec.n_heads, -1))


def _at(keys_values: Tensor, numbers: Tensor) -> tuple[Tensor, ...]:
    """Keys and values of numbered prefixes [b, k], [r, b, k, h, e] each."""
    return keys_values.index_select(1, numbers.flatten()).unflatten(1, numbers.shape).unbind(3)


def _pattern(q: Tensor, k: Tensor) -> Tensor:
    """Attention of queries [r, b, h, e] to keys [r, b, k, h, e]: [r, b, k, h]."""
    return ((q[:, :, None] * k).sum(-1) * q.shape[-1] ** -0.5).softmax(2)


# Logits


def _readout(model: Transformer) -> tuple[Tensor, Tensor]:
    """Weight [r, d, v] and constant [r, v] of the unembedding with scale and shift of the final norm in
    them."""
    spec, named = model.spec, model.named()
    weight = named["embed.W_E"].transpose(1, 2) if spec.tied else named["unembed.W_U"]
    constant = named["unembed.b_U"] if spec.end_biases else weight.new_zeros(len(weight), weight.shape[2])
    if "ln_final.b" in named:
        constant = constant + (named["ln_final.b"][:, None] @ weight).squeeze(1)
    if "ln_final.w" in named:
        weight = named["ln_final.w"][:, :, None] * weight
    return weight, constant


def _centred(model: Transformer, parts: Tensor) -> Tensor:
    """Parts [..., d] of what the final norm reads, less their mean if that is what it subtracts."""
    return parts - parts.mean(-1, keepdim=True) if model.spec.norm == "layernorm" else parts


def _scaled(model: Transformer, sums: Tensor, squares: Tensor, constant: Tensor, order: Tensor) -> Tensor:
    """Logits [v, r, b, n] of unembedded sums [v, r, b, n] of which `squares` [r, b, n] are the squared
    norms."""
    if model.spec.norm != "none":
        sums = sums * (squares / model.spec.d_model + model.spec.norm_eps).rsqrt()
    return sums + in_order(constant[:, None, None].expand(-1, len(order), -1, -1), order)


def logits_of_sums(model: Transformer, parts: Tensor, choices: Tensor, order: Tensor) -> Tensor:
    """Logits [v, r, b, n], in `order` [b, v], of n weighted sums of parts [r, b, p, d] by choices [n, p].

    The unembedding of a sum is the sum of unembeddings, and its squared norm a quadratic form of the parts'
    products: neither the sums nor their norms are made, so that all subsets of heads cost little more than
    one.
    """
    weight, constant = _readout(model)
    parts = _centred(model, parts)
    sums = in_order(parts @ weight[:, None], order) @ choices.T
    pairs = (choices[:, :, None] * choices[:, None]).flatten(1)
    squares = (parts @ parts.transpose(-1, -2)).flatten(2) @ pairs.T
    return _scaled(model, sums, squares, constant, order)


def logits_of_each(net: Network, rest: Tensor, z: Tensor, order: Tensor) -> Tensor:
    """Logits [v, r, b, h], in `order` [b, v], of rest [r, b, d] and one head of layer 2 each, which writes
    of mixed values z [r, b, h, e]. As `logits_of_sums`, but in the e dimensions of a head."""
    weight, constant = _readout(net.model)
    rest, w_o = (_centred(net.model, x) for x in (rest, net.model.named()["blocks.1.attn.W_O"]))
    own = torch.einsum("rbhe,rhev->rbhv", z, w_o @ weight[:, None])
    cross = (rest @ w_o.flatten(1, 2).transpose(1, 2)).unflatten(2, z.shape[2:])
    square = torch.einsum("rbhe,rhef->rbhf", z, w_o @ w_o.transpose(-1, -2))
    squares = (z * (2 * cross + square)).sum(-1) + rest.square().sum(-1, keepdim=True)
    return _scaled(net.model, in_order(own + (rest @ weight)[:, :, None], order), squares, constant, order)
