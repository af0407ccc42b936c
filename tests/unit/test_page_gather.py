"""Gathering: a small tree of results, as jobs would leave it, and what the page is told of it."""

import json

import numpy as np
import pandas as pd
import pytest

from headworks import store
from headworks.claim_spec import ClaimSpec
from headworks.claims import dump, evaluate
from headworks.errors import ArtefactError
from headworks.job import Input, Job
from headworks.page import gather, provenance

YAML = """study: tiny
claims:
  # about the first
  learns:
    statement: It learns.
    criterion: {below: 1}

  # about the second
  forgets:
    statement: It forgets.
monitor: {}
"""


def job(room: str, name: str, *inputs: Input) -> Job:
    return Job("tiny", room, name, "kind", {}, inputs, f"code-{name}", f"key-{name}")


def as_input(made: Job, path: str) -> Input:
    return Input(made.room, made.name, path, made.key)


@pytest.fixture
def root(tmp_path):
    """data → run → table → claim, a figure, a config, and benchmark files of two of the jobs."""
    paths = {
        room: f"results/tiny/{room}/{name}"
        for room, name in (("data", "ring.h5"), ("runs", "small.h5"), ("tables", "scores.csv"))
    }
    data = job("data", "ring")
    run = job("runs", "small", as_input(data, paths["data"]))
    table = job("tables", "scores", as_input(run, paths["runs"]))
    with store.writing(tmp_path / paths["data"], data) as file:
        file.attrs["layout"] = "sequences"
    with store.writing(tmp_path / paths["runs"], run) as file:
        file.attrs["device"] = "cpu"
        store.put(file, "seeds", np.array([0, 1, 0, 1]), ("replica",))
    frame = pd.DataFrame({"run": ["a", "b"] * 3, "seed": [0, 0, 1, 1, 2, 2], "loss": [0.1, 2.0] * 3})
    store.write_table(tmp_path / paths["tables"], frame, table)
    _benchmark(tmp_path, "runs/small", {"s": 12.5, "cpu_time": 11.0, "max_rss": 400.0})
    _benchmark(tmp_path, "tables/scores", {"s": 0.5, "cpu_time": "NA", "max_rss": None})
    figure = tmp_path / "results/tiny/figures/curve.svg"
    figure.parent.mkdir()
    figure.write_text('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 3"><path d="M0 0"/></svg>')
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/studies/tiny.yaml").write_text(YAML)
    claim = tmp_path / "results/claims/tiny.learns.json"
    store.write_text(claim, dump(_judged(frame)))
    return tmp_path


def _benchmark(root, name: str, measured: dict) -> None:
    path = root / f"results/tiny/benchmarks/{name}.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"s": 99}) + "\n" + json.dumps(measured) + "\n")


def _judged(frame: pd.DataFrame) -> dict:
    spec = ClaimSpec(
        statement="It learns.",
        source="nowhere",
        reported="yes",
        figure="curve",
        table="scores",
        statistic={"name": "mean", "column": "loss", "where": {"run": "a"}},
        criterion={"below": 1.0},
        control={"is": "another run", "where": {"run": "b"}},
    )
    about = {
        "key": "k",
        "code": "c",
        "tables": {"scores": {"key": "key-scores", "sha256": "s"}},
        "versions": {},
    }
    return evaluate("tiny", "learns", spec, {"scores": frame}, scale="laptop", provenance=about)


def about(**keys) -> dict:
    table = {
        "room": "tables",
        "name": "scores",
        "path": "results/tiny/tables/scores.csv",
        "key": "key-scores",
    }
    reading = {"question": "change", "title": "Loss", "table": "scores", "column": "loss", "by": ["run"]}
    return {
        "study": "tiny",
        "scale": "laptop",
        "paper": {"title": "T", "authors": "A", "year": 2024, "url": "u", "note": None},
        "captions": {"curve": "A caption."},
        "monitor": {"loss": reading},
        "tables": {"scores": table},
    } | keys


@pytest.fixture
def found(root):
    return gather.gather(about(), [root / "results/claims/tiny.learns.json"], root)


def test_a_claim_keeps_its_verdict_and_gets_its_past(found):
    (claim,) = found["claims"]
    assert claim["verdict"] == "reproduced"
    assert claim["jobs"] == [
        "results/tiny/data/ring.h5",
        "results/tiny/runs/small.h5",
        "results/tiny/tables/scores.csv",
    ]
    assert (claim["seconds"], claim["memory"], claim["devices"]) == (13.0, 400.0, ["cpu"])
    assert (
        claim["command"]
        == "snakemake --cores all results/claims/tiny.learns.json results/tiny/figures/curve.svg"
    )


def test_jobs_say_what_made_them_and_what_they_took(found):
    run = found["jobs"]["results/tiny/runs/small.h5"]
    assert (run["key"], run["code"], run["seeds"], run["seconds"]) == (
        "key-small",
        "code-small",
        [0, 1],
        12.5,
    )
    table = found["jobs"]["results/tiny/tables/scores.csv"]
    assert (table["seconds"], table["memory"]) == (0.5, None)
    assert found["jobs"]["results/tiny/data/ring.h5"]["seconds"] is None


def test_a_deleted_artefact_is_said_to_be_deleted(root):
    (root / "results/tiny/runs/small.h5").unlink()
    found = gather.gather(about(), [root / "results/claims/tiny.learns.json"], root)
    assert not found["jobs"]["results/tiny/runs/small.h5"]["on_disk"]
    assert found["jobs"]["results/tiny/runs/small.h5"]["seconds"] == 12.5


def test_another_scale_stands_in_the_command():
    assert (
        gather.command(["x.json"], "test")
        == "snakemake --cores all --configfile config/scales/test.yaml x.json"
    )


def test_the_config_block_is_the_claims_and_no_other(found):
    block = found["claims"][0]["config"]
    assert block == {
        "path": "config/studies/tiny.yaml",
        "first": 4,
        "last": 6,
        "text": "learns:\n  statement: It learns.\n  criterion: {below: 1}",
    }


def test_the_last_block_ends_where_the_next_key_begins(root):
    blocks = provenance.config_blocks(root / "config/studies", "tiny")
    assert blocks["forgets"]["text"] == "forgets:\n  statement: It forgets."
    assert provenance.config_blocks(root / "config/studies", "other") == {}


def test_readings_and_figures_come_with_it(found):
    (loss,) = found["monitor"]
    assert [(row["label"], row["value"]) for row in loss["rows"]] == [("a", pytest.approx(0.1)), ("b", 2.0)]
    assert found["figures"]["curve"]["caption"] == "A caption."
    assert found["figures"]["curve"]["viewbox"] == "0 0 9 3"


def test_a_stale_table_is_refused(root):
    stale = about()["tables"]["scores"] | {"key": "another"}
    with pytest.raises(ArtefactError, match="stale"):
        gather.gather(about(tables={"scores": stale}), [], root)


def test_what_is_written_is_read_again(root, monkeypatch):
    monkeypatch.chdir(root)
    gather.write(about(), ["results/claims/tiny.learns.json"], root / "page.json")
    read = gather.load(root / "page.json")
    assert read["claims"][0]["claim"] == "learns"
    assert read["claims"][0]["criterion_date"] is None
