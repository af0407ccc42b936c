"""The toy model of three interacting factors: curves and shapes with some factors clamped (Fig. 5a, 9)."""

import math

import numpy as np
import pandas as pd

from headworks.measures.learning import FINISHED, crossing, longest_plateau, phase_change
from headworks.studies.singh2024.experiments.timing import permutation
from headworks.studies.singh2024.threefactor import descend, draw, misalignment, progress_loss, saddle_loss

CLAMPED = {"none": "", "c": "c", "bc": "bc"}
FLOOR = FINISHED / math.log(2)  # the network's 0.1 nats, as a share of the saddle's loss
PERMUTATION_SEED = 0
BAND = 0.1  # share of the saddle's loss within which a run waits at it


def table(options, inputs) -> pd.DataFrame:
    """Two kinds of rows, by the column `row`; all have seed, clamped (none, c or bc) and saddle_loss.

    curve: iteration, loss, progress (1 - cos^2 of a and its truth) and progress_loss (the loss of a with b
    and c at plus or minus their truths), every `options.every` iterations. summary, of each iteration's
    loss: half_time (when it is half of the saddle's; infinite if never), plateau (iterations within 10 % of
    the saddle's), longest_plateau (most iterations within 20 % of any one value) and ratio (`phase_change`;
    NaN where the fall has too few iterations); of runs without clamps the same of progress_loss, as
    progress_half_time, progress_plateau, progress_longest_plateau and progress_ratio. permuted_half_time:
    that of a row of the same seed drawn without replacement, a control in which clamps mean nothing.
    """
    draws = draw(range(options.seeds), options.dimension)
    saddles = saddle_loss(draws.truth)
    frames = []
    for clamped, factors in CLAMPED.items():
        found = descend(draws, factors, options.iterations, options.learning_rate)
        measured = {
            "loss": found.losses,
            "progress": misalignment(found.a, draws.truth),
            "progress_loss": progress_loss(found.a, draws.truth),
        }
        summary = _shapes(found.losses, saddles).assign(seed=range(options.seeds), saddle_loss=saddles)
        if not factors:
            summary = summary.join(_shapes(measured["progress_loss"], saddles).add_prefix("progress_"))
        curves = _curves(measured, saddles, options.every)
        frames += [
            curves.assign(row="curve", clamped=clamped),
            summary.assign(row="summary", clamped=clamped),
        ]
    table = pd.concat(frames, ignore_index=True)
    summaries = table[table["row"] == "summary"]
    drawn = permutation(summaries["seed"].reset_index(drop=True), PERMUTATION_SEED)
    table.loc[summaries.index, "permuted_half_time"] = summaries["half_time"].to_numpy()[drawn]
    return table


def _curves(measured: dict[str, np.ndarray], saddles: np.ndarray, every: int) -> pd.DataFrame:
    columns = {name: values[:, ::every] for name, values in measured.items()}
    shape = columns["loss"].shape
    columns["seed"] = np.arange(shape[0])[:, None]
    columns["iteration"] = np.arange(shape[1]) * every
    columns["saddle_loss"] = saddles[:, None]
    return pd.DataFrame({name: np.broadcast_to(values, shape).ravel() for name, values in columns.items()})


def _shapes(losses: np.ndarray, saddles: np.ndarray) -> pd.DataFrame:
    """One row a seed, of losses [seed, iteration]."""
    return pd.DataFrame([_shape(curve / saddle) for curve, saddle in zip(losses, saddles, strict=True)])


def _shape(curve: np.ndarray) -> dict[str, float]:
    """Of a loss [iteration] in units of the saddle's."""
    iterations = np.arange(len(curve))
    return {
        "half_time": crossing(iterations, curve, 0.5),
        "plateau": float((np.abs(curve - 1) <= BAND).sum()),
        "longest_plateau": longest_plateau(iterations, curve, floor=FLOOR),
        "ratio": phase_change(iterations, curve, floor=FLOOR),
    }
