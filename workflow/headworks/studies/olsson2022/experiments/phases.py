"""The phase change of every replica, read from its curves: one row per run and seed (Olsson 2022, Argument 1).

A replica whose in-context-learning score moves less than `floor` has no window: its columns are NaN, and times of
things that never happened are infinite, so that they come last in any order. Curves are read from `after` tokens on:
starts, gains and shares of training are of what remains.
"""

import math

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.measures.phase import bump, midpoint, onset, smooth, window, window_by_slope

FINAL = 5
"""Snapshots that make up the start and the end of a curve in averages."""

OF_WINDOWS = (
    "start",
    "end",
    "midpoint",
    "inside",
    "elapsed",
    "sharpness",
    "slope_start",
    "slope_end",
    "icl_before",
    "icl_after",
    "prefix_lag_widths",
    "loss_lag_widths",
)
"""Columns that only a window fills."""


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, seed, layers, parameters, alpha (initial, of smeared runs); window (0 or 1), its start, end and
    midpoint in tokens, inside, elapsed, sharpness (shares); icl_start, icl_before, icl_after, icl_end, icl_gain in
    nats; prefix_start, prefix_end, prefix_over_chance, previous_end; icl_onset; _tenth and _time, when the
    previous-token, prefix-matching and in-context scores reach a tenth and half of their final change (tokens); prefix_lag_widths and
    loss_lag_widths, lags behind the window's midpoint in window widths; bump (nats, in the window of the same seed of
    `reference` where a replica has none)."""
    curves = pd.concat([inputs.tables[name] for name in inputs.tables], ignore_index=True)
    last = curves.groupby("run")["tokens"].max()
    if (last < options.after).any():
        raise HeadworksError(
            f"options.after: {options.after} tokens, but training of {last.idxmin()} ends at {last.min():.0f}; "
            "give a smaller number"
        )
    curves = curves[curves["tokens"] >= options.after]
    windows = {key: found_window(group, options) for key, group in curves.groupby(["run", "seed"])}
    rows = []
    for (run, seed), group in curves.groupby(["run", "seed"], sort=False):
        own = windows[run, seed]
        about = {"run": run, "seed": seed, "layers": int(group["layers"].iloc[0])}
        about |= {"parameters": int(group["parameters"].iloc[0]), "alpha": float(group["alpha"].iloc[0])}
        rows.append(about | describe(group, own, own or windows.get((options.reference, seed)), options))
    return pd.DataFrame(rows)


def found_window(curve: pd.DataFrame, options):
    """The window in which one replica's score fell; None without one, if it rose, or if the replica diverged."""
    icl = smooth(curve["icl"])
    if curve["loss"].isna().any() or icl[-1] >= icl[0]:
        return None
    return window(curve["tokens"].to_numpy(float), curve["icl"].to_numpy(float), options.floor)


def describe(curve: pd.DataFrame, own, near, options) -> dict[str, float]:
    """The phase change of one replica's curve, rows ascending in `step`; `own` is its window, `near` that or another's."""
    tokens = curve["tokens"].to_numpy(float)
    icl, prefix, previous, loss = (smooth(curve[key]) for key in ("icl", "prefix", "previous", "loss"))
    about = {
        "tokens": tokens[-1],
        "diverged": int(curve["loss"].isna().any()),
        "window": int(own is not None),
    }
    if about["diverged"]:
        return about
    about |= {
        "icl_start": float(icl[:FINAL].mean()),
        "icl_end": float(icl[-FINAL:].mean()),
        "loss_end": float(loss[-FINAL:].mean()),
        "prefix_start": float(prefix[0]),
        "prefix_end": float(prefix[-FINAL:].mean()),
        "previous_end": float(previous[-FINAL:].mean()),
        "chance": float(curve["chance"].iloc[0]),
        "icl_onset": _or_never(onset(tokens, -icl, options.onset)),
        "bump": bump(tokens, loss, near, options.span) if near else math.nan,
    }
    about["icl_gain"] = about["icl_start"] - about["icl_end"]
    about["prefix_over_chance"] = about["prefix_end"] / about["chance"]
    about |= _times(tokens, {"previous": previous, "prefix": prefix, "icl": -icl}, options)
    about |= dict.fromkeys(OF_WINDOWS, math.nan)
    if own is None:
        return about
    slope = window_by_slope(tokens, icl, options.floor)
    before, after = (float(np.interp(x, tokens, icl)) for x in (own.start, own.end))
    width = own.end - own.start
    return about | {
        **{key: getattr(own, key) for key in OF_WINDOWS[:6]},
        "slope_start": slope.start,
        "slope_end": slope.end,
        "icl_before": before,
        "icl_after": after,
        "prefix_lag_widths": (about["prefix_time"] - own.midpoint) / width,
        "loss_lag_widths": (midpoint(tokens, loss[0] - loss) - own.midpoint) / width,
    }


def _times(tokens: np.ndarray, scores: dict[str, np.ndarray], options) -> dict[str, float]:
    """When each rising score reaches a tenth and a half of its total change; infinite for a change below its floor."""
    floors = {"previous": options.score_floor, "prefix": options.score_floor, "icl": options.floor}
    times = {}
    for name, score in scores.items():
        moved = score - score[0]
        happened = moved[-1] > floors[name]
        times[f"{name}_tenth"] = _or_never(onset(tokens, moved, moved[-1] / 10)) if happened else math.inf
        times[f"{name}_time"] = _or_never(midpoint(tokens, moved)) if happened else math.inf
    return times


def _or_never(time: float) -> float:
    return math.inf if math.isnan(time) else time
