"""Verdicts on planted truth: an effect that is there, one that is not, one that straddles, false controls."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from headworks.claim_spec import ClaimSpec
from headworks.claims import dump, evaluate, rounded
from headworks.errors import HeadworksError
from headworks.verdicts import SHAPES, WIDTH, markdown_table, verdict_table

SPREAD = np.array([-0.3, -0.1, 0.0, 0.1, 0.3])


def claim(**changes) -> ClaimSpec:
    keys = {
        "statement": "Two layers learn in context.",
        "source": "Argument 1",
        "reported": "about 250 %",
        "figure": "scores",
        "table": "scores",
        "statistic": {"name": "mean", "column": "gain", "where": {"run": "two-layer"}},
        "criterion": {"at_least": 2},
        "control": {"is": "one-layer model", "where": {"run": "one-layer"}},
    }
    return ClaimSpec.model_validate(keys | changes)


def table(two_layer, one_layer) -> pd.DataFrame:
    runs = {"two-layer": two_layer, "one-layer": one_layer}
    return pd.DataFrame(
        [(run, seed, value) for run, values in runs.items() for seed, value in enumerate(values)],
        columns=["run", "seed", "gain"],
    )


def judge(two_layer, one_layer=1 + SPREAD, **changes) -> dict:
    tables = {"scores": table(two_layer, one_layer)}
    return evaluate("s", "c", claim(**changes), tables, scale="test", provenance={"commit": "abc"})


# Real-valued statistics


def test_an_effect_that_is_there():
    result = judge(3 + SPREAD)
    assert result["verdict"] == "reproduced"
    assert result["value"] == 3
    # Student's t of these five values: standard deviation sqrt(0.2 / 4), quantile 2.77645.
    half = 2.77645 * math.sqrt(0.05) / math.sqrt(5)
    assert result["interval"] == pytest.approx([3 - half, 3 + half], rel=1e-5)
    assert result["seeds"][0] == {"seed": 0, "value": 2.7}
    assert result["control"]["state"] == "failed"
    assert result["control"]["passed"] is False


def test_an_effect_that_is_not_there():
    assert judge(1 + SPREAD, one_layer=0.5 + SPREAD)["verdict"] == "not reproduced"


def test_an_effect_that_straddles():
    assert judge(2.1 + SPREAD)["verdict"] == "inconclusive"
    assert judge(1.9 + SPREAD)["verdict"] == "inconclusive"


def test_a_control_that_passes_too():
    result = judge(3 + SPREAD, one_layer=2.1 + SPREAD)
    assert result["verdict"] == "unsound"
    assert result["control"]["passed"] is True
    assert judge(2.1 + SPREAD, one_layer=3 + SPREAD)["verdict"] == "unsound"
    assert judge(1 + SPREAD, one_layer=3 + SPREAD)["verdict"] == "not reproduced"


def test_a_control_that_is_unclear():
    result = judge(3 + SPREAD, one_layer=1.9 + SPREAD)
    assert result["verdict"] == "inconclusive"
    assert result["control"]["state"] == "unclear"
    assert judge(3 + SPREAD, one_layer=[1, *[math.nan] * 4])["control"]["state"] == "unclear"


def test_an_undefined_control_has_not_passed():
    result = judge(3 + SPREAD, one_layer=[math.nan] * 5)
    assert result["verdict"] == "reproduced"
    assert result["control"]["state"] == "undefined"
    assert result["control"]["value"] is None
    assert result["control"]["missing"] == [0, 1, 2, 3, 4]


def test_too_few_seeds():
    assert judge([3.0, 3.1])["verdict"] == "underpowered"
    assert judge(3 + SPREAD, seeds=6)["verdict"] == "underpowered"


def test_undefined_seeds_are_named_and_too_many_forbid_a_verdict():
    one_lost = judge([3.0, 3.1, math.nan, 3.0, 3.1])
    assert one_lost["verdict"] == "reproduced"
    assert one_lost["missing"] == [2]
    assert one_lost["seeds"][2] == {"seed": 2, "value": None}
    two_lost = judge([3.0, 3.1, math.nan, 3.0, math.nan])
    assert two_lost["verdict"] == "underpowered"
    assert "2 of 5" in two_lost["reason"]
    all_lost = judge([math.nan] * 5)
    assert all_lost["verdict"] == "underpowered"
    assert all_lost["interval"] == [None, None]


def test_the_control_may_lie_in_another_table():
    spec = claim(control={"is": "shuffled", "table": "shuffled"})
    tables = {"scores": table(3 + SPREAD, SPREAD), "shuffled": table(1 + SPREAD, 9 + SPREAD)}
    result = evaluate("s", "c", spec, tables, scale="test", provenance={})
    assert (result["control"]["value"], result["control"]["table"]) == (1.0, "shuffled")
    with pytest.raises(
        HeadworksError, match=r"claim s\.c, control: table shuffled was not given; given: scores"
    ):
        evaluate("s", "c", spec, {"scores": tables["scores"]}, scale="test", provenance={})


def test_intervals_stay_within_what_is_possible():
    rows = [(seed, head, label, x) for seed in range(4) for head, (label, x) in enumerate(
        [("a", 5), ("a", 4 if seed else 1), ("b", 2), ("b", 0)])]  # fmt: skip
    heads = pd.DataFrame(rows, columns=["seed", "head", "label", "x"])
    spec = claim(
        table="heads",
        statistic={"name": "auc", "column": "x", "condition": {"label": "a"}},
        criterion={"at_least": 0.7},
        control={"is": "the other label", "condition": {"label": "b"}},
    )
    result = evaluate("s", "c", spec, {"heads": heads}, scale="test", provenance={})
    assert result["verdict"] == "reproduced"
    assert result["interval"][1] == 1
    assert result["control"]["interval"][0] == 0


def test_claim_and_table_are_named_in_errors():
    with pytest.raises(HeadworksError, match=r"claim s\.c, table scores: no column 'gian'. Nearest: gain"):
        judge(3 + SPREAD, statistic={"name": "mean", "column": "gian", "where": {"run": "two-layer"}})
    with pytest.raises(
        HeadworksError, match=r"claim s\.c, control, table scores: where.run: no row has run = 'x'"
    ):
        judge(3 + SPREAD, control={"is": "x", "where": {"run": "x"}})


# Fractions of seeds


def in_order(n_ascending: int, n: int, n_undefined: int = 0, **changes) -> dict:
    """Two onsets in n seeds, of which some ascend and some lack an onset; in the control all descend."""
    onsets = (
        [(1.0, 2.0)] * n_ascending
        + [(2.0, 1.0)] * (n - n_ascending - n_undefined)
        + [(1.0, math.nan)] * n_undefined
    )
    rows = [("main", seed, *pair) for seed, pair in enumerate(onsets)] + [
        ("null", seed, 2.0, 1.0) for seed in range(n)
    ]
    keys = {
        "statistic": {"name": "column_order", "columns": ["first", "second"], "where": {"arm": "main"}},
        "criterion": {"at_least": 0.5},
        "control": {"is": "null", "where": {"arm": "null"}},
    }
    tables = {"scores": pd.DataFrame(rows, columns=["arm", "seed", "first", "second"])}
    return evaluate("s", "c", claim(**keys | changes), tables, scale="test", provenance={})


def test_six_of_six_in_order_exceed_a_half():
    result = in_order(6, 6)
    assert result["verdict"] == "reproduced"
    assert result["interval"] == [pytest.approx(0.025 ** (1 / 6), rel=1e-5), 1]
    assert result["control"]["interval"][1] == pytest.approx(1 - 0.025 ** (1 / 6), rel=1e-5)


def test_four_of_four_cannot_show_nine_tenths():
    result = in_order(4, 4, criterion={"at_least": 0.9})
    assert result["verdict"] == "underpowered"
    assert "36 are needed" in result["reason"]
    assert in_order(36, 36, criterion={"at_least": 0.9})["verdict"] == "reproduced"
    assert in_order(0, 4, criterion={"at_least": 0.9})["verdict"] == "not reproduced"


def test_out_of_order_and_mixed():
    assert in_order(0, 6)["verdict"] == "not reproduced"
    assert in_order(5, 6)["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("criterion", "value"), [({"at_least": 0.5}, 5 / 6), ({"at_most": 0.5}, 1.0), ({"below": 0.5}, 1.0)]
)
def test_an_undefined_seed_counts_against_the_claim(criterion, value):
    result = in_order(5, 6, n_undefined=1, criterion=criterion)
    assert result["value"] == pytest.approx(value, rel=1e-5)
    assert result["missing"] == [5]


def test_shares_of_many_rows_are_no_coin_tosses():
    """All heads of all seeds meet the condition: the values are 1, yet each seed is more than one outcome."""
    heads = pd.DataFrame({"seed": [0, 0, 1, 1, 2, 2], "score": [0.9] * 6})
    spec = claim(
        statistic={"name": "fraction", "condition": {"score": {"at_least": 0.5}}},
        criterion={"at_least": 0.9},
        control={"is": "a high bar", "condition": {"score": {"at_least": 0.95}}},
    )
    result = evaluate("s", "c", spec, {"scores": heads}, scale="test", provenance={})
    assert (result["verdict"], result["interval"]) == ("reproduced", [1, 1])


# Properties

values = st.lists(st.floats(-10, 10), min_size=3, max_size=8)
RANK = {"not reproduced": 0, "inconclusive": 1, "unsound": 2, "reproduced": 2}


@settings(max_examples=60, deadline=None)
@given(values, st.floats(-12, 12), st.floats(0, 5))
def test_a_laxer_criterion_never_gives_a_worse_verdict(gains, end, slack):
    never = {"one_layer": [math.nan] * len(gains)}
    strict = judge(gains, criterion={"at_least": end + slack}, **never)["verdict"]
    lax = judge(gains, criterion={"at_least": end}, **never)["verdict"]
    assert RANK[strict] <= RANK[lax]


@settings(max_examples=60, deadline=None)
@given(values, values, st.floats(-12, 12))
def test_reproduced_needs_the_control_to_fail(two_layer, one_layer, end):
    result = judge(two_layer, one_layer, criterion={"at_least": end})
    if result["verdict"] == "reproduced":
        assert result["control"]["state"] in ("failed", "undefined")
        assert not result["missing"] or len(result["missing"]) * 3 <= len(result["seeds"])
    if result["control"]["passed"]:
        assert result["verdict"] != "reproduced"


@settings(max_examples=30, deadline=None)
@given(values, st.floats(-12, 12))
def test_a_mirrored_claim_has_the_same_verdict(gains, end):
    mirrored = judge([-x for x in gains], one_layer=-(1 + SPREAD), criterion={"at_most": -end})
    assert judge(gains, criterion={"at_least": end})["verdict"] == mirrored["verdict"]


@settings(max_examples=30, deadline=None)
@given(st.permutations(range(10)))
def test_the_order_of_rows_changes_no_byte(order):
    rows = table(3 + SPREAD, 1 + SPREAD)
    results = [
        evaluate("s", "c", claim(), {"scores": shuffled}, scale="test", provenance={})
        for shuffled in (rows, rows.iloc[order])
    ]
    assert dump(results[0]) == dump(results[1])


# What a claim may say


def test_a_control_changes_selections_column_by_column():
    spec = claim(
        statistic={
            "name": "ratio",
            "column": "icl",
            "where": {"run": "two-layer", "prefix": {"at_least": 0.3}},
            "over": {"phase": "before"},
        },
        control={"is": "weak heads", "where": {"prefix": {"below": 0.3}, "run": None}, "reduce": "median"},
    )
    control = spec.control_statistic
    assert list(control.where) == ["prefix"]
    assert str(control.where["prefix"]) == "< 0.3"
    assert (control.over, control.reduce) == ({"phase": "before"}, "median")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"control": {"is": "nothing"}}, "changes nothing"),
        ({"control": {"is": "other", "name": "median"}}, "control.name"),
        ({"control": {"is": "typo", "wehre": {"run": "x"}}}, "control.wehre"),
        ({"control": {"is": "typo", "where": "x"}}, "control.where"),
        ({"criterion": {"at_least": 1, "between": [0, 1]}}, "at_least or above"),
        ({"statistic": {"name": "median_of_means", "column": "x"}}, "statistic"),
        ({"statistic": {"name": "mean", "column": "x", "wehre": {}}}, "wehre"),
        ({"figure": "Fig 1"}, "figure"),
        ({"seeds": 1}, "seeds"),
        (
            {
                "statistic": {"name": "column_order", "columns": ["a", "b"]},
                "control": {"is": "reversed", "columns": ["b", "a"]},
                "criterion": {"at_least": 1},
            },
            "out of reach",
        ),
    ],
)
def test_slips_in_a_claim_are_explained(changes, words):
    with pytest.raises(ValidationError) as caught:
        claim(**changes)
    assert words in str(caught.value)


def test_a_claim_survives_its_own_dump():
    spec = claim(criterion={"between": [2, 3]}, control={"is": "weak", "where": {"gain": {"below": 1}}})
    assert ClaimSpec.model_validate_json(spec.model_dump_json(by_alias=True, exclude_unset=True)) == spec
    assert ClaimSpec.model_validate(spec.model_dump()) == spec


# JSON and tables


def test_rounding():
    raw = {"a": 0.1234567891, "b": [math.nan, math.inf, -0.0], "c": np.float64(1e-9 / 3), "d": np.int64(7)}
    assert dump(raw) == dump(rounded(raw))
    assert json.loads(dump(raw)) == {"a": 0.123457, "b": [None, None, 0.0], "c": 3.33333e-10, "d": 7}
    assert "-0.0" not in dump(raw)


def test_json_holds_the_agreed_keys():
    result = json.loads(dump(judge(3 + SPREAD)))
    agreed = "study claim statement source reported reported_value verdict value interval level seeds missing"
    agreed += " criterion control figure table scale beyond_paper note provenance"
    assert set(agreed.split()) <= set(result)
    assert result["criterion"] == {"at_least": 2.0, "text": "≥ 2"}
    assert result["provenance"] == {"commit": "abc"}


def test_verdict_table_fits_and_counts():
    results = [
        judge(3 + SPREAD, beyond_paper=True) | {"study": "wu2024", "claim": "and-on-" * 20 + "end"},
        judge([1e7, 1.1e7, math.nan, 1e7, 1e7], criterion={"at_least": 5e6}) | {"study": "gould2023"},
        judge(1 + SPREAD) | {"study": "gould2023", "claim": "b"},
    ]
    text = verdict_table(results[1:] + results[:1])
    lines = text.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert [line for line in lines if "scale" in line] == ["gould2023 (test scale)", "wu2024 (test scale)"]
    assert lines[3].split()[:4] == ["b", SHAPES["not reproduced"], "not", "reproduced"]
    assert lines[2].split()[0] == "c"
    assert lines[2].endswith("4/5")
    assert lines[-2] == "3 claims: 2 reproduced, 1 not reproduced"
    assert verdict_table([]) == "No claims."


def test_markdown_table_has_one_row_a_claim():
    rows = markdown_table([judge(3 + SPREAD, statement="P(a|b)\nrises.")]).splitlines()
    assert len(rows) == 3
    assert "P(a\\|b) rises." in rows[2]
    assert rows[2].count(" | ") == rows[0].count(" | ") == 6
    assert rows[2].endswith("● reproduced |")
    assert "one-layer model: 1 [0.722, 1.28], failed" in rows[2]
