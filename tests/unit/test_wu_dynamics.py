"""Curves over training that are written down: monotone, rising and falling, lagged; and one row a network."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from headworks.errors import HeadworksError
from headworks.studies.wu2024.experiments import across, aid, dynamics
from headworks.studies.wu2024.options import Across, Aid, Dynamics

STEPS = [0, 100, 200, 300, 600, 1000, 1500, 2000]
MONOTONE = [0.2, 0.25, 0.4, 0.6, 0.7, 0.78, 0.8, 0.81]
FALLING = [0.2, 0.1, 0.5, 0.9, 0.7, 0.6, 0.5, 0.4]
FLAT = [0.0] * 8


def curve(values, steps=STEPS):
    return pd.Series(values, index=steps, dtype=float)


def clusters(sep, last=FLAT, seed=7, run="main", condition="unclamped"):
    """A table of clusters: `sep` and `last` in layer 2, half of them in layer 1, nothing in 0 and 3; val is 0.9 of train."""
    rows = []
    for split, factor in (("train", 1.0), ("val", 0.9)):
        for layer, share in ((0, 0.0), (1, 0.5), (2, 1.0), (3, 0.0)):
            for step, one, other in zip(STEPS, sep, last, strict=True):
                about = {"run": run, "condition": condition, "seed": seed, "step": step}
                about |= {"split": split, "layer": layer}
                values = {"task_ari": factor * share * one, "given_input_ari": math.nan}
                rows.append(about | {"position": "SEP"} | values)
                values = {"task_ari": math.nan, "given_input_ari": factor * share * other}
                rows.append(about | {"position": "LAST"} | values)
    return pd.DataFrame(rows)


def accuracy(val, held_out=FLAT, seed=7, run="main", condition="unclamped"):
    rows = []
    for split, values in (("train", val), ("val", val), ("held_out", held_out)):
        for step, value in zip(STEPS, values, strict=True):
            about = {"run": run, "condition": condition, "seed": seed, "step": step}
            rows.append(about | {"split": split, "accuracy": value, "input_only": 0.3})
    return pd.DataFrame(rows)


def inputs(**tables):
    return SimpleNamespace(tables=tables)


def moved(sep, val=FLAT, last=FLAT, **options):
    """The row of split val of each score."""
    tables = inputs(clusters=clusters(sep, last), accuracy=accuracy(val))
    found = dynamics.table(Dynamics(**options), tables)
    assert list(found) == [*dynamics.FIRST, *dynamics.COLUMNS]
    assert len(found) == 4
    return {score: row for score, row in found[found["split"] == "val"].set_index("score").iterrows()}


def test_a_monotone_curve():
    found = moved(MONOTONE, val=[0, 0, 0.5, 0.97, 1, 1, 1, 1])["task_ari"]
    assert found["run"] == "main"
    assert found["step"] == 2000
    assert found["layer"] == 2
    assert found["spearman"] == pytest.approx(1)
    assert found["first"] == pytest.approx(0.18)
    assert found["final"] == found["peak"] == pytest.approx(0.729)
    assert found["rise"] == pytest.approx(0.549)
    assert found["decline"] == found["dip"] == 0
    assert found["saturation"] == 1000  # 0.78 is above 0.95 of 0.81
    assert found["accuracy_saturation"] == 300
    assert found["lag"] == 700
    # of the pieces that reach beyond step 1600 the last rises by 0.01 in 500, the steepest by 0.2 in 100
    assert found["tail_slope"] == pytest.approx(0.01)
    assert found["head_slope"] == 1


def test_a_trend_is_gone_when_scores_are_scrambled():
    """One drawn order a seed; over many seeds there is no trend on average."""
    y = np.arange(10.0)
    shares = [dynamics.correlation(y, dynamics.scrambled(y, seed), stats.spearmanr) for seed in range(200)]
    assert abs(np.mean(shares)) < 0.1
    assert np.std(shares) > 0.2
    assert (dynamics.scrambled(y, 3) == dynamics.scrambled(y, 3)).all()


def test_a_curve_that_rises_and_falls():
    found = moved(FALLING)["task_ari"]
    assert found["spearman"] < 0.3
    assert found["peak"] == pytest.approx(0.81)
    assert found["decline"] == pytest.approx(0.45)
    assert found["dip"] == pytest.approx(0.09)
    assert found["saturation"] == 200  # already above its final value
    assert found["tail_slope"] == pytest.approx(0.1 / 500 / (0.4 / 100))
    assert math.isnan(found["accuracy_saturation"])
    assert math.isnan(found["lag"])


def test_a_flat_curve_has_no_slope_to_compare():
    found = moved(FLAT)["given_input_ari"]
    assert found["rise"] == 0
    assert np.isnan([found[name] for name in ("spearman", "tail_slope", "saturation", "lead")]).all()


def test_the_rise_is_judged_from_a_step_on():
    dipping = [0.9, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    assert moved(dipping)["task_ari"]["spearman"] == pytest.approx(1)
    assert moved(dipping, after=0)["task_ari"]["spearman"] < 0.5


def test_each_score_is_read_at_its_position():
    found = moved(FLAT, last=MONOTONE)
    assert found["given_input_ari"]["final"] == pytest.approx(0.729)
    assert found["task_ari"]["final"] == 0


def test_the_layer_is_that_of_the_end_of_training_on_split_train():
    table = clusters(MONOTONE)
    best_on_val = (table["layer"] == 1) & (table["split"] == "val")
    early = (table["layer"] == 3) & (table["step"] == 300)
    table.loc[best_on_val | early, "task_ari"] = 0.95
    assert dynamics.best_layer(table[table["position"] == "SEP"], "task_ari") == 2


def test_a_curve_that_goes_first_leads():
    rng = np.random.default_rng(0)
    changes = rng.random(30)
    leader, follower = curve(np.cumsum(changes), range(30)), curve(np.cumsum(np.roll(changes, 1)), range(30))
    assert dynamics.lead(leader, follower) > 0.7
    assert dynamics.lead(follower, leader) == pytest.approx(-dynamics.lead(leader, follower))
    assert dynamics.lead(leader, leader) == pytest.approx(0)
    assert math.isnan(dynamics.lead(leader, curve([], [])))


def test_a_diverged_replica_is_undefined():
    broken = [*MONOTONE[:4], *[math.nan] * 4]
    found = moved(broken)["task_ari"]
    assert np.isnan(found[dynamics.COLUMNS[3:]].astype(float)).all()


def test_replicas_are_kept_apart():
    table = pd.concat([clusters(MONOTONE), clusters(FALLING, seed=8), clusters(FLAT, condition="task")])
    answered = pd.concat([accuracy(MONOTONE, seed=8), accuracy(FALLING)])
    found = dynamics.table(Dynamics(), inputs(clusters=table, accuracy=answered))
    rows = found[(found["score"] == "task_ari") & (found["split"] == "train")]
    assert rows["final"].tolist() == pytest.approx([0.81, 0.4, 0])
    assert rows["accuracy_saturation"].tolist()[:2] == [200, 1000]
    assert math.isnan(rows["accuracy_saturation"].tolist()[2])


def test_a_role_without_its_table_is_an_error():
    with pytest.raises(HeadworksError, match=r"options.clusters: groups is not among the tables read"):
        dynamics.table(Dynamics(clusters="groups"), inputs(clusters=clusters(FLAT), accuracy=accuracy(FLAT)))


def steering(best=0.8):
    """Replacements at SEP: the best layer below the top is 2, the top layer, 3, is out of the question."""
    rows = []
    for layer, switch in enumerate((0.0, 0.3, best, 1.0)):
        about = {"run": "main", "condition": "unclamped", "seed": 7, "step": 2000, "layer": layer}
        rows.append(about | {"kind": "replace", "positions": "SEP", "switch": switch})
        rows.append(about | {"kind": "replace", "positions": "all", "switch": 0.99})
        rows.append(about | {"kind": "shift", "positions": "SEP", "switch": 0.98})
    return pd.DataFrame(rows)


def test_across_puts_one_network_in_one_row():
    tables = inputs(
        clusters=clusters(MONOTONE, FALLING),
        accuracy=accuracy(MONOTONE, FALLING),
        steering=steering(),
    )
    found = across.table(Across(), tables)
    assert list(found) == [*across.FIRST, *across.COLUMNS]
    assert found["step"].tolist() == STEPS
    last = found.iloc[-1]
    assert last["sep_ari"] == pytest.approx(0.9 * 0.81)
    assert last["last_given_input"] == pytest.approx(0.9 * 0.4)
    assert (last["val_accuracy"], last["held_out_accuracy"], last["input_only"]) == (0.81, 0.4, 0.3)
    assert last["switch"] == 0.8
    assert found["switch"].isna().tolist() == [True] * 7 + [False]


def test_across_chooses_the_layer_on_split_train():
    table = clusters(MONOTONE)
    table.loc[(table["layer"] == 1) & (table["split"] == "val"), "task_ari"] = 0.95
    tables = inputs(clusters=table, accuracy=accuracy(FLAT), steering=steering())
    assert across.table(Across(), tables)["sep_ari"].max() == pytest.approx(0.9 * 0.81)


def test_across_puts_the_next_run_beside_each_as_a_control():
    runs = [clusters(curve, run=run) for run, curve in (("a", MONOTONE), ("b", FALLING), ("c", FLAT))]
    tables = inputs(clusters=pd.concat(runs, ignore_index=True), accuracy=accuracy(FLAT), steering=steering())
    found = across.table(Across(), tables).set_index(["run", "step"])
    for run, after in (("a", "b"), ("b", "c"), ("c", "a")):
        own, other = found.loc[run, "other_sep_ari"], found.loc[after, "sep_ari"]
        assert own.tolist() == other.tolist()


def test_aid_counts_steps_to_the_threshold():
    curves = [
        accuracy([0, 0, 0.5, 0.96, 0.9, 1, 1, 0.99], MONOTONE, condition="task"),
        accuracy(MONOTONE, condition="permuted"),
        accuracy([*MONOTONE[:7], math.nan], seed=8),
    ]
    found = aid.table(Aid(), inputs(accuracy=pd.concat(curves)))
    assert list(found) == [*aid.FIRST, *aid.COLUMNS]
    assert found["condition"].tolist() == ["task", "permuted", "unclamped"]
    assert found["steps_to"].tolist()[:2] == [300, math.inf]
    assert math.isnan(found["steps_to"][2])
    assert found["held_out"].tolist() == pytest.approx([0.81, 0, 0])
    assert found["val"].tolist()[:2] == [0.99, 0.81]
