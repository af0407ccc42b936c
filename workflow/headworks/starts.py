"""Initial parameters borrowed from a trained run: grafts (Singh et al. 2024, App. D.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from headworks.errors import HeadworksError
from headworks.parameters import initial_parameters, parameter_shapes
from headworks.spec import ModelSpec
from headworks.train import join, split

if TYPE_CHECKING:
    from headworks.readers import RunReader


def borrowed(
    start: dict, donor: RunReader, model: ModelSpec, seeds: tuple[int, ...]
) -> tuple[Tensor, Tensor | None]:
    """Initial parameters [replica, parameter], and which of them stay as they are, bool [parameter] or None.

    Replica i takes the parameters named by `start["parameters"]` (whole names, or what names start with) from
    the donor's replica of the seed `roll` places after its own in the donor's list; the rest is drawn from its
    own seed. Raises HeadworksError where the donor lacks a seed or a parameter, or has another shape.
    """
    fresh = torch.stack([initial_parameters(model, seed) for seed in seeds])
    parts = split(model, fresh.numpy())
    taken = [name for name in parts if _named(name, start["parameters"])]
    theirs = parameter_shapes(donor.model_spec)
    _check(start, donor, model, seeds, taken, theirs)
    pool = sorted(set(donor.seeds), key=donor.seeds.index)
    rows = [donor.seeds.index(pool[(pool.index(seed) + start["roll"]) % len(pool)]) for seed in seeds]
    for name in taken:
        parts[name][:] = donor.parameter(name, len(donor) - 1)[rows]
    frozen = {name: torch.full(shape, name in taken) for name, shape in parameter_shapes(model).items()}
    stays = torch.cat([part.flatten() for part in frozen.values()]) if start["frozen"] else None
    return torch.from_numpy(join(model, parts)), stays


def _named(name: str, prefixes: list[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _check(start, donor, model, seeds, taken, theirs) -> None:
    for prefix in start["parameters"]:
        if not any(_named(name, [prefix]) for name in taken):
            raise HeadworksError(
                f"start.parameters: {prefix!r} names no parameter of the model; "
                f"allowed: {', '.join(parameter_shapes(model))}, or what they start with"
            )
    for name in taken:
        shape = parameter_shapes(model)[name]
        if theirs.get(name) != shape:
            raise HeadworksError(
                f"start.run: {donor.name} has {theirs.get(name)} as the shape of {name}; this model has {shape}"
            )
    if missing := sorted(set(seeds) - set(donor.seeds)):
        raise HeadworksError(
            f"start.run: {donor.name} has no seed {missing[0]}; it has {sorted(set(donor.seeds))}"
        )
