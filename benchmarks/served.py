"""A contestant in a process of its own, which answers one round at a time. The standard library alone: peers
import it in environments of theirs.

A line on standard input asks, a line of JSON answers:

    ready  {"seconds": processor time, children's included, from an imported library to a program that can go on}
    train  {"seconds": processor time of one round}
    first  {"losses": those of the first updates}
    about  {"megabytes": largest resident size so far, or null, "versions": {package: version}}
"""

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass
class Program:
    """Something compiled and warm."""

    train: Callable[[], object]
    """One round."""
    first: Callable[[], list[float]] = list
    """Losses in nats of the first updates from the initial parameters, of the first network."""


def serve(build: Callable[[], Program], packages: tuple[str, ...] = ()) -> None:
    """Answer until standard input ends."""
    # Whatever a library prints must not get between question and answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr
    start = _with_children()
    program = build()
    ready = _with_children() - start
    for line in sys.stdin:
        answer = _answer(line.strip(), program, ready, packages)
        print(json.dumps(answer), file=answers, flush=True)


def _answer(question: str, program: Program, ready: float, packages: tuple[str, ...]) -> dict:
    if question == "ready":
        return {"seconds": ready}
    if question == "train":
        start = time.process_time()
        program.train()
        return {"seconds": time.process_time() - start}
    if question == "first":
        return {"losses": program.first()}
    if question == "about":
        return {"megabytes": _peak_megabytes(), "versions": {name: version(name) for name in packages}}
    raise SystemExit(f"no question: {question!r}; known are ready, train, first and about")


def _peak_megabytes() -> int | None:
    """Largest resident size; None where the system does not tell. getrusage counts the parent's in as well."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), None)


def _with_children() -> float:
    """Processor seconds of this process and of those that it has waited for: compilers."""
    return sum(os.times()[:4])
