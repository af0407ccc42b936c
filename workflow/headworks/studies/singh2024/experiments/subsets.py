"""All subsets of layer 2's heads: do heads add up, and does each help (Singh et al. 2024, sec. 3.1; Fig.
4a, 14)?"""

import math
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.model import Transformer
from headworks.studies.singh2024.experiments.episodes import (
    first_layer,
    identified,
    label_order,
    logits_of_sums,
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
    written,
)

MOST_HEADS = 12
SLICE = 64
"""Sequences times replicas whose subsets are scored together: what is in hand then stays in the cache."""
PLACES = ("mask", "size", "ordered", "ordered_without_best")
PERMUTATIONS = 20
PERMUTATION_ROLE = 21


def table(options, inputs) -> pd.DataFrame:
    """Two kinds of rows, by the column `row`, of the last snapshot; all have run, condition and seed.

    subset: mask (bit h: head h of layer 2 is on), size (heads on), accuracy, context_accuracy (among the
    two labels of the context), loss (nats), log_odds (nats, of the target to the other label of the
    context, mean over sequences), ordered (heads on so far where heads are switched on from the strongest
    down, 0 to all; else -1) and ordered_without_best (the same without the strongest head ever). fit, one
    row a replica: additive_r2 and pairwise_r2 (of log_odds over all subsets, explained by heads being on,
    and by pairs besides), permuted_r2 (the additive fit with the subsets' labels permuted, mean of 20: a
    control), monotone (share of the steps of the series `ordered` in which the loss falls) and
    monotone_without_best. Rows of fit have -1 for mask, size and the series. NaN where a replica diverged.
    """
    frames = []
    for run in inputs.runs.values():
        require_two_layers("subsets", run)
        n_heads = run.model_spec.n_heads
        if n_heads > MOST_HEADS:
            raise HeadworksError(
                f"experiment subsets: run {run.name} has {n_heads} heads in layer 2, {2**n_heads} subsets; "
                f"allowed: at most {MOST_HEADS} heads."
            )
        found = measured(run.model(-1), training_rows(run.dataset, options.examples))
        for replica, seed in enumerate(run.seeds):
            subsets = of_replica({key: value[replica].numpy() for key, value in found.items()})
            fit = pd.DataFrame([dict.fromkeys(PLACES, -1) | fits(subsets, n_heads, seed)])
            frames += [
                identified(kind.assign(replica=replica), run, row=row)
                for row, kind in (("subset", subsets), ("fit", fit))
            ]
    return pd.concat(frames, ignore_index=True)


def on_off(n_heads: int) -> np.ndarray:
    """Bits of every mask, [subset, h]: which heads are on."""
    return np.arange(2**n_heads)[:, None] >> np.arange(n_heads) & 1


@torch.inference_mode()
def measured(model: Transformer, rows: Tensor) -> dict[str, Tensor]:
    """Means over rows: strength [r, h]; accuracy, context_accuracy, loss and log_odds [r, subset]."""
    on = torch.from_numpy(on_off(model.spec.n_heads)).float()
    choices = torch.cat([torch.ones(len(on), 1), on], 1)
    net = network(model)

    def measure(piece: Tensor) -> dict[str, Tensor]:
        of, order = prefixes(piece), label_order(piece, model)
        resid = stream(net, first_layer(net, of))
        pattern, values = second_layer(net, resid, of)
        parts = torch.cat([without_heads(net, resid, of)[:, :, None], written(net, mix(pattern, values))], 2)
        total = {"strength": strength(pattern, piece).sum(1)}
        at_once = max(1, SLICE // model.n_replicas)
        for few, own in zip(parts.split(at_once, 1), order.split(at_once), strict=True):
            for name, value in scores(logits_of_sums(model, few, choices, own)).items():
                total[name] = total.get(name, 0) + value.sum(1).double()
        return total

    return means(rows, model.n_replicas, measure)


def of_replica(found: dict[str, np.ndarray]) -> pd.DataFrame:
    """The subsets of one replica, from its `measured`."""
    found = dict(found)
    strongest_first = np.argsort(-found.pop("strength"), kind="stable")
    masks = np.arange(len(found["loss"]))
    size = on_off(len(strongest_first)).sum(1)
    return pd.DataFrame(
        {
            "mask": masks,
            "size": size,
            **found,
            "ordered": _series(strongest_first, len(masks)),
            "ordered_without_best": _series(strongest_first[1:], len(masks)),
        }
    )


def _series(heads: np.ndarray, n_subsets: int) -> np.ndarray:
    """[subset]: how many of `heads` are on where those, in this order, were switched on one by one; else
    -1."""
    places = np.full(n_subsets, -1)
    places[np.concatenate([[0], np.cumsum(1 << heads)])] = np.arange(len(heads) + 1)
    return places


def fits(subsets: pd.DataFrame, n_heads: int, seed: int) -> dict[str, float]:
    """How well heads add up, and how often the next head helps."""
    on, odds = on_off(n_heads).astype(float), subsets["log_odds"].to_numpy()
    pairs = [on[:, i] * on[:, j] for i, j in combinations(range(n_heads), 2)]
    generator = np.random.default_rng([PERMUTATION_ROLE, seed])
    permuted = [explained(on, generator.permutation(odds)) for _ in range(PERMUTATIONS)]
    return {
        "additive_r2": explained(on, odds),
        "pairwise_r2": explained(np.column_stack([on, *pairs]), odds),
        "permuted_r2": float(np.mean(permuted)),
        "monotone": _share_falling(subsets, "ordered"),
        "monotone_without_best": _share_falling(subsets, "ordered_without_best"),
    }


def explained(features: np.ndarray, values: np.ndarray) -> float:
    """R2 of a least-squares fit of values [n] by a constant and features [n, f]; NaN of values without
    spread."""
    spread = ((values - values.mean()) ** 2).sum()
    if not spread > 0:
        return math.nan
    design = np.column_stack([np.ones(len(values)), features])
    fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return float(1 - ((values - fitted) ** 2).sum() / spread)


def _share_falling(subsets: pd.DataFrame, series: str) -> float:
    losses = subsets[subsets[series] >= 0].sort_values(series)["loss"].to_numpy()
    return math.nan if np.isnan(losses).any() else float((np.diff(losses) < 0).mean())
