"""What the rules tell the page of the project's own studies, and mistakes in what a study says to it."""

from pathlib import Path

import pytest
import yaml

from headworks.config import load
from headworks.digest import canonical
from headworks.errors import HeadworksError
from headworks.monitor_spec import QUESTIONS, ReadingSpec
from headworks.page import about, code
from headworks.plan import Plan

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def plan() -> Plan:
    return Plan(load({}, REPOSITORY / "config/studies"))


def test_what_is_told_fits_into_a_command_line(plan):
    """One argument of a command may hold 128 kB on Linux."""
    for study in plan.selected:
        assert len(canonical(about(plan, study)).encode()) < 100_000


def test_every_reading_has_its_table_with_the_key_it_must_have(plan):
    for study in plan.selected:
        told = about(plan, study)
        for reading in told["monitor"].values():
            spec = ReadingSpec.model_validate(reading)
            assert told["tables"][spec.table]["key"] == plan.job(study, "tables", spec.table).key
            assert told["tables"][spec.table]["path"] == f"results/{study}/tables/{spec.table}.csv"


def test_every_question_is_answered_by_some_study(plan):
    asked = {
        reading["question"] for study in plan.selected for reading in about(plan, study)["monitor"].values()
    }
    assert asked == set(QUESTIONS)


def test_the_code_is_that_of_templates_too(monkeypatch, tmp_path):
    import headworks.page

    for folder in ("templates", "static"):
        (tmp_path / folder).mkdir()
    (tmp_path / "static/page.css").write_text("a")
    monkeypatch.setattr(headworks.page, "HERE", tmp_path)
    before = code()
    (tmp_path / "static/page.css").write_text("b")
    assert code() != before


def test_a_reading_of_a_table_that_does_not_exist_is_refused(tmp_path, toy_study):
    toy_study["monitor"] = {
        "loss": {"question": "change", "title": "Loss", "table": "curves", "column": "loss"}
    }
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy_study))
    with pytest.raises(
        HeadworksError, match=r"monitor\.loss\.table: 'curves' does not exist; allowed: curve"
    ):
        load({}, tmp_path)


def test_a_study_may_carry_a_note(tmp_path, toy_study):
    toy_study["paper"]["note"] = "A conceptual replication."
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(toy_study))
    plan = Plan(load({}, tmp_path))
    assert about(plan, "toy")["paper"]["note"] == "A conceptual replication."
    assert about(plan, "toy")["monitor"] == {}
