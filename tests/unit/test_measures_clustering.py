"""Clusters that are planted, absent or of another kind than asked for; scores by hand and against scikit-learn."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.cluster import KMeans

from headworks.errors import HeadworksError
from headworks.measures import clustering

TASKS = np.repeat(np.arange(6), 3)
"""The task of each of 18 groups."""
GROUPS = np.repeat(np.arange(18), 15)
"""The group of each of 270 states."""
OF_STATE = TASKS[GROUPS]


def around(labels, seed=0, spread=0.1, width=16):
    """States scattered about one random place a label."""
    rng = np.random.default_rng(seed)
    places = 3 * rng.normal(size=(labels.max() + 1, width))
    return places[labels] + spread * rng.normal(size=(len(labels), width))


def null(clusters, seed=0, number=1000):
    permuted = np.random.default_rng(seed).permuted(np.tile(TASKS, (number, 1)), axis=1)
    return clustering.null_agreement(clusters, GROUPS, permuted)


# Clusters


def test_planted_clusters_are_found():
    clusters = clustering.kmeans(around(OF_STATE), 6, restarts=4)
    assert clustering.agreement(clusters, OF_STATE) == pytest.approx(1)
    assert clustering.matched_accuracy(clusters, OF_STATE) == 1
    assert np.quantile(null(clusters), 0.99) < 0.5


def test_without_clusters_there_is_nothing_to_find():
    clusters = clustering.kmeans(np.random.default_rng(1).normal(size=(270, 16)), 6, restarts=4)
    found = clustering.agreement(clusters, OF_STATE)
    assert abs(found) < 0.03
    assert found < np.quantile(null(clusters), 0.99)


def test_clusters_of_groups_do_not_pass_for_clusters_of_tasks():
    clusters = clustering.kmeans(around(GROUPS), 6, restarts=4)
    found = clustering.agreement(clusters, OF_STATE)
    assert found < np.quantile(null(clusters), 0.99)
    # permuted among states instead, the null would let them pass
    rng = np.random.default_rng(0)
    weak = [clustering.agreement(clusters, rng.permutation(OF_STATE)) for _ in range(200)]
    assert found > np.quantile(weak, 0.99)


def test_clusters_are_as_tight_as_those_of_scikit_learn():
    def scatter(states, clusters):
        return ((states - clustering.centroids(states, clusters)[clusters]) ** 2).sum()

    for seed in range(3):
        states = around(GROUPS, seed, spread=2)
        theirs = KMeans(12, n_init=10, random_state=seed).fit(states)
        assert scatter(states, theirs.labels_) == pytest.approx(theirs.inertia_)
        assert scatter(states, clustering.kmeans(states, 12, 10, seed)) < 1.03 * theirs.inertia_


def test_clusters_depend_on_the_seed_and_on_nothing_else():
    states = np.random.default_rng(1).normal(size=(270, 16))
    assert (clustering.kmeans(states, 6, 2, 5) == clustering.kmeans(states, 6, 2, 5)).all()
    assert (clustering.kmeans(states, 6, 2, 5) != clustering.kmeans(states, 6, 2, 6)).any()


def test_fewer_values_than_clusters_are_a_cluster_each():
    few = np.array([[0, 1], [0, 2], [0, 1], [0, 3]])
    assert clustering.kmeans(few, 3).tolist() == [0, 1, 0, 2]
    assert clustering.kmeans(np.ones((5, 4)), 2).tolist() == [0] * 5
    assert len(set(clustering.kmeans(few, 2))) == 2


def test_more_clusters_than_states_are_an_error():
    with pytest.raises(HeadworksError, match=r"k = 5 clusters of 4 states; allowed: 1 to 4"):
        clustering.kmeans(np.eye(4), 5)


def test_adjusted_rand_agrees_with_scikit_learn():
    rng = np.random.default_rng(2)
    tables = []
    for _ in range(20):
        first, second = rng.integers(0, 4, 50), rng.integers(0, 7, 50)
        second[:25] = first[:25]
        first[0], second[0] = 3, 6
        tables.append(clustering.contingency(first, second))
        assert clustering.adjusted_rand(tables[-1]) == pytest.approx(
            metrics.adjusted_rand_score(first, second)
        )
        assert clustering.agreement(second, first) == pytest.approx(clustering.agreement(first, second))
    together = clustering.adjusted_rand(np.stack(tables))
    assert together == pytest.approx([clustering.adjusted_rand(table) for table in tables])


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [([0] * 4, [0] * 4, 1), ([0, 1, 2, 3], [3, 2, 1, 0], 1), ([0] * 4, [0, 0, 1, 1], 0)],
)
def test_adjusted_rand_of_trivial_partitions(first, second, expected):
    assert clustering.agreement(np.array(first), np.array(second)) == expected
    assert metrics.adjusted_rand_score(first, second) == expected


def test_null_agreement_is_that_of_each_permutation():
    rng = np.random.default_rng(3)
    clusters = rng.integers(0, 5, 270)
    clusters[:120] = OF_STATE[:120] % 5
    permuted = np.stack([TASKS, *(rng.permutation(TASKS) for _ in range(9))])
    one_by_one = [metrics.adjusted_rand_score(tasks[GROUPS], clusters) for tasks in permuted]
    assert clustering.null_agreement(clusters, GROUPS, permuted) == pytest.approx(one_by_one)
    assert one_by_one[0] == pytest.approx(clustering.agreement(clusters, OF_STATE))


def test_matched_accuracy_by_hand():
    clusters, labels = np.array([2, 2, 2, 0, 0, 1]), np.array([0, 0, 1, 1, 1, 1])
    assert clustering.matched_accuracy(clusters, labels) == pytest.approx(4 / 6)


def test_silhouette_agrees_with_scikit_learn():
    states = around(OF_STATE, spread=3)
    labels = OF_STATE.copy()
    labels[0] = 6  # alone
    distances = cdist(states, states)
    assert clustering.silhouette(distances, labels) == pytest.approx(metrics.silhouette_score(states, labels))
    assert math.isnan(clustering.silhouette(distances, np.zeros(270, int)))


def test_the_number_of_clusters_is_found():
    states = around(OF_STATE)
    found = clustering.clusters_by_silhouette(states, cdist(states, states), 10, restarts=4)
    assert clustering.agreement(found, OF_STATE) == pytest.approx(1)
    alike = np.ones((9, 4))
    assert clustering.clusters_by_silhouette(alike, cdist(alike, alike), 4) is None


# Neighbours, components


def test_neighbours_by_hand():
    line = np.array([[0.0], [1], [2], [10], [11]])
    labels = np.array([0, 0, 1, 1, 1])
    distances = cdist(line, line)
    assert clustering.neighbour_agreement(distances, labels, 1) == pytest.approx(4 / 5)
    assert clustering.neighbour_agreement(distances, labels, 4) == pytest.approx(np.mean([1, 1, 2, 2, 2]) / 4)
    with pytest.raises(HeadworksError, match=r"neighbours: 5, .* allowed: 1 to 4"):
        clustering.neighbour_agreement(distances, labels, 5)


def test_principal_components_keep_distances_and_order_variance():
    states = around(OF_STATE, width=5)
    found = clustering.principal_components(states, 50)
    assert found.shape == states.shape
    assert cdist(found, found) == pytest.approx(cdist(states, states))
    assert (np.diff(found.var(0)) < 0).all()
    assert clustering.principal_components(states, 2) == pytest.approx(found[:, :2])
    for component in found.T:
        assert component[np.abs(component).argmax()] > 0


def test_unit_length():
    assert clustering.unit_length(np.array([[3.0, 4], [0, 0]])).tolist() == [[0.6, 0.8], [0, 0]]


def test_linear_probe_reads_what_is_linear():
    states = around(OF_STATE)
    probe = clustering.linear_probe(states[::2], OF_STATE[::2])
    assert probe.score(states[1::2], OF_STATE[1::2]) == 1
    ring = np.column_stack([np.cos(np.arange(80)), np.sin(np.arange(80))]) * (1 + np.arange(80) % 2)[:, None]
    assert clustering.linear_probe(ring, np.arange(80) % 2).score(ring, np.arange(80) % 2) < 0.7


# Centroids


CROSS = np.array([[0.0, 1], [0, -1], [10, 1], [10, -1]])
SIDES = np.array([0, 0, 1, 1])


def test_centroids_and_spread_by_hand():
    assert clustering.centroids(CROSS, SIDES).tolist() == [[0, 0], [10, 0]]
    assert clustering.intra_inter(CROSS, SIDES) == pytest.approx(1 / 100)
    assert math.isnan(clustering.intra_inter(np.ones((4, 2)), SIDES))


def test_nearest_and_pairwise_accuracy_by_hand():
    distances = np.array([[1, 2, 3], [2, 1, 3], [3, 1, 3], [1, 1, 2], [9, 9, 0]], float)
    labels = np.array([0, 0, 1, 1, 2])
    assert clustering.nearest_accuracy(distances, labels) == pytest.approx(3 / 5)
    zero_one = (1 / 2 + (1 + 0.5) / 2) / 2
    assert clustering.pairwise_accuracy(distances, labels) == pytest.approx([zero_one, 1, 1])


def test_pairwise_accuracy_of_one_place_is_a_half():
    assert clustering.pairwise_accuracy(np.ones((6, 3)), np.repeat([0, 1, 2], 2)).tolist() == [0.5] * 3


def test_margins_by_hand():
    distances = np.array([[1.0, 4, 6], [5, 2, 3]])
    assert clustering.margins(distances, np.array([0, 2])).tolist() == [3, -1]
    assert distances[0, 0] == 1


def test_same_label_nearest_by_hand():
    line = np.array([[0.0], [1], [5], [6.5], [100]])
    assert clustering.same_label_nearest(line, np.array([0, 0, 1, 2, 2])) == pytest.approx(3 / 5)
    assert clustering.same_label_nearest(np.zeros((4, 2)), np.array([0, 0, 1, 1])) == pytest.approx(1 / 3)


def test_separations_tell_planted_classes_and_only_those():
    rng = np.random.default_rng(4)
    first, half = np.arange(80) % 4 < 2, np.arange(80) % 2 == 0
    states = rng.normal(size=(80, 8)) + 40 * first[:, None]
    ways = np.stack([first, rng.permutation(first), np.arange(80) < 20])
    judged = np.stack([half, ~half, half])
    planted, drawn, _ = clustering.separations(states, ways, judged)
    assert planted == pytest.approx(1)
    assert drawn < 0.8
    assert clustering.separations(states, ways, judged) == pytest.approx(one_by_one(states, ways, judged))
    assert clustering.separations(np.full((80, 8), 0.1), ways, judged) == pytest.approx([0.5] * 3)


def one_by_one(states, ways, judged):
    """The same by loops over ways and states."""
    found = []
    for first, away in zip(ways, judged, strict=True):
        means = [states[members & ~away].mean(0) for members in (first, ~first)]
        nearer = np.linalg.norm(states - means[0], axis=1) < np.linalg.norm(states - means[1], axis=1)
        found.append((nearer[first & away].mean() + 1 - nearer[~first & away].mean()) / 2)
    return found


def test_separations_need_both_classes_on_both_sides():
    first = np.array([[True, False, False, False], [True, True, False, False]])
    judged = np.array([[True, False, True, False]] * 2)
    found = clustering.separations(np.eye(4), first, judged)
    assert np.isnan(found).tolist() == [True, False]


# Scores of single states


def test_auroc_by_hand():
    positive = [True, False, True, False]
    assert clustering.auroc([4, 3, 2, 1], positive) == 3 / 4
    assert clustering.auroc([1, 1, 1, 1], positive) == 1 / 2
    assert clustering.auroc([2, 1, 2, 2], positive) == 3 / 4
    assert math.isnan(clustering.auroc([1, 2], [True, True]))


def test_false_alarms_by_hand():
    positive = np.arange(40) < 20
    scores = np.concatenate([np.arange(20), [-1, 0, 0.5, 1, 3], np.full(15, -5)])
    assert clustering.false_alarms(scores, positive) == 2 / 20
    assert clustering.false_alarms(scores, positive, caught=1) == 4 / 20
    assert clustering.false_alarms(scores, positive, caught=0.9) == 1 / 20
    assert math.isnan(clustering.false_alarms([1, 2], [False, False]))


@pytest.mark.parametrize("spread", [1, 0.01])
def test_a_score_that_only_says_which_group_has_no_coefficient(spread):
    """Simpson's paradox: the score predicts the outcome over all, and nothing within a group."""
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(8), 250)
    score = 4.0 * (group % 2) + spread * rng.normal(size=2000)
    outcome = rng.random(2000) < np.where(group % 2, 0.9, 0.4)
    nothing = rng.normal(size=(2000, 1))
    assert clustering.auroc(score, outcome) > 0.7
    assert abs(clustering.logistic_coefficient(outcome, score, nothing, group)) < 0.15
    honest = rng.random(2000) < 1 / (1 + np.exp(-(score - 4.0 * (group % 2)) / spread))
    assert clustering.logistic_coefficient(honest, score, nothing, group) == pytest.approx(1, abs=0.15)


def test_a_coefficient_needs_something_to_differ():
    rng = np.random.default_rng(7)
    group, nothing = np.repeat(np.arange(7), 20), rng.normal(size=(140, 1))
    score, outcome = rng.normal(size=140), rng.random(140) < 0.5
    assert math.isnan(clustering.logistic_coefficient(np.ones(140, bool), score, nothing, group))
    assert math.isnan(clustering.logistic_coefficient(outcome, group / 7, nothing, group))


def test_a_score_that_only_repeats_a_covariate_has_half_of_its_coefficient():
    rng = np.random.default_rng(6)
    length = rng.normal(size=2000)
    outcome = rng.random(2000) < 1 / (1 + np.exp(-2 * length))
    apart = clustering.logistic_coefficient(
        outcome, rng.normal(size=2000), length[:, None], np.zeros(2000, int)
    )
    same = clustering.logistic_coefficient(outcome, length, length[:, None], np.zeros(2000, int))
    assert abs(apart) < 0.15
    assert same == pytest.approx(1, abs=0.15)
