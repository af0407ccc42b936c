"""What the phase change does to single tokens: repeated bigrams get better, broken ones worse, new ones neither
(Olsson 2022, the per-token narrative of Argument 1, made into a partition of all tokens)."""

import pandas as pd
import torch

from headworks.measures.losses import BROKEN, NEW, REPEATED, fingerprint, token_classes
from headworks.studies.olsson2022.experiments.roles import all_cached
from headworks.studies.olsson2022.experiments.windows import bounds

SHUFFLE_ROLE = 10
CLASSES = {NEW: "new", REPEATED: "repeated", BROKEN: "broken"}


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, kind (new, repeated, broken, or shuffled: random classes of the same sizes), share of
    tokens, change of loss over the window (nats per token, negative is better), excess over the class `new`. NaN without a
    window."""
    phases = inputs.tables[options.phases]
    rows = []
    for name, run in inputs.runs.items():
        cached = inputs.activations[options.activations][name]
        all_cached(cached, run)
        classes = token_classes(torch.from_numpy(cached.tokens("corpus")))
        order = torch.randperm(classes.numel(), generator=torch.Generator().manual_seed(SHUFFLE_ROLE))
        labelled = {"": classes, "shuffled-": classes.flatten()[order].view(classes.shape)}
        for replica, seed in enumerate(run.seeds):
            window = bounds(phases, name, seed, options.reference, run.tokens)
            for prefix, labels in labelled.items():
                changes = torch.full((len(CLASSES),), torch.nan)
                if window is not None:
                    before, after = (
                        torch.from_numpy(cached.get("corpus", "loss", i)[replica]) for i in window
                    )
                    changes = fingerprint(before, after, labels)
                for code, kind in CLASSES.items():
                    share = float((labels == code).float().mean())
                    excess = float(changes[code] - changes[NEW])
                    rows.append((name, seed, prefix + kind, share, float(changes[code]), excess))
    return pd.DataFrame(rows, columns=["run", "seed", "kind", "share", "change", "excess"])
