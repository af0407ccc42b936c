"""Claims: one verdict each, from tables only.

REQUIRED INPUTS: the tables of the claim's statistic and control. OUTPUTS: results/claims/{study}.{name}.json.
"""


rule claim:
    """Judge one claim."""
    input:
        needs("claims"),
    output:
        artefact="results/claims/{study}.{name}.json",
    params:
        job=job("claims"),
    log:
        "results/{study}/logs/claims/{name}.log",
    benchmark:
        "results/{study}/benchmarks/claims/{name}.jsonl"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 500 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
