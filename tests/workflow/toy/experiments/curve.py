"""Training loss of every replica."""

import pandas as pd


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, step (the last of those averaged), loss in nats per token."""
    frames = []
    for name, run in inputs.runs.items():
        loss = run.file["trace/loss"][()]
        for start in range(0, len(loss), options.every):
            part = loss[start : start + options.every]
            rows = {"run": name, "seed": run.seeds, "step": start + len(part), "loss": part.mean(axis=0)}
            frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)
