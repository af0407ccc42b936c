"""What the comparisons share: interleaved rounds, the facts of a run, and its table.

A contestant is a function that does one round's work and returns the seconds of one unit of it. Contestants
take turns, round by round, in one run, so that a busy minute hits all of them; of each the fastest round
counts. Ratios hold within a run only.
"""

import csv
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import torch

from headworks.store import versions

RESULTS = Path(__file__).parent / "results"

Contestant = Callable[[], float]


def one_thread() -> None:
    """For this process and all that it starts."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)


def cpu_seconds(work: Callable[[], object], units: int = 1) -> Contestant:
    """Processor time of this process for one unit, of `units` that `work` does."""
    return lambda: _elapsed(time.process_time, work) / units


def wall_seconds(work: Callable[[], object]) -> Contestant:
    """Time on the clock: for disks and for several processes."""
    return lambda: _elapsed(time.perf_counter, work)


def _elapsed(clock: Callable[[], float], work: Callable[[], object]) -> float:
    start = clock()
    work()
    return clock() - start


def interleaved(contestants: dict[str, Contestant], rounds: int) -> dict[str, list[float]]:
    """Seconds of each contestant, round by round, after one round that does not count."""
    for contest in contestants.values():
        contest()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contest in contestants.items():
            seconds[name].append(contest())
    return seconds


def facts(**more) -> dict:
    """When, where and with what a run was made. Call it before the first round: the load is others' then."""
    return {
        "date": date.today().isoformat(),
        "machine": cpu_model(),
        "cores": os.cpu_count(),
        "load_average_before": round(os.getloadavg()[0], 2),
        "versions": versions(),
        **more,
    }


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")


def report(name: str, about: dict, rows: list[dict]) -> None:
    """Print a table and keep it as results/NAME.json, with the facts, and results/NAME.csv."""
    about = about | {"load_average_after": round(os.getloadavg()[0], 2)}
    print(f"{markdown(rows)}\n\n{conditions(about)}")
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps({"facts": about, "rows": rows}, indent=1) + "\n")
    with open(RESULTS / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def conditions(about: dict) -> str:
    """The facts of a run in words, one target a line."""
    known = {
        key.replace("_", " "): value for key, value in about.items() if key not in ("versions", "targets")
    }
    packages = ", ".join(f"{package} {version}" for package, version in about["versions"].items())
    facts = f"{', '.join(f'{key} {value}' for key, value in known.items())}; {packages}."
    return "\n".join([facts, *(f"- {target}" for target in about.get("targets", ()))])


def markdown(rows: list[dict]) -> str:
    """A table of rows that all have the same keys."""
    lines = [list(rows[0]), ["---"] * len(rows[0])] + [
        [_cell(value) for value in row.values()] for row in rows
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value) -> str:
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
