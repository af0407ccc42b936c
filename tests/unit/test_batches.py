"""Training batches: a function of seed and step, each sequence once an epoch, windows led by the start token."""

import numpy as np
import pytest

from headworks.batches import Batches


def sequences(n: int = 24, batch: int = 5, seeds=(0, 1)) -> Batches:
    """Row i holds i everywhere, so that a batch tells which rows it drew."""
    rows = np.tile(np.arange(n, dtype=np.uint8)[:, None], (1, 4))
    return Batches("sequences", rows, 3, 0, seeds, batch)


def stream(n: int = 100, batch: int = 6, seeds=(0, 1)) -> Batches:
    """Token i is i + 1, so that a window tells where it starts."""
    return Batches("stream", np.arange(1, n + 1, dtype=np.uint8), 8, 0, seeds, batch)


def drawn(batches: Batches, steps: range) -> np.ndarray:
    """The rows that each replica drew, in order: [replica, draw]."""
    return np.concatenate([batches.at(step)[:, :, 0] for step in steps], axis=1)


def test_sequences_are_seen_once_an_epoch():
    """24 rows in batches of 5: epochs end in the middle of batches, and 24 steps are exactly 5 epochs."""
    rows = drawn(sequences(), range(24))
    assert rows.shape == (2, 120)
    for replica in rows:
        for epoch in replica.reshape(5, 24):
            assert sorted(epoch) == list(range(24))


def test_epochs_and_seeds_have_their_own_order():
    first, second = (row.reshape(5, 24) for row in drawn(sequences(), range(24)))
    assert len({tuple(epoch) for epoch in [*first, *second]}) == 10


def test_a_batch_larger_than_the_dataset_repeats_it():
    batch = sequences(n=4, batch=10).at(0)[0, :, 0]
    assert sorted(np.bincount(batch)) == [2, 2, 3, 3]


@pytest.mark.parametrize("make", [sequences, stream])
def test_a_batch_depends_on_seed_and_step_alone(make):
    """Not on what was drawn before, and not on the other replicas."""
    late = make(seeds=(3, 7)).at(9)
    assert np.array_equal(make(seeds=(7,)).at(9)[0], late[1])
    assert not np.array_equal(late[0], late[1])
    assert not np.array_equal(make(seeds=(7,)).at(8)[0], late[1])


@pytest.mark.parametrize("make", [sequences, stream])
def test_shape_and_type_are_the_training_loops(make):
    batches = make()
    assert batches.at(0).shape == (2, batches.batch, batches.n_context + 1)
    assert batches.at(0).dtype == np.int64


def test_windows_are_consecutive_and_led_by_the_start_token():
    windows = np.concatenate([stream().at(step) for step in range(20)]).reshape(-1, 9)
    assert (windows[:, 0] == 0).all()
    assert (np.diff(windows[:, 1:], axis=1) == 1).all()


def test_windows_start_anywhere_in_the_stream():
    starts = np.concatenate([stream(seeds=(0,)).at(step)[0, :, 1] for step in range(200)])
    assert starts.min() <= 3
    assert starts.max() >= 90
    assert abs(starts.mean() - 46.5) < 3
