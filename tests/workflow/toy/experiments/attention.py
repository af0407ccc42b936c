"""Attention of every replica to the previous token."""

import pandas as pd


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, snapshot (first or last), previous: the best head's mean attention one token back."""
    frames = []
    for name, cached in inputs.activations[options.activations].items():
        for label, row in (("first", 0), ("last", len(cached.snapshots) - 1)):
            score = cached.get("rings", "blocks.0.attn.pattern", row).max(axis=1)
            seeds = inputs.runs[name].seeds
            frames.append(pd.DataFrame({"run": name, "seed": seeds, "snapshot": label, "previous": score}))
    return pd.concat(frames, ignore_index=True)
