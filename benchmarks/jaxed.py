"""The network of `episodes` in JAX, with the clamp, in a process and environment of its own: two programs.

Run by `clamping`, never by hand, with what it put in the folder:

    python -m benchmarks.jaxed FOLDER one UPDATES         one network, one jitted call an update
    python -m benchmarks.jaxed FOLDER REPLICAS UPDATES    vmap over networks, one scan over the updates of a round

Both are written from the paper (Singh 2024, sec. 2 and App. A). The first does every position in every layer, as
the authors' code does. The second does what we know to be faster: it embeds each exemplar once, has of the last layer
the one head that is left, and asks it at the query alone. The clamp replaces values in the pass and lets gradients
through.

Letters: b batch, t q k position, h head, e head dimension, d model, i input vector.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.served import Program, serve

Parameters = dict[str, Array]
N_HEADS, N_CONTEXT, BASE, NORM_EPS = 8, 5, 10000.0, 1e-5
EXEMPLARS, LABELS = slice(0, 5, 2), slice(1, 5, 2)


def packed(arrays: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    """Our parameters [r, ...], with those of queries, keys and values as one matrix [r, d, 3 d]."""
    parameters = {name: arrays[name] for name in names if ".attn." not in name}
    for name in ("blocks.0.attn", "blocks.1.attn"):
        parts = [arrays[f"{name}.W_{part}"].swapaxes(1, 2) for part in "QKV"]
        parameters[f"{name}.qkv"] = np.concatenate([x.reshape(*x.shape[:2], -1) for x in parts], 2)
        out = arrays[f"{name}.W_O"]
        parameters[f"{name}.out"] = out.reshape(len(out), -1, out.shape[-1])
    return parameters


def embed_each(p: Parameters, vectors: Array, tokens: Array) -> Array:
    """[b, 6] to [b, t, d], by a product for every exemplar of every sequence."""
    exemplars = vectors[tokens[:, EXEMPLARS] - len(p["embed.W_E"])] @ p["embed.W_in"] + p["embed.b_in"]
    x = jnp.zeros((len(tokens), N_CONTEXT, exemplars.shape[-1]))
    return x.at[:, EXEMPLARS].set(exemplars).at[:, LABELS].set(p["embed.W_E"][tokens[:, LABELS]])


def embed_once(p: Parameters, vectors: Array, tokens: Array) -> Array:
    """The same, by a product for every distinct exemplar."""
    table = jnp.concatenate([p["embed.W_E"], vectors @ p["embed.W_in"] + p["embed.b_in"]])
    return table[tokens[:, :N_CONTEXT]]


def normed(p: Parameters, name: str, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + NORM_EPS)
    return scaled * p[f"{name}.w"] + p[f"{name}.b"]


def rotate(x: Array) -> Array:
    """Rotary positions of [b, t, h, e]: dimension i pairs with i + e / 2."""
    half = x.shape[-1] // 2
    angles = jnp.arange(N_CONTEXT)[:, None, None] * BASE ** (-jnp.arange(half) / half)
    a, b, cos, sin = x[..., :half], x[..., half:], jnp.cos(angles), jnp.sin(angles)
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def attention(
    p: Parameters,
    l: int,
    x: Array,
    first_query: int = 0,
    clamp: tuple[Array, Array] | None = None,
    only: int | None = None,
) -> Array:
    """What layer l adds to x [b, t, d] at the positions from `first_query` on.

    `clamp`: the head that is left, bool [h], and where it attends from the last position, [b, t]. `only`: the one head
    that is computed; None: all.
    """
    heads = slice(None) if only is None else slice(only, only + 1)
    w_qkv, w_out = p[f"blocks.{l}.attn.qkv"], p[f"blocks.{l}.attn.out"]
    w_qkv = w_qkv.reshape(len(w_qkv), 3, N_HEADS, -1)[:, :, heads]
    w_out = w_out.reshape(N_HEADS, -1, w_out.shape[-1])[heads].reshape(-1, w_out.shape[-1])
    qkv = normed(p, f"blocks.{l}.ln1", x) @ w_qkv.reshape(len(w_qkv), -1)
    q, k, v = (part.reshape(*part.shape[:2], w_qkv.shape[2], -1) for part in jnp.split(qkv, 3, -1))
    q, k = rotate(q)[:, first_query:], rotate(k)
    scores = jnp.einsum("bqhe,bkhe->bhqk", q, k) * q.shape[-1] ** -0.5
    queries = jnp.arange(first_query, N_CONTEXT)[:, None]
    pattern = jax.nn.softmax(jnp.where(jnp.arange(N_CONTEXT) <= queries, scores, -jnp.inf))
    if clamp:
        alone, correct = clamp[0][heads], clamp[1]
        forced = alone[:, None, None] & (queries == N_CONTEXT - 1)
        pattern = jnp.where(forced, correct[:, None, None], pattern)
    z = jnp.einsum("bhqk,bkhe->bqhe", pattern, v)
    if clamp:
        z = jnp.where(alone[:, None], z, 0.0)
    return z.reshape(*z.shape[:2], -1) @ w_out


def loss(
    p: Parameters,
    alone: Array,
    vectors: Array,
    tokens: Array,
    embed: Callable,
    first_query: int,
    only: int | None = None,
) -> Array:
    """Cross-entropy of the query's label in nats; `alone` [h] is true for the head of the last layer that is left.

    The last layer's queries start at `first_query`; `only` as in `attention`, of that layer.
    """
    target = tokens[:, N_CONTEXT]
    right = tokens[:, LABELS] == target[:, None]
    correct = jnp.zeros((len(tokens), N_CONTEXT)).at[:, LABELS].set(right)
    x = embed(p, vectors, tokens)
    x = x + attention(p, 0, x)
    x = x[:, first_query:] + attention(p, 1, x, first_query, (alone, correct), only)
    logits = normed(p, "ln_final", x[:, -1]) @ p["unembed.W_U"] + p["unembed.b_U"]
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), target[:, None], 1).mean()


def adam(state: dict, grad: Parameters, settings: dict) -> dict:
    """Kingma & Ba 2015, Algorithm 1."""
    (first, second), step = settings["betas"], state["step"] + 1
    mean = jax.tree.map(lambda m, g: first * m + (1 - first) * g, state["mean"], grad)
    square = jax.tree.map(lambda v, g: second * v + (1 - second) * g * g, state["square"], grad)

    def moved(p, m, v):
        root = jnp.sqrt(v / (1 - second**step)) + settings["eps"]
        return p - settings["lr"] * (m / (1 - first**step)) / root

    p = jax.tree.map(moved, state["p"], mean, square)
    return {"p": p, "mean": mean, "square": square, "step": step}


def initial(parameters: dict[str, np.ndarray]) -> dict:
    p = jax.tree.map(jnp.asarray, parameters)
    # two of them: a donated buffer has one owner
    zeros = [jax.tree.map(jnp.zeros_like, p) for _ in range(2)]
    return {"p": p, "mean": zeros[0], "square": zeros[1], "step": jnp.zeros((), jnp.float32)}


def one_at_a_time(arrays: dict, settings: dict, updates: int) -> Program:
    parameters = {name: value[0] for name, value in packed(arrays, settings["parameters"]).items()}
    alone = jnp.arange(N_HEADS) == settings["head"]
    sequences, vectors = jnp.asarray(arrays["sequences"], jnp.int32), jnp.asarray(arrays["vectors"])

    @partial(jax.jit, donate_argnums=0)
    def update(state: dict, rows: Array) -> tuple[dict, Array]:
        value, grad = jax.value_and_grad(loss)(
            state["p"], alone, vectors, sequences[rows], embed_each, first_query=0
        )
        return adam(state, grad, settings), value

    def run(state: dict, draws: np.ndarray) -> tuple[dict, list[float]]:
        found = []
        for rows in draws:
            state, value = update(state, rows)
            found.append(value)
        return state, [float(value) for value in found]

    return _program(run, parameters, arrays["draws"][:, 0], updates, len(sequences))


def many_at_once(arrays: dict, settings: dict, updates: int, replicas: int) -> Program:
    parameters = {name: value[:replicas] for name, value in packed(arrays, settings["parameters"]).items()}
    alone = jnp.tile(jnp.arange(N_HEADS) == settings["head"], (replicas, 1))
    sequences, vectors = jnp.asarray(arrays["sequences"], jnp.int32), jnp.asarray(arrays["vectors"])
    each = partial(loss, embed=embed_once, first_query=N_CONTEXT - 1, only=settings["head"])
    each = jax.vmap(jax.value_and_grad(each), in_axes=(0, 0, None, 0))

    @partial(jax.jit, donate_argnums=0)
    def update_all(state: dict, draws: Array) -> tuple[dict, Array]:
        def update(state: dict, rows: Array) -> tuple[dict, Array]:
            value, grad = each(state["p"], alone, vectors, sequences[rows])
            return adam(state, grad, settings), value

        return jax.lax.scan(update, state, draws)

    def run(state: dict, draws: np.ndarray) -> tuple[dict, list[float]]:
        state, found = update_all(state, draws)
        return state, np.asarray(found)[:, 0].tolist()

    return _program(run, parameters, arrays["draws"][:, :replicas], updates, len(sequences))


def _program(run: Callable, parameters: dict, given: np.ndarray, updates: int, n_sequences: int) -> Program:
    """`run` takes a state and row numbers [update, ..., b] to the next state and the losses, and is compiled here.

    The row numbers of a round are drawn within its time.
    """
    generator, shape = np.random.default_rng(0), (updates, *given.shape[1:])
    state = initial(parameters)

    def train() -> None:
        nonlocal state
        state, _ = run(state, generator.integers(0, n_sequences, shape, np.int32))

    def first() -> list[float]:
        _, losses = run(initial(parameters), np.resize(given, shape).astype(np.int32))
        return losses[: len(given)]

    train()
    return Program(train, first)


def main(folder: Path, replicas: str, updates: int) -> None:
    def build() -> Program:
        settings = json.loads((folder / "settings.json").read_text())
        with np.load(folder / "arrays.npz") as file:
            arrays = dict(file)
        if replicas == "one":
            return one_at_a_time(arrays, settings, updates)
        return many_at_once(arrays, settings, updates, int(replicas))

    serve(build, ("jax", "jaxlib"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
