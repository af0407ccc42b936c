"""All induction heads ablated together, against random sets of the same size (Argument 3).

Heads found on one probe are ablated on other sequences: the set is chosen from repeated random tokens, the effect
measured on evaluation sequences.
"""

from functools import partial

import numpy as np
import pandas as pd

from headworks.interventions import full_ablation, pattern_preserving
from headworks.measures.losses import in_context_score
from headworks.studies.olsson2022.experiments.roles import evaluation, losses, masks, scores

SET_ROLE = 7
KINDS = {"full": full_ablation, "pattern-preserving": pattern_preserving}


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, set (induction or random), draw, kind, heads (ablated), icl (nats, intact), removed (share
    of the in-context-learning score that the ablation removes; more than 1 turns it round). NaN for a replica without
    induction heads, or with fewer other heads than those."""
    return pd.concat([of_run(name, options, inputs) for name in inputs.runs], ignore_index=True)


def of_run(name: str, options, inputs) -> pd.DataFrame:
    """The rows of one run."""
    run, cached = inputs.runs[name], inputs.activations[options.activations][name]
    model, tokens = run.model(), evaluation(run.dataset, options.examples)
    chosen = scores(cached, len(cached.snapshots) - 1)["prefix_over_chance"] >= options.induction
    intact = in_context_score(losses(tokens, model).mean(1), width=options.width)
    wanted = chosen.sum((0, 2))
    sets = [
        ("induction", 0, chosen),
        *(("random", draw, random_set(chosen, draw, options.seed)) for draw in range(options.draws)),
    ]
    frames = []
    for kind, recipe in KINDS.items():
        for label, draw, heads in sets:
            loss = losses(tokens, partial(recipe, model, heads=masks(heads)))
            removed = (1 - in_context_score(loss.mean(1), width=options.width) / intact).numpy()
            comparable = (wanted > 0) & (heads.sum((0, 2)) == wanted)
            about = {
                "run": name,
                "seed": run.seeds,
                "set": label,
                "draw": draw,
                "kind": kind,
                "heads": wanted,
            }
            measured = {"icl": intact.numpy(), "removed": np.where(comparable, removed, np.nan)}
            frames.append(pd.DataFrame(about | measured))
    return pd.concat(frames, ignore_index=True)


def random_set(chosen: np.ndarray, draw: int, seed: int) -> np.ndarray:
    """As many heads of each layer as `chosen` [layer, replica, head], drawn from its other heads.

    What a layer cannot give, because most of its heads are chosen, is drawn from the other heads of all layers.
    """
    generator = np.random.default_rng([SET_ROLE, seed, draw])
    found = np.zeros_like(chosen)
    for layer, replica in np.ndindex(chosen.shape[:2]):
        others = np.flatnonzero(~chosen[layer, replica])
        wanted = int(chosen[layer, replica].sum())
        found[layer, replica, generator.permutation(others)[:wanted]] = True
    for replica in range(chosen.shape[1]):
        missing = int(chosen[:, replica].sum() - found[:, replica].sum())
        others = np.argwhere(~chosen[:, replica] & ~found[:, replica])
        for layer, head in generator.permutation(others)[:missing]:
            found[layer, replica, head] = True
    return found
