"""Attention scores on patterns whose scores can be counted by hand."""

import math

import pytest
import torch

from headworks.errors import HeadworksError
from headworks.measures import attention


def generator():
    return torch.Generator().manual_seed(0)


def one_hot(keys, length):
    """Pattern [1, q, k] of a head whose query t attends only to keys[t]."""
    return torch.nn.functional.one_hot(torch.tensor(keys), length).float()[None]


def test_probe_repeats_after_the_start_token_and_draws_without_replacement():
    pool = torch.arange(5, 15)
    probe = attention.repeated_tokens(6, 10, 3, pool, 0, generator())
    assert probe.shape == (6, 31)
    assert (probe[:, 0] == 0).all()
    first = probe[:, 1:11]
    assert torch.equal(probe[:, 1:], first.repeat(1, 3))
    assert torch.equal(first.sort(-1).values, pool.expand(6, -1))
    assert not torch.equal(first[0], first[1])


def test_probe_without_start_token_and_with_a_small_pool():
    probe = attention.repeated_tokens(4, 10, 2, torch.tensor([7, 9]), None, generator())
    assert probe.shape == (4, 20)
    assert set(probe.flatten().tolist()) == {7, 9}
    assert torch.equal(probe[:, :10], probe[:, 10:])


def test_probe_needs_tokens():
    with pytest.raises(HeadworksError, match="empty"):
        attention.repeated_tokens(1, 2, 2, torch.tensor([], dtype=torch.long), None, generator())


def test_targets_are_the_tokens_after_earlier_occurrences():
    # positions: 0 start, 1-3 ABC, 4-6 ABC, 7-9 ABC
    targets = attention.induction_targets(period=3, repeats=3, offset=1)
    assert [row.nonzero().flatten().tolist() for row in targets] == [
        [],
        [],
        [],
        [],
        [2],
        [3],
        [4],
        [2, 5],
        [3, 6],
        [4, 7],
    ]


def test_targets_from_period_and_from_tokens_agree():
    for bos, offset in ((0, 1), (None, 0)):
        tokens = attention.repeated_tokens(1, 25, 4, torch.arange(1, 60), bos, generator())
        targets = attention.induction_targets(25, 4, offset)
        assert torch.equal(attention.token_targets(tokens)[0], targets)


def test_head_on_the_latest_target_scores_one_and_on_the_token_itself_zero():
    on_target = one_hot([0, 0, 0, 0, 2, 3, 4, 5, 6, 7], 10)
    on_itself = one_hot([0, 0, 0, 0, 1, 2, 3, 4, 5, 6], 10)
    pattern = torch.stack([on_target, on_itself], dim=1)
    assert attention.prefix_matching(pattern, 3, 3, 1).tolist() == [[1.0, 0.0]]


def test_head_spread_over_several_targets_scores_their_sum():
    targets = attention.induction_targets(3, 3, 1).float()
    spread = targets / targets.sum(-1, keepdim=True).clamp_min(1)
    assert attention.prefix_matching(spread[None], 3, 3, 1).item() == pytest.approx(1.0)


def test_prefix_matching_rejects_another_length():
    with pytest.raises(HeadworksError, match="make 10"):
        attention.prefix_matching(torch.zeros(1, 9, 9), 3, 3, 1)


def test_chance_counted_by_hand():
    # queries 4, 5, 6 have one target among t + 1 keys, queries 7, 8, 9 have two
    by_hand = (1 / 5 + 1 / 6 + 1 / 7 + 2 / 8 + 2 / 9 + 2 / 10) / 6
    # query 6 has target 4 alone: the start token at 0 is no occurrence of C
    assert attention.prefix_matching_chance(3, 3, 1) == pytest.approx(by_hand)
    assert 0.02 < attention.prefix_matching_chance(25, 4, 1) < 0.04


def test_prefix_matching_on_arbitrary_tokens():
    tokens = torch.tensor([[1, 2, 1, 1, 3], [1, 2, 3, 4, 5]])
    # row 0: query 2 may look at 1; query 3 at 1 and 2 ... + 1 after the occurrence at 2, that is 3 itself
    pattern = torch.zeros(2, 1, 5, 5)
    pattern[0, 0, 2, 1] = 0.5
    pattern[0, 0, 3, 1] = 0.25
    pattern[0, 0, 3, 3] = 0.25
    pattern[0, 0, 4, 0] = 1.0
    score = attention.prefix_matching_tokens(pattern, tokens)
    assert score[0].item() == pytest.approx(0.5)
    assert score[1].isnan().all()


def test_attention_to_a_mask_broadcasts_over_replicas():
    pattern = attention.uniform_pattern(4).expand(3, 2, 5, 4, 4)
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[3, :2] = True
    assert torch.allclose(attention.attention_to(pattern, mask), torch.full((3, 2, 5), 0.5))


def test_previous_token():
    pattern = torch.cat(
        [one_hot([0, 0, 1, 2], 4), one_hot([0, 1, 2, 3], 4), attention.uniform_pattern(4)[None]]
    )
    expected = torch.tensor([1.0, 0.0, (1 / 2 + 1 / 3 + 1 / 4) / 3])
    assert torch.allclose(attention.previous_token(pattern), expected)


def test_entropy_of_even_and_of_certain_attention():
    pattern = torch.cat([attention.uniform_pattern(3)[None], one_hot([0, 0, 1], 3)])
    expected = torch.tensor([[0.0, math.log(2), math.log(3)], [0.0, 0.0, 0.0]])
    assert torch.allclose(attention.entropy(pattern), expected)
