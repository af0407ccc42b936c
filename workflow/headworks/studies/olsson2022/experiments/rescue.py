"""One head blinded, then only its pattern or only its values restored: which of the two carries its effect?"""

from functools import partial

import numpy as np
import pandas as pd

from headworks.interventions import rescue
from headworks.measures.losses import in_context_score
from headworks.studies.olsson2022.experiments.roles import best, evaluation, losses, masks, scores

RESTORED = ("nothing", "pattern", "value")


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, role (induction or previous: each replica's best head of either score), restored (nothing,
    pattern, value), icl (nats), lost (nats of in-context learning that blinding costs), recovered (share of what was
    lost that comes back)."""
    return pd.concat([of_run(name, options, inputs) for name in inputs.runs], ignore_index=True)


def of_run(name: str, options, inputs) -> pd.DataFrame:
    """The rows of one run."""
    run, cached = inputs.runs[name], inputs.activations[options.activations][name]
    model, tokens = run.model(), evaluation(inputs.run_datasets[name], options.examples)
    found = scores(cached, len(cached.snapshots) - 1)

    def score(logits) -> np.ndarray:
        return in_context_score(losses(tokens, logits).mean(1), width=options.width).numpy()

    intact, frames = score(model), []
    for role, key in (("induction", "prefix"), ("previous", "previous")):
        heads = masks(best(found[key]))
        icl = {
            restored: score(partial(rescue, model, heads=heads, restore=restored)) for restored in RESTORED
        }
        lost = icl["nothing"] - intact
        for restored, value in icl.items():
            about = {"run": name, "seed": run.seeds, "role": role, "restored": restored}
            frames.append(
                pd.DataFrame(about | {"icl": value, "lost": lost, "recovered": 1 - (value - intact) / lost})
            )
    return pd.concat(frames, ignore_index=True)
