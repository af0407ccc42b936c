"""The transformer: decoder-only, with a replica axis on every parameter and activation, and sites for a tape.

Letters: r replica, b batch, t q k position, h head, g key-value head, d model, e head dimension, m MLP,
v vocabulary, i input vector.

Sites, in the order of the forward pass (l is the layer), and TransformerLens' hook names:

    site                  TransformerLens                        axes        exists
    embed                 hook_embed                             r b t d
    pos_embed             hook_pos_embed                         r b t d     learned positions
    blocks.l.resid_pre    blocks.l.hook_resid_pre                r b t d
    blocks.l.attn.qk_in   blocks.l.hook_q_input, hook_k_input    r b t d
    blocks.l.attn.q       blocks.l.attn.hook_q (hook_rot_q)      r b h t e
    blocks.l.attn.k       blocks.l.attn.hook_k (hook_rot_k)      r b g t e
    blocks.l.attn.v       blocks.l.attn.hook_v                   r b g t e
    blocks.l.attn.scores  blocks.l.attn.hook_attn_scores         r b h q k
    blocks.l.attn.pattern blocks.l.attn.hook_pattern             r b h q k
    blocks.l.attn.z       blocks.l.attn.hook_z                   r b h t e
    blocks.l.attn.head_out blocks.l.attn.hook_result             r b h t d
    blocks.l.attn_out     blocks.l.hook_attn_out                 r b t d
    blocks.l.resid_mid    blocks.l.hook_resid_mid                r b t d     MLP, not parallel
    blocks.l.mlp.pre      blocks.l.mlp.hook_pre                  r b t m     MLP
    blocks.l.mlp.post     blocks.l.mlp.hook_post                 r b t m     MLP
    blocks.l.mlp_out      blocks.l.hook_mlp_out                  r b t d     MLP
    blocks.l.resid_post   blocks.l.hook_resid_post               r b t d
    ln_final              ln_final, after scale and shift        r b t d
    logits                the output                             r b t v

qk_in is what queries and keys read, before the norm: resid_pre, unless a tape puts something else there.
q, k and v are what attention uses: positions are in, keys or values are smeared; key-value heads are not yet
repeated. Scores are scaled, and -inf above the diagonal and across a barrier. Heads come before positions throughout, which
TransformerLens does only in scores and patterns; a tape may leave heads out of a layer. For SwiGLU, mlp.pre is what
the gate's non-linearity sees.
"""

import math
import warnings
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from headworks.errors import HeadworksError
from headworks.layers import (
    activate,
    affine,
    attend,
    attend_by,
    attend_openly,
    join_heads,
    linear,
    position_table,
    queries_from,
    rotate,
    smear,
    split_heads,
)
from headworks.parameters import initial_parameters, parameter_count, parameter_shapes
from headworks.spec import ModelSpec
from headworks.tape import Tape

# Gradients are views of one matrix by design; torch only warns that such strides may be slower.
warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")

# What a pass with given patterns does not compute.
ATTENTION_WEIGHT_SITES = (".attn.qk_in", ".attn.q", ".attn.k", ".attn.scores", ".attn.pattern")


def sites(spec: ModelSpec) -> list[str]:
    """Every site of a forward pass, in order; the module's docstring says what each holds."""
    return embed_sites(spec) + block_sites(spec) + ["ln_final", "logits"]


def embed_sites(spec: ModelSpec) -> list[str]:
    return ["embed"] + ["pos_embed"] * (spec.positions == "learned")


def block_sites(spec: ModelSpec, first_layer: int = 0) -> list[str]:
    """The sites of blocks `first_layer` to the last."""
    names = ["resid_pre"] + [
        f"attn.{x}" for x in ("qk_in", "q", "k", "v", "scores", "pattern", "z", "head_out")
    ]
    names += ["attn_out"] + ["resid_mid"] * bool(spec.d_mlp and not spec.parallel)
    names += ["mlp.pre", "mlp.post", "mlp_out"] * bool(spec.d_mlp) + ["resid_post"]
    return [f"blocks.{l}.{name}" for l in range(first_layer, spec.n_layers) for name in names]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Loss of each token in nats, [r, b, t], of logits [r, b, t, v]; targets [r, b, t] or [b, t], -100: 0."""
    targets = targets.expand(logits.shape[:-1])
    losses = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="none")
    return losses.view(targets.shape)


class Transformer(nn.Module):
    """Parameters are leaves that view `flat` [r, P]; their gradients, if `grad` [r, P] is given, view that.

    So an optimiser works on two matrices, and a chunk of replicas is Transformer(spec, flat[a:b], grad[a:b]).
    Backward accumulates into `grad`; whoever owns it zeroes it. `vectors` [n, i], of a model with d_input, are
    what tokens from d_vocab on stand for.
    """

    def __init__(
        self, spec: ModelSpec, flat: Tensor, grad: Tensor | None = None, vectors: Tensor | None = None
    ):
        super().__init__()
        if flat.ndim != 2 or flat.shape[1] != parameter_count(spec):
            found, wanted = tuple(flat.shape), parameter_count(spec)
            raise HeadworksError(f"model: the parameters have shape {found}; the model needs [r, {wanted}].")
        self.spec, self.flat, self.vectors = spec, flat, vectors
        self._named: dict[str, nn.Parameter] = {}
        start = 0
        for name, shape in parameter_shapes(spec).items():
            columns = slice(start, start + math.prod(shape))
            start = columns.stop
            frozen = name.endswith("attn.alpha") and spec.smear.frozen
            parameter = nn.Parameter(flat[:, columns].view(-1, *shape), requires_grad=not frozen)
            if grad is not None and not frozen:
                parameter.grad = grad[:, columns].view(-1, *shape)
            self._named[name] = parameter
            self.register_parameter(name.replace(".", "/"), parameter)

    @classmethod
    def create(
        cls,
        spec: ModelSpec,
        seeds: list[int],
        device: str | torch.device = "cpu",
        vectors: Tensor | None = None,
    ) -> "Transformer":
        """One replica a seed, drawn on the CPU from that seed alone: no neighbour or device changes it."""
        flat = torch.stack([initial_parameters(spec, seed) for seed in seeds]).to(device)
        return cls(spec, flat, vectors=vectors)

    def named(self) -> dict[str, nn.Parameter]:
        """Name to parameter, [r, ...]."""
        return self._named

    @property
    def n_replicas(self) -> int:
        return self.flat.shape[0]

    def forward(self, inputs: Tensor, tape: Tape | None = None, last: bool = False) -> Tensor:
        """Logits [r, b, t, v] of tokens [r, b, t] or [b, t], or of vectors [r, b, t, i].

        With `last`, those of the last position alone, t = 1; the last block then has no other query, and its
        sites from q on (but for k and v) only that position.
        """
        _begin(tape, sites(self.spec))
        resid = self._blocks(self._embed(inputs, tape), 0, tape, last=last)
        logits = self._unembed(resid, tape)
        _finish(tape)
        return logits

    # The three parts of a forward pass, for sweeps that reuse a prefix. To a tape each is a pass of its own.

    def embed(self, inputs: Tensor, tape: Tape | None = None) -> Tensor:
        """Inputs, as in forward, to the residual stream [r, b, t, d]."""
        _begin(tape, embed_sites(self.spec))
        resid = self._embed(inputs, tape)
        _finish(tape)
        return resid

    def run_blocks(
        self,
        resid: Tensor,
        first_layer: int = 0,
        tape: Tape | None = None,
        patterns: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Blocks `first_layer` to the last, [r, b, t, d] to [r, b, t, d]; none if first_layer is n_layers.

        `patterns`, layer to [r, b, h, q, k], replaces what queries and keys would make; neither is computed.
        `resid` may then hold several batches one after the other along b, all mixed by the same patterns.
        """
        unseen = ATTENTION_WEIGHT_SITES if patterns else ()
        _begin(tape, [site for site in block_sites(self.spec, first_layer) if not site.endswith(unseen)])
        resid = self._blocks(resid, first_layer, tape, patterns)
        _finish(tape)
        return resid

    def unembed(self, resid: Tensor, tape: Tape | None = None) -> Tensor:
        """Final norm and unembedding, [r, b, t, d] to [r, b, t, v]."""
        _begin(tape, ["ln_final", "logits"])
        logits = self._unembed(resid, tape)
        _finish(tape)
        return logits

    def _embed(self, inputs: Tensor, tape: Tape | None) -> Tensor:
        r = self.n_replicas
        if inputs.is_floating_point():
            x = self._embed_vectors(inputs.expand(r, -1, -1, -1))
        else:
            table = self.embedding_table()
            # One lookup in the stacked tables: replica i's rows start at i * v.
            first_row = torch.arange(r, device=inputs.device)[:, None, None] * table.shape[1]
            x = F.embedding(inputs + first_row, table.flatten(0, 1))
        x = _note(tape, "embed", x)
        if self.spec.positions != "learned":
            return x
        t = x.shape[2]
        if t > self.spec.n_context:
            raise HeadworksError(f"model: the input has {t} positions; n_context is {self.spec.n_context}.")
        return x + _note(tape, "pos_embed", self._named["pos_embed.W_pos"][:, None, :t].expand_as(x))

    def embedding_table(self) -> Tensor:
        """The embedding of every token, [r, v, d]: W_E, then the embedded vectors, each distinct one once."""
        table = self._named["embed.W_E"]
        if self.vectors is None:
            return table
        vectors = self.vectors.expand(self.n_replicas, -1, -1)[:, :, None]
        return torch.cat([table, self._embed_vectors(vectors).squeeze(2)], 1)

    def _embed_vectors(self, vectors: Tensor) -> Tensor:
        """[r, b, t, i] to [r, b, t, d]."""
        bias = self._named.get("embed.b_in")
        return affine(vectors, self._named["embed.W_in"], None if bias is None else bias[:, None])

    def mlp(self, l: int, resid: Tensor, tape: Tape | None = None) -> Tensor:
        """What the MLP of block l adds to the residual stream, [r, b, t, d] to [r, b, t, d]."""
        return self._mlp(l, self.normalized(resid), tape)

    def _blocks(
        self,
        x: Tensor,
        first_layer: int,
        tape: Tape | None,
        patterns: Mapping[int, Tensor] | None = None,
        last: bool = False,
    ) -> Tensor:
        positions = position_table(self.spec, x.shape[2], x)
        for l in range(first_layer, self.spec.n_layers):
            x = _note(tape, f"blocks.{l}.resid_pre", x)
            if patterns:
                (v,) = self.project(l, self.normalized(x), positions, "V", self._kept(l, tape))
                z = attend_by(patterns[l], _note(tape, f"blocks.{l}.attn.v", v))
            elif last and l == self.spec.n_layers - 1:
                z = self._attention(l, x, positions, tape, first_query=x.shape[2] - 1)
                x = x[:, :, -1:]
            else:
                z = self._attention(l, x, positions, tape)
            x = self._after_attention(l, x, self._output(l, z, tape), tape)
        return x

    def _after_attention(self, l: int, x: Tensor, attn_out: Tensor, tape: Tape | None) -> Tensor:
        if not self.spec.d_mlp:
            x = x + attn_out
        elif self.spec.parallel:
            x = x + attn_out + self.mlp(l, x, tape)
        else:
            x = _note(tape, f"blocks.{l}.resid_mid", x + attn_out)
            x = x + self.mlp(l, x, tape)
        return _note(tape, f"blocks.{l}.resid_post", x)

    def normalized(self, x: Tensor) -> Tensor:
        """Normalisation without scale and shift, which `_folded` moves into the weights that follow."""
        if self.spec.norm == "layernorm":
            return F.layer_norm(x, x.shape[-1:], eps=self.spec.norm_eps)
        if self.spec.norm == "rmsnorm":
            return F.rms_norm(x, x.shape[-1:], eps=self.spec.norm_eps)
        return x

    def _attention(
        self, l: int, x: Tensor, positions: Tensor | None, tape: Tape | None, first_query: int = 0
    ) -> Tensor:
        """The residual stream [r, b, t, d] to z [r, b, h, q, e] of the queries from `first_query` on."""
        name, heads = f"blocks.{l}.attn", self._kept(l, tape)
        if _wants(tape, f"{name}.qk_in"):
            q, k = self.project(l, self.normalized(tape(f"{name}.qk_in", x)), positions, "QK", heads)
            (v,) = self.project(l, self.normalized(x), positions, "V", heads)
        else:
            q, k, v = self.project(l, self.normalized(x), positions, heads=heads)
        if first_query:
            q = queries_from(q, first_query)
        q, k, v = (_note(tape, f"{name}.{part}", y) for part, y in zip("qkv", (q, k, v), strict=True))
        if _wants(tape, f"{name}.scores") or _wants(tape, f"{name}.pattern"):
            return attend_openly(q, k, v, name, tape, self.spec.barrier)
        return attend(q, k, v, self.spec.barrier)

    def _output(self, l: int, z: Tensor, tape: Tape | None) -> Tensor:
        """z [r, b, h, t, e] to what attention adds to the residual stream, [r, b, t, d]."""
        p, name = self._named, f"blocks.{l}.attn"
        z, weight = _note(tape, f"{name}.z", z), _of_heads(p[f"{name}.W_O"], self._kept(l, tape))
        if _wants(tape, f"{name}.head_out"):
            head_out = torch.einsum("rbhte,rhed->rbhtd", z, weight)
            out = _note(tape, f"{name}.head_out", head_out).sum(2)
        else:
            out = linear(join_heads(z), weight.flatten(1, 2))
        if self.spec.bias:
            out = out + p[f"{name}.b_O"][:, None, None]
        return _note(tape, f"blocks.{l}.attn_out", out)

    def _kept(self, l: int, tape: Tape | None) -> Sequence[int] | None:
        """The heads that a tape leaves in layer l; None: all."""
        heads = None if tape is None else tape.heads.get(l)
        if heads is None:
            return None
        n, grouped = self.spec.n_heads, self.spec.kv_heads != self.spec.n_heads
        if grouped or not heads or min(heads) < 0 or max(heads) >= n:
            raise HeadworksError(
                f"tape: heads {list(heads)} of layer {l}, of a model with n_heads {n} and n_kv_heads "
                f"{self.spec.kv_heads}; allowed: one or more of 0 to {n - 1}, where each has keys of its own."
            )
        return heads

    def project(
        self,
        l: int,
        x: Tensor,
        positions: Tensor | None,
        parts: str = "QKV",
        heads: Sequence[int] | None = None,
    ) -> list[Tensor]:
        """Normalised x [r, b, t, d] to q [r, b, h, t, e], k and v [r, b, g, t, e], by one product for all.

        Of some heads alone if they are given, where each has keys of its own.
        """
        spec, p, name = self.spec, self._named, f"blocks.{l}.attn"
        chosen = [_of_heads(p[f"{name}.W_{part}"], heads) for part in parts]
        widths = [one.shape[1] * spec.head_width for one in chosen]
        weight = torch.cat(chosen, 1).transpose(1, 2).flatten(2)
        bias = None
        if spec.bias:
            biases = [_of_heads(p[f"{name}.b_{part}"], heads) for part in parts]
            bias = torch.cat(biases, 1).flatten(1)[:, None]
        if spec.positions == "sinusoidal_qk" and parts != "V":
            # (x + s) W = x W + s W: the sinusoids cost one small product a layer; values do not see them.
            width = sum(widths[:2])
            placed = F.pad(positions @ weight[..., :width], (0, weight.shape[-1] - width))
            bias = placed if bias is None else placed + bias
        weight, bias = self._folded(f"blocks.{l}.ln1", weight, bias)
        y = linear(x, weight)
        if bias is not None:
            y = y + bias[:, None]
        found = dict(zip(parts, split_heads(y, widths, spec.head_width), strict=True))
        smeared = spec.smear and {"keys": "K", "values": "V"}[spec.smear.of]
        if smeared in found:
            found[smeared] = smear(found[smeared], _of_heads(p[f"{name}.alpha"], heads), spec.smear.lag)
        if spec.positions == "rotary" and parts != "V":
            found |= {part: rotate(found[part], positions) for part in "QK"}
        return list(found.values())

    def _mlp(self, l: int, x: Tensor, tape: Tape | None) -> Tensor:
        """Normalised x [r, b, t, d] to what the MLP adds to the residual stream."""
        spec, p, name = self.spec, self._named, f"blocks.{l}.mlp"
        bias = p[f"{name}.b_in"][:, None] if spec.bias else None
        hidden = affine(x, *self._folded(f"blocks.{l}.ln2", p[f"{name}.W_in"], bias))
        if spec.activation == "swiglu":
            gate = affine(x, *self._folded(f"blocks.{l}.ln2", p[f"{name}.W_gate"], None))
            hidden = F.silu(_note(tape, f"{name}.pre", gate)) * hidden
        else:
            hidden = activate(spec.activation, _note(tape, f"{name}.pre", hidden))
        hidden = _note(tape, f"{name}.post", hidden)
        out = affine(hidden, p[f"{name}.W_out"], p[f"{name}.b_out"][:, None] if spec.bias else None)
        return _note(tape, f"blocks.{l}.mlp_out", out)

    def _folded(self, norm: str, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(x w + b) W + c = x (w W) + (b W + c): weights are smaller than activations, so scale them."""
        w, b = self._named.get(f"{norm}.w"), self._named.get(f"{norm}.b")
        if b is not None:
            shift = b[:, None] @ weight
            bias = shift if bias is None else bias + shift
        if w is not None:
            weight = w[:, :, None] * weight
        return weight, bias

    def _unembed(self, resid: Tensor, tape: Tape | None) -> Tensor:
        p, x = self._named, self.normalized(resid)
        if "ln_final.w" in p:
            x = x * p["ln_final.w"][:, None, None]
        if "ln_final.b" in p:
            x = x + p["ln_final.b"][:, None, None]
        x = _note(tape, "ln_final", x)
        weight = p["embed.W_E"].transpose(1, 2) if self.spec.tied else p["unembed.W_U"]
        bias = p["unembed.b_U"][:, None] if self.spec.end_biases else None
        return _note(tape, "logits", affine(x, weight, bias))


def _of_heads(weight: Tensor, heads: Sequence[int] | None) -> Tensor:
    """Some heads of a weight [r, h, ...]. Slices, for their gradient is a copy, that of an index a scatter."""
    return weight if heads is None else torch.cat([weight[:, h : h + 1] for h in heads], 1)


def _note(tape: Tape | None, site: str, x: Tensor) -> Tensor:
    return x if tape is None else tape(site, x)


def _wants(tape: Tape | None, site: str) -> bool:
    return tape is not None and tape.wants(site)


def _begin(tape: Tape | None, known: list[str]) -> None:
    if tape is not None:
        tape.begin(known)


def _finish(tape: Tape | None) -> None:
    if tape is not None:
        tape.finish()
