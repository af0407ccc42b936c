"""A tape goes along on a forward pass: at named sites it overrides what it is shown, then records it.

The model calls `x = tape(site, x)` at each site (the list is in model.py). Overrides apply in the order
given; the record sees their result. Gradients flow through both unless detached.

    tape = Tape(record=["blocks.1.attn.pattern"], overrides=[Override("blocks.0.attn.z", 0.0, mask)])
    logits = model(inputs, tape)
    tape["blocks.1.attn.pattern"]
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from headworks.errors import HeadworksError

Reduction = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Override:
    """At `site`, x becomes where(mask, value, x)."""

    site: str
    value: Tensor | float | Reduction  # a function of x may read what this pass has recorded so far
    mask: Tensor | None = None  # bool, broadcast to the site, may differ by replica; None: everywhere
    detach: bool = False  # no gradient flows into value

    def __call__(self, x: Tensor) -> Tensor:
        value = self.value(x) if callable(self.value) else self.value
        value = torch.as_tensor(value, dtype=x.dtype, device=x.device)
        if self.detach:
            value = value.detach()
        if self.mask is None:
            return value.expand_as(x)
        return torch.where(self.mask.to(x.device), value, x)


class Tape:
    """Holds the record of its last pass. A site that it names and the pass does not visit is an error."""

    def __init__(
        self,
        record: Iterable[str] | Mapping[str, Reduction] = (),
        overrides: Sequence[Override] = (),
        detach: bool = False,
        heads: Mapping[int, Sequence[int]] | None = None,
    ):
        """`record` may map a site to a function applied before keeping; `detach` keeps without gradients.

        `heads`, of layers by number, are all that the attention of such a layer has: the rest is not computed
        and writes nothing, as with z overridden by zeros, and the layer's sites hold these heads in this order.
        """
        self.heads = {l: tuple(kept) for l, kept in (heads or {}).items()}
        self._record = dict(record) if isinstance(record, Mapping) else dict.fromkeys(record, _whole)
        self._overrides: dict[str, list[Override]] = {}
        for override in overrides:
            self._overrides.setdefault(override.site, []).append(override)
        self._detach = detach
        self._kept: dict[str, Tensor] = {}
        self._unreached: set[str] = set()

    def __call__(self, site: str, x: Tensor) -> Tensor:
        if not self.wants(site):
            return x
        self._unreached.discard(site)
        for override in self._overrides.get(site, ()):
            x = override(x)
        if site in self._record:
            self._kept[site] = self._record[site](x.detach() if self._detach else x)
        return x

    def wants(self, site: str) -> bool:
        return site in self._record or site in self._overrides

    def __getitem__(self, site: str) -> Tensor:
        if site not in self._kept:
            raise HeadworksError(f"tape: {site} was not recorded; recorded are {_listed(self._kept)}.")
        return self._kept[site]

    def begin(self, known: Sequence[str]) -> None:
        """Start a pass that will visit the sites `known`; forgets the record of the pass before."""
        self._kept.clear()
        self._unreached = {*self._record, *self._overrides}
        asked = self._unreached.union(f"blocks.{l}.attn.z" for l in self.heads)
        for site in sorted(asked.difference(known)):
            near = difflib.get_close_matches(site, known, n=3, cutoff=0.0)
            raise HeadworksError(f"tape: {site} is no site of this pass; the nearest are {_listed(near)}.")

    def finish(self) -> None:
        """End the pass; a site that the model listed but did not visit is an error."""
        if self._unreached:
            raise HeadworksError(f"tape: the pass did not reach {_listed(sorted(self._unreached))}.")

    def record(self) -> dict[str, Tensor]:
        """Site to what was kept of it."""
        return dict(self._kept)


def last_position(x: Tensor) -> Tensor:
    """The last position of a site with axes [r, b, t, d]: [r, b, d]."""
    return x[:, :, -1]


def last_query(x: Tensor) -> Tensor:
    """The last position of a site with axes [r, b, h, t, e], or the last query of a pattern."""
    return x[:, :, :, -1]


def batch_mean(x: Tensor) -> Tensor:
    """The mean over the batch, whose axis is kept: [r, 1, ...]."""
    return x.mean(1, keepdim=True)


def _whole(x: Tensor) -> Tensor:
    return x


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
