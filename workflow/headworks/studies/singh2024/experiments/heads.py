"""Every head of layer 2: alone, left out, and with a perfect match (Singh et al. 2024, sec. 3.1, App. H;
Fig. 4a, 16)."""

import math

import numpy as np
import pandas as pd
import torch
from scipy.stats import chi2_contingency
from torch import Tensor

from headworks.model import Transformer
from headworks.studies.singh2024.clamps import correct_label
from headworks.studies.singh2024.experiments.episodes import (
    ENDS,
    first_layer,
    identified,
    label_order,
    logits_of_sums,
    mix,
    network,
    other_label_chosen,
    pieces,
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


def table(options, inputs) -> pd.DataFrame:
    """One row per replica, snapshot (first, untrained; last) and head of layer 2, on training sequences.

    Columns: run, condition, seed, snapshot, head, strength (attention from the query to the correct label
    less the wrong one, -1 to 1), rank (of strength, 1 the strongest); intact_accuracy and intact_loss of
    the whole network; solo_accuracy, solo_loss, solo_context_accuracy (among the two labels of the context)
    and shuffled_accuracy (against the other label of the context: a control) of the head alone;
    without_accuracy and without_loss of all but the head, without_drop (intact_accuracy less
    without_accuracy); matched_accuracy and matched_loss of the head alone with all the query's attention on
    the correct label; matched_gain (matched_accuracy less solo_accuracy); errors and matched_errors, the sequences that it gets wrong alone and matched;
    label_chi2_p (that matched errors come as often with each true label), worst_label_share (share of
    matched errors on the label with the most); on_best_errors (accuracy alone on the sequences that the
    strongest head gets wrong alone) and on_best_drop (solo_accuracy less on_best_errors).

    Losses in nats, accuracies from 0 to 1. NaN: a test or share without errors; on_best_* of the strongest
    head; all of a diverged replica. All sequences are no sample: p only weighs the errors' unevenness against their number.
    """
    frames = []
    for run in inputs.runs.values():
        require_two_layers("heads", run)
        rows = training_rows(run.dataset, options.examples)
        for snapshot, index in ENDS.items():
            frames.append(identified(measured(run.model(index), rows), run, snapshot=snapshot))
    return pd.concat(frames, ignore_index=True)


def measured(model: Transformer, rows: Tensor) -> pd.DataFrame:
    """The table of one network, by replica."""
    found = outcomes(model, rows)
    labels = rows[:, -1].numpy()
    frames = [
        _of_replica({name: value[i].numpy() for name, value in found.items()}, labels).assign(replica=i)
        for i in range(model.n_replicas)
    ]
    return pd.concat(frames, ignore_index=True)


def variants(n_heads: int) -> dict[str, Tensor]:
    """What is summed, by name [n, 1 + 2 h], of the rest, what heads write, and what they write if matched."""
    rest, none, one = torch.ones(n_heads, 1), torch.zeros(n_heads, n_heads), torch.eye(n_heads)
    return {
        "intact": torch.cat([rest, none + 1, none], 1)[:1],
        "solo": torch.cat([rest, one, none], 1),
        "without": torch.cat([rest, 1 - one, none], 1),
        "matched": torch.cat([rest, none, one], 1),
    }


@torch.inference_mode()
def outcomes(model: Transformer, rows: Tensor) -> dict[str, Tensor]:
    """Means over rows by name: strength, solo_context (the share where a head alone prefers the right label
    of the context) and shuffled (where it chooses the other), [r, h]; the loss of each of `variants`, [r,
    n]. And whether each of those is right on each sequence, [r, sequence, n]."""
    chosen = variants(model.spec.n_heads)
    sizes = [len(part) for part in chosen.values()]
    total: dict[str, Tensor] = {}
    each: dict[str, list[Tensor]] = {}
    net = network(model)
    for piece in pieces(rows, model.n_replicas):
        of = prefixes(piece)
        resid = stream(net, first_layer(net, of))
        pattern, values = second_layer(net, resid, of)
        own, matched = (written(net, mix(x, values)) for x in (pattern, matched_pattern(pattern, piece)))
        parts = torch.cat([without_heads(net, resid, of)[:, :, None], own, matched], 2)
        order = label_order(piece, model)
        logits = logits_of_sums(model, parts, torch.cat(list(chosen.values())), order)
        score = scores(logits)
        _add(total, "strength", strength(pattern, piece).double().sum(1))
        for name, part in zip(chosen, score["loss"].split(sizes, -1), strict=True):
            _add(total, f"{name}_loss", part.double().sum(1))
        for name, part in zip(chosen, score["accuracy"].split(sizes, -1), strict=True):
            each.setdefault(f"{name}_right", []).append(part.bool())
        alone = slice(1, 1 + model.spec.n_heads)
        _add(total, "solo_context", score["context_accuracy"][..., alone].double().sum(1))
        _add(total, "shuffled", other_label_chosen(logits[..., alone]).double().sum(1))
    averages = {name: value / len(rows) for name, value in total.items()}
    return averages | {name: torch.cat(parts, 1) for name, parts in each.items()}


def matched_pattern(pattern: Tensor, rows: Tensor) -> Tensor:
    """The query's pattern [r, b, k, h] if it attends to the correct label alone."""
    return correct_label(rows)[:, :, None].to(pattern.dtype).expand_as(pattern)


def _add(total: dict[str, Tensor], name: str, value: Tensor) -> None:
    total[name] = total.get(name, 0) + value


def _of_replica(found: dict[str, np.ndarray], labels: np.ndarray) -> pd.DataFrame:
    """Rows of one replica from its `outcomes`; labels [sequence] are the targets."""
    rank = np.argsort(np.argsort(-found["strength"], kind="stable")) + 1
    best = int(rank.argmin())
    solo, wrong = found["solo_right"], ~found["matched_right"]
    accuracy = {name: found[f"{name}_right"].mean(0) for name in ("intact", "solo", "without", "matched")}
    by_label = np.stack([wrong[labels == label].sum(0) for label in np.unique(labels)])
    on_best = _mean(solo[~solo[:, best]])
    on_best[best] = math.nan
    columns = {
        "head": np.arange(len(rank)),
        "strength": found["strength"],
        "rank": rank,
        "intact_accuracy": np.broadcast_to(accuracy["intact"], rank.shape),
        "intact_loss": np.broadcast_to(found["intact_loss"], rank.shape),
        "solo_accuracy": accuracy["solo"],
        "solo_loss": found["solo_loss"],
        "solo_context_accuracy": found["solo_context"],
        "shuffled_accuracy": found["shuffled"],
        "without_accuracy": accuracy["without"],
        "without_loss": found["without_loss"],
        "without_drop": accuracy["intact"] - accuracy["without"],
        "matched_accuracy": accuracy["matched"],
        "matched_loss": found["matched_loss"],
        "matched_gain": accuracy["matched"] - accuracy["solo"],
        "errors": (~solo).sum(0),
        "matched_errors": wrong.sum(0),
        "label_chi2_p": [_even_p(one, np.unique(labels, return_counts=True)[1]) for one in by_label.T],
        "worst_label_share": by_label.max(0) / np.where(by_label.any(0), by_label.sum(0), np.nan),
        "on_best_errors": on_best,
        "on_best_drop": accuracy["solo"] - on_best,
    }
    frame = pd.DataFrame(columns)
    return frame[["head"]].reindex(columns=frame.columns) if np.isnan(found["intact_loss"]) else frame


def _mean(right: np.ndarray) -> np.ndarray:
    """Means [h] over sequences [sequence, h], NaN of none."""
    return right.mean(0) if len(right) else np.full(right.shape[1], math.nan)


def _even_p(errors: np.ndarray, counts: np.ndarray) -> float:
    """p of a chi-square test that errors [label] of counts [label] do not depend on the label; NaN if there
    is nothing to tell apart."""
    if errors.sum() in (0, counts.sum()):
        return math.nan
    return float(chi2_contingency(np.stack([errors, counts - errors])).pvalue)
