"""States of the residual stream as the experiments see them: by layer, position and replica, with their labels.

Layer 0 is what enters the first block, layer l what leaves block l - 1. Positions are the last three of the
context, by the dataset's names.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.readers import ActivationsReader, DatasetReader, RunReader

PROBE = "evaluation"
SEP, INP, LAST = "SEP", "INP", "LAST"
"""Where an instruction has ended, where an input comes after it, where the output is predicted."""
FIRST = ["run", "condition", "seed", "step"]


@dataclass(frozen=True)
class Labels:
    """What rows of `evaluation` are of, [row] each."""

    split: np.ndarray  # index into the fact `splits`
    task: np.ndarray
    regex: np.ndarray  # task * regular expressions a task + which of them
    string: np.ndarray
    input: np.ndarray
    output: np.ndarray
    lengths: np.ndarray  # symbols of the string
    edit_distance: np.ndarray  # to the nearest training string of the regular expression

    def take(self, rows: np.ndarray) -> "Labels":
        """Some of the rows."""
        return Labels(*(getattr(self, field.name)[rows] for field in fields(self)))


def labels(dataset: DatasetReader) -> Labels:
    """The labels of all rows of `evaluation`."""
    return Labels(*(dataset[field.name].astype(np.int64) for field in fields(Labels)))


def sees_input(dataset: DatasetReader, position: str) -> bool:
    """Whether states of a position can know the input: those before an input of its own cannot."""
    names = dataset.facts["positions"]
    return INP not in names or names.index(position) >= names.index(INP)


def rows_of(dataset: DatasetReader, found: Labels, split: str, position: str) -> np.ndarray:
    """Indices of a split's rows; one a string where states cannot differ by input."""
    rows = np.flatnonzero(found.split == dataset.facts["splits"].index(split))
    if sees_input(dataset, position):
        return rows
    return rows[np.sort(np.unique(found.string[rows], return_index=True)[1])]


def regex_tasks(dataset: DatasetReader) -> np.ndarray:
    """The task of each regular expression, [regex]."""
    return np.repeat(np.arange(dataset.facts["n_tasks"]), dataset.facts["n_regexes"])


def permuted_tasks(tasks: np.ndarray, number: int, generator: np.random.Generator) -> np.ndarray:
    """Tasks [regex] permuted among regular expressions, [permutation, regex]."""
    return generator.permuted(np.tile(tasks, (number, 1)), axis=1)


def symbol_counts(dataset: DatasetReader) -> np.ndarray:
    """How often each token stands before the separator, padding left out: float64 [row, token]."""
    instruction = dataset.evaluation[:, : dataset.facts["separator"]]
    counts = np.zeros((len(instruction), dataset.d_vocab))
    np.add.at(counts, (np.arange(len(instruction))[:, None], instruction), 1)
    counts[:, dataset.facts["pad"]] = 0
    return counts


@dataclass(frozen=True)
class Moment:
    """One run at one of its cached snapshots."""

    run: RunReader
    cached: ActivationsReader
    row: int  # of the cached snapshots

    @property
    def replicas(self) -> range:
        return range(len(self.run.seeds))

    @property
    def layers(self) -> range:
        return range(self.cached.n_layers + 1)

    @property
    def positions(self) -> list[str]:
        """Names of the last three positions of the context."""
        return self.run.dataset.facts["positions"]

    def about(self, replica: int) -> dict:
        """The first columns of a replica's rows."""
        return {
            "run": self.run.name,
            "condition": self.run.conditions[replica],
            "seed": self.run.seeds[replica],
            "step": self.run.steps[self.cached.snapshots[self.row]],
        }

    def get(self, site: str) -> np.ndarray:
        """A site of the probe, [replica, row, ...]."""
        return self.cached.get(PROBE, site, self.row)

    def states(self, layer: int) -> np.ndarray:
        """[replica, row, position, d]."""
        return self.get(f"blocks.{layer - 1}.resid_post" if layer else "blocks.0.resid_pre")

    def cells(self, positions: list[str] | None = None) -> Iterator[tuple[str, int, int, np.ndarray]]:
        """Position, layer, replica and the states there, [row, d]; all positions unless some are named."""
        wanted = self.positions if positions is None else [p for p in self.positions if p in positions]
        for layer in self.layers:
            found = self.states(layer)
            for position in wanted:
                for replica in self.replicas:
                    yield position, layer, replica, found[replica, :, self.positions.index(position)]


def moments(options, inputs) -> Iterator[Moment]:
    """Every run at the snapshots that the options choose, in the order of the config.

    Raises HeadworksError if the states were not cached, or not of every sequence.
    """
    for name, run in inputs.runs.items():
        cached = _cached(options.activations, name, inputs)
        held, whole = len(cached.tokens(PROBE)), len(run.dataset.evaluation)
        if held < whole:
            raise HeadworksError(
                f"activations.{options.activations}.probes.{PROBE}.examples: {held}, but the dataset of {name} has "
                f"{whole} sequences; allowed: {whole} or more"
            )
        for row in chosen(len(cached.snapshots), options.snapshots):
            yield Moment(run, cached, row)


def _cached(entry: str, run: str, inputs) -> ActivationsReader:
    if run not in inputs.activations.get(entry, {}):
        known = ", ".join(inputs.activations) or "none"
        raise HeadworksError(f"options.activations: {entry} is not read for the run {run}; read are: {known}")
    cached = inputs.activations[entry][run]
    if PROBE not in cached.file:
        raise HeadworksError(f"activations.{entry}.probes: there is no {PROBE}, which this table reads")
    return cached


def chosen(length: int, snapshots: int | str) -> list[int]:
    """Indices of some of `length` snapshots: all, both ends, or a number evenly spaced with both ends (one: the last)."""
    if snapshots == "all":
        return list(range(length))
    number = 2 if snapshots == "ends" else snapshots
    return np.unique(np.linspace(length - 1, 0, number).round().astype(int)).tolist()


def frame(rows: list[dict], columns: list[str]) -> pd.DataFrame:
    """A table of the first columns and `columns`; what a row lacks is NaN."""
    return pd.DataFrame(rows).reindex(columns=FIRST + columns)


def role(inputs, options, name: str) -> pd.DataFrame:
    """The table that an option names. Raises HeadworksError if it is not among those the experiment reads."""
    table = getattr(options, name)
    if table not in inputs.tables:
        known = ", ".join(inputs.tables) or "none"
        raise HeadworksError(f"options.{name}: {table} is not among the tables read; those are: {known}")
    return inputs.tables[table]
