"""States of one network in the plane of their first two principal components."""

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.measures.clustering import principal_components
from headworks.studies.wu2024.states import labels, moments, rows_of

SPLITS = ("train", "val")
COLUMNS = ["position", "layer", "split", "x", "y", "task", "regex", "input", "output"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, step, position, layer, split (train or val), x, y, task, regex, input,
    output; one row a state, where no input has been read yet one a string.

    The plane is that of both splits together, for each network, position and layer by itself. NaN where a
    replica diverged.
    """
    frames = []
    for moment in moments(options, inputs):
        dataset, found = moment.run.dataset, labels(moment.run.dataset)
        replicas = of_seed(moment.run, options.replica_seed)
        for position, layer, replica, states in moment.cells():
            if replica not in replicas:
                continue
            parts = [rows_of(dataset, found, split, position) for split in SPLITS]
            of = found.take(np.concatenate(parts))
            about = moment.about(replica) | {"position": position, "layer": layer}
            about["split"] = np.repeat(SPLITS, [len(part) for part in parts])
            x, y = plane(states[np.concatenate(parts)]).T
            about |= {"x": x, "y": y} | {name: getattr(of, name) for name in COLUMNS[5:]}
            frames.append(pd.DataFrame(about))
    return pd.concat(frames, ignore_index=True)


def of_seed(run, seed: int | None) -> list[int]:
    """The replicas of one seed, one a condition. Raises HeadworksError if there is none."""
    wanted = run.seeds[0] if seed is None else seed
    if wanted not in run.seeds:
        known = ", ".join(str(one) for one in sorted(set(run.seeds)))
        raise HeadworksError(
            f"options.replica_seed: {wanted} is no seed of the run {run.name}; allowed: {known}"
        )
    return [i for i, own in enumerate(run.seeds) if own == wanted]


def plane(states: np.ndarray) -> np.ndarray:
    """Coordinates [n, 2] of states [n, d]."""
    if not np.isfinite(states).all():
        return np.full((len(states), 2), np.nan)
    return principal_components(states, 2)
