"""Whether an auxiliary loss makes a network learn sooner or combine better."""

import math

import pandas as pd

from headworks.studies.wu2024.states import FIRST, frame, role

REPLICA = ["run", "condition", "seed"]
COLUMNS = ["steps_to", "held_out", "val"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step (the last), steps_to, held_out, val; one row a replica.

    steps_to: the first step with the threshold's accuracy on split val, infinite if never; held_out, val: the
    accuracy at the last step. NaN where a replica diverged.
    """
    rows = []
    for key, part in role(inputs, options, "accuracy").groupby(REPLICA, sort=False):
        last = part["step"].max()
        ends = part[part["step"] == last].set_index("split")["accuracy"]
        val = part[part["split"] == "val"].sort_values("step")
        rows.append(
            dict(zip(FIRST, (*key, last), strict=True))
            | {"steps_to": steps_to(val, options.threshold)}
            | {name: ends.get(name, math.nan) for name in ("held_out", "val")}
        )
    return frame(rows, COLUMNS)


def steps_to(curve: pd.DataFrame, threshold: float) -> float:
    """The first step with an accuracy of the threshold, infinite if never; NaN where the last is unknown."""
    if not len(curve) or math.isnan(curve["accuracy"].iloc[-1]):
        return math.nan
    reached = curve[curve["accuracy"] >= threshold]
    return float(reached["step"].iloc[0]) if len(reached) else math.inf
