"""Datasets and runs of episodes in memory, as the experiments read them."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import torch

from headworks.model import Transformer
from headworks.readers import Inputs
from headworks.spec import ModelSpec
from headworks.studies.singh2024 import datasets
from headworks.studies.singh2024.options import EXPERIMENTS
from headworks.studies.singh2024.spec import EpisodesSpec

BATCH = 32
N_LABELS = 5
SPEC = ModelSpec(
    n_layers=2,
    n_heads=3,
    d_model=12,
    d_head=6,
    norm="none",
    positions="none",
    d_vocab=N_LABELS,
    d_input=512,
    n_context=5,
)
LN2, LN5 = math.log(2), math.log(5)


class Dataset:
    """The reader's view of a dataset in memory."""

    def __init__(self, made):
        self.train, self.evaluation, self.facts = made.train, made.evaluation.astype(np.int64), made.facts
        self.vectors, self._arrays = made.arrays["vectors"], made.arrays

    def __getitem__(self, name):
        return self._arrays[name]


@dataclass
class Run:
    """The reader's view of a run in memory; weights [snapshot][replica] by name."""

    dataset: object
    seeds: list[int]
    conditions: list[str]
    clamps: dict[str, dict] = field(default_factory=dict)
    steps: list[int] = field(default_factory=lambda: [0])
    weights: list = field(default_factory=list)
    trace: np.ndarray | None = None
    name: str = "main"
    model_spec: ModelSpec = SPEC
    train_spec: object = field(default_factory=lambda: SimpleNamespace(batch=BATCH))

    def __len__(self):
        return len(self.steps)

    def loss(self):
        return self.trace

    def model(self, snapshot, replicas=None):
        chosen = range(len(self.seeds)) if replicas is None else replicas
        flat = torch.stack(
            [torch.cat([w.flatten() for w in self.weights[snapshot][i].values()]) for i in chosen]
        )
        vectors = torch.from_numpy(self.dataset.vectors)
        return Transformer(self.model_spec, flat, vectors=vectors).requires_grad_(False)


def inputs(runs=(), tables=None, activations=None, datasets_=None):
    runs = {run.name: run for run in runs}
    return Inputs(datasets_ or {}, runs, activations or {}, tables or {})


def asked(kind, **options):
    return EXPERIMENTS[kind](**options)


def of(frame, **values):
    for name, value in values.items():
        frame = frame[frame[name] == value]
    return frame


def small_dataset() -> Dataset:
    """Ten classes of Gaussian vectors, 200 sequences of each kind to evaluate."""
    spec = EpisodesSpec(
        source="gaussian", n_classes=6, n_test_classes=4, n_drawings=3, n_evaluation=200, n_labels=N_LABELS
    )
    return Dataset(datasets.episodes(spec))
