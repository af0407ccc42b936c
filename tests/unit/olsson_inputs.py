"""Inputs of the experiments of Olsson 2022 with known contents: runs of hand-wired models, files with planted arrays.

Runs and activations are real files, read by the real readers; only training is left out.
"""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
import pandas as pd
import torch

from headworks import rooms, store
from headworks.job import Input, Job
from headworks.measures import wiring
from headworks.measures.attention import prefix_matching_chance
from headworks.parameters import parameter_shapes
from headworks.readers import ActivationsReader, DatasetReader, Inputs, RunReader
from headworks.spec import ModelSpec
from headworks.studies.olsson2022.options import EXPERIMENTS

SEEDS = (3, 8)
"""Not 0 and 1: a seed is no index of a replica."""
PROBES = {
    "corpus": {"kind": "evaluation", "examples": 40, "sites": {"loss": "all"}},
    "patterns": {"kind": "evaluation", "examples": 16, "sites": {"pattern": "previous_mean"}},
    "repeated": {
        "kind": "repeated_tokens",
        "examples": 6,
        "period": 8,
        "repeats": 3,
        "seed": 0,
        "sites": {"pattern": "batch_mean", "loss": "all"},
    },
}
CHANCE = prefix_matching_chance(PROBES["repeated"]["period"], PROBES["repeated"]["repeats"], 1)
VOCAB, CONTEXT = 12, 56
PERM = {"d_vocab": VOCAB, "n_context": CONTEXT, "p_repeat": 0.95, "concentration": 10, "n_train": 300}
CHANGE = 6
"""Snapshots before the change of the runs of `wired_bench`, and as many after it."""
HEAD = {SEEDS[0]: 0, SEEDS[1]: 2}
"""The wired induction head, by seed."""
PREVIOUS = {SEEDS[0]: 0, SEEDS[1]: 1}
"""The wired previous-token head of the layer before."""
COMMON = {"examples": 40, "width": 1}
"""Options of what is measured on evaluation sequences."""
TRAIN = {"steps": 1, "batch": 1, "lr": 1, "snapshots": {"every": 1}}


@dataclass
class Bench:
    """A folder of artefacts, and the jobs that made them."""

    folder: Path
    jobs: dict[str, Job] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)

    def job(self, room: str, name: str, kind: str, spec: dict, reads: Sequence[str] = ()) -> tuple[Job, Path]:
        inputs = tuple(
            Input(job.room, job.name, str(self.path(job.room, job.name)), job.key)
            for job in (self.jobs[read] for read in reads)
        )
        job = Job("olsson2022", room, name, kind, spec, inputs, code="code", key=f"key-{name}")
        self.jobs[name] = job
        return job, self.path(room, name)

    def path(self, room: str, name: str) -> Path:
        return self.folder / room / f"{name}.h5"

    def dataset(self, name: str, kind: str, options: dict) -> None:
        rooms.data(*self.job("data", name, kind, {"options": options}))

    def run(self, name: str, dataset: str, spec: ModelSpec, snapshots: list[list[dict]], **options) -> None:
        """Snapshots [snapshot][replica] of weights by name; a step is a step, and ten tokens a step."""
        seeds, steps = options.get("seeds", SEEDS), np.arange(len(snapshots)) * 5
        job, path = self.job("runs", name, "", {"train": TRAIN, "clamps": {}}, [dataset])
        with store.writing(path, job) as file:
            file.attrs.update({"model": spec.model_dump_json(), "dataset": dataset})
            store.put(file, "seeds", np.array(seeds), ("replica",))
            store.put(file, "conditions", np.array([""] * len(seeds)), ("replica",))
            store.put(file, "steps", steps, ("snapshot",))
            store.put(file, "tokens", steps * 10, ("snapshot",))
            store.put(file, "diverged", np.array(options.get("diverged", [-1] * len(seeds))), ("replica",))
            for parameter in parameter_shapes(spec):
                array = torch.stack([torch.stack([w[parameter] for w in one]) for one in snapshots]).numpy()
                file[f"snapshots/{parameter}"] = array

    def cache(self, run: str, dataset: str, probes: dict = PROBES, snapshots: str = "all") -> None:
        spec = {"probes": probes, "snapshots": snapshots}
        with mock.patch.dict(os.environ, HEADWORKS_DEVICE="cpu"):
            rooms.activations(*self.job("activations", f"probes-{run}", "", spec, [dataset, run]))


def opened(
    bench: Bench, stack: ExitStack, runs: Sequence[str], tables: dict[str, pd.DataFrame] | None = None
):
    """`Inputs` of some runs with all they need."""

    def read(name: str) -> h5py.File:
        job = bench.jobs[name]
        return stack.enter_context(store.opening(bench.path(job.room, name)))

    files = {name: read(name) for name in runs}
    datasets = {
        name: DatasetReader(read(name)) for name in sorted({f.attrs["dataset"] for f in files.values()})
    }
    readers = {name: RunReader(file, name, datasets[file.attrs["dataset"]]) for name, file in files.items()}
    cached = {
        name: ActivationsReader(read(f"probes-{name}")) for name in runs if f"probes-{name}" in bench.jobs
    }
    return Inputs(datasets, readers, {"probes": cached}, bench.tables)


def wired_spec(d_vocab: int, n_context: int, **changes) -> ModelSpec:
    """Three heads a layer: no axis is as long as another."""
    return ModelSpec(**wiring.wired_spec(d_vocab, n_context, n_heads=3).model_dump() | changes)


def rolled(weights: dict[str, torch.Tensor], layer: int, by: int) -> dict[str, torch.Tensor]:
    """The same model with the heads of one layer in another order: head 0 becomes `by`."""
    return {
        name: weight.roll(by, 0) if name.startswith(f"blocks.{layer}.attn.") else weight
        for name, weight in weights.items()
    }


def resting(spec: ModelSpec, weights: dict[str, torch.Tensor], layer: int) -> dict[str, torch.Tensor]:
    """Head 0 of a layer attends to the start token where nothing matches, and copies nothing from there.

    Trained heads rest there too; those of `wiring` spread over the context, which predicts a little by itself.
    """
    v, half = spec.d_vocab, wiring.SHARPNESS / 2 * spec.head_width**0.5
    weights[f"blocks.{layer}.attn.W_Q"][0, :v, v] = half
    weights[f"blocks.{layer}.attn.W_K"][0, v, v] = 1
    weights[f"blocks.{layer}.attn.W_V"][0, 0] = 0
    return weights


def induction_pair(spec: ModelSpec) -> list[dict[str, torch.Tensor]]:
    """Two replicas with a previous-token head in layer 0, `PREVIOUS`, and an induction head in layer 1, `HEAD`."""
    weights = resting(spec, wiring.induction_weights(spec), 1)
    return [weights, rolled(rolled(weights, 0, 1), 1, 2)]


def smeared_pair(spec: ModelSpec) -> list[dict[str, torch.Tensor]]:
    """Two replicas of one layer with an induction head, `HEAD`, by smeared keys alone."""
    v, sharp = spec.d_vocab, wiring.SHARPNESS * spec.head_width**0.5
    weights = wiring.uniform_weights(spec)
    weights["blocks.0.attn.alpha"] = torch.tensor([-20.0, 0.0, 1.0])
    weights["blocks.0.attn.W_Q"][0, :v, :v] = sharp * torch.eye(v)
    weights["blocks.0.attn.W_K"][0, :v, :v] = torch.eye(v)
    weights["blocks.0.attn.W_V"][0, :v, :v] = torch.eye(v)
    weights["blocks.0.attn.W_O"][0, :v, -v:] = torch.eye(v)
    return [weights, rolled(weights, 0, 2)]


def even_pair(spec: ModelSpec) -> list[dict[str, torch.Tensor]]:
    """Two replicas that attend evenly and predict nothing."""
    return [wiring.uniform_weights(spec)] * 2


def planted(
    path: Path,
    sites: dict[str, np.ndarray],
    tokens: dict[str, np.ndarray] | None = None,
    probes: dict = PROBES,
    n_layers: int = 1,
) -> ActivationsReader:
    """An open activation file of just the given sites, 'probe/site' to [snapshot, replica, ...]."""
    file = h5py.File(path, "w")
    file.attrs.update({"n_layers": n_layers, "spec": json.dumps({"probes": probes})})
    file["snapshots"] = np.arange(len(next(iter(sites.values()))))
    for name, array in sites.items():
        file[name] = array
    for probe, array in (tokens or {}).items():
        file[f"{probe}/tokens"] = array
    return ActivationsReader(file)


def table(kind: str, inputs: Inputs, **options) -> pd.DataFrame:
    """The table of one experiment, its options checked as those of a config are."""
    measure = import_module(f"headworks.studies.olsson2022.experiments.{kind}").table
    return measure(EXPERIMENTS[kind](**options), inputs)


def of(frame: pd.DataFrame, **values) -> pd.DataFrame:
    """The rows with these values."""
    for key, value in values.items():
        frame = frame[frame[key] == value]
    return frame


def only_tables(**tables: pd.DataFrame) -> Inputs:
    return Inputs({}, {}, {}, tables)


def wired_bench(folder: Path) -> Bench:
    """Runs of two replicas, with their curves and phases.

    `wired` gets its two heads half way, `smeared` its one; `even` never gets any.
    """
    bench = Bench(folder)
    two, one = wired_spec(VOCAB, 64), wired_spec(VOCAB, 64, n_layers=1, smear={"of": "keys", "alpha": 0.0})
    bench.dataset("perm", "perm", PERM | {"n_evaluation": 48})
    bench.run("wired", "perm", two, [even_pair(two)] * CHANGE + [induction_pair(two)] * CHANGE)
    bench.run("even", "perm", two, [even_pair(two)] * 2 * CHANGE)
    bench.run("smeared", "perm", one, [even_pair(one)] * CHANGE + [smeared_pair(one)] * CHANGE)
    runs = ("wired", "even", "smeared")
    for run in runs:
        bench.cache(run, "perm")
    with ExitStack() as stack:
        bench.tables["curves"] = table("curves", opened(bench, stack, runs), width=1)
    bench.tables["phases"] = table("phases", only_tables(curves=bench.tables["curves"]), reference="wired")
    return bench
