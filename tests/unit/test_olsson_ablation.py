"""Interventions of Olsson 2022 on wired heads, whose part in in-context learning is known."""

from contextlib import ExitStack
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
from olsson_inputs import (
    CHANGE,
    COMMON,
    HEAD,
    PREVIOUS,
    PROBES,
    SEEDS,
    VOCAB,
    Bench,
    of,
    opened,
    planted,
    table,
    wired_spec,
)

from headworks.measures import wiring
from headworks.studies.olsson2022.experiments import joint, mechanism, roles

# ---------------------------------------------------------------- ablation


def test_ablation_finds_the_wired_heads_and_the_trap_of_the_published_kind(inputs):
    """A previous-token head acts through a later pattern: preserved, the ablation does not see it."""
    one = inputs("wired")
    frame = table("ablation", one, **COMMON, phases="phases", snapshots=2)
    assert sorted(frame["step"].unique()) == [0, 5 * (2 * CHANGE - 1)]
    assert np.allclose(of(frame, step=0)["icl_change"], 0, atol=1e-5)
    last = of(frame, step=frame["step"].max())
    loss = one.activations["probes"]["wired"].file["corpus/loss"]
    for replica, (seed, wired) in enumerate(HEAD.items()):
        moved = np.linalg.norm(loss[CHANGE, replica] - loss[CHANGE - 1, replica])
        for kind, seen in (("full", {(0, PREVIOUS[seed]), (1, wired)}), ("pattern-preserving", {(1, wired)})):
            rows = of(last, seed=seed, kind=kind).set_index(["layer", "head"])
            for head, row in rows.iterrows():
                if head in seen:
                    assert row["icl_share"] == pytest.approx(1, abs=1e-3)
                    assert row["icl_change"] > 1
                    # nothing of the change is left: the losses go all the way back
                    assert row["projection"] == pytest.approx(-moved, rel=1e-3)
                else:
                    assert row[["icl_change", "icl_share", "projection"]].tolist() == pytest.approx(
                        [0] * 3, abs=1e-4
                    )
            assert rows.index[rows["induction"]].tolist() == [(1, wired)]
            assert rows.index[rows["previous_head"]].tolist() == [(0, PREVIOUS[seed])]


def test_as_many_heads_are_drawn_at_random_as_are_induction_heads(inputs):
    frame = table("ablation", inputs("wired", "smeared"), examples=8, phases="phases", snapshots=12)
    groups = frame.groupby(["run", "seed", "step", "kind"])
    assert (groups["random_head"].sum() == groups["induction"].sum()).all()
    assert groups["induction"].sum().max() == 1
    drawn = frame[frame["random_head"]]
    assert drawn.groupby(["run", "layer", "head"]).ngroups > 6  # not always the same
    assert 0 < (drawn["induction"]).mean() < 1


def test_a_replica_without_window_has_no_projection(inputs):
    frame = table("ablation", inputs("even"), **COMMON, phases="phases")
    assert frame["projection"].isna().all()
    assert not frame["induction"].any()


def test_the_projection_needs_no_more_sequences_than_were_cached(inputs):
    """The direction and what is projected on it are of the same sequences, whatever their number."""
    few = table("ablation", inputs("wired"), examples=8, width=1, phases="phases")
    loss = inputs("wired").activations["probes"]["wired"].file["corpus/loss"]
    moved = np.linalg.norm(loss[CHANGE, 0, :8] - loss[CHANGE - 1, 0, :8])
    assert few["projection"].min() == pytest.approx(-moved, rel=1e-3)


def test_early_loss_is_that_around_the_early_index():
    """Of 512 positions the 50th; the score itself is of the same index."""
    loss = torch.zeros(2, 3, 512)
    loss[1, :, 49] = 6.0
    module = import_module("headworks.studies.olsson2022.experiments.ablation")
    assert module.early_loss(loss, 0).tolist() == [0, 6]
    assert module.early_loss(loss, 1).tolist() == [0, 2]


# ---------------------------------------------------------------- joint


@pytest.mark.parametrize("run", ["wired", "smeared"])
def test_the_induction_heads_together_hold_all_and_random_sets_none(inputs, run):
    frame = table("joint", inputs(run), **COMMON, draws=6)
    assert frame["heads"].eq(1).all()
    assert len(frame) == 2 * 2 * 7
    assert np.allclose(of(frame, set="induction")["removed"], 1, atol=1e-3)
    assert np.allclose(of(frame, set="random", kind="pattern-preserving")["removed"], 0, atol=1e-3)
    # drawn from the same layer, so never the previous-token head of the layer before
    assert np.allclose(of(frame, set="random", kind="full")["removed"], 0, atol=1e-3)


def test_without_induction_heads_nothing_is_compared(inputs):
    frame = table("joint", inputs("even"), **COMMON)
    assert frame["heads"].eq(0).all()
    assert frame["removed"].isna().all()


def test_random_sets():
    chosen = np.zeros((3, 2, 4), bool)  # layers, replicas, heads
    chosen[1, 0, :3] = chosen[2, 0, 0] = True
    chosen[:, 1, :] = True
    chosen[0, 1, 0] = False
    sets = [joint.random_set(chosen, draw, 0) for draw in range(40)]
    for found in sets:
        assert not (found & chosen).any()
        assert found[:, 0].sum() == 4
        assert found[1, 0].sum() == 1  # its one other head; two more come from elsewhere
        assert found[2, 0].sum() >= 1
        assert found[:, 1].sum() == 1  # all that there is
    assert len({found.tobytes() for found in sets}) > 5
    assert any((a != sets[0]).any() for a in sets)
    assert (joint.random_set(chosen, 3, 0) == sets[3]).all()
    assert {tuple(np.argwhere(found[0, 0]).ravel()) for found in sets} >= {(0, 1), (1, 2)}


# ---------------------------------------------------------------- rescue, mechanism


def test_a_literal_copy_needs_pattern_and_values_both(inputs):
    """Where to look tells nothing without what stands there."""
    frame = table("rescue", inputs("wired"), **COMMON).set_index(["role", "restored", "seed"])
    assert (frame["lost"] > 0.5).all()
    for seed in SEEDS:
        recovered = frame["recovered"].xs(seed, level="seed")
        for role in ("induction", "previous"):
            assert recovered[role, "nothing"] == 0
            assert recovered[role, "both"] == pytest.approx(1, abs=1e-4)
            assert recovered[role, "pattern"] < 0.2
            assert recovered[role, "value"] < 0.2


def head_alone(tmp_path, bench, name: str, change) -> pd.DataFrame:
    """Rescue of head 1 in layer 1 of a model that `change(spec, weights)` makes of an even one."""
    spec = wired_spec(VOCAB, 64)
    weights = wiring.uniform_weights(spec)
    change(spec, weights)
    other = Bench(tmp_path, dict(bench.jobs))
    other.path = lambda room, item: (tmp_path if item == name else bench.folder) / room / f"{item}.h5"
    other.run(name, "perm", spec, [[weights, weights]])
    probes = PROBES["repeated"]
    length = 1 + probes["period"] * probes["repeats"]
    patterns = np.zeros((2, 1, 2, 3, length, length), np.float32)
    patterns[1, 0, :, 1] = 1
    previous = np.zeros((2, 1, 2, 3), np.float32)
    previous[1, 0, :, 1] = 1
    sites = {f"repeated/blocks.{l}.attn.pattern": patterns[l] for l in (0, 1)}
    sites |= {f"patterns/blocks.{l}.attn.pattern": previous[l] for l in (0, 1)}
    with ExitStack() as stack:
        inputs = opened(other, stack, [name])
        inputs.activations["probes"][name] = planted(tmp_path / "planted.h5", sites, n_layers=2)
        return table("rescue", inputs, **COMMON)


def test_rescue_of_a_head_that_is_all_values(tmp_path, bench):
    """An even head that copies counts tokens: its values are everything, its pattern nothing."""

    def counts(spec, weights):
        weights["blocks.1.attn.W_V"][1, :VOCAB, :VOCAB] = torch.eye(VOCAB)
        weights["blocks.1.attn.W_O"][1, :VOCAB, -VOCAB:] = torch.eye(VOCAB)

    frame = head_alone(tmp_path, bench, "counts", counts)
    assert (of(frame, restored="nothing")["lost"] > 0.01).all()
    assert np.allclose(of(frame, restored="value")["recovered"], 1, atol=1e-3)
    assert np.allclose(of(frame, restored="pattern")["recovered"], 0, atol=1e-3)


def test_ideal_patterns_keep_all_of_wired_heads_and_their_controls_little(inputs):
    frame = table("mechanism", inputs("wired"), **COMMON).set_index(["replaced", "seed"])
    assert (frame["lost"] > 1).all()
    for seed in SEEDS:
        recovered = frame["recovered"].xs(seed, level="seed")
        assert recovered["previous: shift"] == pytest.approx(1, abs=1e-3)
        assert recovered["previous: shift by two"] < 0.1
        assert recovered["induction: matches"] == pytest.approx(1, abs=1e-3)
        assert recovered["induction: shuffled"] < 0.4


def test_the_ideal_patterns():
    tokens = torch.tensor([[0, 5, 6, 5, 7, 5], [0, 1, 2, 3, 4, 5]])
    shift = mechanism.shift(tokens)[0, 0, 0]
    assert shift.argmax(-1).tolist() == [0, 0, 1, 2, 3, 4]
    assert mechanism.shift(tokens, 2)[0, 0, 0].argmax(-1).tolist() == [0, 0, 0, 1, 2, 3]
    matches = mechanism.matches(tokens)
    assert matches.shape == (1, 2, 1, 6, 6)
    assert torch.equal(matches.sum(-1), torch.ones(1, 2, 1, 6))
    first, second = matches[0, :, 0]
    assert first[3].tolist() == [0, 0, 1, 0, 0, 0]
    assert first[5].tolist() == [0, 0, 0.5, 0, 0.5, 0]
    assert (first[[0, 1, 2, 4], 0] == 1).all()
    assert (second[:, 0] == 1).all()
    assert torch.equal(mechanism.shuffled(tokens)[0, 0], matches[0, 1])


def test_the_best_head_is_one_of_each_replica():
    score = np.array([[[0.1, 0.9], [0.2, 0.1]], [[0.9, 0.3], [0.3, 0.4]], [[0.0, 0.0], [0.0, 0.4]]])
    found = roles.best(score)
    assert np.argwhere(found).tolist() == [[0, 0, 1], [1, 1, 1]]
    masks = roles.masks(found)
    assert sorted(masks) == [0, 1]
    assert masks[0].tolist() == [[False, True], [False, False]]
