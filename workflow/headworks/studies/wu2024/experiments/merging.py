"""Whether the regular expressions of one task lie together."""

import numpy as np
import pandas as pd

from headworks.measures.clustering import agreement, centroids, kmeans, same_label_nearest
from headworks.studies.wu2024.experiments.clusters import check_sizes
from headworks.studies.wu2024.states import Labels, frame, labels, moments, regex_tasks, rows_of

SPLIT = "val"
RESTARTS, SEED = 2, 0
"""Of k-means, as table `clusters` has them by default."""
COLUMNS = ["position", "layer", "merged", "chance", "task_minus_regex"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, position, layer, merged, chance, task_minus_regex; on split val.

    merged: the share of regular expressions whose nearest other centroid is of one of the same task; chance:
    (M - 1) / (T M - 1) of T tasks with M each. task_minus_regex: the adjusted Rand index of as many k-means
    clusters as tasks with tasks, less that of as many as regular expressions with those. NaN where a replica
    diverged; merged and chance say nothing of tasks with one regular expression.
    """
    rows = []
    for moment in moments(options, inputs):
        dataset = moment.run.dataset
        found, tasks = labels(dataset), regex_tasks(dataset)
        chance = (dataset.facts["n_regexes"] - 1) / (len(tasks) - 1)
        for position, layer, replica, states in moment.cells():
            index = rows_of(dataset, found, SPLIT, position)
            check_sizes(SPLIT, len(index), len(tasks))
            about = {"position": position, "layer": layer, "chance": chance}
            rows.append(moment.about(replica) | about | merging(states[index], found.take(index), tasks))
    return frame(rows, COLUMNS)


def merging(states: np.ndarray, of: Labels, tasks: np.ndarray) -> dict[str, float]:
    """merged and task_minus_regex of states [n, d]; tasks [regex]."""
    if not np.isfinite(states).all():
        return {}
    by_task = agreement(kmeans(states, int(tasks.max()) + 1, RESTARTS, SEED), of.task)
    by_regex = agreement(kmeans(states, len(tasks), RESTARTS, SEED), of.regex)
    merged = same_label_nearest(centroids(states, of.regex), tasks)
    return {"merged": merged, "task_minus_regex": by_task - by_regex}
