"""The network of `episodes` as most would write it: one at a time, eager, every position through every layer.

The clamp is two lines in the second layer's attention; gradients flow through it (Singh 2024, sec. 2.2).
"""

from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.episodes import BETAS, EPS, HEAD, MODEL, RATE


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        d, t, e = MODEL.d_model, MODEL.n_context, MODEL.head_width
        self.qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.register_buffer("future", torch.ones(t, t, dtype=torch.bool).triu(1))
        angles = torch.arange(t)[:, None] * MODEL.position_base ** (-torch.arange(0, e, 2) / e)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())

    def forward(self, x: Tensor, correct: Tensor | None = None) -> Tensor:
        """[b, t, d] to [b, t, d]; with `correct` [b, t], one head is left, and attends there from the last query."""
        q, k, v = (
            part.unflatten(-1, (MODEL.n_heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1)
        )
        scores = self.rotate(q) @ self.rotate(k).transpose(-1, -2) * MODEL.head_width**-0.5
        pattern = scores.masked_fill(self.future, -torch.inf).softmax(-1)
        if correct is not None:
            pattern = pattern.clone()
            pattern[:, HEAD, -1] = correct
        z = pattern @ v
        if correct is not None:
            z = z * F.one_hot(torch.tensor(HEAD), MODEL.n_heads)[:, None, None]
        return self.out(z.transpose(1, 2).flatten(2))

    def rotate(self, x: Tensor) -> Tensor:
        """Rotary positions, [b, h, t, e]: dimension i pairs with i + e / 2."""
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], -1)


class Network(nn.Module):
    """Embeddings, two layers of normalised attention on a residual stream, a last norm, the read-out."""

    def __init__(self):
        super().__init__()
        d = MODEL.d_model
        self.exemplars, self.labels = nn.Linear(MODEL.d_input, d), nn.Embedding(MODEL.d_vocab, d)
        self.norms = nn.ModuleList(nn.LayerNorm(d) for _ in range(MODEL.n_layers))
        self.attentions = nn.ModuleList(Attention() for _ in range(MODEL.n_layers))
        self.last_norm, self.readout = nn.LayerNorm(d), nn.Linear(d, MODEL.d_out)

    def forward(self, exemplars: Tensor, labels: Tensor, correct: Tensor) -> Tensor:
        """Exemplars [b, 3, i] and labels [b, 2], which take turns, to the query's logits [b, v]."""
        x = self.exemplars.weight.new_empty(len(labels), MODEL.n_context, MODEL.d_model)
        x[:, 0::2], x[:, 1::2] = self.exemplars(exemplars), self.labels(labels)
        x = x + self.attentions[0](self.norms[0](x))
        x = x + self.attentions[1](self.norms[1](x), correct)
        return self.readout(self.last_norm(x[:, -1]))

    @torch.no_grad()
    def take(self, weights: dict[str, Tensor]) -> "Network":
        """Copy parameters that have TransformerLens' names and no replica axis."""
        self.exemplars.weight.copy_(weights["embed.W_in"].T)
        self.exemplars.bias.copy_(weights["embed.b_in"])
        self.labels.weight.copy_(weights["embed.W_E"])
        self.readout.weight.copy_(weights["unembed.W_U"].T)
        self.readout.bias.copy_(weights["unembed.b_U"])
        for name, norm in {
            "ln_final": self.last_norm,
            "blocks.0.ln1": self.norms[0],
            "blocks.1.ln1": self.norms[1],
        }.items():
            norm.weight.copy_(weights[f"{name}.w"])
            norm.bias.copy_(weights[f"{name}.b"])
        for l, attention in enumerate(self.attentions):
            parts = [weights[f"blocks.{l}.attn.W_{part}"].transpose(1, 2).flatten(0, 1) for part in "QKV"]
            attention.qkv.weight.copy_(torch.cat(parts))
            attention.out.weight.copy_(weights[f"blocks.{l}.attn.W_O"].flatten(0, 1).T)
        return self


def losses(network: Network, vectors: Tensor, batches: Iterable[Tensor]) -> Iterator[float]:
    """Train on `batches` of [b, 6], exemplars numbered from d_vocab on: the loss of each update in nats."""
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS, eps=EPS)
    for tokens in batches:
        labels, target = tokens[:, 1:5:2], tokens[:, 5]
        correct = torch.zeros(len(tokens), MODEL.n_context)
        correct[:, 1:5:2] = (labels == target[:, None]).float()
        logits = network(vectors[tokens[:, 0:5:2] - MODEL.d_vocab], labels, correct)
        loss = F.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()
