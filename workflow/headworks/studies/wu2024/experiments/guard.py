"""Refusing forbidden tasks by the nearest centroid, against detectors that count symbols."""

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from headworks.errors import HeadworksError
from headworks.measures.clustering import auroc, centroids, false_alarms, linear_probe
from headworks.studies.wu2024.states import SEP, frame, labels, moments, rows_of, symbol_counts

DRAWS_ROLE = 5
NO_LAYER = -1
COLUMNS = ["layer", "detector", "auroc", "false_refusals"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, layer, detector, auroc, false_refusals; means over sets of forbidden
    tasks.

    Detectors learn from the strings of split train and judge those of val. centroid: of states at SEP, the
    distance to the nearest allowed task's centroid less that to the nearest forbidden one's. symbols: the same
    of counts of the instruction's symbols, layer -1. classifier: a logistic regression on those counts, layer
    -1. auroc: of forbidden against allowed instructions; false_refusals: the share of allowed ones refused at
    the threshold that catches 95 % of forbidden ones. NaN where a replica diverged.
    """
    rows = []
    for moment in moments(options, inputs):
        dataset = moment.run.dataset
        found, sets = labels(dataset), forbidden_sets(dataset.facts["n_tasks"], options)
        train, val = (rows_of(dataset, found, split, SEP) for split in ("train", "val"))
        of_train, of_val = found.task[train], found.task[val]
        surface = by_symbols(dataset, train, val, of_train, of_val, sets)
        for replica in moment.replicas:
            rows += [moment.about(replica) | columns for columns in surface]
        for _, layer, replica, states in moment.cells([SEP]):
            columns = {"layer": layer, "detector": "centroid"}
            if np.isfinite(states).all():
                columns |= detection(by_centroid(states[train], of_train, states[val], sets), of_val, sets)
            rows.append(moment.about(replica) | columns)
    return frame(rows, COLUMNS)


def forbidden_sets(n_tasks: int, options) -> list[np.ndarray]:
    """Tasks forbidden, one array a draw. Raises HeadworksError if none would be allowed."""
    if options.forbidden >= n_tasks:
        raise HeadworksError(
            f"options.forbidden: {options.forbidden} of {n_tasks} tasks; allowed: 1 to {n_tasks - 1}"
        )
    generator = np.random.default_rng([DRAWS_ROLE, options.seed])
    return [generator.permutation(n_tasks)[: options.forbidden] for _ in range(options.draws)]


def by_centroid(train: np.ndarray, of_train: np.ndarray, val: np.ndarray, sets: list[np.ndarray]) -> list:
    """How near each of val [n, d] is to forbidden tasks, [n] a set: high where it should be refused."""
    distances, scores = cdist(val, centroids(train, of_train)), []
    for forbidden in sets:
        refused = np.isin(np.arange(distances.shape[1]), forbidden)
        scores.append(distances[:, ~refused].min(1) - distances[:, refused].min(1))
    return scores


def by_symbols(
    dataset, train: np.ndarray, val: np.ndarray, of_train: np.ndarray, of_val: np.ndarray, sets: list
) -> list[dict]:
    """The rows of both detectors that read counts."""
    counts = symbol_counts(dataset)
    fitted = [linear_probe(counts[train], np.isin(of_train, forbidden)) for forbidden in sets]
    scores = {
        "symbols": by_centroid(counts[train], of_train, counts[val], sets),
        "classifier": [probe.decision_function(counts[val]) for probe in fitted],
    }
    return [
        {"layer": NO_LAYER, "detector": name} | detection(found, of_val, sets)
        for name, found in scores.items()
    ]


def detection(scores: list[np.ndarray], tasks: np.ndarray, sets: list[np.ndarray]) -> dict[str, float]:
    """Means over sets of the scores [n] of instructions of tasks [n]."""
    wanted = [np.isin(tasks, forbidden) for forbidden in sets]
    return {
        "auroc": float(np.mean([auroc(*both) for both in zip(scores, wanted, strict=True)])),
        "false_refusals": float(np.mean([false_alarms(*both) for both in zip(scores, wanted, strict=True)])),
    }
