import copy
import json

import numpy as np
import pytest
from pydantic import ValidationError

from headworks.digest import canonical
from headworks.errors import HeadworksError
from headworks.studies.wu2024 import places as geography
from headworks.studies.wu2024.datasets import places
from headworks.studies.wu2024.prompts import MARKS, SPLITS
from headworks.studies.wu2024.spec import PlacesSpec
from headworks.studies.wu2024.templates import FAMILIES, PLACE, TEMPLATES, slots, words

N_CITIES, N_FAMILIES, N_WAYS = 60, 3, 4


@pytest.fixture(scope="module")
def dataset():
    return places(PlacesSpec())


@pytest.fixture(scope="module")
def cities():
    return geography.load(N_CITIES, 2)


@pytest.fixture(scope="module")
def rows(dataset):
    """By split, and 'all' training rows: pairs of a sentence and its answer, and the marks."""
    end = dataset.n_context + 1
    found = {"all": (dataset.train[:, :end], dataset.train[:, end:].astype(int))}
    marks = np.stack([dataset.arrays[name] for name in MARKS], axis=1).astype(int)
    for number, name in enumerate(SPLITS):
        chosen = dataset.arrays["split"] == number
        found[name] = dataset.evaluation[chosen], marks[chosen]
    return found


def sentence(dataset, row):
    return " ".join(
        dataset.vocabulary[token]
        for token in row[: dataset.facts["separator"]]
        if token != dataset.facts["pad"]
    )


def ways_of(dataset, regex, city):
    """All sentences of a family about a city, in order."""
    name = dataset.vocabulary[dataset.facts["first_input"] + city]
    family = list(TEMPLATES[dataset.facts["tasks"][regex // N_FAMILIES]].values())[regex % N_FAMILIES]
    return [" ".join(words(way)).replace(PLACE, name) for way in family]


KINDS = ["all", *SPLITS]


class TestRows:
    def test_layout(self, dataset):
        facts, n = dataset.facts, dataset.n_context
        assert (dataset.layout, dataset.predicts, dataset.bos) == ("draws", "last", -1)
        assert facts["positions"] == ["WORD", "SEP", "LAST"]
        assert facts["separator"] == n - 2
        for table in (dataset.train, dataset.evaluation):
            assert {dataset.vocabulary[token] for token in table[:, n - 2]} == {"SEP"}
            assert {dataset.vocabulary[token] for token in table[:, n - 1]} == {"ARR"}
            assert table[:, n].min() >= facts["first_output"]
            assert facts["pad"] not in table[:, n - 3]
        assert dataset.d_vocab == len(dataset.vocabulary)
        assert (facts["n_tasks"], facts["n_regexes"], facts["tasks"]) == (5, 3, list(TEMPLATES))
        assert dataset.axes.keys() == dataset.arrays.keys()

    @pytest.mark.parametrize("kind", KINDS)
    def test_sentences_are_of_the_family_the_wording_and_the_city_that_marks_say(self, dataset, rows, kind):
        for row, (task, regex, permuted, string, city) in zip(*rows[kind], strict=True):
            assert task == regex // N_FAMILIES
            assert permuted == dataset.arrays["permuted_tasks"][regex]
            assert string % N_CITIES == city
            way = string // N_CITIES - regex * N_WAYS
            assert sentence(dataset, row) == ways_of(dataset, regex, city)[way]

    @pytest.mark.parametrize("kind", KINDS)
    def test_answers_are_those_of_the_city(self, dataset, cities, rows, kind):
        for row, (task, _, _, _, city) in zip(*rows[kind], strict=True):
            assert dataset.vocabulary[row[-1]] == cities.answers[dataset.facts["tasks"][task]][city]

    def test_facts_survive_a_file(self, dataset):
        assert json.loads(canonical(dataset.facts)) == dataset.facts

    def test_outputs_and_distances(self, dataset):
        arrays = {name: array.astype(int) for name, array in dataset.arrays.items()}
        np.testing.assert_array_equal(
            arrays["output"], dataset.evaluation[:, -1].astype(int) - dataset.facts["first_output"]
        )
        np.testing.assert_array_equal(arrays["output"], arrays["functions"][arrays["task"], arrays["input"]])
        for row, length in zip(dataset.evaluation, arrays["lengths"], strict=True):
            n = sum(token != dataset.facts["pad"] for token in row[: dataset.facts["separator"]])
            assert n == length
        # a family's known wordings say of another city what they never said of a held-out one: one word differs
        held_out = arrays["split"] == 2
        known = arrays["string"] // N_CITIES % N_WAYS < N_WAYS - 1
        assert set(arrays["edit_distance"][held_out & known]) == {1}
        assert set(arrays["edit_distance"][arrays["split"] == 0]) == {0}
        assert arrays["edit_distance"][arrays["split"] == 1].min() >= 1

    def test_tasks_have_answers_of_their_own_so_that_a_city_alone_tells_one_in_five(self, dataset):
        for split in SPLITS:
            assert dataset.facts["chance"]["input_only"][split] == pytest.approx(1 / 5)
            assert dataset.facts["output_oracle_given_input"][split] == 1


class TestSplits:
    def test_sizes(self, dataset, rows):
        kept = 15 * N_CITIES - 5 * 12
        assert {kind: len(marks) for kind, (_, marks) in rows.items()} == {
            "all": 3 * kept,
            "train": kept,
            "val": kept,
            "held_out": 4 * 60,
        }

    def test_each_task_holds_out_a_fifth_of_the_cities_in_one_family_each(self, dataset):
        held_out = dataset.arrays["held_out"].reshape(5, N_FAMILIES, N_CITIES)
        assert held_out.sum(1).max() == 1
        assert held_out.sum((1, 2)).tolist() == [12] * 5
        assert (held_out.sum(2) == 4).all()

    def test_training_lacks_held_out_combinations_and_last_wordings_but_no_city(self, dataset, rows):
        _, marks = rows["all"]
        way = marks[:, 3] // N_CITIES % N_WAYS
        assert set(way) == {0, 1, 2}
        assert not dataset.arrays["held_out"][marks[:, 1], marks[:, 4]].any()
        shown = {(task, city) for task, _, _, _, city in marks.tolist()}
        assert shown == {(task, city) for task in range(5) for city in range(N_CITIES)}

    def test_what_each_split_asks(self, dataset, rows):
        held_out = dataset.arrays["held_out"].astype(bool)
        for kind, lacking, ways in (
            ("train", False, {0, 1, 2}),
            ("val", False, {3}),
            ("held_out", True, {0, 1, 2, 3}),
        ):
            marks = rows[kind][1]
            assert (held_out[marks[:, 1], marks[:, 4]] == lacking).all()
            assert set(marks[:, 3] // N_CITIES % N_WAYS) == ways

    def test_no_sentence_is_shared(self, dataset, rows):
        texts = {kind: [sentence(dataset, row) for row in rows[kind][0]] for kind in KINDS}
        assert all(len(set(found)) == len(found) for found in texts.values())
        assert set(texts["train"]) <= set(texts["all"])
        assert not set(texts["all"]) & (set(texts["val"]) | set(texts["held_out"]))
        assert not set(texts["val"]) & set(texts["held_out"])

    def test_the_same_options_give_the_same_dataset_and_another_seed_another(self):
        first, again, other = (places(PlacesSpec(n_cities=10, seed=seed)) for seed in (0, 0, 1))
        np.testing.assert_array_equal(again.train, first.train)
        np.testing.assert_array_equal(again.evaluation, first.evaluation)
        assert again.facts == first.facts
        assert (other.arrays["held_out"] != first.arrays["held_out"]).any()


class TestTemplates:
    def test_of_the_study(self):
        for task, families in TEMPLATES.items():
            assert tuple(families) == FAMILIES
            known = {word for ways in families.values() for way in ways[:-1] for word in words(way)}
            for ways in families.values():
                assert len(ways) == N_WAYS
                assert all(slots(way) == ["place"] for way in ways)
                # a word that no training wording of the task has could not be understood
                assert set(words(ways[-1])) <= known, (task, ways[-1])

    def test_words(self):
        assert words("Where's {place}, exactly?") == ["where's", "{place}", "exactly"]
        assert words("in {place}'s country") == ["in", "{place}", "s", "country"]

    def test_untrained_words_are_named(self):
        own = {
            "country": {"a": ["land of {place}", "realm of {place}"], "b": ["{place} in", "of {place}"]},
            "currency": {
                "a": ["money of {place}", "cash in {place}"],
                "b": ["{place} pays", "pays in {place}"],
            },
        }
        found = places(PlacesSpec(templates=own, n_cities=10))
        assert found.facts["untrained_words"] == ["cash", "realm"]
        assert found.facts["expressions"][0] == "land of {place} | realm of {place}"
        assert found.n_context == 3 + 2


class TestCities:
    def test_are_the_largest_few_of_each_country_with_a_name_of_their_own(self, cities):
        assert len(set(cities.names)) == 60
        countries = cities.answers["country"]
        assert max(countries.count(country) for country in countries) == 2
        assert {"London", "Lagos", "Tokyo"} <= set(cities.names)
        assert all(len(answers) == 60 for answers in cities.answers.values())

    def test_answers(self, cities):
        london, sydney = (
            {task: answers[cities.names.index(name)] for task, answers in cities.answers.items()}
            for name in ("London", "Sydney")
        )
        assert london == {
            "country": "United Kingdom",
            "continent": "Europe",
            "language": "en",
            "currency": "GBP",
            "hemisphere": "north",
        }
        assert sydney == {
            "country": "Australia",
            "continent": "Oceania",
            "language": "en",
            "currency": "AUD",
            "hemisphere": "south",
        }


class TestErrors:
    @pytest.mark.parametrize(
        ("way", "words"),
        [
            ("where is it", "found 'where is it'; a wording has the slot {place}, once, and no other slot"),
            ("{place} and {place}", "the slot {place}, once"),
            ("{place} in {year}", "no other slot"),
            ("{{place}}", "the slot {place}, once"),
            ("{place", "the slot {place}, once"),
            ("{place:>9}", "the slot {place}, once"),
        ],
    )
    def test_of_wordings(self, way, words):
        own = copy.deepcopy(TEMPLATES)
        own["country"]["question"][1] = way
        with pytest.raises(ValidationError, match=r"templates.country.question: .*" + words):
            PlacesSpec(templates=own)

    def test_of_a_wording_given_twice(self):
        own = copy.deepcopy(TEMPLATES)
        own["continent"]["gap"][1] = "Name the country of {place}!"
        with pytest.raises(
            ValidationError, match=r"continent.gap: 'Name .* reads like country.imperative\[0\]"
        ):
            PlacesSpec(templates=own)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (
                lambda own: own.update(rivers=own["country"]),
                "found tasks .*'rivers'.*; allowed are two or more of",
            ),
            (
                lambda own: own["currency"].pop("gap"),
                r"templates.currency: found families .*; allowed are those",
            ),
            (
                lambda own: own["country"].update(gap=["{place}"]),
                "country.gap: found 1 wordings; allowed are two",
            ),
            (
                lambda own: [families.pop(f) for families in own.values() for f in ("gap", "question")],
                "held-out combinations need another family of the task",
            ),
            (lambda own: [own.pop(task) for task in list(TEMPLATES)[1:]], "found tasks .'country'.; allowed"),
        ],
    )
    def test_of_tables(self, change, words):
        own = copy.deepcopy(TEMPLATES)
        change(own)
        with pytest.raises(ValidationError, match=words):
            PlacesSpec(templates=own)

    def test_fewer_tasks_are_none(self):
        own = {task: TEMPLATES[task] for task in ("continent", "currency")}
        assert PlacesSpec(templates=own).wordings == own

    def test_of_sizes(self):
        with pytest.raises(ValidationError, match=r"held_out_share: 0\.01 of 5 cities is none"):
            PlacesSpec(n_cities=5, held_out_share=0.01)
        with pytest.raises(
            HeadworksError, match=r"n_cities: found 500; with cities_per_country 1 there are \d+"
        ):
            places(PlacesSpec(n_cities=500, cities_per_country=1))
