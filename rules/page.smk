"""The claims page: what a reader opens first.

REQUIRED INPUTS: claims, figures and views of the selected studies, and the tables that people who run models read.
OUTPUTS: results/{study}/page.json, one study gathered; results/index.html, the page, which needs no other file.
"""


localrules:
    gather,
    page,


rule gather:
    """Gather one study for the page."""
    input:
        claims=lambda wildcards: PLAN.paths(wildcards.study, "claims"),
        figures=lambda wildcards: PLAN.paths(wildcards.study, "figures"),
        tables=lambda wildcards: [
            item["path"] for item in about(PLAN, wildcards.study)["tables"].values()
        ],
    output:
        "results/{study}/page.json",
    log:
        "results/{study}/logs/page.log",
    benchmark:
        "results/{study}/benchmarks/page.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        about=lambda wildcards: canonical(about(PLAN, wildcards.study)),
        code=code(),
    shell:
        "python -m headworks page gather {params.about:q} {input.claims:q} --out {output:q} --log {log:q}"


rule page:
    """Render the claims page of the selected studies."""
    input:
        studies=expand("results/{study}/page.json", study=PLAN.selected),
        views=[path for study in PLAN.selected for path in PLAN.paths(study, "views")],
    output:
        report(
            "results/index.html",
            caption="../workflow/report/page.rst",
            category="claims page",
            labels={
                "figure": "all claims, with their figures and where they come from"
            },
        ),
    log:
        "results/logs/page.log",
    benchmark:
        "results/benchmarks/page.jsonl"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code(),
    shell:
        "python -m headworks page render {input.studies:q} --views {input.views:q} --out {output:q} --log {log:q}"
