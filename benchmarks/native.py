"""The contestants of `clamping` that run in this environment, each served in a process of its own.

    python -m benchmarks.native headworks REPLICAS auto|never UPDATES CHECKED
    python -m benchmarks.native plain UPDATES CHECKED
    python -m benchmarks.native products with_weights|all REPLICAS UPDATES

UPDATES make a round; the losses of the first CHECKED updates are kept.
"""

import sys
from collections.abc import Iterator
from itertools import count, islice

import torch

from benchmarks import episodes, plain_episodes, products
from benchmarks.served import Program, serve
from headworks.memory import keep_freed_memory
from headworks.studies.singh2024.clamps import build
from headworks.train import Ensemble, Task


def headworks(replicas: str, compile: str, updates: str, checked: str) -> Program:
    return _going_on(_ensemble(int(replicas), compile), int(updates), int(checked))


def _ensemble(replicas: int, compile: str) -> Iterator[float]:
    clamps = build([episodes.CLAMP] * replicas, episodes.MODEL)
    keep_freed_memory()
    ensemble = Ensemble(
        episodes.MODEL,
        episodes.training(compile),
        tuple(range(replicas)),
        torch.device("cpu"),
        task=Task("last", episodes.vectors(), clamps),
    )
    batches = episodes.batches(replicas)
    for step in count():
        ensemble.update(torch.from_numpy(batches.at(step)))
        yield float(ensemble.trained.loss[step, 0])


def plain(updates: str, checked: str) -> Program:
    weights = {name: value[0] for name, value in episodes.weights(1).items()}
    batches = episodes.batches(1)
    tokens = (torch.from_numpy(batches.at(step)[0]) for step in count())
    network = plain_episodes.Network().take(weights)
    return _going_on(plain_episodes.losses(network, episodes.vectors(), tokens), int(updates), int(checked))


def bare_products(which: str, replicas: str, updates: str) -> Program:
    made = products.with_weights(int(replicas))
    if which == "all":
        made += products.of_attention(int(replicas))

    def train() -> None:
        for _ in range(int(updates)):
            for product in made:
                product()

    return Program(train)


def _going_on(losses: Iterator[float], updates: int, checked: int) -> Program:
    """The first updates compile what there is to compile."""
    first = list(islice(losses, checked))
    return Program(lambda: list(islice(losses, updates)), lambda: first)


def main(kind: str, *options: str) -> None:
    torch.set_num_threads(1)
    make = {"headworks": headworks, "plain": plain, "products": bare_products}[kind]
    serve(lambda: make(*options))


if __name__ == "__main__":
    main(*sys.argv[1:])
