"""Per-token-loss PCA: runs as paths through one plane, and the angle at which each turns (Olsson 2022, Argument 1)."""

import math

import pandas as pd

from headworks.measures.geometry import per_token_pca, turning_angle
from headworks.studies.olsson2022.experiments.roles import all_cached
from headworks.studies.olsson2022.experiments.windows import bounds


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, step, tokens, pc1, pc2, explained1, explained2, inside (within the window: 0 or 1), angle.

    One plane a seed, common to its runs, which all saw the same evaluation tokens. `angle`, in degrees, is that
    between the mean step before and after the window; NaN without one.
    """
    phases = inputs.tables[options.phases]
    for name, run in inputs.runs.items():
        all_cached(inputs.activations[options.activations][name], run)
    seeds = sorted(set.intersection(*(set(run.seeds) for run in inputs.runs.values())))
    frames = []
    for seed in seeds:
        runs = {name: run for name, run in inputs.runs.items() if run.diverged[run.seeds.index(seed)] < 0}
        losses = [
            _per_token(inputs.activations[options.activations][name], run.seeds.index(seed))
            for name, run in runs.items()
        ]
        found, shares = per_token_pca(losses)
        for (name, run), path in zip(runs.items(), found, strict=True):
            window = bounds(phases, name, seed, options.reference, run.tokens)
            first, last = window or (len(path), -1)
            frames.append(
                pd.DataFrame(
                    {
                        "run": name,
                        "seed": seed,
                        "step": run.steps,
                        "tokens": run.tokens,
                        "pc1": path[:, 0],
                        "pc2": path[:, 1],
                        "explained1": shares[0],
                        "explained2": shares[1],
                        "inside": [int(first <= i <= last) for i in range(len(path))],
                        "angle": turning_angle(path, *window) if window else math.nan,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def _per_token(cached, replica: int):
    """Losses of the evaluation tokens, [snapshot, token]."""
    losses = cached.file["corpus/loss"][:, replica]
    return losses.reshape(len(losses), -1)
