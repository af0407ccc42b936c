"""Named sites of a run's forward pass on fixed probes, snapshot by snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from headworks.measures.attention import repeated_tokens
from headworks.model import Transformer, cross_entropy, sites
from headworks.tape import Tape

if TYPE_CHECKING:
    from headworks.readers import DatasetReader

PROBE_ROLE = 3
BATCH_TOKENS = 2**15
"""Tokens of one forward pass over all replicas; the rest of a probe follows in further passes."""

REDUCTIONS = {
    "all": lambda x: x,
    "batch_mean": lambda x: x.mean(dim=1),
    "last_position": lambda x: x[..., -1, :],
    "last_three": lambda x: x[..., -3:, :],
    "previous_mean": lambda x: x.diagonal(offset=-1, dim1=-2, dim2=-1).mean(dim=(1, -1)),
}
"""What is kept of a site [replica, batch, ...]; means are over the whole probe."""

MEANS = ("batch_mean", "previous_mean")


def usual_tokens(dataset: DatasetReader) -> np.ndarray:
    """Token ids without the start token and the most and least common tenth by rank (Olsson 2022, evaluators)."""
    ranked = np.argsort(-dataset.frequencies, kind="stable")
    ranked = ranked[(ranked != dataset.bos) & (dataset.frequencies[ranked] > 0)]
    cut = len(ranked) // 10 if len(ranked) >= 100 else 0
    return ranked[cut : len(ranked) - cut]


def probe_tokens(probe: dict, dataset: DatasetReader) -> np.ndarray:
    """The inputs of a probe and the token that follows the last, int64 [sequence, position + 1]."""
    if probe["kind"] == "evaluation":
        return dataset.evaluation[: probe["examples"]]
    generator = torch.Generator().manual_seed(PROBE_ROLE * 1_000_003 + probe["seed"])
    allowed = torch.from_numpy(usual_tokens(dataset).copy())
    tokens = repeated_tokens(
        probe["examples"], probe["period"], probe["repeats"], allowed, dataset.bos, generator
    )
    return torch.cat([tokens, tokens[:, 1:2]], dim=1).numpy()


def expand(requested: dict[str, str], known: list[str]) -> dict[str, str]:
    """Sites in full: 'pattern' stands for every block's attention pattern, and so on. Unknown sites are left as they are."""
    full = {}
    for site, reduction in requested.items():
        matches = [name for name in known if name == site or name.endswith(f".{site}")]
        full |= dict.fromkeys(matches or [site], reduction)
    return full


def cache(
    model: Transformer, tokens: torch.Tensor, requested: dict[str, str], predicts: str = "every"
) -> dict[str, np.ndarray]:
    """Sites of one model on one probe: name → [replica, ...]. `tokens` is [sequence, position + 1].

    'loss' [replica, sequence, position] is in nats; with `predicts` "last" the last position's alone. Raises HeadworksError for a site the pass does not reach.
    """
    wanted = expand({site: kind for site, kind in requested.items() if site != "loss"}, sites(model.spec))
    kept: dict[str, list] = {}
    sizes = []
    for part in _parts(model, tokens):
        tape = Tape(record={site: REDUCTIONS[kind] for site, kind in wanted.items()}, detach=True)
        logits = model(part[:, :-1], tape if wanted else None)
        found = {site: tape[site] for site in wanted}
        if "loss" in requested:
            counted = slice(-1, None) if predicts == "last" else slice(None)
            loss = cross_entropy(logits[:, :, counted], part[:, 1:][:, counted])
            found["loss"] = REDUCTIONS[requested["loss"]](loss)
        for site, value in found.items():
            kept.setdefault(site, []).append(value.cpu().numpy())
        sizes.append(len(part))
    kinds = wanted | {site: kind for site, kind in requested.items() if site == "loss"}
    return {site: _joined(parts, kinds[site], sizes) for site, parts in kept.items()}


def _parts(model: Transformer, tokens: torch.Tensor) -> Iterator[torch.Tensor]:
    size = max(1, BATCH_TOKENS // (model.flat.shape[0] * tokens.shape[1]))
    return iter(tokens.to(model.flat.device).split(size))


def _joined(parts: list[np.ndarray], kind: str, sizes: list[int]) -> np.ndarray:
    if kind in MEANS:
        return np.average(parts, axis=0, weights=sizes).astype(np.float32)
    return np.concatenate(parts, axis=1)
