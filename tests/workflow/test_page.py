"""The claims page among the rules: made by default, made anew when what it shows changes, part of the report."""

import json
import zipfile

import pytest
from harness import PAGE, all_outputs

INDEX = "results/index.html"


def planned_pages(checkout) -> set[str]:
    return all_outputs(checkout.snakemake("-n")) & PAGE


def test_the_default_target_makes_the_page(finished):
    text = (finished / INDEX).read_text(encoding="utf-8")
    for claim in ("toy.learns", "toy.generalises"):
        assert text.count(f'data-claim="{claim}"') == 1
    assert "Counting round a ring" in text
    assert "<symbol" in text


def test_it_says_what_each_job_took(finished):
    study = json.loads((finished / "results/toy/page.json").read_text(encoding="utf-8"))
    run = study["jobs"]["results/toy/runs/learner.h5"]
    assert run["seconds"] > 0
    assert run["seeds"] == [0, 1, 2]
    assert run["device"] == "cpu"
    assert set(study["claims"][0]["jobs"]) <= set(study["jobs"])


def test_the_claims_block_of_the_config_is_quoted(finished):
    study = json.loads((finished / "results/toy/page.json").read_text(encoding="utf-8"))
    assert study["claims"][0]["config"]["text"].startswith("learns:\n  statement: The ring is learnt.")


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("config/studies/toy.yaml", "criterion: {below: 1.0}", "criterion: {below: 0.9}", PAGE),
        ("config/studies/toy.yaml", "caption: Loss over training.", "caption: Loss.", PAGE),
        ("config/studies/toy.yaml", "year: 2024", "year: 2024\n  note: A remark.", PAGE),
        ("workflow/headworks/page/static/page.css", "/* Axes */", "/* The axes */", PAGE),
        ("config/studies/toy.yaml", "# A study for the tests", "# The study for the tests", set()),
    ],
    ids=["criterion", "caption", "note", "style sheet", "comment"],
)
def test_it_is_made_anew_when_what_it_shows_changes(checkout, path, old, new, expected):
    assert planned_pages(checkout) == set()
    checkout.edit(path, old, new)
    assert planned_pages(checkout) == expected


def test_it_is_part_of_the_report(checkout):
    checkout.snakemake("--report", "report.zip")
    with zipfile.ZipFile(checkout / "report.zip") as report:
        assert any(name.endswith("index.html") and "data/" in name for name in report.namelist())
