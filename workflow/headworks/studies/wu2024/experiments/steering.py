"""Interventions on states of the residual stream: does the answer follow the task that is written?"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.studies.wu2024 import steering
from headworks.studies.wu2024.states import chosen
from headworks.studies.wu2024.steering import OUTCOMES, STEERED, Edit, Known, Prompts, outcomes

PROMPT_ROLE = 31
ALL = "all"
EDITS: Mapping[str, Edit] = {
    "replace": steering.replace,
    "shift": steering.shift,
    "interchange": steering.interchange,
    "same_task": steering.same_task,
    "agreeing": steering.replace,
    "random": steering.random,
    "partition": steering.partition,
    "orthogonal": steering.orthogonal,
    "erase": steering.erase,
    "erase_random": steering.erase_random,
}


def table(options, inputs) -> pd.DataFrame:
    """One row per replica, snapshot, layer, kind and positions, over unseen instructions.

    Columns: run, condition, seed, step, layer (0 the embedding, l the stream after block l), kind, positions
    (one of the dataset's last three by name, or all: the three together, each with states of its own); shares of prompts
    switch (the most likely token is the target task's answer), stay (the own task's), other (neither) and
    changed (not what the intact network answers). A prompt of task s has a target task q that answers its input
    otherwise; mu are means over trained instructions, and over all their inputs.

    kind: replace (mu_q), shift (by mu_q - mu_s), interchange (the state of a sequence of task q with the same
    input), same_task (the mean of another regular expression of task s), agreeing (replace, on prompts where q
    answers as s does, so that switch and stay are one), random (a shift of that length in a random direction),
    partition (a shift between means of sets of regular expressions drawn without regard to tasks), orthogonal
    (a shift without what a linear probe for the task reads), erase (the part that lies in the span of the
    differences of mu becomes that of their mean), erase_random (the same of as many random directions).

    At the top layer the last position's state is the answer: what is written there is read out, and proves
    nothing. NaN: a diverged replica; same_task of tasks with one regular expression; agreeing where no tasks
    agree.
    """
    return pd.concat([of_run(run, options) for run in inputs.runs.values()], ignore_index=True)


def of_run(run, options) -> pd.DataFrame:
    """The rows of one run."""
    dataset, layers = run.dataset, chosen_layers(run, options.layers)
    names, masks = positions(dataset)
    same, trained = same_answers(dataset), known(dataset)
    disagreeing = draw_prompts(dataset, ~same, options.prompts, options.seed)
    require_prompts(run, disagreeing)
    used = dict.fromkeys(options.kinds, disagreeing)
    if "agreeing" in used:
        used["agreeing"] = draw_prompts(dataset, same, options.prompts, options.seed)
    if "same_task" in used:
        used["same_task"] = disagreeing.where(disagreeing.other_regex >= 0)
    frames = []
    for snapshot in chosen(len(run), options.snapshots):
        model, found = run.model(snapshot), {}
        for prompts, kinds in _together(used):
            edits = {kind: EDITS[kind] for kind in kinds}
            found |= outcomes(model, prompts, trained, edits, layers, masks, options.seed)
        about = {"run": run.name, "condition": run.conditions, "seed": run.seeds, "step": run.steps[snapshot]}
        for layer in layers:
            for kind in used:
                for i, name in enumerate(names):
                    shares = {outcome: found[layer, kind][outcome][:, i] for outcome in OUTCOMES}
                    frames.append(
                        pd.DataFrame(about | {"layer": layer, "kind": kind, "positions": name} | shares)
                    )
    return pd.concat(frames, ignore_index=True)


def positions(dataset) -> tuple[list[str], Tensor]:
    """Names of what is written to, and masks bool [n, p] of it: each of the last three positions, and all."""
    one = torch.eye(STEERED, dtype=torch.bool)
    return [*dataset.facts["positions"], ALL], torch.cat([one, torch.ones(1, STEERED, dtype=torch.bool)])


def _together(used: Mapping[str, Prompts]) -> list[tuple[Prompts, list[str]]]:
    """The kinds by the prompts that they share, so that these go through the intact pass once."""
    groups: list[tuple[Prompts, list[str]]] = []
    for kind, prompts in used.items():
        for shared, kinds in groups:
            if shared is prompts:
                kinds.append(kind)
                break
        else:
            groups.append((prompts, [kind]))
    return groups


def require_prompts(run, prompts: Prompts) -> None:
    """Raises HeadworksError if there is nothing to steer."""
    if not len(prompts):
        raise HeadworksError(
            f"run {run.name}: no unseen instruction of its dataset has an input that another task answers "
            "otherwise; steering needs tasks that differ on shared inputs"
        )


# Prompts


def same_answers(dataset) -> np.ndarray:
    """bool [sequence, task]: the task answers the sequence's input as the sequence is answered."""
    by_sequence = dataset["functions"][:, dataset["input"]].T
    return by_sequence == dataset["output"][:, None]


def draw_prompts(dataset, eligible: np.ndarray, number: int, seed: int) -> Prompts:
    """Up to `number` unseen sequences, each with a target task drawn from those `eligible` [sequence, task].

    Left out are a sequence's own task, and tasks of which no sequence shows the same input; sequences that
    have no target task left are passed over.
    """
    generator = np.random.default_rng([PROMPT_ROLE, seed])
    task, given = dataset["task"].astype(int), dataset["input"].astype(int)
    n_tasks, functions = int(dataset.facts["n_tasks"]), dataset["functions"].astype(int)
    donors = _donors(dataset)
    shown = np.zeros(functions.shape, bool)
    for q, x in donors:
        shown[q, x] = True
    possible = eligible & (np.arange(n_tasks) != task[:, None]) & shown[:, given].T
    unseen = np.flatnonzero((dataset["split"] == _split(dataset, "val")) & possible.any(1))
    chosen = np.sort(generator.permutation(unseen)[:number])
    target = np.where(possible[chosen], generator.random((len(chosen), n_tasks)), -1).argmax(1)
    donor = [generator.choice(donors[q, x]) for q, x in zip(target, given[chosen], strict=True)]
    siblings = _siblings(dataset)
    other = [generator.choice(siblings[regex] or [-1]) for regex in dataset["regex"][chosen].astype(int)]
    permuted = dataset["permuted_task"][chosen].astype(int)
    rows = dataset.evaluation
    first = int(dataset.facts["first_output"])
    parts = {
        "contexts": rows[chosen, :-1],
        "donors": rows[np.array(donor, int), :-1],
        "task": task[chosen],
        "target": target,
        "stay": rows[chosen, -1],
        "switch": first + functions[target, given[chosen]],
        "other_regex": other,
        "permuted": permuted,
        "other_permuted": (permuted + generator.integers(1, n_tasks, len(chosen))) % n_tasks,
    }
    return Prompts(**{name: torch.from_numpy(np.array(part, np.int64)) for name, part in parts.items()})


def known(dataset) -> Known:
    """The trained sequences of the evaluation."""
    chosen = dataset["split"] == _split(dataset, "train")
    labels = {"task": "task", "regex": "regex", "permuted": "permuted_task"}
    parts = {name: dataset[array][chosen] for name, array in labels.items()}
    parts["contexts"] = dataset.evaluation[chosen, :-1]
    made = {name: torch.from_numpy(part.astype(np.int64)) for name, part in parts.items()}
    return Known(
        **made, n_tasks=int(dataset.facts["n_tasks"]), n_regexes=int(dataset["permuted_tasks"].shape[0])
    )


def _split(dataset, name: str) -> int:
    return dataset.facts["splits"].index(name)


def _donors(dataset) -> dict[tuple[int, int], list[int]]:
    """(task, input) to the sequences, trained or unseen, but for held-out combinations."""
    found: dict[tuple[int, int], list[int]] = {}
    allowed = [_split(dataset, "train"), _split(dataset, "val")]
    for row in np.flatnonzero(np.isin(dataset["split"], allowed)):
        found.setdefault((int(dataset["task"][row]), int(dataset["input"][row])), []).append(int(row))
    return found


def _siblings(dataset) -> dict[int, list[int]]:
    """Each regular expression to the others of its task."""
    pairs = np.unique(np.stack([dataset["task"], dataset["regex"]]).astype(int), axis=1).T.tolist()
    return {regex: [other for t, other in pairs if t == task and other != regex] for task, regex in pairs}


# Options


def chosen_layers(run, asked: Sequence[int]) -> list[int]:
    """All layers of a run, or those asked for. Raises HeadworksError for one that it lacks."""
    top = run.model_spec.n_layers
    wrong = [layer for layer in asked if layer > top]
    if wrong:
        raise HeadworksError(
            f"options.layers: {wrong[0]} is not a layer of run {run.name}; allowed: 0 (the embedding) to {top}"
        )
    return list(asked) or list(range(top + 1))
