"""In-context learning, read from losses (Olsson et al. 2022).

A loss [..., t] at position t is that of predicting token t + 1, in nats; T tokens give T - 1 losses.
"""

import torch
from torch import Tensor

from headworks.errors import HeadworksError

NEW, REPEATED, BROKEN = 0, 1, 2


def in_context_score(
    loss: Tensor, early: int = 50, late: int = 500, context: int = 512, width: int = 2
) -> Tensor:
    """Loss late in the context minus loss early in it: [...]; negative means learning in context.

    Olsson 2022, Key Concepts: L(500th token) - L(50th token) of 512. loss [..., t] of another length T takes
    the 1-based indices round(T * late / context) and round(T * early / context), each averaged over `width`
    neighbours on either side.
    """
    length = loss.shape[-1]

    def around(index: int) -> Tensor:
        centre = max(round(length * index / context), 1) - 1
        return loss[..., max(centre - width, 0) : centre + width + 1].mean(-1)

    return around(late) - around(early)


def log_derivative(loss: Tensor, bins: int = 24) -> tuple[Tensor, Tensor]:
    """Slope of the loss in the log of the token index: 1-based indices [n], slopes [..., n].

    Olsson 2022, Argument 1: d loss / d ln i. loss [..., t] is averaged in `bins` log-spaced bins (those that
    hold no index are dropped), then differenced between neighbouring bins.
    """
    length = loss.shape[-1]
    edges = torch.logspace(0, torch.tensor(length + 1.0).log10().item(), bins + 1, dtype=torch.float64)
    edges = edges.round().long().unique()
    if len(edges) < 3:
        raise HeadworksError(f"log_derivative: {length} positions in {bins} bins leave fewer than two bins.")
    log_index = torch.arange(1, length + 1, dtype=torch.float64).log()
    spans = [slice(a - 1, b - 1) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
    centres = torch.stack([log_index[s].mean() for s in spans])
    means = torch.stack([loss[..., s].mean(-1) for s in spans], dim=-1)
    slopes = means.diff(dim=-1) / centres.diff().to(loss)
    return ((centres[1:] + centres[:-1]) / 2).exp().to(loss), slopes


def token_classes(tokens: Tensor) -> Tensor:
    """Class of each predicted position of tokens [..., T]: [..., T - 1].

    At position t, predicting token t + 1: NEW, the token at t did not occur before; REPEATED, it occurred
    and was at least once followed by the token that now follows; BROKEN, it occurred and never was (Olsson
    2022, the per-token narrative of Argument 1, made into a partition).
    """
    current, following = tokens[..., :-1].long(), tokens[..., 1:].long()
    pair = current * (int(tokens.max()) + 1) + following
    classes = torch.where(_seen_before(current), BROKEN, NEW)
    return classes.masked_fill(_seen_before(pair), REPEATED)


def _seen_before(ids: Tensor) -> Tensor:
    """Whether the same id stands at an earlier position: [..., t] to bool [..., t]."""
    ordered, order = ids.sort(dim=-1, stable=True)
    repeated = torch.zeros_like(ids, dtype=torch.bool)
    repeated[..., 1:] = ordered[..., 1:] == ordered[..., :-1]
    return torch.zeros_like(repeated).scatter(-1, order, repeated)


def fingerprint(loss_before: Tensor, loss_after: Tensor, classes: Tensor) -> Tensor:
    """Mean change of loss in the classes NEW, REPEATED, BROKEN: [..., 3]; NaN for a class without members.

    Losses [..., b, t], classes [b, t] (any number of axes). Induction lowers the loss of REPEATED, raises
    that of BROKEN and leaves NEW (Olsson 2022, Argument 1).
    """
    change = loss_after - loss_before
    axes = tuple(range(-classes.dim(), 0))
    members = [classes == c for c in (NEW, REPEATED, BROKEN)]
    return torch.stack([(change * m).sum(axes) / m.sum() for m in members], dim=-1)


def copy_gain(loss: Tensor, period: int, repeats: int, offset: int) -> Tensor:
    """Loss at queries of the first repeat minus loss at those of later repeats: [...], in nats.

    loss [..., t] on the probe of `attention.repeated_tokens`. The last query of the first repeat belongs to
    the first: nothing told it what follows.
    """
    expected = offset + period * repeats - 1
    if loss.shape[-1] != expected:
        raise HeadworksError(
            f"copy_gain: {loss.shape[-1]} losses; offset {offset}, period {period} and {repeats} repeats "
            f"make {expected}, one less than tokens."
        )
    second = offset + period
    return loss[..., offset:second].mean(-1) - loss[..., second:].mean(-1)
