"""The README's block of times comes from benchmark files."""

import json
import os

from headworks.measured import block, of_study


def job(folder, name, end, seconds, processor, memory):
    path = folder / "study/benchmarks" / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    earlier = {"s": 9999.0, "cpu_time": 9999.0, "max_rss": 9999.0}
    last = {"s": seconds, "cpu_time": processor, "max_rss": memory}
    path.write_text(json.dumps(earlier) + "\n" + json.dumps(last) + "\n")
    os.utime(path, (end, end))


def test_the_last_run_of_each_job_counts(tmp_path):
    job(tmp_path, "runs/a", 100_000, 600, 590, 800)
    job(tmp_path, "runs/b", 100_300, 300, 250, 2400)
    job(tmp_path, "tables/c", 100_600, 60, 0, 100)
    found = of_study(tmp_path, "study")
    assert (found["jobs"], found["processor_minutes"]) == (3, 14.0)
    assert found["date"] == "1970-01-02"
    assert found["largest_job_mb"] == 2400


def test_the_block_names_machine_and_study():
    study = {"date": "2026-01-02", "jobs": 3, "processor_minutes": 14.0}
    study |= {"largest_job_mb": 2400, "disk_mb": 1300}
    text = block(
        {"cores": 2, "processor": "a processor", "gpu": None, "torch": "2.13.0", "studies": {"one": study}}
    )
    assert "2 virtual cores of a processor, no GPU, torch 2.13.0" in text
    assert "| one | 2026-01-02 | 3 | 14 min | 2.4 GB | 1.3 GB |" in text
