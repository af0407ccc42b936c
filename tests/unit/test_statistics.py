"""Statistics on hand-built tables with known answers, and the coverage of the intervals by simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from headworks.claim_spec import STATISTICS, Bounds, StatisticSpec
from headworks.errors import HeadworksError
from headworks.statistics import auc, exact_interval, is_yes_or_no, mean_interval, per_replica

ICL = pd.DataFrame(
    [
        # run, seed, step, icl, bump
        ("two-layer", 0, 0, -0.10, False),
        ("two-layer", 0, 9, -0.40, True),
        ("two-layer", 1, 0, -0.20, False),
        ("two-layer", 1, 8, -0.40, True),
        ("one-layer", 0, 0, -0.10, False),
        ("one-layer", 0, 9, -0.11, False),
        ("one-layer", 1, 0, -0.10, False),
        ("one-layer", 1, 8, math.nan, False),
    ],
    columns=["run", "seed", "step", "icl", "bump"],
)
HEADS = pd.DataFrame(
    {
        "seed": [0, 0, 0, 0, 1, 1, 1, 1],
        "head": [0, 1, 2, 3, 0, 1, 2, 3],
        "prefix": [0.9, 0.8, 0.1, 0.0, 0.9, 0.2, 0.1, 0.0],
        "effect": [3.0, 1.0, 1.0, -1.0, 1.0, 2.0, 3.0, 4.0],
        "kind": ["induction", "induction", "other", "other", "induction", "other", "other", "other"],
    }
)


def measure(table, **keys):
    return per_replica(
        TypeAdapter(StatisticSpec).validate_python(keys), table, "claim s.c, table t"
    ).to_dict()


def approximately(expected):
    return pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("name", "expected"), [("mean", 1.0), ("median", 1.0), ("maximum", 3.0), ("minimum", -1.0)]
)
def test_summaries(name, expected):
    assert measure(HEADS, name=name, column="effect")[0] == expected


def test_last_is_each_replicas_own_and_nan_is_kept():
    last = {"name": "mean", "column": "icl", "where": {"run": "two-layer", "step": "last"}}
    assert measure(ICL, **last) == {0: -0.4, 1: -0.4}
    last["where"]["run"] = "one-layer"
    assert measure(ICL, **last) == approximately({0: -0.11, 1: math.nan})


def test_extremes_are_sought_among_rows_that_meet_the_rest():
    strongest_weak = {"name": "mean", "column": "effect", "where": {"prefix": "last", "kind": "other"}}
    assert measure(HEADS, **strongest_weak) == {0: 1.0, 1: 2.0}


def test_of_several_extremes_time_comes_first():
    table = pd.DataFrame(
        {"seed": 0, "step": [0, 0, 9, 9], "prefix": [0.9, 0.1, 0.3, 0.5], "smear": [1.0, 2.0, 3.0, 4.0]}
    )
    for where in ({"step": "last", "prefix": "last"}, {"prefix": "last", "step": "last"}):
        assert measure(table, name="mean", column="smear", where=where) == {0: 4.0}


def test_difference_and_ratio_lay_the_second_selection_over_the_first():
    selection = {"column": "icl", "where": {"run": "two-layer", "step": "last"}}
    assert measure(ICL, name="ratio", over={"step": "first"}, **selection) == approximately({0: 4.0, 1: 2.0})
    assert measure(ICL, name="difference", minus={"run": "one-layer"}, **selection) == approximately(
        {0: -0.29, 1: math.nan}
    )


def test_ratio_over_zero_is_undefined():
    table = pd.DataFrame({"seed": [0, 0], "arm": ["a", "b"], "x": [1.0, 0.0]})
    assert measure(table, name="ratio", column="x", where={"arm": "a"}, over={"arm": "b"}) == approximately(
        {0: math.nan}
    )


def test_orders():
    onsets = [(1, 2, 3), (1, 3, 2), (1, 2, 2), (1, 2, math.inf), (1, 2, math.nan)]
    wide = pd.DataFrame(onsets, columns=["a", "b", "c"]).rename_axis("seed").reset_index()
    expected = approximately({0: 1.0, 1: 0.0, 2: 0.0, 3: 1.0, 4: math.nan})
    assert measure(wide, name="column_order", columns=["a", "b", "c"]) == expected
    tidy = wide.melt("seed", var_name="arm", value_name="onset")
    assert measure(tidy, name="order", column="onset", group="arm", order=["a", "b", "c"]) == expected


def test_spread_is_the_factor_between_groups():
    table = pd.DataFrame({"seed": [0] * 3 + [1] * 3, "run": list("abc") * 2, "x": [-2, -3, -2.5, 1, -1, 1]})
    assert measure(table, name="spread", column="x", group="run") == approximately({0: 1.5, 1: math.nan})


def test_fraction_count_and_shares():
    strong = {"prefix": {"at_least": 0.5}}
    assert measure(HEADS, name="fraction", condition=strong) == {0: 0.5, 1: 0.25}
    assert measure(HEADS, name="count", condition=strong) == {0: 2.0, 1: 1.0}
    assert measure(HEADS, name="share", column="effect", condition=strong) == {0: 1.0, 1: 0.1}
    assert measure(HEADS, name="positive_share", column="effect", condition=strong) == {0: 0.8, 1: 0.1}


def test_an_unknown_condition_is_neither_met_nor_failed():
    table = HEADS.assign(prefix=HEADS["prefix"].mask((HEADS["seed"] == 1) & (HEADS["head"] == 3)))
    for name in ("fraction", "count"):
        assert math.isnan(measure(table, name=name, condition={"prefix": {"at_most": 0.5}})[1])
    labelled = {"column": "effect", "condition": {"prefix": {"at_least": 0.5}}}
    for name in ("share", "positive_share", "auc"):
        assert math.isnan(measure(table, name=name, **labelled)[1])


def test_auc_counts_ties_half():
    # Seed 0: induction effects 3 and 1 against 1 and -1 give (1 + 1 + 0.5 + 1) / 4.
    labelled = {"name": "auc", "column": "effect", "condition": {"kind": "induction"}}
    assert measure(HEADS, **labelled) == {0: 0.875, 1: 0.0}
    nobody = {"name": "auc", "column": "effect", "condition": {"prefix": {"above": 1}}}
    assert measure(HEADS, **nobody) == approximately({0: math.nan, 1: math.nan})


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=12))
def test_auc_agrees_with_counting_pairs(rows):
    values, labels = map(np.array, zip(*rows, strict=True))
    pairs = [(a > b) + (a == b) / 2 for a in values[labels] for b in values[~labels]]
    assert auc(values, labels) == approximately(np.mean(pairs) if pairs else math.nan)


def test_correlations():
    table = pd.DataFrame({"seed": [0] * 4 + [1] * 4, "x": [1, 2, 3, 4] * 2, "y": [1, 4, 9, 16, 5, 5, 5, 5]})
    spearman = {"name": "correlation", "columns": ["x", "y"]}
    assert measure(table, **spearman) == approximately({0: 1.0, 1: math.nan})
    pearson = measure(table, kind="pearson", **spearman)[0]
    assert pearson == pytest.approx(np.corrcoef([1, 2, 3, 4], [1, 4, 9, 16])[0, 1])


def test_a_replica_that_is_left_out_is_undefined_unless_where_leaves_it_out():
    table = pd.concat([ICL, pd.DataFrame({"run": ["one-layer"], "seed": [2], "step": [9], "icl": [-0.1]})])
    chosen = {"name": "mean", "column": "icl", "where": {"run": "two-layer"}}
    assert measure(table, **chosen) == approximately({0: -0.25, 1: -0.3, 2: math.nan})
    chosen["where"]["seed"] = [0, 1]
    assert measure(table, **chosen) == approximately({0: -0.25, 1: -0.3})


def test_other_replicas_than_seeds():
    statistic = TypeAdapter(StatisticSpec).validate_python({"name": "mean", "column": "effect"})
    assert per_replica(statistic, HEADS, "claim s.c", replicas="kind").to_dict() == {
        "induction": 5 / 3,
        "other": 1.8,
    }


def test_bounds_that_no_row_meets_are_a_finding():
    nothing = {"name": "mean", "column": "effect", "where": {"prefix": {"above": 0.95}}}
    assert measure(HEADS, **nothing) == approximately({0: math.nan, 1: math.nan})
    spread = {"name": "spread", "column": "effect", "group": "head", "where": {"prefix": {"above": 0.95}}}
    assert measure(HEADS, **spread) == approximately({0: math.nan, 1: math.nan})


MEAN = {"name": "mean", "column": "effect"}
EARLY = {"name": "ratio", "column": "icl", "where": {"step": 9, "seed": 0}}


@pytest.mark.parametrize(
    ("table", "keys", "words"),
    [
        (HEADS, MEAN | {"column": "efect"}, ["claim s.c, table t", "'efect'", "Nearest: effect", "prefix"]),
        (HEADS, MEAN | {"column": "kind"}, ["'kind'", "text"]),
        (HEADS, MEAN | {"where": {"kind": "inductoin"}}, ["where.kind", "Nearest: induction"]),
        (HEADS, MEAN | {"where": {"head": "1"}}, ["'1'", "Found: 0, 1, 2, 3"]),
        (HEADS, MEAN | {"where": {"kind": {"at_least": 1}}}, ["bounds", "numbers"]),
        (ICL, MEAN | {"column": "icl", "where": {"step": 9, "seed": 1}}, ["step = 9 and seed = 1"]),
        (ICL, EARLY | {"over": {"step": 8}}, ["step = 8"]),
        (ICL, EARLY | {"over": {"step": 7}}, ["over.step"]),
        (
            ICL,
            {"name": "order", "column": "icl", "group": "run", "order": ["one-layer", "three"]},
            ["'three'"],
        ),
    ],
)
def test_slips_in_names_are_explained(table, keys, words):
    with pytest.raises(HeadworksError) as caught:
        measure(table, **keys)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_truth_values_need_not_occur():
    assert measure(ICL[ICL["run"] == "one-layer"], name="count", condition={"bump": True}) == {0: 0.0, 1: 0.0}


SPECS = [
    {"name": "mean", "column": "effect", "where": {"prefix": "last"}},
    {"name": "difference", "column": "effect", "where": {"kind": "induction"}, "minus": {"kind": "other"}},
    {"name": "spread", "column": "effect", "group": "kind"},
    {"name": "order", "column": "effect", "group": "kind", "order": ["other", "induction"]},
    {"name": "positive_share", "column": "effect", "condition": {"kind": "induction"}},
    {"name": "auc", "column": "effect", "condition": {"kind": "induction"}},
    {"name": "correlation", "columns": ["effect", "prefix"]},
]


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(len(HEADS))), st.sampled_from(SPECS))
def test_the_order_of_rows_changes_nothing(order, keys):
    assert measure(HEADS.iloc[order], **keys) == approximately(measure(HEADS, **keys))


def test_every_statistic_is_documented():
    assert all(kind.__doc__ for kind in STATISTICS)


def test_one_outcome_a_replica():
    fraction = {"name": "fraction", "condition": {"prefix": {"above": 0.5}}}
    of_heads = TypeAdapter(StatisticSpec).validate_python(fraction)
    of_one = TypeAdapter(StatisticSpec).validate_python(fraction | {"where": {"head": 1}})
    assert not is_yes_or_no(of_heads, HEADS)
    assert is_yes_or_no(of_one, HEADS)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 5))
def test_bounds_contain_and_miss_consistently(x, low, width):
    for bounds in (
        Bounds(between=(low, low + width)),
        Bounds(at_least=low),
        Bounds(above=low),
        Bounds(below=low),
    ):
        assert bounds.contains(x) is not bounds.misses(x, x)
        assert not bounds.contains(math.nan)


@pytest.mark.parametrize(
    "keys",
    [{}, {"at_least": 1, "above": 0}, {"between": [2, 1]}, {"at_least": 2, "at_most": 1}, {"least": 1}],
)
def test_bounds_are_one_stretch(keys):
    with pytest.raises(ValidationError):
        Bounds(**keys)


# Intervals


def test_exact_interval_agrees_with_scipy():
    for successes, trials in [(0, 4), (4, 4), (3, 7), (1, 1)]:
        exact = stats.binomtest(successes, trials).proportion_ci(0.95, method="exact")
        assert exact_interval(successes, trials, 0.95) == pytest.approx((exact.low, exact.high))


def test_mean_interval_agrees_with_scipy():
    values = [1.0, 2.0, 4.0, 4.5]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert mean_interval(values, 0.9) == pytest.approx(tuple(expected))
    assert all(map(math.isnan, mean_interval([1.0], 0.95)))


@pytest.mark.parametrize(
    ("draw", "truth", "ours", "bootstrap"),
    [
        (lambda rng: rng.normal(size=5), 0.0, (0.935, 0.965), (0.79, 0.88)),
        (lambda rng: rng.exponential(size=5), 1.0, (0.86, 0.90), (0.72, 0.82)),
    ],
)
def test_coverage_of_five_replicas(draw, truth, ours, bootstrap):
    """The coverages that mean_interval's docstring states: why it is not a bootstrap."""
    rng = np.random.default_rng(0)
    intervals, resampled = [], []
    for _ in range(2000):
        values = draw(rng)
        intervals.append(mean_interval(values, 0.95))
        means = values[rng.integers(0, 5, (400, 5))].mean(axis=1)
        resampled.append(np.quantile(means, [0.025, 0.975]))
    for ends, (least, most) in [(intervals, ours), (resampled, bootstrap)]:
        low, high = np.array(ends).T
        assert least < np.mean((low <= truth) & (truth <= high)) < most


def test_coverage_of_bca_is_no_better():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        interval = stats.bootstrap(
            (rng.normal(size=5),), np.mean, n_resamples=300, rng=rng
        ).confidence_interval
        covered.append(interval.low <= 0 <= interval.high)
    assert 0.72 < np.mean(covered) < 0.90


def test_a_truth_that_no_row_meets_is_undefined_and_no_error():
    table = pd.DataFrame({"seed": [0, 1], "run": "a", "found": False, "gain": [1.0, 2.0]})
    found = measure(table, name="mean", column="gain", where={"run": "a", "found": True})
    assert found == approximately({0: math.nan, 1: math.nan})
