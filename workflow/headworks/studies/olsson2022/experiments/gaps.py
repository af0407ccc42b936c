"""How far trained models are from the Bayes-optimal predictor of a synthetic corpus: a check on both."""

import pandas as pd


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, loss, bayes, bigram (nats per token, over the same tokens), bayes_gap and bigram_gap (loss
    less theirs). A bayes_gap below zero, beyond noise, means that the floor or the evaluation is wrong."""
    rows = []
    for name, run in inputs.runs.items():
        cached, dataset = inputs.activations[options.activations][name], run.dataset
        loss = cached.get("corpus", "loss", len(cached.snapshots) - 1)
        floors = {key: float(dataset[f"{key}_loss"][: loss.shape[1]].mean()) for key in ("bayes", "bigram")}
        for replica, seed in enumerate(run.seeds):
            mean = float(loss[replica].mean())
            gaps = {f"{key}_gap": mean - floor for key, floor in floors.items()}
            rows.append({"run": name, "seed": seed, "loss": mean} | floors | gaps)
    return pd.DataFrame(rows)
