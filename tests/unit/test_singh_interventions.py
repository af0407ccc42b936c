"""Interventions on trained networks: each shortcut against the pass it stands for, and a circuit wired by
hand."""

import math
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from headworks.errors import HeadworksError
from headworks.interventions import freeze_patterns, freeze_values, head_masks, recorded, zero_heads
from headworks.measures import wiring as wired
from headworks.model import Transformer, parameter_shapes
from headworks.spec import ModelSpec
from headworks.studies.singh2024.clamps import build
from headworks.studies.singh2024.datasets import every_sequence
from headworks.studies.singh2024.experiments import episodes, heads, routes, subsets, wiring
from headworks.studies.singh2024.options import EXPERIMENTS
from headworks.studies.singh2024.spec import EpisodesSpec
from headworks.tape import Tape

LABELS, CLASSES, HEADS = 4, 5, 3
ROWS = every_sequence(EpisodesSpec(source="gaussian", n_classes=CLASSES, n_labels=LABELS))
ALL_ROWS = episodes.training_rows(SimpleNamespace(train=ROWS), None)
SEEDS = [3, 8]
BASE = {
    "n_layers": 2,
    "n_heads": HEADS,
    "d_model": 24,
    "d_head": 4,
    "d_input": 6,
    "d_vocab": LABELS,
    "d_out": LABELS,
    "n_context": 5,
    "positions": "rotary",
    "end_biases": True,
}
VARIANTS = {
    "paper": {},
    "rmsnorm": {"norm": "rmsnorm", "bias": True},
    "no_norm": {"norm": "none", "end_biases": False},
    "grouped": {"n_heads": 4, "n_kv_heads": 2},
    "more_outputs": {"d_out": LABELS + 2},
}
every_variant = pytest.mark.parametrize("variant", VARIANTS)
KEPT = {"none": [], "patterns": [freeze_patterns], "values": [freeze_values]}
KEPT["both"] = KEPT["patterns"] + KEPT["values"]


@dataclass
class Run:
    """What the experiments read of a run."""

    models: list[Transformer]
    name: str = "full"
    seeds: list[int] = field(default_factory=lambda: SEEDS)
    conditions: list[str] = field(default_factory=lambda: ["unclamped"] * len(SEEDS))

    def __post_init__(self):
        self.model_spec = self.models[0].spec
        self.dataset = SimpleNamespace(train=ROWS)
        self.train_spec = SimpleNamespace(batch=32)
        self.steps = [50 * i for i in range(len(self.models))]

    def __len__(self) -> int:
        return len(self.models)

    def model(self, snapshot: int = -1) -> Transformer:
        return self.models[snapshot]


def busy(variant: str = "paper", seeds=SEEDS, noise: float = 0.3) -> Transformer:
    """A model whose weights are far from idle."""
    spec = ModelSpec(**(BASE | VARIANTS[variant]))
    vectors = torch.randn(CLASSES, 6, generator=torch.Generator().manual_seed(1))
    model = Transformer.create(spec, list(seeds), vectors=vectors)
    model.flat.add_(noise * torch.randn(model.flat.shape, generator=torch.Generator().manual_seed(2)))
    return model.requires_grad_(False)


def wired_run(n_snapshots: int = 2) -> Run:
    """Replica 0 has its previous-token head at 0 and its induction head at 0, replica 1 at 1 and 2; the first
    snapshot does nothing."""
    spec = wired.wired_spec(LABELS + CLASSES, 5, n_heads=HEADS).model_copy(update={"d_out": LABELS})
    full = spec.model_copy(update={"d_out": None})
    idle, circuit = wired.uniform_weights(full), wired.induction_weights(full)
    moved = {
        name: weight.roll(1 if "blocks.0" in name else 2, 0) if ".attn." in name else weight
        for name, weight in circuit.items()
    }

    def model(*replicas: dict[str, torch.Tensor]) -> Transformer:
        for weights in replicas:
            weights["unembed.W_U"] = weights["unembed.W_U"][:, :LABELS]
        flat = [torch.cat([one[name].flatten() for name in parameter_shapes(spec)]) for one in replicas]
        return Transformer(spec, torch.stack(flat)).requires_grad_(False)

    idle_model = model(dict(idle), dict(idle))
    return Run([idle_model] * (n_snapshots - 1) + [model(circuit, moved)])


def table(kind: str, *runs: Run, **options) -> pd.DataFrame:
    module = {"heads": heads, "subsets": subsets, "routes": routes, "wiring": wiring}[kind]
    return module.table(EXPERIMENTS[kind](**options), SimpleNamespace(runs={run.name: run for run in runs}))


def of(frame: pd.DataFrame, **values) -> pd.DataFrame:
    for key, value in values.items():
        frame = frame[frame[key] == value]
    return frame


def literal(model: Transformer, off: dict[int, list[int]], kept: str = "none", tape: Tape | None = None):
    """Metrics [r] of a whole pass with heads off, by layer."""
    inputs, target = ALL_ROWS[:, :-1], ALL_ROWS[:, -1].expand(model.n_replicas, -1)
    masks = head_masks(model.spec, [off] * model.n_replicas)
    if tape is None:
        record = recorded(model, inputs, [f"blocks.{l}.attn.{x}" for l in (0, 1) for x in ("pattern", "v")])
        frozen = [override for freeze in KEPT[kept] for override in freeze(record)]
        tape = Tape(overrides=zero_heads(masks) + frozen)
    logits = model(inputs, tape)[:, :, -1]
    other = (inputs[:, 1] + inputs[:, 3]).expand_as(target) - target
    loss = F.cross_entropy(logits.transpose(1, 2), target, reduction="none").mean(1)
    right = logits.argmax(-1) == target
    swapped = logits.argmax(-1) == other
    both = torch.stack([logits.gather(-1, x[..., None])[..., 0] for x in (target, other)])
    return {
        "loss": loss.numpy(),
        "accuracy": right.float().mean(1).numpy(),
        "right": right.numpy(),
        "swapped": swapped.float().mean(1).numpy(),
        "context_accuracy": (both[0] > both[1]).float().mean(1).numpy(),
        "log_odds": (both[0] - both[1]).mean(1).numpy(),
    }


def others(model: Transformer, *kept: int) -> list[int]:
    return [h for h in range(model.spec.n_heads) if h not in kept]


def close(found, expected) -> bool:
    return np.allclose(found, expected, rtol=1e-5, atol=1e-5)


# Shortcuts against passes


@every_variant
def test_heads_equal_passes_with_those_heads_alone(variant):
    model = busy(variant)
    found = of(table("heads", Run([busy(noise=0), model])), snapshot="last")
    best = of(found, rank=1).set_index("seed")["head"]
    best_right = [literal(model, {1: others(model, best[seed])})["right"][r] for r, seed in enumerate(SEEDS)]
    for h in range(model.spec.n_heads):
        rows = of(found, head=h)
        solo, without = literal(model, {1: others(model, h)}), literal(model, {1: [h]})
        clamp = build([{"heads": [h], "match": 1.0}] * 2, model.spec)
        matched = literal(model, {}, tape=clamp.tape(ALL_ROWS))
        for name, expected in (("solo", solo), ("without", without), ("matched", matched)):
            assert close(rows[f"{name}_accuracy"], expected["accuracy"])
            assert close(rows[f"{name}_loss"], expected["loss"])
        assert close(rows["solo_context_accuracy"], solo["context_accuracy"])
        assert close(rows["shuffled_accuracy"], solo["swapped"])
        assert close(rows["without_drop"], literal(model, {})["accuracy"] - without["accuracy"])
        assert rows["errors"].tolist() == (~solo["right"]).sum(1).tolist()
        assert rows["matched_errors"].tolist() == (~matched["right"]).sum(1).tolist()
        for r, seed in enumerate(SEEDS):
            if h != best[seed]:
                own = of(rows, seed=seed)
                assert close(own["on_best_errors"], solo["right"][r][~best_right[r]].mean())
                assert close(own["on_best_drop"], own["solo_accuracy"] - own["on_best_errors"])
    assert close(found["intact_loss"][:1], literal(model, {})["loss"][:1])
    assert found["on_best_errors"].isna().sum() == len(SEEDS)


def test_strength_is_a_difference_of_attentions():
    model = busy()
    found = of(table("heads", Run([model] * 2)), snapshot="last")
    pattern = recorded(model, ALL_ROWS[:, :-1], ["blocks.1.attn.pattern"])["blocks.1.attn.pattern"]
    first = (ALL_ROWS[:, 0] == ALL_ROWS[:, 4])[:, None]
    gap = pattern[:, :, :, -1, 1] - pattern[:, :, :, -1, 3]
    assert close(found["strength"], torch.where(first, gap, -gap).mean(1).flatten())


@every_variant
def test_subsets_equal_passes_with_the_other_heads_off(variant):
    model = busy(variant)
    found = of(table("subsets", Run([model])), row="subset")
    assert len(found) == len(SEEDS) * 2**model.spec.n_heads
    for mask in range(2**model.spec.n_heads):
        on = [h for h in range(model.spec.n_heads) if mask >> h & 1]
        rows, expected = of(found, mask=mask), literal(model, {1: others(model, *on)})
        assert (rows["size"] == len(on)).all()
        for name in ("loss", "accuracy", "context_accuracy", "log_odds"):
            assert close(rows[name], expected[name]), name


@every_variant
def test_routes_equal_two_passes(variant):
    model = busy(variant)
    some = torch.zeros(2, model.spec.n_heads, dtype=torch.bool)
    some[:, [0, 2]] = True
    found = routes.measured(model, ALL_ROWS, {"some": some})
    off = {"some": {0: [0, 2]}, "layer2": {1: others(model)}, "intact": {}}
    assert set(found) == {("some", kept) for kept in KEPT} | {("layer2", "none"), ("intact", "none")}
    for (ablated, kept), metrics in found.items():
        expected = literal(model, off[ablated], kept)
        for name, value in metrics.items():
            assert close(value, expected[name]), (ablated, kept, name)


@every_variant
def test_wiring_equals_two_passes(variant):
    model = busy(variant)
    found = of(table("wiring", Run([model, model])), snapshot="last")
    for p in range(model.spec.n_heads):
        for h in range(model.spec.n_heads):
            for kept in ("values", "patterns"):
                expected = literal(model, {0: others(model, p), 1: others(model, h)}, kept)
                rows = of(found, layer1_head=p, layer2_head=h, preserved=kept)
                assert rows["seed"].tolist() == SEEDS
                assert close(rows["accuracy"], expected["accuracy"])
                assert close(rows["loss"], expected["loss"])


def test_a_replica_is_the_same_alone_and_in_small_pieces(monkeypatch):
    model = busy()
    alone = Run([Transformer(model.spec, model.flat[1:], vectors=model.vectors).requires_grad_(False)] * 2)
    alone.seeds, alone.conditions = SEEDS[1:], ["unclamped"]
    for kind in ("heads", "subsets", "routes", "wiring"):
        together = of(table(kind, Run([model] * 2)), seed=SEEDS[1]).reset_index(drop=True)
        monkeypatch.setattr(episodes, "AT_ONCE", 30)
        pd.testing.assert_frame_equal(table(kind, alone), together, atol=1e-5)
        monkeypatch.undo()


# A circuit wired by hand


def test_the_wired_head_is_found():
    """It looks at the label of the match, and half the time also at the match itself if that comes first."""
    found = of(table("heads", wired_run()), snapshot="last")
    for seed, head in zip(SEEDS, (0, 2), strict=True):
        own, idle = of(found, seed=seed, head=head).iloc[0], of(found, seed=seed).query("head != @head")
        ones = ["rank", "solo_accuracy", "without_drop", "matched_accuracy", "intact_accuracy"]
        expected = {"strength": 0.75, "errors": 0, "shuffled_accuracy": 0} | dict.fromkeys(ones, 1)
        assert own[list(expected)].to_dict() == pytest.approx(expected, abs=1e-6)
        assert idle["strength"].abs().max() < 1e-6
        assert (idle["solo_loss"] - math.log(LABELS)).abs().max() < 1e-5
        assert idle["solo_context_accuracy"].tolist() == [0.5, 0.5]
        assert (idle["without_accuracy"] == 1).all()
        assert found["on_best_errors"].isna().all()


def test_the_wired_head_explains_every_subset():
    frame = table("subsets", wired_run())
    for seed, head in zip(SEEDS, (0, 2), strict=True):
        rows, fit = of(frame, row="subset", seed=seed), of(frame, row="fit", seed=seed).iloc[0]
        on = rows["mask"].to_numpy() >> head & 1
        assert (rows["accuracy"] == on).all()
        assert fit["additive_r2"] == pytest.approx(1)
        assert fit["monotone_without_best"] == 0
        assert fit["permuted_r2"] < 0.8
        series = rows[rows["ordered"] >= 0].sort_values("ordered")
        assert series["mask"].iloc[:2].tolist() == [0, 1 << head]
        assert series["size"].tolist() == [0, 1, 2, 3]
        weak = rows[rows["ordered_without_best"] >= 0].sort_values("ordered_without_best")
        assert weak["size"].tolist() == [0, 1, 2]
        assert not on[weak["mask"]].any()


def test_the_wired_previous_token_head_serves_patterns_alone():
    frame = table("routes", wired_run(5), snapshots=3)
    assert frame["step"].unique().tolist() == [0, 100, 200]
    assert frame["snapshot"].unique().tolist() == ["first", "middle", "last"]
    assert (frame["sequences"] == 32 * frame["step"]).all()
    last = of(frame, snapshot="last")
    accuracy = {
        key: rows["accuracy"].unique().tolist() for key, rows in last.groupby(["ablated", "preserved"])
    }
    for preserved, expected in {"none": 0, "patterns": 1, "values": 0, "both": 1}.items():
        assert accuracy["previous", preserved] == [expected]
        assert accuracy["layer1", preserved] == [expected]
        assert accuracy["others", preserved] == [1]
        assert accuracy["layer2", preserved] == [0]
    assert (last["drop"] == 1 - last["accuracy"]).all()
    counts = last.groupby("ablated")["n_heads"].unique().map(list).to_dict()
    assert counts == {"layer1": [3], "layer2": [3], "others": [2], "previous": [1], "random_previous": [1]}


def test_no_previous_token_head_leaves_the_network_intact():
    run = wired_run()
    run.models = run.models[:1] * 2
    frame = table("routes", run)
    empty = frame[frame["ablated"].isin(["previous", "random_previous"])]
    assert (empty["n_heads"] == 0).all()
    assert empty[["drop", "loss_increase"]].abs().to_numpy().max() < 1e-6


def test_the_wired_pair_is_found():
    frame = table("wiring", wired_run())
    last = of(frame, snapshot="last")
    for seed, p, h in zip(SEEDS, (0, 1), (0, 2), strict=True):
        rows = of(last, seed=seed)
        earlier, later = rows["layer1_head"] == p, rows["layer2_head"] == h
        values, patterns = (rows["preserved"] == kept for kept in ("values", "patterns"))
        assert rows["serves"].tolist() == ((later & patterns) | (earlier & later & values)).tolist()
        assert rows["is_previous"].tolist() == earlier.tolist()
        assert rows["is_induction"].tolist() == later.tolist()
        assert close(rows["previous"], np.where(earlier, 1, (1 / 2 + 1 / 4) / 2))
        assert close(rows["previous_score"], earlier.astype(float))
        pair = rows[earlier & later].iloc[0]
        assert pair["k_composition"] == pytest.approx((LABELS + CLASSES) ** -0.5)
    first = of(frame, snapshot="first")
    assert not first[["serves", "is_previous", "is_induction"]].to_numpy().any()


# Fits, tests and controls


def test_fits_tell_sums_from_products():
    generator = np.random.default_rng(0)
    on = subsets.on_off(8)
    additive = on @ generator.normal(size=8)
    frame = pd.DataFrame({"log_odds": additive, "loss": -additive, "ordered": -1, "ordered_without_best": -1})
    frame.loc[[0, 1, 3, 7], "ordered"] = range(4)
    frame.loc[[0, 2], "ordered_without_best"] = range(2)
    fit = subsets.fits(frame, 8, 0)
    assert fit["additive_r2"] == pytest.approx(1)
    assert fit["permuted_r2"] == pytest.approx(8 / 255, abs=0.02)
    assert fit["monotone"] == (np.diff(additive[[0, 1, 3, 7]]) > 0).mean()
    assert fit["monotone_without_best"] == float(additive[2] > 0)
    product = frame.assign(log_odds=on[:, 0] * on[:, 1])
    fit = subsets.fits(product, 8, 0)
    assert fit["additive_r2"] == pytest.approx(2 / 3)
    assert fit["pairwise_r2"] == pytest.approx(1)


def test_errors_on_one_label_are_not_even():
    counts = np.array([200, 200, 100])
    assert heads._even_p(np.array([20, 20, 10]), counts) == pytest.approx(1)
    assert heads._even_p(np.array([50, 0, 0]), counts) < 1e-10
    assert np.isnan([heads._even_p(errors, counts) for errors in (0 * counts, counts)]).all()


def test_an_untrained_network_is_at_chance():
    model = busy(seeds=range(12), noise=0)
    run = Run([model, model])
    run.seeds, run.conditions = list(range(12)), ["unclamped"] * 12
    by_seed = table("heads", run).groupby("seed")[
        ["solo_accuracy", "shuffled_accuracy", "solo_context_accuracy"]
    ]
    means = by_seed.mean().mean()
    assert means.tolist() == pytest.approx([1 / LABELS, 1 / LABELS, 0.5], abs=0.06)
    pairs = table("wiring", run)
    assert pairs["strength"].abs().mean() < 0.1
    assert abs(pairs["k_composition"].mean() - pairs["composition_baseline"].mean()) < 0.1


def test_examples_favour_no_side_label_or_class():
    dataset = SimpleNamespace(train=ROWS)
    everything = episodes.training_rows(dataset, None)
    assert {*map(tuple, everything.tolist())} == {*map(tuple, ROWS.tolist())}
    for number in (100, 200, 250):
        rows = episodes.training_rows(dataset, number)
        assert len(rows.unique(dim=0)) == len(rows) == number
        assert (rows[:, 0] == rows[:, 4]).float().mean() == pytest.approx(0.5, abs=0.02)
        counts = rows[:, 4].bincount(minlength=LABELS + CLASSES)[LABELS:]
        assert (counts - number / CLASSES).abs().max() <= 2


def test_prefixes_are_numbered_once():
    rows = torch.tensor([[4, 0, 5, 1, 4, 0], [4, 0, 5, 1, 5, 1], [4, 0, 6, 1, 4, 0], [5, 0, 6, 1, 5, 0]])
    found = episodes.prefixes(rows)
    assert found.tokens.tolist() == [4, 5, 0, 0, 5, 6, 6, 1, 1, 1, 4, 5, 4, 5]
    assert found.positions.tolist() == [0] * 2 + [1] * 2 + [2] * 3 + [3] * 3 + [4] * 4
    assert found.starts == [0, 2, 4, 7, 10]
    assert found.of_rows[:, -1].tolist() == [10, 11, 12, 13]
    assert torch.equal(found.tokens[found.of_rows], rows[:, :-1])


def test_a_diverged_replica_leaves_the_others():
    model = busy()
    sick = Transformer(model.spec, model.flat.clone(), vectors=model.vectors).requires_grad_(False)
    sick.flat[0] = math.nan
    for kind in ("heads", "subsets", "routes", "wiring"):
        sound, found = (table(kind, Run([one] * 2)) for one in (model, sick))
        others = (of(frame, seed=SEEDS[1]) for frame in (found, sound))
        pd.testing.assert_frame_equal(*others, check_dtype=False)
        own = of(found, seed=SEEDS[0]).filter(regex="loss|accuracy|drop|rank|monotone|_r2")
        assert own.shape[1] >= 2
        assert own.isna().all(axis=None)


def test_other_models_are_refused():
    run = Run([Transformer.create(ModelSpec(**(BASE | {"n_layers": 3})), SEEDS)])
    for kind in ("heads", "subsets", "routes", "wiring"):
        with pytest.raises(HeadworksError, match="n_layers 3"):
            table(kind, run)
