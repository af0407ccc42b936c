"""The matrix products of one update of `episodes`, and nothing else: what no implementation of it can undercut.

Forward and backward, in the shapes that Headworks has: each exemplar is embedded once, and the last layer writes at
the query alone. Every product has its memory; nothing is added, normalised or updated in between.
"""

from collections.abc import Callable

import torch

from benchmarks.episodes import BATCH, DATA, MODEL

Product = Callable[[], object]


def with_weights(replicas: int) -> list[Product]:
    """Products of activations and weights, a stack of `replicas` of each."""
    d, positions = MODEL.d_model, BATCH * MODEL.n_context
    made = _layer(replicas, DATA.n_classes, MODEL.d_input, d)[:2]  # vectors need no gradient
    for queries in [positions] * (MODEL.n_layers - 1) + [BATCH]:
        made += _layer(replicas, positions, d, 3 * d) + _layer(replicas, queries, d, d)
    return made + _layer(replicas, BATCH, d, MODEL.d_out)


def of_attention(replicas: int) -> list[Product]:
    """Scores and mixtures of values: a product a sequence and head, a few numbers wide."""
    n, t, e = replicas * BATCH * MODEL.n_heads, MODEL.n_context, MODEL.head_width
    made = []
    for queries in [t] * (MODEL.n_layers - 1) + [1]:
        made += _layer(n, queries, e, t) + _layer(n, queries, t, e)
    return made


def _layer(n: int, rows: int, inputs: int, outputs: int) -> list[Product]:
    """y = x w, and the gradients of w and x: a stack of n each."""
    x, w = torch.randn(n, rows, inputs), torch.randn(n, inputs, outputs)
    y, dy, dx, dw = (
        torch.empty(n, rows, outputs),
        torch.randn(n, rows, outputs),
        *map(torch.empty_like, (x, w)),
    )
    return [
        lambda: torch.bmm(x, w, out=y),
        lambda: torch.bmm(x.transpose(1, 2), dy, out=dw),
        lambda: torch.bmm(dy, w.transpose(1, 2), out=dx),
    ]
