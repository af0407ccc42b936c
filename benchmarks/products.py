"""The matrix products of one update of `episodes`, and nothing else: what no implementation of it can undercut.

Forward and backward: each exemplar is embedded once, and the last layer has its one head, whose pattern is given, so
that values are all it needs, and writes at the query alone. Every product has its memory; nothing is added, normalised
or updated in between.
"""

from collections.abc import Callable

import torch

from benchmarks.episodes import BATCH, DATA, MODEL

Product = Callable[[], object]


def with_weights(replicas: int) -> list[Product]:
    """Products of activations and weights, a stack of `replicas` of each."""
    d, e, positions = MODEL.d_model, MODEL.head_width, BATCH * MODEL.n_context
    made = _layer(replicas, DATA.n_classes, MODEL.d_input, d)[:2]  # vectors need no gradient
    for _ in range(MODEL.n_layers - 1):
        made += _layer(replicas, positions, d, 3 * d) + _layer(replicas, positions, d, d)
    made += _layer(replicas, positions, d, e) + _layer(replicas, BATCH, e, d)
    return made + _layer(replicas, BATCH, d, MODEL.d_out)


def of_attention(replicas: int) -> list[Product]:
    """Scores and mixtures of values: a product a sequence and head, a few numbers wide."""
    n, t, e = replicas * BATCH, MODEL.n_context, MODEL.head_width
    made = []
    for _ in range(MODEL.n_layers - 1):
        made += _layer(n * MODEL.n_heads, t, e, t) + _layer(n * MODEL.n_heads, t, t, e)
    return made + _layer(n, 1, t, e)


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
