"""Mean patterns of the main head of each layer before, during and after the change (Singh 2024, sec. 3)."""

from itertools import groupby
from operator import itemgetter

import numpy as np
import pandas as pd

from headworks.studies.singh2024.clamps import LABELS
from headworks.studies.singh2024.experiments.emergence import PROBE, active_heads, history, on_train

ONSET = 0.02  # strength below which no head has begun: the paper's stay within it until then
POSITIONS = ["first exemplar", "first label", "second exemplar", "second label", "query"]
ROLES = ["its exemplar", "right label", "other exemplar", "other label", "query"]
QUERY = 4


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, when (before, during, after), step, sequences, strength, layer, head,
    query, key (positions from 0), role, attention.

    Of each replica the head of layer 2 that is strongest in the end, among the active ones, and the head of
    layer 1 with the highest final previous-token score. after: the last cached snapshot; during: the first
    at which the strength is at least half of the final one; before: the last until then with a strength
    below 0.02, else the first. strength is that of layer 2's head at that time, also in rows of layer 1: a
    low one after means that nothing grew. Layer 1 has its mean pattern over all sequences, role being the
    key's position in words. Layer 2 has the query's attention over the sequences of split train, keys
    sorted by role: its exemplar, right label, other exemplar, other label, query; key counts them from 0.
    """
    frames = []
    for name, run in inputs.runs.items():
        cached = inputs.activations[options.activations][name]
        frames += of_run(name, run, cached)
    return pd.concat(frames, ignore_index=True)


def of_run(name: str, run, cached) -> list[pd.DataFrame]:
    """The rows of one run: one frame a replica, time and layer, ascending in the snapshot."""
    found, rows = history(cached, run.dataset), cached.tokens(PROBE)
    trained = on_train(run.dataset, len(rows))
    order = role_order(rows[trained])
    strengths = [np.where(active_heads(run, i), found.strength[:, i], -np.inf) for i in range(len(run.seeds))]
    best = [int(strength[-1].argmax()) for strength in strengths]
    first = found.previous[-1].argmax(-1)
    moments = [
        (row, i, when) for i, head in enumerate(best) for when, row in times(strengths[i][:, head]).items()
    ]
    frames = []
    for row, chosen in groupby(sorted(moments), key=itemgetter(0)):
        early, late = (cached.get(PROBE, f"blocks.{l}.attn.pattern", row) for l in (0, 1))
        step = run.steps[cached.snapshots[row]]
        for _, i, when in chosen:
            about = {"run": name, "condition": run.conditions[i], "seed": run.seeds[i], "when": when}
            about |= {"step": step, "sequences": step * run.train_spec.batch}
            about["strength"] = strengths[i][row, best[i]]
            by_role = np.take_along_axis(late[i, trained, best[i]], order, axis=1).mean(0)
            frames.append(of_layer1(about | {"layer": 1, "head": int(first[i])}, early[i, first[i]]))
            frames.append(of_layer2(about | {"layer": 2, "head": best[i]}, by_role))
    return frames


def times(strength: np.ndarray) -> dict[str, int]:
    """Indices before, during and after the growth of one head's strength [snapshot]."""
    after = len(strength) - 1
    halved = np.flatnonzero(strength >= strength[-1] / 2)
    during = int(halved[0]) if len(halved) else after
    low = np.flatnonzero(strength[: during + 1] < ONSET)
    return {"before": int(low[-1]) if len(low) else 0, "during": during, "after": after}


def role_order(rows: np.ndarray) -> np.ndarray:
    """Positions of the keys in the order of `ROLES`, [b, role], of rows [b, 6]."""
    first, second = LABELS
    right = np.where(rows[:, first] == rows[:, -1], first, second)
    wrong = first + second - right
    return np.stack([right - 1, right, wrong - 1, wrong, np.full(len(rows), QUERY)], axis=1)


def of_layer1(about: dict, pattern: np.ndarray) -> pd.DataFrame:
    """A pattern [q, k] as rows; keys that a query cannot see are left out."""
    query, key = np.tril_indices(len(pattern))
    role = np.array(POSITIONS)[key]
    return pd.DataFrame(about | {"query": query, "key": key, "role": role, "attention": pattern[query, key]})


def of_layer2(about: dict, attention: np.ndarray) -> pd.DataFrame:
    """Attention [role] as rows."""
    key = np.arange(len(ROLES))
    return pd.DataFrame(about | {"query": QUERY, "key": key, "role": ROLES, "attention": attention})
