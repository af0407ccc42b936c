"""Why every rule of the workflow asks for one thread: the same training as two jobs or one, on one or two threads.

    python -m benchmarks.threads [--rounds 5] [--seconds 4]

Jobs are processes that start together and train for some seconds on the clock; a unit is one update of one
replica, summed over the jobs. Only an idle machine of two cores gives meaningful numbers.
"""

import argparse
import subprocess
import sys
import time
from itertools import cycle

import torch

from benchmarks import subject
from benchmarks.timing import facts, report
from headworks.memory import keep_freed_memory
from headworks.train import Ensemble

LAYOUTS = {
    "2 jobs of 1 thread": (2, 1),
    "1 job of 2 threads": (1, 2),
    "2 jobs of 2 threads": (2, 2),
}
GUARDED = "2 jobs of 1 thread"


def job(threads: int, seconds: float) -> None:
    """A job: says that it is ready, waits for a line, trains, and prints its updates per second."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    ensemble = Ensemble(subject.MODEL, subject.training("never"), (0,), torch.device("cpu"))
    batches = cycle(subject.tokens())
    for _ in range(3):
        ensemble.update(next(batches))
    print("ready", flush=True)
    sys.stdin.readline()
    first, start = ensemble.done, time.perf_counter()
    while time.perf_counter() - start < seconds:
        ensemble.update(next(batches))
    print((ensemble.done - first) / (time.perf_counter() - start), flush=True)


def updates_per_second(jobs: int, threads: int, seconds: float) -> float:
    """Of all jobs together."""
    command = [sys.executable, "-m", "benchmarks.threads", "--job", str(threads), "--seconds", str(seconds)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(jobs)
    ]
    for process in processes:
        process.stdout.readline()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(float(process.communicate()[0]) for process in processes)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--job", type=int, metavar="THREADS", help="be one of the jobs")
    arguments = parser.parse_args()
    if arguments.job:
        job(arguments.job, arguments.seconds)
        return
    about = facts(replicas=1, rounds=arguments.rounds, seconds_a_round=arguments.seconds, clock="wall")
    rates: dict[str, list[float]] = {name: [] for name in LAYOUTS}
    for _ in range(arguments.rounds):
        for name, (jobs, threads) in LAYOUTS.items():
            rates[name].append(updates_per_second(jobs, threads, arguments.seconds))
    best = {name: max(found) for name, found in rates.items()}
    rows = [
        {
            "threads": name,
            "updates/s, all jobs": best[name],
            "slowest round": min(rates[name]),
            f"share of {GUARDED}": best[name] / best[GUARDED],
        }
        for name in best
    ]
    report("threads", about, rows)


if __name__ == "__main__":
    main()
