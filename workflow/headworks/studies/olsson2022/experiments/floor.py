"""The loss that no model can beat on a synthetic corpus, by position, and that of a predictor without context."""

import pandas as pd

REFERENCES = {"bayes": "bayes_loss", "bigram": "bigram_loss"}


def table(options, inputs) -> pd.DataFrame:
    """Columns: dataset, reference (bayes or bigram), index (1-based position), loss (nats per token)."""
    frames = []
    for name, dataset in inputs.datasets.items():
        for reference, array in REFERENCES.items():
            loss = dataset[array].mean(axis=0)
            frames.append(
                pd.DataFrame(
                    {"dataset": name, "reference": reference, "index": range(1, len(loss) + 1), "loss": loss}
                )
            )
    return pd.concat(frames, ignore_index=True)
