"""Tables of cached states with planted contents: clusters of tasks, of regular expressions, of outputs, none."""

import math
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest

from headworks.dataset import Dataset
from headworks.errors import HeadworksError
from headworks.readers import ActivationsReader
from headworks.studies.wu2024 import datasets, options, states
from headworks.studies.wu2024.experiments import (
    accuracy,
    clusters,
    guard,
    margins,
    merging,
    pairs,
    projection,
    structure,
    within,
)
from headworks.studies.wu2024.spec import InstructionsSpec

SEEDS = (3, 8)
"""Not 0 and 1: a seed is no index of a replica."""
STEPS = [0, 40, 80]
WIDTH = 32
SPEC = {"n_tasks": 4, "n_regexes": 3, "n_strings": 24, "n_new_strings": 20, "n_eval_strings": 20}


@dataclass
class Reader:
    """A dataset as experiments see it."""

    dataset: Dataset

    def __getitem__(self, name):
        return self.dataset.arrays[name]

    def __getattr__(self, name):
        return getattr(self.dataset, name)

    @property
    def evaluation(self):
        return self.dataset.evaluation.astype(np.int64)


@cache
def dataset(**changes):
    return Reader(datasets.instructions(InstructionsSpec(**SPEC | changes)))


def around(labels, seed=0, spread=0.05):
    """Two replicas' states, each scattered about a random place of its own a label: [replica, row, d]."""
    rng = np.random.default_rng(seed)
    places = 2 * rng.normal(size=(len(SEEDS), labels.max() + 1, WIDTH))
    return places[:, labels] + spread * rng.normal(size=(len(SEEDS), len(labels), WIDTH))


def noise(found, seed=0):
    return np.random.default_rng(seed).normal(size=(len(SEEDS), len(found.task), WIDTH))


def planted(sep, inp, last, right=None, data=None, snapshots=(0, 1, 2)):
    """Inputs of one run of one block whose layer 1 is planted; layer 0 is everywhere the same.

    right [row]: which outputs the networks name, all when left out.
    """
    data = data or dataset()
    n = len(data.evaluation)
    right = np.ones(n, bool) if right is None else right
    logits = np.zeros((len(SEEDS), n, data.d_vocab))
    logits[:, np.arange(n), np.where(right, data.evaluation[:, -1], 0)] = 5
    after = np.stack([sep, inp, last], axis=2)
    sites = {"blocks.0.resid_pre": np.ones_like(after), "blocks.0.resid_post": after}
    sites |= {"logits": logits, "loss": np.full((len(SEEDS), n, 1), 0.25)}
    file = h5py.File(BytesIO(), "w")
    file.attrs["n_layers"] = 1
    file["snapshots"] = list(snapshots)
    file["evaluation/tokens"] = data.evaluation
    for name, array in sites.items():
        file[f"evaluation/{name}"] = np.stack([array] * len(snapshots)).astype(np.float16)
    run = SimpleNamespace(
        name="main", dataset=data, seeds=list(SEEDS), conditions=["unclamped"] * 2, steps=STEPS
    )
    return SimpleNamespace(runs={"main": run}, activations={"states": {"main": ActivationsReader(file)}})


@cache
def usual():
    """Tasks at SEP, nothing at INP, outputs at LAST."""
    found = states.labels(dataset())
    return planted(around(found.task), noise(found), around(found.output, spread=0))


@cache
def surface():
    """Regular expressions at SEP, whatever the task; tasks at INP and LAST."""
    found = states.labels(dataset())
    return planted(around(found.regex), around(found.task), around(found.task))


def ends(table, **where):
    """Rows of the last step that meet the conditions."""
    where |= {"step": STEPS[-1]}
    rows = table[np.logical_and.reduce([table[column] == value for column, value in where.items()])]
    assert len(rows)
    return rows


# Reading


@pytest.mark.parametrize(
    ("snapshots", "expected"),
    [("all", [0, 1, 2, 3, 4]), ("ends", [0, 4]), (1, [4]), (2, [0, 4]), (3, [0, 2, 4]), (9, [0, 1, 2, 3, 4])],
)
def test_snapshots_are_chosen_evenly(snapshots, expected):
    assert states.chosen(5, snapshots) == expected
    assert states.chosen(1, snapshots) == [0]


def test_a_moment_knows_the_step_of_its_snapshot():
    found = planted(*[noise(states.labels(dataset()))] * 3, snapshots=(1, 2))
    steps = [moment.about(1) for moment in states.moments(options.Accuracy(), found)]
    assert [row["step"] for row in steps] == [40, 80]
    assert steps[0] == {"run": "main", "condition": "unclamped", "seed": 8, "step": 40}


def test_cells_name_what_they_hold():
    (moment,) = states.moments(options.Merging(snapshots=1), usual())
    seen = {key: array for *key, array in map(list, moment.cells()) for key in [tuple(key)]}
    assert len(seen) == 3 * 2 * 2
    found = states.labels(dataset())
    expected = np.float16(around(found.task)[1])
    assert (seen["SEP", 1, 1] == expected).all()
    assert (seen["SEP", 0, 1] == 1).all()
    assert {key[0] for *key, _ in moment.cells(["LAST"]) for key in [tuple(key)]} == {"LAST"}


def test_rows_before_the_input_are_one_a_string():
    data, found = dataset(), states.labels(dataset())
    repeated = found.take(np.concatenate([np.arange(len(found.task))] * 2))
    at_sep = states.rows_of(data, repeated, "val", "SEP")
    assert len(at_sep) == 240 == len(set(repeated.string[at_sep]))
    assert len(states.rows_of(data, repeated, "val", "LAST")) == 480
    assert (found.split[states.rows_of(data, found, "held_out", "SEP")] == 2).all()


def test_only_positions_from_the_input_on_see_it():
    names = ["SEP", "INP", "LAST"]
    fake = SimpleNamespace(facts={"positions": names})
    assert [states.sees_input(fake, name) for name in names] == [False, True, True]
    fake.facts["positions"] = ["WORD", "SEP", "LAST"]
    assert states.sees_input(fake, "SEP")


def test_regular_expressions_have_the_tasks_that_the_rows_have():
    found = states.labels(dataset())
    assert (states.regex_tasks(dataset())[found.regex] == found.task).all()


def test_symbols_are_counted_without_padding():
    counts, found = states.symbol_counts(dataset()), states.labels(dataset())
    assert (counts.sum(1) == found.lengths).all()
    text = [dataset().vocabulary[token] for token in dataset().evaluation[5, :14]]
    assert counts[5, 0] == text.count("a")


def test_states_of_part_of_the_sequences_are_an_error():
    found = usual()
    shorter = Reader(datasets.instructions(InstructionsSpec(**SPEC | {"n_new_strings": 40})))
    run = SimpleNamespace(**vars(found.runs["main"]) | {"dataset": shorter})
    changed = SimpleNamespace(runs={"main": run}, activations=found.activations)
    with pytest.raises(HeadworksError, match=r"examples: 720, but the dataset of main has 1200 sequences"):
        accuracy.table(options.Accuracy(), changed)


def test_an_entry_or_probe_that_is_not_there_is_an_error():
    with pytest.raises(HeadworksError, match=r"options.activations: other .* read are: states"):
        accuracy.table(options.Accuracy(activations="other"), usual())
    file = h5py.File(BytesIO(), "w")
    file.attrs["n_layers"], file["snapshots"] = 1, [0]
    empty = SimpleNamespace(runs=usual().runs, activations={"states": {"main": ActivationsReader(file)}})
    with pytest.raises(HeadworksError, match=r"activations.states.probes: there is no evaluation"):
        accuracy.table(options.Accuracy(), empty)


# Tables


def test_accuracy_by_split():
    found = states.labels(dataset())
    right = (found.split == 0) | ((found.split == 1) & (np.arange(len(found.split)) % 2 == 0))
    table = accuracy.table(options.Accuracy(), planted(*[noise(found)] * 3, right=right))
    assert list(table) == [*states.FIRST, *accuracy.COLUMNS]
    assert len(table) == 3 * 2 * 3
    rows = ends(table, seed=8).set_index("split")
    assert rows["accuracy"].to_dict() == {"train": 1, "val": 0.5, "held_out": 0}
    assert (rows["loss"] == 0.25).all()
    assert (rows["uniform"] == 0.1).all()
    assert rows["input_only"].to_dict() == dataset().facts["chance"]["input_only"]


def test_accuracy_without_held_out_combinations():
    data = dataset(held_out=False)
    found = planted(*[noise(states.labels(data))] * 3, data=data)
    rows = ends(accuracy.table(options.Accuracy(), found), split="held_out")
    assert rows[["loss", "accuracy", "input_only"]].isna().all(axis=None)
    assert rows["uniform"].tolist() == [0.1, 0.1]


CLUSTERS = options.Clusters(snapshots="ends", permutations=300, restarts=4)


def test_clusters_tell_tasks_from_what_could_fake_them():
    table = clusters.table(CLUSTERS, usual())
    assert list(table) == [*states.FIRST, *clusters.COLUMNS]
    assert len(table) == 2 * 2 * 2 * 3 * 2
    sep = ends(table, position="SEP", layer=1)
    assert sep["task_ari"].to_numpy() == pytest.approx(1)
    assert (sep["null_99"] < 0.6).all()
    assert sep[["given_input_ari", "oracle_given_input"]].isna().all(axis=None)
    none = ends(table, position="INP", layer=1)
    assert (none["task_ari"].abs() < 0.03).all()
    assert (none["given_input_ari"].abs() < 0.12).all()
    output = ends(table, position="LAST", layer=1)
    assert output["output_ari"].to_numpy() == pytest.approx(1)
    # as many clusters as tasks of fewer outputs: each is a cluster, as for the oracle
    assert output["given_input_ari"].to_numpy() == pytest.approx(output["oracle_given_input"].to_numpy())
    for name in ("output_oracle_ari", "output_oracle_given_input"):
        column = name.replace("output_oracle", "oracle")
        facts = dataset().facts[name]
        assert output.set_index("split")[column].to_dict() == pytest.approx(
            {split: facts[split] for split in ("train", "val")}
        )
    assert (ends(table, layer=0)[["task_ari", "regex_ari", "output_ari"]] == 0).all(axis=None)


def test_clusters_of_regular_expressions_stay_below_the_null():
    table = ends(clusters.table(CLUSTERS, surface()), position="SEP", layer=1)
    assert (table["regex_ari"] > 0.9).all()
    assert (table["task_ari"] < table["null_99"]).all()


def test_one_cluster_a_regular_expression_needs_as_many_states():
    few = dataset(n_eval_strings=1, n_new_strings=1)
    found = states.labels(few)
    inputs = planted(*[noise(found)] * 3, data=few)
    assert len(clusters.table(CLUSTERS, inputs))
    with pytest.raises(HeadworksError, match=r"n_new_strings: split val has 12 states, .* 13 clusters"):
        clusters.check_sizes("val", 12, 13)


def test_a_diverged_replica_is_undefined_and_the_other_is_not():
    found = states.labels(dataset())
    broken = around(found.task)
    broken[1] = math.nan
    inputs = planted(broken, broken, broken)
    few = {"snapshots": 1}
    tables = {
        "task_ari": clusters.table(options.Clusters(permutations=20, **few), inputs),
        "merged": merging.table(options.Merging(**few), inputs),
        "pairwise": pairs.table(options.Pairs(**few), inputs),
        "separated": within.table(options.Within(permutations=3, **few), inputs),
        "auc": margins.table(options.Margins(**few), inputs),
        "x": projection.table(options.Projection(replica_seed=8), inputs),
    }
    for column, table in tables.items():
        assert table.loc[(table["seed"] == 8) & (table["layer"] == 1), column].isna().all()
    assert tables["task_ari"].loc[tables["task_ari"]["seed"] == 3, "task_ari"].notna().all()


def test_within_cells_outputs_are_no_tasks():
    table = within.table(options.Within(permutations=6), usual())
    assert list(table) == [*states.FIRST, *within.COLUMNS]
    assert set(table["position"]) == {"INP", "LAST"}
    output = ends(table, position="LAST", layer=1)
    assert output["separated"].tolist() == [0.5] * 4
    assert output["cells"].nunique() == 1
    assert (ends(table, layer=0)["separated"] == 0.5).all()
    none = ends(table, position="INP", layer=1)
    assert (abs(none["separated"] - 0.5) < 0.15).all()


def test_within_cells_tasks_are_separated_and_permuted_ones_less():
    table = within.table(options.Within(permutations=6), surface())
    rows = ends(table, position="LAST", layer=1)
    assert (rows.loc[rows["labels"] == "task", "separated"] == 1).all()
    assert (rows.loc[rows["labels"] == "permuted", "separated"] < 0.9).all()


def test_within_cells_forms_of_instructions_are_no_tasks():
    """Regular expressions far from one another, whatever the task: a centroid of others says nothing of one."""
    found = states.labels(dataset())
    forms = planted(around(found.regex), around(found.regex), around(found.regex))
    rows = ends(within.table(options.Within(permutations=6), forms), position="LAST", layer=1)
    assert (abs(rows["separated"] - 0.5) < 0.2).all()


def test_every_pair_of_regular_expressions_is_judged_by_the_others():
    regex = np.repeat([0, 1, 3, 4, 5], 2)
    found = [tuple(np.unique(regex[judged])) for judged in within.folds(regex < 3, regex)]
    assert sorted(found) == [(0, 3), (0, 4), (0, 5), (1, 3), (1, 4), (1, 5)]
    assert within.folds(regex < 1, regex) == []


def test_within_cells_are_those_of_the_true_functions():
    functions = dataset()["functions"]
    shared = sum((np.bincount(outputs) > 1).sum() for outputs in functions.T)
    assert within.shared(dataset(), "LAST", options.Within())[1] == shared > 0


def test_other_groups_are_of_the_same_size_and_neither_of_the_two():
    regex = np.repeat(np.arange(6), 4)
    first = regex < 3
    drawn = within.regrouped(first, regex, 50, np.random.default_rng(0))
    groups = {tuple(np.unique(regex[row])) for row in drawn}
    assert {len(group) for group in groups} == {3}
    assert not groups & {(0, 1, 2), (3, 4, 5)}
    assert len(groups) > 10
    assert within.regrouped(regex[:8] < 1, regex[:8], 5, np.random.default_rng(0)).shape == (0, 8)


def test_merging_sees_whether_regular_expressions_of_a_task_lie_together():
    together = ends(merging.table(options.Merging(), usual()), position="SEP", layer=1)
    apart = ends(merging.table(options.Merging(), surface()), position="SEP", layer=1)
    assert together["merged"].tolist() == [1, 1]
    assert together["chance"].tolist() == [2 / 11, 2 / 11]
    assert (together["task_minus_regex"] > 0.1).all()
    assert (apart["merged"] < 0.6).all()
    assert (apart["task_minus_regex"] < -0.3).all()


def test_pairs_of_tasks():
    rows = ends(pairs.table(options.Pairs(), usual()), position="SEP", layer=1)
    task, permuted = (rows[rows["labels"] == name] for name in ("task", "permuted"))
    assert (task[["pairwise", "worst", "all_tasks"]] == 1).all(axis=None)
    assert (permuted["pairwise"] < 0.9).all()
    assert (permuted["worst"] <= permuted["pairwise"]).all()
    none = ends(pairs.table(options.Pairs(), usual()), position="INP", layer=1)
    assert (abs(none["pairwise"] - 0.5) < 0.1).all()
    assert (none["all_tasks"] < 0.4).all()
    blank = ends(pairs.table(options.Pairs(), usual()), layer=0)
    assert (blank["pairwise"] == 0.5).all()


def odd_strings(odd):
    """States at SEP whose strings of `odd` [row] lie nearest to the next task's place."""
    found = states.labels(dataset())
    return around(np.where(odd, (found.task + 1) % 4, found.task))


def test_margins_foretell_answers_where_they_are_planted():
    found = states.labels(dataset())
    odd = (found.split > 0) & (found.string % 7 == 0)
    inputs = planted(odd_strings(odd), noise(found), noise(found), right=~odd)
    table = margins.table(options.Margins(), inputs)
    rows = ends(table, layer=1, labels="task")
    assert set(rows["split"]) == {"val", "held_out"}
    assert (rows["auc"] == 1).all()
    assert (rows[["right_accuracy", "wrong_accuracy", "gap"]] == [1, 0, 1]).all(axis=None)
    assert (rows["wrong"] == odd[found.split == 1].sum()).all()
    assert (rows["coefficient"] > 1).all()
    assert (ends(table, layer=1, labels="permuted")["auc"] < 0.9).all()
    blank = ends(table, layer=0)
    assert (blank["auc"] == 0.5).all()
    assert blank["coefficient"].isna().all()


def test_margins_that_only_say_which_regular_expression_have_no_coefficient():
    """Simpson's paradox: strings of some regular expressions are odd and answered worse, whichever they are."""
    found = states.labels(dataset())
    rng = np.random.default_rng(1)
    by_regex = (found.split > 0) & (found.regex % 3 == 0)
    by_string = (found.split > 0) & (rng.random(len(found.split)) < 1 / 3)
    coefficients = {}
    for name, odd in (("regex", by_regex), ("string", by_string)):
        right = rng.random(len(odd)) < np.where(odd, 0.4, 0.9)
        inputs = planted(odd_strings(odd), noise(found), noise(found), right=right)
        rows = ends(margins.table(options.Margins(), inputs), layer=1, labels="task")
        assert (rows["auc"] > 0.6).all()
        assert (rows["gap"] > 0.3).all()
        coefficients[name] = rows["coefficient"]
    assert (coefficients["regex"].abs() < 0.5).all()
    assert (coefficients["string"] > 0.7).all()


def test_guard_refuses_by_clusters_and_by_symbols():
    table = guard.table(options.Guard(draws=4), usual())
    assert list(table) == [*states.FIRST, *guard.COLUMNS]
    top = ends(table, detector="centroid", layer=1)
    assert top["auroc"].tolist() == [1, 1]
    assert top["false_refusals"].tolist() == [0, 0]
    blank = ends(table, detector="centroid", layer=0)
    assert blank["auroc"].tolist() == [0.5, 0.5]
    assert blank["false_refusals"].tolist() == [1, 1]
    for name in ("symbols", "classifier"):
        rows = ends(table, detector=name)
        assert (rows["layer"] == -1).all()
        assert rows["auroc"].between(0.6, 1).all()
        assert rows["auroc"].nunique() == 1
    with pytest.raises(HeadworksError, match=r"options.forbidden: 4 of 4 tasks; allowed: 1 to 3"):
        guard.table(options.Guard(forbidden=4), usual())


STRUCTURE = {"snapshots": 1, "restarts": 2, "repeats": 2, "neighbours": 10}


def test_structure_of_planted_clusters_and_of_none():
    table = structure.table(options.Structure(**STRUCTURE), usual())
    assert list(table) == [*states.FIRST, *structure.COLUMNS]
    assert len(table) == 2 * 2 * (3 * 2 + 1)
    sep = ends(table, position="SEP", layer=1)
    perfect = ["ari", "ami", "nmi", "v_measure", "matched", "ari_k_found", "neighbours", "probe", "centroid"]
    assert sep[[*perfect, "ari_unit", "ari_components"]].to_numpy() == pytest.approx(1)
    assert (sep["k_found"] == 4).all()
    assert (sep["silhouette"] > 0.8).all()
    assert (sep["intra_inter"] < 0.05).all()
    assert (sep["restart_spread"] < 1e-9).all()
    none = ends(table, position="INP", layer=1, split="val")
    assert (none[["ari", "silhouette", "ari_k_found"]].abs() < 0.05).all(axis=None)
    assert (none[["neighbours", "probe", "centroid"]] < 0.4).all(axis=None)
    blank = ends(table, position="LAST", layer=0)
    assert (blank["ari"] == 0).all()
    assert blank["k_found"].isna().all()
    symbols = ends(table, position="symbols")
    assert (symbols["layer"] == -1).all()
    assert symbols.groupby("split")["ari"].nunique().tolist() == [1, 1]
    assert (symbols["probe"] > 0.8).all()


def test_structure_names_the_option_that_asks_for_too_much():
    with pytest.raises(HeadworksError, match=r"options.neighbours: 240, .* 239 others; allowed: 1 to 239"):
        structure.table(options.Structure(**STRUCTURE | {"neighbours": 240}), usual())
    with pytest.raises(HeadworksError, match=r"options.most_clusters: 300, .* 240 states; allowed: 2 to 240"):
        structure.table(options.Structure(**STRUCTURE | {"most_clusters": 300}), usual())


def test_projection_of_one_network():
    table = projection.table(options.Projection(replica_seed=8), usual())
    assert list(table) == [*states.FIRST, *projection.COLUMNS]
    assert set(table["seed"]) == {8}
    assert set(table["step"]) == {80}
    rows = ends(table, position="SEP", layer=1)
    assert rows.groupby("split").size().to_dict() == {"train": 240, "val": 240}
    spread = rows.groupby("task")[["x", "y"]].std().max(axis=None)
    assert spread < 0.1 < rows[["x", "y"]].std().min()
    found = states.labels(dataset())
    assert rows["regex"].tolist()[:240] == found.regex[found.split == 0].tolist()
    with pytest.raises(HeadworksError, match=r"replica_seed: 5 is no seed of the run main; allowed: 3, 8"):
        projection.table(options.Projection(replica_seed=5), usual())


def test_swapping_replicas_swaps_their_rows():
    first = merging.table(options.Merging(snapshots=1), usual())
    cached = usual().activations["states"]["main"]
    file = h5py.File(BytesIO(), "w")
    file.attrs["n_layers"], file["snapshots"] = 1, cached.snapshots
    file["evaluation/tokens"] = cached.tokens("evaluation")
    for site in ("blocks.0.resid_pre", "blocks.0.resid_post"):
        file[f"evaluation/{site}"] = cached.file[f"evaluation/{site}"][()][:, ::-1]
    run = SimpleNamespace(**vars(usual().runs["main"]) | {"seeds": list(SEEDS[::-1])})
    swapped = SimpleNamespace(runs={"main": run}, activations={"states": {"main": ActivationsReader(file)}})
    second = merging.table(options.Merging(snapshots=1), swapped)
    keys = ["position", "layer", "seed"]
    pd.testing.assert_frame_equal(
        first.sort_values(keys, ignore_index=True), second.sort_values(keys, ignore_index=True)
    )
