"""Patterns replaced by what the theory says they are: an exact shift for the previous-token head, exact matches for
induction heads (Olsson 2022, Argument 5; Redwood's comment printed with the paper)."""

from functools import partial

import pandas as pd
import torch

from headworks.interventions import full_ablation, replace_pattern
from headworks.measures.attention import token_targets
from headworks.studies.olsson2022.experiments.roles import best, evaluation, masks, measured, recovery, scores


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, replaced, lost (nats per token that ablating the heads costs), recovered (share of it kept
    when their pattern is replaced instead), and the same of the in-context-learning score: icl_lost, icl_recovered.

    replaced: 'previous: shift' (all attention on the position before), 'previous: shift by two' (control),
    'induction: matches' (evenly on positions after an earlier copy of the current token, the first position if there
    is none), 'induction: shuffled' (control: the matches of another sequence). One previous-token head, and all heads
    with at least half of the best prefix-matching score.
    """
    return pd.concat([of_run(name, options, inputs) for name in inputs.runs], ignore_index=True)


def of_run(name: str, options, inputs) -> pd.DataFrame:
    """The rows of one run."""
    run, cached = inputs.runs[name], inputs.activations[options.activations][name]
    model, tokens = run.model(), evaluation(run.dataset, options.examples)
    found = scores(cached, len(cached.snapshots) - 1)
    prefix = found["prefix"]
    sets = {
        "previous": masks(best(found["previous"])),
        "induction": masks(prefix >= prefix.max(axis=(0, 2), keepdims=True) / 2),
    }

    def with_pattern(heads, pattern):
        return lambda part: replace_pattern(model, part, heads, pattern(part))

    intact, frames = measured(tokens, model, options.width), []
    for role, patterns in PATTERNS.items():
        heads = sets[role]
        ablated = measured(tokens, partial(full_ablation, model, heads=heads), options.width)
        for label, pattern in patterns.items():
            replaced = measured(tokens, with_pattern(heads, pattern), options.width)
            about = {"run": name, "seed": run.seeds, "replaced": f"{role}: {label}"}
            frames.append(pd.DataFrame(about | recovery(intact, ablated, replaced)))
    return pd.concat(frames, ignore_index=True)


def shift(tokens: torch.Tensor, by: int = 1) -> torch.Tensor:
    """All attention `by` positions back, on the first position where there is none: [1, 1, 1, q, k]."""
    length = tokens.shape[-1]
    keys = (torch.arange(length) - by).clamp_min(0)
    return torch.nn.functional.one_hot(keys, length).float()[None, None, None]


def matches(tokens: torch.Tensor) -> torch.Tensor:
    """Evenly on the induction targets of each query, on the first position without any: [1, b, 1, q, k]."""
    targets = token_targets(tokens).float()
    targets[..., 0] += targets.sum(-1) == 0
    return (targets / targets.sum(-1, keepdim=True))[None, :, None]


def shuffled(tokens: torch.Tensor) -> torch.Tensor:
    """The matches of the next sequence of the batch."""
    return matches(tokens.roll(1, dims=0))


PATTERNS = {
    "previous": {"shift": shift, "shift by two": lambda tokens: shift(tokens, 2)},
    "induction": {"matches": matches, "shuffled": shuffled},
}
