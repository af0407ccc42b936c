"""Whether tasks are told apart where both input and output are the same.

States near the output collapse onto it, so clusters of outputs pass for clusters of tasks. In a cell, the
states of one input and one output, nothing but the instruction can separate two tasks; and since regular
expressions are judged by centroids of others, its form cannot either.
"""

import math
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import pandas as pd

from headworks.measures.clustering import separations
from headworks.studies.wu2024.states import frame, labels, moments, rows_of, sees_input

SPLIT = "val"
GROUPS_ROLE = 3
COLUMNS = ["position", "layer", "labels", "separated", "cells"]


@dataclass(frozen=True)
class Pair:
    """Two tasks that share a cell, as ways to form two classes and to judge them, one a row."""

    rows: np.ndarray  # [n], of all sequences
    first: np.ndarray  # [way, n], bool: of the first class
    judged: np.ndarray  # [way, n], bool: the two regular expressions that are judged
    permuted: np.ndarray  # [way], bool: classes are other groups of regular expressions than the tasks


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, position (where the input is known), layer, labels (task or permuted), separated,
    cells.

    separated: the mean, over cells and the pairs of tasks in them, of the balanced accuracy of the nearer
    centroid (chance: 0.5) on one regular expression of each task, with centroids of the tasks' others, over all
    such choices; strings are those of split val. permuted: the pair's regular expressions form two other groups
    of the same sizes, the mean over permutations. cells: how many cells tasks share. Left out are pairs of which
    a task has one regular expression in the cell; NaN without any pair, or for a replica that diverged.
    """
    rows = []
    for moment in moments(options, inputs):
        dataset = moment.run.dataset
        wanted = [position for position in moment.positions if sees_input(dataset, position)]
        found, cells = shared(dataset, wanted[-1], options)
        for position, layer, replica, states in moment.cells(wanted):
            about = moment.about(replica) | {"position": position, "layer": layer, "cells": cells}
            for name, separated in separation(states, found).items():
                rows.append(about | {"labels": name, "separated": separated})
    return frame(rows, COLUMNS)


def shared(dataset, position: str, options) -> tuple[list[Pair], int]:
    """The pairs of tasks in cells that tasks share, and how many such cells there are."""
    found = labels(dataset)
    index = rows_of(dataset, found, SPLIT, position)
    of = found.take(index)
    generator = np.random.default_rng([GROUPS_ROLE, options.seed])
    pairs, cells = [], 0
    for x, y in sorted(set(zip(of.input.tolist(), of.output.tolist(), strict=True))):
        inside = (of.input == x) & (of.output == y)
        tasks = np.unique(of.task[inside])
        cells += len(tasks) > 1
        for two in combinations(tasks, 2):
            chosen = np.flatnonzero(inside & np.isin(of.task, two))
            first, regex = of.task[chosen] == two[0], of.regex[chosen]
            others = regrouped(first, regex, options.permutations, generator)
            pairs.append(pair_of(index[chosen], first, others, regex))
    return [pair for pair in pairs if len(pair.first)], cells


def pair_of(rows: np.ndarray, first: np.ndarray, others: np.ndarray, regex: np.ndarray) -> Pair:
    """All ways of a pair: the tasks' own [n], then other groups [number, n]."""
    ways = [
        (group, judged, bool(i)) for i, group in enumerate([first, *others]) for judged in folds(group, regex)
    ]
    if not ways:
        nothing = np.zeros((0, len(rows)), bool)
        return Pair(rows, nothing, nothing, np.zeros(0, bool))
    groups, judged, permuted = (np.array(part) for part in zip(*ways, strict=True))
    return Pair(rows, groups, judged, permuted)


def folds(first: np.ndarray, regex: np.ndarray) -> list[np.ndarray]:
    """Which states [n] are judged: one regular expression of each class, in every way that leaves others."""
    own, rest = np.unique(regex[first]), np.unique(regex[~first])
    if min(len(own), len(rest)) < 2:
        return []
    return [np.isin(regex, two) for two in product(own, rest)]


def regrouped(
    first: np.ndarray, regex: np.ndarray, number: int, generator: np.random.Generator
) -> np.ndarray:
    """Other groups of regular expressions [n] in place of the first's [n], each as large: bool [number, n].

    Neither the first group nor, where they are equally large, the second; none where there is no other.
    """
    own, rest = set(regex[first].tolist()), set(regex[~first].tolist())
    everything = sorted(own | rest)
    if len(everything) < 3:
        return np.zeros((0, len(first)), bool)
    drawn = []
    while len(drawn) < number:
        group = set(generator.permutation(everything)[: len(own)].tolist())
        if group not in (own, rest):
            drawn.append(np.isin(regex, list(group)))
    return np.stack(drawn)


def separation(states: np.ndarray, pairs: list[Pair]) -> dict[str, float]:
    """separated by labels, from states [row, d] of all sequences."""
    if not pairs or not np.isfinite(states).all():
        return {"task": math.nan, "permuted": math.nan}
    found = {"task": [], "permuted": []}
    for pair in pairs:
        ways = separations(states[pair.rows], pair.first, pair.judged)
        found["task"].append(ways[~pair.permuted].mean())
        if pair.permuted.any():
            found["permuted"].append(ways[pair.permuted].mean())
    return {name: float(np.mean(values)) if values else math.nan for name, values in found.items()}
