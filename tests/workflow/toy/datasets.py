"""The study's data: counting round a ring."""

import numpy as np

from headworks.dataset import Dataset


def ring(options) -> Dataset:
    """Rows of a start token and then consecutive tokens of the ring."""
    generator = np.random.default_rng(options.seed)
    rows = _rows(options, options.n_train + options.n_evaluation, generator)
    return Dataset(
        layout="sequences",
        train=rows[: options.n_train],
        evaluation=rows[options.n_train :],
        d_vocab=options.size + 1,
        n_context=options.n_context,
        bos=0,
        vocabulary=["<start>"] + [str(token) for token in range(1, options.size + 1)],
        facts={"source": "synthetic"},
    )


def _rows(options, n: int, generator: np.random.Generator) -> np.ndarray:
    starts = generator.integers(0, options.size, n)
    tokens = (starts[:, None] + np.arange(options.n_context)) % options.size + 1
    return np.concatenate([np.zeros((n, 1), int), tokens], axis=1).astype(np.uint8)
