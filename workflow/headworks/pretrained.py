"""Loaded Hugging Face models into our layout, with one replica: GPT-2, GPT-NeoX (Pythia) and Llama.

The classes are recognised by their configuration's `model_type`, so this module does not import transformers.
`model` below is the Hugging Face module, `state` its parameters by name, whose matrices are [out, in] but for
GPT-2's, which are [in, out].
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.model import Transformer
from headworks.parameters import parameter_shapes
from headworks.spec import ModelSpec

Weights = dict[str, Tensor]
ACTIVATIONS = {"gelu": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh", "relu": "relu"}


def from_huggingface(model: Any) -> tuple[ModelSpec, Transformer]:
    """The same function as the loaded model's, as (spec, Transformer with r = 1, in float32 on the CPU)."""
    kind = model.config.model_type
    if kind not in READERS:
        raise HeadworksError(
            f"pretrained: models of type {kind} cannot be read; allowed are {', '.join(sorted(READERS))}."
        )
    spec_of, weights_of = READERS[kind]
    spec = spec_of(model.config)
    weights = weights_of(spec, {name: x.detach().float().cpu() for name, x in model.state_dict().items()})
    # Its name differs between models and versions of transformers.
    weights["unembed.W_U"] = model.get_output_embeddings().weight.detach().float().cpu().T
    # Where a model has only some of the biases, the others are zero.
    parts = [weights.get(name, torch.zeros(shape)) for name, shape in parameter_shapes(spec).items()]
    return spec, Transformer(spec, torch.cat([part.flatten() for part in parts])[None]).requires_grad_(False)


def _gpt2_spec(config) -> ModelSpec:
    if not config.scale_attn_weights or config.scale_attn_by_inverse_layer_idx:
        raise HeadworksError(
            "pretrained: GPT-2 with other than 1/sqrt(d_head) attention scales cannot be read."
        )
    return ModelSpec(
        n_layers=config.n_layer,
        n_heads=config.n_head,
        d_model=config.n_embd,
        d_mlp=config.n_inner or 4 * config.n_embd,
        activation=_activation(config.activation_function),
        norm_eps=config.layer_norm_epsilon,
        positions="learned",
        bias=True,
        tied=config.tie_word_embeddings,
        d_vocab=config.vocab_size,
        n_context=config.n_positions,
    )


def _gpt2_weights(spec: ModelSpec, state: Weights) -> Weights:
    h, e = spec.n_heads, spec.head_width
    weights = {
        "embed.W_E": state["transformer.wte.weight"],
        "pos_embed.W_pos": state["transformer.wpe.weight"],
    } | _norm("ln_final", state, "transformer.ln_f")
    for l in range(spec.n_layers):
        ours, theirs = f"blocks.{l}", f"transformer.h.{l}"
        columns = state[f"{theirs}.attn.c_attn.weight"].chunk(3, 1)
        biases = state[f"{theirs}.attn.c_attn.bias"].chunk(3)
        for part, column, bias in zip("QKV", columns, biases, strict=True):
            weights[f"{ours}.attn.W_{part}"] = column.unflatten(1, (h, e)).transpose(0, 1)
            weights[f"{ours}.attn.b_{part}"] = bias
        weights |= _norm(f"{ours}.ln1", state, f"{theirs}.ln_1") | _norm(
            f"{ours}.ln2", state, f"{theirs}.ln_2"
        )
        weights |= {
            f"{ours}.attn.W_O": state[f"{theirs}.attn.c_proj.weight"],
            f"{ours}.attn.b_O": state[f"{theirs}.attn.c_proj.bias"],
            f"{ours}.mlp.W_in": state[f"{theirs}.mlp.c_fc.weight"],
            f"{ours}.mlp.b_in": state[f"{theirs}.mlp.c_fc.bias"],
            f"{ours}.mlp.W_out": state[f"{theirs}.mlp.c_proj.weight"],
            f"{ours}.mlp.b_out": state[f"{theirs}.mlp.c_proj.bias"],
        }
    return weights


def _neox_spec(config) -> ModelSpec:
    base, share = _rotary(config)
    return ModelSpec(
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        d_model=config.hidden_size,
        d_mlp=config.intermediate_size,
        activation=_activation(config.hidden_act),
        norm_eps=config.layer_norm_eps,
        positions="rotary",
        position_base=base,
        rotary_dim=int(config.hidden_size // config.num_attention_heads * share),
        bias=True,
        parallel=config.use_parallel_residual,
        tied=config.tie_word_embeddings,
        d_vocab=config.vocab_size,
        n_context=config.max_position_embeddings,
    )


def _neox_weights(spec: ModelSpec, state: Weights) -> Weights:
    h, e = spec.n_heads, spec.head_width
    weights = {"embed.W_E": state["gpt_neox.embed_in.weight"]}
    weights |= _norm("ln_final", state, "gpt_neox.final_layer_norm")
    for l in range(spec.n_layers):
        ours, theirs = f"blocks.{l}", f"gpt_neox.layers.{l}"
        fused = f"{theirs}.attention.query_key_value"
        # Rows go head by head, and within a head query, key, value.
        for part, rows in zip("QKV", state[f"{fused}.weight"].unflatten(0, (h, 3, e)).unbind(1), strict=True):
            weights[f"{ours}.attn.W_{part}"] = rows.transpose(1, 2)
        if f"{fused}.bias" in state:
            biases = state[f"{fused}.bias"].unflatten(0, (h, 3, e)).unbind(1)
            weights |= {f"{ours}.attn.b_{part}": bias for part, bias in zip("QKV", biases, strict=True)}
            weights[f"{ours}.attn.b_O"] = state[f"{theirs}.attention.dense.bias"]
        weights |= _norm(f"{ours}.ln1", state, f"{theirs}.input_layernorm")
        weights |= _norm(f"{ours}.ln2", state, f"{theirs}.post_attention_layernorm")
        weights |= {
            f"{ours}.attn.W_O": state[f"{theirs}.attention.dense.weight"].T,
            f"{ours}.mlp.W_in": state[f"{theirs}.mlp.dense_h_to_4h.weight"].T,
            f"{ours}.mlp.b_in": state[f"{theirs}.mlp.dense_h_to_4h.bias"],
            f"{ours}.mlp.W_out": state[f"{theirs}.mlp.dense_4h_to_h.weight"].T,
            f"{ours}.mlp.b_out": state[f"{theirs}.mlp.dense_4h_to_h.bias"],
        }
    return weights


def _llama_spec(config) -> ModelSpec:
    if config.hidden_act != "silu" or config.mlp_bias:
        raise HeadworksError(
            "pretrained: Llama with another activation than silu, or MLP biases, cannot be read."
        )
    base, _ = _rotary(config)
    return ModelSpec(
        n_layers=config.num_hidden_layers,
        n_heads=config.num_attention_heads,
        n_kv_heads=config.num_key_value_heads,
        d_model=config.hidden_size,
        d_head=config.head_dim,
        d_mlp=config.intermediate_size,
        activation="swiglu",
        norm="rmsnorm",
        norm_eps=config.rms_norm_eps,
        positions="rotary",
        position_base=base,
        bias=config.attention_bias,
        tied=config.tie_word_embeddings,
        d_vocab=config.vocab_size,
        n_context=config.max_position_embeddings,
    )


def _llama_weights(spec: ModelSpec, state: Weights) -> Weights:
    weights = {"embed.W_E": state["model.embed_tokens.weight"], "ln_final.w": state["model.norm.weight"]}
    for l in range(spec.n_layers):
        ours, theirs = f"blocks.{l}", f"model.layers.{l}"
        for part, name in zip("QKV", ("q_proj", "k_proj", "v_proj"), strict=True):
            rows = state[f"{theirs}.self_attn.{name}.weight"].unflatten(0, (-1, spec.head_width))
            weights[f"{ours}.attn.W_{part}"] = rows.transpose(1, 2)
        if spec.bias:
            for part, letter in zip("QKVO", "qkvo", strict=True):
                weights[f"{ours}.attn.b_{part}"] = state[f"{theirs}.self_attn.{letter}_proj.bias"]
        weights |= {
            f"{ours}.ln1.w": state[f"{theirs}.input_layernorm.weight"],
            f"{ours}.ln2.w": state[f"{theirs}.post_attention_layernorm.weight"],
            f"{ours}.attn.W_O": state[f"{theirs}.self_attn.o_proj.weight"].T,
            f"{ours}.mlp.W_in": state[f"{theirs}.mlp.up_proj.weight"].T,
            f"{ours}.mlp.W_gate": state[f"{theirs}.mlp.gate_proj.weight"].T,
            f"{ours}.mlp.W_out": state[f"{theirs}.mlp.down_proj.weight"].T,
        }
    return weights


def _norm(ours: str, state: Weights, theirs: str) -> Weights:
    return {f"{ours}.w": state[f"{theirs}.weight"], f"{ours}.b": state[f"{theirs}.bias"]}


def _rotary(config) -> tuple[float, float]:
    """Base of the frequencies, and the share of each head that turns."""
    rope = config.rope_parameters
    if rope["rope_type"] != "default":
        raise HeadworksError(
            f"pretrained: rotary positions of type {rope['rope_type']} cannot be read; allowed is default."
        )
    return float(rope["rope_theta"]), rope.get("partial_rotary_factor", 1.0)


def _activation(name: str) -> str:
    if name not in ACTIVATIONS:
        raise HeadworksError(
            f"pretrained: activation {name} cannot be read; allowed are {', '.join(sorted(ACTIVATIONS))}."
        )
    return ACTIVATIONS[name]


READERS: dict[str, tuple[Callable[[Any], ModelSpec], Callable[[ModelSpec, Weights], Weights]]] = {
    "gpt2": (_gpt2_spec, _gpt2_weights),
    "gpt_neox": (_neox_spec, _neox_weights),
    "llama": (_llama_spec, _llama_weights),
}
