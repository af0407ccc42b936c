"""The network of `episodes` by TransformerLens, with the clamp as hooks, in a process and environment of its own.

Run by `clamping`, never by hand: python -m benchmarks.lens_episodes FOLDER UPDATES, with what it put there.

The native bridge reads vectors where it is given floats, so exemplars are embedded before it. Its attention always
has biases and its read-out none: those stay zero and untrained, this one is added after it. Its rotary positions
pair neighbours, so queries and keys are permuted; the function is the same.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge

from benchmarks.served import Program, serve

Arrays = dict[str, np.ndarray]


def bridge(settings: dict, parameters: Arrays) -> TransformerBridge:
    """A native bridge with our parameters: linear layers keep [out, in]."""
    config = TransformerBridgeConfig(
        **settings["config"],
        attn_only=True,
        normalization_type="LN",
        positional_embedding_type="rotary",
        seed=0,
    )
    model = TransformerBridge.boot_native(config)
    width = config.n_heads * config.d_head
    neighbours = np.arange(config.d_head).reshape(2, -1).T.ravel()
    ours = {"ln_out.weight": parameters["ln_final.w"], "ln_out.bias": parameters["ln_final.b"]}
    ours |= {"tok_embed.weight": parameters["embed.W_E"], "head.weight": parameters["unembed.W_U"].T}
    for l in range(config.n_layers):
        ours[f"layers.{l}.ln1.weight"] = parameters[f"blocks.{l}.ln1.w"]
        ours[f"layers.{l}.ln1.bias"] = parameters[f"blocks.{l}.ln1.b"]
        for part in "QKV":
            weight = parameters[f"blocks.{l}.attn.W_{part}"]
            weight = weight if part == "V" else weight[..., neighbours]
            ours[f"layers.{l}.attn.{part.lower()}.weight"] = weight.transpose(0, 2, 1).reshape(width, -1)
        ours[f"layers.{l}.attn.o.weight"] = parameters[f"blocks.{l}.attn.W_O"].reshape(width, -1).T
        ours |= {f"layers.{l}.attn.{part}.bias": np.zeros(width, np.float32) for part in "qkvo"}
    taken = {name.replace("_original_component.", ""): value for name, value in model.named_parameters()}
    if ours.keys() != taken.keys():
        raise SystemExit(f"parameters differ: {sorted(ours.keys() ^ taken.keys())}")
    with torch.no_grad():
        for name, value in ours.items():
            taken[name].copy_(torch.from_numpy(np.ascontiguousarray(value)))
            taken[name].requires_grad_(not (".attn." in name and name.endswith("bias")))
    return model


class Clamped(nn.Module):
    """Exemplars and labels in, the query's logits out; one head of the last layer is left, and told where to look."""

    def __init__(self, settings: dict, parameters: Arrays):
        super().__init__()
        self.model, self.head = bridge(settings, parameters), settings["head"]
        self.exemplars = nn.Linear(*parameters["embed.W_in"].shape)
        self.readout_bias = nn.Parameter(torch.from_numpy(parameters["unembed.b_U"]))
        self.others = torch.arange(settings["config"]["n_heads"]) != self.head
        with torch.no_grad():
            self.exemplars.weight.copy_(torch.from_numpy(parameters["embed.W_in"].T))
            self.exemplars.bias.copy_(torch.from_numpy(parameters["embed.b_in"]))

    def forward(self, exemplars: Tensor, labels: Tensor, correct: Tensor) -> Tensor:
        """Exemplars [b, 3, i] and labels [b, 2], which take turns, to logits [b, v]; `correct` [b, t]."""

        def match(pattern: Tensor, hook) -> Tensor:
            pattern = pattern.clone()
            pattern[:, self.head, -1] = correct
            return pattern

        def alone(z: Tensor, hook) -> Tensor:
            return z.masked_fill(self.others[:, None], 0.0)

        x = self.exemplars.weight.new_empty(len(labels), correct.shape[1], self.exemplars.out_features)
        x[:, 0::2], x[:, 1::2] = self.exemplars(exemplars), self.model.embed(labels)
        hooks = [("blocks.1.attn.hook_pattern", match), ("blocks.1.attn.hook_z", alone)]
        logits = self.model.run_with_hooks(x, return_type="logits", fwd_hooks=hooks)
        return logits[:, -1] + self.readout_bias


def losses(network: Clamped, vectors: Tensor, batches: Iterable[Tensor], settings: dict) -> Iterator[float]:
    """Train on `batches` of [b, 6], exemplars numbered from d_vocab on: the loss of each update in nats."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(
        trained, lr=settings["lr"], betas=tuple(settings["betas"]), eps=settings["eps"]
    )
    for tokens in batches:
        labels, target = tokens[:, 1:5:2], tokens[:, 5]
        correct = torch.zeros(len(tokens), 5)
        correct[:, 1:5:2] = (labels == target[:, None]).float()
        logits = network(vectors[tokens[:, 0:5:2] - settings["config"]["d_vocab"]], labels, correct)
        loss = F.cross_entropy(logits, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def batches(sequences: np.ndarray, given: np.ndarray) -> Iterator[Tensor]:
    """Those whose row numbers are given, [step, b], then more drawn with replacement."""
    generator = np.random.default_rng(0)
    yield from (torch.from_numpy(sequences[rows].astype(np.int64)) for rows in given)
    while True:
        for rows in generator.integers(0, len(sequences), (256, given.shape[1])):
            yield torch.from_numpy(sequences[rows].astype(np.int64))


def main(folder: Path, updates: int) -> None:
    torch.set_num_threads(1)

    def build() -> Program:
        settings = json.loads((folder / "settings.json").read_text())
        with np.load(folder / "arrays.npz") as file:
            arrays = dict(file)
        parameters = {name: arrays[name][0] for name in settings["parameters"]}
        tokens = batches(arrays["sequences"], arrays["draws"][:, 0])
        found = losses(Clamped(settings, parameters), torch.from_numpy(arrays["vectors"]), tokens, settings)
        first = list(islice(found, len(arrays["draws"])))
        return Program(lambda: list(islice(found, updates)), lambda: first)

    serve(build, ("transformer-lens", "torch"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
