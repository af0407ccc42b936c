"""Every other way to say how clustered states are, beside the same for the instruction's symbols, counted."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist
from sklearn import metrics

from headworks.errors import HeadworksError
from headworks.measures.clustering import (
    agreement,
    centroids,
    clusters_by_silhouette,
    intra_inter,
    kmeans,
    linear_probe,
    matched_accuracy,
    nearest_accuracy,
    neighbour_agreement,
    principal_components,
    silhouette,
    unit_length,
)
from headworks.studies.wu2024.experiments.clusters import SPLITS
from headworks.studies.wu2024.states import SEP, Moment, frame, labels, moments, rows_of, symbol_counts

SYMBOLS, NO_LAYER = "symbols", -1
COLUMNS = ["split", "position", "layer", "ari", "ami", "nmi", "v_measure", "matched", "silhouette", "k_found"]
COLUMNS += ["ari_k_found", "ari_components", "ari_unit", "neighbours", "probe", "centroid", "intra_inter"]
COLUMNS += ["restart_spread"]


@dataclass(frozen=True)
class Sample:
    """States [n, d] of one split, with their tasks [n]."""

    states: np.ndarray
    task: np.ndarray


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, split (train or val), position, layer, and scores against tasks.

    ari, ami, nmi (geometric mean, Strehl and Ghosh 2002), v_measure, matched (accuracy, clusters matched to
    tasks one to one), of k-means with as many clusters as tasks; ari_components and ari_unit, the same index of
    states on few principal components, and of unit length; restart_spread, the index's standard deviation over
    other seeds; silhouette of the tasks; k_found, the number of clusters with the highest silhouette, and
    ari_k_found of those; neighbours, the share of nearest states that are of the task; probe and centroid,
    accuracy of a linear classifier and of the nearest centroid, both from split train; intra_inter, squared
    distance to the task's centroid over that between centroids.

    position symbols, layer -1: not states but counts of the instruction's symbols, the same for every replica
    of a dataset. Where no input has been read yet, states are one a string. NaN where a replica diverged.
    """
    rows = []
    for moment in moments(options, inputs):
        surface = of_symbols(moment.run.dataset, options)
        for replica in moment.replicas:
            rows += [moment.about(replica) | columns for columns in surface]
        rows += of_states(moment, options)
    return frame(rows, COLUMNS)


def of_symbols(dataset, options) -> list[dict]:
    """One row a split."""
    counts = symbol_counts(dataset)
    return [{"layer": NO_LAYER} | columns for columns in by_split(counts, SYMBOLS, dataset, options)]


def of_states(moment: Moment, options) -> list[dict]:
    """One row a position, layer, replica and split."""
    rows = []
    for position, layer, replica, states in moment.cells():
        about = moment.about(replica) | {"layer": layer}
        rows += [about | columns for columns in by_split(states, position, moment.run.dataset, options)]
    return rows


def by_split(states: np.ndarray, position: str, dataset, options) -> list[dict]:
    """The columns of each split, from states [row, d] of all sequences."""
    found, samples = labels(dataset), {}
    most = options.most_clusters or 2 * dataset.facts["n_tasks"]
    if not np.isfinite(states).all():
        return [{"split": split, "position": position} for split in SPLITS]
    for split in SPLITS:
        index = rows_of(dataset, found, split, SEP if position == SYMBOLS else position)
        check_sizes(split, len(index), most, options)
        samples[split] = Sample(states[index], found.task[index])
    train = samples["train"]
    probe, means = linear_probe(train.states, train.task), centroids(train.states, train.task)
    rows = []
    for split, sample in samples.items():
        columns = partitions(sample, options) | unsupervised(sample, most, options)
        columns["probe"] = float(probe.score(sample.states, sample.task))
        columns["centroid"] = nearest_accuracy(cdist(sample.states, means), sample.task)
        rows.append({"split": split, "position": position} | columns)
    return rows


def check_sizes(split: str, states: int, most: int, options) -> None:
    """Raises HeadworksError if there are fewer states than clusters or neighbours are asked for."""
    if most > states:
        raise HeadworksError(
            f"options.most_clusters: {most}, but split {split} has {states} states; allowed: 2 to {states}"
        )
    if options.neighbours >= states:
        raise HeadworksError(
            f"options.neighbours: {options.neighbours}, but a state of split {split} has {states - 1} others; "
            f"allowed: 1 to {states - 1}"
        )


def partitions(sample: Sample, options) -> dict[str, float]:
    """Scores of k-means with as many clusters as tasks."""
    k, task = int(sample.task.max()) + 1, sample.task

    def clustered(states: np.ndarray, seed: int = options.seed) -> np.ndarray:
        return kmeans(states, k, options.restarts, seed)

    clusters = clustered(sample.states)
    others = [clustered(sample.states, options.seed + 1 + i) for i in range(options.repeats)]
    return {
        "ari": agreement(clusters, task),
        "ami": metrics.adjusted_mutual_info_score(task, clusters),
        "nmi": metrics.normalized_mutual_info_score(task, clusters, average_method="geometric"),
        "v_measure": metrics.v_measure_score(task, clusters),
        "matched": matched_accuracy(clusters, task),
        "ari_components": agreement(clustered(principal_components(sample.states, options.components)), task),
        "ari_unit": agreement(clustered(unit_length(sample.states)), task),
        "restart_spread": float(np.std([agreement(other, task) for other in others])),
    }


def unsupervised(sample: Sample, most: int, options) -> dict[str, float]:
    """Scores that are not told how many tasks there are, or know no clusters."""
    distances = cdist(sample.states, sample.states)
    clusters = clusters_by_silhouette(sample.states, distances, most, options.restarts, options.seed)
    return {
        "silhouette": silhouette(distances, sample.task),
        "k_found": math.nan if clusters is None else len(np.unique(clusters)),
        "ari_k_found": math.nan if clusters is None else agreement(clusters, sample.task),
        "neighbours": neighbour_agreement(distances, sample.task, options.neighbours),
        "intra_inter": intra_inter(sample.states, sample.task),
    }
