"""What parameters a transformer has: names as in TransformerLens, shapes, and their initial values."""

import math

import torch
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.spec import ModelSpec


def parameter_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    """Name to shape, without the replica axis, in the order of the flat parameter vector."""
    _require_sizes(spec)
    d = spec.d_model
    shapes: dict[str, tuple[int, ...]] = {}
    if spec.d_input:
        shapes["embed.W_in"] = (spec.d_input, d)
        if spec.end_biases:
            shapes["embed.b_in"] = (d,)
    if spec.d_vocab:
        shapes["embed.W_E"] = (spec.d_vocab, d)
    if spec.positions == "learned":
        shapes["pos_embed.W_pos"] = (spec.n_context, d)
    for l in range(spec.n_layers):
        shapes |= {f"blocks.{l}.{name}": shape for name, shape in _block_shapes(spec).items()}
    shapes |= _norm_shapes("ln_final", spec)
    if not spec.tied:
        shapes["unembed.W_U"] = (d, spec.d_out or spec.d_vocab)
    if spec.end_biases:
        shapes["unembed.b_U"] = (spec.d_out or spec.d_vocab,)
    return shapes


def _block_shapes(spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    h, g, d, e, m = spec.n_heads, spec.kv_heads, spec.d_model, spec.head_width, spec.d_mlp
    shapes = _norm_shapes("ln1", spec)
    shapes |= {"attn.W_Q": (h, d, e), "attn.W_K": (g, d, e), "attn.W_V": (g, d, e), "attn.W_O": (h, e, d)}
    if spec.bias:
        shapes |= {"attn.b_Q": (h, e), "attn.b_K": (g, e), "attn.b_V": (g, e), "attn.b_O": (d,)}
    if spec.smear:
        shapes["attn.alpha"] = (g,)
    if not m:
        return shapes
    shapes |= _norm_shapes("ln2", spec)
    shapes["mlp.W_in"] = (d, m)
    if spec.activation == "swiglu":
        shapes["mlp.W_gate"] = (d, m)
    shapes["mlp.W_out"] = (m, d)
    if spec.bias:
        shapes |= {"mlp.b_in": (m,), "mlp.b_out": (d,)}
    return shapes


def _norm_shapes(name: str, spec: ModelSpec) -> dict[str, tuple[int, ...]]:
    parts = {"layernorm": ("w", "b"), "rmsnorm": ("w",), "none": ()}[spec.norm]
    return {f"{name}.{part}": (spec.d_model,) for part in parts}


def _require_sizes(spec: ModelSpec) -> None:
    if not (spec.d_vocab or spec.d_input):
        raise HeadworksError("model: neither d_vocab nor d_input is given, and no dataset has filled one in.")
    if not (spec.d_out or spec.d_vocab):
        raise HeadworksError("model: a model of vector inputs needs d_out, the number of output logits.")
    if spec.positions == "learned" and not spec.n_context:
        raise HeadworksError("model: learned positions need n_context, the longest input.")
    if spec.tied and spec.d_out not in (None, spec.d_vocab):
        raise HeadworksError(f"model: tied, so d_out must be d_vocab {spec.d_vocab}; found {spec.d_out}.")


def parameter_count(spec: ModelSpec) -> int:
    """Parameters of one replica."""
    return sum(math.prod(shape) for shape in parameter_shapes(spec).values())


def _normal(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator)


def _truncated(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Normal within two standard deviations, divided by what is left of its standard deviation."""
    drawn = torch.nn.init.trunc_normal_(torch.empty(shape), a=-2.0, b=2.0, generator=generator)
    return drawn / 0.87962566103423978


DRAWS = {"normal": _normal, "truncated": _truncated}
"""Unit-variance draws of initial weights, by the name of the config."""


def initial_parameters(spec: ModelSpec, seed: int) -> Tensor:
    """The flat parameter vector [P] of one replica, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    parts = []
    for name, shape in parameter_shapes(spec).items():
        kind = name.rsplit(".", 1)[1]
        if kind.startswith("W_"):
            own = spec.embed_std if name == "embed.W_E" else None
            std = own or spec.init_std or _fan_in(name, shape, spec) ** -0.5
            parts.append(DRAWS[spec.init](shape, generator) * std)
        elif kind == "alpha":
            parts.append(torch.full(shape, spec.smear.alpha))
        else:
            parts.append(torch.ones(shape) if kind == "w" else torch.zeros(shape))
    return torch.cat([part.flatten() for part in parts])


def _fan_in(name: str, shape: tuple[int, ...], spec: ModelSpec) -> int:
    if name in ("embed.W_E", "pos_embed.W_pos"):
        return spec.d_model
    if name.endswith("attn.W_O"):
        return shape[0] * shape[1]
    return shape[-2]
