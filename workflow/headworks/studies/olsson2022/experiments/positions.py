"""Loss by position in the context and its slope in the log of the position (Olsson 2022, Argument 1; rows 3 and 4
of the model analysis table)."""

import pandas as pd
import torch

from headworks.measures.losses import log_derivative


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, step, tokens, index (1-based), loss (nats, at the index nearest), slope (nats per e-fold)."""
    frames = []
    for name, run in inputs.runs.items():
        cached = inputs.activations[options.activations][name]
        for row, snapshot in enumerate(cached.snapshots):
            loss = torch.from_numpy(cached.get("corpus", "loss", row)).mean(dim=1)
            index, slope = log_derivative(loss, options.bins)
            nearest = loss[:, index.round().long() - 1]
            for replica, seed in enumerate(run.seeds):
                values = {
                    "index": index.numpy(),
                    "loss": nearest[replica].numpy(),
                    "slope": slope[replica].numpy(),
                }
                frames.append(
                    pd.DataFrame(values).assign(
                        run=name, seed=seed, step=run.steps[snapshot], tokens=run.tokens[snapshot]
                    )
                )
    return pd.concat(frames, ignore_index=True)[["run", "seed", "step", "tokens", "index", "loss", "slope"]]
