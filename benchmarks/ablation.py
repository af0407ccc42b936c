"""Zero ablation of every head in turn: the sweep, a loop of our own, and TransformerLens' hooks in a loop.

    python -m benchmarks.ablation [--rounds 20]

The same parameters and sequences; how far the logits and losses are apart is in the table. A unit is one sweep
over all heads, down to a mean loss for each.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import subject
from benchmarks.peer import lens
from benchmarks.timing import cpu_seconds, facts, interleaved, one_thread, report
from headworks.interventions import ablation_sweep, full_ablation, head_masks
from headworks.model import Transformer, cross_entropy

SWEEP, LOOP, LENS = "headworks, ablation_sweep", "headworks, loop", "TransformerLens 4.3.0, hook loop"
TARGET, TOLERANCE = 10, 1e-5

Ablations = dict[tuple[int, int], Tensor]


@torch.no_grad()
def loop(model: Transformer, inputs: Tensor, reduce: Callable[[Tensor], Tensor]) -> Ablations:
    """What `ablation_sweep` yields, one head and one whole pass after the other."""
    spec = model.spec
    return {
        (l, head): reduce(full_ablation(model, inputs, head_masks(spec, [{l: [head]}])))
        for l in range(spec.n_layers)
        for head in range(spec.n_heads)
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    one_thread()
    model, batches = Transformer.create(subject.MODEL, [0]), subject.tokens()[:, 0]
    inputs, targets = batches[0, :, :-1], batches[0, :, 1:]

    def mean_loss(logits: Tensor) -> Tensor:
        return cross_entropy(logits, targets).mean()

    about = facts(replicas=1, threads=1, rounds=rounds, heads=16, sequences=len(inputs), clock="process CPU")
    found = {SWEEP: ablation_sweep(model, inputs, torch.clone), LOOP: loop(model, inputs, torch.clone)}
    contestants = {
        SWEEP: cpu_seconds(lambda: ablation_sweep(model, inputs, mean_loss)),
        LOOP: cpu_seconds(lambda: loop(model, inputs, mean_loss)),
    }
    with lens(subject.weights(), batches) as peer:
        if peer:
            about["versions"] |= peer.versions()
            theirs = torch.from_numpy(peer.logits())
            found[LENS] = {(l, head): theirs[l, head][None] for l, head in found[SWEEP]}
            contestants[LENS] = lambda: peer.ask("ablate")["seconds"]
        best = {name: min(seconds) for name, seconds in interleaved(contestants, rounds).items()}
    rows = [row(name, best, found, mean_loss) for name in best]
    report("ablation", about | {"targets": verdicts(best, rows)}, rows)


def row(name: str, best: dict[str, float], found: dict[str, Ablations], mean_loss) -> dict:
    pairs = [(found[name][head], logits) for head, logits in found[SWEEP].items()]
    return {
        "zero ablation of 16 heads": name,
        "ms a sweep": best[name] * 1e3,
        "sweep is × faster": best[name] / best[SWEEP],
        "largest difference of logits": max((a - b).abs().max().item() for a, b in pairs),
        "largest difference of losses": max((mean_loss(a) - mean_loss(b)).abs().item() for a, b in pairs),
    }


def verdicts(best: dict[str, float], rows: list[dict]) -> list[str]:
    if LENS not in best:
        return []
    ratio, apart = best[LENS] / best[SWEEP], max(row["largest difference of logits"] for row in rows)
    return [
        f"{ratio:.1f} × the hook loop: target {TARGET} {'met' if ratio >= TARGET else 'missed'}",
        f"logits within {apart:.1g}: target {TOLERANCE} {'met' if apart <= TOLERANCE else 'missed'}",
    ]


if __name__ == "__main__":
    main()
