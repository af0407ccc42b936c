"""The instrument of Argument 4: patterns drawn by hand over lines of the corpus, and weights that copy labels."""

import math
from contextlib import ExitStack

import numpy as np
import pytest
import torch
from olsson_inputs import HEAD, Bench, even_pair, induction_pair, of, opened, table, wired_spec

from headworks import store
from headworks.model import Transformer
from headworks.parameters import parameter_count
from headworks.readers import DatasetReader
from headworks.studies.olsson2022.experiments import abstract
from headworks.studies.olsson2022.options import EXPERIMENTS

LINE = 5


class Patterned:
    """A model of two replicas whose heads look where `heads` says: label to [b, q, k] of the tokens it is shown.

    The second replica has the heads in reverse order. Its logits make the label's loss `wrong` nats, or 0.5 in the
    first, and every other loss enormous.
    """

    def __init__(self, n_vocab: int, targets: np.ndarray, patterns: np.ndarray):
        self.spec = wired_spec(n_vocab, targets.shape[1], n_layers=2)
        self.n_replicas, self.targets, self.patterns, self.row = 2, targets, torch.from_numpy(patterns), 0

    def __call__(self, tokens, tape):
        part = slice(self.row, self.row + len(tokens))
        self.row += len(tokens)
        both = torch.stack([self.patterns[:, part], self.patterns[:, part].flip(0)]).transpose(1, 2).float()
        tape("blocks.0.attn.pattern", torch.zeros_like(both) + torch.eye(both.shape[-1]))
        tape("blocks.1.attn.pattern", both)
        following = torch.from_numpy(self.targets[part])
        right = torch.nn.functional.one_hot(following, self.spec.d_vocab).bool()
        loss = torch.where(tokens == 1, torch.tensor([0.5, 0.7])[:, None, None], torch.tensor(50.0))[
            ..., None
        ]
        return torch.where(right, -loss, (-torch.expm1(-loss) / (self.spec.d_vocab - 1)).log())


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp("lines"))
    bench.dataset("classes", "classes", {"n_lines": 8, "n_train": 10, "n_evaluation": 70})
    with ExitStack() as stack:
        file = stack.enter_context(store.opening(bench.path("data", "classes")))
        yield DatasetReader(file)


def even_on_lines(dataset, marked: np.ndarray, place: int) -> np.ndarray:
    """From each colon evenly to one place (0 to 4) of the marked lines, marked [b, n, n]; elsewhere to the start."""
    sequences, n = marked.shape[:2]
    pattern = np.zeros((sequences, LINE * n, LINE * n))
    pattern[:, :, 0] = 1
    for i in range(n):
        colon = 1 + LINE * i + 2
        for j in range(i):
            pattern[:, colon, 1 + LINE * j + place] = marked[:, i, j]
    weight = pattern[:, :, 1:].sum(-1)
    pattern[:, :, 1:] *= np.where(weight > 0, 0.8 / np.maximum(weight, 1), 0)[..., None]
    pattern[:, :, 0] = 1 - pattern[:, :, 1:].sum(-1)
    return pattern


def test_lines_begin_after_the_start_token(lines):
    tokens, colons = lines.evaluation, lines["colon_positions"]
    assert (tokens[:, 0] == lines.bos).all()
    assert (np.take_along_axis(tokens, colons, axis=1) == 1).all()
    assert (colons == 3 + LINE * np.arange(8)).all()
    assert (tokens[:, LINE::LINE] == 2).all()  # line breaks


def test_attention_to_lines_of_the_same_category(lines):
    tokens, category = lines.evaluation, lines["category"]
    same = category[:, :, None] == category[:, None, :]
    places = [even_on_lines(lines, same, place) for place in (0, 4)]  # its first word, its line break
    causal = np.tril(np.ones(places[0].shape[1:]))
    uniform = np.broadcast_to(causal / causal.sum(-1, keepdims=True), places[0].shape)
    model = Patterned(lines.d_vocab, tokens[:, 1:], np.stack([*places, uniform]))
    options = EXPERIMENTS["abstract"](examples=70)
    found = abstract.category_attention(model, lines, options)
    assert {value.shape for value in found.values()} == {(2, 2, 3)}
    earlier = np.tril(np.ones((8, 8), bool), -1)
    known = (same & earlier).any(-1)
    share = ((same & earlier).sum(-1) / np.maximum(earlier.sum(-1), 1))[known].mean()
    assert np.allclose(found["chance"], share, atol=1e-5)
    assert np.allclose(found["same_category"][1, 0], [1, 1, share], atol=1e-5)
    assert np.allclose(found["same_category"][1, 1], [share, 1, 1], atol=1e-5)
    # a head that attends to itself looks at no earlier line
    assert np.allclose(found["same_category"][0], 0)
    assert np.allclose(found["label_loss"][:, 0], 0.5, atol=1e-3)
    assert np.allclose(found["label_loss"][:, 1], 0.7, atol=1e-3)
    # of heads that look at lines of the same category, what falls on those of the shuffled one
    order = np.random.default_rng([abstract.SHUFFLE_ROLE, options.seed]).permuted(category, axis=1)
    shown = (same & earlier) / np.maximum((same & earlier).sum(-1, keepdims=True), 1)
    shuffled = (shown * (category[:, :, None] == order[:, None, :])).sum(-1)[known].mean()
    assert np.allclose(found["shuffled"][1, 0, :2], shuffled, atol=1e-5)


def test_attention_to_other_categories_scores_nothing(lines):
    category = lines["category"]
    other = category[:, :, None] != category[:, None, :]
    pattern = np.stack([even_on_lines(lines, other, place) for place in (0, 2, 4)])
    model = Patterned(lines.d_vocab, lines.evaluation[:, 1:], pattern)
    found = abstract.category_attention(model, lines, EXPERIMENTS["abstract"](examples=70))
    assert np.allclose(found["same_category"][1], 0, atol=1e-6)


def test_the_second_half_repeats_lines_of_the_first(lines):
    tokens, targets = abstract.repeated_lines(lines, EXPERIMENTS["abstract"](examples=70))
    assert (tokens[:, : 1 + 4 * LINE].numpy() == lines.evaluation[:, : 1 + 4 * LINE]).all()
    rows = tokens[:, 1:].unflatten(1, (8, LINE))
    same = (rows[:, 4:, None] == rows[:, None, :4]).all(-1)
    assert (same.sum(2) == 1).all()
    assert (same.sum(1) == 1).all()  # each line of the first half once
    order = same.int().argmax(2)
    assert len(order.unique(dim=0)) > 10
    # one target a copy: from its colon to the label of the line it copies
    assert targets.sum() == 70 * 4
    for sequence, query, key in targets.nonzero().tolist():
        copy, line = (query - 3) // LINE, (key - 4) // LINE
        assert (query, key) == (3 + LINE * copy, 4 + LINE * line)
        assert order[sequence, copy - 4] == line
    again, _ = abstract.repeated_lines(lines, EXPERIMENTS["abstract"](examples=70))
    other, _ = abstract.repeated_lines(lines, EXPERIMENTS["abstract"](examples=70, seed=1))
    assert (again == tokens).all()
    assert (other != tokens).any()


def test_literal_attention_is_to_the_label_of_the_copy(lines):
    options = EXPERIMENTS["abstract"](examples=70)
    tokens, targets = abstract.repeated_lines(lines, options)
    length = targets.shape[-1]
    literal = np.where(targets.any(-1, keepdim=True), targets, np.eye(length))
    beside = np.roll(literal, -1, axis=-1)  # the colon before the label
    uniform = np.broadcast_to(np.tril(np.ones((length, length))), literal.shape)
    uniform = uniform / uniform.sum(-1, keepdims=True)
    model = Patterned(lines.d_vocab, tokens[:, 1:].numpy(), np.stack([literal, beside, uniform]))
    found = abstract.literal_attention(model, lines, options)
    chance = np.mean([1 / (3 + LINE * line + 1) for line in range(4, 8)])
    assert np.allclose(found["literal"][1, 0], [1, 0, chance], atol=1e-6)
    assert np.allclose(found["literal"][1, 1], [chance, 0, 1], atol=1e-6)
    assert np.allclose(found["literal"][0], 0)
    assert np.allclose(found["literal_chance"], chance, atol=1e-6)
    assert found["literal_over_category"][1, 0, 0] > 1e6
    assert found["literal_over_category"][1, 0, 2] == pytest.approx(1)


def test_a_head_that_sees_categories_alone_is_not_literal(lines):
    options = EXPERIMENTS["abstract"](examples=70)
    tokens, targets = abstract.repeated_lines(lines, options)
    same = (targets | abstract._same_label_elsewhere(tokens, targets)).float().numpy()
    same = np.where(same.any(-1, keepdims=True), same, np.eye(same.shape[-1]))
    rivals = abstract._same_label_elsewhere(tokens, targets)
    assert rivals.any()
    assert not (rivals & targets).any()
    query, key = np.nonzero(rivals[0].numpy())
    assert (tokens[0].numpy()[key] == tokens[0].numpy()[query + 1]).all()
    spread = same / same.sum(-1, keepdims=True)
    model = Patterned(lines.d_vocab, tokens[:, 1:].numpy(), spread[None])
    found = abstract.literal_attention(model, lines, options)
    assert found["literal_over_category"][1, 0, 0] == pytest.approx(1)
    assert found["literal_over_chance"][1, 0, 0] > 4


def test_the_diagonal_against_the_other_entries():
    others = torch.tensor([[0.0, 1, 2], [3, 0, 4], [5, 6, 0]])  # mean 3.5, variance 3.5
    square = others + torch.diag(torch.tensor([9.0, 10, 11]))
    assert abstract.diagonal_excess(square).item() == pytest.approx(6.5 / 3.5**0.5)
    assert abstract.diagonal_excess(torch.stack([square, -square])).tolist() == pytest.approx(
        [6.5 / 3.5**0.5, -6.5 / 3.5**0.5]
    )
    assert abstract.diagonal_excess(others + 3.5 * torch.eye(3)).item() == pytest.approx(0)


@pytest.mark.parametrize("norm", ["none", "rmsnorm", "layernorm"])
def test_label_copying_is_of_labels_and_has_the_sign_of_the_head(lines, norm):
    v, generator = lines.d_vocab, torch.Generator().manual_seed(0)
    spec = wired_spec(v, lines.n_context, n_layers=2, norm=norm)
    model = Transformer(spec, torch.zeros(2, parameter_count(spec))).requires_grad_(False)
    weights = model.named()
    labels = np.array([name.startswith("=") for name in lines.vocabulary])
    for name, weight in weights.items():
        weight.copy_(torch.ones_like(weight) if name.endswith(".w") else torch.zeros_like(weight))
    weights["embed.W_E"][:, :, :v] = torch.eye(v)
    weights["unembed.W_U"][:, -v:] = torch.eye(v)
    path = torch.eye(v) + 0.01 * torch.randn(v, v, generator=generator)
    words_only = torch.where(torch.from_numpy(labels)[:, None], torch.randn(v, v, generator=generator), path)
    for head, OV in enumerate((path, -path, words_only)):
        weights["blocks.1.attn.W_V"][0, head, :v, :v] = torch.eye(v)
        weights["blocks.1.attn.W_O"][0, head, :v, -v:] = OV
    found = abstract.label_copying(model, lines)
    assert found.shape == (2, 2, 3)
    assert found[1, 0, 0] > 50
    assert found[1, 0, 1] == pytest.approx(-found[1, 0, 0], rel=1e-3)
    assert abs(found[1, 0, 2]) < 1
    assert np.isnan(found[0]).all()
    assert np.isnan(found[1, 1]).all()


def test_abstract_reads_a_run(tmp_path):
    bench = Bench(tmp_path)
    with ExitStack() as stack:
        bench.dataset(
            "classes", "classes", {"n_lines": 8, "words_per_class": 5, "n_train": 50, "n_evaluation": 40}
        )
        vocabulary = 1 + 2 + 4 * 5 + 16
        spec = wired_spec(vocabulary, 104)
        bench.run("lines", "classes", spec, [even_pair(spec), induction_pair(spec)])
        bench.cache("lines", "classes")
        frame = table("abstract", opened(bench, stack, ["lines"]), examples=40)
    assert len(frame) == 2 * 2 * 2 * 3
    assert frame["chance"].nunique() == 1
    first, last = of(frame, snapshot="first"), of(frame, snapshot="last")
    assert np.allclose(first["same_category"], first["chance"], atol=1e-5)
    assert np.allclose(first["label_loss"], math.log(vocabulary), atol=1e-4)
    assert np.allclose(first["literal_over_chance"], 1, atol=1e-4)
    assert first["label_copying"].isna().all()
    for seed, wired in HEAD.items():
        row = of(last, seed=seed, layer=1, head=wired).iloc[0]
        assert row["prefix"] == pytest.approx(1, abs=1e-3)
        assert row["label_copying"] > 1e3  # the identity, to rounding
        # colons follow colons' labels, of any category alike
        assert row["same_category"] == pytest.approx(row["chance"], abs=1e-4)
        assert of(last, seed=seed)["label_copying"].notna().sum() == 1
