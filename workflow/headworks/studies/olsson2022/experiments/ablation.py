"""Zero-ablation of every head, one at a time: its share in in-context learning and in the phase change (Olsson
2022, Argument 3; rows 8 and 9 of the model analysis table).

Both kinds are made. The paper published the pattern-preserving one, which cannot see a head that acts through later
attention patterns, such as a previous-token head; full ablation can.
"""

import math

import numpy as np
import pandas as pd
import torch

from headworks.errors import HeadworksError
from headworks.interventions import ablation_sweep
from headworks.measures.geometry import direction, projection
from headworks.measures.losses import in_context_score
from headworks.model import cross_entropy
from headworks.studies.olsson2022.experiments.roles import BATCH, all_cached, evaluation, losses, scores
from headworks.studies.olsson2022.experiments.windows import bounds

LOTTERY_ROLE = 9
KINDS = {"full": "full", "pattern-preserving": "pattern_preserving"}


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, step, tokens, layer, head, kind; icl_change (nats; positive: the head serves in-context
    learning), icl_share (of the intact score), early_loss_change (nats, at the early index), projection (nats along
    the phase change, negative: the ablation undoes it), prefix, prefix_over_chance, previous, induction and
    previous_head (true or false), random_head (as many as induction heads, drawn from all heads of the replica: a control)."""
    frames = []
    for name, run in inputs.runs.items():
        cached, tokens = (
            inputs.activations[options.activations][name],
            evaluation(run.dataset, options.examples),
        )
        phases = inputs.tables[options.phases]
        changes = phase_directions(run, cached, phases, options)
        for snapshot in np.unique(np.linspace(len(run) - 1, 0, options.snapshots).round().astype(int)):
            about = scores(cached, int(snapshot))
            for kind, method in KINDS.items():
                frame = sweep(run.model(int(snapshot)), tokens, method, changes, run.seeds, options)
                for key, value in about.items():
                    frame[key] = value[frame["layer"], frame["replica"], frame["head"]]
                frames.append(
                    frame.assign(run=name, step=run.steps[snapshot], tokens=run.tokens[snapshot], kind=kind)
                )
    frame = pd.concat(frames, ignore_index=True).drop(columns="replica")
    frame["induction"] = frame["prefix_over_chance"] >= options.induction
    frame["previous_head"] = frame["previous"] >= options.previous
    first = ["run", "seed", "step", "tokens", "kind", "layer", "head"]
    generator = np.random.default_rng(LOTTERY_ROLE)
    lottery = frame.sort_values(first, kind="stable").groupby(["run", "seed", "step", "kind"])["induction"]
    frame["random_head"] = lottery.transform(lambda flags: generator.permutation(flags.to_numpy()))
    return frame[first + [column for column in frame if column not in first]].sort_values(
        first, kind="stable"
    )


def phase_directions(run, cached, phases: pd.DataFrame, options) -> list[np.ndarray | None]:
    """For each replica the unit vector of its phase change in per-token losses, on the sweep's sequences."""
    all_cached(cached, run)
    kept = cached.probe("corpus")["examples"]
    if kept < options.examples:
        raise HeadworksError(
            f"experiment ablation: options.examples: {options.examples} sequences, but the probe 'corpus' of run "
            f"{run.name} keeps {kept}; allowed: at most that"
        )
    found = []
    for replica, seed in enumerate(run.seeds):
        window = bounds(phases, run.name, seed, run.name, run.tokens)
        if window is None:
            found.append(None)
            continue
        before, after = (cached.get("corpus", "loss", i)[replica, : options.examples].ravel() for i in window)
        found.append(direction(before, after))
    return found


def sweep(model, tokens: torch.Tensor, method: str, changes: list, seeds: list[int], options) -> pd.DataFrame:
    """One row per replica, layer and head."""
    intact = losses(tokens, model)
    parts: dict[tuple[int, int], list] = {}
    for part in tokens.split(BATCH):
        reduced = ablation_sweep(
            model, part[:, :-1], lambda logits, part=part: cross_entropy(logits, part[:, 1:]), method
        )
        for head, loss in reduced.items():
            parts.setdefault(head, []).append(loss)
    rows = []
    score = in_context_score(intact.mean(1), width=options.width)
    for (layer, head), found in parts.items():
        ablated = torch.cat(found, dim=1)
        moved = in_context_score(ablated.mean(1), width=options.width) - score
        shares = moved / -score
        early = early_loss(ablated, options.width) - early_loss(intact, options.width)
        for replica, seed in enumerate(seeds):
            r = (ablated - intact)[replica].numpy().ravel()
            along = math.nan if changes[replica] is None else float(projection(r, changes[replica]))
            rows.append(
                (
                    replica,
                    seed,
                    layer,
                    head,
                    moved[replica].item(),
                    shares[replica].item(),
                    early[replica].item(),
                    along,
                )
            )
    return pd.DataFrame(
        rows,
        columns=[
            "replica",
            "seed",
            "layer",
            "head",
            "icl_change",
            "icl_share",
            "early_loss_change",
            "projection",
        ],
    )


def early_loss(loss: torch.Tensor, width: int) -> torch.Tensor:
    """Loss around the early index of the in-context-learning score: [replica, b, t] to [replica]."""
    centre = round(loss.shape[-1] * 50 / 512) - 1
    return loss[..., max(centre - width, 0) : centre + width + 1].mean((1, 2))
