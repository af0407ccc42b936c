"""Figures: drawn from tables only, as SVG for the page and PNG for papers.

REQUIRED INPUTS: the tables the figure declares. OUTPUTS: results/{study}/figures/{name}.svg and .png.
"""


rule figure:
    """Draw one figure."""
    input:
        needs("figures"),
    output:
        artefact=report(
            "results/{study}/figures/{name}.svg",
            caption="../workflow/report/figure.rst",
            category="{study}",
            subcategory="figures",
            labels={"figure": "{name}"},
        ),
        png="results/{study}/figures/{name}.png",
    log:
        "results/{study}/logs/figures/{name}.log",
    benchmark:
        "results/{study}/benchmarks/figures/{name}.jsonl"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        job=job("figures"),
        caption=caption,
        claims=shown_claims,
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
