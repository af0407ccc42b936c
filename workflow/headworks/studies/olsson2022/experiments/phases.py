"""The phase change of every replica, read from its curves: one row per run and seed (Olsson 2022, Argument 1).

A replica whose in-context-learning score moves less than `floor` has no window: its columns are NaN, and times of
things that never happened are infinite, so that they come last in any order.
"""

import math

import numpy as np
import pandas as pd

from headworks.measures.phase import bump, midpoint, onset, smooth, window, window_by_slope

FINAL = 5
"""Snapshots that make up the start and the end of a curve in averages."""


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, layers, seed; window start, end, midpoint in tokens; inside, elapsed, sharpness (shares);
    icl_start, icl_before, icl_after, icl_gain, icl_ratio; prefix_start, prefix_end, previous_end; times at which the
    previous-token, prefix-matching and in-context scores reach half of their final change (tokens); lags between
    them; bump (nats)."""
    curves = pd.concat([inputs.tables[name] for name in inputs.tables], ignore_index=True)
    rows = [describe(group.sort_values("step"), options) | {"run": run, "seed": seed} for (run, seed), group in curves.groupby(["run", "seed"], sort=False)]
    frame = pd.DataFrame(rows)
    first = ["run", "seed", "layers"]
    return frame[first + [column for column in frame if column not in first]]


def describe(curve: pd.DataFrame, options) -> dict[str, float]:
    """The phase change of one replica's curve, rows ascending in `step`."""
    tokens = curve["tokens"].to_numpy(float)
    icl, prefix, previous, loss = (smooth(curve[key]) for key in ("icl", "prefix", "previous", "loss"))
    about = {"layers": int(curve["layers"].iloc[0]), "tokens": tokens[-1], "diverged": bool(curve["loss"].isna().any())}
    if about["diverged"]:
        return about
    found = window(tokens, icl, options.floor)
    about |= {
        "icl_start": float(icl[: FINAL].mean()),
        "icl_end": float(icl[-FINAL:].mean()),
        "loss_end": float(loss[-FINAL:].mean()),
        "prefix_start": float(prefix[0]),
        "prefix_end": float(prefix[-FINAL:].mean()),
        "previous_end": float(previous[-FINAL:].mean()),
        "chance": float(curve["chance"].iloc[0]),
        "icl_onset": _or_never(onset(tokens, -icl, options.onset)),
    }
    about["icl_gain"] = about["icl_start"] - about["icl_end"]
    about["prefix_over_chance"] = about["prefix_end"] / about["chance"]
    about |= _times(tokens, {"previous": previous, "prefix": prefix, "icl": -icl}, options)
    if found is None:
        return about | {"window": 0}
    slope = window_by_slope(tokens, icl, options.floor)
    before, after = (float(np.interp(x, tokens, icl)) for x in (found.start, found.end))
    return about | {
        "window": 1,
        "start": found.start,
        "end": found.end,
        "midpoint": found.midpoint,
        "inside": found.inside,
        "elapsed": found.elapsed,
        "sharpness": found.sharpness,
        "slope_start": slope.start,
        "slope_end": slope.end,
        "icl_before": before,
        "icl_after": after,
        "bump": bump(tokens, loss, found),
        "prefix_lag_widths": (about["prefix_time"] - found.midpoint) / (found.end - found.start),
    }


def _times(tokens: np.ndarray, scores: dict[str, np.ndarray], options) -> dict[str, float]:
    """When each rising score reaches half of its total change; infinite for a change smaller than its floor."""
    floors = {"previous": options.score_floor, "prefix": options.score_floor, "icl": options.floor}
    times = {}
    for name, score in scores.items():
        moved = score - score[0]
        times[f"{name}_time"] = _or_never(midpoint(tokens, moved)) if moved[-1] > floors[name] else math.inf
    return times


def _or_never(time: float) -> float:
    return math.inf if math.isnan(time) else time
