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
    layout "draws":     `train` is [sequence, n_context + 1], every training sequence there is; a batch draws
                        from them with replacement. There is no start token: `bos` is -1.
    `evaluation` is always [sequence, n_context + 1]. It shares no sequence or document with `train`, except in
    layout "draws", where the array `split` [sequence] says by number which kind a sequence is of, training
    sequences among them, and the fact `splits` names the kinds.
    A model reads the first n_context tokens of a row and predicts the last n_context, or of these, with
    predicts "last", only the last.
    Rows of `train`, except of a stream, may go on after these n_context + 1 tokens with marks: numbers that
    clamps may use and the model is never shown, such as which task a sequence is of.
    """

    layout: Literal["sequences", "stream", "draws"]
    train: np.ndarray
    evaluation: np.ndarray
    d_vocab: int
    n_context: int
    bos: int
    vocabulary: list[str]
    """What each token reads as, for people; length d_vocab. Tokens from d_vocab on are rows of `vectors`, if any."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """Further arrays by name, e.g. `bayes_loss` [sequence, position] in nats.

    `vectors` [vector, feature] makes vectors tokens: token d_vocab + i is vectors[i].
    """
    axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Axis names of `arrays`."""
    facts: dict[str, str | int | float | list] = field(default_factory=dict)
    """Provenance and statistics: sources, versions, licences, sizes."""
    predicts: Literal["every", "last"] = "every"
    """What a model is trained and evaluated on: every next token, or only the last entry of a row."""
