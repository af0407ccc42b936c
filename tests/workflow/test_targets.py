"""What can be asked for: one figure, one claim, the verdict table, the report; and that results repeat."""

import zipfile

import pytest
from harness import ALL, REPOSITORY, Checkout, call, environment, outputs, snakemake

from headworks.config import load
from headworks.plan import Plan

FIGURE = "results/toy/figures/curve.svg"
FOR_THE_FIGURE = {
    "results/toy/data/ring.h5",
    "results/toy/runs/learner.h5",
    "results/toy/runs/still.h5",
    "results/toy/tables/curve.csv",
    FIGURE,
}
CLAIM = "results/claims/toy.generalises.json"
FOR_THE_CLAIM = {
    "results/toy/data/ring.h5",
    "results/toy/runs/learner.h5",
    "results/toy/activations/probes-learner.h5",
    "results/toy/tables/probe.csv",
    CLAIM,
}


@pytest.fixture(scope="module")
def again(pristine, tmp_path_factory) -> dict:
    """A second working directory: one claim is planned, one figure made, then the rest of the study."""
    checkout = pristine.copy_to(tmp_path_factory.mktemp("again") / "checkout")
    claim = checkout.planned(CLAIM)
    figure = outputs(checkout.snakemake(FIGURE))
    rest = outputs(checkout.snakemake("toy"))
    return {"checkout": checkout, "claim": claim, "figure": figure, "rest": rest}


def test_one_figure_makes_what_it_needs(again):
    assert again["figure"] == FOR_THE_FIGURE


def test_one_claim_makes_what_it_needs(again):
    assert again["claim"] == FOR_THE_CLAIM


def test_a_study_by_name_makes_the_rest(again):
    assert again["rest"] == ALL - FOR_THE_FIGURE


def test_two_runs_give_the_same_bytes(finished, again):
    """Tables, claims, figures and HDF5 files, made in another order in another directory."""
    first, second = finished.file_bytes(), again["checkout"].file_bytes()
    assert set(first) == set(second) == ALL | {FIGURE.replace(".svg", ".png")}
    assert [path for path in first if first[path] != second[path]] == []


def test_the_toy_claims_are_decided(checkout):
    """So that the tests compare something: the ring is learnt, and the control does not learn it."""
    said = checkout.snakemake("claims")
    assert "2 claims: 2 reproduced" in said
    assert "learns" in said
    assert "generalises" in said


def test_a_report_is_written(checkout):
    checkout.snakemake("--report", "report.zip")
    with zipfile.ZipFile(checkout / "report.zip") as report:
        assert any(name.endswith("report.html") for name in report.namelist())


# The repository's own studies, without running them


@pytest.fixture(scope="module")
def only_config(tmp_path_factory) -> Checkout:
    """A directory with config/ and nothing else: what exists there, some rule has to make."""
    checkout = Checkout(tmp_path_factory.mktemp("only_config"))
    (checkout / "config").symlink_to(REPOSITORY / "config")
    return checkout


def real(checkout: Checkout, *arguments: str) -> str:
    snakefile = ("--snakefile", str(REPOSITORY / "Snakefile"), "--directory", str(checkout.root))
    env = environment(PYTHONPATH=str(REPOSITORY / "workflow"))
    return call(snakemake(*arguments, *snakefile), checkout.root, env)


def test_lint_finds_nothing(only_config):
    assert "good condition" in real(only_config, "--lint")


def test_every_claim_and_figure_has_a_producer(only_config):
    plan = Plan(load({}, REPOSITORY / "config/studies"))
    wanted = {p for study in plan.selected for room in ("claims", "figures") for p in plan.paths(study, room)}
    assert wanted <= outputs(real(only_config, "-n", "all"))


def test_every_other_artefact_has_a_producer(only_config):
    """Also those that no figure and no claim asks for."""
    plan = Plan(load({}, REPOSITORY / "config/studies"))
    rooms = ("data", "runs", "activations", "tables")
    wanted = [p for study in plan.selected for room in rooms for p in plan.paths(study, room)]
    assert set(wanted) <= outputs(real(only_config, "-n", *wanted))
