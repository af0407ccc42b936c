"""Models wired by hand, whose heads are known exactly: the measures are tested on them first."""

import torch
from torch import Tensor

from headworks.model import Transformer, parameter_shapes
from headworks.spec import ModelSpec

SHARPNESS = 40.0
"""Score of a matching key; the others have 0."""
GAIN = 10.0
"""Logit that a fully attended token gains."""


def wired_spec(d_vocab: int, n_context: int, n_layers: int = 2, n_heads: int = 2) -> ModelSpec:
    """An attention-only model without norm, wide enough for one-hot tokens and positions.

    The residual stream has four blocks: the token (v), its position (n_context), the token before it (v) and
    the next token's logit (v), which alone is unembedded.
    """
    return ModelSpec(
        n_layers=n_layers,
        n_heads=n_heads,
        d_model=3 * d_vocab + n_context,
        d_head=max(d_vocab, n_context),
        norm="none",
        positions="learned",
        d_vocab=d_vocab,
        n_context=n_context,
    )


def uniform_weights(spec: ModelSpec) -> dict[str, Tensor]:
    """Name to weight, without the replica axis: every head attends evenly and writes nothing."""
    v, n = spec.d_vocab, spec.n_context
    weights = {name: torch.zeros(shape) for name, shape in parameter_shapes(spec).items()}
    weights["embed.W_E"][:, :v] = torch.eye(v)
    weights["pos_embed.W_pos"][:, v : v + n] = torch.eye(n)
    weights["unembed.W_U"][-v:] = GAIN * torch.eye(v)
    return weights


def induction_weights(spec: ModelSpec) -> dict[str, Tensor]:
    """`uniform_weights` with L0H0 a previous-token head and L1H0 an induction head.

    L1H0 reads L0H0 by K-composition (Elhage et al. 2021, Induction heads). Expects a start token: at position
    0, with one key to look at, the previous-token head can but copy the token itself.
    """
    v, n = spec.d_vocab, spec.n_context
    token, position, previous = slice(0, v), slice(v, v + n), slice(v + n, v + n + v)
    following = slice(-v, None)
    sharp = SHARPNESS * spec.head_width**0.5
    weights = uniform_weights(spec)

    def head(layer: int, part: str) -> Tensor:
        return weights[f"blocks.{layer}.attn.{part}"][0]

    head(0, "W_Q")[position, :n] = sharp * torch.diag(torch.ones(n - 1), -1)
    head(0, "W_K")[position, :n] = torch.eye(n)
    head(0, "W_V")[token, :v] = torch.eye(v)
    head(0, "W_O")[:v, previous] = torch.eye(v)
    head(1, "W_Q")[token, :v] = sharp * torch.eye(v)
    head(1, "W_K")[previous, :v] = torch.eye(v)
    head(1, "W_V")[token, :v] = torch.eye(v)
    head(1, "W_O")[:v, following] = torch.eye(v)
    return weights


def wired(spec: ModelSpec, weights: dict[str, Tensor]) -> Transformer:
    """A model of one replica with the given weights."""
    return Transformer(spec, torch.cat([weights[name].flatten() for name in parameter_shapes(spec)])[None])


def uniform_model(d_vocab: int, n_context: int) -> Transformer:
    """A model whose heads attend evenly and whose logits are all zero."""
    spec = wired_spec(d_vocab, n_context)
    return wired(spec, uniform_weights(spec))


def induction_model(d_vocab: int, n_context: int) -> Transformer:
    """A model with a previous-token head, L0H0, and an induction head, L1H0; the other two attend evenly."""
    spec = wired_spec(d_vocab, n_context)
    return wired(spec, induction_weights(spec))
