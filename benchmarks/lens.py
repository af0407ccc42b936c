"""TransformerLens in a process and an environment of its own, that answers one round at a time.

Run by `peer.py`, never by hand, with the folder of the exchange as its argument: parameters.npz (ours, under
TransformerLens' names), tokens.npy, settings.json. A line on standard input asks, a line of JSON answers:

    train N   {"seconds": processor time of one update, "losses": [...]}
    ablate    {"seconds": processor time of a loop over all heads}
    logits    {}; writes logits.npy [layer, head, b, t, v]
    versions  {package: version}
"""

import json
import os
import sys
import time
from importlib.metadata import version
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge


def bridge(settings: dict, parameters: dict[str, np.ndarray]) -> TransformerBridge:
    """A native bridge with our parameters: linear layers keep [out, in]."""
    config = TransformerBridgeConfig(**settings["config"], attn_only=True, normalization_type="LN", seed=0)
    model = TransformerBridge.boot_native(config)
    taken = {name.replace("_original_component.", ""): value for name, value in model.named_parameters()}
    ours = {"tok_embed.weight": parameters["embed.W_E"], "pos.weight": parameters["pos_embed.W_pos"]}
    ours |= {"head.weight": parameters["unembed.W_U"].T}
    ours |= {"ln_out.weight": parameters["ln_final.w"], "ln_out.bias": parameters["ln_final.b"]}
    for l in range(config.n_layers):
        block = {
            name: parameters[f"blocks.{l}.{name}"] for name in ("ln1.w", "ln1.b", "attn.W_O", "attn.b_O")
        }
        ours |= {f"layers.{l}.ln1.weight": block["ln1.w"], f"layers.{l}.ln1.bias": block["ln1.b"]}
        width = config.n_heads * config.d_head
        ours[f"layers.{l}.attn.o.weight"] = block["attn.W_O"].reshape(width, -1).T
        ours[f"layers.{l}.attn.o.bias"] = block["attn.b_O"]
        for part in "QKV":
            weight, bias = (parameters[f"blocks.{l}.attn.{kind}_{part}"] for kind in "Wb")
            ours[f"layers.{l}.attn.{part.lower()}.weight"] = weight.transpose(0, 2, 1).reshape(width, -1)
            ours[f"layers.{l}.attn.{part.lower()}.bias"] = bias.reshape(-1)
    if ours.keys() != taken.keys():
        raise SystemExit(f"parameters differ: {sorted(ours.keys() ^ taken.keys())}")
    with torch.no_grad():
        for name, value in ours.items():
            taken[name].copy_(torch.from_numpy(np.ascontiguousarray(value)))
    return model


def losses(model: TransformerBridge, batches: torch.Tensor, settings: dict):
    """Train for ever on `batches` [batches, b, t + 1]: the loss of each update in nats."""
    betas = tuple(settings["betas"])
    optimizer = torch.optim.Adam(model.parameters(), lr=settings["lr"], betas=betas, eps=settings["eps"])
    for batch in cycle(batches):
        logits = model(batch[:, :-1], return_type="logits")
        loss = F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


@torch.no_grad()
def without_head(model: TransformerBridge, tokens: torch.Tensor, l: int, head: int) -> torch.Tensor:
    """Logits with that head's z zero, as its users write it."""

    def zero(z: torch.Tensor, hook) -> torch.Tensor:
        z[:, :, head] = 0.0
        return z

    return model.run_with_hooks(tokens, return_type="logits", fwd_hooks=[(f"blocks.{l}.attn.hook_z", zero)])


def main(folder: Path) -> None:
    # Whatever the library prints must not get between question and answer.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    sys.stdout = sys.stderr
    torch.set_num_threads(1)
    settings = json.loads((folder / "settings.json").read_text())
    with np.load(folder / "parameters.npz") as file:
        model = bridge(settings, dict(file))
    batches = torch.from_numpy(np.load(folder / "tokens.npy"))
    inputs, targets = batches[0, :, :-1], batches[0, :, 1:]
    heads = [(l, head) for l in range(model.cfg.n_layers) for head in range(model.cfg.n_heads)]
    updates = losses(model, batches, settings)
    for line in sys.stdin:
        what, *count = line.split()
        answer, start = {}, time.process_time()
        if what == "train":
            found = [next(updates) for _ in range(int(count[0]))]
            answer = {"seconds": (time.process_time() - start) / len(found), "losses": found}
        elif what == "ablate":
            for l, head in heads:
                logits = without_head(model, inputs, l, head)
                F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item()
            answer = {"seconds": time.process_time() - start}
        elif what == "logits":
            found = [without_head(model, inputs, l, head).numpy() for l, head in heads]
            np.save(folder / "logits.npy", np.stack(found).reshape(-1, model.cfg.n_heads, *found[0].shape))
        elif what == "versions":
            answer = {package: version(package) for package in ("transformer-lens", "torch")}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
