"""The experiments on curves and clamped networks: planted curves and patterns, networks wired by hand."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from singh_runs import BATCH, LN2, LN5, SPEC, Run, asked, inputs, of, small_dataset

from headworks.errors import HeadworksError
from headworks.measures import learning
from headworks.model import Transformer
from headworks.parameters import parameter_shapes
from headworks.spec import ModelSpec
from headworks.studies.singh2024 import threefactor
from headworks.studies.singh2024.experiments import (
    curves,
    evaluation,
    prediction,
    progress,
    sources,
    timing,
)


@pytest.fixture(scope="module")
def dataset():
    return small_dataset()


def copier(gains=(1.0, 0.0, 0.0)):
    """Heads of layer 2 that copy the label they attend to, with a gain each; all attention is even."""
    weights = {name: torch.zeros(shape) for name, shape in parameter_shapes(SPEC).items()}
    weights["embed.W_E"][:, :5] = torch.eye(5)
    weights["unembed.W_U"][5:10] = torch.eye(5)
    for head, gain in enumerate(gains):
        weights["blocks.1.attn.W_V"][head, :5, :5] = torch.eye(5)
        weights["blocks.1.attn.W_O"][head, :5, 5:10] = gain * torch.eye(5)
    return weights


# Curves and timing


def test_curves_average_each_replica_over_training():
    trace = np.arange(10.0)[:, None] + np.array([0, 100])
    run = Run(SimpleNamespace(facts={"n_classes": 7, "n_labels": 4}), [3, 8], ["a", "b"], trace=trace)
    found = curves.table(asked("curves", width=4 * BATCH), inputs([run]))
    assert list(found) == ["run", "condition", "seed", "n_classes", "n_labels", "sequences", "loss"]
    assert of(found, seed=3)["loss"].tolist() == [1.5, 5.5]
    assert of(found, seed=8)["loss"].tolist() == [101.5, 105.5]
    assert of(found, seed=8)["sequences"].tolist() == [2 * BATCH, 6 * BATCH]
    assert set(of(found, condition="b")["seed"]) == {8}
    assert (set(found["n_classes"]), set(found["n_labels"])) == ({7}, {4})


def test_a_run_shorter_than_a_stretch_is_named():
    run = Run(SimpleNamespace(facts={"n_classes": 7, "n_labels": 4}), [3], ["a"], trace=np.ones((2, 1)))
    with pytest.raises(HeadworksError, match="the run main has seen 64"):
        curves.table(asked("curves", width=5000), inputs([run]))


TIMES = np.arange(0.5, 200) * 2e3


def a_curve(condition, seed, loss, run="main"):
    about = {"run": run, "condition": condition, "seed": seed, "n_classes": 50, "n_labels": 5}
    return pd.DataFrame(about | {"sequences": TIMES, "loss": loss})


def smooth(constant):
    return LN5 * np.exp(-TIMES / constant)


def abrupt(midpoint):
    return LN2 / (1 + np.exp((TIMES - midpoint) / 16e3)) + (LN5 - LN2) * np.exp(-TIMES / 5e3)


def timed(*frames, **options):
    tables = {f"curves{i}": frame for i, frame in enumerate(frames)}
    return timing.table(asked("timing", **options), inputs(tables=tables))


def test_timing_tells_smooth_from_abrupt_and_from_never():
    found = timed(
        pd.concat([a_curve("whole", 4, abrupt(180e3)), a_curve("part", 4, smooth(40e3))]),
        a_curve("whole", 4, np.full(len(TIMES), LN2), run="stuck"),
    ).set_index(["run", "condition"])
    whole, part, stuck = found.loc["main", "whole"], found.loc["main", "part"], found.loc["stuck", "whole"]
    assert whole["midpoint"] == pytest.approx(180e3, rel=1e-3)
    assert part["midpoint"] == pytest.approx(40e3 * math.log(LN5 / LN2 * 2), rel=1e-2)
    assert part["finished"] == pytest.approx(40e3 * math.log(10 * LN5), rel=1e-2)
    assert (part["rate"], part["fit"]) == pytest.approx((1 / 40e3, 1))
    assert whole["shape"] > 2 > 1.05 > part["shape"]
    assert whole["plateau"] > 90e3 > 20e3 > part["plateau"]
    assert whole["longest_plateau"] > 90e3
    assert found["censored"].tolist() == [0, 0, 1]
    assert stuck[["onset", "midpoint", "learned", "finished"]].tolist() == [math.inf] * 4
    assert stuck["ended"] == TIMES[-1]
    assert (part["start_loss"], part["end_loss"]) == (smooth(40e3)[0], smooth(40e3)[-1])


def test_permuted_times_stay_with_their_seed_and_lose_their_condition():
    frames = [
        a_curve(f"c{i}", seed, smooth(1e3 * (10 * i + seed + 1))) for seed in range(6) for i in range(5)
    ]
    found = timed(pd.concat(frames))
    for _, own in found.groupby("seed"):
        assert sorted(own["permuted_midpoint"]) == sorted(own["midpoint"])
    moved = found["permuted_midpoint"] != found["midpoint"]
    assert 0.5 < moved.mean() < 1
    place = [found["midpoint"].tolist().index(x) for x in found["permuted_midpoint"]]
    assert found["permuted_learned"].tolist() == found["learned"].iloc[place].tolist()
    again = timed(pd.concat(frames), seed=1)
    assert (again["permuted_midpoint"] != found["permuted_midpoint"]).any()
    one = timed(pd.concat(frames[5:10]))
    assert one["permuted_midpoint"].tolist() == of(found, seed=1)["permuted_midpoint"].tolist()


def test_a_run_in_two_tables_is_refused():
    with pytest.raises(HeadworksError, match="hold the run main more than once"):
        timed(a_curve("whole", 4, smooth(4e4)), a_curve("whole", 4, smooth(4e4)))


# Evaluation


def evaluated(run, **options):
    return evaluation.table(asked("evaluation", **options), inputs([run]))


def test_each_replica_is_evaluated_under_its_own_clamps(dataset):
    clamps = {
        "right": {"heads": [0], "match": 1.0},
        "wrong": {"heads": [0], "match": 0.0},
        "even": {"heads": [0]},
        "off": {"heads": [1]},
        "drawn": {"heads": [0], "match": 1.0, "match_random": True},
    }
    weights = [copier((20.0, 0.0, 0.0))] * len(clamps)
    run = Run(dataset, [4, 5, 6, 7, 8], list(clamps), clamps, [64], [weights])
    found = evaluated(run)
    assert set(found["split"]) == {"train", "test_class", "held_out_pairs", "drawings", "swapped"}
    assert len(found) == 5 * 5
    assert set(found["sequences"]) == {64 * BATCH}
    for _, rows in of(found, condition="right").groupby("split"):
        right = rows["split"].item() != "swapped"
        assert (rows["accuracy"].item(), rows["context_accuracy"].item()) == (right, right)
        assert rows["loss"].item() == pytest.approx(0 if right else 20, abs=1e-6)
    wrong = of(found, condition="wrong").set_index("split")
    assert wrong["accuracy"].to_dict() == {
        "train": 0,
        "test_class": 0,
        "held_out_pairs": 0,
        "drawings": 0,
        "swapped": 1,
    }
    assert wrong["context_mass"].tolist() == pytest.approx([1] * 5)
    off = of(found, condition="off")
    assert off["loss"].tolist() == pytest.approx([LN5] * 5)
    assert off[["target_probability", "context_mass"]].to_numpy() == pytest.approx(np.array([[0.2, 0.4]] * 5))
    even = of(found, condition="even")
    target = math.exp(4) / (2 * math.exp(4) + 3)
    assert even["target_probability"].tolist() == pytest.approx([target] * 5)
    assert even["context_accuracy"].tolist() == [0.5] * 5
    drawn = of(found, condition="drawn").set_index("split")["accuracy"]
    assert drawn.to_numpy() == pytest.approx(np.full(5, 0.5), abs=0.15)
    assert drawn["train"] + drawn["swapped"] == pytest.approx(1)


def test_an_untrained_network_is_at_chance(dataset):
    spec = ModelSpec(
        n_layers=2,
        n_heads=8,
        d_model=64,
        positions="rotary",
        end_biases=True,
        init="truncated",
        embed_std=0.02,
        d_vocab=5,
        d_input=512,
        n_context=5,
    )
    seeds = list(range(6))
    model = Transformer.create(spec, seeds, vectors=torch.from_numpy(dataset.vectors))
    run = Run(dataset, seeds, ["unclamped"] * 6, model_spec=spec)
    run.model = lambda snapshot: model.requires_grad_(False)
    found = of(evaluated(run), snapshot="last")
    means = found.groupby("split")[["accuracy", "context_accuracy", "context_mass"]].mean()
    assert means.to_numpy() == pytest.approx(np.array([[0.2, 0.5, 0.4]] * 5), abs=0.08)
    assert (found["loss"] > 0.9 * LN5).all()


def test_a_released_clamp_is_off_from_its_step_on(dataset):
    clamps = {"pulse": {"heads": [0], "match": 1.0, "release": 10}}
    run = Run(dataset, [4], ["pulse"], clamps, [0, 9, 10, 20], [[copier((20.0, 9.0, 9.0))]] * 4)
    found = of(evaluated(run, snapshots=4), split="train")
    assert found["snapshot"].tolist() == ["first", "middle", "middle", "last"]
    assert found["accuracy"].tolist()[:2] == [1, 1]
    assert found["context_accuracy"].tolist() == [1, 1, 0.5, 0.5]
    # Two of five tokens are its labels, and only the first head is active throughout.
    assert found["loss"].tolist()[2:] == pytest.approx([math.log(2 + 3 * math.exp(-4))] * 2)
    assert of(evaluated(run, snapshots=2), split="train")["step"].tolist() == [0, 20]
    assert of(evaluated(run, snapshots=1), split="train")["step"].tolist() == [20]


def test_a_diverged_replica_has_no_accuracy():
    model = SimpleNamespace(spec=SimpleNamespace(d_out=3, d_vocab=9))
    logits = torch.tensor([[[2.0, 1.0, 0.0]], [[torch.nan] * 3]])
    found = evaluation.mean_scores(model, logits, torch.tensor([[5, 0, 6, 1, 5, 0]]))
    assert found["accuracy"][0] == found["context_accuracy"][0] == 1
    assert all(np.isnan(value[1]) for value in found.values())


# Progress measures


def test_progress_measures_clamp_snapshots_of_one_condition(dataset):
    gains = np.linspace(0, 6, 13)
    steps = [1000 * i for i in range(len(gains))]
    weights = [[copier((9.0, 0, 0)), copier((gain, -gain, 0))] for gain in gains]
    run = Run(dataset, [4, 7], ["other", "plain"], {"other": {}, "plain": {"heads": [0]}}, steps, weights)
    options = asked(
        "progress",
        condition="plain",
        measures={"match": {"match": 1.0}, "both": {"heads": [0, 1], "match": 1.0}},
        snapshots=13,
        examples=150,
    )
    found = progress.table(options, inputs([run]))
    assert set(found["seed"]) == {7}
    assert set(found["measure"]) == {"none", "match", "both"}
    times = np.array(steps) * BATCH
    expected = np.log1p(4 * np.exp(-gains))
    match = of(found, measure="match")
    assert match["sequences"].tolist() == times.tolist()
    assert match["loss"].to_numpy() == pytest.approx(expected, abs=1e-6)
    assert match["accuracy"].tolist()[1:] == [1] * 12
    learned = learning.crossing(times, expected, 0.4 * LN2)
    assert match["learned"].to_numpy() == pytest.approx(np.full(13, learned), rel=1e-4)
    none = of(found, measure="none")
    assert none["loss"].to_numpy() == pytest.approx(np.log(2 + 3 * np.exp(-gains / 5)), abs=1e-6)
    assert set(none["learned"]) == {math.inf}
    both = of(found, measure="both")
    assert both["loss"].to_numpy() == pytest.approx(np.full(13, LN5), abs=1e-6)
    assert set(both["plateau"]) == {times[-1]}


def test_progress_says_what_it_cannot_measure(dataset):
    run = Run(dataset, [4], ["plain"], {"plain": {"heads": [0]}}, [0], [[copier()]])

    def measured(**options):
        progress.table(asked("progress", **options), inputs([run]))

    with pytest.raises(HeadworksError, match="no run has the condition full; there are plain"):
        measured(condition="full", measures={})
    with pytest.raises(HeadworksError, match="give the measure another name"):
        measured(condition="plain", measures={"none": {}})
    with pytest.raises(
        HeadworksError, match=r"measures.copy: copy_heads: 1 is not among the active heads \[0\]"
    ):
        measured(condition="plain", measures={"copy": {"copy_heads": [1]}})


# Prediction

START = 0.03
ISOLATED = {"a": "only-a", "b": "only-b", "c": "only-c"}


def planted_times(n_seeds=12, noise=0.0):
    """A timing table in which the product model holds, for three kinds of data."""
    generator = np.random.default_rng(5)
    rows = []
    for n_classes, n_labels, slower in ((50, 5, (1, 1, 1)), (200, 5, (1, 2, 1)), (50, 15, (1, 1, 3))):
        isolated = 3e4 * generator.lognormal(sigma=0.6, size=(n_seeds, 3)) * slower
        rates = threefactor.rate(isolated, START, 0.4)
        whole = threefactor.predicted_time(rates, START, 0.4) * generator.lognormal(sigma=noise, size=n_seeds)
        for i in range(n_seeds):
            about = {"n_classes": n_classes, "n_labels": n_labels, "seed": i}
            rows.append(
                about | {"run": f"whole-{n_classes}-{n_labels}", "condition": "none", "learned": whole[i]}
            )
            rows += [
                about | {"run": f"parts-{n_classes}-{n_labels}", "condition": name, "learned": isolated[i, j]}
                for j, name in enumerate(ISOLATED.values())
            ]
    return pd.DataFrame(rows)


def foretold(timing_table, **options):
    options = asked("prediction", isolated=ISOLATED, full="none", **options)
    return prediction.table(options, inputs(tables={"timing": timing_table}))


def test_prediction_finds_a_product_model_and_beats_its_controls():
    found = foretold(planted_times())
    assert len(found) == 36
    assert found["start"].to_numpy() == pytest.approx(np.full(36, START), rel=1e-3)
    assert found["log_error"].max() < 1e-3
    assert found.groupby("held_out", sort=False).size().to_dict() == {
        "seeds": 12,
        "classes": 12,
        "labels": 12,
    }
    errors = found[["baseline_log_error", "shuffled_log_error"]].groupby(found["held_out"]).mean()
    assert (errors > 0.2).all(axis=None)
    assert set(found["fold"]) == {0, 1, 2, 3}


def test_a_seed_is_not_in_its_own_fit():
    table = planted_times(noise=0.3)
    found = foretold(table)
    changed = table.copy()
    changed.loc[(table["seed"] == 5) & (table["condition"] == "none"), "learned"] *= 3
    again = foretold(changed)
    own = found["fold"] == found.loc[found["seed"] == 5, "fold"].iloc[0]
    assert (again["predicted"][own] == found["predicted"][own]).all()
    assert (again["predicted"][~own] != found["predicted"][~own]).all()


def test_prediction_without_a_relation_is_no_better_than_its_controls():
    table = planted_times(n_seeds=40)
    whole = table["condition"] == "none"
    for _, rows in table[whole].groupby("run"):
        table.loc[rows.index, "learned"] = np.random.default_rng(0).permutation(rows["learned"])
    found = of(foretold(table), held_out="seeds")
    means = found[["log_error", "shuffled_log_error", "baseline_log_error"]].mean()
    assert means["log_error"] == pytest.approx(means["shuffled_log_error"], rel=0.25)
    assert means["log_error"] > means["baseline_log_error"]


def test_times_that_are_not_known_have_no_error():
    table = planted_times()
    key = (table["n_classes"] == 50) & (table["n_labels"] == 5)
    table.loc[key & (table["seed"] == 2) & (table["condition"] == "none"), "learned"] = math.inf
    table.loc[key & (table["seed"] == 3) & (table["condition"] == "only-c"), "learned"] = math.inf
    table = table[~(key & (table["seed"] == 4) & (table["condition"] == "only-a"))]
    found = of(foretold(table), held_out="seeds").set_index("seed")
    assert found["censored"].tolist() == [0, 0, 1] + [0] * 9
    assert math.isnan(found.loc[2, "log_error"])
    assert math.isfinite(found.loc[2, "predicted"])
    assert (found.loc[3, "predicted"], found.loc[3, "log_error"]) == (math.inf, math.inf)
    assert math.isnan(found.loc[4, "predicted"])
    assert found["log_error"].drop([2, 3, 4]).max() < 1e-3
    nothing = planted_times(n_seeds=4).assign(learned=math.inf)
    assert foretold(nothing)["predicted"].isna().all()


def test_prediction_says_what_it_lacks():
    table = planted_times(n_seeds=4)
    with pytest.raises(HeadworksError, match=r"options.isolated.c: the table has no condition only-c"):
        foretold(table[table["condition"] != "only-c"])
    with pytest.raises(HeadworksError, match="leave one out"):
        foretold(pd.concat([table, table.assign(run="again")]))
    options = asked("prediction", isolated={"a": "only-a"}, full="none")
    with pytest.raises(HeadworksError, match="needed are a, b and c"):
        prediction.table(options, inputs(tables={"timing": table}))


# Sources


def test_sources_stand_beside_omniglot(dataset):
    drawn = SimpleNamespace(
        facts={
            "source": "invented characters",
            "encoder": "random_conv",
            "within_class_cosine": 0.66,
            "between_class_cosine": 0.55,
        }
    )
    found = sources.table(asked("sources"), inputs(datasets_={"glyphs": drawn, "vectors": dataset}))
    assert found["dataset"].tolist() == ["glyphs", "vectors", "reference"]
    assert found["ratio"].iloc[0] == pytest.approx(1.2)
    assert found.loc[1, ["within", "between"]].tolist() == pytest.approx([0.5, 0.0], abs=0.05)
    assert found.loc[2, "encoder"] == "random_conv"
    assert len(sources.table(asked("sources"), inputs(datasets_={"vectors": dataset}))) == 1
