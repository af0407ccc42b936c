"""Training that is killed goes on where it was saved, and ends with the same bits."""

import re
import time
from pathlib import Path

import psutil
import pytest
from harness import Checkout

STEPS = 1200
RUN = "results/toy/runs/learner.h5"
LONG = f"studies: {{toy: {{settings: {{base: {{train: {{steps: {STEPS}, snapshots: {{every: 300}}}}}}}}}}}}\n"
ARGUMENTS = (RUN, "--configfile", "long.yaml")
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def uninterrupted(pristine, tmp_path_factory) -> bytes:
    """The run's file as one training from start to end leaves it."""
    checkout = prepared(pristine.copy_to(tmp_path_factory.mktemp("uninterrupted") / "checkout"))
    checkout.snakemake(*ARGUMENTS)
    return (checkout / RUN).read_bytes()


def prepared(checkout: Checkout) -> Checkout:
    (checkout / "long.yaml").write_text(LONG)
    return checkout


@pytest.mark.parametrize("killed", ["the job", "everything"])
def test_a_killed_training_continues_to_the_same_bits(uninterrupted, fresh, killed):
    checkout = prepared(fresh)
    workflow = checkout.start(*ARGUMENTS, HEADWORKS_SAVE_SECONDS="0")
    wait_for_progress(checkout)
    kill(psutil.Process(workflow.pid), only_the_job=killed == "the job")
    assert workflow.wait(PATIENCE_SECONDS) != 0
    assert not (checkout / RUN).exists()
    assert len(states(checkout)) == 1

    if killed == "everything":
        checkout.snakemake("--unlock", *ARGUMENTS)
    checkout.snakemake(*ARGUMENTS)
    log = (checkout / "results/toy/logs/runs/learner.log").read_text()
    step = int(re.search(rf"continuing from step (\d+) of {STEPS}", log)[1])
    assert 0 < step < STEPS
    assert (checkout / RUN).read_bytes() == uninterrupted
    assert states(checkout) == []


def test_progress_under_other_settings_is_not_continued(fresh):
    """The saved state carries the job's key: after an edit, training starts at the beginning."""
    checkout = prepared(fresh)
    workflow = checkout.start(*ARGUMENTS, HEADWORKS_SAVE_SECONDS="0")
    wait_for_progress(checkout)
    kill(psutil.Process(workflow.pid), only_the_job=True)
    workflow.wait(PATIENCE_SECONDS)
    (checkout / "long.yaml").write_text(LONG.replace(str(STEPS), "20"))
    checkout.snakemake(*ARGUMENTS)
    assert "continuing" not in (checkout / "results/toy/logs/runs/learner.log").read_text()
    assert states(checkout) == []


def states(checkout: Checkout) -> list[Path]:
    return [path for path in (checkout / "results/toy/runs").glob(".learner.*.state") if path.stat().st_size]


def wait_for_progress(checkout: Checkout) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not states(checkout):
        assert time.monotonic() < deadline, (checkout / "console").read_text()
        time.sleep(0.05)


def kill(workflow: psutil.Process, only_the_job: bool) -> None:
    """SIGKILL for the training process, or for Snakemake and all that it started, Snakemake first."""
    started = workflow.children(recursive=True)
    if only_the_job:
        started = [process for process in started if "headworks" in process.cmdline()]
        assert started, "no training process found"
    else:
        started = [workflow, *started]
    for process in started:
        process.kill()
