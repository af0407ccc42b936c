"""The same model as most would write it, twice: with attention spelt out, and as nanoGPT's block without MLP."""

from collections.abc import Iterator
from itertools import cycle

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.subject import BETAS, CONTEXT, EPS, MODEL, RATE, VOCABULARY


class SpeltOut(nn.Module):
    """Attention as four operations, so that each can be looked at."""

    def __init__(self):
        super().__init__()
        d = MODEL.d_model
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.register_buffer("future", torch.ones(CONTEXT, CONTEXT, dtype=torch.bool).triu(1))

    def forward(self, x: Tensor) -> Tensor:
        """[b, t, d] to [b, t, d]."""
        q, k, v = _heads(self.qkv(x))
        scores = q @ k.transpose(-1, -2) * MODEL.head_width**-0.5
        pattern = scores.masked_fill(self.future, -torch.inf).softmax(-1)
        return self.out((pattern @ v).transpose(1, 2).flatten(2))


class Fused(nn.Module):
    """Attention as nanoGPT has it: one projection, and PyTorch's causal kernel."""

    def __init__(self):
        super().__init__()
        d = MODEL.d_model
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        """[b, t, d] to [b, t, d]."""
        z = F.scaled_dot_product_attention(*_heads(self.qkv(x)), is_causal=True)
        return self.out(z.transpose(1, 2).flatten(2))


def _heads(y: Tensor) -> list[Tensor]:
    """[b, t, 3 d] to three of [b, h, t, e]."""
    return [part.unflatten(-1, (MODEL.n_heads, -1)).transpose(1, 2) for part in y.chunk(3, -1)]


class Plain(nn.Module):
    """Embeddings, blocks of normalised attention on a residual stream, a last norm, the unembedding."""

    def __init__(self, attention: type[nn.Module]):
        super().__init__()
        d = MODEL.d_model
        self.tokens, self.positions = nn.Embedding(VOCABULARY, d), nn.Embedding(CONTEXT, d)
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(MODEL.n_layers))
        self.attentions = nn.ModuleList(attention() for _ in range(MODEL.n_layers))
        self.last_norm, self.unembed = nn.LayerNorm(d), nn.Linear(d, VOCABULARY, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """[b, t] to logits [b, t, v]."""
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            x = x + attention(norm(x))
        return self.unembed(self.last_norm(x))

    @torch.no_grad()
    def take(self, weights: dict[str, Tensor]) -> "Plain":
        """Copy parameters that have TransformerLens' names."""
        self.tokens.weight.copy_(weights["embed.W_E"])
        self.positions.weight.copy_(weights["pos_embed.W_pos"])
        self.unembed.weight.copy_(weights["unembed.W_U"].T)
        _take_norm(self.last_norm, weights, "ln_final")
        for l, (norm, attention) in enumerate(zip(self.norms, self.attentions, strict=True)):
            _take_norm(norm, weights, f"blocks.{l}.ln1")
            w = {name: weights[f"blocks.{l}.attn.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O")}
            b = {name: weights[f"blocks.{l}.attn.{name}"] for name in ("b_Q", "b_K", "b_V", "b_O")}
            rows = [w[name].transpose(1, 2).flatten(0, 1) for name in ("W_Q", "W_K", "W_V")]
            attention.qkv.weight.copy_(torch.cat(rows))
            attention.qkv.bias.copy_(torch.cat([b[name].flatten() for name in ("b_Q", "b_K", "b_V")]))
            attention.out.weight.copy_(w["W_O"].flatten(0, 1).T)
            attention.out.bias.copy_(b["b_O"])
        return self


def _take_norm(norm: nn.LayerNorm, weights: dict[str, Tensor], name: str) -> None:
    norm.weight.copy_(weights[f"{name}.w"])
    norm.bias.copy_(weights[f"{name}.b"])


def losses(model: nn.Module, batches: Tensor) -> Iterator[float]:
    """Train for ever on `batches` [batches, b, t + 1], over and over: the loss of each update in nats."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, betas=BETAS, eps=EPS)
    for batch in cycle(batches):
        logits = model(batch[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()
