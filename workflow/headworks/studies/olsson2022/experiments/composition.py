"""Composition of every pair of heads, against random matrices of the same shape (Elhage 2021; Olsson 2022, Argument 5)."""

import pandas as pd
import torch

from headworks.measures.circuits import composition_baseline, k_composition, q_composition, v_composition
from headworks.studies.olsson2022.experiments.curves import head_scores
from headworks.studies.olsson2022.experiments.heads import folded

PROBE_ROLE = 5


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, snapshot (first or last), kind (k, q, v), layer, head (the later one), earlier_layer,
    earlier_head, score, z (standard deviations over the random baseline), prefix of the later head, previous of the
    earlier head, pair (true for the best prefix head with the best previous-token head)."""
    rows = []
    for name, run in inputs.runs.items():
        cached, spec = inputs.activations[options.activations][name], run.model_spec
        generator = torch.Generator().manual_seed(PROBE_ROLE * 1_000_003 + options.seed)
        mean, deviation = composition_baseline(spec.d_model, spec.head_width, generator, options.samples)
        for snapshot, row in (("first", 0), ("last", len(cached.snapshots) - 1)):
            prefix, previous = head_scores(cached, row, "prefix"), head_scores(cached, row, "previous")
            model = run.model(cached.snapshots[row])
            for (later, earlier), scores in pair_scores(model).items():
                for kind, score in scores.items():
                    for (replica, head, other), value in _entries(score):
                        about = (name, run.seeds[replica], snapshot, kind, later, head, earlier, other)
                        rows.append(
                            (
                                *about,
                                value,
                                (value - mean) / deviation,
                                prefix[later, replica, head],
                                previous[earlier, replica, other],
                            )
                        )
    columns = [
        "run",
        "seed",
        "snapshot",
        "kind",
        "layer",
        "head",
        "earlier_layer",
        "earlier_head",
        "score",
        "z",
        "prefix",
        "previous",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(pair=_best_pair(frame))


def pair_scores(model) -> dict[tuple[int, int], dict[str, torch.Tensor]]:
    """K-, Q- and V-composition [replica, head, earlier head] of every pair of layers (later, earlier)."""
    layers = [folded(model, l) for l in range(model.spec.n_layers)]
    found = {}
    for later in range(len(layers)):
        for earlier in range(later):
            a, b = layers[later], layers[earlier]
            found[later, earlier] = {
                "k": k_composition(a["W_Q"], a["W_K"], b["W_V"], b["W_O"]),
                "q": q_composition(a["W_Q"], a["W_K"], b["W_V"], b["W_O"]),
                "v": v_composition(a["W_V"], a["W_O"], b["W_V"], b["W_O"]),
            }
    return found


def _entries(score: torch.Tensor):
    return (
        ((r, h, p), score[r, h, p].item())
        for r, h, p in torch.cartesian_prod(*(torch.arange(n) for n in score.shape)).tolist()
    )


def _best_pair(frame: pd.DataFrame) -> pd.Series:
    """One row of each group; of equal scores, which half precision can make, the first."""
    ranked = frame.sort_values(["prefix", "previous"], ascending=False, kind="stable")
    best = ranked.groupby(["run", "seed", "snapshot", "kind"]).head(1).index
    return pd.Series(frame.index.isin(best), index=frame.index)
