"""Claims: one verdict each, from tables only.

REQUIRED INPUTS: the tables of the claim's statistic and control. OUTPUTS: results/claims/{study}.{name}.json.
"""


localrules:
    verdicts,


rule claim:
    """Judge one claim."""
    input:
        needs("claims"),
    output:
        artefact="results/claims/{study}.{name}.json",
    log:
        "results/{study}/logs/claims/{name}.log",
    benchmark:
        "results/{study}/benchmarks/claims/{name}.jsonl"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=job("claims"),
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"


rule verdicts:
    """Gather the verdicts of one study in a table."""
    input:
        lambda wildcards: PLAN.paths(wildcards.study, "claims"),
    output:
        report(
            "results/claims/{study}.csv",
            caption="../workflow/report/verdicts.rst",
            category="{study}",
            subcategory="verdicts",
            labels={"figure": "all claims"},
        ),
    log:
        "results/{study}/logs/verdicts.log",
    benchmark:
        "results/{study}/benchmarks/verdicts.jsonl"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
    params:
        paper=lambda wildcards: PLAN.config.studies[wildcards.study].paper.model_dump(),
        scale=PLAN.config.scale,
    shell:
        "python -m headworks verdicts {input:q} --csv {output:q} > {log:q} 2>&1"
