"""The real studies at test scale, run as a user would: everything, again, one figure, one claim, an overlay, a report."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SCALE = REPOSITORY / "config/scales/test.yaml"
VERDICTS = {"reproduced", "not reproduced", "inconclusive", "underpowered", "unsound"}

pytestmark = pytest.mark.workflow


def snakemake(folder: Path, *arguments: str, configfiles=(SCALE,)) -> str:
    """Run the repository's workflow in `folder`, at test scale; returns all it printed."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        REPOSITORY / "Snakefile",
        "--directory",
        folder,
    ]
    command += ["--configfile", *configfiles, "--cores", "2", *arguments]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}
    found = subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=False
    )
    assert found.returncode == 0, (found.stdout + found.stderr)[-6000:]
    return found.stdout + found.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A working directory in which everything was made at test scale."""
    folder = tmp_path_factory.mktemp("studies")
    shutil.copytree(REPOSITORY / "config", folder / "config")
    snakemake(folder)
    return folder


def claims(folder: Path) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in (folder / "results/claims").glob("*.json")}


def test_every_claim_has_a_verdict_and_too_little_training_reproduces_none(finished):
    found = claims(finished)
    assert len(found) >= 47
    assert {claim["verdict"] for claim in found.values()} <= VERDICTS
    assert {claim["scale"] for claim in found.values()} == {"test"}
    # two seeds are fewer than any claim asks for
    assert not [name for name, claim in found.items() if claim["verdict"] == "reproduced"]


def test_every_figure_is_there_as_svg_and_png(finished):
    figures = list((finished / "results/olsson2022/figures").iterdir())
    assert {path.suffix for path in figures} == {".svg", ".png"}
    assert len(figures) % 2 == 0
    assert len(figures) >= 36
    assert all(path.stat().st_size > 5000 for path in figures)


def test_a_second_run_finds_nothing_to_do(finished):
    assert "Nothing to be done" in snakemake(finished, "--dry-run")


def test_no_state_of_finished_training_is_left(finished):
    assert not list((finished / "results").rglob("*.state*"))
    assert not list((finished / "results").rglob("*.part"))


def test_one_figure_and_one_claim_need_only_their_own_jobs(tmp_path):
    shutil.copytree(REPOSITORY / "config", tmp_path / "config")
    printed = snakemake(tmp_path, "--dry-run", "results/olsson2022/figures/coperturbation.svg")
    assert "text-" not in printed
    assert "rule claim" not in printed
    printed = snakemake(tmp_path, "--dry-run", "results/claims/olsson2022.coperturbation.json")
    assert "rule figure" not in printed
    assert printed.count("rule claim:") == 1


def test_an_overlay_reruns_what_it_changes(finished):
    overlay = finished / "mine.yaml"
    overlay.write_text("studies: {olsson2022: {runs: {perm-1l-lag2: {train: {lr: 0.001}}}}}\n")
    printed = snakemake(finished, "--dry-run", configfiles=(SCALE, overlay))
    made = [line for line in printed.splitlines() if line.strip().startswith("output:")]
    assert [line for line in made if "/runs/" in line] == [
        "    output: results/olsson2022/runs/perm-1l-lag2.h5"
    ]
    assert any("figures/smears.svg" in line for line in made)
    assert not any("figures/paths.svg" in line for line in made)


def test_the_terminal_table_and_the_report(finished):
    printed = snakemake(finished, "claims")
    assert "coperturbation" in printed
    assert "underpowered" in printed
    snakemake(finished, "--report", "report.zip")
    assert (finished / "report.zip").stat().st_size > 100_000
