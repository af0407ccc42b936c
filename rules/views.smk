"""Views: attention patterns over training, packed for the head viewer of the page.

REQUIRED INPUTS: the activations a view shows, their runs and datasets, the tables of its scores and phases. OUTPUTS: results/{study}/views/{name}.json.
"""


rule view:
    """Pack one view."""
    input:
        needs("views"),
    output:
        artefact="results/{study}/views/{name}.json",
    log:
        "results/{study}/logs/views/{name}.log",
    benchmark:
        "results/{study}/benchmarks/views/{name}.jsonl"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=job("views"),
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
