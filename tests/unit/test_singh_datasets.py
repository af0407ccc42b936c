import os
import sys
import zipfile
from collections import Counter
from itertools import permutations, product
from types import ModuleType

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from headworks.errors import HeadworksError
from headworks.studies.singh2024 import encoders, exemplars
from headworks.studies.singh2024.datasets import SPLITS, episodes, every_sequence
from headworks.studies.singh2024.spec import EpisodesSpec, split_pairs, thin_pairs

SMALL = {"n_classes": 6, "n_test_classes": 4, "n_drawings": 3, "n_evaluation": 600}
FEW = {"n_classes": 3, "n_test_classes": 2, "n_drawings": 2}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWORKS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def dataset():
    return episodes(EpisodesSpec(**SMALL, n_outputs=8))


@pytest.fixture(scope="module")
def rows(dataset):
    """By kind of sequence, the enumeration under 'all': exemplars as vector numbers, labels as they are."""
    split = dataset.arrays["split"]
    found = {
        name: dataset.evaluation[split == i].astype(int) for i, name in enumerate(dataset.facts["splits"])
    }
    found["all"] = dataset.train.astype(int)
    for kind in found.values():
        kind[:, [0, 2, 4]] -= dataset.d_vocab
    return found


def unordered(pairs):
    return {tuple(sorted(pair)) for pair in np.asarray(pairs).tolist()}


EXACT = ["all", "train", "test_class", "held_out_pairs"]
KINDS = [*EXACT, "drawings"]


class TestRows:
    @pytest.mark.parametrize("kind", EXACT)
    def test_query_is_its_match_bit_for_bit_and_its_label_the_target(self, dataset, rows, kind):
        vectors = dataset.arrays["vectors"]
        for a, label_a, b, label_b, query, target in rows[kind]:
            match, other = (a, b) if target == label_a else (b, a)
            assert {label_a, label_b} > {target}
            assert vectors[query].tobytes() == vectors[match].tobytes() != vectors[other].tobytes()

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_class_of_the_query_is_in_the_context_once_with_the_target(self, dataset, rows, kind):
        classes = dataset.arrays["class_of_vector"][rows[kind][:, [0, 2, 4]]]
        labels, target = rows[kind][:, [1, 3]], rows[kind][:, 5]
        np.testing.assert_array_equal((classes[:, :2] == classes[:, 2:]).sum(1), 1)
        np.testing.assert_array_equal(labels == target[:, None], classes[:, :2] == classes[:, 2:])

    @pytest.mark.parametrize("kind", KINDS)
    def test_pairs_of_labels_are_those_of_the_kind(self, dataset, rows, kind):
        name = "held_out_pairs" if kind == "held_out_pairs" else "train_pairs"
        assert unordered(rows[kind][:, [1, 3]]) == unordered(dataset.arrays[name])

    def test_held_out_pairs_and_training_pairs_are_all_pairs(self, dataset):
        train, held_out = (unordered(dataset.arrays[name]) for name in ("train_pairs", "held_out_pairs"))
        assert not train & held_out
        assert len(train | held_out) == 10

    @pytest.mark.parametrize("kind", KINDS)
    def test_classes_and_drawings_are_those_of_the_kind(self, dataset, rows, kind):
        used = np.unique(rows[kind][:, [0, 2, 4]])
        classes = dataset.arrays["class_of_vector"][used]
        drawings = dataset.arrays["drawing_of_vector"][used]
        assert set(classes) == (set(range(6, 10)) if kind == "test_class" else set(range(6)))
        assert set(drawings) == ({1, 2} if kind == "drawings" else {0})

    def test_other_drawings_of_query_and_match_are_drawn_independently(self, rows):
        kind = rows["drawings"]
        match = np.where(kind[:, 1] == kind[:, 5], kind[:, 0], kind[:, 2])
        assert abs((match == kind[:, 4]).mean() - 1 / 2) < 4 * (0.25 / len(kind)) ** 0.5

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_match_is_as_often_first_as_second(self, rows, kind):
        first = rows[kind][:, 1] == rows[kind][:, 5]
        assert (
            first.mean() == 0.5 if kind == "all" else abs(first.mean() - 0.5) < 4 * (0.25 / len(first)) ** 0.5
        )


class TestEnumeration:
    def test_the_papers_number(self):
        spec = EpisodesSpec()
        train = every_sequence(spec)
        assert len(train) == spec.unique_sequences == 78_400
        assert len(np.unique(train, axis=0)) == 78_400

    @pytest.mark.parametrize(
        ("classes", "labels", "number"),
        [(100, 5, 316_800), (200, 5, 1_273_600), (50, 10, 352_800), (50, 15, 823_200)],
    )
    def test_the_papers_sweeps(self, classes, labels, number):
        assert EpisodesSpec(n_classes=classes, n_labels=labels).unique_sequences == number

    def test_is_every_sequence_that_the_rules_allow(self):
        spec = EpisodesSpec(n_classes=3, n_labels=4)
        allowed = set()
        for (query, other), (right, wrong) in product(
            permutations(range(4, 7), 2), permutations(range(4), 2)
        ):
            if tuple(sorted((right, wrong))) in spec.train_pairs:
                allowed.add((query, right, other, wrong, query, right))
                allowed.add((other, wrong, query, right, query, right))
        assert Counter(map(tuple, every_sequence(spec).tolist())) == Counter(allowed)


class TestLayout:
    def test_tokens(self, dataset):
        assert (dataset.layout, dataset.predicts, dataset.bos, dataset.n_context) == ("draws", "last", -1, 5)
        assert dataset.d_vocab == 8
        assert dataset.vocabulary == [f"={i}" for i in range(8)]
        assert dataset.train.dtype == dataset.evaluation.dtype == np.uint16
        vectors = dataset.arrays["vectors"]
        assert vectors.dtype == np.float32
        assert vectors.shape == (6 + 4 + 6 * 2, 512)
        assert dataset.train[:, [0, 2, 4]].min() == 8
        assert dataset.evaluation.max() == 8 + len(vectors) - 1
        assert np.unique(dataset.train[:, [1, 3, 5]]).tolist() == [0, 1, 2, 3, 4]

    def test_vectors_are_those_of_the_exemplars_in_the_stated_order(self, dataset):
        spec = EpisodesSpec(**SMALL, norm="none")
        images = exemplars.load(spec).values
        features = encoders.encode(images.reshape(-1, 28, 28), "random_conv", spec.seed).reshape(10, 3, -1)
        wanted = [features[:6, 0], features[6:, 0], *features[:6, 1:]]
        np.testing.assert_allclose(episodes(spec).arrays["vectors"], np.concatenate(wanted), rtol=1e-6)
        assert dataset.arrays["class_of_vector"].tolist() == [*range(10), *np.repeat(range(6), 2)]
        assert dataset.arrays["drawing_of_vector"].tolist() == [0] * 10 + [1, 2] * 6

    def test_mean_norm(self, dataset):
        norms = np.linalg.norm(dataset.arrays["vectors"], axis=1)
        assert norms.mean() == pytest.approx(28, rel=1e-5)
        assert norms.std() > 0.5

    def test_axes_of_every_array_and_facts(self, dataset):
        assert dataset.axes.keys() == dataset.arrays.keys()
        assert all(len(dataset.axes[name]) == array.ndim for name, array in dataset.arrays.items())
        assert np.bincount(dataset.arrays["split"]).tolist() == [600] * 4
        assert dataset.facts["splits"] == SPLITS
        assert dataset.facts["unique_sequences"] == len(dataset.train) == 2 * 6 * 5 * 16
        assert 0 < dataset.facts["between_class_cosine"] < dataset.facts["within_class_cosine"] < 1

    def test_is_the_same_twice_and_seeds_have_their_parts(self, dataset):
        def difference(**changed):
            other = episodes(EpisodesSpec(**SMALL, n_outputs=8, **changed))
            parts = {"train": other.train, "evaluation": other.evaluation, **other.arrays}
            mine = {"train": dataset.train, "evaluation": dataset.evaluation, **dataset.arrays}
            return {name for name in mine if not np.array_equal(parts[name], mine[name])}

        assert difference() == set()
        assert difference(seed=1) == {"vectors"}
        assert difference(evaluation_seed=2) == {"evaluation"}
        assert difference(pair_seed=1) == {"train", "evaluation", "train_pairs", "held_out_pairs"}


class TestPairs:
    def test_the_papers_split(self):
        spec = EpisodesSpec()
        published = {(1, 2), (2, 3), (0, 4), (0, 3), (0, 1), (2, 4), (1, 4), (3, 4)}
        assert set(spec.train_pairs) == published
        assert set(spec.held_out_pairs) == {(1, 3), (0, 2)}

    @pytest.mark.parametrize(
        ("labels", "train", "held_out"), [(3, 2, 1), (5, 8, 2), (10, 36, 9), (15, 84, 21)]
    )
    def test_sizes_and_every_label_in_training(self, labels, train, held_out):
        spec = EpisodesSpec(n_labels=labels)
        assert (len(spec.train_pairs), len(spec.held_out_pairs)) == (train, held_out)
        assert {label for pair in spec.train_pairs for label in pair} == set(range(labels))

    @pytest.mark.parametrize("labels", [5, 10, 15])
    def test_fixed_number_of_pairs_keeps_every_label(self, labels):
        whole, thin = EpisodesSpec(n_labels=labels), EpisodesSpec(n_labels=labels, n_pairs=8)
        assert len(set(thin.train_pairs)) == 8
        assert set(thin.train_pairs) <= set(whole.train_pairs)
        assert {label for pair in thin.train_pairs for label in pair} == set(range(labels))
        assert thin.held_out_pairs == whole.held_out_pairs
        assert thin.unique_sequences == 78_400

    def test_thinning_prefers_new_labels(self):
        pairs = [(0, 1), (0, 2), (1, 2), (2, 3), (0, 4)]
        assert thin_pairs(pairs, 3) == [(0, 1), (2, 3), (0, 4)]
        assert thin_pairs(pairs, 4) == [(0, 1), (2, 3), (0, 4), (0, 2)]

    def test_seed_moves_the_split(self):
        assert split_pairs(10, 0.8, 0)[1] != split_pairs(10, 0.8, 1)[1]


class TestOptions:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_labels": 1}, "n_labels"),
            ({"n_labels": 10, "pair_share": 0.05}, "pair_share: 2 training pairs .* leave out label"),
            ({"n_labels": 5, "pair_share": 0.99}, "pair_share: no pair of labels is held out"),
            ({"n_labels": 10, "pair_share": 0.15, "pair_seed": 3}, "pair_seed 3.* leave out label"),
            ({"n_pairs": 9}, "n_pairs: found 9; .* leave 8 training pairs"),
            ({"n_pairs": 2}, "n_pairs: 2 pairs .* leave out label"),
            ({"n_outputs": 4}, "n_outputs: 4 is less than n_labels 5"),
            ({"n_classes": 1600, "n_labels": 15}, "n_classes: 1600 classes .* allowed are 33554432"),
            ({"source": "images"}, "path: found None with source: images"),
            ({"source": "features"}, "path: found None with source: features"),
            ({"source": "glyphs", "path": "x"}, "path: found 'x' with source: glyphs"),
            (
                {"source": "gaussian", "encoder": "random_conv"},
                "encoder: found random_conv with source: gaussian",
            ),
            ({"class_correlation": 0.5}, "class_correlation: found with source: glyphs"),
            ({"source": "gaussian", "between_correlation": 0.6}, "between_correlation: 0.6 exceeds .* 0.5"),
            ({"n_drawings": 1}, "n_drawings"),
            ({"labels": 5}, "labels"),
        ],
    )
    def test_mistakes_name_the_key(self, options, message):
        with pytest.raises(ValidationError, match=message):
            EpisodesSpec(**options)

    def test_fingerprint_follows_the_users_files(self, tmp_path):
        def of(path):
            return EpisodesSpec(source="images", path=str(path)).fingerprint()

        assert EpisodesSpec().fingerprint() == ""
        file = tmp_path / "images" / "a" / "1.png"
        file.parent.mkdir(parents=True)
        file.write_bytes(b"one")
        before, alone = of(tmp_path / "images"), of(file)
        assert of(tmp_path / "images") == before != alone
        file.write_bytes(b"two")
        assert of(tmp_path / "images") != before
        assert of(file) != alone
        with pytest.raises(HeadworksError, match=r"path: .*missing is neither a file nor a folder"):
            of(tmp_path / "missing")


class TestGlyphs:
    def test_drawings_of_a_class_are_more_alike_than_of_two(self):
        drawings = exemplars.load(EpisodesSpec(n_classes=30, n_test_classes=10)).values
        assert drawings.shape == (40, 5, 28, 28)
        within, between = encoders.mean_cosines(drawings.reshape(40, 5, -1))
        assert within > between + 0.05
        flat = drawings.reshape(200, -1)
        assert len(np.unique(flat, axis=0)) == 200
        assert flat.min() == 0
        assert ((flat.max(1) > 0.8) & (flat.max(1) <= 1)).all()
        assert ((flat.mean(1) > 0.02) & (flat.mean(1) < 0.25)).all()

    def test_one_drawing_depends_on_its_numbers_alone(self):
        few = exemplars.load(EpisodesSpec(**FEW))
        assert few.names == ["glyph0", "glyph1", "glyph2", "glyph1621", "glyph1622"]
        np.testing.assert_array_equal(few.values[4, 1], exemplars.draw_glyph(0, 1622, 1, 28))
        assert not np.array_equal(few.values[0], exemplars.load(EpisodesSpec(**FEW, seed=1)).values[0])

    def test_larger_drawings_show_the_same_character(self):
        large = exemplars.draw_glyph(0, 7, 0, 56).reshape(28, 2, 28, 2).mean((1, 3))
        small = exemplars.draw_glyph(0, 7, 0, 28)
        assert np.corrcoef(large.ravel(), small.ravel())[0, 1] > 0.9

    def test_too_many_classes(self):
        with pytest.raises(HeadworksError, match=r"1600 \+ 100 classes asked for; source: glyphs has 1623"):
            exemplars.load(EpisodesSpec(n_classes=1600, n_labels=3))


class TestVectors:
    @pytest.mark.parametrize(("within", "between"), [(0.0, 0.0), (0.5, 0.0), (0.8, 0.5)])
    def test_gaussian_correlations(self, within, between):
        spec = EpisodesSpec(source="gaussian", class_correlation=within, between_correlation=between)
        values = exemplars.load(spec).values.astype(float)
        assert values.shape == (150, 5, 512)
        found = encoders.mean_cosines(values)
        np.testing.assert_allclose(
            found, (within, between), atol=0.05
        )  # of one shared vector: 0.03 at 512 entries
        np.testing.assert_allclose(values.var(), 1, atol=0.1)

    def test_gaussian_episodes(self):
        dataset = episodes(EpisodesSpec(source="gaussian", **SMALL))
        assert dataset.facts["encoder"] == "none"
        assert np.linalg.norm(dataset.arrays["vectors"], axis=1).mean() == pytest.approx(28)

    @pytest.mark.parametrize("name", ["resnet18/224/feat", "features"])
    def test_features_of_a_file_in_its_order(self, tmp_path, name):
        array = np.random.default_rng(0).normal(size=(8, 4, 6))
        with h5py.File(tmp_path / "f.h5", "w") as file:
            file[name] = array
            file["order"] = np.arange(8)
        loaded = exemplars.load(EpisodesSpec(source="features", path=str(tmp_path / "f.h5"), **FEW))
        np.testing.assert_array_equal(loaded.values, array[[0, 1, 2, 6, 7], :2].astype(np.float32))
        assert loaded.names[-1] == "class7"

    def test_features_of_npz(self, tmp_path):
        np.savez(tmp_path / "f.npz", features=np.ones((5, 2, 3)), other=np.zeros((5, 2, 3)))
        loaded = exemplars.load(EpisodesSpec(source="features", path=str(tmp_path / "f.npz"), **FEW))
        np.testing.assert_array_equal(loaded.values, np.ones((5, 2, 3)))

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            (
                {"x": np.ones((5, 6))},
                r"float64 of shape \(5, 6\); needed are finite numbers \[class, drawing",
            ),
            ({"x": np.full((5, 2, 3), np.nan)}, "finite"),
            ({"x": np.ones((4, 2, 3))}, r"3 \+ 2 classes asked for; .* has 4"),
            ({"x": np.ones((5, 1, 3))}, "n_drawings: 2 asked for; .* has 1 drawings"),
            ({"x": np.ones((5, 2, 3)), "y": np.ones((5, 2, 3))}, r"arrays \['x', 'y'\]; needed is one"),
            ({}, r"arrays \[\]"),
        ],
    )
    def test_wrong_features(self, tmp_path, arrays, message):
        np.savez(tmp_path / "f.npz", **arrays)
        with pytest.raises(HeadworksError, match=message):
            exemplars.load(EpisodesSpec(source="features", path=str(tmp_path / "f.npz"), **FEW))

    @pytest.mark.parametrize("name", ["f.npz", "f.h5"])
    def test_unreadable_features(self, tmp_path, name):
        spec = EpisodesSpec(source="features", path=str(tmp_path / name), **FEW)
        with pytest.raises(HeadworksError, match="cannot be read"):
            exemplars.load(spec)
        (tmp_path / name).write_text("text")
        with pytest.raises(HeadworksError, match="cannot be read"):
            exemplars.load(spec)


def draw_bar(path, column, ink=0, paper=255, size=(28, 28)):
    """A vertical bar at a column that stands for the class."""
    image = Image.new("L", size, paper)
    image.paste(ink, (column, 2, column + 3, size[1] - 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def column(drawing):
    return int(np.argmax(drawing.sum(0)))


class TestImages:
    def test_a_folder_is_a_class_and_ink_is_one_on_any_paper(self, tmp_path):
        for number in range(6):
            draw_bar(tmp_path / f"c{number}" / "1.png", 4 * number)
            draw_bar(tmp_path / f"c{number}" / "2.PNG", 4 * number, ink=255, paper=0)
            (tmp_path / f"c{number}" / "notes.txt").write_text("no image")
        loaded = exemplars.load(EpisodesSpec(source="images", path=str(tmp_path), **FEW))
        assert loaded.values.shape == (5, 2, 28, 28)
        np.testing.assert_allclose(loaded.values[:, 0], loaded.values[:, 1])
        np.testing.assert_allclose(loaded.values.mean((1, 2, 3)), 3 * 24 / 784, rtol=0.01)
        assert [f"c{column(drawing) // 4}" for drawing in loaded.values[:, 0]] == loaded.names

    def test_ink_on_transparent_paper(self, tmp_path):
        image = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
        image.paste((0, 0, 0, 255), (4, 2, 7, 26))
        for number, drawing in product(range(5), range(2)):
            (tmp_path / str(number)).mkdir(exist_ok=True)
            image.save(tmp_path / str(number) / f"{drawing}.png")
        loaded = exemplars.load(EpisodesSpec(source="images", path=str(tmp_path), **FEW))
        assert loaded.values.sum() == 10 * 3 * 24

    def test_other_sizes_are_fitted(self, tmp_path):
        for number, drawing in product(range(5), range(2)):
            draw_bar(tmp_path / str(number) / f"{drawing}.png", 20, size=(56, 112))
        drawing = exemplars.load(EpisodesSpec(source="images", path=str(tmp_path), **FEW)).values[0, 0]
        assert drawing.shape == (28, 28)
        assert column(drawing) == 12  # half of 28 wide, so from column 7 on

    @pytest.mark.parametrize(
        ("drawings", "message"),
        [
            ({0: 2, 1: 2, 2: 2, 3: 2}, r"3 \+ 2 classes asked for; .* has 4"),
            ({0: 2, 1: 2, 2: 2, 3: 2, 4: 1}, "n_drawings: 2 asked for; class 4 of .* has 1"),
        ],
    )
    def test_too_few(self, tmp_path, drawings, message):
        for number, count in drawings.items():
            for drawing in range(count):
                draw_bar(tmp_path / str(number) / f"{drawing}.png", 5)
        with pytest.raises(HeadworksError, match=message):
            exemplars.load(EpisodesSpec(source="images", path=str(tmp_path), **FEW))

    def test_no_folder_and_no_image(self, tmp_path):
        with pytest.raises(HeadworksError, match="is not a folder"):
            exemplars.load(EpisodesSpec(source="images", path=str(tmp_path / "none"), **FEW))
        for number, drawing in product(range(5), range(2)):
            file = tmp_path / str(number) / f"{drawing}.png"
            file.parent.mkdir(exist_ok=True)
            file.write_text("text")
        with pytest.raises(HeadworksError, match=r"path: .*\.png cannot be read as an image"):
            exemplars.load(EpisodesSpec(source="images", path=str(tmp_path), **FEW))


@pytest.fixture
def omniglot_zips(tmp_path):
    """Five classes in two archives as Omniglot has them, a bar for each class."""
    folder = tmp_path / "omniglot"
    for name, numbers in (("images_background", (0, 1, 2)), ("images_evaluation", (3, 4))):
        folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for number, drawing in product(numbers, range(3)):
                draw_bar(tmp_path / "one.png", 20 * number, size=(105, 105))
                member = f"{name}/Alphabet/character{number:02}/{number:04}_{drawing:02}.png"
                archive.write(tmp_path / "one.png", member)
    return folder


class TestOmniglot:
    def test_reads_both_archives_of_a_folder(self, omniglot_zips):
        spec = EpisodesSpec(source="omniglot", path=str(omniglot_zips), **FEW)
        loaded = exemplars.load(spec)
        assert sorted(loaded.names) == [f"Alphabet/character0{number}" for number in range(5)]
        found = [round(column(drawing) / 28 * 105 / 20) for drawing in loaded.values[:, 1]]
        assert [f"Alphabet/character0{number}" for number in found] == loaded.names
        assert (loaded.facts["licence"], loaded.facts["source_classes"]) == ("MIT", 5)
        orders = {tuple(exemplars.load(spec.model_copy(update={"seed": seed})).names) for seed in range(4)}
        assert len(orders) > 1

    def test_reads_a_packed_file(self, tmp_path):
        images = np.zeros((10, 28, 28), np.uint8)
        for i in range(10):
            images[i, 3:20, 5 * (i % 5)] = 1
        images[5:, 25] = 1  # the second drawing of each class
        np.savez(
            tmp_path / "o.npz",
            bits=np.packbits(images.reshape(10, -1), axis=1),
            label=np.arange(10) % 5,
            classes=np.array([f"A/c{i}" for i in range(5)]),
            name=np.array([f"{i:02}.png" for i in range(10)]),
        )
        loaded = exemplars.load(EpisodesSpec(source="omniglot", path=str(tmp_path / "o.npz"), **FEW))
        for name, drawings in zip(loaded.names, loaded.values, strict=True):
            np.testing.assert_array_equal(drawings, images[[int(name[-1]), int(name[-1]) + 5]])

    def test_downloads_by_checksum_into_the_cache(self, omniglot_zips, monkeypatch, tmp_path):
        asked = []

        def retrieve(url, known_hash, fname, path, progressbar):
            asked.append((url.rsplit("/", 1)[1], known_hash, path))
            return str(omniglot_zips / fname)

        monkeypatch.setattr(exemplars.pooch, "retrieve", retrieve)
        assert len(exemplars.load(EpisodesSpec(source="omniglot", **FEW)).names) == 5
        folder = tmp_path / "cache" / "omniglot"
        assert asked == [
            ("images_background.zip", "md5:68d2efa1b9178cc56df9314c21c6e718", folder),
            ("images_evaluation.zip", "md5:6b91aef0f799c5bb55b94e3f2daec811", folder),
        ]

    def test_wrong_checksum_and_no_network(self, omniglot_zips, monkeypatch, tmp_path):
        archive = omniglot_zips / "images_background.zip"
        monkeypatch.setattr(exemplars, "OMNIGLOT_URL", f"file://{tmp_path}")
        with pytest.raises(
            HeadworksError, match=r"Omniglot could not be had .* Without a network, use source: glyphs"
        ):
            exemplars.load(EpisodesSpec(source="omniglot", **FEW))

        def copy(url, output, pooch):
            with open(output, "wb") if isinstance(output, str) else output as file:
                file.write(archive.read_bytes())

        monkeypatch.setattr("pooch.core.choose_downloader", lambda url, progressbar: copy)
        with pytest.raises(HeadworksError, match=r"could not be had .* hash"):
            exemplars.load(EpisodesSpec(source="omniglot", **FEW))
        assert not [file for file in (tmp_path / "cache" / "omniglot").iterdir() if file.is_file()]

    def test_wrong_copies(self, tmp_path):
        def error(path, match):
            with pytest.raises(HeadworksError, match=match):
                exemplars.load(EpisodesSpec(source="omniglot", path=str(path), **FEW))

        error(tmp_path, "neither an .npz file nor a folder with images_background.zip")
        (tmp_path / "images_background.zip").write_text("text")
        error(tmp_path, "is not a zip file")
        np.savez(tmp_path / "o.npz", bits=np.zeros((2, 98)))
        error(tmp_path / "o.npz", "cannot be read .* needed are the arrays bits")
        np.savez(tmp_path / "p.npz", bits=np.zeros((2, 5)), label=[0, 1], classes=["a", "b"], name=["1", "2"])
        error(tmp_path / "p.npz", r"bits of shape \(2, 5\)")
        np.savez(
            tmp_path / "q.npz", bits=np.zeros((2, 98)), label=[0, 2], classes=["a", "b"], name=["1", "2"]
        )
        error(tmp_path / "q.npz", "2 labels and 2 classes")

    def test_the_real_one(self):
        path = os.environ.get("HEADWORKS_OMNIGLOT")
        if not path:
            pytest.skip("HEADWORKS_OMNIGLOT does not name a copy of Omniglot")
        dataset = episodes(EpisodesSpec(source="omniglot", path=path))
        assert dataset.facts["source_classes"] == 1623
        assert dataset.arrays["vectors"].shape == (350, 512)
        assert 0.5 < dataset.facts["between_class_cosine"] < dataset.facts["within_class_cosine"] < 0.75


class TestEncoders:
    def test_random_conv_sees_one_drawing_at_a_time(self, monkeypatch):
        images = np.random.default_rng(0).random((7, 28, 28), dtype=np.float32)
        whole = encoders.encode(images, "random_conv", 0)
        assert whole.shape == (7, 512)
        assert whole.min() == 0
        monkeypatch.setattr(encoders, "CHUNK", 2)
        np.testing.assert_allclose(encoders.encode(images, "random_conv", 0), whole, rtol=1e-5, atol=1e-6)
        assert not np.allclose(encoders.encode(images, "random_conv", 1), whole)
        assert encoders.encode(np.zeros((1, 105, 105), np.float32), "random_conv", 0).shape == (1, 512)

    def test_no_paper_no_feature_and_twice_the_ink_twice_the_feature(self):
        images = np.random.default_rng(0).random((3, 28, 28), dtype=np.float32)
        one, two, none = (encoders.encode(f * images, "random_conv", 0) for f in (1, 2, 0))
        np.testing.assert_allclose(two, 2 * one, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(none, 0)

    def test_none_is_the_pixels(self):
        images = np.random.default_rng(0).random((2, 28, 28), dtype=np.float32)
        np.testing.assert_array_equal(encoders.encode(images, "none", 0), images.reshape(2, 784))

    def test_rescale(self):
        vectors = np.array([[3.0, 4.0], [0.0, 15.0]])
        np.testing.assert_allclose(encoders.rescale(vectors, 20), 2 * vectors)
        with pytest.raises(HeadworksError, match="norm: every vector is zero"):
            encoders.rescale(np.zeros((2, 2)), 1)

    def test_mean_cosines_are_means_over_pairs(self):
        vectors = np.random.default_rng(0).normal(size=(4, 3, 5)) + 0.5
        units = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).reshape(12, 5)
        cosines, classes = units @ units.T, np.arange(12) // 3
        same = classes[:, None] == classes
        wanted = cosines[same & ~np.eye(12, dtype=bool)].mean(), cosines[~same].mean()
        np.testing.assert_allclose(encoders.mean_cosines(vectors), wanted)

    @pytest.mark.parametrize(
        ("encoder", "package"),
        [("resnet18", "torchvision"), ("efficientnet_lite0", "efficientnet_lite_pytorch")],
    )
    def test_missing_packages_are_named(self, monkeypatch, encoder, package):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(HeadworksError, match=f"{encoder} needs the package {package}, which cannot"):
            encoders.encode(np.zeros((1, 28, 28), np.float32), encoder, 0)

    def test_resnet18_reads_white_paper_and_loses_its_last_layer(self, monkeypatch):
        """With a stand-in that averages each channel, in place of the network."""

        class Averages(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = torch.nn.Linear(3, 1000)

            def forward(self, images):
                assert images.shape[1:] == (3, 224, 224)
                return self.fc(images.mean((2, 3)))

        models = ModuleType("torchvision.models")
        models.resnet18 = lambda weights: Averages()
        models.ResNet18_Weights = type("Weights", (), {"IMAGENET1K_V1": "weights"})
        monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.models", models)
        blank, full = encoders.encode(
            np.stack([np.zeros((28, 28)), np.ones((28, 28))]).astype(np.float32), "resnet18", 0
        )
        np.testing.assert_allclose(
            blank, (1 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225], rtol=1e-4
        )
        np.testing.assert_allclose(full, -np.array([0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225], rtol=1e-4)
