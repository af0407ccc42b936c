"""What training with a clamp is timed on: the network and the task of Singh et al. 2024 (sec. 2.1, App. A).

66,629 parameters, sequences of five positions, and layer 2 reduced to one head whose query attends to the correct
label alone, while the rest learns. Everybody starts from these parameters and learns from these sequences.
"""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from headworks.batches import Batches
from headworks.model import Transformer
from headworks.spec import ModelSpec, SnapshotSpec, TrainSpec
from headworks.studies.singh2024 import datasets
from headworks.studies.singh2024.spec import EpisodesSpec

BATCH, RATE, BETAS, EPS = 32, 1e-5, (0.9, 0.999), 1e-8
HEAD = 3
"""The one of layer 2 that stays."""
CLAMP = {"heads": [HEAD], "match": 1.0}
DATA = EpisodesSpec(source="gaussian")

MODEL = ModelSpec(
    n_layers=2,
    n_heads=8,
    d_model=64,
    positions="rotary",
    end_biases=True,
    init="truncated",
    embed_std=0.0176,
    d_vocab=DATA.n_labels,
    d_out=DATA.n_labels,
    d_input=512,
    n_context=datasets.N_CONTEXT,
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


@lru_cache
def vectors() -> Tensor:
    """The exemplars that training shows, [n, i]; the i-th is token d_vocab + i."""
    return torch.from_numpy(datasets.episodes(DATA).arrays["vectors"][: DATA.n_classes])


def sequences() -> np.ndarray:
    """Every training sequence, [sequence, 6] uint16: exemplar, label, exemplar, label, query, target."""
    return datasets.every_sequence(DATA)


def batches(replicas: int) -> Batches:
    """A replica's draws do not depend on how many there are."""
    return Batches("draws", sequences(), MODEL.n_context, -1, tuple(range(replicas)), BATCH)


def draws(replicas: int, steps: int) -> np.ndarray:
    """Numbers of the sequences in the first `steps` batches, [step, replica, b]."""
    numbers = np.arange(len(sequences()))[:, None]
    chosen = replace(batches(replicas), train=numbers)
    return np.stack([chosen.at(step)[..., 0] for step in range(steps)])


def weights(replicas: int) -> dict[str, Tensor]:
    """The parameters of seeds 0, 1, ... under TransformerLens' names, each with a leading replica axis."""
    created = Transformer.create(MODEL, list(range(replicas)))
    return {name: value.detach() for name, value in created.named().items()}
