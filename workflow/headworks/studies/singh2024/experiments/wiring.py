"""One head of layer 1 and one of layer 2 at a time: which feeds which, and how (Singh et al. 2024, App. E,
Fig. 11)."""

import pandas as pd
import torch
from torch import Tensor

from headworks.measures.circuits import (
    composition_baseline,
    fold_centring,
    fold_norm,
    k_composition,
    v_composition,
)
from headworks.model import Transformer
from headworks.studies.singh2024.clamps import LABELS
from headworks.studies.singh2024.experiments.episodes import (
    ENDS,
    first_layer,
    identified,
    label_order,
    logits_of_each,
    means,
    mix,
    network,
    prefixes,
    require_two_layers,
    scores,
    second_layer,
    stream,
    strength,
    training_rows,
    without_heads,
)

PREVIOUS = 0.6
"""Mean attention from labels to the token before from which a head of layer 1 counts as a previous-token
head."""
INDUCTION = 0.3
"""Strength from which a head of layer 2 counts as an induction head."""
CONTEXT_COPY = 0.5
"""Accuracy of copying either label of the context."""
BASELINE_ROLE = 23
PRESERVED = ("values", "patterns")


def table(options, inputs) -> pd.DataFrame:
    """One row per replica, snapshot (first, untrained; last), pair of heads and what is preserved, on
    training sequences.

    Columns: run, condition, seed, snapshot, layer1_head, layer2_head, preserved (values or patterns of
    layer 2 as in the intact network); accuracy (0 to 1) and loss (nats) with no head but these two; serves
    (accuracy above 0.5, what copying either label of the context gives); of the head of layer 1 previous
    (mean attention from labels to the token before), previous_score (the same less the mean attention to
    each other token up to the label: 0 by chance) and is_previous (previous from 0.6); of the head of layer
    2 strength (attention to the correct label less the wrong one) and is_induction (strength from 0.3); of
    the pair's weights k_composition and v_composition (0 to 1), composition_baseline and
    composition_deviation (mean and standard deviation of both in random matrices). Of a diverged replica all
    is NaN, and nothing serves or is.
    """
    frames = []
    for run in inputs.runs.values():
        require_two_layers("wiring", run)
        rows, spec = training_rows(run.dataset, options.examples), run.model_spec
        generator = torch.Generator().manual_seed(BASELINE_ROLE)
        mean, deviation = composition_baseline(spec.d_model, spec.head_width, generator)
        for snapshot, index in ENDS.items():
            model = run.model(index)
            frame = pairs(measured(model, rows) | compositions(model))
            frame = frame.assign(composition_baseline=mean, composition_deviation=deviation)
            frames.append(identified(frame, run, snapshot=snapshot))
    return pd.concat(frames, ignore_index=True)


def pairs(found: dict[str, Tensor]) -> pd.DataFrame:
    """Rows by replica from `measured` and `compositions`; p is a head of layer 1, h of layer 2."""
    r, n_earlier, n_later = found["k_composition"].shape
    axes = {"replica": range(r), "layer1_head": range(n_earlier), "layer2_head": range(n_later)}
    index = pd.MultiIndex.from_product(axes.values(), names=axes.keys())
    spread = {
        "previous": found["previous"].mean(1)[:, :, None],
        "previous_score": previous_score(found["previous"])[:, :, None],
        "strength": found["strength"][:, None],
        "k_composition": found["k_composition"],
        "v_composition": found["v_composition"],
    }
    frames = []
    for preserved in PRESERVED:
        own = {metric: found[f"{preserved}_{metric}"] for metric in ("accuracy", "loss")}
        columns = {
            name: value.expand(r, n_earlier, n_later).flatten().numpy()
            for name, value in (own | spread).items()
        }
        frames.append(pd.DataFrame(columns, index).reset_index().assign(preserved=preserved))
    frame = pd.concat(frames, ignore_index=True)
    frame.insert(3, "preserved", frame.pop("preserved"))
    return frame.assign(
        serves=frame["accuracy"] > CONTEXT_COPY,
        is_previous=frame["previous"] >= PREVIOUS,
        is_induction=frame["strength"] >= INDUCTION,
    )


def previous_score(previous: Tensor) -> Tensor:
    """Attention a [r, 2, h] from each label, the i-th token after the first, to the token before it, as
    a - (1 - a) / i, mean over labels, [r, h]: 1 if all is there, 0 if attention is even."""
    others = torch.tensor(LABELS)[:, None]
    return (previous - (1 - previous) / others).mean(1)


@torch.inference_mode()
def measured(model: Transformer, rows: Tensor) -> dict[str, Tensor]:
    """Means over rows: accuracy and loss of every pair with values or patterns preserved, [r, p, h] by name;
    previous [r, 2, p] from each label; strength [r, h]."""
    net = network(model)

    def measure(piece: Tensor) -> dict[str, Tensor]:
        of, order = prefixes(piece), label_order(piece, model)
        first = first_layer(net, of)
        pattern, values = second_layer(net, stream(net, first), of)
        found = {"previous": first.previous.sum(1), "strength": strength(pattern, piece).sum(1)}
        parts: dict[str, list[Tensor]] = {}
        for alone in torch.eye(model.spec.n_heads).bool():
            resid = stream(net, first, alone.expand(model.n_replicas, -1))
            own_pattern, own_values = second_layer(net, resid, of)
            rest = without_heads(net, resid, of)
            mixed = {"values": mix(own_pattern, values), "patterns": mix(pattern, own_values)}
            for preserved, z in mixed.items():
                score = scores(logits_of_each(net, rest, z, order))
                for metric in ("accuracy", "loss"):
                    parts.setdefault(f"{preserved}_{metric}", []).append(score[metric].sum(1))
        return found | {name: torch.stack(one, 1) for name, one in parts.items()}

    return means(rows, model.n_replicas, measure)


@torch.inference_mode()
def compositions(model: Transformer) -> dict[str, Tensor]:
    """K- and V-composition of every pair of heads, [r, p, h] each, with the norm before each head folded
    in."""
    earlier = _weight(model, 0, "W_V"), model.named()["blocks.0.attn.W_O"]
    w_q, w_k, w_v = (_weight(model, 1, part) for part in ("W_Q", "W_K", "W_V"))
    return {
        "k_composition": k_composition(w_q, w_k, *earlier).transpose(1, 2),
        "v_composition": v_composition(w_v, model.named()["blocks.1.attn.W_O"], *earlier).transpose(1, 2),
    }


def _weight(model: Transformer, layer: int, part: str) -> Tensor:
    """What each head reads the residual stream by, [r, h, d, e], up to the scale of the norm."""
    weight = model.named()[f"blocks.{layer}.attn.{part}"]
    scale = model.named().get(f"blocks.{layer}.ln1.w")
    if scale is not None:
        weight = fold_norm(weight, scale[:, None])
    if model.spec.norm == "layernorm":
        weight = fold_centring(weight)
    return weight.repeat_interleave(model.spec.n_heads // weight.shape[1], 1)
