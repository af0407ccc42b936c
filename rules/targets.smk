"""What can be asked for by name.

REQUIRED INPUTS: the plan. OUTPUTS: none of its own: `all`, one target a study, `claims`.
"""


localrules:
    all,
    claims,


rule all:
    """Every claim and figure of the selected studies (default)."""
    default_target: True
    input:
        [path for study in PLAN.selected for path in everything(study)],


for study in PLAN.config.studies:

    rule:
        """Every claim and figure of one study."""
        name:
            study
        localrule: True
        input:
            everything(study),


rule claims:
    """Print the verdict table."""
    input:
        [path for study in PLAN.selected for path in PLAN.paths(study, "claims")],
    shell:
        "python -m headworks verdicts {input:q}"
