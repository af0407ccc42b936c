"""Training with a clamp on (Singh et al. 2024): ours, plain PyTorch, TransformerLens, two programs in JAX.

    python -m benchmarks.clamping [--rounds 12]

The network, the task and the clamp are those of `episodes`. All start from the same parameters and see the same
first batches; how far their losses are apart is in the table. A unit is one update of one network. Each contestant
has a process of its own, so that its memory and its warm-up are its own.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import episodes, peer
from benchmarks.peer import Worker, worker
from benchmarks.timing import Contestant, facts, interleaved, one_thread, report
from headworks.train import compiler_found

CHECKED = 10
"""First updates whose losses are compared; no round is shorter."""
MODEL_UPDATES = 180
"""Of a round, but for contestants of one network an update that is slow."""
SLOW = 45

REPLICAS, REPLICAS_EAGER, REPLICAS_JAX = (1, 4, 9, 16, 36), (1, 9), (1, 9, 36)
COMPARED = 9
"""Networks an update of those that a target compares."""

PLAIN, LENS, JAX = "plain PyTorch, eager", "TransformerLens 4.3.0, hooks", "JAX, jitted update"
BOUND, BOUND_ATTENTION = "bare products with weights", "bare products, attention's too"
JAX_PYTHON = peer.HERE / ".jax" / "bin" / "python"
JAX_ABSENT = (
    "JAX is left out: it has no environment here. To make it (620 MB): "
    "python -m venv benchmarks/.jax && benchmarks/.jax/bin/pip install -r benchmarks/jax.txt"
)


@dataclass(frozen=True)
class Entrant:
    command: list[str]
    replicas: int
    """Networks trained at once."""
    updates: int
    """Of each network in a round."""


def ours(replicas: int, compiled: bool = True) -> str:
    return f"headworks, {replicas} at once, {'compiled' if compiled else 'eager'}"


def scanned(replicas: int) -> str:
    return f"JAX, vmap and scan, {replicas} at once"


TARGETS = [
    (JAX, ours(COMPARED), 4),
    (LENS, ours(COMPARED), 7),
    (scanned(COMPARED), ours(COMPARED), 1.2),
    (PLAIN, ours(COMPARED, compiled=False), 1.8),
]
TARGET_SHARE = 0.45
"""Of the bare products with weights."""


def one_core() -> None:
    """For this process and all that it starts: JAX makes as many threads as there are cores that it may use."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def entrants(folder: Path) -> dict[str, Entrant]:
    """Everybody that can run here; says who cannot."""
    found = {}
    for replicas in REPLICAS if compiler_found() else ():
        found[ours(replicas)] = _ours(replicas, "auto")
    for replicas in REPLICAS_EAGER:
        found[ours(replicas, compiled=False)] = _ours(replicas, "never")
    found[PLAIN] = Entrant(_native("plain", SLOW, CHECKED), 1, SLOW)
    if peer.PYTHON.exists():
        found[LENS] = Entrant(_module(peer.PYTHON, "lens_episodes", folder, SLOW), 1, SLOW)
    else:
        print(peer.ABSENT)
    if JAX_PYTHON.exists():
        found[JAX] = Entrant(_module(JAX_PYTHON, "jaxed", folder, "one", SLOW), 1, SLOW)
        for replicas in REPLICAS_JAX:
            updates = _updates(replicas)
            command = _module(JAX_PYTHON, "jaxed", folder, replicas, updates)
            found[scanned(replicas)] = Entrant(command, replicas, updates)
    else:
        print(JAX_ABSENT)
    for name, which in {BOUND: "with_weights", BOUND_ATTENTION: "all"}.items():
        command = _native("products", which, COMPARED, _updates(COMPARED))
        found[name] = Entrant(command, COMPARED, _updates(COMPARED))
    return found


def _ours(replicas: int, compile: str) -> Entrant:
    updates = _updates(replicas)
    return Entrant(_native("headworks", replicas, compile, updates, CHECKED), replicas, updates)


def _native(*options) -> list[str]:
    return _module(sys.executable, "native", *options)


def _module(python: str | Path, name: str, *options) -> list[str]:
    return [str(python), "-m", f"benchmarks.{name}", *map(str, options)]


def _updates(replicas: int) -> int:
    return max(CHECKED, MODEL_UPDATES // replicas)


def write_exchange(folder: Path) -> None:
    """What peers cannot make themselves: parameters, data, the first draws, and settings."""
    model, replicas = episodes.MODEL, max(REPLICAS_JAX)
    weights = {name: value.numpy() for name, value in episodes.weights(replicas).items()}
    np.savez(
        folder / "arrays.npz",
        vectors=episodes.vectors().numpy(),
        sequences=episodes.sequences(),
        draws=episodes.draws(replicas, CHECKED),
        **weights,
    )
    config = {"n_layers": model.n_layers, "n_heads": model.n_heads, "d_model": model.d_model}
    config |= {"d_head": model.head_width, "n_ctx": model.n_context, "eps": model.norm_eps}
    config |= {"d_vocab": model.d_vocab, "d_vocab_out": model.d_out, "rotary_dim": model.head_width}
    settings = {
        "config": config | {"rotary_base": int(model.position_base)},
        "parameters": list(weights),
        "head": episodes.HEAD,
        "lr": episodes.RATE,
        "betas": episodes.BETAS,
        "eps": episodes.EPS,
    }
    (folder / "settings.json").write_text(json.dumps(settings))


def measured(rounds: int) -> tuple[dict[str, float], dict[str, dict]]:
    """Seconds of one update of one network in each contestant's best round, and what else it answered."""
    with tempfile.TemporaryDirectory() as path, ExitStack() as stack:
        folder, workers, answers = Path(path), {}, {}
        write_exchange(folder)
        entered = entrants(folder)
        for number, (name, entrant) in enumerate(entered.items()):
            # built from nothing, and by the process itself, so that the time of it can be told
            cold = {
                "TORCHINDUCTOR_CACHE_DIR": str(folder / str(number)),
                "TORCHINDUCTOR_COMPILE_THREADS": "1",
            }
            workers[name] = stack.enter_context(worker(entrant.command, os.environ | cold))
            answers[name] = workers[name].ask("ready") | workers[name].ask("first")
        contestants = {name: contestant(workers[name], entrant) for name, entrant in entered.items()}
        best = {name: min(seconds) for name, seconds in interleaved(contestants, rounds).items()}
        for name, running in workers.items():
            answers[name] |= running.ask("about")
    return best, answers


def contestant(running: Worker, entrant: Entrant) -> Contestant:
    return lambda: running.ask("train")["seconds"] / (entrant.updates * entrant.replicas)


def row(name: str, best: dict[str, float], answers: dict[str, dict]) -> dict:
    answer, peers = answers[name], {"plain PyTorch": PLAIN, "TransformerLens": LENS, "JAX one by one": JAX}
    gaps = [abs(a - b) for a, b in zip(answer["losses"], answers[PLAIN]["losses"], strict=False)]
    return {
        "training with a clamp": name,
        "µs an update": best[name] * 1e6,
        "updates/s a core": 1 / best[name],
        **{f"× {peer}": best[of] / best[name] if of in best else None for peer, of in peers.items()},
        "share of bare products": best[BOUND] / best[name],
        "warm-up, s": answer["seconds"],
        "peak MB": answer["megabytes"],
        "largest difference of loss": max(gaps, default=None),
    }


def targets(best: dict[str, float]) -> list[str]:
    found = []
    for peer_name, name, target in TARGETS:
        if peer_name in best and name in best:
            ratio = best[peer_name] / best[name]
            found.append(f"{name}: {ratio:.2f} × {peer_name}: target {target} {_met(ratio >= target)}")
    if ours(COMPARED) in best:
        share = best[BOUND] / best[ours(COMPARED)]
        found.append(
            f"{ours(COMPARED)}: {share:.0%} of {BOUND}: target {TARGET_SHARE:.0%} {_met(share >= TARGET_SHARE)}"
        )
    return found


def _met(reached: bool) -> str:
    return "met" if reached else "missed"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=12)
    rounds = parser.parse_args().rounds
    one_thread()
    one_core()
    about = facts(threads=1, cores_used=1, rounds=rounds, updates_compared=CHECKED, clock="process CPU")
    best, answers = measured(rounds)
    for answer in answers.values():
        about["versions"] |= {f"peer {package}": version for package, version in answer["versions"].items()}
    report("clamping", about | {"targets": targets(best)}, [row(name, best, answers) for name in best])


if __name__ == "__main__":
    main()
