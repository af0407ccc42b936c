"""From one task's centroid to another's at the separator, step by step: does the answer flip or drift?"""

import numpy as np
import pandas as pd
import torch

from headworks.studies.wu2024.experiments.steering import (
    chosen_layers,
    draw_prompts,
    known,
    require_prompts,
    same_answers,
)
from headworks.studies.wu2024.steering import interpolate, outcomes

SEPARATOR = "SEP"


def table(options, inputs) -> pd.DataFrame:
    """One row per replica, layer and alpha, of the last snapshot, over unseen instructions.

    Columns: run, condition, seed, step, layer (0 the embedding, l the stream after block l), alpha (0 to 1);
    shares of prompts switch (the most likely token is the target task's answer), stay (the own task's) and other
    (neither) with (1 - alpha) mu_s + alpha mu_q in place of the state at the separator, mu being means over
    trained instructions of the own task s and the target task q. NaN: a diverged replica.
    """
    return pd.concat([of_run(run, options) for run in inputs.runs.values()], ignore_index=True)


def of_run(run, options) -> pd.DataFrame:
    """The rows of one run."""
    dataset, layers = run.dataset, chosen_layers(run, options.layers)
    prompts = draw_prompts(dataset, ~same_answers(dataset), options.prompts, options.seed)
    require_prompts(run, prompts)
    alphas = np.linspace(0, 1, options.steps).tolist()
    edits = {alpha: interpolate(alpha) for alpha in alphas}
    masks = torch.tensor([[name == SEPARATOR for name in dataset.facts["positions"]]])
    found = outcomes(run.model(-1), prompts, known(dataset), edits, layers, masks)
    about = {"run": run.name, "condition": run.conditions, "seed": run.seeds, "step": run.steps[-1]}
    frames = []
    for layer in layers:
        for alpha in alphas:
            shares = {name: found[layer, alpha][name][:, 0] for name in ("switch", "stay", "other")}
            frames.append(pd.DataFrame(about | {"layer": layer, "alpha": alpha} | shares))
    return pd.concat(frames, ignore_index=True)
