"""The contrastive loss: its value on hand-built cases, its gradient, and who it is added to."""

import math

import numpy as np
import pytest
import torch

from headworks.errors import HeadworksError
from headworks.model import Transformer, cross_entropy
from headworks.parameters import initial_parameters
from headworks.spec import ModelSpec, TrainSpec
from headworks.studies.wu2024.clamps import build, contrastive_loss
from headworks.studies.wu2024.objective import Clamp
from headworks.train import Ensemble, Task

MODEL = ModelSpec(
    n_layers=3,
    n_heads=2,
    d_model=16,
    d_mlp=32,
    positions="learned",
    bias=True,
    tied=True,
    d_vocab=12,
    d_out=12,
    n_context=6,
)
MARKS = 5
TASK, PERMUTED = MODEL.n_context + 1, MODEL.n_context + 3


def rows(n: int = 24, seed: int = 0) -> torch.Tensor:
    """Random tokens, each row of one of three tasks, and of one of two permuted ones."""
    generator = torch.Generator().manual_seed(seed)
    made = torch.randint(12, (n, MODEL.n_context + 1 + MARKS), generator=generator)
    made[:, TASK], made[:, PERMUTED] = torch.arange(n) % 3, torch.arange(n) % 2
    return made


def loss_of(states, labels, temperature=1.0) -> float:
    found = contrastive_loss(
        torch.tensor([states], dtype=torch.float64), torch.tensor([labels]), torch.tensor([temperature])
    )
    return found.item()


def penalties(clamps: list[dict], of: torch.Tensor, seeds: tuple[int, ...]) -> torch.Tensor:
    flat = torch.stack([initial_parameters(MODEL, seed) for seed in seeds])
    made = build(clamps, MODEL)
    of = of.expand(len(seeds), -1, -1)
    tape = made.tape(of, made.settings(0))
    Transformer(MODEL, flat)(of[..., : MODEL.n_context], tape, last=True)
    return made.penalty(of, made.settings(0), tape)


# The loss


def test_the_loss_of_two_pairs_at_right_angles():
    """Each anchor: its twin at cosine 1, two others at cosine 0, of any length."""
    states = [[2, 0], [5, 0], [0, 1], [0, 0.1]]
    for temperature in (1.0, 0.25):
        wanted = -math.log(math.exp(1 / temperature) / (math.exp(1 / temperature) + 2))
        assert loss_of(states, [0, 0, 1, 1], temperature) == pytest.approx(wanted)


def test_labels_against_the_geometry_cost_more():
    states = [[1, 0], [1, 0], [0, 1], [0, 1]]
    assert loss_of(states, [0, 1, 0, 1]) == pytest.approx(-math.log(1 / (math.e + 2)))


def test_the_mean_over_positives_is_outside_the_logarithm():
    """Khosla et al. 2020 tell L_out from L_in: an anchor with a twin and an opposite as positives."""
    states, labels = [[1, 0], [1, 0], [-1, 0]], [0, 0, 0]
    total = math.e + 1 / math.e
    twins = (-1 + 1) / 2 + math.log(total)
    opposite = 1 + math.log(2 / math.e)
    assert loss_of(states, labels) == pytest.approx((2 * twins + opposite) / 3)


def test_an_anchor_without_positives_is_left_out_but_stays_in_the_sums():
    states = [[1, 0], [1, 0], [0, 1]]
    assert loss_of(states, [0, 0, 1]) == pytest.approx(-math.log(math.e / (math.e + 1)))
    assert loss_of(states, [0, 1, 2]) == 0


def test_the_loss_is_the_definition_written_out():
    generator = torch.Generator().manual_seed(3)
    states = torch.randn(2, 7, 5, generator=generator, dtype=torch.float64)
    labels, temperature = torch.randint(3, (2, 7), generator=generator), torch.tensor([0.1, 0.7])
    found = contrastive_loss(states, labels, temperature.double())
    for r in range(2):
        z = states[r] / states[r].norm(dim=-1, keepdim=True)
        anchors = []
        for i in range(7):
            others = [a for a in range(7) if a != i]
            scale = sum(math.exp(float(z[i] @ z[a]) / float(temperature[r])) for a in others)
            alike = [p for p in others if labels[r, p] == labels[r, i]]
            terms = [-math.log(math.exp(float(z[i] @ z[p]) / float(temperature[r])) / scale) for p in alike]
            if terms:
                anchors.append(sum(terms) / len(terms))
        assert found[r].item() == pytest.approx(sum(anchors) / len(anchors), rel=1e-6)


def test_the_gradient_pulls_the_alike_together():
    states = torch.tensor([[[1.0, 0.2], [1.0, -0.2], [-1.0, 0.3]]], requires_grad=True)
    contrastive_loss(states, torch.tensor([[0, 0, 1]]), torch.tensor([1.0])).sum().backward()
    assert states.grad[0, 0, 1] > 0 > states.grad[0, 1, 1]  # down the gradient, the first two meet


# What is pulled


def test_labels_are_the_marks_of_task_and_of_permuted_task():
    clamps = [{"weight": 1, "label": "task"}, {"weight": 1, "label": "permuted"}]
    found = penalties(clamps, rows(), (4, 4))
    assert abs(found[0] - found[1]) > 1e-3
    swapped = rows()
    swapped[:, [TASK, PERMUTED]] = swapped[:, [PERMUTED, TASK]]
    torch.testing.assert_close(penalties(clamps, swapped, (4, 4)), found.flip(0))


def test_only_what_the_separator_sees_counts():
    clamp = [{"weight": 1, "layer": 1}]
    found = penalties(clamp, rows(), (4,))
    after, before = rows(), rows()
    after[:, MODEL.n_context - 2 : MODEL.n_context + 1] = 0
    before[:, MODEL.n_context - 3] = 0
    assert torch.equal(penalties(clamp, after, (4,)), found)
    assert (penalties(clamp, before, (4,)) - found).abs() > 1e-4


def test_each_replica_has_its_own_weight_layer_temperature_and_label():
    clamps = [
        {"weight": 0.5, "layer": 0},
        {"weight": 2.0, "layer": 1, "temperature": 0.3},
        {"weight": 0.0},
        {"weight": 1.0, "layer": 1, "label": "permuted"},
    ]
    together = penalties(clamps, rows(), (4, 4, 4, 7))
    for i, seed in enumerate((4, 4, 4, 7)):
        alone = penalties(clamps[i : i + 1], rows(), (seed,))
        assert together[i].item() == pytest.approx(0 if alone is None else alone.item(), rel=1e-5)
    assert len(set(together.tolist())) == 4


def test_a_weight_multiplies():
    found = penalties([{"weight": 1}, {"weight": 3}], rows(), (4, 4))
    assert found[1].item() == pytest.approx(3 * found[0].item(), rel=1e-6)


def test_weights_of_zero_leave_the_pass_alone():
    assert penalties([{}, {"layer": 2}], rows(), (4, 4)) is None
    assert build([{}, {}], MODEL).settings(0) == {}


# Conditions of one ensemble

CONDITIONS = [
    {"weight": 1.0, "layer": 0, "temperature": 0.5},
    {},
    {"weight": 0.1, "layer": 1, "label": "permuted"},
    {"weight": 1.0, "layer": 1},
]
SEEDS = (3, 8, 3, 8)


def learnt(seeds: tuple[int, ...], task: Task) -> np.ndarray:
    """Parameters after three updates."""
    train = TrainSpec(
        steps=3, batch=8, lr=1e-3, optimizer="adam", warmup=0, clip="none", snapshots={"every": 3}
    )
    ensemble = Ensemble(MODEL, train, seeds, torch.device("cpu"), task=task)
    for step in range(3):
        ensemble.update(rows()[step * 8 : step * 8 + 8].expand(len(seeds), -1, -1))
    return ensemble.flat.numpy()


def test_conditions_train_as_they_would_alone():
    together = learnt(SEEDS, Task("last", clamps=build(CONDITIONS, MODEL)))
    for i, (seed, clamp) in enumerate(zip(SEEDS, CONDITIONS, strict=True)):
        alone = learnt((seed,), Task("last", clamps=build([clamp], MODEL)))[0]
        np.testing.assert_allclose(together[i], alone, rtol=0, atol=2e-6)
    assert np.abs(together[1] - together[3]).max() > 1e-4


def gradient(clamps: list[dict] | None, seeds: tuple[int, ...]) -> torch.Tensor:
    """Of loss and penalty, [r, parameter]."""
    flat = torch.stack([initial_parameters(MODEL, seed) for seed in seeds])
    model = Transformer(MODEL, flat, grad := torch.zeros_like(flat))
    of = rows().expand(len(seeds), -1, -1)
    made = build(clamps, MODEL) if clamps else None
    tape = made.tape(of, made.settings(0)) if made else None
    logits = model(of[..., : MODEL.n_context], tape, last=True)
    loss = cross_entropy(logits, of[..., MODEL.n_context : MODEL.n_context + 1]).mean((1, 2))
    if made:
        loss = loss + made.penalty(of, made.settings(0), tape)
    loss.sum().backward()
    return grad


def test_a_weight_of_zero_beside_others_is_exactly_the_plain_gradient():
    plain, pulled = gradient(None, SEEDS), gradient(CONDITIONS, SEEDS)
    assert torch.equal(pulled[1], plain[1])
    assert all((pulled[i] - plain[i]).abs().max() > 1e-4 for i in (0, 2, 3))


def test_the_penalty_moves_only_what_the_separator_reads():
    """Blocks up to the one that is pulled, and the embeddings."""
    shift = gradient([{"weight": 1.0, "layer": 0}], (3,)) - gradient(None, (3,))
    start, moved = 0, {}
    for name, parameter in Transformer(MODEL, torch.zeros_like(shift)).named().items():
        moved[name] = shift[:, start : start + parameter[0].numel()].abs().max() > 1e-6
        start += parameter[0].numel()
    assert moved["blocks.0.attn.W_V"]
    assert moved["blocks.0.mlp.W_out"]
    assert moved["embed.W_E"]
    assert not any(value for name, value in moved.items() if name.startswith(("blocks.1.", "blocks.2.")))


# Mistakes


def test_the_last_block_has_nothing_to_pull():
    with pytest.raises(HeadworksError, match=r"layer: 2 of a model of 3 blocks.*allowed: below 2"):
        build([{"weight": 1, "layer": 2}], MODEL)
    assert "allowed: 0 to 1" in Clamp(weight=1, layer=2).mistake(MODEL)
    assert Clamp(weight=1, layer=1).mistake(MODEL) is None
    assert Clamp(layer=2).mistake(MODEL) is None  # nothing is pulled


def test_rows_without_marks_are_refused():
    with pytest.raises(HeadworksError, match="0 marks after their 7 tokens"):
        penalties([{"weight": 1}], rows()[:, : MODEL.n_context + 1], (4,))
