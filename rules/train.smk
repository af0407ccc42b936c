"""Training: one ensemble of replicas a job, one thread each on a CPU, one GPU each where there is one.

REQUIRED INPUTS: the run's dataset. OUTPUTS: results/{study}/runs/{name}.h5; while it lasts, a hidden state file beside it to continue from.
"""


rule train:
    """Train one ensemble."""
    input:
        needs("runs"),
    output:
        artefact="results/{study}/runs/{name}.h5",
    log:
        "results/{study}/logs/runs/{name}.log",
    benchmark:
        "results/{study}/benchmarks/runs/{name}.jsonl"
    priority: longest_first
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
        gpu=1 if GPUS else None,
    params:
        job=job("runs"),
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
