"""Loss and accuracy by kind of instruction, beside what chance and the input alone give (spec of the datasets)."""

import math

import numpy as np
import pandas as pd

from headworks.studies.wu2024.states import Moment, frame, moments

COLUMNS = ["split", "loss", "accuracy", "uniform", "input_only", "above_input"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, split, loss (nats, of the output), accuracy (the output is the
    likeliest of all tokens), uniform and input_only (accuracy of any output, and of the best answer that knows
    the input alone), above_input (accuracy less input_only).

    split: train, val (strings not trained on) or held_out (strings not trained on, with the input that their
    regular expression was never shown with). NaN for a split without sequences or a replica that diverged.
    """
    return frame([row for moment in moments(options, inputs) for row in of_moment(moment)], COLUMNS)


def of_moment(moment: Moment) -> list[dict]:
    """One row a replica and split."""
    dataset = moment.run.dataset
    facts, split = dataset.facts, dataset["split"]
    right, loss = answered(moment), moment.get("loss")[..., -1]
    rows = []
    for replica in moment.replicas:
        for number, name in enumerate(facts["splits"]):
            about = {"split": name, "uniform": facts["chance"]["uniform"]}
            about["input_only"] = facts["chance"]["input_only"].get(name, math.nan)
            if (split == number).any():
                about["loss"] = float(loss[replica, split == number].mean())
                about["accuracy"] = float(right[replica, split == number].mean())
                about["above_input"] = about["accuracy"] - about["input_only"]
            rows.append(moment.about(replica) | about)
    return rows


def answered(moment: Moment) -> np.ndarray:
    """Whether each sequence's output is the likeliest token, 1 or 0, [replica, row]; NaN where logits are not finite."""
    logits = moment.get("logits")
    right = logits.argmax(-1) == moment.run.dataset.evaluation[:, -1]
    return np.where(np.isfinite(logits).all(-1), right, math.nan)
