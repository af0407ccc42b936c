"""Strength of every head over training: induction in layer 2, previous token in layer 1.

Singh 2024, Fig. 3b and 4b and App. E. Layers are numbered as in the paper: 1 and 2 are blocks 0 and 1.
Patterns are cached without clamps: those of a run whose patterns are clamped are what its weights would do
by themselves.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from headworks.measures.learning import BAND, PLATEAU, crossing, learning, windowed
from headworks.studies.singh2024.clamps import LABELS

PROBE = "episodes"
STRONG, INDUCTIVE = 0.3, 0.1  # strengths
PREVIOUS = 0.6  # mean attention to the token before from which a head counts as previous-token
WIDTH = 1000  # training sequences of one average of the loss
SUMMARY = [
    "max_strength",
    "n_strong",
    "n_inductive",
    "n_previous",
    "first_head_time",
    "previous_time",
    "strength_half_time",
    "lag",
    "onset_lag",
    "plateau_lag",
    "early_late",
    "winner_is_first",
]
FIRST = ["run", "condition", "seed", "step", "sequences", "layer", "head"]


@dataclass(frozen=True)
class History:
    """Scores of the heads of one run, [snapshot, replica, head] each."""

    snapshots: list[int]  # of the run, those cached
    strength: np.ndarray  # of layer 2
    attention: np.ndarray  # of layer 1, from labels to the token before
    previous: np.ndarray  # the same, corrected for chance


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, sequences (training sequences seen), layer, head, active (0
    where the head is zero by the run's condition), strength, previous, attention, and the summary's.

    strength of layer 2's heads: mean attention of the query to the right label minus that to the wrong one,
    over the sequences of split train. attention of layer 1's: mean over the two labels of that to the token
    before; previous: the same minus the mean of that to the other tokens, so that even attention has 0.

    A summary of each replica stands once, in layer 0, head -1, at the last snapshot, and reads active heads
    only: max_strength; n_strong (above 0.3), n_inductive (above 0.1), n_previous (attention of at least 0.6);
    first_head_time, when the first head's strength passes 0.1; previous_time and strength_half_time, when the
    head of layer 1 or 2 that has the highest score in the end passes half of it (in sequences, infinite if
    never, or where its final attention is below 0.6 or its strength below 0.1); lag, the second less the
    first; early_late, Spearman's correlation over heads of strength at first_head_time and final strength;
    winner_is_first (0 or 1), whether the first head is the strongest in the end.
    """
    frames = []
    for name, run in inputs.runs.items():
        found = history(inputs.activations[options.activations][name], run.dataset)
        frames += [of_heads(name, run, found), of_replicas(name, run, found)]
    frame = pd.concat(frames, ignore_index=True)
    return frame[FIRST + [column for column in frame if column not in FIRST]]


def history(cached, dataset) -> History:
    """Scores at every cached snapshot."""
    rows = cached.tokens(PROBE)
    trained = on_train(dataset, len(rows))
    strengths, attentions = [], []
    for row in range(len(cached.snapshots)):
        pattern = cached.get(PROBE, "blocks.1.attn.pattern", row)
        strengths.append(strength(pattern[:, trained], rows[trained]))
        attentions.append(label_attention(cached.get(PROBE, "blocks.0.attn.pattern", row)))
    attention = np.stack(attentions)
    return History(
        cached.snapshots, np.stack(strengths), attention.mean(-1), previous_score(attention).mean(-1)
    )


def on_train(dataset, length: int) -> np.ndarray:
    """Indices of the sequences of split train among the first `length` of evaluation."""
    return np.flatnonzero(dataset["split"][:length] == dataset.facts["splits"].index("train"))


def strength(pattern: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean attention to the right label minus that to the wrong one, [r, h] (Singh 2024, section 3).

    pattern [r, b, h, k], the query's; rows [b, 6].
    """
    first, second = LABELS
    sign = np.where(rows[:, first] == rows[:, -1], 1.0, -1.0)
    return np.einsum("rbh,b->rh", pattern[..., first] - pattern[..., second], sign) / len(rows)


def label_attention(pattern: np.ndarray) -> np.ndarray:
    """Attention from each label to the token before, [r, h, label], of mean patterns [r, h, q, k]."""
    return np.stack([pattern[..., label, label - 1] for label in LABELS], axis=-1)


def previous_score(attention: np.ndarray) -> np.ndarray:
    """a - (1 - a) / n for attention a [..., label] to the token before: minus the mean over the n other
    tokens.

    A query at position i sees i others; 0 for even attention, 1 for all of it on the token before.
    """
    return attention - (1 - attention) / np.array(LABELS)


def active_heads(run, replica: int) -> np.ndarray:
    """bool [h]: the heads of layer 2 that the replica's condition leaves in."""
    heads = run.clamps.get(run.conditions[replica], {}).get("heads")
    return np.array([heads is None or h in heads for h in range(run.model_spec.n_heads)])


def of_heads(name: str, run, found: History) -> pd.DataFrame:
    """One row a snapshot, replica, layer and head."""
    steps = np.array([run.steps[i] for i in found.snapshots])
    active = np.stack([active_heads(run, i) for i in range(len(run.seeds))])
    snapshot, replica, head = (axis.ravel() for axis in np.indices(found.strength.shape))
    about = {
        "run": name,
        "condition": np.array(run.conditions)[replica],
        "seed": np.array(run.seeds)[replica],
        "step": steps[snapshot],
        "sequences": steps[snapshot] * run.train_spec.batch,
        "head": head,
    }
    first = {
        "layer": 1,
        "active": 1,
        "previous": found.previous.ravel(),
        "attention": found.attention.ravel(),
    }
    second = {"layer": 2, "active": active[replica, head].astype(int), "strength": found.strength.ravel()}
    return pd.concat([pd.DataFrame(about | first), pd.DataFrame(about | second)], ignore_index=True)


def of_replicas(name: str, run, found: History) -> pd.DataFrame:
    """One row a replica, at the last cached snapshot."""
    times = np.array([run.steps[i] for i in found.snapshots]) * run.train_spec.batch
    rows = []
    for i, (condition, seed) in enumerate(zip(run.conditions, run.seeds, strict=True)):
        about = {"run": name, "condition": condition, "seed": seed, "layer": 0, "head": -1, "active": 1}
        about |= {"step": run.steps[found.snapshots[-1]], "sequences": times[-1]}
        strengths = found.strength[:, i, active_heads(run, i)]
        about |= summary(times, strengths, found.attention[:, i], found.previous[:, i])
        rows.append(about | loss_lags(run.loss()[:, i], run.train_spec.batch, about["first_head_time"]))
    return pd.DataFrame(rows)


def summary(
    times: np.ndarray, strengths: np.ndarray, attention: np.ndarray, previous: np.ndarray
) -> dict[str, float]:
    """One replica's heads over time, [snapshot, head] each; all NaN if it diverged."""
    if not (np.isfinite(strengths).all() and np.isfinite(previous).all()):
        return dict.fromkeys(SUMMARY, math.nan)
    final = strengths[-1]
    found = {
        "max_strength": final.max(),
        "n_strong": int((final > STRONG).sum()),
        "n_inductive": int((final > INDUCTIVE).sum()),
        "n_previous": int((attention[-1] >= PREVIOUS).sum()),
    }
    found |= race(times, strengths)
    best = strengths[:, [final.argmax()]]
    grown, attends = final.max() >= INDUCTIVE, attention[-1].max() >= PREVIOUS
    half = passes(times, best, final.max() / 2).min() if grown else math.inf
    first = previous[:, [previous[-1].argmax()]]
    before = passes(times, first, previous[-1].max() / 2).min() if attends else math.inf
    lag = half - before if grown and attends else math.nan
    return found | {"previous_time": before, "strength_half_time": half, "lag": lag}


def loss_lags(loss: np.ndarray, per_update: int, first_head_time: float) -> dict[str, float]:
    """onset_lag and plateau_lag of one replica's training loss [update]; infinite if it never falls."""
    times, means = windowed(loss, per_update, WIDTH)
    if len(times) == 0 or math.isnan(first_head_time):
        return {"onset_lag": math.nan, "plateau_lag": math.nan}
    onset = learning(times, means).onset
    reached = crossing(times, means, BAND[1] * PLATEAU)
    return {"onset_lag": _less(first_head_time, onset), "plateau_lag": _less(reached, onset)}


def _less(time: float, other: float) -> float:
    """The difference of two times; NaN if neither ever came."""
    return math.nan if math.isinf(time) and math.isinf(other) else time - other


def race(times: np.ndarray, strengths: np.ndarray) -> dict[str, float]:
    """Whether heads that lead early, when the first of them passes 0.1, lead in the end; [snapshot, head]."""
    passed = passes(times, strengths, INDUCTIVE)
    first, final = float(passed.min()), strengths[-1]
    if math.isinf(first):
        return {"first_head_time": first, "early_late": math.nan, "winner_is_first": math.nan}
    early = [np.interp(first, times, head) for head in strengths.T]
    ranked = stats.spearmanr(early, final).statistic if len(final) > 2 else math.nan
    return {
        "first_head_time": first,
        "early_late": float(ranked),
        "winner_is_first": int(passed.argmin() == final.argmax()),
    }


def passes(times: np.ndarray, scores: np.ndarray, level: float) -> np.ndarray:
    """When each score, [snapshot, head], first exceeds the level: [head], interpolated, infinite if never."""
    return np.array([crossing(times, -head, -level) for head in scores.T])
