"""Training curves of every replica: loss, in-context-learning score, best head scores (Olsson 2022, Argument 1).

One row per run, seed and snapshot. A replica that diverged has NaN from there on.
"""

import numpy as np
import pandas as pd
import torch

from headworks.measures.attention import prefix_matching, prefix_matching_chance
from headworks.measures.losses import copy_gain, in_context_score


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, layers, parameters, alpha, seed, step, tokens, loss, icl, prefix, previous, copy_gain, chance.

    parameters of one replica; alpha, the initial one of smeared runs, else NaN; loss and icl in nats per token; prefix and previous are the best head's scores, in [0, 1]; copy_gain in nats.
    """
    frames = []
    for name, run in inputs.runs.items():
        cached = inputs.activations[options.activations][name]
        for row, snapshot in enumerate(cached.snapshots):
            measures = snapshot_measures(cached, row, options.width)
            frames.append(
                pd.DataFrame(
                    {
                        "run": name,
                        "layers": run.model_spec.n_layers,
                        "parameters": run.n_parameters,
                        "alpha": run.model_spec.smear.alpha if run.model_spec.smear else np.nan,
                        "seed": run.seeds,
                        "step": run.steps[snapshot],
                        "tokens": run.tokens[snapshot],
                        **measures,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True).sort_values(["run", "seed", "step"], kind="stable")


def snapshot_measures(cached, row: int, width: int) -> dict[str, np.ndarray]:
    """The measures of one cached snapshot, each [replica]."""
    loss = torch.from_numpy(cached.get("corpus", "loss", row))
    repeated = torch.from_numpy(cached.get("repeated", "loss", row))[..., :-1]
    probe = cached.probe("repeated")
    timing = (probe["period"], probe["repeats"], 1)
    return {
        "loss": loss.mean(dim=(1, 2)).numpy(),
        "icl": in_context_score(loss.mean(dim=1), width=width).numpy(),
        "prefix": head_scores(cached, row, "prefix").max(axis=(0, 2)),
        "previous": head_scores(cached, row, "previous").max(axis=(0, 2)),
        "copy_gain": copy_gain(repeated.mean(dim=1), *timing).numpy(),
        "chance": prefix_matching_chance(*timing),
    }


def head_scores(cached, row: int, kind: str) -> np.ndarray:
    """Prefix-matching or previous-token score of every head at one cached snapshot, [layer, replica, head]."""
    probe = {"prefix": "repeated", "previous": "patterns"}[kind]
    found = [cached.get(probe, f"blocks.{l}.attn.pattern", row) for l in range(cached.n_layers)]
    if kind == "previous":
        return np.stack(found)
    spec = cached.probe(probe)
    return np.stack(
        [prefix_matching(torch.from_numpy(x), spec["period"], spec["repeats"], 1).numpy() for x in found]
    )
