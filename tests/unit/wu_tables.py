"""Small tables of the shapes that the experiments of Wu & Varshney 2024 write, for the tests of its figures.

Scores are closed forms of step and layer. `main` clusters a little, `barrier` much, `aid` has conditions.
"""

from itertools import product

import numpy as np
import pandas as pd

SEEDS = (0, 1, 2)
STEPS = (0, 10, 20, 50, 100, 200, 400, 1000, 2000)
LAYERS = range(5)
POSITIONS = ("SEP", "INP", "LAST")
UNCLAMPED = "unclamped"
NETWORKS = (("main", UNCLAMPED), ("barrier", UNCLAMPED), ("aid", "none"), ("aid", "task"))
CLUSTERED = {
    ("main", UNCLAMPED): 0.55,
    ("barrier", UNCLAMPED): 0.9,
    ("aid", "none"): 0.5,
    ("aid", "task"): 0.8,
}
"""Task ARI at SEP in the best layer at the end."""
DEPTH = (0, 0.6, 1, 0.85, 0.7)
"""Of that, in every layer."""
INPUT_ONLY = {"main": 0.3, "barrier": 0.3, "aid": 0.25}
ORACLE = 0.6
N_TASKS, N_REGEXES, N_INPUTS, N_OUTPUTS = 10, 3, 5, 10
KINDS = {  # kind → switch in `main` and in `barrier` at SEP, in the best layer
    "replace": (0.06, 0.78),
    "shift": (0.05, 0.7),
    "interchange": (0.1, 0.9),
    "same_task": (0.01, 0.02),
    "agreeing": (0.97, 0.98),
    "random": (0.02, 0.03),
    "partition": (0.03, 0.2),
    "orthogonal": (0.04, 0.3),
    "erase": (0.08, 0.15),
    "erase_random": (0.02, 0.03),
}


def risen(step, middle):
    """From 0 to 1, half at `middle`."""
    return step / (step + middle)


def slower(seed):
    return 1 + 0.3 * (seed - 1)


def replicas(networks=NETWORKS, steps=STEPS):
    """One a replica and snapshot: its first columns, and the agreement it ends with."""
    for (run, condition), seed, step in product(networks, SEEDS, steps):
        yield {"run": run, "condition": condition, "seed": seed, "step": step}, CLUSTERED[run, condition]


def clusters():
    rows = []
    for about, end in replicas():
        grown = risen(about["step"], 150 * slower(about["seed"])) * (1 - 0.05 * about["seed"])
        for split, position, layer in product(("train", "val"), POSITIONS, LAYERS):
            at_sep = position == "SEP"
            depth = DEPTH[layer] if at_sep else 0.8 * layer / 4
            task = 0.1 + (end - 0.1) * grown * depth if layer or not at_sep else 0.0
            task -= 0.02 * (split == "val")
            rows.append(
                about
                | {
                    "split": split,
                    "position": position,
                    "layer": layer,
                    "task_ari": task,
                    "regex_ari": 0.5 + 0.2 * grown if layer else 0.0,
                    "output_ari": 0.05 if at_sep else 0.1 + 0.8 * grown * layer / 4,
                    "given_input_ari": np.nan if at_sep else task,
                    "null_99": 0.25 + 0.05 * grown,
                    "oracle_ari": 0.16,
                    "oracle_given_input": np.nan if at_sep else ORACLE,
                }
            )
    return pd.DataFrame(rows)


def accuracy():
    rows = []
    for about, end in replicas():
        known = INPUT_ONLY[about["run"]]
        for split, last, middle in (("train", 1, 60), ("val", 0.98, 80), ("held_out", 0.3 + 0.6 * end, 200)):
            grown = risen(about["step"], middle * slower(about["seed"]))
            right = 0.1 + (last - 0.1) * grown
            scores = {"loss": 2.3 * (1 - grown), "accuracy": right, "uniform": 0.1, "input_only": known}
            rows.append(about | {"split": split} | scores)
    return pd.DataFrame(rows)


def across():
    rows = []
    for about, end in replicas():
        grown = risen(about["step"], 150 * slower(about["seed"])) * (1 - 0.05 * about["seed"])
        rows.append(
            about
            | {
                "sep_ari": 0.08 + (end - 0.1) * grown,
                "last_given_input": 0.1 + (end - 0.1) * grown,
                "val_accuracy": 0.1 + 0.88 * grown,
                "held_out_accuracy": 0.1 + (0.2 + 0.6 * end) * grown,
                "input_only": INPUT_ONLY[about["run"]],
                "switch": max(0, 2 * end - 1.05) * grown,
            }
        )
    return pd.DataFrame(rows)


def structure():
    rows = []
    for about, end in replicas(steps=(0, 2000)):
        for split, position, layer in product(("train", "val"), ("SEP", "INP", "LAST"), LAYERS):
            found = {"split": split, "position": position, "layer": layer}
            rows.append(about | found | {"k_found": 14, "ari_k_found": 0.8 * end * DEPTH[layer]})
    return pd.DataFrame(rows)


def steering():
    rows = []
    for about, _ in replicas(NETWORKS[:2], steps=(0, 2000)):
        for kind, layer, positions in product(KINDS, LAYERS, (*POSITIONS, "all")):
            share = KINDS[kind][about["run"] == "barrier"] * (about["step"] > 0)
            # layer 3 is the best below the top one, which writes the answer
            share *= (0, 0.3, 0.6, 1, 1.1)[layer] * (1 if positions == "SEP" else 0.9)
            switch = min(1, share * slower(about["seed"]) ** 0.1)
            other = 0.1 * (1 - switch)
            outcome = {"switch": switch, "stay": 1 - switch - other, "other": other, "changed": 1 - switch}
            rows.append(about | {"layer": layer, "kind": kind, "positions": positions} | outcome)
    return pd.DataFrame(rows)


def interpolation():
    rows = []
    for about, _ in replicas(NETWORKS[:2], steps=(0, 2000)):
        end = KINDS["replace"][about["run"] == "barrier"]
        for layer, alpha in product(LAYERS, np.linspace(0, 1, 11)):
            flipped = 1 / (1 + np.exp(-15 * (alpha - 0.5 - 0.03 * about["seed"])))
            switch = end * flipped * (0, 0.3, 1, 0.8, 1.2)[layer]
            other = 0.1 * flipped * (1 - flipped)
            outcome = {"switch": switch, "stay": 1 - switch - other, "other": other}
            rows.append(about | {"layer": layer, "alpha": alpha} | outcome)
    return pd.DataFrame(rows)


def margins():
    rows = []
    for about, end in replicas(steps=(0, 2000)):
        for split, layer, labels in product(("val", "held_out"), LAYERS, ("task", "permuted")):
            right, wrong = (0.98, 0.9 - 0.4 * end) if split == "val" else (0.4 + 0.5 * end, 0.2)
            told = 0.5 + (0.3 * end + 0.01 * about["seed"]) * (labels == "task")
            scores = {"auc": told, "right_accuracy": right, "wrong_accuracy": wrong, "gap": right - wrong}
            where = {"split": split, "layer": layer, "labels": labels, "position": "SEP"}
            rows.append(
                about | where | scores | {"coefficient": 0.4, "wrong": 40 + 10 * about["seed"] - 4 * layer}
            )
    return pd.DataFrame(rows)


def projection():
    """States around a centre a task, spread by expression and, where the input is known, by output."""
    random = np.random.default_rng(5)
    frames = []
    for (run, condition), position, layer in product(NETWORKS[:2], POSITIONS, LAYERS):
        task, regex, x = (
            found.ravel() for found in np.meshgrid(range(N_TASKS), range(N_REGEXES), range(10), indexing="ij")
        )
        input_ = x % N_INPUTS
        output = (3 * task + input_) % N_OUTPUTS
        known = 0.0 if position == "SEP" else 1.5 * layer / 4
        angle, turn = 2 * np.pi * task / N_TASKS, 2 * np.pi * output / N_OUTPUTS
        centre = CLUSTERED[run, condition] * layer
        points = {
            "x": centre * np.cos(angle) + known * np.cos(turn) + random.normal(0, 0.2, len(task)),
            "y": centre * np.sin(angle)
            + known * np.sin(turn)
            + random.normal(0, 0.2, len(task))
            + 0.3 * regex,
        }
        labels = {"task": task, "regex": task * N_REGEXES + regex, "input": input_}
        labels["output"] = output
        about = {"run": run, "condition": condition, "seed": 0, "step": 2000, "position": position}
        for split in ("train", "val"):
            frames.append(pd.DataFrame(about | {"layer": layer, "split": split} | points | labels))
    return pd.concat(frames, ignore_index=True)


BUILDERS = (clusters, accuracy, across, structure, steering, interpolation, margins, projection)
