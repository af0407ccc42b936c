"""Ablation, patching and the like: functions that make overrides for a tape, and recipes of several passes.

Heads are named by masks, layer to bool [r, h]: which heads of that layer, per replica: each seed grows its
own. `head_masks` makes them from lists. Zeroing a head's z is zeroing its result; the output bias stays.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.model import Transformer
from headworks.spec import ModelSpec
from headworks.tape import Override, Tape

HeadMasks = Mapping[int, Tensor]
Record = Mapping[str, Tensor]


def head_masks(spec: ModelSpec, replicas: Sequence[Mapping[int, Iterable[int]]]) -> dict[int, Tensor]:
    """From one mapping a replica, layer to list of heads; the same heads in r replicas: [heads] * r."""
    masks: dict[int, Tensor] = {}
    for i, heads in enumerate(replicas):
        for layer, chosen in heads.items():
            if not 0 <= layer < spec.n_layers:
                raise HeadworksError(f"heads: {layer} is not a layer of the model (0..{spec.n_layers - 1}).")
            for head in chosen:
                if not 0 <= head < spec.n_heads:
                    raise HeadworksError(
                        f"heads: {head} is not a head of layer {layer} (0..{spec.n_heads - 1})."
                    )
                empty = torch.zeros(len(replicas), spec.n_heads, dtype=torch.bool)
                masks.setdefault(layer, empty)[i, head] = True
    return masks


def over_heads(mask: Tensor) -> Tensor:
    """[r, h] to [r, 1, h, 1, 1], for sites with a head axis."""
    return mask[:, None, :, None, None]


def recorded(model: Transformer, inputs: Tensor, sites: Iterable[str]) -> dict[str, Tensor]:
    """Sites of an intact pass, without gradients."""
    tape = Tape(record=sites, detach=True)
    model(inputs, tape)
    return tape.record()


def zero_heads(heads: HeadMasks) -> list[Override]:
    """Each head's result becomes zero."""
    return [Override(z_site(l), 0.0, over_heads(mask)) for l, mask in heads.items()]


def mean_ablate(heads: HeadMasks, record: Record) -> list[Override]:
    """Each head's result becomes its mean over the recorded batch, position by position."""
    return [
        Override(z_site(l), record[z_site(l)].mean(1, keepdim=True), over_heads(mask))
        for l, mask in heads.items()
    ]


def resample(heads: HeadMasks, record: Record, order: Tensor) -> list[Override]:
    """Each head's result becomes another sequence's: i takes the recorded one of order[i], [b]."""
    return [Override(z_site(l), record[z_site(l)][:, order], over_heads(mask)) for l, mask in heads.items()]


def patch(site: str, record: Record, mask: Tensor | None = None) -> Override:
    """The site takes its recorded value where mask, broadcast to the site, is true; everywhere without."""
    return Override(site, record[site], mask)


def freeze_patterns(record: Record) -> list[Override]:
    """Every recorded pattern is forced."""
    return [patch(site, record) for site in record if site.endswith(".attn.pattern")]


def freeze_values(record: Record) -> list[Override]:
    """Every recorded value vector is forced."""
    return [patch(site, record) for site in record if site.endswith(".attn.v")]


def full_ablation(model: Transformer, inputs: Tensor, heads: HeadMasks) -> Tensor:
    """Logits with the heads' results zero and all that follows recomputed (Olsson 2022, Model Analysis)."""
    return model(inputs, Tape(overrides=zero_heads(heads)))


def pattern_preserving(model: Transformer, inputs: Tensor, heads: HeadMasks) -> Tensor:
    """Logits with the heads' results zero and every pattern as in a first pass (Olsson 2022, Model Analysis).

    What a head does to later queries and keys is kept; only its path through values and logits is cut.
    """
    record = recorded(model, inputs, _all_layers(model.spec, "pattern"))
    patterns = {l: record[f"blocks.{l}.attn.pattern"] for l in range(model.spec.n_layers)}
    resid = model.run_blocks(model.embed(inputs), 0, Tape(overrides=zero_heads(heads)), patterns)
    return model.unembed(resid)


def value_preserving(model: Transformer, inputs: Tensor, heads: HeadMasks) -> Tensor:
    """Logits with the heads' results zero and every value as in a first pass (Singh 2024, sec. 4).

    The converse of `pattern_preserving`: what a head does to later queries and keys, and its direct path
    to the logits, is cut.
    """
    record = recorded(model, inputs, _all_layers(model.spec, "v"))
    return model(inputs, Tape(overrides=zero_heads(heads) + freeze_values(record)))


def replace_pattern(model: Transformer, inputs: Tensor, heads: HeadMasks, pattern: Tensor) -> Tensor:
    """Logits with the heads' patterns replaced by `pattern`, which broadcasts to [r, b, h, q, k]."""
    overrides = [Override(f"blocks.{l}.attn.pattern", pattern, over_heads(mask)) for l, mask in heads.items()]
    return model(inputs, Tape(overrides=overrides))


def rescue(
    model: Transformer,
    inputs: Tensor,
    heads: HeadMasks,
    restore: Literal["nothing", "pattern", "value", "both"],
) -> Tensor:
    """Logits with the heads blind to the sequence, but for their intact pattern or values.

    Blind: the pattern is even over the past, the values are their mean over the batch, position by position.
    Zeros would not do: a restored pattern has to move something.
    """
    layers = sorted(heads)
    sites = [f"blocks.{l}.attn.{part}" for l in layers for part in ("pattern", "v")]
    record = recorded(model, inputs, sites)
    overrides = []
    for l in layers:
        pattern, v = record[f"blocks.{l}.attn.pattern"], record[f"blocks.{l}.attn.v"]
        if restore in ("nothing", "value"):
            pattern = even_pattern(pattern.shape[-1]).to(pattern)
        if restore in ("nothing", "pattern"):
            v = v.mean(1, keepdim=True)
        z = pattern @ v.repeat_interleave(model.spec.n_heads // model.spec.kv_heads, 2)
        overrides.append(Override(z_site(l), z, over_heads(heads[l])))
    return model(inputs, Tape(overrides=overrides))


def even_pattern(t: int) -> Tensor:
    """[q, k]: each query spreads its attention evenly over itself and the past."""
    past = torch.ones(t, t).tril()
    return past / past.sum(-1, keepdim=True)


@torch.no_grad()
def ablation_sweep(
    model: Transformer,
    inputs: Tensor,
    reduce: Callable[[Tensor], Tensor],
    kind: Literal["full", "pattern_preserving"] = "full",
    at_once: int | None = None,
) -> dict[tuple[int, int], Tensor]:
    """(layer, head) to reduce(logits [r, b, t, v]) with that head's result zero, for every head.

    Equals a loop over `full_ablation` or `pattern_preserving`, the same head in every replica. Layers before
    the head's are not run again; `at_once` heads of a layer share one pass through those after it.
    """
    spec, found = model.spec, {}
    at_once = at_once or _worthwhile(model, kind)
    after = "resid_mid" if spec.d_mlp and not spec.parallel else "resid_post"
    sites = [f"blocks.{l}.{site}" for l in range(spec.n_layers) for site in ("attn.z", after)]
    kept_sites = _all_layers(spec, "pattern") if kind == "pattern_preserving" else []
    record = recorded(model, inputs, sites + kept_sites)
    patterns = {l: record[site] for l, site in enumerate(kept_sites)}
    for l in range(spec.n_layers):
        intact, z = record[f"blocks.{l}.{after}"], record[z_site(l)]
        for heads in torch.arange(spec.n_heads).split(at_once):
            resid = _without_each(model, l, heads.tolist(), intact, z)
            resid = model.run_blocks(resid, l + 1, patterns=patterns)
            for head, part in zip(heads.tolist(), resid.chunk(len(heads), 1), strict=True):
                found[l, head] = reduce(model.unembed(part))
    return found


def _worthwhile(model: Transformer, kind: str) -> int:
    """Heads to share a pass: all, except where a CPU is busy with one and no patterns are shared."""
    return 1 if kind == "full" and model.flat.device.type == "cpu" else model.spec.n_heads


def _without_each(model: Transformer, l: int, heads: list[int], intact: Tensor, z: Tensor) -> Tensor:
    """The residual stream after block l without one head's result, each of n heads in turn: [r, n b, t, d].

    `intact` [r, b, t, d] is the stream after the attention; an MLP that reads it runs again.
    """
    weight = model.named()[f"blocks.{l}.attn.W_O"]
    parts = [intact - torch.einsum("rbte,red->rbtd", z[:, :, head], weight[:, head]) for head in heads]
    resid = torch.cat(parts, 1)
    if model.spec.d_mlp and not model.spec.parallel:
        resid = resid + model.mlp(l, resid)
    return resid


def z_site(layer: int) -> str:
    return f"blocks.{layer}.attn.z"


def _all_layers(spec: ModelSpec, part: str) -> list[str]:
    return [f"blocks.{l}.attn.{part}" for l in range(spec.n_layers)]
