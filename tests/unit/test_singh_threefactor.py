"""The toy model against its tensors and finite differences; the product model against its closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from headworks.errors import HeadworksError
from headworks.studies.singh2024 import threefactor
from headworks.studies.singh2024.experiments import toy

LEVEL = 0.4
RATES = np.random.default_rng(0).lognormal(sigma=1, size=(20, 3))


def tensors(factors):
    return np.einsum("...i,...j,...k->...ijk", *np.moveaxis(factors, -2, 0))


# The toy model


def test_the_loss_is_half_the_mean_squared_error_of_the_tensor():
    draws = threefactor.draw(range(4), 5)
    errors = tensors(draws.start) - tensors(draws.truth)
    assert threefactor.loss(draws.start, draws.truth) == pytest.approx((errors**2).mean((1, 2, 3)) / 2)
    saddle = (tensors(draws.truth) ** 2).mean((1, 2, 3)) / 2
    assert threefactor.saddle_loss(draws.truth) == pytest.approx(saddle)


def test_the_gradient_is_that_of_the_loss():
    draws, step = threefactor.draw([3], 4), 1e-6
    found = threefactor.gradient(draws.start, draws.truth)
    for index in np.ndindex(found.shape):
        nudge = np.zeros_like(found)
        nudge[index] = step
        there, here = (threefactor.loss(draws.start + sign * nudge, draws.truth)[0] for sign in (1, -1))
        assert found[index] == pytest.approx((there - here) / (2 * step), abs=1e-7)


def test_the_gradient_vanishes_at_the_saddle_faster_the_more_factors_are_left():
    """App. F: near zero the loss changes with the third power of the distance, with c clamped the second."""
    truth = threefactor.draw([0], 6).truth

    def change(distance, clamped):
        factors = distance * truth
        factors[:, 3 - clamped :] = truth[:, 3 - clamped :]
        return (threefactor.saddle_loss(truth) - threefactor.loss(factors, truth))[0]

    for clamped in (0, 1, 2):
        power = math.log10(change(1e-2, clamped) / change(1e-3, clamped))
        assert power == pytest.approx(3 - clamped, abs=0.02)


def test_descent_finds_the_truth_and_holds_what_is_clamped():
    draws = threefactor.draw(range(5), 8)
    found = threefactor.descend(draws, "bc", 3000)
    assert found.losses.shape == (5, 3001)
    assert found.a.shape == (5, 3001, 8)
    assert (found.factors[:, 1:] == draws.truth[:, 1:]).all()
    assert found.factors == pytest.approx(draws.truth, abs=1e-3)
    assert (found.a[:, 0] == draws.start[:, 0]).all()
    assert (np.diff(found.losses[:, :50]) < 0).all()


def test_with_one_factor_left_the_error_decays_as_an_exponential():
    """a moves to its truth by the same share of the way at each iteration, |b|^2 |c|^2 over the entries."""
    draws = threefactor.draw([2], 20)
    share = (draws.truth[0, 1:] ** 2).sum(-1).prod() / 20**3
    losses = threefactor.descend(draws, "bc", 10).losses[0]
    assert losses[1:] / losses[:-1] == pytest.approx(np.full(10, (1 - share) ** 2))


def test_a_seed_is_the_same_among_any_others():
    assert (threefactor.draw([7], 20).start == threefactor.draw(range(9), 20).start[7:8]).all()


def test_an_unknown_factor_is_named():
    with pytest.raises(HeadworksError, match="d is no factor"):
        threefactor.descend(threefactor.draw([0], 3), "cd", 1)


def test_measures_of_progress():
    draws = threefactor.draw(range(3), 6)
    a = np.stack([draws.truth[:, 0], -3 * draws.truth[:, 0], draws.start[:, 0]], axis=1)
    misaligned = threefactor.misalignment(a, draws.truth)
    assert misaligned[:, :2] == pytest.approx(np.zeros((3, 2)), abs=1e-12)
    assert ((misaligned[:, 2] > 0) & (misaligned[:, 2] <= 1)).all()
    progress = threefactor.progress_loss(a, draws.truth)
    assert progress[:, 0] == pytest.approx(np.zeros(3))
    assert progress[:, 1] == pytest.approx(4 * threefactor.saddle_loss(draws.truth))
    for sign in (1, -1):
        replaced = draws.truth.copy()
        replaced[:, 0] = sign * draws.start[:, 0]
        assert (progress[:, 2] <= threefactor.loss(replaced, draws.truth) + 1e-12).all()
    assert threefactor.progress_loss(-a, draws.truth) == pytest.approx(progress)


def test_the_table_shows_the_plateau_and_its_absence():
    options = SimpleNamespace(seeds=12, dimension=20, iterations=1500, learning_rate=1.0, every=50)
    table = toy.table(options, None)
    summary = table[table["row"] == "summary"].set_index(["clamped", "seed"])
    times = summary["half_time"].groupby("clamped").median()
    assert times["none"] > 3 * times["c"] > 9 * times["bc"]
    assert summary.loc["bc", "ratio"].to_numpy() == pytest.approx(np.ones(12), abs=1e-6)
    assert summary.loc["none", "ratio"].median() > 5
    assert summary.loc["bc", "plateau"].max() < 15 < 60 < summary.loc["none", "plateau"].median()
    assert summary.loc["none", "progress_half_time"].median() > 3 * times["bc"]
    assert summary.loc["bc", "progress_half_time"].isna().all()
    curves = table[table["row"] == "curve"]
    assert len(curves) == 3 * 12 * 31
    last = curves[(curves["clamped"] == "bc") & (curves["iteration"] == 1500)]
    assert last[["loss", "progress", "progress_loss"]].to_numpy() == pytest.approx(
        np.zeros((12, 3)), abs=1e-6
    )


# The product model


def test_one_factor_takes_its_isolated_time():
    times = np.array([10.0, 25.0, 300.0])
    rates = threefactor.rate(times, 0.1, LEVEL)
    assert 1 - 0.9 * np.exp(-rates * times) == pytest.approx(np.full(3, 1 - math.sqrt(LEVEL)))
    assert threefactor.predicted_time(rates[:, None], 0.1, LEVEL) == pytest.approx(times)


@pytest.mark.parametrize("factors", [2, 3])
def test_the_path_is_that_of_the_differential_equation(factors):
    rates, start = RATES[0, :factors], 0.05

    def flow(_, x):
        return rates * (1 - x.prod()) * x.prod() / x

    def arrival(_, x):
        return x.prod() - (1 - math.sqrt(LEVEL))

    arrival.terminal = True
    solved = solve_ivp(flow, (0, 1e4), np.full(factors, start), events=arrival, rtol=1e-9, atol=1e-12)
    found = threefactor.predicted_time(rates[None], start, LEVEL)
    assert found == pytest.approx(solved.t_events[0], rel=1e-6)


def test_two_equal_factors_follow_the_logistic_curve():
    """P = x^2 obeys dP/dt = 2 k P (1 - P), so that its log odds grow at the rate 2 k."""
    start, rate = 0.1, 0.3
    target = 1 - math.sqrt(LEVEL)
    odds = target / (1 - target) * (1 - start**2) / start**2
    assert threefactor.predicted_time([[rate, rate]], start, LEVEL) == pytest.approx(
        math.log(odds) / 2 / rate
    )


def test_every_slower_factor_delays_the_whole_and_more_factors_do():
    times = threefactor.predicted_time(RATES, 0.05, LEVEL)
    for factor in range(3):
        slower = RATES.copy()
        slower[:, factor] /= 3
        assert (threefactor.predicted_time(slower, 0.05, LEVEL) > times).all()
    assert (threefactor.predicted_time(RATES[:, 1:], 0.05, LEVEL) < times).all()
    assert threefactor.predicted_time(RATES / 5, 0.05, LEVEL) == pytest.approx(5 * times)


def test_what_is_never_learned_alone_is_never_learned_together():
    rates = threefactor.rate([[10, math.inf, 5], [10, math.nan, 5], [10, 5, 5]], 0.05, LEVEL)
    found = threefactor.predicted_time(rates, 0.05, LEVEL)
    assert found[0] == math.inf
    assert math.isnan(found[1])
    assert math.isfinite(found[2])


@pytest.mark.parametrize("start", [1e-3, 0.03, 0.1])
def test_a_known_start_is_recovered(start):
    isolated = 20 / RATES
    full = threefactor.predicted_time(threefactor.rate(isolated, start, LEVEL), start, LEVEL)
    full[0] = math.inf  # a run that did not learn is left out
    assert threefactor.fit_start(isolated, full, LEVEL) == pytest.approx(start, rel=1e-4)
    noise = np.random.default_rng(1).lognormal(sigma=0.05, size=20)
    assert threefactor.fit_start(isolated, full * noise, LEVEL) == pytest.approx(start, rel=0.1)


@pytest.mark.parametrize(
    ("factors", "level", "least"), [(2, 0.4, 5.46), (3, 0.4, 16.36), (2, 0.1, 1.89), (3, 0.1, 2.84)]
)
def test_the_whole_takes_at_least_a_multiple_of_its_parts(factors, level, least):
    isolated = np.ones((1, factors))
    start = threefactor.fit_start(isolated, np.full(1, 1.0), level)
    shortest = threefactor.predicted_time(threefactor.rate(isolated, start, level), start, level)
    assert shortest == pytest.approx(least, rel=0.02)  # the grid's last start is near the shortest


def test_the_product_model_says_what_it_lacks():
    with pytest.raises(HeadworksError, match="of 1 runs none"):
        threefactor.fit_start([[1, 2, math.inf]], [50], LEVEL)
    with pytest.raises(HeadworksError, match="starts above"):
        threefactor.rate(10, 0.5, LEVEL)


def test_permuted_times_are_those_of_the_same_seed():
    options = SimpleNamespace(seeds=5, dimension=8, iterations=200, learning_rate=1.0, every=50)
    found = toy.table(options, None)
    summaries = found[found["row"] == "summary"]
    for _, own in summaries.groupby("seed"):
        assert sorted(own["permuted_half_time"]) == sorted(own["half_time"])
    assert (summaries["permuted_half_time"] != summaries["half_time"]).any()
    assert found.loc[found["row"] == "curve", "permuted_half_time"].isna().all()
