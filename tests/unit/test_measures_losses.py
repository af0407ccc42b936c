"""Loss summaries on losses with a closed form."""

import math

import pytest
import torch

from headworks.errors import HeadworksError
from headworks.measures import losses


def test_in_context_score_takes_the_500th_and_the_50th_token():
    loss = torch.zeros(2, 512)
    loss[:, 499], loss[:, 49] = 1.0, 3.0
    assert losses.in_context_score(loss, width=0).tolist() == [-2.0, -2.0]


def test_in_context_score_scales_with_the_context_and_averages_neighbours():
    # 128 tokens: indices 125 and 12 of one, 0-based 124 and 11
    loss = torch.zeros(128)
    loss[124], loss[11] = 1.0, 3.0
    assert losses.in_context_score(loss, width=0).item() == -2.0
    assert losses.in_context_score(loss, width=2).item() == pytest.approx(-2.0 / 5)


def test_in_context_score_of_a_straight_line_is_its_rise():
    loss = torch.arange(512.0) * -0.01
    assert losses.in_context_score(loss, width=4).item() == pytest.approx(-4.5, abs=1e-4)


def test_log_derivative_of_a_logarithm_is_its_factor():
    index = torch.arange(1, 513, dtype=torch.float64)
    loss = torch.stack([4 - 0.3 * index.log(), index * 0 + 2])
    where, slope = losses.log_derivative(loss)
    assert slope.shape == (2, len(where))
    assert torch.allclose(slope[0], torch.full_like(where, -0.3))
    assert torch.allclose(slope[1], torch.zeros_like(where))
    assert (where.diff() > 0).all()
    assert where[0] < 2
    assert where[-1] > 300


def test_log_derivative_needs_two_bins():
    with pytest.raises(HeadworksError, match="two bins"):
        losses.log_derivative(torch.zeros(1))


def test_classes_of_a_hand_built_sequence():
    # A B A B A C A: new, new, A->B again, B->A again, A->C never before, C new
    tokens = torch.tensor([[1, 2, 1, 2, 1, 3, 1], [1, 1, 1, 2, 1, 2, 3]])
    N, R, B = losses.NEW, losses.REPEATED, losses.BROKEN
    assert losses.token_classes(tokens).tolist() == [[N, N, R, R, B, N], [N, R, B, N, R, B]]


def test_classes_agree_with_their_definition_on_random_tokens():
    tokens = torch.randint(6, (5, 40), generator=torch.Generator().manual_seed(1))
    found = losses.token_classes(tokens)
    for row, classes in zip(tokens.tolist(), found.tolist(), strict=True):
        for t, c in enumerate(classes):
            followers = [row[s + 1] for s in range(t) if row[s] == row[t]]
            assert c == (
                losses.NEW if not followers else losses.REPEATED if row[t + 1] in followers else losses.BROKEN
            )


def test_fingerprint_is_the_mean_change_in_each_class():
    classes = torch.tensor([[0, 0, 1], [1, 1, 0]])
    before = torch.zeros(4, 2, 3)
    after = torch.tensor([[1.0, 2.0, -1.0], [-2.0, -3.0, 3.0]]).expand(4, 2, 3)
    change = losses.fingerprint(before, after, classes)
    assert change.shape == (4, 3)
    assert change[0, :2].tolist() == [2.0, -2.0]
    assert change[:, 2].isnan().all()


def test_copy_gain_of_a_model_that_copies_perfectly():
    # start token, ABC ABC: queries 1, 2, 3 know nothing, 4 and 5 copy
    loss = torch.tensor([9.0, math.log(8), math.log(8), math.log(8), 0.0, 0.0])
    assert losses.copy_gain(loss, 3, 2, 1).item() == pytest.approx(math.log(8))
    with pytest.raises(HeadworksError, match="make 6"):
        losses.copy_gain(torch.zeros(7), 3, 2, 1)
