"""Activation caching: named sites of a run's forward pass on fixed probes, snapshot by snapshot, to HDF5.

REQUIRED INPUTS: the run and its dataset. OUTPUTS: results/{study}/activations/{name}.h5.
"""


rule activations:
    """Cache activations of one run."""
    input:
        needs("activations"),
    output:
        artefact="results/{study}/activations/{name}.h5",
    log:
        "results/{study}/logs/activations/{name}.log",
    benchmark:
        "results/{study}/benchmarks/activations/{name}.jsonl"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 3000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
        gpu=1 if GPUS else None,
    params:
        job=job("activations"),
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
