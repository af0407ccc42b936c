"""What every replica does on the evaluation rings, before and after training."""

import pandas as pd


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, snapshot (first or last), loss in nats, previous: best head's attention one back."""
    frames = []
    for name, cached in inputs.activations[options.activations].items():
        for label, row in (("first", 0), ("last", len(cached.snapshots) - 1)):
            rows = {
                "run": name,
                "seed": inputs.runs[name].seeds,
                "snapshot": label,
                "loss": cached.get("rings", "loss", row).mean(axis=(1, 2)),
                "previous": cached.get("rings", "blocks.0.attn.pattern", row).max(axis=1),
            }
            frames.append(pd.DataFrame(rows))
    return pd.concat(frames, ignore_index=True)
