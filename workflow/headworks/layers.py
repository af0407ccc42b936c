"""What the transformer is made of: attention, positions, smearing and products, as functions of tensors.

Letters: r replica, b batch, t q k position, h head, g key-value head, d model, e head dimension.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from headworks.spec import ModelSpec
from headworks.tape import Tape

# Faster on one CPU thread, forward and backward, at t 16 to 256: the fused kernel from
# 16 dimensions on, plain products of stretches of queries below that.
NARROW_HEAD = 16
STRETCH = 40
# Sequences so short that a batched product costs more to launch than to do: multiply and sum, over tensors in
# which sequences lie side by side, so that a loop over them fills a processor's vectors, which 5 positions and 8
# dimensions do not (measured at t 5, e 8: half as fast again as products when compiled; a tenth of an update less
# than with dimensions innermost, compiled or not. At t 17, e 16 slower than the fused kernel).
SHORT = 8


def attend(q: Tensor, k: Tensor, v: Tensor, barrier: int | None = None) -> Tensor:
    """Causal attention: q [r, b, h, q, e], k and v [r, b, g, t, e] to z [r, b, h, q, e]; queries are the last.

    Queries after the position `barrier` see no key before it.
    """
    r, b, h, t, e = q.shape
    if k.shape[3] <= SHORT or t < k.shape[3]:
        return _mix(_pattern(_scores(q, k, barrier)), v)
    q, k, v = (_repeat_heads(x, h).flatten(0, 1) for x in (q, k, v))
    if barrier:
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=~unseen_keys(t, t, barrier, q.device))
    elif e < NARROW_HEAD and q.device.type == "cpu":
        z = _attend_in_stretches(q, k, v)
    else:
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    return z.unflatten(0, (r, b))


def _attend_in_stretches(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal attention [n, h, t, e], some queries at a time: no product with the keys of later stretches."""
    n, h, t, e = q.shape
    q, k, v = (x.reshape(n * h, t, e) for x in (q, k, v))
    return _Narrow.apply(q, k, v).view(n, h, e, t).transpose(2, 3)


class _Narrow(torch.autograd.Function):
    """q, k, v [n, t, e] to z [n, e, t], with its gradient by hand.

    A product with few columns, which autograd would take four of, costs three times one with few rows.
    """

    @staticmethod
    def forward(ctx, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        t, e = q.shape[1:]
        future = q.new_full((t, t), -torch.inf).triu(1)
        patterns, parts = [], []
        for start, end in _stretches(t):
            keys = k[:, :end].transpose(1, 2)
            scores = torch.baddbmm(future[start:end, :end], q[:, start:end], keys, alpha=e**-0.5)
            patterns.append(scores.softmax(-1))
            parts.append(v[:, :end].transpose(1, 2) @ patterns[-1].transpose(1, 2))
        ctx.save_for_backward(q, k, v, *patterns)
        return torch.cat(parts, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx, dz: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, *patterns = ctx.saved_tensors
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        dk, dv, parts = torch.zeros_like(dz), torch.zeros_like(dz), []
        for (start, end), pattern in zip(_stretches(q.shape[2]), patterns, strict=True):
            dz_part = dz[:, :, start:end]
            dpattern = dz_part.transpose(1, 2) @ v[:, :, :end]
            dscores = torch._softmax_backward_data(dpattern, pattern, -1, pattern.dtype)
            parts.append(k[:, :, :end] @ dscores.transpose(1, 2))
            dk[:, :, :end] += q[:, :, start:end] @ dscores
            dv[:, :, :end] += dz_part @ pattern
        scale = q.shape[1] ** -0.5
        dq = torch.cat(parts, 2).mul_(scale)
        return dq.transpose(1, 2), dk.mul_(scale).transpose(1, 2), dv.transpose(1, 2)


def _stretches(t: int) -> list[tuple[int, int]]:
    return [(start, min(start + STRETCH, t)) for start in range(0, t, STRETCH)]


def attend_openly(
    q: Tensor, k: Tensor, v: Tensor, name: str, tape: Tape, barrier: int | None = None
) -> Tensor:
    """`attend` with scores and patterns shown to the tape."""
    scores = tape(f"{name}.scores", _scores(q, k, barrier))
    return _mix(tape(f"{name}.pattern", _pattern(scores)), v)


def _scores(q: Tensor, k: Tensor, barrier: int | None) -> Tensor:
    """Scaled scores [r, b, h, q, k], -inf where the query does not see the key; queries are the last positions."""
    k = _repeat_heads(k, q.shape[2])
    n_queries, t = q.shape[3], k.shape[3]
    if t <= SHORT:
        products = (_side_by_side(q).unsqueeze(4) * _side_by_side(k).unsqueeze(3)).sum(2)
        products = products.permute(0, 4, 1, 2, 3)
    else:
        products = q @ k.transpose(-1, -2)
    scores = products * q.shape[-1] ** -0.5
    if n_queries == 1 and not barrier:
        return scores
    return scores.masked_fill(unseen_keys(n_queries, t, barrier, q.device), -torch.inf)


def unseen_keys(n_queries: int, t: int, barrier: int | None, device: torch.device) -> Tensor:
    """bool [q, k]: keys after the query, and those on the other side of the barrier. Queries are the last positions."""
    unseen = torch.ones(n_queries, t, dtype=torch.bool, device=device).triu(1 + t - n_queries)
    if barrier:
        positions = torch.arange(t, device=device)
        unseen = unseen | (positions[t - n_queries :, None] > barrier) & (positions < barrier)
    return unseen


def _pattern(scores: Tensor) -> Tensor:
    """Softmax over keys of scores [r, b, h, q, k]."""
    if scores.shape[-1] <= SHORT:
        return scores.permute(0, 2, 3, 4, 1).softmax(3).permute(0, 4, 1, 2, 3)
    return scores.softmax(-1)


def _mix(pattern: Tensor, v: Tensor) -> Tensor:
    """Values weighted by a pattern: [r, b, h, q, k] and [r, b, g, k, e] to z [r, b, h, q, e]."""
    v = _repeat_heads(v, pattern.shape[2])
    if v.shape[3] <= SHORT:
        mixed = pattern.permute(0, 2, 3, 4, 1).unsqueeze(2) * _side_by_side(v).unsqueeze(3)
        return _apart(mixed.sum(4))
    return pattern @ v


def _side_by_side(x: Tensor) -> Tensor:
    """[r, b, h, t, e] as [r, h, e, t, b]."""
    return x.permute(0, 2, 4, 3, 1)


def _apart(x: Tensor) -> Tensor:
    """[r, h, e, t, b] as [r, b, h, t, e]."""
    return x.permute(0, 4, 1, 3, 2)


def split_heads(x: Tensor, widths: Sequence[int], width: int) -> list[Tensor]:
    """[r, b, t, n], parts of the given widths side by side, to [r, b, h, t, e] each, e = width."""
    if x.shape[2] <= SHORT:
        parts = _SideBySide.apply(x).split(widths, 1)
        return [_apart(part.unflatten(1, (-1, width))) for part in parts]
    return [part.unflatten(-1, (-1, width)).transpose(2, 3) for part in x.split(widths, -1)]


def join_heads(z: Tensor) -> Tensor:
    """[r, b, h, t, e] to [r, b, t, h e]."""
    if z.shape[3] <= SHORT:
        return _Apart.apply(_side_by_side(z).flatten(1, 2))
    return z.transpose(2, 3).flatten(3)


class _SideBySide(torch.autograd.Function):
    """[r, b, t, n] to [r, n, t, b] in memory, sequences innermost."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return _laid_out(x.permute(0, 3, 2, 1))

    @staticmethod
    def backward(ctx, dy: Tensor) -> Tensor:
        return dy.permute(0, 3, 2, 1)


class _Apart(torch.autograd.Function):
    """[r, n, t, b] to [r, b, t, n], with the gradient in memory as [r, n, t, b]."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.permute(0, 3, 2, 1)

    @staticmethod
    def backward(ctx, dy: Tensor) -> Tensor:
        return _laid_out(dy.permute(0, 3, 2, 1))


def _laid_out(x: Tensor) -> Tensor:
    """A contiguous copy. A compiler merges a copy with the loops that read it, again and again, but not a cat."""
    half = x.shape[1] // 2
    return torch.cat([x[:, :half], x[:, half:]], 1)


def queries_from(q: Tensor, first: int) -> Tensor:
    """[r, b, h, t, e] from position `first` on."""
    return _apart(_side_by_side(q)[:, :, :, first:]) if q.shape[3] <= SHORT else q[..., first:, :]


def attend_by(pattern: Tensor, v: Tensor) -> Tensor:
    """Values mixed by given patterns: pattern [r, b, h, q, k], v [r, n b, g, t, e] to z [r, n b, h, t, e].

    The n batches, one after the other, become columns of one product, so each pattern is read once.
    """
    b, h = pattern.shape[1:3]
    v = _repeat_heads(v, h).unflatten(1, (-1, b))
    columns = v.permute(0, 2, 3, 4, 1, 5).flatten(4)
    return (
        (pattern @ columns).unflatten(-1, (v.shape[1], v.shape[-1])).permute(0, 4, 1, 2, 3, 5).flatten(1, 2)
    )


def _repeat_heads(x: Tensor, n_heads: int) -> Tensor:
    """[r, b, g, t, e] to [r, b, h, t, e]: query head i reads key-value head i // (h / g)."""
    g = x.shape[2]
    return x if g == n_heads else x.repeat_interleave(n_heads // g, 2)


def smear(x: Tensor, alpha: Tensor, lag: int) -> Tensor:
    """x'_j = s x_j + (1 - s) x_{j-lag}, s = sigmoid(alpha); the first `lag` stay (Olsson 2022, Argument 2).

    x [r, b, g, t, e], alpha [r, g]. Comes before rotary positions, so a smeared key turns as one.
    """
    s = alpha.sigmoid()[:, None, :, None, None]
    now, before = x[..., lag:, :], x[..., :-lag, :]
    return torch.cat([x[..., :lag, :], before + s * (now - before)], -2)


def position_table(spec: ModelSpec, t: int, like: Tensor) -> Tensor | None:
    """Sinusoids [t, d] to add, or cosines and sines [2, t, rotated dimensions / 2] to rotate by."""
    if spec.positions == "sinusoidal_qk":
        return sinusoids(t, spec.d_model, spec.position_base, like.device).to(like.dtype)
    if spec.positions == "rotary":
        width = spec.rotary_dim or spec.head_width
        angles = _angles(t, width, spec.position_base, like.device)
        return torch.stack([angles.cos(), angles.sin()]).to(like.dtype)
    return None


def sinusoids(t: int, width: int, base: float = 10000.0, device: torch.device | None = None) -> Tensor:
    """[t, width], sines then cosines, of Vaswani 2017, sec. 3.5, and Press 2021 (Shortformer), sec. 4.

    Unscaled: their mean square is 1/2, next to 1 of the normalised residual stream they are added to.
    """
    angles = _angles(t, width + width % 2, base, device)
    return torch.cat([angles.sin(), angles.cos()], -1)[:, :width].float()


def _angles(t: int, width: int, base: float, device: torch.device | None) -> Tensor:
    """[t, width / 2]: position times base^(-2 i / width), in double: float32 drifts at long contexts."""
    frequencies = base ** (-torch.arange(0, width, 2, dtype=torch.float64, device=device) / width)
    return torch.arange(t, dtype=torch.float64, device=device)[:, None] * frequencies


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """Rotary positions, pairing dimension i with i + half (Su 2021, sec. 3.2.2, in the order of GPT-NeoX)."""
    half = table.shape[-1]
    if x.shape[3] <= SHORT:
        cos, sin = table.transpose(1, 2).unsqueeze(-1)
        a, b, rest = _side_by_side(x).split([half, half, x.shape[-1] - 2 * half], 2)
        return _apart(torch.cat([a * cos - b * sin, b * cos + a * sin, rest], 2))
    cos, sin = table
    a, b, rest = x[..., :half], x[..., half : 2 * half], x[..., 2 * half :]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, rest], -1)


def activate(activation: str, x: Tensor) -> Tensor:
    if activation == "relu":
        return F.relu(x)
    return F.gelu(x, approximate="tanh" if activation == "gelu_tanh" else "none")


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """x [r, b, t, i] times weight [r, i, j]: one product a replica."""
    return torch.bmm(x.flatten(1, 2), weight).unflatten(1, x.shape[1:3])


def affine(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [r, b, t, i] times weight [r, i, j] plus bias [r, 1, j]."""
    if bias is None:
        return linear(x, weight)
    return torch.baddbmm(bias, x.flatten(1, 2), weight).unflatten(1, x.shape[1:3])
