"""The other end of a worker: TransformerLens as a contestant, and any process that answers a line with a line."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks.subject import BETAS, CONTEXT, EPS, MODEL, RATE, VOCABULARY

HERE = Path(__file__).parent
PYTHON = HERE / ".peers" / "bin" / "python"
ABSENT = (
    "TransformerLens is left out: it has no environment here. To make it (1.5 GB): "
    "python -m venv benchmarks/.peers && benchmarks/.peers/bin/pip install -r benchmarks/peers.txt"
)


class Worker:
    """A running process; `ask` waits for its answer."""

    def __init__(self, process: subprocess.Popen):
        self.process = process

    def ask(self, question: str) -> dict:
        print(question, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the worker {self.process.args} stopped at {question!r}; its message is above")
        return json.loads(answer)


@contextmanager
def worker(command: Sequence[str | Path], environment: dict[str, str] | None = None) -> Iterator[Worker]:
    """Runs in the repository's root until the end of the block."""
    process = subprocess.Popen(
        command,
        cwd=HERE.parent,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
    )
    try:
        yield Worker(process)
    finally:
        process.stdin.close()
        process.wait()


class Lens:
    """A running `lens.py`."""

    def __init__(self, worker: Worker, folder: Path):
        self.ask, self.folder = worker.ask, folder

    def versions(self) -> dict[str, str]:
        """Of its environment, named apart from ours."""
        return {f"peer {package}": version for package, version in self.ask("versions").items()}

    def logits(self) -> np.ndarray:
        """[layer, head, b, t, v]: each head's zero ablation of the first batch."""
        self.ask("logits")
        return np.load(self.folder / "logits.npy")


@contextmanager
def lens(weights: dict[str, Tensor], batches: Tensor) -> Iterator[Lens | None]:
    """TransformerLens with these parameters and batches [batches, b, t + 1]; None, said why, if absent."""
    if not PYTHON.exists():
        print(ABSENT)
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "parameters.npz", **{name: value.numpy() for name, value in weights.items()})
        np.save(folder / "tokens.npy", batches.numpy())
        (folder / "settings.json").write_text(json.dumps(_settings()))
        with worker([PYTHON, HERE / "lens.py", folder]) as running:
            yield Lens(running, folder)


def _settings() -> dict:
    config = {
        "n_layers": MODEL.n_layers,
        "n_heads": MODEL.n_heads,
        "d_model": MODEL.d_model,
        "d_head": MODEL.head_width,
        "n_ctx": CONTEXT,
        "d_vocab": VOCABULARY,
        "eps": MODEL.norm_eps,
    }
    return {"config": config, "lr": RATE, "betas": BETAS, "eps": EPS}
