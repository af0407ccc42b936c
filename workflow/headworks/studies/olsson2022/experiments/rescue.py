"""One head blinded, then only its pattern or only its values restored: which of the two carries its effect?"""

import pandas as pd

from headworks.interventions import rescue
from headworks.measures.losses import in_context_score
from headworks.studies.olsson2022.experiments.roles import best, evaluation, losses, masks, scores

RESTORED = ("nothing", "pattern", "value")


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, role (induction or previous: each replica's best head of either score), restored (nothing,
    pattern, value), icl (nats), lost (nats of in-context learning that blinding costs), recovered (share of what was
    lost that comes back)."""
    frames = []
    for name, run in inputs.runs.items():
        cached = inputs.activations[options.activations][name]
        model, tokens = run.model(), evaluation(inputs.run_datasets[name], options.examples)
        found = scores(cached, len(cached.snapshots) - 1)
        intact = in_context_score(losses(tokens, model).mean(1), width=options.width).numpy()
        for role, score in (("induction", found["prefix"]), ("previous", found["previous"])):
            heads, blind = masks(best(score)), None
            for restored in RESTORED:
                loss = losses(
                    tokens, lambda part, heads=heads, restored=restored: rescue(model, part, heads, restored)
                )
                icl = in_context_score(loss.mean(1), width=options.width).numpy()
                blind = icl if blind is None else blind
                lost = blind - intact
                rows = {
                    "run": name,
                    "seed": run.seeds,
                    "role": role,
                    "restored": restored,
                    "icl": icl,
                    "lost": lost,
                }
                frames.append(pd.DataFrame(rows | {"recovered": 1 - (icl - intact) / lost}))
    return pd.concat(frames, ignore_index=True)
