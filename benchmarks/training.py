"""Training, update by update: ours, plain PyTorch, nanoGPT's block without MLP, TransformerLens.

    python -m benchmarks.training [--rounds 20]

All start from the same parameters, see the same batches and use Adam with the same constants; how far the
losses of the first updates are apart is in the table. A unit is one update of one replica.
"""

import argparse
from collections.abc import Iterator
from itertools import cycle, islice

import torch

from benchmarks import plain, subject
from benchmarks.peer import lens
from benchmarks.timing import cpu_seconds, facts, interleaved, one_thread, report
from headworks.memory import keep_freed_memory
from headworks.train import Ensemble, compiler_found

UPDATES = 4
"""Of one round."""

PLAIN, LENS = "plain PyTorch, eager", "TransformerLens 4.3.0, native bridge"
TARGETS = {PLAIN: 1.2, LENS: 1.7}


def ensemble_losses(replicas: int, compile: str) -> Iterator[float]:
    """Train for ever: the loss of each update of the first replica."""
    keep_freed_memory()
    ensemble = Ensemble(subject.MODEL, subject.training(compile), tuple(range(replicas)), torch.device("cpu"))
    for batch in cycle(subject.tokens(replicas)):
        ensemble.update(batch)
        yield float(ensemble.trained.loss[ensemble.done - 1, 0])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    one_thread()
    weights, batches = subject.weights(), subject.tokens()[:, 0]
    runs = {
        "headworks, 1 replica": (1, ensemble_losses(1, "never")),
        "headworks, 4 replicas": (4, ensemble_losses(4, "never")),
    }
    if compiler_found():
        runs["headworks, 1 replica, compiled"] = (1, ensemble_losses(1, "auto"))
    runs[PLAIN] = (1, plain.losses(plain.Plain(plain.SpeltOut).take(weights), batches))
    runs["nanoGPT's block without MLP"] = (1, plain.losses(plain.Plain(plain.Fused).take(weights), batches))
    about = facts(replicas="1 and 4", threads=1, rounds=rounds, updates_a_round=UPDATES, clock="process CPU")
    with lens(weights, batches) as peer:
        first = {name: list(islice(losses, UPDATES)) for name, (_, losses) in runs.items()}
        contestants = {
            name: cpu_seconds(lambda losses=losses: list(islice(losses, UPDATES)), UPDATES * replicas)
            for name, (replicas, losses) in runs.items()
        }
        if peer:
            about["versions"] |= peer.versions()
            first[LENS] = peer.ask(f"train {UPDATES}")["losses"]
            contestants[LENS] = lambda: peer.ask(f"train {UPDATES}")["seconds"]
        best = {name: min(seconds) for name, seconds in interleaved(contestants, rounds).items()}
    report("training", about | {"targets": targets(best)}, [row(name, best, first) for name in best])


def row(name: str, best: dict[str, float], first: dict[str, list[float]]) -> dict:
    gaps = [abs(a - b) for a, b in zip(first[name], first[PLAIN], strict=True)]
    return {
        "training": name,
        "ms an update": best[name] * 1e3,
        "updates/s a core": 1 / best[name],
        "× plain PyTorch": best[PLAIN] / best[name],
        "× TransformerLens": best[LENS] / best[name] if LENS in best else None,
        "largest difference of loss": max(gaps),
    }


def targets(best: dict[str, float]) -> list[str]:
    ours = best["headworks, 1 replica"]
    return [
        f"{best[name] / ours:.2f} × {name}: target {target} {'met' if best[name] / ours >= target else 'missed'}"
        for name, target in TARGETS.items()
        if name in best
    ]


if __name__ == "__main__":
    main()
