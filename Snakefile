"""Headworks: published claims about the parts inside transformers, re-measured. A table of contents."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


report: "workflow/report/workflow.rst"


# Used with `--software-deployment-method apptainer` only; workflow/headworks.def says how it is built.
container: "headworks.sif"


include: "rules/common.smk"
include: "rules/targets.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/activations.smk"
include: "rules/experiments.smk"
include: "rules/figures.smk"
include: "rules/views.smk"
include: "rules/claims.smk"
include: "rules/page.smk"


localrules:
    all,


# Here and not in targets.smk: Snakemake takes its default target from the main file only.
rule all:
    """Every claim and figure of the selected studies, and the page that shows them (default)."""
    input:
        [path for study in PLAN.selected for path in everything(study)],
        "results/index.html",
