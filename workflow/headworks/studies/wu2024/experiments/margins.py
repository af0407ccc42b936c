"""Whether instructions far from other tasks' centroids are answered better.

A string that is odd for any reason is both far from centroids and answered badly; the logistic regression takes
out what length, distance to the nearest training string and the regular expression explain.
"""

import math

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from headworks.measures.clustering import auroc, centroids, logistic_coefficient, margins
from headworks.studies.wu2024.experiments.accuracy import answered
from headworks.studies.wu2024.experiments.pairs import both_labels
from headworks.studies.wu2024.states import SEP, Labels, frame, labels, moments, rows_of

SPLITS = ("val", "held_out")
COLUMNS = ["split", "position", "layer", "labels", "auc", "right_accuracy", "wrong_accuracy", "gap"]
COLUMNS += ["coefficient", "wrong"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, split (val or held_out), position (SEP), layer, labels (task or
    permuted), auc, right_accuracy, wrong_accuracy, gap, coefficient, wrong.

    margin: the distance to the nearest other task's centroid less that to the own, centroids from split train.
    auc: of the margin for a right answer. right_accuracy, wrong_accuracy, gap: accuracy where the nearest
    centroid is the own, where it is not (wrong such strings), and the difference. coefficient: of the
    margin, centred within regular expressions and standardised, in a logistic regression of a right answer
    beside length, edit distance and regular expressions. permuted: tasks permuted among regular expressions, a control. NaN where all answers or all
    margins are alike, where no string is right or wrong, and for a split without sequences or a replica that
    diverged.
    """
    rows = []
    for moment in moments(options, inputs):
        dataset, right = moment.run.dataset, answered(moment)
        found, labelled = labels(dataset), both_labels(dataset, options.seed)
        train = rows_of(dataset, found, "train", SEP)
        indices = {split: rows_of(dataset, found, split, SEP) for split in SPLITS}
        for position, layer, replica, states in moment.cells([SEP]):
            for name, tasks in labelled.items():
                means = centroids(states[train], tasks[found.regex[train]])
                for split, index in indices.items():
                    about = {"split": split, "position": position, "layer": layer, "labels": name}
                    scores = judged(states[index], means, right[replica, index], found.take(index), tasks)
                    rows.append(moment.about(replica) | about | scores)
    return frame(rows, COLUMNS)


def judged(states: np.ndarray, means: np.ndarray, right: np.ndarray, of: Labels, tasks: np.ndarray) -> dict:
    """The scores of states [n, d] with right answers [n]; means [task, d], tasks [regex]."""
    if not len(states) or not (np.isfinite(states).all() and np.isfinite(right).all()):
        return {}
    margin, right = margins(cdist(states, means), tasks[of.regex]), right.astype(bool)
    inside, outside = _mean(right[margin > 0]), _mean(right[margin <= 0])
    covariates = np.column_stack([of.lengths, of.edit_distance])
    return {
        "auc": auroc(margin, right),
        "right_accuracy": inside,
        "wrong_accuracy": outside,
        "gap": inside - outside,
        "coefficient": logistic_coefficient(right, margin, covariates, of.regex),
        "wrong": int((margin <= 0).sum()),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
