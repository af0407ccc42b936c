"""What data generation hands over: token sequences or a token stream, an evaluation split, facts.

Kept free of torch and files: `store.py` writes it, `train.py` draws batches from it.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass
class Dataset:
    """One dataset.

    layout "sequences": `train` is [sequence, position], each row n_context + 1 tokens, `bos` first.
    layout "stream":    `train` is [token], one long text; a training window is `bos` and n_context tokens of it.
    `evaluation` is always [sequence, n_context + 1] and shares no sequence or document with `train`.
    A model reads the first n_context tokens of a row and predicts the last n_context.
    """

    layout: Literal["sequences", "stream"]
    train: np.ndarray
    evaluation: np.ndarray
    d_vocab: int
    n_context: int
    bos: int
    vocabulary: list[str]
    """What each token reads as, for people; length d_vocab."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """Further arrays by name, e.g. `bayes_loss` [sequence, position] in nats."""
    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Axis names of `arrays`."""
    facts: dict[str, str | int | float | list] = field(default_factory=dict)
    """Provenance and statistics: sources, versions, licences, sizes."""
