"""Phase changes of Olsson 2022, and what is measured before and after them, on planted curves and losses."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from olsson_inputs import CHANGE, SEEDS, of, only_tables, planted, table

from headworks.errors import HeadworksError
from headworks.studies.olsson2022.experiments import windows

# ---------------------------------------------------------------- phases, windows

TOKENS = np.concatenate([[0], np.linspace(1e5, 4e6, 40)])


def curve(run: str, seed: int = 0, **columns) -> pd.DataFrame:
    """A flat curve, but for the columns given."""
    flat = {"loss": 3.0, "icl": 0.0, "prefix": 0.05, "previous": 0.1, "copy_gain": 0.0, "chance": 0.05}
    about = {"run": run, "layers": 2, "parameters": 10, "alpha": np.nan, "seed": seed}
    return pd.DataFrame(about | {"step": np.arange(len(TOKENS)), "tokens": TOKENS} | flat | columns)


def sigmoid(middle: float, width: float = 1e5) -> np.ndarray:
    return 1 / (1 + np.exp(-(TOKENS - middle) / width))


def phases_of(*frames: pd.DataFrame, **options) -> pd.DataFrame:
    found = table("phases", only_tables(curves=pd.concat(frames)), **options)
    return found.set_index(["run", "seed"])


def test_a_planted_window_is_found():
    planted = [
        curve(
            "late",
            seed,
            icl=-0.5 * sigmoid(2e6),
            prefix=0.05 + 0.8 * sigmoid(2e6 + lag),
            loss=3 - 0.4 * sigmoid(2e6),
        )
        for seed, lag in ((0, 0), (1, 3e5), (2, -3e5))
    ]
    found = phases_of(*planted)
    assert found["window"].eq(1).all()
    assert np.allclose(found["midpoint"], 2e6, atol=2e4)
    # 10 % to 90 % of a sigmoid is 2 ln 9 of its widths
    assert np.allclose(found["end"] - found["start"], 2 * math.log(9) * 1e5, rtol=0.1)
    lags = found["prefix_lag_widths"].to_numpy()
    assert lags[0] == pytest.approx(0, abs=0.05)
    assert lags[1:] == pytest.approx([3e5 / 4.4e5, -3e5 / 4.4e5], abs=0.1)
    assert np.allclose(found["loss_lag_widths"], 0, atol=0.05)
    assert np.allclose(found["icl_start"], 0, atol=1e-3)
    assert np.allclose(found["icl_end"], -0.5, atol=1e-3)
    assert np.allclose(found["icl_gain"], 0.5, atol=1e-3)
    assert np.allclose(found["icl_before"], -0.05, atol=0.01)
    assert np.allclose(found["icl_after"], -0.45, atol=0.01)
    assert np.allclose(found["elapsed"], 4.4e5 / 4e6, rtol=0.1)
    assert np.allclose(found["inside"], 0.8, atol=0.02)
    assert found["prefix_over_chance"].to_numpy() == pytest.approx([17] * 3, abs=0.05)
    assert np.allclose(found["icl_time"], 2e6, atol=2e4)
    assert found["previous_time"].eq(math.inf).all()
    # -0.1 nats, a fifth of the change: ln 4 widths before the middle
    assert np.allclose(found["icl_onset"], 2e6 - math.log(4) * 1e5, atol=2e4)


def test_what_falls_before_after_is_no_phase_change():
    fall = np.where(TOKENS > 0, -0.3, 0.0)
    early = curve("early", icl=fall)
    assert phases_of(early)["window"].eq(1).all()
    assert phases_of(early, after=100_000)["window"].eq(0).all()
    both = phases_of(curve("both", icl=fall - 0.5 * sigmoid(2e6)), after=100_000).iloc[0]
    assert both["midpoint"] == pytest.approx(2e6, abs=2e4)
    assert both["icl_gain"] == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(HeadworksError, match="training of both ends at 4000000"):
        phases_of(curve("both"), after=5_000_000)


def test_flat_curves_have_no_window_and_never_happen():
    found = phases_of(curve("flat")).iloc[0]
    assert found["window"] == 0
    assert found["diverged"] == 0
    assert all(found[f"{key}_time"] == math.inf for key in ("icl", "prefix", "previous"))
    assert found["icl_onset"] == math.inf
    assert math.isnan(found["bump"])
    assert math.isnan(found["prefix_lag_widths"])  # a column, though no replica of the table has a window


def test_a_curve_with_nan_is_a_diverged_replica():
    loss = np.where(TOKENS < 3e6, 3.0, np.nan)
    found = phases_of(
        curve("lost", icl=-0.5 * sigmoid(1e6), loss=loss), curve("well", icl=-0.5 * sigmoid(1e6))
    )
    assert found["diverged"].tolist() == [1, 0]
    assert found["window"].tolist() == [0, 1]
    assert math.isnan(found.loc[("lost", 0), "icl_end"])


def test_a_bump_is_seen_and_looked_for_in_the_reference_of_the_same_seed():
    """A plateau before a drop is concave; a straight loss is neither in its own window nor in another's."""
    changed = {"icl": -0.5 * sigmoid(2e6)}
    found = phases_of(
        curve("two", 0, **changed, loss=3 - 0.5 * sigmoid(2e6)),
        curve("two", 1, **changed, loss=3 - 1e-7 * TOKENS),
        curve("one", 0, loss=3 - 1e-7 * TOKENS),
        curve("one", 1, loss=3 - 0.5 * sigmoid(2e6)),
        curve("one", 2, loss=3 - 0.5 * sigmoid(2e6)),
        reference="two",
    )["bump"]
    assert found[("two", 0)] > 0.05
    assert found[("two", 1)] == pytest.approx(0, abs=1e-6)
    assert found[("one", 0)] == pytest.approx(0, abs=1e-6)
    assert found[("one", 1)] > 0.05
    assert math.isnan(found[("one", 2)])


def test_the_phases_of_wired_runs(bench):
    found = bench.tables["phases"].set_index(["run", "seed"])
    middle = 50 * (CHANGE - 0.5)
    for seed in SEEDS:
        for run in ("wired", "smeared"):
            assert found.loc[(run, seed), "window"] == 1
            assert found.loc[(run, seed), ["midpoint", "prefix_time", "icl_time"]].tolist() == pytest.approx(
                [middle] * 3
            )
            assert found.loc[(run, seed), "prefix_lag_widths"] == pytest.approx(0, abs=0.01)
        assert found.loc[("even", seed), "window"] == 0
        assert found.loc[("wired", seed), "previous_time"] == pytest.approx(middle)
        assert found.loc[("smeared", seed), "previous_time"] == math.inf


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(10, 20, (1, 2)), (12, 18, (1, 2)), (5, 31, (0, 4)), (29, 50, (2, 4)), (40, 50, None)],
)
def test_bounds_are_the_snapshots_at_or_next_outside_the_window(start, end, expected):
    phases = pd.DataFrame(
        {"run": ["a", "b"], "seed": [3, 3], "window": [1, 0], "start": [start, np.nan], "end": [end, np.nan]}
    )
    tokens = [0, 10, 20, 30, 40]
    assert windows.bounds(phases, "a", 3, "a", tokens) == expected
    assert windows.bounds(phases, "b", 3, "a", tokens) == expected
    assert windows.bounds(phases, "b", 3, "b", tokens) is None
    assert windows.bounds(phases, "a", 4, "a", tokens) is None


# ---------------------------------------------------------------- positions, fingerprint, paths


def test_positions_read_a_planted_slope(inputs, tmp_path):
    """Loss 5 - s ln(index): the slope is -s at each index, and the loss is that of the index."""
    found = inputs("wired")
    cached = found.activations["probes"]
    index = np.arange(1, 513)
    slopes = np.array([[0.0, 0.1], [0.2, 0.3]])  # snapshots, replicas
    loss = np.repeat((5 - slopes[..., None] * np.log(index))[:, :, None], 3, axis=2)
    cached["wired"] = planted(tmp_path / "planted.h5", {"corpus/loss": loss.astype(np.float32)})
    frame = table("positions", found, bins=16)
    for snapshot, replica in np.ndindex(2, 2):
        rows = of(frame, seed=SEEDS[replica], step=5 * snapshot)
        assert np.allclose(rows["slope"], -slopes[snapshot, replica], atol=0.01)
        assert np.allclose(
            rows["loss"], 5 - slopes[snapshot, replica] * np.log(rows["index"].round()), atol=1e-4
        )
        assert (rows["tokens"] == 50 * snapshot).all()


def classes_by_hand(tokens: np.ndarray) -> np.ndarray:
    """0 new, 1 repeated, 2 broken, [sequence, position], by reading from left to right."""
    found = np.zeros((len(tokens), tokens.shape[1] - 1), int)
    for row, line in enumerate(tokens):
        followed = {}
        for t, (now, following) in enumerate(pairwise(line)):
            seen = followed.setdefault(int(now), set())
            found[row, t] = (1 if int(following) in seen else 2) if seen else 0
            seen.add(int(following))
    return found


def test_the_fingerprint_of_a_planted_change(inputs, tmp_path):
    found = inputs("wired", "even")
    tokens = found.runs["wired"].dataset.evaluation[:40]
    classes = classes_by_hand(tokens)
    loss = np.zeros((2 * CHANGE, 2, *classes.shape), np.float32)
    change = np.array([0.25, -1.0, 0.5])[classes]
    loss[CHANGE:] = np.stack([change, 2 * change])
    loss[CHANGE + 1 :] += 100  # what happens after the window is none of it
    for run in ("wired", "even"):
        found.activations["probes"][run] = planted(
            tmp_path / f"{run}.h5", {"corpus/loss": loss}, {"corpus": tokens}
        )
    frame = (
        table("fingerprint", found, phases="phases", reference="wired")
        .set_index(["run", "seed", "kind"])
        .sort_index()
    )
    for run in ("wired", "even"):  # a run without a window is looked at in that of the reference
        for seed, factor in zip(SEEDS, (1, 2), strict=True):
            rows = frame.loc[run, seed]
            assert rows.loc[["new", "repeated", "broken"], "change"].tolist() == pytest.approx(
                [0.25 * factor, -factor, 0.5 * factor]
            )
            assert rows.loc[["new", "repeated", "broken"], "excess"].tolist() == pytest.approx(
                [0, -1.25 * factor, 0.25 * factor]
            )
            shares = [np.mean(classes == code) for code in range(3)]
            for prefix in ("", "shuffled-"):
                names = [prefix + kind for kind in ("new", "repeated", "broken")]
                assert rows.loc[names, "share"].tolist() == pytest.approx(shares)
            # every shuffled class changes as the whole does
            mean = factor * change.mean()
            assert rows.loc["shuffled-repeated", "change"] == pytest.approx(mean, abs=0.1 * factor)
            assert rows.loc["shuffled-repeated", "excess"] == pytest.approx(0, abs=0.2 * factor)


def test_without_a_window_there_is_no_fingerprint(inputs):
    frame = table("fingerprint", inputs("even"), phases="phases", reference="even")
    assert frame[["change", "excess"]].isna().all(axis=None)
    assert len(frame) == 2 * 6
    assert frame["share"].notna().all()


def test_the_fingerprint_of_the_wired_run(inputs):
    frame = table("fingerprint", inputs("wired"), phases="phases", reference="wired").set_index(
        ["seed", "kind"]
    )
    for seed in SEEDS:
        assert frame.loc[(seed, "repeated"), "change"] < -2
        assert frame.loc[(seed, "broken"), "change"] > 2
        assert frame.loc[(seed, "new"), "change"] == pytest.approx(0, abs=1e-4)


def test_a_planted_turn(inputs, tmp_path):
    """One path turns by 90 degrees in the window, one goes straight on; a diverged replica has none."""
    found = inputs("wired", "even")
    time = np.arange(2 * CHANGE)
    along, across = np.zeros((2, 4, 5))
    along[0, 0], across[2, 3] = 1, 1
    early, late = np.minimum(time, CHANGE), np.maximum(time - CHANGE, 0)
    turned = early[:, None, None] * along + late[:, None, None] * across
    straight = time[:, None, None] * along
    for run, path in (("wired", turned), ("even", straight)):
        loss = np.stack([3 - path, 3 - 0.1 * path], axis=1).astype(np.float32)
        found.activations["probes"][run] = planted(tmp_path / f"{run}.h5", {"corpus/loss": loss})
    frame = table("paths", found, phases="phases", reference="wired")
    for seed in SEEDS:
        angle = {run: of(frame, run=run, seed=seed)["angle"].unique() for run in ("wired", "even")}
        assert angle["wired"] == pytest.approx([90], abs=0.5)
        assert angle["even"] == pytest.approx([0], abs=0.5)
        for run in ("wired", "even"):
            rows = of(frame, run=run, seed=seed)
            assert np.flatnonzero(rows["inside"]).tolist() == [CHANGE - 1, CHANGE]
            assert rows["step"].tolist() == (5 * time).tolist()
            steps = np.hypot(rows["pc1"].diff(), rows["pc2"].diff()).iloc[1:]
            assert np.allclose(steps, 1 if seed == SEEDS[0] else 0.1, atol=1e-4)
            assert np.allclose(rows["explained1"] + rows["explained2"], 1)
    found.runs["even"].diverged = np.array([-1, 7])
    frame = table("paths", found, phases="phases", reference="wired")
    assert set(zip(frame["run"], frame["seed"], strict=True)) == {("wired", 3), ("wired", 8), ("even", 3)}
