"""Heads as they emerge, and their patterns: planted attention."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from singh_runs import BATCH, LN2, LN5, Run, asked, inputs, of, small_dataset

from headworks.studies.singh2024.experiments import emergence, patterns

STEPS = [0, 100, 200, 300, 400]
STRENGTH = {  # of layer 2's heads by seed, [snapshot, head]
    3: [[0, 0, 0], [0.0, 0.01, 0.0], [0.2, 0.1, 0.0], [0.4, 0.5, 0.05], [0.4, 0.8, 0.2]],
    8: [[0, 0, 0], [0.0, 0.0, 0.0], [0.0, 0.05, 0.0], [0.0, 0.05, 0.0], [0.0, 0.05, 0.0]],
}
ATTENTION = {  # of layer 1's heads from both labels to the token before
    3: [[0.4, 0.4, 0.8], [0.5, 0.4, 0.4], [0.8, 0.4, 0.4], [0.9, 0.4, 0.0], [0.9, 0.6, 0.0]],
    8: [[0.4, 0.4, 0.4]] * 5,
}


def planted_late(strengths, rows):
    """Patterns [head, sequence, key] of strength [head]: half of the attention on the labels, if that is enough."""
    right = np.where(rows[:, 1] == rows[:, 5], 1, 3)
    found = np.zeros((len(strengths), len(rows), 5))
    for head, s in enumerate(strengths):
        of_labels = max(0.5, abs(s))
        found[head, :, 4] = 1 - of_labels
        found[head, np.arange(len(rows)), right] = (of_labels + s) / 2
        found[head, np.arange(len(rows)), 4 - right] = (of_labels - s) / 2
    return found


def planted_early(attention):
    """Patterns [head, q, k]: all from a label that is not on the token before stays on the label."""
    found = np.tile(np.eye(5), (len(attention), 1, 1))
    for head, a in enumerate(attention):
        for label in (1, 3):
            found[head, label, label - 1 : label + 1] = a, 1 - a
    return found


@pytest.fixture(scope="module")
def dataset():
    return small_dataset()


@pytest.fixture(scope="module")
def probed(dataset):
    """A run of two replicas and its cached patterns; on sequences that are not of split train all is reversed."""
    rows = dataset.evaluation
    sign = np.where(dataset["split"] == 0, 1, -1)

    def get(probe, site, row):
        assert probe == "episodes"
        if site == "blocks.0.attn.pattern":
            return np.stack([planted_early(ATTENTION[seed][row]) for seed in (3, 8)])
        late = np.stack([planted_late(STRENGTH[seed][row], rows) for seed in (3, 8)]).transpose(0, 2, 1, 3)
        late[:, sign < 0] = late[:, sign < 0][..., [2, 3, 0, 1, 4]]
        return late

    cached = SimpleNamespace(snapshots=[0, 1, 2, 3, 4], tokens=lambda probe: rows, get=get)
    clamps = {"all": {"heads": None}, "two": {"heads": [0, 2]}}
    run = Run(dataset, [3, 8], ["all", "two"], clamps, STEPS, trace=np.full((STEPS[-1], 2), LN5))
    return inputs([run], activations={"episodes": {"main": cached}})


def test_heads_are_timed_against_the_loss():
    """The plateau is reached after 20,000 sequences and left after 80,000."""
    updates = np.arange(5000)
    loss = np.where(updates < 1000, LN5, np.where(updates < 4000, LN2, 0.1))
    found = emergence.loss_lags(loss, 20, first_head_time=90e3)
    assert found["onset_lag"] == pytest.approx(10e3, abs=1000)
    assert found["plateau_lag"] == pytest.approx(-60e3, abs=1000)
    never = emergence.loss_lags(np.full(5000, LN2), 20, first_head_time=math.inf)
    assert math.isnan(never["onset_lag"])
    assert never["plateau_lag"] == -math.inf


def test_emergence_finds_the_planted_strengths(probed):
    found = emergence.table(asked("emergence"), probed)
    for seed in (3, 8):
        second, first = of(found, layer=2, seed=seed), of(found, layer=1, seed=seed)
        assert second["strength"].to_numpy().reshape(5, 3) == pytest.approx(np.array(STRENGTH[seed]))
        attention = np.array(ATTENTION[seed])
        assert first["attention"].to_numpy().reshape(5, 3) == pytest.approx(attention)
        corrected = attention - (1 - attention) * (1 + 1 / 3) / 2
        assert first["previous"].to_numpy().reshape(5, 3) == pytest.approx(corrected)
        assert second["sequences"].to_numpy().reshape(5, 3)[:, 0].tolist() == [s * BATCH for s in STEPS]
        assert second["previous"].isna().all()
        assert first["strength"].isna().all()
    assert of(found, layer=2, seed=8)["active"].tolist() == [1, 0, 1] * 5
    assert len(of(found, head=-1)) == 2


def test_even_attention_has_no_previous_score():
    even = np.array([1 / 2, 1 / 4])
    assert emergence.previous_score(even) == pytest.approx(np.zeros(2))
    assert emergence.previous_score(np.ones(2)) == pytest.approx(np.ones(2))


def test_the_summary_follows_the_race(probed):
    found = emergence.table(asked("emergence"), probed)
    summary = of(found, layer=0).set_index("seed")
    learned = summary.loc[3]
    assert learned["max_strength"] == pytest.approx(0.8)
    assert (learned["n_strong"], learned["n_inductive"], learned["n_previous"]) == (2, 3, 2)
    assert learned["first_head_time"] == pytest.approx(150 * BATCH)
    assert learned["winner_is_first"] == 0
    # At 150: 0.1, 0.055, 0; in the end 0.4, 0.8, 0.2.
    assert learned["early_late"] == pytest.approx(0.5)
    assert learned["strength_half_time"] == pytest.approx(275 * BATCH)
    # From a corrected 1/6 at 100 to 11/15 at 200; half of the last, 5/6, is 5/12.
    corrected = [a - (1 - a) * 2 / 3 for a in (0.5, 0.8, 0.9)]
    share = (corrected[2] / 2 - corrected[0]) / (corrected[1] - corrected[0])
    assert learned["previous_time"] == pytest.approx((100 + 100 * share) * BATCH)
    assert learned["lag"] == pytest.approx(learned["strength_half_time"] - learned["previous_time"])
    never = summary.loc[8]
    assert never["max_strength"] == 0
    assert never[["n_strong", "n_inductive", "n_previous"]].tolist() == [0, 0, 0]
    assert never[["first_head_time", "previous_time", "strength_half_time"]].tolist() == [math.inf] * 3
    assert never[["lag", "early_late", "winner_is_first"]].isna().all()
    assert of(found, layer=2)[emergence.SUMMARY].isna().to_numpy().all()


def test_a_diverged_replica_has_no_summary():
    scores = np.ones((3, 2))
    found = emergence.summary(
        np.arange(3), np.where(np.arange(3)[:, None] > 1, np.nan, scores), scores, scores
    )
    assert list(found) == emergence.SUMMARY
    assert np.isnan(list(found.values())).all()


def test_patterns_of_the_main_heads(probed):
    found = patterns.table(asked("patterns"), probed)
    own = of(found, seed=3)
    assert own.groupby("when")["step"].unique().map(list).to_dict() == {
        "before": [100],
        "during": [300],
        "after": [400],
    }
    assert own.groupby("layer")["head"].unique().map(list).to_dict() == {1: [0], 2: [1]}
    after = of(own, when="after", layer=2).set_index("role")["attention"]
    assert after.to_dict() == pytest.approx(
        {"its exemplar": 0, "right label": 0.8, "other exemplar": 0, "other label": 0, "query": 0.2}
    )
    before = of(own, when="before", layer=2).set_index("role")["attention"]
    assert before["right label"] - before["other label"] == pytest.approx(0.01)
    first = of(own, when="after", layer=1)
    assert len(first) == 15
    assert of(first, query=3).set_index("role")["attention"].to_dict() == pytest.approx(
        {"first exemplar": 0, "first label": 0, "second exemplar": 0.9, "second label": 0.1}
    )
    assert of(found, seed=8, layer=2)["head"].unique().tolist() == [0]  # the stronger head is not active
    assert set(of(found, seed=8)["strength"]) == {0}
    assert len(found) == 2 * 3 * (15 + 5)


def test_moments_of_a_strength():
    assert patterns.times(np.array([0, 0.03, 0.01, 0.1, 0.5, 0.9])) == {"before": 2, "during": 4, "after": 5}
    assert patterns.times(np.array([0.3, 0.4, 0.9])) == {"before": 0, "during": 2, "after": 2}
    assert patterns.times(np.array([-0.02, -0.01])) == {"before": 1, "during": 1, "after": 1}
