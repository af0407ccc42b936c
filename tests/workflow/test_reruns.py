"""What an edit reruns: exactly what depends on it. Each expectation is a set of artefacts, not a count."""

import os
import shutil

import pytest
from harness import ALL, STUDY, Checkout, nothing_to_do, outputs

DATA = {"results/toy/data/ring.h5"}
LEARNER = {"results/toy/runs/learner.h5"}
STILL = {"results/toy/runs/still.h5"}
ACTIVATIONS = {"results/toy/activations/probes-learner.h5"}
FIGURE = {"results/toy/figures/curve.svg"}
VERDICTS = {"results/claims/toy.csv"}
LEARNS = {"results/claims/toy.learns.json"} | VERDICTS
GENERALISES = {"results/claims/toy.generalises.json"} | VERDICTS
CURVE = {"results/toy/tables/curve.csv"} | FIGURE | LEARNS
PROBE = {"results/toy/tables/probe.csv"} | GENERALISES
CONFIG = "config/studies/toy.yaml"
RESULTS = shutil.ignore_patterns("results", ".snakemake")

VALUES = {
    "learning rate of one run": ("train: {lr: 1.0e-6}", "train: {lr: 2.0e-6}", STILL | CURVE),
    "seeds of all runs": ("seeds: [0, 1, 2]", "seeds: [0, 1, 3]", ALL - DATA),
    "an option of the dataset": ("ring: {kind: ring}", "ring: {kind: ring, options: {size: 9}}", ALL),
    "an option that equals its default": (
        "ring: {kind: ring}",
        "ring: {kind: ring, options: {size: 8}}",
        set(),
    ),
    "size of a probe": ("examples: 16", "examples: 15", ACTIVATIONS | PROBE),
    "an option of a table": ("[learner, still]}", "[learner, still], options: {every: 10}}", CURVE),
    "an option of a figure": (
        "tables: [curve], caption",
        "tables: [curve], options: {title: Loss}, caption",
        FIGURE,
    ),
    "a criterion": ("criterion: {below: 1.0}", "criterion: {below: 0.9}", LEARNS),
    "a comment": ("# A study for the tests", "# The study of the tests", set()),
    "the order of keys": ("{steps: 40, batch: 8,", "{batch: 8, steps: 40,", set()),
    "a caption": ("caption: Loss over training.", "caption: The loss.", FIGURE),
}

CODE = {
    "a function of an experiment": (
        STUDY / "experiments/curve.py",
        "part.mean(axis=0)",
        "part.max(axis=0)",
        CURVE,
    ),
    "the drawing of a figure": (STUDY / "figures/curve.py", "width=3.5", "width=3.0", FIGURE),
    "how data is made": (STUDY / "datasets.py", "% options.size + 1", "% options.size + 2 - 1", ALL),
    "the model": ("workflow/headworks/layers.py", None, "\n\nADDED = 1\n", ALL - DATA),
    "the judging of claims": ("workflow/headworks/claims.py", None, "\n\nADDED = 1\n", LEARNS | GENERALISES),
}


def test_a_second_start_finds_nothing_to_do(finished):
    assert nothing_to_do(finished.snakemake("-n"))


def test_everything_was_made(finished):
    assert {path for path in ALL if not (finished / path).is_file()} == set()
    assert (finished / "results/toy/figures/curve.png").is_file()


def test_a_deleted_figure_is_drawn_again_alone(checkout):
    """Also when only its PNG is gone; and to the same bytes."""
    before = checkout.file_bytes()
    (checkout / "results/toy/figures/curve.png").unlink()
    assert checkout.planned() == FIGURE
    (checkout / "results/toy/figures/curve.svg").unlink()
    assert outputs(checkout.snakemake()) == FIGURE
    assert checkout.file_bytes() == before


@pytest.mark.parametrize(("old", "new", "expected"), VALUES.values(), ids=VALUES)
def test_a_value_reruns_what_depends_on_it(checkout, old, new, expected):
    checkout.edit(CONFIG, old, new)
    assert checkout.planned() == expected


@pytest.mark.parametrize(("path", "old", "new", "expected"), CODE.values(), ids=CODE)
def test_code_reruns_its_stage_and_what_follows(checkout, path, old, new, expected):
    if old is None:
        with open(checkout / path, "a") as file:
            file.write(new)
    else:
        checkout.edit(path, old, new)
    assert checkout.planned() == expected


def test_comments_docstrings_and_descriptions_rerun_nothing(checkout):
    with open(checkout / "workflow/headworks/train.py", "a") as file:
        file.write("\n# a remark at the end\n")
    checkout.edit(STUDY / "experiments/curve.py", '"""Columns: run,', '"""The columns: run,')
    checkout.edit(STUDY / "options.py", '"Tokens on the ring."', '"How many tokens the ring has."')
    checkout.edit("rules/train.smk", '"""Train one ensemble."""', '"""Train an ensemble."""')
    assert nothing_to_do(checkout.snakemake("-n"))


def test_touching_everything_reruns_nothing(checkout):
    for path in checkout.root.rglob("*"):
        if ".snakemake" not in path.parts:
            os.utime(path)
    assert nothing_to_do(checkout.snakemake("-n"))


def test_shipped_results_with_a_fresh_checkout_rerun_nothing(finished, tmp_path):
    """Every file has a new time, results older than the code; only contents and .snakemake came along."""
    for folder in ("results", ".snakemake"):
        shutil.copytree(finished / folder, tmp_path / folder, copy_function=shutil.copyfile)
    shipped = Checkout(tmp_path)
    shutil.copytree(
        finished.root, tmp_path, copy_function=shutil.copyfile, dirs_exist_ok=True, ignore=RESULTS
    )
    assert nothing_to_do(shipped.snakemake("-n"))


def test_an_overlay_changes_what_it_names(checkout):
    overlay = checkout / "faster.yaml"
    overlay.write_text("studies: {toy: {settings: {base: {train: {lr: 0.02}}}}}\n")
    assert checkout.planned("--configfile", "faster.yaml") == LEARNER | ACTIVATIONS | CURVE | PROBE
    overlay.write_text("scale: test\n")
    assert checkout.planned("--configfile", "faster.yaml") == LEARNS | GENERALISES


def test_a_stale_artefact_without_metadata_stops_its_reader(checkout):
    """Snakemake has forgotten how the run was made; the table that opens it has not."""
    shutil.rmtree(checkout / ".snakemake")
    checkout.edit(CONFIG, "lr: 0.01", "lr: 0.02")
    (checkout / "results/toy/tables/curve.csv").unlink()
    said = checkout.snakemake("results/toy/tables/curve.csv", fails=True)
    run = "results/toy/runs/learner.h5"
    assert f"{run} is stale" in said
    assert f"rm {run} && snakemake --cores all {run}" in said
    assert "Traceback" not in said
    assert not (checkout / "results/toy/tables/curve.csv").exists()


def test_the_command_that_the_error_gives_mends_it(checkout):
    shutil.rmtree(checkout / ".snakemake")
    checkout.edit(CONFIG, "train: {lr: 1.0e-6}", "train: {lr: 2.0e-6}")
    for name in ("runs/still.h5", "tables/curve.csv"):
        (checkout / "results/toy" / name).unlink()
    assert outputs(checkout.snakemake("results/toy/tables/curve.csv")) == STILL | {
        "results/toy/tables/curve.csv"
    }


def test_a_failing_job_leaves_the_rest_alone(checkout):
    """One job fails before it writes, one in the middle of writing; what was made earlier stays as it is."""
    before = checkout.file_bytes()
    checkout.edit(
        STUDY / "experiments/curve.py", "    frames = []\n", "    frames = []\n    raise RuntimeError(1)\n"
    )
    checkout.edit(CONFIG, "sites: {pattern: previous_mean, loss: all}", "sites: {loss: all, nonsense: all}")
    said = checkout.snakemake(fails=True)
    assert "nonsense" in said
    after = checkout.file_bytes()
    failed = {"results/toy/tables/curve.csv", *ACTIVATIONS}
    assert set(before) - set(after) == failed
    assert all(after[path] == before[path] for path in after)
    assert [path for path in checkout.root.rglob("*.part")] == []
