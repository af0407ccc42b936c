"""Where each head looks from the colon of a line: at earlier lines of the same category? (Olsson 2022, Argument 4)."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from headworks.measures.attention import attention_to, uniform_pattern
from headworks.model import cross_entropy
from headworks.studies.olsson2022.experiments.heads import ends, folded, tidy
from headworks.studies.olsson2022.experiments.roles import BATCH, scores
from headworks.tape import Tape

SHUFFLE_ROLE, COPY_ROLE = 6, 8


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, snapshot (first or last), layer, head, same_category, shuffled, chance, label_loss,
    literal, literal_chance, literal_over_chance, literal_over_category, label_copying, prefix, prefix_over_chance, previous.

    same_category: of a colon's attention to earlier lines, the share on lines of the category the model has to
    predict, averaged over colons whose category an earlier line shows; on word pairs never seen in training.
    shuffled: the same with the categories of earlier lines permuted. chance: the share of lines of that category.
    label_loss: mean loss in nats of those colons' labels, the same for all heads of a replica.
    literal, literal_chance and label_copying: see the functions below. prefix: on random tokens, no lines of this corpus.
    """
    frames = []
    for name, run in inputs.runs.items():
        cached, dataset = inputs.activations[options.activations][name], run.dataset
        for snapshot, row in (("first", 0), ("last", len(cached.snapshots) - 1)):
            model = run.model(cached.snapshots[row])
            found = category_attention(model, dataset, options) | literal_attention(model, dataset, options)
            found["label_copying"] = label_copying(model, dataset)
            found |= scores(cached, row)
            frames.append(tidy(found, run.seeds).assign(run=name, snapshot=snapshot))
    return pd.concat(frames, ignore_index=True)


def literal_attention(model, dataset, options) -> dict[str, np.ndarray]:
    """literal, literal_chance, literal_over_chance and literal_over_category, each [layer, replica, head].

    literal: attention from the colon of a line that repeats an earlier one to the label of that one, the mean over
    all lines of `repeated_lines`. literal_chance: that of a head that attends evenly to all positions up to its own.
    literal_over_category: the same over the mean attention to another earlier label of the same category, where there
    is one: 1 for a head that sees categories alone.
    """
    tokens, targets = repeated_lines(dataset, options)
    rivals = _same_label_elsewhere(tokens, targets)
    contested = rivals.any(-1, keepdim=True)
    weights = {
        "literal": _each_query_alike(targets),
        "contested": _each_query_alike(targets & contested),
        "rival": _each_query_alike(rivals),
    }
    sums: dict[str, torch.Tensor] = {}
    for part, _, patterns in _passes(model, tokens):
        for name, weight in weights.items():
            found = torch.stack([torch.einsum("rbhqk,bqk->rh", x, weight[part]) for x in patterns])
            sums[name] = sums.get(name, 0) + found
    literal = sums["literal"].numpy()
    chance = attention_to(uniform_pattern(targets.shape[-1])[None], targets).mean().item()
    return {
        "literal": literal,
        "literal_chance": np.full_like(literal, chance),
        "literal_over_chance": literal / chance,
        "literal_over_category": (sums["contested"] / sums["rival"].clamp_min(1e-9)).numpy(),
    }


def _each_query_alike(mask: torch.Tensor) -> torch.Tensor:
    """Weights [b, q, k] of a mean over a query's chosen keys, then over the queries that have any."""
    weights = mask / mask.sum(-1, keepdim=True).clamp_min(1)
    return weights / mask.any(-1).sum()


def _same_label_elsewhere(tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """bool [b, q, k]: for each query with a target, earlier tokens equal to it that are not it, labels all."""
    read = tokens[:, :-1]
    label = (targets * read[:, None, :]).sum(-1, keepdim=True)
    earlier = torch.ones(targets.shape[-2:], dtype=torch.bool).tril(-1)
    return (read[:, None, :] == label) & targets.any(-1, keepdim=True) & earlier & ~targets


def repeated_lines(dataset, options) -> tuple[torch.Tensor, torch.Tensor]:
    """Evaluation rows whose second half copies lines of the first, and where literal induction looks in them.

    Tokens [b, t + 1], and bool [b, q, k] of t positions: from a copy's colon to the label of the line copied. No
    line is copied twice, since a second copy would split the attention of a perfect head.
    """
    tokens, colons = _evaluation(dataset, options)
    rows, n = torch.arange(len(tokens))[:, None], colons.shape[1]
    kept = n - n // 2
    drawn = np.random.default_rng([COPY_ROLE, options.seed]).random((len(tokens), kept))
    source = torch.from_numpy(drawn.argsort(axis=1)[:, : n - kept])
    lines = tokens[:, 1:].unflatten(1, (n, -1))
    lines[:, kept:] = lines[rows, source]
    targets = torch.zeros(len(tokens), tokens.shape[1] - 1, tokens.shape[1] - 1, dtype=torch.bool)
    targets[rows, colons[:, kept:], colons[rows, source] + 1] = True
    return tokens, targets


def label_copying(model, dataset) -> np.ndarray:
    """How much more a head's direct path raises the logit of the label it attends to than others: [layer, replica, head].

    Of W_E W_V W_O W_U, norms but for their scale folded in (Olsson 2022, Argument 5), labels against labels: mean of
    the diagonal less mean of the other entries, in standard deviations of those. NaN for a head without output.
    """
    labels = np.unique(np.take_along_axis(dataset.evaluation, dataset["label_positions"], axis=1)).tolist()
    W_E, W_U = ends(model)
    read, written = W_E[:, None, labels], W_U[:, None, :, labels]
    weights = [folded(model, l) for l in range(model.spec.n_layers)]
    return diagonal_excess(torch.stack([read @ w["W_V"] @ w["W_O"] @ written for w in weights])).numpy()


def diagonal_excess(square: torch.Tensor) -> torch.Tensor:
    """Mean diagonal entry less the mean other one, in standard deviations of the others: [..., n, n] to [...]."""
    others = square[..., ~torch.eye(square.shape[-1], dtype=torch.bool)]
    return (square.diagonal(dim1=-2, dim2=-1).mean(-1) - others.mean(-1)) / others.std(-1)


def _evaluation(dataset, options) -> tuple[torch.Tensor, torch.Tensor]:
    """Evaluation tokens [b, t + 1] and the positions of their colons [b, n]."""
    arrays = (dataset.evaluation, dataset["colon_positions"])
    return tuple(torch.from_numpy(array[: options.examples].astype(np.int64)) for array in arrays)


def _passes(model, tokens: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor, list[torch.Tensor]]]:
    """Stretches of tokens [b, t + 1] with their logits and each layer's pattern [r, b, h, q, k]."""
    sites = [f"blocks.{l}.attn.pattern" for l in range(model.spec.n_layers)]
    for start in range(0, len(tokens), BATCH):
        part = slice(start, start + BATCH)
        tape = Tape(record=sites, detach=True)
        logits = model(tokens[part, :-1], tape)
        yield part, logits, [tape[site] for site in sites]


def category_attention(model, dataset, options) -> dict[str, np.ndarray]:
    """same_category, shuffled, chance and label_loss as in `table`, each [layer, replica, head]."""
    tokens, colons = _evaluation(dataset, options)
    category = dataset["category"][: options.examples]
    order = np.random.default_rng([SHUFFLE_ROLE, options.seed]).permuted(category, axis=1)
    category, order = torch.from_numpy(category), torch.from_numpy(order)
    earlier = torch.ones(colons.shape[1], colons.shape[1], dtype=torch.bool).tril(-1)
    shape = (model.spec.n_layers, model.n_replicas, model.spec.n_heads)
    sums, counts = {}, 0
    for part, logits, patterns in _passes(model, tokens):
        loss = cross_entropy(logits, tokens[part, 1:]).gather(2, colons[part].expand(len(logits), -1, -1))
        same = (category[part, :, None] == category[part, None, :]) & earlier
        shuffled = (category[part, :, None] == order[part, None, :]) & earlier
        counted = same.any(-1)
        counts += int(counted.sum())
        attention = torch.stack([_by_line(pattern, colons[part]) for pattern in patterns])
        found = {
            "label_loss": (loss * counted).sum((1, 2))[:, None].expand(shape),
            "chance": (_share(earlier.float().expand_as(same), same) * counted).sum().expand(shape),
            "same_category": (_share(attention, same) * counted).sum((-2, -1)),
            "shuffled": (_share(attention, shuffled) * counted).sum((-2, -1)),
        }
        for key, value in found.items():
            sums[key] = sums.get(key, 0) + value.numpy()
    return {key: value / counts for key, value in sums.items()}


def _by_line(pattern: torch.Tensor, colons: torch.Tensor) -> torch.Tensor:
    """Attention of each colon to each line: [r, b, h, q, k] and colons [b, n] to [r, h, b, n, n].

    A line runs from its first word to its line break, which in the last one is not read; the start is in none.
    """
    whole = torch.nn.functional.pad(pattern.index_select(3, colons[0])[..., 1:], (0, 1))
    return whole.unflatten(-1, (colons.shape[1], -1)).sum(-1).permute(0, 2, 1, 3, 4)


def _share(attention: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Attention on the lines of `mask` over that on all earlier lines: [..., b, n, n] to [..., b, n]."""
    earlier = torch.ones(attention.shape[-2:], dtype=torch.bool).tril(-1)
    return (attention * mask).sum(-1) / (attention * earlier).sum(-1).clamp_min(1e-9)
