"""How clustering moves over training: rising, saturating, falling, before or after the accuracy."""

import math

import numpy as np
import pandas as pd
from scipy import stats

from headworks.studies.wu2024.states import FIRST, LAST, SEP, frame, role

REPLICA = ["run", "condition", "seed"]
SCORES = {"task_ari": SEP, "given_input_ari": LAST}
"""Columns of table `clusters`, and the position that each is read at."""
SCRAMBLED_ROLE = 4
COLUMNS = ["score", "split", "layer", "spearman", "scrambled", "tail_slope", "head_slope"]
COLUMNS += ["first", "peak", "final", "rise", "decline"]
COLUMNS += ["saturation", "accuracy_saturation", "lag", "lead", "dip"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step (the last), score (task_ari at SEP or given_input_ari at LAST), split
    (train or val), layer (that with the highest score at the end on split train), and of the score's curve:

    spearman, rank correlation with the step, from step `after` on, and scrambled, the same of the scores in an
    order drawn for the seed; tail_slope and head_slope, the steepest slope between snapshots in the last and in
    the first share `tail` of training over the steepest of all, up or down; first, peak, final, rise (final - first), decline
    (peak - final), dip (first - lowest before the peak); saturation, the first step with at least
    (1 - tolerance) of the final value, accuracy_saturation, the same of the split's accuracy, and lag, the
    first less the second; lead, how much better changes of the score go with the next changes of the accuracy
    on split val than the other way round (difference of Pearson correlations). NaN where the curve has a NaN,
    such as a diverged replica's, or a term is undefined.
    """
    clusters, accuracy = (role(inputs, options, name) for name in ("clusters", "accuracy"))
    answered = {key: part for key, part in accuracy.groupby([*REPLICA, "split"], sort=False)}
    rows = []
    for key, part in clusters.groupby(REPLICA, sort=False):
        about = dict(zip(FIRST, (*key, part["step"].max()), strict=True))
        for score, position in SCORES.items():
            here = part[part["position"] == position]
            layer = best_layer(here, score)
            for split in here["split"].unique():
                chosen = here[(here["split"] == split) & (here["layer"] == layer)]
                own, val = (series(answered.get((*key, name)), "accuracy") for name in (split, "val"))
                named = {"score": score, "split": split, "layer": layer}
                rows.append(about | named | described(series(chosen, score), own, val, key[-1], options))
    return frame(rows, COLUMNS)


def best_layer(curves: pd.DataFrame, score: str) -> float:
    """The layer with the highest score at the last step on split train; NaN where none is known."""
    train = curves[curves["split"] == "train"]
    ends = train[train["step"] == train["step"].max()].dropna(subset=[score])
    return ends.loc[ends[score].idxmax(), "layer"] if len(ends) else math.nan


def series(rows: pd.DataFrame | None, column: str) -> pd.Series:
    """A curve by ascending step; empty without rows."""
    if rows is None or not len(rows):
        return pd.Series(dtype=float)
    return rows.set_index("step")[column].sort_index().astype(float)


def described(curve: pd.Series, own: pd.Series, val: pd.Series, seed: int, options) -> dict[str, float]:
    """The columns of one curve of a seed, beside the accuracy of its split and of val; all by step."""
    if not len(curve) or curve.isna().any():
        return {}
    y, steps = curve.to_numpy(), curve.index.to_numpy(float)
    late = steps >= options.after
    found = {
        "spearman": correlation(steps[late], y[late], stats.spearmanr),
        "scrambled": correlation(steps[late], scrambled(y[late], seed), stats.spearmanr),
        "tail_slope": slope_share(steps, y, inside_tail(steps, options.tail)),
        "head_slope": slope_share(steps, y, steps[:-1] < steps[0] + options.tail * (steps[-1] - steps[0])),
        "first": y[0],
        "peak": y.max(),
        "final": y[-1],
        "rise": y[-1] - y[0],
        "decline": y.max() - y[-1],
        "dip": y[0] - y[: y.argmax() + 1].min(),
        "saturation": saturation(curve, options.tolerance),
        "accuracy_saturation": saturation(own, options.tolerance),
    }
    return found | {
        "lag": found["saturation"] - found["accuracy_saturation"],
        "lead": lead(curve, val),
    }


def correlation(x: np.ndarray, y: np.ndarray, kind) -> float:
    """`kind` of x [n] and y [n]; NaN for fewer than three pairs or a constant."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    return float(kind(x, y).statistic)


def scrambled(y: np.ndarray, seed: int) -> np.ndarray:
    """y in a drawn order."""
    return np.random.default_rng([SCRAMBLED_ROLE, seed]).permutation(y)


def inside_tail(steps: np.ndarray, tail: float) -> np.ndarray:
    """Which pieces between steps reach into the last share `tail` of training, bool [piece]."""
    return steps[1:] > steps[-1] - tail * (steps[-1] - steps[0])


def slope_share(steps: np.ndarray, y: np.ndarray, inside: np.ndarray) -> float:
    """The steepest slope of the pieces `inside`, up or down, over the steepest of all."""
    if len(y) < 2 or np.ptp(y) == 0:
        return math.nan
    slopes = np.abs(np.diff(y) / np.diff(steps))
    return float(slopes[inside].max() / slopes.max())


def saturation(curve: pd.Series, tolerance: float) -> float:
    """First step at which a curve has all but a share `tolerance` of its final value; NaN for one that ends at 0 or below."""
    if not len(curve) or curve.isna().any() or curve.iloc[-1] <= 0:
        return math.nan
    return float(curve.index[np.argmax(curve.to_numpy() >= (1 - tolerance) * curve.iloc[-1])])


def lead(curve: pd.Series, accuracy: pd.Series) -> float:
    """Correlation of a curve's changes with the accuracy's next changes, less that of the accuracy's with the curve's next.

    Changes are between the snapshots that both have.
    """
    both = pd.concat([curve, accuracy], axis=1, join="inner").dropna().to_numpy()
    if len(both) < 3:
        return math.nan
    moved, answered = np.diff(both, axis=0).T
    forward = correlation(moved[:-1], answered[1:], stats.pearsonr)
    return forward - correlation(answered[:-1], moved[1:], stats.pearsonr)
