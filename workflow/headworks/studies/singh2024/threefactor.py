"""Three factors that must all be right: the paper's toy model, and a product model of learning times.

Singh et al. 2024, section 4.2, Fig. 5a and 9, and App. F. The toy learns vectors a, b, c whose outer product
is to be a given rank-1 tensor, by plain gradient descent. Its loss is half the mean squared error over the
entries, as in the authors' code; the paper's text writes the sum of squares, which only scales the learning
rate. The product model keeps one number a factor, and asks of isolated subcircuits how long the whole will
take (section 5 suggests that such predictions are possible).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from headworks.errors import HeadworksError

FACTORS = ("a", "b", "c")
# On [-1, 1], over a path of the product model: relative errors below 1e-12 for starts down to 1e-6.
NODES, WEIGHTS = np.polynomial.legendre.leggauss(128)
HALVINGS = 60  # of the interval that holds a path's end
SMALLEST_START, GRID = 1e-6, 60  # that a fit considers, and how many starts it tries before it refines one


# The toy model


@dataclass(frozen=True)
class Draws:
    """Factors to find and to begin with, each [seed, factor, dimension], in the order a, b, c."""

    truth: np.ndarray
    start: np.ndarray


@dataclass(frozen=True)
class Descent:
    """Runs of gradient descent. Iteration 0 is before the first update."""

    losses: np.ndarray  # [seed, iteration]
    a: np.ndarray  # [seed, iteration, dimension], the factor that measures of progress read
    factors: np.ndarray  # [seed, factor, dimension], after the last iteration


def draw(seeds: Sequence[int], dimension: int) -> Draws:
    """Standard normal truths and starts; a seed's draw does not depend on the other seeds."""
    drawn = [np.random.default_rng(seed).standard_normal((2, len(FACTORS), dimension)) for seed in seeds]
    truth, start = np.stack(drawn, axis=1)
    return Draws(truth, start)


def loss(factors: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Half the mean squared error of the outer product; factors and truth [..., factor, dimension].

    Written out, the sum over i, j, k of (a_i b_j c_k - a*_i b*_j c*_k)^2 is |a|^2 |b|^2 |c|^2 - 2
    (a.a*)(b.b*) (c.c*) + |a*|^2 |b*|^2 |c*|^2 (section 4.2's model; a* is the truth). Rounding leaves some
    1e-16 of the start's loss.
    """
    entries = factors.shape[-1] ** factors.shape[-2]
    squares = _dots(factors, factors).prod(-1) + _dots(truth, truth).prod(-1)
    return np.maximum(squares - 2 * _dots(factors, truth).prod(-1), 0) / (2 * entries)


def saddle_loss(truth: np.ndarray) -> np.ndarray:
    """The loss at a = b = c = 0, a saddle (App. F), for truth [..., factor, dimension]."""
    return loss(np.zeros_like(truth), truth)


def gradient(factors: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Of `loss` by the factors, [..., factor, dimension]."""
    squares, overlaps = _dots(factors, factors), _dots(factors, truth)
    others = [[j for j in range(factors.shape[-2]) if j != i] for i in range(factors.shape[-2])]
    pull = [overlaps[..., rest].prod(-1) for rest in others]
    decay = [squares[..., rest].prod(-1) for rest in others]
    entries = factors.shape[-1] ** factors.shape[-2]
    return (np.stack(decay, -1)[..., None] * factors - np.stack(pull, -1)[..., None] * truth) / entries


def descend(draws: Draws, clamped: Collection[str], iterations: int, learning_rate: float = 1.0) -> Descent:
    """Gradient descent of all seeds at once, the factors named in `clamped` (of a, b, c) held at the truth.

    The paper's runs have dimension 20, rate 1 and 1000 iterations.
    """
    unknown = sorted(set(clamped) - set(FACTORS))
    if unknown:
        raise HeadworksError(
            f"clamped: {', '.join(unknown)} is no factor of the toy model ({', '.join(FACTORS)})."
        )
    held = np.array([name in clamped for name in FACTORS])[:, None]
    factors = np.where(held, draws.truth, draws.start)
    losses, path = [loss(factors, draws.truth)], [factors[:, 0]]
    for _ in range(iterations):
        step = learning_rate * gradient(factors, draws.truth)
        factors = np.where(held, factors, factors - step)
        losses.append(loss(factors, draws.truth))
        path.append(factors[:, 0])
    return Descent(np.stack(losses, axis=1), np.stack(path, axis=1), factors)


def misalignment(a: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """1 - cos^2 of a [seed, ..., dimension] and its truth, of truth [seed, factor, dimension].

    Fig. 9, progress measure 1.
    """
    target = _beside(truth[:, 0], a)
    return 1 - _dots(a, target) ** 2 / (_dots(a, a) * _dots(target, target))


def progress_loss(a: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The loss of a [seed, ..., dimension] with b and c at plus or minus the truth [seed, factor, dimension].

    Fig. 9, progress measure 2. Of the two signs the better: a run may find the truth with two factors turned.
    """
    alone = np.stack([a, -a])
    target = _beside(truth[:, 0], a)
    rest = _dots(truth[:, 1:], truth[:, 1:]).prod(-1)[(...,) + (None,) * (a.ndim - 2)]
    errors = ((alone - target) ** 2).sum(-1).min(0)
    return errors * rest / (2 * truth.shape[-1] ** len(FACTORS))


def _beside(target: np.ndarray, a: np.ndarray) -> np.ndarray:
    """target [seed, dimension] with the axes that a [seed, ..., dimension] has between."""
    return np.expand_dims(target, tuple(range(1, a.ndim - 1)))


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return (u * v).sum(-1)


# The product model


def rate(isolated_time: ArrayLike, start: float, level: float) -> np.ndarray:
    """The rate k of a factor that alone takes `isolated_time` [...] to the loss `level`; 0 if it never does.

    level: a share of the loss at zero, such as 0.4 for 0.4 ln 2. With every other factor at 1 the factor
    obeys dx/dt = k (1 - x), so that (1 - x)^2 = level after log((1 - start) / sqrt(level)) / k.
    """
    _check(start, level)
    return math.log((1 - start) / math.sqrt(level)) / np.asarray(isolated_time, dtype=float)


def predicted_time(rates: ArrayLike, start: float, level: float) -> np.ndarray:
    """When a product of factors with these rates [run, factor] reaches the loss `level`: [run].

    All factors begin at `start` and follow the gradient flow of (1 - P)^2 / 2 with their own rates,

        dx_i/dt = k_i (1 - P) prod_{j != i} x_j,   P = prod_j x_j.

    One column a factor that is left to learn: with one, the isolated time comes back. Since d(x_i^2)/dt is 2
    k_i P (1 - P), the path is x_i^2 = start^2 + k_i s, and the time is the integral of ds / (2 P (1 - P)) to
    where 1 - P = sqrt(level). Infinite where a rate is 0, NaN where one is NaN.
    """
    _check(start, level)
    rates = np.asarray(rates, dtype=float)
    times = np.where(np.isnan(rates).any(-1), math.nan, math.inf)
    learns = np.isfinite(rates).all(-1) & (rates > 0).all(-1)
    times[learns] = _flow_time(rates[learns], start, 1 - math.sqrt(level))
    return times


def _flow_time(rates: np.ndarray, start: float, target: float) -> np.ndarray:
    """Time [run] until P reaches target. Nodes lie in u, s = scale (e^u - 1): the start takes most of it."""
    scale = start**2 / rates.max(-1)
    high = np.log1p((1 / rates).max(-1) / scale)  # every factor is above 1 there
    low = np.zeros_like(high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        short = _product(rates, start, scale * np.expm1(middle)) < target
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    u = high[:, None] * (NODES + 1) / 2
    product = _product(rates[:, None], start, scale[:, None] * np.expm1(u))
    pace = scale[:, None] * np.exp(u) / (2 * product * (1 - product))  # time per u
    return pace @ WEIGHTS * high / 2


def _product(rates: np.ndarray, start: float, s: np.ndarray) -> np.ndarray:
    return np.sqrt(start**2 + rates * s[..., None]).prod(-1)


def fit_start(isolated: ArrayLike, full: ArrayLike, level: float) -> float:
    """The common start that best turns isolated times [run, factor] into the times of the whole, full [run].

    Least squares of log time, over the runs whose times are all finite. Predictions shorten as the start
    grows, and lengthen again where an isolated factor starts close to its target; the start is sought on the
    first branch only. There the whole takes at least some multiple of equal isolated times (5.5 with two
    factors and 16.4 with three, at a level of 0.4; 1.9 and 2.8 at 0.1): if the runs take less, the end of
    the branch comes back, and the product model does not hold at this level.
    """
    isolated, full = np.asarray(isolated, dtype=float), np.asarray(full, dtype=float)
    known = np.isfinite(isolated).all(-1) & np.isfinite(full)
    if not known.any():
        raise HeadworksError(
            f"The product model needs a run that learned whole and in parts; of {len(full)} runs none did."
        )

    def log_times(log_start: float) -> np.ndarray:
        start = math.exp(log_start)
        return np.log(predicted_time(rate(isolated[known], start, level), start, level))

    def error(log_start: float) -> float:
        return float(((log_times(log_start) - np.log(full[known])) ** 2).sum())

    grid = np.linspace(math.log(SMALLEST_START), math.log(0.99 * (1 - math.sqrt(level))), GRID)
    branch = grid[: np.argmin([log_times(point).mean() for point in grid]) + 1]
    best = int(np.argmin([error(point) for point in branch]))
    bounds = branch[max(best - 1, 0)], branch[min(best + 1, len(branch) - 1)]
    found = minimize_scalar(error, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return math.exp(found.x)


def _check(start: float, level: float) -> None:
    if not 0 < level < 1 or not 0 < start < 1 - math.sqrt(level):
        raise HeadworksError(
            f"The product model starts above its target: start {start:g}, level {level:g}; the level must be "
            "between 0 and 1, the start between 0 and 1 - sqrt(level)."
        )
