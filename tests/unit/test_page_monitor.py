"""Readings for people who run models, on tables small enough to do in the head."""

import math

import pandas as pd
import pytest
from pydantic import ValidationError

from headworks.errors import HeadworksError
from headworks.monitor_spec import ReadingSpec
from headworks.page.monitor import effective_number, reading

HEADS = pd.DataFrame(
    {
        "run": ["a"] * 6,
        "seed": [0, 0, 0, 1, 1, 1],
        "head": [0, 1, 2, 0, 1, 2],
        "score": [0.1, 0.9, 0.5, 0.7, 0.0, 0.3],
        "drop": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "name": list("uvwxyz"),
    }
)


def spec(**keys) -> ReadingSpec:
    return ReadingSpec(**{"question": "heads", "title": "Scores", "table": "heads", "column": "score"} | keys)


def test_ranks_are_within_each_replica():
    """The best of seed 0 is head 1, of seed 1 head 0: their mean, not the mean of one head."""
    found = reading(spec(rank="score", most=2), HEADS, "here")
    assert [row["label"] for row in found["rows"]] == ["1st", "2nd"]
    assert [row["value"] for row in found["rows"]] == pytest.approx([0.8, 0.4])
    assert found["rows"][0]["values"] == [0.9, 0.7]


def test_another_column_can_be_ranked_by():
    found = reading(spec(column="drop", rank="score", most=1), HEADS, "here")
    assert found["rows"][0]["values"] == [2.0, 4.0]
    assert found["effective"] is None


def test_groups_come_in_the_order_of_the_table_each_with_its_ranks():
    both = pd.concat([HEADS, HEADS.assign(run="b", score=HEADS["score"] / 10)])
    found = reading(spec(rank="score", by=["run"], most=2, labels={"b": "the other"}), both, "here")
    assert [row["label"] for row in found["rows"]] == ["a, 1st", "a, 2nd", "the other, 1st", "the other, 2nd"]
    assert found["rows"][2]["value"] == pytest.approx(0.08)


def test_rows_without_a_group_are_one_reading():
    found = reading(spec(where={"head": 0}), HEADS, "here")
    assert [(row["label"], row["value"]) for row in found["rows"]] == [("Scores", pytest.approx(0.4))]
    assert found["replicas"] == 2


def test_replicas_without_a_value_are_counted_and_not_averaged():
    never = HEADS.assign(score=[math.inf, 0.9, 0.5, 0.7, math.nan, 0.3])
    first, second, _ = reading(spec(by=["head"]), never, "here")["rows"]
    assert (first["value"], first["without"], first["values"]) == (0.7, 1, [0.7])
    assert (second["value"], second["without"]) == (0.9, 1)
    assert math.isnan(first["interval"][0])


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([1.0, 0, 0, 0], 1), ([0.5] * 4, 4), ([3.0, 1.0], 1.6), ([1.0, -5.0], 1), ([0.0, -1.0], math.nan)],
)
def test_effective_number_of_heads(scores, expected):
    assert effective_number(scores) == pytest.approx(expected, nan_ok=True)


def test_effective_number_is_averaged_over_replicas_and_takes_all_ranks():
    equal = HEADS.assign(score=[1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
    assert reading(spec(rank="score", most=1), equal, "here")["effective"] == [{"label": "", "value": 2.0}]


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"column": "scores"}, r"here: the table 'heads' has no column 'scores'; it has run, seed"),
        ({"by": ["layer"]}, "no column 'layer'"),
        ({"column": "name"}, "column 'name' holds text"),
        ({"where": {"run": "c"}}, "no row of the table 'heads' meets it"),
    ],
)
def test_mistakes_name_the_reading(keys, said):
    with pytest.raises(HeadworksError, match=said):
        reading(spec(**keys), HEADS, "here")


def test_replicas_cannot_be_rows():
    with pytest.raises(ValidationError, match="averaged over"):
        spec(by=["seed"])
