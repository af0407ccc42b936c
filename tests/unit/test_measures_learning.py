"""Learning curves whose times and shapes are known."""

import math

import numpy as np
import pytest

from headworks.errors import HeadworksError
from headworks.measures import learning as measures

LN2, LN5 = math.log(2), math.log(5)
NOISE = 0.015
TIMES = np.arange(200) * 2000.0 + 1000


def exponential(constant, start=LN5):
    return start * np.exp(-TIMES / constant)


def sigmoid(middle, width, height=LN2):
    return height / (1 + np.exp((TIMES - middle) / width))


def with_plateau(middle=180e3, width=20e3):
    """From ln 5 fast to the plateau at ln 2, and from there to 0."""
    return (LN5 - LN2) * np.exp(-TIMES / 12e3) + sigmoid(middle, width)


CHANGES = {
    "sigmoid": sigmoid(180e3, 16e3),
    "sigmoid that starts early": sigmoid(60e3, 16e3),
    "fast fall, plateau, fall": with_plateau(),
    "fast fall, exact plateau, steep fall": np.where(TIMES < 20e3, LN5 - TIMES * 4e-5, LN2) * (TIMES < 200e3),
    "two exponentials": (LN5 - LN2) * np.exp(-TIMES / 16e3)
    + LN2 * np.where(TIMES < 120e3, 1, np.exp(-(TIMES - 120e3) / 40e3)),
}
NO_CHANGES = {
    "exponential": exponential(60e3),
    "short exponential": exponential(15e3),
    "exponential from the plateau": exponential(40e3, LN2),
    "two rates, slowing": 0.8 * np.exp(-TIMES / 10e3) + 0.8 * np.exp(-TIMES / 100e3),
    "power law": LN5 / (1 + TIMES / 20e3),
    "unfinished exponential": 0.3 + exponential(40e3),
    "line": LN5 - TIMES * 3e-6,
    "constant": np.full(len(TIMES), LN2),
}


def noisy(curve, seed):
    return curve + np.random.default_rng(seed).normal(0, NOISE, len(curve))


# Windows and times


def test_windows_are_means_with_their_centres():
    times, means = measures.windowed(np.arange(10.0), per_update=32, width=100)
    assert times.tolist() == [48, 144, 240]
    assert means.tolist() == [1, 4, 7]


def test_windows_keep_other_axes_and_are_at_least_an_update():
    trace = np.stack([np.arange(6.0), np.zeros(6)], axis=1)
    assert measures.windowed(trace, 32, 64)[1].tolist() == [[0.5, 0], [2.5, 0], [4.5, 0]]
    assert measures.windowed(np.arange(3.0), 32, 1)[0].tolist() == [16, 48, 80]


def test_crossing_interpolates_and_may_never_come():
    times, loss = [0, 10, 20, 30, 40], [1.0, 0.4, 0.8, 0.4, 0.0]
    assert measures.crossing(times, loss, 0.7) == pytest.approx(5)
    assert measures.crossing(times, loss, 0.7, after=15) == pytest.approx(22.5)
    assert measures.crossing(times, loss, 0.7, after=8) == 8  # between the points too
    assert measures.crossing(times, loss, 0.7, after=30) == 30
    assert measures.crossing(times, loss, 2) == 0
    assert measures.crossing(times, loss, -1) == math.inf
    assert measures.crossing(times, [math.nan] * 5, 1) == math.inf


def test_learning_of_a_line():
    times = np.arange(101) * 1e4
    line = 1.2 * LN2 * (1 - times / 1e6)
    found = measures.learning(times, line)
    shares = {"onset": 0.9, "midpoint": 0.5, "learned": 0.4}
    for name, share in shares.items():
        assert getattr(found, name) == pytest.approx(1e6 * (1 - share / 1.2)), name
    assert found.finished == pytest.approx(1e6 * (1 - 0.1 / (1.2 * LN2)))
    assert found.plateau == pytest.approx(1e6 * 0.25 / 1.2, abs=1e4)
    assert (found.end, found.censored) == (1e6, False)


def test_onset_waits_for_the_first_fall_to_settle():
    loss = with_plateau()
    loss[5] = 0.5  # an overshoot before 30,000 sequences
    found = measures.learning(TIMES, loss)
    assert 100e3 < found.onset < found.midpoint < found.learned < found.finished
    assert found.midpoint == pytest.approx(180e3, rel=0.01)


def test_a_run_that_never_learns_is_censored():
    found = measures.learning(TIMES, np.full(len(TIMES), LN2))
    assert found.censored
    assert (found.onset, found.learned, found.finished) == (math.inf, math.inf, math.inf)
    assert found.plateau == pytest.approx(TIMES[-1] - TIMES[0])


def test_longest_plateau():
    constant = 100e3
    assert measures.longest_plateau(TIMES, exponential(constant)) == pytest.approx(0.405 * constant, abs=4e3)
    step = np.where(TIMES < 50e3, 1.0, np.where(TIMES < 200e3, 0.5, 0.05))
    assert measures.longest_plateau(TIMES, step) == pytest.approx(148e3)
    assert measures.longest_plateau(TIMES, noisy(step, 0)) == pytest.approx(148e3)
    assert measures.longest_plateau(TIMES, np.zeros(len(TIMES))) == 0
    assert math.isnan(measures.longest_plateau(TIMES, np.full(len(TIMES), math.nan)))


# Shapes


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_found_with_and_without_noise(name):
    assert 2.5 < measures.phase_change(TIMES, CHANGES[name]) < 1000
    for seed in range(20):
        assert measures.phase_change(TIMES, noisy(CHANGES[name], seed)) > 1.5


@pytest.mark.parametrize("name", NO_CHANGES)
def test_no_change_is_found_where_there_is_none(name):
    assert measures.phase_change(TIMES, NO_CHANGES[name]) == pytest.approx(1, abs=1e-6)
    found = [measures.phase_change(TIMES, noisy(NO_CHANGES[name], seed)) for seed in range(20)]
    assert np.mean(np.array(found) >= 1.5) <= 0.05
    assert np.median(found) < 1.3


@pytest.mark.parametrize("points", [12, 50])
@pytest.mark.parametrize("start", [LN2, LN5])
def test_exponentials_rarely_look_like_changes(points, start):
    times = np.arange(1.5 * points) + 0.5
    curve = start * np.exp(-times * math.log(start / 0.1) / points)
    found = [measures.phase_change(times, noisy(curve, seed)) for seed in range(200)]
    assert np.mean(np.array(found) >= 1.5) <= 0.02


def test_the_ratio_is_that_of_the_slopes():
    """Slopes 1, 1/4, 1: the loss falls four times faster again."""
    loss = np.interp(TIMES, [1e3, 1e5, 2e5, 3e5], [2.25, 1.25, 1.0, 0.0])
    assert measures.phase_change(TIMES, loss, floor=0.1) == pytest.approx(4, rel=0.1)


def test_the_shape_does_not_depend_on_the_units_or_on_the_tail():
    loss = with_plateau()
    found = measures.phase_change(TIMES, loss)
    assert measures.phase_change(TIMES / 32, loss) == pytest.approx(found)
    assert measures.phase_change(TIMES, 10 * loss, floor=1) == pytest.approx(found)
    assert measures.phase_change(TIMES, 0.7 * exponential(20e3) + 0.05 * (TIMES < 300e3)) == pytest.approx(1)


def test_a_change_below_the_floor_does_not_count():
    loss = exponential(20e3) + sigmoid(300e3, 10e3, height=0.08)
    assert measures.phase_change(TIMES, loss, floor=0.1) == pytest.approx(1, abs=1e-6)
    assert measures.phase_change(TIMES, loss, floor=0.01) > 2


def test_a_shape_needs_points_and_finite_ones():
    assert math.isnan(measures.phase_change(TIMES[:7], exponential(60e3)[:7]))
    assert math.isnan(measures.phase_change(TIMES, exponential(2e3)))
    assert math.isnan(measures.phase_change(TIMES, np.where(TIMES > 3e5, math.nan, 1)))


def test_noise_is_found_on_a_curve():
    found = measures.noise(noisy(exponential(60e3), 0))
    assert found == pytest.approx(NOISE, rel=0.2)
    assert measures.noise(TIMES**2) < 1e-3


def test_exponential_fit():
    rate, r2 = measures.exponential_fit(TIMES, exponential(60e3))
    assert (rate, r2) == pytest.approx((1 / 60e3, 1))
    tail = np.where(exponential(20e3) < 0.02, 0.01, exponential(20e3))
    assert measures.exponential_fit(TIMES, tail) == pytest.approx((1 / 20e3, 1))
    assert measures.exponential_fit(TIMES, sigmoid(180e3, 16e3))[1] < 0.95
    assert math.isnan(measures.exponential_fit(TIMES[:2], [1, 0.5])[1])
    assert math.isnan(measures.exponential_fit(TIMES, np.full(len(TIMES), math.nan))[0])


# Survival


def test_a_curve_must_ascend():
    with pytest.raises(HeadworksError, match="ascending"):
        measures.learning([0, 2, 1], [0, 1, 2])


def test_a_diverged_run_never_counts_as_one_that_did_not_learn():
    found = measures.learning([1e4, 2e4, 3e4, 4e4], [1.6, 0.7, math.nan, math.nan])
    assert all(
        math.isnan(x) for x in (found.onset, found.midpoint, found.learned, found.finished, found.plateau)
    )
    assert (found.end, found.censored) == (4e4, False)
