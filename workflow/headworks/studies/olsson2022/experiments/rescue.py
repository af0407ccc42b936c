"""One head blinded, then only its pattern or only its values restored: which of the two carries its effect?

A head is blinded by an even pattern and values averaged over the batch. A head that copies literally needs both: where
to look tells nothing without what stands there.
"""

from functools import partial

import pandas as pd

from headworks.interventions import rescue
from headworks.studies.olsson2022.experiments.roles import (
    Effect,
    best,
    evaluation,
    masks,
    measured,
    recovery,
    scores,
)

RESTORED = ("nothing", "pattern", "value", "both")


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, role (induction or previous: each replica's best head of either score), restored (nothing,
    pattern, value, both), lost (nats per token that blinding costs), recovered (share of it that comes back), and the
    same of the in-context-learning score: icl_lost, icl_recovered."""
    return pd.concat([of_run(name, options, inputs) for name in inputs.runs], ignore_index=True)


def of_run(name: str, options, inputs) -> pd.DataFrame:
    """The rows of one run."""
    run, cached = inputs.runs[name], inputs.activations[options.activations][name]
    model, tokens = run.model(), evaluation(run.dataset, options.examples)
    found = scores(cached, len(cached.snapshots) - 1)

    def effect(restored: str, heads) -> Effect:
        return measured(tokens, partial(rescue, model, heads=heads, restore=restored), options.width)

    intact, frames = measured(tokens, model, options.width), []
    for role, key in (("induction", "prefix"), ("previous", "previous")):
        heads = masks(best(found[key]))
        blind = effect("nothing", heads)
        for restored in RESTORED:
            about = {"run": name, "seed": run.seeds, "role": role, "restored": restored}
            frames.append(pd.DataFrame(about | recovery(intact, blind, effect(restored, heads))))
    return pd.concat(frames, ignore_index=True)
