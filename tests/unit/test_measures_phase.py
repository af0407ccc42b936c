"""Phase-change detection on curves whose change is known."""

import numpy as np
import pytest

from headworks.errors import HeadworksError
from headworks.measures import phase

TOKENS = np.arange(101) * 10.0


def ramp(start, end, height=-0.8):
    """A curve that is flat, changes linearly between two positions, and is flat again."""
    return height * np.clip((TOKENS - start) / (end - start), 0, 1)


def test_window_of_a_ramp():
    found = phase.window(TOKENS, ramp(300, 500), floor=0.05)
    numbers = (found.start, found.end, found.midpoint, found.inside, found.elapsed, found.sharpness)
    assert numbers == pytest.approx((320, 480, 400, 0.8, 0.16, 5.0), abs=1e-6)


def test_window_by_slope_of_a_ramp_is_the_whole_ramp():
    found = phase.window_by_slope(TOKENS, ramp(300, 500), floor=0.05)
    assert (found.start, found.end) == pytest.approx((300, 500))
    assert found.inside == pytest.approx(1)
    assert found.midpoint == pytest.approx(400)


@pytest.mark.parametrize("rule", [phase.window, phase.window_by_slope])
def test_both_rules_find_a_noisy_sigmoid_and_a_line_has_sharpness_one(rule):
    noise = np.random.default_rng(0).normal(0, 0.005, len(TOKENS))
    sigmoid = -1 / (1 + np.exp(-(TOKENS - 600) / 30))
    found = rule(TOKENS, sigmoid + noise, floor=0.05)
    assert 500 < found.start < 570 < 630 < found.end < 700
    assert found.midpoint == pytest.approx(600, abs=10)
    assert found.sharpness > 4
    assert rule(TOKENS, TOKENS / 1000, floor=0.05).sharpness == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("rule", [phase.window, phase.window_by_slope])
def test_a_flat_curve_has_no_window(rule):
    noise = np.random.default_rng(0).normal(0, 0.01, len(TOKENS))
    assert rule(TOKENS, noise, floor=0.05) is None
    assert rule(TOKENS, np.zeros(len(TOKENS)), floor=0.0) is None
    assert rule(TOKENS, np.full(len(TOKENS), np.nan), floor=0.05) is None
    assert rule(TOKENS, ramp(300, 500), floor=0.9) is None


def test_window_starts_after_an_early_fluke():
    score = ramp(300, 500)
    score[5:12] = -0.2  # a quarter of the change, gone again
    assert phase.window(TOKENS, score, floor=0.05).start == pytest.approx(320)


def test_window_does_not_depend_on_sign_scale_or_offset():
    found = phase.window(TOKENS, ramp(300, 500), floor=0.05)
    other = phase.window(TOKENS, 3 - 2 * ramp(300, 500), floor=0.05)
    assert (other.start, other.end, other.sharpness) == pytest.approx(
        (found.start, found.end, found.sharpness)
    )


def test_smoothing_removes_a_spike_and_keeps_a_step():
    step = np.repeat([0.0, 1.0], 10)
    spiked = step.copy()
    spiked[4] = 9
    assert phase.smooth(spiked).tolist() == step.tolist()


def test_onset_and_midpoint_interpolate():
    x, y = [0, 10, 20, 30], [0.0, 0.0, 0.4, 0.8]
    assert phase.onset(x, y, 0.1) == pytest.approx(12.5)
    assert np.isnan(phase.onset(x, y, 0.9))
    assert phase.onset(x, y, 0.0) == 0.0
    assert phase.midpoint(x, y) == pytest.approx(20)
    assert phase.midpoint(x, np.negative(y)) == pytest.approx(20)
    assert np.isnan(phase.midpoint(x, np.zeros(4)))


def test_bump_is_found_where_the_loss_is_not_convex():
    decay = 3 * np.exp(-TOKENS / 400)
    drop = 0.5 / (1 + np.exp(-(TOKENS - 600) / 30))
    around = phase.PhaseWindow(500, 700, 600, 0.8, 0.2, 4.0)
    early = phase.PhaseWindow(100, 300, 200, 0.8, 0.2, 4.0)
    assert phase.bump(TOKENS, decay - drop, around) > 0.003
    assert phase.bump(TOKENS, decay - drop, around, span=3) > 0.03
    assert phase.bump(TOKENS, decay - drop, early) < 0
    assert phase.bump(TOKENS, decay, around) < 0
    assert phase.bump(TOKENS[1:], TOKENS[1:] ** -0.5, around) < 0


def test_bump_is_minus_the_second_difference():
    parabola = -0.001 * (TOKENS / 10 - 50) ** 2
    within = phase.PhaseWindow(200, 400, 300, 0.8, 0.2, 4.0)
    assert phase.bump(TOKENS, parabola, within) == pytest.approx(0.002)
    assert np.isnan(phase.bump(TOKENS, parabola, phase.PhaseWindow(1, 2, 1, 1, 1, 1)))


def test_a_curve_must_ascend():
    with pytest.raises(HeadworksError, match="ascending"):
        phase.window([0, 2, 1], [0, 1, 2], floor=0.1)
