"""Data generation: a study's datasets as HDF5.

REQUIRED INPUTS: none but the config (and the network, for datasets that are downloaded). OUTPUTS: results/{study}/data/{name}.h5.
"""


rule data:
    """Generate one dataset."""
    input:
        needs("data"),
    output:
        artefact="results/{study}/data/{name}.h5",
    log:
        "results/{study}/logs/data/{name}.log",
    benchmark:
        "results/{study}/benchmarks/data/{name}.jsonl"
    # Before any training, or the longest might not be there to choose.
    priority: 100
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        job=job("data"),
    shell:
        "python -m headworks make {params.job:q} {output.artefact:q} --log {log:q}"
