import itertools

import numpy as np
import pytest
from pydantic import ValidationError

from headworks import corpora
from headworks.errors import HeadworksError
from headworks.studies.olsson2022 import datasets
from headworks.studies.olsson2022.spec import DATASETS, ClassesSpec, PermSpec, TextSpec


def exact_loss(tokens, table, p, mappings):
    """Bayes loss [sequence, position] by weighing every mapping, [mapping, token - 1] -> token - 1."""
    loss = np.zeros((len(tokens), tokens.shape[1] - 1))
    for row, sequence in enumerate(tokens.astype(int)):
        weights = np.ones(len(mappings))
        loss[row, 0] = -np.log(table[0, sequence[1] - 1])
        for t in range(1, len(sequence) - 1):
            now, following = sequence[t], sequence[t + 1]
            likelihood = p * (mappings[:, now - 1] == following - 1) + (1 - p) * table[now, following - 1]
            loss[row, t] = -np.log((weights * likelihood).sum() / weights.sum())
            weights = weights * likelihood
            weights /= weights.max()
    return loss


def same(one, other):
    arrays = [(one.train, other.train), (one.evaluation, other.evaluation)]
    arrays += [(one.arrays[name], other.arrays[name]) for name in one.arrays]
    return all(np.array_equal(a, b) for a, b in arrays) and one.facts == other.facts


def check_contract(data):
    assert data.evaluation.shape[1] == data.n_context + 1
    assert (data.evaluation[:, 0] == data.bos).all()
    assert len(data.vocabulary) == data.d_vocab > max(data.train.max(), data.evaluation.max())
    assert set(data.axes) == set(data.arrays)
    for name, axes in data.axes.items():
        assert data.arrays[name].ndim == len(axes)


class TestPerm:
    small = PermSpec(d_vocab=8, n_context=32, n_train=50, n_evaluation=40)

    def test_contract_and_determinism(self):
        data = datasets.perm(self.small)
        check_contract(data)
        assert data.train.shape == (50, 33)
        assert data.train.dtype == np.uint8
        assert data.train[:, 1:].min() >= 1
        assert same(data, datasets.perm(self.small))

    def test_seed_moves_sequences_and_table_seed_the_table(self):
        data = datasets.perm(self.small)
        other = datasets.perm(self.small.model_copy(update={"seed": 1}))
        assert (other.train != data.train).any()
        assert (other.arrays["table"] == data.arrays["table"]).all()
        moved = datasets.perm(self.small.model_copy(update={"table_seed": 1}))
        assert (moved.arrays["table"] != data.arrays["table"]).any()

    def test_vocabulary_beyond_a_byte(self):
        data = datasets.perm(PermSpec(d_vocab=300, n_context=8, n_train=200, n_evaluation=2))
        assert data.train.dtype == np.uint16
        assert data.train.max() > 256

    @pytest.mark.parametrize("mapping", ["permutation", "function"])
    def test_images_recur_as_often_as_they_should(self, mapping):
        # with a flat table a token's image follows with probability p + (1-p)/K, any other with (1-p)/K
        spec = PermSpec(
            d_vocab=11, p_repeat=0.6, concentration=100, mapping=mapping, n_train=4000, n_evaluation=1
        )
        data = datasets.perm(spec)
        image, other = 0.6 + 0.4 / 10, 0.4 / 10
        reliable = corpora.corpus_statistics(data)["train"]["reliable_share"]
        assert reliable == pytest.approx(image**2 + 9 * other**2, abs=0.01)

    def test_table_decides_without_mapping(self):
        data = datasets.perm(PermSpec(d_vocab=6, p_repeat=0, n_train=5000, n_evaluation=20))
        pairs = data.train[:, :-1].astype(int) * 6 + data.train[:, 1:]
        counts = np.bincount(pairs.ravel(), minlength=36).reshape(6, 6)[:, 1:]
        assert counts / counts.sum(1, keepdims=True) == pytest.approx(data.arrays["table"], abs=0.02)
        assert data.arrays["bayes_loss"] == pytest.approx(data.arrays["bigram_loss"])

    def test_nothing_is_known_of_the_mapping_at_first(self):
        data = datasets.perm(self.small)
        first = data.evaluation[:, 1].astype(int)
        assert data.arrays["bayes_loss"][:, 0] == pytest.approx(-np.log(data.arrays["table"][0, first - 1]))
        for t in (0, 1):
            bayes, bigram = data.arrays["bayes_loss"][:, t], data.arrays["bigram_loss"][:, t]
            assert bayes == pytest.approx(bigram, rel=1e-5)

    def test_function_floor_is_exact(self):
        spec = PermSpec(d_vocab=5, n_context=24, mapping="function", n_train=1, n_evaluation=20)
        data = datasets.perm(spec)
        mappings = np.array(list(itertools.product(range(4), repeat=4)))
        exact = exact_loss(data.evaluation, datasets.bigram_table(spec), 0.5, mappings)
        assert data.arrays["bayes_loss"] == pytest.approx(exact, rel=1e-4)

    def test_permutation_floor_is_close_to_enumeration(self):
        spec = PermSpec(d_vocab=8, n_context=40, n_train=1, n_evaluation=60)
        data = datasets.perm(spec)
        table = datasets.bigram_table(spec)
        mappings = np.array(list(itertools.permutations(range(7))))
        exact = exact_loss(data.evaluation, table, 0.5, mappings)
        independent, _ = datasets.perm_bayes(data.evaluation, table, 0.5, "function")
        excess = (data.arrays["bayes_loss"] - exact).mean()
        assert -0.005 < excess < 0.025
        assert excess < 0.4 * (independent - exact).mean()
        early = np.abs(data.arrays["bayes_loss"] - exact)[:, :6]
        assert early.mean() < 0.01

    def test_floor_lies_below_every_simpler_predictor_and_is_calibrated(self):
        spec = PermSpec(n_train=1, n_evaluation=128)
        data = datasets.perm(spec)
        bayes = data.arrays["bayes_loss"].mean()
        independent, _ = datasets.perm_bayes(data.evaluation, datasets.bigram_table(spec), 0.5, "function")
        assert bayes < independent.mean() - 0.01
        assert independent.mean() < data.arrays["bigram_loss"].mean() - 0.1
        assert abs(data.facts["bayes_calibration_gap"]) < 0.04
        late = data.arrays["bayes_loss"][:, 48:].mean()
        assert late < data.arrays["bayes_loss"][:, 8:24].mean() - 0.2

    def test_extremes_stay_finite(self):
        for p, concentration in ((0.99, 0.01), (0, 0.01), (0.99, 100)):
            spec = PermSpec(d_vocab=12, p_repeat=p, concentration=concentration, n_train=1, n_evaluation=8)
            loss = datasets.perm(spec).arrays["bayes_loss"]
            assert np.isfinite(loss).all()


class TestPermutationMarginals:
    def test_flat_weights_are_uniform(self):
        weights = np.ones((1, 9, 9))
        assert datasets.permutation_marginals(weights, weights)[0] == pytest.approx(np.full((1, 9, 9), 1 / 9))

    def test_rows_and_columns_scale_out(self):
        generator = np.random.default_rng(0)
        weights = generator.gamma(2, size=(1, 6, 6))
        scaled = weights * generator.gamma(2, size=(1, 6, 1)) * generator.gamma(2, size=(1, 1, 6))
        one, other = (
            datasets.permutation_marginals(w, np.ones_like(w), 1e-9, 500)[0] for w in (weights, scaled)
        )
        assert one == pytest.approx(other, abs=1e-6)

    def test_one_heavy_entry(self):
        # P(pi(0) = 0) = w / (w + K - 1), exactly
        weights = np.ones((1, 31, 31))
        weights[0, 0, 0] = 30
        assert datasets.permutation_marginals(weights, np.ones_like(weights))[0][0, 0, 0] == pytest.approx(
            0.5, abs=0.01
        )

    def test_an_image_taken_is_taken_from_the_others(self):
        weights = np.ones((1, 5, 5))
        weights[0, 0, 2] = 1e9
        found = datasets.permutation_marginals(weights, np.ones_like(weights))[0][0]
        assert found[0, 2] == pytest.approx(1, abs=1e-3)
        assert found[1:, 2] == pytest.approx(np.zeros(4), abs=1e-3)


class TestText:
    @pytest.fixture
    def folder(self, tmp_path):
        """Twelve documents, each with a word of its own, which no other has, in every line."""
        for i in range(12):
            mark = chr(ord("A") + i) * 3
            lines = [f"{mark} the number {n} of {mark}\n" for n in range(40 + i)]
            (tmp_path / f"{i}.txt").write_text("".join(lines))
        return tmp_path

    def spec(self, folder, **changes):
        options = {"d_vocab": 270, "n_context": 32, "n_evaluation": 8, "evaluation_share": 0.25}
        return TextSpec(source="folder", folder=str(folder), **(options | changes))

    def test_contract_and_determinism(self, folder):
        data = datasets.text(self.spec(folder))
        check_contract(data)
        assert data.layout == "stream"
        assert data.train.dtype == data.evaluation.dtype == np.uint16
        assert data.evaluation.shape == (8, 33)
        assert same(data, datasets.text(self.spec(folder)))

    def test_no_evaluation_document_in_training(self, folder):
        data = datasets.text(self.spec(folder))
        train = "".join(data.vocabulary[i] for i in data.train)
        evaluation = "".join(data.vocabulary[i] for i in data.evaluation.ravel())
        names = bytes(data.arrays["document_names"]).decode().split("\n")
        for name, out in zip(names, data.arrays["document_held_out"], strict=True):
            mark = chr(ord("A") + int(name.split(".")[0])) * 3
            assert (mark in train) == (not out)
            assert not (mark in evaluation and not out)
        assert data.arrays["document_held_out"].sum() == 3

    def test_stream_is_the_training_documents_with_starts_between(self, folder):
        data = datasets.text(self.spec(folder))
        tokenizer = corpora.load_tokenizer(data.arrays["tokenizer"])
        names = np.array(bytes(data.arrays["document_names"]).decode().split("\n"))
        kept = names[~data.arrays["document_held_out"]]
        documents = np.split(data.train, np.flatnonzero(data.train == data.bos))
        texts = [tokenizer.decode([i for i in document.tolist() if i]) for document in documents]
        assert texts == [(folder / name).read_text() for name in kept]

    def test_windows_are_stretches_of_held_out_documents_and_few_from_each(self, folder):
        data = datasets.text(self.spec(folder, windows_per_document=2, n_evaluation=6))
        tokenizer = corpora.load_tokenizer(data.arrays["tokenizer"])
        names = np.array(bytes(data.arrays["document_names"]).decode().split("\n"))
        texts = [(folder / name).read_text() for name in names[data.arrays["document_held_out"]]]
        per_document = np.zeros(len(texts), dtype=int)
        windows = [tokenizer.decode(row[1:].tolist()) for row in data.evaluation]
        for window in windows:
            per_document += [window in document for document in texts]
        assert len(set(windows)) == 6
        assert (per_document == 2).all()

    def test_other_seed_holds_out_other_documents(self, folder):
        one, other = (datasets.text(self.spec(folder, seed=seed)) for seed in (0, 1))
        assert (one.arrays["document_held_out"] != other.arrays["document_held_out"]).any()

    def test_standard_library(self):
        spec = TextSpec(max_bytes=400_000, d_vocab=300, n_context=64, n_evaluation=4)
        data = datasets.text(spec)
        check_contract(data)
        assert data.facts["source"] == "Python standard library"
        assert data.facts["train_documents"] + data.facts["evaluation_documents"] == data.facts["documents"]

    def test_missing_folder(self, tmp_path):
        with pytest.raises(HeadworksError, match="is not a folder"):
            datasets.text(self.spec(tmp_path / "absent"))

    def test_smaller_than_one_context(self, tmp_path):
        (tmp_path / "a.txt").write_text("few")
        (tmp_path / "b.txt").write_text("words")
        with pytest.raises(HeadworksError, match="2 documents, 8 bytes found; needed are"):
            datasets.text(self.spec(tmp_path, d_vocab=257))

    def test_training_part_smaller_than_one_context(self, tmp_path):
        (tmp_path / "a.txt").write_text("word " * 40)
        (tmp_path / "b.txt").write_text("few")
        both = [self.spec(tmp_path, d_vocab=257, n_evaluation=1, seed=seed) for seed in range(8)]
        for spec in both:
            with pytest.raises(
                HeadworksError, match=r"training tokens found|evaluation windows of n_context"
            ):
                datasets.text(spec)

    def test_one_document(self, tmp_path):
        (tmp_path / "a.txt").write_text("word " * 400)
        with pytest.raises(HeadworksError, match="1 documents"):
            datasets.text(self.spec(tmp_path))

    def test_more_evaluation_windows_than_there_are(self, folder):
        with pytest.raises(HeadworksError, match=r"evaluation windows .* n_evaluation asks for 9000"):
            datasets.text(self.spec(folder, n_evaluation=9000))


class TestClasses:
    spec = ClassesSpec(n_train=400, n_evaluation=100, classes_per_slot=3)

    def lines(self, tokens):
        return tokens[:, 1:].reshape(len(tokens), -1, 5).astype(int)

    def pairs(self, tokens):
        words = self.lines(tokens)[..., :2].reshape(-1, 2)
        return set(map(tuple, words))

    def test_contract_and_determinism(self):
        data = datasets.classes(self.spec)
        check_contract(data)
        assert data.n_context == 80
        assert same(data, datasets.classes(self.spec))

    def test_lines_look_as_they_should(self):
        data = datasets.classes(self.spec)
        words = np.array(data.vocabulary)[self.lines(data.evaluation)]
        assert (words[..., 2] == ":").all()
        assert (words[..., 4] == "\n").all()
        slot_1, slot_2 = (np.char.rstrip(words[..., i], "0123456789") for i in (0, 1))
        assert set(slot_1.ravel()) == {"month", "colour", "tool"}
        assert set(slot_2.ravel()) == {"animal", "fruit", "vehicle"}
        assert max(len(set(row)) for row in slot_1) == 2
        assert all(word.startswith("=") for word in words[..., 3].ravel())

    def test_no_combination_of_words_in_both_splits(self):
        data = datasets.classes(self.spec.model_copy(update={"n_train": 4000}))
        train, evaluation = self.pairs(data.train), self.pairs(data.evaluation)
        assert not train & evaluation
        words = {word for pair in train for word in pair}
        assert {word for pair in evaluation for word in pair} <= words

    def test_each_word_loses_equally_many_partners(self):
        held = datasets._held_out_pairs(self.spec)
        assert (held.sum(0) == self.spec.held_out_partners).all()
        assert (held.sum(1) == self.spec.held_out_partners).all()

    def repeated(self, tokens):
        """Share of the lines after the first whose words an earlier line of the sequence has."""
        lines = self.lines(tokens)
        new = sum(len(set(map(tuple, sequence[:, :2]))) for sequence in lines)
        return 1 - (new - len(lines)) / (len(lines) * (self.spec.n_lines - 1))

    def test_only_training_lines_repeat_and_as_often_as_asked(self):
        data = datasets.classes(self.spec)
        assert self.repeated(data.evaluation) == 0
        assert self.repeated(data.train) == pytest.approx(self.spec.repeat_share, abs=0.02)
        assert self.repeated(datasets.classes(self.spec.model_copy(update={"repeat_share": 0})).train) == 0

    def test_a_repeated_line_repeats_its_label(self):
        for sequence in self.lines(datasets.classes(self.spec).train)[:100]:
            assert len({tuple(line) for line in sequence}) == len({tuple(line[:2]) for line in sequence})

    def test_classes_decide_the_category_and_the_sequence_its_label(self):
        data = datasets.classes(self.spec)
        lines = self.lines(data.evaluation)
        classes = (lines[..., :2] - datasets.FIRST_WORD) // self.spec.words_per_class
        for sequence, kinds, categories in zip(lines, classes, data.arrays["category"], strict=True):
            by_category = {
                (c, tuple(kind), label)
                for c, kind, label in zip(categories, kinds, sequence[:, 3], strict=True)
            }
            n_categories = len(set(categories))
            assert len(by_category) == n_categories
            assert len({label for _, _, label in by_category}) == n_categories
        assert len(set(lines[..., 3].ravel())) == self.spec.n_labels

    def test_category_numbers_name_both_classes(self):
        data = datasets.classes(self.spec)
        classes = (self.lines(data.evaluation)[..., :2] - datasets.FIRST_WORD) // self.spec.words_per_class
        category = data.arrays["category"]
        for slot, part in enumerate((category // 2, category % 2)):
            for row in range(len(category)):
                assert len({(a, b) for a, b in zip(part[row], classes[row, :, slot], strict=True)}) <= 2

    def test_positions_and_floor(self):
        data = datasets.classes(self.spec)
        rows = np.arange(len(data.evaluation))[:, None]
        assert (data.evaluation[rows, data.arrays["colon_positions"]] == datasets.COLON).all()
        labels = data.evaluation[rows, data.arrays["label_positions"]]
        for row, seen, loss in zip(
            labels, data.arrays["label_seen"], data.arrays["label_bayes_loss"], strict=True
        ):
            for line in range(len(row)):
                before = set(row[:line])
                assert seen[line] == (row[line] in before)
                expected = 0 if seen[line] else np.log(self.spec.n_labels - len(before))
                assert loss[line] == pytest.approx(expected)

    def test_categories_are_equally_likely(self):
        category = datasets.classes(self.spec.model_copy(update={"n_evaluation": 2000})).arrays["category"]
        assert np.bincount(category.ravel()) / category.size == pytest.approx(np.full(4, 0.25), abs=0.01)


class TestSpecs:
    def test_defaults_are_valid(self):
        for kind, spec in DATASETS.items():
            assert spec()
            assert callable(getattr(datasets, kind))
            assert all(field.description for field in spec.model_fields.values())

    @pytest.mark.parametrize(
        ("spec", "values", "key"),
        [
            (PermSpec, {"p_repeat": 1.0}, "p_repeat"),
            (PermSpec, {"d_vocab": 2}, "d_vocab"),
            (PermSpec, {"vocabulary": 32}, "vocabulary"),
            (TextSpec, {"source": "folder"}, "folder"),
            (TextSpec, {"folder": "texts"}, "folder"),
            (TextSpec, {"d_vocab": 256}, "d_vocab"),
            (ClassesSpec, {"words_per_class": 4, "n_lines": 17}, "n_lines"),
        ],
    )
    def test_bad_values_are_named(self, spec, values, key):
        with pytest.raises(ValidationError, match=key):
            spec(**values)
