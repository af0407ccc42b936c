"""Which heads are which: induction and previous-token heads by their scores, per replica; and batched losses."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from headworks.errors import HeadworksError
from headworks.measures.attention import prefix_matching_chance
from headworks.measures.losses import in_context_score
from headworks.model import cross_entropy
from headworks.studies.olsson2022.experiments.curves import head_scores

BATCH = 64
"""Sequences of one pass."""


def scores(cached, row: int) -> dict[str, np.ndarray]:
    """prefix, prefix_over_chance and previous of every head, [layer, replica, head]."""
    probe = cached.probe("repeated")
    prefix = head_scores(cached, row, "prefix")
    chance = prefix_matching_chance(probe["period"], probe["repeats"], 1)
    return {
        "prefix": prefix,
        "prefix_over_chance": prefix / chance,
        "previous": head_scores(cached, row, "previous"),
    }


def masks(chosen: np.ndarray) -> dict[int, torch.Tensor]:
    """[layer, replica, head] bool as the masks of `headworks.interventions`: layer to [replica, head]."""
    return {layer: torch.from_numpy(mask.copy()) for layer, mask in enumerate(chosen) if mask.any()}


def best(score: np.ndarray) -> np.ndarray:
    """Marks each replica's highest score, the first of equals: [layer, replica, head] bool."""
    by_replica = score.swapaxes(0, 1)
    flat = by_replica.reshape(len(by_replica), -1)
    highest = np.arange(flat.shape[1]) == flat.argmax(axis=1)[:, None]
    return highest.reshape(by_replica.shape).swapaxes(0, 1)


@dataclass(frozen=True)
class Effect:
    """What a model, intact or cut, does on the evaluation sequences: [replica] each, in nats."""

    loss: np.ndarray
    icl: np.ndarray


def measured(tokens: torch.Tensor, logits: Callable[[torch.Tensor], torch.Tensor], width: int) -> Effect:
    """Mean loss and in-context-learning score of what `logits` makes of inputs [sequence, position]."""
    loss = losses(tokens, logits)
    return Effect(loss.mean((1, 2)).numpy(), in_context_score(loss.mean(1), width=width).numpy())


def recovery(intact: Effect, cut: Effect, mended: Effect) -> dict[str, np.ndarray]:
    """What the cut lost and which share of it the mending brings back: lost, recovered, and icl_ the same.

    By mean loss, as the papers say "of the ablation loss"; the in-context-learning score alone would count damage
    to early tokens as recovery.
    """
    lost, icl_lost = cut.loss - intact.loss, cut.icl - intact.icl
    return {
        "lost": lost,
        "recovered": (cut.loss - mended.loss) / lost,
        "icl_lost": icl_lost,
        "icl_recovered": (cut.icl - mended.icl) / icl_lost,
    }


def evaluation(dataset, examples: int) -> torch.Tensor:
    """Evaluation sequences, [sequence, position + 1]."""
    return torch.from_numpy(dataset.evaluation[:examples])


def losses(tokens: torch.Tensor, logits: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Loss of each token, [replica, sequence, position], of what `logits` makes of inputs [sequence, position]."""
    parts = [cross_entropy(logits(part[:, :-1]), part[:, 1:]) for part in tokens.split(BATCH)]
    return torch.cat(parts, dim=1)


def all_cached(cached, run) -> None:
    """Analyses that follow a run through its snapshots need every one of them cached."""
    if cached.snapshots != list(range(len(run))):
        raise HeadworksError(
            f"activations of run {run.name}: {len(cached.snapshots)} of {len(run)} snapshots are cached, but this "
            "experiment needs all; set activations: <entry>: snapshots: all"
        )
