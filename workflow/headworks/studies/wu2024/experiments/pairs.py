"""Whether any two tasks are told apart by the nearer centroid, though they share their inputs."""

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from headworks.measures.clustering import centroids, nearest_accuracy, pairwise_accuracy
from headworks.studies.wu2024.references import permuted_tasks
from headworks.studies.wu2024.states import frame, labels, moments, regex_tasks, rows_of

PERMUTATION_ROLE = 4
COLUMNS = ["position", "layer", "labels", "pairwise", "worst", "all_tasks"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, position, layer, labels (task or permuted), pairwise, worst,
    all_tasks.

    Centroids are those of split train, the states judged those of val. pairwise, worst: accuracy of the nearer
    of two tasks' centroids, the mean over pairs and the lowest (chance: 0.5); all_tasks: of the nearest of all.
    permuted: tasks permuted among regular expressions, a control. NaN where a replica diverged.
    """
    rows = []
    for moment in moments(options, inputs):
        dataset = moment.run.dataset
        found, labelled = labels(dataset), both_labels(dataset, options.seed)
        for position, layer, replica, states in moment.cells():
            train, val = (rows_of(dataset, found, split, position) for split in ("train", "val"))
            about = moment.about(replica) | {"position": position, "layer": layer}
            for name, tasks in labelled.items():
                of_train, of_val = tasks[found.regex[train]], tasks[found.regex[val]]
                scores = separated(states[train], of_train, states[val], of_val)
                rows.append(about | {"labels": name} | scores)
    return frame(rows, COLUMNS)


def both_labels(dataset, seed: int) -> dict[str, np.ndarray]:
    """The task of each regular expression, [regex], and labels like tasks that cut across them."""
    generator = np.random.default_rng([PERMUTATION_ROLE, seed])
    permuted = permuted_tasks(dataset.facts["n_tasks"], dataset.facts["n_regexes"], generator)
    return {"task": regex_tasks(dataset), "permuted": permuted}


def separated(train: np.ndarray, of_train: np.ndarray, val: np.ndarray, of_val: np.ndarray) -> dict:
    """The scores of states val [n, d] by the centroids of states train [m, d]."""
    if not (np.isfinite(train).all() and np.isfinite(val).all()):
        return {}
    distances = cdist(val, centroids(train, of_train))
    each = pairwise_accuracy(distances, of_val)
    scores = {"pairwise": float(each.mean()), "worst": float(each.min())}
    return scores | {"all_tasks": nearest_accuracy(distances, of_val)}
