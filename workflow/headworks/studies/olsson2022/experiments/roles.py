"""Which heads are which: induction and previous-token heads by their scores, per replica; and batched losses."""

from collections.abc import Callable

import numpy as np
import torch

from headworks.measures.attention import prefix_matching_chance
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


def evaluation(dataset, examples: int) -> torch.Tensor:
    """Evaluation sequences, [sequence, position + 1]."""
    return torch.from_numpy(dataset.evaluation[:examples])


def losses(tokens: torch.Tensor, logits: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Loss of each token, [replica, sequence, position], of what `logits` makes of inputs [sequence, position]."""
    parts = [cross_entropy(logits(part[:, :-1]), part[:, 1:]) for part in tokens.split(BATCH)]
    return torch.cat(parts, dim=1)
