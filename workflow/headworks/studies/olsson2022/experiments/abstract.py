"""Where each head looks from the colon of a line: at earlier lines of the same category? (Olsson 2022, Argument 4)."""

import numpy as np
import pandas as pd
import torch

from headworks.measures.attention import prefix_matching_chance
from headworks.model import cross_entropy
from headworks.studies.olsson2022.experiments.curves import head_scores
from headworks.studies.olsson2022.experiments.heads import copying_probe, tidy, weight_scores
from headworks.tape import Tape

SHUFFLE_ROLE = 6
BATCH = 64


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, snapshot (first or last), layer, head, prefix, prefix_over_chance, copying,
    same_category, shuffled, chance, label_loss.

    same_category: of a colon's attention to earlier lines, the share on lines of the category the model has to
    predict, averaged over colons whose category an earlier line shows; on word pairs never seen in training.
    shuffled: the same with the categories of earlier lines permuted. chance: the share of lines of that category.
    label_loss: mean loss in nats of those colons' labels, the same for all heads of a replica.
    """
    frames = []
    for name, run in inputs.runs.items():
        cached, dataset = inputs.activations[options.activations][name], inputs.run_datasets[name]
        probe = cached.probe("repeated")
        chance = prefix_matching_chance(probe["period"], probe["repeats"], 1)
        for snapshot, row in (("first", 0), ("last", len(cached.snapshots) - 1)):
            model = run.model(cached.snapshots[row])
            previous = head_scores(cached, row, "previous")
            scores = category_attention(model, dataset, options)
            scores["prefix"] = head_scores(cached, row, "prefix")
            scores["prefix_over_chance"] = scores["prefix"] / chance
            scores["copying"] = weight_scores(model, copying_probe(dataset, 10, 25, options.seed), previous)[
                "copying"
            ]
            frames.append(tidy(scores, run.seeds).assign(run=name, snapshot=snapshot))
    return pd.concat(frames, ignore_index=True)


def category_attention(model, dataset, options) -> dict[str, np.ndarray]:
    """same_category, shuffled, chance and label_loss as in `table`, each [layer, replica, head]."""
    tokens = torch.from_numpy(dataset.evaluation[: options.examples])
    colons = torch.from_numpy(dataset["colon_positions"][: options.examples].astype(np.int64))
    category = torch.from_numpy(dataset["category"][: options.examples].astype(np.int64))
    order = np.random.default_rng([SHUFFLE_ROLE, options.seed]).permuted(category.numpy(), axis=1)
    spec, sums, counts = model.spec, {}, 0
    for start in range(0, len(tokens), BATCH):
        part = slice(start, start + BATCH)
        tape = Tape(record=[f"blocks.{l}.attn.pattern" for l in range(spec.n_layers)], detach=True)
        logits = model(tokens[part, :-1], tape)
        loss = cross_entropy(logits, tokens[part, 1:])
        earlier = torch.ones(colons.shape[1], colons.shape[1], dtype=torch.bool).tril(-1)
        same = (category[part, :, None] == category[part, None, :]) & earlier
        shuffled = (category[part, :, None] == torch.from_numpy(order)[part, None, :]) & earlier
        counted = same.any(-1)
        counts += int(counted.sum())
        found = {
            "label_loss": (loss.gather(2, colons[part].expand(len(loss), -1, -1)) * counted)
            .sum((1, 2))[None, :, None]
            .expand(spec.n_layers, -1, spec.n_heads),
            "chance": (_share(earlier.float().expand_as(same), same) * counted)
            .sum()
            .expand(spec.n_layers, model.n_replicas, spec.n_heads),
        }
        attention = torch.stack(
            [_by_line(tape[f"blocks.{l}.attn.pattern"], colons[part]) for l in range(spec.n_layers)]
        )
        found["same_category"] = (_share(attention, same) * counted).sum((-2, -1))
        found["shuffled"] = (_share(attention, shuffled) * counted).sum((-2, -1))
        for key, value in found.items():
            sums[key] = sums.get(key, 0) + value.numpy()
    return {key: value / counts for key, value in sums.items()}


def _by_line(pattern: torch.Tensor, colons: torch.Tensor) -> torch.Tensor:
    """Attention of each colon to each line: [r, b, h, q, k] and colons [b, n] to [r, h, b, n, n].

    A line runs from its first word to its line break; the start token belongs to none.
    """
    lines, length = colons.shape[1], (colons[0, 1] - colons[0, 0]).item()
    first = colons[0, 0].item() - 2
    queries = pattern.index_select(3, colons[0])
    keys = torch.nn.functional.pad(queries[..., first:], (0, lines * length - (queries.shape[-1] - first)))
    return keys.unflatten(-1, (lines, length)).sum(-1).permute(0, 2, 1, 3, 4)


def _share(attention: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Attention on the lines of `mask` over that on all earlier lines: [..., b, n, n] to [..., b, n]."""
    earlier = torch.ones(attention.shape[-2:], dtype=torch.bool).tril(-1)
    return (attention * mask).sum(-1) / (attention * earlier).sum(-1).clamp_min(1e-9)
