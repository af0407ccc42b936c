"""What a head's weights compose to (Elhage et al. 2021; Olsson et al. 2022, Argument 5 and the evaluators).

Rows are vectors: x W_V W_O is a head's output, (x W_Q)(y W_K)^T its attention score. The functions take
weights as they are: fold the weights of a norm that stands between (`fold_norm`, for LayerNorm also
`fold_centring`) before calling. With grouped key-value heads, repeat W_K and W_V to the number of query
heads first.
"""

import torch
from torch import Tensor


def fold_norm(W: Tensor, w: Tensor) -> Tensor:
    """Norm weights folded into what reads the norm: W [..., d, n], w [..., d] to [..., d, n].

    For head tensors [..., h, d, e] give `w[..., None, :]`.
    """
    return w[..., None] * W


def fold_centring(W: Tensor) -> Tensor:
    """LayerNorm's subtraction of the mean folded into W [..., d, n]; after `fold_norm`."""
    return W - W.mean(-2, keepdim=True)


def copying(pattern: Tensor, resid: Tensor, tokens: Tensor, W_V: Tensor, W_O: Tensor, W_U: Tensor) -> Tensor:
    """Copying score of each head on each example, in [-1, 1]: [..., b, h] (Olsson 2022, evaluators, erratum).

    pattern [..., b, h, q, k]; resid [..., b, k, d], what the head reads (after the norm, if any); tokens
    [..., b, k]; W_V [..., h, d, e]; W_O [..., h, e, d]; W_U [..., d, v].

    At each destination the head's direct effect on the logits, less its mean over the vocabulary, through a
    ReLU, is the raise of each token. With a the raise of the attended token (the mean over sources weighted
    by their attention) and S the sum of raises over the distinct tokens of the sample, the score is 4 a /
    (a + S) - 1: 1 raises the attended token alone, -1 only others, and 25 tokens raised evenly give -0.85.
    Destinations where the head raises none of the sample's tokens have no ratio and are left out; NaN if
    that leaves none. The evaluator has no start token; to score a sequence that has one, leave it out of k
    and tokens.
    """
    z = torch.einsum("...bhqk,...bkd,...hde->...bhqe", pattern, resid, W_V)
    out = torch.einsum("...bhqe,...hed->...bhqd", z, W_O)
    lifts = torch.einsum("...bhqd,...bkd->...bhqk", out, _centred_columns(W_U, tokens)).relu()
    attended = (pattern * lifts).sum(-1) / pattern.sum(-1)
    total = (lifts * _first_occurrence(tokens)[..., None, None, :]).sum(-1)
    return (4 * attended / (attended + total) - 1).where(total > 0, torch.nan).nanmean(-1)


def _centred_columns(W_U: Tensor, tokens: Tensor) -> Tensor:
    """Columns of W_U [..., d, v], less the mean column, for tokens [..., b, k]: [..., b, k, d]."""
    rows = (W_U - W_U.mean(-1, keepdim=True)).transpose(-1, -2)
    lead = torch.broadcast_shapes(rows.shape[:-2], tokens.shape[:-2])
    rows = rows.expand(*lead, *rows.shape[-2:])
    flat = tokens.expand(*lead, *tokens.shape[-2:]).flatten(-2)
    return torch.take_along_dim(rows, flat[..., None], dim=-2).unflatten(-2, tokens.shape[-2:])


def _first_occurrence(tokens: Tensor) -> Tensor:
    """Whether no earlier position holds the same token: [..., t] to bool [..., t]."""
    return ~(tokens[..., :, None] == tokens[..., None, :]).tril(-1).any(-1)


def ov_copying(W_E: Tensor, W_V: Tensor, W_O: Tensor, W_U: Tensor) -> Tensor:
    """Sum of the eigenvalues of W_E W_V W_O W_U over the sum of their sizes, in [-1, 1]: [..., h].

    Elhage 2021, Copying/primitive OV matrices. W_E [..., v, d], W_V [..., h, d, e], W_O [..., h, e, d], W_U
    [..., d, v]. AB and BA share their non-zero eigenvalues, so those of the e x e matrix W_O W_U W_E W_V do.
    NaN for a head without output.
    """
    loop = torch.einsum("...hed,...dc,...hcf->...hef", W_O, W_U @ W_E, W_V)
    eigenvalues = torch.linalg.eigvals(loop)
    return eigenvalues.real.sum(-1) / eigenvalues.abs().sum(-1)


def qk_trace(
    W_Q: Tensor, W_K: Tensor, W_V_prev: Tensor, W_O_prev: Tensor, prev: Tensor, W_E: Tensor
) -> Tensor:
    """Trace of the QK circuit's previous-token term, tokens against tokens: [..., h] (Olsson 2022, row 7).

    W_Q, W_K [..., h, d, e] of one layer; W_V_prev [..., p, d, e], W_O_prev [..., p, e, d] and prev [..., p],
    the mean attention to the previous position, of all heads p in earlier layers; W_E [..., v, d]. Positive:
    a query prefers keys whose previous token equals its own.
    """
    shifted = torch.einsum("...p,...pde,...pec->...dc", prev, W_V_prev, W_O_prev)
    gram = W_E.transpose(-1, -2) @ W_E
    query = torch.einsum("...dc,...hce->...hde", gram, W_Q)
    key = torch.einsum("...dc,...hce->...hde", shifted, W_K)
    return (query * key).sum((-2, -1))


def k_composition(W_Q: Tensor, W_K: Tensor, W_V_prev: Tensor, W_O_prev: Tensor) -> Tensor:
    """How much each head's keys read each earlier head's output, in [0, 1]: [..., h, p].

    Elhage 2021, Composition: |OV_p W_K W_Q^T| / (|OV_p| |W_K W_Q^T|), Frobenius norms. Compare with
    `composition_baseline`. W_Q, W_K [..., h, d, e]; W_V_prev [..., p, d, e]; W_O_prev [..., p, e, d].
    """
    return _composition(W_V_prev, W_O_prev, W_K, W_Q.transpose(-1, -2))


def q_composition(W_Q: Tensor, W_K: Tensor, W_V_prev: Tensor, W_O_prev: Tensor) -> Tensor:
    """How much each head's queries read each earlier head's output: [..., h, p]; see `k_composition`."""
    return _composition(W_V_prev, W_O_prev, W_Q, W_K.transpose(-1, -2))


def v_composition(W_V: Tensor, W_O: Tensor, W_V_prev: Tensor, W_O_prev: Tensor) -> Tensor:
    """How much each head's values read each earlier head's output: [..., h, p].

    W_V [..., h, d, e], W_O [..., h, e, d]; the earlier heads as in `k_composition`.
    """
    return _composition(W_V_prev, W_O_prev, W_V, W_O)


def composition_baseline(
    d_model: int, d_head: int, generator: torch.Generator, n_samples: int = 256
) -> tuple[float, float]:
    """Mean and standard deviation of a composition score (any of the three) between random Gaussian heads."""

    def gaussian(*shape: int) -> Tensor:
        return torch.randn(n_samples, 1, *shape, generator=generator)

    wide, tall = (d_head, d_model), (d_model, d_head)
    scores = _composition(gaussian(*tall), gaussian(*wide), gaussian(*tall), gaussian(*wide))
    return scores.mean().item(), scores.std().item()


def _composition(W_V_prev: Tensor, W_O_prev: Tensor, W_in: Tensor, W_out: Tensor) -> Tensor:
    """|W_V W_O W_in W_out| / (|W_V W_O| |W_in W_out|) for every pair: W_in [..., h, d, e] to [..., h, p]."""
    left, right = _gram(W_V_prev.transpose(-1, -2)), _gram(W_out)
    inner = torch.einsum("...ped,...hdf->...hpef", W_O_prev, W_in)
    joint = torch.einsum("...pef,...hpfg,...hgi,...hpei->...hp", left, inner, right, inner)
    earlier = torch.einsum("...pef,...pfe->...p", left, _gram(W_O_prev))
    later = torch.einsum("...hef,...hfe->...h", _gram(W_in.transpose(-1, -2)), right)
    return (joint / (later[..., :, None] * earlier[..., None, :])).clamp_min(0).sqrt()


def _gram(W: Tensor) -> Tensor:
    """W W^T of W [..., e, d]: [..., e, e]."""
    return W @ W.transpose(-1, -2)
