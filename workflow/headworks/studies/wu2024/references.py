"""What a dataset of tasks knows before any model: chance levels, oracles, a control of tasks, distances of strings."""

import numpy as np
from sklearn.metrics import adjusted_rand_score


def majority_accuracy(
    known: np.ndarray, output: np.ndarray, table_known: np.ndarray, table_output: np.ndarray
) -> float:
    """Accuracy on `output` [sequence] of the output that is most frequent in a table where `known` is the same; of
    as frequent ones, any."""
    right = 0.0
    for value in np.unique(known):
        counts = np.bincount(table_output[table_known == value])
        guesses = np.flatnonzero(counts == counts.max())
        right += np.isin(output[known == value], guesses).sum() / len(guesses)
    return float(right / len(output))


def output_oracle_ari(task: np.ndarray, output: np.ndarray) -> float:
    """Adjusted Rand index against task of clusters that are the true outputs and know nothing else."""
    return float(adjusted_rand_score(task, output))


def output_oracle_given_input(task: np.ndarray, output: np.ndarray, known: np.ndarray) -> float:
    """Mean over inputs of `output_oracle_ari` among sequences with that input."""
    return float(np.mean([output_oracle_ari(task[known == x], output[known == x]) for x in np.unique(known)]))


def permuted_tasks(n_tasks: int, n_regexes: int, generator: np.random.Generator) -> np.ndarray:
    """[regex] labels like tasks, n_regexes regular expressions each, that cut across tasks.

    At least half of the labels differ from the tasks, and of the pairs of regular expressions of one task at most
    half still share a label, so that the labels are not the tasks under other names.
    """
    tasks = np.repeat(np.arange(n_tasks), n_regexes)
    while True:
        labels = generator.permutation(tasks)
        together = np.equal.outer(labels, labels) & np.equal.outer(tasks, tasks)
        kept, all_pairs = (together.sum() - len(tasks)) / 2, n_tasks * n_regexes * (n_regexes - 1) / 2
        if (labels != tasks).mean() >= 0.5 and kept <= all_pairs / 2:
            return labels


def edit_distances(strings: np.ndarray, others: np.ndarray, empty: int) -> np.ndarray:
    """Levenshtein distances [string, other] of rows of symbols, left padded with `empty`."""
    a, b = strings[:, None], others[None]
    n_a, n_b = strings.shape[1], others.shape[1]
    pairs = (len(strings), len(others))
    # padding costs nothing: distances then start where both strings do
    drop, add = (a != empty).astype(np.int16), (b != empty).astype(np.int16)
    before = [np.zeros(pairs, np.int16)]
    for j in range(n_b):
        before.append(before[j] + add[..., j])
    for i in range(n_a):
        row = [before[0] + drop[..., i]]
        for j in range(n_b):
            change = before[j] + np.where(a[..., i] == b[..., j], 0, np.maximum(drop[..., i], add[..., j]))
            row.append(np.minimum(np.minimum(before[j + 1] + drop[..., i], row[j] + add[..., j]), change))
        before = row
    return before[-1]
