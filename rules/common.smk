"""What all rules share: the validated config, the plan of jobs, and the only functions of the workflow."""

import os
import shutil
import subprocess
import sys
from math import log10
from pathlib import Path

from headworks.config import load
from headworks.digest import canonical
from headworks.errors import HeadworksError
from headworks.names import NAME
from headworks.page import about, code
from headworks.plan import Plan
from snakemake.exceptions import WorkflowError


def planned():
    """The plan of the present config; a mistake in it is one paragraph, not a traceback."""
    try:
        return Plan(load(config, Path("config/studies")))
    except HeadworksError as error:
        raise WorkflowError(str(error)) from None


def job(room):
    """A params function: the job that makes `room`'s artefact of this rule's wildcards, as JSON.

    It holds the specification, the code digest of the stage and the keys of all inputs: an edit to any of them
    changes the text, and Snakemake reruns what depends on it. Nothing that leaves numbers alone is in it.
    """

    def text(wildcards):
        try:
            return PLAN.job(wildcards.study, room, wildcards.name).dump()
        except HeadworksError as error:
            raise WorkflowError(str(error)) from None

    return text


def needs(room):
    """An input function: the artefacts that this rule's job reads."""

    def paths(wildcards):
        try:
            return [
                item.path
                for item in PLAN.job(wildcards.study, room, wildcards.name).inputs
            ]
        except HeadworksError as error:
            raise WorkflowError(str(error)) from None

    return paths


def longest_first(wildcards):
    """A priority function: started last, the longest training would leave the other cores waiting for minutes."""
    return log10(PLAN.training_effort(wildcards.study, wildcards.name))


def everything(study):
    """The targets of one study: every claim, their table, every figure in both of its formats."""
    figures = PLAN.paths(study, "figures")
    pngs = [path.removesuffix("svg") + "png" for path in figures]
    return [
        *PLAN.paths(study, "claims"),
        f"results/claims/{study}.csv",
        *figures,
        *pngs,
    ]


def visible_gpus():
    """How many NVIDIA GPUs this machine offers; asked without importing torch, which takes seconds."""
    if os.environ.get("HEADWORKS_DEVICE") == "cpu" or not shutil.which("nvidia-smi"):
        return 0
    listed = subprocess.run(
        ["nvidia-smi", "-L"], capture_output=True, text=True, check=False
    )
    devices = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return (
        len(devices)
        if chosen is None
        else min(len(devices), len([x for x in chosen.split(",") if x.strip()]))
    )


def caption(wildcards):
    """What a reader of a figure sees below it."""
    return PLAN.figure_caption(wildcards.study, wildcards.name)


def shown_claims(wildcards):
    """The statements that a figure shows."""
    claims = PLAN.config.studies[wildcards.study].claims.values()
    return [claim.statement for claim in claims if claim.figure == wildcards.name]


def name_strays():
    """Say which figures and claims on disk are not of this config, so that nobody takes them for results of it."""
    for path in PLAN.strays():
        print(
            f"{path}: no entry of this config makes it; delete or move it",
            file=sys.stderr,
        )


PLAN = planned()
if workflow.is_main_process:
    name_strays()
GPUS = visible_gpus()

# One training job per GPU and no more. Without GPUs the rules ask for none, so that CPU jobs run side by side;
# a limit given on the command line or in a profile wins.
if GPUS:
    workflow.global_resources.setdefault("gpu", GPUS)

# Jobs must find the interpreter that runs this workflow, activated or not.
shell.prefix(f'export PATH="{Path(sys.executable).parent}:$PATH"; ')


wildcard_constraints:
    study=NAME,
    name=NAME,
