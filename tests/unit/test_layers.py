"""Attention of narrow heads: the gradient written by hand."""

import torch

from headworks.layers import STRETCH, _attend_in_stretches


def test_the_gradient_by_hand_is_that_of_finite_differences():
    generator = torch.Generator().manual_seed(0)
    shape = (1, 2, STRETCH + 3, 3)
    q, k, v = (
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)
    )
    assert torch.autograd.gradcheck(_attend_in_stretches, (q, k, v))


def test_the_result_and_the_gradient_are_those_of_plain_attention():
    generator = torch.Generator().manual_seed(1)
    shape = (2, 3, 2 * STRETCH + 5, 8)
    inputs = [
        torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(3)
    ]
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    ours = _attend_in_stretches(*inputs)
    plain = torch.nn.functional.scaled_dot_product_attention(*inputs, is_causal=True)
    assert torch.allclose(ours, plain)
    found = torch.autograd.grad((ours * weight).sum(), inputs)
    expected = torch.autograd.grad((plain * weight).sum(), inputs)
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))
