"""One row a network and step: how clustered, how steerable, how well it combines."""

import pandas as pd

from headworks.studies.wu2024.states import FIRST, LAST, SEP, role

COLUMNS = [
    "sep_ari",
    "other_sep_ari",
    "last_given_input",
    "val_accuracy",
    "held_out_accuracy",
    "input_only",
    "switch",
]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, sep_ari, other_sep_ari, last_given_input, val_accuracy, held_out_accuracy,
    input_only, switch; one row a replica and step of the table of clusters.

    sep_ari, last_given_input: the adjusted Rand index with tasks at SEP, and given the input at LAST, on split
    val, in the layer that is best on split train at that step. other_sep_ari, a control: that of the next run, the
    first's of the last, same condition, seed and step. input_only: the held-out accuracy of the best
    answer that knows the input alone. switch: of replacements at SEP in the best layer below the top one. NaN
    where a table lacks the step or a replica diverged.
    """
    clusters, accuracy, steering = (role(inputs, options, x) for x in ("clusters", "accuracy", "steering"))
    found = clusters[FIRST].drop_duplicates().set_index(FIRST)
    held_out = accuracy[accuracy["split"] == "held_out"].set_index(FIRST)
    columns = {
        "sep_ari": best_on_train(clusters, SEP, "task_ari"),
        "last_given_input": best_on_train(clusters, LAST, "given_input_ari"),
        "val_accuracy": accuracy[accuracy["split"] == "val"].set_index(FIRST)["accuracy"],
        "held_out_accuracy": held_out["accuracy"],
        "input_only": held_out["input_only"],
        "switch": switched(steering, clusters.groupby("run")["layer"].max()),
    }
    for name, values in columns.items():
        found[name] = values.reindex(found.index)
    found = found.reset_index()
    found["other_sep_ari"] = of_next_run(found)
    return found[FIRST + COLUMNS]


def of_next_run(found: pd.DataFrame) -> pd.Series:
    """sep_ari of the next run in the order of the table, at the same condition, seed and step; NaN without it."""
    runs = list(dict.fromkeys(found["run"]))
    after = dict(zip(runs, runs[1:] + runs[:1], strict=True))
    by_key = found.set_index(FIRST)["sep_ari"]
    keys = pd.MultiIndex.from_frame(found[FIRST].assign(run=found["run"].map(after)))
    return pd.Series(by_key.reindex(keys).to_numpy(), index=found.index)


def best_on_train(clusters: pd.DataFrame, position: str, score: str) -> pd.Series:
    """The score on split val in the layer that is best on split train, by replica and step."""
    here = clusters[clusters["position"] == position]
    train = here[here["split"] == "train"].dropna(subset=[score])
    best = train.loc[train.groupby(FIRST)[score].idxmax(), [*FIRST, "layer"]]
    return here[here["split"] == "val"].merge(best, on=[*FIRST, "layer"]).set_index(FIRST)[score]


def switched(steering: pd.DataFrame, top: pd.Series) -> pd.Series:
    """The highest switch of replacements at SEP in layers below a run's top one, by replica and step."""
    chosen = (steering["kind"] == "replace") & (steering["positions"] == SEP)
    below = steering["layer"] < steering["run"].map(top)
    return steering[chosen & below].groupby(FIRST)["switch"].max()
