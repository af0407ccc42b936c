"""Phase changes, read from one curve over snapshots (Olsson et al. 2022, Argument 1 and Model Details).

A curve is a pair of 1-D arrays of equal length: `tokens`, ascending, and a value at each. One curve a seed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import median_filter

from headworks.errors import HeadworksError


@dataclass(frozen=True)
class PhaseWindow:
    """Where a curve changes. Tokens for start, end and midpoint; shares of one for the rest."""

    start: float
    end: float
    midpoint: float  # where half of the total change is first reached
    inside: float  # share of the total change that falls inside
    elapsed: float  # share of training that falls inside
    sharpness: float  # inside / elapsed; a straight line has 1


def smooth(y: ArrayLike, width: int = 5) -> np.ndarray:
    """Running median over `width` snapshots; the ends are continued by their last value."""
    return median_filter(np.asarray(y, dtype=float), size=width, mode="nearest")


def window(tokens: ArrayLike, score: ArrayLike, floor: float, level: float = 0.1) -> PhaseWindow | None:
    """The phase change of a score: from `level` to `1 - level` of its total change. The primary rule.

    The curve is smoothed (median of 5 snapshots); its total change is last minus first. The end is the first
    crossing of 90 %, the start the last crossing of 10 % before it, both interpolated. A total change smaller
    than `floor` (the score's noise, in its own unit) is no phase change: None.
    """
    x, progress = _progress(tokens, score, floor)
    if progress is None:
        return None
    end = onset(x, progress, 1 - level)
    below = np.flatnonzero((progress < level) & (x < end))[-1]
    start = onset(x[below:], progress[below:], level)
    return _described(x, progress, start, end)


def window_by_slope(
    tokens: ArrayLike, score: ArrayLike, floor: float, fraction: float = 0.2
) -> PhaseWindow | None:
    """The phase change of a score by its slope: the longest stretch steeper than `fraction` of the steepest.

    The rule that Olsson 2022 describes (chosen from the derivative), with the smoothing and `floor` of
    `window`. Noise splits stretches, so `window` is the primary rule and this one the check on it.
    """
    x, progress = _progress(tokens, score, floor)
    if progress is None:
        return None
    slope = np.diff(progress) / np.diff(x)
    steep = np.concatenate([[False], slope > fraction * slope.max(), [False]])
    firsts, lasts = np.flatnonzero(steep[1:] & ~steep[:-1]), np.flatnonzero(steep[:-1] & ~steep[1:])
    longest = np.argmax(x[lasts] - x[firsts])
    return _described(x, progress, x[firsts[longest]], x[lasts[longest]])


def _progress(tokens: ArrayLike, score: ArrayLike, floor: float) -> tuple[np.ndarray, np.ndarray | None]:
    """The smoothed score as a share of its total change, 0 at the first snapshot and 1 at the last."""
    x, y = _curve(tokens, smooth(score))
    total = y[-1] - y[0]
    if not abs(total) > max(floor, 0.0):
        return x, None
    return x, (y - y[0]) / total


def _described(x: np.ndarray, progress: np.ndarray, start: float, end: float) -> PhaseWindow:
    at_start, at_end = np.interp([start, end], x, progress)
    inside, elapsed = at_end - at_start, (end - start) / (x[-1] - x[0])
    numbers = (start, end, onset(x, progress, 0.5), inside, elapsed, inside / elapsed)
    return PhaseWindow(*(float(n) for n in numbers))


def onset(x: ArrayLike, y: ArrayLike, level: float) -> float:
    """First x at which y reaches `level` from below, interpolated; NaN if never. Negate both if y falls."""
    x, y = _curve(x, y)
    reached = np.flatnonzero(y >= level)
    if len(reached) == 0:
        return float("nan")
    i = reached[0]
    if i == 0:
        return float(x[0])
    share = (level - y[i - 1]) / (y[i] - y[i - 1])
    return float(x[i - 1] + share * (x[i] - x[i - 1]))


def midpoint(x: ArrayLike, y: ArrayLike) -> float:
    """First x at which y reaches half of its final value, interpolated; NaN if the final value is 0.

    Works for curves that end below zero too.
    """
    x, y = _curve(x, y)
    if not y[-1]:
        return float("nan")
    return onset(x, y * np.sign(y[-1]), abs(y[-1]) / 2)


def bump(tokens: ArrayLike, loss: ArrayLike, window: PhaseWindow, span: int = 1) -> float:
    """The bump in the loss: its most negative second difference inside the window, sign turned; in nats.

    Olsson 2022, Argument 1: the one place where the loss curve is not convex. The second difference at a
    snapshot is twice the height of the chord between the snapshots `span` to either side over the smoothed
    loss there, in linear tokens (an ordinary decay, exponential or power law, is convex there; an
    exponential is not convex in log tokens). Positive: a bump. Compare with the same loss elsewhere, or the
    same window of a one-layer model. NaN where no snapshot with both neighbours lies inside.
    """
    x, y = _curve(tokens, smooth(loss))
    middle = slice(span, len(x) - span)
    left, right, here = x[: -2 * span], x[2 * span :], x[middle]
    share = (here - left) / (right - left)
    chord = (1 - share) * y[: -2 * span] + share * y[2 * span :]
    second = 2 * (chord - y[middle])
    inside = (here >= window.start) & (here <= window.end)
    return float(-second[inside].min()) if inside.any() else float("nan")


def _curve(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0 or (np.diff(x) <= 0).any():
        raise HeadworksError(
            "A curve needs two 1-D arrays of equal length, the first ascending; "
            f"found shapes {x.shape} and {y.shape}."
        )
    return x, y
