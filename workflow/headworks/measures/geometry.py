"""Paths of models through loss space (Olsson et al. 2022, Argument 1, per-token loss analysis)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def per_token_pca(losses: Sequence[ArrayLike], components: int = 2) -> tuple[list[np.ndarray], np.ndarray]:
    """Paths of several models in their common principal plane, and the share of variance of each component.

    losses: one array [snapshot, token] a model, all on the same tokens. Their snapshots are stacked, centred
    together and projected: paths [snapshot, components], shares [components]. A component's sign is fixed so
    that its largest coordinate is positive.
    """
    stacked = np.concatenate([np.asarray(one, dtype=float) for one in losses])
    centred = stacked - stacked.mean(0)
    # The smaller of the two Gram matrices holds the same components: 2400 snapshots, not 10,000 tokens.
    if len(centred) <= centred.shape[1]:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        coordinates = vectors[:, ::-1] * np.sqrt(values[::-1].clip(0))
    else:
        values, vectors = np.linalg.eigh(centred.T @ centred)
        coordinates = centred @ vectors[:, ::-1]
    coordinates = coordinates[:, :components]
    largest = np.take_along_axis(coordinates, np.abs(coordinates).argmax(0)[None], axis=0)
    coordinates = coordinates * np.where(largest < 0, -1, 1)
    shares = values[::-1].clip(0)[:components] / (centred**2).sum()
    return np.split(coordinates, np.cumsum([len(one) for one in losses])[:-1]), shares


def turning_angle(path: ArrayLike, start: int, end: int) -> float:
    """Angle in degrees between the mean step of a path before snapshot `start` and that after snapshot `end`.

    path [snapshot, component]. NaN where the path does not move on one side.
    """
    path = np.asarray(path, dtype=float)
    before, after = path[start] - path[0], path[-1] - path[end]
    size = np.linalg.norm(before) * np.linalg.norm(after)
    if size == 0:
        return float("nan")
    return float(np.degrees(np.arccos(np.clip(before @ after / size, -1, 1))))


def direction(before: ArrayLike, after: ArrayLike) -> np.ndarray:
    """Unit vector from the per-token losses [token] at a window's start to those at its end."""
    step = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    return step / np.linalg.norm(step)


def projection(r: ArrayLike, u: ArrayLike) -> np.ndarray:
    """Component of per-token loss changes r [..., token] along u [token]: [...].

    Olsson 2022, before-and-after ablation: with r the losses of an ablated model less those of the intact
    one and u the `direction` of the phase change, negative means that the ablation undoes the change.
    """
    u = np.asarray(u, dtype=float)
    return np.asarray(r, dtype=float) @ (u / np.linalg.norm(u))
