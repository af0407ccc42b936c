"""Logits of small random Hugging Face models against ours with their weights."""

import pytest
import torch

from headworks.errors import HeadworksError
from headworks.pretrained import from_huggingface

transformers = pytest.importorskip("transformers", reason="reads Hugging Face models: needs transformers")

SIZES = {"vocab_size": 50, "num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32}
SIZES |= {"intermediate_size": 48, "max_position_embeddings": 24}
GPT2_SIZES = {"vocab_size": 50, "n_layer": 2, "n_head": 4, "n_embd": 32, "n_positions": 24}


def gpt2(**changes):
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**(GPT2_SIZES | changes)))


def neox(**changes):
    return transformers.GPTNeoXForCausalLM(transformers.GPTNeoXConfig(**(SIZES | changes)))


def llama(**changes):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**(SIZES | changes)))


MODELS = {
    "gpt2": lambda: gpt2(),
    "gpt2_untied": lambda: gpt2(tie_word_embeddings=False, n_inner=40, activation_function="gelu"),
    "neox": lambda: neox(rotary_pct=0.5),
    "neox_sequential": lambda: neox(use_parallel_residual=False, attention_bias=False, rotary_pct=0.25),
    "llama": lambda: llama(num_key_value_heads=2, rope_theta=500.0),
    "llama_tied": lambda: llama(tie_word_embeddings=True, attention_bias=True, head_dim=12),
}


@pytest.mark.parametrize("name", MODELS)
def test_logits_agree(name):
    torch.manual_seed(0)
    theirs = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    spec, ours = from_huggingface(theirs)
    tokens = torch.randint(0, 50, (3, 20))
    with torch.no_grad():
        expected = theirs(tokens).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(ours(tokens)[0], expected, atol=1e-4, rtol=1e-4)
    assert spec.d_vocab == 50


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: gpt2(scale_attn_by_inverse_layer_idx=True), "attention scales"),
        (lambda: gpt2(activation_function="silu"), "activation silu cannot be read; allowed are gelu"),
        (lambda: llama(mlp_bias=True), "MLP biases"),
        (
            lambda: llama(rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
            "type linear cannot be read",
        ),
    ],
)
def test_what_cannot_be_read_is_named(build, message):
    with pytest.raises(HeadworksError, match=message):
        from_huggingface(build())


def test_other_models_are_refused():
    class Model:
        class config:
            model_type = "bert"

    with pytest.raises(HeadworksError, match="type bert cannot be read; allowed are gpt2, gpt_neox, llama"):
        from_huggingface(Model())
