"""Scores of every head at chosen snapshots: behaviour and weights side by side (Olsson 2022, sections 2.6 and 2.7 of
the evaluators; Arguments 3 and 5)."""

import numpy as np
import pandas as pd
import torch

from headworks.activations import usual_tokens
from headworks.measures.attention import prefix_matching_chance
from headworks.measures.circuits import copying, fold_centring, fold_norm, k_composition, ov_copying, qk_trace
from headworks.studies.olsson2022.experiments.curves import head_scores
from headworks.tape import Tape

PROBE_ROLE = 4
REPEATS = 4


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, step, tokens, layer, head, prefix, prefix_over_chance, previous, copying, ov_copying,
    qk_trace, qk_trace_rank, k_composition (with the earlier layers' best previous-token head), smear.

    `smear` is sigmoid(alpha), the weight of a key's own position; NaN without smearing. Measures that need an
    earlier layer are NaN in layer 0. `qk_trace_rank` is the head's rank among its replica's, 1 the highest.
    """
    frames = []
    for name, run in inputs.runs.items():
        cached, dataset = inputs.activations[options.activations][name], run.dataset
        rows = np.unique(np.linspace(len(cached.snapshots) - 1, 0, options.snapshots).round().astype(int))
        tokens = copying_probe(dataset, options.examples, options.copying_tokens, options.seed)
        for row in rows:
            model = run.model(cached.snapshots[row])
            scores = weight_scores(model, tokens, head_scores(cached, row, "previous"))
            scores["prefix"] = head_scores(cached, row, "prefix")
            scores["previous"] = head_scores(cached, row, "previous")
            frames.append(
                tidy(scores, run.seeds).assign(
                    run=name, step=run.steps[cached.snapshots[row]], tokens=run.tokens[cached.snapshots[row]]
                )
            )
    probe = cached.probe("repeated")
    frame = pd.concat(frames, ignore_index=True)
    frame["prefix_over_chance"] = frame["prefix"] / prefix_matching_chance(
        probe["period"], probe["repeats"], 1
    )
    frame["qk_trace_rank"] = frame.groupby(["run", "seed", "step"])["qk_trace"].rank(ascending=False)
    first = ["run", "seed", "step", "tokens", "layer", "head"]
    return frame[first + [column for column in frame if column not in first]].sort_values(
        first, kind="stable"
    )


def tidy(scores: dict[str, np.ndarray], seeds: list[int]) -> pd.DataFrame:
    """Scores [layer, replica, head] as rows."""
    layers, replicas, heads = next(iter(scores.values())).shape
    layer, replica, head = (axis.ravel() for axis in np.indices((layers, replicas, heads)))
    return pd.DataFrame(
        {"seed": np.array(seeds)[replica], "layer": layer, "head": head}
        | {k: v.ravel() for k, v in scores.items()}
    )


def copying_probe(dataset, examples: int, length: int, seed: int) -> torch.Tensor:
    """Random distinct tokens, repeated, without a start token: [example, position].

    The paper's text has them once; there a head that matches exactly finds nothing to match and scores as if it
    did not copy, so the tokens are shown `REPEATS` times, as in the prefix-matching probe.
    """
    allowed = usual_tokens(dataset)
    generator = np.random.default_rng([PROBE_ROLE, seed])
    length = min(length, len(allowed))
    once = np.stack([generator.choice(allowed, length, replace=False) for _ in range(examples)])
    return torch.from_numpy(np.tile(once, REPEATS))


def folded(model, layer: int) -> dict[str, torch.Tensor]:
    """W_Q, W_K, W_V [r, h, d, e] of a layer with the norm before them folded in, and W_O [r, h, e, d] as it is."""
    named = model.named()
    found = {key: named[f"blocks.{layer}.attn.{key}"] for key in ("W_Q", "W_K", "W_V", "W_O")}
    return found | {
        key: _after_norm(model, f"blocks.{layer}.ln1", found[key]) for key in ("W_Q", "W_K", "W_V")
    }


def _after_norm(model, norm: str, weight: torch.Tensor) -> torch.Tensor:
    """A weight [r, ..., d, n] with what the norm before it does to its rows, but for the scale, folded in."""
    w = model.named().get(f"{norm}.w")
    if w is None:
        return weight
    weight = fold_norm(weight, w.view(len(w), *[1] * (weight.ndim - 3), -1))
    return fold_centring(weight) if model.spec.norm == "layernorm" else weight


def _normed(model, norm: str, resid: torch.Tensor) -> torch.Tensor:
    """What reads a norm of resid [r, b, t, d] sees."""
    w, b = (model.named().get(f"{norm}.{part}") for part in "wb")
    if w is None:
        return resid
    if b is not None:
        resid = resid - resid.mean(-1, keepdim=True)
    scale = resid.square().mean(-1, keepdim=True).add(model.spec.norm_eps).sqrt()
    normed = resid / scale * w[:, None, None]
    return normed if b is None else normed + b[:, None, None]


def weight_scores(model, tokens: torch.Tensor, previous: np.ndarray) -> dict[str, np.ndarray]:
    """Copying, OV copying, QK trace, K-composition and smear weight of every head: [layer, replica, head] each.

    `tokens` is the copying probe; `previous` [layer, replica, head] are the heads' previous-token scores.
    """
    layers = range(model.spec.n_layers)
    weights = [folded(model, l) for l in layers]
    W_E, W_U = ends(model)
    tape = Tape(
        record=[f"blocks.{l}.{site}" for l in layers for site in ("attn.pattern", "resid_pre")], detach=True
    )
    model(tokens, tape)
    found: dict[str, list] = {
        key: [] for key in ("copying", "ov_copying", "qk_trace", "k_composition", "smear")
    }
    for l in layers:
        W_V, W_O = weights[l]["W_V"], weights[l]["W_O"]
        read = _normed(model, f"blocks.{l}.ln1", tape[f"blocks.{l}.resid_pre"])
        unfolded = model.named()[f"blocks.{l}.attn.W_V"]
        scores = copying(tape[f"blocks.{l}.attn.pattern"], read, tokens, unfolded, W_O, W_U)
        trace, composed = _earlier(weights[:l], weights[l], torch.from_numpy(previous), W_E)
        alpha = model.named().get(f"blocks.{l}.attn.alpha")
        found["copying"].append(scores.nanmean(dim=1))
        found["ov_copying"].append(ov_copying(W_E, W_V, W_O, W_U))
        found["qk_trace"].append(trace)
        found["k_composition"].append(composed)
        found["smear"].append(torch.full_like(trace, torch.nan) if alpha is None else alpha.sigmoid())
    return {key: torch.stack(values).numpy() for key, values in found.items()}


def ends(model) -> tuple[torch.Tensor, torch.Tensor]:
    """W_E [r, v, d], and W_U [r, d, v] with the final norm folded in."""
    named = model.named()
    unembed = named["embed.W_E"].transpose(-1, -2) if model.spec.tied else named["unembed.W_U"]
    return named["embed.W_E"], _after_norm(model, "ln_final", unembed)


def _earlier(
    earlier: list[dict], here: dict, previous: torch.Tensor, W_E: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """QK trace through all earlier heads, and K-composition with the best earlier previous-token head: [r, h] each."""
    if not earlier:
        nothing = torch.full(here["W_Q"].shape[:2], torch.nan)
        return nothing, nothing
    W_V, W_O = (torch.cat([weights[key] for weights in earlier], dim=1) for key in ("W_V", "W_O"))
    scores = torch.cat(list(previous[: len(earlier)]), dim=1)
    trace = qk_trace(here["W_Q"], here["W_K"], W_V, W_O, scores, W_E)
    composed = k_composition(here["W_Q"], here["W_K"], W_V, W_O)
    best = scores.argmax(dim=1)
    return trace, composed[torch.arange(len(best)), :, best]
