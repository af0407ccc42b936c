"""Figures: drawn from tables only, as SVG for the page and PNG for papers.

REQUIRED INPUTS: the tables the figure declares. OUTPUTS: results/{study}/figures/{name}.svg and .png.
"""


rule figure:
    """Draw one figure."""
    input:
        needs("figures"),
    output:
        artefact="results/{study}/figures/{name}.svg",
    params:
        job=job("figures"),
    log:
        "results/{study}/logs/figures/{name}.log",
    benchmark:
        "results/{study}/benchmarks/figures/{name}.jsonl"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
