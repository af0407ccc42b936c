"""The snapshots at which a replica's phase change starts and ends; shared by analyses of before and after."""

import numpy as np
import pandas as pd


def bounds(
    phases: pd.DataFrame, run: str, seed: int, reference: str, tokens: list[int]
) -> tuple[int, int] | None:
    """Indices into `tokens` of the snapshots at or next outside the window.

    A replica without a window takes that of the same seed of `reference`, as a control must be looked at in the
    same stretch of training; None if that has none either.
    """
    for name in (run, reference):
        rows = phases[(phases["run"] == name) & (phases["seed"] == seed)]
        if len(rows) == 1 and rows["window"].iloc[0] == 1:
            start, end = rows[["start", "end"]].iloc[0]
            if start >= tokens[-1]:
                return None
            first = max(int(np.searchsorted(tokens, start, side="right")) - 1, 0)
            last = min(int(np.searchsorted(tokens, end, side="left")), len(tokens) - 1)
            return first, last
    return None
