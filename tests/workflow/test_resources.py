"""What jobs ask of the machine: the Slurm profile, merged with the rules, and the count of local GPUs.

After a change that is meant, renew the golden file: python tests/workflow/test_resources.py
"""

import json
import re
import tempfile
from pathlib import Path

import pytest
from harness import Checkout

GOLDEN = Path(__file__).parent / "golden" / "slurm_resources.json"
RENEW = "python tests/workflow/test_resources.py"
OF_THE_MACHINE = ("tmpdir", "disk", "disk_mb", "disk_mib", "mem", "mem_mib")
COMMAND = '"python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"'
TRAININGS = [f"results/toy/runs/{name}.h5" for name in ("learner", "still", "third")]


def resources(said: str) -> dict[str, dict[str, str]]:
    """The resources of each rule, from the job descriptions that Snakemake prints."""
    jobs = re.findall(r"^(?:local)?rule (\w+):\n(?:    .+\n)*?    resources: (.+)$", said, flags=re.MULTILINE)
    found = {rule: dict(item.split("=", 1) for item in line.split(", ")) for rule, line in jobs}
    return {
        rule: {k: v for k, v in items.items() if k not in OF_THE_MACHINE} for rule, items in found.items()
    }


def slurm_resources(checkout: Checkout) -> dict[str, dict[str, str]]:
    return resources(checkout.snakemake("-n", "-F", "--workflow-profile", "slurm"))


def test_slurm_jobs_ask_for_what_the_golden_file_says(fresh):
    found = slurm_resources(fresh)
    assert found == json.loads(GOLDEN.read_text()), f"If this change is meant: {RENEW}"


def test_slurm_profile_reruns_for_the_same_reasons_as_the_default(checkout):
    assert checkout.planned("--workflow-profile", "slurm") == set()
    checkout.edit("config/studies/toy.yaml", "criterion: {below: 1.0}", "criterion: {below: 0.9}")
    assert checkout.planned("--workflow-profile", "slurm") == {
        "results/claims/toy.learns.json",
        "results/claims/toy.csv",
    }


@pytest.fixture
def smi(tmp_path):
    """A folder for PATH whose `nvidia-smi` lists two GPUs."""
    script = tmp_path / "bin" / "nvidia-smi"
    script.parent.mkdir()
    script.write_text('#!/bin/sh\necho "GPU 0: Make (UUID: GPU-0)"\necho "GPU 1: Make (UUID: GPU-1)"\n')
    script.chmod(0o755)
    return script.parent


def with_gpus(checkout: Checkout, smi: Path, **extra: str) -> dict[str, str]:
    path = f"{smi}:{checkout.environment()['PATH']}"
    return {"PATH": path, "HEADWORKS_DEVICE": "auto"} | extra


def test_each_training_takes_one_of_the_gpus(fresh, smi):
    found = resources(fresh.snakemake("-n", **with_gpus(fresh, smi)))
    assert {rule for rule, items in found.items() if items.get("gpu") == "1"} == {"train", "activations"}
    assert [items["gpu"] for items in found.values() if "gpu" in items] == ["1", "1"]


@pytest.mark.parametrize(
    "hidden", [{"HEADWORKS_DEVICE": "cpu"}, {"CUDA_VISIBLE_DEVICES": ""}], ids=["cpu", "none visible"]
)
def test_without_gpus_nobody_asks_for_one(fresh, smi, hidden):
    """A count of GPUs on a machine without them would make CPU trainings wait for each other."""
    found = resources(fresh.snakemake("-n", **with_gpus(fresh, smi, **hidden)))
    assert [rule for rule, items in found.items() if "gpu" in items] == []


def test_two_gpus_train_two_at_a_time_and_cpus_as_many_as_there_are_cores(fresh, smi):
    """Of three trainings on three cores; their place is taken by jobs that only wait."""
    third = "  third: {like: base, seeds: [7]}\n  still: {like: base"
    fresh.edit("config/studies/toy.yaml", "  still: {like: base", third)
    fresh.edit("rules/train.smk", COMMAND, '"sleep 1; touch {output.artefact:q}"')
    fresh.edit("rules/data.smk", COMMAND, '"touch {output.artefact:q}"')
    command = ("--cores", "3", *TRAININGS)
    assert most_at_once(fresh.snakemake(*command, **with_gpus(fresh, smi))) == 2
    assert most_at_once(fresh.snakemake("--forcerun", "train", *command)) == 3


def test_the_longest_training_starts_first(fresh):
    """By steps, replicas and size; before any, the data that all of them need."""
    runs = (
        "  short: {like: base, train: {steps: 20}}\n"
        "  seeds: {like: base, seeds: [0, 1, 2, 3]}\n"
        "  wide: {like: base, model: {d_model: 32}}\n"
        "  longest: {like: base, train: {steps: 400}}\n"
    )
    fresh.edit("config/studies/toy.yaml", "  still: {like: base", runs + "  still: {like: base")
    fresh.edit("rules/train.smk", COMMAND, '"touch {output.artefact:q}"')
    fresh.edit("rules/data.smk", COMMAND, '"touch {output.artefact:q}"')
    names = ("short", "still", "seeds", "longest", "wide")
    said = fresh.snakemake("--cores", "1", *(f"results/toy/runs/{name}.h5" for name in names))
    order = [Path(path).stem for path in re.findall(r"^ +output: (.+)$", said, flags=re.MULTILINE)]
    assert order == ["ring", "longest", "wide", "seeds", "still", "short"]


def most_at_once(said: str) -> int:
    """The largest number of trainings that ran together."""
    running = most = 0
    for event in re.findall(
        r"^localrule train:|^Finished jobid: \d+ \(Rule: train\)", said, flags=re.MULTILINE
    ):
        running += 1 if event.startswith("localrule") else -1
        most = max(most, running)
    return most


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        text = json.dumps(slurm_resources(Checkout(Path(folder)).install()), indent=2, sort_keys=True)
    GOLDEN.write_text(text + "\n")
