"""What can be asked for by name.

REQUIRED INPUTS: the plan. OUTPUTS: none of its own: one target a study, `claims`.
The default target, `all`, is in the Snakefile.
"""


localrules:
    claims,


for study in PLAN.config.studies:

    rule:
        """Every claim and figure of one study."""
        name:
            study
        input:
            everything(study),
        localrule: True


rule claims:
    """Print the verdict table."""
    input:
        [path for study in PLAN.selected for path in PLAN.paths(study, "claims")],
    log:
        "results/logs/claims.log",
    shell:
        "python -m headworks verdicts {input:q} 2>&1 | tee {log:q}"
