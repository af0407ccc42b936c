"""Parameters borrowed from another run: whose, which, and that they stay when frozen."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from headworks.batches import Batches
from headworks.errors import HeadworksError
from headworks.parameters import initial_parameters, parameter_shapes
from headworks.spec import ModelSpec, TrainSpec
from headworks.starts import borrowed
from headworks.train import Task, split, train

MODEL = ModelSpec(
    n_layers=2, n_heads=2, d_model=8, d_vocab=6, d_out=6, n_context=5, positions="rotary", end_biases=True
)
SEEDS = (4, 9, 2)
"""Not in ascending order: a neighbour is the next of the list."""


@dataclass
class Donor:
    """As much of a run reader as a start needs; parameter j of seed s at snapshot i is 1000 s + 100 i + j / 1000."""

    seeds: list[int]
    model_spec: ModelSpec = MODEL
    name: str = "donor"

    def __len__(self) -> int:
        return 3

    def whole(self, seed: int, snapshot: int = 2) -> np.ndarray:
        count = len(initial_parameters(self.model_spec, 0))
        return (1000 * seed + 100 * snapshot + np.arange(count) / 1000).astype(np.float32)

    def parameter(self, name: str, snapshot: int) -> np.ndarray:
        # seeds of a second condition are marked by a sign
        rows = [
            self.whole(seed, snapshot) * (-1 if seed in self.seeds[:i] else 1)
            for i, seed in enumerate(self.seeds)
        ]
        return split(self.model_spec, np.stack(rows))[name]


def start(**changes) -> dict:
    return {"run": "donor", "parameters": ["embed", "blocks.0"], "roll": 0, "frozen": True} | changes


def parts(flat: torch.Tensor) -> dict[str, np.ndarray]:
    return split(MODEL, flat.numpy())


TAKEN = {name for name in parameter_shapes(MODEL) if name.startswith(("embed.", "blocks.0."))}


@pytest.mark.parametrize(
    ("roll", "givers"), [(0, SEEDS), (1, (9, 2, 4)), (2, (2, 4, 9)), (4, (9, 2, 4))], ids="roll {}".format
)
def test_each_seed_takes_from_its_own_or_from_a_neighbour(roll, givers):
    donor = Donor(list(SEEDS))
    flat, _ = borrowed(start(roll=roll), donor, MODEL, SEEDS)
    found = parts(flat)
    fresh = split(MODEL, np.stack([initial_parameters(MODEL, seed).numpy() for seed in SEEDS]))
    theirs = split(MODEL, np.stack([donor.whole(seed) for seed in givers]))
    for name in found:
        assert np.array_equal(found[name], theirs[name] if name in TAKEN else fresh[name]), name


def test_fewer_seeds_in_another_order_still_meet_their_own():
    """The neighbour is one of the donor's list, not of the run's."""
    donor = Donor(list(SEEDS))
    for roll, givers in ((0, (2, 4)), (1, (4, 9))):
        flat, _ = borrowed(start(roll=roll), donor, MODEL, (2, 4))
        theirs = split(MODEL, np.stack([donor.whole(seed) for seed in givers]))
        assert np.array_equal(parts(flat)["blocks.0.attn.W_Q"], theirs["blocks.0.attn.W_Q"])


def test_conditions_of_either_side_share_their_seed():
    """A donor of two conditions gives those of its first; two conditions that take are given the same."""
    donor = Donor([4, 9, 4, 9])
    flat, _ = borrowed(start(roll=1), donor, MODEL, (4, 9, 4, 9))
    theirs = split(MODEL, np.stack([donor.whole(seed) for seed in (9, 4, 9, 4)]))
    assert np.array_equal(parts(flat)["embed.W_E"], theirs["embed.W_E"])


@pytest.mark.parametrize(
    ("prefixes", "taken"),
    [
        (["blocks.0.attn.W_Q"], {"blocks.0.attn.W_Q"}),
        (["unembed"], {"unembed.W_U", "unembed.b_U"}),
        (["ln_final", "unembed.b_U"], {"ln_final.w", "ln_final.b", "unembed.b_U"}),
        (["embed"], {"embed.W_E"}),
    ],
    ids=" ".join,
)
def test_parameters_are_named_whole_or_by_their_beginning(prefixes, taken):
    """`embed` is not the beginning of `unembed`, nor may a name break off in the middle of a word."""
    donor = Donor(list(SEEDS))
    flat, frozen = borrowed(start(parameters=prefixes), donor, MODEL, SEEDS)
    fresh = parts(torch.stack([initial_parameters(MODEL, seed) for seed in SEEDS]))
    assert {name for name, part in parts(flat).items() if not np.array_equal(part, fresh[name])} == taken
    assert {name for name, part in split(MODEL, frozen.numpy()[None]).items() if part.all()} == taken
    assert {name for name, part in split(MODEL, frozen.numpy()[None]).items() if part.any()} == taken


def test_nothing_stays_unless_asked():
    assert borrowed(start(frozen=False), Donor(list(SEEDS)), MODEL, SEEDS)[1] is None


@pytest.mark.parametrize("name", ["blocks.2", "block", "blocks.0.attn.W", "embed.W_in"])
def test_a_name_of_nothing_is_refused(name):
    with pytest.raises(HeadworksError, match=f"start.parameters: '{name}' names no parameter.*unembed.W_U"):
        borrowed(start(parameters=["embed", name]), Donor(list(SEEDS)), MODEL, SEEDS)


def test_a_donor_of_another_shape_is_refused():
    wide = Donor(list(SEEDS), MODEL.model_copy(update={"d_model": 12}))
    with pytest.raises(
        HeadworksError, match=r"start.run: donor has \(6, 12\) as the shape of embed.W_E.*\(6, 8\)"
    ):
        borrowed(start(), wide, MODEL, SEEDS)
    shallow = Donor(list(SEEDS), MODEL.model_copy(update={"n_layers": 1}))
    with pytest.raises(HeadworksError, match=r"start.run: donor has None as the shape of blocks.1.ln1.w"):
        borrowed(start(parameters=["blocks.1"]), shallow, MODEL, SEEDS)
    borrowed(start(), shallow, MODEL, SEEDS)


def test_a_seed_that_the_donor_lacks_is_refused():
    with pytest.raises(HeadworksError, match=r"start.run: donor has no seed 2; it has \[4, 9\]"):
        borrowed(start(), Donor([9, 4]), MODEL, SEEDS)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("frozen", [True, False])
def test_what_is_frozen_does_not_move(optimizer, frozen):
    """Not by the gradient, nor by decay, while everything else learns."""
    spec = TrainSpec(
        steps=5, batch=4, lr=0.01, optimizer=optimizer, weight_decay=0.5, warmup=0, snapshots={"every": 5}
    )
    rows = np.random.default_rng(0).integers(0, 6, (40, 6)).astype(np.uint8)
    data = Batches("sequences", rows, 5, 0, SEEDS, 4)
    given = torch.stack([initial_parameters(MODEL, seed + 100) for seed in SEEDS])
    mask = torch.cat(
        [torch.full(shape, name in TAKEN).flatten() for name, shape in parameter_shapes(MODEL).items()]
    )
    before = given.clone()
    trained = train(
        MODEL, spec, data, torch.device("cpu"), task=Task(start=given, frozen=mask if frozen else None)
    )
    assert torch.equal(given, before)
    first, last = (split(MODEL, snapshot) for snapshot in trained.snapshots)
    assert np.array_equal(trained.snapshots[0], given.numpy())
    still = {name for name in first if np.array_equal(first[name], last[name])}
    assert still == (TAKEN if frozen else set())


def test_frozen_parameters_are_left_out_of_the_gradients_norm():
    """Or clipping would shrink what may move by what may not."""
    spec = TrainSpec(steps=1, batch=4, lr=0.01, warmup=0, snapshots={"every": 1})
    rows = np.random.default_rng(0).integers(0, 6, (40, 6)).astype(np.uint8)
    data = Batches("sequences", rows, 5, 0, (4,), 4)
    count = len(initial_parameters(MODEL, 0))
    norms = []
    for mask in (torch.arange(count) < 300, torch.arange(count) >= 300, torch.zeros(count, dtype=torch.bool)):
        norms.append(train(MODEL, spec, data, torch.device("cpu"), task=Task(frozen=mask)).grad_norm[0, 0])
    assert norms[0] ** 2 + norms[1] ** 2 == pytest.approx(norms[2] ** 2, rel=1e-5)
    assert min(norms) > 0
