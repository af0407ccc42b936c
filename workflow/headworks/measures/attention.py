"""What a head looks at: scores of attention patterns `[..., h, q, k]`, and the probe they are taken on.

Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits"; Olsson et al. 2022, "In-context
Learning and Induction Heads" (Head activation evaluators).
"""

import torch
from torch import Tensor

from headworks.errors import HeadworksError


def repeated_tokens(
    n_examples: int, period: int, repeats: int, tokens: Tensor, bos: int | None, generator: torch.Generator
) -> Tensor:
    """Random tokens, repeated: [n_examples, offset + period * repeats], offset 1 with a start token, else 0.

    Olsson 2022, Head activation evaluators: 25 tokens, 4 repeats, a start token, the commonest and the
    rarest tokens left out: `tokens` [n] holds the ids that may be drawn. They are drawn without replacement
    where there are enough, since a duplicate within the period splits the attention of a perfect head.
    """
    n = len(tokens)
    if n == 0:
        raise HeadworksError(
            "repeated_tokens: the pool of tokens to draw from is empty; give at least one id."
        )
    if n >= period:
        drawn = torch.rand(n_examples, n, generator=generator).argsort(-1)[:, :period]
    else:
        drawn = torch.randint(n, (n_examples, period), generator=generator)
    probe = tokens[drawn].repeat(1, repeats)
    if bos is None:
        return probe
    return torch.cat([probe.new_full((n_examples, 1), bos), probe], dim=-1)


def induction_targets(period: int, repeats: int, offset: int, device: torch.device | None = None) -> Tensor:
    """Where induction looks in a repeated sequence: bool [q, k].

    A query at t in repeats 2.. holds token A; its targets are the positions s + 1 for every earlier s
    holding A, that is B in [A][B]...[A] (Olsson 2022, Key Concepts). `offset` positions precede the first
    repeat.
    """
    t = torch.arange(offset + period * repeats, device=device)
    query, source = t[:, None], t[None, :] - 1
    later_repeat = query >= offset + period
    same_token = (query - source) % period == 0
    return later_repeat & same_token & (source >= offset) & (source < query)


def token_targets(tokens: Tensor) -> Tensor:
    """`induction_targets` of any sequence: tokens [..., t] to bool [..., q, k]."""
    same = tokens[..., :, None] == tokens[..., None, :]
    same_earlier = same.tril(-1)
    return torch.nn.functional.pad(same_earlier[..., :-1], (1, 0))


def attention_to(pattern: Tensor, mask: Tensor) -> Tensor:
    """Attention on chosen keys: the sum over keys in `mask`, the mean over queries that have any: [..., h].

    pattern [..., h, q, k]; mask [..., q, k], bool, without the head axis. NaN where no query has a key.
    """
    on_mask = (pattern * mask.unsqueeze(-3)).sum(-1)
    has_key = mask.any(-1).unsqueeze(-2)
    return (on_mask * has_key).sum(-1) / has_key.sum(-1)


def prefix_matching(pattern: Tensor, period: int, repeats: int, offset: int) -> Tensor:
    """Prefix-matching score on the repeated probe: [..., h] (Olsson 2022, Head activation evaluators).

    pattern [..., h, q, k]. For each query in repeats 2.. the attention on all its induction targets, summed;
    then the mean over queries. Summed, because a perfect head may spread over the earlier repeats.
    """
    expected = offset + period * repeats
    if pattern.shape[-1] != expected:
        raise HeadworksError(
            f"prefix_matching: the pattern has {pattern.shape[-1]} keys; offset {offset}, period {period} "
            f"and {repeats} repeats make {expected}."
        )
    return attention_to(pattern, induction_targets(period, repeats, offset, pattern.device))


def prefix_matching_chance(period: int, repeats: int, offset: int) -> float:
    """Prefix-matching score of a head that attends evenly to every position up to its own."""
    length = offset + period * repeats
    return prefix_matching(uniform_pattern(length)[None], period, repeats, offset).item()


def prefix_matching_tokens(pattern: Tensor, tokens: Tensor) -> Tensor:
    """Prefix-matching score on any sequences: [..., h], the mean over queries whose token occurred before.

    pattern [..., h, q, k], tokens [..., t]. NaN for a sequence in which no token recurs.
    """
    return attention_to(pattern, token_targets(tokens))


def uniform_pattern(length: int) -> Tensor:
    """Causal attention spread evenly: [q, k]."""
    causal = torch.ones(length, length).tril()
    return causal / causal.sum(-1, keepdim=True)


def previous_token(pattern: Tensor) -> Tensor:
    """Mean attention to the position just before: [..., h] (Olsson 2022, Head activation evaluators)."""
    return pattern.diagonal(offset=-1, dim1=-2, dim2=-1).mean(-1)


def entropy(pattern: Tensor) -> Tensor:
    """Entropy of each query's attention, in nats: [..., h, q]."""
    return torch.special.entr(pattern).sum(-1)
