"""Heads of layer 1 ablated with what they feed of layer 2 preserved (Singh et al. 2024, sec. 3.3, App. E,
G; Table 1, Fig. 12): which route do they serve, the patterns of layer 2, its values, or the output
directly?"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from headworks.model import Transformer
from headworks.studies.singh2024.experiments.episodes import (
    Network,
    Prefixes,
    first_layer,
    identified,
    in_order,
    label_order,
    means,
    mix,
    network,
    prefixes,
    require_two_layers,
    scores,
    second_layer,
    stream,
    training_rows,
    without_heads,
    written_together,
)
from headworks.studies.singh2024.experiments.evaluation import evenly, place

RANDOM_ROLE = 22
PRESERVED = ("none", "patterns", "values", "both")
METRICS = ("accuracy", "loss")


def table(options, inputs) -> pd.DataFrame:
    """One row per replica, snapshot, ablated set and what is preserved, on training sequences.

    Columns: run, condition, seed, step, sequences (of training so far), snapshot (first, middle or last),
    ablated, preserved (none; patterns or values of layer 2 as in the intact network; both, so that only the
    path to the output is cut), n_heads (ablated), accuracy (0 to 1), loss (nats), drop (accuracy of the
    intact network less this), loss_increase (nats).

    ablated: layer1 and layer2, all heads of a layer (nothing reads layer 2, so there all of `preserved` are
    one); previous, the heads of layer 1 which in the last snapshot attend from labels to the token before
    by options.previous or more on average; others, the rest of layer 1; random_previous, as many heads of
    layer 1 as previous, drawn for each seed: a control. An empty set leaves the network intact. NaN where a
    replica diverged.
    """
    frames = []
    for run in inputs.runs.values():
        require_two_layers("routes", run)
        rows = training_rows(run.dataset, options.examples)
        previous = mean_previous_attention(run.model(-1), rows) >= options.previous
        sets = layer1_sets(previous, run.seeds)
        for index in evenly(len(run), options.snapshots):
            about = {
                "step": run.steps[index],
                "sequences": run.steps[index] * run.train_spec.batch,
                "snapshot": place(index, len(run)),
            }
            frame = by_replica(measured(run.model(index), rows, sets), sets)
            frames.append(identified(frame, run, **about))
    return pd.concat(frames, ignore_index=True)


@torch.inference_mode()
def mean_previous_attention(model: Transformer, rows: Tensor) -> Tensor:
    """Mean attention of each head of layer 1 from each label to the token before it, [r, h]."""
    net = network(model)

    def measure(piece: Tensor) -> dict[str, Tensor]:
        return {"previous": first_layer(net, prefixes(piece)).previous.sum(1)}

    return means(rows, model.n_replicas, measure)["previous"].mean(1)


def layer1_sets(previous: Tensor, seeds: list[int]) -> dict[str, Tensor]:
    """Sets of heads of layer 1, by name bool [r, h], from which ones are previous-token heads."""
    drawn = torch.zeros_like(previous)
    for replica, seed in enumerate(seeds):
        generator = np.random.default_rng([RANDOM_ROLE, seed])
        chosen = generator.permutation(previous.shape[1])[: int(previous[replica].sum())]
        drawn[replica, chosen] = True
    return {
        "layer1": torch.ones_like(previous),
        "previous": previous,
        "others": ~previous,
        "random_previous": drawn,
    }


@torch.inference_mode()
def measured(model: Transformer, rows: Tensor, sets: dict[str, Tensor]) -> dict[tuple[str, str], dict]:
    """Mean accuracy and loss, [r] each, by ablated set and what is preserved; ("intact", "none") without
    ablation."""
    net = network(model)

    def measure(piece: Tensor) -> dict:
        order = label_order(piece, model)
        resid = ends(net, prefixes(piece), sets)
        score = scores(in_order(model.unembed(torch.stack(list(resid.values()), 2)), order))
        return {
            (*key, metric): score[metric][..., i].sum(1) for i, key in enumerate(resid) for metric in METRICS
        }

    found: dict[tuple[str, str], dict] = {}
    for (ablated, preserved, metric), value in means(rows, model.n_replicas, measure).items():
        found.setdefault((ablated, preserved), {})[metric] = value
    return found


def ends(net: Network, of: Prefixes, sets: dict[str, Tensor]) -> dict[tuple[str, str], Tensor]:
    """The query's residual stream at the end, [r, b, d], by ablated set and what is preserved."""
    first = first_layer(net, of)
    intact = stream(net, first)
    pattern, values = second_layer(net, intact, of)

    def end(resid: Tensor, pattern: Tensor, values: Tensor) -> Tensor:
        return without_heads(net, resid, of) + written_together(net, mix(pattern, values))

    found = {
        ("intact", "none"): end(intact, pattern, values),
        ("layer2", "none"): without_heads(net, intact, of),
    }
    for name, ablated in sets.items():
        resid = stream(net, first, ~ablated)
        own_pattern, own_values = second_layer(net, resid, of)
        found[name, "none"] = end(resid, own_pattern, own_values)
        found[name, "patterns"] = end(resid, pattern, own_values)
        found[name, "values"] = end(resid, own_pattern, values)
        found[name, "both"] = end(resid, pattern, values)
    return found


def by_replica(found: dict[tuple[str, str], dict], sets: dict[str, Tensor]) -> pd.DataFrame:
    """Rows by replica from `measured`."""
    intact = found["intact", "none"]
    counts = {name: heads.sum(1) for name, heads in sets.items()}
    counts["layer2"] = counts["layer1"]
    frames = []
    for ablated, n_heads in counts.items():
        for preserved in PRESERVED:
            own = found[ablated, "none" if ablated == "layer2" else preserved]
            columns = {
                "n_heads": n_heads,
                "accuracy": own["accuracy"],
                "loss": own["loss"],
                "drop": intact["accuracy"] - own["accuracy"],
                "loss_increase": own["loss"] - intact["loss"],
            }
            about = {"replica": range(len(n_heads)), "ablated": ablated, "preserved": preserved}
            frames.append(pd.DataFrame(about | {name: value.numpy() for name, value in columns.items()}))
    return pd.concat(frames, ignore_index=True)
