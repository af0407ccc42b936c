"""The model that all comparisons train or cut: two layers of eight narrow heads, no MLP.

With learned positions and biases, so that TransformerLens, nanoGPT's block and plain PyTorch compute the same
function from the same parameters.
"""

import torch
from torch import Tensor

from headworks.model import Transformer
from headworks.spec import ModelSpec, SnapshotSpec, TrainSpec

CONTEXT, BATCH, VOCABULARY = 105, 32, 128
RATE, BETAS, EPS = 1e-3, (0.9, 0.98), 1e-8

MODEL = ModelSpec(
    n_layers=2,
    n_heads=8,
    d_model=64,
    norm="layernorm",
    positions="learned",
    bias=True,
    d_vocab=VOCABULARY,
    n_context=CONTEXT,
)


def training(compile: str) -> TrainSpec:
    """Adam without warm-up or clipping: what torch.optim.Adam does by itself."""
    return TrainSpec(
        steps=100_000,
        batch=BATCH,
        lr=RATE,
        optimizer="adam",
        betas=BETAS,
        eps=EPS,
        warmup=0,
        clip="none",
        compile=compile,
        snapshots=SnapshotSpec(every=100_000),
    )


def tokens(replicas: int = 1, batches: int = 4) -> Tensor:
    """Random batches, int64 [batches, replica, b, t + 1]; the first replica's do not depend on how many."""
    draws = [
        torch.randint(
            VOCABULARY, (batches, BATCH, CONTEXT + 1), generator=torch.Generator().manual_seed(seed)
        )
        for seed in range(replicas)
    ]
    return torch.stack(draws, 1)


def weights() -> dict[str, Tensor]:
    """The parameters of seed 0, under TransformerLens' names and without the replica axis."""
    return {name: value.detach()[0] for name, value in Transformer.create(MODEL, [0]).named().items()}
