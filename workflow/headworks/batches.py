"""Training batches as a function of (seed, step), so that a resumed run sees what an uninterrupted one would."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

DATA_ROLE = 1
"""First entry of every data-order seed; initialisation and evaluation draw from other streams."""

DRAWN_STEPS = 256
"""Steps whose draws are made together."""


@dataclass(frozen=True)
class Batches:
    """Batches of token windows for an ensemble; replica i follows the data order of `seeds[i]`.

    layout "sequences": rows of `train` [sequence, entry], each once an epoch, in an order drawn per epoch.
    layout "draws": rows of `train` [sequence, entry], drawn with replacement.
    layout "stream": windows of `train` [token] at random offsets, each led by the start token `bos`.
    """

    layout: str
    train: np.ndarray
    n_context: int
    bos: int
    seeds: tuple[int, ...]
    batch: int

    def at(self, step: int) -> np.ndarray:
        """Rows of update `step`: int64 [replica, batch, entry], n_context + 1 tokens and what marks they end with."""
        draw = {"sequences": self._sequences, "draws": self._draws, "stream": self._windows}[self.layout]
        return np.stack([draw(seed, step) for seed in self.seeds]).astype(np.int64)

    def _draws(self, seed: int, step: int) -> np.ndarray:
        block, row = divmod(step, DRAWN_STEPS)
        return self.train[_drawn(seed, block, self.batch, len(self.train))[row]]

    def _sequences(self, seed: int, step: int) -> np.ndarray:
        positions = np.arange(step * self.batch, (step + 1) * self.batch)
        epochs = positions // len(self.train)
        rows = [
            _order(seed, epoch, len(self.train))[positions[epochs == epoch] % len(self.train)]
            for epoch in np.unique(epochs)
        ]
        return self.train[np.concatenate(rows)]

    def _windows(self, seed: int, step: int) -> np.ndarray:
        starts = np.random.default_rng([DATA_ROLE, seed, step]).integers(
            0, len(self.train) - self.n_context + 1, self.batch
        )
        windows = self.train[starts[:, None] + np.arange(self.n_context)]
        return np.concatenate([np.full((self.batch, 1), self.bos, self.train.dtype), windows], axis=1)


@lru_cache(maxsize=64)
def _drawn(seed: int, block: int, batch: int, length: int) -> np.ndarray:
    """Row numbers of many steps at once, [step, batch]: a generator takes longer to make than to ask."""
    return np.random.default_rng([DATA_ROLE, seed, block]).integers(0, length, (DRAWN_STEPS, batch))


@lru_cache(maxsize=64)
def _order(seed: int, epoch: int, length: int) -> np.ndarray:
    return np.random.default_rng([DATA_ROLE, seed, int(epoch)]).permutation(length)
