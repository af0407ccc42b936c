"""Artefacts as the analyses see them: thin, lazy views of open HDF5 files."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import h5py
import numpy as np
import pandas as pd

from headworks.batches import Batches
from headworks.errors import HeadworksError
from headworks.job import Job
from headworks.spec import ModelSpec, TrainSpec
from headworks.store import opening, read_table, text_attribute


class DatasetReader:
    """A dataset file: `train`, `evaluation` [sequence, position], `vocabulary`, and further arrays by name."""

    def __init__(self, file: h5py.File):
        self.file = file
        self.layout: str = file.attrs["layout"]
        self.d_vocab = int(file.attrs["d_vocab"])
        self.n_context = int(file.attrs["n_context"])
        self.bos = int(file.attrs["bos"])
        self.predicts: str = file.attrs["predicts"]
        self.facts: dict = text_attribute(file, "facts")

    def __getitem__(self, name: str) -> np.ndarray:
        return self.file[name][()]

    def __contains__(self, name: str) -> bool:
        return name in self.file

    @cached_property
    def vocabulary(self) -> list[str]:
        return [text.decode() for text in self.file["vocabulary"][()]]

    @cached_property
    def train(self) -> np.ndarray:
        return self.file["train"][()]

    @cached_property
    def evaluation(self) -> np.ndarray:
        return self.file["evaluation"][()].astype(np.int64)

    @cached_property
    def vectors(self) -> np.ndarray | None:
        """What tokens from d_vocab on stand for, [vector, feature] float32; None without any."""
        if "vectors" not in self:
            return None
        return self["vectors"]

    @cached_property
    def frequencies(self) -> np.ndarray:
        """Share of each token in the training text, [vocabulary]."""
        shown = self.train if self.layout == "stream" else self.train[:, : self.n_context + 1]
        counts = np.bincount(shown.ravel(), minlength=self.d_vocab)
        return counts / counts.sum()

    def batches(self, seeds: tuple[int, ...], batch: int) -> Batches:
        return Batches(self.layout, self.train, self.n_context, self.bos, seeds, batch)

    def complete(self, model: ModelSpec) -> ModelSpec:
        """The model with what it leaves to the dataset filled in.

        Raises HeadworksError if it would read the dataset's vectors as other tokens than they are.
        """
        if self.vectors is not None and model.d_vocab not in (None, self.d_vocab):
            raise HeadworksError(
                f"model.d_vocab: {model.d_vocab}, but in this dataset tokens from {self.d_vocab} on are vectors; "
                f"allowed: {self.d_vocab}, or leave it out"
            )
        width = None if self.vectors is None else self.vectors.shape[1]
        return model.model_copy(
            update={
                "d_input": model.d_input or width,
                "d_vocab": model.d_vocab or self.d_vocab,
                "d_out": model.d_out or model.d_vocab or self.d_vocab,
                "n_context": model.n_context or self.n_context,
            }
        )


class RunReader:
    """A run file: snapshots [snapshot, replica, ...] of every parameter, traces of the loss, seeds, conditions."""

    def __init__(self, file: h5py.File, name: str, dataset: DatasetReader):
        self.file, self.name, self.dataset = file, name, dataset
        self.model_spec = ModelSpec.model_validate_json(file.attrs["model"])
        self.train_spec = TrainSpec.model_validate(text_attribute(file, "spec")["train"])
        self.seeds: list[int] = file["seeds"][()].tolist()
        """One a replica; with several conditions every seed comes once in each."""
        self.conditions: list[str] = [text.decode() for text in file["conditions"][()]]
        """What was clamped, one a replica; `unclamped` in a run without clamps."""
        self.clamps: dict[str, dict] = text_attribute(file, "spec")["clamps"]
        self.steps: list[int] = file["steps"][()].tolist()
        self.tokens: list[int] = file["tokens"][()].tolist()
        self.diverged: np.ndarray = file["diverged"][()]

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def n_parameters(self) -> int:
        """Parameters of one replica."""
        return sum(int(np.prod(item.shape[2:])) for item in self.file["snapshots"].values())

    def parameter(self, name: str, snapshot: int) -> np.ndarray:
        """One parameter of one snapshot, [replica, ...]."""
        return self.file["snapshots"][name][snapshot]

    def loss(self) -> np.ndarray:
        """Training loss of every update, [step, replica], nats."""
        return self.file["trace/loss"][()]

    def model(self, snapshot: int = -1, device="cpu", replicas: list[int] | None = None):
        """The ensemble of one snapshot, or those of its `replicas`, as a `Transformer`; negative counts from the last."""
        import torch

        from headworks.model import Transformer
        from headworks.train import join

        snapshot = range(len(self))[snapshot]
        parts = {name: item[snapshot] for name, item in self.file["snapshots"].items()}
        flat = torch.from_numpy(join(self.model_spec, parts)).to(device)
        vectors = None if self.dataset.vectors is None else torch.from_numpy(self.dataset.vectors).to(device)
        if replicas is not None:
            flat = flat[replicas]
        return Transformer(self.model_spec, flat, vectors=vectors).requires_grad_(False)


class ActivationsReader:
    """An activation file: groups by probe, each with `tokens` [sequence, position] and sites [snapshot, replica, ...]."""

    def __init__(self, file: h5py.File):
        self.file = file
        self.snapshots: list[int] = file["snapshots"][()].tolist()
        """Indices of the run's snapshots that were cached."""
        self.n_layers = int(file.attrs["n_layers"])

    def probe(self, name: str) -> dict:
        """Settings of one probe, as in the config."""
        return text_attribute(self.file, "spec")["probes"][name]

    def tokens(self, probe: str) -> np.ndarray:
        return self.file[probe]["tokens"][()]

    def get(self, probe: str, site: str, snapshot: int) -> np.ndarray:
        """One site at one cached snapshot, [replica, ...] float32."""
        return self.file[probe][site][snapshot].astype(np.float32)


@dataclass(frozen=True)
class Inputs:
    """All that an experiment or figure reads, by the names of the config, in the config's order."""

    datasets: dict[str, DatasetReader]
    runs: dict[str, RunReader]
    activations: dict[str, dict[str, ActivationsReader]]
    """By entry, then by run."""
    tables: dict[str, pd.DataFrame]


@contextmanager
def reading(job: Job) -> Iterator[Inputs]:
    """Open and check everything a job reads."""
    with ExitStack() as stack:

        def open_room(room: str) -> dict[str, h5py.File]:
            return {
                name: stack.enter_context(opening(item.path, item))
                for name, item in job.inputs_of(room).items()
            }

        datasets = {name: DatasetReader(file) for name, file in open_room("data").items()}
        runs = {
            name: RunReader(file, name, datasets[file.attrs["dataset"]])
            for name, file in open_room("runs").items()
        }
        activations: dict[str, dict[str, ActivationsReader]] = {}
        for name, file in open_room("activations").items():
            run = file.attrs["run"]
            activations.setdefault(name.removesuffix(f"-{run}"), {})[run] = ActivationsReader(file)
        tables = {name: read_table(item.path, item) for name, item in job.inputs_of("tables").items()}
        yield Inputs(datasets, runs, activations, tables)
