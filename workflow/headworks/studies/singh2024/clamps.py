"""Clamping the induction circuit while it trains, as overrides of a tape (Singh et al. 2024, sec. 2.2, App. D.1).

A sequence is exemplar, label, exemplar, label, query; a row ends with the label to predict. Conditions differ by
replica, so everything that tells them apart is a tensor with a leading replica axis: one graph serves them all.
Passes with these tapes are made with `last`: only the query's output counts.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from headworks.interventions import over_heads
from headworks.spec import ModelSpec
from headworks.studies.singh2024.circuit import Clamp
from headworks.tape import Override, Tape

LABELS = (1, 3)
"""Positions of the two labels of the context."""
READOUT_SCALE = 10.0
"""What an ideal read-out multiplies a cosine by: a perfect match over a wrong one of cosine 0.6 wins by 4 nats."""
RULED_OUT = -1e9
ALWAYS = ("active", "outputs")
"""What a release does not end."""
OVER_LAYER_2 = ("active", "match", "copy")
"""Masks over the heads of layer 2."""


def build(
    clamps: Sequence[dict | Clamp], model: ModelSpec, device: str | torch.device = "cpu"
) -> "CircuitClamps":
    """The clamps of replicas, one condition each."""
    return CircuitClamps([Clamp.model_validate(clamp) for clamp in clamps], model, torch.device(device))


class CircuitClamps:
    """One condition a replica. What no replica clamps is left out of the pass, and so are heads of layer 2 that none
    keeps."""

    def __init__(self, clamps: Sequence[Clamp], model: ModelSpec, device: torch.device):
        self.model = model
        self.releases = [clamp.release for clamp in clamps]
        self.present = {name: value.to(device) for name, value in _settings(clamps, model).items()}
        self.heads = _heads_of_some(self.present, model)
        self._released: tuple[bool, ...] | None = None
        self._current: Mapping[str, Tensor] = {}

    def settings(self, step: int = 0) -> Mapping[str, Tensor]:
        """Masks [r, ...] by name at update `step`."""
        released = tuple(at is not None and step >= at for at in self.releases)
        if released != self._released:
            self._released = released
            held = ~torch.tensor(released)
            self._current = {
                name: value if name in ALWAYS else _where_held(held, value)
                for name, value in self.present.items()
            }
        return self._current

    def tape(
        self, tokens: Tensor, settings: Mapping[str, Tensor] | None = None, record: Sequence[str] = ()
    ) -> Tape:
        """The overrides for rows [b, 6] or [r, b, 6], and what else to record; what is recorded has all heads."""
        settings = self.settings() if settings is None else settings
        heads = None if record else self.heads
        if heads:
            settings = {
                name: value[:, list(heads)] if name in OVER_LAYER_2 else value
                for name, value in settings.items()
            }
        overrides, needed = [], set(record)
        # The values below are read from the tape that this pass fills.
        recorded: list[Tape] = []

        def read(site: str) -> Tensor:
            return recorded[0][site]

        for make in (_active, _attend, _layer1, _readout, _match, _copy, _outputs):
            more, sites = make(tokens, settings, read)
            overrides += more
            needed |= set(sites)
        recorded.append(Tape(record=sorted(needed), overrides=overrides, heads={1: heads} if heads else None))
        return recorded[0]

    def penalty(self, rows: Tensor, settings: Mapping[str, Tensor], tape: Tape) -> None:
        """Nothing is added to the loss."""
        return None


def _settings(clamps: Sequence[Clamp], model: ModelSpec) -> dict[str, Tensor]:
    """Only what some replica uses, by name."""

    def heads(chosen: Sequence[int] | None) -> Tensor:
        return torch.tensor([chosen is None or h in chosen for h in range(model.n_heads)])

    def each(value) -> Tensor:
        return torch.stack([torch.as_tensor(value(clamp)) for clamp in clamps])

    def matched(clamp: Clamp) -> Tensor:
        if clamp.match is None:
            return heads([])
        return heads(clamp.heads if clamp.match_heads is None else clamp.match_heads)

    width = model.d_out or model.d_vocab
    settings = {
        "active": each(lambda c: heads(c.heads)),
        "attend": each(lambda c: heads(c.attend)),
        "layer1": each(lambda c: c.layer1 != "learned"),
        "match": each(matched),
        "readout": each(lambda c: c.readout == "ideal"),
        "copy": each(lambda c: heads(c.copy_heads)),
        "outputs": each(lambda c: torch.arange(width) < (c.outputs or width)),
    }
    used = {name for name, mask in settings.items() if name not in ALWAYS and mask.any()}
    used |= {name for name in ALWAYS if not settings[name].all()}
    settings = {name: mask for name, mask in settings.items() if name in used}
    if "layer1" in used and any(c.layer1 == "ideal_with_labels" for c in clamps):
        settings["labels"] = each(lambda c: c.layer1 == "ideal_with_labels")
    if "match" in used:
        settings["strength"] = each(lambda c: 1.0 if c.match is None else c.match)
        if any(c.match_random for c in clamps):
            settings["random"] = each(lambda c: c.match_random)
    if any(c.detach for c in clamps):
        settings["detach"] = each(lambda c: c.detach)
    return settings


def _heads_of_some(settings: Mapping[str, Tensor], model: ModelSpec) -> tuple[int, ...] | None:
    """Heads of layer 2 that some replica keeps, the only ones that match or copy (circuit.py); None: all, or not to be
    told apart."""
    if "active" not in settings or model.kv_heads != model.n_heads:
        return None
    used = settings["active"].any(0)
    return None if used.all() else tuple(used.nonzero().flatten().tolist())


def _where_held(held: Tensor, value: Tensor) -> Tensor:
    """Masks with the released replicas taken out; strengths stay."""
    if value.dtype != torch.bool:
        return value
    return value & held.to(value.device).view(-1, *[1] * (value.ndim - 1))


def _released_from_gradient(value: Tensor, settings: Mapping[str, Tensor]) -> Tensor:
    """`value` [r, ...] without gradient in the replicas that ask for it."""
    if "detach" not in settings:
        return value
    mask = settings["detach"].view(-1, *[1] * (value.ndim - 1))
    return torch.where(mask, value.detach(), value)


# Each part of the circuit: its overrides, and the sites they read.


def _active(tokens, settings, read):
    if "active" not in settings:
        return [], []
    return [Override("blocks.1.attn.z", 0.0, over_heads(~settings["active"]))], []


def _attend(tokens, settings, read):
    if "attend" not in settings:
        return [], []
    pattern = previous_token_pattern(tokens.shape[-1] - 1, tokens.device)
    return [Override("blocks.0.attn.pattern", pattern, over_heads(settings["attend"]))], []


def _layer1(tokens, settings, read):
    if "layer1" not in settings:
        return [], []
    mask = settings["layer1"][:, None, None, None]

    def own(x):
        return _released_from_gradient(read("embed"), settings)

    def keys(x):
        embed = read("embed")
        shifted = shift(embed)
        if "labels" in settings:
            both = torch.zeros(embed.shape[2], 1, device=embed.device)
            both[list(LABELS)] = 1
            both = both * settings["labels"][:, None, None, None]
            shifted = shifted + both * embed
        return _released_from_gradient(shifted, settings)

    overrides = [Override("blocks.1.resid_pre", own, mask), Override("blocks.1.attn.qk_in", keys, mask)]
    return overrides, ["embed"]


def _readout(tokens, settings, read):
    if "readout" not in settings:
        return [], []
    mask = settings["readout"][:, None, None, None, None]

    def likeness(x):
        embed = read("embed")
        delivered = read("blocks.0.attn_out")
        if "layer1" in settings:
            delivered = torch.where(settings["layer1"][:, None, None, None], shift(embed), delivered)
        wanted, found = (F.layer_norm(y, y.shape[-1:]) for y in (embed[:, :, -1:], delivered))
        cosine = (wanted * found).mean(-1)
        scores = torch.full_like(cosine, -torch.inf)
        scores[..., list(LABELS)] = READOUT_SCALE * cosine[..., list(LABELS)]
        return _released_from_gradient(scores[:, :, None, None], settings)

    return [Override("blocks.1.attn.scores", likeness, mask)], ["embed", "blocks.0.attn_out"]


def _match(tokens, settings, read):
    if "match" not in settings:
        return [], []
    strength = settings["strength"][:, None, None].float()
    correct = correct_label(tokens)
    right = correct.float()
    if "random" in settings:
        right = torch.where(settings["random"][:, None, None], drawn_label(tokens).float(), right)
    labels = torch.zeros(tokens.shape[-1] - 1, device=tokens.device)
    labels[list(LABELS)] = 1
    row = right * strength + (labels - right) * (1 - strength)
    return [Override("blocks.1.attn.pattern", row[:, :, None, None], over_heads(settings["match"]))], []


def _copy(tokens, settings, read):
    if "copy" not in settings:
        return [], []
    chosen = settings["copy"]
    weights = (chosen / chosen.sum(1, keepdim=True).clamp_min(1))[:, None, :]

    def scores(x):
        row = read("blocks.1.attn.scores")[:, :, :, -1]
        outputs = torch.arange(x.shape[-1], device=x.device)
        value = torch.full_like(x[:, :, -1], RULED_OUT)
        for position in LABELS:
            mean = (row[..., position] * weights).sum(-1, keepdim=True)
            value = torch.where(tokens[..., position, None] == outputs, mean, value)
        return _released_from_gradient(value[:, :, None], settings)

    return [Override("logits", scores, chosen.any(1)[:, None, None, None])], ["blocks.1.attn.scores"]


def _outputs(tokens, settings, read):
    if "outputs" not in settings:
        return [], []
    return [Override("logits", RULED_OUT, ~settings["outputs"][:, None, None])], []


def previous_token_pattern(t: int, device: torch.device | None = None) -> Tensor:
    """[q, k]: each position attends to the one before it, the first to itself."""
    pattern = torch.eye(t, device=device).roll(1, 0)
    pattern[0] = 0
    pattern[0, 0] = 1
    return pattern


def shift(embed: Tensor) -> Tensor:
    """A 0 B 1 A to A A 0 B A: labels' places hold what came before; ends keep their own. [r, b, t, d]."""
    return torch.cat([embed[:, :, :1], embed[:, :, :-2], embed[:, :, -1:]], 2)


def correct_label(tokens: Tensor) -> Tensor:
    """bool [..., t]: the position of the label to predict, for rows that end with it."""
    context = tokens[..., :-1]
    places = torch.zeros(context.shape[-1], dtype=torch.bool, device=tokens.device)
    places[list(LABELS)] = True
    return (context == tokens[..., -1:]) & places


def drawn_label(tokens: Tensor) -> Tensor:
    """bool [..., t]: one of the two labels by a hash of the context, which says nothing of the query."""
    first = (tokens[..., :4] * tokens.new_tensor([31, 17, 7, 3])).sum(-1).div(
        2, rounding_mode="floor"
    ) % 2 == 0
    drawn = torch.zeros(*tokens.shape[:-1], tokens.shape[-1] - 1, dtype=torch.bool, device=tokens.device)
    drawn[..., LABELS[0]] = first
    drawn[..., LABELS[1]] = ~first
    return drawn
