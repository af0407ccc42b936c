"""Experiments: analyses and interventions, each ending in one small tidy table.

REQUIRED INPUTS: what the experiment declares: datasets, runs, activations, tables. OUTPUTS: results/{study}/tables/{name}.csv.
"""


rule experiment:
    """Make one table."""
    input:
        needs("tables"),
    output:
        artefact="results/{study}/tables/{name}.csv",
    log:
        "results/{study}/logs/tables/{name}.log",
    benchmark:
        "results/{study}/benchmarks/tables/{name}.jsonl"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        job=job("tables"),
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
