"""Loss and accuracy on the four kinds of evaluation sequence (Singh 2024, Fig. 3a).

The clamps of a run are on when it is evaluated: its curves are those of the clamped network (section 2.2).
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from headworks.studies.singh2024.clamps import LABELS, CircuitClamps, build
from headworks.studies.singh2024.experiments.episodes import in_order, label_order, scores

PASS_TOKENS = 2**17
"""Tokens of one forward pass over all replicas."""
SWAPPED = "swapped"
FIRST = ["run", "condition", "seed", "step", "sequences", "snapshot", "split"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, sequences, snapshot (first, middle or last), split, loss,
    accuracy, context_accuracy, target_probability, context_mass.

    sequences: training sequences seen. split: train, test_class, held_out_pairs, drawings, or swapped, a
    control: the answers to `train` judged as if the other label of the context were right. loss in nats;
    accuracy and context_accuracy (chance 0.5) as in `episodes.scores`; target_probability and
    context_mass, of both labels, in [0, 1]. Clamps that were released stay off.
    """
    frames = [of_run(name, run, options.snapshots) for name, run in inputs.runs.items()]
    frame = pd.concat(frames, ignore_index=True)
    return frame[FIRST + [column for column in frame if column not in FIRST]]


def of_run(name: str, run, snapshots: int) -> pd.DataFrame:
    """The rows of one run."""
    clamps = build([run.clamps.get(condition, {}) for condition in run.conditions], run.model_spec)
    frames = []
    for snapshot in evenly(len(run), snapshots):
        about = {
            "run": name,
            "condition": run.conditions,
            "seed": run.seeds,
            "step": run.steps[snapshot],
            "sequences": run.steps[snapshot] * run.train_spec.batch,
            "snapshot": place(snapshot, len(run)),
        }
        for split, scored in by_split(run.model(snapshot), clamps, run.steps[snapshot], run.dataset).items():
            frames.append(pd.DataFrame(about | {"split": split} | scored))
    return pd.concat(frames, ignore_index=True)


def evenly(length: int, number: int) -> np.ndarray:
    """Up to `number` indices of `length`, evenly spaced; with the last, and of two or more the first."""
    return np.unique(np.linspace(length - 1, 0, number).round().astype(int))


def place(snapshot: int, length: int) -> str:
    if snapshot == length - 1:
        return "last"
    return "middle" if snapshot else "first"


def by_split(model, clamps: CircuitClamps, step: int, dataset) -> dict[str, dict[str, np.ndarray]]:
    """Scores [r] of each kind of evaluation sequence, and of `swapped`."""
    rows = torch.from_numpy(dataset.evaluation)
    logits, split = query_logits(model, clamps, step, rows), dataset["split"]
    found = {}
    for number, name in enumerate(dataset.facts["splits"]):
        chosen = torch.from_numpy(np.flatnonzero(split == number))
        found[name] = mean_scores(model, logits[:, chosen], rows[chosen])
    trained = torch.from_numpy(np.flatnonzero(split == dataset.facts["splits"].index("train")))
    found[SWAPPED] = mean_scores(model, logits[:, trained], with_other_label(rows[trained]))
    return found


@torch.inference_mode()
def query_logits(model, clamps: CircuitClamps, step: int, rows: Tensor) -> Tensor:
    """Logits [r, b, v] at the query of rows [b, 6], with what is clamped at `step`."""
    settings = clamps.settings(step)
    size = max(1, PASS_TOKENS // (model.n_replicas * rows.shape[1]))
    parts = [model(part[:, :-1], clamps.tape(part, settings), last=True) for part in rows.split(size)]
    return torch.cat(parts, 1)[:, :, 0]


def with_other_label(rows: Tensor) -> Tensor:
    """Rows [b, 6] whose target is the other label of the context."""
    other = rows[:, list(LABELS)].sum(1) - rows[:, -1]
    return torch.cat([rows[:, :-1], other[:, None]], 1)


def mean_scores(model, logits: Tensor, rows: Tensor) -> dict[str, np.ndarray]:
    """Means over sequences, [r] each, of logits [r, b, v] at the query of rows [b, 6]; NaN for a diverged replica."""
    found = scores(in_order(logits.double()[:, :, None], label_order(rows, model)).squeeze(-1))
    right, odds = (-found["loss"]).exp(), found.pop("log_odds")
    found |= {"target_probability": right, "context_mass": right * (1 + (-odds).exp())}
    return {name: value.double().mean(1).numpy() for name, value in found.items()}
