"""What a run took, from the benchmark files that Snakemake writes beside every job: the README's block of times."""

import json
import os
import platform
from datetime import date
from pathlib import Path

MEGABYTE = 2**20


def measure(results: Path, studies: list[str]) -> dict:
    """Machine, versions and one entry a study, of the latest run of every job."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "gpu": gpu,
        "torch": torch.__version__.split("+")[0],
        "studies": {study: of_study(results, study) for study in studies},
    }


def of_study(results: Path, study: str) -> dict:
    """Day of the last job, jobs, processor minutes, the largest job and all files, in MB.

    Not the time that passed: jobs of one study may be days apart, and on a machine that does other things. Snakemake
    samples processor time, after a job's first quarter of a minute every half a minute, and misses what follows the
    last sample.
    """
    files = sorted((results / study / "benchmarks").rglob("*.jsonl"))
    last = {path: json.loads(path.read_text().splitlines()[-1]) for path in files}
    sizes = [path.stat().st_size for path in (results / study).rglob("*") if path.is_file()]
    return {
        "date": date.fromtimestamp(max(path.stat().st_mtime for path in files)).isoformat(),
        "jobs": len(files),
        "processor_minutes": round(sum(taken["cpu_time"] for taken in last.values()) / 60, 1),
        "largest_job_mb": round(max(taken["max_rss"] for taken in last.values())),
        "disk_mb": round(sum(sizes) / MEGABYTE),
    }


def processor() -> str:
    """The processor's name, as the system gives it."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def block(measured: dict) -> str:
    """The README's block, as Markdown."""
    device = measured["gpu"] or "no GPU"
    rows = [
        f"| {study} | {taken['date']} | {taken['jobs']} | {taken['processor_minutes']:.0f} min "
        f"| {taken['largest_job_mb'] / 1000:.1f} GB | {taken['disk_mb'] / 1000:.1f} GB |"
        for study, taken in measured["studies"].items()
    ]
    return "\n".join(
        [
            f"Laptop scale, measured on {measured['cores']} virtual cores of {measured['processor']}, {device}, "
            f"torch {measured['torch']}. Processor time is sampled, and up to the last half minute of a job is missed: with "
            "all cores busy and nothing else to do, a study takes this divided by the number of cores, and up to a fifth more:",
            "",
            "| study | day | jobs | processor time, sampled | largest job | results |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )
