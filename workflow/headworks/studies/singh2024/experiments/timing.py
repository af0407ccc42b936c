"""When each replica learns, and whether in a phase change or smoothly (Singh 2024, Fig. 5 and 6)."""

import math

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.measures.learning import exponential_fit, learning, longest_plateau, phase_change

REPLICA = ["run", "condition", "seed"]
PERMUTED = ["midpoint", "midpoint_bound", "learned", "learned_bound", "finished", "shape"]
PERMUTATION_ROLE = 5


def table(options, inputs) -> pd.DataFrame:
    """One row per run, condition and seed, read from tables of curves. Times are in training sequences
    seen, and infinite for what did not happen before the end.

    Columns: run, condition, seed, n_classes, n_labels; ended; start_loss and end_loss (nats, first and last
    average); onset, midpoint, learned, finished (loss below 0.9, 0.5, 0.4 of ln 2; below 0.1 nats);
    censored (1 without a midpoint); midpoint_bound and learned_bound (the same times, or the end of training
    where they never came: what they are at least); plateau (time near ln 2 before the onset),
    longest_plateau (longest time within 20 % of any loss); shape (`phase_change`: 1 is smooth, from 1.5 on a phase change); rate
    (per sequence) and fit (R squared) of an exponential; and permuted_midpoint and so on (learned,
    finished, shape, and the bounds): those of a row drawn without replacement from all rows of the same
    seed, a control in which conditions mean nothing.
    """
    described = [describe(curves, options.onset_after) for curves in inputs.tables.values()]
    frame = pd.concat(described, ignore_index=True)
    twice = frame[frame.duplicated(REPLICA)]
    if len(twice):
        raise HeadworksError(
            f"tables: {' and '.join(inputs.tables)} hold the run {twice['run'].iloc[0]} more than once"
        )
    shuffled = frame[PERMUTED].iloc[permutation(frame["seed"], options.seed)].reset_index(drop=True)
    return frame.join(shuffled.add_prefix("permuted_"))


def describe(curves: pd.DataFrame, onset_after: float) -> pd.DataFrame:
    """One row a replica of one table of curves, in the table's order."""
    rows = []
    for key, curve in curves.groupby(REPLICA, sort=False):
        about = dict(zip(REPLICA, key, strict=True))
        about |= {name: curve[name].iloc[0] for name in ("n_classes", "n_labels")}
        rows.append(about | times_and_shape(curve["sequences"], curve["loss"], onset_after))
    return pd.DataFrame(rows)


def times_and_shape(sequences, loss, onset_after: float) -> dict[str, float]:
    """What one curve, sequences [point] and loss [point], says."""
    x, y = np.asarray(sequences, dtype=float), np.asarray(loss, dtype=float)
    found = learning(x, y, after=onset_after)
    rate, fit = exponential_fit(x, y)
    return {
        "ended": found.end,
        "start_loss": y[0],
        "end_loss": y[-1],
        "onset": found.onset,
        "midpoint": found.midpoint,
        "learned": found.learned,
        "finished": found.finished,
        "censored": int(math.isinf(found.midpoint)),
        "midpoint_bound": min(found.midpoint, found.end),
        "learned_bound": min(found.learned, found.end),
        "plateau": found.plateau,
        "longest_plateau": longest_plateau(x, y),
        "shape": phase_change(x, y),
        "rate": rate,
        "fit": fit,
    }


def permutation(seeds: pd.Series, seed: int) -> np.ndarray:
    """For each row another of the same seed, or itself: [row]. A seed's draw is its own."""
    rows = np.arange(len(seeds))
    for replica, own in seeds.groupby(seeds).indices.items():
        rows[own] = np.random.default_rng([PERMUTATION_ROLE, seed, replica]).permutation(own)
    return rows
