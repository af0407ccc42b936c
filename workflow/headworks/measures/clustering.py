"""How clustered labelled states are: partitions compared, centroids, neighbours, two classes told apart.

`states` are [n, d], one a row; labels are whole numbers from 0, [n], and every number up to the largest occurs
where centroids are taken. Distances are Euclidean.
"""

import math
import warnings

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from headworks.errors import HeadworksError

ITERATIONS = 1000
"""Most steps of a logistic regression's optimiser."""
KMEANS_ROLE = 6
ROUNDING = 1e-9
"""Share of a score below which its differences may be errors of rounding."""


# Clusters


def kmeans(states: np.ndarray, k: int, restarts: int = 1, seed: int = 0) -> np.ndarray:
    """Labels [n] of k clusters: k-means++ (Arthur and Vassilvitskii 2007), the best of several candidates each time, and Lloyd's
    algorithm, the tightest of some starts.

    States with at most k distinct values are one cluster a value. Raises HeadworksError for k above n.
    """
    if k > len(states):
        raise HeadworksError(
            f"k-means: k = {k} clusters of {len(states)} states; allowed: 1 to {len(states)}"
        )
    if (few := _by_value(states, k)) is not None:
        return few
    states = states - states.mean(0)
    generator = np.random.default_rng([KMEANS_ROLE, seed])
    with warnings.catch_warnings():
        # fewer clusters than asked for are a result here: states of few values
        warnings.simplefilter("ignore", ConvergenceWarning)
        starts = [KMeans(k, init=_seeds(states, k, generator), n_init=1) for _ in range(restarts)]
        return min((start.fit(states) for start in starts), key=lambda start: start.inertia_).labels_


def _by_value(states: np.ndarray, k: int) -> np.ndarray | None:
    """One label a distinct state [n], if there are at most k; sorted only where one column has as few values."""
    if (states == states[0]).all():
        return np.zeros(len(states), int)
    if len(np.unique(states[:, 0])) > k:
        return None
    values, labels = np.unique(states, axis=0, return_inverse=True)
    return labels.ravel() if len(values) <= k else None


def _seeds(states: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """k of the states [n, d], far from one another; scikit-learn's own choice of them takes most of its time."""
    norms, trials = (states**2).sum(1), 2 + int(math.log(k))
    first = int(generator.integers(len(states)))
    chosen, nearest = [first], ((states - states[first]) ** 2).sum(1)
    for draws in generator.random((k - 1, trials)):
        heaps = nearest.cumsum()
        tried = np.minimum(np.searchsorted(heaps, draws * heaps[-1]), len(states) - 1)
        apart = norms + norms[tried, None] - 2 * states[tried] @ states.T
        left = np.minimum(nearest, apart.clip(min=0))
        best = left.sum(1).argmin()
        chosen.append(tried[best])
        nearest = left[best]
    return states[chosen]


def contingency(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """How many states have each pair of labels, float64 [first label, second label]."""
    rows, columns = int(first.max()) + 1, int(second.max()) + 1
    counts = np.bincount(first * columns + second, minlength=rows * columns)
    return counts.reshape(rows, columns).astype(float)


def adjusted_rand(tables: ArrayLike) -> np.ndarray:
    """Adjusted Rand index [...] of contingency tables [..., label, label] (Hubert and Arabie 1985, equation 5).

    1 where both partitions are one cluster, or both single states.
    """
    tables = np.asarray(tables, float)
    together = _pairs(tables).sum((-2, -1))
    first, second = (_pairs(tables.sum(axis)).sum(-1) for axis in (-1, -2))
    total = _pairs(tables.sum((-2, -1)))
    expected = first * second / np.maximum(total, 1)
    room = (first + second) / 2 - expected
    return np.where(room == 0, 1.0, (together - expected) / np.where(room == 0, 1.0, room))


def _pairs(counts: np.ndarray) -> np.ndarray:
    return counts * (counts - 1) / 2


def agreement(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Adjusted Rand index of two labellings [n]."""
    return float(adjusted_rand(contingency(clusters, labels)))


def null_agreement(clusters: np.ndarray, groups: np.ndarray, permuted: np.ndarray) -> np.ndarray:
    """Adjusted Rand index [p] of clusters [n] against permuted labels of whole groups.

    groups [n]: the group of each state; permuted [p, group]: one label a group. Permuting labels among states
    instead would be too weak a null where groups by themselves make states clumpy.
    """
    counts = contingency(clusters, groups)
    width = int(permuted.max()) + 1
    members = (permuted.T[:, :, None] == np.arange(width)).astype(float)
    tables = np.tensordot(counts, members[: counts.shape[1]], axes=1)
    return adjusted_rand(np.moveaxis(tables, 0, 1))


def matched_accuracy(clusters: np.ndarray, labels: np.ndarray) -> float:
    """Share of states in their label's cluster when clusters and labels are matched one to one (Kuhn 1955)."""
    table = contingency(clusters, labels)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(labels))


def silhouette(distances: np.ndarray, labels: np.ndarray) -> float:
    """Mean silhouette of labels [n], from distances [n, n] (Rousseeuw 1987, section 2).

    0 for a state alone in its label; NaN with fewer than two labels.
    """
    _, labels = np.unique(labels, return_inverse=True)
    members = np.eye(labels.max() + 1)[labels]
    counts = members.sum(0)
    if len(counts) < 2:
        return math.nan
    sums = distances @ members
    rows = np.arange(len(labels))
    own = sums[rows, labels] / np.maximum(counts[labels] - 1, 1)
    means = sums / counts
    means[rows, labels] = np.inf
    other = means.min(1)
    larger = np.maximum(own, other)
    widths = np.where((counts[labels] > 1) & (larger > 0), (other - own) / np.where(larger > 0, larger, 1), 0)
    return float(widths.mean())


def clusters_by_silhouette(
    states: np.ndarray, distances: np.ndarray, largest: int, restarts: int = 1, seed: int = 0
) -> np.ndarray | None:
    """k-means clusters [n] of the k from 2 to `largest` whose mean silhouette is highest (Rousseeuw 1987,
    section 4); of equals the smallest k, None for states all alike. `distances` [n, n] are the states'."""
    found = [kmeans(states, k, restarts, seed) for k in range(2, largest + 1)]
    heights = np.array([silhouette(distances, clusters) for clusters in found])
    return None if np.isnan(heights).all() else found[int(np.nanargmax(heights))]


# Neighbours, principal components, probes


def neighbour_agreement(distances: np.ndarray, labels: np.ndarray, neighbours: int) -> float:
    """Mean share of a state's nearest `neighbours` that have its label, itself left out (the task decodability
    of Han et al. 2025). Raises HeadworksError for more neighbours than other states."""
    if neighbours >= len(labels):
        raise HeadworksError(
            f"neighbours: {neighbours}, but a state has {len(labels) - 1} others; allowed: 1 to {len(labels) - 1}"
        )
    apart = distances + np.diag(np.full(len(labels), np.inf))
    nearest = np.argpartition(apart, neighbours - 1, axis=1)[:, :neighbours]
    return float((labels[nearest] == labels[:, None]).mean())


def principal_components(states: np.ndarray, components: int) -> np.ndarray:
    """States centred and projected on their first principal components, [n, components] or as many as there are.

    A component's sign is fixed so that its largest coordinate is positive.
    """
    centred = np.asarray(states, float) - np.mean(states, axis=0, dtype=float)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    coordinates = centred @ vectors[:, ::-1][:, :components]
    largest = np.take_along_axis(coordinates, np.abs(coordinates).argmax(0)[None], axis=0)
    return coordinates * np.where(largest < 0, -1, 1)


def unit_length(states: np.ndarray) -> np.ndarray:
    """States divided by their norms; a state of nothing stays."""
    norms = np.linalg.norm(states, axis=1, keepdims=True)
    return states / np.where(norms > 0, norms, 1)


def linear_probe(states: np.ndarray, labels: np.ndarray):
    """A logistic regression on standardised states; `score(states, labels)` is its accuracy."""
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS)).fit(states, labels)


# Centroids


def centroids(states: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean state of each label, float64 [label, d]."""
    members = np.eye(int(labels.max()) + 1)[labels]
    return members.T @ np.asarray(states, float) / members.sum(0)[:, None]


def intra_inter(states: np.ndarray, labels: np.ndarray) -> float:
    """Mean squared distance to the own label's centroid over that between centroids of different labels, after
    Papyan et al. 2020 (their first property). NaN where all centroids are one."""
    means = centroids(states, labels)
    within = ((states - means[labels]) ** 2).sum(1).mean()
    between = cdist(means, means, "sqeuclidean").sum() / max(1, len(means) * (len(means) - 1))
    return float(within / between) if between > 0 else math.nan


def nearest_accuracy(distances: np.ndarray, labels: np.ndarray) -> float:
    """Share of states [n] that are nearest to their own label's centroid; distances [n, label]."""
    return float((distances.argmin(1) == labels).mean())


def pairwise_accuracy(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """For each two labels, whose states are nearer to their own centroid than to the other's: [pair].

    distances [n, label]; the mean of both labels' shares, ties counting half.
    """
    width = distances.shape[1]
    nearer = np.full((width, width), np.nan)
    for label in range(width):
        rows = distances[labels == label]
        own = rows[:, [label]]
        nearer[label] = ((own < rows) + (own == rows) / 2).mean(0)
    first, second = np.triu_indices(width, 1)
    return (nearer[first, second] + nearer[second, first]) / 2


def margins(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Distance to the nearest other centroid less that to the own, [n]; distances [n, label], of two labels or more."""
    rows = np.arange(len(labels))
    others = distances.copy()
    others[rows, labels] = np.inf
    return others.min(1) - distances[rows, labels]


def same_label_nearest(means: np.ndarray, labels: np.ndarray) -> float:
    """Share of centroids [group, d] whose nearest other has their label [group]; ties count in part."""
    apart = cdist(means, means) + np.diag(np.full(len(means), np.inf))
    nearest = apart == apart.min(1, keepdims=True)
    return float(((nearest & (labels[:, None] == labels)).sum(1) / nearest.sum(1)).mean())


def separations(states: np.ndarray, first: np.ndarray, judged: np.ndarray) -> np.ndarray:
    """Balanced accuracy of the nearer of two centroids, for several ways to form two classes: [p].

    first [p, n]: which states are of the first class; judged [p, n]: which are judged, by centroids of the
    others. Ties count half. NaN where a class has no state on one of the two sides.
    """
    centred = np.asarray(states, float) - np.mean(states, axis=0, dtype=float)
    one, other = (_shares(members & ~judged) @ centred for members in (first, ~first))
    lean = 2 * (one - other) @ centred.T - ((one**2).sum(1) - (other**2).sum(1))[:, None]
    right = np.where(np.isnan(lean), np.nan, (lean > 0) + (lean == 0) / 2)
    of_first = (right * _shares(first & judged)).sum(1)
    of_second = ((1 - right) * _shares(~first & judged)).sum(1)
    return (of_first + of_second) / 2


def _shares(members: np.ndarray) -> np.ndarray:
    """Weights [p, n] of the means over members; NaN where there are none."""
    counts = members.sum(1, keepdims=True)
    return np.where(counts > 0, members / np.maximum(counts, 1), np.nan)


# Scores of single states


def auroc(scores: ArrayLike, positive: ArrayLike) -> float:
    """Chance that a positive state's score exceeds another's, ties counting half (Hanley and McNeil 1982).

    scores [n], positive bool [n]. NaN with one kind alone.
    """
    scores, positive = np.asarray(scores, float), np.asarray(positive, bool)
    marked, unmarked = int(positive.sum()), int((~positive).sum())
    if not marked or not unmarked:
        return math.nan
    above = rankdata(scores)[positive].sum() - marked * (marked + 1) / 2
    return float(above / (marked * unmarked))


def false_alarms(scores: ArrayLike, positive: ArrayLike, caught: float = 0.95) -> float:
    """Share of others at or above the highest threshold that at least a share `caught` of positives reach.

    scores [n], positive bool [n]. NaN with one kind alone.
    """
    scores, positive = np.asarray(scores, float), np.asarray(positive, bool)
    if positive.all() or not positive.any():
        return math.nan
    ranked = np.sort(scores[positive])[::-1]
    # a share of 0.95 of 20 is 19, whatever floating point makes of it
    threshold = ranked[math.ceil(caught * len(ranked) - 1e-9) - 1]
    return float((scores[~positive] >= threshold).mean())


def logistic_coefficient(
    outcome: np.ndarray, score: np.ndarray, covariates: np.ndarray, groups: np.ndarray
) -> float:
    """Coefficient of a score [n] in a logistic regression of a yes or no [n] beside covariates [n, c] and one
    dummy a group [n]; squared penalty of strength 1 (Hastie et al. 2009, section 4.4).

    Score and covariates are centred within groups, then standardised: the penalty would otherwise let a score
    that differs by group alone stand in for many dummies. NaN where the outcome, or the score within each
    group, is one and the same.
    """
    of_group = np.unique(groups, return_inverse=True)[1]
    columns = np.column_stack([score, covariates]).astype(float)
    columns -= centroids(columns, of_group)[of_group]
    if len(np.unique(outcome)) < 2 or columns[:, 0].std() <= ROUNDING * np.abs(score).max():
        return math.nan
    features = np.hstack([StandardScaler().fit_transform(columns), np.eye(of_group.max() + 1)[of_group]])
    return float(LogisticRegression(max_iter=ITERATIONS).fit(features, outcome).coef_[0, 0])
