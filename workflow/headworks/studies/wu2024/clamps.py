"""An auxiliary loss that pulls states of one label together while a network trains, as a tape and a penalty.

Labels come from the marks of training rows, which the network is never shown. Conditions differ by replica, so
everything that tells them apart is a tensor with a leading replica axis: one graph serves them all.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.spec import ModelSpec
from headworks.studies.wu2024.objective import Clamp
from headworks.tape import Tape

FROM_END = 3
"""The separator that ends the instruction is the last but two of a context."""
MARKS = {"task": 0, "permuted": 2}
"""Place of each label among the marks of a row: task, regular expression, permuted task, string, input."""


def build(clamps: Sequence[dict | Clamp], model: ModelSpec, device: str | torch.device = "cpu") -> "Contrast":
    """The auxiliary losses of replicas, one condition each.

    Raises HeadworksError for a pulled layer whose state at the separator the pass does not compute.
    """
    return Contrast([Clamp.model_validate(clamp) for clamp in clamps], model, torch.device(device))


class Contrast:
    """One condition a replica. Without any weight above 0 nothing is recorded and nothing is added."""

    def __init__(self, clamps: Sequence[Clamp], model: ModelSpec, device: torch.device):
        self.n_context = model.n_context
        pulling = sorted({clamp.layer for clamp in clamps if clamp.weight})
        if pulling and pulling[-1] >= model.n_layers - 1:
            raise HeadworksError(
                f"clamps: layer: {pulling[-1]} of a model of {model.n_layers} blocks, but after the last block no "
                f"position reads the separator; allowed: below {model.n_layers - 1}"
            )
        self.sites = [f"blocks.{layer}.resid_post" for layer in pulling]
        self.present: dict[str, Tensor] = {}
        if pulling:
            chosen = [pulling.index(clamp.layer) if clamp.weight else 0 for clamp in clamps]
            self.present = {
                "weight": torch.tensor([clamp.weight for clamp in clamps], device=device),
                "temperature": torch.tensor([clamp.temperature for clamp in clamps], device=device),
                "mark": torch.tensor([MARKS[clamp.label] for clamp in clamps], device=device),
                "site": torch.tensor(chosen, device=device),
            }

    def settings(self, step: int = 0) -> Mapping[str, Tensor]:
        """weight and temperature, the mark that is the label, and the place of the site among those recorded, [r] each."""
        return self.present

    def tape(self, rows: Tensor, settings: Mapping[str, Tensor]) -> Tape:
        """Records the state at the separator, [r, b, d], of every block that some replica pulls."""
        return Tape(record=dict.fromkeys(self.sites, self._at_separator))

    def penalty(self, rows: Tensor, settings: Mapping[str, Tensor], tape: Tape) -> Tensor | None:
        """Weight times `contrastive_loss`, [r] nats, of rows [r, b, entry] that end with marks.

        Raises HeadworksError if they do not.
        """
        if not self.sites:
            return None
        marks = rows[..., self.n_context + 1 :]
        if marks.shape[-1] <= max(MARKS.values()):
            raise HeadworksError(
                f"clamps: training rows have {marks.shape[-1]} marks after their {self.n_context + 1} tokens, but "
                f"their labels are among the first {max(MARKS.values()) + 1}; allowed: datasets of this study"
            )
        each = torch.arange(len(rows), device=rows.device)
        labels = marks[each, :, settings["mark"]]
        states = torch.stack([tape[site] for site in self.sites])[settings["site"], each]
        return settings["weight"] * contrastive_loss(states, labels, settings["temperature"])

    def _at_separator(self, x: Tensor) -> Tensor:
        return x[:, :, self.n_context - FROM_END]


def contrastive_loss(states: Tensor, labels: Tensor, temperature: Tensor) -> Tensor:
    """Supervised contrastive loss of states [r, b, d] with labels [r, b], [r] nats (Khosla et al. 2020, eq. 2, L_out).

    With z the states at unit norm and t the temperature [r], the mean over anchors i of the mean over positives
    p of -log(exp(z_i z_p / t) / sum over a != i of exp(z_i z_a / t)); positives share i's label. The paper sums
    over anchors; a mean keeps the weight's meaning when the batch changes. Anchors without positives are left
    out; without any anchor the loss is 0.
    """
    unit = F.normalize(states, dim=-1)
    cosines = unit @ unit.transpose(1, 2)
    itself = torch.eye(states.shape[1], dtype=torch.bool, device=states.device)
    logs = (cosines / temperature[:, None, None]).masked_fill(itself, -torch.inf).log_softmax(-1)
    alike = (labels[:, :, None] == labels[:, None]) & ~itself
    positives = alike.sum(-1)
    of_anchors = -torch.where(alike, logs, 0.0).sum(-1) / positives.clamp_min(1)
    return of_anchors.sum(1) / (positives > 0).sum(1).clamp_min(1)
