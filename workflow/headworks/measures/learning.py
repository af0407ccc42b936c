"""Learning curves: when a run learns, whether it waits first, and whether it learns in one smooth fall.

A curve is a pair of 1-D arrays of equal length: times, ascending, in training sequences seen, and a loss in
nats at each. One curve a run. Singh et al. 2024, "What needs to go right for an induction head?", sections 4
and 5 and Fig. 5 and 6; levels of loss are shares of ln 2, the loss of a random pick among two context labels.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from scipy.optimize import isotonic_regression

from headworks.errors import HeadworksError

PLATEAU = math.log(2)  # loss of a random one of the two context labels
ONSET, MIDPOINT, LEARNED = 0.9, 0.5, 0.4  # shares of the plateau's loss
FINISHED = 0.1  # nats
FIRST_FALL = 3e4  # sequences before which the first fall, to the plateau, may still overshoot it
BAND = (0.9, 1.15)  # shares of the plateau's loss between which a run waits on it

STEPS = 20  # the shape test cuts the fall of the loss into at most so many equal steps
STEP_TO_NOISE = 12  # each of them at least so many standard deviations of the smoothed curve's noise
SMOOTHING = 0.1  # width of the shape test's running mean, as a share of the time to the floor
LEAST_STEP = 1e-6  # nats; below it a step may be an error of rounding
FEWEST = 8  # points above the floor that a shape needs
FITTED = 0.02  # nats down to which an exponential is fitted


def windowed(loss: ArrayLike, per_update: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A training trace averaged over consecutive stretches of about `width` sequences.

    loss [update, ...]: each a mean over a batch of `per_update` fresh sequences. A stretch is a whole number
    of updates, the nearest to `width` and at least one; an incomplete last stretch is left out. Returns the
    centres of the stretches [stretch], in sequences, and the means [stretch, ...].
    """
    loss = np.asarray(loss, dtype=float)
    updates = max(1, round(width / per_update))
    stretches = len(loss) // updates
    means = loss[: stretches * updates].reshape(stretches, updates, *loss.shape[1:]).mean(axis=1)
    return (np.arange(stretches) + 0.5) * updates * per_update, means


# Times


def crossing(times: ArrayLike, loss: ArrayLike, level: float, after: float = 0) -> float:
    """First time, `after` or later, at which the curve is below `level`; interpolated, infinite if never."""
    x, y = _curve(times, loss)
    below = np.flatnonzero((y < level) & (x >= after))
    if len(below) == 0:
        return math.inf
    i = below[0]
    if i == 0:
        return float(x[0])
    share = (y[i - 1] - level) / (y[i - 1] - y[i])
    return float(max(after, x[i - 1] + share * (x[i] - x[i - 1])))


@dataclass(frozen=True)
class Learning:
    """When one run learned, in sequences; infinite: not before the run's end, NaN: it diverged."""

    onset: float  # below 0.9 of the plateau's loss, after the first 30,000 sequences
    midpoint: float  # below 0.5 of it
    learned: float  # below 0.4 of it, the paper's learning time
    finished: float  # below 0.1 nats
    plateau: float  # time spent between 0.9 and 1.15 of the plateau's loss before the onset
    end: float  # the last time of the curve
    censored: bool  # not learned by then


def learning(
    times: ArrayLike, loss: ArrayLike, plateau: float = PLATEAU, after: float = FIRST_FALL
) -> Learning:
    """The times of one curve (Singh et al. 2024, Fig. 4 to 6). `plateau`: the loss at which the run may wait.

    Give a `windowed` curve: a single batch may dip below a level by chance. The onset is sought from `after`
    on; a run that is below its level by then has that time as its onset, so an onset speaks of runs that
    wait.
    """
    x, y = _curve(times, loss)
    if not np.isfinite(y).all():
        return Learning(*[math.nan] * 5, end=float(x[-1]), censored=False)
    onset = crossing(x, y, ONSET * plateau, after=after)
    waits = (y >= BAND[0] * plateau) & (y <= BAND[1] * plateau) & (x < onset)
    learned = crossing(x, y, LEARNED * plateau)
    return Learning(
        onset=onset,
        midpoint=crossing(x, y, MIDPOINT * plateau),
        learned=learned,
        finished=crossing(x, y, FINISHED),
        plateau=float(_spans(x)[waits].sum()),
        end=float(x[-1]),
        censored=math.isinf(learned),
    )


def longest_plateau(times: ArrayLike, loss: ArrayLike, band: float = 0.2, floor: float = FINISHED) -> float:
    """The longest time that the loss stays within a share `band` of some value, before it is below `floor`.

    Singh et al. 2024, App. D.2: a progress measure that waits. The curve is made monotone by isotonic
    regression, against noise; an exponential stays within 0.2 for 0.41 of its time constant. NaN where the
    curve is not finite.
    """
    x, y = _curve(times, loss)
    if not np.isfinite(y).all():
        return math.nan
    fall = _falling(y)
    x, fall = x[fall >= floor], fall[fall >= floor]
    last = np.searchsorted(-fall, -fall * (1 - band) / (1 + band), side="right") - 1
    return float((x[last] - x).max(initial=0))


# Shapes


def phase_change(times: ArrayLike, loss: ArrayLike, floor: float = FINISHED) -> float:
    """How much faster the loss falls again after it had slowed down: the quantitative form of "phase change".

    The largest ratio of -d loss/dt at a time to its value at an earlier time, before the loss is below
    `floor`. Monotone slowing, an exponential for one, has 1; from 1.5 on we speak of a phase change (the
    paper, Singh et al. 2024, section 4.2 and Fig. 5, judges by eye).

    The speed is measured over equal steps of loss, not of time: the running mean of the curve (a tenth of the
    time to `floor` wide; a mean of a convex curve is convex), made monotone by isotonic regression, falls
    from its first value to `floor`, or to its last value if that is higher, in up to 20 steps. A step is one
    of at least 12 standard deviations of the noise left after the mean, so that noise does not look like a
    change of speed, and a plateau has at least the speed of one step in the whole time, so that the ratio is
    finite. The noise is that of the noisier half of the curve above the floor; points that are not evenly
    spaced are interpolated to be. Detail finer than a step or the mean is not seen: a ratio errs towards 1.

    Of 250 exponentials with noise of 0.015 a point, from ln 5 or ln 2, with 12, 25, 50 or 200 points above
    the floor, none (ln 5) or at most 1.2 % (ln 2) reach 1.5. NaN where the curve is not finite or has fewer
    than 8 points above the floor; 1 where it does not fall by two steps. Since the mean adapts to the fall,
    a fast run asks for a curve with narrow windows, not for a smooth one.
    """
    x, y = _curve(times, loss)
    if len(x) < FEWEST or not np.isfinite(y).all():
        return math.nan
    even = np.linspace(x[0], x[-1], len(x))
    y = np.interp(even, x, y)
    above = int((_falling(y) >= floor).sum())
    if above < FEWEST:
        return math.nan
    width = max(1, round(SMOOTHING * above))
    fall = _falling(_running_mean(y, width))
    centres = _running_mean(even, width)
    lowest = max(floor, fall[-1])
    left = max(noise(half) for half in np.array_split(y[:above], 2)) / math.sqrt(width)
    steps = min(STEPS, int((fall[0] - lowest) / max(STEP_TO_NOISE * left, LEAST_STEP)))
    if steps < 2:
        return 1.0
    levels = np.linspace(fall[0], lowest, steps + 1)[1:]
    reached = np.interp(-levels, -fall, centres)
    speed = 1 / np.diff(reached, prepend=centres[0])
    return float((speed / np.minimum.accumulate(speed)).max())


def noise(loss: ArrayLike) -> float:
    """Standard deviation of the noise of evenly spaced points [n], from the mean size of third differences.

    Third differences leave nothing of a quadratic curve and have 20 times the variance of independent noise.
    """
    third = np.diff(np.asarray(loss, dtype=float), n=3)
    return float(np.abs(third).mean() * math.sqrt(math.pi / 2 / 20))


def exponential_fit(times: ArrayLike, loss: ArrayLike) -> tuple[float, float]:
    """Rate (per sequence) and R squared of a straight line through log loss, until the loss is below 0.02.

    NaN with fewer than three points or with a loss that is not positive and finite.
    """
    x, y = _curve(times, loss)
    below = np.flatnonzero(y < FITTED)
    if len(below):
        x, y = x[: below[0]], y[: below[0]]
    if len(x) < 3 or not np.isfinite(y).all():
        return math.nan, math.nan
    line = stats.linregress(x, np.log(y))
    return float(-line.slope), float(line.rvalue**2)


def _falling(y: np.ndarray) -> np.ndarray:
    """The curve that nowhere rises and is nearest to y in squares."""
    return isotonic_regression(y, increasing=False).x


def _running_mean(y: np.ndarray, width: int) -> np.ndarray:
    return np.convolve(y, np.full(width, 1 / width), mode="valid")


def _spans(x: np.ndarray) -> np.ndarray:
    """The time that each point stands for: to the middles between it and its neighbours."""
    edges = np.concatenate([x[:1], (x[1:] + x[:-1]) / 2, x[-1:]])
    return np.diff(edges)


def _curve(times: ArrayLike, loss: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(times, dtype=float), np.asarray(loss, dtype=float)
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0 or not (np.diff(x) > 0).all():
        raise HeadworksError(
            "A learning curve needs two 1-D arrays of equal length, the first ascending; "
            f"found shapes {x.shape} and {y.shape}."
        )
    return x, y
