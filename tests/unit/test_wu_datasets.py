import json
import re

import numpy as np
import pytest
from pydantic import ValidationError

from headworks.digest import canonical
from headworks.errors import HeadworksError
from headworks.studies.wu2024 import references
from headworks.studies.wu2024.datasets import draw_functions, draw_instructions, instructions
from headworks.studies.wu2024.expressions import Slot, draw_string, draw_strings, parse, write
from headworks.studies.wu2024.prompts import MARKS, SPLITS
from headworks.studies.wu2024.spec import InstructionsSpec

SMALL = {"n_tasks": 4, "n_regexes": 3, "n_strings": 8, "n_new_strings": 5, "n_eval_strings": 6}
SEP, INP, LAST, TARGET = 14, 15, 16, 17


@pytest.fixture(scope="module")
def dataset():
    return instructions(InstructionsSpec(**SMALL))


def columns(dataset):
    """Of every evaluation row, by name."""
    names = ("split", *MARKS, "output", "lengths", "edit_distance")
    return {name: dataset.arrays[name].astype(int) for name in names}


def marks(dataset):
    return dict(zip(MARKS, dataset.train[:, TARGET + 1 :].T.astype(int), strict=True))


def text(dataset, row):
    """The instruction of a row, as people write it."""
    return "".join(dataset.vocabulary[token] for token in row[:SEP] if token != dataset.facts["pad"])


def texts(dataset, rows):
    return [text(dataset, row) for row in rows]


def rows_of(dataset, split):
    return dataset.arrays["split"] == dataset.facts["splits"].index(split)


class TestRows:
    def test_tokens_come_in_the_stated_order(self, dataset):
        facts = dataset.facts
        assert dataset.vocabulary[:3] == ["a", "b", "c"]
        assert dataset.vocabulary[26:30] == ["SEP", "ARR", "PAD", "x0"]
        assert dataset.vocabulary[-10:] == [f"y{i}" for i in range(10)]
        assert (facts["pad"], facts["first_input"], facts["first_output"], facts["n_symbols"]) == (
            28,
            29,
            34,
            26,
        )
        assert (facts["positions"], facts["separator"]) == (["SEP", "INP", "LAST"], SEP)
        assert dataset.d_vocab == len(dataset.vocabulary) == 44
        assert (dataset.layout, dataset.predicts, dataset.bos, dataset.n_context) == ("draws", "last", -1, 17)

    def test_padding_instruction_separator_input_arrow_answer(self, dataset):
        for row in [*dataset.train[:, : TARGET + 1], *dataset.evaluation]:
            words = [dataset.vocabulary[token] for token in row]
            assert (words[SEP], words[LAST]) == ("SEP", "ARR")
            assert re.fullmatch("x[0-4]", words[INP])
            assert re.fullmatch("y[0-9]", words[TARGET])
            assert re.fullmatch("(PAD)*[a-z]{5,14}", "".join(words[:SEP]))

    def test_the_answer_is_the_tasks_function_of_the_input(self, dataset):
        functions, first = dataset.arrays["functions"], dataset.facts["first_output"]
        found = marks(dataset)
        np.testing.assert_array_equal(
            functions[found["task"], found["input"]], dataset.train[:, TARGET].astype(int) - first
        )
        found = columns(dataset)
        np.testing.assert_array_equal(functions[found["task"], found["input"]], found["output"])
        np.testing.assert_array_equal(dataset.evaluation[:, TARGET].astype(int) - first, found["output"])

    def test_strings_match_their_written_expression(self, dataset):
        expressions = dataset.facts["expressions"]
        assert len(expressions) == 12
        for rows, regex in (
            (dataset.train, marks(dataset)["regex"]),
            (dataset.evaluation, columns(dataset)["regex"]),
        ):
            for row, number in zip(rows, regex, strict=True):
                assert re.fullmatch(expressions[number], text(dataset, row))

    @pytest.mark.parametrize("of", ["train", "evaluation"])
    def test_marks_and_arrays_are_those_of_the_tokens(self, dataset, of):
        rows, found = (
            (dataset.train, marks(dataset)) if of == "train" else (dataset.evaluation, columns(dataset))
        )
        np.testing.assert_array_equal(rows[:, INP] - dataset.facts["first_input"], found["input"])
        np.testing.assert_array_equal(found["regex"] // 3, found["task"])
        np.testing.assert_array_equal(found["string"] // 13, found["regex"])
        np.testing.assert_array_equal(
            dataset.arrays["permuted_tasks"][found["regex"]], found["permuted_task"]
        )
        pairs = set(zip(texts(dataset, rows), found["string"], strict=True))
        assert len(pairs) == len({string for string, _ in pairs}) == len({number for _, number in pairs})

    def test_the_same_number_is_the_same_string_in_training_and_evaluation(self, dataset):
        train = dict(zip(marks(dataset)["string"], texts(dataset, dataset.train), strict=True))
        for number, string in zip(
            columns(dataset)["string"], texts(dataset, dataset.evaluation), strict=True
        ):
            assert train.get(number, string) == string

    def test_facts_survive_a_file(self, dataset):
        assert json.loads(canonical(dataset.facts)) == dataset.facts

    def test_arrays_fit_their_axes_and_hold_whole_numbers(self, dataset):
        assert dataset.axes.keys() == dataset.arrays.keys()
        for name, array in dataset.arrays.items():
            assert array.dtype == np.int16
            assert array.ndim == len(dataset.axes[name])
            assert dataset.axes[name] != ("sequence",) or len(array) == len(dataset.evaluation)
        assert dataset.train.dtype == dataset.evaluation.dtype == np.uint16


class TestSplits:
    def test_sizes(self, dataset):
        assert dataset.facts["splits"] == SPLITS == ["train", "val", "held_out"]
        assert dataset.train.shape == (4 * 3 * 8 * 4, 18 + 5)
        assert np.bincount(dataset.arrays["split"]).tolist() == [12 * 6, 12 * 5, 12 * 5]

    def test_training_prompts_occur_once(self, dataset):
        assert len(np.unique(dataset.train, axis=0)) == len(dataset.train)

    def test_no_string_is_shared_by_training_and_new_or_by_two_expressions(self, dataset):
        train = set(texts(dataset, dataset.train))
        val, held_out = (
            set(texts(dataset, dataset.evaluation[rows_of(dataset, name)])) for name in ("val", "held_out")
        )
        assert len(train) == 12 * 8
        assert len(val) == 12 * 5
        assert val == held_out
        assert not train & val
        owners = {
            (string, regex)
            for rows, found in ((dataset.train, marks(dataset)), (dataset.evaluation, columns(dataset)))
            for string, regex in zip(texts(dataset, rows), found["regex"], strict=True)
        }
        assert len(owners) == len(train | val)

    def test_the_train_split_is_of_training_prompts(self, dataset):
        shown = set(map(tuple, dataset.train[:, : TARGET + 1].tolist()))
        assert set(map(tuple, dataset.evaluation[rows_of(dataset, "train")].tolist())) <= shown

    def test_training_lacks_held_out_combinations_which_the_task_shows_elsewhere(self, dataset):
        found, held_out_input = marks(dataset), dataset.arrays["held_out_input"]
        shown = set(zip(found["regex"], found["input"], strict=True))
        for regex in range(12):
            assert {x for r, x in shown if r == regex} == set(range(5)) - {held_out_input[regex]}
        assert {(r // 3, x) for r, x in shown} == {(t, x) for t in range(4) for x in range(5)}

    def test_splits_ask_for_the_inputs_they_should(self, dataset):
        found, held_out_input = columns(dataset), dataset.arrays["held_out_input"]
        is_held_out = found["input"] == held_out_input[found["regex"]]
        np.testing.assert_array_equal(is_held_out, rows_of(dataset, "held_out"))
        np.testing.assert_array_equal(
            dataset.arrays["held_out"].astype(bool), np.eye(5, dtype=bool)[held_out_input]
        )

    @pytest.mark.parametrize("split", ["train", "val"])
    def test_kept_inputs_are_balanced(self, dataset, split):
        rows, found = rows_of(dataset, split), columns(dataset)
        for regex in range(12):
            counts = np.bincount(found["input"][rows & (found["regex"] == regex)], minlength=5)
            kept = np.delete(counts, dataset.arrays["held_out_input"][regex])
            assert kept.max() - kept.min() <= 1

    def test_with_more_expressions_than_inputs_an_input_is_held_out_twice_and_still_shown(self):
        found = instructions(InstructionsSpec(**SMALL | {"n_regexes": 7}))
        held_out = found.arrays["held_out"].reshape(4, 7, 5).sum(1)
        assert set(held_out.ravel()) == {1, 2}

    def test_without_held_out_every_combination_is_trained(self):
        found = instructions(InstructionsSpec(**SMALL | {"held_out": False, "n_regexes": 1}))
        assert len(found.train) == 4 * 8 * 5
        assert np.bincount(found.arrays["split"], minlength=3).tolist() == [24, 20, 0]
        assert (found.arrays["held_out_input"] == -1).all()
        assert "held_out" not in found.facts["chance"]["input_only"]


class TestFunctions:
    @pytest.mark.parametrize("n_tasks", [10, 40])
    def test_differ_in_as_many_inputs_as_asked(self, n_tasks):
        functions = draw_functions(InstructionsSpec(n_tasks=n_tasks))
        different = (functions[:, None] != functions).sum(-1)[np.triu_indices(n_tasks, 1)]
        assert different.min() == 3
        assert functions.min() == 0
        assert functions.max() == 9

    def test_disjoint_outputs_are_the_same_functions_in_other_words(self, dataset):
        other = instructions(InstructionsSpec(**SMALL, outputs="disjoint"))
        shift = 10 * np.arange(4)[:, None]
        np.testing.assert_array_equal(other.arrays["functions"] - shift, dataset.arrays["functions"])
        assert other.d_vocab == 34 + 40
        np.testing.assert_array_equal(other.arrays["output"] // 10, other.arrays["task"])
        np.testing.assert_array_equal(other.evaluation[:, :TARGET], dataset.evaluation[:, :TARGET])
        assert other.facts["chance"]["uniform"] == 1 / 40
        assert other.facts["output_oracle_given_input"]["val"] == 1

    def test_shuffled_gives_each_string_its_own(self, dataset):
        other = instructions(InstructionsSpec(**SMALL, shuffled=True))
        np.testing.assert_array_equal(
            np.delete(other.train, TARGET, axis=1), np.delete(dataset.train, TARGET, axis=1)
        )
        found = marks(other)
        outputs = other.train[:, TARGET].astype(int) - other.facts["first_output"]
        agree = outputs == other.arrays["functions"][found["task"], found["input"]]
        assert abs(agree.mean() - 0.1) < 4 * (0.09 / len(agree)) ** 0.5
        asked = columns(other)
        own = dict(zip(zip(found["string"], found["input"], strict=True), outputs, strict=True))
        for string, x, output in np.stack([asked[n] for n in ("string", "input", "output")], 1)[
            rows_of(other, "train")
        ]:
            assert own[string, x] == output


class TestOptions:
    def test_the_same_options_give_the_same_dataset_and_another_seed_another(self, dataset):
        again, other = (instructions(InstructionsSpec(**SMALL, seed=seed)) for seed in (0, 1))
        np.testing.assert_array_equal(again.train, dataset.train)
        np.testing.assert_array_equal(again.evaluation, dataset.evaluation)
        assert again.facts == dataset.facts
        assert other.facts["expressions"] != dataset.facts["expressions"]

    def test_loss_on_all_predicts_every_token(self):
        assert instructions(InstructionsSpec(**SMALL, loss_on="all")).predicts == "every"

    def test_own_expressions_are_used_as_written(self):
        own = [["a[bc]{1,2}d?[efg]{3,3}h", "[ij]{5,9}"], ["[kl]{6,8}", "m[no]{2,8}p{1,3}"]]
        sizes = {"n_strings": 10, "n_new_strings": 5, "n_eval_strings": 5}
        found = instructions(InstructionsSpec(n_tasks=2, n_regexes=2, expressions=own, **sizes))
        assert found.facts["expressions"] == own[0] + own[1]
        for row, regex in zip(found.evaluation, found.arrays["regex"], strict=True):
            assert re.fullmatch(found.facts["expressions"][regex], text(found, row))

    def test_further_expressions_leave_the_first_ones(self, dataset):
        more = instructions(InstructionsSpec(**SMALL | {"n_regexes": 4})).facts["expressions"]
        assert [more[4 * task + m] for task in range(4) for m in range(3)] == dataset.facts["expressions"]


class TestExpressions:
    @pytest.mark.parametrize(
        ("expression", "slots"),
        [
            ("abcde", [Slot(s) for s in "abcde"]),
            (
                "a[bc]{1,2}d?efg",
                [Slot("a"), Slot("bc", 1, 2), Slot("d", 0, 1), Slot("e"), Slot("f"), Slot("g")],
            ),
            ("[abc]{0,14}", [Slot("abc", 0, 14)]),
        ],
    )
    def test_grammar(self, expression, slots):
        assert parse(expression, 26) == slots
        assert write(slots) == expression

    def test_strings_are_of_the_expression_and_reach_all_of_it(self):
        generator = np.random.default_rng(0)
        found = {draw_string(parse("[ab]{1,2}c?defg", 26), generator) for _ in range(400)}
        heads = {a + b for a in ("a", "b", "aa", "ab", "ba", "bb") for b in ("", "c")}
        assert found == {head + "defg" for head in heads}

    def test_taken_strings_and_wrong_lengths_are_not_drawn(self):
        slots, generator = parse("[ab]cd?e?f?", 26), np.random.default_rng(0)
        assert set(draw_strings(slots, 9, {"acdef"}, generator)) == {"bcdef"}

    def test_order_does_not_tell_how_likely_a_string_was(self):
        slots, generator = parse("aaaa[abc]{1,10}", 26), np.random.default_rng(0)
        lengths = np.array([[len(s) for s in draw_strings(slots, 60, set(), generator)] for _ in range(100)])
        assert abs(lengths[:, :30].mean() - lengths[:, 30:].mean()) < 0.3


class TestReferences:
    def test_majority_by_hand(self):
        # for 0 the table has 2 most often, for 1 it has 4 and 5 as often
        table = np.array([0, 0, 0, 1, 1]), np.array([2, 2, 3, 4, 5])
        asked = np.array([0, 0, 1, 1]), np.array([3, 2, 4, 9])
        assert references.majority_accuracy(*asked, *table) == (0 + 1 + 0.5 + 0) / 4
        assert references.majority_accuracy(*table, *table) == 3 / 5

    def test_oracles_by_hand(self):
        task, x = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
        # of 6 pairs, 2 share the task, 1 the output, and that one both: (1 - 2/6) / ((2 + 1) / 2 - 2/6)
        output = np.array([5, 5, 6, 7])
        assert references.output_oracle_ari(task, output) == pytest.approx(4 / 7)
        assert references.output_oracle_given_input(task, output, x) == 1
        # within input 0 both tasks answer alike: clusters know nothing of the task
        assert references.output_oracle_given_input(task, np.array([5, 5, 5, 7]), x) == 1 / 2

    def test_chance_is_of_the_tables(self):
        found = instructions(InstructionsSpec(**SMALL | {"held_out": False, "n_eval_strings": 5}))
        chance, functions = found.facts["chance"], found.arrays["functions"]
        by_input = np.mean([np.bincount(column).max() / 4 for column in functions.T])
        by_task = np.mean([np.bincount(row).max() / 5 for row in functions])
        assert chance == {
            "uniform": 0.1,
            "input_only": pytest.approx({"train": by_input, "val": by_input}),
            "task_only": pytest.approx({"train": by_task, "val": by_task}),
        }

    def test_chance_of_a_split_is_of_its_rows(self, dataset):
        functions, found = dataset.arrays["functions"], columns(dataset)
        right = []
        for x, output in np.stack([found["input"], found["output"]], 1)[rows_of(dataset, "held_out")]:
            counts = np.bincount(functions[:, x])
            right.append((counts[output] == counts.max()) / (counts == counts.max()).sum())
        assert dataset.facts["chance"]["input_only"]["held_out"] == pytest.approx(np.mean(right))

    @pytest.mark.parametrize(
        ("n_tasks", "n_regexes"), [(2, 1), (2, 2), (2, 3), (3, 2), (10, 1), (10, 3), (5, 10)]
    )
    def test_permuted_tasks_are_groups_of_the_same_size_that_cut_across_tasks(self, n_tasks, n_regexes):
        tasks = np.repeat(np.arange(n_tasks), n_regexes)
        for seed in range(20):
            labels = references.permuted_tasks(n_tasks, n_regexes, np.random.default_rng(seed))
            assert sorted(labels) == tasks.tolist()
            assert (labels != tasks).mean() >= 0.5
            same = [
                labels[i] == labels[j] for i in range(len(tasks)) for j in range(i) if tasks[i] == tasks[j]
            ]
            assert sum(same) <= len(same) / 2

    def test_edit_distances_by_hand(self):
        def padded(*strings):
            return np.array([[0] * (7 - len(s)) + [ord(c) for c in s] for s in strings])

        found = references.edit_distances(
            padded("kitten", "abc", "abcdef"), padded("sitting", "abc", "xbcde"), 0
        )
        assert found.tolist() == [[3, 6, 5], [7, 0, 3], [7, 3, 2]]

    def test_lengths_and_distances_of_the_rows(self, dataset):
        found = columns(dataset)
        train = {}
        for string, regex in zip(texts(dataset, dataset.train), marks(dataset)["regex"], strict=True):
            train.setdefault(regex, set()).add(string)
        for i in range(0, len(dataset.evaluation), 7):
            string = text(dataset, dataset.evaluation[i])
            assert found["lengths"][i] == len(string)
            nearest = min(levenshtein(string, other) for other in train[found["regex"][i]])
            assert found["edit_distance"][i] == nearest
        assert (found["edit_distance"] == 0).tolist() == rows_of(dataset, "train").tolist()


def levenshtein(a, b):
    """As defined, row by row."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        row, before = [i + 1], row
        for j, y in enumerate(b):
            row.append(min(before[j + 1] + 1, row[j] + 1, before[j] + (x != y)))
    return row[-1]


class TestErrors:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"n_tasks": 1}, "greater than or equal to 2"),
            ({"n_regexes": 0}, "greater than or equal to 1"),
            ({"n_regexes": 1}, "held-out combinations need another regular expression of the task"),
            ({"least_difference": 6}, "n_inputs 5 allow 1 to 5"),
            (
                {"n_tasks": 5, "n_outputs": 2, "least_difference": 4},
                "n_tasks: found 5.* at most 4 differ in 4",
            ),
            ({"n_eval_strings": 41}, "n_eval_strings: found 41; n_strings allows 1 to 40"),
            ({"n_strings": 2000}, "make 60600 strings; allowed are 32767"),
            ({"expressions": [["abcde"]]}, "found lists of .1. expressions"),
        ],
    )
    def test_of_options(self, options, words):
        with pytest.raises(ValidationError, match=words):
            InstructionsSpec(**options)

    @pytest.mark.parametrize(
        ("expression", "words"),
        [
            ("abc", "'abc' have 3 to 3 symbols; an instruction has 5 to 14"),
            ("[ab]{15,20}", "have 15 to 20 symbols"),
            ("", "have 0 to 0 symbols"),
            ("abcd*e", r"'\*e' is not in the grammar"),
            ("a(bc)def", r"'\(bc\)def' is not in the grammar"),
            ("abcde[f", r"'\[f' is not in the grammar"),
            ("abcdA", "'A' is not in the grammar"),
            ("abc[de]{3,2}", r"'\[de\]\{3,2\}' is not in the grammar"),
            ("abcd[y]", "found 'y' in 'abcd.y.'; n_symbols 24 allow a to x"),
        ],
    )
    def test_of_expressions(self, expression, words):
        own = [[expression, "abcde"], ["fghij", "klmno"]]
        with pytest.raises(ValidationError, match=words):
            InstructionsSpec(n_tasks=2, n_regexes=2, expressions=own, n_symbols=24)

    def test_of_more_tasks_than_functions(self):
        # the bound of the options allows 8, but no more than 4 words of 5 bits differ in 3
        spec = InstructionsSpec(n_tasks=8, n_inputs=5, n_outputs=2, least_difference=3)
        with pytest.raises(HeadworksError, match=r"n_tasks: found 8; only [234] functions .* could be made"):
            draw_functions(spec)

    def test_of_strings_that_run_out(self):
        own = [["[ab]{5,5}", "[cd]{5,5}"], ["[ef]{5,5}", "[gh]{5,5}"]]
        options = {"n_tasks": 2, "n_regexes": 2, "expressions": own, "n_eval_strings": 5}
        draw_instructions(InstructionsSpec(**options, n_strings=27, n_new_strings=5))
        with pytest.raises(
            HeadworksError, match=r"n_strings: 33 .* of '\[ab\]\{5,5\}', number 1, 32 were found"
        ):
            draw_instructions(InstructionsSpec(**options, n_strings=28, n_new_strings=5))

    def test_of_an_expression_whose_strings_another_has(self):
        own = [["[ab]{5,5}", "[ba]{5,5}"], ["[ef]{5,5}", "[gh]{5,5}"]]
        spec = InstructionsSpec(
            n_tasks=2, n_regexes=2, expressions=own, n_strings=15, n_new_strings=5, n_eval_strings=5
        )
        with pytest.raises(HeadworksError, match="number 2, 12 were found that no other has"):
            draw_instructions(spec)
