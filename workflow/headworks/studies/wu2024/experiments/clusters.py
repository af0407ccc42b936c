"""k-means clusters of states against tasks, regular expressions and outputs, over training.

The adjusted Rand index with tasks is the measure of the paper's claim. The other columns are what could fake
it: surface form (regular expressions), outputs, inputs, and how clumpy states are by themselves.
"""

import math

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.measures.clustering import agreement, kmeans, null_agreement
from headworks.studies.wu2024.states import (
    Labels,
    frame,
    labels,
    moments,
    permuted_tasks,
    regex_tasks,
    rows_of,
    sees_input,
)

SPLITS = ("train", "val")
PERMUTATION_ROLE = 1
COLUMNS = ["split", "position", "layer", "task_ari", "regex_ari", "output_ari", "given_input_ari"]
COLUMNS += ["null_99", "oracle_ari", "oracle_given_input", "above_null", "above_oracle"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, split (train or val), position, layer, and adjusted Rand indices.

    task_ari, regex_ari, output_ari: of k-means with as many clusters as there are tasks, regular expressions or
    outputs seen. given_input_ari: the mean over inputs of that with tasks among states of one input. null_99:
    the 99th percentile of task_ari when tasks are permuted among regular expressions, each of them intact.
    oracle_ari, oracle_given_input: the true outputs taken as clusters. above_null, above_oracle: task_ari less
    null_99, given_input_ari less oracle_given_input. Where no input has been read yet, states
    are one a string and the columns given an input are NaN; all indices of states are NaN for a diverged
    replica.
    """
    rows = []
    for moment in moments(options, inputs):
        scorers = prepared(moment.run.dataset, moment.positions, options)
        for position, layer, replica, states in moment.cells():
            for split in SPLITS:
                about = {"split": split, "position": position, "layer": layer}
                rows.append(moment.about(replica) | about | scorers[split, position](states))
    return frame(rows, COLUMNS)


def prepared(dataset, positions: list[str], options) -> dict:
    """By split and position, what turns states [row, d] of all sequences into the columns."""
    generator = np.random.default_rng([PERMUTATION_ROLE, options.seed])
    permuted = permuted_tasks(regex_tasks(dataset), options.permutations, generator)
    found, scorers = labels(dataset), {}
    for split in SPLITS:
        for position in positions:
            index = rows_of(dataset, found, split, position)
            check_sizes(split, len(index), permuted.shape[1])
            scorers[split, position] = scorer(
                index, found.take(index), sees_input(dataset, position), permuted, options
            )
    return scorers


def check_sizes(split: str, states: int, clusters: int) -> None:
    """Raises HeadworksError if there are fewer states than regular expressions to look for."""
    if states < clusters:
        key = {"train": "n_eval_strings"}.get(split, "n_new_strings")
        raise HeadworksError(
            f"datasets options.{key}: split {split} has {states} states, but k-means looks for {clusters} clusters, "
            f"one a regular expression; allowed: a number that gives {clusters} states or more"
        )


def scorer(index: np.ndarray, of: Labels, seen: bool, permuted: np.ndarray, options):
    """A function from states [row, d] of all sequences to the columns of those at `index`; seen: the input is."""
    oracle = {"oracle_ari": agreement(of.output, of.task)}
    if seen:
        inside = [np.flatnonzero(of.input == x) for x in np.unique(of.input)]
        oracle["oracle_given_input"] = _mean([agreement(of.output[x], of.task[x]) for x in inside])

    def score(states: np.ndarray) -> dict[str, float]:
        if not np.isfinite(states).all():
            return oracle
        states = states[index]
        columns = unconditional(states, of, permuted, options)
        if seen:
            inside_input = given_input(states, of, options.restarts, options.seed)
            columns |= {
                "given_input_ari": inside_input,
                "above_oracle": inside_input - oracle["oracle_given_input"],
            }
        return oracle | columns

    return score


def unconditional(states: np.ndarray, of: Labels, permuted: np.ndarray, options) -> dict[str, float]:
    """The columns of all states [n, d] together."""
    sizes = {"task": permuted.max() + 1, "regex": permuted.shape[1], "output": len(np.unique(of.output))}
    clusters = {k: kmeans(states, k, options.restarts, options.seed) for k in set(sizes.values())}
    found = {f"{name}_ari": agreement(clusters[k], getattr(of, name)) for name, k in sizes.items()}
    null = null_agreement(clusters[sizes["task"]], of.regex, permuted)
    limit = float(np.quantile(null, 0.99))
    return found | {"null_99": limit, "above_null": found["task_ari"] - limit}


def given_input(states: np.ndarray, of: Labels, restarts: int, seed: int) -> float:
    """Mean over inputs of the agreement with tasks among states of one input; inputs with fewer states than
    tasks are left out."""
    k, found = int(of.task.max()) + 1, []
    for x in np.unique(of.input):
        inside = of.input == x
        if inside.sum() >= k:
            found.append(agreement(kmeans(states[inside], k, restarts, seed), of.task[inside]))
    return _mean(found)


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan
