"""Interventions on states: each against a whole pass, and on a network whose use of the separator is known."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch

from headworks.errors import HeadworksError
from headworks.model import Transformer, parameter_shapes
from headworks.parameters import initial_parameters
from headworks.spec import ModelSpec, SmearSpec
from headworks.studies.wu2024 import steering
from headworks.studies.wu2024.experiments import interpolation
from headworks.studies.wu2024.experiments import steering as experiment
from headworks.studies.wu2024.options import Interpolation, Steering
from headworks.tape import Override, Tape

N_TASKS, N_REGEXES, N_INPUTS, SYMBOLS, T = 3, 2, 3, 6, 7
SEP, ARR, FIRST_INPUT, FIRST_OUTPUT = 6, 7, 8, 11
SHARED = np.array([[0, 1, 2], [1, 2, 0], [0, 3, 3]])
"""Outputs by task and input; tasks 0 and 2 agree on the first input."""
DISJOINT = np.arange(9).reshape(3, 3)
BARRIER = 4
WHOLE = torch.ones(1, 3, dtype=torch.bool)
EACH = torch.cat([torch.eye(3, dtype=torch.bool), WHOLE])


class Data:
    """What the experiments read of a dataset: instructions of task t are of the symbols 2 t and 2 t + 1.

    The first symbol names the regular expression; each has `strings` instructions a split, which see the inputs
    in turn.
    """

    def __init__(self, functions=SHARED, n_regexes: int = N_REGEXES, strings: int = 3):
        rows = [
            (split, t, t * n_regexes + m, s % 3, 2 * t + m % 2, s + 4 * split)
            for split in (0, 1)
            for t in range(N_TASKS)
            for m in range(n_regexes)
            for s in range(strings)
        ]
        split, task, regex, given, first, code = np.array(rows).T
        rest = 2 * task[:, None] + (code[:, None] >> np.arange(3)) % 2
        self.permuted = np.roll(np.arange(N_TASKS).repeat(n_regexes), 1)
        output = functions[task, given]
        self.arrays = {
            "split": split,
            "task": task,
            "regex": regex,
            "input": given,
            "output": output,
            "permuted_task": self.permuted[regex],
            "functions": functions,
            "permuted_tasks": self.permuted,
        }
        ends = np.stack([np.full_like(given, SEP), FIRST_INPUT + given, np.full_like(given, ARR)], 1)
        self.evaluation = np.concatenate([first[:, None], rest, ends, FIRST_OUTPUT + output[:, None]], 1)
        self.facts = {
            "splits": ["train", "val", "held_out"],
            "positions": ["SEP", "INP", "LAST"],
            "n_tasks": N_TASKS,
            "first_output": FIRST_OUTPUT,
        }

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]


BASE = ModelSpec(
    n_layers=2,
    n_heads=4,
    d_model=16,
    d_mlp=32,
    positions="learned",
    bias=True,
    tied=True,
    d_vocab=FIRST_OUTPUT + 9,
    d_out=FIRST_OUTPUT + 9,
    n_context=T,
)
VARIANTS = {
    "study": {},
    "barrier": {"barrier": BARRIER},
    "three blocks": {"n_layers": 3, "barrier": BARRIER},
    "rotary": {"positions": "rotary", "bias": False, "tied": False},
    "sinusoids": {"positions": "sinusoidal_qk", "n_kv_heads": 2},
    "parallel": {"parallel": True, "norm": "rmsnorm"},
    "attention only": {"d_mlp": None, "norm": "none"},
}


def busy(seeds=(3, 8), **changes) -> Transformer:
    """Random networks whose every parameter is far from its initial value, in double precision."""
    spec = BASE.model_copy(update=changes)
    flat = torch.stack([initial_parameters(spec, seed) for seed in seeds]).double()
    noise = [torch.randn(flat.shape[1], generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return Transformer(spec, flat + 0.3 * torch.stack(noise)).requires_grad_(False)


def wired(barrier: int | None, replicas: int = 2) -> Transformer:
    """Adds up codes of task and input, by attention that is even over what it sees.

    Symbols carry the code of their task, inputs their own; outputs of DISJOINT read both. Behind a barrier the
    last position gets the task from the separator after one block; without, it also reads the symbols itself.
    """
    d = N_TASKS + N_INPUTS
    spec = ModelSpec(
        n_layers=2,
        n_heads=1,
        d_model=d,
        norm="none",
        positions="none",
        barrier=barrier,
        d_vocab=BASE.d_vocab,
        d_out=BASE.d_vocab,
        n_context=T,
    )
    parts = {name: torch.zeros(shape) for name, shape in parameter_shapes(spec).items()}
    for symbol in range(SYMBOLS):
        parts["embed.W_E"][symbol, symbol // 2] = 1
    for given in range(N_INPUTS):
        parts["embed.W_E"][FIRST_INPUT + given, N_TASKS + given] = 1
    for l in range(2):
        parts[f"blocks.{l}.attn.W_V"][0], parts[f"blocks.{l}.attn.W_O"][0] = torch.eye(d), torch.eye(d)
    for task, given in np.ndindex(3, 3):
        parts["unembed.W_U"][[task, N_TASKS + given], FIRST_OUTPUT + DISJOINT[task, given]] = 1
    flat = torch.cat([part.flatten() for part in parts.values()]).expand(replicas, -1).clone()
    return Transformer(spec, flat).requires_grad_(False)


@dataclass
class Run:
    """What the experiments read of a run."""

    models: list[Transformer]
    dataset: Data = field(default_factory=Data)
    name: str = "plain"

    def __post_init__(self):
        self.model_spec = self.models[0].spec
        self.seeds = list(range(self.models[0].n_replicas))
        self.conditions = ["unclamped"] * len(self.seeds)
        self.steps = [50 * i for i in range(len(self.models))]

    def __len__(self) -> int:
        return len(self.models)

    def model(self, snapshot: int = -1) -> Transformer:
        return self.models[snapshot]


@dataclass
class Inputs:
    runs: dict[str, Run]


def prompts(data: Data, number: int = 100, seed: int = 0) -> steering.Prompts:
    return experiment.draw_prompts(data, ~experiment.same_answers(data), number, seed)


def outcome(model, edit, layer=1, data=None, of=None, masks=WHOLE, seed=0):
    """One edit's shares, [r, n] by name."""
    data = data or Data()
    of = of or prompts(data)
    found = steering.outcomes(model, of, experiment.known(data), {"edit": edit}, [layer], masks, seed)
    return found[layer, "edit"]


def layer_of(model: Transformer, layer: int, data: Data, of: steering.Prompts, seed=0) -> steering.Layer:
    trained = experiment.known(data)
    states = [steering.last_states(model, x)[layer] for x in (of.contexts, of.donors, trained.contexts)]
    return steering.Layer(*states, trained, seed)


def same(found: torch.Tensor, wanted: torch.Tensor, atol: float = 1e-9) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


# The pass over three positions


@pytest.mark.parametrize("variant", VARIANTS)
def test_written_states_are_answered_as_in_a_whole_pass(variant):
    model, of = busy(**VARIANTS[variant]), prompts(Data())
    context = steering.read_context(model, of.contexts)
    top = model.spec.n_layers
    generator = torch.Generator().manual_seed(1)
    written = torch.randn(2, 3, len(of), 3, 16, generator=generator, dtype=torch.float64)
    for layer in range(top + 1):
        found = steering.answers(model, context, layer, written)
        site = f"blocks.{layer}.resid_pre" if layer < top else f"blocks.{top - 1}.resid_post"
        for n in range(3):
            value = torch.cat([torch.zeros(2, len(of), T - 3, 16), written[:, n]], 2)
            tape = Tape(overrides=[Override(site, value, torch.arange(T)[:, None] >= T - 3)])
            assert torch.equal(found[:, n], model(of.contexts, tape)[:, :, -1].argmax(-1))
    assert len(found.unique()) > 3


@pytest.mark.parametrize("variant", VARIANTS)
def test_own_states_change_nothing(variant):
    model = busy(**VARIANTS[variant])
    of = prompts(Data())
    intact = steering.read_context(model, of.contexts).answers[0]
    of = replace(of, stay=intact, switch=(intact + 1) % BASE.d_vocab)
    for layer in range(model.spec.n_layers + 1):
        found = outcome(model, lambda at, prompts: at.own, layer, of=of, masks=EACH)
        assert not found["changed"].any()
        assert (found["stay"][0] == 1).all()
        assert not found["switch"][0].any()


def test_a_shift_by_nothing_changes_nothing():
    """The target task is the prompt's own."""
    of = prompts(Data())
    of = replace(of, target=of.task)
    for edit in (steering.shift, steering.random, steering.orthogonal):
        assert not outcome(busy(), edit, of=of, masks=EACH)["changed"].any()
    assert outcome(busy(), steering.shift, masks=EACH)["changed"].any()


def test_interchange_of_all_behind_a_barrier_is_the_other_prompt():
    """From the block on whose separator the last position reads no more: of two blocks, after the first."""
    model, data = busy(barrier=BARRIER), Data()
    of = prompts(data)
    for i in range(2):
        alone = Transformer(model.spec, model.flat[i : i + 1])
        donors = steering.read_context(alone, of.donors).answers[0]
        as_donors = replace(of, switch=donors, stay=torch.full_like(donors, -1))
        found = [outcome(alone, steering.interchange, layer, of=as_donors) for layer in (1, 2)]
        assert [float(one["switch"][0, 0]) for one in found] == [1, 1]
        assert (donors != steering.read_context(alone, of.contexts).answers[0]).any()
    assert not outcome(model, steering.interchange, 0)["changed"].any()  # the same three tokens


def test_without_a_barrier_the_instruction_is_read_past_the_interchange():
    model = busy()
    of = prompts(Data())
    donors = steering.read_context(model, of.donors).answers
    context = steering.read_context(model, of.contexts)
    written = steering.last_states(model, of.donors)[1][:, None]
    assert (steering.answers(model, context, 1, written)[:, 0] != donors).any()


def test_the_top_state_is_the_answer():
    """Written by hand: the normalised unembedding of the target's answer; at the other positions it is not read."""
    model = busy()
    with torch.no_grad():
        model.named()["ln_final.w"].fill_(1)
        model.named()["ln_final.b"].zero_()
        drawn = torch.randn(16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        codes = torch.linalg.qr(drawn)[0]
        codes = codes - codes.mean(-1, keepdim=True)
        model.named()["embed.W_E"][:, FIRST_OUTPUT : FIRST_OUTPUT + 4] = 5 * codes[:4]
        model.named()["embed.W_E"][:, :FIRST_OUTPUT] *= 0.1
        model.named()["embed.W_E"][:, FIRST_OUTPUT + 4 :] *= 0.1
    table = model.named()["embed.W_E"]
    found = outcome(model, lambda at, of: table[:, of.switch, None].expand(-1, -1, 3, -1), 2, masks=EACH)
    assert (found["switch"][:, 2:] == 1).all()
    assert not found["changed"][:, :2].any()


def test_smeared_keys_are_refused():
    model = busy(smear=SmearSpec())
    with pytest.raises(HeadworksError, match="smears keys"):
        outcome(model, steering.replace)


# A network that uses the separator, and one that only shows the task there

CAUSAL = {"replace", "shift", "interchange"}
IDLE = {"same_task", "orthogonal"}


@pytest.mark.parametrize("barrier", [BARRIER, None])
def test_a_task_at_the_separator_is_followed_where_nothing_else_tells_it(barrier):
    model, data = wired(barrier), Data(DISJOINT)
    of = prompts(data)
    assert torch.equal(steering.read_context(model, of.contexts).answers, of.stay.expand(2, -1))
    for kind in CAUSAL | IDLE:
        by_layer = [outcome(model, experiment.EDITS[kind], l, data, of, EACH)["switch"][0] for l in range(3)]
        followed = barrier is not None and kind in CAUSAL
        assert by_layer[1][0] == followed
        assert by_layer[0][0] == by_layer[2][0] == 0
        if kind in IDLE:
            found = outcome(model, experiment.EDITS[kind], 1, data, of, EACH[:1])
            assert not found["changed"].any()


def test_a_shift_at_the_top_moves_the_task_and_keeps_the_input():
    data = Data(DISJOINT)
    found = outcome(wired(BARRIER), steering.shift, 2, data, masks=EACH)
    assert found["switch"].tolist() == [[0, 0, 1, 1]] * 2


def test_an_erased_separator_leaves_the_input_alone():
    """What is answered no longer depends on the task, but has the input right."""
    model, data = wired(BARRIER), Data(DISJOINT)
    of = prompts(data)
    at = layer_of(model, 1, data, of)
    same(steering.erase(at, of)[:, :, 0, :N_TASKS], at.own.new_full((2, len(of), N_TASKS), 0.8 / 3), 1e-6)
    with torch.no_grad():
        # no ties: the second task is the likeliest
        model.named()["unembed.W_U"][:, 1, (FIRST_OUTPUT + DISJOINT[1]).tolist()] += 0.01
    found = outcome(model, steering.erase, 1, data, of, EACH[:1])
    assert found["stay"][0, 0] == pytest.approx((of.task == 1).double().mean())
    assert found["switch"][0, 0] == pytest.approx((of.target == 1).double().mean())


def test_the_answer_flips_halfway_between_two_centroids():
    data = Data(DISJOINT)
    run = Run([wired(None), wired(BARRIER)], data)
    frame = interpolation.table(Interpolation(steps=5), Inputs({"plain": run}))
    assert list(frame) == [
        "run",
        "condition",
        "seed",
        "step",
        "layer",
        "alpha",
        "switch",
        "stay",
        "other",
    ]
    assert set(frame["step"]) == {50}
    middle = frame.query("layer == 1 and seed == 1").set_index("alpha")
    assert middle["switch"].drop(0.5).tolist() == [0, 0, 1, 1]
    assert middle["stay"].drop(0.5).tolist() == [1, 1, 0, 0]
    assert (frame.query("layer != 1")["stay"] == 1).all()


def test_interpolation_ends_in_the_two_centroids():
    model, data = busy(), Data()
    of = prompts(data)
    at = layer_of(model, 1, data, of)
    same(steering.interpolate(0.0)(at, of), steering.replace(at, replace(of, target=of.task)))
    same(steering.interpolate(1.0)(at, of), steering.replace(at, of))


# What is written


def test_centroids_are_means():
    states = torch.tensor([1.0, 3.0, 10.0])[None, :, None, None].expand(2, -1, 3, 4)
    found = steering.centroids(states, torch.tensor([2, 2, 0]), 3)
    assert found[1, :, 2, 3].nan_to_num(-1).tolist() == [10, -1, 2]


def test_same_task_is_a_sibling_and_partition_ignores_tasks():
    data = Data()
    of, model = prompts(data), busy()
    at = layer_of(model, 1, data, of)
    siblings = of.other_regex // N_REGEXES
    assert torch.equal(siblings, of.task)
    means = steering.centroids(at.trained, at.known.regex, N_TASKS * N_REGEXES)
    same(steering.same_task(at, of), means[:, of.other_regex])
    shifted = steering.partition(at, of) - at.own
    sets = steering.centroids(at.trained, torch.from_numpy(data.permuted)[at.known.regex], N_TASKS)
    same(shifted, sets[:, of.other_permuted] - sets[:, of.permuted])
    assert (of.permuted != of.other_permuted).all()


def test_a_random_shift_has_the_length_of_the_shift():
    data = Data()
    of = prompts(data)
    at = layer_of(busy(), 1, data, of)
    moved, other = steering.shift(at, of) - at.own, steering.random(at, of) - at.own
    same(moved.norm(dim=-1), other.norm(dim=-1))
    assert torch.cosine_similarity(moved, other, dim=-1).abs().mean() < 0.5
    assert (steering.random(replace(at, seed=1), of) != steering.random(at, of)).any()


def test_an_orthogonal_shift_moves_nothing_that_the_probe_reads():
    data = Data()
    of = prompts(data)
    at = layer_of(busy(), 2, data, of)
    rows = steering.probe_basis(at.trained, at.known.task)
    assert rows.any(-1).sum(-1).tolist() == [[N_TASKS - 1] * 3] * 2
    moved = steering.orthogonal(at, of) - at.own
    assert torch.einsum("rbpd,rpkd->rbpk", moved, rows).abs().max() < 1e-9
    assert moved.norm(dim=-1).min() > 1e-3


def test_the_probe_reads_what_tells_classes_apart():
    """Two classes on either side of zero along one axis, far apart or near, beside an axis that says nothing of them."""
    labels = torch.arange(80) % 2
    for width in (0.01, 1.0):
        states = torch.zeros(1, 80, 3, 4, dtype=torch.float64)
        states[..., 0] = width * (2.0 * labels - 1)[None, :, None]
        states[..., 1] = (torch.arange(80) // 2 % 2)[None, :, None]
        rows = steering.probe_basis(states, labels)
        same(rows[0, :, 0].abs(), torch.eye(4, dtype=torch.float64)[:1].expand(3, -1), 1e-6)
        assert not rows[0, :, 1:].any()


def test_the_probe_of_states_on_other_scales_is_undone():
    """Its weights are for standardised states; the classes differ along two coordinates of unlike spread."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    noise = torch.randn(1, 200, 3, 2, generator=generator, dtype=torch.float64)
    states = (2.0 * labels - 1)[None, :, None, None] + noise
    rows = steering.probe_basis(states, labels)[:, :, :1]
    stretched = steering.probe_basis(states * torch.tensor([1.0, 100.0]), labels)[:, :, :1]
    # a probe of stretched states reads the same: its weight there is a hundredth
    back = torch.nn.functional.normalize(stretched * torch.tensor([1.0, 100.0]), dim=-1)
    same(rows.abs(), back.abs(), 1e-3)


@pytest.mark.parametrize("layer", [1, 2])
def test_erasure_leaves_no_projection_on_differences_of_centroids(layer):
    data = Data()
    of = prompts(data)
    at = layer_of(busy(), layer, data, of)
    means = at.tasks()
    differences = means[:, :, None] - means[:, None]
    left = steering.erase(at, of) - means.mean(1, keepdim=True)
    assert torch.einsum("rbpd,rcepd->rbcep", left, differences).abs().max() < 1e-9
    moved, freely = ((edit(at, of) - at.own) for edit in (steering.erase, steering.erase_random))
    assert torch.linalg.matrix_rank(moved.transpose(1, 2)).eq(N_TASKS - 1).all()
    assert torch.linalg.matrix_rank(freely.transpose(1, 2)).eq(N_TASKS - 1).all()


def test_where_all_centroids_are_one_nothing_is_erased():
    """The embedding of the separator and of the last token is the same in every prompt."""
    data = Data()
    of = prompts(data)
    at = layer_of(busy(), 0, data, of)
    assert not steering.task_basis(at.tasks())[:, [0, 2]].any()
    for edit in (steering.erase, steering.erase_random, steering.shift, steering.orthogonal):
        same(edit(at, of)[:, :, [0, 2]], at.own[:, :, [0, 2]])


# Prompts


def test_prompts_are_unseen_and_their_target_answers_otherwise():
    data = Data(strings=4)
    of = prompts(data, 20)
    assert len(of) == 20
    rows = {tuple(row[:-1]): i for i, row in enumerate(data.evaluation)}
    for b in range(20):
        i, donor = rows[tuple(of.contexts[b].tolist())], rows[tuple(of.donors[b].tolist())]
        assert data["split"][i] == 1
        assert data["task"][i] == of.task[b] != of.target[b]
        assert data["task"][donor] == of.target[b]
        assert data["input"][donor] == data["input"][i]
        assert of.stay[b] == data.evaluation[i, -1] != of.switch[b]
        assert of.switch[b] == FIRST_OUTPUT + SHARED[of.target[b], data["input"][i]]
        assert of.permuted[b] == data.permuted[data["regex"][i]]
    assert len({tuple(row) for row in of.contexts.tolist()}) == 20
    again, other = prompts(data, 20), prompts(data, 20, seed=1)
    assert all(torch.equal(x, y) for x, y in zip(vars(of).values(), vars(again).values(), strict=True))
    assert not torch.equal(of.contexts, other.contexts)


def test_agreeing_prompts_are_those_where_two_tasks_agree():
    data = Data()
    of = experiment.draw_prompts(data, experiment.same_answers(data), 100, 0)
    assert torch.equal(of.stay, of.switch)
    assert {tuple(sorted(pair)) for pair in zip(of.task.tolist(), of.target.tolist(), strict=True)} == {
        (0, 2)
    }
    assert (of.contexts[:, 5] == FIRST_INPUT).all()
    assert not len(experiment.draw_prompts(Data(DISJOINT), experiment.same_answers(Data(DISJOINT)), 9, 0))


def test_answers_are_counted():
    of = prompts(Data(), 4)
    of = replace(of, switch=torch.tensor([1, 1, 1, 1]), stay=torch.tensor([2, 2, 2, 2]))
    found = steering.scores(torch.tensor([[[1, 1, 2, 5]]]), torch.tensor([[2, 2, 2, 5]]), of)
    assert {name: share.item() for name, share in found.items()} == {
        "switch": 0.5,
        "stay": 0.25,
        "other": 0.25,
        "changed": 0.5,
    }


# Tables


def test_the_table_has_every_layer_kind_and_position_and_shares_add_up():
    options = Steering()
    frame = experiment.table(options, Inputs({"plain": Run([busy(), busy((4, 5)), busy((6, 7))])}))
    first = ["run", "condition", "seed", "step", "layer", "kind", "positions"]
    assert list(frame) == [*first, "switch", "stay", "other", "changed"]
    assert not frame.duplicated(first).any()
    assert len(frame) == 2 * 2 * 3 * len(options.kinds) * 4
    assert set(frame["step"]) == {0, 100}
    assert set(frame["positions"]) == {"SEP", "INP", "LAST", "all"}
    agreeing = frame["kind"] == "agreeing"
    total = frame["switch"] + frame["stay"] + frame["other"]
    np.testing.assert_allclose(total[~agreeing], 1)
    assert (frame["switch"] == frame["stay"])[agreeing].all()
    np.testing.assert_allclose((frame["switch"] + frame["other"])[agreeing], 1)


def test_alpha_1_is_kind_replace():
    inputs = Inputs({"plain": Run([busy()])})
    steered = experiment.table(Steering(kinds=["replace"]), inputs).query("positions == 'SEP'")
    ends = interpolation.table(Interpolation(steps=3), inputs).query("alpha == 1")
    columns = ["seed", "layer", "switch", "stay", "other"]
    left, right = (frame[columns].sort_values(columns).reset_index(drop=True) for frame in (steered, ends))
    assert left.equals(right)


@pytest.mark.parametrize("at_once", [1, steering.AT_ONCE])
def test_each_replica_is_measured_as_it_would_be_alone(at_once, monkeypatch):
    monkeypatch.setattr(steering, "AT_ONCE", at_once)
    options, data = Steering(), Data()
    together = experiment.table(options, Inputs({"plain": Run([busy((3, 8, 5))], data)}))
    for i, seed in enumerate((3, 8, 5)):
        alone = experiment.table(options, Inputs({"plain": Run([busy((seed,))], data)}))
        mine = together[together["seed"] == i].assign(seed=0).reset_index(drop=True)
        assert mine.equals(alone)


def test_a_diverged_replica_is_not_a_number_and_harms_no_other():
    model = busy((3, 8))
    healthy = experiment.table(Steering(), Inputs({"plain": Run([busy((3, 8))])}))
    model.flat[1] = torch.nan
    frame = experiment.table(Steering(), Inputs({"plain": Run([model])}))
    shares = ["switch", "stay", "other", "changed"]
    assert frame.loc[frame["seed"] == 1, shares].isna().all(axis=None)
    assert frame[frame["seed"] == 0].equals(healthy[healthy["seed"] == 0])


def test_what_is_undefined_is_not_a_number():
    run = Run([busy()], Data(DISJOINT, n_regexes=1))
    frame = experiment.table(Steering(), Inputs({"plain": run})).set_index("kind")
    assert frame.loc[["same_task", "agreeing"], "switch"].isna().all()
    assert frame.drop(["same_task", "agreeing"])["switch"].notna().all()


def test_layers_may_be_named():
    run = Run([busy()])
    frame = experiment.table(Steering(layers=[1], kinds=["shift"]), Inputs({"plain": run}))
    assert set(frame["layer"]) == {1}
    for table, options in ((experiment.table, Steering), (interpolation.table, Interpolation)):
        with pytest.raises(HeadworksError, match=r"layers: 3 is not a layer of run plain; allowed: 0 .*to 2"):
            table(options(layers=[0, 3]), Inputs({"plain": run}))


def test_tasks_that_never_differ_cannot_be_steered():
    alike = Run([busy()], Data(np.zeros((3, 3), int)))
    for table, options in ((experiment.table, Steering), (interpolation.table, Interpolation)):
        with pytest.raises(HeadworksError, match="run plain: no unseen instruction"):
            table(options(), Inputs({"plain": alike}))
