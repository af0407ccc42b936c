"""Headworks: published claims about the parts inside transformers, re-measured. A table of contents."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/targets.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/activations.smk"
include: "rules/experiments.smk"
include: "rules/figures.smk"
include: "rules/claims.smk"
