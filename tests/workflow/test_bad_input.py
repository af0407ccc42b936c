"""Mistakes of a user: one paragraph that names the file and the key, an exit status that is not 0, at once."""

import re
import time

import pytest
import torch

CONFIG = "config/studies/toy.yaml"
SOON_SECONDS = 30
MISTAKES = {
    "unknown key": ("warmup: 5", "warm_up: 5", "runs.learner.train.warm_up: unknown key"),
    "no such dataset": (
        "    dataset: ring",
        "    dataset: rnig",
        "runs.learner.dataset: 'rnig' does not exist",
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_config_stops_everything_at_once(fresh, old, new, expected):
    fresh.edit(CONFIG, old, new)
    began = time.monotonic()
    said = fresh.snakemake(fails=True)
    assert time.monotonic() - began < SOON_SECONDS
    assert f"{CONFIG}: {expected}" in said
    assert "Traceback" not in said
    assert not (fresh / "results").exists()


def test_a_claim_on_a_column_that_its_table_lacks(checkout):
    checkout.edit(CONFIG, "column: loss, where: {run", "column: lost, where: {run")
    said = checkout.snakemake(fails=True)
    assert "claim toy.learns, table curve: no column 'lost'" in said
    assert "Nearest: loss" in said
    assert "Traceback" not in said
    assert not (checkout / "results/claims/toy.learns.json").exists()


def test_a_truncated_artefact_is_named_with_the_way_out(checkout):
    """The metadata is in order, so Snakemake trusts the file; its reader does not."""
    path = "results/toy/runs/still.h5"
    whole = (checkout / path).read_bytes()
    (checkout / path).write_bytes(whole[: len(whole) // 2])
    (checkout / "results/toy/tables/curve.csv").unlink()
    said = checkout.snakemake("results/toy/tables/curve.csv", fails=True)
    assert re.search(rf"{path} cannot be read as HDF5 .* truncated", said)
    assert f"rm {path} && snakemake --cores all {path}" in said
    assert "Traceback" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_and_absent(checkout):
    run = "results/toy/runs/still.h5"
    (checkout / run).unlink()
    said = checkout.snakemake(run, fails=True, HEADWORKS_DEVICE="cuda")
    assert "cuda was asked for" in said
    assert "Traceback" not in said
    assert not (checkout / run).exists()
