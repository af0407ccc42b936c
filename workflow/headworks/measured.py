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
    """Jobs, minutes from the first start to the last end, processor minutes, the largest job and the files, in MB."""
    files = sorted((results / study / "benchmarks").rglob("*.jsonl"))
    last = {path: json.loads(path.read_text().splitlines()[-1]) for path in files}
    ends = {path: path.stat().st_mtime for path in files}
    starts = [ends[path] - taken["s"] for path, taken in last.items()]
    sizes = [path.stat().st_size for path in (results / study).rglob("*") if path.is_file()]
    return {
        "date": date.fromtimestamp(max(ends.values())).isoformat(),
        "jobs": len(files),
        "elapsed_minutes": round((max(ends.values()) - min(starts)) / 60, 1),
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
        f"| {study} | {taken['date']} | {taken['jobs']} | {taken['elapsed_minutes']:.0f} min | {taken['processor_minutes']:.0f} min "
        f"| {taken['largest_job_mb'] / 1000:.1f} GB | {taken['disk_mb'] / 1000:.1f} GB |"
        for study, taken in measured["studies"].items()
    ]
    return "\n".join(
        [
            f"Laptop scale, measured on {measured['cores']} virtual cores of {measured['processor']}, {device}, "
            f"torch {measured['torch']}; from the first job's start to the last one's end:",
            "",
            "| study | day | jobs | elapsed | processor time | largest job | results |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )
